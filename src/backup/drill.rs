//! The restore drill: a backup is restored into a scratch directory, a private etcd is started on it, and what that says
//! is held against the manifest. A backup that passed this can be restored.

mod compare;
mod member;

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use self::compare::compare;
use self::member::Member;
use super::error::BackupError;
use super::manifest::KeyspaceHash;
use super::source::{Kind, Unlocked, damage};
use crate::bounds::Exceeded;
use crate::bundle::Program;
use crate::etcd::EtcdError;
use crate::pki::AuthorityError;

/// How long etcdutl may take to unpack a snapshot, of whatever size.
const RESTORE_LIMIT: Duration = Duration::from_secs(6 * 3600);

/// The programs that a drill runs, as files on this machine.
#[derive(Debug, Clone)]
pub struct Programs {
    /// etcd of the release the backup was taken from, or the nearest that runs its data.
    pub etcd: PathBuf,
    /// What restores.
    pub restore: PathBuf,
    /// Which of the two restore programs that is.
    pub kind: Program,
}

/// What a drill found.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The revision of the restored store.
    pub revision: i64,
    /// Keys in it.
    pub keys: u64,
    /// The hash at the manifest's revision (at its own without a manifest).
    pub hash: KeyspaceHash,
    /// What does not fit the manifest; empty when all of it does. A file without a manifest fits.
    pub contradictions: Vec<String>,
    /// Seconds to open, check and unpack the backup.
    pub open_seconds: f64,
    /// Seconds that the restore program took.
    pub restore_seconds: f64,
    /// Seconds until the private member answered.
    pub start_seconds: f64,
}

/// Why a drill could not be held. (A backup that contradicts its manifest is a finding.)
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The backup itself cannot be read.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The scratch directory.
    #[error("cannot use the scratch directory {}", path.display())]
    #[allow(missing_docs)]
    Scratch { path: PathBuf, source: io::Error },
    /// The restore program refused.
    #[error("{program} could not restore it: {said}")]
    #[allow(missing_docs)]
    Restore { program: Program, said: String },
    /// A program could not be run.
    #[error("cannot run {}", path.display())]
    #[allow(missing_docs)]
    Run { path: PathBuf, source: io::Error },
    /// The private member ended or never answered.
    #[error("a private etcd does not start on the restored data: {said}")]
    #[allow(missing_docs)]
    Start { said: String },
    /// The private member does not answer as it should.
    #[error("the private etcd on the restored data does not answer")]
    Ask(#[from] EtcdError),
    /// The certificates for it.
    #[error("cannot create certificates for the private etcd")]
    Certificates(#[from] AuthorityError),
}

impl DrillError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            DrillError::Backup(error) => error.hint(),
            DrillError::Scratch { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "a drill needs about three times the snapshot's size: pass a larger directory with --scratch".to_owned()
            }
            DrillError::Scratch { .. } => "pass another directory with --scratch".to_owned(),
            DrillError::Run { .. } => {
                "programs cannot be run from the scratch directory (noexec?): pass another directory with --scratch"
                    .to_owned()
            }
            DrillError::Restore { .. } | DrillError::Start { .. } | DrillError::Ask(_) => {
                "do not rely on this backup: take another one now with `quorate backup create`".to_owned()
            }
            DrillError::Certificates(error) => error.hint(),
        }
    }
}

/// Holds a drill in `scratch`, an empty directory that only this account can enter. Whatever comes of it, the private
/// member is ended; the directory is the caller's to remove.
///
/// # Errors
/// See [`DrillError`].
pub async fn drill(backup: Unlocked, programs: &Programs, scratch: &Path) -> Result<Findings, DrillError> {
    let began = Instant::now();
    let manifest = backup.source().manifest().cloned();
    let bare = matches!(backup.source().kind(), Kind::Bare { .. });
    let plain = scratch.join("snapshot.db");
    unpack(backup, plain.clone()).await?;
    let open_seconds = began.elapsed().as_secs_f64();

    let ports = free_ports().map_err(|source| DrillError::Scratch {
        path: scratch.to_owned(),
        source,
    })?;
    let began = Instant::now();
    restore(programs, scratch, &plain, bare, ports).await?;
    let restore_seconds = began.elapsed().as_secs_f64();
    // Space is scarce in the places drills are held in.
    let _ = fs::remove_file(&plain);

    let began = Instant::now();
    let mut member = Member::start(programs, scratch, ports)?;
    let client = member.client().await?;
    let start_seconds = began.elapsed().as_secs_f64();
    let seen = compare(&client, manifest.as_ref()).await;
    member.end().await;
    let (revision, keys, hash, contradictions) = seen?;
    Ok(Findings {
        revision,
        keys,
        hash,
        contradictions,
        open_seconds,
        restore_seconds,
        start_seconds,
    })
}

/// Writes the plain snapshot, checking it on the way.
async fn unpack(backup: Unlocked, to: PathBuf) -> Result<(), DrillError> {
    let write = move || {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&to)
            .map_err(|source| DrillError::Scratch {
                path: to.clone(),
                source,
            })?;
        let path = backup.source().path().to_owned();
        let mut reader = backup.reader().map_err(|error| damage(&path, error))?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = reader.read(&mut buffer).map_err(|error| damage(&path, error))?;
            if read == 0 {
                return Ok(());
            }
            file.write_all(&buffer[..read]).map_err(|source| DrillError::Scratch {
                path: to.clone(),
                source,
            })?;
        }
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Two ports of loopback that nobody listens on: client, peer.
fn free_ports() -> io::Result<(u16, u16)> {
    let client = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((client.local_addr()?.port(), peer.local_addr()?.port()))
}

fn peer_url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

async fn restore(
    programs: &Programs,
    scratch: &Path,
    plain: &Path,
    bare: bool,
    (_, peer): (u16, u16),
) -> Result<(), DrillError> {
    let mut command = Command::new(&programs.restore);
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
        .args(["snapshot", "restore"])
        .arg(plain)
        .arg("--data-dir")
        .arg(scratch.join("data"));
    command.args(["--name", "drill", "--initial-cluster-token", "quorate-drill"]);
    command.args(["--initial-cluster", &format!("drill={}", peer_url(peer))]);
    command.args(["--initial-advertise-peer-urls", &peer_url(peer)]);
    if bare {
        command.arg("--skip-hash-check");
    }
    let ended = tokio::time::timeout(RESTORE_LIMIT, command.output()).await;
    let output = ended
        .unwrap_or_else(|_| Err(Exceeded::Time(RESTORE_LIMIT).into()))
        .map_err(|source| DrillError::Run {
            path: programs.restore.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = last_lines(&String::from_utf8_lossy(&output.stderr));
    Err(DrillError::Restore {
        program: programs.kind,
        said,
    })
}

fn in_scratch(scratch: &Path, source: io::Error) -> DrillError {
    DrillError::Scratch {
        path: scratch.to_owned(),
        source,
    }
}

/// The last lines of what a program said, in one.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let start = lines.len().saturating_sub(3);
    crate::report::printable(&lines[start..].join(" / "))
}
