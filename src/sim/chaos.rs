//! Random worlds, intents and faults. Worlds are made the way reality makes them: a cluster that was fine once, and then
//! a few things happened to it.

use std::collections::BTreeSet;

use super::decay::{databases, majority_lost, recover, upkeep};
use super::dice::Dice;
use super::host::{Data, Disk, Link, Process, SimHost};
use super::papers::{Keys, Papers, papers};
use super::raft::{Cluster, quorum};
use super::restore::order;
use super::scenes::{note, restart_of};
use super::stock;
use super::world::{Happening, World};
use crate::etcd::{Member, bootstrap_cluster_id, bootstrap_member_id};
use crate::inventory::{ClusterId, Desired, MemberId, NodeName, Version};
use crate::ops::destroy::DestroyOrder;
use crate::ops::model::{Intent, Policy};
use crate::ops::plan::{expected_cluster_id, initial_new};
use crate::ops::rest::Purpose;
use crate::ops::safety::bootstrap::Marker;
use crate::render::render_host;

/// Something that happens to the world without quorate.
#[derive(Debug, Clone)]
pub enum Fault {
    /// etcd crashes; systemd starts it again after a while.
    Crash(NodeName),
    /// The machine goes off.
    PowerOff(NodeName),
    /// The operator's way to the host breaks.
    Cut(NodeName),
    /// The leader is voted out.
    Election,
    /// Clients write until all databases are full.
    Flood,
    /// The machine goes off and comes back after some seconds.
    Reboot(NodeName),
    /// Its disk hardly keeps up any more.
    Slow(NodeName),
    /// It has another address from now on when it connects to others, and tells of it with the next start.
    Moved(NodeName),
}

impl Fault {
    pub fn strike(&self, world: &mut World) {
        match self {
            Fault::Crash(node) => {
                // What was stopped, or never started, cannot end.
                let unit = &world.hosts[node].unit;
                if unit.process.is_none() && unit.failed.is_none() {
                    return;
                }
                world.stop(node);
                let now = world.now;
                let unit = &mut world.host(node).unit;
                unit.failed = Some("killed by signal 9".into());
                unit.retry_at = now + 5_000;
            }
            Fault::PowerOff(node) => {
                world.stop(node);
                world.host(node).link = Link::Dead;
            }
            Fault::Cut(node) => world.host(node).link = Link::Cut,
            Fault::Reboot(node) => {
                world.stop(node);
                let now = world.now;
                let host = world.host(node);
                host.link = Link::Dead;
                host.back_at = Some(now + 4_000);
            }
            Fault::Slow(node) => world.host(node).speed = SLOW,
            Fault::Moved(node) => world.host(node).moved = true,
            Fault::Flood => world.flood(),
            Fault::Election => {
                let now = world.now;
                world.clusters.values_mut().for_each(|c| c.lose_leader(now));
            }
        }
        if let Fault::Crash(node) | Fault::PowerOff(node) | Fault::Cut(node) | Fault::Reboot(node) = self {
            world.happened.push(Happening::Fault { node: node.clone() });
        }
    }
}

/// Raft entries per millisecond that a slow disk takes in: as many as clients write, so it never catches up.
const SLOW: u64 = 1;

/// What the faults of a run have left behind is put right: machines go on, ways are mended. True when a machine started
/// a member that has forgotten everything: what comes of that is nobody's fault.
pub fn mend(world: &mut World, gone: &[NodeName]) -> bool {
    let nodes: Vec<NodeName> = world.hosts.keys().cloned().collect();
    for node in nodes.into_iter().filter(|node| !gone.contains(node)) {
        let host = world.host(&node);
        host.back_at = None;
        host.moved = false;
        if let Some(process) = &mut host.unit.process {
            process.refused = false;
        }
        if host.speed == SLOW {
            host.speed = 10_000;
        }
        if std::mem::replace(&mut host.link, Link::Up) == Link::Dead {
            world.start_at_boot(&node);
        }
    }
    world.pass(world.now + 10_000);
    let happened = std::mem::take(&mut world.happened);
    let again = happened.iter().any(|h| {
        matches!(
            h,
            Happening::Founded { again: true, .. } | Happening::Joined { again: true, .. }
        )
    });
    again || world.forgotten
}

/// A world, what is wanted of it, and whether anything in it keeps a run from succeeding that no look can show.
#[derive(Debug, Clone)]
pub struct Case {
    pub world: World,
    pub desired: Desired,
    pub intent: Intent,
    pub policy: Policy,
    pub hidden: bool,
}

/// The case of a seed.
pub fn case(dice: &mut Dice) -> Case {
    let n = *dice.pick(&[1, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7, 9]);
    let version = match dice.below(24) {
        0..=2 => stock::V3_4,
        3 => stock::V3_5_OLD,
        4..=7 => stock::V3_6,
        8 => stock::V3_6_OLD,
        9..=10 => stock::V3_7,
        _ => stock::V3_5,
    };
    let mut desired = stock::inventory(1..=n, version);
    let mut world = World::bare(1..=stock::MOST_HOSTS);
    let mut hidden = false;
    if !dice.chance(15) {
        let members = if dice.chance(70) { n } else { 1 + dice.below(n) };
        // Upgrades, a patch and a minor, some of them too far; and going back, which etcd allows for a patch, and from 3.6
        // on for a minor.
        let before = match (version, dice.below(10)) {
            (stock::V3_6, 0..=2) => stock::V3_5,
            (stock::V3_6, 3) => *dice.pick(&[stock::V3_5_OLD, stock::V3_6_OLD, stock::V3_4]),
            (stock::V3_7, 0..=2) => stock::V3_6,
            (stock::V3_7, 3) => *dice.pick(&[stock::V3_6_OLD, stock::V3_5]),
            (stock::V3_5, 0) => stock::V3_4,
            (stock::V3_5, 1) => stock::V3_5_OLD,
            (stock::V3_5, 2) => stock::V3_6,
            (stock::V3_4, 0) => stock::V3_5,
            (stock::V3_5_OLD, 0..=3) => stock::V3_5,
            _ => version,
        };
        let founders = stock::inventory(1..=members, before);
        mature(&mut world, &founders);
        // etcd has a way back from 3.6 on.
        let next = before.series() >= (3, 6) && before.minor == version.minor + 1;
        if next && dice.chance(50) {
            half_way_back(&mut world, &founders, version, dice);
        } else if before.series() == (3, 6) && dice.chance(50) {
            came_up_lately(&mut world, dice);
        }
        if dice.chance(20) {
            stray(&mut world, &desired, dice);
        }
        if dice.chance(25) {
            joining(&mut world, &desired, members, dice);
        }
        if dice.chance(15) {
            desired
                .options
                .insert("snapshot-count".into(), serde_json::json!(10_000 + dice.below(3)));
        }
        if dice.chance(8) {
            // 3.6 gave it another name, and takes the old one as well.
            let key = match version.series() >= (3, 6) && (version.series() > (3, 6) || dice.chance(70)) {
                true => "corrupt-check-time",
                false => "experimental-corrupt-check-time",
            };
            desired
                .options
                .insert(key.into(), serde_json::json!(3_600_000_000_000_u64));
        }
        if dice.chance(25) {
            hidden |= databases(&mut world, &mut desired, dice);
        }
        if dice.chance(10) {
            majority_lost(&mut world, &desired, dice);
        }
        if dice.chance(8) {
            // Nobody has looked for a year.
            let kind = *dice.pick(&[Papers::Ageing, Papers::Expired]);
            for host in world.hosts.values_mut().filter(|h| h.disk().is_some()) {
                host.files.extend(papers(&host.spec.name, kind));
            }
        }
        if dice.chance(12) {
            for k in 1..=n {
                world.stop(&stock::host(k).name);
            }
        }
        if dice.chance(4) {
            // One on which nothing but today's configuration comes up.
            let host = world.host(&stock::host(1 + dice.below(members)).name);
            host.likes = host.files.get(&host.spec.paths.config).map(|f| f.sha256.clone());
            hidden = true;
        }
    }
    for _ in 0..*dice.pick(&[0, 0, 1, 1, 1, 2, 3]) {
        let node = stock::host(1 + dice.below(n)).name;
        hidden |= mishap(&mut world, &node, dice);
    }
    if dice.chance(50) {
        world.pass(world.now + dice.next() % 9_000);
    }
    world.happened.clear();
    let intent = intent(&world, &desired, dice);
    put_to_rest(&mut world, &desired, &intent, dice);
    if matches!(intent, Intent::Converge { .. }) && dice.chance(12) {
        moved(&mut desired, dice);
    }
    hidden |= out_of_sight(&world, &desired, &intent);
    let policy = Policy {
        accept_outage: dice.chance(25),
        accept_data_loss: matches!(intent, Intent::Restore(_) | Intent::Recover(_) | Intent::Destroy(_))
            && dice.chance(80),
        no_snapshot: false,
        // What moves members between minors here is `upgrade` or `downgrade`; plain `up` is in the scenes.
        way_chosen: true,
        clients_ready: false,
    };
    Case {
        world,
        desired,
        intent,
        policy,
        hidden,
    }
}

/// The inventory has other addresses or ports for some or all.
fn moved(desired: &mut Desired, dice: &mut Dice) {
    let all = dice.chance(50);
    for (at, host) in desired.hosts.values_mut().enumerate() {
        if !all && dice.chance(60) {
            continue;
        }
        match dice.below(4) {
            0 => host.peer_port = 12_380,
            1 => host.client_port = 12_379,
            2 => host.address = format!("10.0.9.{at}").parse().expect("an address"),
            _ => host.address = format!("n{at}.example.com").parse().expect("a name"),
        }
    }
}

/// Who is told to start members has stopped them before, more often than not; and now and then somebody is down on purpose
/// while something else is asked for.
fn put_to_rest(world: &mut World, desired: &Desired, intent: &Intent, dice: &mut Dice) {
    let members = |world: &World| -> Vec<NodeName> {
        let hosts = desired.hosts.keys().filter(|node| world.hosts[*node].disk().is_some());
        hosts.cloned().collect()
    };
    let (purpose, nodes) = match intent {
        Intent::EndMaintenance { node } if dice.chance(70) => (Purpose::Maintenance, vec![node.clone()]),
        Intent::Destroy(_) if dice.chance(30) => {
            let mut nodes = members(world);
            // One that was cut off half-way.
            nodes.truncate(1 + dice.below(nodes.len().max(1)));
            (Purpose::End, nodes)
        }
        Intent::Start | Intent::Stop { .. } if dice.chance(50) => {
            let mut nodes = members(world);
            // An outage that was cut off half-way, at one end or the other.
            nodes.truncate(1 + dice.below(nodes.len().max(1)));
            (Purpose::Outage, nodes)
        }
        _ if dice.chance(6) => (Purpose::Maintenance, members(world).into_iter().take(1).collect()),
        _ => return,
    };
    for node in nodes {
        if world.hosts[&node].disk().is_some() && world.hosts[&node].link != Link::Dead {
            world.rest(&node, purpose);
        }
    }
}

impl World {
    /// Somebody has stopped this member on purpose.
    pub fn rest(&mut self, node: &NodeName, purpose: Purpose) {
        self.stop(node);
        let text = note(purpose).to_text();
        let host = self.host(node);
        host.unit.enabled = false;
        let file = crate::host::FileFacts {
            sha256: stock::sha256(&text),
            mode: 0o644,
            owner: "root".into(),
            content: Some(text),
        };
        let path = host.spec.paths.rest_note();
        host.files.insert(path, file);
    }
}

/// Its members ran 3.5 not long ago: what those wrote is still in the raft logs, but of those that have written a snapshot
/// since.
fn came_up_lately(world: &mut World, dice: &mut Dice) {
    world.wrote_v2();
    for host in world.hosts.values_mut() {
        if let Data::Member(disk) = &mut host.data
            && dice.chance(30)
        {
            disk.snapshot = disk.index;
        }
    }
}

/// How many votes there are, and where, cannot be seen while nobody answers; nor whose member has been removed; nor, with
/// `--limit`, who has the others.
pub fn out_of_sight(world: &World, desired: &Desired, intent: &Intent) -> bool {
    let limited = matches!(intent, Intent::Converge { limit, .. } if !limit.is_empty());
    let removed = |host: &SimHost| {
        let disk = host.disk();
        disk.is_some_and(|disk| {
            world
                .clusters
                .get(&disk.cluster)
                .is_some_and(|c| c.removed.contains(&disk.member))
        })
    };
    let mut hosts = desired.hosts.keys().map(|node| &world.hosts[node]);
    world.observe(desired).cluster.known().is_none() && (limited || hosts.any(removed) || !in_reach(world, desired))
}

/// Whether the hosts of the inventory that can be reached have the data of a quorum, of whichever clusters theirs is.
fn in_reach(world: &World, desired: &Desired) -> bool {
    let disks = |up: bool| {
        let on = desired.hosts.keys().map(|node| &world.hosts[node]);
        on.filter(move |host| !up || host.link == Link::Up)
            .filter_map(SimHost::disk)
    };
    let clusters: BTreeSet<ClusterId> = disks(false).map(|disk| disk.cluster).collect();
    clusters.iter().filter_map(|id| world.clusters.get(id)).all(|cluster| {
        let here = disks(true).filter(|disk| cluster.voters().any(|id| id == disk.member));
        here.count() >= quorum(cluster.voters().count())
    })
}

/// A host of the inventory that the operator cannot reach.
fn unreachable(world: &World, desired: &Desired) -> Option<NodeName> {
    let mut hosts = desired.order.iter();
    hosts.find(|node| world.hosts[*node].link != Link::Up).cloned()
}

fn intent(world: &World, desired: &Desired, dice: &mut Dice) -> Intent {
    let some = |dice: &mut Dice| dice.pick(&desired.order).clone();
    let limit = |dice: &mut Dice| if dice.chance(20) { vec![some(dice)] } else { Vec::new() };
    let seen = world.observe(desired).cluster;
    let quorum_gone = world.keys.is_some() && seen.known().is_none();
    if seen.known().is_some_and(|membership| !membership.alarms.is_empty()) && dice.chance(40) {
        return Intent::Disarm;
    }
    match dice.below(21) {
        20 => Intent::Destroy(Box::new(DestroyOrder {
            note: note(Purpose::End),
            without: unreachable(world, desired)
                .filter(|_| dice.chance(70))
                .into_iter()
                .collect(),
            wipe: dice.chance(30),
        })),
        16 => Intent::Maintain {
            node: some(dice),
            note: note(Purpose::Maintenance),
        },
        17 => Intent::EndMaintenance { node: some(dice) },
        18 => Intent::Stop {
            note: note(Purpose::Outage),
            // Hosts that are away, and now and then one that is not.
            without: match dice.chance(60) {
                true => {
                    let away = world.hosts.iter().filter(|(_, host)| host.link != Link::Up);
                    away.map(|(name, _)| name.clone()).collect()
                }
                false if dice.chance(20) => [some(dice)].into(),
                false => Default::default(),
            },
        },
        19 => Intent::Start,
        12 | 13 => upkeep(desired, dice),
        14 => recover(world, desired, dice),
        15 if quorum_gone => recover(world, desired, dice),
        8 => Intent::RotateLeaves { limit: limit(dice) },
        9 => Intent::RotateCa {
            compromised: dice.chance(20),
            begin: true,
        },
        10 => {
            let dead = |node: &&NodeName| world.hosts[*node].link == Link::Dead;
            let gone = desired.order.iter().filter(dead).cloned().collect();
            Intent::Restore(Box::new(order(desired, gone)))
        }
        0 => restart_of(limit(dice)),
        1 => Intent::Remove {
            node: some(dice),
            wipe: dice.chance(50),
        },
        2 => {
            // Who has no data there, more often than not.
            let lost = desired.order.iter().find(|node| world.hosts[*node].disk().is_none());
            let old = lost.filter(|_| dice.chance(60)).cloned().unwrap_or_else(|| some(dice));
            let new = if dice.chance(60) { old.clone() } else { some(dice) };
            Intent::Replace { old, new }
        }
        _ => Intent::Converge {
            prune: dice.chance(30),
            limit: limit(dice),
        },
    }
}

/// A cluster of this inventory, as `up` leaves it behind, a minute ago.
pub fn mature(world: &mut World, founders: &Desired) -> ClusterId {
    world.keys = Some(Keys::FIRST);
    world.now += 60_000;
    let initial = initial_new(founders);
    let id = expected_cluster_id(founders);
    let mut members = std::collections::BTreeMap::new();
    for spec in founders.hosts.values() {
        let member = bootstrap_member_id(&[spec.peer_url()], &initial.token);
        members.insert(
            member,
            Member {
                id: member,
                name: spec.name.to_string(),
                peer_urls: vec![spec.peer_url()],
                client_urls: vec![spec.client_url()],
                learner: false,
            },
        );
        let host = world.host(&spec.name);
        install(host, founders, &initial);
        let marker = Marker {
            cluster: founders.cluster.clone(),
            cluster_id: id,
            member: spec.name.clone(),
            complete: true,
        };
        host.marker = Some(marker.to_text());
        host.data = Data::Member(Disk::new(id, member, 5_000));
        host.unit.process = Some(Process {
            ready: true,
            ..Process::of(host, founders.version, 0)
        });
    }
    let mut cluster = Cluster::of(members, 0);
    cluster.has_run = cluster.members.keys().copied().collect();
    cluster.committed = 5_000;
    world.clusters.insert(id, cluster);
    world.pass(world.now + 2_000);
    id
}

/// Somebody was on the way back over a minor and has exchanged some members; whoever leads has led for a while.
fn half_way_back(world: &mut World, founders: &Desired, to: Version, dice: &mut Dice) {
    let older = Desired {
        version: to,
        ..founders.clone()
    };
    let Some(id) = world.cluster_of(founders) else { return };
    if world
        .change(id, |cluster, _, _| cluster.enable_downgrade(to.series()))
        .is_err()
    {
        return;
    }
    let ready = |world: &World| {
        let cluster = &world.clusters[&id];
        cluster
            .members
            .keys()
            .all(|id| cluster.storage.get(id) == Some(&to.series()))
    };
    while !ready(world) {
        world.pass(world.now + 1_000);
    }
    for spec in older.hosts.values().take(dice.below(older.hosts.len())) {
        world.stop(&spec.name);
        install(world.host(&spec.name), &older, &initial_new(founders));
        world.start(&spec.name);
        world.pass(world.now + 3_000);
    }
    let voters: Vec<MemberId> = world.clusters[&id].voters().collect();
    let leader = *dice.pick(&voters);
    if let Some(cluster) = world.clusters.get_mut(&id) {
        cluster.leader = Some(leader);
    }
    world.pass(world.now + dice.next() % 9_000);
}

fn install(host: &mut SimHost, desired: &Desired, initial: &crate::render::InitialCluster) {
    let files = render_host(desired, &host.spec, initial).expect("a plain inventory");
    host.files = papers(&host.spec.name, Papers::Fresh);
    host.files.extend(files.into_iter().map(|f| {
        let facts = crate::host::FileFacts {
            sha256: f.sha256,
            mode: f.mode,
            owner: f.owner,
            content: Some(f.text),
        };
        (f.path, facts)
    }));
    host.releases.insert(desired.version, stock::binaries(desired.version));
    host.unit.enabled = true;
}

/// A member that the inventory does not know.
fn stray(world: &mut World, desired: &Desired, dice: &mut Dice) {
    let spec = stock::host(stock::MOST_HOSTS);
    let Some(id) = world.cluster_of(desired) else { return };
    let template = world.hosts.values().find(|h| h.unit.process.is_some()).cloned();
    let (Some(cluster), Some(template)) = (world.clusters.get_mut(&id), template) else {
        return;
    };
    let member = MemberId(0x57a7);
    let entry = Member {
        id: member,
        name: spec.name.to_string(),
        peer_urls: vec![spec.peer_url()],
        client_urls: vec![spec.client_url()],
        learner: dice.chance(10),
    };
    cluster.members.insert(member, entry);
    cluster.has_run.insert(member);
    let index = cluster.committed;
    let host = world.host(&spec.name);
    host.files = template.files;
    host.files.extend(papers(&spec.name, Papers::Fresh));
    // It listens for itself, and shows its own certificate.
    let own = |text: String| text.replace(&template.spec.peer_url().0, &spec.peer_url().0);
    if let Some(config) = host.files.get_mut(&spec.paths.config) {
        config.content = config.content.take().map(own);
    }
    host.releases = template.releases;
    host.unit.enabled = true;
    host.data = Data::Member(Disk::new(id, member, index));
    if dice.chance(80) {
        let at = spec.peer_url();
        host.unit.process = template.unit.process.map(|process| Process { at, ..process });
    }
    world.pass(world.now + 1_500);
}

/// A host of the inventory that was on its way in when somebody stopped.
fn joining(world: &mut World, desired: &Desired, members: usize, dice: &mut Dice) {
    let Some(spec) = desired.hosts.get(&stock::host(members + 1).name) else {
        return;
    };
    let Some(id) = world.cluster_of(desired) else { return };
    let url = spec.peer_url();
    if world
        .change(id, |cluster, now, live| cluster.add_learner(&url, now, live))
        .is_err()
        || dice.chance(50)
    {
        return;
    }
    let known = world.clusters[&id].members.values().map(|m| {
        let name = if m.name.is_empty() {
            spec.name.to_string()
        } else {
            m.name.clone()
        };
        (name, m.peer_urls[0].clone())
    });
    let initial = crate::render::InitialCluster {
        state: crate::render::InitialState::Existing,
        members: known.collect(),
        token: id.to_string(),
    };
    let version = world
        .hosts
        .values()
        .find_map(|h| Some(h.unit.process.as_ref()?.version));
    let older = Desired {
        version: version.unwrap_or(desired.version),
        ..desired.clone()
    };
    let host = world.host(&spec.name);
    install(host, &older, &initial);
    host.marker = Some(
        Marker {
            cluster: desired.cluster.clone(),
            cluster_id: id,
            member: spec.name.clone(),
            complete: false,
        }
        .to_text(),
    );
    world.start(&spec.name);
    world.pass(world.now + dice.next() % 3_000);
}

/// Something happened to a host. True when no look can show what it does to a run.
fn mishap(world: &mut World, node: &NodeName, dice: &mut Dice) -> bool {
    match dice.below(26) {
        0 | 1 => world.stop(node),
        2 => Fault::Crash(node.clone()).strike(world),
        3 => Fault::PowerOff(node.clone()).strike(world),
        4 => Fault::Cut(node.clone()).strike(world),
        5 | 6 => lose_data(world, node, dice),
        7 => {
            world.stop(node);
            world.host(node).data = Data::Foreign;
        }
        8 => others(world, node),
        9..=14 => return files(world.host(node), dice),
        15 => world.host(node).releases.clear(),
        16 => world.host(node).unit.enabled = false,
        17 => {
            world.host(node).speed = 0;
            return true;
        }
        18 => return marker(world, node, dice),
        19 => Fault::Election.strike(world),
        20 => {
            removed(world, node);
            return true;
        }
        _ => machine(world.host(node), dice),
    }
    false
}

/// The data directory, or its write-ahead log, is gone; quorate's marker with it, more often than not.
fn lose_data(world: &mut World, node: &NodeName, dice: &mut Dice) {
    let host = &world.hosts[node];
    if !known_elsewhere(world, node) && (host.marker.is_some() || host.disk().is_some()) {
        return;
    }
    world.stop(node);
    let host = world.host(node);
    host.data = if dice.chance(70) { Data::Empty } else { Data::Aborted };
    if dice.chance(70) {
        host.marker = None;
    }
}

/// Another cluster's member lives here.
fn others(world: &mut World, node: &NodeName) {
    world.stop(node);
    let (member, id) = (MemberId(0xbad), bootstrap_cluster_id(&[MemberId(0xbad)]));
    let spec = world.hosts[node].spec.clone();
    let entry = Member {
        id: member,
        name: "prod-b-1".into(),
        peer_urls: vec![spec.peer_url()],
        client_urls: vec![spec.client_url()],
        learner: false,
    };
    let mut cluster = Cluster::of([(member, entry)].into(), world.now);
    cluster.has_run.insert(member);
    cluster.committed = 9_000;
    world.clusters.insert(id, cluster);
    let host = world.host(node);
    host.data = Data::Member(Disk::new(id, member, 9_000));
    host.marker = Some(r#"{"cluster":"prod-b","cluster_id":"bad","member":"prod-b-1","complete":true}"#.into());
}

/// The member was removed while its host could not be reached: its data is still there.
fn removed(world: &mut World, node: &NodeName) {
    let Some(disk) = world.hosts[node].disk() else { return };
    let _ = world.change(disk.cluster, |cluster, now, live| {
        cluster.remove(disk.member, now, live)
    });
}

/// Whether another host tells of a cluster. Without the last trace nobody could know about it any more.
fn known_elsewhere(world: &World, node: &NodeName) -> bool {
    world.hosts.values().any(|h| h.spec.name != *node && h.marker.is_some())
}

fn marker(world: &mut World, node: &NodeName, dice: &mut Dice) -> bool {
    if !known_elsewhere(world, node) && world.hosts[node].disk().is_none() {
        return false;
    }
    let host = world.host(node);
    let Some(text) = host.marker.clone() else { return false };
    host.marker = match dice.below(3) {
        0 => None,
        1 => Some("not a marker".into()),
        _ => Some(text.replace("\"complete\":true", "\"complete\":false")),
    };
    false
}

/// Files on a host are not what they should be. True for a configuration that etcd does not come up with.
fn files(host: &mut SimHost, dice: &mut Dice) -> bool {
    let path = match dice.below(5) {
        4 => {
            host.loose = vec![host.spec.paths.pki.clone(), host.spec.paths.data_aside()];
            return false;
        }
        0 => host.spec.paths.config.clone(),
        1 => host.unit_path(),
        2 => host.spec.paths.pki.join("server.key"),
        _ => host.spec.paths.pki.join("ca.crt"),
    };
    match dice.below(7) {
        0 => {
            host.files.remove(&path);
        }
        1 => {
            if let Some(file) = host.files.get_mut(&path) {
                file.mode = 0o644 ^ 0o022;
            }
        }
        2 => {
            let config = host.spec.paths.config.clone();
            if let Some(file) = host.files.get_mut(&config)
                && let Some(text) = &mut file.content
            {
                text.push_str("\nmax-txn-ops: 1\n");
                file.sha256 = stock::sha256(text);
            }
        }
        3 => {
            // Changed on disk since the process was started.
            if let Some(process) = &mut host.unit.process {
                process
                    .started_with
                    .insert(host.spec.paths.config.clone(), "an older one".into());
            }
        }
        n => {
            let kind = [Papers::Ageing, Papers::Expired, Papers::Foreign][n - 4];
            if host.files.contains_key(&host.spec.paths.pki.join("ca.crt")) {
                host.files.extend(papers(&host.spec.name, kind));
            }
        }
    }
    false
}

/// The machine cannot run a member.
fn machine(host: &mut SimHost, dice: &mut Dice) {
    let system = &mut host.system;
    match dice.below(6) {
        0 => system.arch = None,
        1 => system.systemd = None,
        2 => system.clock_offset_seconds = 3600.0,
        3 => system.disks.values_mut().for_each(|d| d.free_bytes = 0),
        4 => system.root = false,
        _ => system.missing_tools.push("sha256sum".into()),
    }
}

/// What goes wrong while a run is under way.
pub fn faults(case: &Case, dice: &mut Dice) -> Vec<(u64, Fault)> {
    // What is gone for good by the operator's word has no more faults, and does not come back from one.
    let gone = case.intent.left_out();
    let here: Vec<&NodeName> = case.desired.order.iter().filter(|node| !gone.contains(node)).collect();
    let count = if here.is_empty() { 0 } else { 1 + dice.below(2) };
    let one = |dice: &mut Dice| {
        let node = (*dice.pick(&here)).clone();
        let fault = match dice.below(8) {
            7 => Fault::Moved(node),
            6 => Fault::Flood,
            0 => Fault::Crash(node),
            1 => Fault::PowerOff(node),
            2 => Fault::Cut(node),
            3 => Fault::Reboot(node),
            4 => Fault::Slow(node),
            _ => Fault::Election,
        };
        (dice.next() % 30, fault)
    };
    (0..count).map(|_| one(dice)).collect()
}
