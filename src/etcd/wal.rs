//! How far a member's raft log goes, read from its newest WAL segment: also where the member does not run, or answers
//! nobody because it has no quorum.
//!
//! Layout (etcd `server/storage/wal`): frames of a length (8 bytes, little-endian, padding in its highest byte) and a
//! `walpb.Record` of type, CRC and data. Each segment begins with the CRC so far and, from the second one on, repeats
//! the hard state. What follows the last frame is zeros, or a frame that was cut off.

use prost::Message;
use serde::{Deserialize, Serialize};

/// What a member has on disk of the raft log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RaftLog {
    /// The last entry that it knows to be on a majority: what is applied to the data.
    pub committed: u64,
    /// The term of its last entry; 0 where the segment does not tell.
    pub last_term: u64,
    /// Its last entry, committed or not.
    pub last: u64,
    /// The term it has reached.
    pub term: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    #[prost(int64, tag = "1")]
    pub kind: i64,
    #[prost(uint32, tag = "2")]
    pub crc: u32,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub data: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    /// 0 for what is applied to the data; others change the members.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(uint64, tag = "2")]
    pub term: u64,
    #[prost(uint64, tag = "3")]
    pub index: u64,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub data: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct HardState {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "3")]
    commit: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SnapshotMark {
    #[prost(uint64, tag = "1")]
    pub index: u64,
    #[prost(uint64, tag = "2")]
    pub term: u64,
}

pub(super) const ENTRY: i64 = 2;
const STATE: i64 = 3;
pub(super) const CRC: i64 = 4;
pub(super) const SNAPSHOT: i64 = 5;

impl RaftLog {
    /// Reads the newest segment of a WAL, named as etcd names it (`SEQUENCE-FIRSTINDEX.wal`).
    ///
    /// # Errors
    /// Why it is no such segment.
    pub fn read(name: &str, segment: &[u8]) -> Result<Self, String> {
        let first = first_index(name)?;
        let mut log = Self {
            committed: 0,
            last_term: 0,
            last: first.saturating_sub(1),
            term: 0,
        };
        let (mut rest, mut crc, mut records) = (segment, 0, 0);
        while let Some((record, after)) = next(rest, crc) {
            rest = after;
            records += 1;
            crc = record.crc;
            log.apply(&record).map_err(|error| format!("{name}: {error}"))?;
        }
        match records {
            0 => Err(format!("{name} contains no etcd record")),
            _ => Ok(log),
        }
    }

    fn apply(&mut self, record: &Record) -> Result<(), prost::DecodeError> {
        let data = record.data.as_deref().unwrap_or_default();
        match record.kind {
            ENTRY => {
                // A later entry takes the place of all from its index on.
                let entry = Entry::decode(data)?;
                (self.last, self.last_term) = (entry.index, entry.term);
            }
            STATE => {
                let state = HardState::decode(data)?;
                (self.term, self.committed) = (state.term, state.commit);
            }
            SNAPSHOT => {
                let mark = SnapshotMark::decode(data)?;
                if mark.index > self.last {
                    (self.last, self.last_term) = (mark.index, mark.term);
                }
                self.committed = self.committed.max(mark.index);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The first entry of a segment, by its name.
pub(super) fn first_index(name: &str) -> Result<u64, String> {
    name.strip_suffix(".wal")
        .and_then(|stem| stem.split_once('-'))
        .and_then(|(_, index)| u64::from_str_radix(index, 16).ok())
        .ok_or_else(|| format!("{name} is not the name of a WAL segment"))
}

/// The next record and what follows it; `None` at the end, which is zeros or a frame that does not hold together.
pub(super) fn next(bytes: &[u8], crc: u32) -> Option<(Record, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let field = u64::from_le_bytes(*head);
    if field == 0 {
        return None;
    }
    let length = usize::try_from(field & !(0xff << 56)).ok()?;
    let padding = match field >> 63 {
        1 => usize::try_from((field >> 56) & 7).ok()?,
        _ => 0,
    };
    let record = Record::decode(rest.get(..length)?).ok()?;
    let after = rest.get(length + padding..)?;
    let holds = record.kind == CRC || record.crc == crc32c(crc, record.data.as_deref().unwrap_or_default());
    holds.then_some((record, after))
}

/// CRC-32 with Castagnoli's polynomial, continued from `crc` (Go's `crc32.Update`).
fn crc32c(crc: u32, data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    let update = |crc: u32, byte: &u8| TABLE[usize::from((crc as u8) ^ byte)] ^ (crc >> 8);
    !data.iter().fold(!crc, update)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut value = n as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ 0x82f6_3b78
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[n] = value;
        n += 1;
    }
    table
}

/// Segments for tests.
#[cfg(test)]
pub(super) mod segment {
    use super::*;

    /// A segment as etcd writes it: frames padded to 8 bytes, a rolling CRC, zeros at the end.
    #[derive(Default)]
    pub struct Segment {
        pub bytes: Vec<u8>,
        crc: u32,
    }

    impl Segment {
        pub fn new() -> Self {
            let mut segment = Self::default();
            segment.frame(CRC, None);
            segment
        }

        pub fn frame(&mut self, kind: i64, data: Option<Vec<u8>>) {
            self.crc = crc32c(self.crc, data.as_deref().unwrap_or_default());
            let crc = self.crc;
            let record = Record { kind, crc, data }.encode_to_vec();
            let padding = (8 - record.len() % 8) % 8;
            let mut field = record.len() as u64;
            if padding > 0 {
                field |= (0x80 | padding as u64) << 56;
            }
            self.bytes.extend(field.to_le_bytes());
            self.bytes.extend(record);
            self.bytes.extend(vec![0; padding]);
        }

        pub fn entry(self, term: u64, index: u64) -> Self {
            self.holding(term, index, None)
        }

        pub fn holding(mut self, term: u64, index: u64, data: Option<Vec<u8>>) -> Self {
            let entry = Entry {
                kind: 0,
                term,
                index,
                data,
            };
            self.frame(ENTRY, Some(entry.encode_to_vec()));
            self
        }

        pub fn snapshot(mut self, term: u64, index: u64) -> Self {
            self.frame(SNAPSHOT, Some(SnapshotMark { index, term }.encode_to_vec()));
            self
        }

        pub fn state(mut self, term: u64, commit: u64) -> Self {
            self.frame(STATE, Some(HardState { term, commit }.encode_to_vec()));
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::segment::Segment;
    use super::*;

    const FIRST: &str = "0000000000000000-0000000000000000.wal";

    #[test]
    fn the_check_value_of_the_polynomial() {
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(crc32c(0, b"12345"), b"6789"), 0xe306_9283);
    }

    #[test]
    fn the_last_entry_and_the_last_state_count_and_zeros_end_it() {
        let mut segment = Segment::new()
            .entry(1, 1)
            .entry(1, 2)
            .state(1, 1)
            .entry(2, 3)
            .state(2, 2);
        segment.bytes.extend(vec![0; 4096]);
        let log = RaftLog::read(FIRST, &segment.bytes).unwrap();
        assert_eq!((log.committed, log.last, log.last_term, log.term), (2, 3, 2, 2));
    }

    #[test]
    fn an_entry_that_was_overruled_is_gone() {
        let segment = Segment::new().entry(1, 5).entry(1, 6).entry(2, 5).state(2, 5);
        assert_eq!(RaftLog::read(FIRST, &segment.bytes).unwrap().last, 5);
    }

    #[test]
    fn a_frame_that_was_cut_off_or_changed_ends_it() {
        let whole = Segment::new().entry(1, 1).state(1, 1).entry(1, 2).bytes;
        let cut = &whole[..whole.len() - 3];
        assert_eq!(RaftLog::read(FIRST, cut).unwrap().last, 1);
        let mut changed = whole.clone();
        let end = changed.len() - 8;
        changed[end] ^= 1;
        assert_eq!(RaftLog::read(FIRST, &changed).unwrap().last, 1);
    }

    #[test]
    fn a_later_segment_without_an_entry_yet_tells_the_last_one_by_its_name() {
        let segment = Segment::new().state(4, 0x1f);
        let log = RaftLog::read("0000000000000002-0000000000000021.wal", &segment.bytes).unwrap();
        assert_eq!((log.committed, log.last), (0x1f, 0x20));
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(RaftLog::read("notes.txt", &[]).is_err());
        assert!(RaftLog::read(FIRST, &[0; 64]).is_err());
        assert!(RaftLog::read(FIRST, b"something else, of no length that makes sense").is_err());
    }
}
