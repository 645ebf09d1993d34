//! The way back over a minor release, as etcd opens it from 3.6 on (docs/etcd.md, "Changes of version"; from
//! its source server/etcdserver/version/monitor.go and downgrade.go).

use std::collections::BTreeMap;

use super::drive::Lab;
use super::raft::{Cluster, Live, Refusal};
use super::world::Happening;
use crate::inventory::{MemberId, Version};
use crate::ops::exec::StepError;
use crate::ops::safety::downgrade::under_way;

/// Members of this minor and later tell the form of their storage, and of a downgrade.
pub const FIRST_TO_GO_BACK: (u32, u32) = (3, 6);

/// A leader looks so often whether the job is done, in milliseconds (`downgrade-check-time`).
const DOWNGRADE_CHECK: u64 = 5_000;

impl Cluster {
    /// `Downgrade ENABLE`, which validates first: one minor below what the cluster works at, and one job at a time.
    pub fn enable_downgrade(&mut self, to: (u32, u32)) -> Result<(), Refusal> {
        self.leader.ok_or(Refusal::NoLeader)?;
        if self.version != Some((to.0, to.1 + 1)) {
            return Err(Refusal::InvalidDowngradeTarget);
        }
        if self.downgrade.is_some() {
            return Err(Refusal::DowngradeInProgress);
        }
        self.downgrade = Some(to);
        Ok(())
    }

    /// `Downgrade CANCEL`.
    pub fn cancel_downgrade(&mut self) -> Result<(), Refusal> {
        self.leader.ok_or(Refusal::NoLeader)?;
        self.downgrade.take().map(drop).ok_or(Refusal::NoDowngrade)
    }

    /// What the leader does every few seconds: the cluster's version rises with its slowest member, or falls to where
    /// it was told to go, while the version of every member is known. Storage follows: up at once, down one member a
    /// tick. `now` and `elapsed` in milliseconds.
    pub fn agree_on_a_version(&mut self, now: u64, elapsed: u64, live: &BTreeMap<MemberId, Live>) {
        self.storage_follows(live);
        if !self.members.keys().all(|id| live.contains_key(id)) {
            return;
        }
        let series: Vec<(u32, u32)> = live.values().map(|member| member.version.series()).collect();
        let slowest = series.iter().copied().min();
        let looks = now / DOWNGRADE_CHECK != (now - elapsed) / DOWNGRADE_CHECK;
        match self.downgrade {
            Some(to) if looks && self.has_gone_back(to, live) => self.downgrade = None,
            Some(to) if slowest == Some((to.0, to.1 + 1)) => self.version = Some(to),
            Some(_) => {}
            None => self.version = self.version.max(slowest),
        }
    }

    /// Whether the leader takes the job for done. One of 3.5 compares the version that each member says the cluster
    /// works at, which is the target's before anybody was exchanged; a later one compares what each member runs
    /// (`isMatchedVersions` of 3.5.33's cluster_util.go, `versionsMatchTarget` of 3.6.16's version/monitor.go).
    fn has_gone_back(&self, to: (u32, u32), live: &BTreeMap<MemberId, Live>) -> bool {
        let leader = self.leader.and_then(|id| live.get(&id));
        match leader.is_some_and(|leader| leader.version.series() < FIRST_TO_GO_BACK) {
            true => self.version == Some(to),
            false => live.values().all(|member| member.version.series() == to),
        }
    }

    fn storage_follows(&mut self, live: &BTreeMap<MemberId, Live>) {
        let Some(version) = self.version else { return };
        for (id, _) in live.iter().filter(|(_, m)| m.version.series() >= FIRST_TO_GO_BACK) {
            let before = self.storage.insert(*id, version);
            if before.is_some_and(|before| before > version) {
                return;
            }
        }
    }
}

impl Lab {
    pub(super) async fn begin_downgrade(&self, to: Version) -> Result<(), StepError> {
        let membership = self.membership().await?;
        if under_way(&membership).is_some_and(|target| target.series() == to.series()) {
            return Ok(());
        }
        let id = self.leader(&membership)?;
        let told = self.stroke(|w| {
            w.change(id, |cluster, _, _| cluster.enable_downgrade(to.series()))?;
            w.happened.push(Happening::ToldToGoBack { cluster: id });
            Ok(())
        })?;
        match told {
            Ok(()) | Err(Refusal::DowngradeInProgress) => Ok(()),
            Err(refusal) => Err(StepError::new(format!("etcd refused: {refusal:?}"))),
        }
    }

    pub(super) async fn call_off_downgrade(&self) -> Result<(), StepError> {
        let membership = self.membership().await?;
        let id = self.leader(&membership)?;
        match self.stroke(|w| w.change(id, |cluster, _, _| cluster.cancel_downgrade()))? {
            Ok(()) | Err(Refusal::NoDowngrade) => Ok(()),
            Err(refusal) => Err(StepError::new(format!("etcd refused: {refusal:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenes::{Scene, node};
    use super::super::stock::{V3_5, V3_6, V3_7};
    use super::*;

    /// The only cluster of a scene.
    fn cluster(scene: &mut Scene) -> &mut Cluster {
        let id = scene.world.cluster_of(&scene.desired).expect("a cluster");
        scene.world.clusters.get_mut(&id).expect("that cluster")
    }

    #[test]
    fn etcd_goes_back_one_minor_at_a_time_and_is_told_once() {
        let mut scene = Scene::of_version(3, V3_6);
        let etcd = cluster(&mut scene);
        assert_eq!(etcd.enable_downgrade((3, 4)), Err(Refusal::InvalidDowngradeTarget));
        assert_eq!(etcd.cancel_downgrade(), Err(Refusal::NoDowngrade));
        assert_eq!(etcd.enable_downgrade((3, 5)), Ok(()));
        assert_eq!(etcd.enable_downgrade((3, 5)), Err(Refusal::DowngradeInProgress));
        scene.settled(3_000);
        let etcd = cluster(&mut scene);
        assert_eq!(etcd.version, Some((3, 5)));
        assert!(etcd.storage.values().all(|form| *form == (3, 5)), "{:?}", etcd.storage);
        // Not any more: the cluster works at 3.5 by now.
        assert_eq!(etcd.enable_downgrade((3, 5)), Err(Refusal::InvalidDowngradeTarget));
        assert_eq!(etcd.cancel_downgrade(), Ok(()));
        scene.settled(3_000);
        let etcd = cluster(&mut scene);
        assert_eq!(etcd.version, Some((3, 6)));
        assert!(etcd.storage.values().all(|form| *form == (3, 6)));
    }

    /// Three members told to go back to `to`, of which the first runs it and leads.
    fn led_by_the_first(from: Version, to: Version) -> Scene {
        let mut scene = Scene::of_version(3, from);
        assert_eq!(cluster(&mut scene).enable_downgrade(to.series()), Ok(()));
        scene.settled(3_000);
        let older = Scene::of_version(3, to).world;
        let host = scene.world.host(&node(1));
        host.files = older.hosts[&node(1)].files.clone();
        host.releases = older.hosts[&node(1)].releases.clone();
        scene.world.stop(&node(1));
        scene.world.start(&node(1));
        scene.settled(3_000);
        scene.led_by(1)
    }

    #[test]
    fn a_leader_of_3_5_ends_the_job_before_its_time_and_nothing_is_lost_with_it() {
        let mut scene = led_by_the_first(V3_6, V3_5);
        assert_eq!(cluster(&mut scene).downgrade, Some((3, 5)));
        scene.settled(DOWNGRADE_CHECK);
        let etcd = cluster(&mut scene);
        assert_eq!((etcd.downgrade, etcd.version), (None, Some((3, 5))));
        // Nobody is too old for what the others keep it at, running or not.
        scene.world.stop(&node(1));
        scene.settled(20_000);
        let etcd = cluster(&mut scene);
        assert_eq!(etcd.version, Some((3, 5)));
        assert!(etcd.storage.values().all(|form| *form == (3, 5)), "{:?}", etcd.storage);
    }

    #[test]
    fn a_leader_of_3_6_waits_for_everybody() {
        let mut scene = led_by_the_first(V3_7, V3_6);
        scene.settled(4 * DOWNGRADE_CHECK);
        assert_eq!(cluster(&mut scene).downgrade, Some((3, 6)));
    }

    #[test]
    fn nothing_moves_while_a_member_is_down_and_an_older_server_ends_on_newer_storage() {
        let mut scene = Scene::of_version(3, V3_6).stopped(3).a_moment_later();
        let etcd = cluster(&mut scene);
        assert_eq!(etcd.enable_downgrade((3, 5)), Ok(()));
        scene.settled(3_000);
        let etcd = cluster(&mut scene);
        assert_eq!(etcd.version, Some((3, 6)));
        // Somebody exchanges the binary all the same.
        etcd.version = Some((3, 5));
        let older = Scene::healthy(3).world;
        let host = scene.world.host(&node(3));
        host.files = older.hosts[&node(3)].files.clone();
        host.releases = older.hosts[&node(3)].releases.clone();
        assert!(host.releases.contains_key(&V3_5));
        scene.world.start(&node(3));
        let ended = scene.world.hosts[&node(3)].unit.failed.as_deref();
        assert_eq!(ended, Some("invalid downgrade"));
    }
}
