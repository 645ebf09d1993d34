//! The machines: clock, memory, disks, and how the unit is set up.

use super::{Examined, Finding, Kind};
use crate::host::{DiskFacts, HostFacts, ServiceState};
use crate::inventory::{DesiredHost, ServiceManager};
use crate::ops::check::{Verdict, runs_current};
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, why_and_help};
use crate::ops::plan::advice;
use crate::ops::rest::{Purpose, RestNote};
use crate::ops::safety::upkeep;
use crate::ops::sight::Health;
use crate::report::{Cause, human_bytes};

/// Peers complain in their logs about more drift than this (etcd's prober).
const CLOCK_DRIFT_SECONDS: f64 = 1.0;

/// A defragmentation writes a second database before it drops the first (`db.tmp.*`); no disk gets along with less.
const LEAST_FREE: u64 = 256 << 20;

/// File systems that are not on a disk of the host: either everybody waits for a network, or a reboot loses the data.
const REMOTE: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "fuse.ceph-fuse",
    "fuse.glusterfs",
    "9p",
    "fuse.sshfs",
];
const FLEETING: &[&str] = &["tmpfs", "ramfs"];

pub(super) fn findings(examined: &Examined<'_>) -> Vec<Finding> {
    let of_host = |host: &DesiredHost| match examined.seen.hosts.get(&host.name) {
        Some(Fact::Known(facts)) => of(examined, host, facts),
        Some(Fact::Unknown(unknown)) => {
            let (why, help) = why_and_help(unknown);
            let member = examined.membership().and_then(|m| Some((m, m.of(host)?.id)));
            let heard = member.filter(|(m, id)| m.health(*id) == Health::Unknown && !m.heard_by(*id).0.is_empty());
            let says = match heard.and_then(|(m, id)| m.in_the_dark(id)) {
                Some(says) => says,
                None => format!("it cannot be inspected: {why}"),
            };
            let help = help.unwrap_or("make sure that it is up and reachable over SSH");
            vec![Finding::unknown(Kind::HostUnknown, says, help)]
        }
        Some(Fact::Absent) | None => vec![Finding::unknown(
            Kind::HostUnknown,
            "it was not inspected",
            "run this again",
        )],
    };
    let of_hosts = examined
        .hosts()
        .map(|host| of_host(host).into_iter().map(|finding| finding.on(&host.name)));
    of_hosts.flatten().collect()
}

fn of(examined: &Examined<'_>, host: &DesiredHost, facts: &HostFacts) -> Vec<Finding> {
    let quota = upkeep::quota(examined.desired);
    let mut findings: Vec<Finding> = clock(host, facts).into_iter().collect();
    findings.extend(memory(facts));
    match RestNote::in_force(host, facts) {
        Some(note) => findings.extend(on_purpose(examined, host, &note)),
        None => findings.extend(unit(host, facts, examined.causes.get(&host.name))),
    }
    for path in [Some(&host.paths.data), host.paths.wal.as_ref()].into_iter().flatten() {
        if let Some(disk) = facts.system.disks.get(path) {
            findings.extend(file_system(path.as_str(), disk));
        }
    }
    if let Some(disk) = facts.system.disks.get(&host.paths.data) {
        findings.extend(room(facts, disk, quota));
    }
    findings.extend(leftovers(host, facts));
    findings
}

fn clock(host: &DesiredHost, facts: &HostFacts) -> Option<Finding> {
    let system = &facts.system;
    let drift = system.clock_offset_seconds.abs() - system.clock_uncertainty_seconds;
    if drift > CLOCK_DRIFT_SECONDS {
        let says = format!(
            "its clock differs from this machine's by {:.1} s",
            system.clock_offset_seconds
        );
        return Some(Finding::problem(
            Kind::ClockOff,
            says,
            "synchronize both clocks (chrony, systemd-timesyncd): certificates and logs depend on them",
        ));
    }
    let unwatched = host.service_manager == ServiceManager::Systemd && system.time_service.is_none();
    unwatched.then(|| {
        Finding::advice(
            Kind::NoTimeService,
            "no time service is active, so its clock will drift",
            "install chrony, or enable systemd-timesyncd",
        )
    })
}

/// The database is mapped into memory (etcd's hardware guide: more memory than database).
fn memory(facts: &HostFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.system.memory < facts.data.db_bytes {
        let says = format!(
            "its memory ({}) is smaller than the database ({})",
            human_bytes(facts.system.memory),
            human_bytes(facts.data.db_bytes)
        );
        let help = "give it more memory, or compact and defragment (`quorate compact`, `quorate defrag`)";
        findings.push(Finding::problem(Kind::MemoryTooSmall, says, help));
    }
    if facts.system.swap > 0 {
        let says = format!(
            "swap is on ({}): a member that is swapped out misses heartbeats",
            human_bytes(facts.system.swap)
        );
        let help = "run `swapoff -a`, and remove it from /etc/fstab";
        findings.push(Finding::advice(Kind::SwapOn, says, help));
    }
    findings
}

/// Of a cluster that is down as a whole it is said once, and not of each host.
fn on_purpose(examined: &Examined<'_>, host: &DesiredHost, note: &RestNote) -> Option<Finding> {
    match note.purpose {
        Purpose::Maintenance => {
            let says = format!("down for maintenance {}", note.told());
            let help = format!("`quorate maintain {} --done` starts it again", host.name);
            Some(Finding::advice(Kind::InMaintenance, says, help))
        }
        Purpose::Outage => examined.membership().map(|_| {
            let says = format!("stopped on purpose with the cluster, {}", note.told());
            Finding::problem(Kind::StoppedOnPurpose, says, "`quorate start` starts it")
        }),
        // Said of the cluster.
        Purpose::End => None,
    }
}

/// Stopped for now, or ending each time that its manager starts it.
pub fn does_not_run(facts: &HostFacts) -> bool {
    let service = &facts.service;
    match service.state {
        ServiceState::Missing | ServiceState::Stopped | ServiceState::Failed => true,
        ServiceState::Starting => service.restarts > 0,
        ServiceState::Running => false,
    }
}

fn unit(host: &DesiredHost, facts: &HostFacts, cause: Option<&Cause>) -> Vec<Finding> {
    let service = &facts.service;
    let mut findings = Vec::new();
    if does_not_run(facts) {
        let last = service.last_exit.as_ref().map(|exit| format!(" (last end: {exit})"));
        let says = format!(
            "{} does not run: {:?}{}",
            host.service,
            service.state,
            last.unwrap_or_default()
        );
        findings.push(match cause {
            Some(cause) => {
                let says = format!("{}: {}", says.to_lowercase(), cause.what);
                let last = cause.lost.map(|loss| LastResort::of(loss, &host.name));
                Finding::problem(Kind::NotRunning, says, cause.hint).or(last)
            }
            None => Finding::problem(Kind::NotRunning, says.to_lowercase(), "`quorate up` starts it"),
        });
    } else {
        if host.service_manager == ServiceManager::Systemd && !service.enabled {
            let says = "etcd does not start at boot";
            findings.push(Finding::problem(Kind::NotEnabled, says, "`quorate up` fixes that"));
        }
        if let Verdict::Fails(why) = runs_current(facts, None) {
            let help = format!("`quorate up` fixes that, or `quorate restart --limit {}`", host.name);
            findings.push(Finding::advice(Kind::OutdatedProcess, why, help));
        }
    }
    if service.restarts > 0 {
        let times = match service.restarts {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let says = format!("etcd exited and was restarted {times}");
        let help = format!("`quorate logs {}` shows why", host.name);
        findings.push(Finding::advice(Kind::Restarted, says, help));
    }
    let changed = advice::of(host, facts).map(|says| {
        let help = "keep it if it is intended; `systemctl cat` on the host shows the whole unit";
        Finding::advice(Kind::UnitChanged, says, help)
    });
    findings.extend(changed);
    let second = advice::second_manager(host, facts);
    findings.extend(second.map(|(says, help)| Finding::problem(Kind::SecondManager, says, help)));
    findings
}

fn file_system(path: &str, disk: &DiskFacts) -> Option<Finding> {
    let kind = disk.filesystem.as_str();
    if !disk.writable {
        let says = format!("{path} is not writable ({kind})");
        let help = "the kernel remounts read-only after a disk error: see `dmesg`, then replace the disk or the member";
        return Some(Finding::problem(Kind::DiskReadOnly, says, help));
    }
    if FLEETING.contains(&kind) {
        let says = format!("{path} is in memory ({kind}): a reboot loses this member's data");
        let help = "move it to a disk with `paths`";
        return Some(Finding::problem(Kind::DiskInMemory, says, help).or(LastResort::onto_a_disk()));
    }
    REMOTE.contains(&kind).then(|| {
        let says = format!("{path} is on a network file system ({kind}): every write waits for it");
        let help = "give etcd its own local disk (SSD)";
        Finding::advice(Kind::DiskOnNetwork, says, help)
    })
}

fn room(facts: &HostFacts, disk: &DiskFacts, quota: Option<u64>) -> Option<Finding> {
    let needed = facts.data.db_bytes.max(LEAST_FREE);
    if disk.free_bytes < needed {
        let says = format!(
            "only {} are free on its data disk, and a defragmentation or a snapshot needs up to {}",
            human_bytes(disk.free_bytes),
            human_bytes(needed)
        );
        let help = "free some space: a full disk stops etcd, and old data that was moved aside counts too";
        return Some(Finding::problem(Kind::DiskFull, says, help));
    }
    let quota = quota?;
    (disk.free_bytes + facts.data.db_bytes < quota).then(|| {
        let says = format!(
            "the disk will be full before the quota ({}) stops writes: {} are free",
            human_bytes(quota),
            human_bytes(disk.free_bytes)
        );
        let help =
            "lower `quota-backend-bytes` or use a larger disk: a reached quota can be cleared, a full disk stops etcd";
        Finding::advice(Kind::DiskBeforeQuota, says, help)
    })
}

fn leftovers(host: &DesiredHost, facts: &HostFacts) -> Option<Finding> {
    // What is among the data is deleted as whom they belong to: a link in there would lead root out of it.
    let inside = |path: &&String| path.contains("/.quorate-aside/") && host.service_manager == ServiceManager::Systemd;
    let (inside, beside): (Vec<&String>, Vec<&String>) = facts.data.set_aside.iter().partition(inside);
    let command = |with: String, paths: Vec<&String>| {
        let paths: Vec<&str> = paths.into_iter().map(String::as_str).collect();
        (!paths.is_empty()).then(|| format!("`{with}rm -r {}`", paths.join(" ")))
    };
    let commands: Vec<String> = [
        command(String::new(), beside),
        command(format!("runuser -u {} -- ", host.user), inside),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!commands.is_empty()).then(|| {
        let help = format!("delete it once it is no longer needed: {}", commands.join(", "));
        Finding::advice(
            Kind::OldDataAside,
            "old data that was moved aside takes up space on its disk",
            help,
        )
    })
}
