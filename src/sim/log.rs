//! What is in the members' raft logs, as far as a start goes through it again: requests of the v2 API that members before
//! 3.6 write, and snapshots of the log, behind which they no longer matter (`crate::etcd::Replay`).

use std::collections::BTreeMap;

use super::drive::Lab;
use super::host::{Data, Disk, Link};
use super::raft::{Cluster, Live};
use super::world::{Happening, World};
use crate::etcd::Replay;
use crate::inventory::{ClusterId, Desired, MemberId, NodeName, Version};
use crate::ops::check::Look;
use crate::ops::exec::{StepError, World as _, first_open};
use crate::ops::model::{Fact, Observed};
use crate::ops::plan::Step;
use crate::ops::plan::way_up::to_be_read;

/// Members before this minor publish themselves with a request of the v2 API at every start.
const FIRST_WITH_V3: (u32, u32) = (3, 6);

/// Members of this minor note members as removed that they have not come to in their raft log.
const FIRST_TO_SWEEP: (u32, u32) = (3, 5);

/// Members from this minor on cannot read such a request.
const FIRST_WITHOUT_V2: (u32, u32) = (3, 7);

/// Entries between two snapshots of the log. Clients write here a hundred times faster than most do, so it is more of them
/// than etcd's 10 000: a cluster that writes little goes for days without one.
const SNAPSHOT_COUNT: u64 = 60_000;

/// How long etcd's version may take to fall or to rise.
const PATIENCE: u64 = 60_000;

impl Cluster {
    /// Members of 3.5 and before that have come up since publish themselves.
    pub(super) fn publish_as_v2(&mut self, head: u64, live: &BTreeMap<MemberId, Live>) {
        for (id, member) in live.iter().filter(|(_, m)| m.version.series() < FIRST_WITH_V3) {
            if self.published.insert(*id, member.since) != Some(member.since) {
                self.v2.insert(head);
            }
        }
    }

    /// The last request of the v2 API that a start on this disk goes through.
    pub(super) fn v2_on(&self, disk: Disk) -> Option<u64> {
        let replayed = disk.snapshot + 1..=disk.index.max(disk.snapshot);
        match replayed.is_empty() {
            true => None,
            false => self.v2.range(replayed).next_back().copied(),
        }
    }
}

impl World {
    /// After the entries have reached the disks: who takes a snapshot of its log, and who ends on an entry.
    pub(super) fn keep_logs(&mut self, id: ClusterId) {
        let Some(cluster) = self.clusters.get(&id) else { return };
        let mut ended = Vec::new();
        for host in self.hosts.values_mut().filter(|host| host.link != Link::Dead) {
            let Some(process) = &host.unit.process else { continue };
            let Data::Member(disk) = &mut host.data else { continue };
            if disk.cluster != id || !process.ready {
                continue;
            }
            if process.version.series() >= FIRST_WITHOUT_V2 && cluster.v2_on(*disk).is_some() {
                ended.push(host.spec.name.clone());
                continue;
            }
            // From 3.6 on a member writes one at once when the version of the cluster falls.
            let fell = cluster.fell_at.is_some_and(|at| disk.snapshot < at && at <= disk.index);
            let forced = fell && process.version.series() >= FIRST_WITH_V3;
            if forced || disk.index.saturating_sub(disk.snapshot) > SNAPSHOT_COUNT {
                disk.snapshot = disk.index;
            }
        }
        for node in ended {
            self.stop(&node);
            let now = self.now;
            let unit = &mut self.host(&node).unit;
            unit.failed = Some(CANNOT_READ.into());
            unit.retry_at = now + 5_000;
            self.happened.push(Happening::CannotRead { node });
        }
    }

    /// Members of 3.5 published themselves not long ago.
    pub(super) fn wrote_v2(&mut self) {
        for cluster in self.clusters.values_mut() {
            cluster.v2.extend([cluster.committed - 20, cluster.committed - 10]);
        }
    }

    /// Whether this release goes through what is on a disk without ending on it.
    pub(super) fn can_read(&mut self, node: &NodeName, disk: Disk, version: Version) -> Result<(), String> {
        if let Some(cluster) = self.clusters.get_mut(&disk.cluster) {
            cluster.swept |= cluster.unwritten && version.series() == FIRST_TO_SWEEP && cluster.members.len() > 1;
            if cluster.swept && version.series() > FIRST_TO_SWEEP {
                self.happened.push(Happening::CannotRead { node: node.clone() });
                return Err(REMOVED.into());
            }
        }
        let cluster = self.clusters.get(&disk.cluster);
        let v2 = cluster.and_then(|cluster| cluster.v2_on(disk));
        if version.series() < FIRST_WITHOUT_V2 || v2.is_none() {
            return Ok(());
        }
        self.happened.push(Happening::CannotRead { node: node.clone() });
        Err(CANNOT_READ.into())
    }

    /// What the raft logs tell which are read before a plan is made.
    pub(super) fn replays(&self, desired: &Desired, seen: &Observed) -> BTreeMap<NodeName, Fact<Replay>> {
        let read = |node: &NodeName| match self.hosts.get(node).filter(|host| host.link == Link::Up) {
            Some(host) => host.disk().map_or(Fact::Absent, |disk| Fact::Known(self.replay(disk))),
            None => Fact::Unknown("no answer".into()),
        };
        to_be_read(desired, seen)
            .map(|host| (host.name.clone(), read(&host.name)))
            .collect()
    }

    fn replay(&self, disk: Disk) -> Replay {
        Replay {
            snapshot: disk.snapshot,
            last: disk.index.max(disk.snapshot),
            v2: self.clusters.get(&disk.cluster).and_then(|cluster| cluster.v2_on(disk)),
        }
    }
}

const REMOVED: &str = "the member has been permanently removed from the cluster";

const CANNOT_READ: &str = "unmarshal should never fail";

impl Lab {
    /// As `ops/exec/real/way_up.rs`.
    pub(super) async fn write_one_key(&self) -> Result<(), StepError> {
        let id = self.membership().await?.cluster_id;
        self.stroke(|w| {
            if let Some(cluster) = w.clusters.get_mut(&id).filter(|cluster| cluster.leader.is_some()) {
                cluster.unwritten = false;
            }
        })
    }

    /// As `ops/exec/real/way_up.rs`.
    pub(super) async fn open_the_way_up(&self, step: &Step) -> Result<(), StepError> {
        let seen = self.look(&Look::at(&step.ensures)).await;
        let membership = self.membership().await?;
        let runs = membership
            .releases()
            .min()
            .ok_or_else(|| StepError::new("no member reports its release"))?;
        if first_open(&step.ensures, &seen).is_some() {
            let before = Version::new(runs.major, runs.minor - 1, 0);
            self.begin_downgrade(before).await?;
            let fallen = self.works_at(membership.cluster_id, before).await;
            self.call_off_downgrade().await?;
            fallen?;
        }
        self.works_at(membership.cluster_id, runs).await
    }

    async fn works_at(&self, id: ClusterId, version: Version) -> Result<(), StepError> {
        let begun = self.now().world.now;
        loop {
            let (at, now) = {
                let state = self.now();
                (state.world.clusters.get(&id).and_then(|c| c.version), state.world.now)
            };
            if at == Some(version.series()) {
                return Ok(());
            }
            if now > begun + PATIENCE {
                return Err(StepError::new(format!("the cluster works at {at:?}")));
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::drive::{Aftermath, Outcome};
    use super::super::scenes::Scene;
    use super::super::stock::{V3_5, V3_6, V3_7};
    use super::*;
    use crate::ops::plan::{Action, plan};

    fn opens(after: &Aftermath) -> usize {
        let steps = after.plans.iter().flat_map(|plan| plan.steps());
        steps
            .filter(|step| matches!(step.action, Action::OpenTheWayUp { .. }))
            .count()
    }

    #[test]
    fn the_way_up_to_3_7_is_opened_where_it_is_closed_and_only_there() {
        for members in [1, 3, 5] {
            let fresh = Scene::of_version(members, V3_6).wanting(V3_7).accepting_an_outage();
            let open = fresh.clone().run();
            assert!(matches!(open.outcome, Outcome::Done), "{:?}", open.outcome);
            assert_eq!((opens(&open), open.violations.as_slice()), (0, &[][..]), "{members}");
            let closed = fresh.with_v2_requests().run();
            assert!(matches!(closed.outcome, Outcome::Done), "{:?}", closed.outcome);
            assert_eq!(
                (opens(&closed), closed.violations.as_slice()),
                (1, &[][..]),
                "{members}"
            );
            let there = closed.world.hosts.values().filter(|host| host.runs() == Some(V3_7));
            assert_eq!(there.count(), members);
        }
    }

    /// One was taken to 3.7 by somebody who was lucky with it.
    #[test]
    fn the_way_is_opened_beside_members_that_are_there_already() {
        let on_its_way = Scene::of_version(3, V3_6)
            .wanting(V3_7)
            .cut_off_when(|world| world.hosts.values().any(|host| host.runs() == Some(V3_7)))
            .a_moment_later();
        let mut closed = on_its_way.with_v2_requests();
        // What the first one has behind it.
        for host in closed.world.hosts.values_mut().filter(|host| host.runs() == Some(V3_7)) {
            if let Data::Member(disk) = &mut host.data {
                disk.snapshot = disk.index;
            }
        }
        let after = closed.run();
        assert!(matches!(after.outcome, Outcome::Done), "{:?}", after.outcome);
        assert_eq!((opens(&after), after.violations.as_slice()), (1, &[][..]));
    }

    /// A host whose log cannot be read is no host whose log is open.
    #[test]
    fn a_start_without_having_read_the_log_is_refused() {
        let scene = Scene::of_version(3, V3_6).wanting(V3_7);
        let mut seen = scene.seen();
        seen.replays.clear();
        let supplies = scene.world.supplies();
        let made = plan(&scene.intent, &scene.desired, &seen, scene.policy, &supplies).expect("a plan");
        let first_turn = made
            .steps()
            .position(|step| matches!(step.action, Action::Restart { .. }));
        let opened = made
            .steps()
            .position(|step| matches!(step.action, Action::OpenTheWayUp { .. }));
        assert!(opened < first_turn && opened.is_some(), "{made:?}");
    }

    fn disks(scene: &Scene) -> Vec<Disk> {
        scene.world.hosts.values().filter_map(|host| host.disk()).collect()
    }

    #[test]
    fn a_member_of_3_5_leaves_what_3_7_ends_on() {
        let mut scene = Scene::of_version(1, V3_5);
        let disk = disks(&scene)[0];
        assert!(scene.world.clusters[&disk.cluster].v2_on(disk).is_some());
        let node = scene.desired.order[0].clone();
        assert_eq!(scene.world.can_read(&node, disk, V3_6), Ok(()));
        assert!(scene.world.can_read(&node, disk, V3_7).is_err());
        let later = Disk {
            snapshot: disk.index,
            ..disk
        };
        assert_eq!(scene.world.can_read(&node, later, V3_7), Ok(()));
    }

    #[test]
    fn every_member_of_3_6_writes_a_snapshot_when_the_version_of_the_cluster_falls() {
        let mut scene = Scene::of_version(3, V3_6);
        assert!(disks(&scene).iter().all(|disk| disk.snapshot < disk.index));
        let id = disks(&scene)[0].cluster;
        scene
            .world
            .clusters
            .get_mut(&id)
            .unwrap()
            .enable_downgrade((3, 5))
            .unwrap();
        let begun = disks(&scene)[0].index;
        scene.settled(3_000);
        assert!(
            disks(&scene).iter().all(|disk| disk.snapshot > begun),
            "{:?}",
            disks(&scene)
        );
    }
}
