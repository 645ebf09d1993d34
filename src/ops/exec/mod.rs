//! Runs a plan, wave by wave, against a [`World`]. Makes no decisions: what must hold before a wave is looked at again
//! right before it, and a wave is over only when what it ensures has been seen.

pub mod fault;
pub mod real;
mod wait;

use std::time::Instant;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use self::wait::Patience;
use crate::inventory::NodeName;
use crate::ops::check::{Check, Look, Verdict};
use crate::ops::model::Observed;
use crate::ops::plan::{Plan, Step, Target, Wave};
use crate::report::{Event, Reporter};

/// What a plan runs against: the real hosts, or the simulator.
#[async_trait]
pub trait World: Send + Sync {
    /// Looks again; what is not looked at is told as it was seen before.
    async fn look(&self, look: &Look) -> Observed;

    /// Does one step; returns what it saw in a few words.
    async fn perform(&self, step: &Step, reporter: &dyn Reporter) -> Result<String, StepError>;

    /// Whether performing this step has waited already for what it ensures.
    fn has_waited(&self, _step: &Step) -> bool {
        false
    }

    /// Why waiting for this step is hopeless (a unit that fails to start), asked every second while waiting.
    async fn hopeless(&self, step: &Step) -> Option<StepError>;
}

/// Why a step did not do its work.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// What happened, with its chain.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The last lines of the unit's journal, where a unit is concerned.
    pub journal: Vec<String>,
}

impl StepError {
    /// An error with its sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            journal: Vec::new(),
        }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// How a run that did not finish ended. Running the command again is safe in every case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// Steps failed; the events told which and why.
    #[error("{} failed at {}", crate::ops::plan::count(*failed, "step"), .first)]
    #[allow(missing_docs)]
    Failed { failed: usize, first: String },
    /// What a step needs does not hold any more.
    #[error("{step} was not started: {saw}")]
    #[allow(missing_docs)]
    NotSafe {
        step: String,
        saw: String,
        hint: Option<String>,
    },
    /// The operator interrupted, or the lock was lost.
    #[error("stopped between two steps: {0}")]
    Stopped(String),
}

/// Runs every wave of a plan.
///
/// # Errors
/// See [`RunError`]; nothing after the failed wave has been begun.
pub async fn run(
    plan: &Plan,
    world: &dyn World,
    reporter: &dyn Reporter,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    for (at, wave) in plan.waves.iter().enumerate() {
        if stop.is_cancelled() {
            return Err(RunError::Stopped(format!("`{}` was not started", wave.title)));
        }
        reporter.event(&Event::WaveStarted {
            number: at + 1,
            of: plan.waves.len(),
            title: wave.title.clone(),
            can_lose: wave.tolerance.map(|tolerance| tolerance.during),
        });
        fault::point(&format!("before:{}", first_id(wave)));
        tokio::select! {
            safe = still_safe(wave, world, reporter) => safe?,
            () = stop.cancelled() => return Err(RunError::Stopped(format!("`{}` was not started", wave.title))),
        }
        perform(wave, world, reporter, stop).await?;
        fault::point(&format!("after:{}", first_id(wave)));
    }
    Ok(())
}

fn first_id(wave: &Wave) -> &str {
    wave.steps.first().map_or("", |s| s.id.as_str())
}

/// Looks again at everything the wave requires, right before it: at all its hosts at the same time, and once more at
/// whatever does not hold yet.
async fn still_safe(wave: &Wave, world: &dyn World, reporter: &dyn Reporter) -> Result<(), RunError> {
    let required: Vec<Check> = wave.steps.iter().flat_map(|s| &s.requires).cloned().collect();
    if required.is_empty() || first_open(&required, &world.look(&Look::at(&required)).await).is_none() {
        return Ok(());
    }
    for step in wave.steps.iter().filter(|s| !s.requires.is_empty()) {
        if let Err(saw) = wait::watch(step, &step.requires, Patience::SETTLE, world, reporter).await {
            return Err(RunError::NotSafe {
                step: title(step),
                saw: saw.message,
                hint: saw.hint,
            });
        }
    }
    Ok(())
}

/// Runs the steps of a wave at the same time, and waits for what each ensures.
async fn perform(
    wave: &Wave,
    world: &dyn World,
    reporter: &dyn Reporter,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let mut running: FuturesUnordered<_> = wave.steps.iter().map(|step| one(step, world, reporter, stop)).collect();
    let (mut failed, mut stopped) = (Vec::new(), None);
    while let Some(result) = running.next().await {
        match result {
            Ok(()) => {}
            Err(Halt::Failed(step)) => failed.push(step),
            Err(Halt::Stopped(step)) => stopped = Some(step),
        }
    }
    match failed.first() {
        None => stopped.map_or(Ok(()), |step| {
            Err(RunError::Stopped(format!("{step} was started but not waited for")))
        }),
        Some(first) => Err(RunError::Failed {
            failed: failed.len(),
            first: first.clone(),
        }),
    }
}

/// How a step did not come to its end.
enum Halt {
    Failed(String),
    /// It has done its work; the operator stopped while waiting for the effect.
    Stopped(String),
}

async fn one(step: &Step, world: &dyn World, reporter: &dyn Reporter, stop: &CancellationToken) -> Result<(), Halt> {
    let begun = Instant::now();
    let node = node_of(step);
    reporter.event(&Event::StepStarted {
        step: step.id.clone(),
        node: node.clone(),
        what: step.action.describe(),
    });
    let done = match world.perform(step, reporter).await {
        Ok(saw) if step.ensures.is_empty() || world.has_waited(step) => Ok(saw),
        Ok(saw) => tokio::select! {
            seen = wait::watch(step, &step.ensures, Patience::of(step), world, reporter) => seen.map(|()| saw),
            () = stop.cancelled() => {
                reporter.event(&Event::StepFailed {
                    step: step.id.clone(),
                    node,
                    error: "stopped while waiting for the effect".into(),
                    hint: None,
                    journal: Vec::new(),
                });
                return Err(Halt::Stopped(title(step)));
            }
        },
        Err(error) => Err(error),
    };
    match done {
        Ok(saw) => {
            let seconds = begun.elapsed().as_secs_f64();
            reporter.event(&Event::StepFinished {
                step: step.id.clone(),
                node,
                seconds,
                saw,
            });
            fault::point(&format!("done:{}", step.id));
            Ok(())
        }
        Err(error) => {
            reporter.event(&Event::StepFailed {
                step: step.id.clone(),
                node,
                error: error.message,
                hint: error.hint,
                journal: error.journal,
            });
            Err(Halt::Failed(title(step)))
        }
    }
}

fn title(step: &Step) -> String {
    format!("{} ({})", step.id, step.action.describe())
}

fn node_of(step: &Step) -> Option<NodeName> {
    match &step.target {
        Target::Node(node) => Some(node.clone()),
        Target::Cluster | Target::Operator => None,
    }
}

/// Judges conditions; the first that does not hold, with what was seen.
pub fn first_open<'a>(checks: &'a [Check], seen: &Observed) -> Option<(&'a Check, String)> {
    checks.iter().find_map(|check| match check.eval(seen) {
        Verdict::Holds => None,
        Verdict::Fails(saw) => Some((check, saw)),
        Verdict::Unknown(why) => Some((check, why)),
    })
}
