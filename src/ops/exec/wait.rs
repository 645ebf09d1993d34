//! Waiting for a condition: look, report what is missing when that changes, look again.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{StepError, World, first_open, node_of};
use crate::inventory::NodeName;
use crate::ops::check::Check;
use crate::ops::plan::{Action, Step};
use crate::report::{Event, Reporter};

/// How long a condition that must hold before a step may take to come true (a leader being elected, etcd's own
/// five-second rule after a membership change).
pub(super) const SETTLE: Duration = Duration::from_secs(20);

/// How long a step's effect may take.
pub(super) fn limit(step: &Step) -> Duration {
    Duration::from_secs(match &step.action {
        // A large database takes minutes to replay its log.
        Action::Restart { .. } | Action::Promote { .. } => 600,
        Action::Start | Action::LookAgain { .. } => 120,
        _ => 30,
    })
}

/// Looks until every check holds.
pub(super) async fn until_holds(
    step: &Step,
    checks: &[Check],
    limit: Duration,
    world: &dyn World,
    reporter: &dyn Reporter,
) -> Result<(), StepError> {
    let begun = Instant::now();
    let hosts = hosts_of(checks);
    let mut pause = Duration::from_millis(40);
    let mut said = String::new();
    let mut asked = begun;
    loop {
        let seen = world.look(&hosts).await;
        let Some(open) = first_open(checks, &seen) else { return Ok(()) };
        if begun.elapsed() > limit {
            let message = format!("after {} s: {open}", begun.elapsed().as_secs());
            let error = world.hopeless(step).await.unwrap_or_else(|| StepError::new(message.clone()));
            return Err(StepError { message, ..error });
        }
        if asked.elapsed() > Duration::from_secs(1) {
            asked = Instant::now();
            if let Some(error) = world.hopeless(step).await {
                return Err(error);
            }
        }
        if open != said && begun.elapsed() > Duration::from_millis(300) {
            reporter.event(&Event::StepWaiting { step: step.id.clone(), node: node_of(step), on: open.clone() });
            said = open;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(500));
    }
}

fn hosts_of(checks: &[Check]) -> BTreeSet<NodeName> {
    checks.iter().filter_map(|check| check.host().cloned()).collect()
}
