//! `--probe`: what writers see of a change, measured while it is made.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::converge::Parts;
use super::session::Session;
use crate::etcd::{EtcdClient, Gap, ProbeFindings, ProbeSettings, WriteProbe};
use crate::ops::model::Observed;
use crate::report::{Event, ProbeGap, ProbeReport};

/// Writes per second: gaps are measured to a hundredth of a second, and a small disk does not notice.
const RATE: u32 = 100;

/// Begins to write through every member that runs now, if the operator asked for it. A cluster that takes no writes is
/// no reason not to mend it: then there is a warning and no probe.
pub async fn start(session: &Session, parts: &Parts, seen: &Observed) -> Option<WriteProbe> {
    if !session.global.probe {
        return None;
    }
    let clients = clients(parts, seen).await;
    if clients.is_empty() {
        session.note("the write probe was not started: no member answers yet");
        return None;
    }
    let settings = ProbeSettings {
        key: format!("quorate-probe/{}", uuid()),
        rate: RATE,
    };
    match WriteProbe::start(clients, settings).await {
        Ok(probe) => Some(probe),
        Err(error) => {
            session.note(&format!("the write probe was not started: {error}"));
            None
        }
    }
}

/// Reads back, deletes the key, and keeps the findings for the end of the command (or shows them at once, when the
/// change has failed).
pub async fn finish(session: &Session, probe: WriteProbe, went_well: bool) {
    let began = probe.began();
    let finished = probe.finish().await;
    if let Ok(findings) = &finished {
        session.reporter.event(&event(began, findings));
    }
    match finished {
        Ok(findings) if went_well => session.probed(report(&findings)),
        Ok(f) => session.note(
            &format!(
                "up to that point the write probe saw {} acknowledged writes, {} lost, {} failed attempts, a longest gap of {} ms \
                 and {} elections",
                f.acks,
                f.lost,
                f.failed_attempts,
                f.longest_gap.as_millis(),
                f.elections
            ),
        ),
        Err(error) => session.note(
            &format!("the write probe could not read back what it wrote: {error}"),
        ),
    }
}

/// All that it saw, and when, for those who look back.
fn event(began: Timestamp, findings: &ProbeFindings) -> Event {
    let gap = |gap: &Gap| {
        Some(ProbeGap {
            at: began.checked_add(SignedDuration::try_from(gap.from).ok()?).ok()?,
            ms: millis(gap.length),
        })
    };
    Event::ProbeFinished {
        began,
        seconds: findings.length.as_secs_f64(),
        acks: findings.acks,
        failed_attempts: findings.failed_attempts,
        lost: findings.lost,
        elections: findings.elections,
        gaps: findings.gaps.iter().filter_map(gap).collect(),
        writes: findings.writes.clone(),
        writes_seconds: findings.every.as_secs_f64(),
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Two probes of one command as one.
pub fn together(a: &ProbeReport, b: &ProbeReport) -> ProbeReport {
    ProbeReport {
        acks: a.acks + b.acks,
        failed_attempts: a.failed_attempts + b.failed_attempts,
        longest_gap_ms: a.longest_gap_ms.max(b.longest_gap_ms),
        lost: a.lost + b.lost,
        elections: a.elections + b.elections,
    }
}

fn report(findings: &ProbeFindings) -> ProbeReport {
    ProbeReport {
        acks: findings.acks,
        failed_attempts: findings.failed_attempts,
        longest_gap_ms: millis(findings.longest_gap),
        lost: findings.lost,
        elections: findings.elections,
    }
}

/// Voters of the inventory: what a client would have in its list.
async fn clients(parts: &Parts, seen: &Observed) -> Vec<EtcdClient> {
    let Some(membership) = seen.cluster.known() else {
        return Vec::new();
    };
    let Ok(tls) = parts.vault.operator().await else {
        return Vec::new();
    };
    let mut clients = Vec::new();
    for spec in parts.fleet.desired().hosts.values() {
        if membership
            .of(spec)
            .is_some_and(|m| !m.learner && membership.healthy(m.id))
        {
            clients.extend(parts.fleet.client(spec, &tls).await);
        }
    }
    clients
}

/// A name that no other run has.
fn uuid() -> String {
    format!("{:x}-{}", jiff::Timestamp::now().as_nanosecond(), std::process::id())
}
