//! A snapshot's bytes on their way out of a backup, checked as they pass.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::manifest::SnapshotDigest;
use crate::etcd::SnapshotChecksum;

/// What is wrong with a snapshot. Travels inside an [`io::Error`], because it is found while reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It ends too early.
    #[error("it is cut off")]
    Truncated,
    /// Its bytes are not those that were written.
    #[error("{0}")]
    Altered(String),
}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, damage)
    }
}

/// Passes a plain snapshot through and holds it against its own checksum (`etcdutl snapshot status` does not check
/// that); the last bytes are given out only when it holds.
pub(super) struct CheckedSnapshot<R> {
    inner: R,
    left: u64,
    sum: SnapshotChecksum,
}

impl<R: Read> CheckedSnapshot<R> {
    /// A snapshot of `size` bytes, its checksum included.
    pub(super) fn new(inner: R, size: u64) -> Self {
        Self {
            inner,
            left: size,
            sum: SnapshotChecksum::default(),
        }
    }
}

impl<R: Read> Read for CheckedSnapshot<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let read = read_some(&mut self.inner, buffer, self.left)?;
        self.sum.feed(&buffer[..read]);
        self.left -= read as u64;
        if self.left == 0 {
            self.sum.check().map_err(Damage::Altered)?;
        }
        Ok(read)
    }
}

/// Passes the snapshot out of an opened seal, and holds it and the manifest behind it against what the file says in
/// front; the last bytes are given out only when all of it fits.
pub(super) struct CheckedSeal<R> {
    inner: R,
    left: u64,
    hash: Sha256,
    expected: SnapshotDigest,
    /// The manifest as it stands in front.
    json: Vec<u8>,
}

impl<R: Read> CheckedSeal<R> {
    pub(super) fn new(inner: R, expected: SnapshotDigest, json: Vec<u8>) -> Self {
        Self {
            inner,
            left: expected.size,
            hash: Sha256::new(),
            expected,
            json,
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let mut inside = Vec::new();
        let longest = self.json.len() as u64 + 1;
        self.inner.by_ref().take(longest).read_to_end(&mut inside)?;
        if inside != self.json {
            return Err(Damage::Altered("the manifest in front is not the one that was sealed in".to_owned()).into());
        }
        let digest = std::mem::take(&mut self.hash).finalize();
        if hex::encode(digest) != self.expected.sha256 {
            return Err(Damage::Altered("its SHA-256 is not the one in the manifest".to_owned()).into());
        }
        Ok(())
    }
}

impl<R: Read> Read for CheckedSeal<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let read = read_some(&mut self.inner, buffer, self.left)?;
        self.hash.update(&buffer[..read]);
        self.left -= read as u64;
        if self.left == 0 {
            self.end()?;
        }
        Ok(read)
    }
}

/// Reads at most `left` bytes; none at all means that the rest is missing.
fn read_some(inner: &mut impl Read, buffer: &mut [u8], left: u64) -> io::Result<usize> {
    let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
    match inner.read(&mut buffer[..most])? {
        0 => Err(Damage::Truncated.into()),
        read => Ok(read),
    }
}
