//! `push`: puts files on a host, all of them or none, in one round trip.
//!
//! Everything travels in one stream (see [`stream`]): orders as lines, contents as bytes behind them. The script at the
//! other end stages every file beside its target, checks all hashes, and only then renames. Certificates and keys are
//! pushed as a [`Generation`]: a directory that becomes current by one rename, so that a certificate and its key
//! change in one step.

mod orders;
mod stream;

pub(super) use self::stream::input_from;

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::data::Idle;
use super::trouble::{not_understood, script_failed};
use super::{Host, HostError, Script, Unpacker, scripts};
use crate::inventory::{HostPath, UserName};

/// How long a source may still take to say why it failed, once the host's end is over.
const SOURCE_LIMIT: Duration = Duration::from_secs(1);

/// Everything one push does, in this order: account, directories, files and generations (staged, verified, then
/// renamed), systemd.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// The account to create when it is missing. `None` where members run as the operator.
    pub account: Option<Account>,
    /// Directories that must exist, outer ones first.
    pub directories: Vec<Directory>,
    /// Plain files.
    pub files: Vec<PushFile>,
    /// Files that go again, once all else is in place: what an earlier push put where nothing was.
    pub absent: Vec<HostPath>,
    /// Sets of files that change in one step.
    pub generations: Vec<Generation>,
    /// An etcd binary of this push that must tell its version on the host before anything is replaced.
    pub prove: Option<HostPath>,
    /// A directory: what is pushed into it is noted as verified, so that `facts` need not hash it each time.
    pub remember: Option<HostPath>,
    /// A directory of root's whose files belonged to that account: each is made anew, as root's.
    pub adopt: Option<(HostPath, UserName)>,
    /// The member's marker.
    pub note: Option<Note>,
    /// A directory whose disk is timed (32 synced writes of 2 KiB, at most 3 s); the file is removed again.
    pub gauge: Option<HostPath>,
    /// Whether systemd must read its unit files again.
    pub daemon_reload: bool,
    /// Whether the unit must start at boot; `None` leaves it as it is. Implies the reload.
    pub enable: Option<bool>,
}

/// A system account without a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name; its group has the same.
    pub name: UserName,
    /// Its home directory; not created.
    pub home: HostPath,
}

/// A directory on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where.
    pub path: HostPath,
    /// Permission bits.
    pub mode: u32,
    /// Owner; `None` leaves it with the account that scripts run as.
    pub owner: Option<Owner>,
}

/// Who a file or a directory belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// An account, with its login group. Only for directories: root works in none of them.
    Account(UserName),
    /// Root, with its own group.
    Root,
    /// Root, with the login group of an account, which nobody else may have.
    Readers(UserName),
}

/// The marker of a member, written into its data directory when all else is in place, as the account of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The directory.
    pub dir: HostPath,
    /// The file's name.
    pub name: String,
    /// One line.
    pub text: String,
}

/// One file to install.
#[derive(Debug, Clone)]
pub struct PushFile {
    /// Where.
    pub path: HostPath,
    /// Permission bits.
    pub mode: u32,
    /// Owner, as in [`Directory`].
    pub owner: Option<Owner>,
    /// SHA-256 (hex) of the unpacked content; the host checks it before anything is replaced.
    pub sha256: String,
    /// The bytes.
    pub content: Content,
    /// Keep the file that is there now beside it, as `.NAME.previous`.
    pub keep_previous: bool,
}

/// Files that change together: `DIR/NAME` is a link to `current/NAME`, and `DIR/current` a link to the newest
/// generation. The two before it are kept, older ones removed.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The directory; it must be among the directories or exist.
    pub dir: HostPath,
    /// Who may read it besides root, as in [`Owner::Readers`]; `None` where it is the operator's own.
    pub readers: Option<UserName>,
    /// Goes into its name: for one that must not have the name of another with the same content. Else empty.
    pub salt: String,
    /// All files of the set, also those that do not change ([`Content::Existing`]).
    pub files: Vec<GenerationFile>,
}

/// One file of a [`Generation`].
#[derive(Debug, Clone)]
pub struct GenerationFile {
    /// File name, such as `server.key`.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// SHA-256 (hex) of the content.
    pub sha256: String,
    /// The bytes.
    pub content: Content,
}

impl Generation {
    /// The directory's name within `dir`: the same files with the same content have the same name.
    pub fn name(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(&self.salt);
        for file in &self.files {
            digest.update(format!("{} {:o} {}\n", file.sha256, file.mode, file.name));
        }
        format!(".gen-{}", &hex::encode(digest.finalize())[..16])
    }
}

/// The bytes of a file.
#[derive(Clone)]
pub enum Content {
    /// Not secret.
    Plain(Bytes),
    /// Secret: wiped from memory with this value, never shown.
    Secret(Arc<Zeroizing<Vec<u8>>>),
    /// Read when it is sent: for what is too large to be held in memory.
    Stream {
        /// Opens the bytes.
        open: Opener,
        /// How many there are.
        len: u64,
        /// What unpacks them there (the host's facts tell whether it has that); `None`: they are not packed.
        unpacker: Option<Unpacker>,
    },
    /// Already on the host, in this file: copied there, never seen by the operator's machine.
    Existing(HostPath),
}

/// Opens a source of bytes; called once for each push, on a thread that may block.
pub type Opener = Arc<dyn Fn() -> std::io::Result<Box<dyn Read + Send>> + Send + Sync>;

impl Content {
    /// A secret from its bytes.
    pub fn secret(bytes: Vec<u8>) -> Self {
        Content::Secret(Arc::new(Zeroizing::new(bytes)))
    }

    /// How many bytes of it are sent.
    fn sent(&self) -> u64 {
        match self {
            Content::Plain(bytes) => bytes.len() as u64,
            Content::Secret(bytes) => bytes.len() as u64,
            Content::Stream { len, .. } => *len,
            Content::Existing(_) => 0,
        }
    }

    /// What unpacks it on the host.
    fn unpacker(&self) -> Option<Unpacker> {
        match self {
            Content::Stream { unpacker, .. } => *unpacker,
            Content::Plain(_) | Content::Secret(_) | Content::Existing(_) => None,
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Plain(bytes) => write!(f, "Plain({} bytes)", bytes.len()),
            Content::Secret(_) => f.write_str("Secret(..)"),
            Content::Stream { len, unpacker, .. } => write!(f, "Stream({len} bytes for {unpacker:?})"),
            Content::Existing(path) => write!(f, "Existing({path})"),
        }
    }
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushReport {
    /// Bytes sent, as they went over the wire before SSH's own work.
    pub bytes: u64,
    /// What the proved binary said, `etcd Version: 3.5.30`.
    pub proved: Option<String>,
    /// What a synced write took there on average, when that was asked for.
    pub synced_write: Option<Duration>,
}

impl Host {
    /// Puts everything in `push` on the host, all files or none. `progress` is told bytes sent so far and in all.
    ///
    /// # Errors
    /// [`HostError::Script`] with the cause (full or read-only disk, a hash that differs, a binary that cannot run
    /// there, ...). Until every file has arrived and was verified no target is touched, and what was staged is removed;
    /// directories and the account stay. After that only renames and systemd can fail; pushing again finishes the job.
    pub async fn push(
        &self,
        push: &Push,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<PushReport, HostError> {
        let script = scripts::PUSH.with(vec![self.staging_suffix(), scripts::MARKER.text.to_owned()]);
        self.push_with(script, push, progress).await
    }

    /// [`Host::push`] to below the data, as the account that they belong to.
    ///
    /// # Errors
    /// As [`Host::push`].
    pub async fn push_inside(
        &self,
        push: &Push,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<PushReport, HostError> {
        let args = [self.staging_suffix(), String::new()];
        self.push_with(self.as_owner(Idle::NotNeeded, scripts::PUSH, &args), push, progress)
            .await
    }

    async fn push_with(
        &self,
        script: Script,
        push: &Push,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<PushReport, HostError> {
        let operation = "installing files";
        let orders = orders::of(push, &self.unit(), self.manager);
        let (tell, mut told) = watch::channel(0);
        let stream::Sending { stdin, total, source } = stream::send(orders, tell);
        let run = self.transport.run(&script, stdin);
        tokio::pin!(run);
        let output = loop {
            tokio::select! {
                output = &mut run => break output,
                Ok(()) = told.changed() => progress(*told.borrow_and_update(), total),
            }
        };
        // A source that cannot be read cuts the stream off; that is the cause, whatever the host says about it.
        if let Ok(Ok(Err(why))) = timeout(SOURCE_LIMIT, source).await {
            return Err(HostError::Script {
                node: self.node.clone(),
                operation: operation.to_owned(),
                why: format!("cannot read the data to send: {why}"),
                hint: "check the bundle with `quorate bundle verify`".to_owned(),
            });
        }
        let output = output?;
        if !output.ok() {
            return Err(script_failed(&self.node, operation, &output));
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said.lines().last() != Some("done") {
            return Err(not_understood(
                &self.node,
                operation,
                "the host did not confirm that it is done",
            ));
        }
        progress(total, total);
        let after = |word: &str| said.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        Ok(PushReport {
            bytes: total,
            proved: after("proved").map(str::to_owned),
            synced_write: after("synced_write_us")
                .and_then(|micros| micros.parse().ok())
                .map(Duration::from_micros),
        })
    }

    /// What the names of staged files end in. It stays the same, so that what a push that was killed left behind is
    /// overwritten by the next; the lock's path tells the members of one machine apart.
    fn staging_suffix(&self) -> String {
        let member = hex::encode(&Sha256::digest(self.paths.lock.as_str())[..4]);
        format!(".{member}.quorate-new")
    }
}

#[cfg(test)]
mod tests;
