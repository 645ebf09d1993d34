//! What blocks nothing and still should be looked at: said with every plan.

use super::Situation;
use super::drift::manager_file;
use crate::host::{HostFacts, Obstacle, ServiceFacts};
use crate::inventory::{DesiredHost, HostPath, ServiceManager};
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
    seen.flat_map(|(host, facts)| {
        let second = second_manager(host, facts).map(|(says, help)| format!("{says}; {help}"));
        of(host, facts)
            .chain(second)
            .map(|says| format!("{}: {says}", host.name))
    })
    .collect()
}

/// What the first line of every file says that quorate writes.
const OURS: &str = "Written by quorate";

/// Something else writes the files that quorate writes: what it is, and what to do. Found by a unit or a configuration that is
/// not quorate's beside a sign that quorate had its turn here; before the first roll after `adopt` there is none.
pub fn second_manager(host: &DesiredHost, facts: &HostFacts) -> Option<(String, &'static str)> {
    let texts = [manager_file(host), host.paths.config.clone()].map(|path| {
        let text = facts.files.get(&path).and_then(|file| file.content.as_deref());
        text.map(|text| (path, text.lines().next().unwrap_or_default().contains(OURS)))
    });
    let had_its_turn = facts.service.running_version.is_some() || texts.iter().flatten().any(|(_, ours)| *ours);
    let theirs: Vec<&HostPath> = texts
        .iter()
        .flatten()
        .filter(|(_, ours)| !ours)
        .map(|(path, _)| path)
        .collect();
    let told: Vec<&str> = theirs.iter().map(|path| path.as_str()).collect();
    (had_its_turn && host.service_manager == ServiceManager::Systemd && !told.is_empty()).then(|| {
        (
            format!("something else has written {} since quorate did, and the next start follows it", told.join(" and ")),
            "find what writes it (Ansible, puppet, a cron job) and turn that off, then run `quorate up`, which writes its own again",
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FileFacts;
    use crate::ops::samples::{desired, facts, name};

    #[test]
    fn a_second_manager_is_known_by_files_that_are_not_quorates_where_quorates_were() {
        let desired = desired(3);
        let host = &desired.hosts[&name(1)];
        let unit = manager_file(host);
        let told = |change: &dyn Fn(&mut HostFacts)| {
            let mut facts = facts(&desired, 1);
            change(&mut facts);
            second_manager(host, &facts).map(|(says, _)| says)
        };
        let set = |facts: &mut HostFacts, path: &HostPath, text: &str| {
            let file = FileFacts {
                sha256: String::new(),
                mode: 0o644,
                owner: "root".into(),
                content: Some(text.into()),
            };
            facts.files.insert(path.clone(), file);
        };
        let ours = |facts: &mut HostFacts| {
            for path in [&unit, &host.paths.config] {
                set(facts, path, "# Written by quorate for member n1 of cluster lab.\n");
            }
        };
        assert_eq!(told(&ours), None);
        let theirs = told(&|facts| {
            ours(facts);
            set(facts, &unit, "[Unit]\nDescription=etcd\n");
        });
        assert!(theirs.is_some_and(|says| says.contains(unit.as_str())));
        let restarted_by_them = told(&|facts| {
            ours(facts);
            set(facts, &unit, "[Unit]\n");
            facts.service.running_version = None;
        });
        assert!(restarted_by_them.is_some());
        // Taken over, and before its turn.
        let before = told(&|facts| {
            set(facts, &unit, "[Unit]\n");
            facts.service.running_version = None;
        });
        assert_eq!(before, None);
    }
}
