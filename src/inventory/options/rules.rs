//! Rules between options, and values that etcd takes but that do harm. Each is one etcd refuses to start with, or one
//! that docs/etcd.md, "Configuration file", shows to go wrong.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::problem::Severity;
use super::{Half, OptionProblem};

/// etcd's own limits and defaults, `embed/config.go`.
const HEARTBEAT_MS: u64 = 100;
const ELECTION_MS: u64 = 1_000;
const MAX_ELECTION_MS: u64 = 50_000;
/// Beyond these etcd itself warns.
const QUOTA_WARN: u64 = 8 << 30;
const REQUEST_WARN: u64 = 10 << 20;

/// What is wrong among options whose values are each right by themselves, in etcd's form.
pub fn check(options: &BTreeMap<&str, Value>) -> Vec<OptionProblem> {
    let mut problems = Vec::new();
    let number = |name: &str| options.get(name).and_then(Value::as_u64);
    let word = |name: &str| options.get(name).and_then(Value::as_str);
    let is = |name: &str, on: bool| options.get(name) == Some(&Value::Bool(on));
    let mut say = |severity, option: &str, message: String, help: &str| {
        problems.push(OptionProblem::new(option, Half::Value, severity, message, help));
    };

    let retention = "auto-compaction-retention";
    if word("auto-compaction-mode") == Some("revision") && word(retention).is_some_and(|r| r.parse::<u64>().is_err()) {
        let message = "a duration with `auto-compaction-mode: revision` counts as billions of revisions: nothing would \
                       ever be compacted";
        say(
            Severity::Error,
            retention,
            message.to_owned(),
            "give a number of revisions, or `auto-compaction-mode: periodic`",
        );
    }

    let (heartbeat, election) = ("heartbeat-interval", "election-timeout");
    let beat = number(heartbeat).unwrap_or(HEARTBEAT_MS);
    let vote = number(election).unwrap_or(ELECTION_MS);
    let typed = if options.contains_key(election) {
        election
    } else {
        heartbeat
    };
    if beat == 0 {
        say(
            Severity::Error,
            heartbeat,
            "a heartbeat of 0 ms: etcd would not start".to_owned(),
            "give 1 or more",
        );
    } else if vote < beat.saturating_mul(5) {
        let message =
            format!("an election timeout of {vote} ms is less than 5 heartbeats of {beat} ms: etcd would not start");
        say(
            Severity::Error,
            typed,
            message,
            "give at least 5 times the heartbeat; 10 times is usual",
        );
    } else if vote > MAX_ELECTION_MS {
        let message = format!("an election timeout of {vote} ms is more than etcd's limit of {MAX_ELECTION_MS} ms");
        say(
            Severity::Error,
            typed,
            message,
            "10 times the round trip between the members is usual",
        );
    }

    for option in ["compact-hash-check-time", "experimental-compact-hash-check-time"] {
        if number(option) == Some(0) {
            let help = "give a duration, or turn the check off with the feature gate `CompactHashCheck`";
            say(
                Severity::Error,
                option,
                format!("`{option}` of 0: etcd would not start"),
                help,
            );
        }
    }
    if word("tls-min-version") == Some("TLS1.3") {
        if word("tls-max-version") == Some("TLS1.2") {
            let help = "raise it, or lower `tls-min-version`";
            say(
                Severity::Error,
                "tls-max-version",
                "less than `tls-min-version`".to_owned(),
                help,
            );
        }
        if options
            .get("cipher-suites")
            .and_then(Value::as_array)
            .is_some_and(|l| !l.is_empty())
        {
            let message = "cipher suites cannot be chosen when only TLS 1.3 is allowed: etcd would not start";
            say(
                Severity::Error,
                "cipher-suites",
                message.to_owned(),
                "remove them, or lower `tls-min-version`",
            );
        }
    }

    match options.get("quota-backend-bytes") {
        Some(quota) if quota.as_i64() == Some(-1) => say(
            Severity::Warning,
            "quota-backend-bytes",
            "without a quota the database can fill the disk".to_owned(),
            "8GiB is the most etcd recommends",
        ),
        Some(quota) if quota.as_u64().is_some_and(|q| q > QUOTA_WARN) => say(
            Severity::Warning,
            "quota-backend-bytes",
            "more than 8 GiB: etcd advises against it (slow starts, slow recovery)".to_owned(),
            "8GiB is the most etcd recommends",
        ),
        _ => {}
    }
    if number("max-request-bytes").is_some_and(|b| b > REQUEST_WARN) {
        say(
            Severity::Warning,
            "max-request-bytes",
            "more than 10 MiB: etcd advises against it".to_owned(),
            "large values slow every member down; keep them outside etcd",
        );
    }
    if is("unsafe-no-fsync", true) {
        say(
            Severity::Warning,
            "unsafe-no-fsync",
            "acknowledged writes are lost when a host loses power".to_owned(),
            "only for throw-away test clusters",
        );
    }
    if is("strict-reconfig-check", false) {
        say(
            Severity::Warning,
            "strict-reconfig-check",
            "etcd will accept membership changes that lose the quorum".to_owned(),
            "remove the line: `true` is the default",
        );
    }
    problems
}
