//! What a member goes through again when it starts: the entries of its raft log after its newest snapshot of that log.
//! Among them may be some that releases from 3.7 on cannot read.
//!
//! Until 3.5 a member publishes itself, and the leader sets the cluster's version, with a request of the v2 API: an entry
//! whose bytes are an `etcdserverpb.Request` (server/etcdserver/server.go: `publish`, `updateClusterVersionV2`). 3.6 still
//! turns those into v3 requests (`applyEntryNormal`), 3.7 decodes every entry as an `InternalRaftRequest` and panics where
//! that fails: `unmarshal should never fail` (server/etcdserver/apply/apply.go). It decodes those that it has applied, too.

use prost::Message;
use serde::{Deserialize, Serialize};

use super::wal::{CRC, ENTRY, Entry, Record, SNAPSHOT, SnapshotMark, first_index, next};

/// What a member's next start goes through, as its disk tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Replay {
    /// The last entry that its newest snapshot covers: replay begins after it. 0 where there is none.
    pub snapshot: u64,
    /// The last entry of its log.
    pub last: u64,
    /// The last entry after that snapshot which only releases before 3.7 can read.
    pub v2: Option<u64>,
}

/// One file of a WAL.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// `SEQUENCE-FIRSTINDEX.wal`.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Replay {
    /// Reads it from the names of the snapshot files (`TERM-INDEX.snap`) and from the WAL's segments in their order, from
    /// the one on that holds what follows the newest of them.
    ///
    /// A snapshot counts when the WAL tells of it as well: etcd writes the file first, and without the record it begins
    /// with an earlier one.
    ///
    /// # Errors
    /// Why this is no such log, or not all of it.
    pub fn read(snapshots: &[String], segments: &[Segment<'_>]) -> Result<Self, String> {
        let files: Vec<u64> = snapshots.iter().map(|name| covers(name)).collect::<Result<_, _>>()?;
        let mut log = Log::default();
        for segment in segments {
            log.add(segment)?;
        }
        let noted = log.marks.iter().filter(|mark| files.contains(mark));
        let snapshot = noted.max().copied().unwrap_or(0);
        let first = log.first.ok_or("there is no segment of its log")?;
        if first > snapshot + 1 {
            return Err(format!(
                "its log begins with entry {first}, and its newest snapshot ends with entry {snapshot}"
            ));
        }
        Ok(Self {
            snapshot,
            last: log.last.max(snapshot),
            v2: log.v2.into_iter().filter(|index| *index > snapshot).max(),
        })
    }
}

/// The last entry that a snapshot file covers, by its name.
fn covers(name: &str) -> Result<u64, String> {
    name.strip_suffix(".snap")
        .and_then(|stem| stem.split_once('-'))
        .and_then(|(_, index)| u64::from_str_radix(index, 16).ok())
        .ok_or_else(|| format!("{name} is not the name of a snapshot"))
}

/// The segments read so far.
#[derive(Default)]
struct Log {
    /// The first entry that may be in the first segment; `None` before that was read.
    first: Option<u64>,
    last: u64,
    crc: u32,
    /// Snapshots that the log tells of.
    marks: Vec<u64>,
    /// Entries of the v2 API, in rising order.
    v2: Vec<u64>,
}

impl Log {
    fn add(&mut self, segment: &Segment<'_>) -> Result<(), String> {
        let name = segment.name;
        let first = first_index(name)?;
        let goes_on = self.first.is_some();
        if goes_on && first > self.last + 1 {
            return Err(format!("what comes before {name} breaks off at entry {}", self.last));
        }
        self.first = self.first.or(Some(first));
        // Each segment begins with the CRC that the one before has ended with.
        let mut rest = segment.bytes;
        let mut records = 0;
        while let Some((record, after)) = next(rest, self.crc) {
            if goes_on && records == 0 && record.kind == CRC && record.crc != self.crc {
                return Err(format!("{name} does not continue where the segment before it ends"));
            }
            rest = after;
            records += 1;
            self.crc = record.crc;
            self.take(&record).map_err(|error| format!("{name}: {error}"))?;
        }
        match records {
            0 => Err(format!("{name} contains no etcd record")),
            _ => Ok(()),
        }
    }

    fn take(&mut self, record: &Record) -> Result<(), prost::DecodeError> {
        let data = record.data.as_deref().unwrap_or_default();
        match record.kind {
            ENTRY => {
                let entry = Entry::decode(data)?;
                // It takes the place of all from its index on.
                self.v2.retain(|index| *index < entry.index);
                self.last = entry.index;
                if entry.kind == 0 && is_v2(entry.data.as_deref().unwrap_or_default()) {
                    self.v2.push(entry.index);
                }
            }
            SNAPSHOT => {
                let mark = SnapshotMark::decode(data)?;
                self.marks.push(mark.index);
                self.last = self.last.max(mark.index);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The header that every v3 request carries (`InternalRaftRequest.header`); a v2 request has no such field.
const HEADER: u64 = 100;
const LENGTH_DELIMITED: u64 = 2;

/// Whether an entry's bytes are anything but a v3 request. An empty one is what a new leader begins its term with.
fn is_v2(mut data: &[u8]) -> bool {
    if data.is_empty() {
        return false;
    }
    while let Some((field, wire)) = varint(&mut data).map(|key| (key >> 3, key & 7)) {
        if (field, wire) == (HEADER, LENGTH_DELIMITED) {
            return false;
        }
        if skip(&mut data, wire).is_none() {
            return true;
        }
    }
    true
}

fn varint(data: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(data).ok()
}

/// Steps over a field's value.
fn skip(data: &mut &[u8], wire: u64) -> Option<()> {
    let length = match wire {
        0 => return varint(data).map(drop),
        1 => 8,
        LENGTH_DELIMITED => usize::try_from(varint(data)?).ok()?,
        5 => 4,
        _ => return None,
    };
    *data = data.get(length..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::wal::segment::Segment as Bytes;
    use super::*;

    const FIRST: &str = "0000000000000000-0000000000000000.wal";

    /// A member of 3.5 publishes itself (taken from the WAL of a real one, shortened).
    fn v2() -> Option<Vec<u8>> {
        let mut bytes = vec![0x08, 0x86, 0x90, 0x01, 0x12, 3];
        bytes.extend(b"PUT");
        bytes.extend([0x1a, 29]);
        bytes.extend(b"/0/members/8e9e05c52164694d/a");
        bytes.extend([0x22, 2]);
        bytes.extend(b"{}");
        bytes.extend([0x28, 0, 0x32, 0]);
        Some(bytes)
    }

    /// A put, with the header behind it, as etcd writes it.
    fn v3() -> Option<Vec<u8>> {
        let mut bytes = vec![0x22, 6, 0x0a, 1, b'a', 0x12, 1, b'b'];
        bytes.extend([0xa2, 0x06, 3, 0x08, 0x86, 0x10]);
        Some(bytes)
    }

    fn read(snapshots: &[&str], segments: &[(&str, &[u8])]) -> Result<Replay, String> {
        let snapshots: Vec<String> = snapshots.iter().map(|name| (*name).to_owned()).collect();
        let segments: Vec<Segment<'_>> = segments.iter().map(|(name, bytes)| Segment { name, bytes }).collect();
        Replay::read(&snapshots, &segments)
    }

    #[test]
    fn a_request_of_the_v2_api_is_told_from_one_of_v3() {
        assert!(is_v2(&v2().unwrap()));
        assert!(!is_v2(&v3().unwrap()));
        assert!(!is_v2(&[]), "what a leader begins its term with");
        assert!(is_v2(&[0xff]), "what cannot be read is no v3 request");
    }

    #[test]
    fn what_follows_the_newest_snapshot_is_what_counts() {
        let log = Bytes::new().holding(1, 1, v2()).holding(1, 2, v3());
        assert_eq!(
            read(&[], &[(FIRST, &log.bytes)]),
            Ok(Replay {
                snapshot: 0,
                last: 2,
                v2: Some(1)
            })
        );
        let log = log.snapshot(1, 2).holding(1, 3, v3());
        let past = Replay {
            snapshot: 2,
            last: 3,
            v2: None,
        };
        assert_eq!(
            read(&["0000000000000001-0000000000000002.snap"], &[(FIRST, &log.bytes)]),
            Ok(past)
        );
    }

    /// etcd writes the file first; killed before the record, it begins with the snapshot before.
    #[test]
    fn a_snapshot_file_that_the_log_does_not_tell_of_does_not_count() {
        let log = Bytes::new().holding(1, 1, v3()).holding(1, 2, v2());
        let seen = read(&["0000000000000001-0000000000000002.snap"], &[(FIRST, &log.bytes)]).unwrap();
        assert_eq!((seen.snapshot, seen.v2), (0, Some(2)));
    }

    #[test]
    fn an_entry_that_was_overruled_is_gone() {
        let log = Bytes::new().holding(1, 1, v3()).holding(1, 2, v2()).holding(2, 2, v3());
        assert_eq!(read(&[], &[(FIRST, &log.bytes)]).unwrap().v2, None);
    }

    #[test]
    fn a_log_that_lacks_what_follows_the_snapshot_is_not_known() {
        let later = (
            "0000000000000003-0000000000000009.wal",
            Bytes::new().holding(2, 9, v3()).bytes,
        );
        let unknown = read(&["0000000000000001-0000000000000002.snap"], &[(later.0, &later.1)]).unwrap_err();
        assert!(unknown.contains("begins with entry 9"), "{unknown}");
        let before = Bytes::new().holding(1, 1, v3()).bytes;
        let gap = read(&[], &[(FIRST, &before), (later.0, &later.1)]).unwrap_err();
        assert!(gap.contains("breaks off at entry 1"), "{gap}");
        assert!(read(&["db.snap"], &[]).is_err());
        assert!(read(&[], &[(FIRST, &[0; 64])]).is_err());
    }
}
