//! What the steps of a restore do to the world.

use super::drive::Lab;
use super::host::{Data, Disk};
use super::raft::Cluster;
use super::stock;
use super::world::{Happening, World};
use crate::backup::manifest::FORMAT;
use crate::backup::{Manifest, SnapshotDigest};
use crate::etcd::{Member, bootstrap_member_id};
use crate::inventory::{ClusterId, Desired, HostPath, MemberId, NodeName, PeerUrl};
use crate::ops::exec::StepError;
use crate::ops::restore::{RestoreData, RestoreNote, RestoreOrder};

/// The last raft entry of restored data.
const RESTORED: u64 = 1_000;

/// An order to go back to a backup of this cluster.
pub fn order(desired: &Desired, without: Vec<NodeName>) -> RestoreOrder {
    let snapshot = SnapshotDigest {
        sha256: stock::sha256("a snapshot"),
        size: 20 << 10,
    };
    let manifest = Manifest {
        quorate_backup: FORMAT,
        cluster: desired.cluster.clone(),
        cluster_id: ClusterId(1),
        reason: "manual".into(),
        taken_at: stock::epoch(),
        taken_from: "etcd-1".into(),
        etcd_version: stock::V3_4,
        members: Vec::new(),
        revision: 900,
        keys: 12,
        hash: None,
        inventory_sha256: String::new(),
        snapshot: snapshot.clone(),
        sealed_to: Vec::new(),
        created_by: "quorate".into(),
    };
    RestoreOrder {
        snapshot,
        file: "monday.qbackup".into(),
        bare: false,
        manifest: Some(manifest),
        begun: stock::epoch(),
        bump: Some(1_000_000_000),
        without,
        snapshot_first: true,
        any_cluster: false,
        unsigned: false,
    }
}

impl Lab {
    pub(super) fn note_restore(&self, node: &NodeName, note: &RestoreNote) -> Result<(), StepError> {
        self.write_note(node, RestoreNote::path(&self.desired.hosts[node]), note.to_text())
    }

    pub(super) fn stage_snapshot(&self, node: &NodeName, snapshot: &SnapshotDigest) -> Result<(), StepError> {
        self.on(node, |w| w.host(node).staged = Some(snapshot.sha256.clone()))
    }

    /// The data first and the marker after it: only with the marker do they count as restored.
    pub(super) fn restore_data(&self, node: &NodeName, data: &RestoreData) -> Result<(), StepError> {
        let id = data.marker.cluster_id;
        let marker = data.marker.to_text();
        if self.now().world.hosts[node].marker.as_ref() == Some(&marker) {
            return Ok(());
        }
        self.on(node, |w| w.restored(node, id, data))??;
        self.on(node, |w| {
            let host = w.host(node);
            host.marker = Some(marker);
            host.staged = None;
        })
    }

    pub(super) fn forget_restore(&self, node: &NodeName, note: &HostPath) -> Result<(), StepError> {
        self.on(node, |w| {
            let host = w.host(node);
            host.staged = None;
            host.files.remove(note);
        })
    }

    /// Every member answers, has what was restored, and all have the same.
    pub(super) async fn compare_members(&self, at_least: i64) -> Result<(), StepError> {
        let membership = self.membership().await?;
        let odd = self.now().world.odd(membership.cluster_id).next();
        if let Some(member) = odd {
            return Err(StepError::new(format!("the data of {member} differs")));
        }
        for member in &membership.members {
            let status = membership.status_of(member.id);
            let status = status.ok_or_else(|| StepError::new(format!("{} does not answer", member.name)))?;
            if status.header.revision.saturating_add(1_000_000_000) < at_least {
                return Err(StepError::new(format!("{} has not what was restored", member.name)));
            }
        }
        Ok(())
    }
}

impl World {
    fn restored(&mut self, node: &NodeName, id: ClusterId, data: &RestoreData) -> Result<(), StepError> {
        let now = self.now;
        let staged = self.hosts[node].staged.clone();
        let staged = staged.ok_or_else(|| StepError::new("the snapshot is not here"))?;
        let saved = self.rescued.iter().find(|saved| saved.sha256 == staged).cloned();
        let index = saved.as_ref().map_or(RESTORED, |saved| saved.index);
        let host = self.host(node);
        if host.unit.process.is_some() {
            return Err(StepError::new(format!("the unit on {node} is not stopped")));
        }
        if host.data != Data::Empty {
            return Err(StepError::new("the directory still holds the data of a member"));
        }
        let member = bootstrap_member_id(std::slice::from_ref(&data.url), &data.token);
        host.data = Data::Member(Disk::new(id, member, index));
        let listed = data.initial_cluster.split(',').filter_map(|pair| pair.split_once('='));
        let members: Vec<Member> = listed
            .map(|(name, url)| {
                let url = PeerUrl(url.to_owned());
                Member {
                    id: bootstrap_member_id(std::slice::from_ref(&url), &data.token),
                    name: name.to_owned(),
                    peer_urls: vec![url],
                    client_urls: Vec::new(),
                    learner: false,
                }
            })
            .collect();
        let ids: Vec<MemberId> = members.iter().map(|m| m.id).collect();
        let cluster = self.clusters.entry(id).or_insert_with(|| {
            let members = members.into_iter().map(|m| (m.id, m)).collect();
            Cluster::of(members, now)
        });
        cluster.has_run.extend(ids);
        cluster.committed = cluster.committed.max(index);
        cluster.store.keys = saved.map_or(cluster.store.keys, |saved| saved.keys);
        self.happened.push(Happening::Restored {
            node: node.clone(),
            cluster: id,
        });
        Ok(())
    }
}
