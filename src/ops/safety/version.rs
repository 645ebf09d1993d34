//! Which etcd release may follow which.

use std::collections::BTreeSet;

use super::{Blocked, Rule};
use crate::bundle::{before_the_next_minor, entry};
use crate::inventory::Version;
use crate::ops::last_resort::LastResort;

/// The first minor that can be left backwards: its `Downgrade` call works, and its storage knows its own form.
const FIRST_TO_GO_BACK: (u32, u32) = (3, 6);

/// Whether every member may move from `from` to `to` in one roll.
///
/// # Errors
/// The rule that forbids it, with the release to go through.
pub fn may_change_version(from: Version, to: Version) -> Result<(), Blocked> {
    if from.series() == to.series() {
        return Ok(());
    }
    if to < from {
        return may_downgrade(from, to);
    }
    if to.major != from.major || to.minor != from.minor + 1 {
        return Err(Blocked::new(
            Rule::Version,
            format!("etcd upgrades one minor release at a time, but {from} to {to} skips at least one"),
            format!(
                "go to {}.{} first: `quorate upgrade --to {}.{}.N`",
                from.major,
                from.minor + 1,
                from.major,
                from.minor + 1
            ),
        ));
    }
    match entry(to.series()) {
        Some(entry) if from < entry.least => Err(Blocked::new(
            Rule::Version,
            format!(
                "{to} requires {} or later of {}.{} first, but members run {from}: {}",
                entry.least, from.major, from.minor, entry.dangers
            ),
            format!(
                "add {0} or later to the bundle and run `quorate upgrade --to {0}` first",
                entry.better
            ),
        )),
        _ => Ok(()),
    }
}

/// What is allowed and not what etcd's project asks for: said with a plan that enters another minor release.
pub fn could_be_better(from: Version, to: Version) -> Option<String> {
    let advice = before_the_next_minor(from).filter(|_| from.series() < to.series())?;
    Some(format!("members run {from}; {advice}"))
}

/// The oldest release from which the minor of `to` may be entered.
pub fn floor(to: Version) -> Option<Version> {
    entry(to.series()).map(|entry| entry.least)
}

/// The releases to go through from `from` to `to`, the last one being `to`, taken from what the bundle has.
///
/// # Errors
/// The stepping stone that is missing, by name.
pub fn ladder(from: Version, to: Version, have: &[Version]) -> Result<Vec<Version>, Blocked> {
    let mut rungs = Vec::new();
    let mut at = from;
    while at.series() < to.series() {
        let next_minor = (at.major, at.minor + 1);
        let floor_of_next = floor(Version::new(next_minor.0, next_minor.1, 0));
        if let Some(needed) = floor_of_next.filter(|needed| at < *needed) {
            at = stepping_stone(have, needed.series(), needed, from, to)?;
            rungs.push(at);
            continue;
        }
        let lands = next_minor == to.series();
        let leaves_by = floor(Version::new(next_minor.0, next_minor.1 + 1, 0));
        at = match (lands, leaves_by) {
            (true, _) => to,
            (false, needed) => {
                let at_least = needed.unwrap_or(Version::new(next_minor.0, next_minor.1, 0));
                stepping_stone(have, next_minor, at_least, from, to)?
            }
        };
        rungs.push(at);
    }
    if rungs.last() != Some(&to) && at != to {
        rungs.push(to);
    }
    Ok(rungs)
}

fn stepping_stone(
    have: &[Version],
    series: (u32, u32),
    at_least: Version,
    from: Version,
    to: Version,
) -> Result<Version, Blocked> {
    let best = entry((series.0, series.1 + 1)).map_or(at_least, |entry| entry.better.max(at_least));
    have.iter()
        .copied()
        .filter(|v| v.series() == series && *v >= at_least)
        .max()
        .ok_or_else(|| {
            Blocked::new(
                Rule::Version,
                format!(
                    "the path from {from} to {to} goes through {}.{} (at least {at_least}), which is not in the bundle",
                    series.0, series.1
                ),
                format!("add it: `quorate bundle create --out FILE etcd-v{best}-linux-ARCH.tar.gz ...`"),
            )
        })
}

/// From 3.6 on etcd can go back one minor, with a procedure of its own ([`super::downgrade`]); before that it cannot.
fn may_downgrade(from: Version, to: Version) -> Result<(), Blocked> {
    let refuse = |reason: String, hint: String| Err(Blocked::new(Rule::Version, reason, hint));
    let no_way_back = |reason: String| {
        let hint = "keep the running release: etcd cannot be downgraded from it";
        Err(Blocked::new(Rule::Version, reason, hint).or(LastResort::before_the_upgrade()))
    };
    let before = Version::new(from.major, from.minor.saturating_sub(1), 0);
    let online = from.series() >= FIRST_TO_GO_BACK;
    if to.series() != before.series() {
        let reason = format!("etcd downgrades one minor release at a time, but {from} to {to} is more");
        return match online {
            true => refuse(
                reason,
                format!("go to {0} first: `quorate downgrade --to {0}.N`", before.series_text()),
            ),
            false => no_way_back(reason),
        };
    }
    if !online {
        let reason = format!(
            "etcd cannot be downgraded online from {from} to {to}: a {} server refuses the data of {}",
            to.series_text(),
            from.series_text()
        );
        return no_way_back(reason);
    }
    match floor(from) {
        Some(floor) if to < floor => refuse(
            format!(
                "from {to} there would be no way to upgrade again, not even to cancel the downgrade halfway: {} requires \
                 {floor} or later",
                from.series_text()
            ),
            format!("go back to {floor} or later: `quorate downgrade --to {floor}`"),
        ),
        _ => Ok(()),
    }
}

/// Whether a host may join with `wanted` a cluster whose members run these: whoever comes new is not the first to bring
/// another minor release, which takes a snapshot and has its own order.
///
/// # Errors
/// When nobody runs the minor of `wanted` yet.
pub fn may_join_with(running: impl Iterator<Item = Version>, wanted: Version) -> Result<(), Blocked> {
    let running: BTreeSet<Version> = running.collect();
    let Some(newest) = running.last().filter(|newest| newest.series() != wanted.series()) else {
        return Ok(());
    };
    let first = match wanted < *newest {
        true => format!("`quorate downgrade --to {wanted}`"),
        false => format!("`quorate upgrade --to {wanted}`"),
    };
    Err(Blocked::new(
        Rule::Version,
        format!("it would join with etcd {wanted}, but the members run {newest}"),
        format!("move the members first: {first}; or set `version: \"{newest}\"` in the inventory until it has joined"),
    ))
}

/// Whether data that `from` may have written can be started with `to` while no member answers. Nobody is there then to
/// make it ready for an older minor.
///
/// # Errors
/// As [`may_change_version`], and for every way back over a minor.
pub fn may_start_with(from: Version, to: Version) -> Result<(), Blocked> {
    may_change_version(from, to)?;
    match to.series() < from.series() {
        false => Ok(()),
        true => Err(Blocked::new(
            Rule::Version,
            format!("its data may be from {from}, and etcd converts data for {to} only while the cluster runs"),
            format!(
                "start it with `version: \"{from}\"` in the inventory (`quorate up`), then `quorate downgrade --to {to}`"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::sight::Sight;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn the_published_floors_are_rules() {
        assert!(
            may_change_version(v("3.5.16"), v("3.6.5"))
                .unwrap_err()
                .reason
                .contains("3.5.26")
        );
        assert!(may_change_version(v("3.5.26"), v("3.6.5")).is_ok());
        let said = could_be_better(v("3.5.30"), v("3.6.16")).unwrap();
        assert!(
            said.contains("members run 3.5.30; before 3.6, 3.5.32 or later"),
            "{said}"
        );
        assert_eq!(could_be_better(v("3.5.32"), v("3.6.16")), None);
        assert_eq!(could_be_better(v("3.5.30"), v("3.5.33")), None);
        assert!(
            may_change_version(v("3.6.5"), v("3.7.1"))
                .unwrap_err()
                .reason
                .contains("3.6.11")
        );
        assert!(
            may_change_version(v("3.4.23"), v("3.6.5"))
                .unwrap_err()
                .reason
                .contains("one minor")
        );
        assert!(
            may_change_version(v("3.5.30"), v("3.5.16")).is_ok(),
            "patch releases go both ways"
        );
    }

    /// The reason, and the way out beside it where every host was looked at.
    #[track_caller]
    fn refused(from: &str, to: &str) -> (String, String) {
        let refusal = may_change_version(v(from), v(to)).unwrap_err();
        assert_eq!(refusal.rule, Rule::Version);
        assert!(
            !refusal.hint.contains("quorate restore"),
            "only where every host was looked at"
        );
        let refusal = Sight::clear().complete(vec![refusal]).remove(0);
        (refusal.reason, refusal.hint)
    }

    #[test]
    fn the_way_back_is_one_minor_and_begins_with_3_6() {
        for (from, to) in [("3.6.14", "3.5.30"), ("3.7.1", "3.6.14"), ("3.6.0", "3.5.26")] {
            assert_eq!(may_change_version(v(from), v(to)), Ok(()));
        }
        let (reason, hint) = refused("3.5.30", "3.4.45");
        assert!(
            reason.contains("cannot be downgraded online from 3.5.30 to 3.4.45"),
            "{reason}"
        );
        assert!(hint.contains("quorate restore FILE"), "{hint}");
        let (reason, hint) = refused("3.7.1", "3.5.30");
        assert!(reason.contains("one minor release at a time"), "{reason}");
        assert!(hint.contains("`quorate downgrade --to 3.6.N`"), "{hint}");
        let (reason, hint) = refused("3.5.30", "3.3.1");
        assert!(reason.contains("one minor release at a time"), "{reason}");
        assert!(hint.contains("quorate restore FILE"), "{hint}");
    }

    #[test]
    fn nobody_goes_back_to_where_no_way_leads_up_again() {
        let (reason, hint) = refused("3.6.14", "3.5.16");
        assert!(reason.contains("3.6 requires 3.5.26"), "{reason}");
        assert!(hint.contains("`quorate downgrade --to 3.5.26`"), "{hint}");
        assert!(refused("3.7.1", "3.6.5").0.contains("3.7 requires 3.6.11"));
    }

    #[test]
    fn a_cluster_that_does_not_run_is_never_started_with_an_older_minor() {
        let refusal = may_start_with(v("3.6.14"), v("3.5.30")).unwrap_err();
        assert!(refusal.hint.contains("version: \"3.6.14\""), "{}", refusal.hint);
        assert_eq!(may_start_with(v("3.5.30"), v("3.5.16")), Ok(()));
        assert_eq!(may_start_with(v("3.5.30"), v("3.6.14")), Ok(()));
        assert!(may_start_with(v("3.4.23"), v("3.6.14")).is_err());
    }

    #[test]
    fn a_newcomer_is_not_the_first_with_another_minor() {
        let join = |running: &[&str], wanted| may_join_with(running.iter().map(|text| v(text)), v(wanted));
        let refusal = join(&["3.4.23"], "3.5.30").unwrap_err();
        assert!(refusal.reason.contains("the members run 3.4.23"), "{}", refusal.reason);
        assert!(
            refusal.hint.contains("`quorate upgrade --to 3.5.30`"),
            "{}",
            refusal.hint
        );
        // Half way back, too: whoever still runs the later minor goes first.
        let refusal = join(&["3.6.16", "3.5.30"], "3.5.30").unwrap_err();
        assert!(
            refusal.hint.contains("`quorate downgrade --to 3.5.30`"),
            "{}",
            refusal.hint
        );
        // Patch releases mix freely, and an upgrade that has begun goes on.
        assert_eq!(join(&["3.5.16"], "3.5.30"), Ok(()));
        assert_eq!(join(&["3.4.23", "3.5.30"], "3.5.30"), Ok(()));
        assert_eq!(join(&[], "3.5.30"), Ok(()));
    }

    #[test]
    fn the_ladder_goes_through_every_minor_and_its_floor() {
        let have = [v("3.5.16"), v("3.5.30"), v("3.6.14"), v("3.7.1")];
        assert_eq!(
            ladder(v("3.4.23"), v("3.7.1"), &have).unwrap(),
            [v("3.5.30"), v("3.6.14"), v("3.7.1")]
        );
        assert_eq!(
            ladder(v("3.5.16"), v("3.6.14"), &have).unwrap(),
            [v("3.5.30"), v("3.6.14")]
        );
        assert_eq!(ladder(v("3.5.16"), v("3.5.30"), &have).unwrap(), [v("3.5.30")]);
        assert_eq!(ladder(v("3.4.23"), v("3.5.16"), &have).unwrap(), [v("3.5.16")]);
        assert_eq!(ladder(v("3.5.30"), v("3.5.30"), &have).unwrap(), []);
        let refused = ladder(v("3.4.23"), v("3.7.1"), &[v("3.5.16"), v("3.7.1")]).unwrap_err();
        assert!(refused.reason.contains("at least 3.5.26"), "{}", refused.reason);
    }
}
