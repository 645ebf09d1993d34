//! The order of a restart: who is unwell first, who leads last, and each only when the one before is back.

use super::chaos::Fault;
use super::drive::Outcome;
use super::scenes::{Scene, node, restart_of};
use super::stock::{V3_5, V3_6};
use crate::inventory::{MemberId, NodeName, Version};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Intent, Membership};
use crate::ops::plan::{Action, Plan, Target};
use crate::ops::safety::Rule;
use crate::ops::safety::leader::heir;

fn restart(scene: Scene) -> Scene {
    scene.asked(restart_of(Vec::new()))
}

/// The hosts in the order in which they are restarted.
fn turns(plan: &Plan) -> Vec<NodeName> {
    let restarts = plan.steps().filter(|s| matches!(s.action, Action::Restart { .. }));
    restarts
        .map(|step| match &step.target {
            Target::Node(node) => node.clone(),
            other => panic!("a restart of {other:?}"),
        })
        .collect()
}

fn membership(scene: &Scene) -> Membership {
    scene.seen().cluster.known().expect("a cluster").clone()
}

fn leader(scene: &Scene) -> NodeName {
    let seen = membership(scene);
    let id = seen.leader().expect("a leader");
    let member = seen.members.iter().find(|m| m.id == id).expect("listed");
    member.name.parse().expect("a name")
}

#[test]
fn a_stopped_member_comes_first_and_the_leader_last_whichever_they_are() {
    for down in 1..=5 {
        let scene = restart(Scene::healthy(5).stopped(down).a_moment_later());
        let leads = leader(&scene);
        let plan = scene.plan().expect("a plan");
        let order = turns(&plan);
        assert_eq!(order.len(), 5);
        assert_eq!(order.first(), Some(&node(down)), "{order:?}");
        assert_eq!(order.last(), Some(&leads), "{order:?}");
        let after = scene.run();
        assert!(matches!(after.outcome, Outcome::Done), "{:?}", after.outcome);
        assert_eq!(after.violations, [""; 0]);
        assert!(
            after
                .world
                .hosts
                .values()
                .take(5)
                .all(|host| after.world.healthy(host) || host.disk().is_none())
        );
    }
}

#[test]
fn a_member_that_crashed_comes_before_one_that_works() {
    let mut scene = restart(Scene::healthy(3));
    Fault::Crash(node(3)).strike(&mut scene.world);
    scene.settled(2_000);
    assert_eq!(turns(&scene.plan().expect("a plan"))[0], node(3));
}

#[test]
fn everybody_is_waited_for_by_health_and_by_what_has_been_applied() {
    let plan = restart(Scene::healthy(3)).plan().expect("a plan");
    for step in plan.steps() {
        let healthy = |c: &Check| matches!(c, Check::HealthyVoter { .. });
        let caught_up = |c: &Check| matches!(c, Check::CaughtUp { .. });
        assert!(
            step.ensures.iter().any(healthy) && step.ensures.iter().any(caught_up),
            "{step:?}"
        );
        assert!(
            step.requires.iter().any(|c| matches!(c, Check::SafeToStop { .. })),
            "{step:?}"
        );
        assert!(
            step.ensures.iter().any(|c| matches!(c, Check::Connected { .. })),
            "{step:?}"
        );
    }
}

#[test]
fn leadership_goes_to_the_healthy_voter_that_has_applied_most() {
    let mut seen = membership(&Scene::healthy(5));
    let leads = seen.leader().expect("a leader");
    let others: Vec<MemberId> = seen.members.iter().map(|m| m.id).filter(|id| *id != leads).collect();
    let mut applied = |id: MemberId, index: u64| {
        if let Some(Fact::Known(status)) = seen.status.get_mut(&id) {
            status.raft_applied = index;
        }
    };
    applied(others[0], 10);
    applied(others[1], 30);
    applied(others[2], 20);
    applied(others[3], 40);
    assert_eq!(heir(&seen, leads), Some(others[3]));
    seen.status.insert(others[3], Fact::Unknown("silent".into()));
    assert_eq!(heir(&seen, leads), Some(others[1]));
    let learner = seen.members.iter_mut().find(|m| m.id == others[1]);
    learner.expect("listed").learner = true;
    assert_eq!(heir(&seen, leads), Some(others[2]));
}

#[test]
fn among_those_that_are_as_far_leadership_stays_with_the_later_minor() {
    let mut seen = membership(&Scene::of_version(5, V3_6));
    let leads = seen.leader().expect("a leader");
    let others: Vec<MemberId> = seen.members.iter().map(|m| m.id).filter(|id| *id != leads).collect();
    let mut is = |id: MemberId, version: Version, index: u64| {
        if let Some(Fact::Known(status)) = seen.status.get_mut(&id) {
            (status.version, status.raft_applied) = (version, index);
        }
    };
    is(others[0], V3_5, 10_040);
    is(others[1], V3_5, 10_050);
    is(others[2], V3_6, 10_000);
    is(others[3], V3_6, 1_000);
    assert_eq!(heir(&seen, leads), Some(others[2]), "the fourth is far behind");
    seen.status.insert(others[2], Fact::Unknown("silent".into()));
    assert_eq!(heir(&seen, leads), Some(others[1]));
}

#[test]
fn with_a_limit_only_those_hosts_and_never_while_another_one_is_down() {
    let only = |scene: Scene, n| scene.asked(restart_of(vec![node(n)]));
    assert_eq!(turns(&only(Scene::healthy(3), 1).plan().expect("a plan")), [node(1)]);
    let one_down = || Scene::healthy(3).stopped(3).a_moment_later();
    let refusals = only(one_down(), 1).plan().expect_err("a refusal");
    assert_eq!(refusals[0].rule, Rule::WouldLoseQuorum);
    assert_eq!(turns(&only(one_down(), 3).plan().expect("a plan")), [node(3)]);
}

/// Its address has changed, and its certificate names the old one: it is healthy, caught up, and let in by nobody. The
/// next one that came back like that would not hear it, nor it the next one.
#[test]
fn a_member_that_comes_back_refused_by_the_others_is_the_last_one_stopped() {
    let mut scene = restart(Scene::healthy(3).a_moment_later());
    for n in 1..=3 {
        Fault::Moved(node(n)).strike(&mut scene.world);
    }
    let order = turns(&scene.plan().expect("a plan"));
    let after = scene.clone().run();
    assert!(matches!(after.outcome, Outcome::Stopped(_)), "{:?}", after.outcome);
    assert_eq!(after.violations, [""; 0]);
    let refused = |node: &NodeName| after.world.hosts[node].refused();
    assert_eq!(order.iter().map(refused).collect::<Vec<_>>(), [true, false, false]);
    let events = format!("{:?}", after.reporter.events());
    assert!(
        events.contains("has no active stream to") && events.contains("etcd checks the source address"),
        "{events}"
    );
    // Run again, it begins with the one that nobody needs, and gets no further.
    scene.world = after.world;
    let again = scene.run();
    assert_eq!(again.violations, [""; 0]);
    assert!(matches!(again.outcome, Outcome::Stopped(_)), "{:?}", again.outcome);
    let refused = again.world.hosts.values().filter(|host| host.refused()).count();
    assert_eq!(refused, 1);
}

/// A newcomer that the others refuse gets no vote.
#[test]
fn a_learner_that_the_others_refuse_stays_one() {
    let mut scene = Scene::healthy(2).inventory_of(3);
    Fault::Moved(node(3)).strike(&mut scene.world);
    let after = scene.run();
    assert!(matches!(after.outcome, Outcome::Stopped(_)), "{:?}", after.outcome);
    let members = |world: &super::world::World| world.clusters.values().next().map(|c| c.voters().count());
    assert_eq!(members(&after.world), Some(2));
}

/// Cut off after `turns` members had theirs.
fn interrupted(turns: usize) -> Scene {
    let restarted = |world: &super::world::World| world.hosts.values().filter(|host| host.was_restarted()).count();
    let scene = restart(Scene::healthy(5));
    scene.cut_off_when(|world| restarted(world) == turns).a_moment_later()
}

#[test]
fn an_interrupted_restart_goes_on_with_those_that_had_no_turn() {
    for done in 1..=4 {
        let scene = interrupted(done);
        let had = |node: &NodeName| scene.world.hosts[node].was_restarted();
        let plan = scene.plan().expect("a plan");
        assert_eq!(turns(&plan).len(), 5 - done, "{plan:?}");
        assert!(turns(&plan).iter().all(|node| !had(node)), "{plan:?}");
        let skipped = plan
            .notes
            .iter()
            .filter(|note| note.contains("in the interrupted restart of"));
        assert_eq!(skipped.count(), done, "{:?}", plan.notes);
        assert!(plan.notes.iter().any(|note| note.contains("--all")), "{:?}", plan.notes);
        let after = scene.run();
        assert!(matches!(after.outcome, Outcome::Done), "{:?}", after.outcome);
        assert_eq!(after.violations, [""; 0]);
        // What is finished is not continued: the next one is about everybody.
        let mut next = restart(Scene::healthy(5));
        next.world = after.world;
        assert_eq!(turns(&next.a_moment_later().plan().expect("a plan")).len(), 5);
    }
}

#[test]
fn a_restart_is_not_continued_when_everybody_is_asked_for_or_others_are_or_a_day_later() {
    let all = |scene: &Scene| turns(&scene.plan().expect("a plan")).len();
    let mut scene = interrupted(2);
    assert_eq!(all(&scene), 3);
    let two: Vec<NodeName> = scene
        .world
        .hosts
        .values()
        .filter(|h| h.was_restarted())
        .map(|h| h.spec.name.clone())
        .collect();
    assert_eq!(
        all(&scene.clone().asked(restart_of(two))),
        2,
        "other hosts are another restart"
    );
    let afresh = Intent::Restart {
        limit: Vec::new(),
        begun: super::stock::epoch(),
        afresh: true,
    };
    assert_eq!(all(&scene.clone().asked(afresh)), 5);
    // Whoever crashed since and does not come up again has its turn, too.
    let gone = scene
        .world
        .hosts
        .values()
        .find(|h| h.was_restarted())
        .expect("one")
        .spec
        .name
        .clone();
    let mut crashed = scene.clone();
    crashed.world.stop(&gone);
    assert_eq!(turns(&crashed.a_moment_later().plan().expect("a plan"))[0], gone);
    scene.settled(25 * 3_600_000);
    assert_eq!(all(&scene), 5);
}
