//! What a health check may ask a member of a release.

use crate::inventory::Version;

/// The path that answers 200 as long as a member takes requests.
///
/// Never plain `/health`: with a NOSPACE alarm it is 503 on every member, so a pool would lose all of them, and with them
/// reads and the deletes that make room (tried on 3.5.30). `/readyz` came with 3.4.29 and 3.5.11 (etcd's changelogs) and is
/// also 503 on learners from 3.5.19 on; before it, `/health` leaves the alarm out when asked to.
pub fn readiness(version: Version) -> &'static str {
    let since = match version.series() {
        (3, 4) => Version::new(3, 4, 29),
        _ => Version::new(3, 5, 11),
    };
    match version >= since {
        true => "/readyz",
        false => "/health?exclude=NOSPACE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_only_asked_what_it_answers() {
        for (version, path) in [
            ((3, 4, 23), "/health?exclude=NOSPACE"),
            ((3, 4, 29), "/readyz"),
            ((3, 5, 10), "/health?exclude=NOSPACE"),
            ((3, 5, 11), "/readyz"),
            ((3, 6, 0), "/readyz"),
            ((3, 7, 3), "/readyz"),
        ] {
            let (major, minor, patch) = version;
            assert_eq!(readiness(Version::new(major, minor, patch)), path, "{version:?}");
        }
    }
}
