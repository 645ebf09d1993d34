//! What follows from slowness: it names nobody who is to blame, and belongs to the picture. So does who was not there.

use super::{Figures, MemberFigures};
use crate::ops::doctor::{Finding, Kind};
use crate::ops::plan::count;

/// Entries that were proposed and not yet committed: more than these is a queue. (etcd's own alerts begin at 5:
/// contrib/mixin, etcdHighNumberOfPendingProposals.)
const PENDING: u64 = 5;

const HELP: &str = "it follows from what is slow: see the figures below, and measure for longer if nothing is named";

pub(super) fn symptoms(figures: &Figures) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Every member counts them.
    let elections = figures
        .members
        .values()
        .filter_map(|own| own.leader_changes)
        .max()
        .unwrap_or_default();
    if elections > 0 {
        let says = format!("the leader changed {} in the window", times(elections));
        findings.push(Finding::advice(Kind::Elections, says, HELP));
    }
    for (name, own) in &figures.members {
        if own.down {
            let help = "`quorate doctor` says why, where its journal does";
            findings.push(Finding::problem(Kind::NotRunning, "etcd does not run", help).on(name));
        } else if !own.measured {
            let why = own.why_not.as_deref().unwrap_or("unknown");
            let says = format!("its metrics could not be read: {why}");
            findings.push(
                Finding::unknown(Kind::MetricsUnread, says, format!("`quorate logs {name}` shows more")).on(name),
            );
        }
        findings.extend(
            of_member(own)
                .into_iter()
                .map(|says| Finding::advice(Kind::FollowsFromSlowness, says, HELP).on(name)),
        );
        let failed = own.peers.iter().filter(|(_, peer)| peer.send_failures > 0);
        findings.extend(failed.map(|(to, peer)| {
            let says = format!(
                "could not send {} to {to}",
                count(peer.send_failures as usize, "message")
            );
            Finding::advice(Kind::SendFailures, says, HELP).on(name)
        }));
    }
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn of_member(own: &MemberFigures) -> Vec<String> {
    let told = |value: Option<u64>, least: u64, text: &dyn Fn(u64) -> String| value.filter(|n| *n >= least).map(text);
    let each = [
        own.restarted.then(|| "etcd was restarted in the window".to_owned()),
        told(own.heartbeats_late, 1, &|n| {
            format!("sent {} late", count(n as usize, "heartbeat"))
        }),
        told(own.proposals_pending, PENDING, &|n| {
            format!("{} wait to be committed", count(n as usize, "proposal"))
        }),
        told(own.proposals_failed, 1, &|n| {
            format!("{} failed", count(n as usize, "proposal"))
        }),
        told(own.slow_reads, 1, &|n| {
            format!("{} had to wait for the leader", count(n as usize, "read"))
        }),
        told(own.slow_applies, 1, &|n| {
            format!("{} took over 100 ms to apply", count(n as usize, "request"))
        }),
        told(own.slow_watchers, 1, &|n| {
            format!("{} cannot keep up", count(n as usize, "watcher"))
        }),
    ];
    each.into_iter().flatten().collect()
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}
