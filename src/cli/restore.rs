//! `restore FILE`: a whole new cluster from a backup.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::args::{Global, Restore};
use super::backup::{open, take};
use super::backup_trust::vouch;
use super::converge::{Parts, bring_about};
use super::error::{Exit, Failure};
use super::session::Session;
use crate::backup::{Kind, Seal, Unlocked};
use crate::etcd::AlarmKind;
use crate::inventory::NodeName;
use crate::ops::exec::real::RealWorld;
use crate::ops::model::{Intent, Observed};
use crate::ops::restore::{RestoreOrder, bump};
use crate::ops::safety::upkeep::way_out;
use crate::ops::sight::Sight;
use crate::report::{Event, human_bytes};

/// The reason in the manifest of a new cluster's first backup.
const FIRST: &str = "after-restore";

/// Goes back to a backup on all hosts; begun before, it goes on.
///
/// # Errors
/// See the exit codes. A file that is damaged, sealed to others or no backup at all is refused before anything else.
pub async fn restore(global: &Global, args: &Restore) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    session.may_change().await?;
    for name in &args.without {
        session.spec(name)?;
    }
    let vault = session.vault();
    let backup = vault.unlock(open(&args.file, args.bare)?).await?;
    vouch(&session, backup.source(), args.unsigned)?;
    let terms = Terms {
        without: args.without.clone(),
        bump: !args.no_bump,
        snapshot_first: !global.no_snapshot,
        any_cluster: args.from_another_cluster,
        unsigned: args.unsigned,
    };
    let order = session.phase("check the backup", order(&terms, backup.clone())).await?;
    let size = human_bytes(order.snapshot.size);
    session.note(&format!("{}: {size}, checksums verified", args.file.display()));

    let parts = Parts::of(&session)?.with_backup(backup);
    let changed = bring_about(&session, parts, &Intent::Restore(Box::new(order)), None).await?;
    afterwards(&session).await?;
    session.finish(
        true,
        changed,
        format!(
            "{} was restored from {}",
            session.desired().cluster,
            args.file.display()
        ),
    );
    Ok(Exit::Done)
}

/// What follows once the data is back: what to start, and a first backup of the new cluster. Alarms are part of the
/// data: one that was on when the backup was taken is on again.
///
/// # Errors
/// When the cluster cannot be inspected any more.
pub(super) async fn afterwards(session: &Session) -> Result<(), Failure> {
    if session.global.dry_run {
        return Ok(());
    }
    let seen = session.look(&session.fleet(), &session.vault()).await?;
    let alarms = seen.cluster.known().into_iter().flat_map(|m| &m.alarms);
    let kinds: BTreeSet<AlarmKind> = alarms.map(|alarm| alarm.kind).collect();
    let sight = Sight::of(session.desired(), &seen);
    for kind in kinds {
        let (hint, last) = way_out(kind);
        session.reporter.event(&Event::Warning {
            node: None,
            text: format!(
                "the alarm {} is active, as it was when the backup was taken",
                kind.word()
            ),
            hint: Some(sight.hint(hint, last.as_ref())),
        });
    }
    let after = "Kubernetes: start the API servers again (move their manifests back), then restart controller managers, \
                 schedulers, kubelets and anything else that caches (network plugins, operators); objects created after the backup are gone, but whatever they started may still be \
                 running";
    session.note(after);
    if !session.global.no_snapshot {
        first_backup(session, seen).await;
    }
    Ok(())
}

/// From here on the new cluster has a history of its own, of which no backup knows (docs/etcd.md, "Snapshots and
/// restores"). It works by now, and may be used meanwhile: without this backup it is restored all the same.
async fn first_backup(session: &Session, seen: Observed) {
    let vault = session.vault();
    let world = RealWorld::new(session.fleet(), vault.clone(), None, seen);
    let taken = async {
        let seal = Seal::To(vault.recipients()?);
        take(session, &world, FIRST, None, seal).await
    };
    if let Err(failure) = taken.await {
        session.reporter.event(&Event::Warning {
            node: None,
            text: format!("there is no backup of the new cluster yet: {}", failure.message),
            hint: Some("take one with `quorate backup create`".to_owned()),
        });
    }
}

/// On what terms a backup is restored.
pub(super) struct Terms {
    /// Hosts that take no part.
    pub without: Vec<NodeName>,
    /// Raise revisions, so that nobody's cache goes stale unnoticed.
    pub bump: bool,
    /// Take a snapshot of what is there first.
    pub snapshot_first: bool,
    /// Take a backup of another cluster.
    pub any_cluster: bool,
    /// Take what this cluster's CA did not sign.
    pub unsigned: bool,
}

/// Reads the whole backup before anything is stopped for it.
pub(super) async fn order(terms: &Terms, backup: Unlocked) -> Result<RestoreOrder, Failure> {
    let source = backup.source();
    let (bare, manifest) = (matches!(source.kind(), Kind::Bare { .. }), source.manifest().cloned());
    let file = source
        .path()
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let snapshot = tokio::task::spawn_blocking(move || backup.digest())
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let begun = Timestamp::now();
    let taken_at = manifest.as_ref().map(|manifest| manifest.taken_at);
    Ok(RestoreOrder {
        snapshot,
        file: file.unwrap_or_default(),
        bare,
        manifest,
        begun,
        bump: terms.bump.then(|| bump(taken_at, begun)),
        without: terms.without.clone(),
        snapshot_first: terms.snapshot_first,
        any_cluster: terms.any_cluster,
        unsigned: terms.unsigned,
    })
}
