//! Waiting for a condition: look, report what is missing when that changes, look again.

use std::time::Duration;

use tokio::time::Instant;

use super::{StepError, World, first_open, node_of};
use crate::ops::check::{Check, Depth, Look};
use crate::ops::plan::{Action, Step};
use crate::report::{Event, Reporter};

/// How long a condition may take to come true.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience(Duration);

impl Patience {
    /// For what must hold before a step: a leader may just be elected, and etcd has a five-second rule of its own after
    /// a membership change.
    pub(super) const SETTLE: Patience = Patience(Duration::from_secs(20));

    /// For a member that runs again as it did before a change that failed.
    pub(super) const PUT_BACK: Patience = Patience(Duration::from_secs(60));

    /// For what a step brings about.
    pub(super) fn of(step: &Step) -> Patience {
        Patience(Duration::from_secs(match &step.action {
            // A large database takes minutes to replay its log.
            Action::Restart { .. } | Action::Promote { .. } => 600,
            Action::Defragment { .. } => 600,
            // etcd looks every few seconds, and writes a snapshot of its log before its storage changes.
            Action::BeginDowngrade { .. } | Action::OpenTheWayUp { .. } => 120,
            Action::Start | Action::LookAgain { .. } => 120,
            _ => 30,
        }))
    }
}

/// Most conditions come true within this time, and are looked for often until then.
const SOON: Duration = Duration::from_secs(3);
const SHORT_PAUSE: Duration = Duration::from_millis(100);
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// Looks until every check holds. What etcd and the service manager answer comes first: a close look at a host costs it
/// work that a member which is just starting needs itself, so it is taken only when nothing else is open.
pub(super) async fn watch(
    step: &Step,
    checks: &[Check],
    patience: Patience,
    world: &dyn World,
    reporter: &dyn Reporter,
) -> Result<(), StepError> {
    let begun = Instant::now();
    let light: Vec<Check> = checks.iter().filter(|c| !closely(c)).cloned().collect();
    let mut looked_for = if light.is_empty() { checks } else { &light };
    let mut pause = Duration::from_millis(40);
    let mut said = String::new();
    let mut asked = begun;
    loop {
        let seen = world.look(&Look::at(looked_for)).await;
        let Some(open) = first_open(looked_for, &seen) else {
            if looked_for.len() == checks.len() {
                return Ok(());
            }
            looked_for = checks;
            continue;
        };
        if begun.elapsed() > patience.0 {
            let message = format!("after {} s: {open}", begun.elapsed().as_secs());
            let error = world
                .hopeless(step)
                .await
                .unwrap_or_else(|| StepError::new(message.clone()));
            return Err(StepError { message, ..error });
        }
        if asked.elapsed() > Duration::from_secs(1) {
            asked = Instant::now();
            if let Some(error) = world.hopeless(step).await {
                return Err(error);
            }
        }
        if open != said && begun.elapsed() > Duration::from_millis(300) {
            reporter.event(&Event::StepWaiting {
                step: step.id.clone(),
                node: node_of(step),
                on: open.clone(),
            });
            said = open;
        }
        tokio::time::sleep(pause).await;
        let longest = if begun.elapsed() < SOON {
            SHORT_PAUSE
        } else {
            LONG_PAUSE
        };
        pause = (pause * 3 / 2).min(longest);
    }
}

/// Whether judging it takes a close look at a host.
fn closely(check: &Check) -> bool {
    check.host().is_some_and(|(_, depth)| depth == Depth::Everything)
}
