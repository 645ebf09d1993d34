//! Asking before something is done that cannot go unnoticed.

use std::io::{BufRead, IsTerminal, Write};

use super::error::{Exit, Failure};
use super::session::Session;
use crate::ops::plan::{Plan, Risk};

/// Asks, unless the plan is harmless or `--yes` was said; refuses what takes a flag of its own.
///
/// # Errors
/// When the answer is no, nobody can be asked, or the plan costs more than was allowed.
pub fn plan(session: &Session, plan: &Plan) -> Result<(), Failure> {
    let risk = plan.risk();
    if risk == Risk::Outage && !session.global.accept_outage {
        return Err(Failure::new(Exit::Blocked, "clients would be without etcd meanwhile")
            .hint("say --accept-outage if that is acceptable now"));
    }
    if risk == Risk::DestroysData && !session.global.accept_data_loss {
        return Err(
            Failure::new(Exit::Blocked, "data would be deleted").hint("say --accept-data-loss if that is meant")
        );
    }
    if session.global.yes || risk == Risk::ReadOnly {
        return Ok(());
    }
    let question = match risk {
        Risk::ReadOnly | Risk::Reversible => "Do this?",
        Risk::ReducesRedundancy => "Do this? One member at a time will be down meanwhile.",
        Risk::Outage => "Do this? Clients will be WITHOUT ETCD meanwhile.",
        Risk::DestroysData => "Do this? Data will be DELETED.",
    };
    ask(question)
}

/// Asks one question on the terminal.
///
/// # Errors
/// When the answer is not yes, or there is no terminal to ask on.
pub fn ask(question: &str) -> Result<(), Failure> {
    let mut stderr = std::io::stderr();
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::new(Exit::Usage, "nobody can be asked: standard input is not a terminal")
                .hint("look at `quorate plan`, then say --yes"),
        );
    }
    let _ = write!(stderr, "{question} [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    match answer.trim() {
        "y" | "Y" | "yes" | "Yes" => Ok(()),
        _ => Err(Failure::new(Exit::Interrupted, "nothing was changed")),
    }
}
