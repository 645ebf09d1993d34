//! The end of a cluster: not under the eyes of its clients, not without a backup, and of everybody that can be reached.

use super::bootstrap::{data_belongs, one_cluster};
use super::quorum::Strength;
use super::restore::nobody_connected;
use super::{Blocked, Rule};
use crate::host::HostFacts;
use crate::inventory::{Desired, DesiredHost, NodeName};
use crate::ops::destroy::{DestroyOrder, end_noted, left_of};
use crate::ops::model::{Fact, Observed, Policy, host_of, label, why_and_help};
use crate::ops::sight::MEND;

/// Whether a last backup is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastBackup {
    /// The cluster can give one.
    Taken,
    /// It was taken (or waived) when this destruction was begun, or there is nothing to take one of.
    NotDue,
}

/// May the cluster be destroyed?
///
/// # Errors
/// Every reason against it: hosts that cannot be inspected, clients, data of others, no last backup, no consent.
pub fn may_destroy(
    desired: &Desired,
    observed: &Observed,
    order: &DestroyOrder,
    policy: Policy,
) -> Result<LastBackup, Vec<Blocked>> {
    let mut blocked: Vec<Blocked> = one_cluster(observed).err().into_iter().collect();
    let mut left = Vec::new();
    // Where nobody is left to look at, nothing would be known of the cluster.
    let some_are_there = desired.hosts.keys().any(|name| !order.without.contains(name));
    for host in desired.hosts.values() {
        let excluded = some_are_there && order.without.contains(&host.name);
        match observed.hosts.get(&host.name) {
            Some(Fact::Known(_)) if excluded => blocked.push(is_there(&host.name)),
            Some(Fact::Known(facts)) => {
                blocked.extend(not_ours(desired, host, facts));
                if left_of(host, facts, !order.without.is_empty()).is_some() {
                    left.push((host, facts));
                }
            }
            _ if excluded => blocked.extend(is_heard(desired, observed, &host.name)),
            Some(Fact::Unknown(why)) => blocked.push(out_of_reach(host, why, some_are_there)),
            Some(Fact::Absent) | None => blocked.push(out_of_reach(host, "it was not inspected", some_are_there)),
        }
    }
    blocked.extend(others_would_continue(desired, observed));
    if !policy.accept_outage {
        let running = observed
            .running(desired)
            .filter(|host| !order.without.contains(&host.name));
        blocked.extend(running.filter_map(|host| connected(observed, &host.name)));
    }
    let dark = blocked.iter().any(|refusal| refusal.rule == Rule::Unreachable);
    let backup = last_backup(observed, &left, policy).map_err(|refusal| {
        // Whoever cannot be inspected may be what a backup takes.
        blocked.extend((!dark).then_some(refusal));
    });
    if !policy.accept_data_loss && !dark && left.iter().any(|(_, facts)| has_data(facts)) {
        blocked.push(loses(order));
    }
    match backup {
        Ok(backup) if blocked.is_empty() => Ok(backup),
        _ => Err(blocked),
    }
}

fn has_data(facts: &HostFacts) -> bool {
    facts.data.state != crate::host::DataState::Empty
}

/// A cluster that works gives a backup; one that was stopped for this has given it.
///
/// # Errors
/// Where it can give none, and nobody said that none is wanted.
fn last_backup(
    observed: &Observed,
    left: &[(&DesiredHost, &HostFacts)],
    policy: Policy,
) -> Result<LastBackup, Blocked> {
    let works = observed
        .cluster
        .known()
        .is_some_and(|membership| membership.by_quorum && Strength::of(membership).has_quorum());
    let begun = left.iter().any(|(host, facts)| end_noted(host, facts).is_some());
    let nothing = !left.iter().any(|(_, facts)| has_data(facts));
    if policy.no_snapshot || nothing {
        return Ok(LastBackup::NotDue);
    }
    match (works, begun) {
        (true, _) => Ok(LastBackup::Taken),
        (false, true) => Ok(LastBackup::NotDue),
        (false, false) => Err(Blocked::new(
            Rule::LastBackup,
            "no last backup can be taken: the cluster has no quorum, or its members could not be queried",
            "start it first (`quorate up`, or `quorate start` if it was stopped on purpose); to destroy it without a last backup, pass --no-snapshot",
        )),
    }
}

fn out_of_reach(host: &DesiredHost, why: &str, some_are_there: bool) -> Blocked {
    let (why, help) = why_and_help(why);
    let help = help.unwrap_or(MEND);
    Blocked::new(
        Rule::Unreachable,
        format!("it cannot be inspected ({why}), so its member may run, or start again when the host comes back"),
        match some_are_there {
            true => format!(
                "{help}; to exclude it, pass --without {}: run `quorate destroy` again when it is back",
                host.name
            ),
            false => format!("{help}; at least one host has to be there"),
        },
    )
    .on(&host.name)
}

fn is_there(node: &NodeName) -> Blocked {
    Blocked::new(
        Rule::Inventory,
        "it can be inspected, so it is destroyed with the others",
        format!("omit `--without {node}`"),
    )
    .on(node)
}

/// A host that nobody can inspect, and whose member the others hear.
fn is_heard(desired: &Desired, observed: &Observed, node: &NodeName) -> Option<Blocked> {
    let membership = observed.cluster.known()?;
    let member = membership.of(desired.hosts.get(node)?)?;
    (!membership.heard_by(member.id).0.is_empty()).then(|| {
        Blocked::new(
            Rule::NotSettled,
            "its member runs, and would keep running without the others",
            "fix the connection to the host and omit the exclusion, or stop it there (`systemctl disable --now etcd`)",
        )
        .on(node)
    })
}

/// Only this cluster's data is touched: what somebody else keeps there stays.
fn not_ours(desired: &Desired, host: &DesiredHost, facts: &HostFacts) -> Option<Blocked> {
    let refusal = data_belongs(desired, host, facts).err()?;
    (refusal.rule == Rule::ForeignData).then(|| Blocked {
        hint: "it is not destroyed with this cluster: remove the host from the inventory, or move that data away"
            .to_owned(),
        last: None,
        ..refusal
    })
}

/// Members that the inventory does not list are not stopped. One that kept its data could come to a later cluster of the same
/// hosts: that has the same id (decision 2).
fn others_would_continue(desired: &Desired, observed: &Observed) -> Option<Blocked> {
    let membership = observed.cluster.known().filter(|membership| membership.by_quorum)?;
    let mut others: Vec<String> = membership
        .members
        .iter()
        .filter(|member| host_of(desired, member).is_none())
        .map(|member| label(desired, member))
        .collect();
    others.sort();
    (!others.is_empty()).then(|| {
        Blocked::new(
            Rule::NotSettled,
            format!(
                "the cluster has members that are not in the inventory and would keep their data: {}",
                others.join(", ")
            ),
            "add them to the inventory, or remove them from the cluster first (`quorate up --prune`)",
        )
    })
}

fn connected(observed: &Observed, node: &NodeName) -> Option<Blocked> {
    let refusal = nobody_connected(observed, node).err()?;
    Some(Blocked {
        hint: "stop what uses the cluster first; to destroy it while clients are connected, pass --accept-outage"
            .to_owned(),
        ..refusal
    })
}

fn loses(order: &DestroyOrder) -> Blocked {
    let (what, stays) = match order.wipe {
        true => (
            "the data of every member would be deleted",
            "without --wipe it is moved aside",
        ),
        false => (
            "the cluster would be gone",
            "the data is moved aside on the hosts, not deleted",
        ),
    };
    Blocked::new(
        Rule::OlderData,
        what,
        format!("pass --accept-data-loss if this is intended; {stays}"),
    )
}

#[cfg(test)]
#[path = "destroy_tests.rs"]
mod tests;
