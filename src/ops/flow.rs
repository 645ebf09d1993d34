//! Look, plan, show, agree, lock, look again, do, and from the top until nothing is left: the one way on which anything is
//! changed. The command line goes it with real hosts and a person at a terminal, the simulator with its world; what those
//! two differ in stands behind [`Surroundings`].

use async_trait::async_trait;

use super::model::{Intent, Observed};
use super::plan::lint::{LintFinding, lint};
use super::plan::{Plan, Risk};
use crate::host::{HostFacts, LockHolder};
use crate::inventory::NodeName;

/// A cold start, a first bootstrap or a part of a CA rotation is followed by what can only be seen then; more rounds than
/// this mean that something undoes what is done.
const ROUNDS: usize = 6;

/// Those around a change: who looks, who agrees, what the lock is, what the plan is done to.
#[async_trait]
pub trait Surroundings: Sync {
    /// Why they end it.
    type No: Send;
    /// The lock, while it is held.
    type Lock: Send;

    /// Looks at everything that the intent needs.
    async fn look(&self, intent: &Intent) -> Result<Observed, Self::No>;

    /// Makes the plan for what was seen.
    fn plan(&self, intent: &Intent, seen: &Observed) -> Result<Plan, Self::No>;

    /// What has to be known before a plan is agreed to, and what only a run that does nothing wants of it.
    async fn before(&self, plan: &mut Plan, seen: &Observed) -> Result<(), Self::No>;

    /// Shows the plan; whether it may be done.
    async fn agree(&self, plan: &Plan) -> Result<(), Self::No>;

    /// Whether it comes to a change; else a plan is only wanted to be seen, and nobody's lock is in the way of that.
    fn changes(&self) -> bool;

    /// Takes the lock, for as long as what is returned lives.
    async fn lock(&self, intent: &Intent) -> Result<Self::Lock, Self::No>;

    /// Looks again, now that nobody else changes anything.
    async fn look_again(&self, intent: &Intent) -> Result<Observed, Self::No>;

    /// What was agreed to is not what is needed any more; the new plan follows.
    fn changed_meanwhile(&self);

    /// From here on it is done.
    fn begin(&self) -> Result<(), Self::No>;

    /// Does it.
    async fn apply(&self, plan: &Plan, seen: Observed) -> Result<(), Self::No>;

    /// There is nothing to do: whether all is well, too.
    fn nothing_to_do(&self, intent: &Intent, plan: &Plan, seen: &Observed) -> Result<(), Self::No>;

    /// How a run really ended that failed while it held the lock: it may have lost it.
    fn explain(&self, lock: &Self::Lock, no: Self::No) -> Self::No;

    /// Gives the lock back.
    async fn unlock(&self, lock: Self::Lock);
}

/// Why a run did not come to its end.
#[derive(Debug)]
pub enum Ended<No> {
    /// As those around it said.
    No(No),
    /// There is no plan, and somebody else is in the middle of a change: what is seen is theirs.
    Busy(Vec<(NodeName, LockHolder)>),
    /// A part is done, and the plan for the next one was refused.
    BeforeNextPart(No),
    /// The saved plan is not what would be done now. Nothing was changed.
    Stale(Stale),
    /// The plan is wrong about what was seen: the planner's fault. Nothing more was changed.
    Contradicts(LintFinding),
    /// Something undoes what is done.
    Endless(Box<Plan>),
}

impl<No> From<No> for Ended<No> {
    fn from(no: No) -> Self {
        Self::No(no)
    }
}

/// What has become different since a plan was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Stale {
    #[error("it was created for another cluster")]
    AnotherCluster,
    #[error("the inventory has changed since")]
    Inventory,
    #[error("the cluster's members have changed since")]
    Members,
    #[error("the hosts have changed since")]
    Hosts,
    #[error("the hosts changed while the plan was being reviewed")]
    WhileReviewed,
}

/// Brings an intent about; returns the number of steps that changed something.
///
/// # Errors
/// See [`Ended`]. What was begun is finished by the same command.
pub async fn bring_about<S: Surroundings>(
    around: &S,
    intent: &Intent,
    saved: Option<&Plan>,
) -> Result<usize, Ended<S::No>> {
    let mut held = None;
    let ended = rounds(around, intent, saved, &mut held).await;
    let Some(lock) = held else { return ended };
    let ended = match ended {
        Err(Ended::No(no)) => Err(Ended::No(around.explain(&lock, no))),
        ended => ended,
    };
    around.unlock(lock).await;
    ended
}

/// The plan for what was seen, read once more by somebody who does not know how it was made.
///
/// # Errors
/// Why there is none; that it contradicts what was seen.
pub fn draft<S: Surroundings>(around: &S, intent: &Intent, seen: &Observed) -> Result<Plan, Ended<S::No>> {
    let plan = around.plan(intent, seen)?;
    match lint(&plan, seen).into_iter().find(|finding| finding.fatal) {
        Some(finding) => Err(Ended::Contradicts(finding)),
        None => Ok(plan),
    }
}

async fn rounds<S: Surroundings>(
    around: &S,
    intent: &Intent,
    saved: Option<&Plan>,
    held: &mut Option<S::Lock>,
) -> Result<usize, Ended<S::No>> {
    let (mut intent, mut changed, mut round) = (intent.clone(), 0, 1);
    loop {
        let mut seen = around.look(&intent).await?;
        let mut plan = draft(around, &intent, &seen).map_err(|ended| match (ended, round, at_work(&seen)) {
            (Ended::No(no), 2.., _) => Ended::BeforeNextPart(no),
            (Ended::No(_), 1, others) if around.changes() && !others.is_empty() => Ended::Busy(others),
            (ended, ..) => ended,
        })?;
        if let (Some(saved), 1) = (saved, round) {
            not_stale(saved, &plan).map_err(Ended::Stale)?;
        }
        if plan.is_empty() {
            around.nothing_to_do(&intent, &plan, &seen)?;
            return Ok(changed);
        }
        around.before(&mut plan, &seen).await?;
        if held.is_none() {
            around.agree(&plan).await?;
            *held = Some(around.lock(&intent).await?);
            // Somebody else may have held the lock until now, or a member came back by itself: what was agreed to must
            // still be what is needed.
            seen = around.look_again(&intent).await?;
            let mut now = draft(around, &intent, &seen)?;
            if now.steps_digest != plan.steps_digest {
                if saved.is_some() {
                    return Err(Ended::Stale(Stale::WhileReviewed));
                }
                around.changed_meanwhile();
                if now.is_empty() {
                    around.nothing_to_do(&intent, &now, &seen)?;
                    return Ok(changed);
                }
                around.before(&mut now, &seen).await?;
                around.agree(&now).await?;
            }
            plan = now;
        }
        around.begin()?;
        around.apply(&plan, seen).await?;
        changed += plan.steps().filter(|step| step.risk > Risk::ReadOnly).count();
        match plan.again() {
            None => return Ok(changed),
            Some(_) if round == ROUNDS => return Err(Ended::Endless(Box::new(plan))),
            Some(next) => (intent, round) = (next, round + 1),
        }
    }
}

/// Who holds the lock on which hosts, as a look has seen it; nobody whose process is gone.
fn at_work(seen: &Observed) -> Vec<(NodeName, LockHolder)> {
    let holder = |facts: &HostFacts| facts.lock.clone().filter(|holder| holder.alive);
    let hosts = seen.hosts.iter();
    hosts
        .filter_map(|(node, facts)| Some((node.clone(), facts.known().and_then(holder)?)))
        .collect()
}

/// A saved plan is done only if a plan made now would do the same.
fn not_stale(saved: &Plan, now: &Plan) -> Result<(), Stale> {
    let (then, header) = (&saved.header, &now.header);
    match () {
        () if then.cluster != header.cluster => Err(Stale::AnotherCluster),
        () if then.desired_digest != header.desired_digest => Err(Stale::Inventory),
        () if then.membership != header.membership || then.cluster_id != header.cluster_id => Err(Stale::Members),
        () if saved.steps_digest != now.steps_digest => Err(Stale::Hosts),
        () => Ok(()),
    }
}
