//! What a write probe has seen, and what follows from it. No clock and no network here.

use std::time::Duration;

use super::{Header, KeyValue};

/// What the probe found out, once its last write was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFindings {
    /// Acknowledged writes.
    pub acks: u64,
    /// Attempts that failed or took too long; some of them may have been written nevertheless.
    pub failed_attempts: u64,
    /// Longest time without an acknowledgement, the times before the first and after the last one included.
    pub longest_gap: Duration,
    /// Acknowledged writes that are not in the store.
    pub lost: u64,
    /// How often the raft term was seen to rise.
    pub elections: u64,
    /// How long it wrote.
    pub length: Duration,
    /// The longest gaps, in order.
    pub gaps: Vec<Gap>,
    /// Acknowledged writes in each interval of `every`.
    pub writes: Vec<u32>,
    /// How long such an interval is.
    pub every: Duration,
}

/// A time without an acknowledgement. Times are since the probe's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When it began.
    pub from: Duration,
    /// How long it was.
    pub length: Duration,
}

/// What is shorter is a slow write, and no gap.
const SHORTEST_GAP: Duration = Duration::from_millis(100);

/// More gaps are not kept: the shortest goes.
const MOST_GAPS: usize = 100;

/// How finely writes are counted at first; it gets coarser as time goes by, so that no more than [`MOST_INTERVALS`] are kept.
const INTERVAL: Duration = Duration::from_millis(250);
const MOST_INTERVALS: usize = 240;

/// Counts while the probe runs. Times are since its start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    acks: u64,
    failed: u64,
    last_ack: Duration,
    longest_gap: Duration,
    last_revision: i64,
    term: Option<u64>,
    elections: u64,
    gaps: Vec<Gap>,
    writes: Vec<u32>,
    /// How often the intervals were doubled.
    doubled: u32,
}

impl Tally {
    pub fn ack(&mut self, at: Duration, header: &Header) {
        self.acks += 1;
        self.gap_until(at);
        self.count(at);
        self.last_revision = self.last_revision.max(header.revision);
        let known = *self.term.get_or_insert(header.raft_term);
        if header.raft_term > known {
            self.elections += 1;
            self.term = Some(header.raft_term);
        }
    }

    pub fn failure(&mut self) {
        self.failed += 1;
    }

    /// Closes the books at `end`. `stored` is the key as a quorum gave it afterwards: its version counts the writes
    /// that it holds, so each acknowledged one must be among them, the newest included.
    pub fn close(mut self, end: Duration, stored: Option<&KeyValue>) -> ProbeFindings {
        self.gap_until(end);
        let (writes, newest) = stored.map_or((0, 0), |kv| (kv.version.unsigned_abs(), kv.mod_revision));
        let missing = self.acks.saturating_sub(writes);
        let newest_is_gone = u64::from(newest < self.last_revision);
        ProbeFindings {
            acks: self.acks,
            failed_attempts: self.failed,
            longest_gap: self.longest_gap,
            lost: missing.max(newest_is_gone),
            elections: self.elections,
            length: end,
            every: self.every(),
            gaps: self.gaps,
            writes: self.writes,
        }
    }

    fn every(&self) -> Duration {
        INTERVAL * 2u32.pow(self.doubled)
    }

    fn count(&mut self, at: Duration) {
        let mut index = at.as_millis() / self.every().as_millis();
        while index >= MOST_INTERVALS as u128 {
            self.writes = self.writes.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.doubled += 1;
            index = at.as_millis() / self.every().as_millis();
        }
        let index = index as usize;
        if self.writes.len() <= index {
            self.writes.resize(index + 1, 0);
        }
        self.writes[index] += 1;
    }

    fn gap_until(&mut self, at: Duration) {
        let length = at.saturating_sub(self.last_ack);
        self.longest_gap = self.longest_gap.max(length);
        if length >= SHORTEST_GAP {
            self.gaps.push(Gap {
                from: self.last_ack,
                length,
            });
            let shortest = (0..self.gaps.len()).min_by_key(|at| self.gaps[*at].length);
            if let (true, Some(shortest)) = (self.gaps.len() > MOST_GAPS, shortest) {
                self.gaps.remove(shortest);
            }
        }
        self.last_ack = self.last_ack.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{ClusterId, MemberId};

    const MS: Duration = Duration::from_millis(1);

    fn header(revision: i64, raft_term: u64) -> Header {
        Header {
            cluster_id: ClusterId(1),
            member_id: MemberId(1),
            revision,
            raft_term,
        }
    }

    fn stored(version: i64, mod_revision: i64) -> KeyValue {
        KeyValue {
            key: Vec::new(),
            value: Vec::new(),
            mod_revision,
            version,
        }
    }

    /// Acknowledged at 10 and 25 ms, then an election, then at 425 ms.
    fn tally() -> Tally {
        let mut tally = Tally::default();
        tally.ack(10 * MS, &header(5, 2));
        tally.ack(25 * MS, &header(6, 2));
        tally.failure();
        tally.ack(425 * MS, &header(7, 3));
        tally
    }

    #[test]
    fn everything_written_is_there() {
        let findings = tally().close(430 * MS, Some(&stored(3, 7)));
        assert_eq!(
            findings,
            ProbeFindings {
                acks: 3,
                failed_attempts: 1,
                longest_gap: 400 * MS,
                lost: 0,
                elections: 1,
                length: 430 * MS,
                gaps: vec![Gap {
                    from: 25 * MS,
                    length: 400 * MS
                }],
                writes: vec![2, 1],
                every: 250 * MS,
            }
        );
    }

    #[test]
    fn a_failed_attempt_that_was_written_all_the_same_is_no_loss() {
        assert_eq!(tally().close(430 * MS, Some(&stored(4, 8))).lost, 0);
    }

    #[test]
    fn missing_writes_are_counted() {
        assert_eq!(tally().close(430 * MS, Some(&stored(2, 7))).lost, 1);
        assert_eq!(
            tally().close(430 * MS, Some(&stored(3, 6))).lost,
            1,
            "the newest is gone"
        );
        assert_eq!(tally().close(430 * MS, None).lost, 3);
    }

    #[test]
    fn an_outage_that_lasts_until_the_end_is_a_gap_too() {
        assert_eq!(tally().close(2000 * MS, Some(&stored(3, 7))).longest_gap, 1575 * MS);
    }

    #[test]
    fn what_is_kept_of_a_long_run_is_bounded_and_has_the_longest_gaps() {
        let mut tally = Tally::default();
        let mut at = Duration::ZERO;
        for number in 0..10_000u32 {
            at += if number % 20 == 0 {
                100 * MS + MS * number
            } else {
                10 * MS
            };
            tally.ack(at, &header(i64::from(number), 2));
        }
        let findings = tally.close(at, Some(&stored(10_000, 9_999)));
        assert_eq!(findings.gaps.len(), MOST_GAPS);
        assert!(findings.gaps.is_sorted_by_key(|gap| gap.from), "in order");
        assert!(findings.gaps.iter().all(|gap| gap.length > 8000 * MS), "the longest");
        assert!((MOST_INTERVALS / 2..=MOST_INTERVALS).contains(&findings.writes.len()));
        assert_eq!(findings.writes.iter().sum::<u32>(), 10_000, "every write is counted");
        assert!(findings.every * findings.writes.len() as u32 >= at);
    }

    #[test]
    fn answers_that_overtake_each_other_make_no_election_and_no_gap() {
        let mut tally = Tally::default();
        tally.ack(10 * MS, &header(6, 3));
        tally.ack(9 * MS, &header(5, 2));
        let findings = tally.close(11 * MS, Some(&stored(2, 6)));
        assert_eq!(
            (findings.elections, findings.longest_gap, findings.lost),
            (0, 10 * MS, 0)
        );
    }
}
