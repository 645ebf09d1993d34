//! Small worlds that a reader can hold in their head: where the tests of lint and the golden plans begin.

use crate::inventory::{Desired, NodeName, Version};
use crate::ops::model::{Intent, Observed, Policy};
use crate::ops::plan::{Plan, plan};
use crate::ops::safety::Blocked;

use super::chaos::mature;
use super::host::{Data, Link};
use super::stock::{self, Papers, papers};
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

    /// Asks for something else than `up`.
    pub fn asked(mut self, intent: Intent) -> Self {
        self.intent = intent;
        self
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
        let expired = papers(&node(n), Papers::Expired).clone();
        self.world.host(&node(n)).files.extend(expired);
        self
    }

    /// A host was added as a learner and never started.
    pub fn with_learner(mut self, n: usize) -> Self {
        let url = stock::host(n).peer_url();
        self.settled(10_000);
        let id = self.world.cluster_of(&self.desired).expect("a cluster");
        let added = self.world.change(id, |cluster, now, live| cluster.add_learner(&url, now, live));
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
