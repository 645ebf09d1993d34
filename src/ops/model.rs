//! What was observed, what is wanted of it, and what the operator allowed.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::etcd::{Alarm, Member, MemberStatus, Replay};
use crate::host::{Client, HostFacts};
use crate::inventory::{ClusterId, Desired, DesiredHost, MemberId, NodeName, PeerUrl, Version};
use crate::ops::authorization::AuthState;
use crate::ops::destroy::DestroyOrder;
use crate::ops::recover::RecoverOrder;
use crate::ops::rest::RestNote;
use crate::ops::restore::RestoreOrder;
use crate::pki::{IssuedRecord, Stage};

/// Something looked at. **Unreachable is never absent**: a rule that needs a fact is blocked by `Unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fact<T> {
    /// Seen.
    Known(T),
    /// Looked, and it is not there.
    Absent,
    /// Could not look: why, and on a second line what to do about it, where that is known.
    Unknown(String),
}

impl<T> Fact<T> {
    /// Could not be looked at: why, and what to do about it; [`why_and_help`] takes them apart again.
    pub fn unknown(why: &str, help: Option<&str>) -> Self {
        let why: Vec<&str> = why.lines().collect();
        let help = help.filter(|help| !help.is_empty());
        let help = help.map(|help| format!("\n{help}")).unwrap_or_default();
        Fact::Unknown(why.join("; ") + &help)
    }

    /// The value, when it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            _ => None,
        }
    }
}

/// How the reason of an unknown cluster begins when hosts run members of different ones, which no start mends.
pub const DIFFERENT_CLUSTERS: &str = "the hosts run members of different clusters";

/// Which cluster is where, for a person: `ID on etcd-1, etcd-2; ID on etcd-3`.
pub fn each_cluster(clusters: &BTreeMap<ClusterId, Vec<impl ToString>>) -> String {
    let each = clusters.iter().map(|(id, names)| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        format!("{id} on {}", names.join(", "))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// What the reason of an unknown cluster says when a member could be asked, and stands alone.
pub const NO_QUORUM: &str = "has no quorum";

/// How the reason of an unknown cluster begins when members run and there was no way to ask any of them: that is at our end,
/// and says nothing about theirs.
pub const NO_WAY_TO_ASK: &str = "no member could be queried";

/// The two lines of what a [`Fact::Unknown`] says: why, and what to do about it.
pub fn why_and_help(unknown: &str) -> (&str, Option<&str>) {
    let (why, help) = match unknown.split_once('\n') {
        Some((why, help)) => (why, Some(help)),
        None => (unknown, None),
    };
    (
        if why.is_empty() {
            "it could not be inspected"
        } else {
            why
        },
        help,
    )
}

/// Everything one look at the hosts and the cluster told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// When.
    pub at: Timestamp,
    /// Every host of the inventory (and hosts of members that have left it, where they could be reached).
    pub hosts: BTreeMap<NodeName, Fact<HostFacts>>,
    /// The cluster. `Absent`: nothing answers and no reachable host carries data.
    pub cluster: Fact<Membership>,
    /// etcd's users and roles. `Absent`: no member was queried, because the inventory says nothing about them.
    pub auth: Fact<AuthState>,
    /// Who is connected to the member of each host. Hosts are missing where that was not inspected: only what stops every
    /// member needs it.
    pub clients: BTreeMap<NodeName, Fact<Vec<Client>>>,
    /// What the member of each host goes through again when it starts. Hosts are missing where that was not inspected: only
    /// the way up to 3.7 needs it ([`crate::ops::safety::way_up`]).
    pub replays: BTreeMap<NodeName, Fact<Replay>>,
}

impl Observed {
    /// Whether a member was seen to run on a host.
    pub fn runs(&self, node: &NodeName) -> bool {
        let facts = self.hosts.get(node).and_then(Fact::known);
        facts.is_some_and(|facts| facts.service.pid.is_some())
    }

    /// The hosts of an inventory on which a member runs.
    pub fn running<'a>(&'a self, desired: &'a Desired) -> impl Iterator<Item = &'a DesiredHost> {
        desired.hosts.values().filter(|host| self.runs(&host.name))
    }
}

/// The cluster as its members see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// The id every member agreed on.
    pub cluster_id: ClusterId,
    /// Whether the list comes from a linearizable read, so that a quorum stands behind it.
    pub by_quorum: bool,
    /// The member list.
    pub members: Vec<Member>,
    /// What each member says of itself; `Unknown` when it did not answer. Who was not asked is missing.
    pub status: BTreeMap<MemberId, Fact<MemberStatus>>,
    /// Active alarms.
    pub alarms: Vec<Alarm>,
    /// The members that each member has a live stream to (`etcd_network_active_peers`). Members are missing where that was
    /// not asked: it costs a connection to each, and only what stops or proves a member needs it.
    pub peers: BTreeMap<MemberId, Fact<BTreeSet<MemberId>>>,
    /// Members that nobody asked because their host cannot be inspected: why, and on a second line what to do about it.
    /// They may be as well as any ([`Membership::health`]).
    #[serde(default)]
    pub unseen: BTreeMap<MemberId, String>,
    /// The version that the cluster as a whole works at, as each member says (`/version`). Asked only of members that are
    /// between two minor releases ([`MemberStatus::between_minors`]).
    pub works_at: BTreeMap<MemberId, Version>,
}

impl Membership {
    /// The member that lives at one of these peer URLs. Names are only labels to etcd; URLs are identity.
    pub fn at(&self, url: &PeerUrl) -> Option<&Member> {
        self.members.iter().find(|m| m.peer_urls.contains(url))
    }

    /// The member of a host.
    pub fn of(&self, host: &DesiredHost) -> Option<&Member> {
        self.at(&host.peer_url())
    }

    /// Members with a vote.
    pub fn voters(&self) -> impl Iterator<Item = &Member> + Clone {
        self.members.iter().filter(|m| !m.learner)
    }

    /// What a member last said of itself.
    pub fn status_of(&self, id: MemberId) -> Option<&MemberStatus> {
        self.status.get(&id).and_then(Fact::known)
    }

    /// The release that each member runs which answered.
    pub fn releases(&self) -> impl Iterator<Item = Version> {
        self.status
            .values()
            .filter_map(Fact::known)
            .map(|status| status.version)
    }

    /// The leader that a majority of the answering voters name.
    pub fn leader(&self) -> Option<MemberId> {
        let mut votes: BTreeMap<MemberId, usize> = BTreeMap::new();
        for status in self
            .voters()
            .filter_map(|m| self.status_of(m.id))
            .filter(|s| s.leader.0 != 0)
        {
            *votes.entry(status.leader).or_default() += 1;
        }
        let (id, count) = votes.into_iter().max_by_key(|(_, count)| *count)?;
        (count > self.voters().count() / 2).then_some(id)
    }

    /// It answered as itself, belongs to this cluster and has a leader: raft counts on it, whatever errors it reports.
    pub fn takes_part(&self, id: MemberId) -> bool {
        self.status_of(id)
            .is_some_and(|s| s.header.cluster_id == self.cluster_id && s.header.member_id == id && s.leader.0 != 0)
    }

    /// Healthy: it takes part, and reports no error of its own.
    pub fn healthy(&self, id: MemberId) -> bool {
        let sound = |s: &MemberStatus| s.errors.iter().all(|e| e.contains("NOSPACE"));
        self.takes_part(id) && self.status_of(id).is_some_and(sound)
    }

    /// How far a member's applied index is behind the highest index any member has.
    pub fn lag(&self, id: MemberId) -> Option<u64> {
        let highest = self
            .status
            .values()
            .filter_map(Fact::known)
            .map(|s| s.raft_index)
            .max()?;
        Some(highest.saturating_sub(self.status_of(id)?.raft_applied))
    }

    /// What makes two member lists the same for a saved plan: ids, peer URLs and votes.
    pub fn fingerprint(&self) -> String {
        let mut parts: Vec<String> = self
            .members
            .iter()
            .map(|m| {
                let urls: Vec<&str> = m.peer_urls.iter().map(|u| u.0.as_str()).collect();
                format!("{}={}{}", m.id, urls.join("+"), if m.learner { "?" } else { "" })
            })
            .collect();
        parts.sort();
        format!("{}[{}]", self.cluster_id, parts.join(","))
    }
}

/// What the operator asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "snake_case")]
pub enum Intent {
    /// `up`: bring hosts, config, version, certificates and members in line with the inventory.
    Converge {
        /// Also remove members that the inventory does not list.
        prune: bool,
        /// Only these hosts; empty means all.
        limit: Vec<NodeName>,
    },
    /// `restart`: every member (or these), one by one, although nothing changed.
    Restart {
        /// Only these hosts; empty means all.
        limit: Vec<NodeName>,
        /// When the command was given; one that goes on with an interrupted restart keeps that one's.
        begun: Timestamp,
        /// Also members that had their turn in an interrupted restart.
        afresh: bool,
    },
    /// `maintain`: one member stops, and stays down until its maintenance ends.
    Maintain {
        /// Whose host.
        node: NodeName,
        /// What is noted on the host.
        note: RestNote,
    },
    /// `maintain --done`: it starts again.
    EndMaintenance {
        /// Whose host.
        node: NodeName,
    },
    /// `stop`: all members, until `start`.
    Stop {
        /// What is noted on each host.
        note: RestNote,
        /// Hosts that cannot be reached: their members are left alone, which are no quorum.
        without: BTreeSet<NodeName>,
    },
    /// `start`: all members that are down, together.
    Start,
    /// `destroy`: the end of the cluster.
    Destroy(Box<DestroyOrder>),
    /// `remove-node`.
    Remove {
        /// Who leaves.
        node: NodeName,
        /// Delete the data instead of moving it aside.
        wipe: bool,
    },
    /// `replace-node`: `old` is gone for good (or reinstalled: then both are the same name).
    Replace {
        /// Who is gone.
        old: NodeName,
        /// Who takes its place.
        new: NodeName,
    },
    /// `restore`: a whole new cluster from a backup.
    Restore(Box<RestoreOrder>),
    /// `recover`, its first half: a backup of what a minority still has.
    Recover(Box<RecoverOrder>),
    /// `defrag`: every member whose file is worth it, one by one.
    Defragment {
        /// Only these hosts; empty means all.
        limit: Vec<NodeName>,
        /// Also where it is not worth it.
        force: bool,
    },
    /// `compact`: compact old revisions.
    Compact {
        /// How many of the newest revisions stay.
        keep: u64,
    },
    /// `alarm disarm`: remove the cause of every alarm, then the alarm.
    Disarm,
    /// `pki renew`: new server and peer certificates, without a restart.
    RotateLeaves {
        /// Only these hosts; empty means all.
        limit: Vec<NodeName>,
    },
    /// `pki rotate-ca`: goes on with the change of the CA that is under way.
    RotateCa {
        /// The old CA's key is in wrong hands: clients are not waited for.
        compromised: bool,
        /// Begin a rotation when none is under way.
        begin: bool,
    },
}

impl Intent {
    /// Whether a host is in the scope of this intent.
    pub fn covers(&self, node: &NodeName) -> bool {
        match self {
            Intent::Converge { limit, .. }
            | Intent::Restart { limit, .. }
            | Intent::Defragment { limit, .. }
            | Intent::RotateLeaves { limit } => limit.is_empty() || limit.contains(node),
            Intent::RotateCa { .. } | Intent::Compact { .. } | Intent::Disarm => true,
            Intent::Stop { without, .. } => !without.contains(node),
            Intent::Start => true,
            Intent::Remove { node: only, .. } | Intent::Maintain { node: only, .. } => node == only,
            Intent::EndMaintenance { node: only } => node == only,
            Intent::Replace { old, new } => node == old || node == new,
            Intent::Restore(order) => !order.without.contains(node),
            Intent::Recover(order) => !order.without.contains(node),
            Intent::Destroy(order) => !order.without.contains(node),
        }
    }

    /// Hosts that are gone for good, by the operator's word.
    pub fn left_out(&self) -> &[NodeName] {
        match self {
            Intent::Restore(order) => &order.without,
            Intent::Recover(order) => &order.without,
            Intent::Destroy(order) => &order.without,
            _ => &[],
        }
    }

    /// The host whose maintenance it ends.
    pub fn brings_back(&self) -> Option<&NodeName> {
        match self {
            Intent::EndMaintenance { node } => Some(node),
            _ => None,
        }
    }

    /// Whether every member stops at once, so that it matters who is connected.
    pub fn stops_everybody(&self) -> bool {
        matches!(
            self,
            Intent::Restore(_) | Intent::Recover(_) | Intent::Stop { .. } | Intent::Destroy(_)
        )
    }

    /// Whether it mends certificates: it must work when the CA has expired and etcd cannot be talked to.
    pub fn mends_trust(&self) -> bool {
        matches!(self, Intent::RotateLeaves { .. } | Intent::RotateCa { .. })
    }

    /// The command's name.
    pub fn verb(&self) -> &'static str {
        match self {
            Intent::Converge { .. } => "up",
            Intent::Restart { .. } => "restart",
            Intent::Maintain { .. } => "maintain",
            Intent::EndMaintenance { .. } => "maintain --done",
            Intent::Stop { .. } => "stop",
            Intent::Start => "start",
            Intent::Destroy(_) => "destroy",
            Intent::Remove { .. } => "remove-node",
            Intent::Replace { .. } => "replace-node",
            Intent::Restore(_) => "restore",
            Intent::Recover(_) => "recover",
            Intent::Defragment { .. } => "defrag",
            Intent::Compact { .. } => "compact",
            Intent::Disarm => "alarm disarm",
            Intent::RotateLeaves { .. } => "pki renew",
            Intent::RotateCa { .. } => "pki rotate-ca",
        }
    }
}

/// What the operator allowed on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `--accept-outage`: clients may be without etcd for a while.
    pub accept_outage: bool,
    /// `--accept-data-loss`: older data, or none, may take the place of what is there.
    pub accept_data_loss: bool,
    /// `--no-snapshot`: none is taken before what cannot be taken back.
    #[serde(default)]
    pub no_snapshot: bool,
    /// `upgrade` or `downgrade` was typed: members that are between two minor releases go the way that it says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub way_chosen: bool,
    /// `--clients-ready`: those that quorate issued no certificate to have one of the new CA, and trust it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clients_ready: bool,
}

/// What the planner works with besides the inventory and the observation: read from the operator's disk beforehand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Supplies {
    /// SHA-256 (hex) of each binary the bundle has, by release and architecture.
    pub releases: BTreeMap<Version, BTreeMap<crate::inventory::Arch, BTreeMap<String, String>>>,
    /// The CA certificates members should trust, PEM; `None` before the first `up`.
    pub ca_pem: Option<String>,
    /// The change of the CA that is under way on the operator's machine.
    #[serde(default)]
    pub next_ca: Option<NextCa>,
    /// The certificate that each client uses, as far as quorate issued it.
    #[serde(default)]
    pub clients: Vec<IssuedRecord>,
    /// SHA-256 (hex) of the revocation list, while it holds all that is revoked.
    #[serde(default)]
    pub crl: Option<String>,
    /// The CA's key is nowhere: the cluster was taken over without it, and nothing can be issued until the next CA signs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keyless: bool,
}

/// A change of the CA, as the operator's `pki` directory tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextCa {
    /// How far it has come there.
    pub stage: Stage,
    /// SHA-256 of the CA that comes.
    pub new: String,
    /// SHA-256 of the CA that goes.
    pub old: String,
    /// Clients have certificates of the CA that goes which quorate knows nothing of: the cluster was taken over with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub issued_elsewhere: bool,
}

/// The inventory's host that a member belongs to.
pub fn host_of<'a>(desired: &'a Desired, member: &Member) -> Option<&'a DesiredHost> {
    desired
        .hosts
        .values()
        .find(|host| member.peer_urls.contains(&host.peer_url()))
}

/// A member's name for people: its own, or its host's before it has started, or its id.
pub fn label(desired: &Desired, member: &Member) -> String {
    match host_of(desired, member) {
        Some(host) => host.name.to_string(),
        None if member.started() => member.name.clone(),
        None => member.id.to_string(),
    }
}
