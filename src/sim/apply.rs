//! What each action does to the world: the same order and the same refusals as `ops/exec/real`.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::drive::Lab;
use super::host::{Data, Link};
use super::papers::{Keys, issued};
use super::raft::Refusal;
use super::world::{Happening, World};
use crate::host::FileFacts;
use crate::inventory::{ClusterId, HostPath, MemberId, NodeName, PeerUrl, Version};
use crate::ops::check::{Check, Look};
use crate::ops::exec::{StepError, World as _};
use crate::ops::model::{Fact, Membership, host_of};
use crate::ops::plan::{Action, HostChange, Step, Target};
use crate::ops::rest::{RestNote, TurnNote};
use crate::ops::safety::leader::heir;
use crate::ops::safety::membership::may_promote;
use crate::ops::safety::moves::may_change_urls;
use crate::ops::safety::streams::connected;

const HEALTH_INTERVAL: Duration = Duration::from_secs(15);
const STALLED: Duration = Duration::from_secs(120);
const STREAMS: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);

impl Lab {
    pub(super) async fn act(&self, step: &Step) -> Result<String, StepError> {
        match (&step.action, &step.target) {
            (Action::CreateAuthority, _) => self.stroke(|w| w.keys = w.keys.or(Some(Keys::FIRST))).map(drop)?,
            (Action::RotateAuthority { turn }, _) => self
                .stroke(|w| {
                    let keys = w.keys.ok_or("there is no CA yet")?;
                    w.keys = Some(keys.turn(*turn)?);
                    Ok(())
                })?
                .map_err(|why: String| StepError::new(why))?,
            (Action::Provision { change }, Target::Node(node)) => self.provision(node, change)?,
            (Action::ClearAborted | Action::SetAside | Action::MakeRoom, Target::Node(node)) => {
                self.take_data(node, false)?;
            }
            (Action::Wipe, Target::Node(node)) => self.take_data(node, true)?,
            (Action::Start, Target::Node(node)) => self.on(node, |w| w.start(node))?,
            (Action::Restart { change, url, turn }, Target::Node(node)) => {
                self.restart(node, change, url, turn.as_ref()).await?;
            }
            (Action::Rest { note, url }, Target::Node(node)) => self.rest(node, note, url.as_ref()).await?,
            (Action::EndRest { note }, Target::Node(node)) => {
                self.on(node, |w| w.host(node).files.remove(note)).map(drop)?;
            }
            (Action::Withdraw { files, note }, Target::Node(node)) => self.withdraw(node, files, note.as_ref())?,
            (Action::Retire, Target::Node(node)) => {
                self.on(node, |w| w.host(node).unit.enabled = false)?;
                self.on(node, |w| stop(w, node))?;
            }
            (Action::BeginDowngrade { to }, _) => self.begin_downgrade(*to).await?,
            (Action::CallOffDowngrade { .. }, _) => self.call_off_downgrade().await?,
            (Action::WriteOneKey, _) => self.write_one_key().await?,
            (Action::OpenTheWayUp { .. }, _) => self.open_the_way_up(step).await?,
            (Action::AddLearner { url }, _) => self.add_learner(url).await?,
            (Action::Promote { url }, _) => self.promote(step, url).await?,
            (Action::HandOver { url }, _) => self.hand_over(url).await?,
            (Action::ChangeUrls { id, urls, .. }, _) => self.change_urls(*id, urls).await?,
            (Action::RemoveMember { id, .. }, _) => self.remove_member(*id).await?,
            (Action::Snapshot { .. }, _) => {
                self.membership().await?;
                self.stroke(|w| w.backups += 1)?;
            }
            (Action::NoteRestore { note }, Target::Node(node)) => self.note_restore(node, note)?,
            (Action::StageSnapshot { snapshot, .. }, Target::Node(node)) => self.stage_snapshot(node, snapshot)?,
            (Action::RestoreData(data), Target::Node(node)) => self.restore_data(node, data)?,
            (Action::CompareMembers { at_least }, _) => self.compare_members(*at_least).await?,
            (Action::ForgetRestore { note, .. }, Target::Node(node)) => self.forget_restore(node, note)?,
            (Action::Rescue(rescue), Target::Node(node)) => self.rescue(node, rescue)?,
            (Action::Defragment { url }, Target::Node(node)) => self.defragment(node, url).await?,
            (Action::Compact { revision }, _) => self.compact(*revision).await?,
            (Action::Disarm { kind }, _) => self.disarm(*kind).await?,
            (Action::LookAgain { nodes, cluster_id }, _) => self.inspect(step, nodes, *cluster_id).await?,
            (action, target) => return Err(StepError::new(format!("{action:?} cannot be done on {target:?}"))),
        }
        Ok("done".into())
    }

    /// One exchange with the host, which may break off anywhere.
    fn provision(&self, node: &NodeName, change: &HostChange) -> Result<(), StepError> {
        if let Some(release) = &change.release {
            self.on(node, |w| {
                w.host(node)
                    .releases
                    .entry(release.version)
                    .or_default()
                    .extend(release.sha256.clone());
            })?;
        }
        for file in &change.files {
            let facts = FileFacts {
                sha256: file.sha256.clone(),
                mode: file.mode,
                owner: file.owner.clone(),
                content: Some(file.text.clone()),
            };
            self.on(node, |w| w.host(node).files.insert(file.path.clone(), facts))?;
        }
        if change.certificates {
            // A certificate and its key change in one step.
            let mut named = self.desired.hosts[node].clone();
            named.sans.extend_from_slice(&change.also_named);
            self.on(node, |w| {
                let keys = w.keys.ok_or_else(|| StepError::new("there is no CA yet"))?;
                let files = issued(&named, keys);
                let host = w.host(node);
                host.files.extend(files);
                Ok::<(), StepError>(())
            })??;
        } else if let Some(ca) = &change.trust {
            let facts = FileFacts {
                sha256: ca.sha256.clone(),
                mode: ca.mode,
                owner: ca.owner.clone(),
                content: Some(ca.text.clone()),
            };
            self.on(node, |w| w.host(node).files.insert(ca.path.clone(), facts))?;
        }
        if !change.ownership.is_empty() {
            self.on(node, |w| {
                w.host(node)
                    .loose
                    .retain(|path| !change.ownership.iter().any(|taken| path.is_within(taken)))
            })?;
        }
        if let Some(marker) = &change.marker {
            self.on(node, |w| w.host(node).marker = Some(marker.to_text()))?;
        }
        if change.enable {
            self.on(node, |w| w.host(node).unit.enabled = true)?;
        }
        Ok(())
    }

    /// A note is written in one go, before the member stops.
    async fn rest(&self, node: &NodeName, note: &RestNote, url: Option<&PeerUrl>) -> Result<(), StepError> {
        if let Some(url) = url {
            self.hand_over(url).await?;
        }
        self.write_note(node, RestNote::path(&self.desired.hosts[node]), note.to_text())?;
        self.on(node, |w| w.host(node).unit.enabled = false)?;
        self.on(node, |w| stop(w, node))
    }

    /// Refused, as on a real host, while the unit is not stopped. The note goes last.
    fn withdraw(&self, node: &NodeName, files: &[HostPath], note: Option<&HostPath>) -> Result<(), StepError> {
        self.on(node, |w| {
            let host = w.host(node);
            if host.unit.process.is_some() {
                return Err(StepError::new(format!("the unit on {node} is not stopped")));
            }
            host.files.retain(|path, _| !files.contains(path));
            host.unit.failed = None;
            w.happened.push(Happening::Withdrawn { node: node.clone() });
            // Whose data nobody has any more is forgotten, and its id may come again.
            let kept: Vec<ClusterId> = w.hosts.values().filter_map(|h| Some(h.disk()?.cluster)).collect();
            w.clusters.retain(|id, _| kept.contains(id));
            Ok(())
        })??;
        if let Some(note) = note {
            self.on(node, |w| w.host(node).files.remove(note)).map(drop)?;
        }
        Ok(())
    }

    pub(super) fn write_note(&self, node: &NodeName, path: HostPath, text: String) -> Result<(), StepError> {
        let file = FileFacts {
            sha256: super::stock::sha256(&text),
            mode: 0o644,
            owner: "root".into(),
            content: Some(text),
        };
        self.on(node, |w| w.host(node).files.insert(path, file)).map(drop)
    }

    async fn restart(
        &self,
        node: &NodeName,
        change: &HostChange,
        url: &PeerUrl,
        turn: Option<&TurnNote>,
    ) -> Result<(), StepError> {
        self.hand_over(url).await?;
        let came_from = self.now().world.hosts[node].unit.process.as_ref().map(|p| p.version);
        let before: Vec<(HostPath, FileFacts)> = {
            let state = self.now();
            let files = &state.world.hosts[node].files;
            change
                .files
                .iter()
                .filter_map(|f| Some((f.path.clone(), files.get(&f.path)?.clone())))
                .collect()
        };
        self.provision(node, change)?;
        if let Some(note) = turn {
            self.write_note(node, TurnNote::path(&self.desired.hosts[node]), note.to_text())?;
        }
        self.on(node, |w| stop(w, node))?;
        self.on(node, |w| w.start(node))?;
        sleep(POLL).await;
        let failed = self.now().world.hosts[node].unit.failed.clone();
        let Some(why) = failed else { return Ok(()) };
        if self.now().world.moved_on(node, came_from) {
            return Err(StepError::new(format!(
                "{why}; it was left as it is: the cluster has moved"
            )));
        }
        if !before.is_empty() {
            self.on(node, |w| w.host(node).files.extend(before))?;
            self.on(node, |w| {
                stop(w, node);
                w.start(node);
            })?;
        }
        Err(StepError::new(format!("{why}; the previous files were put back")))
    }

    /// Refused, as on a real host, while the unit is not stopped.
    fn take_data(&self, node: &NodeName, delete: bool) -> Result<(), StepError> {
        self.on(node, |w| {
            let host = w.host(node);
            if host.unit.process.is_some() || host.unit.failed.is_some() {
                return Err(StepError::new(format!("the unit on {node} is not stopped")));
            }
            if delete && host.data == Data::Foreign {
                return Err(StepError::new(format!(
                    "what lies on {node} is not etcd's: nothing was deleted"
                )));
            }
            let data = std::mem::replace(&mut host.data, Data::Empty);
            host.marker = None;
            host.set_aside += usize::from(!delete && data != Data::Empty);
            w.happened.push(Happening::Moved {
                node: node.clone(),
                data,
                deleted: delete,
            });
            Ok(())
        })?
    }

    pub(super) async fn membership(&self) -> Result<Membership, StepError> {
        match self.look(&Look::at_the_cluster()).await.cluster {
            Fact::Known(membership) => Ok(membership),
            Fact::Absent => Err(StepError::new("no cluster answers")),
            Fact::Unknown(why) => Err(StepError::new(why)),
        }
    }

    /// Somebody to ask: the leader, or any voter in reach that takes part, which passes the request on.
    pub(super) fn leader(&self, membership: &Membership) -> Result<ClusterId, StepError> {
        let mut ours = membership
            .voters()
            .filter(|m| membership.takes_part(m.id))
            .filter_map(|m| host_of(&self.desired, m));
        match ours.any(|spec| self.now().world.hosts[&spec.name].link == Link::Up) {
            true => Ok(membership.cluster_id),
            false => Err(StepError::new("no healthy member is a host of the inventory")),
        }
    }

    async fn add_learner(&self, url: &PeerUrl) -> Result<(), StepError> {
        let begun = Instant::now();
        loop {
            let membership = self.membership().await?;
            if membership.at(url).is_some() {
                return Ok(());
            }
            let id = self.leader(&membership)?;
            match self.stroke(|w| w.change(id, |cluster, now, live| cluster.add_learner(url, now, live)))? {
                Ok(_) => return Ok(()),
                Err(Refusal::NoLeader | Refusal::UnhealthyCluster) if begun.elapsed() < HEALTH_INTERVAL => {
                    sleep(POLL).await;
                }
                Err(refusal) => return Err(StepError::new(format!("etcd refused: {refusal:?}"))),
            }
        }
    }

    async fn promote(&self, step: &Step, url: &PeerUrl) -> Result<(), StepError> {
        let mut best = u64::MAX;
        let mut progress_at = Instant::now();
        loop {
            let membership = self.membership().await?;
            let learner = membership
                .at(url)
                .ok_or_else(|| StepError::new("the learner is no longer on the list"))?;
            if !learner.learner {
                return Ok(());
            }
            if let Some(lag) = membership.lag(learner.id).filter(|lag| *lag < best) {
                best = lag;
                progress_at = Instant::now();
            }
            let streams = self.now().world.streams(&self.desired, &membership);
            let heard = connected(
                &Membership {
                    peers: streams,
                    ..membership.clone()
                },
                learner.id,
            )
            .is_ok();
            if heard && may_promote(&membership, learner.id).is_ok() {
                let (id, learner) = (self.leader(&membership)?, learner.id);
                match self.stroke(|w| w.change(id, |cluster, _, live| cluster.promote(learner, live)))? {
                    Ok(()) => continue,
                    Err(Refusal::NotInSync | Refusal::NoLeader) => {}
                    Err(refusal) => return Err(StepError::new(format!("etcd refused: {refusal:?}"))),
                }
            }
            if let Some(error) = self.hopeless(step).await {
                self.remove_member(learner.id).await?;
                return Err(error);
            }
            if progress_at.elapsed() > STALLED {
                self.remove_member(learner.id).await?;
                return Err(StepError::new("the learner comes no closer; it was taken out again"));
            }
            sleep(POLL).await;
        }
    }

    async fn change_urls(&self, member: MemberId, urls: &[PeerUrl]) -> Result<(), StepError> {
        let membership = self.membership().await?;
        may_change_urls(&membership, member, urls).map_err(|refusal| StepError::new(refusal.to_string()))?;
        let answers = membership.voters().filter(|m| membership.takes_part(m.id));
        let mut hosts = answers.filter_map(|m| self.desired.hosts.values().find(|host| host.name.as_str() == m.name));
        if !hosts.any(|spec| self.now().world.hosts[&spec.name].link == Link::Up) {
            return Err(StepError::new("no healthy member is a host of the inventory"));
        }
        let id = membership.cluster_id;
        self.stroke(|w| w.change(id, |cluster, _, _| cluster.change_urls(member, urls)))?
            .map_err(|refusal| StepError::new(format!("etcd refused: {refusal:?}")))
    }

    async fn remove_member(&self, member: MemberId) -> Result<(), StepError> {
        let membership = self.membership().await?;
        let Some(found) = membership.members.iter().find(|m| m.id == member) else {
            return Ok(());
        };
        let leads = membership.leader() == Some(member) && membership.healthy(member);
        if let Some(url) = found.peer_urls.first().filter(|_| leads) {
            self.hand_over(url).await?;
        }
        let id = self.leader(&membership)?;
        match self.stroke(|w| w.change(id, |cluster, now, live| cluster.remove(member, now, live)))? {
            Ok(()) | Err(Refusal::NotFound) => Ok(()),
            Err(refusal) => Err(StepError::new(format!("etcd refused: {refusal:?}"))),
        }
    }

    pub(super) async fn hand_over(&self, url: &PeerUrl) -> Result<(), StepError> {
        let Ok(membership) = self.membership().await else {
            return Ok(());
        };
        let Some(from) = membership.at(url).filter(|m| membership.leader() == Some(m.id)) else {
            return Ok(());
        };
        let Some(heir) = heir(&membership, from.id) else {
            return Ok(());
        };
        let give = |w: &mut World| {
            let live = w.live(membership.cluster_id);
            if let (Some(cluster), true) = (w.clusters.get_mut(&membership.cluster_id), live.contains_key(&heir)) {
                cluster.leader = Some(heir);
                cluster.term += 1;
            }
        };
        match host_of(&self.desired, from) {
            Some(spec) => self.on(&spec.name, give),
            // A stranger is asked through one of our hosts.
            None => self.leader(&membership).and_then(|_| self.stroke(give)),
        }
    }

    /// Looks at the ports of these members: each must be there and answer.
    async fn inspect(&self, step: &Step, nodes: &[NodeName], id: Option<ClusterId>) -> Result<(), StepError> {
        self.wait_for(step, &step.ensures, STALLED).await?;
        let membership = self.membership().await?;
        if let Some(expected) = id.filter(|id| *id != membership.cluster_id) {
            return Err(StepError::new(format!(
                "cluster {} instead of {expected}",
                membership.cluster_id
            )));
        }
        for node in nodes {
            let answers = self.on(node, |w| w.healthy(&w.hosts[node]))?;
            if !answers {
                return Err(StepError::new(format!("{node} does not answer")));
            }
        }
        let specs = nodes.iter().filter_map(|node| self.desired.hosts.get(node));
        let members = specs.filter(|spec| membership.of(spec).is_some());
        let connected: Vec<Check> = members.map(|spec| Check::Connected { url: spec.peer_url() }).collect();
        self.wait_for(step, &connected, STREAMS).await
    }

    async fn wait_for(&self, step: &Step, checks: &[Check], limit: Duration) -> Result<(), StepError> {
        let begun = Instant::now();
        loop {
            let seen = self.look(&Look::at(checks)).await;
            let Some((_, open)) = crate::ops::exec::first_open(checks, &seen) else {
                return Ok(());
            };
            if let Some(error) = self.hopeless(step).await {
                return Err(error);
            }
            if begun.elapsed() > limit {
                return Err(StepError::new(open));
            }
            sleep(POLL).await;
        }
    }
}

impl World {
    /// Whether the cluster as a whole has reached a later minor release than a member came from.
    fn moved_on(&self, node: &NodeName, came_from: Option<Version>) -> bool {
        let cluster = self.hosts[node]
            .disk()
            .and_then(|disk| self.clusters.get(&disk.cluster));
        let reached = cluster.and_then(|c| c.version);
        came_from.is_some_and(|version| reached.is_some_and(|reached| reached > version.series()))
    }
}

/// Stops a unit because quorate said so.
fn stop(world: &mut World, node: &NodeName) {
    if world.hosts[node].unit.process.is_some() {
        world.happened.push(Happening::Stopped { node: node.clone() });
    }
    world.stop(node);
}
