//! Hosts and clusters under one clock.

use std::collections::BTreeMap;

use crate::etcd::AlarmKind;
use crate::inventory::{ClusterId, Desired, DesiredHost, MemberId, NodeName, PeerUrl};
use crate::ops::model::Supplies;

use super::host::{Data, Link, SimHost};
use super::papers::Keys;
use super::raft::{Cluster, Live, Refusal, quorum};
use super::rescue::Saved;
use super::stock;

/// A world. Time passes only in [`World::pass`].
#[derive(Debug, Clone)]
pub struct World {
    /// Milliseconds since it began.
    pub now: u64,
    pub hosts: BTreeMap<NodeName, SimHost>,
    pub clusters: BTreeMap<ClusterId, Cluster>,
    /// The operator's CA, once there is one.
    pub keys: Option<Keys>,
    /// Snapshots taken.
    pub backups: usize,
    /// What recoveries have saved, the newest last.
    pub rescued: Vec<Saved>,
    /// What has happened since the oracle last looked.
    pub happened: Vec<Happening>,
    /// A machine that came up has started a member whose data was lost before quorate noted that it is complete: what comes
    /// of that is nobody's fault.
    pub forgotten: bool,
}

/// Something that a state alone does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A member was started on an empty directory and told that its cluster is new.
    Founded {
        node: NodeName,
        cluster: ClusterId,
        again: bool,
    },
    /// A member was started on an empty directory and joined.
    Joined { node: NodeName, again: bool },
    /// Quorate stopped a process.
    Stopped { node: NodeName },
    /// What lay in a data directory is not there any more.
    Moved { node: NodeName, data: Data, deleted: bool },
    /// What quorate had installed for a member is gone.
    Withdrawn { node: NodeName },
    /// Something that quorate did not do: a crash, a lost disk.
    Fault { node: NodeName },
    /// The first member of a cluster came up with a later minor release than all of it has reached.
    Upgraded { node: NodeName, cluster: ClusterId },
    /// An earlier minor release was started on what the cluster as a whole has left behind, and ended at once.
    TooOld { node: NodeName },
    /// A release ended on an entry of the raft log that it cannot read.
    CannotRead { node: NodeName },
    /// etcd was told to go back a minor release.
    ToldToGoBack { cluster: ClusterId },
    /// A snapshot became a member's data.
    Restored { node: NodeName, cluster: ClusterId },
    /// A member began to defragment its database.
    Defragmented { node: NodeName },
    /// Everything before a revision is forgotten.
    Compacted { cluster: ClusterId, revision: u64 },
    /// The alarms of a kind were taken back.
    Disarmed { cluster: ClusterId, kind: AlarmKind },
    /// A backup was taken of the data of a member that does not run.
    Rescued { node: NodeName, index: u64 },
}

/// Longer steps than this would skip elections.
const TICK: u64 = 250;

impl World {
    /// Machines without anything on them.
    pub fn bare(hosts: impl IntoIterator<Item = usize>) -> Self {
        let hosts = hosts.into_iter().map(SimHost::bare);
        Self {
            now: 0,
            hosts: hosts.map(|h| (h.spec.name.clone(), h)).collect(),
            clusters: BTreeMap::new(),
            keys: None,
            backups: 0,
            rescued: Vec::new(),
            happened: Vec::new(),
            forgotten: false,
        }
    }

    pub fn supplies(&self) -> Supplies {
        stock::supplies(self.keys)
    }

    pub fn host(&mut self, node: &NodeName) -> &mut SimHost {
        self.hosts.get_mut(node).expect("a host of this world")
    }

    /// The host behind a peer URL.
    pub fn behind(&self, url: &PeerUrl) -> Option<&SimHost> {
        self.hosts.values().find(|h| h.peer_url() == *url)
    }

    /// The cluster that the inventory's running members belong to, or whose data they carry.
    pub fn cluster_of(&self, desired: &Desired) -> Option<ClusterId> {
        desired
            .hosts
            .keys()
            .find_map(|node| Some(self.hosts.get(node)?.disk()?.cluster))
    }

    /// Whether the member on a host runs, is listed, has answered clients once and has a leader.
    pub fn healthy(&self, host: &SimHost) -> bool {
        host.live().is_some_and(|(disk, process)| {
            let cluster = self.clusters.get(&disk.cluster);
            process.ready && cluster.is_some_and(|c| c.leader.is_some() && c.members.contains_key(&disk.member))
        })
    }

    /// Lets time pass.
    pub fn pass(&mut self, until: u64) {
        while self.now < until {
            let elapsed = TICK.min(until - self.now);
            self.now += elapsed;
            self.tick(elapsed);
        }
    }

    fn tick(&mut self, elapsed: u64) {
        self.wake();
        let due = |host: &SimHost| host.unit.failed.is_some() && self.now >= host.unit.retry_at;
        let again: Vec<NodeName> = self
            .hosts
            .values()
            .filter(|h| due(h))
            .map(|h| h.spec.name.clone())
            .collect();
        for node in again {
            self.launch(&node);
        }
        let ids: Vec<ClusterId> = self.clusters.keys().copied().collect();
        for id in ids {
            let mut live = self.live(id);
            let Some(cluster) = self.clusters.get_mut(&id) else {
                continue;
            };
            cluster.advance(self.now, elapsed, &mut live);
            cluster.write(elapsed);
            for host in self.hosts.values_mut() {
                settle(host, id, cluster, &live);
            }
            self.keep_logs(id);
            self.fill(id);
            self.publish(id);
        }
    }

    /// Machines that were rebooting are back, and systemd starts what is enabled.
    fn wake(&mut self) {
        let due = |host: &SimHost| host.back_at.is_some_and(|at| self.now >= at);
        let awake: Vec<NodeName> = self
            .hosts
            .values()
            .filter(|h| due(h))
            .map(|h| h.spec.name.clone())
            .collect();
        for node in awake {
            let host = self.host(&node);
            host.back_at = None;
            host.link = Link::Up;
            self.start_at_boot(&node);
        }
    }

    /// A change of the members, as the leader does it: the entry that says so reaches a quorum's disks first.
    pub fn change<T>(
        &mut self,
        id: ClusterId,
        change: impl FnOnce(&mut Cluster, u64, &BTreeMap<MemberId, Live>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let live = self.live(id);
        let cluster = self.clusters.get_mut(&id).ok_or(Refusal::NoLeader)?;
        let mut voters: Vec<(u64, MemberId)> = cluster
            .voters()
            .filter_map(|id| Some((live.get(&id)?.index, id)))
            .collect();
        voters.sort_unstable_by(|a, b| b.cmp(a));
        voters.truncate(quorum(cluster.voters().count()));
        let head = cluster
            .leader
            .and_then(|id| live.get(&id))
            .ok_or(Refusal::NoLeader)?
            .index
            + 1;
        let done = change(cluster, self.now, &live)?;
        cluster.committed = cluster.committed.max(head);
        for host in self.hosts.values_mut() {
            if let Data::Member(disk) = &mut host.data
                && disk.cluster == id
                && voters.iter().any(|(_, voter)| *voter == disk.member)
            {
                disk.index = head;
            }
        }
        Ok(done)
    }

    /// A member that has found its cluster tells its name and client URLs.
    fn publish(&mut self, id: ClusterId) {
        let Some(cluster) = self.clusters.get_mut(&id).filter(|c| c.leader.is_some()) else {
            return;
        };
        for host in self.hosts.values() {
            let Some((disk, _)) = host
                .live()
                .filter(|(disk, process)| disk.cluster == id && process.ready)
            else {
                continue;
            };
            if let Some(member) = cluster.members.get_mut(&disk.member) {
                publish_one(member, &host.spec);
            }
        }
    }
}

fn publish_one(member: &mut crate::etcd::Member, spec: &DesiredHost) {
    if member.name.is_empty() || member.client_urls.is_empty() {
        member.name = spec.name.to_string();
        member.client_urls = vec![spec.client_url()];
    }
}

/// What a tick of the cluster does to one host: entries reach its disk, it becomes ready, or it learns that it was
/// removed and ends.
fn settle(host: &mut SimHost, id: ClusterId, cluster: &Cluster, live: &BTreeMap<MemberId, Live>) {
    let Data::Member(disk) = &mut host.data else { return };
    if disk.cluster != id || host.link == Link::Dead || cluster.leader.is_none() {
        return;
    }
    let Some(process) = &mut host.unit.process else { return };
    if cluster.members.contains_key(&disk.member) {
        // One that cannot talk to the others goes on waiting for them.
        if let Some(live) = live.get(&disk.member) {
            disk.index = live.index;
            process.ready = true;
        }
    } else {
        // It ends with status 0, and systemd lets it.
        host.unit.process = None;
    }
}
