//! What blocks nothing and still should be looked at: said with every plan.

use super::Situation;
use crate::host::{HostFacts, Obstacle, ServiceFacts};
use crate::inventory::DesiredHost;
use crate::ops::model::{Fact, Intent};
use crate::ops::safety::downgrade::{told, under_way};

/// One sentence for each finding, hosts in the order of the inventory.
pub(super) fn of_all(situation: Situation<'_>) -> Vec<String> {
    let seen = situation.desired.order.iter().filter_map(|name| {
        let host = situation.desired.hosts.get(name)?;
        match situation.observed.hosts.get(name)? {
            Fact::Known(facts) => Some((host, facts)),
            Fact::Absent | Fact::Unknown(_) => None,
        }
    });
    seen.flat_map(|(host, facts)| of(host, facts).map(|says| format!("{}: {says}", host.name)))
        .collect()
}

/// Members between two minors, beside everything that was not told which way they go. An `up` that goes on with etcd's
/// own job says so in its steps.
pub(super) fn between_minors(situation: Situation<'_>, intent: &Intent) -> Option<String> {
    let membership = situation.membership()?;
    let (says, help) = told(membership)?;
    let decided =
        matches!(intent, Intent::Converge { .. }) && (situation.policy.way_chosen || under_way(membership).is_some());
    (!decided).then(|| format!("{says}; {help}"))
}

/// The same for one host.
pub fn of(host: &DesiredHost, facts: &HostFacts) -> impl Iterator<Item = String> {
    let service = &facts.service;
    [drop_ins(host, service), ignored(service), links(facts)]
        .into_iter()
        .flatten()
}

/// A new member is not made behind a link; one that is there was, and whoever moves what it leads to moves the member.
fn links(facts: &HostFacts) -> Option<String> {
    let links: Vec<String> = facts
        .obstacles
        .iter()
        .filter_map(|obstacle| match obstacle {
            Obstacle::Link { path, target } => Some(format!("{path} is a symbolic link to {target}")),
            _ => None,
        })
        .collect();
    (facts.data.marker.is_some() && !links.is_empty()).then(|| links.join("; "))
}

/// A drop-in is the operator's right, and the first place to look at when a member is not what its files say.
fn drop_ins(host: &DesiredHost, service: &ServiceFacts) -> Option<String> {
    let paths = service.drop_ins.join(", ");
    (!paths.is_empty()).then(|| {
        format!(
            "the unit {} is modified by {paths}, which quorate did not write and does not change",
            host.service
        )
    })
}

/// With `--config-file` etcd takes neither environment nor further flags into account, and says nothing about it
/// (docs/etcd.md, "Configuration file").
fn ignored(service: &ServiceFacts) -> Option<String> {
    let names = service.ignored_environment.join(", ");
    // What something else started may well take its options from there.
    (!names.is_empty() && service.running_version.is_some()).then(|| {
        format!(
            "etcd has {names} in its environment, but ignores it because it has a config file: set it in `etcd.config`"
        )
    })
}
