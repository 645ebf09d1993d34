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

/// The release of each series that etcd's own security and corruption fixes call for, and what it closed.
const FLOORS: [(Version, &str); 7] = [
    (
        Version::new(3, 5, 23),
        "a corruption when a snapshot meets a defragmentation (etcd#20653)",
    ),
    (
        Version::new(3, 5, 28),
        "two ways around authentication (CVE-2026-33413, CVE-2026-33343)",
    ),
    (
        Version::new(3, 5, 32),
        "what makes an upgrade to 3.6 unsafe (etcd#20967)",
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
        "two ways around authentication (CVE-2026-33413, CVE-2026-33343)",
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

/// What an operator who runs `version` should know: it is at its end of life, or below the recommended patch release.
pub fn advice(version: Version) -> Option<String> {
    if version.series() <= (3, 4) {
        return Some(format!(
            "etcd {version} belongs to a series that gets no fixes any more: plan the upgrade to 3.5"
        ));
    }
    let open: Vec<_> = FLOORS
        .iter()
        .filter(|(floor, _)| floor.series() == version.series() && version < *floor)
        .collect();
    let (recommended, _) = open.last()?;
    let closed: Vec<&str> = open.iter().map(|(_, what)| *what).collect();
    Some(format!(
        "etcd {version} is older than {recommended}, which closes {}",
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
        assert!(advice(version("3.4.23")).unwrap().contains("no fixes any more"));
        let old = advice(version("3.5.16")).unwrap();
        assert!(
            old.contains("older than 3.5.33") && old.contains("20653") && old.contains("GHSA"),
            "{old}"
        );
        let recent = advice(version("3.5.30")).unwrap();
        assert!(recent.contains("3.5.33") && !recent.contains("CVE"), "{recent}");
        assert!(advice(version("3.6.13")).unwrap().contains("3.6.14"));
        for current in ["3.5.33", "3.6.14", "3.7.1"] {
            assert_eq!(advice(version(current)), None, "{current}");
        }
    }
}
