//! One cluster of etcd members: who may vote, who leads, what is written, and when etcd lets its members change.

use std::collections::{BTreeMap, BTreeSet};

use super::database::Store;
use crate::etcd::{Alarm, Member};
use crate::inventory::{MemberId, PeerUrl, Version};

/// A follower stands for election after this long without a leader, in milliseconds.
pub const ELECTION: u64 = 1_000;

/// etcd wants peers to have been connected for longer than this before a member is added (`HealthInterval`).
pub const HEALTH_INTERVAL: u64 = 5_000;

/// Raft entries that clients write per millisecond, while there is a leader.
const WRITES: u64 = 1;

/// The part of the leader's log that etcd wants a learner to have, in percent (`readyPercentThreshold`).
const READY_PERCENT: u64 = 90;

/// What the members of one cluster agreed on. Every live member is taken to know it.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub members: BTreeMap<MemberId, Member>,
    /// Members that were removed: their processes end.
    pub removed: BTreeSet<MemberId>,
    /// Members whose data has existed: started again without it they would have forgotten their votes.
    pub has_run: BTreeSet<MemberId>,
    /// The last acknowledged raft entry.
    pub committed: u64,
    pub leader: Option<MemberId>,
    pub term: u64,
    /// Since when there is no leader.
    pub leaderless_since: u64,
    /// A leader was elected that lacks acknowledged entries.
    pub forgot: bool,
    /// The minor release that all members have reached; a cluster goes back only the way of [`super::downgrade`].
    pub version: Option<(u32, u32)>,
    /// The minor that etcd was told to go back to.
    pub downgrade: Option<(u32, u32)>,
    /// The form of each member's storage, once a release that knows of forms has run on it.
    pub storage: BTreeMap<MemberId, (u32, u32)>,
    /// The entries that are requests of the v2 API.
    pub v2: BTreeSet<u64>,
    /// Which start of a member before 3.6 has been published in one of them.
    pub published: BTreeMap<MemberId, u64>,
    /// No key was written since two of its members joined: what members of 3.4 note in their databases ends before that.
    pub unwritten: bool,
    /// A member of 3.5 was started on such data, and has noted others as removed.
    pub swept: bool,
    /// The entry with which the version of the cluster last fell.
    pub fell_at: Option<u64>,
    /// Counts members added at run time: their ids cannot be foretold.
    pub added: u64,
    /// What clients have written.
    pub store: Store,
    pub alarms: BTreeSet<Alarm>,
}

/// A member that runs, as its peers see it.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    pub version: Version,
    pub since: u64,
    pub index: u64,
    /// Entries it takes in per millisecond.
    pub speed: u64,
}

/// Why etcd does not change its members now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NoLeader,
    UnhealthyCluster,
    TooManyLearners,
    UrlExists,
    NotEnoughStarted,
    NotInSync,
    NotALearner,
    NotFound,
    InvalidDowngradeTarget,
    DowngradeInProgress,
    NoDowngrade,
}

pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

impl Cluster {
    /// A cluster of these members that has not elected anybody yet.
    pub fn of(members: BTreeMap<MemberId, Member>, now: u64) -> Self {
        Self {
            committed: members.len() as u64,
            members,
            removed: BTreeSet::new(),
            has_run: BTreeSet::new(),
            leader: None,
            term: 1,
            leaderless_since: now,
            forgot: false,
            version: None,
            downgrade: None,
            storage: BTreeMap::new(),
            v2: BTreeSet::new(),
            published: BTreeMap::new(),
            unwritten: false,
            swept: false,
            fell_at: None,
            added: 0,
            store: Store::default(),
            alarms: BTreeSet::new(),
        }
    }

    pub fn voters(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.members.values().filter(|m| !m.learner).map(|m| m.id)
    }

    /// Voters among the live.
    fn live_voters(&self, live: &BTreeMap<MemberId, Live>) -> Vec<MemberId> {
        self.voters().filter(|id| live.contains_key(id)).collect()
    }

    /// Whether reads that need a quorum are answered: a leader notices the loss of it only after a while.
    pub fn has_quorum(&self, live: &BTreeMap<MemberId, Live>) -> bool {
        self.live_voters(live).len() >= quorum(self.voters().count())
    }

    pub fn lose_leader(&mut self, now: u64) {
        self.leader = None;
        self.leaderless_since = now;
    }

    /// Lets time pass up to `now`: votes, writes and replication. Changes the live members' indexes.
    pub fn advance(&mut self, now: u64, elapsed: u64, live: &mut BTreeMap<MemberId, Live>) {
        let voters = self.live_voters(live);
        let has_quorum = voters.len() >= quorum(self.voters().count());
        if self.leader.is_some_and(|id| !voters.contains(&id)) || (self.leader.is_some() && !has_quorum) {
            self.lose_leader(now);
        }
        if self.leader.is_none() && has_quorum && now >= self.leaderless_since + ELECTION {
            self.elect(live, &voters);
        }
        let Some(leader) = self.leader else { return };
        let Some(head) = live.get_mut(&leader) else { return };
        head.index += elapsed * WRITES;
        let head = head.index;
        for (id, member) in live.iter_mut().filter(|(id, _)| self.members.contains_key(id)) {
            if *id != leader {
                member.index = head.min(member.index + elapsed * member.speed);
            }
        }
        let mut indexes: Vec<u64> = voters.iter().map(|id| live[id].index).collect();
        indexes.sort_unstable_by(|a, b| b.cmp(a));
        let held_by_quorum = indexes[quorum(self.voters().count()) - 1];
        self.committed = self.committed.max(held_by_quorum);
        self.publish_as_v2(head, live);
        let worked_at = self.version;
        self.agree_on_a_version(now, elapsed, live);
        if self.version < worked_at {
            self.fell_at = Some(head);
        }
    }

    fn elect(&mut self, live: &BTreeMap<MemberId, Live>, voters: &[MemberId]) {
        let winner = voters.iter().max_by_key(|id| (live[id].index, std::cmp::Reverse(**id)));
        if let Some(winner) = winner {
            self.forgot |= live[winner].index < self.committed;
            self.committed = self.committed.min(live[winner].index);
            self.leader = Some(*winner);
            self.term += 1;
        }
    }

    /// `MemberAdd` as a learner.
    pub fn add_learner(
        &mut self,
        url: &PeerUrl,
        now: u64,
        live: &BTreeMap<MemberId, Live>,
    ) -> Result<MemberId, Refusal> {
        let leader = self.leader.and_then(|id| live.get(&id)).ok_or(Refusal::NoLeader)?;
        if self.members.values().any(|m| m.peer_urls.contains(url)) {
            return Err(Refusal::UrlExists);
        }
        if self.members.values().any(|m| m.learner) {
            return Err(Refusal::TooManyLearners);
        }
        let voters = self.voters().count();
        let long = |id: &MemberId| live.get(id).is_some_and(|m| now > m.since + HEALTH_INTERVAL);
        let connected = self.voters().filter(|id| Some(*id) == self.leader || long(id)).count();
        // 3.5.30 and 3.6.11 relaxed the rule: a quorum of the larger cluster is enough, and a single member always passes.
        let relaxed = leader.version >= Version::new(3, 5, 30)
            && !(Version::new(3, 6, 0)..Version::new(3, 6, 11)).contains(&leader.version);
        let enough = match relaxed {
            true => voters == 1 || connected >= quorum(voters + 1),
            false => connected == voters,
        };
        if !enough {
            return Err(Refusal::UnhealthyCluster);
        }
        self.added += 1;
        let id = MemberId(0x0add_0000_0000_0000 + self.added);
        let member = Member {
            id,
            name: String::new(),
            peer_urls: vec![url.clone()],
            client_urls: Vec::new(),
            learner: true,
        };
        self.members.insert(id, member);
        Ok(id)
    }

    /// `MemberPromote`.
    pub fn promote(&mut self, id: MemberId, live: &BTreeMap<MemberId, Live>) -> Result<(), Refusal> {
        let head = self.leader.and_then(|id| live.get(&id)).ok_or(Refusal::NoLeader)?.index;
        let member = self.members.get_mut(&id).ok_or(Refusal::NotFound)?;
        if !member.learner {
            return Err(Refusal::NotALearner);
        }
        match live.get(&id) {
            Some(learner) if learner.index * 100 >= head * READY_PERCENT => member.learner = false,
            _ => return Err(Refusal::NotInSync),
        }
        Ok(())
    }

    /// `MemberUpdate`. A learner is promoted by it, as it was until 3.5.31 and 3.6.12.
    pub fn change_urls(&mut self, id: MemberId, urls: &[PeerUrl]) -> Result<(), Refusal> {
        self.leader.ok_or(Refusal::NoLeader)?;
        let mut others = self.members.values().filter(|member| member.id != id);
        if others.any(|member| member.peer_urls.iter().any(|url| urls.contains(url))) {
            return Err(Refusal::UrlExists);
        }
        let member = self.members.get_mut(&id).ok_or(Refusal::NotFound)?;
        member.peer_urls = urls.to_vec();
        member.learner = false;
        Ok(())
    }

    /// `MemberRemove`, with `strict-reconfig-check`.
    pub fn remove(&mut self, id: MemberId, now: u64, live: &BTreeMap<MemberId, Live>) -> Result<(), Refusal> {
        self.leader.ok_or(Refusal::NoLeader)?;
        let member = self.members.get(&id).ok_or(Refusal::NotFound)?;
        if !member.learner {
            let voters = self.voters().count();
            let started = self.voters().filter(|v| *v != id && self.members[v].started()).count();
            if started < quorum(voters.saturating_sub(1)) || voters == 1 {
                return Err(Refusal::NotEnoughStarted);
            }
            let connected = self.live_voters(live).len();
            if live.contains_key(&id) && connected - 1 < quorum(voters - 1) {
                return Err(Refusal::UnhealthyCluster);
            }
        }
        self.members.remove(&id);
        self.removed.insert(id);
        if self.leader == Some(id) {
            self.lose_leader(now);
        }
        Ok(())
    }
}
