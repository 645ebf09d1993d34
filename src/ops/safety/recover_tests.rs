use std::collections::BTreeMap;

use super::*;
use crate::host::Client;
use crate::ops::model::{Membership, NO_QUORUM};
use crate::ops::safety::bootstrap::Marker;
use crate::ops::samples::{ACCEPTED, CLUSTER, desired, empty, facts, log, membership, name, observed, stop};

fn order(logs: &[(usize, Fact<RaftLog>)]) -> RecoverOrder {
    RecoverOrder {
        from: None,
        without: Vec::new(),
        logs: logs.iter().map(|(n, log)| (name(*n), log.clone())).collect(),
    }
}

/// Five hosts, of which only the first two still have data.
fn two_of_five() -> (Desired, Observed) {
    let desired = desired(5);
    let mut seen = observed(&desired);
    for n in 3..=5 {
        seen.hosts.insert(name(n), Fact::Known(empty(&desired, n)));
    }
    seen.cluster = Fact::Unknown(format!("cluster 7 with 5 members {NO_QUORUM}"));
    (desired, seen)
}

fn rules(result: Result<NodeName, Vec<Blocked>>) -> Vec<(Rule, Option<String>)> {
    let refusals = result.unwrap_err();
    assert!(refusals.iter().all(|r| !r.hint.is_empty()));
    refusals
        .into_iter()
        .map(|r| (r.rule, r.node.map(|n| n.to_string())))
        .collect()
}

#[test]
fn the_survivor_with_the_most_committed_entries_goes_on_then_the_longer_log() {
    let (desired, seen) = two_of_five();
    let chosen = |a, b| may_recover(&desired, &seen, &order(&[(1, a), (2, b)]), ACCEPTED).unwrap();
    assert_eq!(chosen(log(10, 12), log(11, 11)), name(2));
    assert_eq!(chosen(log(11, 12), log(11, 11)), name(1));
    assert_eq!(chosen(log(11, 11), log(11, 11)), name(1));
}

#[test]
fn what_may_be_lost_is_told_and_takes_the_flag() {
    let (desired, seen) = two_of_five();
    let order = order(&[(1, log(10, 12)), (2, log(11, 11))]);
    let refusals = may_recover(&desired, &seen, &order, Policy::default()).unwrap_err();
    assert_eq!(refusals[0].rule, Rule::OlderData);
    assert!(
        refusals[0].reason.contains("n2 goes up to raft index 11"),
        "{}",
        refusals[0]
    );
    let told = order.side_by_side(&desired, &name(2));
    assert!(
        told[1].contains("committed 11") && told[1].contains("survivor"),
        "{told:?}"
    );
    assert!(told[5].contains("the entries 12 to 12 (1)"), "{told:?}");
}

/// Mistake 19 of docs/etcd.md: an API server that waits for the majority goes on with what it remembers of it.
#[test]
fn clients_of_what_is_left_are_named_and_take_the_flag() {
    let (desired, mut seen) = two_of_five();
    let order = order(&[(1, log(9, 9)), (2, log(9, 9))]);
    let apiserver = Client {
        who: "10.0.0.5".into(),
        connections: 2,
    };
    seen.clients.insert(name(2), Fact::Known(vec![apiserver]));
    assert_eq!(
        rules(may_recover(&desired, &seen, &order, ACCEPTED)),
        [(Rule::ClientsConnected, Some("n2".into()))]
    );
    let outage = Policy {
        accept_outage: true,
        ..ACCEPTED
    };
    assert!(may_recover(&desired, &seen, &order, outage).is_ok());
    let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(2)) else {
        panic!("n2 is not known")
    };
    stop(facts);
    assert!(
        may_recover(&desired, &seen, &order, ACCEPTED).is_ok(),
        "it does not run"
    );
}

#[test]
fn a_majority_that_works_or_could_be_started_is_not_gone() {
    let desired = desired(3);
    let mut seen = observed(&desired);
    seen.cluster = Fact::Unknown(format!("cluster 7 with 3 members {NO_QUORUM}"));
    let order = order(&[(1, log(9, 9)), (2, log(9, 9)), (3, log(9, 9))]);
    assert_eq!(
        rules(may_recover(&desired, &seen, &order, ACCEPTED)),
        [(Rule::NotSettled, None)]
    );
    seen.cluster = Fact::Known(membership(&desired));
    let refusals = may_recover(&desired, &seen, &order, ACCEPTED).unwrap_err();
    assert!(
        refusals[0].reason.contains("the cluster works: 3 of 3"),
        "{}",
        refusals[0]
    );
}

#[test]
fn a_member_that_runs_and_could_not_be_asked_may_be_one_of_a_cluster_that_works() {
    let (desired, mut seen) = two_of_five();
    let order = order(&[(1, log(9, 9)), (2, log(9, 9))]);
    seen.cluster = Fact::unknown("its certificate has expired", Some("`quorate pki renew`"));
    let refusals = may_recover(&desired, &seen, &order, ACCEPTED).unwrap_err();
    let [refusal] = refusals.as_slice() else {
        panic!("{refusals:?}")
    };
    assert_eq!((refusal.rule, refusal.node.clone()), (Rule::Unknown, Some(name(1))));
    assert!(
        refusal.hint.contains("pki renew") && refusal.hint.contains("stop it"),
        "{refusal:?}"
    );
}

#[test]
fn a_host_that_does_not_answer_may_hold_something_newer() {
    let (desired, mut seen) = two_of_five();
    seen.hosts.insert(name(5), Fact::Unknown("no route".into()));
    let mut order = order(&[(1, log(9, 9)), (2, log(9, 9))]);
    assert_eq!(
        rules(may_recover(&desired, &seen, &order, ACCEPTED)),
        [(Rule::Unreachable, Some("n5".into()))]
    );
    order.without.push(name(5));
    assert_eq!(may_recover(&desired, &seen, &order, ACCEPTED).unwrap(), name(1));
}

#[test]
fn one_that_is_left_out_must_not_run() {
    let (desired, seen) = two_of_five();
    let mut order = order(&[(1, log(9, 9)), (2, log(9, 9))]);
    order.without.push(name(1));
    assert_eq!(
        rules(may_recover(&desired, &seen, &order, ACCEPTED)),
        [(Rule::NotSettled, Some("n1".into()))]
    );
}

#[test]
fn data_of_another_cluster_and_a_log_that_cannot_be_read_block() {
    let (desired, mut seen) = two_of_five();
    let order_read = order(&[(1, log(9, 9)), (2, Fact::Unknown("torn".into()))]);
    assert_eq!(
        rules(may_recover(&desired, &seen, &order_read, ACCEPTED)),
        [(Rule::Unknown, Some("n2".into()))]
    );
    let from = RecoverOrder {
        from: Some(name(1)),
        ..order_read
    };
    assert_eq!(may_recover(&desired, &seen, &from, ACCEPTED).unwrap(), name(1));

    let mut other = facts(&desired, 2);
    let marker = Marker {
        cluster_id: crate::inventory::ClusterId(CLUSTER.0 + 1),
        ..Marker::on(&other).unwrap()
    };
    other.data.marker = Some(marker.to_text());
    seen.hosts.insert(name(2), Fact::Known(other));
    let order = order(&[(1, log(9, 9)), (2, log(9, 9))]);
    assert_eq!(
        rules(may_recover(&desired, &seen, &order, ACCEPTED)),
        [(Rule::ForeignData, None)]
    );
}

#[test]
fn nothing_left_no_room_or_nothing_to_read_it_with_blocks() {
    let desired = desired(3);
    let mut seen = observed(&desired);
    for n in 1..=3 {
        seen.hosts.insert(name(n), Fact::Known(empty(&desired, n)));
    }
    let none = RecoverOrder {
        from: None,
        without: Vec::new(),
        logs: BTreeMap::new(),
    };
    assert_eq!(
        rules(may_recover(&desired, &seen, &none, ACCEPTED)),
        [(Rule::DataGone, None)]
    );

    let mut last = facts(&desired, 1);
    stop(&mut last);
    last.releases.clear();
    last.system
        .disks
        .values_mut()
        .for_each(|disk| disk.free_bytes = 1 << 20);
    seen.hosts.insert(name(1), Fact::Known(last));
    let n1 = Some("n1".to_owned());
    assert_eq!(
        rules(may_recover(&desired, &seen, &order(&[(1, log(9, 9))]), ACCEPTED)),
        [(Rule::Host, n1.clone()), (Rule::Host, n1)]
    );
}

/// A member that reports a corrupt database, and five hosts that have not joined yet.
#[test]
fn hosts_that_have_not_joined_are_no_majority_that_is_gone() {
    let mut listed = membership(&desired(1));
    for status in listed.status.values_mut() {
        let Fact::Known(status) = status else { continue };
        status.errors = vec!["memberID:1 alarm:CORRUPT ".into()];
    }
    let desired = desired(6);
    let mut seen = observed(&desired);
    for n in 2..=6 {
        seen.hosts.insert(name(n), Fact::Known(empty(&desired, n)));
    }
    seen.cluster = Fact::Known(listed);
    let refusals = may_recover(&desired, &seen, &order(&[(1, log(9, 9))]), ACCEPTED).unwrap_err();
    assert!(
        refusals[0].reason.contains("1 of 1 members have their data"),
        "{}",
        refusals[0]
    );
}

/// Two members, of which one has a certificate that we do not accept, in an inventory of five hosts.
#[test]
fn a_majority_that_stands_behind_the_member_list_is_not_gone_whoever_answers_us() {
    let mut listed = membership(&desired(2));
    listed.status.insert(
        crate::inventory::MemberId(2),
        Fact::Unknown("its certificate has expired".into()),
    );
    let (desired, mut seen) = two_of_five();
    let order = order(&[(1, log(9, 9)), (2, log(9, 9))]);
    seen.cluster = Fact::Known(listed.clone());
    let refusals = may_recover(&desired, &seen, &order, ACCEPTED).unwrap_err();
    assert_eq!(refusals[0].rule, Rule::NotSettled);
    assert!(refusals[0].reason.contains("although only 1 answer"), "{}", refusals[0]);
    assert!(refusals[0].hint.contains("`quorate pki renew`"), "{}", refusals[0]);
    // Said by one alone, the list proves nothing.
    listed.by_quorum = false;
    seen.cluster = Fact::Known(listed);
    assert!(may_recover(&desired, &seen, &order, ACCEPTED).is_ok());
}

/// Nobody is healthy in the second in which a leader is elected, and everybody is there.
#[test]
fn a_majority_that_elects_a_leader_is_not_gone() {
    let desired = desired(3);
    let mut seen = observed(&desired);
    let mut electing = membership(&desired);
    for status in electing.status.values_mut() {
        let Fact::Known(status) = status else { continue };
        status.leader = crate::inventory::MemberId(0);
        status.errors = vec!["etcdserver: no leader".into()];
    }
    seen.cluster = Fact::Known(electing);
    let refusals = may_recover(&desired, &seen, &order(&[]), ACCEPTED).unwrap_err();
    assert_eq!(refusals[0].rule, Rule::NotSettled);
    assert!(refusals[0].reason.contains("3 of 3 voters answer"), "{}", refusals[0]);
    assert!(refusals[0].hint.contains("quorate doctor"), "{}", refusals[0]);
}

#[test]
fn a_member_outside_the_inventory_that_answers_counts_among_those_that_are_left() {
    let all = desired(4);
    let mut listed = membership(&all);
    let silent = |listed: &mut Membership, n: u64| {
        listed
            .status
            .insert(crate::inventory::MemberId(n), Fact::Unknown("it is off".into()));
    };
    silent(&mut listed, 2);
    silent(&mut listed, 3);
    listed.by_quorum = false;
    let desired = desired(3);
    let mut seen = observed(&desired);
    let mut stopped = facts(&desired, 2);
    stop(&mut stopped);
    seen.hosts.insert(name(2), Fact::Known(stopped));
    seen.hosts.insert(name(3), Fact::Known(empty(&desired, 3)));
    let order = order(&[(1, log(9, 9)), (2, log(9, 9))]);

    seen.cluster = Fact::Known(listed.clone());
    let refusals = may_recover(&desired, &seen, &order, ACCEPTED).unwrap_err();
    assert!(
        refusals[0].reason.contains("3 of 4 members have their data"),
        "{}",
        refusals[0]
    );

    silent(&mut listed, 4);
    seen.cluster = Fact::Known(listed);
    assert!(may_recover(&desired, &seen, &order, ACCEPTED).is_ok());
}
