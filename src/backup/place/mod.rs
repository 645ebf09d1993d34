//! Where sealed backups are kept besides `backups/`: a directory, S3-compatible storage, a directory on another host.
//!
//! | file | what |
//! |---|---|
//! | `store` | directories and S3, through the crate `object_store` |
//! | `credentials` | S3 credentials from the usual places |
//! | `error` | what can go wrong, and what to do |
//!
//! The directory on another host needs a connection, so it is in `ops/place.rs`.

mod credentials;
mod error;
mod store;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use tokio::time::timeout;

pub use error::PlaceError;
pub use store::{Limits, StorePlace};

use super::format::HEAD;
use super::manifest::Manifest;
use super::retention::Candidate;
use super::source::manifest_of;
use super::trust::{Standing, Trust};
use crate::bounds::Exceeded;
use crate::inventory::ClusterName;
pub use crate::inventory::{BackupPlace as Address, RemoteDirectory};

/// A file in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name there.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
}

/// A backup in a place, as its own first line describes it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The file.
    pub file: Stored,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Whether that counts.
    pub standing: Standing,
}

impl Kept {
    /// As retention sees it.
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            manifest: &self.manifest,
            standing: &self.standing,
        }
    }
}

/// Told bytes so far, and in all.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// Keeps files under names. A file is there whole or not at all.
#[async_trait]
pub trait Place: Send + Sync {
    /// Puts a copy of a local file there under a name that is not taken, and sees that all of it arrived.
    ///
    /// # Errors
    /// When it cannot be put there; nothing half-made counts as a backup then.
    async fn put(&self, file: &Path, name: &str, progress: Progress<'_>) -> Result<(), PlaceError>;

    /// Everything there with a backup's name.
    ///
    /// # Errors
    /// When it cannot be inspected.
    async fn list(&self) -> Result<Vec<Stored>, PlaceError>;

    /// The first bytes of a file, at most so many.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn begins(&self, name: &str, bytes: u64) -> Result<Vec<u8>, PlaceError>;

    /// Copies a file from there to `to`, which does not exist yet.
    ///
    /// # Errors
    /// When it cannot be read to its end, or not be written here.
    async fn get(&self, name: &str, to: &Path, progress: Progress<'_>) -> Result<(), PlaceError>;

    /// Deletes a file.
    ///
    /// # Errors
    /// When that is not allowed.
    async fn delete(&self, name: &str) -> Result<(), PlaceError>;
}

/// The first lines of so many files are read: one an hour for eleven years.
const MOST_FILES: usize = 100_000;

/// First lines that are read at the same time.
const AT_ONCE: usize = 4;

/// How long all of them may take.
const LONGEST: Duration = Duration::from_secs(1800);

/// What is in a place.
#[derive(Debug, Default)]
pub struct Listing {
    /// The cluster's backups, newest first.
    pub kept: Vec<Kept>,
    /// Files with the name of a backup whose first line cannot be read now, and why: each may be one, or not. What is known of
    /// the others does not depend on them.
    pub unreadable: Vec<(Stored, PlaceError)>,
}

/// The backups of a cluster in a place.
///
/// # Errors
/// When the place cannot be inspected.
pub async fn backups(
    place: &dyn Place,
    cluster: &ClusterName,
    trust: &Trust,
    now: Timestamp,
) -> Result<Listing, PlaceError> {
    timeout(LONGEST, all(place, cluster, trust, now))
        .await
        .unwrap_or(Err(PlaceError::Slow {
            exceeded: Exceeded::Time(LONGEST),
        }))
}

async fn all(place: &dyn Place, cluster: &ClusterName, trust: &Trust, now: Timestamp) -> Result<Listing, PlaceError> {
    let mut found = place.list().await?;
    if found.len() > MOST_FILES {
        return Err(PlaceError::Crowded {
            files: found.len(),
            most: MOST_FILES,
        });
    }
    // Into those nothing was ever written, and there is nothing to read.
    found.retain(|file| file.bytes > 0);
    let heads = stream::iter(found).map(|file| async move {
        let head = place.begins(&file.name, HEAD as u64).await;
        (file, head)
    });
    let mut heads = pin!(heads.buffered(AT_ONCE));
    let mut listing = Listing::default();
    while let Some((file, head)) = heads.next().await {
        let head = match head {
            Ok(head) => head,
            Err(error) => {
                listing.unreadable.push((file, error));
                continue;
            }
        };
        // Something else under the name of a backup is not ours to list, nor to delete.
        if let Ok(described) = manifest_of(Path::new(&file.name), &head)
            && described.manifest.cluster == *cluster
        {
            listing.kept.push(Kept {
                standing: described.standing(file.bytes, trust, now),
                manifest: described.manifest,
                file,
            });
        }
    }
    if !listing.unreadable.is_empty() {
        // Somebody deletes old ones at this moment.
        let left = place.list().await?;
        listing.unreadable.retain(|(file, _)| left.contains(file));
    }
    let kept = &mut listing.kept;
    kept.sort_by(|a, b| (b.manifest.taken_at, &b.file.name).cmp(&(a.manifest.taken_at, &a.file.name)));
    Ok(listing)
}

/// Whether a name is that of a sealed backup: only such ones leave this machine. Names that a place, a shell or a URL may read
/// in another way are nobody's.
pub fn is_sealed_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    name.ends_with(".qbackup") && !name.starts_with('.') && name.chars().all(plain)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
