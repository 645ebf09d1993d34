//! The databases: what clients have written, the file of each member, quotas and alarms (docs/etcd.md, "Databases
//! and alarms").

use crate::etcd::{Alarm, AlarmKind};
use crate::inventory::{ClusterId, MemberId, NodeName};

use super::host::{Data, Link, SimHost};
use super::raft::Cluster;
use super::world::{Happening, World};

const MIB: u64 = 1 << 20;

/// Bytes that a defragmentation works off in a millisecond: 352 MB took five seconds.
const PACE: u64 = 70_000;

/// What clients have written. It is the same on every member; how large its file is, is each one's own matter.
#[derive(Debug, Clone)]
pub struct Store {
    /// Bytes of keys as they are now, and of what was written since the world began.
    pub keys: u64,
    /// Bytes of older revisions, up to `history_until`.
    pub history: u64,
    pub history_until: u64,
    /// Everything before this revision is forgotten.
    pub compacted: u64,
    /// Bytes that clients write in a millisecond, while writes are taken.
    pub grows: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            keys: 20 << 10,
            history: 0,
            history_until: 0,
            compacted: 0,
            grows: 0,
        }
    }
}

impl Store {
    pub fn in_use(&self) -> u64 {
        self.keys + self.history
    }

    /// Forgets everything before a revision, at once and on every member; files keep their size.
    fn compact(&mut self, revision: u64) {
        let span = self.history_until.saturating_sub(self.compacted).max(1);
        let left = self.history_until.saturating_sub(revision);
        self.history = u64::try_from(u128::from(self.history) * u128::from(left) / u128::from(span)).unwrap_or(0);
        self.compacted = revision;
    }
}

impl Cluster {
    /// Clients write, unless an alarm keeps them from it.
    pub fn write(&mut self, elapsed: u64) {
        if self.leader.is_some() && self.alarms.is_empty() {
            self.store.keys += elapsed * self.store.grows;
        }
    }
}

impl SimHost {
    /// Whether its file has reached the quota that its process was started with: the next write raises the alarm.
    pub fn full(&self) -> bool {
        let quota = self.unit.process.as_ref().map_or(0, |process| process.quota);
        quota > 0 && self.disk().is_some_and(|disk| disk.file >= quota)
    }

    /// Whether it is being defragmented, and answers nobody.
    pub fn busy(&self) -> bool {
        self.unit
            .process
            .as_ref()
            .is_some_and(|process| process.busy_until.is_some())
    }
}

/// `quota-backend-bytes` of a configuration; etcd's own 2 GiB where it names none, 0 where it is switched off.
pub fn quota(config: &str) -> u64 {
    let line = config
        .lines()
        .find_map(|line| line.strip_prefix("quota-backend-bytes:"));
    match line.and_then(|value| value.trim().parse::<i64>().ok()) {
        None | Some(0) => 2048 * MIB,
        Some(bytes) => u64::try_from(bytes).unwrap_or(0),
    }
}

impl World {
    /// Files grow with what is in them, defragmentations come to their end, and who is full raises the alarm.
    pub fn fill(&mut self, id: ClusterId) {
        let now = self.now;
        let Some(cluster) = self.clusters.get_mut(&id) else {
            return;
        };
        let in_use = cluster.store.in_use();
        for host in self.hosts.values_mut().filter(|h| h.link != Link::Dead) {
            let Data::Member(disk) = &mut host.data else { continue };
            let Some(process) = host.unit.process.as_mut().filter(|p| p.ready && disk.cluster == id) else {
                continue;
            };
            if process.busy_until.is_some_and(|until| now >= until) {
                process.busy_until = None;
                disk.file = in_use;
            }
            disk.file = disk.file.max(in_use);
            let full = process.quota > 0 && disk.file >= process.quota;
            if full && cluster.leader.is_some() && cluster.members.contains_key(&disk.member) {
                cluster.alarms.insert(Alarm {
                    member: disk.member,
                    kind: AlarmKind::Nospace,
                });
            }
        }
    }

    /// `Defragment`: the member is busy with it from now on, whether or not anybody waits for it.
    pub fn defragment(&mut self, node: &NodeName) -> Result<(), String> {
        let now = self.now;
        let in_use = |world: &World, id| world.clusters.get(&id).map_or(0, |c| c.store.in_use());
        let Some(disk) = self.hosts[node].disk().filter(|_| self.healthy(&self.hosts[node])) else {
            return Err(format!("{node} does not answer"));
        };
        let lasts = 500 + in_use(self, disk.cluster) / PACE;
        if let Some(process) = &mut self.host(node).unit.process {
            process.busy_until = Some(now + lasts);
        }
        self.happened.push(Happening::Defragmented { node: node.clone() });
        Ok(())
    }

    /// `Compact`. Done before counts as done.
    pub fn compact(&mut self, id: ClusterId, revision: u64) -> Result<(), String> {
        let cluster = self.clusters.get_mut(&id).filter(|c| c.leader.is_some());
        let cluster = cluster.ok_or("no leader")?;
        if revision > cluster.committed {
            return Err("the revision is one of the future".into());
        }
        if revision > cluster.store.compacted {
            cluster.store.compact(revision);
            self.happened.push(Happening::Compacted { cluster: id, revision });
        }
        Ok(())
    }

    /// Takes every alarm of a kind back.
    pub fn disarm(&mut self, id: ClusterId, kind: AlarmKind) -> Result<(), String> {
        let cluster = self.clusters.get_mut(&id).filter(|c| c.leader.is_some());
        cluster.ok_or("no leader")?.alarms.retain(|alarm| alarm.kind != kind);
        self.happened.push(Happening::Disarmed { cluster: id, kind });
        Ok(())
    }

    /// One write, seen to be taken or not.
    pub fn try_to_write(&mut self, id: ClusterId) -> Result<(), String> {
        self.fill(id);
        let cluster = self
            .clusters
            .get(&id)
            .filter(|c| c.leader.is_some())
            .ok_or("no leader")?;
        match cluster.alarms.first() {
            None => Ok(()),
            Some(alarm) => Err(format!("writes are still refused: {}", alarm.kind.word())),
        }
    }

    /// Members whose data is not that of the others.
    pub fn odd(&self, id: ClusterId) -> impl Iterator<Item = MemberId> + '_ {
        let disks = self.hosts.values().filter_map(SimHost::disk);
        disks
            .filter(move |disk| disk.cluster == id && disk.odd)
            .map(|disk| disk.member)
    }
}
