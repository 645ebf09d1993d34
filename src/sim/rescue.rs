//! What a recovery finds on the hosts, and what it saves: as `cli/recover.rs` and `ops/exec/real/rescue.rs` do.

use std::collections::BTreeMap;

use super::drive::Lab;
use super::host::{Disk, Link};
use super::restore;
use super::stock;
use super::world::{Happening, World};
use crate::backup::{Manifest, SnapshotDigest};
use crate::etcd::RaftLog;
use crate::inventory::{Desired, NodeName, Version};
use crate::ops::exec::StepError;
use crate::ops::model::Fact;
use crate::ops::recover::{REASON, RecoverOrder, Rescue};
use crate::ops::restore::RestoreOrder;

/// The backup that a recovery took.
#[derive(Debug, Clone)]
pub struct Saved {
    pub sha256: String,
    /// The last raft entry that is in it.
    pub index: u64,
    /// Bytes of keys.
    pub keys: u64,
    /// The release that read the data.
    pub version: Version,
}

/// An order to go on from what is left, without these hosts. The logs are read when it is given.
pub fn order(from: Option<NodeName>, without: Vec<NodeName>) -> RecoverOrder {
    RecoverOrder {
        from,
        without,
        logs: BTreeMap::new(),
    }
}

impl Saved {
    /// The second half of a recovery.
    pub fn order(&self, desired: &Desired, without: Vec<NodeName>) -> RestoreOrder {
        let plain = restore::order(desired, without);
        let snapshot = SnapshotDigest {
            sha256: self.sha256.clone(),
            ..plain.snapshot
        };
        let manifest = plain.manifest.map(|manifest| Manifest {
            reason: REASON.into(),
            revision: i64::try_from(self.index).unwrap_or(i64::MAX),
            etcd_version: self.version,
            snapshot: snapshot.clone(),
            ..manifest
        });
        RestoreOrder {
            snapshot,
            manifest,
            file: "recover.qbackup".into(),
            snapshot_first: false,
            ..plain
        }
    }
}

impl World {
    /// How far the raft log of every host that answers goes.
    pub fn logs(&self, desired: &Desired) -> BTreeMap<NodeName, Fact<RaftLog>> {
        let log = |node: &NodeName| match self.hosts.get(node).filter(|host| host.link == Link::Up) {
            Some(host) => host.disk().map_or(Fact::Absent, |disk| Fact::Known(self.log(disk))),
            None => Fact::Unknown("no answer".into()),
        };
        desired.hosts.keys().map(|node| (node.clone(), log(node))).collect()
    }

    fn log(&self, disk: Disk) -> RaftLog {
        let term = self.clusters.get(&disk.cluster).map_or(0, |cluster| cluster.term);
        RaftLog {
            committed: self.kept_by(disk),
            last_term: term,
            last: disk.index,
            term,
        }
    }

    /// The last acknowledged entry that a member has.
    pub fn kept_by(&self, disk: Disk) -> u64 {
        let committed = self.clusters.get(&disk.cluster).map_or(0, |cluster| cluster.committed);
        committed.min(disk.index)
    }

    /// A private etcd of this release reads a copy of the data.
    pub fn rescue(&mut self, node: &NodeName, version: Version) -> Result<(), String> {
        let host = &self.hosts[node];
        if host.unit.process.is_some() {
            return Err(format!("the unit on {node} is not stopped"));
        }
        if host.releases.get(&version) != Some(&stock::binaries(version)) {
            return Err(format!("etcd {version} is not installed"));
        }
        let disk = host.disk().ok_or("there is no data")?;
        let reached = self.clusters.get(&disk.cluster).and_then(|c| c.version);
        let reached = reached.unwrap_or(version.series());
        if !(reached.1..=reached.1 + 1).contains(&version.minor) {
            return Err(format!(
                "etcd {version} does not read data of {}.{}",
                reached.0, reached.1
            ));
        }
        self.can_read(node, disk, version)?;
        let index = self.kept_by(disk);
        let keys = self.clusters.get(&disk.cluster).map_or(0, |c| c.store.keys);
        self.rescued.push(Saved {
            sha256: stock::sha256(&format!("{} of {node} at {index}", disk.cluster)),
            index,
            keys,
            version,
        });
        self.happened.push(Happening::Rescued {
            node: node.clone(),
            index,
        });
        Ok(())
    }
}

impl Lab {
    pub(super) fn rescue(&self, node: &NodeName, rescue: &Rescue) -> Result<(), StepError> {
        // .../3.5.30/etcd
        let version = rescue
            .etcd
            .as_str()
            .rsplit('/')
            .nth(1)
            .and_then(|name| name.parse().ok());
        let version = version.ok_or_else(|| StepError::new(format!("no release at {}", rescue.etcd)))?;
        self.on(node, |w| w.rescue(node, version))?.map_err(StepError::new)
    }
}
