//! The backups in a directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::error::BackupError;
use super::manifest::Manifest;
use super::retention::Candidate;
use super::source::{Kind, Source};
use super::trust::{Standing, Trust};
use super::write::manifest_beside;
use crate::bounds::Exceeded;
use crate::inventory::ClusterName;

/// How long a look at a whole directory may take.
const LONGEST: Duration = Duration::from_secs(600);

/// A backup in a directory, as its own first line describes it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether a key is needed to open it.
    pub sealed: bool,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Whether that counts.
    pub standing: Standing,
}

impl Entry {
    /// As retention sees it.
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            manifest: &self.manifest,
            standing: &self.standing,
        }
    }

    /// Deletes it, and the manifest beside a plain one.
    ///
    /// # Errors
    /// When the directory does not allow it.
    pub fn delete(&self) -> Result<(), BackupError> {
        let mut paths = vec![self.path.clone()];
        if !self.sealed {
            paths.push(manifest_beside(&self.path));
        }
        for path in paths {
            fs::remove_file(&path).map_err(|source| BackupError::Write { path, source })?;
        }
        Ok(())
    }
}

/// What was found in a directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// The cluster's backups, newest first.
    pub entries: Vec<Entry>,
    /// Files with the name of a backup that are none, or are damaged where that shows at once.
    pub unusable: Vec<BackupError>,
}

impl Listing {
    /// The newest one that is signed by this cluster's CA, and not dated in the future.
    pub fn newest(self) -> Option<Entry> {
        self.entries.into_iter().find(|entry| entry.standing.counts())
    }
}

/// Looks through a directory for the backups of a cluster. One that does not exist holds none.
///
/// # Errors
/// When it cannot be read.
pub fn list(directory: &Path, cluster: &ClusterName, trust: &Trust, now: Timestamp) -> Result<Listing, BackupError> {
    let failed = |source| BackupError::Read {
        path: directory.to_owned(),
        source,
    };
    let found = match fs::read_dir(directory) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
        Err(error) => return Err(failed(error)),
    };
    let mut listing = Listing::default();
    let begun = Instant::now();
    for entry in found {
        // A directory of a network whose every answer is slow.
        if begun.elapsed() > LONGEST {
            return Err(failed(Exceeded::Time(LONGEST).into()));
        }
        let path = entry.map_err(failed)?.path();
        if !is_named_like_one(&path) {
            continue;
        }
        match describe(&path, trust, now) {
            Ok(Some(entry)) if entry.manifest.cluster == *cluster => listing.entries.push(entry),
            Ok(_) => {}
            Err(error) => listing.unusable.push(error),
        }
    }
    listing
        .entries
        .sort_by(|a, b| (b.manifest.taken_at, &b.path).cmp(&(a.manifest.taken_at, &a.path)));
    listing.unusable.sort_by_key(ToString::to_string);
    Ok(listing)
}

/// `None` for a plain snapshot that nobody described.
fn describe(path: &Path, trust: &Trust, now: Timestamp) -> Result<Option<Entry>, BackupError> {
    let source = Source::open(path)?;
    let metadata = fs::metadata(path).map_err(|source| BackupError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(source.manifest().map(|manifest| Entry {
        path: path.to_owned(),
        bytes: metadata.len(),
        sealed: *source.kind() == Kind::Sealed,
        manifest: manifest.clone(),
        standing: source.standing(trust, now),
    }))
}

fn is_named_like_one(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden
        && path
            .extension()
            .is_some_and(|extension| extension == "qbackup" || extension == "db")
}
