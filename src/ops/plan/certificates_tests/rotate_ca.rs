use super::fixture::{DAY, World, sha};
use crate::inventory::NodeName;
use crate::ops::model::{Fact, Intent};
use crate::ops::plan::{Action, AuthorityTurn, Plan, Risk, Step, Target};
use crate::ops::safety::Blocked;
use crate::pki::Stage;

fn rotate(compromised: bool, begin: bool) -> Intent {
    Intent::RotateCa { compromised, begin }
}

fn on(step: &Step) -> Option<&NodeName> {
    match &step.target {
        Target::Node(node) => Some(node),
        _ => None,
    }
}

fn restarted(plan: &Plan) -> Vec<&str> {
    let restarts = plan.steps().filter(|s| matches!(s.action, Action::Restart { .. }));
    restarts.filter_map(on).map(NodeName::as_str).collect()
}

fn turns(plan: &Plan) -> Vec<AuthorityTurn> {
    let each = plan.steps().filter_map(|step| match step.action {
        Action::RotateAuthority { turn } => Some(turn),
        _ => None,
    });
    each.collect()
}

fn reasons(blocked: &[Blocked]) -> String {
    blocked.iter().map(|b| format!("{b} / {}\n", b.hint)).collect()
}

/// A cluster on which the rotation has come to `stage`, with nothing done yet of what follows.
fn at(stage: Stage) -> World {
    let mut world = World::healthy(3);
    let (old, new) = (world.old.certificate().clone(), world.new.certificate().clone());
    world.trusted = vec![old.clone(), new.clone()];
    world.stage = Some(Stage::TrustBoth);
    if stage == Stage::Reissue {
        while world.stage == Some(Stage::TrustBoth) {
            let plan = world.plan(&rotate(false, false)).unwrap();
            plan.steps().for_each(|step| world.perform(step));
        }
        world.restarts = 0;
    }
    world
}

#[test]
fn it_begins_only_when_asked_and_says_what_it_will_cost() {
    let mut world = World::healthy(3);
    world.clients = vec![world.issued_by(&world.old, "apiserver")];
    assert!(world.plan(&rotate(false, false)).unwrap().is_empty());
    let plan = world.plan(&rotate(false, true)).unwrap();
    assert_eq!(turns(&plan), [AuthorityTurn::Prepare]);
    assert_eq!(plan.risk(), Risk::ReducesRedundancy);
    assert!(plan.notes.iter().any(|n| n.contains("apiserver")), "{:?}", plan.notes);
}

#[test]
fn with_one_voter_its_restarts_are_an_outage() {
    let mut world = World::healthy(1);
    let refused = world.plan(&rotate(false, true)).unwrap_err();
    assert!(reasons(&refused).contains("--accept-outage"), "{refused:?}");
    world.policy.accept_outage = true;
    assert_eq!(world.plan(&rotate(false, true)).unwrap().risk(), Risk::Outage);
}

#[test]
fn first_all_learn_to_trust_both_the_leader_last_and_only_then_the_new_one_signs() {
    let world = at(Stage::TrustBoth);
    let plan = world.plan(&rotate(false, false)).unwrap();
    assert_eq!(restarted(&plan), ["etcd-2", "etcd-3", "etcd-1"]);
    assert!(plan.waves.iter().all(|wave| wave.steps.len() == 1), "one at a time");
    let last = plan.steps().last().unwrap();
    assert_eq!(turns(&plan), [AuthorityTurn::Switch]);
    assert!(matches!(last.action, Action::RotateAuthority { .. }));
    assert_eq!(last.requires.len(), 3, "every member is looked at right before");
}

#[test]
fn no_member_gets_a_new_certificate_before_known_clients_have_one() {
    let mut world = at(Stage::Reissue);
    world.clients = vec![
        world.issued_by(&world.old, "apiserver"),
        world.issued_by(&world.new, "app"),
    ];
    let waiting = world.plan(&rotate(false, false)).unwrap_err();
    assert!(reasons(&waiting).contains(": apiserver /"), "{waiting:?}");
    // Whoever says so, and whoever cannot wait, goes on; and is told who is locked out.
    for (compromised, accept_outage) in [(true, false), (false, true)] {
        world.policy.accept_outage = accept_outage;
        let plan = world.plan(&rotate(compromised, false)).unwrap();
        assert!(
            plan.notes.iter().any(|n| n.ends_with("certificates: apiserver")),
            "{:?}",
            plan.notes
        );
    }
    world.policy.accept_outage = false;
    world.clients = vec![world.issued_by(&world.new, "apiserver")];
    assert!(world.plan(&rotate(false, false)).is_ok());
}

#[test]
fn the_old_ca_goes_only_after_every_certificate_is_new() {
    let world = at(Stage::Reissue);
    let plan = world.plan(&rotate(false, false)).unwrap();
    let reissued = &plan.waves[0];
    assert_eq!(reissued.steps.len(), 3, "certificates take no restart: all at once");
    assert!(
        reissued
            .steps
            .iter()
            .all(|s| matches!(s.action, Action::Provision { .. }))
    );
    assert_eq!(restarted(&plan), ["etcd-2", "etcd-3", "etcd-1"]);
    let retire = plan
        .steps()
        .find(|s| matches!(s.action, Action::RotateAuthority { .. }));
    assert_eq!(retire.unwrap().requires.len(), 3);
    let mut drops = plan.steps().filter(|s| matches!(s.action, Action::Restart { .. }));
    assert!(
        drops.all(|s| s.requires.len() == 5),
        "safe to stop, the others connected, and all three new"
    );
}

#[test]
fn a_member_that_came_back_with_the_old_trust_is_taught_again_first() {
    let mut world = at(Stage::Reissue);
    let node: NodeName = "etcd-3".parse().unwrap();
    let kept = world.trusted.clone();
    world.trusted = vec![world.old.certificate().clone()];
    world.put_certificates(&node);
    world.trusted = kept;
    let plan = world.plan(&rotate(false, false)).unwrap();
    assert_eq!(restarted(&plan), ["etcd-3"]);
    assert_eq!(turns(&plan), [], "nothing else until everybody trusts both");
    assert!(!plan.steps().any(|s| matches!(s.action, Action::Provision { .. })));
}

#[test]
fn whoever_cannot_be_looked_at_or_reached_stops_it() {
    let mut world = at(Stage::TrustBoth);
    world.lose("etcd-2");
    assert!(reasons(&world.plan(&rotate(false, false)).unwrap_err()).contains("no route"));
    let mut world = at(Stage::TrustBoth);
    let gone = world.desired.hosts.remove(&"etcd-3".parse().unwrap()).unwrap();
    world.desired.order.retain(|name| *name != gone.name);
    let stray = world.plan(&rotate(false, false)).unwrap_err();
    assert!(reasons(&stray).contains("it would be disconnected"), "{stray:?}");
    let mut world = at(Stage::TrustBoth);
    world.seen.cluster = Fact::Unknown("no quorum".into());
    assert!(reasons(&world.plan(&rotate(true, false)).unwrap_err()).contains("no quorum"));
}

#[test]
fn when_the_ca_has_expired_everything_is_swapped_in_one_go() {
    let mut world = World::healthy(3);
    world.seen.cluster = Fact::Unknown("there is no valid CA to connect to etcd with".into());
    world.at += 3651 * DAY;
    let begun = world.plan(&rotate(false, true)).unwrap();
    assert_eq!(
        (turns(&begun), begun.risk()),
        (vec![AuthorityTurn::Prepare], Risk::Outage)
    );
    (world.trusted, world.stage) = (
        vec![world.old.certificate().clone(), world.new.certificate().clone()],
        Some(Stage::TrustBoth),
    );
    let plan = world.plan(&rotate(false, false)).unwrap();
    assert_eq!(turns(&plan), [AuthorityTurn::Switch]);
    assert_eq!(restarted(&plan), ["etcd-1", "etcd-2", "etcd-3"]);
    assert_eq!(
        plan.waves[1].steps.len(),
        3,
        "all at once: nobody can talk to anybody anyway"
    );
}

/// The whole way; `killed` says after how many steps of each plan the program dies, and whether in the middle of a
/// restart (files in place, process not restarted). At every moment everybody must be able to talk to everybody.
fn all_the_way(killed: impl Fn(usize) -> (usize, bool)) -> World {
    let mut world = World::healthy(3);
    let mut begin = true;
    for run in 0.. {
        assert!(run < 60, "it does not come to an end");
        // A step that was killed before the CA changed is asked for anew by the operator, who does not know.
        let plan = world.plan(&rotate(false, begin)).unwrap();
        if plan.is_empty() {
            break;
        }
        let (steps, half) = killed(run);
        let mut all = plan.steps();
        for step in all.by_ref().take(steps) {
            world.perform(step);
            assert!(world.everybody_talks(), "after {} of run {run}", step.id);
        }
        if let (true, Some(step)) = (half, all.next())
            && let (Action::Restart { change, .. }, Some(node)) = (&step.action, on(step))
        {
            world.put(node, change);
            assert!(world.everybody_talks(), "half way through {} of run {run}", step.id);
        }
        begin = world.stage.is_none() && world.trusted == [world.old.certificate().clone()];
    }
    world
}

#[test]
fn killed_anywhere_and_run_again_it_ends_with_only_the_new_ca_and_no_gap() {
    let undisturbed = all_the_way(|_| (usize::MAX, false));
    assert_eq!(undisturbed.restarts, 6, "two for each member");
    for steps in 1..12 {
        for half in [false, true] {
            let world = all_the_way(|_| (steps, half));
            assert_eq!(world.known_anywhere(), [sha(world.new.certificate())].into());
            assert_eq!(world.restarts, 6, "killed after {steps} steps: nothing is done twice");
        }
    }
}

#[test]
fn once_it_has_ended_there_is_nothing_left_to_do() {
    let world = all_the_way(|_| (usize::MAX, false));
    assert!(world.plan(&rotate(false, false)).unwrap().is_empty());
    assert_eq!(world.stage, None);
}

/// A cluster that something else made: nobody here knows its clients, and members that had no turn yet read none of our files.
#[test]
fn clients_of_a_ca_that_was_taken_over_are_waited_for_until_the_operator_says_that_they_are_ready() {
    let mut world = at(Stage::Reissue);
    world.issued_elsewhere = true;
    let refused = world.plan(&rotate(false, false)).unwrap_err();
    assert!(reasons(&refused).contains("--clients-ready"), "{refused:?}");
    assert!(
        world.plan(&rotate(true, false)).is_ok(),
        "its key leaked: nobody is waited for"
    );
    world.policy.clients_ready = true;
    assert!(world.plan(&rotate(false, false)).is_ok());

    let mut world = World::healthy(3);
    world.facts("etcd-2").service.running_version = None;
    let refused = world.plan(&rotate(false, true)).unwrap_err();
    let said = reasons(&refused);
    assert!(said.contains("etcd-2") && said.contains("`quorate up` first"), "{said}");
}

#[test]
fn without_the_cas_key_members_keep_what_they_have_and_nothing_is_issued() {
    let mut world = World::healthy(3);
    world.keyless = true;
    let renewed = world.plan(&Intent::RotateLeaves { limit: Vec::new() }).unwrap_err();
    assert!(
        reasons(&renewed).contains("no certificate can be issued"),
        "{renewed:?}"
    );
    let begun = world.plan(&rotate(false, true)).unwrap();
    assert_eq!(
        turns(&begun),
        [AuthorityTurn::Prepare],
        "which needs no key of the old one"
    );
    let key = world.desired.hosts[&"etcd-2".parse::<NodeName>().unwrap()]
        .paths
        .pki
        .join("peer.key");
    world.facts("etcd-2").files.remove(&key);
    let refused = world.plan(&rotate(false, true)).unwrap_err();
    assert!(reasons(&refused).contains("peer.key is missing"), "{refused:?}");
}
