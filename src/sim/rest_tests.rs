//! Members that are down on purpose: they stay down, whatever else is asked for, and come back when they are told to.

use super::drive::{Aftermath, Outcome};
use super::scenes::{Scene, UP, node, note, restart_of};
use super::world::World;
use crate::inventory::NodeName;
use crate::ops::model::Intent;
use crate::ops::plan::{Action, Plan};
use crate::ops::rest::Purpose;
use crate::ops::safety::Rule;

fn maintain(n: usize) -> Intent {
    Intent::Maintain {
        node: node(n),
        note: note(Purpose::Maintenance),
    }
}

fn end(n: usize) -> Intent {
    Intent::EndMaintenance { node: node(n) }
}

fn stop() -> Intent {
    Intent::Stop {
        note: note(Purpose::Outage),
        without: Default::default(),
    }
}

#[track_caller]
fn done(scene: Scene) -> Aftermath {
    let after = scene.run();
    assert_eq!(after.violations, [""; 0]);
    assert!(matches!(after.outcome, Outcome::Done), "{:?}", after.outcome);
    after
}

/// The same world, and something else asked for.
fn then(mut scene: Scene, after: Aftermath, intent: Intent) -> Scene {
    scene.world = after.world;
    scene.asked(intent).a_moment_later()
}

fn healthy(world: &World) -> usize {
    world.hosts.values().filter(|host| world.healthy(host)).count()
}

fn reboot(world: &mut World, node: &NodeName) {
    world.stop(node);
    world.start_at_boot(node);
    world.pass(world.now + 10_000);
}

fn noted(world: &World) -> bool {
    let has = |host: &super::host::SimHost| host.files.contains_key(&host.spec.paths.rest_note());
    world.hosts.values().any(has)
}

#[test]
fn a_member_in_maintenance_stays_down_through_a_reboot_and_up_until_it_is_told() {
    for n in 1..=3 {
        let scene = Scene::healthy(3);
        let after = done(scene.clone().asked(maintain(n)));
        assert_eq!(healthy(&after.world), 2);
        let mut resting = then(scene.clone(), after, UP);
        reboot(&mut resting.world, &node(n));
        assert_eq!(healthy(&resting.world), 2, "it came up by itself");
        let plan = resting.plan().expect("a plan");
        assert!(plan.is_empty(), "{plan:?}");
        let says = format!("`quorate maintain {} --done`", node(n));
        assert!(plan.notes.iter().any(|note| note.contains(&says)), "{:?}", plan.notes);
        // The others cannot be stopped meanwhile, and whoever is told so is told what to do first.
        let refusals = resting
            .clone()
            .asked(restart_of(Vec::new()))
            .plan()
            .expect_err("a refusal");
        assert!(
            refusals.iter().all(|refusal| refusal.hint.contains(&says)),
            "{refusals:?}"
        );
        let again = done(resting.asked(maintain(n)));
        assert!(again.plans.is_empty(), "it is down already");
        let back = done(then(scene.clone(), again, end(n)));
        assert_eq!((healthy(&back.world), noted(&back.world)), (3, false));
        assert!(back.world.hosts[&node(n)].unit.enabled);
        assert!(then(scene, back, UP).plan().expect("a plan").is_empty());
    }
}

#[test]
fn nobody_is_stopped_for_maintenance_whom_the_others_cannot_spare() {
    let beside = Scene::healthy(3).stopped(3).a_moment_later();
    let refusals = beside.asked(maintain(1)).plan().expect_err("a refusal");
    assert_eq!(refusals[0].rule, Rule::WouldLoseQuorum);
    let second = Scene::healthy(3).at_rest(3, Purpose::Maintenance).a_moment_later();
    let refusals = second.asked(maintain(1)).plan().expect_err("a refusal");
    assert!(
        refusals[0].hint.contains("`quorate maintain etcd-3 --done`"),
        "{refusals:?}"
    );
    // One that is down already costs nobody anything.
    let same = Scene::healthy(3).stopped(3).a_moment_later().asked(maintain(3));
    let after = done(same);
    assert!(!after.world.hosts[&node(3)].unit.enabled);
}

#[test]
fn the_only_member_goes_into_maintenance_with_consent_and_comes_back() {
    let one = Scene::healthy(1);
    one.clone().asked(maintain(1)).plan().expect_err("an outage");
    let after = done(one.clone().asked(maintain(1)).accepting_an_outage());
    let up = then(one.clone(), after, UP);
    let refusals = up.plan().expect_err("nothing is started by accident");
    assert!(
        refusals[0].hint.contains("`quorate maintain etcd-1 --done`"),
        "{refusals:?}"
    );
    let back = done(up.asked(end(1)));
    assert_eq!((healthy(&back.world), noted(&back.world)), (1, false));
}

/// Who is stopped in which wave.
fn stops(plan: &Plan) -> Vec<usize> {
    let of_wave =
        |steps: &[crate::ops::plan::Step]| steps.iter().filter(|s| matches!(s.action, Action::Rest { .. })).count();
    plan.waves.iter().map(|wave| of_wave(&wave.steps)).collect()
}

#[test]
fn a_whole_cluster_stops_with_the_leader_last_and_starts_together() {
    let scene = Scene::healthy(3).accepting_an_outage();
    let plan = scene.clone().asked(stop()).plan().expect("a plan");
    assert_eq!(stops(&plan), [2, 1]);
    let after = done(scene.clone().asked(stop()));
    assert_eq!(healthy(&after.world), 0);
    let mut down = then(scene.clone(), after, UP);
    for n in 1..=3 {
        reboot(&mut down.world, &node(n));
    }
    assert_eq!(healthy(&down.world), 0, "somebody came up by itself");
    for other in [UP, restart_of(Vec::new()), Intent::Disarm, maintain(1), end(1)] {
        let refusals = down.clone().asked(other).plan().expect_err("a refusal");
        assert_eq!(refusals[0].rule, Rule::DownOnPurpose, "{refusals:?}");
        assert!(refusals[0].hint.contains("`quorate start`"), "{refusals:?}");
    }
    assert!(
        down.clone().asked(stop()).plan().expect("a plan").is_empty(),
        "it is stopped already"
    );
    let back = done(down.asked(Intent::Start));
    assert_eq!((healthy(&back.world), noted(&back.world)), (3, false));
    assert!(then(scene, back, UP).plan().expect("a plan").is_empty());
}

#[test]
fn a_cluster_is_stopped_while_a_host_is_away_and_that_one_later() {
    let stop_without = |away: &[usize]| Intent::Stop {
        note: note(Purpose::Outage),
        without: away.iter().map(|n| node(*n)).collect(),
    };
    let scene = Scene::healthy(3).accepting_an_outage();
    let mut away = scene.clone();
    // Its peers still reach it: it runs, and may lead.
    away.world.host(&node(2)).link = super::host::Link::Cut;
    let refusals = away.clone().asked(stop()).plan().expect_err("a refusal");
    assert!(refusals[0].hint.contains("--without etcd-2"), "{refusals:?}");
    let after = done(away.clone().asked(stop_without(&[2])));
    let runs = |n| after.world.hosts[&node(n)].live().is_some();
    assert_eq!([1, 2, 3].map(runs), [false, true, false]);

    let mut later = then(scene.clone(), after, UP);
    later.world.host(&node(2)).link = super::host::Link::Up;
    let refusals = later.clone().plan().expect_err("a refusal");
    assert_eq!(refusals[0].rule, Rule::DownOnPurpose, "{refusals:?}");
    let refusals = later.clone().asked(stop_without(&[2])).plan().expect_err("it is back");
    assert!(refusals[0].hint.contains("omit `--without etcd-2`"), "{refusals:?}");
    let all = done(later.asked(stop()));
    assert!(all.world.hosts[&node(2)].live().is_none());
    let back = done(then(scene.clone(), all, Intent::Start));
    assert_eq!((healthy(&back.world), noted(&back.world)), (3, false));

    // Two of three would go on as the cluster.
    let mut most = scene;
    for n in [1, 2] {
        most.world.host(&node(n)).link = super::host::Link::Cut;
    }
    let refusals = most.asked(stop_without(&[1, 2])).plan().expect_err("a refusal");
    assert!(refusals[0].reason.contains("would be a quorum"), "{refusals:?}");
}

#[test]
fn a_stop_that_was_cut_off_is_finished_or_taken_back() {
    let half = || {
        let stopped = |world: &World| {
            world
                .hosts
                .values()
                .filter(|host| host.disk().is_some() && host.live().is_none())
                .count()
        };
        let scene = Scene::healthy(5).asked(stop()).accepting_an_outage();
        scene.cut_off_when(|world| stopped(world) == 3).a_moment_later()
    };
    let finished = done(half());
    assert_eq!(healthy(&finished.world), 0);
    let taken_back = done(half().asked(Intent::Start));
    assert_eq!((healthy(&taken_back.world), noted(&taken_back.world)), (5, false));
}

#[test]
fn a_cluster_starts_without_a_host_that_does_not_come_back_but_not_without_most() {
    let all = || (1..=3).fold(Scene::healthy(3), |scene, n| scene.at_rest(n, Purpose::Outage));
    let scene = all().dead(3).a_moment_later().asked(Intent::Start);
    let after = done(scene.clone());
    assert_eq!(healthy(&after.world), 2);
    // When it is back, it is down on purpose still, and started by the same command.
    let mut later = then(scene, after, UP);
    later.world.host(&node(3)).link = super::host::Link::Up;
    let refusals = later.plan().expect_err("a refusal");
    assert!(
        refusals[0].reason.contains("etcd-3") && refusals[0].hint.contains("`quorate start`"),
        "{refusals:?}"
    );
    let after = done(later.asked(Intent::Start));
    assert_eq!((healthy(&after.world), noted(&after.world)), (3, false));
    let refusals = all()
        .dead(2)
        .dead(3)
        .asked(Intent::Start)
        .plan()
        .expect_err("a refusal");
    assert!(
        refusals.iter().all(|refusal| refusal.rule == Rule::Unreachable),
        "{refusals:?}"
    );
}

#[test]
fn whoever_was_in_maintenance_before_an_outage_is_so_after_it() {
    let scene = Scene::healthy(3)
        .at_rest(2, Purpose::Maintenance)
        .accepting_an_outage()
        .a_moment_later();
    let after = done(scene.clone().asked(stop()));
    let back = done(then(scene.clone(), after, Intent::Start));
    assert_eq!(healthy(&back.world), 2);
    let again = done(then(scene, back, end(2)));
    assert_eq!((healthy(&again.world), noted(&again.world)), (3, false));
}

/// `systemctl start` on the host instead of quorate.
#[test]
fn a_note_beside_a_member_that_runs_says_nothing_and_goes_with_the_next_up() {
    let mut scene = Scene::healthy(3).at_rest(2, Purpose::Maintenance).a_moment_later();
    scene.world.start(&node(2));
    let after = done(scene.a_moment_later());
    assert_eq!((healthy(&after.world), noted(&after.world)), (3, false));
    assert!(after.world.hosts[&node(2)].unit.enabled);
}
