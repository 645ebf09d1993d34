//! `backup create`, `list`, `prune`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::{BackupCommand, CreateArgs, Global, PruneArgs};
use super::backup_schedule::schedule;
use super::backup_verify::verify;
use super::error::{Exit, Failure};
use super::many::part::Answer;
use super::session::Session;
use super::{backup_places as places, backup_run};
use super::{closed, confirm, sight};
use crate::backup::place::{Address, Kept};
use crate::backup::trust::is_ahead;
use crate::backup::{BackupError, Candidate, Entry, Keep, Manifest, Seal, Source, Standing, expired, list};
use crate::ops::exec::real::{RealWorld, Taken};
use crate::ops::model::Fact;
use crate::pki::Recipient;
use crate::report::print::{data, say, say_all};
use crate::report::{Cell, Event, Table, Tone, chain, human_bytes, one_line, terminal_width};

/// Does what a `backup` command asks.
///
/// # Errors
/// See the exit codes.
pub async fn backup(global: &Global, command: &BackupCommand) -> Result<Exit, Failure> {
    let open = || Session::open(global);
    match command {
        BackupCommand::Create(args) => create(&open()?, args).await,
        BackupCommand::List {
            dir: None,
            at: Some(at),
        } => show_at(&open()?, at).await,
        BackupCommand::List { dir, .. } => show(&open()?, dir.as_deref()),
        BackupCommand::Fetch { name, at, out } => places::fetch(&open()?, name.as_deref(), at, out.as_deref()).await,
        BackupCommand::Verify(args) => verify(&open()?, args).await,
        BackupCommand::Schedule(args) => schedule(&open()?, args).await,
        // On a host, where there is no inventory.
        BackupCommand::Run { orders } => backup_run::run(orders).await,
        BackupCommand::Prune(args) => match &args.at {
            Some(at) => prune_at(&open()?, args, at).await,
            None => prune(&open()?, args),
        },
    }
}

async fn create(session: &Session, args: &CreateArgs) -> Result<Exit, Failure> {
    // What takes a backup signs it, and has read everything.
    session.may_change().await?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seal = match (args.plain, args.recipient.is_empty()) {
        (true, _) => Seal::Plain,
        (false, true) => Seal::To(vault.recipients()?),
        (false, false) => Seal::To(recipients(&args.recipient)?),
    };
    let seen = session.phase("look", session.look(&fleet, &vault)).await?;
    closed::to_others(session, &seen)?;
    if let (Fact::Unknown(_), Some(failure)) = (&seen.cluster, sight::in_the_dark(session.desired(), &seen)) {
        return Err(failure);
    }
    let world = RealWorld::new(fleet, vault, None, seen);
    let taken = take(session, &world, &args.reason, args.out.clone(), seal).await?;
    if session.json() && session.global.part.is_none() {
        data(&json!({ "event": "backup", "file": taken.path, "manifest": taken.manifest }).to_string());
    }
    places::put(session, &taken.path, &args.to).await?;
    let summary = format!(
        "{} contains everything up to revision {}",
        taken.path.display(),
        taken.manifest.revision
    );
    session.finish(true, 1, summary);
    Ok(Exit::Done)
}

/// Takes a backup, told as it goes.
///
/// # Errors
/// When no member is healthy, or the file cannot be written.
pub(super) async fn take(
    session: &Session,
    world: &RealWorld,
    reason: &str,
    out: Option<PathBuf>,
    seal: Seal,
) -> Result<Taken, Failure> {
    let step = "backup".to_owned();
    let progress = |done, total| {
        session.reporter.event(&Event::StepProgress {
            step: step.clone(),
            node: None,
            unit: "bytes",
            done,
            total,
        });
    };
    let started = Event::StepStarted {
        step: step.clone(),
        node: None,
        what: "take a snapshot".to_owned(),
    };
    session.reporter.event(&started);
    let begun = std::time::Instant::now();
    let taken = session
        .phase("snapshot", world.take_backup(reason, out, seal, &progress))
        .await?;
    let seconds = begun.elapsed().as_secs_f64();
    let size = taken.manifest.snapshot.size;
    let rate = human_bytes((size as f64 / seconds.max(0.001)) as u64);
    let saw = format!("{} from {}, {rate}/s", human_bytes(size), taken.manifest.taken_from);
    session.reporter.event(&Event::StepFinished {
        step,
        node: None,
        seconds,
        saw,
    });
    Ok(taken)
}

fn recipients(entries: &[String]) -> Result<Vec<Recipient>, Failure> {
    Recipient::parse_all(entries, Path::new(".")).map_err(|errors| {
        let details = errors.into_iter().map(|error| super::error::Detail {
            node: None,
            message: error.to_string(),
            hint: error.hint,
        });
        Failure {
            details: details.collect(),
            ..Failure::new(Exit::Usage, "--recipient cannot be used")
        }
    })
}

fn directory(session: &Session, dir: Option<&Path>) -> PathBuf {
    dir.map_or_else(|| session.base().join("backups"), Path::to_owned)
}

fn show(session: &Session, dir: Option<&Path>) -> Result<Exit, Failure> {
    let dir = directory(session, dir);
    let now = Timestamp::now();
    let listing = list(&dir, &session.desired().cluster, &session.vault().trust()?, now)?;
    warn_about(session, &listing.unusable);
    let shown = listing.entries.iter().map(|e| Shown {
        file: json!(e.path),
        name: places::name_of(&e.path),
        bytes: e.bytes,
        sealed: e.sealed,
        manifest: &e.manifest,
        standing: &e.standing,
    });
    tell_list(session, &dir.display().to_string(), &shown.collect::<Vec<_>>(), now);
    Ok(Exit::Done)
}

/// The same for a place that is not a directory here.
async fn show_at(session: &Session, at: &Address) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let kept = places::list(session, at).await?;
    let shown = kept.iter().map(|k| Shown {
        file: json!(k.file.name),
        name: k.file.name.clone(),
        bytes: k.file.bytes,
        sealed: true,
        manifest: &k.manifest,
        standing: &k.standing,
    });
    tell_list(session, &at.to_string(), &shown.collect::<Vec<_>>(), now);
    Ok(Exit::Done)
}

/// A backup in a list.
struct Shown<'a> {
    file: Value,
    name: String,
    bytes: u64,
    sealed: bool,
    manifest: &'a Manifest,
    standing: &'a Standing,
}

/// The backups of one cluster of several.
#[derive(Debug)]
pub(super) struct Backups {
    rows: Vec<Value>,
    /// When the newest one was taken that counts.
    pub(super) newest: Option<Timestamp>,
    /// How large that is.
    pub(super) newest_bytes: Option<u64>,
}

impl Backups {
    /// How many count.
    pub(super) fn counting(&self) -> usize {
        self.rows.iter().filter(|row| row["counts"] == true).count()
    }

    /// As `--output json` tells them.
    pub(super) fn object(&self) -> Value {
        json!({ "backups": self.rows })
    }
}

/// The list, newest first.
fn tell_list(session: &Session, place: &str, shown: &[Shown<'_>], now: Timestamp) {
    let newest = shown.iter().find(|one| one.standing.counts());
    let backups = Backups {
        rows: shown.iter().map(|one| row(one, now)).collect(),
        newest: newest.map(|one| one.manifest.taken_at),
        newest_bytes: newest.map(|one| one.bytes),
    };
    if let Some(part) = &session.global.part {
        part.answer(Answer::Backups(backups));
    } else if session.json() {
        data(&backups.object().to_string());
    } else if shown.is_empty() {
        say!("{place} contains no backup of {}", session.desired().cluster);
    } else {
        say_all!("{}\n", table(shown, now));
    }
}

/// A backup as `--output json` tells it.
fn row(one: &Shown<'_>, now: Timestamp) -> Value {
    json!({
        "file": one.file,
        "bytes": one.bytes,
        "signed_by": one.standing.signed_by().map(ToString::to_string),
        "counts": one.standing.counts(),
        "finding": one.standing.finding(one.manifest, now),
        "manifest": one.manifest,
    })
}

fn table(shown: &[Shown<'_>], now: Timestamp) -> String {
    let columns = [
        "TAKEN",
        "REASON",
        "REVISION",
        "KEYS",
        "SNAPSHOT",
        "FROM",
        "ETCD",
        "SIGNED BY",
        "FILE",
    ];
    let mut table = Table::new(columns)
        .right(["REVISION", "KEYS", "SNAPSHOT"])
        .spare(["KEYS", "ETCD", "REVISION", "FROM", "REASON"]);
    let mut findings = Vec::new();
    for one in shown {
        let Shown {
            name: file,
            manifest,
            standing,
            ..
        } = one;
        let finding = standing.finding(manifest, now);
        let signer = standing
            .signed_by()
            .map_or_else(|| "UNSIGNED".to_owned(), ToString::to_string);
        let signer = match &finding {
            None => Cell::new(signer),
            Some(_) => Cell::new(signer).tone(Tone::Bad),
        };
        findings.extend(finding.map(|text| one_line(&format!("{file}: {text}"))));
        let file = if one.sealed {
            Cell::new(file.clone())
        } else {
            Cell::new(format!("{file} (not sealed)")).tone(Tone::Warn)
        };
        table.row([
            Cell::new(manifest.taken_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()),
            Cell::new(manifest.reason.clone()),
            Cell::new(manifest.revision.to_string()),
            Cell::new(manifest.keys.to_string()),
            Cell::new(human_bytes(manifest.snapshot.size)),
            Cell::new(manifest.taken_from.clone()),
            Cell::new(manifest.etcd_version.to_string()),
            signer,
            file,
        ]);
    }
    let mut text = table.render(terminal_width(), true);
    for finding in findings {
        text.push('\n');
        text.push_str(&finding);
    }
    text
}

fn warn_about(session: &Session, unusable: &[BackupError]) {
    for error in unusable {
        session.reporter.event(&Event::Warning {
            node: None,
            text: chain(error),
            hint: Some(error.hint()),
        });
    }
}

/// What a file is; one that the operator calls bare is taken at their word.
pub(super) fn open(path: &Path, bare: bool) -> Result<Source, BackupError> {
    match bare {
        true => Source::open_bare(path),
        false => Source::open(path),
    }
}

pub(super) fn newest(session: &Session) -> Result<PathBuf, Failure> {
    let dir = directory(session, None);
    let listing = list(
        &dir,
        &session.desired().cluster,
        &session.vault().trust()?,
        Timestamp::now(),
    )?;
    let newest = listing.newest().map(|entry| entry.path);
    newest.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!(
                "{} contains no signed backup of {}",
                dir.display(),
                session.desired().cluster
            ),
        )
        .hint("see `quorate backup list` and pass one, or take one with `quorate backup create`")
    })
}

/// The rules of `prune`, which must keep something.
fn rules(args: &PruneArgs) -> Result<Keep, Failure> {
    let keep = Keep::from(args.keep);
    if keep.is_nothing() {
        return Err(
            Failure::new(Exit::Usage, "these rules would delete every backup").hint("keep at least one: --keep-last 1")
        );
    }
    Ok(keep)
}

/// What no rule keeps; says what has no part in it.
fn outside<'a>(
    session: &Session,
    args: &PruneArgs,
    all: impl Iterator<Item = Candidate<'a>>,
) -> Result<Vec<usize>, Failure> {
    let keep = rules(args)?;
    let (all, now) = (all.collect::<Vec<_>>(), Timestamp::now());
    let out = |one: &&Candidate<'_>| match one.standing {
        Standing::Signed(_) => false,
        Standing::Ahead(_) => true,
        Standing::Unsigned(_) => !args.unsigned || is_ahead(one.manifest, now),
    };
    let held = all.iter().filter(out).count();
    if held > 0 {
        session.reporter.event(&Event::Warning {
            node: None,
            text: format!(
                "{held} not signed by this cluster's CA, or dated in the future: neither counted nor deleted"
            ),
            hint: Some("`quorate backup list` says which and why; --unsigned prunes the unsigned ones, too".to_owned()),
        });
    }
    Ok(expired(&all, &keep, args.unsigned, now))
}

async fn prune_at(session: &Session, args: &PruneArgs, at: &Address) -> Result<Exit, Failure> {
    rules(args)?;
    let kept = places::list(session, at).await?;
    let gone: Vec<_> = outside(session, args, kept.iter().map(Kept::candidate))?
        .into_iter()
        .map(|index| &kept[index])
        .collect();
    for one in &gone {
        let text = format!("{} is not kept ({})", one.file.name, human_bytes(one.file.bytes));
        session.note(&text);
    }
    if args.dry_run || gone.is_empty() {
        session.finish(
            true,
            0,
            format!("{} of {} backups would be deleted", gone.len(), kept.len()),
        );
        return Ok(Exit::Done);
    }
    if !session.global.yes {
        confirm::ask(&format!("Delete {} of {} backups in {at}?", gone.len(), kept.len()))?;
    }
    places::delete(session, at, &gone).await?;
    session.finish(
        true,
        gone.len(),
        format!("{} of {} backups were deleted", gone.len(), kept.len()),
    );
    Ok(Exit::Done)
}

fn prune(session: &Session, args: &PruneArgs) -> Result<Exit, Failure> {
    rules(args)?;
    let listing = list(
        &directory(session, args.dir.as_deref()),
        &session.desired().cluster,
        &session.vault().trust()?,
        Timestamp::now(),
    )?;
    warn_about(session, &listing.unusable);
    let gone: Vec<&Entry> = outside(session, args, listing.entries.iter().map(Entry::candidate))?
        .into_iter()
        .map(|index| &listing.entries[index])
        .collect();
    for entry in &gone {
        session.note(&format!(
            "{} is not kept ({})",
            entry.path.display(),
            human_bytes(entry.bytes)
        ));
    }
    if args.dry_run || gone.is_empty() {
        session.finish(
            true,
            0,
            format!("{} of {} backups would be deleted", gone.len(), listing.entries.len()),
        );
        return Ok(Exit::Done);
    }
    if !session.global.yes {
        confirm::ask(&format!("Delete {} of {} backups?", gone.len(), listing.entries.len()))?;
    }
    for entry in &gone {
        entry.delete()?;
    }
    session.finish(
        true,
        gone.len(),
        format!("{} of {} backups were deleted", gone.len(), listing.entries.len()),
    );
    Ok(Exit::Done)
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let hint = error.hint();
        let exit = match error {
            BackupError::Read { .. } | BackupError::NotABackup { .. } | BackupError::Exists { .. } => Exit::Usage,
            _ => Exit::StepFailed,
        };
        Failure::new(exit, chain(&error)).hint(hint)
    }
}
