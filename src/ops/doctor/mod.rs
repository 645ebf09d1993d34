//! Hosts and cluster against etcd's own guidance: what was seen in, findings out. Pure; every threshold names its source.
//!
//! | file | what |
//! |---|---|
//! | `kind` | everything that can be found, by its id, and what it means |
//! | `hosts` | the machine: clock, memory, disks, and how the unit is set up |
//! | `members` | who is well, who hears whom, what runs |
//! | `latency` | how slow disks and network are, as the members measured it |
//! | `kubernetes` | what a Kubernetes release asks of its etcd |
//! | `database` | sizes, quota, compaction, and whether all hold the same |

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

mod database;
mod hosts;
mod kind;
pub mod kubernetes;
mod latency;
mod members;
#[cfg(test)]
mod tests;

pub use hosts::does_not_run;
pub use kind::Kind;
pub use latency::{BACKEND_COMMIT, ENOUGH, ENOUGH_PROBES, WAL_FSYNC};

use std::collections::BTreeMap;

use serde::Serialize;

use crate::backup::schedule::Outlook;
use crate::etcd::Metrics;
use crate::inventory::{Desired, DesiredHost, NodeName};
use crate::ops::exec::real::MemberHash;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, Membership, Observed};
use crate::ops::rest::RestNote;
use crate::ops::safety::marks::are_known;
use crate::ops::safety::restore::no_restore_under_way;
use crate::ops::sight::{MEND, Sight};
use crate::report::Cause;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is broken, or will be soon: act.
    Problem,
    /// It could not be inspected, and nothing is known against it.
    Unknown,
    /// It works, and etcd's guides advise against it.
    Advice,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Topic {
    Cluster,
    Member,
    Host,
    Disk,
    Network,
    Database,
    Clients,
    Certificates,
    Backups,
}

/// One thing that is not as it should be, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is an instance of.
    #[serde(rename = "id")]
    pub kind: Kind,
    /// What it is about.
    pub topic: Topic,
    /// The host or member; `None` for the cluster as a whole.
    pub node: Option<String>,
    /// What was seen, with its numbers.
    pub says: String,
    /// What to do: a command wherever there is one.
    pub help: String,
    /// What else could be done, where no host was left in the dark.
    #[serde(skip)]
    last: Option<LastResort>,
}

impl Finding {
    /// Something that is broken.
    pub fn problem(kind: Kind, says: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            severity: Severity::Problem,
            kind,
            topic: kind.topic(),
            node: None,
            says: says.into(),
            help: help.into(),
            last: None,
        }
    }

    /// Something that could not be inspected.
    pub fn unknown(kind: Kind, says: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            severity: Severity::Unknown,
            ..Self::problem(kind, says, help)
        }
    }

    /// Something that works, and could be better.
    pub fn advice(kind: Kind, says: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            severity: Severity::Advice,
            ..Self::problem(kind, says, help)
        }
    }

    /// With a way out that gives up what is there.
    fn or(self, last: impl Into<Option<LastResort>>) -> Self {
        let last = last.into();
        Self { last, ..self }
    }

    /// The same, of one host or member.
    pub fn on(mut self, node: impl ToString) -> Self {
        self.node = Some(node.to_string());
        self
    }
}

/// Everything there is to go by.
#[derive(Debug)]
pub struct Examined<'a> {
    /// What the inventory wants.
    pub desired: &'a Desired,
    /// Hosts and cluster.
    pub seen: &'a Observed,
    /// What the members that run have measured; `Unknown` where they could not be asked.
    pub metrics: BTreeMap<NodeName, Fact<Metrics>>,
    /// Why members that do not run did not come up, by their journals.
    pub causes: BTreeMap<NodeName, Cause>,
    /// The hash of every voter's data; `Unknown` where they were not compared, `Absent` without a cluster.
    pub hashes: Fact<Vec<MemberHash>>,
    /// Scheduled backups; `None` when the inventory wants none.
    pub backups: Option<Outlook>,
}

impl Examined<'_> {
    /// The hosts of the inventory, in its order.
    fn hosts(&self) -> impl Iterator<Item = &DesiredHost> {
        self.desired
            .order
            .iter()
            .filter_map(|name| self.desired.hosts.get(name))
    }

    /// What was left in the dark.
    fn sight(&self) -> Sight {
        Sight::of(self.desired, self.seen)
    }

    /// Whether a member is down on purpose, which is told of its host.
    fn rests(&self, host: &DesiredHost) -> bool {
        let facts = self.seen.hosts.get(&host.name).and_then(Fact::known);
        facts.is_some_and(|facts| RestNote::in_force(host, facts).is_some())
    }

    fn membership(&self) -> Option<&Membership> {
        self.seen.cluster.known()
    }

    /// The members that were measured, with their hosts.
    fn measured(&self) -> impl Iterator<Item = (&DesiredHost, &Metrics)> {
        self.hosts()
            .filter_map(|host| Some((host, self.metrics.get(&host.name)?.known()?)))
    }
}

/// Every finding, the worst first. What could not be inspected is a finding, too; while there is one of a host, no help names
/// what would destroy a cluster that merely cannot be seen.
pub fn examine(examined: &Examined<'_>) -> Vec<Finding> {
    let sight = examined.sight();
    let mut findings = members::findings(examined);
    findings.extend(newer_marks(examined));
    findings.extend(unfinished(examined));
    findings.extend(hosts::findings(examined));
    findings.extend(latency::findings(examined));
    findings.extend(database::findings(examined));
    findings.extend(backups(examined));
    for finding in &mut findings {
        finding.help = sight.hint(&finding.help, finding.last.take().as_ref());
    }
    sorted(findings)
}

/// Problems first, then what could not be inspected, then advice; each in the order of topics and hosts.
pub fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (finding.severity, finding.topic));
    findings
}

/// A restore that was cut off closes the cluster to everything else.
fn unfinished(examined: &Examined<'_>) -> Option<Finding> {
    let refusal = no_restore_under_way(examined.desired, &examined.seen.hosts).err()?;
    let finding = Finding::problem(Kind::UnfinishedRestore, refusal.reason, refusal.hint).or(refusal.last);
    Some(match refusal.node {
        Some(node) => finding.on(node),
        None => finding,
    })
}

/// Nothing is changed by this version while one stands.
fn newer_marks(examined: &Examined<'_>) -> Vec<Finding> {
    let refusals = are_known(examined.desired, &examined.seen.hosts)
        .err()
        .unwrap_or_default();
    let told = refusals.into_iter().map(|refusal| {
        let finding = Finding::problem(Kind::NewerMark, refusal.reason, refusal.hint);
        Finding {
            node: refusal.node.map(|node| node.to_string()),
            ..finding
        }
    });
    told.collect()
}

fn backups(examined: &Examined<'_>) -> Vec<Finding> {
    match &examined.backups {
        None => vec![Finding::advice(
            Kind::NoSchedule,
            "the inventory schedules no backups",
            "add a `backup` section that says when and where, then run `quorate backup schedule`",
        )],
        Some(outlook) => {
            let finding = |says: &String| {
                let help = "`quorate backup schedule` sets every host up again and tests it";
                Finding::problem(Kind::BackupFailing, says, help)
            };
            let unknown = outlook
                .unknown
                .iter()
                .map(|says| Finding::unknown(Kind::BackupUnknown, says, MEND));
            outlook.findings.iter().map(finding).chain(unknown).collect()
        }
    }
}
