//! `maintain`, `stop`, `start`: members that are down on purpose.

use std::io::{BufRead, IsTerminal};

use futures::future::join_all;
use jiff::Timestamp;
use rustix::termios::{QueueSelector, tcflush};

use super::args::{Global, Maintain, Stop};
use super::backup_schedule::reports;
use super::converge::{Parts, bring_about};
use super::error::{Exit, Failure};
use super::interrupt::unless;
use super::lock::who;
use super::session::Session;
use crate::backup::schedule::missed;
use crate::inventory::NodeName;
use crate::ops::model::Intent;
use crate::ops::observe::observe_hosts;
use crate::ops::rest::{Purpose, RestNote};
use crate::render::SchedulePaths;
use crate::report::print::tell_all;
use crate::report::quiet;

/// `maintain NAME`: stops the member, waits for the operator, starts it; or one half of that.
///
/// # Errors
/// See the exit codes.
pub async fn maintain(global: &Global, args: &Maintain) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    session.spec(&args.node)?;
    if args.done {
        return end(session, &args.node).await;
    }
    let both = !args.stop && !global.dry_run;
    if both && (session.json() || !std::io::stdin().is_terminal()) {
        return Err(Failure::new(
            Exit::Usage,
            "cannot wait for the end of the maintenance: stdin is not a terminal",
        )
        .hint(format!(
            "stop the member with `quorate maintain {0} --stop`, and start it afterwards with `quorate maintain {0} --done`",
            args.node
        )));
    }
    let changed = rest(&session, &args.node).await?;
    let next = format!("`quorate maintain {} --done` starts it again", args.node);
    if !both {
        let already = if changed == 0 { "already " } else { "" };
        let summary = format!("{} is {already}down for maintenance; {next}", args.node);
        session.finish(true, changed, summary);
        return Ok(Exit::Done);
    }
    session.note(&format!("{} is down, and stays down when its host reboots", args.node));
    unless(session.stop(), enter(&session, &args.node))
        .await
        .map_err(|failure| Failure {
            message: format!("{} stays down for maintenance", args.node),
            ..failure.hint(next)
        })?;
    // Its connections may be hours old, and its host may have been away.
    end(Session::open(global)?, &args.node).await
}

async fn rest(session: &Session, node: &NodeName) -> Result<usize, Failure> {
    let intent = Intent::Maintain {
        node: node.clone(),
        note: note(Purpose::Maintenance),
    };
    bring_about(session, Parts::of(session)?, &intent, None).await
}

async fn end(session: Session, node: &NodeName) -> Result<Exit, Failure> {
    let intent = Intent::EndMaintenance { node: node.clone() };
    let changed = bring_about(&session, Parts::of(&session)?, &intent, None).await?;
    catch_up(&session, changed).await;
    let summary = match changed {
        0 => format!("{node} is not in maintenance: nothing to do"),
        _ => format!("the maintenance of {node} is over"),
    };
    session.finish(true, changed, summary);
    Ok(Exit::Done)
}

/// Waits for Enter.
async fn enter(session: &Session, node: &NodeName) -> Result<(), Failure> {
    let _quiet = quiet(session.reporter.as_ref());
    // Whoever pressed a key before has not answered this.
    let _ = tcflush(std::io::stdin(), QueueSelector::IFlush);
    tell_all!("Press Enter when the host of {node} is ready (Ctrl-C leaves it down) ");
    let (pressed, wait) = tokio::sync::oneshot::channel();
    // A thread of its own: nobody waits for it when the operator leaves.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let _ = pressed.send(read.is_ok_and(|bytes| bytes > 0));
    });
    match wait.await {
        Ok(true) => Ok(()),
        _ => Err(Failure::new(Exit::Interrupted, "the terminal is gone")),
    }
}

/// `stop`: every member, until `start`.
///
/// # Errors
/// See the exit codes.
pub async fn stop(global: &Global, args: &Stop) -> Result<Exit, Failure> {
    let session = whole(global)?;
    for name in &args.without {
        session.spec(name)?;
    }
    let intent = Intent::Stop {
        note: note(Purpose::Outage),
        without: args.without.iter().cloned().collect(),
    };
    let changed = bring_about(&session, Parts::without_bundle(&session), &intent, None).await?;
    let cluster = &session.desired().cluster;
    let summary = match changed {
        0 => format!("{cluster} is stopped already: nothing to do"),
        _ => format!("{cluster} is stopped; `quorate start` starts it again"),
    };
    session.finish(true, changed, summary);
    Ok(Exit::Done)
}

/// `start`: every member that is down and not in maintenance.
///
/// # Errors
/// See the exit codes.
pub async fn start(global: &Global) -> Result<Exit, Failure> {
    let session = whole(global)?;
    let changed = bring_about(&session, Parts::of(&session)?, &Intent::Start, None).await?;
    catch_up(&session, changed).await;
    let cluster = &session.desired().cluster;
    let summary = match changed {
        0 => format!("{cluster} is running: nothing to do"),
        _ => format!("{cluster} is running again"),
    };
    session.finish(true, changed, summary);
    Ok(Exit::Done)
}

/// Has the hosts take the scheduled backup that was due while all of them were down on purpose. They agree on who does, as
/// when their timers ring.
async fn catch_up(session: &Session, changed: usize) {
    if changed == 0 || session.desired().backup.is_none() {
        return;
    }
    let seen = observe_hosts(&session.fleet()).await;
    let reports = reports(session.desired(), &seen);
    let due = missed(&reports);
    if due.is_empty() {
        return;
    }
    let begun = join_all(
        due.iter()
            .filter_map(|name| session.desired().hosts.get(*name))
            .map(async |spec| {
                let host = session.fleet().host(spec).await?;
                host.begin_timer_run(&SchedulePaths::of(spec).unit).await
            }),
    );
    match begun.await.into_iter().find_map(Result::err) {
        None => session.note("the scheduled backup that was due meanwhile is taken now"),
        // The next round comes by itself.
        Some(error) => session.note(&format!(
            "the scheduled backup that was due meanwhile is not taken: {error}"
        )),
    }
}

/// A cluster is stopped and started as a whole.
pub(super) fn whole(global: &Global) -> Result<Session, Failure> {
    match global.limit.first() {
        None => Session::open(global),
        Some(name) => Err(Failure::new(
            Exit::Usage,
            "this command is about the whole cluster: it takes no --limit",
        )
        .hint(format!("omit --limit; for one host there is `quorate maintain {name}`"))),
    }
}

/// A note of this moment.
pub(super) fn note(purpose: Purpose) -> RestNote {
    let now = Timestamp::now();
    RestNote {
        purpose,
        // As precise as it is told.
        since: Timestamp::from_second(now.as_second()).unwrap_or(now),
        by: who(),
    }
}
