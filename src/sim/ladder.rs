//! Every way up from an older release to a newer one, rung by rung, as `cli/upgrade.rs` climbs it.

use super::chaos::mature;
use super::drive::{Aftermath, Outcome, Trouble, bring_about};
use super::scenes::UP;
use super::stock::{self, RELEASES};
use super::world::World;
use crate::inventory::{Desired, Version};
use crate::ops::model::Policy;
use crate::ops::plan::Action;
use crate::ops::safety::Rule;
use crate::ops::safety::version::ladder;

/// Members that are stopped one after the other: three need no consent to that.
const MEMBERS: usize = 3;

/// `quorate upgrade` waits until the cluster as a whole has moved on before it takes the next rung.
const SETTLES: u64 = 5_000;

/// The inventory with this release, and an option that has another name from 3.6 on.
fn wanted(version: Version) -> Desired {
    let mut desired = stock::inventory(1..=MEMBERS, version);
    let key = match version.series() >= (3, 6) {
        true => "corrupt-check-time",
        false => "experimental-corrupt-check-time",
    };
    desired
        .options
        .insert(key.into(), serde_json::json!(3_600_000_000_000_u64));
    desired
}

fn cluster_of(version: Version) -> World {
    let mut world = World::bare(1..=stock::MOST_HOSTS);
    mature(&mut world, &wanted(version));
    for cluster in world.clusters.values_mut() {
        // Nobody has used it yet.
        cluster.unwritten = version.series() < (3, 5);
    }
    world.happened.clear();
    world
}

fn up(world: World, to: Version, crash_after: Option<u64>) -> Aftermath {
    let trouble = Trouble {
        crash_after,
        ..Trouble::default()
    };
    bring_about(world, &wanted(to), &UP, Policy::default(), trouble)
}

/// Every pair of releases of which the second is the newer one.
fn ways() -> impl Iterator<Item = (Version, Version)> {
    let from = |(at, from): (usize, &Version)| {
        let later = RELEASES[at + 1..].to_vec();
        let from = *from;
        later.into_iter().map(move |to| (from, to))
    };
    RELEASES.iter().enumerate().flat_map(from)
}

#[test]
fn every_ladder_is_climbed_to_its_end_also_when_killed_on_every_rung() {
    for (from, to) in ways() {
        let mut world = cluster_of(from);
        for rung in ladder(from, to, &RELEASES).unwrap_or_else(|why| panic!("{from} to {to}: {why}")) {
            let whole = up(world.clone(), rung, None);
            for at in [
                0,
                whole.strokes / 3,
                whole.strokes / 2,
                whole.strokes.saturating_sub(1),
                whole.strokes,
            ] {
                let killed = up(world.clone(), rung, Some(at));
                let again = up(killed.world, rung, None);
                assert_eq!(killed.violations, [""; 0], "{from} to {to}, {rung} killed after {at}");
                assert_eq!(again.violations, [""; 0], "{from} to {to}, {rung} again after {at}");
                assert!(
                    matches!(again.outcome, Outcome::Done),
                    "{from} to {to}: {:?}",
                    again.outcome
                );
            }
            assert!(
                matches!(whole.outcome, Outcome::Done),
                "{from} to {to}: {:?}",
                whole.outcome
            );
            assert_eq!(whole.violations, [""; 0], "{from} to {to} by {rung}");
            let mut steps = whole.plans.iter().flat_map(|plan| plan.steps());
            let opened = steps.any(|step| matches!(step.action, Action::OpenTheWayUp { .. }));
            assert_eq!(
                opened,
                rung.series() == (3, 7) && from.series() < (3, 6),
                "{from} to {to} by {rung}"
            );
            world = whole.world;
            world.pass(world.now + SETTLES);
        }
        let (_, cluster) = world.clusters.first_key_value().expect("a cluster");
        assert_eq!(cluster.version, Some(to.series()), "{from} to {to}");
        let running = world
            .hosts
            .values()
            .filter_map(|host| Some(host.unit.process.as_ref()?.version));
        assert_eq!(running.collect::<Vec<_>>(), [to; MEMBERS]);
    }
}

#[test]
fn what_takes_more_than_one_rung_is_refused_in_one_go_and_nothing_is_touched() {
    let mut refused = 0;
    for (from, to) in ways() {
        let rungs = ladder(from, to, &RELEASES).expect("a ladder");
        if rungs.len() < 2 {
            continue;
        }
        refused += 1;
        let after = up(cluster_of(from), to, None);
        let Outcome::Blocked(blocked) = &after.outcome else {
            panic!("{from} to {to} in one go: {:?}", after.outcome);
        };
        assert!(blocked.iter().any(|b| b.rule == Rule::Version), "{blocked:?}");
        assert_eq!(after.strokes, 0, "{from} to {to}");
    }
    assert!(refused > 3, "there are ladders with more than one rung");
}
