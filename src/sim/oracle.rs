//! Judges every state that a run goes through. Written apart from `ops/safety`: it sees the truth of the world, not what
//! was observed of it, and shares no code with the rules it judges.

mod data;
mod releases;
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::inventory::{ClusterId, Desired, MemberId, NodeName, Version};
use crate::ops::restore::RestoreNote;
use crate::ops::safety::bootstrap::Marker;

use super::host::{Data, SimHost};
use super::raft::quorum;
use super::world::{Happening, World};

/// What the operator consented to.
#[derive(Debug, Clone, Default)]
pub struct Consent {
    pub outage: bool,
    /// The hosts whose data may be deleted.
    pub wipe: BTreeSet<NodeName>,
    /// The cluster may end.
    pub end: bool,
    /// Older data may take the place of what is there, on all hosts together but these, which are said to be gone.
    pub restore: Option<BTreeSet<NodeName>>,
    /// The host that is gone on from, whoever is the newest.
    pub from: Option<NodeName>,
    /// Older revisions may be forgotten, but this many.
    pub keep: Option<u64>,
    /// Alarms may be taken back.
    pub disarm: bool,
}

/// Remembers what it has seen of one world.
#[derive(Debug, Clone)]
pub struct Oracle {
    consent: Consent,
    inventory: BTreeSet<NodeName>,
    /// The cluster of this inventory, once there is one.
    home: Option<ClusterId>,
    lists: BTreeMap<ClusterId, BTreeMap<MemberId, Standing>>,
    /// Healthy voters by cluster when the step under way was begun: what its checks have seen.
    basis: BTreeMap<ClusterId, BTreeSet<MemberId>>,
    /// Healthy voters that quorate stopped and that are not back yet.
    down: BTreeSet<NodeName>,
    /// Pairs of members that could shake hands at some time.
    acquainted: BTreeSet<(NodeName, NodeName)>,
    /// Clusters that this inventory has had.
    homes: BTreeSet<ClusterId>,
    /// The clusters of which notes beside data, or those of a restore, say that they are this inventory's: a restore that was
    /// cut off leaves the data of two behind, and some of it without a note of its own.
    noted: BTreeSet<ClusterId>,
    /// Clusters that had a leader when the run began.
    alive: BTreeSet<ClusterId>,
    /// Clusters that served clients when the run began.
    working: BTreeSet<ClusterId>,
    /// The release that every member was last seen to run.
    ran: releases::Ran,
    /// The release that each host's unit named when the run began.
    named: BTreeMap<NodeName, Version>,
    /// What went wrong.
    pub violations: Vec<String>,
}

/// A member's place on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Added and never started.
    Unstarted,
    Learner,
    Voter,
}

impl Standing {
    fn unfinished(self) -> bool {
        self != Standing::Voter
    }
}

impl Oracle {
    pub fn new(world: &World, desired: &Desired, consent: Consent) -> Self {
        let mut oracle = Self {
            consent,
            inventory: desired.hosts.keys().cloned().collect(),
            home: world.cluster_of(desired),
            lists: lists(world),
            basis: BTreeMap::new(),
            down: BTreeSet::new(),
            acquainted: BTreeSet::new(),
            homes: world.cluster_of(desired).into_iter().collect(),
            noted: noted(world, desired),
            alive: world
                .clusters
                .iter()
                .filter(|(_, c)| c.leader.is_some())
                .map(|(id, _)| *id)
                .collect(),
            working: working(world, &desired.hosts.keys().cloned().collect()),
            ran: releases::running(world),
            named: releases::named(world),
            violations: Vec::new(),
        };
        oracle.begin(world);
        oracle
    }

    /// A step is about to be done, and what it requires was just seen.
    pub fn begin(&mut self, world: &World) {
        self.basis = world
            .clusters
            .keys()
            .map(|id| (*id, healthy_voters(world, *id)))
            .collect();
    }

    /// Looks at what has come about.
    pub fn judge(&mut self, world: &mut World) {
        if world.forgotten {
            world.happened.clear();
            return;
        }
        for happening in std::mem::take(&mut world.happened) {
            self.event(world, &happening);
        }
        self.membership(world);
        self.recovered(world);
        self.handshakes(world);
        self.releases(world);
        let leading = |id: &&ClusterId| {
            let leads = world.clusters.get(id).is_some_and(|c| c.leader.is_some());
            leads && in_sight(world, &self.inventory, **id)
        };
        if self.homes.iter().filter(leading).count() > 1 {
            self.say("the cluster before and the one after a restore live at the same time".into());
        }
        if self.down.len() > 1 && !self.consent.outage {
            self.say(format!("more than one voter is down because of us: {:?}", self.down));
        }
        for (id, cluster) in &world.clusters {
            if cluster.forgot {
                self.violations
                    .push(format!("cluster {id} elected a leader that lacks acknowledged writes"));
            }
        }
    }

    fn event(&mut self, world: &World, happening: &Happening) {
        match happening {
            Happening::Founded { node, cluster, again } => self.founded(world, node, *cluster, *again),
            Happening::Joined { node, again } => {
                if *again {
                    self.say(format!("{node} was started without its data while it is still listed"));
                }
            }
            Happening::Stopped { node } => self.stopped(world, node),
            Happening::Moved { node, data, deleted } => self.moved(world, node, data, *deleted),
            Happening::Withdrawn { node } => self.withdrawn(world, node),
            Happening::Fault { node } => {
                self.down.remove(node);
                self.acquainted.retain(|(a, b)| a != node && b != node);
            }
            Happening::TooOld { node } => self.say(format!("{node} was started with a release that is too old by now")),
            Happening::CannotRead { node } => self.say(format!(
                "{node} was started with a release that cannot read its raft log"
            )),
            Happening::Upgraded { node, cluster } => {
                let anew = self.enters_a_minor(world, node, *cluster);
                if anew && self.alive.contains(cluster) && world.backups == 0 {
                    self.say(format!(
                        "{node} went to another minor release before a snapshot was taken"
                    ));
                }
            }
            Happening::ToldToGoBack { cluster } => {
                if self.alive.contains(cluster) && world.backups == 0 {
                    self.say(format!("the cluster {cluster} goes back before a snapshot was taken"));
                }
            }
            Happening::Restored { node, cluster } => self.restored(world, node, *cluster),
            Happening::Defragmented { node } => self.defragmented(world, node),
            Happening::Compacted { cluster, revision } => self.compacted(world, *cluster, *revision),
            Happening::Disarmed { cluster, kind } => self.disarmed(world, *cluster, *kind),
            Happening::Rescued { node, index } => self.rescued(world, node, *index),
        }
    }

    fn founded(&mut self, world: &World, node: &NodeName, cluster: ClusterId, again: bool) {
        if *self.home.get_or_insert(cluster) != cluster {
            self.say(format!("{node} founds the cluster {cluster} beside {:?}", self.home));
        }
        let known_complete = world
            .hosts
            .values()
            .filter(|h| self.inventory.contains(&h.spec.name))
            .any(|h| h.marker.as_ref().is_some_and(|m| m.contains("\"complete\":true")));
        if again && known_complete {
            self.say(format!(
                "{node} was founded anew without its data while it is still listed"
            ));
        }
        for other in world.hosts.values().filter(|h| self.inventory.contains(&h.spec.name)) {
            match &other.data {
                Data::Member(disk) if disk.cluster == cluster && !known_complete => {}
                Data::Empty | Data::Aborted => {}
                _ => self
                    .violations
                    .push(format!("{node} founds a cluster while {} has data", other.spec.name)),
            }
        }
    }

    fn stopped(&mut self, world: &World, node: &NodeName) {
        let Some(disk) = world.hosts[node].disk() else { return };
        let Some(cluster) = world.clusters.get(&disk.cluster) else {
            return;
        };
        let id = disk.cluster;
        let healthy = self.basis.get(&id).cloned().unwrap_or_default();
        if !healthy.contains(&disk.member) || !cluster.voters().any(|id| id == disk.member) {
            return;
        }
        let needed = quorum(cluster.voters().count());
        if healthy.len() < needed {
            // Nobody is served here any more, whoever the members still believe to lead.
            return;
        }
        self.down.insert(node.clone());
        let refused = world.hosts.values().find(|host| {
            let carries = |disk: super::host::Disk| disk.cluster == id && healthy.contains(&disk.member);
            host.spec.name != *node && host.refused() && host.disk().is_some_and(carries)
        });
        if let Some(other) = refused.filter(|_| !self.consent.outage) {
            let other = other.spec.name.clone();
            self.say(format!("{node} is stopped while nobody lets {other} in"));
        }
        if healthy.len() - 1 < needed && !self.consent.outage {
            self.say(format!(
                "stopping {node} takes the quorum: {} of {needed} left",
                healthy.len() - 1
            ));
        }
    }

    fn moved(&mut self, world: &World, node: &NodeName, data: &Data, deleted: bool) {
        if deleted && *data != Data::Empty && !self.consent.wipe.contains(node) {
            self.say(format!("data on {node} was deleted without consent"));
        }
        match data {
            Data::Foreign => self.say(format!("what is not etcd's was moved on {node}")),
            Data::Member(disk) => {
                let cluster = world.clusters.get(&disk.cluster);
                let listed = cluster.is_some_and(|c| c.members.contains_key(&disk.member));
                if listed && self.consent.restore.is_some() {
                    self.nobody_runs(world, disk.cluster);
                } else if listed {
                    self.say(format!("the data of a listed member was taken from {node}"));
                }
                if self.home.is_some_and(|home| home != disk.cluster) && !self.noted.contains(&disk.cluster) {
                    self.say(format!("the data of another cluster was taken from {node}"));
                }
            }
            Data::Empty | Data::Aborted => {}
        }
    }

    /// A cluster ends only where that was asked for, with all that can be reached of it, and with a backup where one could be
    /// taken.
    fn withdrawn(&mut self, world: &World, node: &NodeName) {
        if !self.consent.end {
            self.say(format!("what {node} is made of was removed without consent"));
        }
        if let Some(home) = self.home {
            self.nobody_runs(world, home);
            if self.working.contains(&home) && world.backups == 0 {
                self.say("a cluster that worked has ended without a last backup".into());
            }
        }
    }

    /// Restored data lie down only where that was asked for, and while nobody of the cluster before runs.
    fn restored(&mut self, world: &World, node: &NodeName, cluster: ClusterId) {
        if self.consent.restore.is_none() {
            self.say(format!("{node} got older data, and nobody asked for a restore"));
        }
        let before: Vec<ClusterId> = self.homes.iter().copied().filter(|id| *id != cluster).collect();
        for id in before {
            self.nobody_runs(world, id);
        }
        self.homes.insert(cluster);
        self.home = Some(cluster);
        let newest = world.rescued.last().map_or(0, |saved| saved.index);
        if world.clusters[&cluster].committed < newest {
            self.say(format!("{node} got older data than what was saved"));
        }
    }

    fn nobody_runs(&mut self, world: &World, cluster: ClusterId) {
        let gone = |h: &SimHost| {
            self.consent
                .restore
                .as_ref()
                .is_some_and(|gone| gone.contains(&h.spec.name))
        };
        let ours = world
            .hosts
            .values()
            .filter(|h| self.inventory.contains(&h.spec.name) && !gone(h));
        let runs = ours.filter(|h| h.live().is_some_and(|(disk, _)| disk.cluster == cluster));
        let names: Vec<String> = runs.map(|h| h.spec.name.to_string()).collect();
        if !names.is_empty() {
            self.say(format!(
                "data are exchanged while {} still runs with the old ones",
                names.join(", ")
            ));
        }
    }

    /// Two members that could talk to each other must go on being able to, whenever they have to connect anew.
    fn handshakes(&mut self, world: &World) {
        let ours = world.hosts.values().filter(|h| self.inventory.contains(&h.spec.name));
        let running: Vec<_> = ours.filter(|h| h.live().is_some()).collect();
        for (at, one) in running.iter().enumerate() {
            for other in &running[at + 1..] {
                let pair = (one.spec.name.clone(), other.spec.name.clone());
                match one.reaches(other, world.now) {
                    true => drop(self.acquainted.insert(pair)),
                    false if self.acquainted.contains(&pair) => {
                        self.violations
                            .push(format!("{} and {} cannot talk to each other any more", pair.0, pair.1));
                    }
                    false => {}
                }
            }
        }
    }

    /// One change at a time, and only when none is unfinished.
    fn membership(&mut self, world: &World) {
        let now = lists(world);
        for (id, after) in &now {
            let Some(before) = self.lists.get(id).cloned() else {
                continue;
            };
            let added: Vec<_> = after.keys().filter(|m| !before.contains_key(m)).collect();
            let gone: Vec<_> = before.keys().filter(|m| !after.contains_key(m)).collect();
            let promoted: Vec<_> = after
                .iter()
                .filter(|(m, s)| **s == Standing::Voter && before.get(m) == Some(&Standing::Learner))
                .map(|(m, _)| m)
                .collect();
            if added.len() + gone.len() + promoted.len() > 1 {
                self.say("more than one membership change at once".into());
            }
            let unfinished_but = |id: &MemberId| before.iter().any(|(m, s)| m != id && s.unfinished());
            if let Some(changed) = added.iter().chain(&promoted).find(|m| unfinished_but(m)) {
                self.say(format!("member {changed} changes while another change is unfinished"));
            }
            if let Some(voter) = gone.iter().find(|m| before[*m] == Standing::Voter) {
                if unfinished_but(voter) {
                    self.say(format!("voter {voter} goes while another change is unfinished"));
                }
                self.left(before.values().filter(|s| **s == Standing::Voter).count(), *id, **voter);
            }
            if added.iter().any(|m| after[*m] == Standing::Voter) {
                self.say("a voter was added without having been a learner".into());
            }
        }
        self.lists = now;
    }

    /// A voter has left the list: the rest must be a quorum by itself when the whole was one.
    fn left(&mut self, voters: usize, id: ClusterId, voter: MemberId) {
        let healthy = self.basis.get(&id).cloned().unwrap_or_default();
        let rest = healthy.len() - usize::from(healthy.contains(&voter));
        if healthy.len() >= quorum(voters) && rest < quorum(voters - 1) {
            self.say(format!(
                "removing {voter} takes the quorum: {rest} of {} left",
                voters - 1
            ));
        }
    }

    fn recovered(&mut self, world: &World) {
        self.down.retain(|node| {
            let host = &world.hosts[node];
            let votes = host.disk().is_some_and(|disk| {
                world
                    .clusters
                    .get(&disk.cluster)
                    .is_some_and(|c| c.voters().any(|id| id == disk.member))
            });
            votes && !world.healthy(host)
        });
    }

    fn say(&mut self, what: String) {
        self.violations.push(what);
    }
}

fn lists(world: &World) -> BTreeMap<ClusterId, BTreeMap<MemberId, Standing>> {
    let of = |cluster: &super::raft::Cluster| {
        let standing = |m: &crate::etcd::Member| match (m.learner, m.started()) {
            (_, false) => Standing::Unstarted,
            (true, true) => Standing::Learner,
            (false, true) => Standing::Voter,
        };
        cluster.members.values().map(|m| (m.id, standing(m))).collect()
    };
    world.clusters.iter().map(|(id, cluster)| (*id, of(cluster))).collect()
}

/// Clusters with a leader and a quorum behind it, that can be seen from the hosts of the inventory.
fn working(world: &World, inventory: &BTreeSet<NodeName>) -> BTreeSet<ClusterId> {
    let works = |id: &&ClusterId| {
        let cluster = &world.clusters[*id];
        cluster.leader.is_some() && cluster.has_quorum(&world.live(**id)) && in_sight(world, inventory, **id)
    };
    world.clusters.keys().filter(works).copied().collect()
}

/// Whether one of these hosts is a member. A cluster that has taken all of them off its list goes on elsewhere, and nothing
/// on them tells so: what they still have of it looks like that of a member which is down.
fn in_sight(world: &World, inventory: &BTreeSet<NodeName>, id: ClusterId) -> bool {
    let hosts = inventory.iter().filter_map(|node| world.hosts.get(node));
    let urls: BTreeSet<_> = hosts.map(|host| host.spec.peer_url()).collect();
    let cluster = world.clusters.get(&id);
    cluster.is_some_and(|c| {
        c.members
            .values()
            .any(|m| m.peer_urls.iter().any(|url| urls.contains(url)))
    })
}

fn healthy_voters(world: &World, id: ClusterId) -> BTreeSet<MemberId> {
    let Some(cluster) = world.clusters.get(&id) else {
        return BTreeSet::new();
    };
    let voters: BTreeSet<MemberId> = cluster.voters().collect();
    let healthy = world
        .hosts
        .values()
        .filter(|host| world.healthy(host))
        .filter_map(|host| host.disk());
    healthy
        .filter(|disk| disk.cluster == id)
        .map(|disk| disk.member)
        .filter(|id| voters.contains(id))
        .collect()
}

fn noted(world: &World, desired: &Desired) -> BTreeSet<ClusterId> {
    let text = |node| world.hosts.get(node)?.marker.as_deref();
    let markers = desired.hosts.keys().filter_map(|node| Marker::parse(text(node)?));
    let ours = markers.filter(|marker| marker.cluster == desired.cluster);
    let on = |node| world.hosts.get(node).zip(desired.hosts.get(node));
    let restores = desired.hosts.keys().filter_map(|node| {
        let (host, spec) = on(node)?;
        let note: RestoreNote = serde_json::from_str(host.text(&RestoreNote::path(spec))?).ok()?;
        Some(note.cluster_id(desired))
    });
    ours.map(|marker| marker.cluster_id).chain(restores).collect()
}
