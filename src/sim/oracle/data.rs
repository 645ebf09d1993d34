//! What may be done to databases and alarms, and what a recovery must not lose.

use super::Oracle;
use crate::etcd::AlarmKind;
use crate::inventory::{ClusterId, NodeName};
use crate::sim::host::SimHost;
use crate::sim::world::World;

impl Oracle {
    /// One after the other, nobody who leads, only while all the others are well, and where the new file has room.
    pub(super) fn defragmented(&mut self, world: &World, node: &NodeName) {
        let host = &world.hosts[node];
        let Some(disk) = host.disk() else { return };
        let Some(cluster) = world.clusters.get(&disk.cluster) else {
            return;
        };
        let of_it = |h: &&SimHost| h.disk().is_some_and(|d| d.cluster == disk.cluster);
        let others = world.hosts.values().filter(of_it).filter(|h| h.spec.name != *node);
        let busy: Vec<_> = others.filter(|h| h.busy()).map(|h| h.spec.name.clone()).collect();
        if !busy.is_empty() {
            self.say(format!("{node} and {busy:?} are defragmented at the same time"));
        }
        if cluster.leader == Some(disk.member) && cluster.voters().count() > 1 {
            self.say(format!("{node} is defragmented while it leads"));
        }
        let well = self.basis.get(&disk.cluster).cloned().unwrap_or_default();
        if let Some(sick) = cluster.voters().find(|id| *id != disk.member && !well.contains(id)) {
            self.say(format!("{node} is defragmented while {sick} is not healthy"));
        }
        let free = host
            .system
            .disks
            .get(&host.spec.paths.data)
            .map_or(0, |disk| disk.free_bytes);
        if free < cluster.store.in_use() {
            self.say(format!("{node} is defragmented, and the new file has no room"));
        }
    }

    /// Old revisions go only when that was asked for, and never one too many.
    pub(super) fn compacted(&mut self, world: &World, cluster: ClusterId, revision: u64) {
        match self.consent.keep {
            None => self.say("old revisions were forgotten without consent".into()),
            Some(keep) if revision + keep > world.clusters[&cluster].committed => {
                self.say(format!(
                    "compacted to {revision}, which leaves fewer than {keep} revisions"
                ));
            }
            Some(_) => {}
        }
    }

    /// An alarm goes only when its cause has gone.
    pub(super) fn disarmed(&mut self, world: &World, cluster: ClusterId, kind: AlarmKind) {
        if !self.consent.disarm {
            self.say(format!("{} was taken back without consent", kind.word()));
        }
        let listed = |h: &&SimHost| {
            let disk = h.disk().filter(|disk| disk.cluster == cluster);
            disk.is_some_and(|disk| world.clusters[&cluster].members.contains_key(&disk.member))
        };
        let at_fault = |h: &&SimHost| match kind {
            AlarmKind::Nospace => h.full(),
            AlarmKind::Corrupt => h.disk().is_some_and(|disk| disk.odd),
        };
        if let Some(host) = world.hosts.values().filter(listed).find(at_fault) {
            self.say(format!(
                "{} was taken back while {} is its cause",
                kind.word(),
                host.spec.name
            ));
        }
    }

    /// Nothing is gone on from while the cluster works, and no survivor has a write that is not in what is saved.
    pub(super) fn rescued(&mut self, world: &World, node: &NodeName, index: u64) {
        let Some(cluster) = world.hosts[node].disk().map(|disk| disk.cluster) else {
            return;
        };
        if self.working.contains(&cluster) {
            self.say(format!("{node} is gone on from, and the cluster worked"));
        }
        let gone = self.consent.restore.clone().unwrap_or_default();
        let survivors = world.hosts.values().filter(|h| {
            let disk = h.disk().filter(|disk| disk.cluster == cluster);
            self.inventory.contains(&h.spec.name)
                && !gone.contains(&h.spec.name)
                && disk.is_some_and(|disk| world.kept_by(disk) > index)
        });
        let newer: Vec<_> = survivors.map(|h| h.spec.name.clone()).collect();
        if !newer.is_empty() && self.consent.from.is_none() {
            self.say(format!("{node} is gone on from at {index}, and {newer:?} have more"));
        }
    }
}
