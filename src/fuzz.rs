//! Every parser of bytes that somebody else wrote, as a function of bytes: for `fuzz/`, which looks for bytes that make one of
//! them panic, hang or take memory without end, and for the tests below, which feed them what was found before.
//!
//! What a parser returns does not matter here. What is shown of it to people is shown, because that can panic as well.

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::{backup, bundle, etcd, host, inventory, ops, pki, report};

/// A parser of foreign bytes, by its name; the directory of its seeds has the same.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("inventory", inventory_file),
    ("imports", imports),
    ("bundle", bundle_file),
    ("bundle_manifest", bundle_manifest),
    ("signatures", signatures),
    ("backup", backup_file),
    ("backup_manifest", backup_manifest),
    ("facts", facts),
    ("answers", answers),
    ("frame", frame),
    ("wal", wal),
    ("metrics", metrics),
    ("certificates", certificates),
    ("recipients", recipients),
    ("ssh_config", ssh_config),
    ("known_hosts", known_hosts),
    ("plans", plans),
    ("notes", notes),
    ("journal", journal),
];

fn inventory_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Half of it may be what it shares.
    let (text, shared) = text.split_once("\n---8<---\n").unwrap_or((text, ""));
    let environment = inventory::Environment {
        home: Some(PathBuf::from("/home/operator")),
        state_dir: PathBuf::from("/home/operator/.local/state"),
        user: "operator".to_owned(),
        dir: PathBuf::from("/work"),
        shared: vec![inventory::shared::Shared {
            path: PathBuf::from("defaults.yml"),
            dir: PathBuf::from("/work"),
            text: shared.to_owned(),
        }],
    };
    let read = inventory::parse(Path::new("inventory.yml"), text, &environment);
    let problems = match &read {
        Ok(loaded) => loaded.warnings.clone(),
        Err(error) => error.problems().to_vec(),
    };
    show(text, problems);
}

/// As on a terminal.
fn show(text: &str, problems: Vec<inventory::Problem>) {
    let problems = inventory::Problems::new("inventory.yml", text, problems);
    let mut shown = String::new();
    // What cannot be written into a text is no matter of what is written.
    let _ = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .render_report(&mut shown, &problems);
    black_box(report::printable(&shown));
}

fn imports(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(format) = inventory::import::recognise(text) else {
        return;
    };
    let gathered = inventory::import::gather(format, text, None, host::ssh::listed);
    if let Err(problems) = gathered.hosts() {
        show(text, problems);
    }
}

/// A file with these bytes, for what reads files.
fn with_file(bytes: &[u8], read: impl FnOnce(&Path, File)) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("it can be written");
    file.rewind().expect("it can be read again");
    let open = file.reopen().expect("it can be opened");
    read(file.path(), open);
}

fn bundle_file(bytes: &[u8]) {
    with_file(bytes, |path, _| {
        if let Ok(bundle) = bundle::Bundle::open(path) {
            black_box(bundle.verify().is_ok());
        }
        bundle::fuzz_sources(path);
    });
}

fn bundle_manifest(bytes: &[u8]) {
    black_box(bundle::fuzz_manifest(bytes));
}

fn signatures(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (signers, signature) = text.split_once("\n\n").unwrap_or((&text, &text));
    match bundle::AllowedSigners::parse(signers) {
        Ok(allowed) => {
            let signed = bundle::signature::signed_by(b"{}", signature, &allowed, &[], jiff::Timestamp::UNIX_EPOCH);
            black_box(signed.is_ok());
        }
        Err(bad) => _ = black_box(bad),
    }
}

fn backup_file(bytes: &[u8]) {
    with_file(bytes, |path, _| {
        for source in [backup::Source::open(path), backup::Source::open_bare(path)] {
            match source {
                Ok(source) => _ = black_box(source.kind()),
                Err(error) => _ = black_box(report::chain(&error)),
            }
        }
    });
}

fn backup_manifest(bytes: &[u8]) {
    black_box(backup::source::fuzz_manifest(bytes));
}

fn facts(bytes: &[u8]) {
    host::fuzz_facts(&String::from_utf8_lossy(bytes));
}

fn answers(bytes: &[u8]) {
    host::fuzz_answers(&String::from_utf8_lossy(bytes));
}

fn frame(bytes: &[u8]) {
    host::ssh::fuzz_frame(bytes);
}

fn wal(bytes: &[u8]) {
    let name = "0000000000000000-0000000000000000.wal";
    black_box(etcd::RaftLog::read(name, bytes).is_ok());
    let segment = etcd::Segment { name, bytes };
    black_box(etcd::Replay::read(&["0000000000000002-0000000000000010.snap".to_owned()], &[segment]).is_ok());
}

fn metrics(bytes: &[u8]) {
    black_box(etcd::Metrics::parse(&String::from_utf8_lossy(bytes)));
}

fn certificates(bytes: &[u8]) {
    black_box(pki::Certificate::from_der(bytes).is_ok());
    let text = String::from_utf8_lossy(bytes);
    for certificate in pki::Certificate::bundle_from_pem(&text).into_iter().flatten() {
        black_box(certificate.facts().clone());
    }
}

fn recipients(bytes: &[u8]) {
    let entries: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    // A path would be read.
    let keys: Vec<String> = entries
        .into_iter()
        .filter(|entry| entry.starts_with("age1") || entry.starts_with("ssh-"))
        .collect();
    if let Err(errors) = pki::Recipient::parse_all(&keys, Path::new("/nonexistent")) {
        black_box(errors.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
}

fn ssh_config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // Another file would be read.
    if text.to_ascii_lowercase().contains("include") {
        return;
    }
    with_file(text.as_bytes(), |path, _| host::ssh::fuzz_config(path));
    black_box(host::ssh::listed(&text, None).hosts().is_ok());
}

fn known_hosts(bytes: &[u8]) {
    host::ssh::fuzz_known_hosts(&String::from_utf8_lossy(bytes));
}

fn plans(bytes: &[u8]) {
    black_box(serde_json::from_slice::<ops::plan::Plan>(bytes).is_ok());
}

fn notes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    black_box(ops::safety::bootstrap::Marker::parse(&text));
    black_box(serde_json::from_str::<ops::restore::RestoreNote>(&text).is_ok());
    black_box(serde_json::from_str::<backup::schedule::Report>(&text).is_ok());
}

fn journal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    black_box(report::likely_cause(&lines));
    black_box(report::printable(&text));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use super::*;

    /// The seeds, and what was found before, by the name of the target.
    fn inputs() -> Vec<(String, PathBuf)> {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let mut found = Vec::new();
        for kind in ["corpus", "regressions"] {
            for target in std::fs::read_dir(fuzz.join(kind)).unwrap().map(Result::unwrap) {
                for file in std::fs::read_dir(target.path()).unwrap().map(Result::unwrap) {
                    found.push((target.file_name().into_string().unwrap(), file.path()));
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn every_seed_and_every_input_that_broke_something_is_read_at_once() {
        for (name, path) in inputs() {
            let (_, parse) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
            let bytes = std::fs::read(&path).unwrap();
            let start = Instant::now();
            std::panic::catch_unwind(|| parse(&bytes)).unwrap_or_else(|_| panic!("{}", path.display()));
            assert!(start.elapsed() < Duration::from_secs(10), "{}", path.display());
        }
    }

    #[test]
    fn every_parser_has_a_seed() {
        let seeded: BTreeSet<String> = inputs().into_iter().map(|(name, _)| name).collect();
        let parsers: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(seeded, parsers);
    }

    #[test]
    fn a_mistake_beyond_the_widest_line_is_shown_by_its_place() {
        for length in [1_000, 65_534, 65_535, 65_536, 200_000] {
            let text = format!("cluster: \"{}\"\n", "x".repeat(length));
            inventory_file(text.as_bytes());
            inventory_file(format!("{}cluster: [\n", " ".repeat(length)).as_bytes());
            inventory_file(format!("a: {{{} b: 1}}\n", "\t漢".repeat(length / 4)).as_bytes());
        }
    }
}
