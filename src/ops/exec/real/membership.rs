//! Changes to the member list, always asked of the leader.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RealWorld;
use crate::etcd::EtcdError;
use crate::inventory::{MemberId, PeerUrl};
use crate::ops::exec::StepError;
use crate::ops::model::{Membership, label};
use crate::ops::plan::Step;
use crate::ops::safety::membership::{PROMOTION_LAG, may_promote};
use crate::report::{Event, Reporter};

/// An election, or a request that was lost in one, has passed within this time; so has etcd's own rule that every member
/// must have been connected for 5 s before one is added.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// A learner that has come no closer for this long will not catch up.
const STALLED: Duration = Duration::from_secs(120);

const POLL: Duration = Duration::from_millis(200);

impl RealWorld {
    pub(super) async fn add_learner(&self, url: &PeerUrl) -> Result<String, StepError> {
        let settling = Settling::begin();
        loop {
            match self.add_once(url).await {
                Ok(saw) => return Ok(saw),
                Err(hitch) => settling.pause(hitch).await?,
            }
        }
    }

    async fn add_once(&self, url: &PeerUrl) -> Result<String, Hitch> {
        let membership = self.membership().await?;
        if membership.at(url).is_some() {
            return Ok("on the member list".into());
        }
        let leader = self.leader(&membership).await?;
        match leader.member_add(std::slice::from_ref(url), true).await {
            Ok(added) => Ok(format!("member {}", added.value.id)),
            // Also while not every member has been connected for 5 s (`HealthInterval`, server.go).
            Err(error @ EtcdError::Refused { .. }) => Err(Hitch::Passing(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Watches the learner come closer and promotes it; takes it out again when it never does.
    pub(super) async fn promote(
        &self,
        step: &Step,
        url: &PeerUrl,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let mut best = u64::MAX;
        let mut progress_at = Instant::now();
        loop {
            let membership = match self.membership().await {
                Ok(membership) => membership,
                // An election; the watch on progress ends the waiting when it does not pass.
                Err(_) if progress_at.elapsed() < SETTLE_LIMIT => {
                    sleep(POLL).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(learner) = membership.at(url) else {
                return Err(StepError::new("the learner is no longer on the member list"));
            };
            if !learner.learner {
                return Ok("it has a vote".into());
            }
            let lag = membership.lag(learner.id);
            if lag.is_some_and(|lag| lag < best) {
                best = lag.unwrap_or(best);
                progress_at = Instant::now();
            }
            if may_promote(&membership, learner.id).is_ok() {
                match self.leader(&membership).await?.member_promote(learner.id).await {
                    Ok(_) => continue,
                    Err(EtcdError::LearnerNotReady) => {}
                    Err(error) => match Hitch::from(error) {
                        Hitch::Passing(_) => {}
                        Hitch::Final(error) => return Err(error),
                    },
                }
            }
            if let Some(error) = crate::ops::exec::World::hopeless(self, step).await {
                return Err(self.take_out(learner.id, error).await);
            }
            if progress_at.elapsed() > STALLED {
                let seen = lag.map_or("it does not answer".to_owned(), |lag| {
                    format!("it is {lag} entries behind")
                });
                let why = format!("the learner has come no closer for {} s: {seen}", STALLED.as_secs());
                return Err(self.take_out(learner.id, StepError::new(why)).await);
            }
            reporter.event(&Event::StepWaiting {
                step: step.id.clone(),
                node: None,
                on: match lag {
                    Some(lag) if lag > PROMOTION_LAG => format!("{lag} entries behind the leader"),
                    Some(_) => "the leader to find it in sync".into(),
                    None => "its first answer".into(),
                },
            });
            sleep(POLL).await;
        }
    }

    /// A learner has no vote: taking it out again costs the cluster nothing.
    async fn take_out(&self, id: MemberId, error: StepError) -> StepError {
        let outcome = match self.remove_member(id).await {
            Ok(_) => "it was taken out of the cluster again".to_owned(),
            Err(failure) => format!("taking it out again failed: {failure}"),
        };
        StepError {
            message: format!("{}; {outcome}", error.message),
            ..error
        }
    }

    pub(super) async fn remove_member(&self, id: MemberId) -> Result<String, StepError> {
        let settling = Settling::begin();
        loop {
            match self.remove_once(id).await {
                Ok(saw) => return Ok(saw),
                Err(hitch) => settling.pause(hitch).await?,
            }
        }
    }

    async fn remove_once(&self, id: MemberId) -> Result<String, Hitch> {
        let membership = self.membership().await?;
        if !membership.members.iter().any(|m| m.id == id) {
            return Ok("it is off the list".into());
        }
        match self.leader(&membership).await?.member_remove(id).await {
            Ok(_) | Err(EtcdError::NoSuchMember(_)) => Ok("it is off the list".into()),
            // As for an addition: a member has been back for less than 5 s.
            Err(error @ EtcdError::Refused { .. }) => Err(Hitch::Passing(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands leadership to the healthy voter that is furthest ahead, when this member leads.
    pub(super) async fn hand_over(&self, url: &PeerUrl) -> Result<String, StepError> {
        let Ok(membership) = self.membership().await else {
            // Without a quorum nobody leads.
            return Ok("nobody leads".into());
        };
        let Some(from) = membership.at(url).filter(|m| membership.leader() == Some(m.id)) else {
            return Ok("it does not lead".into());
        };
        let Some(heir) = heir(&membership, from.id) else {
            return Ok("there is nobody to hand over to".into());
        };
        self.member(&membership, from).await?.move_leader(heir).await?;
        let name = membership
            .members
            .iter()
            .find(|m| m.id == heir)
            .map_or(heir.to_string(), |m| label(self.desired(), m));
        Ok(format!("{name} leads now"))
    }
}

/// What stood in the way of a change of the member list.
enum Hitch {
    /// Looking again and asking again may help; the list tells whether the last request was done after all.
    Passing(StepError),
    /// It will not.
    Final(StepError),
}

impl From<EtcdError> for Hitch {
    fn from(error: EtcdError) -> Self {
        match error {
            EtcdError::NotLeader
            | EtcdError::Unavailable { .. }
            | EtcdError::Silent { .. }
            | EtcdError::Unreachable { .. } => Hitch::Passing(error.into()),
            _ => Hitch::Final(error.into()),
        }
    }
}

/// From looking at the cluster: no quorum or no leader at this moment.
impl From<StepError> for Hitch {
    fn from(error: StepError) -> Self {
        Hitch::Passing(error)
    }
}

/// The time that a change of the member list may take to go through.
struct Settling(Instant);

impl Settling {
    fn begin() -> Self {
        Self(Instant::now())
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The hitch itself, when it is final or the time is up.
    async fn pause(&self, hitch: Hitch) -> Result<(), StepError> {
        match hitch {
            Hitch::Passing(_) if self.0.elapsed() < SETTLE_LIMIT => {
                sleep(POLL).await;
                Ok(())
            }
            Hitch::Passing(error) | Hitch::Final(error) => Err(error),
        }
    }
}

/// The healthy voter that has applied most: etcd hangs for long when asked to hand over to one that is down.
fn heir(membership: &Membership, from: MemberId) -> Option<MemberId> {
    membership
        .voters()
        .filter(|m| m.id != from && membership.healthy(m.id))
        .max_by_key(|m| {
            (
                membership.status_of(m.id).map(|s| s.raft_applied),
                std::cmp::Reverse(m.id),
            )
        })
        .map(|m| m.id)
}
