//! What can be wrong with a backup.

use std::io;
use std::path::PathBuf;

use crate::etcd::EtcdError;

/// Why a backup could not be taken, written or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BackupError {
    /// The member did not answer, or its snapshot broke off.
    #[error("the snapshot of {member} was not taken")]
    Take { member: String, source: EtcdError },
    /// Nobody could open it.
    #[error("there is no recipient to seal the backup to")]
    NoRecipient,
    /// The age library refuses.
    #[error("age cannot seal the backup: {why}")]
    Seal { why: String },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A file of this name exists.
    #[error("{} exists already", path.display())]
    Exists { path: PathBuf },
    /// The description of the cluster is longer than the file's head.
    #[error(
        "the manifest takes {bytes} bytes, and a backup has room for {}",
        super::format::HEAD
    )]
    ManifestTooLong { bytes: usize },
}

impl BackupError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let text = match self {
            BackupError::Take {
                source: EtcdError::Denied { .. },
                ..
            } => "etcd's authentication is on: the operator's certificate (common name `root`) needs the role root",
            BackupError::Take { .. } => "look at `quorate status`, then run it again: nothing incomplete was kept",
            BackupError::NoRecipient => {
                "name at least one age or SSH public key under `pki.recipients`, or say --plain (readable by everyone who \
                 gets the file)"
            }
            BackupError::Seal { .. } => "look at the keys under `pki.recipients`",
            BackupError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space there, or give another place with --out; nothing incomplete was kept"
            }
            BackupError::Write { .. } => "look at the owner and the permissions of this path",
            BackupError::Exists { .. } => "backups are never overwritten: give another name, or move it away",
            BackupError::ManifestTooLong { .. } => "shorten the names and URLs of the members",
        };
        text.to_owned()
    }
}
