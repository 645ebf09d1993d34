//! The model checked against reality: what each command says beforehand (who will be a member, what is done in which
//! order, who leads last, how many may fail before, during and after) is what systemd, etcd and a fresh look say afterwards.

use std::collections::BTreeSet;

use crate::harness::{Lab, Writer, current, plain_inventory};

/// A plan as it is shown to the operator, who is asked whether to go on.
#[derive(Debug, Default)]
struct Shown {
    /// Every step: its id, and what it does.
    steps: Vec<(String, String)>,
    /// Of each wave, once there is a cluster: voters after it, and how many may fail before, during and after it.
    tolerance: Vec<(i64, [i64; 3])>,
}

impl Shown {
    /// Asks for the plan by not answering: the command ends without having changed anything.
    #[track_caller]
    fn of(lab: &Lab, command: &[&str]) -> Self {
        let asked = lab.quorate(command).code(2);
        let mut shown = Self::default();
        let mut wave = 0;
        for line in asked.stderr.lines() {
            let title = line.split_once(". ").filter(|(n, _)| n.parse() == Ok(wave + 1));
            if let Some((_, title)) = title {
                wave += 1;
                shown
                    .tolerance
                    .extend(title.split_once("  ").map(|(_, told)| tolerance(told)));
            } else if let (Some(place), Some(what)) = (line.get(3..17), line.get(18..))
                && line.starts_with("   ")
                && !place.trim().is_empty()
            {
                let place = place.trim().replace("this machine", "operator");
                shown.steps.push((format!("w{wave}.{place}"), what.to_owned()));
            }
        }
        assert!(!shown.steps.is_empty(), "no plan was shown\n{asked}");
        shown
    }

    /// The hosts of the steps that do such a thing, in order.
    fn hosts(&self, such: impl Fn(&str) -> bool) -> Vec<String> {
        let steps = self.steps.iter().filter(|(_, what)| such(what));
        steps
            .filter_map(|(id, _)| Some(id.split_once('.')?.1.to_owned()))
            .collect()
    }

    /// The members afterwards, by what is done to those of now.
    fn members(&self, lab: &Lab, now: &BTreeSet<String>) -> BTreeSet<String> {
        let mut members = now.clone();
        for (id, what) in &self.steps {
            let words: Vec<&str> = what.split(' ').collect();
            match words.as_slice() {
                ["start", "etcd"] if now.is_empty() => {
                    members.insert(id.split_once('.').expect("an id").1.to_owned());
                }
                ["add", url, "to", ..] => {
                    let added = lab.hosts().iter().find(|h| url.contains(&format!("//{}:", h.address)));
                    members.insert(added.expect("a host of the lab").name.clone());
                }
                ["remove", "the", "member", name, ..] => drop(members.remove(*name)),
                _ => {}
            }
        }
        members
    }
}

/// `3 voters, survives 1 failure now, 0 during, 1 after`, or `3 voters, survives 1 failure`.
fn tolerance(told: &str) -> (i64, [i64; 3]) {
    let (voters, survives) = told
        .split_once(", survives ")
        .unwrap_or_else(|| panic!("no tolerance: {told}"));
    let voters = voters
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number of voters");
    let first = |part: &str| part.split(' ').next().and_then(|n| n.parse().ok());
    let numbers: Vec<i64> = survives.split(", ").map(|part| first(part).unwrap_or(-1)).collect();
    match numbers.as_slice() {
        [same] => (voters, [*same; 3]),
        [before, during, after] => (voters, [*before, *during, *after]),
        _ => panic!("no tolerance: {told}"),
    }
}

/// The members by name, all of them healthy voters.
#[track_caller]
fn voters(lab: &Lab) -> BTreeSet<String> {
    let status = lab.status();
    let members = status["members"].as_array().expect("members");
    assert!(
        members.iter().all(|m| m["healthy"] == true && m["learner"] == false),
        "{status}"
    );
    let names = members.iter().map(|m| m["name"].as_str().expect("a name").to_owned());
    names.collect()
}

/// How many of so many voters may fail when so many are down.
fn can_lose(voters: usize, down: usize) -> i64 {
    let quorum = voters / 2 + 1;
    i64::try_from(voters).expect("small") - i64::try_from(down + quorum).expect("small")
}

/// Runs a command and holds what came of it against what it said. Returns the members that were down, in order.
#[track_caller]
fn as_it_said(lab: &Lab, before: &BTreeSet<String>, command: &[&str]) -> Vec<String> {
    let shown = Shown::of(lab, command);
    let since = lab.hosts()[0].now();
    let mut words = command.to_vec();
    words.extend(["--yes", "--output", "json"]);
    let outcome = lab.quorate(&words).ok();

    // Every step was done, and none that was not shown.
    let done: BTreeSet<String> = outcome
        .events_of("step_finished")
        .iter()
        .map(|event| event["step"].as_str().expect("an id").to_owned())
        .collect();
    let told: BTreeSet<String> = shown.steps.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(done, told, "the steps\n{outcome}");

    let after = voters(lab);
    assert_eq!(after, shown.members(lab, before), "the members\n{outcome}");
    let last = shown.tolerance.last().expect("a cluster at the end");
    assert_eq!(
        last.0,
        i64::try_from(after.len()).expect("few"),
        "the voters\n{outcome}"
    );
    assert_eq!(
        last.1[2],
        can_lose(after.len(), 0),
        "how many may fail afterwards\n{outcome}"
    );
    if before.is_empty() {
        return Vec::new();
    }
    assert_eq!(
        shown.tolerance[0].1[0],
        can_lose(before.len(), 0),
        "how many could fail before"
    );

    // The journals: who was down, one at a time, and nobody whose turn was not told. One that has left is down for good:
    // etcd ends by itself when it hears of its removal, or is stopped first.
    let down: Vec<String> = lab
        .one_down_at_a_time(since)
        .into_iter()
        .filter(|name| before.contains(name) && after.contains(name))
        .collect();
    let turns = shown.hosts(|what| what.ends_with("restart etcd"));
    assert_eq!(down, turns, "who was down, in which order\n{outcome}");
    let restarts = turns.len();
    let costly = shown
        .tolerance
        .iter()
        .filter(|(_, lose)| lose[1] < lose[0].min(lose[2]));
    let costly: Vec<i64> = costly.map(|(_, lose)| lose[1]).collect();
    assert_eq!(
        costly,
        vec![can_lose(before.len(), 1); restarts],
        "how many may fail meanwhile"
    );
    down
}

#[test]
fn what_was_said_is_what_the_cluster_did() {
    let lab = Lab::start(4);
    let version = current();
    // The newcomer's key is pinned beforehand, so that only the plan is asked about.
    lab.plain_inventory(&version);
    lab.inventory(|hosts| plain_inventory(&version, &hosts[..3]));

    as_it_said(&lab, &BTreeSet::new(), &["up"]);
    let writer = Writer::start(&lab, lab.host("n1"));

    let newcomer = lab.host("n4").address.clone();
    let down = as_it_said(&lab, &voters(&lab), &["add-node", "n4", "--address", &newcomer]);
    assert_eq!(down, [""; 0], "nobody is down while another joins");

    let leader = lab.leader();
    let down = as_it_said(&lab, &voters(&lab), &["restart"]);
    assert_eq!(down.len(), 4);
    assert_eq!(down.last(), Some(&leader), "the leader is the last one");
    assert_ne!(lab.leader(), leader, "it had handed leadership over");

    lab.edit("etcd:\n", "etcd:\n  config: {snapshot-count: 12345}\n");
    let leader = lab.leader();
    let down = as_it_said(&lab, &voters(&lab), &["up"]);
    assert_eq!((down.len(), down.last()), (4, Some(&leader)));

    // The writer lives on n1, which has to stay; the leader goes if it can.
    let leader = lab.leader();
    let leaves = if leader == "n1" { "n2".to_owned() } else { leader };
    let down = as_it_said(&lab, &voters(&lab), &["remove-node", &leaves]);
    assert_eq!(down, [""; 0], "the members that stay were not touched");
    assert!(!lab.host(&leaves).active("etcd"));
    writer.judge();
}
