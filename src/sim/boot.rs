//! What etcd does when its unit is started: docs/etcd.md, "First start".

use std::cmp::Ordering;

use crate::bundle::Program;
use crate::etcd::{Member, bootstrap_cluster_id, bootstrap_member_id};
use crate::inventory::{ClusterId, MemberId, NodeName, Version};
use crate::ops::safety::bootstrap::Marker;
use crate::pki::HOST_FILES;
use crate::render::{InitialCluster, InitialState, initial_of};

use super::host::{Data, Disk, Link, Process, SimHost};
use super::raft::Cluster;
use super::stock;
use super::world::{Happening, World};

/// `RestartSec` of the unit, in milliseconds.
const RETRY: u64 = 5_000;

impl World {
    /// `systemctl start`: does nothing where it runs already.
    pub fn start(&mut self, node: &NodeName) {
        if self.hosts[node].unit.process.is_some() || self.hosts[node].link == Link::Dead {
            return;
        }
        self.host(node).unit.by_itself = false;
        self.launch(node);
    }

    /// The machine has come up, and starts what is enabled.
    pub fn start_at_boot(&mut self, node: &NodeName) {
        if self.hosts[node].unit.enabled {
            self.host(node).unit.by_itself = true;
            self.launch(node);
        }
    }

    pub(super) fn launch(&mut self, node: &NodeName) {
        let outcome = self.boot(node);
        let now = self.now;
        let host = self.host(node);
        match outcome {
            Ok(version) => {
                host.unit.process = Some(Process::of(host, version, now));
                host.unit.failed = None;
            }
            Err(why) => {
                host.unit.failed = Some(why);
                host.unit.retry_at = now + RETRY;
            }
        }
    }

    /// Ends the process, as `systemctl stop` or a crash does.
    pub fn stop(&mut self, node: &NodeName) {
        let now = self.now;
        let host = self.host(node);
        host.unit.failed = None;
        let member = host.disk();
        if host.unit.process.take().is_some()
            && let Some(disk) = member
            && let Some(cluster) = self
                .clusters
                .get_mut(&disk.cluster)
                .filter(|c| c.leader == Some(disk.member))
        {
            cluster.lose_leader(now);
        }
    }

    /// The release that comes up, with its data; or why etcd ends at once.
    fn boot(&mut self, node: &NodeName) -> Result<Version, String> {
        let host = &self.hosts[node];
        let version = release(host)?;
        let config = host
            .text(&host.spec.paths.config)
            .ok_or("no configuration file")?
            .to_owned();
        if host.likes.as_ref().is_some_and(|only| *only != stock::sha256(&config)) {
            return Err("etcd does not like its configuration".into());
        }
        for file in HOST_FILES {
            if !host.files.contains_key(&host.spec.paths.pki.join(file)) {
                return Err(format!("no {file}"));
            }
        }
        // What the unit asks before it starts etcd.
        let begins = Marker::parse(host.marker.as_deref().unwrap_or_default()).is_some_and(|marker| !marker.complete);
        if host.disk().is_none() && !begins {
            return Err("no data".into());
        }
        match host.data.clone() {
            Data::Foreign => Err("the data directory holds something else".into()),
            Data::Aborted => Err("a database without a write-ahead log".into()),
            Data::Member(disk) => {
                self.fits(node, disk, version)?;
                self.can_read(node, disk, version)?;
                self.resume(disk).map(|()| version)
            }
            Data::Empty => {
                let initial = initial_of(&config).ok_or("no initial-cluster")?;
                self.first_start(node, &initial).map(|()| version)
            }
        }
    }

    /// A server refuses a cluster that has reached a later minor, and storage of such a form (`invalid downgrade`).
    fn fits(&mut self, node: &NodeName, disk: Disk, version: Version) -> Result<(), String> {
        let cluster = self.clusters.get(&disk.cluster);
        let form = cluster.and_then(|c| c.storage.get(&disk.member).copied());
        let reached = cluster.and_then(|c| c.version).max(form);
        match reached.map(|reached| version.series().cmp(&reached)) {
            Some(Ordering::Less) => {
                self.happened.push(Happening::TooOld { node: node.clone() });
                Err("invalid downgrade".into())
            }
            Some(Ordering::Greater) => {
                let (node, cluster) = (node.clone(), disk.cluster);
                let others = self.live(cluster);
                if others.values().all(|other| other.version.series() < version.series()) {
                    self.happened.push(Happening::Upgraded { node, cluster });
                }
                Ok(())
            }
            Some(Ordering::Equal) | None => Ok(()),
        }
    }

    /// With a write-ahead log `initial-*` is not looked at. A removed member ends again once its peers tell it.
    fn resume(&mut self, disk: Disk) -> Result<(), String> {
        let cluster = self.clusters.get(&disk.cluster);
        match cluster.is_some_and(|c| c.removed.contains(&disk.member) && c.leader.is_some()) {
            true => Err("the member has been permanently removed from the cluster".into()),
            false => Ok(()),
        }
    }

    fn first_start(&mut self, node: &NodeName, initial: &InitialCluster) -> Result<(), String> {
        let url = self.hosts[node].peer_url();
        if !initial
            .members
            .iter()
            .any(|(name, u)| name == node.as_str() && *u == url)
        {
            return Err("it is not in its own initial-cluster".into());
        }
        match initial.state {
            InitialState::New => self.found(node, initial),
            InitialState::Existing => {
                let joined = self.join(node, initial);
                if joined.is_err() {
                    // etcd makes its database before it asks its peers.
                    self.host(node).data = Data::Aborted;
                }
                joined
            }
        }
    }

    fn found(&mut self, node: &NodeName, initial: &InitialCluster) -> Result<(), String> {
        let url = self.hosts[node].peer_url();
        if self.peer_of(initial, node).is_some_and(|id| self.started_at(id, node)) {
            return Err(format!("{url} has already been bootstrapped"));
        }
        let ids: Vec<MemberId> = initial
            .members
            .iter()
            .map(|(_, u)| bootstrap_member_id(std::slice::from_ref(u), &initial.token))
            .collect();
        let id = bootstrap_cluster_id(&ids);
        let member = bootstrap_member_id(&[url], &initial.token);
        let now = self.now;
        let cluster = self.clusters.entry(id).or_insert_with(|| {
            let members = initial.members.iter().zip(&ids).map(|((name, url), id)| {
                let urls = vec![url.clone()];
                (
                    *id,
                    Member {
                        id: *id,
                        name: name.clone(),
                        peer_urls: urls,
                        client_urls: Vec::new(),
                        learner: false,
                    },
                )
            });
            Cluster::of(members.collect(), now)
        });
        let again = !cluster.has_run.insert(member);
        self.forgotten |= again && self.hosts[node].unit.by_itself;
        self.happened.push(Happening::Founded {
            node: node.clone(),
            cluster: id,
            again,
        });
        let index = ids.len() as u64;
        self.host(node).data = Data::Member(Disk::new(id, member, index));
        Ok(())
    }

    fn join(&mut self, node: &NodeName, initial: &InitialCluster) -> Result<(), String> {
        let id = self
            .peer_of(initial, node)
            .ok_or("cannot fetch the cluster's members from its peers")?;
        let url = self.hosts[node].peer_url();
        let cluster = self.clusters.get_mut(&id).ok_or("no such cluster")?;
        if cluster.members.len() != initial.members.len() {
            return Err("error validating peerURLs: member count is unequal".into());
        }
        let known = |m: &Member| {
            m.peer_urls
                .iter()
                .all(|u| initial.members.iter().any(|(_, wanted)| wanted == u))
        };
        if !cluster.members.values().all(known) {
            return Err("PeerURLs: no match found for existing member".into());
        }
        let own = cluster
            .members
            .values()
            .find(|m| m.peer_urls.contains(&url))
            .ok_or("it is not registered")?;
        let member = own.id;
        // It begins with a snapshot that the leader sends.
        let sent = cluster.committed;
        let again = !cluster.has_run.insert(member);
        self.forgotten |= again && self.hosts[node].unit.by_itself;
        self.happened.push(Happening::Joined {
            node: node.clone(),
            again,
        });
        self.host(node).data = Data::Member(Disk {
            snapshot: sent,
            ..Disk::new(id, member, 0)
        });
        Ok(())
    }

    /// The cluster that a running peer of `initial` tells a newcomer about.
    fn peer_of(&self, initial: &InitialCluster, node: &NodeName) -> Option<ClusterId> {
        let others = initial
            .members
            .iter()
            .filter_map(|(_, url)| self.behind(url))
            .filter(|h| h.spec.name != *node && h.reaches(&self.hosts[node], self.now));
        others
            .filter_map(SimHost::live)
            .find(|(_, process)| process.ready)
            .map(|(disk, _)| disk.cluster)
    }

    /// Whether a cluster lists the member at this host's address as one that has been there.
    fn started_at(&self, id: ClusterId, node: &NodeName) -> bool {
        let url = self.hosts[node].peer_url();
        let member = self
            .clusters
            .get(&id)
            .and_then(|c| c.members.values().find(|m| m.peer_urls.contains(&url)));
        member.is_some_and(|m| !m.client_urls.is_empty())
    }
}

/// The release that the unit file names, when its etcd is there and whole.
pub(super) fn release(host: &SimHost) -> Result<Version, String> {
    let unit = host.text(&host.unit_path()).ok_or("no unit file")?;
    let bin = format!("{}/", host.spec.paths.bin);
    let after = unit.split(&bin).nth(1).ok_or("the unit names no release")?;
    let version: Version = after
        .split(['/', ' ', '\n'])
        .next()
        .and_then(|text| text.parse().ok())
        .ok_or("the unit names no release")?;
    let etcd = Program::Etcd.as_str();
    let there = host.releases.get(&version).and_then(|release| release.get(etcd));
    match there == stock::binaries(version).get(etcd) {
        true => Ok(version),
        false => Err(format!("etcd {version} is not installed")),
    }
}
