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
            // The leader may have to send it everything that was written while it was down.
            Action::Start if step.ensures.iter().any(|check| matches!(check, Check::CaughtUp { .. })) => 600,
            Action::Rest { .. } => 60,
            Action::Start | Action::LookAgain { .. } => 120,
            _ => 30,
        }))
    }
}

/// Peers connect to each other within a second or so after a start: when that is all that is missing for this long, it does
/// not come by itself.
const STREAMS: Duration = Duration::from_secs(20);

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
    let mut streams_since = None;
    loop {
        let seen = world.look(&Look::at(looked_for)).await;
        let Some((check, open)) = first_open(looked_for, &seen) else {
            if looked_for.len() == checks.len() {
                return Ok(());
            }
            looked_for = checks;
            continue;
        };
        // Without a leader nothing can be told of streams; nor did they come when something else went again.
        streams_since = check
            .about_streams()
            .then(|| streams_since.unwrap_or_else(Instant::now));
        let cut_off = streams_since.is_some_and(|since: Instant| since.elapsed() > STREAMS);
        if begun.elapsed() > patience.0 || cut_off {
            let message = format!("after {} s: {open}", begun.elapsed().as_secs());
            let error = world
                .hopeless(step)
                .await
                .unwrap_or_else(|| StepError::new(message.clone()));
            let hint = error.hint.or_else(|| check.way_out().map(str::to_owned));
            return Err(StepError { message, hint, ..error });
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

/// Whether judging it takes a close look at a host, or a question to every member.
fn closely(check: &Check) -> bool {
    check.about_streams() || check.host().is_some_and(|(_, depth)| depth == Depth::Everything)
}
