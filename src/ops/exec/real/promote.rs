//! From a learner to a voter: watched until it has caught up, taken out again when it never does.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RealWorld;
use super::membership::{Hitch, POLL, SETTLE_LIMIT};
use crate::etcd::EtcdError;
use crate::inventory::{MemberId, PeerUrl};
use crate::ops::check::{Depth, Look};
use crate::ops::exec::{StepError, World};
use crate::ops::model::{Fact, Membership, label};
use crate::ops::plan::Step;
use crate::ops::safety::Blocked;
use crate::ops::safety::membership::{PROMOTION_LAG, may_promote};
use crate::ops::safety::streams::connected;
use crate::report::{Event, Reporter};

/// A learner that has come no closer for this long, and whose data has not grown either, will not catch up.
const STALLED: Duration = Duration::from_secs(120);

/// A small database has caught up within this time, and is looked at often until then.
const SOON: Duration = Duration::from_secs(3);
const EAGER: Duration = Duration::from_millis(50);

/// How often its data is looked at meanwhile.
const SAMPLED: Duration = Duration::from_secs(25);

impl RealWorld {
    /// Watches the learner come closer and promotes it; takes it out again when it never does. One that has caught up and
    /// may not be promoted, because another member is unwell, stays: it costs nothing, and the next run goes on with it.
    pub(super) async fn promote(
        &self,
        step: &Step,
        url: &PeerUrl,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let begun = Instant::now();
        let mut progress = Progress::begin();
        let mut held_since: Option<Instant> = None;
        loop {
            let membership = match self.membership().await {
                Ok(membership) => membership,
                // An election; the watch on progress ends the waiting when it does not pass.
                Err(_) if progress.at.elapsed() < SETTLE_LIMIT => {
                    sleep(POLL).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(learner) = membership.at(url) else {
                return Err(StepError::new("the learner is no longer on the member list"));
            };
            if !learner.learner {
                return Ok("it is a voter".into());
            }
            let lag = membership.lag(learner.id);
            progress.saw(lag);
            let refusal = match self.may_vote(&membership, learner.id).await {
                Ok(()) if self.ask_to_promote(&membership, learner.id).await? => continue,
                Ok(()) => None,
                Err(refusal) => Some(refusal),
            };
            let held = refusal.filter(|_| lag.is_some_and(|lag| lag <= PROMOTION_LAG));
            held_since = held.as_ref().map(|_| held_since.unwrap_or_else(Instant::now));
            if let (Some(refusal), Some(since)) = (&held, held_since) {
                progress.at = Instant::now();
                if since.elapsed() > SETTLE_LIMIT {
                    let why = format!(
                        "it has caught up, but is not promoted while {}; it stays a learner, which is harmless",
                        refusal.reason
                    );
                    return Err(StepError::new(why).hint(refusal.hint.clone()));
                }
            }
            if let Some(error) = self.hopeless(step).await {
                return Err(self.take_out(learner.id, error).await);
            }
            if progress.is_due() {
                progress.sample(self.data_bytes(url).await);
            }
            if progress.at.elapsed() > STALLED {
                let error = stalled(&label(self.desired(), learner), lag);
                return Err(self.take_out(learner.id, error).await);
            }
            reporter.event(&Event::StepWaiting {
                step: step.id.clone(),
                node: None,
                on: match (held, lag) {
                    (Some(refusal), _) => refusal.reason,
                    (None, Some(lag)) if lag > PROMOTION_LAG => format!("{lag} entries behind the leader"),
                    (None, Some(_)) => "the leader to report it in sync".into(),
                    (None, None) => "its first answer".into(),
                },
            });
            sleep(if begun.elapsed() < SOON { EAGER } else { POLL }).await;
        }
    }

    /// Whether it has caught up, and is let in by the others: a voter that they refuse would count, and carry nothing.
    async fn may_vote(&self, membership: &Membership, learner: MemberId) -> Result<(), Blocked> {
        may_promote(membership, learner)?;
        let look = Look {
            streams: true,
            ..Look::at_the_cluster()
        };
        match self.look(&look).await.cluster {
            Fact::Known(membership) => connected(&membership, learner),
            // An election: the next look tells.
            Fact::Absent | Fact::Unknown(_) => Ok(()),
        }
    }

    /// True when the request was taken; what it has done is seen on the list.
    async fn ask_to_promote(&self, membership: &Membership, learner: MemberId) -> Result<bool, StepError> {
        match self.leader(membership).await?.member_promote(learner).await {
            Ok(_) => Ok(true),
            Err(EtcdError::LearnerNotReady) => Ok(false),
            Err(error) => match Hitch::from(error) {
                Hitch::Passing(_) => Ok(false),
                Hitch::Final(error) => Err(error),
            },
        }
    }

    /// What the learner's data takes on its disk. While it receives a snapshot that grows and its raft index does not.
    async fn data_bytes(&self, url: &PeerUrl) -> Option<u64> {
        let node = self
            .desired()
            .hosts
            .values()
            .find(|h| h.peer_url() == *url)?
            .name
            .clone();
        let look = Look {
            streams: false,
            hosts: [(node.clone(), Depth::Data)].into(),
            ..Look::default()
        };
        let seen = self.look(&look).await;
        seen.hosts
            .get(&node)
            .and_then(Fact::known)
            .map(|facts| facts.data.bytes)
    }

    /// A learner has no vote: taking it out again costs the cluster nothing.
    async fn take_out(&self, id: MemberId, error: StepError) -> StepError {
        let outcome = match self.remove_member(id).await {
            Ok(_) => "it was removed from the cluster again".to_owned(),
            Err(failure) => format!("removing it again failed: {failure}"),
        };
        StepError {
            message: format!("{}; {outcome}", error.message),
            ..error
        }
    }
}

fn stalled(name: &str, lag: Option<u64>) -> StepError {
    let seen = lag.map_or("it does not answer".to_owned(), |lag| {
        format!("it is {lag} entries behind")
    });
    let why = format!("the learner has made no progress for {} s: {seen}", STALLED.as_secs());
    StepError::new(why).hint(format!(
        "check its network and disk, and `quorate logs {name}`; then run the same command again: it starts over and moves aside what this attempt left \
         there"
    ))
}

/// Whether a learner still comes closer.
struct Progress {
    /// When it last did.
    at: Instant,
    best: u64,
    /// When its data was last looked at, and what it took.
    sample: Option<(Instant, u64)>,
}

impl Progress {
    fn begin() -> Self {
        Self {
            at: Instant::now(),
            best: u64::MAX,
            sample: None,
        }
    }

    fn saw(&mut self, lag: Option<u64>) {
        if let Some(lag) = lag.filter(|lag| *lag < self.best) {
            self.best = lag;
            self.at = Instant::now();
        }
    }

    /// Whether it is time to look how large its data is.
    fn is_due(&self) -> bool {
        let last = self.sample.map_or(self.at, |(at, _)| at.max(self.at));
        last.elapsed() > SAMPLED
    }

    fn sample(&mut self, bytes: Option<u64>) {
        let before = self.sample.map(|(_, bytes)| bytes);
        let bytes = bytes.or(before).unwrap_or(0);
        self.sample = Some((Instant::now(), bytes));
        if before.is_some_and(|before| bytes > before) {
            self.at = Instant::now();
        }
    }
}
