//! Which backups to keep. Pure: the same moments and rules give the same answer.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::format;
use super::manifest::Manifest;
use super::trust::{SignedBy, Standing, is_ahead};
pub use crate::inventory::KeepPolicy as Keep;

/// Tells which hour, day, week or month a moment falls into.
type Calendar = fn(DateTime) -> (i16, i16);

/// A backup that may go.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What it says of itself.
    pub manifest: &'a Manifest,
    /// Whether that counts.
    pub standing: &'a Standing,
}

/// The position of every backup that no rule keeps.
///
/// Each signer's backups are counted by themselves: a member that lies about its own can displace nobody else's. What is
/// not signed by this cluster's CA, or dated in the future, is neither counted nor goes; with `unsigned`, those without a
/// signature are counted by themselves, too. Copies of one backup count once, and stay or go together.
pub fn expired(candidates: &[Candidate<'_>], keep: &Keep, unsigned: bool, now: Timestamp) -> Vec<usize> {
    let mut series: BTreeMap<Option<&SignedBy>, BTreeMap<Vec<u8>, Vec<usize>>> = BTreeMap::new();
    for (index, Candidate { manifest, standing }) in candidates.iter().enumerate() {
        let signer = match standing {
            Standing::Signed(by) => Some(by),
            Standing::Unsigned(_) if unsigned && !is_ahead(manifest, now) => None,
            Standing::Ahead(_) | Standing::Unsigned(_) => continue,
        };
        // What cannot be told apart is not deleted.
        let Ok(same) = format::json(manifest) else { continue };
        series.entry(signer).or_default().entry(same).or_default().push(index);
    }
    let mut gone = Vec::new();
    for copies in series.values() {
        let copies: Vec<&Vec<usize>> = copies.values().collect();
        let taken: Vec<Timestamp> = copies
            .iter()
            .map(|each| candidates[each[0]].manifest.taken_at)
            .collect();
        gone.extend(outside(&taken, keep).into_iter().flat_map(|index| copies[index]));
    }
    gone.sort_unstable();
    gone
}

/// The position of every moment that no rule keeps, in any order.
fn outside(taken: &[Timestamp], keep: &Keep) -> Vec<usize> {
    let mut newest_first: Vec<usize> = (0..taken.len()).collect();
    newest_first.sort_by_key(|&index| (std::cmp::Reverse(taken[index]), index));
    let mut kept: BTreeSet<usize> = newest_first.iter().take(keep.last).copied().collect();
    let calendars: [(usize, Calendar); 4] = [
        (keep.hourly, |t| (t.year(), t.day_of_year() * 24 + i16::from(t.hour()))),
        (keep.daily, |t| (t.year(), t.day_of_year())),
        (keep.weekly, |t| {
            let week = t.date().iso_week_date();
            (week.year(), i16::from(week.week()))
        }),
        (keep.monthly, |t| (t.year(), i16::from(t.month()))),
    ];
    for (count, period) in calendars {
        let mut periods = BTreeSet::new();
        for &index in &newest_first {
            if periods.len() == count {
                break;
            }
            if periods.insert(period(TimeZone::UTC.to_datetime(taken[index]))) {
                kept.insert(index);
            }
        }
    }
    (0..taken.len()).filter(|index| !kept.contains(index)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moments(texts: &[&str]) -> Vec<Timestamp> {
        texts.iter().map(|text| format!("{text}Z").parse().unwrap()).collect()
    }

    fn kept<'a>(texts: &[&'a str], keep: Keep) -> Vec<&'a str> {
        let gone = outside(&moments(texts), &keep);
        (0..texts.len())
            .filter(|i| !gone.contains(i))
            .map(|i| texts[i])
            .collect()
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_periods() {
        let texts = [
            "2026-11-21T11:50:00",
            "2026-11-21T11:10:00",
            "2026-11-21T10:59:00",
            "2026-11-20T23:00:00",
            "2026-11-15T08:00:00",
            "2026-10-31T08:00:00",
        ];
        let rule = |last, hourly, daily, weekly, monthly| Keep {
            last,
            hourly,
            daily,
            weekly,
            monthly,
        };
        assert_eq!(kept(&texts, rule(2, 0, 0, 0, 0)), texts[..2]);
        assert_eq!(kept(&texts, rule(0, 2, 0, 0, 0)), [texts[0], texts[2]]);
        assert_eq!(kept(&texts, rule(0, 0, 2, 0, 0)), [texts[0], texts[3]]);
        assert_eq!(kept(&texts, rule(0, 0, 0, 2, 0)), [texts[0], texts[4]]);
        assert_eq!(kept(&texts, rule(0, 0, 0, 0, 9)), [texts[0], texts[5]]);
        assert_eq!(kept(&texts, rule(2, 2, 2, 2, 2)), texts);
    }

    #[test]
    fn a_week_over_new_year_is_one_week() {
        let texts = ["2027-01-01T00:00:00", "2026-12-31T00:00:00", "2026-12-27T00:00:00"];
        assert_eq!(
            kept(
                &texts,
                Keep {
                    weekly: 2,
                    ..Keep::default()
                }
            ),
            [texts[0], texts[2]]
        );
    }

    proptest! {
        #[test]
        fn the_newest_stays_and_pruning_twice_changes_nothing(
            seconds in prop::collection::vec(1_700_000_000i64..1_800_000_000, 1..60),
            (last, hourly, daily, weekly, monthly) in (1usize..4, 0usize..4, 0usize..4, 0usize..4, 0usize..4),
        ) {
            let keep = Keep { last, hourly, daily, weekly, monthly };
            let taken: Vec<Timestamp> = seconds.iter().map(|s| Timestamp::from_second(*s).unwrap()).collect();
            let gone = outside(&taken, &keep);
            let left: Vec<Timestamp> = (0..taken.len()).filter(|i| !gone.contains(i)).map(|i| taken[i]).collect();
            prop_assert!(left.contains(taken.iter().max().unwrap()));
            prop_assert!(left.len() <= last + hourly + daily + weekly + monthly);
            prop_assert_eq!(outside(&left, &keep), Vec::<usize>::new());
        }
    }
}
