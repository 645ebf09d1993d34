//! `--dry-run`: the plan is shown instead of done.

use std::collections::BTreeSet;

use super::args::{AlarmCommand, BackupCommand, Cli, Command, Global, PkiCommand, Planned};
use super::converge::Parts;
use super::error::{Exit, Failure};
use super::many::part::Answer;
use super::plan_json::plan_json;
use super::session::Session;
use super::{show, show_markdown, trial};
use crate::ops::model::Observed;
use crate::ops::plan::{Plan, Target};
use crate::pki::StoreError;
use crate::report::print::{data, say, say_all, tell};
use crate::report::{Paint, quiet, terminal_width};

/// The command that `plan COMMAND` stands for: the same with `--dry-run`.
pub fn of(global: &Global, planned: &Planned) -> Cli {
    Cli {
        global: Global {
            dry_run: true,
            ..global.clone()
        },
        command: planned.clone().into(),
    }
}

/// Refuses the flag where there is no plan to show: left unheeded it would change what it promised not to.
///
/// # Errors
/// When the command makes no plan.
pub fn only_with_a_plan(command: &Command) -> Result<(), Failure> {
    let plans = match command {
        Command::Plan(_) | Command::Up(_) | Command::Restart { .. } | Command::Upgrade(_) | Command::Downgrade(_) => {
            true
        }
        Command::Maintain(_) | Command::Stop(_) | Command::Start | Command::Destroy(_) => true,
        Command::AddNode(_) | Command::RemoveNode(_) | Command::ReplaceNode(_) => true,
        Command::Restore(_) | Command::Recover(_) | Command::Defrag { .. } | Command::Compact { .. } => true,
        Command::Alarm(command) => matches!(command, AlarmCommand::Disarm),
        Command::Pki(command) => matches!(command, PkiCommand::Renew | PkiCommand::RotateCa { .. }),
        Command::Backup(command) => matches!(command, BackupCommand::Prune(_)),
        _ => false,
    };
    if plans {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "this command has no plan that `--dry-run` could show").hint("omit --dry-run"))
}

/// The plan on standard output, and how a run that only shows it ends: 10 when there are changes, 0 when there are none.
///
/// # Errors
/// When it cannot be written.
pub async fn shown(
    session: &Session,
    parts: &Parts,
    plan: &mut Plan,
    seen: &Observed,
    markdown: bool,
) -> Result<Exit, Failure> {
    trial::for_show(session, parts, plan, seen).await?;
    plan.notes.extend(session.later.iter().cloned());
    if let (Err(closed), false) = (parts.vault.may_change().await, plan.is_empty()) {
        plan.notes.push(for_others(plan, &closed));
    }
    if let Some(part) = &session.global.part {
        part.answer(Answer::Plan(Box::new(plan.clone())));
        return Ok(exit_of(plan));
    }
    match markdown {
        true => {
            let _quiet = quiet(session.reporter.as_ref());
            say_all!("{}", show_markdown::plan(plan));
        }
        false => print(session, plan)?,
    }
    Ok(exit_of(plan))
}

fn exit_of(plan: &Plan) -> Exit {
    if plan.is_empty() { Exit::Done } else { Exit::Changes }
}

/// What is told to someone who cannot open the CA key: who can apply the plan, and what of it is made only then.
fn for_others(plan: &Plan, closed: &StoreError) -> String {
    let issued = plan
        .steps()
        .filter(|step| step.action.change().is_some_and(|change| change.certificates));
    let hosts: BTreeSet<&str> = issued
        .filter_map(|step| match &step.target {
            Target::Node(node) => Some(node.as_str()),
            _ => None,
        })
        .collect();
    let made = match hosts.is_empty() {
        true => String::new(),
        false => format!(
            "; the new certificates of {} are issued only then",
            Vec::from_iter(hosts).join(", ")
        ),
    };
    format!(
        "your keys do not open the CA key: this plan can be applied by {}{made}",
        closed.who_can()
    )
}

/// For people or programs. What changes inside files is shown with `-v`.
///
/// # Errors
/// When it cannot be written.
fn print(session: &Session, plan: &Plan) -> Result<(), Failure> {
    let _quiet = quiet(session.reporter.as_ref());
    if session.json() {
        let object = plan_json(plan).map_err(|e| Failure::unexpected("cannot write the plan", e))?;
        data(&object.to_string());
        return Ok(());
    }
    let with_diffs = session.global.verbose > 0;
    let width = terminal_width().map_or(usize::MAX, usize::from);
    say_all!("{}", show::plan(plan, Paint::from_env(true), with_diffs, width));
    if plan.is_empty() {
        say!("{} is up to date: nothing to do", plan.header.cluster);
    } else if !with_diffs && show::has_diffs(plan) {
        tell!("note: pass -v to see what changes inside files");
    }
    Ok(())
}
