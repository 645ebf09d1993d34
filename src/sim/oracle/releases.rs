//! Which release may run on what, as etcd's upgrade guides have it.

use std::collections::BTreeMap;

use super::Oracle;
use crate::inventory::{ClusterId, MemberId, NodeName, Version};
use crate::sim::boot::release;
use crate::sim::world::World;

/// The minor, and what every member must run before the first one enters it.
const GUIDES: [(u32, Version); 3] = [
    (5, Version::new(3, 4, 0)),
    (6, Version::new(3, 5, 26)),
    (7, Version::new(3, 6, 11)),
];

/// What every member was last seen to run.
pub(super) type Ran = BTreeMap<(ClusterId, MemberId), Version>;

pub(super) fn running(world: &World) -> Ran {
    let live = world.hosts.values().filter_map(|host| host.live());
    live.map(|(disk, process)| ((disk.cluster, disk.member), process.version))
        .collect()
}

/// The release that each host's unit names.
pub(super) fn named(world: &World) -> BTreeMap<NodeName, Version> {
    let units = world.hosts.iter();
    units
        .filter_map(|(node, host)| Some((node.clone(), release(host).ok()?)))
        .collect()
}

impl Oracle {
    /// Whether the member that has just started on a host ran an earlier minor before. One that is restarted while all others
    /// are on a way back was there already.
    pub(super) fn enters_a_minor(&self, world: &World, node: &NodeName, cluster: ClusterId) -> bool {
        let host = &world.hosts[node];
        let Some((disk, process)) = host.live() else {
            return false;
        };
        let before = self.ran.get(&(cluster, disk.member)).or_else(|| self.named.get(node));
        before.is_none_or(|before| before.series() < process.version.series())
    }

    /// One minor at a time, from a release that may be left for it, and never two minors apart.
    pub(super) fn releases(&mut self, world: &World) {
        let now = running(world);
        if now == self.ran {
            return;
        }
        for (at, version) in &now {
            let entered = self
                .ran
                .get(at)
                .is_some_and(|before| before.series() < version.series());
            let listed = world
                .clusters
                .get(&at.0)
                .filter(|cluster| cluster.members.contains_key(&at.1));
            let Some(cluster) = listed.filter(|_| entered) else {
                continue;
            };
            let guide = GUIDES
                .iter()
                .find(|(minor, _)| *minor == version.minor)
                .map(|(_, floor)| *floor);
            let others = cluster
                .members
                .keys()
                .filter_map(|id| self.ran.get(&(at.0, *id)).copied());
            let below: Vec<Version> = others
                .filter(|other| guide.is_none_or(|floor| *other < floor))
                .collect();
            if let Some(other) = below.first() {
                self.say(format!(
                    "{version} was started beside {other}, from which nothing leads there"
                ));
            }
        }
        self.ran.extend(now);
        for (id, cluster) in &world.clusters {
            let ran = cluster
                .members
                .keys()
                .filter_map(|member| self.ran.get(&(*id, *member)));
            let minors: Vec<u32> = ran.map(|version| version.minor).collect();
            if minors.iter().max() > minors.iter().min().map(|oldest| oldest + 1).as_ref() {
                self.violations.push(format!(
                    "members of {id} run releases that are more than one minor apart"
                ));
            }
        }
    }

    /// A run has ended well: every member runs with settings that its release knows. etcd ignores others silently, and
    /// does not start with one of them in both spellings.
    pub fn at_rest(&mut self, world: &World) {
        let nodes: Vec<NodeName> = self.inventory.iter().cloned().collect();
        for host in nodes.iter().filter_map(|node| world.hosts.get(node)) {
            let Some((_, process)) = host.live() else { continue };
            let text = host.text(&host.spec.paths.config).unwrap_or_default();
            let keys: Vec<&str> = text.lines().filter_map(|line| line.split(':').next()).collect();
            let has = |key: &str| keys.contains(&key);
            let unknown = |key: &&&str| match process.version.series() {
                (3, 4) => key.starts_with("tls-m") || key.contains("compact-hash") || **key == "feature-gates",
                (3, 5) => ["corrupt-check-time", "warning-apply-duration", "feature-gates"].contains(*key),
                (3, 6) => **key == "enable-v2" || key.strip_prefix("experimental-").is_some_and(has),
                _ => key.starts_with("experimental-"),
            };
            if let Some(key) = keys.iter().find(unknown) {
                self.violations
                    .push(format!("{} runs {} with `{key}`", host.spec.name, process.version));
            }
        }
    }
}
