//! `defrag`, `compact`, `alarm`, `check-hashes`: upkeep of the databases.

use serde_json::json;

use super::args::{AlarmCommand, Global};
use super::closed;
use super::converge::{Parts, bring_about};
use super::error::{Exit, Failure};
use super::session::Session;
use super::sight;
use crate::ops::exec::real::{MemberHash, RealWorld};
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Intent, Observed, label};
use crate::ops::plan::count;
use crate::ops::sight::Sight;
use crate::report::print::{data, say, say_all, tell};
use crate::report::{Cell, Table, Tone, one_line, terminal_width};

/// `defrag`: every member whose file is worth it, the leader last.
///
/// # Errors
/// See the exit codes.
pub async fn defragment(global: &Global, force: bool) -> Result<Exit, Failure> {
    let intent = Intent::Defragment {
        limit: global.limit.clone(),
        force,
    };
    let (session, changed) = bring(global, &intent).await?;
    let summary = match changed {
        0 => "no member is worth defragmenting: nothing to do".to_owned(),
        _ => format!("the databases of {} were defragmented", session.desired().cluster),
    };
    session.finish(true, changed, summary);
    Ok(Exit::Done)
}

/// `compact`: forget all but the newest revisions.
///
/// # Errors
/// See the exit codes.
pub async fn compact(global: &Global, keep: u64) -> Result<Exit, Failure> {
    let (session, changed) = bring(global, &Intent::Compact { keep }).await?;
    let summary = match changed {
        0 => "nothing to compact".to_owned(),
        _ => "old revisions were compacted; `quorate defrag` returns the space to the disk".to_owned(),
    };
    session.finish(true, changed, summary);
    Ok(Exit::Done)
}

/// `alarm list`, `alarm disarm`.
///
/// # Errors
/// See the exit codes.
pub async fn alarm(global: &Global, command: &AlarmCommand) -> Result<Exit, Failure> {
    match command {
        AlarmCommand::List => list(global).await,
        AlarmCommand::Disarm => {
            let (session, changed) = bring(global, &Intent::Disarm).await?;
            let summary = match changed {
                0 => "no alarm is active: nothing to do",
                _ => "no alarm is active, and writes are accepted again",
            };
            session.finish(true, changed, summary.to_owned());
            Ok(Exit::Done)
        }
    }
}

async fn bring(global: &Global, intent: &Intent) -> Result<(Session, usize), Failure> {
    let session = Session::open(global)?;
    let changed = bring_about(&session, Parts::without_bundle(&session), intent, None).await?;
    Ok((session, changed))
}

async fn list(global: &Global) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let seen = session.look(&session.fleet(), &session.vault()).await?;
    closed::to_two_clusters(&session, &seen)?;
    let membership = sight::cluster(&session, &seen, Exit::Unhealthy)?;
    let names: Vec<(&str, String)> = membership
        .alarms
        .iter()
        .map(|alarm| {
            let member = membership.members.iter().find(|m| m.id == alarm.member);
            let name = member.map_or("(etcd does not say which)".to_owned(), |m| label(session.desired(), m));
            (alarm.kind.word(), name)
        })
        .collect();
    if session.json() {
        let rows: Vec<_> = names
            .iter()
            .map(|(kind, name)| json!({"alarm": kind, "member": name}))
            .collect();
        data(&json!({ "alarms": rows }).to_string());
    } else if names.is_empty() {
        say!("no alarm is active");
    } else {
        for (kind, name) in &names {
            say!("{kind} {}", one_line(name));
        }
        tell!("help: `quorate alarm disarm` fixes the cause first, then disarms the alarm");
    }
    Ok(if names.is_empty() { Exit::Done } else { Exit::Unhealthy })
}

/// `check-hashes`: whether all members hold the same data.
///
/// # Errors
/// When they cannot all be asked.
pub async fn check_hashes(global: &Global) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen: Observed = session.look(&fleet, &vault).await?;
    closed::to_two_clusters(&session, &seen)?;
    sight::every_voter(&session, sight::cluster(&session, &seen, Exit::StepFailed)?)?;
    let every_host = Sight::of(session.desired(), &seen);
    let hashes = RealWorld::new(fleet, vault, None, seen).hashes().await?;
    let odd: Vec<&MemberHash> = hashes.iter().filter(|hash| !hash.agrees).collect();
    if session.json() {
        let rows: Vec<_> = hashes
            .iter()
            .map(|h| {
                json!({"name": h.name, "revision": h.revision, "hash": h.hash, "compact_revision": h.compact_revision,
                       "agrees": h.agrees})
            })
            .collect();
        data(&json!({ "agree": odd.is_empty(), "members": rows }).to_string());
    } else {
        say_all!("{}\n", table(&hashes));
    }
    if odd.is_empty() {
        return Ok(Exit::Done);
    }
    if !session.json() {
        let help = "take a backup of a member that agrees with the others";
        let help = every_host.hint(help, Some(&LastResort::replace_the_odd_one(&odd[0].name)));
        tell!("{} differs. help: {help}", count(odd.len(), "member"));
    }
    Ok(Exit::Unhealthy)
}

fn table(hashes: &[MemberHash]) -> String {
    let mut table = Table::new(["MEMBER", "REVISION", "COMPACTED", "HASH"]).right(["REVISION", "COMPACTED"]);
    for hash in hashes {
        let text = format!("{:08x}", hash.hash);
        let cell = match hash.agrees {
            true => Cell::new(text),
            false => Cell::new(format!("{text} DIFFERS")).tone(Tone::Warn),
        };
        table.row([
            Cell::new(hash.name.clone()),
            Cell::new(hash.revision.to_string()),
            Cell::new(hash.compact_revision.to_string()),
            cell,
        ]);
    }
    table.render(terminal_width(), true)
}
