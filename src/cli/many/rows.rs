//! A row a cluster: what is shown of it in one line, and which one is worse. Pure but for the age of backups, which is told
//! by `now`.

use jiff::Timestamp;

use super::part::Answer;
use super::run::Ran;
use crate::bundle::known_bad;
use crate::cli::error::Exit;
use crate::cli::status::Glance;
use crate::inventory::Version;
use crate::ops::doctor::Severity;
use crate::ops::plan::{Action, Plan, Risk, count};
use crate::report::{Cell, Table, Tone, human_bytes, one_line};

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
const SPARE: [&str; 6] = ["VERSION", "RISK", "MEMBERS", "LOCK", "DB", "BACKUP"];

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

/// The worst first; among equals the one that survives fewest failures, then the fullest database, then the certificate that
/// ends first, then by name.
pub fn sort(clusters: &mut [Ran]) {
    clusters.sort_by_cached_key(|ran| {
        let glance = ran.glance();
        let survives = glance.map_or(0, |glance| glance.can_lose.map_or(0, |n| n + 1));
        let full = glance.and_then(percent_of_quota).unwrap_or(0);
        let ends = glance.and_then(certificate_days).unwrap_or(i64::MAX);
        (
            u8::MAX - badness(ran.exit),
            survives,
            u64::MAX - full,
            ends,
            ran.name.clone(),
        )
    });
}

/// A row a cluster, with the columns that these answers have.
pub fn rows(clusters: &[Ran], now: Timestamp) -> Rows {
    let answers = || clusters.iter().flat_map(|ran| &ran.answers);
    let header: &[&'static str] = if answers().any(|a| matches!(a, Answer::Plan(_))) {
        &["CLUSTER", "PLAN", "RESTARTS", "RISK"]
    } else if answers().any(|a| matches!(a, Answer::Backups(_))) {
        &["CLUSTER", "BACKUPS", "NEWEST", "AGE", "SIZE"]
    } else if answers().any(|a| matches!(a, Answer::Glance(_))) {
        &[
            "CLUSTER", "HEALTH", "SURVIVES", "MEMBERS", "VERSION", "DB", "QUOTA", "ALARMS", "BACKUP", "CERT", "LOCK",
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
                "SURVIVES", "DB", "QUOTA", "CERT", "PROBLEMS", "ADVICE", "RESTARTS", "SIZE",
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
            Answer::Examination(_) => {}
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
    let full = percent_of_quota(glance);
    let ends = certificate_days(glance);
    vec![
        health,
        survives,
        plain(&format!("{healthy}/{}", glance.members.len())),
        versions(glance),
        plain(&or_dash(size.map(human_bytes))),
        match full {
            Some(full) if full > 80 => (format!("{full}%"), Tone::Bad),
            full => plain(&or_dash(full.map(|full| format!("{full}%")))),
        },
        match glance.alarms.is_empty() {
            true => plain("-"),
            false => (glance.alarms.join(", "), Tone::Bad),
        },
        match &glance.backups {
            None => plain("no schedule"),
            Some(backups) if backups.last_success.is_none() => ("never".to_owned(), Tone::Bad),
            Some(backups) => {
                let (text, _) = age(backups.last_success, now);
                (
                    text,
                    if backups.findings.is_empty() {
                        Tone::Plain
                    } else {
                        Tone::Warn
                    },
                )
            }
        },
        match ends {
            Some(days) if days < 0 => (format!("{days}d"), Tone::Bad),
            days => plain(&or_dash(days.map(|days| format!("{days}d")))),
        },
        plain(glance.locked_by.as_deref().unwrap_or("-")),
    ]
}

fn versions(glance: &Glance) -> Field {
    let mut versions: Vec<&str> = glance.members.iter().filter_map(|m| m.version.as_deref()).collect();
    versions.sort_unstable();
    versions.dedup();
    let bad = versions
        .iter()
        .any(|v| v.parse::<Version>().is_ok_and(|v| known_bad(v).is_some()));
    match (versions.is_empty(), bad) {
        (true, _) => plain("-"),
        (_, true) => (format!("{} (loses data)", versions.join(", ")), Tone::Bad),
        _ => plain(&versions.join(", ")),
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
    use crate::cli::error::Failure;
    use crate::cli::status::glance;
    use crate::ops::model::Fact;
    use crate::ops::samples;

    fn ran(name: &str, exit: Exit, change: impl FnOnce(&mut Glance)) -> Ran {
        let desired = samples::desired(3);
        let mut world = samples::observed(&desired);
        world.cluster = Fact::Known(samples::membership(&desired));
        let mut seen = glance(&desired, &world);
        change(&mut seen);
        Ran {
            name: name.to_owned(),
            path: name.into(),
            exit,
            answers: vec![Answer::Glance(Box::new(seen))],
            failure: None,
            finished: None,
            warnings: Vec::new(),
            seconds: 0.0,
        }
    }

    #[test]
    fn the_worst_comes_first_and_one_that_does_not_answer_has_its_row() {
        let mut clusters = vec![
            ran("well", Exit::Done, |_| {}),
            ran("full", Exit::Done, |glance| glance.quota = Some(22 << 20)),
            ran("dark", Exit::Unreachable, |glance| {
                glance.healthy = None;
                glance.can_lose = None;
            }),
            ran("hurt", Exit::Unhealthy, |glance| {
                glance.healthy = Some(false);
                glance.can_lose = Some(0);
            }),
            ran("lost", Exit::Unhealthy, |glance| {
                glance.healthy = Some(false);
                glance.can_lose = None;
            }),
            Ran {
                answers: Vec::new(),
                failure: Some(Failure::new(Exit::Inventory, "broken")),
                ..ran("typo", Exit::Inventory, |_| {})
            },
        ];
        sort(&mut clusters);
        let names: Vec<&str> = clusters.iter().map(|ran| ran.name.as_str()).collect();
        assert_eq!(names, ["lost", "hurt", "typo", "dark", "full", "well"]);
        assert_eq!(worst(clusters.iter().map(|ran| ran.exit)), Exit::Unhealthy);
        let rows = rows(&clusters, "2026-01-01T00:00:00Z".parse().unwrap());
        assert!(rows.rows.iter().all(|row| row.len() == rows.header.len()));
        insta::assert_snapshot!(rows.table().render(None, false), @r"
        CLUSTER  HEALTH             SURVIVES  MEMBERS  VERSION        DB  QUOTA  ALARMS  BACKUP       CERT  LOCK
        lost     NOT healthy               -  3/3      3.5.30   20.0 MiB     0%  -       no schedule     -  -
        hurt     NOT healthy               0  3/3      3.5.30   20.0 MiB     0%  -       no schedule     -  -
        typo     INVALID inventory         -  -        -               -      -  -       -               -  -
        dark     UNKNOWN                   -  3/3      3.5.30   20.0 MiB     0%  -       no schedule     -  -
        full     healthy                   1  3/3      3.5.30   20.0 MiB    90%  -       no schedule     -  -
        well     healthy                   1  3/3      3.5.30   20.0 MiB     0%  -       no schedule     -  -
        ");
    }

    #[test]
    fn every_end_has_its_place_in_the_order() {
        let worst_first = [130, 1, 6, 11, 4, 8, 7, 9, 3, 2, 5, 10, 0];
        let ends = [
            Exit::Done,
            Exit::Unexpected,
            Exit::Usage,
            Exit::Inventory,
            Exit::Blocked,
            Exit::Unreachable,
            Exit::StepFailed,
            Exit::Stale,
            Exit::Locked,
            Exit::Bundle,
            Exit::Changes,
            Exit::Unhealthy,
            Exit::Interrupted,
        ];
        let mut ordered = ends.to_vec();
        ordered.sort_by_key(|exit| std::cmp::Reverse(badness(*exit)));
        let codes: Vec<u8> = ordered.iter().map(|exit| *exit as u8).collect();
        assert_eq!(codes, worst_first, "docs/fleet.md says so");
    }
}
