//! What each rule about quorum, members and data says, on clusters small enough to read.

use std::collections::{BTreeMap, BTreeSet};

use super::drive::Outcome;
use super::host::{Data, Disk, SimHost};
use super::papers::{Keys, Papers, papers};
use super::scenes::{Scene, UP, restart_of};
use super::stock::{self, V3_4, V3_5, V3_6, V3_7};
use super::world::World;
use crate::etcd::{Header, Member, MemberStatus};
use crate::host::{DataState, HostFacts};
use crate::inventory::{ClusterId, Desired, HostPath, MemberId, PeerUrl, Version};
use crate::ops::check::Check;
use crate::ops::model::{DIFFERENT_CLUSTERS, Fact, Intent, Membership, Observed, Policy};
use crate::ops::plan::{Action, Plan, Step, Target, plan};
use crate::ops::safety::bootstrap::{
    Ground, Marker, answers_for_us, data_belongs, may_bootstrap, one_cluster, one_cluster_answers, same_as_running,
};
use crate::ops::safety::leader::{Succession, before_a_join, before_a_removal, takes_back};
use crate::ops::safety::membership::{
    left_by_a_join, may_add, may_finish, may_promote, may_remove, may_remove_once, may_wipe, nobody_is_joining,
};
use crate::ops::safety::quorum::{may_stop, may_stop_once};
use crate::ops::safety::{Blocked, Rule};

/// A member of a cluster drawn in one letter.
#[derive(Clone, Copy, PartialEq)]
enum Is {
    Well,
    Sick,
    /// Has no vote, and is this many entries behind.
    Learner(u64),
    NeverStarted,
}
use Is::{Learner, NeverStarted, Sick, Well};

const INDEX: u64 = 10_000;

fn url(n: usize) -> PeerUrl {
    stock::host(n).peer_url()
}

fn id(n: usize) -> MemberId {
    MemberId(n as u64)
}

/// etcd-1, etcd-2, ... in these states.
fn cluster(members: &[Is]) -> Membership {
    let member = |(n, is): (usize, &Is)| Member {
        id: id(n + 1),
        name: if *is == NeverStarted {
            String::new()
        } else {
            format!("etcd-{}", n + 1)
        },
        peer_urls: vec![url(n + 1)],
        client_urls: Vec::new(),
        learner: matches!(is, Learner(_)),
    };
    let status = |(n, is): (usize, &Is)| {
        let behind = match is {
            Well => 0,
            Learner(behind) => *behind,
            Sick | NeverStarted => return (id(n + 1), Fact::Unknown("it does not answer".into())),
        };
        (id(n + 1), Fact::Known(answer(id(n + 1), INDEX - behind)))
    };
    Membership {
        unseen: Default::default(),
        cluster_id: ClusterId(7),
        by_quorum: true,
        members: members.iter().enumerate().map(member).collect(),
        status: members.iter().enumerate().map(status).collect(),
        alarms: Vec::new(),
        peers: BTreeMap::new(),
        works_at: BTreeMap::new(),
    }
}

fn answer(member_id: MemberId, index: u64) -> MemberStatus {
    MemberStatus {
        header: Header {
            cluster_id: ClusterId(7),
            member_id,
            revision: 1,
            raft_term: 2,
        },
        version: V3_5,
        db_size: 0,
        db_in_use: 0,
        db_quota: 0,
        leader: id(1),
        raft_index: index,
        raft_applied: index,
        raft_term: 2,
        errors: Vec::new(),
        learner: false,
        storage_version: None,
        downgrade: None,
    }
}

const STRICT: Policy = Policy {
    accept_outage: false,
    accept_data_loss: false,
    no_snapshot: false,
    way_chosen: false,
    clients_ready: false,
};
const OUTAGE: Policy = Policy {
    accept_outage: true,
    accept_data_loss: false,
    no_snapshot: false,
    way_chosen: false,
    clients_ready: false,
};

/// The rule, after a look that the refusal says `text` and names a way out.
#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Blocked>, text: &str) -> Rule {
    let blocked = outcome.expect_err("a refusal");
    assert!(blocked.reason.contains(text), "{} instead of {text}", blocked.reason);
    assert!(!blocked.hint.is_empty(), "{}", blocked.reason);
    blocked.rule
}

#[test]
fn a_voter_is_stopped_only_while_the_others_are_a_healthy_quorum() {
    assert_eq!(may_stop(&cluster(&[Well; 3]), id(1), STRICT), Ok(()));
    let degraded = cluster(&[Well, Well, Sick]);
    let outcome = may_stop(&degraded, id(1), STRICT);
    assert_eq!(
        refused(outcome, "leave 1 of 3 voters, but quorum needs 2"),
        Rule::WouldLoseQuorum
    );
    // Five have one to spare, and it is not quorate that takes it while another is sick.
    let outcome = may_stop(&cluster(&[Well, Well, Well, Well, Sick]), id(1), STRICT);
    assert_eq!(refused(outcome, "while etcd-5 is not healthy"), Rule::NotSettled);
    // What is down already, and what has no vote, costs nothing.
    assert_eq!(may_stop(&degraded, id(3), STRICT), Ok(()));
    assert_eq!(may_stop(&cluster(&[Well, Learner(0)]), id(2), STRICT), Ok(()));
}

#[test]
fn one_or_two_voters_are_stopped_only_when_an_outage_is_accepted() {
    for few in [1, 2] {
        let few = cluster(&vec![Well; few]);
        assert_eq!(
            refused(may_stop(&few, id(1), STRICT), "unavailable to clients"),
            Rule::WouldLoseQuorum
        );
        assert_eq!(may_stop(&few, id(1), OUTAGE), Ok(()));
    }
    let two = cluster(&[Well, Well]);
    assert_eq!(
        refused(may_remove(&two, id(2), STRICT), "one of two voters"),
        Rule::WouldLoseQuorum
    );
    assert_eq!(may_remove(&two, id(2), OUTAGE), Ok(()));
    // Nothing can be accepted that leaves no cluster at all.
    assert_eq!(
        refused(may_remove(&cluster(&[Well]), id(1), OUTAGE), "the only voter"),
        Rule::WouldLoseQuorum
    );
}

#[test]
fn nothing_is_added_while_anything_is_unfinished() {
    assert_eq!(may_add(&cluster(&[Well; 3])), Ok(()));
    assert_eq!(
        refused(may_add(&cluster(&[Well, Well, Sick])), "etcd-3 is not healthy"),
        Rule::NotSettled
    );
    assert_eq!(
        refused(may_add(&cluster(&[Well, Well, NeverStarted])), "never started"),
        Rule::NotSettled
    );
    assert_eq!(
        refused(
            may_add(&cluster(&[Well, Learner(0)])),
            "a learner that has not been promoted"
        ),
        Rule::NotSettled
    );
    assert_eq!(
        refused(may_add(&cluster(&[Well, Sick, Sick])), "1 of 3 voters are healthy"),
        Rule::QuorumLost
    );
    let hearsay = Membership {
        by_quorum: false,
        ..cluster(&[Well; 3])
    };
    assert_eq!(
        refused(may_add(&hearsay), "could not be read from a quorum"),
        Rule::Unknown
    );
    for unfinished in [Learner(0), NeverStarted] {
        let outcome = nobody_is_joining(&cluster(&[Well, unfinished]));
        assert_eq!(refused(outcome, ""), Rule::NotSettled);
    }
    assert_eq!(nobody_is_joining(&cluster(&[Well, Sick])), Ok(()));
    // The change itself may be gone on with.
    assert_eq!(
        may_finish(&cluster(&[Well, Learner(0)]), id(2), &BTreeSet::new()),
        Ok(())
    );
}

#[test]
fn a_learner_is_promoted_when_it_has_caught_up() {
    assert_eq!(may_promote(&cluster(&[Well, Learner(500)]), id(2)), Ok(()));
    let outcome = may_promote(&cluster(&[Well, Learner(501)]), id(2));
    assert_eq!(
        refused(outcome, "501 entries behind; at most 500 are allowed"),
        Rule::NotSettled
    );
    let mut silent = cluster(&[Well, Learner(0)]);
    silent.status.insert(id(2), Fact::Unknown("cut off".into()));
    assert_eq!(refused(may_promote(&silent, id(2)), "does not answer"), Rule::Unknown);
}

#[test]
fn a_member_is_removed_only_when_the_rest_keeps_a_quorum() {
    assert_eq!(
        may_remove(&cluster(&[Well, Well, Sick]), id(3), STRICT),
        Ok(()),
        "the dead one of three"
    );
    let outcome = may_remove(&cluster(&[Well, Well, Sick]), id(1), STRICT);
    assert_eq!(refused(outcome, "etcd-3 is not healthy"), Rule::NotSettled);
    let outcome = may_remove(&cluster(&[Well, Sick, Sick]), id(3), STRICT);
    assert_eq!(refused(outcome, "quorum is lost"), Rule::QuorumLost);
    assert_eq!(
        may_remove(&cluster(&[Well, Learner(9)]), id(2), STRICT),
        Ok(()),
        "it has no vote"
    );
    let hearsay = Membership {
        by_quorum: false,
        ..cluster(&[Well, Learner(9)])
    };
    let outcome = may_remove(&hearsay, id(2), STRICT);
    assert_eq!(refused(outcome, "could not be read from a quorum"), Rule::Unknown);
}

#[test]
fn a_member_is_removed_beside_one_that_is_started_before() {
    let one_down = cluster(&[Well, Sick, Well, Well]);
    let outcome = may_remove(&one_down, id(3), STRICT);
    assert_eq!(refused(outcome, "etcd-2 is not healthy"), Rule::NotSettled);
    let cured = BTreeSet::from([id(2)]);
    assert_eq!(may_remove_once(&one_down, id(3), STRICT, &cured), Ok(()));
    // Whoever goes does not count among those that stay.
    let outcome = may_remove_once(
        &cluster(&[Well, Well, Sick, Sick]),
        id(1),
        STRICT,
        &BTreeSet::from([id(1)]),
    );
    assert_eq!(refused(outcome, "quorum is lost"), Rule::QuorumLost);
}

fn replace(old: usize, new: usize) -> Intent {
    Intent::Replace {
        old: stock::host(old).name,
        new: stock::host(new).name,
    }
}

#[test]
fn a_newcomer_that_was_begun_takes_nobody_elses_place_and_is_not_stopped_unasked() {
    let begun = Scene::healthy(2).inventory_of(3).with_learner(3).asked(replace(3, 3));
    assert_eq!(begun.plan().err(), None);
    let refusals = begun.with_data(3, Data::Foreign).plan().unwrap_err();
    assert_eq!(refusals[0].rule, Rule::ForeignData, "{refusals:?}");
    // Cut short before it was noted that it is complete: one of two voters by now, and to be restarted.
    let mut voter = Scene::healthy(2).inventory_of(3).asked(replace(3, 1));
    let host = voter.world.host(&stock::host(1).name);
    host.marker = host.marker.take().map(|text| text.replace("true", "false"));
    let config = host.spec.paths.config.clone();
    let process = host.unit.process.as_mut().expect("it runs");
    process.started_with.insert(config, "an older one".into());
    let refusals = voter.plan().unwrap_err();
    assert_eq!(refusals[0].rule, Rule::WouldLoseQuorum, "{refusals:?}");
    assert!(voter.accepting_an_outage().plan().is_ok());
}

/// etcd-4 was taken out again when it did not catch up; now it is to take the place of etcd-3, which is gone.
#[test]
fn what_a_newcomers_earlier_join_left_behind_is_moved_aside() {
    let mut scene = Scene::healthy(3)
        .inventory_of(4)
        .dead(3)
        .a_moment_later()
        .asked(replace(3, 4));
    let disk = scene.world.hosts[&stock::host(1).name].disk().expect("data");
    let host = scene.world.host(&stock::host(4).name);
    host.data = Data::Member(disk);
    host.marker = Some(marker(4, disk.cluster.0, false).to_text());
    let plan = scene.plan().expect("it is replaced");
    let newcomer = stock::host(4);
    let ours = Target::Node(newcomer.name.clone());
    let aside = plan
        .steps()
        .position(|s| s.action == Action::SetAside && s.target == ours);
    let add = Action::AddLearner {
        url: newcomer.peer_url(),
    };
    let added = plan.steps().position(|s| s.action == add);
    assert!(aside.is_some() && aside < added, "{:?}, {:?}", aside, added);
}

#[test]
fn a_snapshot_comes_before_a_member_that_is_down_is_started_with_another_minor() {
    let up = Intent::Converge {
        prune: false,
        limit: vec![stock::host(3).name],
    };
    let scene = Scene::of_version(3, V3_4).stopped(3).a_moment_later().asked(up);
    let plan = scene.plan().expect("it is upgraded");
    let first = plan.steps().next().map(|step| &step.action);
    assert!(matches!(first, Some(Action::Snapshot { .. })), "{first:?}");
}

/// etcd-5 is not in the inventory, and etcd-6 is on its way in.
#[test]
fn nobody_is_pruned_beside_a_join_that_the_run_does_not_finish() {
    let mut scene = Scene::healthy(5).with_learner(6);
    scene.desired = stock::inventory([1, 2, 3, 4, 6], V3_5);
    let prune = |limit| {
        let intent = Intent::Converge { prune: true, limit };
        scene.clone().asked(intent).plan()
    };
    assert_eq!(prune(Vec::new()).err(), None);
    let refusals = prune(vec![stock::host(2).name]).unwrap_err();
    assert_eq!(refusals[0].rule, Rule::NotSettled, "{refusals:?}");
}

/// Two of five are lost: one leaves while the other is still down, or neither could ever.
#[test]
fn of_several_members_that_are_lost_one_after_the_other_leaves() {
    let remove = |n: usize| Intent::Remove {
        node: stock::host(n).name,
        wipe: false,
    };
    let lost = || Scene::healthy(5).dead(4).wiped(5).a_moment_later();
    for gone in [4, 5] {
        let after = lost().asked(remove(gone)).run();
        assert!(matches!(after.outcome, Outcome::Done), "{:?}", after.outcome);
        assert!(after.violations.is_empty(), "{:?}", after.violations);
    }
    // One that is well carries its part, and stays while others are down.
    let refusals = lost().asked(remove(3)).plan().unwrap_err();
    assert_eq!(refusals[0].rule, Rule::NotSettled, "{refusals:?}");
    let hint = &refusals[0].hint;
    assert!(hint.contains("`quorate remove-node etcd-"), "{hint}");
}

/// One that nobody can look after any more: by its name, with the others in the inventory.
#[test]
fn a_member_that_the_inventory_does_not_list_is_removed_by_its_name() {
    let remove = Intent::Remove {
        node: stock::host(3).name,
        wipe: true,
    };
    let scene = || Scene::healthy(3).stopped(3).a_moment_later().inventory_of(2);
    let plan = scene().asked(remove.clone()).plan().unwrap();
    let removed = |step: &Step| matches!(&step.action, Action::RemoveMember { name, .. } if name == "etcd-3");
    assert!(plan.steps().any(removed), "{plan:#?}");
    // Its data are not quorate's.
    assert!(
        !plan
            .steps()
            .any(|step| matches!(step.action, Action::Wipe | Action::SetAside))
    );
    assert!(matches!(scene().asked(remove).run().outcome, Outcome::Done));
    // What waits for it says so.
    let another = Intent::Remove {
        node: stock::host(2).name,
        wipe: false,
    };
    let refusals = scene().asked(another).plan().unwrap_err();
    assert!(
        refusals[0].hint.contains("not in the inventory: etcd-3"),
        "{refusals:?}"
    );
}

/// Whatever else the cluster has: nobody could look after it.
#[test]
fn the_last_host_of_the_inventory_is_not_removed() {
    let remove = Intent::Remove {
        node: stock::host(1).name,
        wipe: false,
    };
    let refusals = Scene::healthy(3).inventory_of(1).asked(remove).plan().unwrap_err();
    assert_eq!(refusals[0].rule, Rule::Inventory);
    assert!(
        refusals[0].reason.contains("the only host in the inventory"),
        "{}",
        refusals[0]
    );
}

#[test]
fn the_last_member_that_the_inventory_knows_is_not_removed() {
    let remove = Intent::Remove {
        node: stock::host(1).name,
        wipe: false,
    };
    let scene = || Scene::healthy(3).inventory_of(2).asked(remove.clone());
    scene().plan().unwrap();
    // The others go on with a member that is in no inventory.
    let refusals = scene()
        .stopped(2)
        .accepting_an_outage()
        .a_moment_later()
        .plan()
        .unwrap_err();
    let reason = &refusals[0].reason;
    assert!(
        reason.contains("no other member that answers is in the inventory"),
        "{reason}"
    );
}

/// Its address was edited in the inventory: the member that the cluster has is not stopped in its name.
#[test]
fn a_member_that_the_cluster_knows_elsewhere_is_not_stopped_for_good() {
    let node = stock::host(2).name;
    let mut scene = Scene::healthy(3).wiped(2).asked(Intent::Remove {
        node: node.clone(),
        wipe: false,
    });
    scene.world.clusters.values_mut().for_each(|cluster| {
        let member = cluster.members.values_mut().find(|m| m.name == node.as_str());
        member.expect("it is listed").peer_urls = vec![PeerUrl("https://192.0.2.1:2380".into())];
    });
    let refusals = scene.a_moment_later().plan().unwrap_err();
    let reason = &refusals[0].reason;
    assert!(
        reason.contains("the cluster has this member at https://192.0.2.1:2380"),
        "{reason}"
    );
}

/// Its disk is not there, or was emptied: what the unit asks before it starts etcd.
#[test]
fn a_unit_starts_no_member_that_has_lost_its_data() {
    let refused = |complete: Option<bool>| {
        let mut scene = Scene::healthy(3).wiped(2);
        let node = stock::host(2).name;
        scene.world.host(&node).marker = complete.map(|complete| marker(2, 7, complete).to_text());
        scene.world.start_at_boot(&node);
        scene.world.hosts[&node].unit.failed.as_deref() == Some("no data")
    };
    assert!(refused(None));
    assert!(refused(Some(true)));
    assert!(!refused(Some(false)), "its first start");
}

/// A start would wait for a handshake that never succeeds.
#[test]
fn nobody_starts_beside_a_leader_whose_certificates_have_ended() {
    let led_by = |n| {
        let scene = Scene::healthy(3);
        let seen = scene.seen();
        let membership = seen.cluster.known().expect("a cluster");
        membership.of(&stock::host(n)).map(|m| m.id) == membership.leader()
    };
    let leader = (1..=3).find(|n| led_by(*n)).expect("somebody leads");
    let other = leader % 3 + 1;
    let up = |limit| Intent::Converge { prune: false, limit };
    let scene = || Scene::healthy(3).expired(leader).stopped(other).a_moment_later();
    let refusals = scene().asked(up(vec![stock::host(other).name])).plan().unwrap_err();
    assert_eq!(refusals[0].node, Some(stock::host(leader).name), "{}", refusals[0]);
    assert!(refusals[0].hint.contains("quorate pki renew"), "{}", refusals[0]);
    // A run that covers the leader renews them first.
    scene().asked(up(Vec::new())).plan().unwrap();
}

/// The inventory is ahead of its cluster: the upgrade, with its snapshot and its order, comes first.
#[test]
fn nobody_joins_as_the_first_with_a_newer_minor() {
    let scene = || Scene::of_version(3, V3_4).wanting(V3_5).inventory_of(4);
    let limit = vec![stock::host(4).name];
    let refusals = scene()
        .asked(Intent::Converge { prune: false, limit })
        .plan()
        .unwrap_err();
    assert_eq!(
        (refusals[0].rule, &refusals[0].node),
        (Rule::Version, &Some(stock::host(4).name))
    );
    let replace = Intent::Replace {
        old: stock::host(3).name,
        new: stock::host(4).name,
    };
    let refusals = scene().dead(3).asked(replace).plan().unwrap_err();
    assert!(
        refusals.iter().any(|b| b.hint.contains("quorate upgrade --to 3.5")),
        "{refusals:?}"
    );
    // The whole `up` moves the members first.
    assert!(scene().asked(UP).plan().is_ok());
}

/// A roll was cut off with a member stopped: what its unit names is what it would come back with.
#[test]
fn a_stopped_member_comes_back_with_the_release_that_its_unit_names() {
    let restart = restart_of(Vec::new());
    let scene = || {
        Scene::of_version(3, V3_4)
            .wanting(V3_5)
            .stopped(2)
            .a_moment_later()
            .asked(restart.clone())
    };
    assert_eq!(scene().plan().err(), None);
    let mut without = scene();
    without.world.host(&stock::host(2).name).releases.clear();
    let refusals = without.plan().unwrap_err();
    assert!(
        refusals[0].reason.contains(&format!("etcd {V3_4} is missing")),
        "{}",
        refusals[0]
    );
}

#[test]
fn data_is_moved_aside_only_when_a_quorum_says_that_its_member_is_gone() {
    let three = cluster(&[Well; 3]);
    assert_eq!(may_wipe(&three, &url(4)), Ok(()));
    assert_eq!(
        refused(may_wipe(&three, &url(3)), "is still on the list"),
        Rule::NotSettled
    );
    let hearsay = Membership {
        by_quorum: false,
        ..three
    };
    assert_eq!(
        refused(may_wipe(&hearsay, &url(4)), "is not confirmed by a quorum"),
        Rule::Unknown
    );
}

#[test]
fn only_what_an_unfinished_join_of_this_cluster_left_makes_way_by_itself() {
    let three = cluster(&[Well; 3]);
    let left = |n, marker: Option<Marker>| left_by_a_join(&three, &url(n), marker.as_ref());
    assert!(left(4, Some(marker(4, 7, false))));
    assert!(!left(4, Some(marker(4, 7, true))), "it was a member once");
    assert!(!left(4, Some(marker(4, 8, false))), "another cluster's");
    assert!(!left(4, None), "nobody knows whose");
    assert!(!left(3, Some(marker(3, 7, false))), "it is listed");
}

#[test]
fn nobody_is_stopped_whom_a_leader_would_have_to_take_back_that_does_not_answer() {
    for members in [[Sick, Well, Well].as_slice(), &[Sick, Well, Well, Well, Well]] {
        let outcome = may_stop(&cluster(members), id(2), OUTAGE);
        assert_eq!(
            refused(outcome, "led by etcd-1 (1), which does not answer"),
            Rule::NotSettled
        );
    }
    // One that answers tells who leads, where a majority stands behind the list.
    let outcome = takes_back(&cluster(&[Sick, Well, Sick]), id(3), &BTreeSet::new());
    assert_eq!(refused(outcome, "led by etcd-1 (1)"), Rule::NotSettled);
    let hearsay = Membership {
        by_quorum: false,
        ..cluster(&[Sick, Well, Sick])
    };
    assert_eq!(takes_back(&hearsay, id(3), &BTreeSet::new()), Ok(()));
    // Itself it is already down, and beside one that is down an outage is an outage.
    let led = cluster(&[Sick, Well, Well]);
    assert_eq!(may_stop(&led, id(1), OUTAGE), Ok(()));
    assert_eq!(may_stop(&cluster(&[Well, Well, Sick]), id(2), OUTAGE), Ok(()));
    let cured = [id(1)].into();
    assert_eq!(may_stop_once(&led, id(2), OUTAGE, &cured), Ok(()));
}

#[test]
fn a_leader_that_answers_hands_over_before_it_goes_and_one_that_does_not_is_voted_out() {
    let three = cluster(&[Well; 3]);
    assert_eq!(before_a_removal(&three, id(2)), Succession::NotNeeded);
    assert_eq!(before_a_removal(&three, id(1)), Succession::HandOver);
    let cut = cluster(&[Sick, Well, Well]);
    assert_eq!(before_a_removal(&cut, id(1)), Succession::Election);
}

#[test]
fn a_stranger_that_leads_hands_over_before_a_join_or_blocks_it() {
    let three = cluster(&[Well; 3]);
    let ours = |m: &Member| m.id != id(1);
    assert_eq!(before_a_join(&three, |_| true), Ok(None));
    assert_eq!(before_a_join(&three, ours).unwrap().map(|m| m.id), Some(id(1)));
    let cut = cluster(&[Sick, Well, Well]);
    let outcome = before_a_join(&cut, ours);
    assert_eq!(
        refused(outcome, "led by etcd-1 (1), which is not in the inventory"),
        Rule::Inventory
    );
}

/// Three bare hosts, changed by `paint`, as they are seen when no member answers.
fn bare(paint: impl Fn(usize, &mut HostFacts)) -> (Desired, Observed) {
    let desired = stock::inventory(1..=3, V3_5);
    let mut seen = World::bare(1..=3).observe(&desired);
    for n in 1..=3 {
        if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&stock::host(n).name) {
            paint(n, facts);
        }
    }
    (desired, seen)
}

/// Etcd's data on the host, with the marker of a bootstrap of `cluster_id` that was seen to succeed, or not.
fn with_data(facts: &mut HostFacts, n: usize, cluster_id: u64, complete: bool) {
    facts.data.state = DataState::Bootstrapped;
    facts.data.marker = Some(marker(n, cluster_id, complete).to_text());
}

fn marker(n: usize, cluster_id: u64, complete: bool) -> Marker {
    Marker {
        cluster: stock::cluster_name(),
        cluster_id: ClusterId(cluster_id),
        member: stock::host(n).name,
        complete,
    }
}

fn ground(world: (Desired, Observed)) -> Result<Ground, Vec<Blocked>> {
    may_bootstrap(&world.0, &world.1, ClusterId(7))
}

#[test]
fn a_cluster_is_made_new_only_where_every_host_is_known_to_be_empty() {
    assert_eq!(ground(bare(|_, _| ())), Ok(Ground::Fresh));
    let (desired, mut seen) = bare(|_, _| ());
    seen.hosts
        .insert(stock::host(2).name, Fact::Unknown("no route to host".into()));
    let refusals = ground((desired, seen)).unwrap_err();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].rule, Rule::Unreachable);
}

#[test]
fn a_bootstrap_that_was_cut_off_goes_on_and_a_stopped_cluster_is_never_made_anew() {
    assert_eq!(
        ground(bare(|n, facts| if n < 3 {
            with_data(facts, n, 7, false)
        })),
        Ok(Ground::HalfMade)
    );
    let names = |hosts: &[usize]| hosts.iter().map(|n| stock::host(*n).name).collect();
    assert_eq!(
        ground(bare(|n, facts| if n < 3 {
            with_data(facts, n, 7, true)
        })),
        Ok(Ground::Stopped {
            with_data: names(&[1, 2])
        })
    );
    // The marker is there and the data is not.
    let refusals = ground(bare(|n, facts| facts.data.marker = Some(marker(n, 7, true).to_text()))).unwrap_err();
    assert_eq!(refusals[0].rule, Rule::DataGone);
}

#[test]
fn data_of_somebody_else_blocks() {
    let foreign = |paint: &dyn Fn(&mut HostFacts)| {
        let (desired, seen) = bare(|_, facts| paint(facts));
        let facts = seen.hosts[&stock::host(1).name].known().expect("facts");
        data_belongs(&desired, &stock::host(1), facts)
    };
    assert_eq!(foreign(&|facts| with_data(facts, 1, 7, true)), Ok(()));
    let outcome = foreign(&|facts| with_data(facts, 2, 7, true));
    assert_eq!(refused(outcome, "has the member etcd-2"), Rule::ForeignData);
    let outcome = foreign(&|facts| facts.data.state = DataState::Bootstrapped);
    assert_eq!(refused(outcome, "did not create"), Rule::ForeignData);
    let outcome = foreign(&|facts| facts.data.state = DataState::Foreign);
    assert_eq!(refused(outcome, "do not belong to etcd"), Rule::ForeignData);
    let outcome = foreign(&|facts| {
        with_data(facts, 1, 7, true);
        facts.data.state = DataState::Aborted;
    });
    assert_eq!(refused(outcome, "its write-ahead log is missing"), Rule::DataGone);
    let outcome = foreign(&|facts| {
        facts.service.pid = Some(1);
        facts.service.running_exe = Some("/usr/bin/etcd".into());
    });
    assert_eq!(refused(outcome, "runs /usr/bin/etcd"), Rule::ForeignData);
}

#[test]
fn members_of_two_clusters_are_not_a_cluster_that_is_down() {
    let (_, mut seen) = bare(|_, _| ());
    assert_eq!(one_cluster(&seen), Ok(()));
    seen.cluster = Fact::Unknown(format!("{DIFFERENT_CLUSTERS}: 7, 8"));
    assert_eq!(
        refused(one_cluster(&seen), "different clusters: 7, 8"),
        Rule::ForeignData
    );
    // Whom a program is led to is judged by the same rule, and said in the same words.
    let answers = |ids: &[u64]| {
        ids.iter()
            .zip(1..)
            .map(|(id, n)| (ClusterId(*id), vec![stock::host(n).name]))
            .collect()
    };
    assert_eq!(one_cluster_answers(&answers(&[])), Ok(()));
    assert_eq!(one_cluster_answers(&answers(&[7])), Ok(()));
    let refusal = one_cluster_answers(&answers(&[7, 8])).unwrap_err();
    assert!(
        refusal.reason.starts_with(DIFFERENT_CLUSTERS) && refusal.reason.ends_with("8 on etcd-2"),
        "{refusal:?}"
    );
    assert_eq!(refusal.hint, one_cluster(&seen).unwrap_err().hint);
}

/// etcd-1 and etcd-2 were left out of a recovery and have come back; etcd-3 is what went on.
#[test]
fn data_from_before_and_after_a_recovery_is_never_started_together() {
    let stopped = || bare(|n, facts| with_data(facts, n, if n == 3 { 9 } else { 7 }, true));
    let refusals = ground(stopped()).unwrap_err();
    assert_eq!(refusals[0].rule, Rule::ForeignData);
    let said = refusals[0].reason.as_str();
    assert!(
        said.contains("on etcd-1, etcd-2;") && said.ends_with("on etcd-3"),
        "{said}"
    );
    let up = |limit: &[usize]| {
        let (desired, seen) = stopped();
        let intent = Intent::Converge {
            prune: false,
            limit: limit.iter().map(|n| stock::host(*n).name).collect(),
        };
        plan(&intent, &desired, &seen, STRICT, &stock::supplies(Some(Keys::FIRST)))
    };
    // One after the other's cluster, by name.
    let refusals = up(&[2, 3]).unwrap_err();
    assert!(refusals.iter().any(|b| b.rule == Rule::ForeignData), "{refusals:?}");
    let alone = up(&[3]).expect("what went on is started");
    let started: Vec<_> = alone
        .steps()
        .filter(|step| step.action == Action::Start)
        .map(|step| &step.target)
        .collect();
    assert_eq!(started, [&Target::Node(stock::host(3).name)]);
}

#[test]
fn a_listed_member_with_data_of_another_cluster_is_never_started_beside_it() {
    let (desired, seen) = bare(|n, facts| with_data(facts, n, if n == 3 { 9 } else { 7 }, true));
    let facts = |n: usize| seen.hosts[&stock::host(n).name].known().expect("facts");
    let verdict =
        |running: u64, n: usize| same_as_running(ClusterId(running), &desired.hosts[&stock::host(n).name], facts(n));
    assert_eq!(verdict(7, 1), Ok(()));
    assert_eq!(
        refused(verdict(7, 3), "contains data of the cluster"),
        Rule::ForeignData
    );
    let mut blank = facts(3).clone();
    blank.data.state = DataState::Empty;
    assert_eq!(same_as_running(ClusterId(7), &stock::host(3), &blank), Ok(()));
}

/// A host is looked at before the members are asked: one that was only just started has no data then, and a name by now.
#[test]
fn a_first_start_that_was_seen_half_way_is_no_lost_disk() {
    let scene = Scene::healthy(3);
    let up = |complete: bool, running: bool| {
        let mut seen = scene.world.observe(&scene.desired);
        let cluster_id = seen.cluster.known().expect("a cluster").cluster_id;
        let Some(Fact::Known(facts)) = seen.hosts.get_mut(&stock::host(1).name) else {
            panic!("etcd-1 is not known")
        };
        facts.data.state = DataState::Empty;
        facts.data.marker = Some(marker(1, cluster_id.0, complete).to_text());
        facts.service.pid = facts.service.pid.filter(|_| running);
        let supplies = scene.world.supplies();
        let refusals = plan(&UP, &scene.desired, &seen, STRICT, &supplies)
            .err()
            .unwrap_or_default();
        refusals.into_iter().map(|refusal| refusal.rule).collect::<Vec<_>>()
    };
    assert_eq!(up(false, true), [], "its bootstrap is not complete");
    assert_eq!(up(true, true), [Rule::DataGone], "it had been complete");
    assert_eq!(up(false, false), [Rule::DataGone], "it had a name and does not run");
}

/// One member of 3.6 whose first start was never seen to succeed; the inventory wants 3.5.
fn half_made(paint: impl FnOnce(&mut SimHost)) -> Result<Plan, Vec<Blocked>> {
    let mut scene = Scene::of_version(1, V3_6).wanting(V3_5);
    let host = scene.world.host(&stock::host(1).name);
    host.marker = host.marker.take().map(|text| text.replace("true", "false"));
    paint(host);
    scene.plan()
}

#[test]
fn a_first_start_that_was_never_seen_to_succeed_has_data_all_the_same() {
    let refusals = half_made(|host| host.unit.process = None).unwrap_err();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(refusals[0].rule, Rule::Version, "etcd 3.5 does not read it");
    // It is on its way, so nothing is put under it.
    let starting = |host: &mut SimHost| host.unit.process.as_mut().expect("it runs").ready = false;
    let plan = half_made(starting).expect("it goes on");
    let put_under = |step: &&Step| match &step.action {
        Action::Provision { change } => change.files.iter().any(|file| file.text.contains("3.5.30/etcd ")),
        _ => step.action == Action::Start,
    };
    assert_eq!(plan.steps().find(put_under), None);
}

/// A release may be left from another time, or belong to a cluster that shares the directory.
#[test]
fn a_release_that_is_merely_installed_has_written_nothing() {
    let beside = |host: &mut SimHost| _ = host.releases.insert(V3_7, stock::binaries(V3_7));
    let mut fresh = Scene::bare(1).wanting(V3_5);
    beside(fresh.world.host(&stock::host(1).name));
    assert_eq!(fresh.plan().err(), None, "there is no data that it could have written");

    let lost = |files: fn(&SimHost) -> Vec<HostPath>, wants: Version| {
        let mut scene = Scene::of_version(3, V3_5).wanting(wants);
        for n in 1..=3 {
            scene = scene.stopped(n);
            let host = scene.world.host(&stock::host(n).name);
            beside(host);
            for path in files(host) {
                host.files.remove(&path);
            }
        }
        scene.plan()
    };
    let unit: fn(&SimHost) -> Vec<HostPath> = |host| vec![host.unit_path()];
    let all: fn(&SimHost) -> Vec<HostPath> = |host| vec![host.unit_path(), host.spec.paths.config.clone()];
    assert_eq!(lost(unit, V3_5).err(), None);
    let refusals = lost(unit, V3_4).unwrap_err();
    assert!(
        refusals
            .iter()
            .all(|b| b.rule == Rule::Version && b.reason.contains("3.5.30")),
        "{refusals:?}"
    );
    // Where nothing tells, nothing is made up: etcd itself knows.
    let told = lost(all, V3_5).expect("it is put back").notes.join("; ");
    assert!(
        told.contains("nothing on etcd-1 shows which release wrote its data"),
        "{told}"
    );
}

#[test]
fn a_member_that_is_ready_and_cannot_be_asked_is_not_taken_for_a_first_start() {
    let ended = |host: &mut SimHost| host.files.extend(papers(&host.spec.name, Papers::Expired));
    let refusals = half_made(ended).unwrap_err();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(refusals[0].rule, Rule::Certificates);
    assert!(refusals[0].hint.contains("`quorate pki renew`"), "{}", refusals[0].hint);
}

/// etcd sorts the URLs as text: `10.0.0.10:` stands before `10.0.0.1:`.
#[test]
fn of_a_new_cluster_whoever_is_asked_first_starts_first_and_all_others_together() {
    let plan = Scene::bare(10).plan().unwrap();
    let starts = |step: &&Step| step.action == Action::Start;
    let starting = plan
        .waves
        .iter()
        .map(|wave| wave.steps.iter().filter(starts).collect::<Vec<_>>());
    let starting: Vec<_> = starting.filter(|steps| !steps.is_empty()).collect();
    assert_eq!(starting.iter().map(Vec::len).collect::<Vec<_>>(), [1, 9]);
    let node = stock::host(10).name;
    assert_eq!(starting[0][0].target, Target::Node(node.clone()));
    assert!(starting[0][0].ensures.contains(&Check::HasData { node }));
}

/// The own members have no quorum, and what answers is another cluster's member on one of the hosts.
#[test]
fn a_cluster_that_answers_from_our_hosts_and_is_not_ours_is_not_worked_on() {
    let mut scene = Scene::healthy(3).stopped(1).stopped(2);
    let theirs = Data::Member(Disk::new(ClusterId(0xb), MemberId(0xbad), 9_000));
    scene = scene.with_data(3, theirs).a_moment_later();
    let seen = |cluster: &str| {
        let mut seen = scene.seen();
        let mut listed = self::cluster(&[Well]);
        listed.members[0].peer_urls = vec![url(3)];
        seen.cluster = Fact::Known(listed);
        let Some(Fact::Known(facts)) = seen.hosts.get_mut(&stock::host(3).name) else {
            panic!("etcd-3 is not known")
        };
        let noted = Marker {
            cluster: cluster.parse().unwrap(),
            ..marker(3, 0xb, true)
        };
        facts.data.state = DataState::Bootstrapped;
        facts.data.marker = Some(noted.to_text());
        seen
    };
    let theirs = refused(answers_for_us(&scene.desired, &seen("prod-b")), "of the cluster prod-b");
    assert_eq!(theirs, Rule::ForeignData);
    assert_eq!(
        answers_for_us(&scene.desired, &seen(scene.desired.cluster.as_str())),
        Ok(())
    );
}

/// etcd-6 is not in the inventory, leads, and keeps its certificate, which has ended; etcd-1 is down.
#[test]
fn a_renewal_does_not_wait_for_who_is_lost_to_a_leader_that_stays_silent() {
    let renew = Intent::RotateLeaves { limit: Vec::new() };
    let mut scene = Scene::healthy(6).inventory_of(5).expired(6).asked(renew);
    scene = scene.stopped(1).a_moment_later();
    let leader = scene.world.hosts[&stock::host(6).name].disk().map(|disk| disk.member);
    scene.world.clusters.values_mut().for_each(|c| c.leader = leader);
    let plan = scene.plan().expect("certificates are renewed");
    let looked_at = plan.steps().find_map(|step| match &step.action {
        Action::LookAgain { nodes, .. } => Some(nodes.clone()),
        _ => None,
    });
    let others: Vec<_> = (2..=5).map(|n| stock::host(n).name).collect();
    assert_eq!(looked_at, Some(others));
    assert!(
        plan.notes.iter().any(|note| note.contains("not waiting for etcd-1")),
        "{:?}",
        plan.notes
    );
}

#[test]
fn no_certificate_is_made_for_a_member_of_somebody_else() {
    let (desired, seen) = bare(|n, facts| with_data(facts, if n == 2 { 3 } else { n }, 7, true));
    let renew = Intent::RotateLeaves { limit: Vec::new() };
    let refusals = plan(&renew, &desired, &seen, STRICT, &stock::supplies(Some(Keys::FIRST))).unwrap_err();
    let foreign: Vec<_> = refusals.iter().filter(|b| b.rule == Rule::ForeignData).collect();
    assert_eq!(foreign.len(), 1, "{refusals:?}");
    assert_eq!(foreign[0].node, Some(stock::host(2).name));
}
