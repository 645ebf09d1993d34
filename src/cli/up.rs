//! `plan` and `up`.

use std::path::Path;

use super::args::{Global, PlanArgs, Up};
use super::converge::{Parts, bring_about};
use super::dry_run;
use super::error::{Exit, Failure};
use super::session::Session;
use crate::ops::model::Intent;
use crate::ops::plan::Plan;

/// `plan`: what `up` would do; exit code 10 when that is something.
///
/// # Errors
/// Every reason not to begin.
pub async fn plan(global: &Global, args: &PlanArgs) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let parts = Parts::of(&session)?;
    let intent = converge(global, args.prune);
    let seen = parts.look(&session, &intent).await?;
    let mut plan = parts.plan(&session, &intent, &seen)?;
    let exit = dry_run::shown(&session, &parts, &mut plan, &seen).await?;
    if let Some(out) = &args.out {
        save(&plan, out)?;
    }
    Ok(exit)
}

/// `up`: bring everything in line.
///
/// # Errors
/// See the exit codes.
pub async fn up(global: &Global, args: &Up) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let saved = args.plan.as_deref().map(load).transpose()?;
    let intent = match &saved {
        Some(plan) => plan.header.intent.clone(),
        None => converge(global, args.prune),
    };
    let changed = bring_about(&session, Parts::of(&session)?, &intent, saved.as_ref()).await?;
    session.finish(true, changed, sentence(&session, changed));
    Ok(Exit::Done)
}

fn converge(global: &Global, prune: bool) -> Intent {
    Intent::Converge {
        prune,
        limit: global.limit.clone(),
    }
}

fn sentence(session: &Session, changed: usize) -> String {
    let cluster = &session.desired().cluster;
    match changed {
        0 => format!("{cluster} is up to date: nothing to do"),
        _ => format!("{cluster} is up and matches the inventory"),
    }
}

fn save(plan: &Plan, out: &Path) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(plan).map_err(|e| Failure::unexpected("cannot write the plan", e))?;
    std::fs::write(out, text).map_err(|e| Failure::unexpected(&format!("cannot write {}", out.display()), e))
}

fn load(path: &Path) -> Result<Plan, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::new(Exit::Usage, format!("cannot read {}: {e}", path.display()))
            .hint("create one with `quorate plan --out FILE`")
    })?;
    serde_json::from_str(&text).map_err(|e| {
        Failure::new(Exit::Usage, format!("{} is not a saved plan: {e}", path.display()))
            .hint("create one with `quorate plan --out FILE`")
    })
}
