//! What a plan starts members with that they do not run yet: etcd is asked about it before the first step.

use super::drift::manager_file;
use super::startable::unit_release;
use super::{Action, HostChange, Plan, Step, Target};
use crate::bundle::Program;
use crate::host::HostFacts;
use crate::inventory::{Desired, DesiredHost, HostPath, NodeName, Version};
use crate::ops::model::{Fact, Observed};

/// A member, and what it is about to be started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStart {
    /// Whose.
    pub node: NodeName,
    /// The release.
    pub version: Version,
    /// Its configuration file.
    pub config: String,
}

/// Every start of a plan with a release or a configuration that its member does not run yet.
pub fn new_starts(plan: &Plan, desired: &Desired, observed: &Observed) -> Vec<NewStart> {
    let hosts = desired.order.iter().filter_map(|name| desired.hosts.get(name));
    hosts
        .filter_map(|host| {
            let facts = observed.hosts.get(&host.name).and_then(Fact::known)?;
            let steps: Vec<&Step> = plan
                .steps()
                .filter(|step| step.target == Target::Node(host.name.clone()))
                .collect();
            new_start(host, facts, &steps, desired.version)
        })
        .collect()
}

fn new_start(host: &DesiredHost, facts: &HostFacts, steps: &[&Step], wanted: Version) -> Option<NewStart> {
    if !steps
        .iter()
        .any(|step| matches!(step.action, Action::Start | Action::Restart { .. }))
    {
        return None;
    }
    let changes = || steps.iter().filter_map(|step| step.action.change());
    let file = |path: &HostPath| {
        changes()
            .flat_map(|change| &change.files)
            .find(|file| file.path == *path)
    };
    let config = file(&host.paths.config);
    let launched_anew = file(&manager_file(host)).is_some() || changes().any(brings_etcd);
    // One that is restarted as it is comes up with what lies on its disk, which need not be what it runs.
    let version = match config.is_some() || launched_anew {
        true => wanted,
        false => unit_release(host, facts).unwrap_or(wanted),
    };
    let is_new = match facts.service.pid {
        Some(_) => config.is_some() || !runs_with(host, facts, version),
        None => config.is_some() || launched_anew,
    };
    let there = facts
        .files
        .get(&host.paths.config)
        .and_then(|file| file.content.clone());
    let text = config.map(|file| file.text.clone()).or(there)?;
    is_new.then(|| NewStart {
        node: host.name.clone(),
        version,
        config: text,
    })
}

/// Whether the process runs that release with the configuration that lies on the disk.
fn runs_with(host: &DesiredHost, facts: &HostFacts, version: Version) -> bool {
    let config = &host.paths.config;
    let there = facts.files.get(config).map(|file| &file.sha256);
    facts.service.running_version == Some(version) && facts.service.started_with.get(config) == there
}

fn brings_etcd(change: &HostChange) -> bool {
    let release = change.release.as_ref();
    release.is_some_and(|release| release.sha256.contains_key(Program::Etcd.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::waves::on;
    use super::super::{FileChange, ReleaseChange, Risk};
    use super::*;
    use crate::host::FileFacts;
    use crate::inventory::Arch;
    use crate::ops::samples::{desired, facts, name, stop};

    const NEWER: Version = Version::new(3, 6, 16);

    /// A member that runs what lies on its disk, and the host of the inventory, which wants a newer release.
    fn member() -> (DesiredHost, HostFacts) {
        let wanted = desired(1);
        let (host, mut seen) = (wanted.hosts[&name(1)].clone(), facts(&wanted, 1));
        let file = FileFacts {
            sha256: "aa".into(),
            mode: 0o644,
            owner: "root".into(),
            content: Some("name: n1\n".into()),
        };
        let unit = FileFacts {
            content: Some("ExecStart=/opt/quorate/etcd/3.5.30/etcd --config-file x\n".into()),
            ..file.clone()
        };
        seen.files.insert(host.paths.config.clone(), file);
        seen.files.insert(manager_file(&host), unit);
        seen.service.started_with.insert(host.paths.config.clone(), "aa".into());
        (host, seen)
    }

    fn file(path: &HostPath, text: &str) -> HostChange {
        HostChange {
            files: vec![FileChange {
                path: path.clone(),
                mode: 0o644,
                owner: "root".into(),
                sha256: String::new(),
                text: text.into(),
                diff: String::new(),
            }],
            ..HostChange::default()
        }
    }

    fn restart(change: HostChange) -> Step {
        let url = desired(1).hosts[&name(1)].peer_url();
        let restart = Action::Restart {
            change,
            url,
            turn: None,
        };
        on(&name(1), restart, Risk::Reversible)
    }

    fn start(host: &DesiredHost, seen: &HostFacts, steps: &[Step]) -> Option<(Version, String)> {
        let steps: Vec<&Step> = steps.iter().collect();
        new_start(host, seen, &steps, NEWER).map(|start| (start.version, start.config))
    }

    #[test]
    fn what_a_member_runs_already_is_not_asked_about() {
        let (host, mut seen) = member();
        let as_it_is = [restart(HostChange::default())];
        assert_eq!(start(&host, &seen, &as_it_is), None);
        assert_eq!(start(&host, &seen, &[]), None);
        stop(&mut seen);
        assert_eq!(
            start(&host, &seen, &[on(&name(1), Action::Start, Risk::Reversible)]),
            None
        );
    }

    #[test]
    fn another_configuration_or_release_is_asked_about_before_it_is_started() {
        let (host, seen) = member();
        let changed = file(&host.paths.config, "name: changed\n");
        let expected = Some((NEWER, "name: changed\n".to_owned()));
        assert_eq!(start(&host, &seen, &[restart(changed.clone())]), expected);
        // Put in place by one step, started by another: a new host.
        let provision = on(
            &name(1),
            Action::Provision {
                change: changed.clone(),
            },
            Risk::Reversible,
        );
        assert_eq!(
            start(&host, &seen, std::slice::from_ref(&provision)),
            None,
            "it starts nothing"
        );
        let two = [provision, on(&name(1), Action::Start, Risk::Reversible)];
        assert_eq!(start(&host, &seen, &two), expected);
        // Another release with the same configuration.
        let unit = file(&manager_file(&host), "ExecStart=/opt/quorate/etcd/3.6.16/etcd\n");
        let there = Some((NEWER, "name: n1\n".to_owned()));
        assert_eq!(start(&host, &seen, &[restart(unit)]), there);
        let release = ReleaseChange {
            version: NEWER,
            arch: Arch::Amd64,
            sha256: BTreeMap::from([("etcd".to_owned(), "bb".to_owned())]),
        };
        let brought = HostChange {
            release: Some(release),
            ..HostChange::default()
        };
        assert_eq!(start(&host, &seen, &[restart(brought)]), there);
    }

    #[test]
    fn what_was_changed_by_hand_is_asked_about_before_a_plain_restart() {
        let (host, mut seen) = member();
        let config = seen.files.get_mut(&host.paths.config).unwrap();
        (config.sha256, config.content) = ("cc".into(), Some("name: edited\n".into()));
        let as_it_is = [restart(HostChange::default())];
        // With the release that its unit names, whatever the inventory wants by now.
        let edited = Some((Version::new(3, 5, 30), "name: edited\n".to_owned()));
        assert_eq!(start(&host, &seen, &as_it_is), edited);
    }
}
