//! Looking once members that are on their way have arrived, or have failed again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::Failure;
use super::session::Session;
use crate::ops::fleet::Fleet;
use crate::ops::model::Observed;
use crate::ops::settling::{on_their_way, worth_waiting};
use crate::ops::vault::Vault;

/// A large log takes minutes to be replayed; a refusal says then what is missing.
const LIMIT: Duration = Duration::from_secs(120);
/// A unit that failed for good is started by nobody.
const NEXT_START: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

/// What is seen when nobody is on its way any more; `seen` when nobody is now.
///
/// # Errors
/// As [`Session::look`].
pub async fn settled(
    session: &Session,
    fleet: &Arc<Fleet>,
    vault: &Arc<Vault>,
    mut seen: Observed,
) -> Result<Observed, Failure> {
    let first = on_their_way(session.desired(), &seen);
    if first.is_empty() {
        return Ok(seen);
    }
    let names: Vec<&str> = first.keys().map(|node| node.as_str()).collect();
    session.note(&format!("{}: starting; waiting for it", names.join(", ")));
    let begun = Instant::now();
    loop {
        let now = on_their_way(session.desired(), &seen);
        let started = now.values().any(|way| way.starting);
        let limit = if started { LIMIT } else { NEXT_START };
        if !worth_waiting(&first, &now) || begun.elapsed() > limit || session.stop().is_cancelled() {
            return Ok(seen);
        }
        sleep(PAUSE).await;
        seen = session.look(fleet, vault).await?;
    }
}
