//! Small worlds that a reader can hold in their head: where the tests of lint and the golden plans begin.

use crate::etcd::{Alarm, AlarmKind};
use crate::inventory::{Desired, DesiredHost, MemberId, NodeName, Version};
use crate::ops::destroy::DestroyOrder;
use crate::ops::model::{Intent, Observed, Policy};
use crate::ops::plan::{Plan, plan};
use crate::ops::recover::RecoverOrder;
use crate::ops::rest::{Purpose, RestNote};
use crate::ops::safety::Blocked;

use super::chaos::mature;
use super::drive::{Aftermath, Trouble, bring_about};
use super::host::{Data, Link, SimHost};
use super::papers::{Papers, papers};
use super::rescue;
use super::restore::order;
use super::stock;
use super::world::World;

/// A world, the inventory and what is asked for.
#[derive(Debug, Clone)]
pub struct Scene {
    pub world: World,
    pub desired: Desired,
    pub intent: Intent,
    pub policy: Policy,
}

/// `up` without any flags.
pub const UP: Intent = Intent::Converge {
    prune: false,
    limit: Vec::new(),
};

/// `restart` without any flags.
pub fn restart_of(limit: Vec<NodeName>) -> Intent {
    Intent::Restart {
        limit,
        begun: stock::epoch(),
        afresh: false,
    }
}

/// The note of a member that is down on purpose.
pub fn note(purpose: Purpose) -> RestNote {
    RestNote {
        purpose,
        since: stock::epoch(),
        by: "alice@laptop".into(),
    }
}

/// A scene with its name and what has happened before.
pub type Told = (&'static str, &'static str, Scene);

/// The worlds that a reader should know what quorate does about.
pub fn all() -> Vec<Told> {
    let renew = || Intent::RotateLeaves { limit: Vec::new() };
    let rotate = || Intent::RotateCa {
        compromised: false,
        begin: true,
    };
    let replace = |old, new| Intent::Replace {
        old: node(old),
        new: node(new),
    };
    let remove = |n, wipe| Intent::Remove { node: node(n), wipe };
    let restart = || restart_of(Vec::new());
    let mut scenes = vec![
        ("bare-hosts", "three hosts, nothing on them", Scene::bare(3)),
        (
            "foreign-data",
            "three hosts, and somebody else's files in one data directory",
            Scene::bare(3).with_data(2, Data::Foreign),
        ),
        ("nothing-to-do", "three members, all as wanted", Scene::healthy(3)),
        (
            "changed-option",
            "three members; the inventory sets snapshot-count",
            Scene::healthy(3).with_option("snapshot-count", 12_345.into()),
        ),
        (
            "upgrade",
            "three members of etcd 3.4; the inventory wants 3.5",
            Scene::of_version(3, stock::V3_4),
        ),
        (
            "other-ports",
            "three members; the inventory has other ports",
            Scene::healthy(3).with_hosts(|_, host| (host.client_port, host.peer_port) = (12_379, 12_380)),
        ),
        (
            "from-addresses-to-names",
            "three members; the inventory has names in place of their addresses",
            Scene::healthy(3).with_hosts(|n, host| host.address = format!("n{n}.example.com").parse().unwrap()),
        ),
        (
            "another-address-of-a-stopped-member",
            "three members; etcd-3 is stopped, and its host has another address",
            Scene::healthy(3).stopped(3).a_moment_later().with_hosts(|n, host| {
                if n == 3 {
                    host.address = "10.0.9.3".parse().unwrap();
                }
            }),
        ),
        (
            "other-ports-of-a-stopped-cluster",
            "three members, all stopped; the inventory has other ports",
            Scene::healthy(3)
                .stopped(1)
                .stopped(2)
                .stopped(3)
                .with_hosts(|_, host| host.peer_port = 12_380),
        ),
        (
            "other-ports-of-a-single-member",
            "one member; the inventory has another peer port",
            Scene::healthy(1)
                .with_hosts(|_, host| host.peer_port = 12_380)
                .accepting_an_outage(),
        ),
        (
            "changed-option-of-a-single-member",
            "one member; the inventory sets snapshot-count",
            Scene::healthy(1).with_option("snapshot-count", 12_345.into()),
        ),
        (
            "stopped-member",
            "three members, of which etcd-3 was stopped",
            Scene::healthy(3).stopped(3).a_moment_later(),
        ),
        (
            "stopped-cluster",
            "three members, all stopped",
            Scene::healthy(3).stopped(1).stopped(2).stopped(3),
        ),
        (
            "wiped-member",
            "three members; the disk of etcd-3 was wiped",
            Scene::healthy(3).wiped(3).a_moment_later(),
        ),
        (
            "wiped-member-replaced",
            "three members; the disk of etcd-3 was wiped",
            Scene::healthy(3).wiped(3).a_moment_later().asked(replace(3, 3)),
        ),
        (
            "two-dead-of-five",
            "five members; the hosts of etcd-4 and etcd-5 are off",
            Scene::healthy(5).dead(4).dead(5).a_moment_later(),
        ),
        (
            "two-dead-of-five-one-removed",
            "five members; the hosts of etcd-4 and etcd-5 are off",
            Scene::healthy(5)
                .dead(4)
                .dead(5)
                .a_moment_later()
                .asked(remove(5, false)),
        ),
        (
            "quorum-lost",
            "three members; the disks of etcd-2 and etcd-3 were wiped",
            Scene::healthy(3).wiped(2).wiped(3).a_moment_later(),
        ),
        (
            "stray-learner",
            "three members and a learner that was added and never started: etcd-4 of the inventory",
            Scene::healthy(3).inventory_of(4).with_learner(4),
        ),
        (
            "two-newcomers",
            "one member; the inventory lists three hosts",
            Scene::healthy(1).inventory_of(3),
        ),
        (
            "leader-removed",
            "three members, led by etcd-2",
            Scene::healthy(3).asked(remove(2, false)),
        ),
        (
            "restart-with-a-stopped-member",
            "three members, led by etcd-2; etcd-3 was stopped",
            Scene::healthy(3).stopped(3).a_moment_later().asked(restart()),
        ),
        (
            "full-databases",
            "three members, led by etcd-2; old revisions have filled their databases",
            Scene::healthy(3).full().asked(Intent::Disarm),
        ),
        ("restart-of-two", "two members", Scene::healthy(2).asked(restart())),
        (
            "restart-beside-a-dead-member",
            "three members; the host of etcd-3 is off",
            Scene::healthy(3).dead(3).a_moment_later().asked(restart()),
        ),
        (
            "expired-leaves",
            "three members, stopped; all their certificates have ended",
            Scene::healthy(3)
                .expired(1)
                .expired(2)
                .expired(3)
                .stopped(1)
                .stopped(2)
                .stopped(3),
        ),
        (
            "expired-leaves-renewed",
            "three members, stopped; all their certificates have ended",
            Scene::healthy(3)
                .expired(1)
                .expired(2)
                .expired(3)
                .stopped(1)
                .stopped(2)
                .stopped(3)
                .asked(renew()),
        ),
        ("another-ca", "three members", Scene::healthy(3).asked(rotate())),
        (
            "removed-from-the-inventory",
            "five members; the inventory lists four of them, and prunes",
            Scene::healthy(5).inventory_of(4).asked(Intent::Converge {
                prune: true,
                limit: Vec::new(),
            }),
        ),
    ];
    scenes.extend(ways_up());
    scenes.extend(downgrades());
    scenes.extend(on_purpose());
    let lost = Scene::healthy(3).wiped(2).wiped(3).a_moment_later();
    let order = order(&lost.desired, Vec::new());
    let restore = Intent::Restore(Box::new(order));
    scenes.push((
        "restore",
        "three members; the disks of etcd-2 and etcd-3 were wiped; a backup is at hand",
        lost.asked(restore).accepting_data_loss(),
    ));
    let lost = Scene::healthy(5).stopped(1).a_moment_later();
    let lost = lost.wiped(3).wiped(4).dead(5).a_moment_later();
    let order = RecoverOrder {
        logs: lost.world.logs(&lost.desired),
        ..rescue::order(None, vec![node(5)])
    };
    scenes.push((
        "majority-lost-for-good",
        "five members; etcd-1 was stopped first, then the disks of etcd-3 and etcd-4 were wiped and etcd-5 went off",
        lost.asked(Intent::Recover(Box::new(order))).accepting_data_loss(),
    ));
    scenes
}

/// Members that are down because somebody wants it so.
fn on_purpose() -> Vec<Told> {
    let maintain = |n| Intent::Maintain {
        node: node(n),
        note: note(Purpose::Maintenance),
    };
    let end = |n| Intent::EndMaintenance { node: node(n) };
    let stop = || Intent::Stop {
        note: note(Purpose::Outage),
        without: Default::default(),
    };
    let destroy = |without| {
        Intent::Destroy(Box::new(DestroyOrder {
            note: note(Purpose::End),
            without,
            wipe: false,
        }))
    };
    let maintained = || Scene::healthy(3).at_rest(2, Purpose::Maintenance).a_moment_later();
    let all_stopped = || {
        let down = |scene: Scene, n| scene.at_rest(n, Purpose::Outage);
        (1..=3).fold(Scene::healthy(3), down).a_moment_later()
    };
    vec![
        (
            "maintain-the-leader",
            "three members, led by etcd-2",
            Scene::healthy(3).asked(maintain(2)),
        ),
        (
            "maintain-beside-a-stopped-member",
            "three members, of which etcd-3 was stopped",
            Scene::healthy(3).stopped(3).a_moment_later().asked(maintain(1)),
        ),
        (
            "maintenance-over",
            "three members; etcd-2 is down for maintenance",
            maintained().asked(end(2)),
        ),
        (
            "maintenance-and-up",
            "three members; etcd-2 is down for maintenance",
            maintained(),
        ),
        (
            "maintenance-and-a-changed-option",
            "three members; etcd-2 is down for maintenance, and the inventory sets snapshot-count",
            maintained().with_option("snapshot-count", 12_345.into()),
        ),
        (
            "stop",
            "three members, led by etcd-2",
            Scene::healthy(3).asked(stop()).accepting_an_outage(),
        ),
        (
            "stop-without-consent",
            "three members, led by etcd-2",
            Scene::healthy(3).asked(stop()),
        ),
        (
            "start",
            "three members that were stopped on purpose",
            all_stopped().asked(Intent::Start),
        ),
        (
            "start-without-a-host",
            "three members that were stopped on purpose; the host of etcd-3 did not come back",
            all_stopped().dead(3).asked(Intent::Start),
        ),
        (
            "stopped-and-up",
            "three members that were stopped on purpose",
            all_stopped(),
        ),
        (
            "destroy",
            "three members, led by etcd-2",
            Scene::healthy(3).asked(destroy(Vec::new())).accepting_data_loss(),
        ),
        (
            "destroy-without-consent",
            "three members, led by etcd-2",
            Scene::healthy(3).asked(destroy(Vec::new())),
        ),
        (
            "destroy-without-a-host",
            "three members, led by etcd-2; the host of etcd-3 is off",
            Scene::healthy(3)
                .dead(3)
                .a_moment_later()
                .asked(destroy(vec![node(3)]))
                .accepting_data_loss(),
        ),
        (
            "destroy-without-quorum",
            "three members; etcd-2 and etcd-3 were stopped",
            Scene::healthy(3)
                .stopped(2)
                .stopped(3)
                .a_moment_later()
                .asked(destroy(Vec::new()))
                .accepting_data_loss(),
        ),
        (
            "being-destroyed-and-up",
            "three members, of which a destruction has stopped etcd-1",
            Scene::healthy(3).at_rest(1, Purpose::End).a_moment_later(),
        ),
        (
            "restart-interrupted",
            "three members; a restart was interrupted after the first one",
            Scene::healthy(3)
                .asked(restart_of(Vec::new()))
                .cut_off_when(|world| world.hosts.values().any(SimHost::was_restarted))
                .a_moment_later(),
        ),
    ]
}

/// Onto 3.7, which cannot read what members of 3.5 wrote.
fn ways_up() -> Vec<Told> {
    let lately = || {
        Scene::of_version(3, stock::V3_6)
            .with_v2_requests()
            .wanting(stock::V3_7)
    };
    vec![
        (
            "upgrade-to-3.7",
            "three members of etcd 3.6 that ran 3.5 not long ago; the inventory wants 3.7",
            lately(),
        ),
        (
            "upgrade-to-3.7-with-open-logs",
            "three members of etcd 3.6 that never ran anything before; the inventory wants 3.7",
            Scene::of_version(3, stock::V3_6).wanting(stock::V3_7),
        ),
        (
            "upgrade-to-3.7-cut-off",
            "the same three members, told to go back so that they write snapshots; the run was cut off",
            lately().cut_off_when(|world| world.clusters.values().any(|c| c.downgrade.is_some())),
        ),
        (
            "upgrade-to-3.7-beside-a-stopped-member",
            "three members of etcd 3.6 that ran 3.5 not long ago, of which etcd-3 was stopped; the inventory wants 3.7",
            lately().stopped(3).a_moment_later(),
        ),
    ]
}

/// Back over a minor release.
fn downgrades() -> Vec<Told> {
    let going_back = || Scene::of_version(3, stock::V3_6).way_chosen();
    let runs = |release| move |world: &World| world.hosts[&node(3)].runs() == Some(release);
    let half_way = || going_back().cut_off_when(runs(stock::V3_5)).a_moment_later();
    // etcd has ended its job then.
    let led_by_3_5 = || half_way().led_by(3).a_moment_later().a_moment_later();
    let unfinished_upgrade = Scene::healthy(3)
        .wanting(stock::V3_6)
        .cut_off_when(runs(stock::V3_6))
        .a_moment_later();
    vec![
        (
            "downgrade",
            "three members of etcd 3.6; the inventory wants 3.5",
            going_back(),
        ),
        (
            "downgrade-told",
            "three members of etcd 3.6 that were told this moment to go back to 3.5; the run was cut off",
            going_back().told_to_go_back((3, 5)),
        ),
        (
            "downgrade-ready",
            "three members of etcd 3.6 that are ready for 3.5; the run was cut off",
            going_back().cut_off_when(|world| world.clusters.values().any(|c| c.downgrade.is_some())),
        ),
        (
            "downgrade-half-way",
            "three members on their way back to 3.5, where etcd-3 is; the run was cut off",
            half_way(),
        ),
        (
            "downgrade-called-off",
            "three members on their way back to 3.5, where etcd-3 is; the inventory wants 3.6 again",
            half_way().wanting(stock::V3_6),
        ),
        (
            "downgrade-under-way-and-up",
            "three members on their way back to 3.5, where etcd-3 is; an inventory of before wants 3.6",
            half_way().wanting(stock::V3_6).by_up(),
        ),
        (
            "downgrade-led-by-3.5",
            "three members on their way back to 3.5, where etcd-3 is, which has led for a while",
            led_by_3_5(),
        ),
        (
            "downgrade-led-by-3.5-and-up",
            "three members on their way back to 3.5, where etcd-3 is, which has led for a while; `up` is not told which way",
            led_by_3_5().by_up(),
        ),
        (
            "downgrade-led-by-3.5-and-a-restart",
            "three members on their way back to 3.5, where etcd-3 is, which has led for a while",
            led_by_3_5().by_up().asked(restart_of(Vec::new())),
        ),
        (
            "downgrade-led-by-3.5-and-called-off",
            "three members on their way back to 3.5, where etcd-3 is, which has led for a while; 3.6 is wanted again",
            led_by_3_5().wanting(stock::V3_6),
        ),
        (
            "downgrade-that-etcd-ended-and-nobody-keeps",
            "three members of 3.6 whose cluster works at 3.5; etcd has just ended the job, and nobody runs 3.5",
            going_back()
                .cut_off_when(|world| world.clusters.values().any(|c| c.downgrade.is_some()))
                .forgetting_the_job(),
        ),
        (
            "downgrade-under-way-and-a-restart",
            "three members on their way back to 3.5, where etcd-3 is",
            half_way().by_up().asked(restart_of(Vec::new())),
        ),
        (
            "downgrade-from-3.7",
            "three members of etcd 3.7; the inventory wants 3.6",
            Scene::of_version(3, stock::V3_7).wanting(stock::V3_6),
        ),
        (
            "downgrade-of-two-minors",
            "three members of etcd 3.7; the inventory wants 3.5",
            Scene::of_version(3, stock::V3_7),
        ),
        (
            "downgrade-to-3.4",
            "three members of etcd 3.5; the inventory wants 3.4",
            Scene::healthy(3).wanting(stock::V3_4),
        ),
        (
            "downgrade-beside-a-stopped-member",
            "three members of etcd 3.6, of which etcd-3 was stopped; the inventory wants 3.5",
            going_back().stopped(3).a_moment_later(),
        ),
        (
            "downgrade-with-a-stranger",
            "three members of etcd 3.6; the inventory lists two of them and wants 3.5",
            going_back().inventory_of(2),
        ),
        (
            "downgrade-of-an-unfinished-upgrade",
            "three members on their way up to 3.6, where etcd-3 is; the inventory wants 3.5 again",
            unfinished_upgrade.clone().wanting(stock::V3_5).way_chosen(),
        ),
        (
            "upgrade-unfinished-and-up",
            "three members on their way up to 3.6, where etcd-3 is; the inventory wants 3.5 still",
            unfinished_upgrade.wanting(stock::V3_5),
        ),
    ]
}

/// `etcd-N`.
pub fn node(n: usize) -> NodeName {
    stock::host(n).name
}

impl Scene {
    /// Hosts on which nothing has ever been done.
    pub fn bare(hosts: usize) -> Self {
        Self {
            world: World::bare(1..=stock::MOST_HOSTS),
            desired: stock::inventory(1..=hosts, stock::V3_5),
            intent: UP,
            policy: Policy::default(),
        }
    }

    /// A healthy cluster of that many members, as `up` left it.
    pub fn healthy(members: usize) -> Self {
        Self::of_version(members, stock::V3_5)
    }

    /// The same with members of another release; the inventory wants the newest.
    pub fn of_version(members: usize, runs: Version) -> Self {
        let mut scene = Self::bare(members);
        mature(&mut scene.world, &stock::inventory(1..=members, runs));
        scene.world.happened.clear();
        scene
    }

    /// The inventory wants another release.
    pub fn wanting(mut self, release: Version) -> Self {
        self.desired.version = release;
        self
    }

    /// The world after a run that was killed as soon as it looked like this.
    pub fn cut_off_when(mut self, such: impl Fn(&World) -> bool) -> Self {
        let killed = |strokes| {
            let trouble = Trouble {
                crash_after: Some(strokes),
                ..Trouble::default()
            };
            bring_about(self.world.clone(), &self.desired, &self.intent, self.policy, trouble).world
        };
        self.world = (0..100).map(killed).find(such).expect("it looks like this some time");
        self.world.happened.clear();
        self
    }

    /// etcd is told to go back to a minor, and has not done anything about it yet.
    pub fn told_to_go_back(mut self, to: (u32, u32)) -> Self {
        let id = self.world.cluster_of(&self.desired).expect("a cluster");
        let told = self.world.change(id, |cluster, _, _| cluster.enable_downgrade(to));
        told.expect("etcd goes back");
        self
    }

    /// Its members ran 3.5 not long ago, and what those wrote is still in the raft logs.
    pub fn with_v2_requests(mut self) -> Self {
        self.world.wrote_v2();
        self
    }

    /// A member leads.
    pub fn led_by(mut self, n: usize) -> Self {
        let id = self.world.cluster_of(&self.desired).expect("a cluster");
        let leader = self.world.hosts[&node(n)].disk().expect("data").member;
        let cluster = self.world.clusters.get_mut(&id).expect("that cluster");
        cluster.leader = Some(leader);
        self
    }

    /// etcd's job of going back has ended this moment.
    pub fn forgetting_the_job(mut self) -> Self {
        self.world.clusters.values_mut().for_each(|c| c.downgrade = None);
        self
    }

    /// `upgrade` or `downgrade` was typed instead of `up`.
    pub fn way_chosen(mut self) -> Self {
        self.policy.way_chosen = true;
        self
    }

    /// `up` again, or whatever is asked for.
    pub fn by_up(mut self) -> Self {
        self.policy.way_chosen = false;
        self
    }

    /// Asks for something else than `up`.
    pub fn asked(mut self, intent: Intent) -> Self {
        self.intent = intent;
        self
    }

    /// The world after it, and how the run ended.
    pub fn run(self) -> Aftermath {
        bring_about(self.world, &self.desired, &self.intent, self.policy, Trouble::default())
    }

    /// `--accept-outage`.
    pub fn accepting_an_outage(mut self) -> Self {
        self.policy.accept_outage = true;
        self
    }

    /// `--accept-data-loss`.
    pub fn accepting_data_loss(mut self) -> Self {
        self.policy.accept_data_loss = true;
        self
    }

    /// The inventory lists that many hosts.
    pub fn inventory_of(mut self, hosts: usize) -> Self {
        self.desired = stock::inventory(1..=hosts, self.desired.version);
        self
    }

    /// The inventory has other entries for its hosts.
    pub fn with_hosts(mut self, change: impl Fn(usize, &mut DesiredHost)) -> Self {
        let hosts = self.desired.hosts.values_mut();
        hosts.enumerate().for_each(|(at, host)| change(at + 1, host));
        self
    }

    /// The inventory gives etcd another option.
    pub fn with_option(mut self, name: &str, value: serde_json::Value) -> Self {
        self.desired.options.insert(name.into(), value);
        self
    }

    /// Stops a member, as `systemctl stop` does.
    pub fn stopped(mut self, n: usize) -> Self {
        self.world.stop(&node(n));
        self
    }

    /// Somebody has stopped this member on purpose.
    pub fn at_rest(mut self, n: usize, purpose: Purpose) -> Self {
        self.world.rest(&node(n), purpose);
        self
    }

    /// The host goes off.
    pub fn dead(mut self, n: usize) -> Self {
        self.world.stop(&node(n));
        self.world.host(&node(n)).link = Link::Dead;
        self
    }

    /// The disk of a member is wiped, quorate's marker with it.
    pub fn wiped(mut self, n: usize) -> Self {
        self.world.stop(&node(n));
        let host = self.world.host(&node(n));
        host.data = Data::Empty;
        host.marker = None;
        self
    }

    /// Something else has this data directory, or an aborted start does.
    pub fn with_data(mut self, n: usize, data: Data) -> Self {
        self.world.stop(&node(n));
        self.world.host(&node(n)).data = data;
        self
    }

    /// The member's certificates have ended.
    pub fn expired(mut self, n: usize) -> Self {
        let expired = papers(&node(n), Papers::Expired);
        self.world.host(&node(n)).files.extend(expired);
        self
    }

    /// Old revisions have filled every database to its quota of 2 GiB.
    pub fn full(mut self) -> Self {
        self.world.flood();
        self.a_moment_later()
    }

    /// The same, and nothing of it is old.
    pub fn full_of_keys(mut self) -> Self {
        self.world.clusters.values_mut().for_each(|c| c.store.keys = 2048 << 20);
        self.a_moment_later()
    }

    /// etcd found that members disagree about the data: this one has other contents, or nobody any more.
    pub fn corrupt(mut self, odd: Option<usize>) -> Self {
        let alarm = Alarm {
            member: MemberId(0),
            kind: AlarmKind::Corrupt,
        };
        for cluster in self.world.clusters.values_mut() {
            cluster.alarms.insert(alarm);
        }
        if let Some(Data::Member(disk)) = odd.map(|n| &mut self.world.host(&node(n)).data) {
            disk.odd = true;
        }
        self
    }

    /// A host was added as a learner and never started.
    pub fn with_learner(mut self, n: usize) -> Self {
        let url = stock::host(n).peer_url();
        self.settled(10_000);
        let id = self.world.cluster_of(&self.desired).expect("a cluster");
        let added = self
            .world
            .change(id, |cluster, now, live| cluster.add_learner(&url, now, live));
        added.expect("etcd takes a learner");
        self
    }

    /// Time passes: leaders are elected, removed members end.
    pub fn settled(&mut self, milliseconds: u64) {
        self.world.pass(self.world.now + milliseconds);
        self.world.happened.clear();
    }

    /// The same after a moment.
    pub fn a_moment_later(mut self) -> Self {
        self.settled(5_000);
        self
    }

    /// What is seen of it.
    pub fn seen(&self) -> Observed {
        self.world.observe(&self.desired)
    }

    /// What quorate would do.
    ///
    /// # Errors
    /// Why it would do nothing.
    pub fn plan(&self) -> Result<Plan, Vec<Blocked>> {
        let supplies = self.world.supplies();
        plan(&self.intent, &self.desired, &self.seen(), self.policy, &supplies)
    }
}
