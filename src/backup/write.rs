//! A backup file as it grows: written under a temporary name, synced, and renamed only when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use age::Encryptor;
use age::stream::StreamWriter;
use bytes::Bytes;
use jiff::Timestamp;
use tempfile::NamedTempFile;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::BackupError;
use super::format;
use super::manifest::Manifest;
use super::signature::Signature;
use crate::inventory::ClusterName;
use crate::pki::{Recipient, Signer};

/// Chunks of 32 KiB on their way from the network to the disk: 8 MiB, whatever the snapshot's size.
const UNDER_WAY: usize = 256;
const BUFFER: usize = 1 << 20;

/// Who can read the file.
#[derive(Debug, Clone)]
pub enum Seal {
    /// Only the owners of these keys.
    To(Vec<Recipient>),
    /// Whoever gets it: the file is a plain etcd snapshot, with the manifest beside it as `FILE.json`.
    Plain,
}

/// `CLUSTER-20261121T113700Z-REASON.qbackup`, or `.db` for a plain one. Sorts by time within a cluster.
fn file_name(cluster: &ClusterName, at: Timestamp, reason: &str, seal: &Seal) -> String {
    let reason: String = reason
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let extension = match seal {
        Seal::To(_) => "qbackup",
        Seal::Plain => "db",
    };
    format!("{cluster}-{}-{reason}.{extension}", at.strftime("%Y%m%dT%H%M%SZ"))
}

/// The file of that name in `directory`, which is not there yet: a second backup of the same second is `-2`. (The same command,
/// run again at once after it was killed, takes its snapshot again.)
pub fn new_file(directory: &Path, cluster: &ClusterName, at: Timestamp, reason: &str, seal: &Seal) -> PathBuf {
    let first = directory.join(file_name(cluster, at, reason, seal));
    let others = (2..).map(|n| directory.join(file_name(cluster, at, &format!("{reason}-{n}"), seal)));
    let is_new = |path: &PathBuf| path.symlink_metadata().is_err();
    std::iter::once(first.clone())
        .chain(others)
        .find(is_new)
        .unwrap_or(first)
}

/// The manifest that lies beside a plain snapshot.
pub fn manifest_beside(snapshot: &Path) -> PathBuf {
    let mut name = snapshot.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

enum Message {
    Chunk(Bytes),
    Finish(Box<Manifest>),
}

/// A backup under way. Sealing and writing happen on a thread of their own; dropped before
/// [`BackupWriter::finish`], it leaves nothing behind.
pub(super) struct BackupWriter {
    sender: mpsc::Sender<Message>,
    thread: JoinHandle<Result<(), BackupError>>,
}

impl BackupWriter {
    /// Begins a file that will be `path`. Only tests leave it unsigned.
    pub(super) fn begin(path: &Path, seal: Seal, signer: Option<Signer>) -> Self {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        let path = path.to_owned();
        let thread = tokio::task::spawn_blocking(move || write(&path, &seal, signer.as_ref(), receiver));
        Self { sender, thread }
    }

    /// Takes the next bytes of the snapshot; false when writing has failed and `finish` will say why.
    pub(super) async fn chunk(&self, bytes: Bytes) -> bool {
        self.sender.send(Message::Chunk(bytes)).await.is_ok()
    }

    /// Ends it without a file, and waits until nothing of it is left.
    pub(super) async fn give_up(self) {
        drop(self.sender);
        // Its error does not matter any more: another one is on its way to the operator.
        let _ = self.thread.await;
    }

    /// Puts the manifest in, now that all bytes are there and were checked, and gives the file its name.
    pub(super) async fn finish(self, manifest: &Manifest) -> Result<(), BackupError> {
        // Failing to send means that the thread has stopped with an error, which it returns below.
        let _ = self.sender.send(Message::Finish(Box::new(manifest.clone()))).await;
        drop(self.sender);
        match self.thread.await {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// The body of the writing thread. Without a manifest at the end the backup was given up, and no file is left.
fn write(
    path: &Path,
    seal: &Seal,
    signer: Option<&Signer>,
    mut receiver: mpsc::Receiver<Message>,
) -> Result<(), BackupError> {
    let failed = |source| BackupError::Write {
        path: path.to_owned(),
        source,
    };
    if path.exists() {
        return Err(BackupError::Exists { path: path.to_owned() });
    }
    let directory = directory_of(path);
    std::fs::create_dir_all(directory).map_err(failed)?;
    // Mode 0600 from the start: a plain snapshot holds every secret of the cluster.
    let temporary = tempfile::Builder::new()
        .prefix(".")
        .suffix(".part")
        .tempfile_in(directory)
        .map_err(failed)?;
    let mut output = Output::begin(&temporary, seal).map_err(|error| match error {
        Begin::Io(source) => failed(source),
        Begin::Refused(error) => error,
    })?;
    let manifest = loop {
        match receiver.blocking_recv() {
            None => return Ok(()),
            Some(Message::Chunk(bytes)) => output.write_all(&bytes).map_err(failed)?,
            Some(Message::Finish(manifest)) => break *manifest,
        }
    };
    let json = format::json(&manifest).map_err(|e| failed(e.into()))?;
    let file = output.end(&json).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let signature = signer.map(|signer| Signature::make(signer, &json, bytes)).transpose()?;
    let json = format::signed_json(&manifest, signature.as_ref()).map_err(|e| failed(e.into()))?;
    if matches!(seal, Seal::To(_)) {
        let head = format::head(&json).ok_or(BackupError::ManifestTooLong { bytes: json.len() })?;
        file.write_all_at(&head, 0).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    keep(temporary, path).map_err(failed)?;
    if matches!(seal, Seal::Plain) {
        write_beside(path, &json)?;
    }
    Ok(())
}

enum Begin {
    Io(io::Error),
    Refused(BackupError),
}

/// Where the snapshot's bytes go.
enum Output<'a> {
    Sealed(StreamWriter<BufWriter<&'a File>>),
    Plain(BufWriter<&'a File>),
}

impl<'a> Output<'a> {
    fn begin(file: &'a NamedTempFile, seal: &Seal) -> Result<Self, Begin> {
        let mut file = file.as_file();
        let Seal::To(recipients) = seal else {
            return Ok(Output::Plain(BufWriter::with_capacity(BUFFER, file)));
        };
        if recipients.is_empty() {
            return Err(Begin::Refused(BackupError::NoRecipient));
        }
        let encryptor = Encryptor::with_recipients(recipients.iter().map(Recipient::as_age))
            .map_err(|error| Begin::Refused(BackupError::Seal { why: error.to_string() }))?;
        file.seek(SeekFrom::Start(format::HEAD as u64)).map_err(Begin::Io)?;
        let sealed = encryptor
            .wrap_output(BufWriter::with_capacity(BUFFER, file))
            .map_err(Begin::Io)?;
        Ok(Output::Sealed(sealed))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Output::Sealed(stream) => stream.write_all(bytes),
            Output::Plain(file) => file.write_all(bytes),
        }
    }

    /// Ends the stream; a sealed one with its manifest.
    fn end(self, json: &[u8]) -> io::Result<&'a File> {
        match self {
            Output::Sealed(mut stream) => {
                stream.write_all(json)?;
                stream.finish()?.into_inner().map_err(io::IntoInnerError::into_error)
            }
            Output::Plain(file) => file.into_inner().map_err(io::IntoInnerError::into_error),
        }
    }
}

/// Gives a finished file its name, unless somebody else took that meanwhile.
fn keep(temporary: NamedTempFile, path: &Path) -> io::Result<()> {
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(directory_of(path))?.sync_all()
}

fn write_beside(path: &Path, json: &[u8]) -> Result<(), BackupError> {
    let path = manifest_beside(path);
    let write = || {
        let mut file = tempfile::Builder::new()
            .prefix(".")
            .suffix(".part")
            .tempfile_in(directory_of(&path))?;
        file.write_all(json)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        keep(file, &path)
    };
    write().map_err(|source| BackupError::Write {
        path: path.clone(),
        source,
    })
}

/// The directory that holds `path`; `.` for a bare name.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
