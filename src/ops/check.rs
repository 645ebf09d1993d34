//! A condition on the observed world. One function judges it, for planner, executor, simulator and tests.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::host::{DataState, ServiceState};
use crate::inventory::{ClusterId, HostPath, MemberId, NodeName, PeerUrl, Version};
use crate::ops::model::{Fact, Membership, Observed, Policy, why_and_help};
use crate::ops::restore::RestoreNote;
use crate::ops::safety::bootstrap::Marker;
use crate::ops::safety::quorum::Strength;
use crate::ops::safety::trust::HostTrust;
use crate::ops::safety::{Blocked, downgrade, membership, moves, quorum, restore, streams, trust, upkeep, way_up};

/// A condition that a step needs before it runs, or brings about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "snake_case")]
pub enum Check {
    /// The host's data directory holds nothing of a finished cluster.
    NoData {
        /// The host.
        node: NodeName,
    },
    /// The member has a write-ahead log: etcd has started so far that it answers its peers.
    HasData {
        /// The host.
        node: NodeName,
    },
    /// The unit runs (or is on its way: etcd is ready only within a quorum).
    Started {
        /// The host.
        node: NodeName,
    },
    /// The unit does not run.
    Stopped {
        /// The host.
        node: NodeName,
    },
    /// The process runs this release with the files as they are on disk now.
    RunsCurrent {
        /// The host.
        node: NodeName,
        /// The release; `None` where it is whichever the unit on disk names.
        version: Option<Version>,
    },
    /// The member at this URL is a healthy voter.
    HealthyVoter {
        /// Its peer URL.
        url: PeerUrl,
    },
    /// The member at this URL is listed (voter or learner).
    Listed {
        /// Its peer URL.
        url: PeerUrl,
    },
    /// The member list has exactly these URLs for the member.
    HasUrls {
        /// The member.
        id: MemberId,
        /// Its peer URLs, in any order.
        urls: Vec<PeerUrl>,
    },
    /// [`moves::may_change_urls`].
    SafeToChangeUrls {
        /// The member.
        id: MemberId,
        /// Its peer URLs from then on.
        urls: Vec<PeerUrl>,
    },
    /// No member with this id is listed by a quorum.
    Unlisted {
        /// The member.
        id: MemberId,
    },
    /// Somebody else leads.
    NotLeader {
        /// The peer URL of the one that should not.
        url: PeerUrl,
    },
    /// It has applied nearly everything the leader has.
    CaughtUp {
        /// Its peer URL.
        url: PeerUrl,
        /// Entries it may be behind.
        within: u64,
    },
    /// [`streams::connected`]: the member at this URL hears every other one that is well, and they hear it.
    Connected {
        /// Its peer URL.
        url: PeerUrl,
    },
    /// [`streams::others_connected`].
    OthersConnected {
        /// Peer URL of the member that they carry on without.
        url: PeerUrl,
        /// What the operator allowed.
        policy: Policy,
    },
    /// Every member is a healthy voter of this cluster, and there are this many.
    AllHealthy {
        /// The id every member must report.
        cluster_id: Option<ClusterId>,
        /// How many there should be.
        members: usize,
    },
    /// [`quorum::may_stop`].
    SafeToStop {
        /// Peer URL of the member.
        url: PeerUrl,
        /// What the operator allowed.
        policy: Policy,
    },
    /// [`membership::may_add`].
    SafeToAdd,
    /// [`membership::may_promote`].
    SafeToPromote {
        /// Peer URL of the learner.
        url: PeerUrl,
    },
    /// [`membership::may_remove`].
    SafeToRemove {
        /// The member.
        id: MemberId,
        /// What the operator allowed.
        policy: Policy,
    },
    /// [`upkeep::may_defragment`].
    SafeToDefragment {
        /// Its peer URL.
        url: PeerUrl,
    },
    /// [`upkeep::has_room`].
    RoomForWrites {
        /// The quota of members that do not tell it themselves, bytes; 0 for none.
        quota: u64,
    },
    /// No alarm is on.
    NoAlarm,
    /// [`restore::nobody_connected`].
    NobodyConnected {
        /// The host.
        node: NodeName,
    },
    /// [`downgrade::would_listen`].
    SafeToBeginDowngrade {
        /// The release that comes.
        to: Version,
    },
    /// [`downgrade::everybody_may_go_back`].
    ReadyToGoBack {
        /// The release that comes.
        to: Version,
    },
    /// [`downgrade::may_go_back`].
    SafeToGoBack {
        /// Its peer URL.
        url: PeerUrl,
        /// The release that comes.
        to: Version,
    },
    /// [`downgrade::none_under_way`].
    NoDowngrade,
    /// [`downgrade::went_back`].
    WentBack {
        /// The release that has come.
        to: Version,
    },
    /// [`way_up::may_open`].
    SafeToOpenTheWayUp,
    /// [`way_up::may_enter`].
    SafeToEnter {
        /// The host.
        node: NodeName,
        /// The release that comes.
        to: Version,
    },
    /// The note of this restore lies on the host.
    RestoreNoted {
        /// The host.
        node: NodeName,
        /// Where it lies.
        at: HostPath,
        /// The new cluster's token, which is in it.
        token: String,
    },
    /// The note that its member is down on purpose is on the host.
    RestNoted {
        /// The host.
        node: NodeName,
        /// Where it is.
        at: HostPath,
    },
    /// Nothing of the member is on the host any more, but releases.
    NothingLeft {
        /// The host.
        node: NodeName,
        /// The note that stays.
        note_stays: Option<HostPath>,
    },
    /// The host carries a member's data of this cluster, as quorate's marker says.
    Restored {
        /// The host.
        node: NodeName,
        /// The cluster.
        cluster_id: ClusterId,
    },
    /// `ca.crt` holds exactly these CAs, and the running process was started with it.
    Trusts {
        /// The host.
        node: NodeName,
        /// Its `paths.pki`.
        pki: HostPath,
        /// SHA-256 of each CA certificate.
        cas: BTreeSet<String>,
    },
    /// The running process accepts certificates of this CA.
    Accepts {
        /// The host.
        node: NodeName,
        /// Its `paths.pki`.
        pki: HostPath,
        /// SHA-256 of the CA certificate.
        ca: String,
    },
    /// Server and peer certificate were signed by this CA.
    LeavesFrom {
        /// The host.
        node: NodeName,
        /// Its `paths.pki`.
        pki: HostPath,
        /// SHA-256 of the CA certificate.
        ca: String,
    },
    /// [`membership::may_wipe`].
    SafeToWipe {
        /// The peer URL of the member whose data it was.
        url: PeerUrl,
    },
}

/// How closely a host is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Only what the service manager says: milliseconds.
    Service,
    /// That, and what the data directory holds.
    Data,
    /// Everything, files and binaries hashed.
    Everything,
}

/// What is looked at again, before or after a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// These hosts, each as closely as this.
    pub hosts: BTreeMap<NodeName, Depth>,
    /// Whether etcd is asked. A member without a quorum keeps whoever asks waiting.
    pub cluster: bool,
    /// Whether each member is asked for its streams as well.
    pub streams: bool,
    /// The hosts whose members' raft logs are read, as far as a start goes through them again.
    pub replays: BTreeSet<NodeName>,
}

impl Look {
    /// As much as judging all of these takes.
    pub fn at(checks: &[Check]) -> Self {
        let mut look = Look {
            hosts: BTreeMap::new(),
            cluster: checks.iter().any(|check| check.host().is_none()),
            streams: checks.iter().any(Check::about_streams),
            replays: checks.iter().filter_map(Check::replay).cloned().collect(),
        };
        for (node, depth) in checks.iter().filter_map(Check::host) {
            let deepest = look.hosts.entry(node.clone()).or_insert(depth);
            *deepest = depth.max(*deepest);
        }
        look
    }

    /// At everything about one host.
    pub fn closely_at(node: &NodeName) -> Self {
        Look {
            hosts: [(node.clone(), Depth::Everything)].into(),
            ..Look::default()
        }
    }

    /// At etcd alone.
    pub fn at_the_cluster() -> Self {
        Look {
            cluster: true,
            ..Look::default()
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not; what was seen instead.
    Fails(String),
    /// It cannot be told; why.
    Unknown(String),
}

impl Verdict {
    /// True when the condition holds.
    pub fn holds(&self) -> bool {
        *self == Verdict::Holds
    }
}

impl Check {
    /// The host that must be looked at again to judge it, and how closely; `None` where asking etcd is enough.
    pub fn host(&self) -> Option<(&NodeName, Depth)> {
        match self {
            Check::RunsCurrent { node, .. }
            | Check::NobodyConnected { node }
            | Check::RestoreNoted { node, .. }
            | Check::RestNoted { node, .. }
            | Check::NothingLeft { node, .. }
            | Check::Restored { node, .. }
            | Check::Trusts { node, .. }
            | Check::Accepts { node, .. }
            | Check::LeavesFrom { node, .. } => Some((node, Depth::Everything)),
            Check::NoData { node } | Check::HasData { node } => Some((node, Depth::Data)),
            Check::Started { node } | Check::Stopped { node } | Check::SafeToEnter { node, .. } => {
                Some((node, Depth::Service))
            }
            _ => None,
        }
    }

    /// The host whose member's raft log must be read to judge it.
    fn replay(&self) -> Option<&NodeName> {
        match self {
            Check::SafeToEnter { node, .. } => Some(node),
            _ => None,
        }
    }

    /// Whether judging it takes a look at what members hear of each other.
    pub fn about_streams(&self) -> bool {
        matches!(self, Check::Connected { .. } | Check::OthersConnected { .. })
    }

    /// What to do when it does not come true although everything else has.
    pub fn way_out(&self) -> Option<&'static str> {
        self.about_streams().then_some(streams::WAY_OUT)
    }

    /// Judges the condition.
    pub fn eval(&self, seen: &Observed) -> Verdict {
        match self {
            Check::NoData { node } => on_host(seen, node, |facts| match facts.data.state {
                DataState::Empty => Verdict::Holds,
                DataState::Foreign => Verdict::Fails("files that do not belong to etcd".into()),
                _ if Marker::on(facts).is_some_and(|m| !m.complete) => Verdict::Holds,
                state => Verdict::Fails(format!("the data directory is {state:?}").to_lowercase()),
            }),
            Check::HasData { node } => on_host(seen, node, |facts| match facts.data.state {
                DataState::Bootstrapped => Verdict::Holds,
                _ => Verdict::Fails("etcd has no write-ahead log yet".into()),
            }),
            Check::Started { node } => on_host(seen, node, |facts| match facts.service.state {
                ServiceState::Running | ServiceState::Starting => Verdict::Holds,
                state => Verdict::Fails(format!("the unit is {state:?}").to_lowercase()),
            }),
            Check::Stopped { node } => on_host(seen, node, |facts| match facts.service.state {
                ServiceState::Missing | ServiceState::Stopped => Verdict::Holds,
                ServiceState::Failed if facts.service.pid.is_none() => Verdict::Holds,
                state => Verdict::Fails(format!("the unit is {state:?}").to_lowercase()),
            }),
            Check::NobodyConnected { node } => safe(restore::nobody_connected(seen, node)),
            Check::RunsCurrent { node, version } => on_host(seen, node, |facts| runs_current(facts, *version)),
            Check::Trusts { node, pki, cas } => {
                on_host(seen, node, |facts| trust::trusts(&HostTrust::of(pki, facts), cas))
            }
            Check::Accepts { node, pki, ca } => {
                on_host(seen, node, |facts| trust::accepts(&HostTrust::of(pki, facts), ca))
            }
            Check::LeavesFrom { node, pki, ca } => {
                on_host(seen, node, |facts| trust::leaves_from(&HostTrust::of(pki, facts), ca))
            }
            Check::HealthyVoter { url } => in_cluster(seen, |m| match m.at(url) {
                None => Verdict::Fails("it is not a member".into()),
                Some(member) if member.learner => Verdict::Fails("it is still a learner".into()),
                Some(member) if m.healthy(member.id) => Verdict::Holds,
                Some(member) => Verdict::Fails(why_unhealthy(m, member.id)),
            }),
            Check::Listed { url } => in_cluster(seen, |m| match m.at(url) {
                Some(_) => Verdict::Holds,
                None => Verdict::Fails("it is not on the member list".into()),
            }),
            Check::HasUrls { id, urls } => in_cluster(seen, |m| match m.members.iter().find(|x| x.id == *id) {
                None => Verdict::Fails("it is not on the member list".into()),
                Some(member) if same_urls(&member.peer_urls, urls) => Verdict::Holds,
                Some(_) => Verdict::Fails("the member list has other URLs for it".into()),
            }),
            Check::SafeToChangeUrls { id, urls } => in_cluster(seen, |m| safe(moves::may_change_urls(m, *id, urls))),
            Check::Unlisted { id } => {
                in_cluster(seen, |m| match (m.by_quorum, m.members.iter().any(|x| x.id == *id)) {
                    (false, _) => Verdict::Unknown("the member list is not confirmed by a quorum".into()),
                    (true, true) => Verdict::Fails("it is still on the member list".into()),
                    (true, false) => Verdict::Holds,
                })
            }
            Check::NotLeader { url } => in_cluster(seen, |m| match (m.leader(), m.at(url)) {
                (None, _) => Verdict::Unknown("no leader is known".into()),
                (Some(leader), Some(member)) if member.id == leader => Verdict::Fails("it is the leader".into()),
                _ => Verdict::Holds,
            }),
            Check::CaughtUp { url, within } => in_cluster(seen, |m| match m.at(url).map(|x| m.lag(x.id)) {
                None => Verdict::Fails("it is not a member".into()),
                Some(None) => Verdict::Unknown("it does not answer yet".into()),
                Some(Some(lag)) if lag <= *within => Verdict::Holds,
                Some(Some(lag)) => Verdict::Fails(format!("{lag} entries behind")),
            }),
            Check::Connected { url } => in_cluster(seen, |m| match m.at(url) {
                None => Verdict::Fails("it is not a member".into()),
                Some(member) => safe(streams::connected(m, member.id)),
            }),
            Check::OthersConnected { url, policy } => in_cluster(seen, |m| match m.at(url) {
                None => Verdict::Holds,
                Some(member) => safe(streams::others_connected(m, member.id, *policy)),
            }),
            Check::AllHealthy { cluster_id, members } => in_cluster(seen, |m| all_healthy(m, *cluster_id, *members)),
            Check::SafeToStop { url, policy } => in_cluster(seen, |m| match m.at(url) {
                None => Verdict::Holds,
                Some(member) => safe(quorum::may_stop(m, member.id, *policy)),
            }),
            Check::SafeToAdd => in_cluster(seen, |m| safe(membership::may_add(m))),
            Check::SafeToPromote { url } => in_cluster(seen, |m| match m.at(url) {
                None => Verdict::Fails("it is not a member".into()),
                Some(member) => safe(membership::may_promote(m, member.id)),
            }),
            Check::SafeToRemove { id, policy } => in_cluster(seen, |m| safe(membership::may_remove(m, *id, *policy))),
            Check::SafeToWipe { url } => in_cluster(seen, |m| safe(membership::may_wipe(m, url))),
            Check::SafeToDefragment { url } => in_cluster(seen, |m| match m.at(url) {
                None => Verdict::Fails("it is not a member".into()),
                Some(member) => safe(upkeep::may_defragment(m, member.id)),
            }),
            Check::RoomForWrites { quota } => in_cluster(seen, |m| safe(upkeep::has_room(m, *quota))),
            Check::NoAlarm => in_cluster(seen, |m| match m.alarms.first() {
                None => Verdict::Holds,
                Some(alarm) => Verdict::Fails(format!("the alarm {} is active", alarm.kind.word())),
            }),
            Check::SafeToBeginDowngrade { to } => in_cluster(seen, |m| safe(downgrade::would_listen(m, *to))),
            Check::ReadyToGoBack { to } => in_cluster(seen, |m| safe(downgrade::everybody_may_go_back(m, *to))),
            Check::SafeToGoBack { url, to } => in_cluster(seen, |m| match m.at(url) {
                None => Verdict::Holds,
                Some(member) => safe(downgrade::may_go_back(m, member.id, *to)),
            }),
            Check::NoDowngrade => in_cluster(seen, |m| safe(downgrade::none_under_way(m))),
            Check::WentBack { to } => in_cluster(seen, |m| safe(downgrade::went_back(m, *to))),
            Check::SafeToOpenTheWayUp => in_cluster(seen, |m| safe(way_up::may_open(m, &BTreeSet::new()))),
            Check::SafeToEnter { node, to } => safe(way_up::may_enter(&seen.replays, node, *to)),
            Check::RestoreNoted { node, at, token } => on_host(seen, node, |facts| {
                let text = facts.files.get(at).and_then(|file| file.content.as_deref());
                match text.and_then(|text| serde_json::from_str::<RestoreNote>(text).ok()) {
                    Some(note) if note.token == *token => Verdict::Holds,
                    Some(note) => Verdict::Fails(format!("it is part of the restore {}", note.token)),
                    None => Verdict::Fails("it has no restore marker".into()),
                }
            }),
            Check::RestNoted { node, at } => on_host(seen, node, |facts| match facts.files.contains_key(at) {
                true => Verdict::Holds,
                false => Verdict::Fails("it has no note that it is down on purpose".into()),
            }),
            Check::NothingLeft { node, note_stays } => on_host(seen, node, |facts| {
                let mut files = facts.files.keys().filter(|path| Some(*path) != note_stays.as_ref());
                match (facts.data.state, files.next()) {
                    (DataState::Empty, None) => Verdict::Holds,
                    (_, Some(path)) => Verdict::Fails(format!("{path} is still there")),
                    (state, None) => Verdict::Fails(format!("the data directory is {state:?}").to_lowercase()),
                }
            }),
            Check::Restored { node, cluster_id } => on_host(seen, node, |facts| match Marker::on(facts) {
                _ if facts.data.state != DataState::Bootstrapped => Verdict::Fails("it has no data yet".into()),
                Some(marker) if marker.cluster_id == *cluster_id => Verdict::Holds,
                _ => Verdict::Fails(format!("its data does not belong to the cluster {cluster_id}")),
            }),
        }
    }
}

/// Whether the process on a host runs `version` (when given) with the files that are on disk now.
pub fn runs_current(facts: &crate::host::HostFacts, version: Option<Version>) -> Verdict {
    let service = &facts.service;
    if service.pid.is_none() {
        return Verdict::Fails("it does not run".into());
    }
    match service.running_version {
        Some(running) if version.is_none_or(|wanted| wanted == running) => {}
        Some(running) => return Verdict::Fails(format!("it runs etcd {running}")),
        None => return Verdict::Fails("it runs an executable that quorate did not install".into()),
    }
    if service.exe_replaced {
        return Verdict::Fails("its executable was replaced since it started".into());
    }
    let stale = service
        .started_with
        .iter()
        .find(|(path, sha)| facts.files.get(path).is_some_and(|f| f.sha256 != **sha));
    match stale {
        Some((path, _)) => Verdict::Fails(format!("it was started before {path} changed")),
        None if service.started_with.is_empty() => Verdict::Fails("it is unknown what it was started with".into()),
        None => Verdict::Holds,
    }
}

fn same_urls(these: &[PeerUrl], those: &[PeerUrl]) -> bool {
    these.iter().collect::<BTreeSet<_>>() == those.iter().collect::<BTreeSet<_>>()
}

fn all_healthy(m: &Membership, cluster_id: Option<ClusterId>, members: usize) -> Verdict {
    if let Some(wanted) = cluster_id.filter(|wanted| *wanted != m.cluster_id) {
        return Verdict::Fails(format!("cluster id {} instead of {wanted}", m.cluster_id));
    }
    if m.members.len() != members {
        return Verdict::Fails(format!("{} members instead of {members}", m.members.len()));
    }
    if let Some(sick) = m.members.iter().find(|x| !m.healthy(x.id)) {
        let name = if sick.started() {
            sick.name.clone()
        } else {
            sick.id.to_string()
        };
        return Verdict::Fails(format!("{name}: {}", why_unhealthy(m, sick.id)));
    }
    let strength = Strength::of(m);
    if strength.voters != members {
        return Verdict::Fails(format!("{} voters instead of {members}", strength.voters));
    }
    if m.leader().is_none() {
        return Verdict::Fails("the members do not agree on a leader".into());
    }
    Verdict::Holds
}

/// Why a member does not count as healthy, in a few words.
pub fn why_unhealthy(m: &Membership, id: MemberId) -> String {
    match m.status.get(&id) {
        Some(Fact::Known(s)) if s.header.cluster_id != m.cluster_id => {
            format!("it belongs to the cluster {}", s.header.cluster_id)
        }
        Some(Fact::Known(s)) if s.header.member_id != id => format!("{} answers instead", s.header.member_id),
        Some(Fact::Known(s)) if s.leader.0 == 0 => "it has no leader".into(),
        Some(Fact::Known(s)) => s.errors.join(", "),
        Some(Fact::Unknown(why)) => why.clone(),
        Some(Fact::Absent) | None => m.in_the_dark(id).unwrap_or_else(|| "it does not answer".into()),
    }
}

fn safe(result: Result<(), Blocked>) -> Verdict {
    match result {
        Ok(()) => Verdict::Holds,
        Err(blocked) => Verdict::Fails(blocked.reason),
    }
}

fn on_host(seen: &Observed, node: &NodeName, judge: impl FnOnce(&crate::host::HostFacts) -> Verdict) -> Verdict {
    match seen.hosts.get(node) {
        Some(Fact::Known(facts)) => judge(facts),
        Some(Fact::Unknown(why)) => Verdict::Unknown(why_and_help(why).0.to_owned()),
        Some(Fact::Absent) | None => Verdict::Unknown("the host was not inspected".into()),
    }
}

fn in_cluster(seen: &Observed, judge: impl FnOnce(&Membership) -> Verdict) -> Verdict {
    match &seen.cluster {
        Fact::Known(membership) => judge(membership),
        Fact::Absent => Verdict::Fails("no cluster answers".into()),
        Fact::Unknown(why) => Verdict::Unknown(why.clone()),
    }
}
