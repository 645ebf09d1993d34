//! Clusters for the tests of the rules.

use crate::etcd::{Header, Member, MemberStatus};
use crate::inventory::{ClusterId, MemberId, PeerUrl, Version};
use crate::ops::model::{Fact, Membership};

/// A healthy cluster of `n` voters, `n1` (id 1, the leader) to `nN`, all at raft index 1000.
pub(super) fn cluster(n: u64) -> Membership {
    let id = ClusterId(0xc1);
    let member = |k: u64| Member {
        id: MemberId(k),
        name: format!("n{k}"),
        peer_urls: vec![url(k)],
        client_urls: vec![format!("https://10.0.0.{k}:2379")],
        learner: false,
    };
    Membership {
        cluster_id: id,
        by_quorum: true,
        members: (1..=n).map(member).collect(),
        status: (1..=n).map(|k| (MemberId(k), Fact::Known(status(id, k)))).collect(),
        alarms: Vec::new(),
        peers: Default::default(),
    }
}

fn status(id: ClusterId, k: u64) -> MemberStatus {
    MemberStatus {
        header: Header {
            cluster_id: id,
            member_id: MemberId(k),
            revision: 900,
            raft_term: 2,
        },
        version: Version::new(3, 5, 30),
        db_size: 20 << 10,
        db_in_use: 20 << 10,
        db_quota: 0,
        leader: MemberId(1),
        raft_index: 1000,
        raft_applied: 1000,
        raft_term: 2,
        errors: Vec::new(),
        learner: false,
        storage_version: None,
    }
}

/// The peer URL of `nK`.
pub(super) fn url(k: u64) -> PeerUrl {
    PeerUrl(format!("https://10.0.0.{k}:2380"))
}

/// The same cluster, and `nK` does not answer.
pub(super) fn silent(mut cluster: Membership, k: u64) -> Membership {
    cluster.status.insert(MemberId(k), Fact::Unknown("no answer".into()));
    cluster
}

/// The same cluster, and `nK` is a learner that has applied everything up to `index`.
pub(super) fn learner(mut cluster: Membership, k: u64, index: u64) -> Membership {
    for member in cluster.members.iter_mut().filter(|m| m.id == MemberId(k)) {
        member.learner = true;
    }
    if let Some(Fact::Known(status)) = cluster.status.get_mut(&MemberId(k)) {
        status.learner = true;
        (status.raft_index, status.raft_applied) = (index, index);
    }
    cluster
}
