//! What comes from elsewhere is read within a limit: whoever reads something whole says how much it may be (`src/bounds`), or
//! reads a file of the operator's own.

mod sources;

/// What reads to an end that somebody else sets.
const UNBOUNDED: [&str; 8] = [
    ".output().await",
    "read_to_end(",
    "read_to_string(",
    ".read_until(",
    ".read_line(",
    ".collect().await",
    ".bytes().await",
    "stdout.recv()",
];

/// A limit in the same statement: the line itself or one of the three before it.
const LIMITS: [&str; 6] = [
    "bounds::",
    "take(",
    "Limited::",
    "fs::read_to_string(",
    "pace.wait(",
    "timeout(",
];

/// Files of whole rooms or single ones, and why there is no limit in sight.
const ALLOWED: [(&str, &str); 14] = [
    ("src/host/etcdctl.rs", "pieces that are passed on as they come"),
    (
        "src/ops/measure/mod.rs",
        "so many bytes of a journal, and until the window ends",
    ),
    ("src/cli/confirm.rs", "what the operator types"),
    ("src/cli/rest.rs", "the same"),
    ("src/host/secrets.rs", "the same"),
    ("src/bounds/", "the limits"),
    (
        "src/bundle/open.rs",
        "the manifest's length is in the index, and held against the largest",
    ),
    (
        "src/bundle/verify.rs",
        "lengths from the manifest, through a reader of just these",
    ),
    ("src/bundle/deb.rs", "sixty bytes"),
    ("src/pki/", "the operator's own keys and certificates"),
    ("src/host/lock.rs", "a line with a limit, then nothing is kept"),
    ("src/host/trial.rs", "`hear` has a limit"),
    (
        "src/cli/hosts.rs",
        "lines of a journal as they come; one that is too long is broken",
    ),
    ("src/host/ssh/relay.rs", "a stream; whoever reads it has a limit"),
];

#[test]
fn nothing_is_read_to_an_end_that_somebody_else_sets() {
    let lines = sources::lines(|file| ALLOWED.iter().any(|(allowed, _)| file.starts_with(allowed)));
    let mut around = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !UNBOUNDED.iter().any(|way| line.code.contains(way)) {
            continue;
        }
        let near = lines[at.saturating_sub(3)..=at]
            .iter()
            .filter(|other| other.file == line.file);
        let limited = near
            .clone()
            .any(|near| LIMITS.iter().any(|limit| near.code.contains(limit)));
        if !limited {
            around.push(format!("{}:{}: {}", line.file, line.number, line.code));
        }
    }
    assert!(around.is_empty(), "read around src/bounds:\n{}", around.join("\n"));
}

#[test]
fn no_script_goes_to_a_host_without_limits() {
    // `Script` has no default, and `HostScript` is only made in the one table.
    let made: Vec<String> = sources::lines(|file| file == "src/host/scripts.rs")
        .into_iter()
        .filter(|line| line.code.contains("Limits::ATTENDED") || line.code.contains("Limits::STREAM"))
        .filter(|line| !["src/host/ssh/relay.rs", "src/bounds/mod.rs"].contains(&line.file.as_str()))
        .map(|line| format!("{}:{}", line.file, line.number))
        .collect();
    assert!(made.is_empty(), "scripts without a limit: {made:?}");
}
