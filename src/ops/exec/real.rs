//! The real world: hosts over their connections, etcd through them.

mod authorize;
mod certificates;
mod downgrade;
mod hashes;
mod inspect;
mod lifecycle;
mod membership;
mod program;
mod promote;
mod provision;
mod rescue;
mod rest;
mod restore;
mod snapshot;
mod turns;
mod upkeep;
mod way_up;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{StepError, World};
use crate::backup::Unlocked;
use crate::bundle::Bundle;
use crate::etcd::{ClientTls, EtcdClient, EtcdError, Member};
use crate::host::{Host, HostError, ServiceState};
use crate::inventory::{Desired, DesiredHost, NodeName};
use crate::ops::check::Look;
use crate::ops::fleet::Fleet;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Membership, Observed, host_of};
use crate::ops::observe::{Missed, back_again, look_again, observe};
use crate::ops::plan::{Action, Step, Target};
use crate::ops::sight::Sight;
use crate::ops::vault::Vault;
use crate::report::{Reporter, likely_cause};

pub use hashes::MemberHash;
pub use snapshot::Taken;

/// Hosts, members, keys and releases of one cluster.
pub struct RealWorld {
    fleet: Arc<Fleet>,
    vault: Arc<Vault>,
    bundle: Option<Bundle>,
    /// What is restored from, for a restore.
    backup: Option<Unlocked>,
    seen: Mutex<Observed>,
    /// Hosts that were lost in mid-run.
    missed: Mutex<Missed>,
    /// Who is being started; the others wait.
    turns: Mutex<()>,
}

impl RealWorld {
    /// A world that was just observed. Without a bundle nothing can be installed.
    pub fn new(fleet: Arc<Fleet>, vault: Arc<Vault>, bundle: Option<Bundle>, seen: Observed) -> Self {
        Self {
            fleet,
            vault,
            bundle,
            backup: None,
            missed: Mutex::new(Missed::of(&seen.hosts)),
            seen: Mutex::new(seen),
            turns: Mutex::default(),
        }
    }

    /// The same with a backup to restore.
    #[must_use]
    pub fn with_backup(mut self, backup: Option<Unlocked>) -> Self {
        self.backup = backup;
        self
    }

    /// Looks at everything again.
    pub async fn observe(&self) -> Observed {
        let seen = observe(&self.fleet, self.viewer().await.as_ref()).await;
        *self.seen.lock().await = seen.clone();
        seen
    }

    /// What the last look left in the dark.
    async fn sight(&self) -> Sight {
        Sight::of(self.desired(), &*self.seen.lock().await)
    }

    fn desired(&self) -> &Desired {
        self.fleet.desired()
    }

    fn spec(&self, node: &NodeName) -> Result<&DesiredHost, StepError> {
        self.desired()
            .hosts
            .get(node)
            .ok_or_else(|| StepError::new(format!("{node} is not in the inventory")))
    }

    async fn host(&self, node: &NodeName) -> Result<Arc<Host>, StepError> {
        Ok(self.fleet.host(self.spec(node)?).await?)
    }

    /// What a look asks with: an operator who only looks comes this far with `check-hashes` and `doctor`.
    async fn viewer(&self) -> Option<ClientTls> {
        self.vault.viewer().await.ok()?.tls().cloned()
    }

    /// What changes are made with.
    async fn tls(&self) -> Result<ClientTls, StepError> {
        Ok(self.vault.operator().await?)
    }

    async fn client(&self, spec: &DesiredHost) -> Result<EtcdClient, StepError> {
        Ok(self.fleet.client(spec, &self.tls().await?).await?)
    }

    /// The cluster as it is at this moment.
    async fn membership(&self) -> Result<Membership, StepError> {
        let seen = self.look(&Look::at_the_cluster()).await;
        match seen.cluster {
            crate::ops::model::Fact::Known(membership) => Ok(membership),
            crate::ops::model::Fact::Absent => Err(StepError::new("no cluster answers")),
            crate::ops::model::Fact::Unknown(why) => Err(StepError::new(why)),
        }
    }

    /// A client of a member, through its own host or, where that is not in the inventory, through one that is.
    async fn member(&self, membership: &Membership, member: &Member) -> Result<EtcdClient, StepError> {
        if let Some(spec) = host_of(self.desired(), member) {
            return self.client(spec).await;
        }
        let via = self.healthy_host(membership)?;
        Ok(self.fleet.stranger(member, via, &self.tls().await?).await?)
    }

    /// A client of the member that leads now; when that is none of ours, of a healthy one, which passes the request on.
    async fn leader(&self, membership: &Membership) -> Result<EtcdClient, StepError> {
        self.client(self.healthy_host(membership)?).await
    }

    /// The host of the leader, or else of any voter that takes part: one alarm is on every member's lips, and they all do
    /// their work.
    fn healthy_host(&self, membership: &Membership) -> Result<&DesiredHost, StepError> {
        let leader = membership.leader();
        membership
            .voters()
            .filter(|m| membership.takes_part(m.id))
            .filter_map(|m| Some((m.id, host_of(self.desired(), m)?)))
            .max_by_key(|(id, _)| Some(*id) == leader)
            .map(|(_, spec)| spec)
            .ok_or_else(|| StepError::new("no healthy member is a host of the inventory"))
    }
}

#[async_trait]
impl World for RealWorld {
    async fn look(&self, look: &Look) -> Observed {
        let mut before = self.seen.lock().await.clone();
        let due = self.missed.lock().await.due(&before.hosts, Instant::now());
        before.hosts.extend(back_again(&self.fleet, &due).await);
        let seen = look_again(&self.fleet, self.viewer().await.as_ref(), &before, look).await;
        *self.seen.lock().await = seen.clone();
        seen
    }

    /// A restart has: what it changed is taken back when the member does not come up.
    fn has_waited(&self, step: &Step) -> bool {
        matches!(step.action, Action::Restart { .. })
    }

    async fn perform(&self, step: &Step, reporter: &dyn Reporter) -> Result<String, StepError> {
        match (&step.action, &step.target) {
            (Action::CreateAuthority, _) => self.create_authority().await,
            (Action::RotateAuthority { turn }, _) => self.rotate_authority(*turn).await,
            (Action::Provision { change }, Target::Node(node)) => self.provision(step, node, change, reporter).await,
            (Action::ClearAborted | Action::SetAside | Action::MakeRoom, Target::Node(node)) => {
                self.set_aside(node, &step.action).await
            }
            (Action::Start, Target::Node(node)) => self.start(node).await,
            (Action::Restart { change, url, turn }, Target::Node(node)) => {
                self.restart(step, node, change, (url, turn.as_ref()), reporter).await
            }
            (Action::Rest { note, url }, Target::Node(node)) => {
                self.rest(step, node, note, url.as_ref(), reporter).await
            }
            (Action::EndRest { note }, Target::Node(node)) => self.end_rest(node, note).await,
            (Action::Withdraw { files, note }, Target::Node(node)) => self.withdraw(node, files, note.as_ref()).await,
            (Action::Retire, Target::Node(node)) => self.retire(node).await,
            (Action::Wipe, Target::Node(node)) => self.wipe(node).await,
            (Action::BeginDowngrade { to }, _) => self.begin_downgrade(*to).await,
            (Action::CallOffDowngrade { .. }, _) => self.call_off_downgrade().await,
            (Action::WriteOneKey, _) => self.write_one_key().await,
            (Action::OpenTheWayUp { .. }, _) => self.open_the_way_up(step, reporter).await,
            (Action::AddLearner { url }, _) => self.add_learner(url).await,
            (Action::Promote { url }, _) => self.promote(step, url, reporter).await,
            (Action::HandOver { url }, _) => self.hand_over(url).await,
            (Action::ChangeUrls { id, urls, .. }, _) => self.change_urls(*id, urls).await,
            (Action::RemoveMember { id, .. }, _) => self.remove_member(*id).await,
            (Action::NoteRestore { note }, Target::Node(node)) => self.note_restore(step, node, note, reporter).await,
            (Action::StageSnapshot { snapshot, at, tool }, Target::Node(node)) => {
                self.stage_snapshot(step, node, snapshot, at, *tool, reporter).await
            }
            (Action::RestoreData(data), Target::Node(node)) => self.restore_data(node, data).await,
            (Action::CompareMembers { at_least }, _) => self.compare_members(*at_least).await,
            (Action::ForgetRestore { at, note }, Target::Node(node)) => self.forget_restore(node, at, note).await,
            (Action::Rescue(rescue), Target::Node(node)) => self.rescue(step, node, rescue, reporter).await,
            (Action::Defragment { url }, Target::Node(node)) => self.defragment(node, url).await,
            (Action::Compact { revision }, _) => self.compact(*revision).await,
            (Action::Disarm { kind }, _) => self.disarm(*kind).await,
            (Action::Snapshot { reason }, _) => self.snapshot(step, reason, reporter).await,
            (Action::Authorize { changes }, _) => self.authorize(changes).await,
            (Action::LookAgain { nodes, cluster_id }, _) => self.inspect(step, nodes, *cluster_id, reporter).await,
            (action, target) => Err(StepError::new(format!("{action:?} cannot be done on {target:?}"))),
        }
    }

    async fn hopeless(&self, step: &Step) -> Option<StepError> {
        let concerned: Vec<&NodeName> = match (&step.target, &step.action) {
            (_, Action::Promote { url }) => self
                .desired()
                .hosts
                .values()
                .filter(|h| h.peer_url() == *url)
                .map(|h| &h.name)
                .collect(),
            (_, Action::LookAgain { nodes, .. }) => nodes.iter().collect(),
            (Target::Node(node), _) => vec![node],
            _ => Vec::new(),
        };
        for node in concerned {
            if let Some(error) = self.failed_unit(node).await {
                return Some(error);
            }
        }
        match (&step.target, &step.action) {
            (Target::Node(node), Action::Start | Action::Restart { .. }) => self.out_of_reach(node).await,
            _ => None,
        }
    }
}

impl RealWorld {
    /// That the connection to a host was lost and cannot be had again. Its lock went with it, so the run ends after this
    /// step in any case, and whatever the member still does, the next run sees it.
    async fn out_of_reach(&self, node: &NodeName) -> Option<StepError> {
        let spec = self.spec(node).ok()?;
        let asked = self
            .fleet
            .ask(spec, |host| Box::pin(async move { host.service().await }));
        match asked.await {
            Err(error @ (HostError::Connect { .. } | HostError::Lost { .. })) => Some(
                StepError::new(format!("lost the connection to the host during this step: {error}"))
                    .hint("run the same command again when the host is back"),
            ),
            _ => None,
        }
    }

    /// The journal and the likely cause, when the unit of a host has failed.
    async fn failed_unit(&self, node: &NodeName) -> Option<StepError> {
        let host = self.host(node).await.ok()?;
        let service = host.service().await.ok()?;
        // etcd that ends is started again by its manager a few seconds later: that counts as failed, too.
        let failed =
            service.state == ServiceState::Failed || (service.state == ServiceState::Starting && service.restarts > 0);
        if !failed {
            return None;
        }
        let exit = service.last_exit.as_deref().unwrap_or("it exited");
        Some(
            self.with_journal(
                node,
                &host,
                StepError::new(format!("etcd on {node} does not stay up: {exit}")),
            )
            .await,
        )
    }

    /// Adds the last lines of the unit's journal, and the likely cause in plain words.
    async fn with_journal(&self, node: &NodeName, host: &Host, mut error: StepError) -> StepError {
        error.journal = host.journal(100).await.unwrap_or_default();
        if let Some(cause) = likely_cause(&error.journal) {
            error.message = format!("{}: {}", error.message, cause.what);
            error.hint = Some(
                self.sight()
                    .await
                    .hint(cause.hint, cause.lost.map(|loss| LastResort::of(loss, node)).as_ref()),
            );
        }
        error
    }
}

impl From<HostError> for StepError {
    fn from(error: HostError) -> Self {
        let step = StepError::new(error.to_string());
        match error.hint() {
            Some(hint) => step.hint(hint),
            None => step,
        }
    }
}

impl From<EtcdError> for StepError {
    fn from(error: EtcdError) -> Self {
        StepError::new(error.to_string())
    }
}
