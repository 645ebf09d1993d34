//! What a restore accepts: a sealed backup, a plain snapshot as `etcdctl snapshot save` writes it, or a bare
//! `member/snap/db`.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::check::{CheckedSeal, CheckedSnapshot, Damage};
use super::database::{Shape, shape};
use super::error::BackupError;
use super::format::{self, HEAD, MAGIC};
use super::manifest::{FORMAT, Manifest, SnapshotDigest};
use super::signature::Signature;
use super::trust::{Doubt, Standing, Trust};
use super::write::manifest_beside;
use crate::bounds;
use crate::pki::{AskPassphrase, FittingKey, OpenError};

/// The longest age header that is looked at, bytes; a recipient takes some 150.
const LONGEST_SEAL: usize = 64 * 1024;
/// age seals pieces of 64 KiB, each with a tag of 16 bytes, after a nonce of 16.
const PIECE: u64 = 64 * 1024;
const TAG: u64 = 16;
const BUFFER: usize = 1 << 20;
/// The longest manifest beside a plain snapshot, bytes.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// A file that may be restored from. Looked at, not read yet.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    kind: Kind,
    bytes: u64,
    manifest: Option<Described>,
}

/// What a backup says of itself, and who says so.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub manifest: Manifest,
    pub signature: Option<Signature>,
}

/// What kind of file it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A sealed backup.
    Sealed,
    /// A snapshot with its checksum.
    Snapshot {
        /// Bytes.
        size: u64,
    },
    /// A database file without a checksum, copied from a stopped member.
    Bare {
        /// Bytes.
        size: u64,
    },
}

impl Source {
    /// Tells what a file is, from its first bytes and its length.
    ///
    /// # Errors
    /// When it cannot be read, is something else, is cut off, or comes from a newer quorate. A snapshot that lacks just
    /// its checksum is cut off, too.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        Self::look(path, false)
    }

    /// The same for a file that the operator calls the database of a stopped member. Such a one can look exactly like a
    /// snapshot without its checksum: when it was restored from one and hardly written to.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open_bare(path: &Path) -> Result<Self, BackupError> {
        Self::look(path, true)
    }

    fn look(path: &Path, called_bare: bool) -> Result<Self, BackupError> {
        let read = |source| BackupError::Read {
            path: path.to_owned(),
            source,
        };
        let foreign = |what| BackupError::NotABackup {
            path: path.to_owned(),
            what,
        };
        let file = match bounds::open(path) {
            Ok(file) => file,
            Err(_) if path.is_dir() => return Err(foreign("a directory")),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(foreign("not a file")),
            Err(error) => return Err(read(error)),
        };
        let size = file.metadata().map_err(read)?.len();
        if size == 0 {
            return Err(foreign("empty"));
        }
        let mut start = [0; MAGIC.len()];
        let begins = file.read_at(&mut start, 0).map_err(read)?;
        if start[..begins] == *MAGIC {
            let manifest = read_manifest(path, &file, size)?;
            return Ok(Self {
                path: path.to_owned(),
                kind: Kind::Sealed,
                bytes: size,
                manifest: Some(manifest),
            });
        }
        let Shape { needed, copied } = shape(&file, size)
            .map_err(read)?
            .ok_or_else(|| foreign("something else"))?;
        if size < needed {
            return Err(BackupError::Truncated { path: path.to_owned() });
        }
        // Pages are multiples of 512, so only a checksum behind them leaves a remainder of 32.
        let kind = match size % 512 {
            32 => Kind::Snapshot { size },
            // A member's own file is longer than its pages: bbolt grows it ahead of them.
            0 if copied && size == needed && !called_bare => {
                return Err(BackupError::NoChecksum { path: path.to_owned() });
            }
            0 => Kind::Bare { size },
            _ => return Err(BackupError::Truncated { path: path.to_owned() }),
        };
        Ok(Self {
            path: path.to_owned(),
            kind,
            bytes: size,
            manifest: read_beside(path)?,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of file it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What it says of itself. For a sealed file this is proven only once it has been read to its end.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref().map(|described| &described.manifest)
    }

    /// What its signature says.
    pub fn standing(&self, trust: &Trust, now: Timestamp) -> Standing {
        match &self.manifest {
            Some(described) => described.standing(self.bytes, trust, now),
            None => Standing::Unsigned(Doubt::Missing),
        }
    }

    /// Finds the key for a sealed file among the operator's; asks for a passphrase at most here.
    ///
    /// # Errors
    /// When none of them opens it.
    pub fn unlock(self, identities: &[PathBuf], ask: &mut AskPassphrase<'_>) -> Result<Unlocked, BackupError> {
        let key = match (&self.kind, self.manifest()) {
            (Kind::Sealed, Some(manifest)) => {
                let seal = self.read_seal()?;
                self.whole(&seal, manifest)?;
                Some(Arc::new(
                    FittingKey::find(&seal, identities, ask).map_err(|error| self.closed(error))?,
                ))
            }
            _ => None,
        };
        Ok(Unlocked {
            source: Arc::new(self),
            key,
        })
    }

    /// The beginning of the age stream, with all of its header.
    fn read_seal(&self) -> Result<Vec<u8>, BackupError> {
        let read = || {
            let mut file = bounds::open(&self.path)?;
            file.seek(SeekFrom::Start(HEAD as u64))?;
            let mut seal = Vec::new();
            file.take(LONGEST_SEAL as u64).read_to_end(&mut seal)?;
            Ok(seal)
        };
        read().map_err(|source| BackupError::Read {
            path: self.path.clone(),
            source,
        })
    }

    /// Whether the file is as long as its manifest says: age itself cannot tell a missing end from changed bytes.
    fn whole(&self, seal: &[u8], manifest: &Manifest) -> Result<(), BackupError> {
        let failed = |source| BackupError::Read {
            path: self.path.clone(),
            source,
        };
        let json = format::json(manifest).map_err(|e| failed(e.into()))?;
        let Some(header) = header_length(seal) else {
            return Err(BackupError::Truncated {
                path: self.path.clone(),
            });
        };
        let plain = manifest.snapshot.size + json.len() as u64;
        let sealed = TAG + plain + TAG * plain.div_ceil(PIECE).max(1);
        let expected = HEAD as u64 + header + sealed;
        let found = std::fs::metadata(&self.path).map_err(failed)?.len();
        match found.cmp(&expected) {
            std::cmp::Ordering::Less => Err(BackupError::Truncated {
                path: self.path.clone(),
            }),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(BackupError::Damaged {
                path: self.path.clone(),
                why: format!("{} bytes follow its end", found - expected),
            }),
        }
    }

    fn closed(&self, error: OpenError) -> BackupError {
        match error {
            OpenError::NoKey { tried } => BackupError::NotYours {
                path: self.path.clone(),
                sealed_to: self.manifest().map(|m| m.sealed_to.clone()).unwrap_or_default(),
                tried,
            },
            OpenError::Damaged { why } => BackupError::Damaged {
                path: self.path.clone(),
                why,
            },
        }
    }
}

/// A source with the key that opens it. Cheap to clone.
#[derive(Clone)]
pub struct Unlocked {
    source: Arc<Source>,
    key: Option<Arc<FittingKey>>,
}

impl Unlocked {
    /// The file.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The plain snapshot from its beginning. Every reader is independent, and ends with an error unless all of it was
    /// what it should be.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut file = bounds::open(&self.source.path)?;
        match (&self.source.kind, &self.key, self.source.manifest()) {
            (Kind::Sealed, Some(key), Some(manifest)) => {
                file.seek(SeekFrom::Start(HEAD as u64))?;
                let opened = key
                    .open(BufReader::with_capacity(BUFFER, file))
                    .map_err(io::Error::other)?;
                let json = format::json(manifest)?;
                Ok(Box::new(CheckedSeal::new(opened, manifest.snapshot.clone(), json)))
            }
            (Kind::Snapshot { size }, ..) => Ok(Box::new(CheckedSnapshot::new(file, *size))),
            (Kind::Bare { size }, ..) => Ok(Box::new(file.take(*size))),
            (Kind::Sealed, ..) => Err(io::Error::other("the backup is still sealed")),
        }
    }

    /// Reads and checks all of it: what the plain snapshot's digest is. Takes a second or two for a gigabyte.
    ///
    /// # Errors
    /// When it is damaged or cut off.
    pub fn digest(&self) -> Result<SnapshotDigest, BackupError> {
        let path = &self.source.path;
        let read = || {
            let (mut hash, mut size) = (Sha256::new(), 0);
            let mut reader = self.reader()?;
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let read = reader.read(&mut buffer)?;
                if read == 0 {
                    return Ok(SnapshotDigest {
                        sha256: hex::encode(hash.finalize()),
                        size,
                    });
                }
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        };
        let digest = read().map_err(|error| damage(path, error))?;
        match self.source.manifest() {
            Some(manifest) if manifest.snapshot != digest => Err(BackupError::Damaged {
                path: path.clone(),
                why: format!("it does not match its manifest ({})", manifest.snapshot.sha256),
            }),
            _ => Ok(digest),
        }
    }
}

/// What an error met while reading a backup means.
pub fn damage(path: &Path, error: io::Error) -> BackupError {
    let path = path.to_owned();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Damage>()) {
        Some(Damage::Truncated) => BackupError::Truncated { path },
        Some(Damage::Altered(why)) => BackupError::Damaged { path, why: why.clone() },
        // What age finds: a piece that does not authenticate.
        None if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            BackupError::Damaged {
                path,
                why: "a sealed chunk of it was modified".to_owned(),
            }
        }
        None => BackupError::Read { path, source: error },
    }
}

/// Length of an age header: up to and with the line that begins with `---`.
fn header_length(seal: &[u8]) -> Option<u64> {
    let last = seal.windows(4).position(|window| window == b"\n---")? + 1;
    let end = seal[last..].iter().position(|byte| *byte == b'\n')?;
    Some((last + end + 1) as u64)
}

fn read_manifest(path: &Path, file: &File, size: u64) -> Result<Described, BackupError> {
    if size < HEAD as u64 {
        return Err(BackupError::Truncated { path: path.to_owned() });
    }
    let mut head = vec![0; HEAD];
    file.read_exact_at(&mut head, 0).map_err(|source| BackupError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &head)
}

/// The manifest beside a plain snapshot, when there is one.
fn read_beside(snapshot: &Path) -> Result<Option<Described>, BackupError> {
    let path = manifest_beside(snapshot);
    match bounds::open(&path).and_then(|file| bounds::read(file, LONGEST_MANIFEST)) {
        Ok(text) => parse(&path, &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BackupError::Read { path, source }),
    }
}

/// The manifest in the first bytes of a sealed backup.
///
/// # Errors
/// When there is none that this quorate can read.
pub(super) fn manifest_of(path: &Path, head: &[u8]) -> Result<Described, BackupError> {
    if !head.starts_with(MAGIC) {
        return Err(BackupError::NotABackup {
            path: path.to_owned(),
            what: "something else",
        });
    }
    parse(path, head)
}

fn parse(path: &Path, text: &[u8]) -> Result<Described, BackupError> {
    #[derive(serde::Deserialize)]
    struct Format {
        quorate_backup: u32,
    }
    #[derive(serde::Deserialize)]
    struct Signed {
        signature: Option<Signature>,
    }
    let failed = |error: serde_json::Error| BackupError::Manifest {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let Format { quorate_backup } = serde_json::from_slice(text).map_err(failed)?;
    if quorate_backup > FORMAT {
        return Err(BackupError::TooNew {
            path: path.to_owned(),
            format: quorate_backup,
        });
    }
    let manifest = serde_json::from_slice(text).map_err(failed)?;
    // Something else in its place is no signature, and not a reason to hide the backup.
    let signature = serde_json::from_slice(text)
        .ok()
        .and_then(|Signed { signature }| signature);
    Ok(Described { manifest, signature })
}

impl Described {
    /// What the signature says of a file of so many bytes.
    pub(super) fn standing(&self, bytes: u64, trust: &Trust, now: Timestamp) -> Standing {
        trust.judge(&self.manifest, self.signature.as_ref(), bytes, now)
    }
}

/// The first line of a backup, or why it is none, for `crate::cli::formats_tests`.
#[cfg(test)]
pub(crate) fn manifest_in(line: &[u8]) -> Result<Manifest, BackupError> {
    Ok(manifest_of(Path::new("a.qbackup"), line)?.manifest)
}

/// The first line of a backup, for `crate::fuzz`.
#[cfg(any(test, feature = "lab"))]
pub(crate) fn fuzz_manifest(bytes: &[u8]) -> bool {
    manifest_of(Path::new("a.qbackup"), bytes).is_ok()
}
