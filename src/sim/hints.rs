//! A hint is a promise: whoever is refused and does what the refusal says, word by word, is led out.

use std::collections::BTreeSet;

use super::chaos::{Case, case, mend};
use super::dice::Dice;
use super::drive::{Outcome, Trouble, bring_about};
use super::host::{Data, Link, SimHost};
use super::papers::{Keys, Papers, papers};
use super::properties::{asked, in_every_world};
use super::scenes::{UP, restart_of};
use super::{rescue, restore, stock};
use crate::inventory::{NodeName, Version};
use crate::ops::model::Intent;
use crate::ops::safety::{Blocked, Rule};

/// So many commands on the way out are plenty.
const PLENTY: usize = 40;

/// The commands and flags of a hint, in their order: what stands between backticks, and flags that stand alone.
fn named(hint: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, part) in hint.split('`').enumerate() {
        if at % 2 == 1 {
            found.push(part.to_owned());
            continue;
        }
        let mut words = part
            .split([' ', ',', ';', ':', '.'])
            .filter(|word| !word.is_empty())
            .peekable();
        while let Some(word) = words.next() {
            if matches!(word, "--without" | "--from") {
                found.push(format!("{word} {}", words.peek().unwrap_or(&"")));
            } else if word.starts_with("--") {
                found.push(word.to_owned());
            }
        }
    }
    found
}

/// What is next on the way out.
enum Way {
    /// A command of quorate's.
    Run(Intent),
    /// Something else was done: by hand on a host, in the inventory, or a consent was given.
    Done,
}

/// Does what a refusal says between two backticks, for the `case` that was refused; `None` for what only looks.
fn typed(text: &str, refusal: &Blocked, case: &mut Case) -> Option<Way> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["quorate", command @ ..] => command_of(command, case).map(Way::Run),
        ["--accept-outage"] => {
            case.policy.accept_outage = true;
            Some(Way::Done)
        }
        ["--accept-data-loss"] => {
            case.policy.accept_data_loss = true;
            Some(Way::Done)
        }
        ["--no-snapshot"] => {
            case.policy.no_snapshot = true;
            Some(Way::Done)
        }
        ["--without", name] => {
            let node: NodeName = name.parse().ok()?;
            let omit = refusal.hint.contains("omit");
            let without = match &mut case.intent {
                Intent::Stop { without, .. } => {
                    match omit {
                        true => without.remove(&node),
                        false => without.insert(node),
                    };
                    return Some(Way::Done);
                }
                Intent::Destroy(order) => &mut order.without,
                Intent::Restore(order) => &mut order.without,
                Intent::Recover(order) => &mut order.without,
                _ => return None,
            };
            match omit {
                true => without.retain(|left| *left != node),
                false => without.push(node),
            }
            Some(Way::Done)
        }
        ["--from", _] => {
            if let Intent::Recover(order) = &mut case.intent {
                order.from = None;
            }
            Some(Way::Done)
        }
        ["version:", release] => {
            case.desired.version = release.trim_matches('"').parse().ok()?;
            Some(Way::Done)
        }
        ["mv", _, _] => {
            let node = refusal.node.as_ref()?;
            let others = case.world.hosts[node].disk().is_some_and(|disk| {
                let cluster = case.world.clusters.get(&disk.cluster);
                cluster.is_some_and(|cluster| cluster.members.contains_key(&disk.member))
            });
            // Some cluster lists that member, or nobody else knows of any: then it is not moved away.
            let known = case
                .world
                .hosts
                .values()
                .any(|h| h.spec.name != *node && h.marker.is_some());
            if others || !known {
                return leave_out(case, node).then_some(Way::Done);
            }
            let host = case.world.host(node);
            host.data = Data::Empty;
            host.marker = None;
            Some(Way::Done)
        }
        _ => None,
    }
}

/// What a command asks for, typed by the one who was refused; `None` for those that only look.
fn command_of(words: &[&str], case: &mut Case) -> Option<Intent> {
    let limit = |words: &[&str]| -> Vec<NodeName> {
        let named = words.iter().skip_while(|word| **word != "--limit").nth(1);
        named.and_then(|name| name.parse().ok()).into_iter().collect()
    };
    if words.contains(&"--accept-outage") {
        case.policy.accept_outage = true;
    }
    if words.contains(&"--accept-data-loss") {
        case.policy.accept_data_loss = true;
    }
    let node = |at: usize| words.get(at).and_then(|name| name.parse::<NodeName>().ok());
    Some(match words {
        ["up", rest @ ..] => Intent::Converge {
            prune: rest.contains(&"--prune"),
            limit: limit(rest),
        },
        // What these show ends with what is to be done, as `up` says it.
        ["status" | "plan" | "doctor"] => UP,
        ["upgrade" | "downgrade", "--to", release] => {
            let series = |version: &Version| release.starts_with(&format!("{}.", version.series_text()));
            let known = [stock::V3_4, stock::V3_5, stock::V3_6, stock::V3_7];
            case.desired.version = release.parse().ok().or_else(|| known.into_iter().find(series))?;
            UP
        }
        ["start", ..] => Intent::Start,
        ["restart", rest @ ..] => restart_of(limit(rest)),
        ["maintain", _, "--done"] => Intent::EndMaintenance { node: node(1)? },
        ["pki", "renew"] => Intent::RotateLeaves { limit: Vec::new() },
        ["pki", "rotate-ca", ..] => Intent::RotateCa {
            compromised: false,
            begin: true,
        },
        ["defrag"] => Intent::Defragment {
            limit: Vec::new(),
            force: false,
        },
        ["compact", ..] => Intent::Compact { keep: 0 },
        ["alarm", "disarm"] => Intent::Disarm,
        ["remove-node", _, ..] => Intent::Remove {
            node: node(1)?,
            wipe: false,
        },
        ["add-node", ..] => {
            another(case)?;
            UP
        }
        ["replace-node", _, "NEW", ..] => Intent::Replace {
            old: node(1)?,
            new: another(case)?,
        },
        ["replace-node", _, _, ..] => Intent::Replace {
            old: node(1)?,
            new: node(2)?,
        },
        ["recover", ..] => Intent::Recover(Box::new(rescue::order(None, Vec::new()))),
        ["restore", ..] => {
            case.policy.accept_data_loss = true;
            Intent::Restore(Box::new(restore::order(&case.desired, Vec::new())))
        }
        _ => return None,
    })
}

/// One more host in the inventory, with nothing on it.
fn another(case: &mut Case) -> Option<NodeName> {
    let mut hosts = (1..=stock::MOST_HOSTS).map(stock::host);
    let free = hosts.find(|host| {
        let there = &case.world.hosts[&host.name];
        !case.desired.hosts.contains_key(&host.name) && there.disk().is_none() && there.link == Link::Up
    })?;
    let name = free.name.clone();
    case.desired.order.push(name.clone());
    case.desired.hosts.insert(name.clone(), free);
    Some(name)
}

/// What a person does who reads a hint without a command: mends the machine that it is about, and otherwise the ways to all.
fn by_hand(case: &mut Case, blocked: &[Blocked]) {
    for refusal in blocked {
        let says = |text: &str| refusal.hint.contains(text);
        if says("omit the exclusion")
            && let Intent::Destroy(order) = &mut case.intent
        {
            order.without.clear();
        }
        if says("from version control") {
            case.world.keys = Some(Keys::FIRST);
        }
        let Some(node) = &refusal.node else { continue };
        if says("remove the host from the inventory") || says("another host") {
            leave_out(case, node);
        }
        if says("put `address`") {
            let there = case.world.hosts[node].spec.clone();
            case.desired.hosts.insert(node.clone(), there);
        }
        let host = case.world.host(node);
        if says("put the inventory's ca.crt in the place of the host's") {
            let ca = host.spec.paths.pki.join("ca.crt");
            host.files
                .extend(papers(node, Papers::Fresh).into_iter().filter(|(path, _)| *path == ca));
        }
        if refusal.rule == Rule::Host {
            host.system = SimHost::bare(1).system;
        }
    }
    let gone = case.intent.left_out().to_vec();
    mend(&mut case.world, &gone);
}

/// The cluster is as the inventory says, and what was asked for makes no sense in it.
fn whole(case: &Case) -> bool {
    let after = bring_about(case.world.clone(), &case.desired, &UP, case.policy, Trouble::default());
    matches!(after.outcome, Outcome::Done) && after.plans.is_empty()
}

/// What is left to do is not done in this world: another directory, another release in the bundle, files that somebody has to judge.
fn elsewhere(blocked: &[Blocked]) -> bool {
    let told = |b: &Blocked| b.rule == Rule::Bundle || b.hint.contains("another `paths.data`");
    blocked.iter().any(told)
}

/// A mistake of whoever asked, and what is asked for does not exist: no host of that name, no machine at all.
fn nonsense(blocked: &[Blocked]) -> bool {
    let told = |b: &Blocked| {
        b.hint.contains("its hosts are")
            || b.hint.starts_with("nothing has to be done")
            || b.hint.contains("at least one host has to be there")
    };
    blocked.iter().any(told)
}

/// Takes a host out of the inventory, unless it is the last one.
fn leave_out(case: &mut Case, node: &NodeName) -> bool {
    let several = case.desired.hosts.len() > 1;
    if several {
        case.desired.hosts.remove(node);
        case.desired.order.retain(|other| other != node);
    }
    several
}

/// What is asked for after a command is through: who was removed is in no inventory any more.
fn through(case: &mut Case, intent: &Intent) {
    let gone = match intent {
        Intent::Remove { node, .. } => node,
        Intent::Replace { old, new } if old != new => old,
        _ => return,
    };
    leave_out(case, gone);
}

fn told(blocked: &[Blocked]) -> String {
    let one = |b: &Blocked| format!("{:?} {b} => {}", b.rule, b.hint);
    blocked.iter().map(one).collect::<Vec<_>>().join(" | ")
}

/// Does what the refusals say until what was asked for is done. What a refusal names is tried in its order, and each once.
fn led_out(mut case: Case) -> Result<(), String> {
    let mut wanted = vec![case.intent.clone()];
    let mut way = Vec::new();
    let mut tried = BTreeSet::new();
    while let Some(intent) = wanted.last().cloned() {
        if way.len() > PLENTY {
            return Err(format!("NEVER ENDS\n{}", way.join("\n")));
        }
        case.intent = intent.clone();
        let after = bring_about(
            case.world.clone(),
            &case.desired,
            &intent,
            case.policy,
            Trouble::default(),
        );
        if let Some(first) = after.violations.first() {
            return Err(format!("VIOLATION {first}\n{}", way.join("\n")));
        }
        case.world = after.world;
        case.world.pass(case.world.now + 10_000);
        let blocked = match after.outcome {
            Outcome::Done => {
                way.push(format!("{}: done", asked(&intent)));
                through(&mut case, &intent);
                wanted.pop();
                continue;
            }
            Outcome::Blocked(blocked) => blocked,
            other => {
                let events = after.reporter.events();
                way.push(format!(
                    "{}: {other:?} {:?}",
                    asked(&intent),
                    &events[events.len().saturating_sub(3)..]
                ));
                if !tried.insert(format!("{intent:?} {other:?}")) {
                    return Err(format!("STOPPED {other:?}\n{}", way.join("\n")));
                }
                by_hand(&mut case, &[]);
                continue;
            }
        };
        way.push(format!("{}: {}", asked(&intent), told(&blocked)));
        match next_way(&blocked, &mut tried, &mut case, &mut way) {
            Some(Way::Run(next)) => wanted.push(next),
            Some(Way::Done) => wanted
                .last_mut()
                .into_iter()
                .for_each(|last| *last = case.intent.clone()),
            None if tried.insert(told(&blocked)) => {
                way.push("    -> by hand".into());
                by_hand(&mut case, &blocked);
                // A hint that goes on after that with a command is followed in its order.
                let renews = |b: &Blocked| b.hint.contains("place of the host's, then `quorate pki renew`");
                if blocked.iter().any(renews) {
                    wanted.push(Intent::RotateLeaves { limit: Vec::new() });
                }
            }
            None if elsewhere(&blocked) || whole(&case) => return Ok(()),
            // What was named does not help: the next that the refusal before it names.
            None if wanted.len() > 1 => drop(wanted.pop()),
            None if nonsense(&blocked) => return Ok(()),
            None => return Err(format!("DEAD END {}\n{}", told(&blocked), way.join("\n"))),
        }
    }
    Ok(())
}

/// The first thing that the refusals name and that was not tried for them yet.
fn next_way(blocked: &[Blocked], tried: &mut BTreeSet<String>, case: &mut Case, way: &mut Vec<String>) -> Option<Way> {
    for refusal in blocked {
        for text in named(&refusal.hint) {
            if !tried.insert(format!("{:?} {refusal} {text}", case.intent)) {
                continue;
            }
            if let Some(next) = typed(&text, refusal, case) {
                way.push(format!("    -> {text}"));
                return Some(next);
            }
        }
    }
    None
}

#[test]
fn whoever_follows_the_hints_is_led_out() {
    in_every_world(1_000, |seed| {
        let case = case(&mut Dice::new(seed));
        match case.hidden {
            true => Ok(()),
            false => led_out(case),
        }
    });
}
