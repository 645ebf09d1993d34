//! A row a cluster: what is shown of it in one line, and which one is worse. Pure but for the age of backups, which is told
//! by `now`.

use jiff::Timestamp;

use super::part::Answer;
use super::run::Ran;
use crate::cli::check::Checked;
use crate::cli::error::Exit;
use crate::cli::status::Glance;
use crate::cli::vitals::{Release, Slowest, Vitals, releases};
use crate::ops::doctor::{Severity, WAL_FSYNC};
use crate::ops::plan::{Action, Plan, Risk, count};
use crate::report::{Cell, Table, Tone, human_bytes, human_millis, one_line};

/// A value in a row, and what it means.
pub type Field = (String, Tone);

/// Rows under their columns, worst first.
#[derive(Debug, Default)]
pub struct Rows {
    /// The columns.
    pub header: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<Field>>,
}

/// Columns that go first where the terminal is narrow.
const SPARE: [&str; 15] = [
    "DB", "RTT", "MEMBERS", "VERSION", "RISK", "FSYNC", "BACKUP", "DRIFT", "LOCK", "CERT", "QUOTA", "ALARMS",
    "RESTARTS", "ADVICE", "PROBLEMS",
];

/// How bad an end is: 0 is well. What is known to be broken comes before what is not known.
pub fn badness(exit: Exit) -> u8 {
    match exit {
        Exit::Done => 0,
        Exit::Changes => 1,
        Exit::Unreachable => 2,
        Exit::Usage => 3,
        Exit::Inventory => 4,
        Exit::Bundle => 5,
        Exit::Stale => 6,
        Exit::Locked => 7,
        Exit::Blocked => 8,
        Exit::Unhealthy => 9,
        Exit::StepFailed => 10,
        Exit::Unexpected => 11,
        Exit::Interrupted => 12,
    }
}

/// The exit code of several.
pub fn worst(ends: impl IntoIterator<Item = Exit>) -> Exit {
    ends.into_iter().max_by_key(|exit| badness(*exit)).unwrap_or(Exit::Done)
}

/// The worst first.
pub fn sort(clusters: &mut [Ran]) {
    clusters.sort_by_cached_key(place);
}

/// Where a cluster stands: the worst exit first; among equals one that runs a release that loses data, the one that survives
/// fewest failures, then the fullest database, then the certificate that ends first, then the furthest from its inventory, then
/// by name.
pub fn place(ran: &Ran) -> (u8, bool, usize, u64, i64, usize, String) {
    let glance = ran.glance();
    let survives = glance.map_or(0, |glance| glance.can_lose.map_or(0, |n| n + 1));
    let full = glance.and_then(percent_of_quota).unwrap_or(0);
    let ends = glance.and_then(certificate_days).unwrap_or(i64::MAX);
    let loses_data = glance.is_some_and(|glance| releases(glance).iter().any(|release| release.loses_data));
    let vitals = glance.and_then(|glance| glance.vitals.as_ref());
    (
        u8::MAX - badness(ran.exit),
        !loses_data,
        survives,
        u64::MAX - full,
        ends,
        usize::MAX - vitals.and_then(|vitals| vitals.drift_steps).unwrap_or(0),
        ran.name.clone(),
    )
}

/// A row a cluster, with the columns that these answers have.
pub fn rows<'a>(clusters: impl IntoIterator<Item = &'a Ran>, now: Timestamp) -> Rows {
    let clusters: Vec<&Ran> = clusters.into_iter().collect();
    let answers = || clusters.iter().flat_map(|ran| &ran.answers);
    let header: &[&'static str] = if answers().any(|a| matches!(a, Answer::Plan(_))) {
        &["CLUSTER", "PLAN", "RESTARTS", "RISK"]
    } else if answers().any(|a| matches!(a, Answer::Backups(_))) {
        &["CLUSTER", "BACKUPS", "NEWEST", "AGE", "SIZE"]
    } else if answers().any(|a| matches!(a, Answer::Checked(_))) {
        &["CLUSTER", "INVENTORY", "HOSTS", "ETCD", "BUNDLE", "CA"]
    } else if answers().any(|a| matches!(a, Answer::Glance(_))) {
        &[
            "CLUSTER", "HEALTH", "SURVIVES", "MEMBERS", "VERSION", "DB", "QUOTA", "ALARMS", "FSYNC", "RTT", "BACKUP",
            "CERT", "DRIFT", "LOCK",
        ]
    } else {
        &["CLUSTER", "RESULT"]
    };
    let examined = answers().any(|a| matches!(a, Answer::Examination(_)));
    let mut header = header.to_vec();
    if examined {
        header.insert(2, "PROBLEMS");
        header.insert(3, "ADVICE");
    }
    let rows = clusters.iter().map(|ran| {
        let mut row = vec![plain(&ran.name)];
        row.extend(fields(ran, examined, now));
        row.resize(header.len(), plain("-"));
        row
    });
    Rows {
        rows: rows.collect(),
        header,
    }
}

impl Rows {
    /// For a terminal.
    pub fn table(&self) -> Table {
        let mut table = Table::new(self.header.iter().copied())
            .right([
                "SURVIVES", "DB", "QUOTA", "CERT", "PROBLEMS", "ADVICE", "RESTARTS", "SIZE", "FSYNC", "RTT", "HOSTS",
                "CA",
            ])
            .spare(SPARE);
        for row in &self.rows {
            table.row(row.iter().map(|(text, tone)| Cell::new(text.clone()).tone(*tone)));
        }
        table
    }
}

fn plain(text: &str) -> Field {
    (one_line(text), Tone::Plain)
}

fn fields(ran: &Ran, examined: bool, now: Timestamp) -> Vec<Field> {
    if ran.failure.is_some() {
        return vec![(no_answer(ran.exit).to_owned(), Tone::Bad)];
    }
    let mut row = Vec::new();
    for answer in &ran.answers {
        match answer {
            Answer::Glance(glance) => row = of_glance(glance, now),
            Answer::Plan(plan) => row = of_plan(plan),
            Answer::Backups(backups) => {
                row = vec![
                    plain(&backups.counting().to_string()),
                    plain(&or_dash(
                        backups.newest.map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()),
                    )),
                    age(backups.newest, now),
                    plain(&or_dash(backups.newest_bytes.map(human_bytes))),
                ];
            }
            Answer::Checked(checked) => row = of_check(checked),
            Answer::Settings(_) | Answer::Examination(_) => {}
        }
    }
    let found = ran.answers.iter().find_map(|answer| match answer {
        Answer::Examination(found) => Some(found),
        _ => None,
    });
    if let (true, Some(found), false) = (examined, found, row.is_empty()) {
        let of = |severity| found.findings.iter().filter(|f| f.severity == severity).count();
        let (problems, advice) = (of(Severity::Problem), of(Severity::Advice));
        row[0] = verdict(found.healthy);
        row.insert(
            1,
            (problems.to_string(), if problems > 0 { Tone::Bad } else { Tone::Plain }),
        );
        row.insert(2, plain(&advice.to_string()));
    }
    row
}

fn verdict(healthy: Option<bool>) -> Field {
    match healthy {
        Some(true) => ("healthy".to_owned(), Tone::Good),
        Some(false) => ("NOT healthy".to_owned(), Tone::Bad),
        None => ("UNKNOWN".to_owned(), Tone::Warn),
    }
}

/// What is said of a cluster whose command failed.
pub fn no_answer(exit: Exit) -> &'static str {
    match exit {
        Exit::Inventory => "INVALID inventory",
        Exit::Unreachable => "UNREACHABLE",
        Exit::Blocked => "BLOCKED",
        Exit::Bundle => "no bundle",
        Exit::Locked => "LOCKED",
        Exit::Interrupted => "interrupted",
        _ => "FAILED",
    }
}

fn of_glance(glance: &Glance, now: Timestamp) -> Vec<Field> {
    let healthy = glance.members.iter().filter(|m| m.healthy == Some(true)).count();
    let health = match glance.stopped {
        Some(_) => ("stopped".to_owned(), Tone::Warn),
        None => verdict(glance.healthy),
    };
    let survives = match (glance.can_lose, glance.voters) {
        (Some(0), Some(voters)) if voters != 1 => ("0".to_owned(), Tone::Bad),
        (Some(n), _) => plain(&n.to_string()),
        (None, _) => plain("-"),
    };
    let size = glance.members.iter().filter_map(|m| m.db_size).max();
    let vitals = glance.vitals.as_ref();
    vec![
        health,
        survives,
        plain(&format!("{healthy}/{}", glance.members.len())),
        versions(glance),
        plain(&or_dash(size.map(human_bytes))),
        match percent_of_quota(glance) {
            Some(full) if full > 80 => (format!("{full}%"), Tone::Bad),
            full => plain(&or_dash(full.map(|full| format!("{full}%")))),
        },
        match glance.alarms.is_empty() {
            true => plain("-"),
            false => (glance.alarms.join(", "), Tone::Bad),
        },
        slowest(vitals.and_then(|vitals| vitals.slowest_fsync.as_ref()), Some(WAL_FSYNC)),
        slowest(vitals.and_then(|vitals| vitals.slowest_round_trip.as_ref()), None),
        backup(glance, now),
        match certificate_days(glance) {
            Some(days) if days < 0 => (format!("{days}d"), Tone::Bad),
            days => plain(&or_dash(days.map(|days| format!("{days}d")))),
        },
        drift(vitals),
        lock(glance),
    ]
}

fn slowest(slowest: Option<&Slowest>, limit: Option<f64>) -> Field {
    let Some(slowest) = slowest else { return plain("-") };
    let slow = limit.is_some_and(|limit| slowest.p99_seconds >= limit);
    (millis(slowest.p99_seconds), if slow { Tone::Warn } else { Tone::Plain })
}

/// `0.4ms`, `12ms`.
pub fn millis(seconds: f64) -> String {
    format!("{}ms", human_millis(seconds))
}

/// The newest that counts, scheduled or not; whether the schedule is kept is its tone.
fn backup(glance: &Glance, now: Timestamp) -> Field {
    let scheduled = glance.backups.as_ref();
    let newest = glance.vitals.as_ref().and_then(|vitals| vitals.newest_backup);
    let newest = newest.or(scheduled.and_then(|backups| backups.last_success));
    match (newest, scheduled) {
        (None, None) => plain("none"),
        (None, Some(_)) => ("never".to_owned(), Tone::Bad),
        (Some(_), scheduled) => {
            let late = scheduled.is_some_and(|backups| !backups.findings.is_empty());
            (age(newest, now).0, if late { Tone::Warn } else { Tone::Plain })
        }
    }
}

fn drift(vitals: Option<&Vitals>) -> Field {
    let Some(vitals) = vitals else { return plain("-") };
    match vitals.drift_steps {
        None => ("unknown".to_owned(), Tone::Warn),
        Some(0) => plain("none"),
        Some(steps) => (count(steps, "step"), Tone::Warn),
    }
}

/// Who changes it: the command, and by whom.
fn lock(glance: &Glance) -> Field {
    let Some(by) = &glance.locked_by else { return plain("-") };
    // Since when is told where there is room for it.
    let by = by.split(" since ").next().unwrap_or(by);
    match &glance.lock_command {
        Some(command) => (format!("{} by {by}", command_in_short(command)), Tone::Warn),
        None => (one_line(by), Tone::Warn),
    }
}

/// The command without its flags, as it came from another operator's machine: `upgrade`.
pub fn command_in_short(line: &str) -> String {
    let mut words = line.split_whitespace().skip_while(|word| *word == "quorate").peekable();
    while let Some(word) = words.next() {
        let takes_a_value = matches!(
            word,
            "-i" | "--inventory" | "--fleet" | "--bundle" | "--skip" | "--canary" | "-o"
        ) || matches!(word, "--output" | "--parallel" | "--limit");
        match word.starts_with('-') {
            true if takes_a_value => drop(words.next()),
            true => {}
            false => return word.to_owned(),
        }
    }
    "a command".to_owned()
}

fn versions(glance: &Glance) -> Field {
    let releases = releases(glance);
    let told: Vec<String> = releases.iter().map(of_release).collect();
    let loses_data = releases.iter().any(|release| release.loses_data);
    let old = releases.iter().any(|release| !release.supported);
    let tone = match (loses_data, old) {
        (true, _) => Tone::Bad,
        (_, true) => Tone::Warn,
        _ => Tone::Plain,
    };
    match told.is_empty() {
        true => plain("-"),
        false => (told.join(", "), tone),
    }
}

fn of_release(release: &Release) -> String {
    let version = release.version;
    match (release.loses_data, release.supported, &release.upgrade) {
        (true, ..) => format!("{version} (loses data)"),
        (_, false, _) => format!("{version} (no fixes)"),
        (_, _, Some(next)) => format!("{version} (to {next})"),
        _ => version.to_string(),
    }
}

/// How full the fullest database is, by the smallest quota.
fn percent_of_quota(glance: &Glance) -> Option<u64> {
    let size = glance.members.iter().filter_map(|m| m.db_size).max()?;
    let quota = glance.quota.filter(|quota| *quota > 0)?;
    Some(size.saturating_mul(100) / quota)
}

fn certificate_days(glance: &Glance) -> Option<i64> {
    glance.members.iter().filter_map(|m| m.certificate_days).min()
}

fn of_plan(plan: &Plan) -> Vec<Field> {
    if plan.is_empty() {
        return vec![("up to date".to_owned(), Tone::Good)];
    }
    let restarts = plan
        .steps()
        .filter(|s| matches!(s.action, Action::Restart { .. }))
        .count();
    let (risk, tone) = match plan.risk() {
        Risk::ReadOnly => ("none", Tone::Plain),
        Risk::Reversible => ("none for clients", Tone::Plain),
        Risk::ReducesRedundancy => ("one member down at a time", Tone::Warn),
        Risk::Outage => ("OUTAGE", Tone::Bad),
        Risk::DestroysData => ("DATA LOSS", Tone::Bad),
    };
    vec![
        (count(plan.steps().count(), "step"), Tone::Warn),
        plain(&restarts.to_string()),
        (risk.to_owned(), tone),
    ]
}

fn of_check(checked: &Checked) -> Vec<Field> {
    vec![
        ("valid".to_owned(), Tone::Good),
        plain(&checked.hosts.to_string()),
        plain(&checked.etcd.to_string()),
        match checked.bundle_checked {
            true => ("checked".to_owned(), Tone::Good),
            false => ("NOT CHECKED".to_owned(), Tone::Warn),
        },
        plain(
            &checked
                .ca_days_left
                .map_or("none yet".to_owned(), |days| format!("{days}d")),
        ),
    ]
}

fn age(at: Option<Timestamp>, now: Timestamp) -> Field {
    let Some(at) = at else {
        return ("never".to_owned(), Tone::Warn);
    };
    let hours = now.duration_since(at).as_secs().max(0) / 3600;
    plain(&match hours {
        0 => "less than 1h".to_owned(),
        1..48 => format!("{hours}h"),
        _ => format!("{}d", hours / 24),
    })
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::many::samples::all_kinds;

    #[test]
    fn the_worst_comes_first_and_one_that_does_not_answer_has_its_row() {
        let mut clusters = all_kinds();
        sort(&mut clusters);
        let names: Vec<&str> = clusters.iter().map(|ran| ran.name.as_str()).collect();
        assert_eq!(names, ["lost", "hurt", "typo", "dark", "old", "full", "busy", "well"]);
        assert_eq!(worst(clusters.iter().map(|ran| ran.exit)), Exit::Unhealthy);
        let rows = rows(&clusters, "2026-01-01T00:00:00Z".parse().unwrap());
        assert!(rows.rows.iter().all(|row| row.len() == rows.header.len()));
        insta::assert_snapshot!("one_line_a_cluster", rows.table().render(None, false));
    }

    #[test]
    fn columns_go_one_by_one_and_a_terminal_of_forty_shows_who_is_unwell() {
        let mut clusters = all_kinds();
        sort(&mut clusters);
        let table = rows(&clusters, "2026-01-01T00:00:00Z".parse().unwrap()).table();
        insta::assert_snapshot!("eighty_columns", table.render(Some(80), false));
        insta::assert_snapshot!("forty_columns", table.render(Some(40), false));
    }

    #[test]
    fn a_command_of_another_operator_is_its_name() {
        for (line, name) in [
            ("quorate -i eu/a.yml upgrade --to 3.6.16", "upgrade"),
            ("quorate --fleet clusters --parallel 4 --yes restart", "restart"),
            ("quorate", "a command"),
            ("", "a command"),
        ] {
            assert_eq!(command_in_short(line), name);
        }
    }

    #[test]
    fn every_end_has_its_place_in_the_order() {
        let worst_first = [130, 1, 6, 11, 4, 8, 7, 9, 3, 2, 5, 10, 0];
        let mut ordered = Exit::ALL.to_vec();
        ordered.sort_by_key(|exit| std::cmp::Reverse(badness(*exit)));
        let codes: Vec<u8> = ordered.iter().map(|exit| *exit as u8).collect();
        assert_eq!(codes, worst_first, "docs/fleet.md says so");
    }
}
