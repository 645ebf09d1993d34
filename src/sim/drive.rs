//! The world as the executor's [`exec::World`], with crashes and faults between strokes, and runs of one operator or several
//! on it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::Instant;

use super::chaos::Fault;
use super::host::Link;
use super::operator::{Operator, Run};
use super::oracle::{Consent, Oracle};
use super::world::World;
use crate::inventory::{Desired, NodeName};
use crate::ops::check::Look;
use crate::ops::exec::{self, RunError, StepError};
use crate::ops::flow::Stale;
use crate::ops::model::{Fact, Intent, Observed, Policy};
use crate::ops::plan::{Action, Plan, Step, Target};
use crate::ops::safety::Blocked;
use crate::report::{Recorder, Reporter};

/// A world under a run of quorate.
pub struct Lab {
    pub desired: Desired,
    begun: Instant,
    state: Mutex<State>,
}

/// What changes.
pub struct State {
    pub world: World,
    pub oracle: Oracle,
    pub(super) seen: Option<Observed>,
    /// Where `begun` was on the world's clock.
    offset: u64,
    /// Strokes done so far.
    pub strokes: u64,
    /// After this many strokes the program is killed.
    crash_after: Option<u64>,
    pub(super) crashed: bool,
    /// What happens to the world right before a stroke.
    faults: Vec<(u64, Fault)>,
    /// Does everything twice.
    pub twice: bool,
    /// Who holds the lock, by their number.
    pub(super) lock: Option<usize>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// There was nothing to do any more, or the one plan of this intent was done.
    Done,
    /// Refused before anything was touched (in this round).
    Blocked(Vec<Blocked>),
    /// Stopped safely in the middle.
    Stopped(RunError),
    /// The program was killed.
    Crashed,
    /// It never came to an end.
    Endless(Box<Plan>),
    /// The operator said no.
    Declined,
    /// Somebody else held the lock.
    Locked,
    /// The saved plan is not what would be done.
    Stale(Stale),
    /// The independent reader says that the plan is wrong.
    Contradicts,
}

/// What a run is disturbed by.
#[derive(Debug, Clone, Default)]
pub struct Trouble {
    pub crash_after: Option<u64>,
    pub faults: Vec<(u64, Fault)>,
    /// What happens while the plan is being read.
    pub on_screen: Vec<Fault>,
    pub twice: bool,
}

/// What a run leaves behind.
pub struct Aftermath {
    pub outcome: Outcome,
    pub world: World,
    pub violations: Vec<String>,
    pub strokes: u64,
    /// The plans of all rounds.
    pub plans: Vec<Plan>,
    /// Everything that was reported.
    pub reporter: Recorder,
}

/// Runs an intent on a world until it has ended.
pub fn bring_about(world: World, desired: &Desired, intent: &Intent, policy: Policy, trouble: Trouble) -> Aftermath {
    on_paused_clock(one_run(world, desired, intent, policy, trouble))
}

/// Minutes take microseconds.
fn on_paused_clock<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static CLOCK: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without any drivers but time");
    }
    CLOCK.with(|clock| clock.block_on(work))
}

async fn one_run(world: World, desired: &Desired, intent: &Intent, policy: Policy, trouble: Trouble) -> Aftermath {
    let operator = Operator {
        meanwhile: trouble.on_screen.clone(),
        ..Operator::quick()
    };
    let lab = Lab::new(world, desired, consent(intent, policy, desired.hosts.keys()), trouble);
    let reporter = Recorder::default();
    let run = Run::new(&lab, 1, policy, operator, &reporter);
    let outcome = run.through(intent).await;
    let plans = run.plans.into_inner().unwrap_or_else(PoisonError::into_inner);
    lab.aftermath(outcome, plans, reporter)
}

/// Several operators ask for the same at the same time, each in their own way; how each ended, and what is left.
pub fn together(
    world: World,
    desired: &Desired,
    intent: &Intent,
    policy: Policy,
    operators: Vec<Operator>,
) -> (Vec<Outcome>, Aftermath) {
    let lab = Lab::new(
        world,
        desired,
        consent(intent, policy, desired.hosts.keys()),
        Trouble::default(),
    );
    let reporter = Recorder::default();
    let runs: Vec<Run> = operators
        .into_iter()
        .enumerate()
        .map(|(at, operator)| Run::new(&lab, at + 1, policy, operator, &reporter))
        .collect();
    // Whoever never answers is not waited for, and looked first.
    let (silent, others): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.operator.reads.is_none());
    let outcomes = on_paused_clock(async {
        let never = async {
            join_all(silent.iter().map(|run| run.through(intent))).await;
            std::future::pending().await
        };
        tokio::select! {
            biased;
            outcomes = never => outcomes,
            outcomes = join_all(others.iter().map(|run| run.through(intent))) => outcomes,
        }
    });
    let plans = runs
        .into_iter()
        .flat_map(|run| run.plans.into_inner().unwrap_or_else(PoisonError::into_inner));
    let plans = plans.collect();
    (outcomes, lab.aftermath(Outcome::Done, plans, reporter))
}

fn consent<'a>(intent: &Intent, policy: Policy, nodes: impl Iterator<Item = &'a NodeName>) -> Consent {
    let wipe = match intent {
        Intent::Remove { node, wipe: true } => [node.clone()].into(),
        Intent::Destroy(order) if order.wipe => nodes.cloned().collect(),
        _ => BTreeSet::new(),
    };
    let restore = match intent {
        Intent::Restore(_) | Intent::Recover(_) | Intent::Destroy(_) => {
            Some(intent.left_out().iter().cloned().collect())
        }
        _ => None,
    };
    Consent {
        // Whoever restores knows that everybody stops. Where a majority is gone nobody works any more.
        outage: policy.accept_outage || matches!(intent, Intent::Restore(_) | Intent::Destroy(_)),
        wipe,
        end: matches!(intent, Intent::Destroy(_)),
        restore,
        from: match intent {
            Intent::Recover(order) => order.from.clone(),
            _ => None,
        },
        keep: match intent {
            Intent::Compact { keep } => Some(*keep),
            Intent::Disarm => Some(0),
            _ => None,
        },
        disarm: matches!(intent, Intent::Disarm),
    }
}

impl Lab {
    fn new(world: World, desired: &Desired, consent: Consent, trouble: Trouble) -> Self {
        let oracle = Oracle::new(&world, desired, consent);
        let offset = world.now;
        Self {
            desired: desired.clone(),
            begun: Instant::now(),
            state: Mutex::new(State {
                world,
                oracle,
                seen: None,
                offset,
                strokes: 0,
                crash_after: trouble.crash_after,
                crashed: false,
                faults: trouble.faults,
                twice: trouble.twice,
                lock: None,
            }),
        }
    }

    fn aftermath(self, outcome: Outcome, plans: Vec<Plan>, reporter: Recorder) -> Aftermath {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut violations = state.oracle.violations;
        violations.extend(
            state
                .lock
                .filter(|_| !state.crashed)
                .map(|by| format!("operator {by} has kept the lock")),
        );
        Aftermath {
            outcome,
            world: state.world,
            violations,
            strokes: state.strokes,
            plans,
            reporter,
        }
    }

    /// The state, after the time that has passed.
    pub(super) fn now(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let until = state.offset + elapsed;
        if until > state.world.now {
            state.world.pass(until);
            let State { world, oracle, .. } = &mut *state;
            oracle.judge(world);
        }
        state
    }

    /// One indivisible change of the world; the program may be killed before it, and the world may change on its own.
    pub(super) fn stroke<T>(&self, change: impl FnOnce(&mut World) -> T) -> Result<T, StepError> {
        let mut state = self.now();
        if state.crashed || state.crash_after.is_some_and(|limit| state.strokes >= limit) {
            state.crashed = true;
            return Err(StepError::new("killed"));
        }
        let at = state.strokes;
        state.strokes += 1;
        let due: Vec<Fault> = state
            .faults
            .iter()
            .filter(|(when, _)| *when == at)
            .map(|(_, f)| f.clone())
            .collect();
        for fault in due {
            fault.strike(&mut state.world);
        }
        let State { world, oracle, .. } = &mut *state;
        oracle.judge(world);
        let result = change(world);
        oracle.judge(world);
        Ok(result)
    }

    /// A stroke on a host that must be reachable.
    pub(super) fn on<T>(&self, node: &NodeName, change: impl FnOnce(&mut World) -> T) -> Result<T, StepError> {
        self.stroke(|world| (world.hosts[node].link == Link::Up).then(|| change(world)))?
            .ok_or_else(|| StepError::new(format!("{node} does not answer")))
    }
}

#[async_trait]
impl exec::World for Lab {
    async fn look(&self, look: &Look) -> Observed {
        // Nothing changes here between two looks, so a light one may as well be a close one.
        let fresh: BTreeSet<NodeName> = look.hosts.keys().cloned().collect();
        let mut state = self.now();
        let before = state.seen.take().map(|seen| seen.hosts).unwrap_or_default();
        let mut seen = state.world.look_again(&self.desired, before, &fresh);
        if let (true, Fact::Known(membership)) = (look.streams, &mut seen.cluster) {
            membership.peers = state.world.streams(&self.desired, membership);
        }
        // Whoever asked for some hosts is told of those.
        let told = fresh
            .iter()
            .filter_map(|node| Some((node.clone(), seen.hosts.get(node)?.clone())));
        let told = Observed {
            at: seen.at,
            hosts: told.collect(),
            cluster: seen.cluster.clone(),
            auth: seen.auth.clone(),
            clients: seen.clients.clone(),
            replays: seen.replays.clone(),
        };
        state.seen = Some(seen);
        told
    }

    async fn perform(&self, step: &Step, _: &dyn Reporter) -> Result<String, StepError> {
        {
            let State { world, oracle, .. } = &mut *self.now();
            oracle.begin(world);
        }
        let saw = self.act(step).await?;
        if self.now().twice && self.act(step).await.is_err() {
            // Without a leader that could not be asked to hand over, an election comes first.
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            self.act(step).await?;
        }
        Ok(saw)
    }

    async fn hopeless(&self, step: &Step) -> Option<StepError> {
        let state = self.now();
        if state.crashed {
            return Some(StepError::new("killed"));
        }
        let nodes: Vec<&NodeName> = match (&step.target, &step.action) {
            (_, Action::LookAgain { nodes, .. }) => nodes.iter().collect(),
            (Target::Node(node), _) => vec![node],
            _ => Vec::new(),
        };
        let failed = nodes.into_iter().find_map(|node| {
            let host = state.world.hosts.get(node).filter(|h| h.link == Link::Up)?;
            Some(format!(
                "etcd on {node} does not stay up: {}",
                host.unit.failed.as_ref()?
            ))
        });
        failed.map(StepError::new)
    }
}
