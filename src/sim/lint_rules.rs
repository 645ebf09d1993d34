//! Every rule of the lint: a plan that the planner made passes, and the same plan with one thing spoilt is caught.

use super::host::Data;
use super::papers::Keys;
use super::scenes::{Scene, UP, node, restart_of};
use super::stock::{V3_6, V3_7};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Intent, Membership, Observed};
use crate::ops::plan::lint::lint;
use crate::ops::plan::{Action, FileChange, HostChange, Plan, Risk, Step};
use crate::ops::safety::bootstrap::Marker;

/// Makes the plan of a scene, which must pass; spoils it; says what the lint finds then.
fn found(scene: &Scene, spoil: impl FnOnce(&mut Plan, &mut Observed)) -> String {
    let mut seen = scene.seen();
    let mut plan = scene.plan().expect("a plan");
    assert!(!plan.is_empty(), "nothing to spoil");
    assert_eq!(lint(&plan, &seen), [], "the planner's own plan");
    spoil(&mut plan, &mut seen);
    let findings = lint(&plan, &seen);
    assert!(findings.iter().all(|finding| finding.fatal));
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// All three, the leader etcd-2 last.
fn restart() -> Scene {
    Scene::healthy(3).asked(restart_of(Vec::new()))
}

fn join() -> Scene {
    Scene::healthy(3).inventory_of(4)
}

/// The leader leaves, and its data is deleted as was asked.
fn leave() -> Scene {
    Scene::healthy(3).asked(Intent::Remove {
        node: leader(&Scene::healthy(3)),
        wipe: true,
    })
}

fn leader(scene: &Scene) -> crate::inventory::NodeName {
    let seen = scene.seen();
    let membership = seen.cluster.known().expect("a cluster");
    let id = membership.leader().expect("a leader");
    let member = membership.members.iter().find(|m| m.id == id).expect("listed");
    member.name.parse().expect("a name")
}

fn cold_start() -> Scene {
    Scene::healthy(3).stopped(1).stopped(2).stopped(3)
}

/// A bootstrap of which one host's first start was cut off.
fn aborted() -> Scene {
    let mut scene = Scene::bare(3).with_data(2, Data::Aborted);
    scene.world.keys = Some(Keys::FIRST);
    let marker = Marker {
        cluster: scene.desired.cluster.clone(),
        cluster_id: crate::ops::plan::expected_cluster_id(&scene.desired),
        member: node(2),
        complete: false,
    };
    scene.world.host(&node(2)).marker = Some(marker.to_text());
    scene
}

/// The first step whose action is such.
fn step(plan: &mut Plan, such: impl Fn(&Action) -> bool) -> &mut Step {
    let mut steps = plan.waves.iter_mut().flat_map(|wave| &mut wave.steps);
    steps.find(|step| such(&step.action)).expect("such a step")
}

/// Takes the waves out that have such a step.
fn without(plan: &mut Plan, such: impl Fn(&Action) -> bool) {
    plan.waves
        .retain(|wave| !wave.steps.iter().any(|step| such(&step.action)));
}

fn membership(seen: &mut Observed) -> &mut Membership {
    match &mut seen.cluster {
        Fact::Known(membership) => membership,
        _ => panic!("no cluster"),
    }
}

fn is_restart(action: &Action) -> bool {
    matches!(action, Action::Restart { .. })
}

#[test]
fn a_wave_without_steps() {
    let caught = found(&restart(), |plan, _| plan.waves[0].steps.clear());
    assert_eq!(caught, "the wave `restart etcd-3` has no steps");
}

#[test]
fn two_steps_with_one_id() {
    let caught = found(&restart(), |plan, _| {
        plan.waves[1].steps[0].id = plan.waves[0].steps[0].id.clone();
    });
    assert_eq!(caught, "w1.etcd-3: another step has this id");
}

#[test]
fn two_steps_at_once_on_one_host() {
    let caught = found(&Scene::bare(1), |plan, _| {
        let start = plan.waves.remove(2).steps.remove(0);
        plan.waves[1].steps.push(start);
    });
    assert_eq!(caught, "w3.etcd-1: two steps of one wave work in the same place");
}

#[test]
fn a_step_on_the_cluster_in_company() {
    let caught = found(&join(), |plan, _| {
        let at = plan.waves.iter().position(|w| w.title.starts_with("add ")).unwrap();
        let start = plan.waves.remove(at + 1).steps.remove(0);
        plan.waves[at].steps.push(start);
    });
    assert_eq!(
        caught,
        "w2.cluster: a step that is not on a host has to be alone in its wave"
    );
}

#[test]
fn two_voters_down_at_once() {
    let caught = found(&restart(), |plan, _| {
        let second = plan.waves.remove(1).steps.remove(0);
        plan.waves[0].steps.push(second);
    });
    assert_eq!(caught, "the wave `restart etcd-3` takes more than one voter down");
}

#[test]
fn a_learner_that_is_never_promoted() {
    let caught = found(&join(), |plan, _| {
        without(plan, |action| matches!(action, Action::Promote { .. }));
    });
    assert_eq!(caught, "w2.cluster: the learner it adds is never promoted");
}

#[test]
fn two_changes_of_members_in_flight() {
    let caught = found(&Scene::healthy(3).inventory_of(5), |plan, _| {
        let at = plan.waves.iter().position(|w| w.title == "add etcd-5 as a learner");
        let second = plan.waves.remove(at.unwrap());
        let first = plan.waves.iter().position(|w| w.title == "add etcd-4 as a learner");
        plan.waves.insert(first.unwrap() + 1, second);
    });
    assert_eq!(
        caught,
        "w2.cluster: another member changes before the learner is promoted"
    );
}

#[test]
fn the_leader_removed_without_a_hand_over() {
    let caught = found(&leave(), |plan, _| {
        without(plan, |action| matches!(action, Action::HandOver { .. }));
    });
    assert_eq!(caught, "w3.cluster: removes the leader without a hand-over");
}

#[test]
fn the_leader_restarted_before_others() {
    let caught = found(&restart(), |plan, _| plan.waves.swap(0, 2));
    assert_eq!(caught, "w3.etcd-2: the leader is not the last to be restarted");
}

#[test]
fn a_member_that_works_restarted_before_one_that_does_not() {
    let scene = Scene::healthy(3)
        .stopped(3)
        .a_moment_later()
        .asked(restart_of(Vec::new()));
    let caught = found(&scene, |plan, _| plan.waves.swap(0, 1));
    assert_eq!(
        caught,
        "w1.etcd-3: a voter that works is restarted before one that does not"
    );
}

#[test]
fn the_leader_defragmented_before_others() {
    let scene = Scene::healthy(3).asked(Intent::Defragment {
        limit: Vec::new(),
        force: true,
    });
    let caught = found(&scene, |plan, _| {
        let last = plan.waves.len() - 1;
        plan.waves.swap(0, last);
    });
    assert_eq!(caught, "w4.etcd-2: the leader is not the last to be defragmented");
}

#[test]
fn a_stopped_cluster_started_one_by_one() {
    let caught = found(&cold_start(), |plan, _| {
        let mut second = plan.waves[0].clone();
        second.steps.truncate(1);
        plan.waves[0].steps.remove(0);
        plan.waves.insert(1, second);
    });
    assert_eq!(
        caught,
        "members of a cluster that does not run are started one after the other"
    );
}

/// Only the first member of a new cluster goes ahead, which waits for its log.
#[test]
fn a_stopped_cluster_of_which_one_goes_ahead() {
    let caught = found(&cold_start(), |plan, _| {
        let mut rest = plan.waves[0].clone();
        rest.steps.remove(0);
        plan.waves[0].steps.truncate(1);
        plan.waves.insert(1, rest);
    });
    assert_eq!(
        caught,
        "members of a cluster that does not run are started one after the other"
    );
}

#[test]
fn a_host_that_nobody_could_look_at() {
    let caught = found(&restart(), |_, seen| {
        seen.hosts.insert(node(3), Fact::Unknown("no answer".into()));
    });
    assert_eq!(caught, "w1.etcd-3: works on a host that could not be inspected");
}

#[test]
fn an_aborted_start_that_is_none() {
    let caught = found(&aborted(), |_, seen| {
        let whole = Scene::bare(3).seen();
        seen.hosts.extend(whole.hosts);
    });
    assert_eq!(caught, "w1.etcd-2: there is no aborted start to clear away");
}

#[test]
fn a_member_added_without_looking_whether_it_may_be() {
    let caught = found(&join(), |plan, _| {
        step(plan, |action| matches!(action, Action::AddLearner { .. }))
            .requires
            .clear();
    });
    assert_eq!(caught, "w2.cluster: does not require SafeToAdd");
}

#[test]
fn a_new_voter_that_nobody_waits_for() {
    let caught = found(&join(), |plan, _| {
        step(plan, |action| matches!(action, Action::Promote { .. }))
            .ensures
            .clear();
    });
    assert_eq!(caught, "w4.cluster: does not wait until the new voter is healthy");
}

#[test]
fn a_member_removed_without_looking_whether_it_may_be() {
    let caught = found(&leave(), |plan, _| {
        step(plan, |action| matches!(action, Action::RemoveMember { .. }))
            .requires
            .clear();
    });
    assert_eq!(caught, "w3.cluster: does not require SafeToRemove");
}

#[test]
fn a_member_removed_by_a_list_of_one_member() {
    let caught = found(&leave(), |_, seen| membership(seen).by_quorum = false);
    assert_eq!(
        caught,
        "w3.cluster: removes a member by a list that no quorum stands behind"
    );
}

#[test]
fn a_newcomer_told_to_found_a_cluster_of_its_own() {
    let founding = Scene::bare(3).plan().unwrap();
    let files = founding
        .steps()
        .find_map(|s| s.action.change().map(|c| c.files.clone()));
    let files: Vec<FileChange> = files.expect("a config");
    let caught = found(&join(), |plan, _| {
        let prepare = step(plan, |action| matches!(action, Action::Provision { .. }));
        prepare.action = Action::Provision {
            change: HostChange {
                files,
                ..HostChange::default()
            },
        };
    });
    assert_eq!(
        caught,
        "w1.etcd-4: tells a host without data to found a cluster beside a living one"
    );
}

#[test]
fn a_restart_without_looking_whether_it_may_be() {
    let caught = found(&restart(), |plan, _| step(plan, is_restart).requires.clear());
    assert_eq!(caught, "w1.etcd-3: does not require SafeToStop");
}

#[test]
fn a_restart_that_is_called_harmless() {
    let caught = found(&restart(), |plan, _| step(plan, is_restart).risk = Risk::Reversible);
    assert_eq!(caught, "w1.etcd-3: takes a voter down and calls that no risk");
}

#[test]
fn a_restart_of_a_voter_with_a_corrupt_database_is_one_of_a_voter_too() {
    let mut scene = restart().accepting_an_outage();
    scene.intent = restart_of(vec![node(2)]);
    let corrupt = |seen: &mut Observed| {
        for status in membership(seen).status.values_mut() {
            if let Fact::Known(status) = status {
                status.errors = vec!["memberID:1 alarm:CORRUPT".into()];
            }
        }
    };
    let caught = found(&scene, |plan, seen| {
        corrupt(seen);
        step(plan, is_restart).risk = Risk::Reversible;
    });
    assert_eq!(caught, "w1.etcd-2: takes a voter down and calls that no risk");
    let mut seen = scene.seen();
    corrupt(&mut seen);
    let plan = crate::ops::plan::plan(
        &scene.intent,
        &scene.desired,
        &seen,
        scene.policy,
        &scene.world.supplies(),
    );
    assert_eq!(plan.expect("a plan").risk(), Risk::ReducesRedundancy);
}

#[test]
fn a_restart_that_nobody_waits_for() {
    let caught = found(&restart(), |plan, _| step(plan, is_restart).ensures.clear());
    assert_eq!(caught, "w1.etcd-3: does not wait until the voter is healthy again");
}

#[test]
fn an_empty_member_started_on_good_luck() {
    let caught = found(&join(), |plan, _| {
        step(plan, |action| *action == Action::Start).requires.clear();
    });
    assert_eq!(
        caught,
        "w3.etcd-4: starts a host without data, and nothing makes sure that it may"
    );
}

#[test]
fn data_taken_from_a_member_that_runs() {
    let caught = found(&leave(), |plan, _| {
        let wipe = step(plan, |action| *action == Action::Wipe);
        wipe.requires.retain(|check| !matches!(check, Check::Stopped { .. }));
    });
    assert_eq!(caught, "w5.etcd-2: does not require Stopped");
}

#[test]
fn data_taken_from_a_member_that_is_listed() {
    let caught = found(&leave(), |plan, _| {
        let wipe = step(plan, |action| *action == Action::Wipe);
        wipe.requires.retain(|check| !matches!(check, Check::SafeToWipe { .. }));
    });
    assert_eq!(caught, "w5.etcd-2: does not require SafeToWipe");
}

#[test]
fn a_deletion_that_is_called_harmless() {
    let caught = found(&leave(), |plan, _| {
        step(plan, |action| *action == Action::Wipe).risk = Risk::Reversible;
    });
    assert_eq!(caught, "w5.etcd-2: deletes data and calls that no risk");
}

#[test]
fn a_deletion_that_nobody_asked_for() {
    let caught = found(&leave(), |plan, _| plan.header.intent = UP);
    assert_eq!(caught, "w5.etcd-2: deletes data that nobody asked to delete");
}

#[test]
fn a_voter_retired_before_it_is_off_the_list() {
    let caught = found(&leave(), |plan, _| {
        let at = plan.waves.iter().position(|w| w.title.starts_with("stop ")).unwrap();
        let stop = plan.waves.remove(at);
        plan.waves.insert(0, stop);
    });
    assert_eq!(caught, "w4.etcd-2: stops a voter for good that is still on the list");
}

#[test]
fn data_exchanged_without_a_restore() {
    let caught = found(&restart(), |plan, _| {
        let first = step(plan, is_restart);
        first.action = Action::MakeRoom;
        first.risk = Risk::DestroysData;
    });
    assert_eq!(caught, "w1.etcd-3: exchanges data, and no restore was asked for");
}

#[test]
fn a_member_that_goes_onto_3_7_with_a_raft_log_that_nobody_has_read() {
    let caught = found(&Scene::of_version(3, V3_6).wanting(V3_7), |plan, _| {
        let restart = step(plan, is_restart);
        restart
            .requires
            .retain(|check| !matches!(check, Check::SafeToEnter { .. }));
    });
    assert!(
        caught.ends_with("takes a member onto 3.7, and nothing makes sure that it can read its raft log"),
        "{caught}"
    );
}

#[test]
fn a_member_that_goes_back_unprepared() {
    let caught = found(&Scene::of_version(3, V3_6), |plan, _| {
        let restart = step(plan, is_restart);
        restart
            .requires
            .retain(|check| !matches!(check, Check::SafeToGoBack { .. }));
    });
    assert_eq!(
        caught,
        "w4.etcd-3: takes a member back over a minor release, and nothing makes sure that it is ready"
    );
}
