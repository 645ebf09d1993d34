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
