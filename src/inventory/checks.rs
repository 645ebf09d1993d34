//! What the parts of an inventory must be to each other. Everything here can be said from the file alone.

use std::net::IpAddr;

use super::desired::{Connection, DesiredHost, PkiPolicy, ServiceManager};
use super::names::{Address, HostPath};
use super::problem::{Place, Problem};
use super::quantity::show_duration;
use super::raw::{OneOrMany, RawPaths, RawPki};
use super::resolve::Sited;

/// Directories that belong to the system: quorate empties data directories, and never these.
const SYSTEM_DIRS: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/ssl",
    "/etc/systemd",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/var/tmp",
];

/// Lifetimes of certificates against each other.
pub fn pki(raw: &RawPki, policy: &PkiPolicy, problems: &mut Vec<Problem>) {
    let places = [&raw.renew_before, &raw.leaf_validity, &raw.ca_validity].map(|f| f.as_ref().map(|f| f.at));
    let [renew, leaf, ca] = places;
    let shown = show_duration;
    if policy.renew_before >= policy.leaf_validity {
        let (before, validity) = (shown(policy.renew_before), shown(policy.leaf_validity));
        problems.push(Problem::error(
            renew.or(leaf).unwrap_or(Place::START),
            format!("certificates valid for {validity} and renewed {before} before they expire would be renewed by every `up`"),
            "make `renew_before` much shorter than `leaf_validity`",
        ));
    }
    if policy.leaf_validity > policy.ca_validity {
        let (leaf_life, ca_life) = (shown(policy.leaf_validity), shown(policy.ca_validity));
        problems.push(Problem::error(
            leaf.or(ca).unwrap_or(Place::START),
            format!("certificates valid for {leaf_life} outlive their CA, which is valid for {ca_life}"),
            "make `ca_validity` longer than `leaf_validity`",
        ));
    }
}

/// One host by itself: its directories must not contain each other where one of them can be emptied.
pub fn host(host: &DesiredHost, name_at: Place, typed: Option<&RawPaths>, problems: &mut Vec<Problem>) {
    let places = typed.map(|t| [&t.config, &t.pki, &t.data, &t.wal, &t.bin].map(|f| f.as_ref().map(|f| f.at)));
    let place = |index: usize| places.and_then(|p| p[index]);
    let paths = &host.paths;
    let all = [
        ("config", Some(&paths.config)),
        ("pki", Some(&paths.pki)),
        ("data", Some(&paths.data)),
        ("wal", paths.wal.as_ref()),
        ("bin", Some(&paths.bin)),
    ];
    for (index, (key, path)) in all.iter().enumerate() {
        let Some(path) = path else { continue };
        if SYSTEM_DIRS.contains(&path.as_str()) {
            problems.push(Problem::error(
                place(index).unwrap_or(name_at),
                format!("`{path}` belongs to the system; quorate owns what is in `paths.{key}`"),
                format!("use a directory of its own: `{path}/etcd`"),
            ));
        }
        for (other_index, (other_key, other)) in all.iter().enumerate().filter(|(i, _)| *i != index) {
            let Some(other) = other else { continue };
            // Said once for a pair that is the same, and only where the outer one can be emptied otherwise.
            let same = path == other && index < other_index;
            let inside = path != other && is_inside(other, path) && matches!(*key, "data" | "wal");
            if same || inside {
                problems.push(Problem::error(
                    place(other_index).or(place(index)).unwrap_or(name_at),
                    format!("`paths.{other_key}` ({other}) is inside `paths.{key}` ({path}), which quorate may empty"),
                    "give each its own directory",
                ));
            }
        }
    }
}

/// Where one host listens: each socket once, and where others can reach it. On Linux a listener on `::` takes the port
/// of every address, IPv4 too.
pub fn listen(host: &DesiredHost, typed: &OneOrMany<IpAddr>, host_at: Place, problems: &mut Vec<Problem>) {
    if typed.0.is_empty() {
        let help = "remove it, or give at least one address of the host";
        problems.push(Problem::error(host_at, "`listen` is an empty list", help));
    }
    for (index, again) in typed.0.iter().enumerate() {
        let (new, place) = (again.value, again.at);
        let covers = |outer: IpAddr, inner: IpAddr| {
            outer.is_unspecified() && (outer.is_ipv6() || inner.is_ipv4()) && outer != inner
        };
        let clash = typed.0[..index].iter().find_map(|first| {
            let old = first.value;
            let outer = if covers(old, new) { old } else { new };
            (old == new || covers(old, new) || covers(new, old)).then_some((first.at, old, outer))
        });
        let Some((first_at, old, outer)) = clash else { continue };
        let (message, help) = match old == new {
            true => (format!("`listen` has `{new}` twice"), "remove one of them".to_owned()),
            false => {
                let inner = if outer == old { new } else { old };
                let message = format!("`listen` has `{outer}`, which is every address, and `{inner}` beside it");
                (
                    message,
                    format!("remove `{inner}`, or list the addresses instead of `{outer}`"),
                )
            }
        };
        problems.push(Problem::error(place, message, help).also(first_at, "this one", "and this one"));
    }
    let only_loopback = !typed.0.is_empty() && typed.0.iter().all(|ip| ip.value.is_loopback());
    if only_loopback && matches!(host.address, Address::Ip(ip) if !ip.is_loopback()) {
        problems.push(Problem::error(
            typed.0[0].at,
            format!(
                "nobody can connect to `{}`: `{}` listens on loopback alone",
                host.address, host.name
            ),
            format!("add the address: `listen: [{}, {}]`", host.address, typed.0[0].value),
        ));
    }
}

fn is_inside(inner: &HostPath, outer: &HostPath) -> bool {
    inner == outer
        || inner
            .as_str()
            .strip_prefix(outer.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
}

/// All hosts against each other.
pub fn hosts(list_at: Place, hosts: &[Sited], problems: &mut Vec<Problem>) {
    how_many(list_at, hosts.len(), problems);
    for (index, host) in hosts.iter().enumerate() {
        own_ports(host, problems);
        loopback(host, hosts, problems);
        for earlier in &hosts[..index] {
            pair(earlier, host, problems);
        }
    }
}

fn how_many(at: Place, count: usize, problems: &mut Vec<Problem>) {
    let with = "3 members survive the loss of one, 5 of two";
    match count {
        0 => problems.push(Problem::error(
            at,
            "there are no hosts",
            "add one: `- {name: etcd-1, address: 10.0.0.11}`",
        )),
        2 => problems.push(Problem::warning(
            at,
            "two members: losing or restarting either one is an outage of the cluster",
            with,
        )),
        even if even % 2 == 0 => problems.push(Problem::warning(
            at,
            format!("{even} members survive no more failures than {}", even - 1),
            with,
        )),
        many if many > 7 => problems.push(Problem::warning(
            at,
            format!("{many} members: every write waits for {} of them", many / 2 + 1),
            "etcd recommends at most 7; 5 survive the loss of two",
        )),
        _ => {}
    }
}

/// The sockets a member opens: what for, addresses, port.
fn sockets(host: &DesiredHost) -> Vec<(&'static str, Vec<IpAddr>, u16)> {
    let mut sockets = vec![
        ("client_port", host.listen.clone(), host.client_port),
        ("peer_port", host.listen.clone(), host.peer_port),
    ];
    if let Some(metrics) = host.metrics {
        sockets.push(("metrics_port", vec![metrics.address], metrics.port));
    }
    sockets
}

fn own_ports(sited: &Sited, problems: &mut Vec<Problem>) {
    let sockets = sockets(&sited.host);
    for (index, (key, _, port)) in sockets.iter().enumerate() {
        if let Some((first, (other, ..))) = sockets[..index].iter().enumerate().find(|(_, s)| s.2 == *port) {
            let at = sited.ports_at[index].or(sited.ports_at[first]).unwrap_or(sited.name_at);
            problems.push(Problem::error(
                at,
                format!("`{other}` and `{key}` are both {port}"),
                "give each its own port",
            ));
        }
    }
}

/// Peers elsewhere cannot dial a loopback address.
fn loopback(sited: &Sited, all: &[Sited], problems: &mut Vec<Problem>) {
    let is_local = |s: &Sited| s.host.connection == Connection::Local;
    let alone = all.len() == 1 || (is_local(sited) && all.iter().all(|s| is_local(s) && s.host.address.is_loopback()));
    if sited.host.address.is_loopback() && !alone {
        problems.push(Problem::error(
            sited.address_at,
            format!(
                "the other members cannot reach `{}`: it is this host's loopback",
                sited.host.address
            ),
            "give the address that the other hosts use; where SSH goes is `ssh: {host: ...}`",
        ));
    }
}

/// Whether two hosts are surely one machine.
fn same_machine(a: &DesiredHost, b: &DesiredHost) -> bool {
    match (&a.connection, &b.connection) {
        (Connection::Local, Connection::Local) => true,
        (Connection::Ssh(to_a), Connection::Ssh(to_b)) => {
            a.address == b.address || (&to_a.host, to_a.port, &to_a.jump) == (&to_b.host, to_b.port, &to_b.jump)
        }
        _ => a.address == b.address,
    }
}

fn pair(first: &Sited, again: &Sited, problems: &mut Vec<Problem>) {
    let (a, b) = (&first.host, &again.host);
    if a.name == b.name {
        problems.push(
            Problem::error(
                again.name_at,
                format!("two hosts are called `{}`", a.name),
                "give each its own name",
            )
            .also(first.name_at, "first here", "again here"),
        );
    }
    if a.address == b.address && (a.client_port == b.client_port || a.peer_port == b.peer_port) {
        problems.push(
            Problem::error(
                again.address_at,
                format!("two hosts share the address `{}`", a.address),
                "give each host its own address; several local members on one address need their own ports",
            )
            .also(first.address_at, "first here", "again here"),
        );
        return;
    }
    if same_machine(a, b) {
        clashes(first, again, problems);
    }
}

/// Two members on one machine must not share a socket, a unit or a directory.
fn clashes(first: &Sited, again: &Sited, problems: &mut Vec<Problem>) {
    let (a, b) = (&first.host, &again.host);
    let mut say = |at: Place, first_at: Place, what: String, help: &str| {
        let message = format!("`{}` and `{}` are on one machine and share {what}", a.name, b.name);
        problems.push(Problem::error(at, message, help).also(first_at, "this one", "and this one"));
    };
    for (index, (key, ips, port)) in sockets(b).into_iter().enumerate() {
        let overlaps = |one: &IpAddr, other: &IpAddr| one == other || one.is_unspecified() || other.is_unspecified();
        let taken = sockets(a)
            .into_iter()
            .enumerate()
            .find(|(_, s)| s.2 == port && s.1.iter().any(|one| ips.iter().any(|other| overlaps(one, other))));
        if let Some((other, _)) = taken {
            let at = again.ports_at[index].unwrap_or(again.name_at);
            let first_at = first.ports_at[other].unwrap_or(first.name_at);
            // A port typed once for all has one place for both.
            let (at, first_at) = if at == first_at {
                (again.name_at, first.name_at)
            } else {
                (at, first_at)
            };
            say(
                at,
                first_at,
                format!("port {port}"),
                &format!("give one of them another `{key}`"),
            );
        }
    }
    let systemd = |host: &DesiredHost| host.service_manager == ServiceManager::Systemd;
    if systemd(a) && systemd(b) && a.service == b.service {
        let help = "give one of them another `service`; its default paths then differ too";
        say(again.name_at, first.name_at, format!("the unit `{}`", a.service), help);
        return;
    }
    let own = |host: &DesiredHost| {
        let p = &host.paths;
        let mut own = vec![
            ("config", p.config.clone()),
            ("pki", p.pki.clone()),
            ("data", p.data.clone()),
        ];
        own.extend(p.wal.clone().map(|wal| ("wal", wal)));
        own
    };
    for (key, path) in own(b) {
        if let Some((_, other)) = own(a)
            .into_iter()
            .find(|(_, o)| is_inside(o, &path) || is_inside(&path, o))
        {
            let outer = if is_inside(&other, &path) { &path } else { &other };
            let help = format!("give one of them another `paths.{key}`");
            say(again.name_at, first.name_at, format!("`{outer}`"), &help);
        }
    }
}
