//! `backup verify`: a backup is restored here and etcd is asked what is in it; or, where this machine cannot run etcd, a host's
//! etcdutl reads it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::afar::{self, Place, Tool};
use super::args::VerifyArgs;
use super::backup::{newest, open};
use super::backup_trust::vouch;
use super::error::{Exit, Failure};
use super::interrupt::Endings;
use super::scratch::Scratch;
use super::session::Session;
use crate::backup::{DrillError, Findings, Manifest, Programs, RestoreTool, SnapshotDigest, Unlocked, drill};
use crate::bundle::{Bundle, BundleError, Program};
use crate::host::{Examine, Examined, HostFacts};
use crate::inventory::{Arch, NodeName, Version};
use crate::report::print::{data, say};
use crate::report::{chain, human_bytes, human_seconds};

/// `backup verify`.
///
/// # Errors
/// When the backup is damaged or not this cluster's, or nothing can read it.
pub async fn verify(session: &Session, args: &VerifyArgs) -> Result<Exit, Failure> {
    let path = args.file.clone().map_or_else(|| newest(session), Ok)?;
    let backup = session.vault().unlock(open(&path, args.bare)?).await?;
    vouch(session, backup.source(), args.unsigned)?;
    match afar::place(session, args.on.as_ref())? {
        Place::Here(arch) => restore_here(session, backup, arch, args.scratch.as_deref()).await,
        Place::Host { name, why } => read_there(session, backup, name, &why).await,
    }
}

async fn restore_here(
    session: &Session,
    backup: Unlocked,
    arch: Arch,
    scratch: Option<&Path>,
) -> Result<Exit, Failure> {
    let path = backup.source().path().to_owned();
    let manifest = backup.source().manifest().cloned();
    let mut endings = Endings::listen()?;
    let scratch = match scratch {
        Some(place) => Scratch::below(place)?,
        None => Scratch::below(&std::env::temp_dir())?,
    };
    let version = manifest.as_ref().map_or(session.desired().version, |m| m.etcd_version);
    let programs = extract(&session.bundle()?, arch, version, scratch.path())?;
    let held = session.phase("drill", drill(backup, &programs, scratch.path()));
    let found = tokio::select! {
        found = held => found?,
        // What was restored is the whole database in the clear: it goes before we do.
        () = endings.next() => return Ok(Exit::Interrupted),
    };
    print_restored(session, &path, manifest.as_ref(), &found);
    Ok(if found.contradictions.is_empty() {
        Exit::Done
    } else {
        Exit::Unhealthy
    })
}

/// The bundle's programs for this machine that fit a snapshot of `wanted`.
fn extract(bundle: &Bundle, arch: Arch, wanted: Version, dir: &Path) -> Result<Programs, Failure> {
    let native = || {
        bundle
            .manifest()
            .releases
            .iter()
            .filter(move |release| release.arch == arch)
    };
    let missing = || {
        Failure::new(
            Exit::Bundle,
            format!("the bundle has no program for {arch} that can restore a snapshot of {wanted}"),
        )
        .hint(format!(
            "add etcd {wanted} for {arch} to it with `quorate bundle create`"
        ))
    };
    // The release itself; else the nearest one that reads its data: the next newer one, or an older patch.
    let series = |version: &Version| *version >= wanted || version.series() == wanted.series();
    let versions = native().map(|release| release.version).filter(series);
    let etcd = versions.min_by_key(|v| (*v < wanted, *v)).ok_or_else(missing)?;
    let programs = native().flat_map(|release| release.files.keys().map(|program| (release.version, *program)));
    let tool = RestoreTool::choose(programs, etcd).ok_or_else(missing)?;
    let programs = Programs {
        etcd: dir.join("etcd"),
        restore: dir.join(tool.program.as_str()),
        kind: tool.program,
    };
    let no_room = |error: BundleError| match &error {
        BundleError::Write { .. } => Failure::new(Exit::StepFailed, chain(&error)).hint(
            "a drill needs about three times the snapshot's size and 100 MiB: pass a larger directory with --scratch",
        ),
        _ => Failure::from(error),
    };
    bundle
        .extract(etcd, arch, Program::Etcd, &programs.etcd)
        .map_err(no_room)?;
    bundle
        .extract(tool.version, arch, tool.program, &programs.restore)
        .map_err(no_room)?;
    Ok(programs)
}

/// From this release on etcdutl hashes keys as members do (`etcdutl hashkv`).
const HASHES_KEYS: Version = Version::new(3, 6, 0);

/// What of a snapshot is known without etcd on it.
struct Read {
    node: NodeName,
    tool: RestoreTool,
    seen: Examined,
    /// What does not fit the manifest; empty when all that could be compared does.
    contradictions: Vec<String>,
    /// Whether the hash of all keys was compared with the manifest's.
    compared: bool,
    open_seconds: f64,
    read_seconds: f64,
}

/// Sends the snapshot to a host, whose own etcdutl reads it: as etcd's account, in a directory that is gone afterwards.
async fn read_there(session: &Session, backup: Unlocked, on: Option<NodeName>, why: &str) -> Result<Exit, Failure> {
    let mut endings = Endings::listen()?;
    let path = backup.source().path().to_owned();
    let manifest = backup.source().manifest().cloned();
    let began = Instant::now();
    let backup = Arc::new(backup);
    let opened = backup.clone();
    let digest = joined(tokio::task::spawn_blocking(move || opened.digest()).await)?;
    let open_seconds = began.elapsed().as_secs_f64();

    let version = manifest.as_ref().map_or(session.desired().version, |m| m.etcd_version);
    let chosen = |facts: &HostFacts| reader(facts, version);
    let (host, spec, tool) = afar::followers_first(session, on, chosen, why, "etcdutl").await?;
    let revision = (tool.version >= HASHES_KEYS).then(|| manifest.as_ref().map_or(0, |m| m.revision));
    let tool = RestoreTool {
        version: tool.version,
        program: tool.program,
    };
    let program = spec.paths.release(tool.version).join(tool.program.as_str());
    let began = Instant::now();
    let what = Examine {
        program: &program,
        account: &spec.user,
        sha256: digest.sha256.clone(),
        size: digest.size,
        open: Arc::new(move || backup.reader()),
        revision,
    };
    let examined = session.phase("examine", host.examine(what));
    let seen = tokio::select! {
        seen = examined => seen?,
        // Its input ends with us, and then it clears away what it has.
        () = endings.next() => return Ok(Exit::Interrupted),
    };
    let (contradictions, compared) = held_against(&seen, manifest.as_ref());
    let read = Read {
        node: spec.name.clone(),
        tool,
        seen,
        contradictions,
        compared,
        open_seconds,
        read_seconds: began.elapsed().as_secs_f64(),
    };
    print_read(session, &path, manifest.as_ref(), &digest, &read);
    Ok(match read.contradictions.is_empty() {
        true => Exit::Done,
        false => Exit::Unhealthy,
    })
}

fn joined<T, E>(done: Result<Result<T, E>, tokio::task::JoinError>) -> Result<T, E> {
    match done {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// The program of this host that reads a snapshot of `wanted` best.
fn reader(facts: &HostFacts, wanted: Version) -> Option<Tool> {
    let programs = facts.releases.iter().flat_map(|(version, files)| {
        let known = |program: Program| files.contains_key(program.as_str()).then_some((*version, program));
        [Program::Etcdutl, Program::Etcdctl].into_iter().filter_map(known)
    });
    RestoreTool::choose(programs, wanted).map(|tool| Tool {
        version: tool.version,
        program: tool.program,
    })
}

/// What of it does not fit the manifest, and whether the keys' hash was compared.
fn held_against(seen: &Examined, manifest: Option<&Manifest>) -> (Vec<String>, bool) {
    let Some(manifest) = manifest else {
        return (Vec::new(), false);
    };
    let mut wrong = Vec::new();
    if seen.revision < manifest.revision {
        let text = format!(
            "it goes up to revision {} instead of {}",
            seen.revision, manifest.revision
        );
        return (vec![text], false);
    }
    let mut compared = false;
    if let (Some((hash, compacted)), Some(told)) = (seen.keys_hash, manifest.hash)
        && compacted == told.compact_revision
    {
        compared = true;
        if hash != told.hash {
            wrong.push(format!("its hash is {hash:08x} instead of {:08x}", told.hash));
        }
    }
    (wrong, compared)
}

fn print_read(session: &Session, path: &Path, manifest: Option<&Manifest>, digest: &SnapshotDigest, read: &Read) {
    let ok = read.contradictions.is_empty();
    if session.json() {
        let hash = read
            .seen
            .keys_hash
            .map(|(hash, compact_revision)| json!({ "hash": hash, "compact_revision": compact_revision }));
        let report = json!({
            "event": "finished",
            "ok": ok,
            "file": path,
            "read_on": read.node,
            "restored": false,
            "revision": read.seen.revision,
            "hash": hash.unwrap_or(Value::Null),
            "hash_compared": read.compared,
            "contradictions": read.contradictions,
            "seconds": session.begun.elapsed().as_secs_f64(),
        });
        data(&report.to_string());
        return;
    }
    say!(
        "{}: opened and checked in {}, {} read by {} {} on {} in {}, and deleted there",
        path.display(),
        human_seconds(read.open_seconds),
        human_bytes(digest.size),
        read.tool.program,
        read.tool.version,
        read.node,
        human_seconds(read.read_seconds)
    );
    match read.seen.keys_hash {
        Some((hash, _)) => say!("revision {}, hash {hash:08x}", read.seen.revision),
        None => say!("revision {}", read.seen.revision),
    }
    match manifest {
        Some(_) if !ok => {
            for text in &read.contradictions {
                say!("does NOT match its manifest: {text}");
            }
        }
        Some(m) if read.compared => {
            say!(
                "good: every key matches its manifest (cluster {}, taken {})",
                m.cluster,
                m.taken_at
            );
        }
        Some(m) => say!(
            "good: its bytes and its revision match its manifest (cluster {}, taken {}); its keys were not hashed for that",
            m.cluster,
            m.taken_at
        ),
        None => say!("good: it can be read; it has no manifest to compare with"),
    }
    if ok {
        say!(
            "It was not restored. On a Linux machine, `quorate backup verify` also restores it and starts etcd on it."
        );
    }
}

fn print_restored(session: &Session, path: &Path, manifest: Option<&Manifest>, found: &Findings) {
    let ok = found.contradictions.is_empty();
    if session.json() {
        let report = json!({
            "event": "finished",
            "ok": ok,
            "file": path,
            "revision": found.revision,
            "keys": found.keys,
            "hash": found.hash,
            "contradictions": found.contradictions,
            "seconds": session.begun.elapsed().as_secs_f64(),
        });
        data(&report.to_string());
        return;
    }
    let path = path.display();
    say!(
        "{path}: opened and checked in {}, restored in {}, a private etcd answered after {}",
        human_seconds(found.open_seconds),
        human_seconds(found.restore_seconds),
        human_seconds(found.start_seconds)
    );
    say!(
        "revision {}, {} keys, hash {:08x}",
        found.revision,
        found.keys,
        found.hash.hash
    );
    match (manifest, ok) {
        (Some(m), true) => say!(
            "good: it matches its manifest (cluster {}, taken {})",
            m.cluster,
            m.taken_at
        ),
        (None, _) => say!("good: it can be restored; it has no manifest to compare with"),
        (Some(_), false) => {
            for text in &found.contradictions {
                say!("does NOT match its manifest: {text}");
            }
        }
    }
}

impl From<DrillError> for Failure {
    fn from(error: DrillError) -> Self {
        let hint = error.hint();
        Failure::new(Exit::StepFailed, chain(&error)).hint(hint)
    }
}
