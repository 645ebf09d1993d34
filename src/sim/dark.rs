//! Worlds of which the operator sees a part or nothing, and everything that can be asked for there.

use super::host::{Data, Link};
use super::scenes::{Scene, node, note, restart_of};
use super::{rescue, restore, stock};
use crate::inventory::{Desired, NodeName};
use crate::ops::destroy::DestroyOrder;
use crate::ops::model::{Fact, Intent, Observed};
use crate::ops::recover::RecoverOrder;
use crate::ops::rest::Purpose;

/// A world, and what its operator sees of it.
#[derive(Debug)]
pub struct Dark {
    /// What has happened, and which hosts cannot be inspected.
    pub name: String,
    pub scene: Scene,
    pub seen: Observed,
    /// The hosts that cannot be inspected.
    pub hosts: Vec<NodeName>,
    /// The truth: every host of the inventory has a member, and all are well.
    pub well: bool,
}

/// Why a host cannot be inspected, as `ops/observe` notes it.
const REASONS: [&str; 3] = [
    "cannot connect to 10.0.0.1:22: No route to host\nsee that the host is up and that port 22 is reachable",
    "ops@10.0.0.1:22 refused the login (tried: id_ed25519)\nput your public key there",
    "sudo on the host asks ops for a password\ngive it with `--sudo-password-env NAME`",
];

/// Every world in every half light.
pub fn worlds() -> Vec<Dark> {
    let mut worlds = Vec::new();
    for (name, scene) in scenes() {
        let all: Vec<NodeName> = scene.desired.hosts.keys().cloned().collect();
        for hosts in parts(&all) {
            worlds.extend(REASONS.map(|why| dark(name, scene.clone(), &hosts, why)));
        }
    }
    worlds
}

fn scenes() -> Vec<(&'static str, Scene)> {
    vec![
        ("one member", Scene::healthy(1)),
        ("two members", Scene::healthy(2)),
        ("three members", Scene::healthy(3)),
        ("five members", Scene::healthy(5)),
        ("an upgrade that is due", Scene::of_version(3, stock::V3_4)),
        (
            "an option that has changed",
            Scene::healthy(3).with_option("snapshot-count", 12_345.into()),
        ),
        ("a host that has not joined", Scene::healthy(3).inventory_of(4)),
        ("nothing anywhere", Scene::bare(3)),
        ("somebody else's files", Scene::bare(3).with_data(2, Data::Foreign)),
        ("one is stopped", Scene::healthy(3).stopped(1).a_moment_later()),
        (
            "two are stopped",
            Scene::healthy(3).stopped(1).stopped(2).a_moment_later(),
        ),
        ("all are stopped", Scene::healthy(3).stopped(1).stopped(2).stopped(3)),
        ("a disk was wiped", Scene::healthy(3).wiped(3).a_moment_later()),
        (
            "two disks were wiped",
            Scene::healthy(3).wiped(2).wiped(3).a_moment_later(),
        ),
        ("a machine is off", Scene::healthy(3).dead(3).a_moment_later()),
        (
            "two machines are off",
            Scene::healthy(3).dead(2).dead(3).a_moment_later(),
        ),
        ("certificates that have ended", Scene::healthy(3).expired(1)),
        ("full databases", Scene::healthy(3).full()),
        ("members that disagree", Scene::healthy(3).corrupt(Some(2))),
        (
            "a learner that never started",
            Scene::healthy(3).inventory_of(4).with_learner(4),
        ),
    ]
}

/// Every part of the hosts that is not nothing; of many hosts only the first one, two, ... and all.
fn parts(hosts: &[NodeName]) -> Vec<Vec<NodeName>> {
    if hosts.len() > 4 {
        return (1..=hosts.len()).map(|n| hosts[..n].to_vec()).collect();
    }
    let chosen = |bits: usize| {
        let those = hosts.iter().enumerate().filter(move |(i, _)| bits >> i & 1 == 1);
        those.map(|(_, name)| name.clone()).collect()
    };
    (1..1 << hosts.len()).map(chosen).collect()
}

fn dark(name: &str, mut scene: Scene, hosts: &[NodeName], why: &str) -> Dark {
    let well = well(&scene);
    for host in hosts {
        let link = &mut scene.world.host(host).link;
        if *link == Link::Up {
            *link = Link::Cut;
        }
    }
    let mut seen = scene.world.observe(&scene.desired);
    // Machines that are off are in the dark as well.
    let mut blind = Vec::new();
    for (name, fact) in &mut seen.hosts {
        if fact.known().is_none() {
            *fact = Fact::Unknown(why.to_owned());
            blind.push(name.clone());
        }
    }
    if let Fact::Known(membership) = &mut seen.cluster {
        membership.unseen.values_mut().for_each(|told| *told = why.to_owned());
    }
    let names: Vec<&str> = blind.iter().map(NodeName::as_str).collect();
    Dark {
        name: format!("{name}; {} in the dark: {why}", names.join(", ")),
        scene,
        seen,
        hosts: blind,
        well,
    }
}

/// The truth, before the lights go out.
fn well(scene: &Scene) -> bool {
    let seen = scene.world.observe(&scene.desired);
    seen.cluster.known().is_some_and(|membership| {
        let hosts = &scene.desired.hosts;
        let all = hosts
            .values()
            .all(|host| membership.of(host).is_some_and(|m| membership.healthy(m.id)));
        all && membership.members.len() == hosts.len() && membership.alarms.is_empty() && membership.leader().is_some()
    })
}

/// Everything that can be asked for.
pub fn intents(dark: &Dark) -> Vec<Intent> {
    let desired: &Desired = &dark.scene.desired;
    let (first, last) = (node(1), node(desired.hosts.len()));
    let up = |prune, limit| Intent::Converge { prune, limit };
    let replace = |old: &NodeName, new: &NodeName| Intent::Replace {
        old: old.clone(),
        new: new.clone(),
    };
    let remove = |node: &NodeName, wipe| Intent::Remove {
        node: node.clone(),
        wipe,
    };
    let recover = RecoverOrder {
        logs: dark.scene.world.logs(desired),
        ..rescue::order(None, Vec::new())
    };
    vec![
        up(false, Vec::new()),
        up(true, Vec::new()),
        up(false, vec![first.clone()]),
        up(false, vec![last.clone()]),
        restart_of(Vec::new()),
        restart_of(vec![first.clone()]),
        restart_of(vec![last.clone()]),
        remove(&first, false),
        remove(&last, true),
        replace(&first, &first),
        replace(&first, &last),
        replace(&last, &last),
        Intent::Restore(Box::new(restore::order(desired, Vec::new()))),
        Intent::Recover(Box::new(recover)),
        Intent::Destroy(Box::new(DestroyOrder {
            note: note(Purpose::End),
            without: Vec::new(),
            wipe: true,
        })),
        Intent::Destroy(Box::new(DestroyOrder {
            note: note(Purpose::End),
            without: dark.hosts.clone(),
            wipe: false,
        })),
        Intent::Defragment {
            limit: Vec::new(),
            force: true,
        },
        Intent::Defragment {
            limit: vec![first.clone()],
            force: true,
        },
        Intent::Compact { keep: 100 },
        Intent::Disarm,
        Intent::RotateLeaves { limit: Vec::new() },
        Intent::RotateLeaves { limit: vec![first] },
        Intent::RotateCa {
            compromised: false,
            begin: true,
        },
    ]
}
