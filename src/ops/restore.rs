//! What a restore is asked for, and the note it leaves on every host until it is finished.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup::{Manifest, SnapshotDigest};
use crate::etcd::{bootstrap_cluster_id, bootstrap_member_id};
use crate::host::HostFacts;
use crate::inventory::{ClusterId, ClusterName, Desired, DesiredHost, HostPath, NodeName, PeerUrl};
use crate::ops::safety::bootstrap::Marker;

/// What `restore` was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreOrder {
    /// The plain snapshot, which was read to its end and found whole.
    pub snapshot: SnapshotDigest,
    /// The file it is in, for people.
    pub file: String,
    /// A database without a checksum.
    pub bare: bool,
    /// What it says of itself.
    pub manifest: Option<Manifest>,
    /// When the command was given: makes the new cluster's id another one than that of any cluster before.
    pub begun: Timestamp,
    /// By how much to raise revisions, where the release can.
    pub bump: Option<u64>,
    /// Hosts that are gone and take no part.
    pub without: Vec<NodeName>,
    /// Take a snapshot of what is there first, when that is possible.
    pub snapshot_first: bool,
    /// Take a backup of another cluster.
    pub any_cluster: bool,
    /// Take what this cluster's CA did not sign.
    #[serde(default)]
    pub unsigned: bool,
}

/// As etcd's own guide has it, for a snapshot of a few days: more than most clusters write in a week
/// (op-guide/recovery, "Restoring with revision bump").
const LEAST_BUMP: u64 = 1_000_000_000;

/// More revisions than any cluster gives out in a second (etcd's own benchmark reached 50 104, op-guide/performance).
const FASTEST: u64 = 60_000;

/// By how much revisions must rise so that none that was given out since `taken_at` is given out again with another meaning:
/// neither by the cluster itself, nor by one that was restored from the same backup before.
pub fn bump(taken_at: Option<Timestamp>, begun: Timestamp) -> u64 {
    let age = taken_at.map_or(0, |taken_at| begun.duration_since(taken_at).as_secs());
    LEAST_BUMP + u64::try_from(age).unwrap_or(0) * FASTEST
}

impl RestoreOrder {
    /// The token of the cluster that comes of it.
    pub fn token(&self, cluster: &ClusterName) -> String {
        let start = self.snapshot.sha256.get(..8).unwrap_or_default();
        format!("{cluster}-restore-{}-{start}", self.begun.strftime("%Y%m%dT%H%M%SZ"))
    }
}

/// The note on every host that a restore is in progress, from before the first member stops until the new cluster was
/// seen healthy. Whoever comes next finds all it takes to finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreNote {
    /// SHA-256 (hex) of the plain snapshot.
    pub sha256: String,
    /// The file it came in, for people.
    pub file: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// The new cluster's token.
    pub token: String,
    /// By how much revisions are raised.
    pub bump: Option<u64>,
    /// Who takes part.
    pub hosts: BTreeSet<NodeName>,
    /// What the file had to be called by name for, and has to be again by whoever finishes it.
    #[serde(default)]
    pub by_name: ByName,
}

/// What a file may be only where that was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByName {
    /// `--unsigned`
    pub unsigned: bool,
    /// `--bare`
    pub bare: bool,
    /// `--from-another-cluster`
    pub any_cluster: bool,
}

impl ByName {
    /// The flags, each with a blank before it.
    pub fn flags(self) -> String {
        let flags = [
            (self.unsigned, " --unsigned"),
            (self.bare, " --bare"),
            (self.any_cluster, " --from-another-cluster"),
        ];
        flags.iter().filter(|(said, _)| *said).map(|(_, flag)| *flag).collect()
    }
}

impl RestoreNote {
    /// Where it lies.
    pub fn path(host: &DesiredHost) -> HostPath {
        host.paths.restore_note()
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The note on a host. A file that is there and cannot be read counts as one: `Some(None)`.
    pub fn on(host: &DesiredHost, facts: &HostFacts) -> Option<Option<Self>> {
        let file = facts.files.get(&Self::path(host))?;
        Some(file.content.as_deref().and_then(|text| serde_json::from_str(text).ok()))
    }

    /// The id that etcd gives the restored cluster.
    pub fn cluster_id(&self, desired: &Desired) -> ClusterId {
        let members: Vec<_> = desired
            .hosts
            .values()
            .filter(|host| self.hosts.contains(&host.name))
            .map(|host| bootstrap_member_id(&[host.peer_url()], &self.token))
            .collect();
        bootstrap_cluster_id(&members)
    }
}

/// How a snapshot becomes a member's data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreData {
    /// Where the snapshot lies.
    pub at: HostPath,
    /// The program.
    pub tool: HostPath,
    /// Who will be a member: `a=url,b=url`.
    pub initial_cluster: String,
    /// The new cluster's token.
    pub token: String,
    /// This member's peer URL.
    pub url: PeerUrl,
    /// By how much revisions rise; older ones then count as compacted.
    pub bump: Option<u64>,
    /// Whether the snapshot ends with its checksum.
    pub checksum: bool,
    /// Whose data it is from then on.
    pub marker: Marker,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_revision_that_was_given_out_since_the_backup_comes_again() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let taken = at("2026-01-01T00:00:00Z");
        let (first, second) = (at("2026-03-01T00:00:00Z"), at("2026-03-01T00:10:00Z"));
        let written_in_two_months = 1_500 * 59 * 86_400;
        assert!(bump(Some(taken), first) > written_in_two_months, "by a busy cluster");
        let written_in_between = 50_000 * 600;
        assert!(
            bump(Some(taken), second) > bump(Some(taken), first) + written_in_between,
            "restored twice"
        );
        // Clocks that differ, and a snapshot that does not say when it was taken.
        assert_eq!((bump(Some(second), first), bump(None, first)), (LEAST_BUMP, LEAST_BUMP));
    }
}
