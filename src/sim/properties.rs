//! What holds in every world. A failure prints its seed; `QUORATE_SEED=N` runs that world alone, `QUORATE_WORLDS=N`
//! says how many to try for each property (`make soak`: a million in all), `QUORATE_FIRST=N` where to begin,
//! `QUORATE_THREADS=N` how many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use super::arbitrary::scramble;
use super::chaos::{Case, case, faults, mend, out_of_sight};
use super::dice::Dice;
use super::drive::{Aftermath, Outcome, Trouble, bring_about};
use super::host::{Data, SimHost};
use super::scenes::{UP, all, restart_of};
use super::world::World;
use crate::inventory::{Desired, HostPath, NodeName};
use crate::ops::model::{Intent, Policy};
use crate::ops::plan::lint::lint;
use crate::ops::plan::{Plan, plan};
use crate::ops::safety::Blocked;

/// Runs a property in many worlds, on every processor.
pub(super) fn in_every_world(worlds: u64, property: fn(u64) -> Result<(), String>) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("QUORATE_SEED") {
        let case = case(&mut Dice::new(seed));
        println!(
            "{:#?}\n{}, {:?}",
            summary(&case.world),
            asked(&case.intent),
            case.policy
        );
        property(seed).unwrap_or_else(|why| panic!("world {seed}: {why}"));
        return;
    }
    let worlds = number("QUORATE_WORLDS").unwrap_or(worlds);
    let first = number("QUORATE_FIRST").unwrap_or(0);
    let (next, last) = (AtomicU64::new(first), first + worlds);
    let begun = std::time::Instant::now();
    let threads = number("QUORATE_THREADS").and_then(|n| usize::try_from(n).ok());
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut failed: Vec<(u64, String)> = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= last || failed.len() >= MOST_FAILURES {
                    return failed;
                }
                let outcome = std::panic::catch_unwind(|| property(seed))
                    .unwrap_or_else(|_| Err("it panicked; the message is above".into()));
                failed.extend(outcome.err().map(|why| (seed, why)));
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("panics are caught"))
            .collect()
    });
    failed.sort();
    let others: Vec<String> = failed
        .iter()
        .map(|(seed, why)| format!("{seed}: {}", first_line(why)))
        .collect();
    println!("{worlds} worlds in {:.1} s", begun.elapsed().as_secs_f64());
    if let Some((seed, why)) = failed.first() {
        panic!("QUORATE_SEED={seed}: {why}\n\nall that failed:\n{}", others.join("\n"));
    }
}

/// Until somebody comes back to a run that was killed, in milliseconds: longer than anything that etcd does by itself.
const A_WHILE: u64 = 8_000;

/// A broken rule breaks many worlds: so many are collected by each thread.
const MOST_FAILURES: usize = 10;

pub(super) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[test]
fn the_planner_answers_whatever_it_is_shown_and_always_the_same() {
    in_every_world(3_000, |seed| {
        let mut dice = Dice::new(seed);
        let case = case(&mut dice);
        let seen = scramble(case.world.observe(&case.desired), &mut dice);
        let supplies = case.world.supplies();
        let make = || plan(&case.intent, &case.desired, &seen, case.policy, &supplies);
        let made = make();
        let text = |made: &Result<_, _>| serde_json::to_string(made).unwrap();
        if text(&made) != text(&make()) {
            return Err("two plans for the same observation differ".into());
        }
        if made
            .as_ref()
            .is_err_and(|blocked| blocked.iter().any(|b| b.hint.is_empty() || b.reason.is_empty()))
        {
            return Err(format!("a refusal without a reason or a hint: {made:?}"));
        }
        let Ok(plan) = made else { return Ok(()) };
        match lint(&plan, &seen).into_iter().find(|f| f.fatal) {
            Some(finding) => Err(format!("{}: {finding}\n{}", asked(&case.intent), steps_of(1, &plan))),
            None => Ok(()),
        }
    });
}

#[test]
fn every_state_on_the_way_is_safe_and_the_way_ends() {
    in_every_world(2_000, |seed| {
        let case = case(&mut Dice::new(seed));
        let after = run(&case, Trouble::default());
        safe(&case, &after)?;
        ends(&case, &after)
    });
}

#[test]
fn killed_anywhere_and_run_again_it_ends_in_the_same_world() {
    in_every_world(800, |seed| {
        let mut dice = Dice::new(seed);
        let case = case(&mut dice);
        let whole = run(&case, Trouble::default());
        if case.hidden || !matches!(whole.outcome, Outcome::Done) || whole.strokes == 0 {
            return Ok(());
        }
        let strokes = whole.strokes;
        let wanted = finish(&case, whole)?;
        let at = dice.next() % strokes;
        let killed = run(
            &case,
            Trouble {
                crash_after: Some(at),
                ..Trouble::default()
            },
        );
        safe(&case, &killed)?;
        let told = story(&killed);
        // Whoever runs it again does that at once, or later: etcd goes on meanwhile.
        let pause = *dice.pick(&[0, 0, A_WHILE]);
        let mut again = run(&case.after(killed.world).a_while_later(pause), Trouble::default());
        safe(&case, &again)?;
        if let Outcome::Blocked(blocked) = &again.outcome {
            // Whoever is refused does what the hint says: consents, or starts what is down first.
            let consents = |b: &Blocked| b.hint.contains("--accept-outage") && !b.hint.contains("`quorate up`");
            let mut next = case.clone();
            let world = if blocked.iter().all(consents) {
                next.policy.accept_outage = true;
                again.world
            } else {
                let started = up_and_its_hints(again.world, &case.desired, &UP, case.policy)?;
                safe(&case, &started)?;
                started.world
            };
            next = next.after(world);
            again = run(&next, Trouble::default());
            safe(&next, &again)?;
        }
        let told = format!("{told} then, {:?}:\n{}", again.outcome, story(&again));
        let got = finish(&case, again).map_err(|why| format!("killed after {at} strokes: {why}"))?;
        if got != wanted {
            return Err(format!(
                "{}, killed after {at} strokes: {}\n{told}",
                asked(&case.intent),
                difference(&got, &wanted)
            ));
        }
        Ok(())
    });
}

/// A world in which nothing can be asked for, or nothing is ever refused, would prove nothing.
#[test]
fn the_worlds_see_every_intent_done_and_refused() {
    let mut seen: BTreeMap<(&str, bool), u32> = BTreeMap::new();
    for seed in 0..1_200 {
        let case = case(&mut Dice::new(seed));
        let after = run(&case, Trouble::default());
        match after.outcome {
            Outcome::Done if !after.plans.is_empty() => *seen.entry((case.intent.verb(), true)).or_default() += 1,
            Outcome::Blocked(_) => *seen.entry((case.intent.verb(), false)).or_default() += 1,
            _ => {}
        }
    }
    let verbs = [
        "up",
        "restart",
        "maintain",
        "maintain --done",
        "stop",
        "start",
        "destroy",
        "remove-node",
        "replace-node",
        "restore",
        "recover",
        "defrag",
        "compact",
        "alarm disarm",
        "pki renew",
        "pki rotate-ca",
    ];
    for verb in verbs {
        for done in [true, false] {
            assert!(seen.contains_key(&(verb, done)), "{verb}, done {done}: {seen:?}");
        }
    }
}

#[test]
fn every_scene_killed_after_every_stroke_ends_in_the_same_world() {
    for (name, _, scene) in all() {
        let case = Case {
            world: scene.world,
            desired: scene.desired,
            intent: scene.intent,
            policy: scene.policy,
            hidden: false,
        };
        let hidden = out_of_sight(&case.world, &case.desired, &case.intent);
        let case = Case { hidden, ..case };
        let whole = run(&case, Trouble::default());
        safe(&case, &whole).unwrap_or_else(|why| panic!("{name}: {why}"));
        ends(&case, &whole).unwrap_or_else(|why| panic!("{name}: {why}"));
        if case.hidden {
            continue;
        }
        let strokes = whole.strokes;
        let wanted = finish(&case, whole).unwrap_or_else(|why| panic!("{name}: {why}"));
        for at in 0..strokes {
            let trouble = Trouble {
                crash_after: Some(at),
                ..Trouble::default()
            };
            let killed = run(&case, trouble);
            safe(&case, &killed).unwrap_or_else(|why| panic!("{name}, killed after {at}: {why}"));
            let pause = if at % 2 == 0 { 0 } else { A_WHILE };
            let again = run(&case.after(killed.world).a_while_later(pause), Trouble::default());
            safe(&case, &again).unwrap_or_else(|why| panic!("{name}, killed after {at} and run again: {why}"));
            let told = format!("{:?}\n{}", again.outcome, story(&again));
            let got = finish(&case, again).unwrap_or_else(|why| panic!("{name}, killed after {at}: {why}"));
            assert!(
                got == wanted,
                "{name}, killed after {at} strokes: {}\nrun again: {told}",
                difference(&got, &wanted)
            );
        }
    }
}

#[test]
fn every_action_done_twice_is_done_once() {
    in_every_world(600, |seed| {
        let case = case(&mut Dice::new(seed));
        let once = run(&case, Trouble::default());
        if case.hidden || !matches!(once.outcome, Outcome::Done) {
            return Ok(());
        }
        let twice = run(
            &case,
            Trouble {
                twice: true,
                ..Trouble::default()
            },
        );
        safe(&case, &twice)?;
        ends(&case, &twice)?;
        match (digest(&once.world, &case.desired), digest(&twice.world, &case.desired)) {
            (once, twice) if once == twice => Ok(()),
            (once, twice) => Err(format!("{}: {}", asked(&case.intent), difference(&twice, &once))),
        }
    });
}

#[test]
fn whatever_fails_meanwhile_nothing_is_lost_and_up_mends_it() {
    in_every_world(800, |seed| {
        let mut dice = Dice::new(seed);
        let case = case(&mut dice);
        let faults = faults(&case, &mut dice);
        // Sometimes the program dies as well.
        let crash_after = dice.chance(25).then(|| dice.next() % 40);
        // And sometimes the first of it happens while the plan is being read.
        let so_many = usize::from(dice.chance(20));
        let on_screen = faults.iter().take(so_many).map(|(_, fault)| fault.clone()).collect();
        let faults = faults.into_iter().skip(so_many).collect();
        let hit = run(
            &case,
            Trouble {
                faults,
                crash_after,
                on_screen,
                ..Trouble::default()
            },
        );
        safe(&case, &hit)?;
        let mut world = hit.world;
        let amnesia = mend(&mut world, case.intent.left_out());
        let hidden = case.hidden || amnesia || out_of_sight(&world, &case.desired, &case.intent);
        let case = Case {
            hidden,
            ..case.after(world)
        };
        let again = run(&case, Trouble::default());
        if !amnesia {
            safe(&case, &again)?;
        }
        if hidden {
            return Ok(());
        }
        ends(&case, &again)?;
        finish(&case, again).map(drop)
    });
}

impl Case {
    /// The same command once more, in the world that the first run left behind.
    fn after(&self, world: World) -> Case {
        let mut case = Case { world, ..self.clone() };
        // Whoever finds the new CA in place does not ask for another one.
        if let Intent::RotateCa { begin, .. } = &mut case.intent
            && case.world.keys.map(|keys| keys.signs) != self.world.keys.map(|keys| keys.signs)
        {
            *begin = false;
        }
        // What was restored by then are data, too; everybody who refuses meanwhile names the flag.
        case.policy.accept_data_loss |= matches!(case.intent, Intent::Restore(_) | Intent::Recover(_));
        // A member that is being defragmented answers nobody, and whoever asks is told to wait.
        while case.world.hosts.values().any(SimHost::busy) {
            case.world.pass(case.world.now + 1_000);
        }
        case
    }

    /// The same after so many milliseconds.
    fn a_while_later(mut self, pause: u64) -> Case {
        self.world.pass(self.world.now + pause);
        self
    }
}

fn run(case: &Case, trouble: Trouble) -> Aftermath {
    bring_about(case.world.clone(), &case.desired, &case.intent, case.policy, trouble)
}

fn safe(case: &Case, after: &Aftermath) -> Result<(), String> {
    match after.violations.first() {
        Some(first) => Err(format!(
            "{}, {:?}: {first}\n{}",
            asked(&case.intent),
            case.policy,
            story(after)
        )),
        None => Ok(()),
    }
}

/// What was asked for; an order to restore is long, and the same in every world.
pub(super) fn asked(intent: &Intent) -> String {
    match intent {
        Intent::Restore(order) => format!("Restore {{ without: {:?} }}", order.without),
        Intent::Recover(order) => format!("Recover {{ from: {:?}, without: {:?} }}", order.from, order.without),
        other => format!("{other:?}"),
    }
}

/// A run in a world without hidden defects ends: refused at once, or with nothing left to do.
fn ends(case: &Case, after: &Aftermath) -> Result<(), String> {
    let why = match &after.outcome {
        Outcome::Done => return Ok(()),
        Outcome::Stopped(_) | Outcome::Blocked(_) if case.hidden => return Ok(()),
        Outcome::Blocked(_) if after.plans.is_empty() => return Ok(()),
        // What else is wrong with a cluster that was stopped is seen once it runs.
        Outcome::Blocked(_) if after.plans.last().is_some_and(|plan| plan.header.cluster_id.is_none()) => return Ok(()),
        Outcome::Blocked(blocked) => format!("refused after a round: {blocked:?}"),
        Outcome::Stopped(error) => format!("stopped: {error}"),
        Outcome::Crashed => "crashed".into(),
        Outcome::Endless(plan) => format!("endless: {:#?}", plan.waves),
        other => format!("{other:?}"),
    };
    let asked = asked(&case.intent);
    Err(format!("{asked}, {:?}: {why}\n{}", case.policy, story(after)))
}

fn steps_of(round: usize, plan: &Plan) -> String {
    plan.steps()
        .map(|step| format!("  round {round}: {} {}\n", step.id, step.action.describe()))
        .collect()
}

/// The steps of every round, and what was said.
pub(super) fn story(after: &Aftermath) -> String {
    let mut text = String::new();
    for (round, plan) in after.plans.iter().enumerate() {
        text.push_str(&steps_of(round + 1, plan));
    }
    for event in after.reporter.events().iter().rev().take(4).rev() {
        text.push_str(&format!("  {event:?}\n"));
    }
    text
}

/// Runs `up` on what an intent left behind, with the inventory as that intent leaves it, until there is nothing to do.
fn finish(case: &Case, before: Aftermath) -> Result<BTreeMap<String, String>, String> {
    let mut desired = case.desired.clone();
    let gone = match &case.intent {
        Intent::Remove { node, .. } => Some(node),
        Intent::Replace { old, new } if old != new => Some(old),
        _ => None,
    };
    // The command takes a host out of the inventory when it is through, and never the last one.
    let through = matches!(before.outcome, Outcome::Done) && desired.hosts.len() > 1;
    if let Some(node) = gone.filter(|_| through) {
        desired.hosts.remove(node);
        desired.order.retain(|n| n != node);
    }
    let prune = matches!(case.intent, Intent::Converge { prune: true, .. });
    let intent = Intent::Converge {
        prune,
        limit: Vec::new(),
    };
    let up = |world: World, policy: Policy| up_and_its_hints(world, &desired, &intent, policy);
    let mut after = up(before.world, case.policy)?;
    if matches!(after.outcome, Outcome::Blocked(_)) {
        // The member that the interruption caught in its start was not healthy yet: whoever reads that tries again.
        after.world.pass(after.world.now + 10_000);
        after = up(after.world, case.policy)?;
    }
    if let Outcome::Blocked(blocked) = &after.outcome
        && blocked.iter().all(|b| b.hint.contains("--accept-outage"))
    {
        // An interruption may cost a consent (what would have been done to a stopped member must now be done to a
        // running one), and nothing else.
        let policy = Policy {
            accept_outage: true,
            ..case.policy
        };
        after = up(after.world, policy)?;
    }
    match (&after.outcome, after.violations.first()) {
        (_, Some(first)) => Err(format!("{first}\n{}", story(&after))),
        (Outcome::Done, _) => Ok(digest(&after.world, &desired)),
        (Outcome::Blocked(blocked), _) => {
            let reasons: Vec<String> = blocked.iter().map(ToString::to_string).collect();
            Ok(BTreeMap::from([("refused".into(), reasons.join("; "))]))
        }
        (other, _) => Err(format!("{other:?}\n{}", story(&after))),
    }
}

/// `up`, and where its refusal names another command that comes first, that, and `up` again.
fn up_and_its_hints(world: World, desired: &Desired, up: &Intent, policy: Policy) -> Result<Aftermath, String> {
    let run = |world: World, intent: &Intent| bring_about(world, desired, intent, policy, Trouble::default());
    let after = run(world, up);
    let Outcome::Blocked(blocked) = &after.outcome else {
        return Ok(after);
    };
    let named = blocked.iter().find_map(|b| named_by(&b.hint, desired));
    let Some(first) = named.filter(|_| after.violations.is_empty()) else {
        return Ok(after);
    };
    let mended = run(after.world, &first);
    match mended.violations.first() {
        Some(violation) => Err(format!("{}: {violation}\n{}", asked(&first), story(&mended))),
        None => Ok(run(mended.world, up)),
    }
}

/// What a hint says is to be done before `up`.
fn named_by(hint: &str, desired: &Desired) -> Option<Intent> {
    let restart = |node: &&NodeName| hint.contains(&format!("`quorate restart --limit {node}`"));
    let maintained = |node: &&NodeName| hint.contains(&format!("`quorate maintain {node} --done`"));
    if let Some(node) = desired.hosts.keys().find(maintained) {
        return Some(Intent::EndMaintenance { node: node.clone() });
    }
    if hint.contains("`quorate start`") {
        return Some(Intent::Start);
    }
    if hint.contains("`quorate pki renew`") {
        return Some(Intent::RotateLeaves { limit: Vec::new() });
    }
    let node = desired.hosts.keys().find(restart)?;
    Some(restart_of(vec![node.clone()]))
}

/// A world in a few lines.
pub(super) fn summary(world: &World) -> BTreeMap<String, String> {
    let hosts = world
        .hosts
        .values()
        .filter(|h| h.data != Data::Empty || h.link != super::host::Link::Up || !h.files.is_empty());
    let mut lines: BTreeMap<String, String> = hosts
        .map(|h| {
            let runs = h.unit.process.as_ref().map(|p| (p.version.to_string(), p.ready));
            (
                h.spec.name.to_string(),
                format!(
                    "{:?} {:?}, runs {runs:?}, failed {:?}, {:?}",
                    h.link, h.data, h.unit.failed, h.marker
                ),
            )
        })
        .collect();
    for (id, cluster) in &world.clusters {
        let members: Vec<_> = cluster
            .members
            .values()
            .map(|m| format!("{} {} {}", m.id, m.name, m.learner))
            .collect();
        lines.insert(
            format!("cluster {id}"),
            format!(
                "leader {:?}, committed {}, version {:?}, alarms {:?}, {:?}, {members:?}",
                cluster.leader, cluster.committed, cluster.version, cluster.alarms, cluster.store
            ),
        );
    }
    lines
}

/// How much of a member's file is free, roughly.
fn free_inside(world: &World, host: &SimHost) -> &'static str {
    let disk = host.disk();
    let cluster = disk.and_then(|disk| world.clusters.get(&disk.cluster));
    match (disk, cluster) {
        (Some(disk), Some(cluster)) if disk.file > cluster.store.in_use() + (50 << 20) => "much free",
        (Some(_), Some(_)) => "little free",
        _ => "no file",
    }
}

/// The first thing in which two digests differ.
fn difference(got: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> String {
    let keys = got.keys().chain(wanted.keys());
    let key = keys.into_iter().find(|key| got.get(*key) != wanted.get(*key));
    key.map_or(String::new(), |key| {
        format!("{key} is\n{:?}\nnot\n{:?}", got.get(key), wanted.get(key))
    })
}

/// What lasts: files, data, units and members; not times, ids and logs.
pub(super) fn digest(world: &World, desired: &Desired) -> BTreeMap<String, String> {
    let mut digest = BTreeMap::new();
    for host in desired.hosts.keys().map(|node| &world.hosts[node]) {
        // What a config says to a first start, and who chose a setting, differs by when it was written.
        let lasting = |text: &str| {
            let lines = text
                .lines()
                .filter(|line| !line.starts_with("initial-") && !line.starts_with('#'));
            let settings: BTreeSet<&str> = lines.collect();
            super::stock::sha256(&settings.into_iter().collect::<Vec<_>>().join("\n"))
        };
        let files: BTreeMap<_, _> = host
            .files
            .iter()
            // Which process had its turn is as fleeting as the process.
            .filter(|(path, _)| **path != host.spec.paths.turn_note())
            .map(|(path, f)| {
                let sha256 = f.content.as_deref().map_or(f.sha256.clone(), lasting);
                (path, (sha256[..8].to_owned(), f.mode))
            })
            .collect();
        let member = host
            .disk()
            .and_then(|d| world.clusters.get(&d.cluster)?.members.get(&d.member));
        let data = match (&host.data, member) {
            (Data::Member(_), Some(member)) => format!("member {} learner {}", member.name, member.learner),
            (Data::Member(_), None) => "a former member".into(),
            (other, _) => format!("{other:?}"),
        };
        let runs = host.unit.process.as_ref().map(|p| {
            let current =
                |(path, sha256): (&HostPath, &String)| host.files.get(path).is_some_and(|f| f.sha256 == *sha256);
            (p.version, p.started_with.iter().all(current))
        });
        let text = format!(
            "{data}, {}, {:?}, enabled {}, runs {runs:?}, releases {:?}, files {files:?}",
            free_inside(world, host),
            host.marker,
            host.unit.enabled,
            host.releases.keys().map(ToString::to_string).collect::<Vec<_>>()
        );
        digest.insert(host.spec.name.to_string(), text);
    }
    for cluster in world.clusters.values() {
        if let Some(alarm) = cluster.alarms.first() {
            digest.insert("alarm".into(), alarm.kind.word().into());
        }
        for member in cluster.members.values() {
            digest.insert(
                format!("member at {}", member.peer_urls[0]),
                format!("{} {}", member.name, member.learner),
            );
        }
    }
    digest
}
