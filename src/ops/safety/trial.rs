//! No member is stopped for what its etcd does not start with: etcd itself was asked beforehand (`ops/trial`).

use crate::host::Libc;
use crate::inventory::{Arch, NodeName, Version};
use crate::ops::safety::{Blocked, Rule};

/// Something that keeps a release of etcd from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The options of `etcd.config` without which it says something else; none when it is nothing of them.
    pub options: Vec<String>,
    /// In etcd's own words.
    pub said: String,
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The release.
    pub version: Version,
    /// Whose configuration it was.
    pub nodes: Vec<NodeName>,
    /// What keeps it from starting; empty when it starts.
    pub faults: Vec<Fault>,
}

impl Fault {
    /// What it is about, and etcd's words for it.
    pub fn says(&self, version: Version) -> String {
        let with = match self.options.as_slice() {
            [] => "its configuration".to_owned(),
            options => options
                .iter()
                .map(|option| format!("`{option}`"))
                .collect::<Vec<_>>()
                .join(" and "),
        };
        format!("etcd {version} does not start with {with}: {}", self.said)
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self.options.is_empty() {
            false => "change that in `etcd.config`; `quorate check --try` tries again, without a host",
            true => {
                "no single option of `etcd.config` causes this: check them together, and the release; `quorate check --try` tries again, without a \
                     host"
            }
        }
    }
}

/// Whether a release that is not static finds its C library on a host.
///
/// # Errors
/// When it needs a newer one.
pub fn libc_is_new_enough(node: &NodeName, version: Version, needed: Option<Libc>, has: Libc) -> Result<(), Blocked> {
    match needed {
        Some(needed) if needed > has => Err(Blocked::new(
            Rule::WouldNotStart,
            format!("the bundle's etcd {version} needs glibc {needed} (`GLIBC_{needed}`), and it has glibc {has}"),
            "make the bundle from upstream's release of etcd, which is static and needs no glibc: `quorate bundle create`",
        )
        .on(node)),
        _ => Ok(()),
    }
}

/// The same for quorate itself, where hosts take their own backups.
///
/// # Errors
/// When it needs a newer one.
pub fn program_finds_its_library(node: &NodeName, needed: Option<Libc>, has: Option<Libc>) -> Result<(), Blocked> {
    match (needed, has) {
        (Some(needed), Some(has)) if needed > has => Err(Blocked::new(
            Rule::Host,
            format!("this quorate needs glibc {needed} (`GLIBC_{needed}`), and it has glibc {has}"),
            "pass the static one that `make dist` builds with --program",
        )
        .on(node)),
        _ => Ok(()),
    }
}

/// Whether one of the quorate executables that are there is for a host's architecture.
///
/// # Errors
/// When none is. A host that does not say what it is gets a try.
pub fn program_is_for_the_machine(node: &NodeName, built_for: &[Arch], has: Option<Arch>) -> Result<(), Blocked> {
    match has {
        Some(arch) if !built_for.contains(&arch) => {
            let names: Vec<String> = built_for.iter().map(ToString::to_string).collect();
            let names = names.join(" and ");
            Err(Blocked::new(
                Rule::Host,
                format!("this quorate is built for {names}, and it is {arch}"),
                "pass one executable for each architecture of the hosts: `--program FILE --program FILE`",
            )
            .on(node))
        }
        _ => Ok(()),
    }
}

/// Whether members may be given what was tried.
///
/// # Errors
/// Everything that a release would not start with, each once for the hosts that share it.
pub fn may_be_given(trials: &[Trial]) -> Result<(), Vec<Blocked>> {
    let mut blocked: Vec<Blocked> = Vec::new();
    for trial in trials {
        for fault in &trial.faults {
            let refusal = Blocked::new(Rule::WouldNotStart, fault.says(trial.version), fault.help());
            match trial.nodes.as_slice() {
                [only] => blocked.push(refusal.on(only)),
                _ => blocked.push(refusal),
            }
        }
    }
    blocked.dedup();
    if blocked.is_empty() { Ok(()) } else { Err(blocked) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(faults: &[(&[&str], &str)], nodes: &[&str]) -> Trial {
        let fault = |(options, said): &(&[&str], &str)| Fault {
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            said: (*said).to_owned(),
        };
        Trial {
            version: Version::new(3, 6, 16),
            nodes: nodes.iter().map(|node| node.parse().unwrap()).collect(),
            faults: faults.iter().map(fault).collect(),
        }
    }

    #[test]
    fn only_what_etcd_starts_with_is_given_to_members() {
        assert_eq!(may_be_given(&[]), Ok(()));
        assert_eq!(may_be_given(&[trial(&[], &["a", "b"])]), Ok(()));
        let refused = may_be_given(&[
            trial(
                &[(&["cors"], "no port"), (&["auth-token"], "no such token")],
                &["a", "b"],
            ),
            trial(&[(&[], "out of luck")], &["c"]),
        ]);
        let refused = refused.unwrap_err();
        assert!(refused.iter().all(|refusal| refusal.rule == Rule::WouldNotStart));
        let told: Vec<String> = refused.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "etcd 3.6.16 does not start with `cors`: no port",
                "etcd 3.6.16 does not start with `auth-token`: no such token",
                "c: etcd 3.6.16 does not start with its configuration: out of luck",
            ]
        );
    }

    #[test]
    fn a_program_is_only_sent_to_where_its_c_library_is() {
        let libc = |text: &str| text.parse::<Libc>().ok();
        let node = "n1".parse().unwrap();
        let finds = |needed, has| program_finds_its_library(&node, needed, has);
        assert_eq!(finds(None, libc("2.31")), Ok(()));
        assert_eq!(finds(libc("2.34"), libc("2.34")), Ok(()));
        assert_eq!(finds(libc("2.34"), None), Ok(()), "nothing is known of it");
        let refused = finds(libc("2.34"), libc("2.31")).unwrap_err();
        assert_eq!(refused.rule, Rule::Host);
        assert!(refused.to_string().contains("GLIBC_2.34"), "{refused}");
    }
    #[test]
    fn a_program_is_only_sent_to_machines_that_it_is_built_for() {
        let node = "n1".parse().unwrap();
        let fits = |built_for: &[Arch], has| program_is_for_the_machine(&node, built_for, has);
        assert_eq!(fits(&[Arch::Amd64], Some(Arch::Amd64)), Ok(()));
        assert_eq!(fits(&[Arch::Amd64, Arch::Arm64], Some(Arch::Arm64)), Ok(()));
        assert_eq!(fits(&[Arch::Amd64], None), Ok(()), "nothing is known of it");
        let refused = fits(&[Arch::Amd64], Some(Arch::Arm64)).unwrap_err();
        assert_eq!(refused.rule, Rule::Host);
        assert_eq!(
            refused.to_string(),
            "n1: this quorate is built for amd64, and it is arm64"
        );
    }
}
