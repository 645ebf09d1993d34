//! The snapshot stream: chunks as they come, and at the end the proof that they are whole.
//!
//! etcd sends the database in blobs of 32 KiB and then the SHA-256 of all of it as the last 32 bytes. The bytes, those
//! 32 included, are the file that `etcdutl snapshot restore` takes.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tonic::Streaming;

use super::error::Asked;
use super::{Endpoint, EtcdError, pb};
use crate::bounds::Pace;

/// How long the first piece of a snapshot may take. The rest has no total deadline, because a database can be of any size: its
/// [`Pace`] is judged.
pub(super) const SNAPSHOT_IDLE: Duration = Pace::IDLE;

/// etcd advises against databases of more than 8 GiB, and does not refuse any: no snapshot of more than this is read.
pub const LARGEST_SNAPSHOT: u64 = 128 << 30;

/// A snapshot under way. Holds one chunk at a time, whatever the database's size.
#[derive(Debug)]
pub struct SnapshotStream {
    stream: Streaming<pb::SnapshotResponse>,
    endpoint: Endpoint,
    total: Option<u64>,
    trailer: SnapshotChecksum,
    sha256: Option<[u8; 32]>,
    pace: Pace,
}

impl SnapshotStream {
    pub(super) fn new(stream: Streaming<pb::SnapshotResponse>, endpoint: Endpoint) -> Self {
        Self {
            stream,
            endpoint,
            total: None,
            trailer: SnapshotChecksum::default(),
            sha256: None,
            pace: Pace::new(LARGEST_SNAPSHOT),
        }
    }

    /// The size of the finished file in bytes; known from the first chunk on.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The SHA-256 of the finished file; known after its last chunk.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256
    }

    /// The next chunk; `None` after the last one, and only when the checksum holds. Write to a temporary name until
    /// then.
    ///
    /// # Errors
    /// `DamagedSnapshot` when the stream does not end with the checksum of what it carried; `Passed` when it pauses or trickles,
    /// or brings more than it has announced; `Unavailable` when the connection broke.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, EtcdError> {
        let asked = Asked {
            way: None,
            operation: "snapshot",
            endpoint: &self.endpoint,
            limit: SNAPSHOT_IDLE,
            member: None,
        };
        let waited = self.pace.wait(self.stream.message()).await;
        let message = waited
            .map_err(|exceeded| asked.passed(exceeded))?
            .map_err(|status| asked.status(&status))?;
        let Some(message) = message else {
            let sha256 = self.trailer.check();
            self.sha256 = Some(sha256.map_err(|why| EtcdError::DamagedSnapshot { why })?);
            return Ok(None);
        };
        if self.total.is_none() {
            let announced = message
                .remaining_bytes
                .saturating_add((message.blob.len() + CHECKSUM) as u64);
            self.total = Some(announced);
            self.pace.hold_to(announced);
        }
        self.pace
            .count(message.blob.len())
            .map_err(|exceeded| asked.passed(exceeded))?;
        self.trailer.feed(&message.blob);
        Ok(Some(message.blob))
    }
}

const CHECKSUM: usize = 32;

/// Holds a snapshot against the checksum it ends with, however it was cut into chunks.
#[derive(Debug, Default)]
pub struct SnapshotChecksum {
    hash: Sha256,
    held: Vec<u8>,
}

impl SnapshotChecksum {
    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        // Only what may be the checksum is copied, not the gigabytes before it.
        let (settled, last) = chunk.split_at(chunk.len().saturating_sub(CHECKSUM));
        let held = (self.held.len() + last.len()).saturating_sub(CHECKSUM);
        self.hash.update(&self.held[..held]);
        self.held.drain(..held);
        self.hash.update(settled);
        self.held.extend_from_slice(last);
    }

    /// Judges what was fed, as the whole snapshot; returns the SHA-256 of all of it, its checksum included.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<[u8; 32], String> {
        if self.held.len() < CHECKSUM {
            return Err("it ended before its checksum".to_owned());
        }
        if self.hash.clone().finalize()[..] != self.held[..] {
            return Err("its checksum does not match".to_owned());
        }
        Ok(self.hash.clone().chain_update(&self.held).finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any database with its checksum, cut into chunks of `size`.
    fn fed(file: &[u8], size: usize) -> SnapshotChecksum {
        let mut trailer = SnapshotChecksum::default();
        file.chunks(size).for_each(|chunk| trailer.feed(chunk));
        trailer
    }

    fn snapshot() -> Vec<u8> {
        let database: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
        let sum = Sha256::digest(&database);
        [database.as_slice(), &sum[..]].concat()
    }

    #[test]
    fn a_whole_snapshot_passes_however_it_was_cut() {
        for size in [1, 31, 32, 33, 4096, 1 << 20] {
            let all: [u8; 32] = Sha256::digest(snapshot()).into();
            assert_eq!(fed(&snapshot(), size).check(), Ok(all), "chunks of {size}");
        }
    }

    #[test]
    fn a_flipped_bit_a_lost_chunk_or_a_missing_end_is_noticed() {
        let mut flipped = snapshot();
        flipped[777] ^= 1;
        let file = snapshot();
        let holed = [&file[..4096], &file[8192..]].concat();
        for broken in [&flipped[..], &holed, &file[..file.len() - 32], &file[..20], &[]] {
            assert!(fed(broken, 4096).check().is_err());
        }
    }
}
