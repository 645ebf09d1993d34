//! The world as the executor's [`exec::World`], with crashes and faults between strokes, and rounds of plan and apply as
//! `cli/converge.rs` runs them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::chaos::Fault;
use super::host::Link;
use super::oracle::{Consent, Oracle};
use super::world::World;
use crate::inventory::{Desired, NodeName};
use crate::ops::check::Look;
use crate::ops::exec::{self, RunError, StepError};
use crate::ops::model::{Fact, Intent, Observed, Policy};
use crate::ops::plan::lint::lint;
use crate::ops::plan::{Action, Plan, Step, Target, plan};
use crate::ops::recover::RecoverOrder;
use crate::ops::safety::restore::note_of;
use crate::ops::safety::{Blocked, Rule};
use crate::report::{Recorder, Reporter};

/// As in `cli/converge.rs`.
const ROUNDS: usize = 6;

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
    seen: Option<Observed>,
    /// Where `begun` was on the world's clock.
    offset: u64,
    /// Strokes done so far.
    pub strokes: u64,
    /// After this many strokes the program is killed.
    crash_after: Option<u64>,
    crashed: bool,
    /// What happens to the world right before a stroke.
    faults: Vec<(u64, Fault)>,
    /// Does everything twice.
    pub twice: bool,
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
}

/// What a run is disturbed by.
#[derive(Debug, Clone, Default)]
pub struct Trouble {
    pub crash_after: Option<u64>,
    pub faults: Vec<(u64, Fault)>,
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
    thread_local! {
        static CLOCK: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without any drivers but time");
    }
    CLOCK.with(|clock| clock.block_on(rounds(world, desired, intent, policy, trouble)))
}

async fn rounds(world: World, desired: &Desired, intent: &Intent, policy: Policy, trouble: Trouble) -> Aftermath {
    let reporter = Recorder::default();
    let lab = Lab::new(world, desired, consent(intent, policy, desired.hosts.keys()), trouble);
    let mut plans = Vec::new();
    let outcome = lab.rounds(intent, policy, &reporter, &mut plans).await;
    let state = lab.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let violations = state.oracle.violations;
    Aftermath {
        outcome,
        world: state.world,
        violations,
        strokes: state.strokes,
        plans,
        reporter,
    }
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
            }),
        }
    }

    async fn rounds(&self, intent: &Intent, policy: Policy, reporter: &Recorder, plans: &mut Vec<Plan>) -> Outcome {
        let mut intent = intent.clone();
        for _ in 0..ROUNDS {
            let (seen, supplies) = {
                let mut state = self.now();
                let seen = state.world.observe(&self.desired);
                state.seen = Some(seen.clone());
                (seen, state.world.supplies())
            };
            intent = match self.given(intent, &seen) {
                Ok(intent) => intent,
                Err(blocked) => return Outcome::Blocked(vec![blocked]),
            };
            let plan = match plan(&intent, &self.desired, &seen, policy, &supplies) {
                Ok(plan) => plan,
                Err(blocked) => return Outcome::Blocked(blocked),
            };
            if plan.is_empty() {
                if matches!(&intent, Intent::Converge { limit, .. } if limit.is_empty()) {
                    let State { world, oracle, .. } = &mut *self.now();
                    oracle.at_rest(world);
                }
                return Outcome::Done;
            }
            for finding in lint(&plan, &seen).into_iter().filter(|f| f.fatal) {
                self.now().oracle.violations.push(format!("lint: {finding}"));
            }
            let ended = exec::run(&plan, self, reporter, &CancellationToken::new()).await;
            let again = plan.again();
            plans.push(plan);
            match ended {
                _ if self.now().crashed => return Outcome::Crashed,
                Ok(()) => match again.or_else(|| self.after_rescue(&intent)) {
                    Some(next) => intent = next,
                    None => return Outcome::Done,
                },
                Err(error) => return Outcome::Stopped(error),
            }
        }
        match plans.pop() {
            Some(last) => Outcome::Endless(Box::new(last)),
            None => Outcome::Done,
        }
    }

    /// What an intent comes to when it is given: as in `cli/recover.rs`, which reads the logs, or goes on with a restore
    /// that was begun.
    fn given(&self, intent: Intent, seen: &Observed) -> Result<Intent, Blocked> {
        let Intent::Recover(order) = intent else {
            return Ok(intent);
        };
        let state = self.now();
        let Some(note) = note_of(&self.desired, &seen.hosts)? else {
            let logs = state.world.logs(&self.desired);
            return Ok(Intent::Recover(Box::new(RecoverOrder { logs, ..*order })));
        };
        let begun = state.world.rescued.iter().find(|saved| saved.sha256 == note.sha256);
        let saved =
            begun.ok_or_else(|| Blocked::new(Rule::RestoreUnderWay, "another restore was begun", "finish it"))?;
        Ok(Intent::Restore(Box::new(saved.order(&self.desired, order.without))))
    }

    /// A recovery's first half is followed by a restore of what it saved.
    fn after_rescue(&self, intent: &Intent) -> Option<Intent> {
        let Intent::Recover(order) = intent else {
            return None;
        };
        let state = self.now();
        let saved = state.world.rescued.last()?;
        Some(Intent::Restore(Box::new(
            saved.order(&self.desired, order.without.clone()),
        )))
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
