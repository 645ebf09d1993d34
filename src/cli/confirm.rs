//! Asking before something is done that cannot go unnoticed.

use std::io::{BufRead, IsTerminal};

use rustix::termios::{QueueSelector, tcflush};

use super::args::Global;
use super::error::{Exit, Failure};
use super::session::Session;
use crate::ops::model::Intent;
use crate::ops::plan::{Plan, Risk};
use crate::report::print::tell_all;

/// Asks, unless the plan is harmless or `--yes` was said; refuses what takes a flag of its own.
///
/// # Errors
/// When the answer is no, there is no terminal to prompt on, or the plan costs more than was allowed.
pub fn plan(session: &Session, plan: &Plan) -> Result<(), Failure> {
    let risk = plan.risk();
    if let Intent::Destroy(_) = plan.header.intent {
        // The rules have asked for the flags.
        return if session.global.yes { Ok(()) } else { named(session) };
    }
    allowed(&session.global, risk)?;
    if session.global.yes || risk == Risk::ReadOnly {
        return Ok(());
    }
    let question = match risk {
        Risk::ReadOnly | Risk::Reversible => "Apply this plan?",
        Risk::ReducesRedundancy => "Apply this plan? One member at a time will be down.",
        Risk::Outage => "Apply this plan? etcd will be UNAVAILABLE to clients.",
        Risk::DestroysData => "Apply this plan? Data will be DELETED.",
    };
    ask(question)
}

/// Refuses what takes a flag of its own.
///
/// # Errors
/// When the plan costs more than was allowed.
pub fn allowed(global: &Global, risk: Risk) -> Result<(), Failure> {
    if risk == Risk::Outage && !global.accept_outage {
        return Err(Failure::new(Exit::Blocked, "etcd would be unavailable to clients")
            .hint("pass --accept-outage to accept the outage"));
    }
    if risk == Risk::DestroysData && !global.accept_data_loss {
        return Err(
            Failure::new(Exit::Blocked, "data would be deleted").hint("pass --accept-data-loss if this is intended")
        );
    }
    Ok(())
}

/// Has the cluster's name typed: whoever is in the wrong directory sees it now.
fn named(session: &Session) -> Result<(), Failure> {
    let cluster = session.desired().cluster.as_str();
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Usage,
            "cannot prompt for the name of the cluster: stdin is not a terminal",
        )
        .hint(format!(
            "review `quorate plan destroy`, then pass --name with the name of the cluster ({cluster} in {})",
            session.loaded.path.display()
        )));
    }
    match answer("This DESTROYS the cluster. Type its name to continue: ") {
        typed if typed == cluster => Ok(()),
        _ => Err(Failure::new(Exit::Interrupted, "nothing was changed")),
    }
}

/// Asks one question on the terminal.
///
/// # Errors
/// When the answer is not yes, or there is no terminal to ask on.
pub fn ask(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "cannot prompt: stdin is not a terminal")
            .hint("review `quorate plan`, then pass --yes"));
    }
    match answer(&format!("{question} [y/N] ")).as_str() {
        "y" | "Y" | "yes" | "Yes" => Ok(()),
        _ => Err(Failure::new(Exit::Interrupted, "nothing was changed")),
    }
}

/// One line from the terminal.
fn answer(question: &str) -> String {
    // Whoever pressed a key before the plan was on the screen has not answered it.
    let _ = tcflush(std::io::stdin(), QueueSelector::IFlush);
    tell_all!("{question}");
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    answer.trim().to_owned()
}
