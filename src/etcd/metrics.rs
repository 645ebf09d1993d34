//! The few of etcd's metrics that tell what the API does not: who is connected to whom, and how slow the disk is.
//!
//! Names as in 3.4.23, 3.5.30 and 3.6.14. The format is Prometheus' text format.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::inventory::MemberId;

/// What one member's `/metrics` says. A metric that is not there is `None`, not zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// `etcd_server_has_leader`.
    pub has_leader: Option<bool>,
    /// `etcd_server_is_leader`.
    pub is_leader: Option<bool>,
    /// `etcd_server_leader_changes_seen_total` since the process started.
    pub leader_changes: Option<u64>,
    /// `etcd_server_quota_backend_bytes`, the quota in force.
    pub quota_bytes: Option<u64>,
    /// `etcd_network_active_peers`, streams per remote member: 0 means one-way TLS or network trouble that no health
    /// check shows.
    pub active_peers: BTreeMap<MemberId, u64>,
    /// `etcd_network_peer_received_bytes_total`, by the member that sent them: one that lives answers each heartbeat of its
    /// leader. (A stream to one whose machine lost power stays "active" until TCP gives up, many minutes later.)
    pub received: BTreeMap<MemberId, u64>,
    /// `etcd_network_peer_round_trip_time_seconds`, by remote member.
    pub round_trips: BTreeMap<MemberId, Latency>,
    /// `etcd_disk_wal_fsync_duration_seconds`; good below 10 ms.
    pub wal_fsync: Option<Latency>,
    /// `etcd_disk_backend_commit_duration_seconds`; good below 25 ms.
    pub backend_commit: Option<Latency>,
}

/// A latency histogram since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// 99 % took no longer than this, in seconds; estimated within its bucket as Prometheus' `histogram_quantile` does.
    pub p99_seconds: f64,
}

impl Metrics {
    /// Reads the text format; lines that make no sense are skipped.
    pub fn parse(text: &str) -> Metrics {
        Metrics::of(text.lines().filter_map(Sample::parse))
    }

    pub(super) fn of<'a>(samples: impl Iterator<Item = Sample<'a>>) -> Metrics {
        let mut metrics = Metrics::default();
        let mut wal_fsync = Vec::new();
        let mut backend_commit = Vec::new();
        let mut round_trips: BTreeMap<MemberId, Vec<(f64, f64)>> = BTreeMap::new();
        for sample in samples {
            match sample.name {
                "etcd_server_has_leader" => metrics.has_leader = Some(sample.value > 0.0),
                "etcd_server_is_leader" => metrics.is_leader = Some(sample.value > 0.0),
                "etcd_server_leader_changes_seen_total" => metrics.leader_changes = Some(sample.value as u64),
                "etcd_server_quota_backend_bytes" => metrics.quota_bytes = Some(sample.value as u64),
                "etcd_network_active_peers" => {
                    if let Some(remote) = sample.member("Remote") {
                        metrics.active_peers.insert(remote, sample.value as u64);
                    }
                }
                "etcd_network_peer_received_bytes_total" => {
                    if let Some(from) = sample.member("From") {
                        metrics.received.insert(from, sample.value as u64);
                    }
                }
                "etcd_network_peer_round_trip_time_seconds_bucket" => {
                    if let Some(remote) = sample.member("To") {
                        round_trips.entry(remote).or_default().extend(sample.bucket());
                    }
                }
                "etcd_disk_wal_fsync_duration_seconds_bucket" => wal_fsync.extend(sample.bucket()),
                "etcd_disk_backend_commit_duration_seconds_bucket" => backend_commit.extend(sample.bucket()),
                _ => {}
            }
        }
        metrics.wal_fsync = latency(&wal_fsync);
        metrics.backend_commit = latency(&backend_commit);
        metrics.round_trips = round_trips
            .into_iter()
            .filter_map(|(remote, buckets)| Some((remote, latency(&buckets)?)))
            .collect();
        metrics
    }
}

/// `name{label="value",...} 1.5`
pub(super) struct Sample<'a> {
    /// Name and labels as they stand there.
    pub(super) series: &'a str,
    pub(super) name: &'a str,
    labels: &'a str,
    pub(super) value: f64,
}

impl<'a> Sample<'a> {
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        Sample::of(series, value.parse().ok()?)
    }

    pub(super) fn of(series: &'a str, value: f64) -> Option<Self> {
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        Some(Sample {
            series,
            name,
            labels,
            value,
        })
    }

    /// A label's value. The labels read here hold ids and numbers, which need no unescaping.
    pub(super) fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.split(',').find_map(|label| {
            let value = label.strip_prefix(name)?.strip_prefix("=\"")?;
            value.strip_suffix('"')
        })
    }

    /// The member that a label names.
    fn member(&self, label: &str) -> Option<MemberId> {
        self.label(label)?.parse().ok()
    }

    /// A histogram bucket: its upper bound and how many fell below it.
    fn bucket(&self) -> Option<(f64, f64)> {
        Some((self.label("le")?.parse().ok()?, self.value))
    }
}

/// `buckets` are cumulative and ascending; the last one's bound is infinite.
pub(super) fn latency(buckets: &[(f64, f64)]) -> Option<Latency> {
    let (_, count) = *buckets.last()?;
    let rank = 0.99 * count;
    let (mut below, mut bound) = (0.0, 0.0);
    for &(upper, upto) in buckets {
        if upto >= rank && upper.is_finite() {
            let share = if upto > below {
                (rank - below) / (upto - below)
            } else {
                0.0
            };
            bound += (upper - bound) * share;
            break;
        }
        if upper.is_finite() {
            (below, bound) = (upto, upper);
        }
    }
    Some(Latency {
        count: count as u64,
        p99_seconds: bound,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of the form that a 3.5.30 member writes, with values that are easy to reckon with.
    const TEXT: &str = r#"
# HELP etcd_network_active_peers The current number of active peer connections.
# TYPE etcd_network_active_peers gauge
etcd_network_active_peers{Local="8211f1d0f64f3269",Remote="91bc3c398fb3c146"} 1
etcd_network_active_peers{Local="8211f1d0f64f3269",Remote="fd422379fda50e48"} 0
etcd_network_peer_round_trip_time_seconds_bucket{To="91bc3c398fb3c146",le="0.0001"} 0
etcd_network_peer_round_trip_time_seconds_bucket{To="91bc3c398fb3c146",le="0.0002"} 10
etcd_network_peer_round_trip_time_seconds_bucket{To="91bc3c398fb3c146",le="+Inf"} 10
etcd_network_peer_round_trip_time_seconds_bucket{To="fd422379fda50e48",le="0.1024"} 0
etcd_network_peer_round_trip_time_seconds_bucket{To="fd422379fda50e48",le="+Inf"} 4
etcd_server_has_leader 1
etcd_server_is_leader 0
etcd_server_leader_changes_seen_total 2
etcd_server_quota_backend_bytes 2.147483648e+09
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 50
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} 90
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.004"} 100
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 100
etcd_disk_wal_fsync_duration_seconds_sum 0.2
etcd_disk_wal_fsync_duration_seconds_count 100
etcd_disk_backend_commit_duration_seconds_bucket{le="8.192"} 0
etcd_disk_backend_commit_duration_seconds_bucket{le="+Inf"} 3
etcd_server_version{server_version="3.5.30"} 1
broken{ 1
"#;

    #[test]
    fn the_gauges_are_found_among_the_rest() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.has_leader, Some(true));
        assert_eq!(metrics.is_leader, Some(false));
        assert_eq!(metrics.leader_changes, Some(2));
        assert_eq!(metrics.quota_bytes, Some(2 << 30));
        let peers: Vec<_> = metrics
            .active_peers
            .iter()
            .map(|(id, n)| (id.to_string(), *n))
            .collect();
        assert_eq!(
            peers,
            [("91bc3c398fb3c146".to_owned(), 1), ("fd422379fda50e48".to_owned(), 0)]
        );
    }

    #[test]
    fn the_99th_percentile_lies_inside_its_bucket() {
        let fsync = Metrics::parse(TEXT).wal_fsync.unwrap();
        assert_eq!(fsync.count, 100);
        assert!((fsync.p99_seconds - 0.0038).abs() < 1e-9, "{fsync:?}");
    }

    #[test]
    fn round_trips_are_kept_apart_by_member() {
        let metrics = Metrics::parse(TEXT);
        let told: Vec<_> = metrics.round_trips.values().map(|l| (l.count, l.p99_seconds)).collect();
        assert_eq!(told.len(), 2);
        assert!((told[0].1 - 0.000_199).abs() < 1e-9, "{told:?}");
        assert_eq!(told[1], (4, 0.1024), "beyond the last bound");
    }

    #[test]
    fn latencies_beyond_the_last_bound_count_as_that_bound() {
        let commit = Metrics::parse(TEXT).backend_commit.unwrap();
        assert_eq!((commit.count, commit.p99_seconds), (3, 8.192));
    }

    #[test]
    fn nothing_is_not_zero() {
        assert_eq!(Metrics::parse(""), Metrics::default());
        assert_eq!(latency(&[(0.1, 0.0), (f64::INFINITY, 0.0)]).unwrap().p99_seconds, 0.0);
    }
}
