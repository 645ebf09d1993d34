//! What becomes of clusters that nobody looks after: databases fill up, and majorities are lost for good.

use super::chaos::Fault;
use super::dice::Dice;
use super::host::{Data, Link};
use super::raft::quorum;
use super::rescue;
use super::world::World;
use crate::etcd::{Alarm, AlarmKind};
use crate::inventory::{Desired, MemberId, NodeName};
use crate::ops::model::Intent;

const MIB: u64 = 1 << 20;

/// Keys, old revisions and free space in every member's file. True when that, or what differs between the members, is
/// no matter that any command could mend.
pub fn databases(world: &mut World, desired: &mut Desired, dice: &mut Dice) -> bool {
    let Some(id) = world.cluster_of(desired) else {
        return false;
    };
    let Some(cluster) = world.clusters.get_mut(&id) else {
        return false;
    };
    let quota = 2048 * MIB;
    cluster.store.keys = MIB * *dice.pick(&[1, 100, 700, 1200, 1950]);
    let room = quota - cluster.store.keys;
    cluster.store.history = *dice.pick(&[0, 150 * MIB, 600 * MIB, room]);
    cluster.store.history_until = cluster.committed.min(5_000);
    cluster.store.grows = *dice.pick(&[0, 0, 64]);
    let in_use = cluster.store.in_use();
    let mut hopeless = cluster.store.keys > quota * 9 / 10;
    if dice.chance(8) {
        cluster.alarms.insert(Alarm {
            member: MemberId(0),
            kind: AlarmKind::Corrupt,
        });
        hopeless = true;
    }
    let corrupt = !cluster.alarms.is_empty();
    let odd = (corrupt && dice.chance(60)).then(|| dice.pick(&desired.order).clone());
    for host in world.hosts.values_mut() {
        if let Data::Member(disk) = &mut host.data
            && disk.cluster == id
        {
            disk.file = in_use + MIB * *dice.pick(&[0, 0, 100, 400, 900]);
            disk.odd = odd.as_ref() == Some(&host.spec.name);
        }
    }
    if dice.chance(20) {
        desired
            .options
            .insert("quota-backend-bytes".into(), serde_json::json!(4096 * MIB));
    }
    world.pass(world.now + 500);
    hopeless
}

/// Most of the members are gone for good: machines that are off, disks that are empty. What is left lags, some of it.
pub fn majority_lost(world: &mut World, desired: &Desired, dice: &mut Dice) {
    let Some(id) = world.cluster_of(desired) else { return };
    let of_the_cluster = |node: &&NodeName| world.hosts[*node].disk().is_some_and(|disk| disk.cluster == id);
    let mut members: Vec<NodeName> = desired.order.iter().filter(of_the_cluster).cloned().collect();
    let lost = quorum(world.clusters[&id].voters().count());
    let mut victims = Vec::new();
    for _ in 0..lost.min(members.len().saturating_sub(1)) {
        victims.push(members.remove(dice.below(members.len())));
    }
    for survivor in &members {
        if dice.chance(30) {
            world.stop(survivor);
            world.pass(world.now + dice.next() % 3_000);
        }
    }
    for victim in &victims {
        if dice.chance(40) {
            Fault::PowerOff(victim.clone()).strike(world);
        } else {
            world.stop(victim);
            let host = world.host(victim);
            host.data = if dice.chance(80) { Data::Empty } else { Data::Aborted };
            host.marker = None;
        }
    }
}

/// Recover, without the machines that are off; rarely one is forgotten, or somebody knows better who is the newest.
pub fn recover(world: &World, desired: &Desired, dice: &mut Dice) -> Intent {
    let off = |node: &&NodeName| world.hosts[*node].link == Link::Dead;
    let mut without: Vec<NodeName> = desired.order.iter().filter(off).cloned().collect();
    if dice.chance(5) {
        without.pop();
    }
    let from = dice.chance(10).then(|| dice.pick(&desired.order).clone());
    Intent::Recover(Box::new(rescue::order(from, without)))
}

/// What is asked for against full databases.
pub fn upkeep(desired: &Desired, dice: &mut Dice) -> Intent {
    match dice.below(4) {
        0 | 1 => Intent::Disarm,
        2 => Intent::Compact {
            keep: *dice.pick(&[0, 100, 1_000, 1_000_000]),
        },
        _ => Intent::Defragment {
            limit: if dice.chance(20) {
                vec![dice.pick(&desired.order).clone()]
            } else {
                Vec::new()
            },
            force: dice.chance(30),
        },
    }
}

impl World {
    /// Writes come in until every database is full.
    pub fn flood(&mut self) {
        for cluster in self.clusters.values_mut() {
            cluster.store.history += 2048 * MIB;
            cluster.store.history_until = cluster.committed;
        }
    }
}
