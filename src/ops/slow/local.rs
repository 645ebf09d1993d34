//! Disk, processor and memory of one host.

use super::{Culprit, Figures, Measured, MemberFigures, percent, time};
use crate::inventory::NodeName;
use crate::ops::doctor::{BACKEND_COMMIT, Kind, WAL_FSYNC};

/// From here on etcd itself calls an apply slow (`warning-apply-duration`, server/embed/config.go).
pub(super) const APPLY: f64 = 0.1;

/// One hiccup is no answer to "why is it slow".
const MORE_THAN_ONCE: u64 = 3;

/// A member that waits for a processor for so large a share of the time sends its heartbeats late and measures its own waiting
/// as the disk's. Ours: etcd has no limit for it. A member under light load on a host with ten times as much work as processors
/// was at 4 %.
const SHORT_OF_PROCESSOR: f64 = 0.3;
/// So much explains syncs and commits that are somewhat too long, where the disk is waited for less. (Waiting for a file system's
/// journal is not counted as waiting for a disk: far too long ones are the disk's all the same.)
const EXPLAINS: f64 = 0.1;
const FAR_OVER: f64 = 10.0;
/// The whole host, where the member's own share is not counted: others' waiting is in it.
const BUSY_HOST: f64 = 0.7;
/// Any waiting for memory is waiting for a disk that should not have been needed.
const SHORT_OF_MEMORY: f64 = 0.1;
/// What a hypervisor may give to others.
const STOLEN: f64 = 0.2;
/// A disk that is to blame is waited for.
const WAITS_FOR_DISK: f64 = 0.2;

pub(super) fn culprits(figures: &Figures) -> Vec<Culprit> {
    // What a host waits for slows nobody down where etcd does not run.
    let each = figures.members.iter().filter(|(_, own)| !own.down);
    each.flat_map(|(name, own)| {
        let disk = disk(figures, name, own);
        // Who waits for a processor measures that as the disk's latency, too.
        let cpu = own.pressure.cpu.unwrap_or_default();
        let waits_less = own.pressure.io.is_some_and(|io| io < cpu);
        let explains = waits_less && disk.as_ref().is_some_and(|disk| disk.times < FAR_OVER);
        let processor = processor(name, own, if explains { EXPLAINS } else { SHORT_OF_PROCESSOR });
        let blamed = processor.is_none() || own.pressure.io.is_some_and(|io| io >= WAITS_FOR_DISK);
        [processor, disk.filter(|_| blamed), memory(name, own)]
            .into_iter()
            .flatten()
    })
    .collect()
}

fn processor(name: &NodeName, own: &MemberFigures, limit: f64) -> Option<Culprit> {
    let (share, limit, whose) = match (own.pressure.cpu, own.host_pressure.cpu) {
        (Some(share), _) => (share, limit, "etcd waits"),
        (None, Some(share)) => (share, BUSY_HOST, "some process waits"),
        (None, None) => (0.0, 1.0, ""),
    };
    let stolen = own.stolen.unwrap_or_default();
    let says = if share >= limit {
        let mut says = format!(
            "{name} is short of processor time: {whose} for a processor {} of the time (PSI)",
            percent(share)
        );
        if let (Some(load), Some(processors)) = (own.load, own.processors) {
            says += &format!(
                ", load {load:.1} on {}",
                super::super::plan::count(processors as usize, "processor")
            );
        }
        if let Some(throttled) = own.throttled.filter(|share| *share > 0.0) {
            says += &format!(
                "; a limit of its unit (CPUQuota) stops it for {} of the time",
                percent(throttled)
            );
        }
        if let Some(fsync) = own.wal_fsync.filter(|fsync| fsync.p99_seconds >= WAL_FSYNC) {
            says += &format!("; its WAL syncs take up to {} because of that", time(fsync.p99_seconds));
        }
        says
    } else if stolen >= STOLEN {
        format!(
            "{name} is short of processor time: the hypervisor gives {} of its time to others",
            percent(stolen)
        )
    } else {
        return None;
    };
    let help = "move other work off the host, give it more processors, or lift the limit of the unit";
    let full = if own.pressure.cpu.is_some() {
        SHORT_OF_PROCESSOR
    } else {
        BUSY_HOST
    };
    let times = (share / full).max(stolen / STOLEN);
    Some(Culprit::new(times, Kind::ShortOfProcessor, says, help).on(name))
}

fn disk(figures: &Figures, name: &NodeName, own: &MemberFigures) -> Option<Culprit> {
    let slow = |measured: Option<Measured>, limit: f64| {
        measured.filter(|m| m.p99_seconds >= limit && m.over >= MORE_THAN_ONCE)
    };
    let (fsync, commit) = (slow(own.wal_fsync, WAL_FSYNC), slow(own.backend_commit, BACKEND_COMMIT));
    let (what, limit, slow, of): (_, _, _, fn(&MemberFigures) -> Option<Measured>) = match (fsync, commit) {
        (Some(fsync), _) => ("WAL syncs", WAL_FSYNC, fsync, |own| own.wal_fsync),
        (None, Some(commit)) => ("commits of the database", BACKEND_COMMIT, commit, |own| {
            own.backend_commit
        }),
        (None, None) => return None,
    };
    let others = figures.members.iter().filter(|(other, _)| *other != name);
    let others = others
        .filter_map(|(_, other)| of(other).filter(|measured| measured.count > 0))
        .map(|measured| measured.p99_seconds)
        .reduce(f64::max);
    let mut says = format!(
        "the disk of {name}: {what} take up to {} (99 of 100, {} measured)",
        time(slow.p99_seconds),
        slow.count
    );
    match others {
        Some(others) if others < limit => says += &format!(", {} on the others", time(others)),
        _ => {}
    }
    says += &format!("; they should take less than {}", time(limit));
    if let Some(io) = own.pressure.io.or(own.host_pressure.io) {
        says += &format!("; for {} of the time something waits for it", percent(io));
    }
    let help = "see what else uses the disk; give etcd a local SSD of its own, or put its WAL on one (`paths.wal`)";
    let times = |measured: Option<Measured>, limit: f64| measured.map_or(0.0, |m| m.p99_seconds / limit);
    let times = times(fsync, WAL_FSYNC).max(times(commit, BACKEND_COMMIT));
    Some(Culprit::new(times, Kind::DiskSlow, says, help).on(name))
}

fn memory(name: &NodeName, own: &MemberFigures) -> Option<Culprit> {
    let (share, whose) = match (own.pressure.memory, own.host_pressure.memory) {
        (Some(share), _) => (share, "etcd waits"),
        (None, share) => (share?, "some process waits"),
    };
    let says = format!(
        "{name} is short of memory: {whose} for it {} of the time",
        percent(share)
    );
    let help = "give the host more memory, or move other work off it; etcd keeps its whole database in the page cache";
    (share >= SHORT_OF_MEMORY).then(|| Culprit::new(share / SHORT_OF_MEMORY, Kind::ShortOfMemory, says, help).on(name))
}
