//! Whether a host can run the member at all. Asked before anything is touched, for every host that would be touched.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::slice;

use crate::bundle::known_bad;
use crate::host::{HostFacts, Listener, Obstacle, Unpacker};
use crate::inventory::{Arch, Desired, DesiredHost, HostPath, NodeName, ServiceManager, Version};
use crate::ops::Fact;
use crate::ops::plan::Situation;
use crate::ops::safety::{Blocked, Rule};

/// More than this between the operator's clock and a host's and certificates made now may not be valid there yet.
const CLOCK_LIMIT_SECONDS: f64 = 60.0;

/// Free bytes a member needs besides the release itself: an empty database, its WAL segments (64 MB each, two of them
/// preallocated) and room to work.
const DATA_FLOOR: u64 = 256 << 20;

/// Free inodes a member needs: segments, snapshots, a release, certificates and what quorate moves aside.
const INODES_FLOOR: u64 = 256;

/// A release unpacked, rounded up.
const RELEASE_BYTES: u64 = 96 << 20;

/// Every reason why this host cannot run the member as planned.
pub fn preflight(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    blocked.extend(unsupplied(
        situation.desired.version,
        &situation.supplies.releases,
        host,
        facts,
    ));
    blocked.extend(lacks(situation.desired.version, host, facts));
    blocked
}

/// The same without what concerns the bundle: what is to be changed on the host itself.
pub fn lacks(version: Version, host: &DesiredHost, facts: &HostFacts) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    supervision(host, facts, &mut blocked);
    clock(host, facts, &mut blocked);
    disks(version, host, facts, &mut blocked);
    ports(host, facts, &mut blocked);
    ground(host, facts, &mut blocked);
    obstacles(host, facts, &mut blocked);
    blocked
}

fn supervision(host: &DesiredHost, facts: &HostFacts, blocked: &mut Vec<Blocked>) {
    let missing: Vec<&str> = facts
        .system
        .missing_tools
        .iter()
        .map(String::as_str)
        .filter(|tool| Unpacker::ALL.iter().all(|unpacker| unpacker.tool() != *tool))
        .collect();
    if !missing.is_empty() {
        blocked.push(refuse(
            host,
            format!("it lacks {}", missing.join(", ")),
            "install coreutils on it",
        ));
    }
    if host.service_manager == ServiceManager::Process {
        return;
    }
    if facts.system.systemd.is_none() {
        blocked.push(refuse(
            host,
            "systemd is not its init",
            "quorate runs etcd as a systemd unit; for a container without init, set `service_manager: process`",
        ));
    }
    if !facts.system.root {
        blocked.push(refuse(
            host,
            "commands there do not run as root",
            "log in as root, or leave `ssh.sudo` at `auto` and allow the login to use sudo",
        ));
    }
}

/// Releases by version and architecture, as [`crate::ops::plan::Supplies`] has them.
type Releases = BTreeMap<Version, BTreeMap<Arch, BTreeMap<String, String>>>;

/// What the bundle lacks for a host.
pub fn unsupplied(version: Version, releases: &Releases, host: &DesiredHost, facts: &HostFacts) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    binaries(version, releases, host, facts, &mut blocked);
    blocked
}

fn binaries(version: Version, releases: &Releases, host: &DesiredHost, facts: &HostFacts, blocked: &mut Vec<Blocked>) {
    if let Some(bad) = known_bad(version) {
        blocked.push(
            Blocked::new(
                Rule::Version,
                format!("etcd {version} must not be used: {}", bad.reason),
                format!("use {} or later", bad.fixed_in),
            )
            .on(&host.name),
        );
        return;
    }
    let Some(arch) = facts.system.arch else {
        blocked.push(refuse(
            host,
            "there is no etcd release for its CPU architecture",
            "use an amd64, arm64, ppc64le or s390x machine",
        ));
        return;
    };
    if releases.get(&version).is_some_and(|archs| archs.contains_key(&arch)) {
        return;
    }
    let have: Vec<String> = releases
        .iter()
        .flat_map(|(v, archs)| archs.keys().map(move |a| format!("{v} {a}")))
        .collect();
    let reason = format!(
        "it needs etcd {version} for {arch}, but the bundle has {}",
        if have.is_empty() {
            "nothing".into()
        } else {
            have.join(", ")
        }
    );
    let hint = format!(
        "create a bundle that has it: `quorate bundle create --out etcd.qbundle etcd-v{version}-linux-{arch}.tar.gz`"
    );
    blocked.push(Blocked::new(Rule::Bundle, reason, hint).on(&host.name));
}

/// Certificates made here must be valid there.
pub(super) fn clock(host: &DesiredHost, facts: &HostFacts, blocked: &mut Vec<Blocked>) {
    let offset = facts.system.clock_offset_seconds;
    if offset.abs() > CLOCK_LIMIT_SECONDS + facts.system.clock_uncertainty_seconds {
        let direction = if offset > 0.0 { "ahead of" } else { "behind" };
        blocked.push(refuse(
            host,
            format!("its clock is {:.0} s {direction} this machine's", offset.abs()),
            "certificates would not be valid there: synchronize both clocks (chrony or systemd-timesyncd), then run this again",
        ));
    }
}

/// Why a command that puts files on hosts by itself, without a plan, must not do so yet: somebody else than root could exchange
/// what it puts there. Every plan moves what an earlier version left to etcd's account.
pub fn not_roots(desired: &Desired, hosts: &BTreeMap<NodeName, Fact<HostFacts>>) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    for (host, facts) in known(desired, hosts) {
        ground(host, facts, &mut blocked);
        if facts.loose.is_empty() {
            continue;
        }
        let paths: Vec<&str> = facts.loose.iter().map(HostPath::as_str).collect();
        blocked.push(refuse(
            host,
            format!(
                "{} is not root's: an earlier version left it to {}",
                paths.join(", "),
                host.user
            ),
            "run `quorate up` first: it makes root the owner, without a restart",
        ));
    }
    blocked
}

fn known<'a>(
    desired: &'a Desired,
    hosts: &'a BTreeMap<NodeName, Fact<HostFacts>>,
) -> impl Iterator<Item = (&'a DesiredHost, &'a HostFacts)> {
    let known = |host: &'a DesiredHost| Some((host, hosts.get(&host.name)?.known()?));
    desired.hosts.values().filter_map(known)
}

/// What would keep a member of this host from starting, or from being told apart from another.
fn obstacles(host: &DesiredHost, facts: &HostFacts, blocked: &mut Vec<Blocked>) {
    for obstacle in &facts.obstacles {
        let (reason, help) = match obstacle {
            Obstacle::Closed { above, path } => (
                format!("{} cannot go through {above} to {path}", host.user),
                format!("let it: `chmod o+x {above}`, or choose other `paths`"),
            ),
            // A member that is here already was made with it.
            Obstacle::Link { .. } if facts.data.marker.is_some() => continue,
            Obstacle::Link { path, target } => (
                format!("{path} is a symbolic link to {target}"),
                "name what it leads to in `paths` of the inventory, or make it a directory".to_owned(),
            ),
            Obstacle::NoExec { at } => (
                format!("no program may run from {}: {at} is mounted noexec", host.paths.bin),
                format!(
                    "mount it without `noexec` (`mount -o remount,exec {at}`, and in /etc/fstab), or choose another `paths.bin`"
                ),
            ),
            Obstacle::Masked => (
                format!(
                    "the unit {}.service is masked: it is not meant to start there",
                    host.service
                ),
                format!("if it may: `systemctl unmask {}`", host.service),
            ),
        };
        blocked.push(refuse(host, reason, &help));
    }
}

/// What leads to the data must be out of etcd's reach.
fn ground(host: &DesiredHost, facts: &HostFacts, blocked: &mut Vec<Blocked>) {
    for exposed in &facts.exposed {
        blocked.push(refuse(
            host,
            format!(
                "{} can write to {} and could replace {}",
                host.user, exposed.above, exposed.path
            ),
            &format!("give {0} to root: `chown root {0}; chmod go-w {0}`", exposed.above),
        ));
    }
}

fn disks(version: Version, host: &DesiredHost, facts: &HostFacts, blocked: &mut Vec<Blocked>) {
    for (path, disk) in facts.system.disks.iter().filter(|(_, disk)| !disk.writable) {
        blocked.push(refuse(
            host,
            format!("the file system of {path} is not writable ({})", disk.filesystem),
            "mount it read-write (the kernel remounts read-only after a disk error: see `dmesg`), or choose other `paths`",
        ));
    }
    let installed = facts.releases.contains_key(&version);
    for (path, needed) in [
        (&host.paths.data, DATA_FLOOR),
        (&host.paths.bin, if installed { 0 } else { RELEASE_BYTES }),
    ] {
        let disk = facts.system.disks.get(path).filter(|disk| disk.writable);
        if let Some(free) = disk
            .and_then(|disk| disk.free_inodes)
            .filter(|free| *free < INODES_FLOOR)
            && needed > 0
            && facts.data.db_bytes == 0
        {
            blocked.push(refuse(
                host,
                format!("the file system of {path} has {free} inodes free, but {INODES_FLOOR} are needed"),
                "delete files there, or choose another file system with `paths`",
            ));
        }
        if let Some(disk) = disk.filter(|disk| disk.free_bytes < needed && facts.data.db_bytes == 0) {
            blocked.push(refuse(
                host,
                format!(
                    "{path} has {} MiB free, but needs {} MiB",
                    disk.free_bytes >> 20,
                    needed >> 20
                ),
                "free some space, or choose another file system with `paths`",
            ));
        }
    }
}

fn ports(host: &DesiredHost, facts: &HostFacts, blocked: &mut Vec<Blocked>) {
    // Its own member may listen under another unit, which is refused by itself: nobody is to stop that.
    if facts
        .system
        .member_units
        .iter()
        .any(|unit| unit.member == host.name.as_str() && unit.service != host.service.as_str())
    {
        return;
    }
    let metrics = host.metrics.iter().map(|m| (m.port, slice::from_ref(&m.address)));
    let wanted = [host.client_port, host.peer_port].map(|port| (port, host.listen.as_slice()));
    let lowest = facts.system.unprivileged_port.unwrap_or(0);
    let privileged = host.service_manager == ServiceManager::Systemd && host.user.as_str() != "root";
    for (port, addresses) in wanted.into_iter().chain(metrics) {
        if privileged && port < lowest {
            blocked.push(refuse(
                host,
                format!(
                    "{} may not listen on port {port}: ports below {lowest} are root's",
                    host.user
                ),
                "set a higher `client_port`/`peer_port`/`metrics_port`",
            ));
        }
        let taken = facts
            .system
            .listeners
            .iter()
            .find(|l| l.port == port && !l.ours && addresses.iter().any(|ip| collides(l, *ip)));
        if let Some(listener) = taken {
            let by = listener.process.as_deref().unwrap_or("another process");
            blocked.push(refuse(
                host,
                format!("port {port} is in use by {by}"),
                "stop it, or set another `client_port`/`peer_port`/`metrics_port` for this member",
            ));
        }
    }
}

/// Whether a listener keeps another one from binding `wanted`: the same address, or a wildcard on either side.
fn collides(listener: &Listener, wanted: IpAddr) -> bool {
    match listener.address.parse::<IpAddr>() {
        Ok(taken) => taken == wanted || taken.is_unspecified() || wanted.is_unspecified(),
        Err(_) => true,
    }
}

fn refuse(host: &DesiredHost, reason: impl Into<String>, hint: &str) -> Blocked {
    Blocked::new(Rule::Host, reason, hint).on(&host.name)
}
