//! `recover`: the majority is gone for good. A backup of the newest data that is left, then a restore of it on every host
//! that takes part.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;

use super::args::{Global, Recover};
use super::converge::{Parts, bring_about};
use super::error::{Exit, Failure};
use super::restore::{self, Terms};
use super::session::Session;
use crate::backup::{Entry, Source, list};
use crate::etcd::RaftLog;
use crate::host::DataState;
use crate::inventory::NodeName;
use crate::ops::fleet::Fleet;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, Intent, Observed};
use crate::ops::recover::{REASON, RecoverOrder};
use crate::ops::safety::restore::note_of;
use crate::ops::sight::Sight;

/// Rebuilds the cluster from the newest survivor; begun before, it goes on.
///
/// # Errors
/// See the exit codes.
pub async fn recover(global: &Global, args: &Recover) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    session.may_change().await?;
    for name in args.without.iter().chain(&args.from) {
        session.spec(name)?;
    }
    // Before anything is stopped: the second half needs its releases.
    session.bundle()?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = session.phase("look", session.look(&fleet, &vault)).await?;
    let (entry, changed) = match begun(&session, &seen)? {
        Some(entry) => (entry, 0),
        None => {
            let order = RecoverOrder {
                from: args.from.clone(),
                without: args.without.clone(),
                logs: session.phase("read the raft logs", logs(&fleet, &seen)).await,
            };
            let intent = Intent::Recover(Box::new(order));
            let changed = bring_about(&session, Parts::without_bundle(&session), &intent, None).await?;
            (newest(&session)?, changed)
        }
    };
    let text = format!("continues from {}", entry.path.display());
    session.note(&text);
    let backup = vault.unlock(Source::open(&entry.path)?).await?;
    let terms = Terms {
        without: args.without.clone(),
        bump: !args.no_bump,
        snapshot_first: false,
        any_cluster: false,
        unsigned: false,
    };
    let order = session
        .phase("check the backup", restore::order(&terms, backup.clone()))
        .await?;
    let parts = Parts::of(&session)?.with_backup(backup);
    let restored = bring_about(&session, parts, &Intent::Restore(Box::new(order)), None).await?;
    restore::afterwards(&session).await?;
    session.finish(
        true,
        changed + restored,
        format!(
            "{} was rebuilt from the data of {}, revision {}",
            session.desired().cluster,
            entry.manifest.taken_from,
            entry.manifest.revision
        ),
    );
    Ok(Exit::Done)
}

/// The backup of a recovery whose second half was begun: the hosts' notes name it.
fn begun(session: &Session, seen: &Observed) -> Result<Option<Entry>, Failure> {
    let Some(note) = note_of(session.desired(), &seen.hosts).map_err(|refusal| vec![refusal])? else {
        return Ok(None);
    };
    let found = recoveries(session)?
        .into_iter()
        .find(|entry| entry.manifest.snapshot.sha256 == note.sha256);
    match found {
        Some(entry) => Ok(Some(entry)),
        None => Err(Failure::new(
            Exit::Blocked,
            format!(
                "a restore of {} was started at {} and has not finished",
                note.file, note.begun
            ),
        )
        .hint(Sight::of(session.desired(), seen).hint(
            "make sure that every host can be inspected first",
            Some(&LastResort::finish(&note)),
        ))),
    }
}

fn newest(session: &Session) -> Result<Entry, Failure> {
    let newest = recoveries(session)?.into_iter().find(|entry| entry.standing.counts());
    newest.ok_or_else(|| Failure::new(Exit::Unexpected, "the backup of the survivor's data is not in backups/"))
}

/// The backups that recoveries took, newest first.
fn recoveries(session: &Session) -> Result<Vec<Entry>, Failure> {
    let trust = session.vault().trust()?;
    let listing = list(
        &session.base().join("backups"),
        &session.desired().cluster,
        &trust,
        Timestamp::now(),
    )?;
    let ours = listing
        .entries
        .into_iter()
        .filter(|entry| entry.manifest.reason == REASON);
    Ok(ours.collect())
}

/// How far the raft log of every host that answers goes.
async fn logs(fleet: &std::sync::Arc<Fleet>, seen: &Observed) -> BTreeMap<NodeName, Fact<RaftLog>> {
    let each = seen.hosts.iter().map(|(name, fact)| async move {
        let log = match fact {
            Fact::Known(facts) if facts.data.state == DataState::Bootstrapped => log(fleet, name).await,
            Fact::Known(_) | Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(crate::ops::model::why_and_help(why).0.to_owned()),
        };
        (name.clone(), log)
    });
    join_all(each).await.into_iter().collect()
}

async fn log(fleet: &std::sync::Arc<Fleet>, name: &NodeName) -> Fact<RaftLog> {
    let Some(spec) = fleet.desired().hosts.get(name) else {
        return Fact::Unknown("it is not in the inventory".to_owned());
    };
    let read = async { fleet.host(spec).await?.newest_wal().await };
    match read.await {
        Ok(segment) => match RaftLog::read(&segment.name, &segment.bytes) {
            Ok(log) => Fact::Known(log),
            Err(why) => Fact::Unknown(why),
        },
        Err(error) => Fact::Unknown(error.to_string()),
    }
}
