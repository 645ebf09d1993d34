//! `plan` and `up`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::args::{Global, OutputFormat, PlanArgs, Up};
use super::converge::{Parts, bring_about, stale};
use super::dry_run;
use super::env::endpoints;
use super::error::{Exit, Failure};
use super::session::Session;
use crate::ops::model::Intent;
use crate::ops::plan::Plan;
use crate::report::printable;

/// `plan`: what `up` would do; exit code 10 when that is something.
///
/// # Errors
/// Every reason not to begin.
pub async fn plan(global: &Global, args: &PlanArgs) -> Result<Exit, Failure> {
    if args.markdown && global.output == OutputFormat::Json {
        return Err(
            Failure::new(Exit::Usage, "a plan is printed as Markdown or as JSON, not both")
                .hint("omit --markdown or `--output json`"),
        );
    }
    let session = Session::open(global)?;
    let parts = Parts::of(&session)?;
    let intent = converge(global, args.prune);
    let seen = parts.look(&session, &intent).await?;
    let mut plan = parts.draft(&session, &intent, &seen, session.policy())?;
    let exit = dry_run::shown(&session, &parts, &mut plan, &seen, args.markdown).await?;
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
    // As it is typed from here, like the inventory.
    let base = std::path::absolute(session.base()).unwrap_or_default();
    let pki = match desired.pki.dir.strip_prefix(&base) {
        Ok(below) => session.loaded.path.with_file_name(below),
        Err(_) => desired.pki.dir.clone(),
    };
    session.note(&format!(
        "commit {} and {}: the key of the CA in there is encrypted",
        session.loaded.path.display(),
        pki.display()
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

fn save(plan: &Plan, out: &Path) -> Result<(), Failure> {
    let saved = Saved { quorate: VERSION, plan };
    let text = serde_json::to_string_pretty(&saved).map_err(|e| Failure::unexpected("cannot write the plan", e))?;
    std::fs::write(out, text).map_err(|e| Failure::unexpected(&format!("cannot write {}", out.display()), e))
}

fn load(path: &Path) -> Result<Plan, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::new(Exit::Usage, format!("cannot read {}: {e}", path.display()))
            .hint("create one with `quorate plan --out FILE`")
    })?;
    serde_json::from_str(&text).map_err(|e| match serde_json::from_str::<SavedBy>(&text) {
        // A plan is for minutes, not for years: what a step is may change from version to version.
        Ok(saved) if saved.quorate != VERSION => stale(&format!(
            "it was saved by quorate {}, and this is {VERSION}",
            printable(&saved.quorate)
        )),
        _ => {
            let hint = match text.contains("\"fleet_plan\"") {
                true => "that of a fleet is applied with `quorate --fleet DIR up --plan FILE`",
                false => "create one with `quorate plan --out FILE`",
            };
            Failure::new(Exit::Usage, format!("{} is not a saved plan: {e}", path.display())).hint(hint)
        }
    })
}

/// This program's.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A plan as it is saved: with the version that made it.
#[derive(Serialize)]
struct Saved<'a> {
    quorate: &'static str,
    #[serde(flatten)]
    plan: &'a Plan,
}

/// What every version's saved plan has.
#[derive(Deserialize)]
struct SavedBy {
    quorate: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_another_version_that_cannot_be_read_is_stale_and_says_of_which() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("plan.json");
        let refusal = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            load(&path).expect_err("no plan")
        };
        let other = refusal(r#"{"quorate":"9.0.0","header":{"intent":"something new"},"waves":[]}"#);
        assert_eq!(other.exit, Exit::Stale);
        assert!(
            other.message.contains("it was saved by quorate 9.0.0, and this is "),
            "{}",
            other.message
        );
        // From before there was a version in it, or something else.
        assert_eq!(refusal(r#"{"header":{}}"#).exit, Exit::Usage);
        assert_eq!(refusal("plan").exit, Exit::Usage);
    }
}
