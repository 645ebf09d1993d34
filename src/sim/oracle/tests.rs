//! The oracle sees what it is there for: things that quorate never does are done to small worlds by hand.

use super::{Consent, Oracle};
use crate::etcd::AlarmKind;
use crate::inventory::NodeName;
use crate::sim::scenes::{Scene, node};
use crate::sim::stock::{self, V3_5_OLD, V3_6, V3_6_OLD, V3_7};
use crate::sim::world::World;

/// What the oracle says of this, when nothing was consented to but what `consent` holds.
fn said(scene: &Scene, consent: Consent, deed: impl FnOnce(&mut World)) -> String {
    let mut world = scene.world.clone();
    let mut oracle = Oracle::new(&world, &scene.desired, consent);
    oracle.judge(&mut world);
    assert_eq!(oracle.violations, [""; 0], "before anything was done");
    deed(&mut world);
    oracle.judge(&mut world);
    oracle.violations.join("\n")
}

#[track_caller]
fn defragmented(scene: &Scene, nodes: &[usize]) -> String {
    said(scene, Consent::default(), |world| {
        for n in nodes {
            world.defragment(&node(*n)).expect("it begins");
        }
    })
}

#[test]
fn members_are_defragmented_one_at_a_time_the_leader_not_while_it_leads_and_while_all_are_well() {
    let three = Scene::healthy(3);
    assert_eq!(defragmented(&three, &[1]), "");
    assert!(defragmented(&three, &[1, 3]).contains("at the same time"));
    assert_eq!(defragmented(&three, &[2]), "etcd-2 is defragmented while it leads");
    let one_down = Scene::healthy(3).stopped(3).a_moment_later();
    assert!(defragmented(&one_down, &[1]).contains("is not healthy"));
    assert_eq!(defragmented(&Scene::healthy(1), &[1]), "", "nobody else could lead");
}

#[test]
fn old_revisions_go_as_far_as_was_asked_for() {
    let three = Scene::healthy(3);
    let id = three.world.cluster_of(&three.desired).expect("a cluster");
    let keeping = |keep| Consent {
        keep,
        ..Consent::default()
    };
    let compact = |consent, revision| said(&three, consent, |world| world.compact(id, revision).expect("compacts"));
    assert!(compact(keeping(None), 10).contains("without consent"));
    assert_eq!(compact(keeping(Some(1_000)), 6_000), "");
    assert!(compact(keeping(Some(1_000)), 6_001).contains("fewer than 1000"));
}

#[test]
fn an_alarm_goes_only_with_its_cause() {
    let consent = || Consent {
        disarm: true,
        ..Consent::default()
    };
    let full = Scene::healthy(3).full();
    let id = full.world.cluster_of(&full.desired).expect("a cluster");
    let disarm = |world: &mut World| world.disarm(id, AlarmKind::Nospace).expect("it is taken back");
    assert!(said(&full, consent(), disarm).contains("NOSPACE was taken back while etcd-1 is its cause"));
    assert!(said(&Scene::healthy(3), Consent::default(), disarm).contains("without consent"));
    let odd = Scene::healthy(3).corrupt(Some(3));
    let disarm = |world: &mut World| world.disarm(id, AlarmKind::Corrupt).expect("it is taken back");
    assert!(said(&odd, consent(), disarm).contains("CORRUPT was taken back while etcd-3 is its cause"));
    assert_eq!(said(&Scene::healthy(3).corrupt(None), consent(), disarm), "");
}

#[test]
fn a_member_without_its_data_is_started_by_nobody_but_a_machine_that_comes_up() {
    let mut wiped = Scene::healthy(3).wiped(1).stopped(2).stopped(3).a_moment_later();
    // It was lost before quorate noted that the member is complete: else the unit does not start it at all.
    let noted = wiped.world.hosts[&node(2)].marker.clone().expect("a marker");
    wiped.world.host(&node(1)).marker = Some(noted.replace("true", "false"));
    let by = |start: fn(&mut World)| said(&wiped, Consent::default(), start);
    assert!(by(|world| world.start(&node(1))).contains("founded anew without its data"));
    assert_eq!(by(|world| world.start_at_boot(&node(1))), "");
}

#[test]
fn a_recovery_goes_on_from_the_newest_of_what_is_left() {
    let lost = Scene::healthy(5).stopped(1).a_moment_later();
    let lost = lost.wiped(3).wiped(4).dead(5).a_moment_later();
    let consent = |from: Option<NodeName>| Consent {
        restore: Some([node(5)].into()),
        from,
        ..Consent::default()
    };
    let from = |n: usize, consent| {
        said(&lost, consent, |world| {
            world.stop(&node(n));
            world.rescue(&node(n), stock::V3_5).expect("a backup");
        })
    };
    assert_eq!(from(2, consent(None)), "");
    assert!(from(1, consent(None)).contains("have more"));
    assert_eq!(from(1, consent(Some(node(1)))), "", "somebody knows better");
    let well = said(&Scene::healthy(3), consent(None), |world| {
        world.stop(&node(1));
        world.rescue(&node(1), stock::V3_5).expect("a backup");
    });
    assert!(well.contains("the cluster worked"), "{well}");
}

#[test]
fn releases_follow_each_other_as_the_guides_say() {
    let beside = |runs, next| {
        said(&Scene::of_version(3, runs), Consent::default(), |world| {
            let process = &mut world.host(&node(1)).unit.process;
            process.as_mut().expect("it runs").version = next;
        })
    };
    assert_eq!(beside(stock::V3_5, V3_6), "");
    assert_eq!(beside(V3_6, V3_6_OLD), "");
    assert!(beside(V3_5_OLD, V3_6).contains("beside 3.5.16, from which nothing leads there"));
    assert!(beside(V3_6_OLD, V3_7).contains("beside 3.6.5"));
    assert!(beside(stock::V3_4, V3_6).contains("more than one minor apart"));
}

#[test]
fn a_member_at_rest_has_settings_that_its_release_knows() {
    let at_rest = |runs, next| {
        let mut scene = Scene::of_version(3, runs);
        let process = &mut scene.world.host(&node(1)).unit.process;
        process.as_mut().expect("it runs").version = next;
        let mut oracle = Oracle::new(&scene.world, &scene.desired, Consent::default());
        oracle.at_rest(&scene.world);
        oracle.violations.join("\n")
    };
    for version in stock::RELEASES {
        assert_eq!(at_rest(version, version), "");
    }
    assert!(at_rest(V3_6, stock::V3_5).contains("corrupt-check-time"));
    assert!(at_rest(stock::V3_5, V3_7).contains("experimental-"));
}
