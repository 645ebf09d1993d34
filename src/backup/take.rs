//! From a member's snapshot stream to a backup file, in constant memory.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::error::BackupError;
use super::manifest::{FORMAT, KeyspaceHash, Manifest, ManifestMember, SnapshotDigest};
use super::write::{BackupWriter, Seal};
use crate::etcd::{EtcdClient, EtcdError, SnapshotStream};
use crate::inventory::{ClusterName, Version};
use crate::pki::{Recipient, Signer};

/// A member that is well answers its status within milliseconds.
const STATUS_LIMIT: Duration = Duration::from_secs(5);

/// Bytes between two words about the progress.
const TELL: u64 = 1 << 20;

/// What the manifest says beyond what the member itself tells.
#[derive(Debug, Clone)]
pub struct About {
    /// The cluster's name in the inventory.
    pub cluster: ClusterName,
    /// What the backup is for.
    pub reason: String,
    /// The moment that stands in the manifest.
    pub taken_at: Timestamp,
    /// The member that is asked.
    pub taken_from: String,
    /// Its release.
    pub etcd_version: Version,
    /// Who belongs to the cluster.
    pub members: Vec<ManifestMember>,
    /// SHA-256 (hex) of what the inventory means.
    pub inventory_sha256: String,
}

/// Streams the snapshot of the member behind `client` into the new file `path`; `progress` is told bytes so far and in
/// all. It is signed by `signer`, where there is one. The file appears only when all of it is there, checked against the checksum that etcd sends, and on disk.
///
/// # Errors
/// When the member breaks off, its checksum does not hold, or the file cannot be sealed or written. Nothing is left
/// behind then.
pub async fn take(
    client: &EtcdClient,
    about: About,
    seal: Seal,
    signer: Option<Signer>,
    path: &Path,
    progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
) -> Result<Manifest, BackupError> {
    let member = about.taken_from.clone();
    let failed = |source| BackupError::Take {
        member: member.clone(),
        source,
    };
    let mut manifest = begin(client, about, &seal).await.map_err(failed)?;
    let stream = client.snapshot().await.map_err(failed)?;
    let writer = BackupWriter::begin(path, seal, signer);
    // The hash is asked for once the snapshot has begun: whatever is compacted in between is then compacted in the
    // hash, too, and a restored copy can be brought to the same state to compare.
    let (copied, hash) = tokio::join!(copy(stream, &writer, progress), client.hash_kv(manifest.revision));
    match copied {
        Ok(snapshot) => manifest.snapshot = snapshot,
        Err(error) => {
            writer.give_up().await;
            return Err(failed(error));
        }
    }
    manifest.hash = hash.ok().map(|answer| KeyspaceHash {
        hash: answer.hash,
        compact_revision: answer.compact_revision,
    });
    writer.finish(&manifest).await?;
    Ok(manifest)
}

/// What can be said before the first byte: a revision that the snapshot will hold, and how many keys there are at it.
async fn begin(client: &EtcdClient, about: About, seal: &Seal) -> Result<Manifest, EtcdError> {
    let header = client.status(STATUS_LIMIT).await?.header;
    let keys = client.count_at(header.revision).await?.value;
    Ok(Manifest {
        quorate_backup: FORMAT,
        cluster: about.cluster,
        cluster_id: header.cluster_id,
        reason: about.reason,
        taken_at: about.taken_at,
        taken_from: about.taken_from,
        etcd_version: about.etcd_version,
        members: about.members,
        revision: header.revision,
        keys,
        hash: None,
        inventory_sha256: about.inventory_sha256,
        snapshot: SnapshotDigest::default(),
        sealed_to: match seal {
            Seal::To(recipients) => recipients.iter().map(|r| Recipient::label(r).to_owned()).collect(),
            Seal::Plain => Vec::new(),
        },
        created_by: format!("quorate {}", env!("CARGO_PKG_VERSION")),
    })
}

/// Copies to the end of the stream, or until writing fails: `finish` knows why then, and what is returned means nothing.
async fn copy(
    mut stream: SnapshotStream,
    writer: &BackupWriter,
    progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
) -> Result<SnapshotDigest, EtcdError> {
    let (mut done, mut told) = (0, 0);
    while let Some(chunk) = stream.chunk().await? {
        done += chunk.len() as u64;
        if !writer.chunk(chunk).await {
            return Ok(SnapshotDigest::default());
        }
        if done - told >= TELL {
            told = done;
            progress(done, stream.total());
        }
    }
    progress(done, stream.total());
    Ok(SnapshotDigest {
        sha256: stream.sha256().map(hex::encode).unwrap_or_default(),
        size: done,
    })
}
