//! For people: the verdict, the culprits, and the figures that they were judged by.

use super::Measurement;
use crate::cli::doctor::findings_told;
use crate::ops::doctor::{Finding, Severity};
use crate::ops::plan::count;
use crate::ops::slow::{Figures, Measured, SlowRequest, percent, time};
use crate::report::{Cell, Paint, Table, human_bytes, human_seconds, printable, wrapped};

/// What is not known is said to be so, and is not left out.
const NOT_MEASURED: &str = "not measured";

/// Lines of each list; JSON has all of it.
const SHOWN: usize = 5;

pub(super) fn text(measurement: &Measurement, paint: Paint, width: Option<u16>) -> String {
    let figures = &measurement.figures;
    let columns = width.map_or(usize::MAX, usize::from);
    let mut text = verdict(measurement, paint);
    text += &findings_told(&spoken(&measurement.findings), paint, columns);
    // Nobody was there to be measured.
    if figures.members.is_empty() {
        return text;
    }
    let table = |table: Table| table.render(width, paint.colour) + "\n";
    text += &table(members(figures));
    text += &table(load(figures));
    text += &table(round_trips(figures));
    for line in lists(figures) {
        text += &wrapped(&line, columns, 2);
    }
    text
}

/// A culprit is named in its own sentence, and not once more before it.
fn spoken(findings: &[Finding]) -> Vec<Finding> {
    let mut spoken = findings.to_vec();
    for finding in &mut spoken {
        let named = finding.node.as_ref().is_some_and(|node| finding.says.contains(node));
        if named && finding.severity == Severity::Problem {
            finding.node = None;
        }
    }
    spoken
}

fn verdict(measurement: &Measurement, paint: Paint) -> String {
    let of = |severity| -> Vec<&Finding> {
        let findings = measurement.findings.iter();
        findings.filter(|finding| finding.severity == severity).collect()
    };
    let (slow, unknown) = (of(Severity::Problem).len(), of(Severity::Unknown).len());
    let verdict = match (slow, unknown) {
        (0, 0) => paint.good("nothing is slow"),
        (0, n) => paint.warn(&format!("UNKNOWN: {} could not be measured", count(n, "thing"))),
        (n, _) => paint.bad(&format!("slow: {}", count(n, "culprit"))),
    };
    let cluster = paint.strong(&measurement.cluster);
    let early = if measurement.figures.interrupted {
        ", stopped early"
    } else {
        ""
    };
    format!(
        "{cluster} {verdict}, measured for {}{early}\n",
        human_seconds(measurement.figures.seconds)
    )
}

fn cell(value: Option<String>) -> Cell {
    Cell::new(value.unwrap_or_else(|| NOT_MEASURED.to_owned()))
}

fn latency(value: Option<Measured>) -> Cell {
    cell(value.map(|measured| match measured.count {
        0 => "none".to_owned(),
        count => format!("{} ({count})", time(measured.p99_seconds)),
    }))
}

/// The 99th percentiles, and what the unit waits for.
fn members(figures: &Figures) -> Table {
    let mut table = Table::new([
        "MEMBER",
        "WAL SYNC",
        "COMMIT",
        "APPLY",
        "WAITS FOR CPU",
        "DISK",
        "MEMORY",
    ])
    .right(["WAL SYNC", "COMMIT", "APPLY", "WAITS FOR CPU", "DISK", "MEMORY"])
    .spare(["APPLY", "MEMORY"]);
    for (name, own) in &figures.members {
        let share = |member: Option<f64>, host: Option<f64>| {
            let told = member.map(percent);
            cell(told.or_else(|| Some(format!("{} (host)", percent(host?)))))
        };
        let name = if own.leader {
            format!("{name} (leader)")
        } else {
            name.to_string()
        };
        table.row([
            Cell::new(name),
            latency(own.wal_fsync),
            latency(own.backend_commit),
            latency(own.apply),
            share(own.pressure.cpu, own.host_pressure.cpu),
            share(own.pressure.io, own.host_pressure.io),
            share(own.pressure.memory, own.host_pressure.memory),
        ]);
    }
    table
}

fn load(figures: &Figures) -> Table {
    let columns = [
        "MEMBER",
        "LOAD",
        "STOLEN",
        "TO CLIENTS",
        "WATCHERS",
        "NEW LEASES",
        "RENEWED",
        "PENDING",
    ];
    let mut table = Table::new(columns)
        .right(columns.into_iter().skip(1))
        .spare(["STOLEN", "RENEWED"]);
    for (name, own) in &figures.members {
        let number = |value: Option<u64>| cell(value.map(|n| n.to_string()));
        let rate = |value: Option<f64>| cell(value.map(|n| format!("{n:.1}/s")));
        let load = own.load.zip(own.processors);
        let watchers = own.watchers.zip(own.watch_streams);
        table.row([
            Cell::new(name.to_string()),
            cell(load.map(|(load, processors)| format!("{load:.1} on {processors}"))),
            cell(own.stolen.map(percent)),
            cell(own.sent_to_clients_per_second.map(bytes_per_second)),
            cell(watchers.map(|(watchers, streams)| format!("{watchers} on {}", count(streams as usize, "stream")))),
            rate(own.leases_granted_per_second),
            rate(own.leases_renewed_per_second),
            number(own.proposals_pending),
        ]);
    }
    table
}

fn round_trips(figures: &Figures) -> Table {
    let columns = ["FROM", "TO", "ROUND TRIP", "SENT", "FAILED", "SENT AGAIN"];
    let mut table = Table::new(columns).right(["ROUND TRIP", "SENT", "FAILED", "SENT AGAIN"]);
    for (from, own) in &figures.members {
        for (to, peer) in &own.peers {
            let again = peer.sent_again.zip(peer.segments);
            table.row([
                Cell::new(from.to_string()),
                Cell::new(to.to_string()),
                cell(peer.round_trip_seconds.map(time)),
                cell(peer.sent_per_second.map(bytes_per_second)),
                Cell::new(peer.send_failures.to_string()),
                cell(again.map(|(again, segments)| format!("{again} of {segments} segments"))),
            ]);
        }
    }
    table
}

fn lists(figures: &Figures) -> Vec<String> {
    let reading = "syncs, commits, applies: 99 of 100 took no longer, and how many there were";
    let mut lines = vec![reading.to_owned(), requests(figures)];
    lines.extend(figures.slow_requests.iter().take(SHOWN).map(journal));
    lines.push(clients(figures));
    lines.push(keys(figures));
    let dark = figures.members.iter().filter(|(_, own)| !own.not_measured.is_empty());
    lines.extend(dark.map(|(name, own)| format!("{NOT_MEASURED} on {name}: {}", own.not_measured.join("; "))));
    lines
}

/// What a member itself wrote down.
fn journal(slow: &SlowRequest) -> String {
    let of = slow
        .member
        .as_ref()
        .map_or(String::new(), |member| format!(" of {member}"));
    let times = if slow.count > 1 {
        format!(", {} times", slow.count)
    } else {
        String::new()
    };
    let what = format!("{} {}", printable(&slow.request), printable(&slow.response));
    let line = format!(
        "journal{of}: {}{times}, up to {}: {what}",
        slow.message,
        time(slow.seconds)
    );
    line.trim_end_matches([' ', ':']).to_owned()
}

fn requests(figures: &Figures) -> String {
    if !figures.members.values().any(|own| own.measured) {
        return format!("requests: {NOT_MEASURED}");
    }
    let mut by_rate: Vec<_> = figures.requests_per_second.iter().collect();
    by_rate.sort_by(|a, b| b.1.total_cmp(a.1));
    let told = by_rate
        .iter()
        .take(SHOWN)
        .map(|(method, rate)| format!("{method} {rate:.1}/s"));
    or_none("requests", told.collect())
}

fn clients(figures: &Figures) -> String {
    if figures.clients.is_empty() && figures.members.values().any(|own| !own.not_measured.is_empty()) {
        return format!("clients: {NOT_MEASURED} everywhere, and none seen");
    }
    let told = figures.clients.iter().take(SHOWN).map(|client| {
        format!(
            "{} ({}, reads {}, writes {})",
            printable(&client.who),
            count(client.connections as usize, "connection"),
            bytes_per_second(client.sent_per_second),
            bytes_per_second(client.received_per_second)
        )
    });
    or_none("clients", told.collect())
}

fn keys(figures: &Figures) -> String {
    let Some(keys) = &figures.keys else {
        let why = figures.keys_why_not.as_deref().unwrap_or("keys");
        return format!("{NOT_MEASURED}: {why}");
    };
    let told = keys.groups.iter().take(SHOWN).map(|group| {
        format!(
            "{} ({}, about {}, largest value of {} read: {})",
            printable(&group.prefix),
            count(group.keys as usize, "key"),
            human_bytes(group.bytes),
            group.sampled,
            human_bytes(group.largest_bytes)
        )
    });
    let more = if keys.more {
        "; further prefixes were not read"
    } else {
        ""
    };
    format!(
        "{}; {}{more}",
        count(keys.keys as usize, "key"),
        or_none("largest prefixes", told.collect())
    )
}

fn or_none(what: &str, told: Vec<String>) -> String {
    match told.is_empty() {
        true => format!("{what}: none"),
        false => format!("{what}: {}", told.join(", ")),
    }
}

fn bytes_per_second(rate: f64) -> String {
    format!("{}/s", human_bytes(rate as u64))
}
