//! Backups that the members take by themselves: what a host is told, who takes the next one, and how that ended. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::place::Kept;
use super::retention::Keep;
use crate::inventory::{BackupPlace, ClusterName, NodeName};

/// What such backups are for; part of their files' names. `keep` of the inventory deletes no others.
pub const REASON: &str = "scheduled";

/// Clocks of members may differ this much: a backup from so long before a run began may be this round's.
const SAME_ROUND: Duration = Duration::from_secs(60);

/// All that a host needs to know; no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The cluster.
    pub cluster: ClusterName,
    /// The member on this host.
    pub node: NodeName,
    /// Its client URL.
    pub url: String,
    /// The CA bundle, and the certificate and key to show.
    pub ca: String,
    #[allow(missing_docs)]
    pub certificate: String,
    #[allow(missing_docs)]
    pub key: String,
    /// To whom backups are sealed: the public keys themselves.
    pub recipients: Vec<String>,
    /// Where they go.
    pub to: Vec<BackupPlace>,
    /// Which stay; `None`: all.
    pub keep: Option<Keep>,
    /// CAs of before, PEM, and until when each vouched for backups.
    #[serde(default)]
    pub retired: Vec<(String, Timestamp)>,
    /// SHA-256 (hex) of what the inventory meant.
    pub inventory_sha256: String,
    /// A directory to work in.
    pub scratch: String,
    /// Where the report goes.
    pub report: String,
    /// While this file is there, the member may be down on purpose.
    #[serde(default)]
    pub rest_note: String,
    /// With what `ssh://` is reached, where something goes there.
    pub ssh: Option<SshKeys>,
    /// Seconds that each next member waits for those before it.
    pub patience: u64,
}

/// Files on the host for `ssh://`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshKeys {
    /// The private key.
    pub identity: PathBuf,
    /// The keys of the hosts that are reached.
    pub known_hosts: PathBuf,
}

/// A voter that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// It leads.
    pub leads: bool,
}

/// Who takes the backup, first to last: followers by name, and the leader when nobody else can. Learners have no part.
pub fn turns(answered: &BTreeMap<String, Answered>) -> Vec<&str> {
    let mut names: Vec<_> = answered.iter().collect();
    names.sort_by_key(|(name, answer)| (answer.leads, *name));
    names.into_iter().map(|(name, _)| name.as_str()).collect()
}

/// Whether a place holds a backup of the round that began at `begun`; what is not signed is none.
pub fn has_this_round(kept: &[Kept], begun: Timestamp) -> bool {
    let earliest = begun - SAME_ROUND;
    kept.iter()
        .any(|kept| kept.standing.counts() && kept.manifest.reason == REASON && kept.manifest.taken_at >= earliest)
}

/// How a run on a host ended: what `status` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it began.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What came of it.
    #[serde(flatten)]
    pub end: End,
    /// When this host last knew of a whole round, its own or another's.
    pub last_success: Option<Timestamp>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// This host took the backup.
    Taken {
        /// The file's name in every place.
        file: String,
        /// Bytes of the snapshot.
        bytes: u64,
    },
    /// Another one did.
    Others,
    /// The member was down on purpose.
    AtRest,
    /// There is none from this host.
    Failed {
        /// Why.
        error: String,
    },
}

/// What a host shows of its scheduled backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheduled {
    /// It has no timer.
    No,
    /// Its timer has not run yet.
    Waiting,
    /// How its last run ended.
    Ran(Report),
}

/// What `status` says about scheduled backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// The newest one that any host knows of.
    pub last_success: Option<Timestamp>,
    /// What is wrong, in sentences.
    pub findings: Vec<String>,
    /// What could not be told, because hosts could not be inspected.
    pub unknown: Option<String>,
}

impl Scheduled {
    /// When this host last knew of a backup.
    fn last_success(&self) -> Option<Timestamp> {
        match self {
            Self::Ran(report) => report.last_success,
            Self::No | Self::Waiting => None,
        }
    }
}

/// The hosts whose last round fell into a time when they were down on purpose, unless a host knows of that round's backup.
pub fn missed(reports: &BTreeMap<NodeName, Scheduled>) -> Vec<&NodeName> {
    let last_success = reports.values().filter_map(Scheduled::last_success).max();
    let due = |scheduled: &Scheduled| match scheduled {
        Scheduled::Ran(report) => {
            report.end == End::AtRest && last_success.is_none_or(|last| last < report.begun - SAME_ROUND)
        }
        Scheduled::No | Scheduled::Waiting => false,
    };
    reports
        .iter()
        .filter(|(_, scheduled)| due(scheduled))
        .map(|(node, _)| node)
        .collect()
}

/// Judges what the hosts show. Hosts in the `dark` were not asked.
pub fn outlook(
    reports: &BTreeMap<NodeName, Scheduled>,
    dark: &[NodeName],
    max_age: Duration,
    now: Timestamp,
) -> Outlook {
    let last_success = reports.values().filter_map(Scheduled::last_success).max();
    let mut findings = Vec::new();
    match last_success {
        None if !dark.is_empty() => {}
        None => findings
            .push("no scheduled backup has been taken yet: `quorate backup schedule` sets it up and tests it".into()),
        Some(last) if now - max_age > last => findings.push(format!(
            "the newest scheduled backup is of {}, older than `max_age`",
            last.strftime("%Y-%m-%d %H:%M:%SZ")
        )),
        Some(_) => {}
    }
    for (node, report) in reports {
        match report {
            Scheduled::No if last_success.is_some() => {
                findings.push(format!(
                    "{node} takes no scheduled backups yet: `quorate backup schedule` sets it up"
                ));
            }
            Scheduled::Ran(Report {
                end: End::Failed { error },
                ..
            }) => findings.push(format!("{node} failed to take the last scheduled backup: {error}")),
            Scheduled::No | Scheduled::Waiting | Scheduled::Ran(_) => {}
        }
    }
    let dark: Vec<&str> = dark.iter().map(NodeName::as_str).collect();
    let unknown = (!dark.is_empty()).then(|| {
        let hosts = dark.join(", ");
        format!("cannot tell whether {hosts} take scheduled backups: not inspected")
    });
    Outlook {
        last_success,
        findings,
        unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn answers(named: &[(&str, bool)]) -> BTreeMap<String, Answered> {
        let answer = |(name, leads): &(&str, bool)| ((*name).to_owned(), Answered { leads: *leads });
        named.iter().map(answer).collect()
    }

    fn report(success: Option<&str>, end: End) -> Scheduled {
        Scheduled::Ran(Report {
            begun: at("2026-01-02T00:00:00Z"),
            ended: at("2026-01-02T00:00:09Z"),
            end,
            last_success: success.map(at),
        })
    }

    #[test]
    fn followers_go_first_and_the_leader_last() {
        assert_eq!(
            turns(&answers(&[("a", true), ("b", false), ("c", false)])),
            ["b", "c", "a"]
        );
        assert_eq!(turns(&answers(&[("c", false), ("a", true)])), ["c", "a"], "b is down");
        assert_eq!(turns(&answers(&[("a", true)])), ["a"]);
    }

    #[test]
    fn one_success_is_enough_and_every_failure_is_named() {
        let nodes = |reports: [Scheduled; 3]| -> BTreeMap<NodeName, Scheduled> {
            let names = ["a", "b", "c"].map(|name| name.parse().unwrap());
            names.into_iter().zip(reports).collect()
        };
        let now = at("2026-01-02T01:00:00Z");
        let fresh = "2026-01-02T00:00:09Z";
        let taken = End::Taken {
            file: "x".into(),
            bytes: 1,
        };
        let well = nodes([
            report(Some(fresh), taken.clone()),
            report(Some(fresh), End::Others),
            report(Some(fresh), End::Others),
        ]);
        let seen = outlook(&well, &[], 26 * HOUR, now);
        assert_eq!((seen.last_success, seen.findings.len()), (Some(at(fresh)), 0));
        assert!(outlook(&well, &[], 26 * HOUR, now + 30 * HOUR).findings[0].contains("older"));

        let error = "disk full".to_owned();
        let partly = nodes([
            report(None, End::Failed { error }),
            report(Some(fresh), taken.clone()),
            Scheduled::No,
        ]);
        let findings = outlook(&partly, &[], 26 * HOUR, now).findings;
        assert!(
            findings[0].starts_with("a failed") && findings[1].starts_with("c takes no"),
            "{findings:?}"
        );

        // A timer that is there and has not run yet takes no second command.
        let waiting = nodes([report(Some(fresh), taken), Scheduled::Waiting, Scheduled::Waiting]);
        assert_eq!(outlook(&waiting, &[], 26 * HOUR, now).findings, [""; 0]);

        let nothing = || nodes([Scheduled::No, Scheduled::No, Scheduled::No]);
        let none = outlook(&nothing(), &[], 26 * HOUR, now);
        assert_eq!((none.findings.len(), none.unknown), (1, None));

        // What was not inspected may have been done.
        let dark: [NodeName; 1] = ["c".parse().unwrap()];
        let none = outlook(&nothing(), &dark, 26 * HOUR, now);
        assert_eq!(none.findings, [""; 0]);
        assert!(none.unknown.unwrap().contains("cannot tell whether c"));
    }

    #[test]
    fn a_round_is_missed_when_everybody_was_down_on_purpose() {
        let nodes = |reports: [Scheduled; 2]| -> BTreeMap<NodeName, Scheduled> {
            let names = ["a", "b"].map(|name| name.parse().unwrap());
            names.into_iter().zip(reports).collect()
        };
        let before = Some("2026-01-01T00:00:09Z");
        let stopped = nodes([report(before, End::AtRest), report(before, End::AtRest)]);
        assert_eq!(missed(&stopped).len(), 2);
        let never = nodes([report(None, End::AtRest), Scheduled::No]);
        assert_eq!(missed(&never).len(), 1);
        // One was in maintenance; the other took it.
        let done = nodes([
            report(before, End::AtRest),
            report(Some("2026-01-02T00:00:09Z"), End::Others),
        ]);
        assert_eq!(missed(&done).len(), 0);
        let findings = outlook(&done, &[], 26 * HOUR, at("2026-01-02T01:00:00Z")).findings;
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        let Scheduled::Ran(written) = report(Some("2026-01-01T00:00:00Z"), End::Others) else {
            unreachable!()
        };
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), written);
    }
}
