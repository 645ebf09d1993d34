//! What was collected, as numbers that one can read, print and judge. `None` is "not measured", never "fine".

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::{HostWindow, Keys, Sightings, SlowRequest, Window};
use crate::etcd::{Span, Spread};
use crate::host::{Pressure, Waited};
use crate::inventory::{Desired, NodeName};
use crate::ops::doctor::{BACKEND_COMMIT, WAL_FSYNC};
use crate::ops::model::{Fact, why_and_help};

/// The figures of one window.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    /// How long it was watched.
    pub seconds: f64,
    /// The operator ended it early.
    pub interrupted: bool,
    /// Every host that could be inspected.
    pub members: BTreeMap<NodeName, MemberFigures>,
    /// Every host that could not, and why.
    pub unknown: BTreeMap<NodeName, String>,
    /// Requests that members answered, by gRPC method, per second.
    pub requests_per_second: BTreeMap<String, f64>,
    /// Bytes a second that members sent to clients, by their own count; `None` where no member could be asked.
    pub sent_to_clients_per_second: Option<f64>,
    /// Who was connected, the one that was sent most first.
    pub clients: Vec<ClientFigures>,
    /// What members themselves called slow, the slowest first.
    pub slow_requests: Vec<SlowRequest>,
    /// What is stored; `None` where it could not be read.
    pub keys: Option<Keys>,
    /// Why not.
    pub keys_why_not: Option<String>,
}

/// One host and its member.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemberFigures {
    /// Its metrics could be read at both ends.
    pub measured: bool,
    /// Why not.
    pub why_not: Option<String>,
    /// etcd does not run there.
    pub down: bool,
    /// What else of this host could not be measured, and why.
    pub not_measured: Vec<String>,
    /// It leads at the end of the window.
    pub leader: bool,
    /// Its process began in the window.
    pub restarted: bool,
    /// `etcd_disk_wal_fsync_duration_seconds`. An idle member measures none: that is a count of zero.
    pub wal_fsync: Option<Measured>,
    /// `etcd_disk_backend_commit_duration_seconds`.
    pub backend_commit: Option<Measured>,
    /// `etcd_server_apply_duration_seconds`; not before 3.5.
    pub apply: Option<Measured>,
    /// The share of the time in which some task of the member's unit waited.
    pub pressure: Shares,
    /// The same of the whole host.
    pub host_pressure: Shares,
    /// The share of the time in which the unit's own limit kept the member from running.
    pub throttled: Option<f64>,
    /// The share of processor time that the hypervisor gave to others.
    pub stolen: Option<f64>,
    /// Tasks that run or want to, over a minute; and processors.
    pub load: Option<f64>,
    /// Processors that are online.
    pub processors: Option<u32>,
    /// `etcd_server_leader_changes_seen_total`.
    pub leader_changes: Option<u64>,
    /// `etcd_server_heartbeat_send_failures_total`: heartbeats that the leader sent late.
    pub heartbeats_late: Option<u64>,
    /// `etcd_server_proposals_pending` at the end.
    pub proposals_pending: Option<u64>,
    /// `etcd_server_proposals_failed_total`.
    pub proposals_failed: Option<u64>,
    /// `etcd_server_slow_read_indexes_total`.
    pub slow_reads: Option<u64>,
    /// `etcd_server_slow_apply_total`.
    pub slow_applies: Option<u64>,
    /// `etcd_debugging_mvcc_watcher_total` at the end.
    pub watchers: Option<u64>,
    /// `etcd_debugging_mvcc_watch_stream_total` at the end.
    pub watch_streams: Option<u64>,
    /// `etcd_debugging_mvcc_slow_watcher_total` at the end: watchers that do not keep up.
    pub slow_watchers: Option<u64>,
    /// `etcd_debugging_lease_granted_total`, per second.
    pub leases_granted_per_second: Option<f64>,
    /// `etcd_debugging_lease_renewed_total`, per second; leases are renewed by the leader.
    pub leases_renewed_per_second: Option<f64>,
    /// `etcd_network_client_grpc_sent_bytes_total`, per second.
    pub sent_to_clients_per_second: Option<f64>,
    /// Towards each other member.
    pub peers: BTreeMap<NodeName, PeerFigures>,
}

/// A latency in the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Measured {
    /// How many were measured.
    pub count: u64,
    /// 99 of 100 took no longer.
    pub p99_seconds: f64,
    /// How many took longer than they should.
    pub over: u64,
}

/// Shares of the time, 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Shares {
    /// Waiting for a processor.
    pub cpu: Option<f64>,
    /// Waiting for a disk.
    pub io: Option<f64>,
    /// Waiting for memory.
    pub memory: Option<f64>,
}

/// From one member to another.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PeerFigures {
    /// A round trip now.
    pub round_trip_seconds: Option<f64>,
    /// Why it could not be measured.
    pub why_not: Option<String>,
    /// `etcd_network_peer_sent_bytes_total`, per second.
    pub sent_per_second: Option<f64>,
    /// `etcd_network_peer_sent_failures_total`.
    pub send_failures: u64,
    /// TCP segments sent on connections of the peer ports, and how many of them a second time.
    pub segments: Option<u64>,
    /// How many of them were sent a second time.
    pub sent_again: Option<u64>,
}

/// Who was connected to members.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ClientFigures {
    /// An address, or a program on a host.
    pub who: String,
    /// The members it was connected to.
    pub members: Vec<NodeName>,
    /// Connections that were seen, short ones by chance.
    pub connections: u64,
    /// Bytes a second that it was sent over the connections that were seen: not less than that.
    pub sent_per_second: f64,
    /// Bytes a second that came from it.
    pub received_per_second: f64,
}

/// All figures of a window.
pub fn figures(desired: &Desired, window: &Window) -> Figures {
    let mut figures = Figures {
        seconds: window.seconds,
        interrupted: window.interrupted,
        keys: window.keys.known().cloned(),
        keys_why_not: why("keys", &window.keys, "no member could be asked"),
        ..Figures::default()
    };
    let mut clients: BTreeMap<String, ClientFigures> = BTreeMap::new();
    for (name, host) in &window.hosts {
        let host = match host {
            Fact::Known(host) => host,
            Fact::Unknown(why) => {
                figures.unknown.insert(name.clone(), why.clone());
                continue;
            }
            Fact::Absent => {
                figures.unknown.insert(name.clone(), "it was not inspected".to_owned());
                continue;
            }
        };
        let own = member(desired, window, name, host);
        if let Fact::Known(span) = &host.counters {
            for (method, count) in span.grew_by("grpc_server_handled_total", "grpc_method") {
                *figures.requests_per_second.entry(method).or_default() += count / host.seconds;
            }
        }
        if let Some(sent) = own.sent_to_clients_per_second {
            *figures.sent_to_clients_per_second.get_or_insert_default() += sent;
        }
        if let Fact::Known(seen) = &host.traffic {
            count_clients(&mut clients, name, seen, host.seconds);
        }
        if let Fact::Known(told) = &host.journal {
            figures.slow_requests.extend(told.worst(name));
        }
        figures.members.insert(name.clone(), own);
    }
    figures.clients = clients.into_values().collect();
    figures
        .clients
        .sort_by(|a, b| b.sent_per_second.total_cmp(&a.sent_per_second));
    let slowest = |a: &SlowRequest, b: &SlowRequest| b.seconds.total_cmp(&a.seconds);
    figures.slow_requests.sort_by(slowest);
    figures
}

/// What could not be measured, and why; `absent`: why it is not there.
fn why<T>(what: &str, fact: &Fact<T>, absent: &str) -> Option<String> {
    match fact {
        Fact::Known(_) => None,
        Fact::Absent => Some(format!("{what}: {absent}")),
        Fact::Unknown(why) => Some(format!("{what}: {}", why_and_help(why).0)),
    }
}

fn member(desired: &Desired, window: &Window, name: &NodeName, host: &HostWindow) -> MemberFigures {
    let mut own = match &host.counters {
        Fact::Known(span) => of_etcd(span, host.seconds),
        Fact::Unknown(why) => MemberFigures {
            why_not: Some(why.clone()),
            ..MemberFigures::default()
        },
        Fact::Absent => MemberFigures {
            down: true,
            ..MemberFigures::default()
        },
    };
    let dark = [
        why("pressure", &host.pressure, ""),
        why("connections", &host.traffic, "the host has no `ss` (iproute2)"),
        why("journal", &host.journal, ""),
    ];
    own.not_measured = dark.into_iter().flatten().collect();
    if let Fact::Known((from, to)) = &host.pressure {
        of_host(&mut own, from, to);
    }
    for other in desired.order.iter().filter(|other| *other != name) {
        if window.members.values().any(|member| member == other) {
            own.peers
                .insert(other.clone(), peer(desired, window, name, host, other));
        }
    }
    own
}

fn of_etcd(span: &Span, seconds: f64) -> MemberFigures {
    let whole = |value: Option<f64>| value.map(|value| value as u64);
    let grew = |name: &str| whole(span.grew(name));
    let now = |name: &str| whole(span.now(name));
    let rate = |name: &str| Some(span.grew(name)? / seconds);
    let measured = |name: &str, limit: f64| Some(Measured::of(&span.spread(name)?, limit));
    MemberFigures {
        measured: true,
        leader: span.gauges().is_leader == Some(true),
        restarted: span.restarted,
        wal_fsync: measured("etcd_disk_wal_fsync_duration_seconds", WAL_FSYNC),
        backend_commit: measured("etcd_disk_backend_commit_duration_seconds", BACKEND_COMMIT),
        apply: measured("etcd_server_apply_duration_seconds", super::local::APPLY),
        leader_changes: grew("etcd_server_leader_changes_seen_total"),
        heartbeats_late: grew("etcd_server_heartbeat_send_failures_total"),
        proposals_pending: now("etcd_server_proposals_pending"),
        proposals_failed: grew("etcd_server_proposals_failed_total"),
        slow_reads: grew("etcd_server_slow_read_indexes_total"),
        slow_applies: grew("etcd_server_slow_apply_total"),
        watchers: now("etcd_debugging_mvcc_watcher_total"),
        watch_streams: now("etcd_debugging_mvcc_watch_stream_total"),
        slow_watchers: now("etcd_debugging_mvcc_slow_watcher_total"),
        leases_granted_per_second: rate("etcd_debugging_lease_granted_total"),
        leases_renewed_per_second: rate("etcd_debugging_lease_renewed_total"),
        sent_to_clients_per_second: rate("etcd_network_client_grpc_sent_bytes_total"),
        ..MemberFigures::default()
    }
}

impl Measured {
    fn of(spread: &Spread, limit: f64) -> Measured {
        Measured {
            count: spread.latency.count,
            p99_seconds: spread.latency.p99_seconds,
            over: spread.over(limit),
        }
    }
}

fn of_host(own: &mut MemberFigures, from: &Pressure, to: &Pressure) {
    let micros = (to.uptime - from.uptime) * 1e6;
    let share = |from: Option<u64>, to: Option<u64>| {
        let waited = to?.checked_sub(from?)?;
        (micros > 0.0).then(|| (waited as f64 / micros).min(1.0))
    };
    let shares = |from: Waited, to: Waited| Shares {
        cpu: share(from.cpu, to.cpu),
        io: share(from.io, to.io),
        memory: share(from.memory, to.memory),
    };
    own.pressure = shares(from.member, to.member);
    own.host_pressure = shares(from.host, to.host);
    own.throttled = share(from.throttled, to.throttled);
    own.stolen = from.ticks.zip(to.ticks).and_then(|(from, to)| {
        let all = to.0.checked_sub(from.0).filter(|all| *all > 0)?;
        Some(to.1.checked_sub(from.1)? as f64 / all as f64)
    });
    own.load = Some(to.load);
    own.processors = Some(to.processors);
}

fn peer(desired: &Desired, window: &Window, from: &NodeName, host: &HostWindow, to: &NodeName) -> PeerFigures {
    let trip = |from: &NodeName, to: &NodeName| window.trips.get(&(from.clone(), to.clone()));
    let mut figures = PeerFigures::default();
    match (trip(from, to), trip(from, from)) {
        // What it takes from our end to that host is in both.
        (Some(Fact::Known(there)), Some(Fact::Known(own))) => {
            figures.round_trip_seconds = Some((there.seconds - own.seconds).max(0.0));
        }
        (Some(Fact::Unknown(why)), _) | (_, Some(Fact::Unknown(why))) => figures.why_not = Some(why.clone()),
        _ => {}
    }
    let id = window
        .members
        .iter()
        .find(|(_, name)| *name == to)
        .map(|(id, _)| id.to_string());
    if let (Fact::Known(span), Some(id)) = (&host.counters, id) {
        let of = |name: &str| span.grew_by(name, "To").get(&id).copied();
        figures.sent_per_second = Some(of("etcd_network_peer_sent_bytes_total").unwrap_or_default() / host.seconds);
        figures.send_failures = of("etcd_network_peer_sent_failures_total").unwrap_or_default() as u64;
        // Where no connection could be opened, etcd's own probes tell, if one fell into the window.
        if figures.round_trip_seconds.is_none() {
            figures.round_trip_seconds = etcds_own(span, &id);
        }
    }
    if let (Fact::Known(seen), Some(spec)) = (&host.traffic, desired.hosts.get(to)) {
        let (segments, again) = seen.towards(&spec.address.to_string());
        (figures.segments, figures.sent_again) = (Some(segments), Some(again));
    }
    figures
}

/// The mean of `etcd_network_peer_round_trip_time_seconds`: two probers record a value every 30 s
/// (`statusMonitoringInterval`, server/etcdserver/api/rafthttp), smoothed over the last minutes.
fn etcds_own(span: &Span, to: &str) -> Option<f64> {
    let name = "etcd_network_peer_round_trip_time_seconds";
    let count = span.grew_by(&format!("{name}_count"), "To").get(to).copied()?;
    let sum = span.grew_by(&format!("{name}_sum"), "To").get(to).copied()?;
    Some(sum / count)
}

fn count_clients(clients: &mut BTreeMap<String, ClientFigures>, name: &NodeName, seen: &Sightings, seconds: f64) {
    for (who, client) in seen.clients() {
        let who = match who.parse::<IpAddr>() {
            Ok(_) => who.clone(),
            Err(_) => format!("{who} on {name}"),
        };
        let known = clients.entry(who.clone()).or_insert_with(|| ClientFigures {
            who,
            ..ClientFigures::default()
        });
        known.members.push(name.clone());
        known.connections += client.connections;
        known.sent_per_second += client.sent as f64 / seconds;
        known.received_per_second += client.received as f64 / seconds;
    }
}
