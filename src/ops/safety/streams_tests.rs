use std::collections::BTreeSet;

use super::*;
use crate::ops::samples;

const STRICT: Policy = Policy {
    accept_outage: false,
    accept_data_loss: false,
    no_snapshot: false,
    way_chosen: false,
    clients_ready: false,
};

/// Three members that are well, with these streams from each to the others.
fn three(streams: [&[u64]; 3]) -> Membership {
    let mut membership = samples::membership(&samples::desired(3));
    let ids: Vec<MemberId> = membership.members.iter().map(|m| m.id).collect();
    for (at, to) in streams.into_iter().enumerate() {
        let to: BTreeSet<MemberId> = to.iter().map(|n| ids[*n as usize - 1]).collect();
        membership.peers.insert(ids[at], Fact::Known(to));
    }
    membership
}

fn id(membership: &Membership, n: usize) -> MemberId {
    membership.members[n - 1].id
}

#[test]
fn both_ends_of_every_stream_count() {
    let well = three([&[2, 3], &[1, 3], &[1, 2]]);
    assert_eq!(connected(&well, id(&well, 1)), Ok(()));
    // Refused by all others, which reach it themselves: what a changed source address looks like.
    let refused = three([&[], &[1, 3], &[1, 2]]);
    let why = connected(&refused, id(&refused, 1)).unwrap_err();
    assert!(why.reason.contains("n1 has no active stream to n2"), "{why}");
    assert!(why.hint.contains("source address") && why.hint.contains("`sans`"));
    // It reaches the others, and one of them does not reach it.
    let unreached = three([&[2, 3], &[1, 3], &[2]]);
    let why = connected(&unreached, id(&unreached, 1)).unwrap_err();
    assert!(why.reason.contains("n3 has no active stream to n1"), "{why}");
    assert_eq!(connected(&unreached, id(&unreached, 2)), Ok(()));
}

#[test]
fn who_is_down_is_missed_by_nobody_and_what_was_not_seen_is_not_known() {
    let mut one_down = three([&[2], &[1], &[]]);
    let third = id(&one_down, 3);
    one_down
        .status
        .insert(third, Fact::Unknown("it does not answer".into()));
    assert_eq!(connected(&one_down, id(&one_down, 1)), Ok(()));
    let mut unseen = three([&[2, 3], &[1, 3], &[1, 2]]);
    let first = id(&unseen, 1);
    unseen.peers.remove(&first);
    assert_eq!(connected(&unseen, first).unwrap_err().rule, Rule::Unknown);
    unseen.peers.insert(first, Fact::Unknown("connection refused".into()));
    let why = connected(&unseen, first).unwrap_err();
    assert!(why.reason.contains("connection refused"), "{why}");
    let alone = samples::membership(&samples::desired(1));
    assert_eq!(connected(&alone, id(&alone, 1)), Ok(()));
}

#[test]
fn nobody_is_stopped_while_those_who_carry_on_do_not_hear_each_other() {
    let deaf = three([&[], &[1, 3], &[1, 2]]);
    assert!(others_connected(&deaf, id(&deaf, 2), STRICT).is_err());
    assert!(others_connected(&deaf, id(&deaf, 3), STRICT).is_err());
    // The one that a restart may mend is not needed by the others.
    assert_eq!(others_connected(&deaf, id(&deaf, 1), STRICT), Ok(()));
    let outage = Policy {
        accept_outage: true,
        ..STRICT
    };
    assert_eq!(others_connected(&deaf, id(&deaf, 2), outage), Ok(()));
}
