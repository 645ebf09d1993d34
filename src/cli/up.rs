//! `plan` and `up`.

use std::path::Path;

use super::args::{Global, PlanArgs, Up};
use super::converge::{Parts, bring_about};
use super::env::endpoints;
use super::error::{Exit, Failure};
use super::plan_json::plan_json;
use super::session::Session;
use super::{show, trial};
use crate::ops::model::Intent;
use crate::ops::plan::Plan;
use crate::report::Paint;

/// `plan`: what `up` would do; exit code 10 when that is something.
///
/// # Errors
/// Every reason not to begin.
pub async fn plan(global: &Global, args: &PlanArgs) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let plan = make(&session, args.prune).await?;
    if let Some(out) = &args.out {
        save(&plan, out)?;
    }
    print(&session, &plan)?;
    Ok(if plan.is_empty() { Exit::Done } else { Exit::Changes })
}

/// `up`: bring everything in line.
///
/// # Errors
/// See the exit codes.
pub async fn up(global: &Global, args: &Up) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    if args.dry_run {
        let plan = make(&session, args.prune).await?;
        print(&session, &plan)?;
        return Ok(Exit::Done);
    }
    let saved = args.plan.as_deref().map(load).transpose()?;
    let intent = match &saved {
        Some(plan) => plan.header.intent.clone(),
        None => converge(global, args.prune),
    };
    let first = session.vault().dir().status()?.is_empty();
    let changed = bring_about(&session, Parts::of(&session)?, &intent, saved.as_ref()).await?;
    if first {
        next_steps(&session);
    }
    session.finish(true, changed, sentence(&session, changed));
    Ok(Exit::Done)
}

/// What there is to do once a cluster has come up for the first time.
fn next_steps(session: &Session) {
    let desired = session.desired();
    session.note(&format!("clients connect to {}", endpoints(desired)));
    session.note(
        "each client needs a certificate: `quorate pki issue NAME --out DIR`; then `quorate env NAME --dir DIR` prints the \
         settings of etcdctl",
    );
    session.note(&format!(
        "commit {} and {}: the key of the CA in there is encrypted",
        session.loaded.path.display(),
        desired.pki.dir.display()
    ));
    session.note(match &desired.backup {
        None => {
            "no backups are scheduled: describe them in the section `backup` of the inventory, then run `quorate backup \
             schedule`"
        }
        Some(_) => "backups are not scheduled on the hosts yet: run `quorate backup schedule`",
    });
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

async fn make(session: &Session, prune: bool) -> Result<Plan, Failure> {
    let parts = Parts::of(session)?;
    let intent = converge(&session.global, prune);
    let seen = parts.look(session, &intent).await?;
    let mut plan = parts.plan(session, &intent, &seen)?;
    trial::for_show(session, &parts, &mut plan, &seen).await?;
    Ok(plan)
}

fn print(session: &Session, plan: &Plan) -> Result<(), Failure> {
    if session.json() {
        let object = plan_json(plan).map_err(|e| Failure::unexpected("cannot write the plan", e))?;
        println!("{object}");
    } else if plan.is_empty() {
        anstream::print!("{}", show::plan(plan, Paint::from_env(true), true));
        println!("{} is up to date: nothing to do", plan.header.cluster);
    } else {
        anstream::print!("{}", show::plan(plan, Paint::from_env(true), true));
    }
    Ok(())
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
