//! A plan as data: so specific that the executor has no choices left.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::backup::{RestoreTool, SnapshotDigest};
use crate::bundle::Program;
use crate::etcd::AlarmKind;
use crate::inventory::{Address, Arch, ClusterId, ClusterName, HostPath, MemberId, NodeName, PeerUrl, Version};
use crate::ops::authorization::AuthChange;
use crate::ops::check::Check;
use crate::ops::model::Intent;
use crate::ops::recover::Rescue;
use crate::ops::rest::{Purpose, RestNote, TurnNote};
use crate::ops::restore::{RestoreData, RestoreNote};
use crate::ops::safety::bootstrap::Marker;
use crate::report::human_bytes;

/// What will be done, in order. Holds no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What it was made from.
    pub header: Header,
    /// SHA-256 over what is done and to whom: two plans that do the same have the same, whatever led to them.
    pub steps_digest: String,
    /// Waves run one after the other; the steps of one wave run at the same time, on different hosts.
    pub waves: Vec<Wave>,
    /// Things worth knowing that need no step.
    pub notes: Vec<String>,
}

impl Plan {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.waves.is_empty()
    }

    /// Every step, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.waves.iter().flat_map(|w| &w.steps)
    }

    /// What to plan once more after this was done, because only then the rest can be seen; `None` when once is all.
    pub fn again(&self) -> Option<Intent> {
        match &self.header.intent {
            Intent::Converge { limit, .. } if self.sees_all_of(limit) => None,
            again @ Intent::Converge { .. } => Some(again.clone()),
            Intent::RotateCa { compromised, .. } => Some(Intent::RotateCa {
                compromised: *compromised,
                begin: false,
            }),
            _ => None,
        }
    }

    /// It was made with the cluster in sight, and itself looks again at every host that it is limited to.
    fn sees_all_of(&self, limit: &[NodeName]) -> bool {
        let looked_at = |node: &NodeName| {
            self.steps()
                .any(|step| matches!(&step.action, Action::LookAgain { nodes, .. } if nodes.contains(node)))
        };
        self.header.cluster_id.is_some() && !limit.is_empty() && limit.iter().all(looked_at)
    }

    /// The highest risk of any step.
    pub fn risk(&self) -> Risk {
        self.steps().map(|s| s.risk).max().unwrap_or(Risk::ReadOnly)
    }
}

/// What a plan was made from; a saved plan is refused when one of these no longer holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// What was asked for.
    pub intent: Intent,
    /// The cluster.
    pub cluster: ClusterName,
    /// SHA-256 of the desired state, as it is in every checkout ([`crate::inventory::Desired::wherever_it_is`]).
    pub desired_digest: String,
    /// etcd's id of the cluster, once there is one.
    pub cluster_id: Option<ClusterId>,
    /// The member list at that time.
    pub membership: Option<String>,
    /// When the world was looked at.
    pub observed_at: Timestamp,
}

/// Steps that run at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wave {
    /// What it is for.
    pub title: String,
    /// At most one step per host; beside a step on the cluster only what no member that runs takes notice of.
    pub steps: Vec<Step>,
    /// How many voters may fail before, during and after it; `None` while there is no cluster.
    pub tolerance: Option<Tolerance>,
}

/// "3 voters, survives 1 failure now, 0 during, 1 after".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tolerance {
    /// Voters after the wave.
    pub voters: usize,
    /// Voters that may fail before it.
    pub before: usize,
    /// ... while it runs. -1: writes stop.
    pub during: i64,
    /// ... after it.
    pub after: usize,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// `w2.etcd-1`; unique within the plan and the same for the same plan.
    pub id: String,
    /// Where.
    pub target: Target,
    /// What.
    pub action: Action,
    /// Must hold right before; else the run stops.
    pub requires: Vec<Check>,
    /// Hold afterwards; the step is not done before they were seen to.
    pub ensures: Vec<Check>,
    /// What it may cost.
    pub risk: Risk,
    /// Why it is needed.
    pub why: Vec<String>,
}

/// Where a step works.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// On a host.
    Node(NodeName),
    /// On the cluster as a whole.
    Cluster,
    /// On the operator's machine.
    Operator,
}

/// What a step may cost, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Nothing is changed.
    ReadOnly,
    /// Can be undone, nobody notices.
    Reversible,
    /// One failure less can be survived meanwhile.
    ReducesRedundancy,
    /// Clients are unavailable to clients.
    Outage,
    /// Data is gone afterwards.
    DestroysData,
}

/// What a step does. Closed, and plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Makes the cluster's CA, its key sealed to the operators.
    CreateAuthority,
    /// Puts things in place on a host; starts and stops nothing.
    Provision {
        /// What is put there.
        change: HostChange,
    },
    /// One turn of a change of the CA, on the operator's machine.
    RotateAuthority {
        /// Which.
        turn: AuthorityTurn,
    },
    /// Moves what an aborted start left behind out of the data directory.
    ClearAborted,
    /// Starts the member and does not wait for the quorum (the wave does).
    Start,
    /// Hands leadership over if this member leads, puts the change in place, restarts, waits until it has caught up.
    /// If it does not come up healthy the change is taken back.
    Restart {
        /// Files and release that take effect with the restart; empty for a plain restart.
        change: HostChange,
        /// Its peer URL.
        url: PeerUrl,
        /// What is noted on the host right before, where this is one turn of several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn: Option<TurnNote>,
    },
    /// Hands leadership over, notes that the member is down on purpose, stops it and keeps it from starting at boot.
    Rest {
        /// The note.
        note: RestNote,
        /// Its peer URL, where others carry on and should lead; `None` where everybody stops.
        url: Option<PeerUrl>,
    },
    /// Removes the note that a member is down on purpose.
    EndRest {
        /// The note.
        note: HostPath,
    },
    /// Removes what quorate has installed for a member that is stopped for good. Releases and data stay.
    Withdraw {
        /// What goes, in this order.
        files: Vec<HostPath>,
        /// The note that it is down on purpose, which goes last; `None` where it stays.
        note: Option<HostPath>,
    },
    /// Tells etcd to go back to an earlier minor, unless it has been told; it makes its storage ready then.
    BeginDowngrade {
        /// The release that comes.
        to: Version,
    },
    /// Tells etcd that it stays at the minor it came from.
    CallOffDowngrade {
        /// Where it was on its way to.
        to: Version,
    },
    /// Writes a key and deletes it, so that 3.5 finds the database of every member of 3.4 newer than its members (see
    /// [`super::way_up`]).
    WriteOneKey,
    /// Lets every member write a snapshot of its raft log, so that a start with this release goes through nothing that it
    /// cannot read: etcd is told to go back a minor release and, once its version has fallen, that it stays. Nobody is
    /// restarted.
    OpenTheWayUp {
        /// The release that comes.
        to: Version,
    },
    /// Adds the host as a learner.
    AddLearner {
        /// Its peer URL.
        url: PeerUrl,
    },
    /// Makes the learner a voter.
    Promote {
        /// Its peer URL.
        url: PeerUrl,
    },
    /// Hands leadership away from a member, to the voter that is furthest ahead.
    HandOver {
        /// The peer URL of the one that should not lead.
        url: PeerUrl,
    },
    /// Tells the cluster at which peer URLs a member is.
    ChangeUrls {
        /// The member.
        id: MemberId,
        /// Its name, for people.
        name: String,
        /// All of its URLs from then on.
        urls: Vec<PeerUrl>,
    },
    /// Takes a member off the list.
    RemoveMember {
        /// Its id.
        id: MemberId,
        /// Its name, for people.
        name: String,
    },
    /// Stops the unit and keeps it from starting at boot.
    Retire,
    /// Moves the data of a member that has left aside.
    SetAside,
    /// Deletes the data of a member that has left.
    Wipe,
    /// Takes a verified snapshot into `backups/` beside the inventory.
    Snapshot {
        /// What it is for, part of the file's name.
        reason: String,
    },
    /// Writes on a host that a restore is under way.
    NoteRestore {
        /// The note.
        note: RestoreNote,
    },
    /// Brings the plain snapshot to a host, and the program that restores it where the host lacks that.
    StageSnapshot {
        /// What must arrive.
        snapshot: SnapshotDigest,
        /// The directory for it.
        at: HostPath,
        /// The program to bring along.
        tool: Option<RestoreTool>,
    },
    /// Takes a backup of what a stopped member has, from a private etcd on a copy of its data.
    Rescue(Rescue),
    /// Gives free space inside a member's database back to the file system.
    Defragment {
        /// Its peer URL.
        url: PeerUrl,
    },
    /// Forgets everything before a revision.
    Compact {
        /// The revision.
        revision: i64,
    },
    /// Takes an alarm back, and sees that writes are accepted again.
    Disarm {
        /// Which.
        kind: AlarmKind,
    },
    /// Moves the data aside so that restored data can take its place.
    MakeRoom,
    /// Turns the snapshot into this member's data.
    RestoreData(Box<RestoreData>),
    /// Compares the hashes of all members at one revision.
    CompareMembers {
        /// The revision they must have reached.
        at_least: i64,
    },
    /// Removes what the restore worked with, and the note last.
    ForgetRestore {
        /// Where it worked.
        at: HostPath,
        /// The note.
        note: HostPath,
    },
    /// Changes etcd's users, roles and permissions, or switches its authentication.
    Authorize {
        /// One after the other.
        changes: Vec<AuthChange>,
    },
    /// Looks whether every port speaks TLS, refuses strangers, shows the right certificate and ids, and sees its peers.
    LookAgain {
        /// Whose ports.
        nodes: Vec<NodeName>,
        /// The id that must be there, when known beforehand.
        cluster_id: Option<ClusterId>,
    },
}

/// The three turns of a change of the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorityTurn {
    /// Makes the new CA; the old one goes on signing.
    Prepare,
    /// From now on the new CA signs.
    Switch,
    /// The old CA is trusted no longer, but for signatures of backups from its time.
    Retire,
    /// The old CA is trusted no longer, for nothing: its key may be in strange hands.
    Disown,
}

/// What is installed on one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostChange {
    /// A release to install side by side, with the digests it must have.
    pub release: Option<ReleaseChange>,
    /// Files that differ from what should be there.
    pub files: Vec<FileChange>,
    /// New server and peer certificates.
    pub certificates: bool,
    /// What these name besides: addresses at which the member is until it has moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_named: Vec<Address>,
    /// Another `ca.crt` beside the certificates that are there. etcd reads it at its next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<FileChange>,
    /// The revocation list, beside the certificates that are there. etcd reads it at every handshake.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crl: bool,
    /// Directories that belong to etcd's account and become root's, as earlier versions left them; a running etcd takes no
    /// notice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ownership: Vec<HostPath>,
    /// What to write into the data directory.
    pub marker: Option<Marker>,
    /// Make the unit start at boot (also: it is not yet).
    pub enable: bool,
}

impl HostChange {
    /// True when nothing would be installed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes out the programs that etcd runs without, `etcdctl` and `etcdutl`: most of the bytes of a release, which can
    /// arrive while the members start.
    pub fn split_tools(&mut self) -> HostChange {
        let Some(release) = self.release.as_mut() else {
            return HostChange::default();
        };
        let mut tools = release.clone();
        release.sha256.retain(|name, _| name == Program::Etcd.as_str());
        tools.sha256.retain(|name, _| name != Program::Etcd.as_str());
        self.release.take_if(|release| release.sha256.is_empty());
        HostChange {
            release: (!tools.sha256.is_empty()).then_some(tools),
            ..HostChange::default()
        }
    }

    /// Whether what etcd shows and trusts is installed anew.
    pub fn touches_certificates(&self) -> bool {
        self.certificates || self.crl || !self.ownership.is_empty()
    }

    /// Whether it goes to where only quorate's account and directories are; what is added beside a member finds them.
    pub fn breaks_ground(&self) -> bool {
        let files = self.trust.iter().chain(&self.files).next().is_some();
        files || self.touches_certificates() || self.marker.as_ref().is_some_and(|marker| !marker.complete)
    }
}

/// A release that a host lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseChange {
    /// Which.
    pub version: Version,
    /// The host's architecture.
    pub arch: Arch,
    /// SHA-256 (hex) by file name, of the files that are missing or differ.
    pub sha256: BTreeMap<String, String>,
}

/// A file that differs from what should be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Where.
    pub path: HostPath,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: String,
    /// SHA-256 (hex) of `text`.
    pub sha256: String,
    /// The whole new content. Never a secret.
    pub text: String,
    /// Unified diff against what is there.
    pub diff: String,
}

/// What a plan does and to whom, wave by wave. Not why: how old a certificate is changes at midnight.
pub(super) fn what_is_done(waves: &[Wave]) -> impl Serialize + use<> {
    let mut done = waves.to_vec();
    for wave in &mut done {
        wave.title.clear();
        wave.tolerance = None;
        wave.steps.iter_mut().for_each(|step| step.why.clear());
    }
    done
}

/// SHA-256 (hex) of a value's JSON, for telling whether two are the same.
pub fn digest<T: Serialize>(value: &T) -> String {
    hex::encode(Sha256::digest(serde_json::to_vec(value).unwrap_or_default()))
}

impl Action {
    /// What it puts on the host, for actions that put something there.
    pub fn change(&self) -> Option<&HostChange> {
        match self {
            Action::Provision { change } | Action::Restart { change, .. } => Some(change),
            _ => None,
        }
    }

    /// What it does, in a few words, for a person who reads the plan.
    pub fn describe(&self) -> String {
        match self {
            Action::CreateAuthority => "create the cluster CA and seal its key to the operators".into(),
            Action::RotateAuthority { turn } => match turn {
                AuthorityTurn::Prepare => "create the new CA and seal its key to the operators".into(),
                AuthorityTurn::Switch => "sign with the new CA from now on".into(),
                AuthorityTurn::Retire => "remove the old CA from ca.crt".into(),
                AuthorityTurn::Disown => {
                    "remove the old CA from ca.crt, and no longer trust backups signed under it".into()
                }
            },
            Action::Provision { change } => change.describe(),
            Action::ClearAborted => "move the remains of an aborted start aside".into(),
            Action::Start => "start etcd".into(),
            Action::Restart { change, .. } if change.is_empty() => "restart etcd".into(),
            Action::Restart { change, .. } => format!("{}; restart etcd", change.describe()),
            Action::Rest { note, .. } => match note.purpose {
                Purpose::Maintenance => "stop etcd; it stays down until its maintenance ends".into(),
                Purpose::Outage => "stop etcd; it stays down until `quorate start`".into(),
                Purpose::End => "stop etcd for good".into(),
            },
            Action::EndRest { .. } => "remove the note that it is down on purpose".into(),
            Action::Withdraw { .. } => "remove its unit, timer, configuration and certificates".into(),
            Action::BeginDowngrade { to } => {
                format!(
                    "enable the downgrade to {0}; wait until every member is ready for it",
                    to.series_text()
                )
            }
            Action::CallOffDowngrade { to } => format!("cancel the downgrade to {}", to.series_text()),
            Action::WriteOneKey => "write and delete one key, so that etcd 3.5 keeps all members on record".into(),
            Action::OpenTheWayUp { to } => format!(
                "have every member write a new snapshot of its raft log, which {} can start from; nothing restarts",
                to.series_text()
            ),
            Action::AddLearner { url } => format!("add {url} to the cluster as a learner"),
            Action::Promote { .. } => "wait until it has caught up, then promote it to a voter".into(),
            Action::HandOver { .. } => "transfer leadership".into(),
            Action::ChangeUrls { name, urls, .. } => {
                let urls: Vec<&str> = urls.iter().map(|url| url.0.as_str()).collect();
                format!("tell the cluster that {name} is at {}", urls.join(" and "))
            }
            Action::RemoveMember { id, name } => format!("remove the member {name} ({id})"),
            Action::Retire => "stop etcd and disable its unit".into(),
            Action::SetAside => "move its data aside".into(),
            Action::Wipe => "DELETE its data".into(),
            Action::Snapshot { reason } => format!("save a verified snapshot to backups/ ({reason})"),
            Action::NoteRestore { note } => format!("mark the host as being restored from {}", note.file),
            Action::StageSnapshot { snapshot, .. } => format!("copy the snapshot ({})", human_bytes(snapshot.size)),
            Action::Rescue(_) => "back up its data, using a private etcd on a copy".into(),
            Action::Defragment { .. } => "defragment its database".into(),
            Action::Compact { revision } => format!("compact everything before revision {revision}"),
            Action::Disarm { kind } => format!("disarm the alarm {}", kind.word()),
            Action::MakeRoom => "move its data aside".into(),
            Action::RestoreData(data) => match data.bump {
                Some(bump) => format!("restore the snapshot, revisions raised by {bump}"),
                None => "restore the snapshot".into(),
            },
            Action::CompareMembers { .. } => "compare the data of all members".into(),
            Action::ForgetRestore { .. } => "remove the restore marker".into(),
            Action::Authorize { changes } => match changes.as_slice() {
                [AuthChange::Enable] => "turn etcd's authentication ON".into(),
                [AuthChange::Disable] => "turn etcd's authentication OFF".into(),
                _ => format!("change users and roles ({})", count(changes.len(), "change")),
            },
            Action::LookAgain { nodes, .. } => {
                format!("verify TLS, identity and peers of {}", count(nodes.len(), "member"))
            }
        }
    }
}

impl HostChange {
    fn describe(&self) -> String {
        let mut parts = Vec::new();
        if let Some(release) = &self.release {
            let names: Vec<&str> = release.sha256.keys().map(String::as_str).collect();
            let what = match names.contains(&Program::Etcd.as_str()) {
                true => Program::Etcd.as_str().to_owned(),
                false => names.join(" and "),
            };
            parts.push(format!("{what} {}", release.version));
        }
        if self.certificates {
            parts.push("certificates".into());
        }
        if self.crl {
            parts.push("the revocation list".into());
        }
        parts.extend(
            self.trust
                .iter()
                .chain(&self.files)
                .map(|f| f.path.as_str().rsplit('/').next().unwrap_or_default().to_owned()),
        );
        let files = (!parts.is_empty()).then(|| format!("install {}", parts.join(", ")));
        let enable = self.enable.then(|| "enable etcd at boot".to_owned());
        let paths: Vec<&str> = self.ownership.iter().map(HostPath::as_str).collect();
        let ownership = (!paths.is_empty()).then(|| format!("make root the owner of {}", paths.join(", ")));
        let did: Vec<String> = files.into_iter().chain(ownership).chain(enable).collect();
        match did.is_empty() && self.marker.is_some() {
            true => "mark the member as complete".to_owned(),
            false => did.join("; "),
        }
    }
}

/// `1 member`, `3 members`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Connection;
    use crate::ops::samples::desired;

    #[test]
    fn the_digest_is_of_what_is_done_and_not_of_why() {
        let wave = |why: &str, to: MemberId| Wave {
            title: "remove".into(),
            steps: vec![Step {
                id: "w1.cluster".into(),
                target: Target::Cluster,
                action: Action::RemoveMember {
                    id: to,
                    name: "etcd-3".into(),
                },
                requires: Vec::new(),
                ensures: Vec::new(),
                risk: Risk::ReducesRedundancy,
                why: vec![why.to_owned()],
            }],
            tolerance: None,
        };
        let of = |wave: Wave| digest(&what_is_done(&[wave]));
        let today = of(wave("its certificate ends in 30 days", MemberId(3)));
        assert_eq!(today, of(wave("its certificate ends in 29 days", MemberId(3))));
        assert_ne!(today, of(wave("its certificate ends in 30 days", MemberId(2))));
    }

    #[test]
    fn two_checkouts_of_one_inventory_are_the_same_and_two_inventories_are_not() {
        let here = desired(3);
        let mut there = here.clone();
        there.pki.dir = "/builds/42/pki".into();
        there.pki.identities = vec!["/home/ci/.ssh/id_ed25519".into()];
        for host in there.hosts.values_mut() {
            if let Connection::Ssh(target) = &mut host.connection {
                target.known_hosts = "/builds/42/pki/known_hosts".into();
                target.identity = vec!["/home/ci/.ssh/id_ed25519".into()];
            }
        }
        assert_ne!(here, there);
        assert_eq!(here.wherever_it_is(), there.wherever_it_is());
        there.options.insert("snapshot-count".into(), 5000.into());
        assert_ne!(here.wherever_it_is(), there.wherever_it_is());
        let mut moved = here.clone();
        moved.hosts.values_mut().for_each(|host| host.client_port = 12379);
        assert_ne!(here.wherever_it_is(), moved.wherever_it_is());
    }
}
