//! What lies on disks outlives the version that wrote it: every format that there has been is read, or refused with the reason
//! (`docs/stability.md`). The files are in `tests/formats`.

use std::path::{Path, PathBuf};

use super::args::Command;
use super::error::Exit;
use super::many::report::history::History;
use super::many::saved::Saved;
use crate::backup::{self, BackupError};
use crate::bundle;
use crate::host::{self, HostFacts};
use crate::inventory::{Desired, DesiredHost};
use crate::ops::model::{Fact, Intent, Observed, Policy};
use crate::ops::plan::plan;
use crate::ops::rest::{Purpose, RestNote, TurnNote};
use crate::ops::restore::RestoreNote;
use crate::ops::safety::Rule;
use crate::ops::safety::bootstrap::Marker;
use crate::ops::safety::marks::are_known;
use crate::ops::samples::{self, desired, name, observed};

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../tests/formats/", $name))
    };
}

/// Three members, and the host of one of them changed.
fn changed(change: impl FnOnce(&DesiredHost, &mut HostFacts)) -> (Desired, Observed) {
    let desired = desired(3);
    let mut seen = observed(&desired);
    if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(1)) {
        change(&desired.hosts[&name(1)], facts);
    }
    (desired, seen)
}

/// ... by this marker beside the data.
fn marked(text: &str) -> (Desired, Observed) {
    changed(|_, facts| facts.data.marker = Some(text.to_owned()))
}

#[test]
fn the_marker_of_every_version_is_read() {
    // 7b325f9, 2026-11-21.
    let marker = Marker::parse(file!("marker-1.json")).expect("format 1");
    assert_eq!((marker.member.as_str(), marker.complete), ("etcd-1", true));
    assert_eq!(
        marker.to_text(),
        file!("marker-1.json").trim_end(),
        "an older version reads what this one writes"
    );
    let (desired, seen) = marked(file!("marker-1.json"));
    assert_eq!(are_known(&desired, &seen.hosts), Ok(()));
}

#[test]
fn notes_of_every_version_are_read() {
    // 7e5e309, 2026-11-21: without what a file had to be called by name for.
    let (desired, seen) = changed(|host, facts| {
        let file = host::FileFacts {
            sha256: "00".repeat(32),
            mode: 0o644,
            owner: "root".into(),
            content: Some(file!("restore-note-1-first.json").to_owned()),
        };
        facts.files.insert(RestoreNote::path(host), file);
    });
    let facts = seen.hosts[&name(1)].known().expect("facts");
    let note = RestoreNote::on(&desired.hosts[&name(1)], facts)
        .flatten()
        .expect("a note");
    assert_eq!((note.hosts.len(), note.by_name.flags().as_str()), (3, ""));
    // 4e4f563.
    let note: RestoreNote = serde_json::from_str(file!("restore-note-1.json")).expect("a note");
    assert_eq!(note.by_name.flags(), " --unsigned");
    assert_eq!(note.to_text(), file!("restore-note-1.json").trim_end());
    // 3963d8c.
    let note: RestNote = serde_json::from_str(file!("rest-note-1.json")).expect("a note");
    assert_eq!(
        (note.purpose, note.to_text().as_str()),
        (Purpose::Maintenance, file!("rest-note-1.json").trim_end())
    );
    let note: TurnNote = serde_json::from_str(file!("turn-note-1.json")).expect("a note");
    assert_eq!(
        (note.process, note.to_text().as_str()),
        (Some(4711), file!("turn-note-1.json").trim_end())
    );
}

#[test]
fn a_newer_mark_stops_every_change_and_is_not_taken_for_none() {
    let newer = file!("marker-from-the-future.json");
    assert_eq!(Marker::parse(newer), None, "it would look as if there were none");
    let (desired, seen) = marked(newer);
    let intents = [
        Intent::Converge {
            prune: false,
            limit: Vec::new(),
        },
        Intent::Start,
        Intent::RotateLeaves { limit: Vec::new() },
        Intent::Compact { keep: 1000 },
        Intent::Disarm,
        Intent::Restore(Box::new(samples::backup())),
    ];
    for intent in intents {
        let refused = plan(&intent, &desired, &seen, Policy::default(), &samples::supplies()).expect_err("a refusal");
        assert_eq!(refused[0].rule, Rule::NewerMark, "{intent:?}: {refused:?}");
        assert!(refused[0].reason.contains("written by quorate 9.0.0"), "{refused:?}");
    }
}

#[test]
fn a_lock_is_held_whoever_wrote_its_holder() {
    for text in [file!("lock-holder-1.json"), file!("lock-holder-from-the-future.json")] {
        let holder = host::lock_holder_in(text);
        assert_eq!(
            (holder.who.as_str(), holder.doing.as_str(), holder.alive),
            ("alice@laptop", "quorate up", true)
        );
    }
    let holder = host::lock_holder_in("{\"held_by\":\"alice\"}");
    assert_eq!(
        (holder.who.as_str(), holder.alive),
        ("unknown", true),
        "held all the same"
    );
}

fn format(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(name)
}

/// One that another version cannot read is stale: it is for minutes, not for years.
#[test]
fn a_saved_plan_of_a_fleet_is_read_or_stale() {
    let saved = Saved::load(&format("fleet-plan-1.json")).expect("format 1");
    assert!(matches!(saved.command(), Ok(Command::Up(up)) if !up.prune));
    let refused = Saved::load(&format("fleet-plan-from-the-future.json")).expect_err("format 2");
    assert_eq!(refused.exit, Exit::Stale, "{refused:?}");
    assert!(refused.message.contains("saved by quorate 9.0.0"), "{refused:?}");
}

#[test]
fn past_reports_are_read_or_refused_by_their_number() {
    let history = History::parse(file!("report-history-1.json")).expect("format 1");
    assert_eq!(history.of("prod-a").len(), 3);
    let refused = History::parse(file!("report-history-from-the-future.json")).expect_err("format 2");
    assert_eq!(refused, "it has format 2, but this quorate reads format 1");
}

#[test]
fn the_manifest_of_a_bundle_is_read_or_refused_by_its_number() {
    // 2b61f3c, of no release: packed with gzip alone.
    let refused = bundle::manifest_in(file!("bundle-1.json").as_bytes()).expect_err("format 1");
    assert!(
        refused.contains("it has format 1, but this quorate reads format 2"),
        "{refused}"
    );
    // 43f67d6.
    let manifest = bundle::manifest_in(file!("bundle-2.json").as_bytes()).expect("format 2");
    assert_eq!(manifest.releases[0].version.to_string(), "3.5.16");
}

#[test]
fn the_manifest_of_a_backup_is_read_or_refused_by_its_number() {
    // 1 has a whole file of its own: src/backup/testdata, read in `backup::trust_tests`.
    backup::manifest_in(file!("backup-manifest-2.json").as_bytes()).expect("format 2");
    let refused = backup::manifest_in(file!("backup-manifest-from-the-future.json").as_bytes()).expect_err("format 3");
    assert!(matches!(refused, BackupError::TooNew { format: 3, .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("has format 3, but this quorate supports 2"),
        "{refused}"
    );
}
