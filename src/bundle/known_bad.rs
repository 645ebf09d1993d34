//! Which etcd releases lose data, and which are merely too old. Source of every entry: etcd's changelogs and issues.

use crate::inventory::Version;

/// Why a release must not be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBad {
    /// What it does, as the rest of a sentence that begins with the release.
    pub reason: &'static str,
    /// The issue or change in etcd's repository that says so.
    pub source: &'static str,
    /// The first later release of the same series that is not known to lose data.
    pub fixed_in: Version,
}

/// Says whether `version` can lose or corrupt data in ordinary operation.
pub fn known_bad(version: Version) -> Option<KnownBad> {
    let fault = |reason, source, fixed_in| {
        Some(KnownBad {
            reason,
            source,
            fixed_in,
        })
    };
    match (version.major, version.minor, version.patch) {
        (3, 5, 0..=2) => fault(
            "loses or diverges data when a member is killed under load",
            "etcd#13766",
            Version::new(3, 5, 6), // 3.5.3 has this fixed, but not the next one
        ),
        (3, 5, 3..=5) => fault(
            "diverges from its peers after a crash during a defragmentation",
            "etcd#14733",
            Version::new(3, 5, 6),
        ),
        (3, 4, 20..=21) => fault(
            "diverges from its peers when a member joins a cluster that has authentication on",
            "etcd's changelog of 3.4.22",
            Version::new(3, 4, 22),
        ),
        _ => None,
    }
}

/// The release that the documentation and `init` name where nothing else says which one.
pub const USUAL: Version = Version::new(3, 6, 16);

/// From where a minor release may be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The minor release that is entered.
    pub series: (u32, u32),
    /// What every member must run before, at least: quorate refuses less.
    pub least: Version,
    /// What may go wrong below that, and who says so.
    pub dangers: &'static str,
    /// What etcd's project asks for by now: less is warned of. The same as `least` where it asks for no more.
    pub better: Version,
    /// What is better about it.
    pub gain: &'static str,
}

/// Sources: "Upgrade etcd from v3.5 to v3.6" and "... from v3.6 to v3.7" of etcd's documentation, etcd's changelog of 3.5.
const ENTRIES: [Entry; 2] = [
    Entry {
        series: (3, 6),
        least: Version::new(3, 5, 26),
        dangers: "members that were removed come back, and learners that were promoted lose their vote (etcd#20967, etcd#19557)",
        better: Version::new(3, 5, 32),
        gain: "it also finds leftovers of the v2 API in the log, which 3.6 cannot read",
    },
    Entry {
        series: (3, 7),
        least: Version::new(3, 6, 11),
        dangers: "etcd's guide does not support it",
        better: Version::new(3, 6, 11),
        gain: "",
    },
];

/// From where the minor release of `version` may be entered; `None` where any patch release of the one before will do.
pub fn entry(series: (u32, u32)) -> Option<Entry> {
    ENTRIES.into_iter().find(|entry| entry.series == series)
}

/// What is to be said of the step from `version` into the next minor release, if anything is.
pub fn before_the_next_minor(version: Version) -> Option<String> {
    let entry = entry((version.major, version.minor + 1))?;
    let (least, better) = (entry.least, entry.better);
    let next = format!("{}.{}", entry.series.0, entry.series.1);
    if version < least {
        return Some(format!(
            "{next} requires {least} or later first, preferably {better}: {}",
            entry.dangers
        ));
    }
    (version < better).then(|| format!("before {next}, {better} or later is better: {}", entry.gain))
}

/// The release of each series that etcd's own security and corruption fixes call for, and what it closed.
const FLOORS: [(Version, &str); 6] = [
    (
        Version::new(3, 5, 23),
        "a corruption when a snapshot meets a defragmentation (etcd#20653)",
    ),
    (
        Version::new(3, 5, 28),
        "two authentication bypasses (CVE-2026-33413, CVE-2026-33343)",
    ),
    (
        Version::new(3, 5, 33),
        "a leak of watch permissions (GHSA-xg4h-6gfc-h4m8)",
    ),
    (
        Version::new(3, 6, 5),
        "a corruption when a snapshot meets a defragmentation (etcd#20653)",
    ),
    (
        Version::new(3, 6, 9),
        "two authentication bypasses (CVE-2026-33413, CVE-2026-33343)",
    ),
    (
        Version::new(3, 6, 14),
        "a leak of watch permissions (GHSA-xg4h-6gfc-h4m8)",
    ),
];

/// The patch release that etcd's published fixes call for in `version`'s series.
pub(super) fn recommended(version: Version) -> Option<Version> {
    let floors = FLOORS.iter().map(|(floor, _)| *floor);
    floors.filter(|floor| floor.series() == version.series()).max()
}

/// Whether etcd's project still fixes the series of `version`.
pub fn gets_fixes(version: Version) -> bool {
    version.series() > (3, 4)
}

/// The next release worth going to from `version`, in a word: the patch release that published fixes call for, else the next
/// minor series up to the one that is proposed to newcomers.
pub fn upgrade(version: Version) -> Option<String> {
    if let Some(patch) = recommended(version).filter(|patch| version < *patch) {
        return Some(patch.to_string());
    }
    (version.series() < USUAL.series()).then(|| format!("{}.{}", version.major, version.minor + 1))
}

/// What an operator who runs `version` should know: it is at its end of life, or below the recommended patch release.
pub fn advice(version: Version) -> Option<String> {
    if !gets_fixes(version) {
        return Some(format!(
            "etcd {version} belongs to a series that no longer gets fixes: plan the upgrade to 3.5"
        ));
    }
    let open: Vec<_> = FLOORS
        .iter()
        .filter(|(floor, _)| floor.series() == version.series() && version < *floor)
        .collect();
    let next = before_the_next_minor(version);
    let Some((recommended, _)) = open.last() else {
        return next.map(|next| format!("etcd {version}: {next}"));
    };
    let closed: Vec<&str> = open.iter().map(|(_, what)| *what).collect();
    let next = next.map(|next| format!("; {next}")).unwrap_or_default();
    Some(format!(
        "etcd {version} is older than {recommended}, which fixes {}{next}",
        closed.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn releases_that_lose_data_are_bad_and_their_fixes_are_not() {
        for bad in ["3.4.20", "3.4.21", "3.5.0", "3.5.1", "3.5.2", "3.5.3", "3.5.5"] {
            let verdict = known_bad(version(bad)).unwrap();
            assert!(verdict.fixed_in > version(bad) && verdict.fixed_in.series() == version(bad).series());
            assert_eq!(known_bad(verdict.fixed_in), None, "the way out of {bad} is no way out");
        }
        for good in [
            "3.4.19", "3.4.22", "3.4.23", "3.5.6", "3.5.16", "3.5.30", "3.6.0", "3.7.1",
        ] {
            assert_eq!(known_bad(version(good)), None, "{good}");
        }
    }

    #[test]
    fn advice_names_the_release_to_take_and_everything_it_closes() {
        assert!(advice(version("3.4.23")).unwrap().contains("no longer gets fixes"));
        let old = advice(version("3.5.16")).unwrap();
        assert!(
            old.contains("older than 3.5.33") && old.contains("20653") && old.contains("GHSA"),
            "{old}"
        );
        let recent = advice(version("3.5.30")).unwrap();
        assert!(recent.contains("3.5.33") && !recent.contains("CVE"), "{recent}");
        assert!(recent.contains("before 3.6, 3.5.32 or later is better"), "{recent}");
        assert!(advice(version("3.6.13")).unwrap().contains("3.6.14"));
        for (runs, next) in [
            ("3.4.23", Some("3.5")),
            ("3.5.30", Some("3.5.33")),
            ("3.5.33", Some("3.6")),
            ("3.6.13", Some("3.6.14")),
            ("3.6.16", None),
            ("3.7.3", None),
        ] {
            assert_eq!(upgrade(version(runs)).as_deref(), next, "{runs}");
        }
        for current in ["3.5.33", "3.5.35", "3.6.14", "3.6.16", "3.7.3"] {
            assert_eq!(advice(version(current)), None, "{current}");
        }
    }

    #[test]
    fn what_is_better_is_never_less_than_what_is_demanded_and_is_recommended_anyway() {
        for entry in ENTRIES {
            assert!(entry.least <= entry.better && entry.least.series() == entry.better.series());
            assert!(recommended(entry.better).is_none_or(|best| best >= entry.better));
            let below = Version::new(entry.least.major, entry.least.minor, entry.least.patch - 1);
            let said = before_the_next_minor(below).unwrap();
            assert!(said.contains(&format!("requires {} or later", entry.least)), "{said}");
            assert_eq!(before_the_next_minor(entry.better), None);
        }
        assert_eq!(
            (known_bad(USUAL), advice(USUAL)),
            (None, None),
            "what is proposed is good"
        );
    }
}
