//! The world as `ops/observe` sees it from the operator's machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::etcd::{Header, MemberStatus};
use crate::host::{DataFacts, DataState, Elsewhere, HostFacts, MemberUnit, ServiceFacts, ServiceState, SystemFacts};
use crate::inventory::{ClusterId, Desired, DesiredHost, MemberId, NodeName, Version};
use crate::ops::model::{DIFFERENT_CLUSTERS, Fact, Membership, NO_QUORUM, NO_WAY_TO_ASK, Observed};
use crate::ops::sight::nobody_runs;

use super::downgrade::FIRST_TO_GO_BACK;
use super::host::{Data, Disk, Link, SimHost};
use super::raft::Cluster;
use super::stock;
use super::world::World;

impl World {
    /// A look at everything.
    pub fn observe(&self, desired: &Desired) -> Observed {
        self.look_again(desired, BTreeMap::new(), &desired.hosts.keys().cloned().collect())
    }

    /// A look at these hosts and the cluster; the rest as it was seen before.
    pub fn look_again(
        &self,
        desired: &Desired,
        mut hosts: BTreeMap<NodeName, Fact<HostFacts>>,
        fresh: &BTreeSet<NodeName>,
    ) -> Observed {
        for node in desired.hosts.keys().filter(|node| fresh.contains(node)) {
            hosts.insert(node.clone(), self.look_at(&desired.hosts[node]));
        }
        let cluster = self.look_at_cluster(desired, &hosts);
        let mut seen = Observed {
            at: stock::epoch() + Duration::from_millis(self.now),
            hosts,
            cluster,
            auth: Fact::Absent,
            // Nobody but quorate is connected here.
            clients: desired
                .hosts
                .keys()
                .map(|n| (n.clone(), Fact::Known(Vec::new())))
                .collect(),
            replays: BTreeMap::new(),
        };
        seen.replays = self.replays(desired, &seen);
        seen
    }

    fn look_at(&self, spec: &DesiredHost) -> Fact<HostFacts> {
        match self.hosts.get(&spec.name) {
            Some(host) if host.link == Link::Up => Fact::Known(facts(host, spec)),
            _ => Fact::Unknown("no answer".into()),
        }
    }

    fn look_at_cluster(&self, desired: &Desired, hosts: &BTreeMap<NodeName, Fact<HostFacts>>) -> Fact<Membership> {
        if self.keys.is_none() {
            let why =
                format!("{NO_WAY_TO_ASK}: there is no CA in the pki directory\nput it there, from version control");
            return nothing_answers(hosts, &why);
        }
        let asked: Vec<(&DesiredHost, &SimHost)> = desired
            .hosts
            .values()
            // What was seen before says nothing about who runs now: whoever can be reached is asked.
            .filter(|spec| hosts.get(&spec.name).and_then(Fact::known).is_some())
            .filter_map(|spec| Some((spec, self.hosts.get(&spec.name)?)))
            .filter(|(_, host)| host.link == Link::Up && host.live().is_some())
            .collect();
        if asked.is_empty() {
            return nothing_answers(hosts, &nobody_runs(hosts));
        }
        let ids: BTreeSet<ClusterId> = asked.iter().filter_map(|(_, host)| self.quorum_list(host)).collect();
        let ready = |host: &SimHost| host.live().is_some_and(|(_, process)| process.ready);
        let unasked = asked
            .iter()
            .any(|(_, host)| ready(host) && self.status(host).known().is_none());
        let (Some(id), true) = (ids.first().copied(), ids.len() < 2) else {
            return Fact::Unknown(match ids.len() {
                0 if asked.iter().any(|(_, host)| self.can_ask(host) && !host.busy()) && !unasked => {
                    match hosts.values().all(|fact| fact.known().is_some()) {
                        true => format!("the cluster {NO_QUORUM}"),
                        false => format!("what can be seen of the cluster {NO_QUORUM} by itself"),
                    }
                }
                0 => "no member that could be queried answers".into(),
                _ => DIFFERENT_CLUSTERS.into(),
            });
        };
        let cluster = &self.clusters[&id];
        let mut status = BTreeMap::new();
        for (spec, host) in asked {
            // Where the list has none at the inventory's URL, a member is who it says it is.
            let listed = cluster
                .members
                .values()
                .find(|m| m.peer_urls.contains(&spec.peer_url()));
            let says = || self.status(host).known().map(|status| status.header.member_id);
            let answers = |disk: &Disk| disk.cluster == id && cluster.members.contains_key(&disk.member);
            let by_itself = || host.disk().filter(answers).and_then(|_| says());
            if let Some(member) = listed.map(|member| member.id).or_else(by_itself) {
                status.insert(member, self.status(host));
            }
        }
        // Members that are no hosts of the inventory are asked through one that is.
        let strangers = cluster.members.values().filter(|m| m.published());
        for stranger in strangers {
            let behind = stranger.peer_urls.first().and_then(|url| self.behind(url));
            if let Some(host) = behind.filter(|_| !status.contains_key(&stranger.id)) {
                status.insert(stranger.id, self.status(host));
            }
        }
        let works_at = status
            .iter()
            .filter(|(_, fact)| fact.known().is_some_and(MemberStatus::between_minors))
            .filter_map(|(id, _)| cluster.version.map(|at| (*id, Version::new(at.0, at.1, 0))))
            .collect();
        let mut membership = Membership {
            cluster_id: id,
            by_quorum: true,
            members: cluster.members.values().cloned().collect(),
            status,
            alarms: cluster.alarms.iter().copied().collect(),
            peers: BTreeMap::new(),
            unseen: BTreeMap::new(),
            works_at,
        };
        membership = membership.seen_from(desired, hosts);
        if !membership.unseen.is_empty() {
            membership.peers = self.streams(desired, &membership);
        }
        Fact::Known(membership)
    }

    /// The cluster whose member list this member can read from a quorum: it runs, is a voter, and somebody leads.
    fn quorum_list(&self, host: &SimHost) -> Option<ClusterId> {
        let (disk, process) = host.live().filter(|_| self.can_ask(host))?;
        let cluster = self.clusters.get(&disk.cluster)?;
        let voter = cluster.members.get(&disk.member).is_some_and(|m| !m.learner);
        let answers = process.ready && voter && !host.busy() && cluster.leader.is_some();
        (answers && cluster.has_quorum(&self.live(disk.cluster))).then_some(disk.cluster)
    }

    /// Whether the operator can talk to the member on a host.
    fn can_ask(&self, host: &SimHost) -> bool {
        host.link == Link::Up && host.answers(self.keys, self.now)
    }

    fn status(&self, host: &SimHost) -> Fact<MemberStatus> {
        let answer = host
            .live()
            .filter(|(_, process)| self.can_ask(host) && process.ready && !host.busy());
        let Some((disk, process)) = answer else {
            return Fact::Unknown("it did not answer status within 3 s".into());
        };
        let cluster = &self.clusters[&disk.cluster];
        let tells = process.version.series() >= FIRST_TO_GO_BACK;
        let minor = |series: (u32, u32)| Version::new(series.0, series.1, 0);
        let leader = cluster.leader.unwrap_or(MemberId(0));
        let header = Header {
            cluster_id: disk.cluster,
            member_id: disk.member,
            revision: i64::try_from(disk.index.min(cluster.committed)).unwrap_or(i64::MAX),
            raft_term: cluster.term,
        };
        Fact::Known(MemberStatus {
            header,
            version: process.version,
            db_size: disk.file,
            db_in_use: cluster.store.in_use(),
            // Only 3.6 and later tell.
            db_quota: if process.version.series() >= (3, 6) {
                process.quota
            } else {
                0
            },
            leader,
            raft_index: disk.index,
            raft_applied: disk.index,
            raft_term: cluster.term,
            errors: errors(cluster),
            learner: cluster.members.get(&disk.member).is_some_and(|m| m.learner),
            storage_version: cluster.storage.get(&disk.member).copied().filter(|_| tells).map(minor),
            downgrade: cluster.downgrade.filter(|_| tells).map(minor),
        })
    }
}

fn errors(cluster: &Cluster) -> Vec<String> {
    let leaderless = cluster.leader.is_none().then(|| "etcdserver: no leader".to_owned());
    let alarms = cluster
        .alarms
        .iter()
        .map(|alarm| format!("memberID:{} alarm:{} ", alarm.member.0, alarm.kind.word()));
    leaderless.into_iter().chain(alarms).collect()
}

fn nothing_answers(hosts: &BTreeMap<NodeName, Fact<HostFacts>>, why: &str) -> Fact<Membership> {
    let empty = |fact: &Fact<HostFacts>| fact.known().is_some_and(|f| f.data.state == DataState::Empty);
    match hosts.values().all(empty) {
        true => Fact::Absent,
        false => Fact::Unknown(why.into()),
    }
}

/// What one round trip to a host tells.
fn facts(host: &SimHost, spec: &DesiredHost) -> HostFacts {
    let process = host.unit.process.as_ref();
    let written = host.unit.enabled && host.files.contains_key(&host.unit_path());
    let unit = written.then(|| MemberUnit {
        service: host.spec.service.to_string(),
        member: host.spec.name.to_string(),
        cluster: stock::cluster_name().to_string(),
    });
    HostFacts {
        system: SystemFacts {
            member_units: unit.into_iter().collect(),
            ..host.system.clone()
        },
        files: host.files.clone(),
        service: ServiceFacts {
            state: state(host),
            enabled: host.unit.enabled,
            needs_reload: false,
            pid: process.map(|p| 1000 + u32::try_from(p.since).unwrap_or_default()),
            running_version: process.map(|p| p.version),
            running_exe: process.map(|p| host.spec.paths.release(p.version).join("etcd").to_string()),
            started_with: process.map(|p| p.started_with.clone()).unwrap_or_default(),
            last_exit: host.unit.failed.clone(),
            exe_replaced: false,
            active_seconds: None,
            restarts: u32::from(host.unit.failed.is_some()),
            drop_ins: Vec::new(),
            ignored_environment: Vec::new(),
        },
        data: data(host, spec),
        releases: host.releases.clone(),
        lock: None,
        loose: host.loose.clone(),
        exposed: Vec::new(),
        obstacles: Vec::new(),
    }
}

/// What lies where the inventory has the data, and traces of what lies elsewhere.
fn data(host: &SimHost, spec: &DesiredHost) -> DataFacts {
    let real = &host.spec.paths;
    if real.data != spec.paths.data {
        let member = matches!(host.data, Data::Aborted | Data::Member(_));
        return DataFacts {
            state: DataState::Empty,
            bytes: 0,
            db_bytes: 0,
            marker: None,
            set_aside: Vec::new(),
            elsewhere: Elsewhere {
                data: member.then(|| real.data.to_string()),
                ..Elsewhere::default()
            },
        };
    }
    DataFacts {
        state: match host.data {
            Data::Empty => DataState::Empty,
            Data::Aborted => DataState::Aborted,
            Data::Foreign => DataState::Foreign,
            Data::Member(_) => DataState::Bootstrapped,
        },
        bytes: host.disk().map_or(0, |disk| disk.file),
        db_bytes: host.disk().map_or(0, |disk| disk.file.max(20 << 10)),
        marker: host.marker.clone(),
        set_aside: Vec::new(),
        elsewhere: Elsewhere::default(),
    }
}

fn state(host: &SimHost) -> ServiceState {
    match (&host.unit.process, &host.unit.failed) {
        (Some(process), _) if process.ready => ServiceState::Running,
        (Some(_), _) => ServiceState::Starting,
        (None, Some(_)) => ServiceState::Failed,
        (None, None) if host.files.contains_key(&host.unit_path()) => ServiceState::Stopped,
        (None, None) => ServiceState::Missing,
    }
}
