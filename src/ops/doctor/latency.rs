//! How slow disks and network are, as the members measured it since they were started.

use super::{Examined, Finding, Kind, Severity};
use crate::etcd::Latency;
use crate::inventory::DesiredHost;
use crate::ops::model::{Fact, label};
use crate::report::human_millis;

/// Fewer measurements say nothing about the slowest hundredth.
pub const ENOUGH: u64 = 200;

/// What 99 of 100 WAL syncs should not exceed, seconds (etcd FAQ, "What does the warning 'apply entries took too long' mean").
pub const WAL_FSYNC: f64 = 0.010;
/// The same for a commit of the database (the same FAQ).
pub const BACKEND_COMMIT: f64 = 0.025;

/// What the slowest of a hundred may take.
struct Limit {
    what: &'static str,
    /// etcd FAQ, "What does the warning 'apply entries took too long' mean".
    good: f64,
    /// Where etcd's own alerts become warnings (contrib/mixin: etcdHighFsyncDurations, etcdHighCommitDurations).
    bad: f64,
}

const WAL: Limit = Limit {
    what: "writing to the WAL",
    good: WAL_FSYNC,
    bad: 0.5,
};
const COMMIT: Limit = Limit {
    what: "a commit of the database",
    good: BACKEND_COMMIT,
    bad: 0.25,
};

/// Two probers for each peer record a value every 30 s (`statusMonitoringInterval`, server/etcdserver/api/rafthttp): five
/// minutes' worth.
pub const ENOUGH_PROBES: u64 = 20;

/// The election timeout should be at least this many round trips (etcd's tuning guide); it is 1000 ms unless configured.
const ROUND_TRIPS: f64 = 10.0;
const ELECTION_TIMEOUT_MS: u64 = 1000;

pub(super) fn findings(examined: &Examined<'_>) -> Vec<Finding> {
    let mut findings = unmeasured(examined);
    for (host, metrics) in examined.measured() {
        findings.extend(disk(host, &WAL, metrics.wal_fsync));
        findings.extend(disk(host, &COMMIT, metrics.backend_commit));
    }
    findings.extend(network(examined));
    findings
}

fn unmeasured(examined: &Examined<'_>) -> Vec<Finding> {
    let silent = |(name, fact): (&_, &Fact<_>)| match fact {
        Fact::Unknown(why) => Some(
            Finding::problem(
                Kind::MetricsUnread,
                format!("its metrics could not be read: {why}"),
                format!("`quorate logs {name}` shows more"),
            )
            .on(name),
        ),
        Fact::Known(_) | Fact::Absent => None,
    };
    examined.metrics.iter().filter_map(silent).collect()
}

fn disk(host: &DesiredHost, limit: &Limit, measured: Option<Latency>) -> Option<Finding> {
    let seconds = measured.filter(|latency| latency.count >= ENOUGH)?.p99_seconds;
    let says = format!(
        "{} takes up to {} ms (99 of 100), and should take less than {} ms",
        limit.what,
        human_millis(seconds),
        human_millis(limit.good)
    );
    let help = "give etcd a local SSD with nothing else on it, or put its WAL on one (`paths.wal`)";
    let severity = match seconds {
        bad if bad >= limit.bad => Severity::Problem,
        slow if slow >= limit.good => Severity::Advice,
        _ => return None,
    };
    let finding = Finding {
        severity,
        ..Finding::problem(Kind::DiskSlow, says, help)
    };
    Some(finding.on(&host.name))
}

fn network(examined: &Examined<'_>) -> Vec<Finding> {
    let configured = examined.desired.options.get("election-timeout");
    let timeout_ms = configured
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(ELECTION_TIMEOUT_MS);
    let mut findings = Vec::new();
    for (host, metrics) in examined.measured() {
        for (remote, latency) in metrics.round_trips.iter().filter(|(_, l)| l.count >= ENOUGH_PROBES) {
            let member = examined
                .membership()
                .and_then(|m| m.members.iter().find(|x| x.id == *remote));
            let needed = (latency.p99_seconds * ROUND_TRIPS * 1000.0).ceil();
            let Some(member) = member.filter(|_| needed > timeout_ms as f64) else {
                continue;
            };
            let says = format!(
                "a round trip to {} takes up to {} ms (99 of 100), too long for an election timeout of {timeout_ms} ms",
                label(examined.desired, member),
                human_millis(latency.p99_seconds)
            );
            let help = format!(
                "set `election-timeout: {needed:.0}` or more and `heartbeat-interval: {:.0}` in `etcd.config`, the same on \
                 all, or move the members closer together",
                latency.p99_seconds * 1000.0
            );
            findings.push(Finding::advice(Kind::RoundTrips, says, help).on(&host.name));
        }
    }
    findings
}
