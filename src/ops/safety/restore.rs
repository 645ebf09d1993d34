//! Going back to a backup: what is asked first, and that nothing else touches the cluster meanwhile.

use std::collections::BTreeMap;

use super::bootstrap::{Marker, data_belongs};
use super::quorum::quorum;
use super::{Blocked, Rule};
use crate::host::{Client, DataState, HostFacts};
use crate::inventory::{Desired, DesiredHost, NodeName};
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, Observed, Policy, host_of, label, why_and_help};
use crate::ops::restore::{ByName, RestoreNote, RestoreOrder};
use crate::ops::sight::MEND;

/// Free bytes a host keeps besides the snapshot, what becomes of it, and two WAL segments.
const ROOM: u64 = 256 << 20;

/// So many clients of a member are named.
const NAMED: usize = 8;

/// The note of the hosts of an inventory, when there is one.
///
/// # Errors
/// When the hosts have different ones, or one cannot be read.
pub fn note_of(desired: &Desired, hosts: &BTreeMap<NodeName, Fact<HostFacts>>) -> Result<Option<RestoreNote>, Blocked> {
    let mut found: Option<(NodeName, RestoreNote)> = None;
    for host in desired.hosts.values() {
        let Some(Fact::Known(facts)) = hosts.get(&host.name) else {
            continue;
        };
        let note = match RestoreNote::on(host, facts) {
            None => continue,
            Some(Some(note)) => note,
            Some(None) => return Err(unreadable(host)),
        };
        match &found {
            Some((first, other)) if *other != note => {
                return Err(Blocked::new(
                    Rule::RestoreUnderWay,
                    format!(
                        "{first} is part of the restore of {}, {} of the restore of {}",
                        other.file, host.name, note.file
                    ),
                    format!(
                        "remove the marker of the abandoned one ({}) on its hosts",
                        RestoreNote::path(host)
                    ),
                ));
            }
            _ => found = Some((host.name.clone(), note)),
        }
    }
    Ok(found.map(|(_, note)| note))
}

fn unreadable(host: &DesiredHost) -> Blocked {
    Blocked::new(
        Rule::RestoreUnderWay,
        format!("{} cannot be parsed", RestoreNote::path(host)),
        "a restore by another version of quorate is in progress: finish it with that version",
    )
    .on(&host.name)
}

/// May anything but a restore touch the cluster?
///
/// # Errors
/// While a restore is under way: how to finish it.
pub fn no_restore_under_way(desired: &Desired, hosts: &BTreeMap<NodeName, Fact<HostFacts>>) -> Result<(), Blocked> {
    match note_of(desired, hosts)? {
        None => Ok(()),
        Some(note) => Err(Blocked::new(
            Rule::RestoreUnderWay,
            format!(
                "a restore of {} was started at {} and has not finished",
                note.file, note.begun
            ),
            FINISH,
        )
        .or(LastResort::finish(&note))),
    }
}

/// What is said first where a host is in the dark: nothing can be finished without it.
const FINISH: &str =
    "make sure that every host can be inspected, then run this again: it says how to finish the restore";

/// May this backup be restored? Returns the terms: those of the note when the restore was begun before.
///
/// # Errors
/// Every reason against it.
pub fn may_restore(
    desired: &Desired,
    observed: &Observed,
    order: &RestoreOrder,
    policy: Policy,
) -> Result<(RestoreNote, bool), Vec<Blocked>> {
    let (note, resumed) = match note_of(desired, &observed.hosts).map_err(|refusal| vec![refusal])? {
        Some(note) if note.sha256 == order.snapshot.sha256 => (note, true),
        Some(note) => {
            return Err(vec![
                Blocked::new(
                    Rule::RestoreUnderWay,
                    format!(
                        "a restore of another backup, {}, was started at {}",
                        note.file, note.begun
                    ),
                    FINISH,
                )
                .or(LastResort::finish(&note)),
            ]);
        }
        None => (begin(desired, order), false),
    };
    let mut blocked = fitting(desired, order);
    for name in note.hosts.iter().filter(|name| !desired.hosts.contains_key(*name)) {
        blocked.push(Blocked::new(
            Rule::Inventory,
            format!("{name} is part of the restore in progress, but is no longer in the inventory"),
            "put it back, finish the restore, then remove it",
        ));
    }
    for host in desired.hosts.values().filter(|host| note.hosts.contains(&host.name)) {
        match observed.hosts.get(&host.name) {
            Some(Fact::Known(facts)) => blocked.extend(host_can(desired, host, facts, order, resumed)),
            Some(Fact::Unknown(why)) => blocked.push(unreachable(host, why)),
            Some(Fact::Absent) | None => blocked.push(unreachable(host, "it was not inspected")),
        }
    }
    let new = note.cluster_id(desired);
    let stopped = desired.hosts.values().filter(|host| {
        let restored = |facts: &HostFacts| Marker::on(facts).is_some_and(|marker| marker.cluster_id == new);
        let facts = observed.hosts.get(&host.name).and_then(Fact::known);
        note.hosts.contains(&host.name) && !facts.is_some_and(restored)
    });
    blocked.extend(clients_left(observed, stopped, policy));
    blocked.extend(left_out(desired, observed, &order.without, resumed));
    if !resumed {
        blocked.extend(would_go_on(desired, observed));
    }
    let dark = blocked.iter().any(|refusal| refusal.rule == Rule::Unreachable);
    if !policy.accept_data_loss && !dark {
        blocked.extend(loses_data(observed, order));
    }
    if blocked.is_empty() {
        Ok((note, resumed))
    } else {
        Err(blocked)
    }
}

fn begin(desired: &Desired, order: &RestoreOrder) -> RestoreNote {
    let hosts = desired.hosts.keys().filter(|name| !order.without.contains(name));
    RestoreNote {
        sha256: order.snapshot.sha256.clone(),
        file: order.file.clone(),
        begun: order.begun,
        token: order.token(&desired.cluster),
        bump: order.bump,
        hosts: hosts.cloned().collect(),
        by_name: ByName {
            unsigned: order.unsigned,
            bare: order.bare,
            any_cluster: order.any_cluster,
        },
    }
}

/// Is it a backup of this cluster that the release can read?
fn fitting(desired: &Desired, order: &RestoreOrder) -> Vec<Blocked> {
    let Some(manifest) = &order.manifest else {
        return Vec::new();
    };
    let mut blocked = Vec::new();
    if manifest.cluster != desired.cluster && !order.any_cluster {
        blocked.push(Blocked::new(
            Rule::ForeignData,
            format!("it is a backup of the cluster {}, not of {}", manifest.cluster, desired.cluster),
            "choose one of this cluster's backups (`quorate backup list`), or pass --from-another-cluster to create a copy of that cluster",
        ));
    }
    if manifest.etcd_version.series() > desired.version.series() {
        blocked.push(Blocked::new(
            Rule::Version,
            format!(
                "it was taken from etcd {}, but the inventory has {}",
                manifest.etcd_version, desired.version
            ),
            format!(
                "set `etcd.version` to {} or later: etcd cannot read the data of a later minor release",
                manifest.etcd_version
            ),
        ));
    }
    blocked
}

fn host_can(
    desired: &Desired,
    host: &DesiredHost,
    facts: &HostFacts,
    order: &RestoreOrder,
    resumed: bool,
) -> Vec<Blocked> {
    // What a restore that was begun has left in the data directory is its own.
    if resumed {
        return Vec::new();
    }
    let mut blocked = Vec::new();
    match data_belongs(desired, host, facts) {
        // A lost write-ahead log is a reason to restore, not one against it.
        Err(refusal) if refusal.rule != Rule::DataGone => blocked.push(refusal),
        _ => {}
    }
    let needed = 2 * order.snapshot.size + ROOM;
    if let Some(disk) = facts.system.disks.get(&host.paths.data)
        && disk.free_bytes < needed
    {
        let refusal = Blocked::new(
            Rule::Host,
            format!(
                "{} has {} MiB free, but a restore needs {} MiB",
                host.paths.data,
                disk.free_bytes >> 20,
                needed >> 20
            ),
            format!("free some space (old data that was moved aside: {})", set_aside(facts)),
        );
        blocked.push(refusal.on(&host.name));
    }
    blocked
}

fn set_aside(facts: &HostFacts) -> String {
    match facts.data.set_aside.as_slice() {
        [] => "none".to_owned(),
        places => places.join(", "),
    }
}

pub(super) fn unreachable(host: &DesiredHost, why: &str) -> Blocked {
    let (why, help) = why_and_help(why);
    Blocked::new(
        Rule::Unreachable,
        format!("it cannot be inspected ({why}), so it may keep running on the old data"),
        format!(
            "{}; pass --without {} only if you know that the machine is gone: one that merely cannot be reached keeps running",
            help.unwrap_or(MEND),
            host.name
        ),
    )
    .on(&host.name)
}

/// A host that is left out must not be there to go on by itself. Once the restore has begun it cannot be taken along.
pub(super) fn left_out(desired: &Desired, observed: &Observed, without: &[NodeName], begun: bool) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    for name in without {
        if observed.runs(name) || is_heard(desired, observed, name) {
            let hint = match begun {
                false => format!("include it: omit `--without {name}`"),
                true => {
                    "stop it (`systemctl disable --now etcd` there), and replace it when the restore is done".to_owned()
                }
            };
            let refusal = Blocked::new(
                Rule::NotSettled,
                "its member runs and would keep running on the old data",
                hint,
            );
            blocked.push(refusal.on(name));
        }
    }
    if without.len() >= desired.hosts.len() {
        blocked.push(Blocked::new(
            Rule::Inventory,
            "no host is left to restore to",
            "exclude fewer hosts",
        ));
    }
    blocked
}

/// Whether the members that answer hear that of a host, which nobody can look at.
fn is_heard(desired: &Desired, observed: &Observed, name: &NodeName) -> bool {
    let member = observed.cluster.known().zip(desired.hosts.get(name));
    let member = member.and_then(|(membership, host)| Some((membership, membership.of(host)?.id)));
    member.is_some_and(|(membership, id)| !membership.heard_by(id).0.is_empty())
}

/// Members that the inventory does not list are neither stopped nor looked at. When they are a quorum by themselves,
/// and the member list has just come from one, the old cluster would go on beside the new one (docs/etcd.md, "Common
/// mistakes" 18).
fn would_go_on(desired: &Desired, observed: &Observed) -> Option<Blocked> {
    let membership = observed.cluster.known().filter(|membership| membership.by_quorum)?;
    let mut strays: Vec<String> = membership
        .voters()
        .filter(|member| host_of(desired, member).is_none())
        .map(|member| label(desired, member))
        .collect();
    strays.sort();
    (strays.len() >= quorum(membership.voters().count())).then(|| {
        let names = strays.join(", ");
        Blocked::new(
            Rule::NotSettled,
            format!(
                "{names} run, are not in the inventory, and are a quorum without it: they would keep running on the old data next to the new \
                 cluster"
            ),
            "stop them (`systemctl disable --now etcd` there), or put them back into the inventory and remove them afterwards",
        )
    })
}

/// Who is still connected to members that would all stop at once: for them time goes back, and what they remember or
/// watch of the time in between is wrong (docs/etcd.md, "Snapshots and restores"; etcd#16028). `--accept-outage` goes
/// on all the same; see docs/decisions/0014-clients-before-a-restore.md.
pub(super) fn clients_left<'a>(
    observed: &Observed,
    stopped: impl Iterator<Item = &'a DesiredHost>,
    policy: Policy,
) -> Vec<Blocked> {
    let running = stopped.filter(|host| observed.runs(&host.name));
    let refusals = running.filter_map(|host| nobody_connected(observed, &host.name).err());
    refusals.filter(|_| !policy.accept_outage).collect()
}

/// Is nobody connected to the member of this host?
///
/// # Errors
/// Who is, or that it cannot be told.
pub fn nobody_connected(observed: &Observed, node: &NodeName) -> Result<(), Blocked> {
    let (rule, reason) = match observed.clients.get(node) {
        Some(Fact::Known(clients)) if clients.is_empty() => return Ok(()),
        Some(Fact::Known(clients)) => (Rule::ClientsConnected, connected(clients)),
        Some(Fact::Unknown(why)) => (Rule::Unknown, untold(why_and_help(why).0)),
        Some(Fact::Absent) | None => (Rule::Unknown, untold("it was not inspected")),
    };
    Err(Blocked::new(
        rule,
        reason,
        "stop what uses the cluster first (Kubernetes: every kube-apiserver), otherwise it keeps acting on state that no longer exists; to continue while clients are connected, pass \
         --accept-outage",
    )
    .on(node))
}

fn untold(why: &str) -> String {
    format!("cannot tell who is connected to its member ({why})")
}

fn connected(clients: &[Client]) -> String {
    let named: Vec<String> = clients.iter().take(NAMED).map(ToString::to_string).collect();
    let more = match clients.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("clients are connected to its member: {}{more}", named.join(", "))
}

/// What would be lost, when there is anything.
fn loses_data(observed: &Observed, order: &RestoreOrder) -> Option<Blocked> {
    let has_data = |fact: &Fact<HostFacts>| match fact {
        Fact::Known(facts) => facts.data.state != DataState::Empty,
        _ => true,
    };
    if !observed.hosts.values().any(has_data) {
        return None;
    }
    let now = observed.cluster.known().and_then(|membership| {
        let statuses = membership.status.values().filter_map(Fact::known);
        statuses.map(|status| status.header.revision).max()
    });
    let then = order.manifest.as_ref();
    let loss = match (now, then) {
        (Some(now), Some(then)) => format!(
            "the cluster is at revision {now}; the backup is from {}, at revision {}: everything written since is lost",
            then.taken_at, then.revision
        ),
        (None, Some(then)) => format!("everything written since {} is lost", then.taken_at),
        (_, None) => "everything written since the snapshot is lost".to_owned(),
    };
    Some(Blocked::new(
        Rule::OlderData,
        loss,
        "pass --accept-data-loss if this is intended; the current data is moved aside on the hosts, not deleted",
    ))
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
