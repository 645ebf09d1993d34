//! What a member goes through again when it starts, read from its disk whether it runs or not.

use flate2::bufread::GzDecoder;

use super::data::Idle;
use super::trouble::not_understood;
use super::verbs::no_input;
use super::{Host, HostError, scripts};
use crate::bounds;

/// Segments of 64 MB that are read at most. A snapshot of the raft log is due every 10 000 entries (100 000 before 3.6), so
/// more lie after the newest one only where entries are huge.
const MOST_SEGMENTS: usize = 8;

/// No segment is longer: 64 MB, and the last entries.
const LONGEST: u64 = 128 << 20;

/// A member's raft log from its newest snapshot on.
#[derive(Debug, Clone)]
pub struct RaftTail {
    /// The snapshots of the raft log that lie there: `TERM-INDEX.snap`.
    pub snapshots: Vec<String>,
    /// The WAL's segments from the one on that holds what follows the newest of them: name and bytes.
    pub segments: Vec<(String, Vec<u8>)>,
}

impl Host {
    /// Reads a member's raft log from its newest snapshot on; `None` where that is more than is worth reading.
    ///
    /// # Errors
    /// When there is none, or it could not be read whole.
    pub async fn raft_tail(&self) -> Result<Option<RaftTail>, HostError> {
        let operation = "reading the raft log";
        let snapshots = self.paths.data.join("member/snap");
        let args = [
            self.paths.wal_files().to_string(),
            snapshots.to_string(),
            MOST_SEGMENTS.to_string(),
        ];
        let output = self
            .call_as_owner(operation, Idle::NotNeeded, scripts::REPLAY, &args, no_input())
            .await?;
        let odd = |why: &str| not_understood(&self.node, operation, why);
        let mut parts = output.stdout.splitn(3, |byte| *byte == b'\n');
        let mut line = || Some(String::from_utf8_lossy(parts.next()?).into_owned());
        let (Some(snapshots), Some(names)) = (line(), line()) else {
            return Err(odd("the host did not report what it has"));
        };
        if names.ends_with(" segments") {
            return Ok(None);
        }
        let mut packed = parts.next().unwrap_or_default();
        let mut segments = Vec::new();
        for name in names.split(' ') {
            let mut unpacker = GzDecoder::new(packed);
            let read = bounds::read(&mut unpacker, LONGEST);
            let mut segment = read.map_err(|error| odd(&format!("{name}: {error}")))?;
            packed = unpacker.into_inner();
            // The rest of it is zeros, put there ahead of time.
            let used = segment.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            segment.truncate((used + 16).min(segment.len()));
            segment.shrink_to_fit();
            segments.push((name.to_owned(), segment));
        }
        Ok(Some(RaftTail {
            snapshots: snapshots
                .split(' ')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            segments,
        }))
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
