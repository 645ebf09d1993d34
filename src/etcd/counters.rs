//! Two readings of a member's `/metrics`, and what happened between them. Counters and histograms count since the process was
//! started; only their difference tells how it is now.

use std::collections::BTreeMap;

use super::metrics::{Sample, latency};
use super::{Latency, Metrics};

/// When the process started; another value means another process.
const STARTED: &str = "process_start_time_seconds";

/// One reading: every series of etcd, of its gRPC server and of its process, by name and labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters {
    series: BTreeMap<String, f64>,
}

impl Counters {
    /// Reads the text format; lines that make no sense are skipped.
    pub fn parse(text: &str) -> Counters {
        let samples = text.lines().filter_map(Sample::parse);
        let wanted = samples.filter(|sample| {
            let known = ["etcd_", "grpc_server_handled_total", "process_"];
            known.iter().any(|name| sample.name.starts_with(name))
        });
        Counters {
            series: wanted.map(|sample| (sample.series.to_owned(), sample.value)).collect(),
        }
    }

    /// The series of a name.
    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Sample<'a>> {
        let from = self.series.range(name.to_owned()..);
        let near = from.take_while(move |(series, _)| series.starts_with(name));
        near.filter_map(|(series, value)| Sample::of(series, *value))
            .filter(move |sample| sample.name == name)
    }
}

/// Two readings of one member.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Span {
    from: Counters,
    to: Counters,
    /// The process is another one than at the first reading; then everything counts from its start.
    pub restarted: bool,
}

/// What was measured between two readings.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// How many, and the 99th percentile.
    pub latency: Latency,
    /// Cumulative, ascending; the last bound is infinite.
    buckets: Vec<(f64, f64)>,
}

impl Spread {
    fn of(mut buckets: Vec<(f64, f64)>) -> Option<Spread> {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let latency = latency(&buckets)?;
        Some(Spread { latency, buckets })
    }

    /// How many may have taken longer than `seconds`: all above the last bound that is not more.
    pub fn over(&self, seconds: f64) -> u64 {
        let within = self.buckets.iter().rfind(|(bound, _)| *bound <= seconds);
        self.latency.count - within.map_or(0, |(_, upto)| *upto as u64)
    }
}

impl Span {
    /// From the first reading to the second.
    pub fn new(from: Counters, to: Counters) -> Span {
        let started = |counters: &Counters| counters.series.get(STARTED).copied();
        let restarted = started(&from) != started(&to);
        Span {
            from: if restarted { Counters::default() } else { from },
            to,
            restarted,
        }
    }

    /// The gauge at the end; `None` where the release does not have it.
    pub fn now(&self, name: &str) -> Option<f64> {
        let mut found = self.to.of(name).peekable();
        found.peek()?;
        Some(found.map(|sample| sample.value).sum())
    }

    /// By how much a counter grew, over all its labels; `None` where the release does not have it.
    pub fn grew(&self, name: &str) -> Option<f64> {
        let before = self.from.of(name).map(|sample| sample.value).sum::<f64>();
        Some((self.now(name)? - before).max(0.0))
    }

    /// The same by the value of a label; those that did not grow are left out.
    pub fn grew_by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut grown: BTreeMap<String, f64> = BTreeMap::new();
        let signed = self.to.of(name).map(|sample| (sample, 1.0));
        for (sample, sign) in signed.chain(self.from.of(name).map(|sample| (sample, -1.0))) {
            if let Some(value) = sample.label(label) {
                *grown.entry(value.to_owned()).or_default() += sign * sample.value;
            }
        }
        grown.retain(|_, by| *by > 0.0);
        grown
    }

    /// What a histogram took up; `None` where the release does not have it. Nothing measured is a count of zero.
    pub fn spread(&self, name: &str) -> Option<Spread> {
        let name = format!("{name}_bucket");
        let mut buckets: BTreeMap<&str, f64> = BTreeMap::new();
        let signed = self.to.of(&name).map(|sample| (sample, 1.0));
        for (sample, sign) in signed.chain(self.from.of(&name).map(|sample| (sample, -1.0))) {
            *buckets.entry(sample.label("le")?).or_default() += sign * sample.value;
        }
        let bounds = buckets.into_iter();
        Spread::of(bounds.filter_map(|(le, upto)| Some((le.parse().ok()?, upto))).collect())
    }

    /// What the member is at the end of the window.
    pub fn gauges(&self) -> Metrics {
        Metrics::of(
            self.to
                .series
                .iter()
                .filter_map(|(series, value)| Sample::of(series, *value)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(started: u32, fast: u32, slow: u32, puts: u32) -> Counters {
        let all = fast + slow;
        Counters::parse(&format!(
            "process_start_time_seconds {started}\n\
             etcd_disk_wal_fsync_duration_seconds_bucket{{le=\"0.001\"}} {fast}\n\
             etcd_disk_wal_fsync_duration_seconds_bucket{{le=\"0.008\"}} {fast}\n\
             etcd_disk_wal_fsync_duration_seconds_bucket{{le=\"0.256\"}} {all}\n\
             etcd_disk_wal_fsync_duration_seconds_bucket{{le=\"+Inf\"}} {all}\n\
             etcd_disk_wal_fsync_duration_seconds_count {all}\n\
             etcd_server_proposals_pending 4\n\
             grpc_server_handled_total{{grpc_code=\"OK\",grpc_method=\"Put\"}} {puts}\n\
             grpc_server_handled_total{{grpc_code=\"Canceled\",grpc_method=\"Put\"}} 1\n\
             grpc_server_handled_total{{grpc_code=\"OK\",grpc_method=\"Range\"}} 9\n\
             go_goroutines 100\n"
        ))
    }

    #[test]
    fn the_years_before_the_window_do_not_hide_what_is_slow_now() {
        let span = Span::new(reading(1, 100_000, 0, 5), reading(1, 100_000, 10, 25));
        let fsync = span.spread("etcd_disk_wal_fsync_duration_seconds").unwrap();
        assert_eq!((fsync.latency.count, fsync.over(0.010)), (10, 10));
        assert!(fsync.latency.p99_seconds > 0.25, "{fsync:?}");
        assert_eq!(
            span.grew_by("grpc_server_handled_total", "grpc_method"),
            [("Put".to_owned(), 20.0)].into()
        );
        assert_eq!(span.now("etcd_server_proposals_pending"), Some(4.0));
        assert!(!span.restarted);
    }

    #[test]
    fn nothing_measured_is_not_the_same_as_no_such_series() {
        let span = Span::new(reading(1, 7, 0, 5), reading(1, 7, 0, 5));
        assert_eq!(
            span.spread("etcd_disk_wal_fsync_duration_seconds")
                .unwrap()
                .latency
                .count,
            0
        );
        assert_eq!(span.spread("etcd_disk_wal_fsync"), None);
        assert_eq!(span.grew("etcd_disk"), None, "a name is not a prefix");
        assert_eq!(span.grew("grpc_server_handled_total"), Some(0.0));
    }

    #[test]
    fn a_member_that_was_restarted_counts_from_its_start() {
        let span = Span::new(reading(1, 100, 0, 50), reading(2, 3, 0, 2));
        assert!(span.restarted);
        assert_eq!(span.grew("grpc_server_handled_total"), Some(12.0));
        assert_eq!(
            span.spread("etcd_disk_wal_fsync_duration_seconds")
                .unwrap()
                .latency
                .count,
            3
        );
    }
}
