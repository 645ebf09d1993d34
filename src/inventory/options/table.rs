//! Every key that etcd's configuration file has in 3.4, 3.5, 3.6 and 3.7.
//!
//! Source: the `json:` tags of `Config` and `configJSON` in etcd's `embed/config.go` (`server/embed/config.go` from
//! 3.5) and of `configProxy` in `etcdmain/config.go`, compared over every release from 3.4.0 to 3.7.1. Options that
//! exist on the command line only are absent: with a configuration file etcd ignores the command line.

use super::super::names::Version;

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number, 0 or more.
    Count,
    /// A size in bytes.
    Bytes,
    /// As [`Kind::Bytes`], or -1 for "no limit".
    BytesOrOff,
    /// A duration; etcd reads nanoseconds as an integer.
    Nanos,
    /// A duration; etcd reads milliseconds as an integer.
    Millis,
    /// A duration; etcd reads seconds as an integer.
    Seconds,
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    List,
    /// Texts joined by commas; a list is taken too.
    Commas,
    /// `auto-compaction-retention`: a text that is a duration or a number.
    Retention,
    /// `feature-gates`: `A=true,B=false`; a mapping is taken too.
    Gates,
    /// JSON in a text; a mapping is taken too.
    JsonText,
    /// A mapping of switches.
    Switches(&'static [&'static str]),
}

/// What quorate makes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The operator's to set.
    Free,
    /// Set by quorate; the text says which inventory key to use instead, or why there is none.
    Managed(&'static str),
    /// Has another name in later releases.
    Renamed(&'static str),
    /// A feature gate of this name from 3.6 on.
    Gate(&'static str),
    /// Gone in later releases; the text says what to do.
    Removed(&'static str),
}

/// One option of etcd's configuration file.
#[derive(Debug, Clone, Copy)]
pub struct EtcdOption {
    /// Its name.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// The first patch release of 3.4, 3.5, 3.6 and 3.7 that reads it.
    since: [Option<u32>; 4],
    /// What quorate makes of it.
    pub fate: Fate,
}

/// The minor releases the table knows, oldest first.
pub const SERIES: [(u32, u32); 4] = [(3, 4), (3, 5), (3, 6), (3, 7)];

fn column(version: Version) -> Option<usize> {
    SERIES.iter().position(|series| *series == version.series())
}

impl EtcdOption {
    /// Whether `version` reads this option.
    pub fn exists_in(&self, version: Version) -> bool {
        column(version)
            .and_then(|series| self.since[series])
            .is_some_and(|patch| version.patch >= patch)
    }

    /// The first release after `version` that reads this option.
    pub fn appears_after(&self, version: Version) -> Option<Version> {
        let first_in = |(series, since): (&(u32, u32), &Option<u32>)| Some(Version::new(series.0, series.1, (*since)?));
        SERIES
            .iter()
            .zip(&self.since)
            .filter_map(first_in)
            .find(|first| *first > version)
    }

    /// The first minor release without this option, where it existed before.
    pub fn gone_since(&self) -> Option<(u32, u32)> {
        let last = self.since.iter().rposition(Option::is_some)?;
        SERIES.get(last + 1).copied()
    }
}

/// The option of this name, in whatever release.
pub fn find(name: &str) -> Option<&'static EtcdOption> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// The feature gates of `version`.
pub fn gates(version: Version) -> &'static [&'static str] {
    const SINCE_3_6: &[&str] = &[
        "AllAlpha",
        "AllBeta",
        "CompactHashCheck",
        "InitialCorruptCheck",
        "LeaseCheckpoint",
        "LeaseCheckpointPersist",
        "SetMemberLocalAddr",
        "StopGRPCServiceOnDefrag",
        "TxnModeWriteWithSharedBuffer",
    ];
    const SINCE_3_7: &[&str] = &[
        "AllAlpha",
        "AllBeta",
        "CompactHashCheck",
        "FastLeaseKeepAlive",
        "InitialCorruptCheck",
        "LeaseCheckpoint",
        "LeaseCheckpointPersist",
        "PriorityRequest",
        "SetMemberLocalAddr",
        "StopGRPCServiceOnDefrag",
        "TxnModeWriteWithSharedBuffer",
    ];
    match version.series() {
        (3, 6) => SINCE_3_6,
        (3, 7) => SINCE_3_7,
        _ => &[],
    }
}

const NO: Option<u32> = None;
const fn p(patch: u32) -> Option<u32> {
    Some(patch)
}
const ALL: [Option<u32>; 4] = [p(0), p(0), p(0), p(0)];
const SINCE_36: [Option<u32>; 4] = [NO, NO, p(0), p(0)];
const ONLY_34: [Option<u32>; 4] = [p(0), NO, NO, NO];
const UNTIL_35: [Option<u32>; 4] = [p(0), p(0), NO, NO];
const UNTIL_36: [Option<u32>; 4] = [p(0), p(0), p(0), NO];
const NEVER: [Option<u32>; 4] = [NO; 4];

const fn free(name: &'static str, kind: Kind, since: [Option<u32>; 4]) -> EtcdOption {
    EtcdOption {
        name,
        kind,
        since,
        fate: Fate::Free,
    }
}
const fn managed(name: &'static str, since: [Option<u32>; 4], instead: &'static str) -> EtcdOption {
    EtcdOption {
        name,
        kind: Kind::Text,
        since,
        fate: Fate::Managed(instead),
    }
}
const fn renamed(name: &'static str, kind: Kind, since: [Option<u32>; 4], to: &'static str) -> EtcdOption {
    EtcdOption {
        name,
        kind,
        since,
        fate: Fate::Renamed(to),
    }
}
const fn gate(name: &'static str, since: [Option<u32>; 4], gate: &'static str) -> EtcdOption {
    EtcdOption {
        name,
        kind: Kind::Bool,
        since,
        fate: Fate::Gate(gate),
    }
}
const fn removed(name: &'static str, kind: Kind, since: [Option<u32>; 4], advice: &'static str) -> EtcdOption {
    EtcdOption {
        name,
        kind,
        since,
        fate: Fate::Removed(advice),
    }
}

const MEMBERSHIP: &str = "quorate derives it from `hosts`";
const CERTIFICATES: &str = "quorate creates the certificates and enables mutual TLS; see `pki`";
const ADDRESSES: &str = "use `address`, `listen`, `client_port` and `peer_port`";
const DISCOVERY: &str = "the members are the `hosts` of this file";
const PROXY: &str = "quorate runs members only: clients take a list of endpoints, so they need no proxy";
const TLS_VERSIONS: &[&str] = &["", "TLS1.2", "TLS1.3"];
const FREELIST: Kind = Kind::Choice(&["array", "map"]);

/// All of them, by subject.
pub static OPTIONS: &[EtcdOption] = &[
    // Identity and places: quorate's.
    managed("name", ALL, "the member's name is the host's `name`"),
    managed("data-dir", ALL, "use `paths.data`"),
    managed("wal-dir", ALL, "use `paths.wal`"),
    managed("listen-peer-urls", ALL, ADDRESSES),
    managed("listen-client-urls", ALL, ADDRESSES),
    managed("listen-client-http-urls", [p(25), p(8), p(0), p(0)], ADDRESSES),
    managed("listen-metrics-urls", ALL, "use `metrics_port` and `metrics_address`"),
    managed("initial-advertise-peer-urls", ALL, ADDRESSES),
    managed("advertise-client-urls", ALL, ADDRESSES),
    // Membership: quorate's.
    managed("initial-cluster", ALL, MEMBERSHIP),
    managed("initial-cluster-state", ALL, MEMBERSHIP),
    managed("initial-cluster-token", ALL, "quorate generates one for each cluster"),
    managed(
        "force-new-cluster",
        ALL,
        "it discards the other members; `quorate restore FILE` creates a whole cluster from a snapshot",
    ),
    managed("discovery", UNTIL_36, DISCOVERY),
    managed("discovery-proxy", UNTIL_36, DISCOVERY),
    managed("discovery-fallback", UNTIL_35, DISCOVERY),
    managed("discovery-srv", ALL, DISCOVERY),
    managed("discovery-srv-name", ALL, DISCOVERY),
    managed("discovery-config", SINCE_36, DISCOVERY),
    managed("proxy", UNTIL_35, PROXY),
    managed("proxy-failure-wait", UNTIL_35, PROXY),
    managed("proxy-refresh-interval", UNTIL_35, PROXY),
    managed("proxy-dial-timeout", UNTIL_35, PROXY),
    managed("proxy-write-timeout", UNTIL_35, PROXY),
    managed("proxy-read-timeout", UNTIL_35, PROXY),
    // Certificates: quorate's. The flat names are a common mistake; etcd's file ignores them, and serves plain HTTP.
    managed("client-transport-security", ALL, CERTIFICATES),
    managed("peer-transport-security", ALL, CERTIFICATES),
    managed("cert-file", NEVER, CERTIFICATES),
    managed("key-file", NEVER, CERTIFICATES),
    managed("trusted-ca-file", NEVER, CERTIFICATES),
    managed("client-cert-auth", NEVER, CERTIFICATES),
    managed("client-crl-file", NEVER, CERTIFICATES),
    managed("auto-tls", NEVER, CERTIFICATES),
    managed("peer-cert-file", NEVER, CERTIFICATES),
    managed("peer-key-file", NEVER, CERTIFICATES),
    managed("peer-trusted-ca-file", NEVER, CERTIFICATES),
    managed("peer-client-cert-auth", NEVER, CERTIFICATES),
    managed("peer-crl-file", NEVER, CERTIFICATES),
    managed("peer-auto-tls", NEVER, CERTIFICATES),
    managed("self-signed-cert-validity", [NO, p(1), p(0), p(0)], CERTIFICATES),
    managed(
        "experimental-peer-skip-client-san-verification",
        [NO, NO, p(0), NO],
        CERTIFICATES,
    ),
    // Raft and storage.
    free("snapshot-count", Kind::Count, ALL),
    free("max-snapshots", Kind::Count, ALL),
    free("max-wals", Kind::Count, ALL),
    free("heartbeat-interval", Kind::Millis, ALL),
    free("election-timeout", Kind::Millis, ALL),
    free("initial-election-tick-advance", Kind::Bool, ALL),
    free("pre-vote", Kind::Bool, ALL),
    free("strict-reconfig-check", Kind::Bool, ALL),
    free("max-learners", Kind::Count, SINCE_36),
    free("backend-batch-interval", Kind::Nanos, ALL),
    free("backend-batch-limit", Kind::Count, ALL),
    free("backend-bbolt-freelist-type", FREELIST, [NO, p(0), p(0), p(0)]),
    renamed(
        "experimental-backend-bbolt-freelist-type",
        FREELIST,
        ONLY_34,
        "backend-bbolt-freelist-type",
    ),
    free("quota-backend-bytes", Kind::BytesOrOff, ALL),
    free("auto-compaction-mode", Kind::Choice(&["periodic", "revision"]), ALL),
    free("auto-compaction-retention", Kind::Retention, ALL),
    free("unsafe-no-fsync", Kind::Bool, [p(10), p(0), p(0), p(0)]),
    free("memory-mlock", Kind::Bool, SINCE_36),
    renamed(
        "experimental-memory-mlock",
        Kind::Bool,
        [NO, p(0), p(0), NO],
        "memory-mlock",
    ),
    free("snapshot-catchup-entries", Kind::Count, SINCE_36),
    renamed(
        "experimental-snapshot-catch-up-entries",
        Kind::Count,
        [NO, p(14), p(0), NO],
        "snapshot-catchup-entries",
    ),
    free("bootstrap-defrag-threshold-megabytes", Kind::Count, SINCE_36),
    renamed(
        "experimental-bootstrap-defrag-threshold-megabytes",
        Kind::Count,
        [NO, p(0), p(0), NO],
        "bootstrap-defrag-threshold-megabytes",
    ),
    free("compaction-batch-limit", Kind::Count, SINCE_36),
    renamed(
        "experimental-compaction-batch-limit",
        Kind::Count,
        UNTIL_36,
        "compaction-batch-limit",
    ),
    free("compaction-sleep-interval", Kind::Nanos, SINCE_36),
    renamed(
        "experimental-compaction-sleep-interval",
        Kind::Nanos,
        [NO, p(16), p(0), NO],
        "compaction-sleep-interval",
    ),
    // Requests and connections.
    free("max-txn-ops", Kind::Count, ALL),
    free("max-request-bytes", Kind::Bytes, ALL),
    free("max-concurrent-streams", Kind::Count, [p(20), p(5), p(0), p(0)]),
    free("grpc-keepalive-min-time", Kind::Nanos, ALL),
    free("grpc-keepalive-interval", Kind::Nanos, ALL),
    free("grpc-keepalive-timeout", Kind::Nanos, ALL),
    free(
        "socket-options",
        Kind::Switches(&["reuse-port", "reuse-address"]),
        [NO, p(10), p(0), p(0)],
    ),
    free("enable-grpc-gateway", Kind::Bool, ALL),
    free("cors", Kind::Commas, ALL),
    free("host-whitelist", Kind::Commas, ALL),
    free("cipher-suites", Kind::List, ALL),
    free("tls-min-version", Kind::Choice(TLS_VERSIONS), [p(25), p(8), p(0), p(0)]),
    free("tls-max-version", Kind::Choice(TLS_VERSIONS), [p(25), p(8), p(0), p(0)]),
    free("auth-token", Kind::Text, ALL),
    free("auth-token-ttl", Kind::Seconds, [p(10), p(0), p(0), p(0)]),
    free("bcrypt-cost", Kind::Count, ALL),
    free("watch-progress-notify-interval", Kind::Nanos, SINCE_36),
    renamed(
        "experimental-watch-progress-notify-interval",
        Kind::Nanos,
        [p(11), p(0), p(0), NO],
        "watch-progress-notify-interval",
    ),
    // Checks against corruption.
    free("corrupt-check-time", Kind::Nanos, SINCE_36),
    renamed(
        "experimental-corrupt-check-time",
        Kind::Nanos,
        UNTIL_36,
        "corrupt-check-time",
    ),
    free("compact-hash-check-time", Kind::Nanos, SINCE_36),
    renamed(
        "experimental-compact-hash-check-time",
        Kind::Nanos,
        [NO, p(5), p(0), NO],
        "compact-hash-check-time",
    ),
    free("feature-gates", Kind::Gates, SINCE_36),
    gate("experimental-initial-corrupt-check", UNTIL_36, "InitialCorruptCheck"),
    gate(
        "experimental-compact-hash-check-enabled",
        [NO, p(5), p(0), NO],
        "CompactHashCheck",
    ),
    gate("experimental-enable-lease-checkpoint", UNTIL_36, "LeaseCheckpoint"),
    gate(
        "experimental-enable-lease-checkpoint-persist",
        [p(20), p(2), p(0), NO],
        "LeaseCheckpointPersist",
    ),
    gate(
        "experimental-stop-grpc-service-on-defrag",
        [NO, p(14), p(0), NO],
        "StopGRPCServiceOnDefrag",
    ),
    gate(
        "experimental-txn-mode-write-with-shared-buffer",
        [NO, p(0), p(0), NO],
        "TxnModeWriteWithSharedBuffer",
    ),
    // Versions of the storage.
    free("downgrade-check-time", Kind::Nanos, SINCE_36),
    renamed(
        "experimental-downgrade-check-time",
        Kind::Nanos,
        [NO, p(0), p(0), NO],
        "downgrade-check-time",
    ),
    free("next-cluster-version-compatible", Kind::Bool, [p(31), NO, NO, NO]),
    free(
        "v2-deprecation",
        Kind::Choice(&[
            "not-yet",
            "write-only",
            "write-only-skip-check",
            "write-only-drop-data",
            "gone",
        ]),
        [NO, p(0), p(0), p(0)],
    ),
    removed(
        "enable-v2",
        Kind::Bool,
        UNTIL_35,
        "the v2 API is gone: clients must use v3",
    ),
    removed(
        "experimental-enable-v2v3",
        Kind::Text,
        UNTIL_35,
        "the v2 API is gone: clients must use v3",
    ),
    // Logs, metrics, traces.
    free("logger", Kind::Choice(&["zap"]), ALL),
    free(
        "log-level",
        Kind::Choice(&["debug", "info", "warn", "error", "panic", "fatal"]),
        ALL,
    ),
    free("log-outputs", Kind::List, ALL),
    free("log-format", Kind::Choice(&["json", "console"]), SINCE_36),
    free("enable-log-rotation", Kind::Bool, [NO, p(0), p(0), p(0)]),
    free("log-rotation-config-json", Kind::JsonText, [NO, p(0), p(0), p(0)]),
    renamed("log-output", Kind::List, ONLY_34, "log-outputs"),
    removed("debug", Kind::Bool, ONLY_34, "use `log-level: debug`"),
    removed("log-package-levels", Kind::Text, ONLY_34, "use `log-level`"),
    free("enable-pprof", Kind::Bool, ALL),
    free("metrics", Kind::Choice(&["basic", "extensive"]), ALL),
    free("warning-apply-duration", Kind::Nanos, SINCE_36),
    renamed(
        "experimental-warning-apply-duration",
        Kind::Nanos,
        [p(16), p(0), p(0), NO],
        "warning-apply-duration",
    ),
    free("warning-unary-request-duration", Kind::Nanos, SINCE_36),
    renamed(
        "experimental-warning-unary-request-duration",
        Kind::Nanos,
        [NO, NO, p(0), NO],
        "warning-unary-request-duration",
    ),
    free("enable-distributed-tracing", Kind::Bool, SINCE_36),
    renamed(
        "experimental-enable-distributed-tracing",
        Kind::Bool,
        [NO, p(0), p(0), NO],
        "enable-distributed-tracing",
    ),
    free("distributed-tracing-address", Kind::Text, SINCE_36),
    renamed(
        "experimental-distributed-tracing-address",
        Kind::Text,
        [NO, p(0), p(0), NO],
        "distributed-tracing-address",
    ),
    free("distributed-tracing-service-name", Kind::Text, SINCE_36),
    renamed(
        "experimental-distributed-tracing-service-name",
        Kind::Text,
        [NO, p(0), p(0), NO],
        "distributed-tracing-service-name",
    ),
    free("distributed-tracing-instance-id", Kind::Text, SINCE_36),
    renamed(
        "experimental-distributed-tracing-instance-id",
        Kind::Text,
        [NO, p(0), p(0), NO],
        "distributed-tracing-instance-id",
    ),
    free("distributed-tracing-sampling-rate", Kind::Count, SINCE_36),
    renamed(
        "experimental-distributed-tracing-sampling-rate",
        Kind::Count,
        [NO, p(11), p(0), NO],
        "distributed-tracing-sampling-rate",
    ),
];
