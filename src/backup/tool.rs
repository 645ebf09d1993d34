//! Which program turns a snapshot into a data directory. Pure.

use crate::bundle::Program;
use crate::inventory::Version;

/// A program that can restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreTool {
    /// The release it belongs to.
    pub version: Version,
    /// etcdutl, or etcdctl where there is only 3.4.
    pub program: Program,
}

impl RestoreTool {
    /// The best of the releases at hand for members that will run `target`: the etcdutl of that very release, else the
    /// nearest newer one, else a newer patch of none: the newest of the same series. For 3.4 every etcdutl will do (3.4's
    /// own etcdctl leaves the old members in the data), and etcdctl only where there is nothing else.
    pub fn choose(releases: impl IntoIterator<Item = (Version, Program)>, target: Version) -> Option<Self> {
        let (mut newer, mut older, mut last_resort) = (None::<Version>, None::<Version>, None);
        for (version, program) in releases {
            match program {
                Program::Etcdutl if version >= target => newer = Some(newer.map_or(version, |v| v.min(version))),
                Program::Etcdutl if version.series() == target.series() => older = older.max(Some(version)),
                Program::Etcdctl if version == target && target.series() == (3, 4) => last_resort = Some(version),
                _ => {}
            }
        }
        let utl = newer.or(older).map(|version| Self {
            version,
            program: Program::Etcdutl,
        });
        utl.or(last_resort.map(|version| Self {
            version,
            program: Program::Etcdctl,
        }))
    }

    /// Whether it knows `--bump-revision` and `--mark-compacted` (etcdctl from 3.4.27, both from 3.5.10).
    pub fn bumps(self) -> bool {
        let since = match self.version.series() {
            (3, 4) => Version::new(3, 4, 27),
            _ => Version::new(3, 5, 10),
        };
        self.version >= since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(releases: &[(&str, Program)], target: &str) -> Option<String> {
        let releases = releases
            .iter()
            .map(|(version, program)| (version.parse().unwrap(), *program));
        RestoreTool::choose(releases, target.parse().unwrap()).map(|t| format!("{} {}", t.program, t.version))
    }

    #[test]
    fn the_release_itself_then_the_next_newer_one() {
        use Program::{Etcd, Etcdctl, Etcdutl};
        let all = [
            ("3.4.23", Etcd),
            ("3.4.23", Etcdctl),
            ("3.5.16", Etcdutl),
            ("3.5.30", Etcdutl),
            ("3.6.14", Etcdutl),
        ];
        assert_eq!(chosen(&all, "3.5.16").unwrap(), "etcdutl 3.5.16");
        assert_eq!(chosen(&all, "3.5.17").unwrap(), "etcdutl 3.5.30");
        assert_eq!(chosen(&all, "3.5.33").unwrap(), "etcdutl 3.6.14");
        assert_eq!(chosen(&all, "3.4.23").unwrap(), "etcdutl 3.5.16");
        assert_eq!(chosen(&all[..4], "3.5.33").unwrap(), "etcdutl 3.5.30");
        assert_eq!(chosen(&all[..4], "3.6.14"), None);
        assert_eq!(chosen(&all[..2], "3.4.23").unwrap(), "etcdctl 3.4.23");
    }

    #[test]
    fn old_tools_do_not_bump() {
        let bumps = |version: &str, program| {
            RestoreTool {
                version: version.parse().unwrap(),
                program,
            }
            .bumps()
        };
        assert!(!bumps("3.4.23", Program::Etcdctl));
        assert!(bumps("3.4.27", Program::Etcdctl));
        assert!(!bumps("3.5.9", Program::Etcdutl));
        assert!(bumps("3.5.10", Program::Etcdutl));
        assert!(bumps("3.6.0", Program::Etcdutl));
    }
}
