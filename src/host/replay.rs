//! What a member goes through again when it starts, read from its disk whether it runs or not.

use std::io::Read;

use flate2::read::GzDecoder;

use super::trouble::not_understood;
use super::verbs::no_input;
use super::{Host, HostError, scripts};

/// Segments of 64 MB that are read at most. A snapshot of the raft log is due every 10 000 entries (100 000 before 3.6), so
/// more lie after the newest one only where entries are huge.
const MOST_SEGMENTS: usize = 8;

/// No segment is longer (64 MB and the last entries); more is not read.
const LONGEST: u64 = 512 << 20;

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
        let args = vec![
            self.paths.wal_files().to_string(),
            snapshots.to_string(),
            MOST_SEGMENTS.to_string(),
        ];
        let output = self.call(operation, scripts::REPLAY, args, no_input()).await?;
        let odd = |why: &str| not_understood(&self.node, operation, why);
        let mut parts = output.stdout.splitn(4, |byte| *byte == b'\n');
        let mut line = || Some(String::from_utf8_lossy(parts.next()?).into_owned());
        let (Some(snapshots), Some(segments)) = (line(), line()) else {
            return Err(odd("the host did not say what there is"));
        };
        if segments.ends_with(" segments") {
            return Ok(None);
        }
        let (Some(packing), Some(packed)) = (line(), parts.next()) else {
            return Err(odd("the host did not give the log out"));
        };
        let mut bytes: Box<dyn Read + '_> = match packing.as_str() {
            "gzip" => Box::new(GzDecoder::new(packed)),
            _ => Box::new(packed),
        };
        let names: Vec<&str> = segments.split(' ').collect();
        let mut read = Vec::new();
        for pair in names.chunks(2) {
            let [name, size] = pair else {
                return Err(odd("the host did not say how long the segments are"));
            };
            let size: u64 = size.parse().map_err(|_| odd("a segment has no size"))?;
            let mut segment = Vec::new();
            let taken = bytes.by_ref().take(size.min(LONGEST)).read_to_end(&mut segment);
            let taken = taken.map_err(|error| odd(&error.to_string()))?;
            if taken as u64 != size {
                return Err(odd("a segment went away meanwhile"));
            }
            // The rest of it is zeros, put there ahead of time.
            let used = segment.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            segment.truncate((used + 16).min(segment.len()));
            segment.shrink_to_fit();
            read.push(((*name).to_owned(), segment));
        }
        Ok(Some(RaftTail {
            snapshots: snapshots
                .split(' ')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            segments: read,
        }))
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
