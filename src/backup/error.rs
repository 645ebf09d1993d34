//! What can be wrong with a backup.

use std::io;
use std::path::PathBuf;

use crate::etcd::EtcdError;
use crate::pki::{SignerError, Tried};

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
    /// It cannot be signed.
    #[error("the backup cannot be signed")]
    Sign {
        #[from]
        source: SignerError,
    },
    /// The description of the cluster is longer than the file's head.
    #[error("the manifest is {bytes} bytes long; a backup has room for {}", super::format::HEAD)]
    ManifestTooLong { bytes: usize },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// It is neither a backup, nor a snapshot, nor a database of etcd.
    #[error("{} is not a backup: it is {what}", path.display())]
    NotABackup { path: PathBuf, what: &'static str },
    /// A later quorate wrote it.
    #[error("{} has format {format}, but this quorate supports {}", path.display(), super::manifest::FORMAT)]
    TooNew { path: PathBuf, format: u32 },
    /// Its manifest cannot be understood.
    #[error("the manifest of {} is damaged: {why}", path.display())]
    Manifest { path: PathBuf, why: String },
    /// The end is missing.
    #[error("{} is cut off", path.display())]
    Truncated { path: PathBuf },
    /// A snapshot of etcd that lacks the checksum at its end.
    #[error("{} is a snapshot without its checksum: its last 32 bytes are missing", path.display())]
    NoChecksum { path: PathBuf },
    /// Its content is not what was written.
    #[error("{} is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    /// None of the operator's keys opens it.
    #[error("none of your keys can open {}{}", path.display(), listed(tried))]
    NotYours {
        path: PathBuf,
        sealed_to: Vec<String>,
        tried: Vec<Tried>,
    },
}

/// `: FILE (why), FILE (why)`.
fn listed(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return ": no key file was given".to_owned();
    }
    let each: Vec<_> = tried
        .iter()
        .map(|key| format!("{} ({})", key.path.display(), key.why))
        .collect();
    format!(": tried {}", each.join(", "))
}

impl BackupError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let text = match self {
            BackupError::Take {
                source: EtcdError::Denied { .. },
                ..
            } => "etcd's authentication is on: the operator's certificate (common name `root`) needs the role root",
            BackupError::Take { .. } => "see `quorate status`, then run this again: nothing incomplete was kept",
            BackupError::NoRecipient => {
                "add at least one age or SSH public key to `pki.recipients`, or pass --plain (readable by everyone who gets the \
                 file)"
            }
            BackupError::Sign { .. } => "check the certificates with `quorate pki show`",
            BackupError::Seal { .. } => "check the keys in `pki.recipients`",
            BackupError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space there, or pass another path with --out; nothing incomplete was kept"
            }
            BackupError::Write { .. } => "check the owner and permissions of this path",
            BackupError::Exists { .. } => "backups are never overwritten: choose another name, or move the file away",
            BackupError::ManifestTooLong { .. } => "shorten the names and URLs of the members",
            BackupError::Read { .. } => "check the path and its permissions",
            BackupError::NotABackup { .. } => {
                "pass a .qbackup, a file from `etcdctl snapshot save`, or the `member/snap/db` of a stopped member"
            }
            BackupError::TooNew { .. } => "use the quorate that wrote it, or a newer one",
            BackupError::Manifest { .. } | BackupError::Truncated { .. } | BackupError::Damaged { .. } => {
                "nothing can be restored from it: use another one (`quorate backup list`)"
            }
            BackupError::NoChecksum { .. } => {
                "nothing proves that the rest is intact: use another snapshot. If this is the `member/snap/db` of a stopped member, pass \
                 --bare"
            }
            BackupError::NotYours { sealed_to, .. } => {
                let who = if sealed_to.is_empty() {
                    "its recipients".to_owned()
                } else {
                    sealed_to.join("; ")
                };
                return format!("it is sealed to: {who}. Set one of these keys as `ssh.identity`");
            }
        };
        text.to_owned()
    }
}
