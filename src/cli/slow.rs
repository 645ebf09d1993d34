//! `doctor --for`: measures for a while, and says what is slow now and what is to blame for it.

mod text;

use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::args::Global;
use super::doctor::watched;
use super::error::{Exit, Failure};
use super::session::Session;
use super::{interrupt, status};
use crate::ops::doctor::{Finding, Severity};
use crate::ops::measure::measure;
use crate::ops::slow::{Figures, figures, findings};
use crate::report::print::say_all;
use crate::report::{Paint, human_seconds, terminal_width};

/// What was found, as `--output json` prints it.
#[derive(Debug, Serialize)]
struct Measurement {
    cluster: String,
    /// Nothing is slow. `None` where hosts could not be inspected, and nothing is known to be slow.
    healthy: Option<bool>,
    /// Culprits are problems, the worst first; what follows from them is advice.
    findings: Vec<Finding>,
    #[serde(flatten)]
    figures: Figures,
}

/// `doctor --for WINDOW`.
///
/// # Errors
/// When the inventory or the CA cannot be read; culprits are an exit code.
pub async fn slow(global: &Global, window: Duration) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = watched(&session, "look", session.look_past_expiry(&fleet, &vault)).await?;
    let viewer = vault.viewer_past_expiry().await?;
    let stop = CancellationToken::new();
    interrupt::cancels_saying(stop.clone(), "reporting what was measured so far");
    let phase = format!(
        "measure for {} (Ctrl-C: report now)",
        human_seconds(window.as_secs_f64())
    );
    let window = watched(
        &session,
        &phase,
        measure(&fleet, viewer.tls(), &seen, window, stop.cancelled()),
    )
    .await;

    let figures = figures(session.desired(), &window);
    let findings = findings(session.desired(), &figures);
    let any = |severity| findings.iter().any(|finding| finding.severity == severity);
    let measurement = Measurement {
        cluster: session.desired().cluster.to_string(),
        healthy: match (any(Severity::Problem), any(Severity::Unknown)) {
            (true, _) => Some(false),
            (false, true) => None,
            (false, false) => Some(true),
        },
        findings,
        figures,
    };
    if session.json() {
        status::json(&measurement)?;
    } else {
        say_all!("{}", text::text(&measurement, Paint::from_env(true), terminal_width()));
    }
    Ok(Exit::of_health(measurement.healthy))
}
