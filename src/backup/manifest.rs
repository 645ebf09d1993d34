//! What a backup says of itself. Readable without any key, so it holds no secret; a second copy is sealed in with the
//! snapshot, so it cannot be changed unnoticed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::inventory::{ClusterId, ClusterName, PeerUrl, Version};

/// The number of this manifest's layout. 1 had no signature, and is still read.
pub const FORMAT: u32 = 2;

/// A backup's description: one JSON object on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`]. The first field: a file that is a backup begins with its name.
    pub quorate_backup: u32,
    /// The cluster's name in the inventory.
    pub cluster: ClusterName,
    /// etcd's id of the cluster.
    pub cluster_id: ClusterId,
    /// What it was taken for: `manual`, `before-upgrade`, ...
    pub reason: String,
    /// When it was begun.
    pub taken_at: Timestamp,
    /// The member it was taken from.
    pub taken_from: String,
    /// That member's release.
    pub etcd_version: Version,
    /// Who belonged to the cluster.
    pub members: Vec<ManifestMember>,
    /// A revision that is in the snapshot for certain; what was written while it was taken may be in it as well.
    pub revision: i64,
    /// Keys that existed at that revision.
    pub keys: u64,
    /// The hash of the key space at that revision; `None` when the member could not tell.
    pub hash: Option<KeyspaceHash>,
    /// SHA-256 (hex) of what the inventory meant.
    pub inventory_sha256: String,
    /// The snapshot itself.
    pub snapshot: SnapshotDigest,
    /// Who can open it; empty for a plain file.
    pub sealed_to: Vec<String>,
    /// The program that wrote it.
    pub created_by: String,
}

/// A member at the time of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestMember {
    /// Its name.
    pub name: String,
    /// Its peer URLs.
    pub peer_urls: Vec<PeerUrl>,
}

/// etcd's own hash of all keys up to a revision (`HashKV`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyspaceHash {
    /// The hash.
    pub hash: u32,
    /// What was compacted away before; -1 for nothing. Hashes with different ones cannot be compared.
    pub compact_revision: i64,
}

/// The plain snapshot as a file: the database and, behind it, the 32 bytes of its SHA-256.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotDigest {
    /// SHA-256 (hex) of the whole file.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}
