//! `restore FILE`: a whole new cluster from a backup.

use jiff::Timestamp;

use super::args::{Global, Restore};
use super::converge::{Parts, bring_about};
use super::error::{Exit, Failure};
use super::session::Session;
use crate::backup::{Kind, Source, Unlocked};
use crate::ops::model::Intent;
use crate::ops::restore::RestoreOrder;
use crate::report::human_bytes;

/// As etcd's own documentation has it: more than any cluster writes between a snapshot and its loss.
const BUMP: u64 = 1_000_000_000;

/// Goes back to a backup on all hosts; begun before, it goes on.
///
/// # Errors
/// See the exit codes. A file that is damaged, sealed to others or no backup at all is refused before anything else.
pub async fn restore(global: &Global, args: &Restore) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    for name in &args.without {
        session.spec(name)?;
    }
    let vault = session.vault();
    let backup = vault.unlock(Source::open(&args.file)?).await?;
    let order = session.phase("check the backup", order(args, backup.clone())).await?;
    let size = human_bytes(order.snapshot.size);
    session.note(&format!(
        "{}: {size}, every byte as it was written",
        args.file.display()
    ));

    let parts = Parts::of(&session)?.with_backup(backup);
    let changed = bring_about(&session, parts, &Intent::Restore(Box::new(order)), None).await?;
    let after = "Kubernetes: start the API servers again, then restart controller managers, schedulers and kubelets; \
                 objects made after the backup are gone while what they started may still run";
    session.note(after);
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

/// Reads the whole backup before anything is stopped for it.
async fn order(args: &Restore, backup: Unlocked) -> Result<RestoreOrder, Failure> {
    let source = backup.source();
    let (bare, manifest) = (matches!(source.kind(), Kind::Bare { .. }), source.manifest().cloned());
    let file = source
        .path()
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let snapshot = tokio::task::spawn_blocking(move || backup.digest())
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    Ok(RestoreOrder {
        snapshot,
        file: file.unwrap_or_default(),
        bare,
        manifest,
        begun: Timestamp::now(),
        bump: (!args.no_bump).then_some(BUMP),
        without: args.without.clone(),
        snapshot_first: !args.no_snapshot,
        any_cluster: args.from_another_cluster,
    })
}
