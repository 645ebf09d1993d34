//! What etcd says, in quorate's own types.

use serde::{Deserialize, Serialize};

use crate::bounds::Exceeded;
use crate::inventory::{ClusterId, MemberId, PeerUrl, Version};

/// The header of every answer: who answered, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The cluster that answered.
    pub cluster_id: ClusterId,
    /// The member that answered. Behind a tunnel a certificate does not prove this; the header does.
    pub member_id: MemberId,
    /// The store's revision on that member.
    pub revision: i64,
    /// Its raft term.
    pub raft_term: u64,
}

/// An answer together with who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<T> {
    /// Who answered.
    pub header: Header,
    /// What was answered.
    pub value: T,
}

/// One entry of the member list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its name; empty until it has started once.
    pub name: String,
    /// Where peers reach it.
    pub peer_urls: Vec<PeerUrl>,
    /// Where clients reach it; empty until it has started once.
    pub client_urls: Vec<String>,
    /// True for a learner (no vote).
    pub learner: bool,
}

impl Member {
    /// A member that was added and has never started has no name (`IsStarted`, server/etcdserver/api/membership).
    pub fn started(&self) -> bool {
        !self.name.is_empty()
    }

    /// Whether it has ever told where clients reach it. One of a static bootstrap has its name from the others' config
    /// before it starts; its client URLs it publishes itself.
    pub fn published(&self) -> bool {
        !self.client_urls.is_empty()
    }
}

/// A member's answer to `Status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Who answered.
    pub header: Header,
    /// Its server version.
    pub version: Version,
    /// Database file, bytes.
    pub db_size: u64,
    /// Bytes in use inside it.
    pub db_in_use: u64,
    /// `quota-backend-bytes` in force; 0 where the version does not tell (before 3.6).
    pub db_quota: u64,
    /// Its leader; 0 when it has none.
    pub leader: MemberId,
    /// Last raft index it has.
    pub raft_index: u64,
    /// Last raft index it applied.
    pub raft_applied: u64,
    /// Its term.
    pub raft_term: u64,
    /// Errors it reports (`etcdserver: no leader`, alarms).
    pub errors: Vec<String>,
    /// True for a learner.
    pub learner: bool,
    /// The version whose form its storage has; `None` where the version does not tell (before 3.6).
    pub storage_version: Option<Version>,
    /// The version that the cluster is on its way back to; `None` also where the version does not tell (before 3.6).
    pub downgrade: Option<Version>,
}

impl MemberStatus {
    /// Whether it works in the form of another minor than its own, or is about to: an upgrade or a downgrade is under way.
    pub fn between_minors(&self) -> bool {
        let other = |form: Version| form.series() != self.version.series();
        self.downgrade.is_some() || self.storage_version.is_some_and(other)
    }
}

/// etcd advises against more than seven members; a list of more than this is not one of a cluster that quorate can look after.
pub(super) const MOST_MEMBERS: usize = 256;

/// Users, roles, and permissions of a role.
pub(super) const MOST_GRANTS: usize = 10_000;

/// An active alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alarm {
    /// Who raised it; 0 for CORRUPT alarms of 3.4 and 3.5, which do not say.
    pub member: MemberId,
    /// What it is.
    pub kind: AlarmKind,
}

/// etcd's alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AlarmKind {
    /// The database reached its quota: no writes.
    Nospace,
    /// Members disagree about the data.
    Corrupt,
}

impl AlarmKind {
    /// etcd's own word for it.
    pub fn word(self) -> &'static str {
        match self {
            AlarmKind::Nospace => "NOSPACE",
            AlarmKind::Corrupt => "CORRUPT",
        }
    }
}

/// The hash of the whole key space at one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvHash {
    /// Who answered.
    pub header: Header,
    /// The hash; comparable only between equal `compact_revision`s.
    pub hash: u32,
    /// Last compacted revision, -1 for none.
    pub compact_revision: i64,
}

/// A key and what is stored under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// Revision of the last write.
    pub mod_revision: i64,
    /// Number of writes since the key was created.
    pub version: i64,
}

/// A lease: keys attached to it vanish when it is no longer kept alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseId(pub i64);

/// Why etcd did not do what it was asked. One variant per thing the caller may want to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EtcdError {
    /// The stream could not be opened (closed port, host gone).
    #[error("cannot reach {endpoint}: {why}")]
    #[allow(missing_docs)]
    Unreachable { endpoint: String, why: String },
    /// The TLS handshake failed, from either side's point of view.
    #[error("TLS with {endpoint} failed: {why}")]
    #[allow(missing_docs)]
    Tls { endpoint: String, why: String },
    /// No answer within the limit (before quorum etcd's client port accepts and stays silent).
    #[error("{endpoint} did not answer {operation} within {seconds} s")]
    #[allow(missing_docs)]
    Silent {
        endpoint: String,
        operation: &'static str,
        seconds: u64,
    },
    /// An answer that is longer than it may be, or a stream that does not come on.
    #[error("{endpoint} answers {operation}: {exceeded}")]
    #[allow(missing_docs)]
    Passed {
        endpoint: String,
        operation: &'static str,
        exceeded: Exceeded,
    },
    /// No leader, leader changed, request timed out in raft: safe to try again for reads and idempotent calls.
    #[error("{operation}: {message}")]
    #[allow(missing_docs)]
    Unavailable { operation: &'static str, message: String },
    /// A learner that has not caught up yet.
    #[error("the learner is not in sync with the leader yet")]
    LearnerNotReady,
    /// etcd's own `strict-reconfig-check` or `unhealthy cluster` said no.
    #[error("{operation}: etcd refused: {message}")]
    #[allow(missing_docs)]
    Refused { operation: &'static str, message: String },
    /// No such member.
    #[error("etcd knows no member {0}")]
    NoSuchMember(MemberId),
    /// Must be asked of the leader.
    #[error("the member asked is not the leader")]
    NotLeader,
    /// The revision is compacted already (for `compact`: done).
    #[error("{operation}: the revision has been compacted")]
    #[allow(missing_docs)]
    Compacted { operation: &'static str },
    /// The quota is used up.
    #[error("{operation}: etcd's database quota is used up (NOSPACE)")]
    #[allow(missing_docs)]
    NoSpace { operation: &'static str },
    /// A CORRUPT alarm is on.
    #[error("{operation}: members disagree about the data (CORRUPT)")]
    #[allow(missing_docs)]
    Corrupt { operation: &'static str },
    /// etcd's authentication said no.
    #[error("{operation}: permission denied: {message}")]
    #[allow(missing_docs)]
    Denied { operation: &'static str, message: String },
    /// A snapshot stream that ended early or does not have the checksum it ends with.
    #[error("snapshot: the stream is damaged: {why}; take it again")]
    #[allow(missing_docs)]
    DamagedSnapshot { why: String },
    /// Anything else, with etcd's code and text.
    #[error("{operation}: {code}: {message}")]
    #[allow(missing_docs)]
    Other {
        operation: &'static str,
        code: String,
        message: String,
    },
}
