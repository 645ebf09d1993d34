//! The [`Surroundings`] of a change in a simulated world: an operator who reads the plan for as long as they like, a world
//! that goes on meanwhile, and a lock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::chaos::Fault;
use super::drive::{Lab, Outcome, State};
use crate::host::LockHolder;
use crate::ops::exec;
use crate::ops::flow::{self, Ended, Stale, Surroundings};
use crate::ops::model::{Fact, Intent, Observed, Policy};
use crate::ops::plan::{Plan, plan};
use crate::ops::recover::RecoverOrder;
use crate::ops::safety::restore::note_of;
use crate::ops::safety::{Blocked, Rule};
use crate::report::{Event, Recorder, Reporter};

/// One of those who run the program on a world.
#[derive(Debug, Clone, Default)]
pub struct Operator {
    /// How long they read a plan before they answer; `None` for ever.
    pub reads: Option<Duration>,
    /// They answer no.
    pub declines: bool,
    /// What happens to the world while they read the first plan.
    pub meanwhile: Vec<Fault>,
    /// The plan that they have saved before.
    pub saved: Option<Plan>,
}

impl Operator {
    /// Answers yes at once.
    pub fn quick() -> Self {
        Self {
            reads: Some(Duration::ZERO),
            ..Self::default()
        }
    }
}

/// An operator by their number, as the others see them.
fn holder(number: usize) -> LockHolder {
    LockHolder {
        id: number.to_string(),
        who: format!("operator {number}"),
        pid: 1,
        since: "2026-01-01T00:00:00Z".into(),
        doing: "quorate up".into(),
        alive: true,
    }
}

/// One operator's run.
pub(super) struct Run<'a> {
    lab: &'a Lab,
    number: usize,
    policy: Policy,
    pub operator: Operator,
    reporter: &'a Recorder,
    /// The plans that were done.
    pub plans: Mutex<Vec<Plan>>,
    /// Digests of those that were agreed to.
    agreed: Mutex<Vec<String>>,
}

impl<'a> Run<'a> {
    pub fn new(lab: &'a Lab, number: usize, policy: Policy, operator: Operator, reporter: &'a Recorder) -> Self {
        Self {
            lab,
            number,
            policy,
            operator,
            reporter,
            plans: Mutex::default(),
            agreed: Mutex::default(),
        }
    }

    /// What they ask for; a recovery's first half is followed by a restore of what it saved, as in `cli/recover.rs`.
    pub async fn through(&self, intent: &Intent) -> Outcome {
        let outcome = self.once(intent).await;
        match (&outcome, self.after_rescue()) {
            (Outcome::Done, Some(restore)) => self.once(&restore).await,
            _ => outcome,
        }
    }

    async fn once(&self, intent: &Intent) -> Outcome {
        let ended = flow::bring_about(self, intent, self.operator.saved.as_ref()).await;
        match ended {
            _ if self.lab.now().crashed => Outcome::Crashed,
            Ok(_) => Outcome::Done,
            Err(Ended::No(outcome) | Ended::BeforeNextPart(outcome)) => outcome,
            Err(Ended::Busy(_)) => Outcome::Locked,
            Err(Ended::Stale(why)) => Outcome::Stale(why),
            Err(Ended::Endless(last)) => Outcome::Endless(last),
            Err(Ended::Contradicts(finding)) => {
                self.lab.now().oracle.violations.push(format!("lint: {finding}"));
                Outcome::Contradicts
            }
        }
    }

    /// What an intent comes to when it is given: as in `cli/recover.rs`, which reads the logs, or goes on with a restore
    /// that was begun.
    fn given(&self, intent: &Intent, seen: &Observed) -> Result<Intent, Blocked> {
        let Intent::Recover(order) = intent else {
            return Ok(intent.clone());
        };
        let (state, desired) = (self.lab.now(), &self.lab.desired);
        let Some(note) = note_of(desired, &seen.hosts)? else {
            let (logs, order) = (state.world.logs(desired), (**order).clone());
            return Ok(Intent::Recover(Box::new(RecoverOrder { logs, ..order })));
        };
        let begun = state.world.rescued.iter().find(|saved| saved.sha256 == note.sha256);
        let saved =
            begun.ok_or_else(|| Blocked::new(Rule::RestoreUnderWay, "another restore was begun", "finish it"))?;
        Ok(Intent::Restore(Box::new(saved.order(desired, order.without.clone()))))
    }

    fn after_rescue(&self) -> Option<Intent> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let Intent::Recover(order) = &plans.last()?.header.intent else {
            return None;
        };
        let state = self.lab.now();
        let saved = state.world.rescued.last()?;
        Some(Intent::Restore(Box::new(
            saved.order(&self.lab.desired, order.without.clone()),
        )))
    }

    fn first_plan(&self) -> bool {
        self.agreed.lock().is_ok_and(|agreed| agreed.is_empty())
    }
}

#[async_trait]
impl Surroundings for Run<'_> {
    type No = Outcome;
    type Lock = ();

    async fn look(&self, _: &Intent) -> Result<Observed, Outcome> {
        let mut state = self.lab.now();
        let mut seen = state.world.observe(&self.lab.desired);
        state.seen = Some(seen.clone());
        if let Some(by) = state.lock.filter(|by| *by != self.number) {
            let hosts = seen.hosts.values_mut();
            hosts
                .filter_map(|facts| match facts {
                    Fact::Known(facts) => Some(facts),
                    _ => None,
                })
                .for_each(|facts| facts.lock = Some(holder(by)));
        }
        Ok(seen)
    }

    fn plan(&self, intent: &Intent, seen: &Observed) -> Result<Plan, Outcome> {
        let intent = self
            .given(intent, seen)
            .map_err(|blocked| Outcome::Blocked(vec![blocked]))?;
        let supplies = self.lab.now().world.supplies();
        plan(&intent, &self.lab.desired, seen, self.policy, &supplies).map_err(Outcome::Blocked)
    }

    async fn before(&self, _: &mut Plan, _: &Observed) -> Result<(), Outcome> {
        Ok(())
    }

    async fn agree(&self, plan: &Plan) -> Result<(), Outcome> {
        match self.operator.reads {
            None => std::future::pending().await,
            Some(reads) if reads.is_zero() => {}
            Some(reads) => tokio::time::sleep(reads).await,
        }
        if self.operator.declines {
            return Err(Outcome::Declined);
        }
        if self.first_plan() {
            let mut state = self.lab.now();
            self.operator
                .meanwhile
                .iter()
                .for_each(|fault| fault.strike(&mut state.world));
        }
        self.agreed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(plan.steps_digest.clone());
        Ok(())
    }

    fn changes(&self) -> bool {
        true
    }

    async fn lock(&self, _: &Intent) -> Result<(), Outcome> {
        // Who was killed holds nothing here, so there is nobody to wait for.
        if self.lab.now().lock.is_some() {
            return Err(Outcome::Locked);
        }
        self.lab.now().lock = Some(self.number);
        Ok(())
    }

    async fn look_again(&self, intent: &Intent) -> Result<Observed, Outcome> {
        self.look(intent).await
    }

    fn changed_meanwhile(&self) {
        self.reporter.event(&Event::Note {
            text: Stale::WhileReviewed.to_string(),
        });
    }

    fn begin(&self) -> Result<(), Outcome> {
        Ok(())
    }

    async fn apply(&self, plan: &Plan, _: Observed) -> Result<(), Outcome> {
        {
            let done = self.plans.lock().unwrap_or_else(PoisonError::into_inner).len();
            let agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
            let state = &mut *self.lab.now();
            if state.lock != Some(self.number) {
                state
                    .oracle
                    .violations
                    .push("changes something without the lock".into());
            }
            if done == 0 && !agreed.contains(&plan.steps_digest) {
                state.oracle.violations.push("does what nobody agreed to".into());
            }
        }
        let ended = exec::run(plan, self.lab, self.reporter, &CancellationToken::new()).await;
        self.plans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(plan.clone());
        ended.map_err(Outcome::Stopped)
    }

    fn nothing_to_do(&self, intent: &Intent, _: &Plan, _: &Observed) -> Result<(), Outcome> {
        if matches!(intent, Intent::Converge { limit, .. } if limit.is_empty()) {
            let State { world, oracle, .. } = &mut *self.lab.now();
            oracle.at_rest(world);
        }
        Ok(())
    }

    fn explain(&self, (): &(), ended: Outcome) -> Outcome {
        ended
    }

    async fn unlock(&self, (): ()) {
        self.lab.now().lock = None;
    }
}
