//! Members that are down on purpose: nobody starts them by accident, and nothing else is done to a cluster that is.

use std::collections::{BTreeMap, BTreeSet};

use super::quorum::quorum;
use super::restore::clients_left;
use super::{Blocked, Rule};
use crate::host::HostFacts;
use crate::inventory::{Desired, DesiredHost, NodeName};
use crate::ops::model::{Fact, Observed, Policy, host_of};
use crate::ops::rest::{Purpose, RestNote};

type Hosts = BTreeMap<NodeName, Fact<HostFacts>>;

/// The members that are down for this purpose, by the notes on their hosts.
pub fn resting<'a>(
    desired: &'a Desired,
    hosts: &'a Hosts,
    purpose: Purpose,
) -> impl Iterator<Item = (&'a DesiredHost, RestNote)> {
    desired.hosts.values().filter_map(move |host| {
        let facts = hosts.get(&host.name).and_then(Fact::known)?;
        let note = RestNote::in_force(host, facts).filter(|note| note.purpose == purpose)?;
        Some((host, note))
    })
}

/// Can every note be read that says a member is down on purpose?
///
/// # Errors
/// Where one cannot: what it says is not known, so the member is neither started nor taken for dead.
pub fn notes_are_readable(desired: &Desired, hosts: &Hosts) -> Result<(), Blocked> {
    let unreadable = desired.hosts.values().find(|host| {
        let facts = hosts.get(&host.name).and_then(Fact::known);
        facts.is_some_and(|facts| RestNote::on(host, facts) == Some(None))
    });
    match unreadable {
        None => Ok(()),
        Some(host) => Err(Blocked::new(
            Rule::DownOnPurpose,
            format!("{} cannot be parsed", RestNote::path(host)),
            "another version of quorate stopped this member on purpose: start it with that version, or remove the file",
        )
        .on(&host.name)),
    }
}

/// May anything but a start touch the cluster?
///
/// # Errors
/// While `stop` keeps members down, or a `destroy` was begun.
pub fn not_stopped(desired: &Desired, hosts: &Hosts) -> Result<(), Blocked> {
    not_at_its_end(desired, hosts)?;
    let down: Vec<_> = resting(desired, hosts, Purpose::Outage).collect();
    let Some((_, note)) = down.first() else { return Ok(()) };
    let reason = match down.len() == desired.hosts.len() {
        true => format!("the cluster was stopped on purpose, {}", note.told()),
        false => {
            let names: Vec<&str> = down.iter().map(|(host, _)| host.name.as_str()).collect();
            format!(
                "{} {} stopped on purpose with the cluster, {}",
                names.join(", "),
                if names.len() == 1 { "was" } else { "were" },
                note.told()
            )
        }
    };
    Err(Blocked::new(
        Rule::DownOnPurpose,
        reason,
        "start the members that are down with `quorate start`",
    ))
}

/// May anything but its end touch the cluster?
///
/// # Errors
/// While a `destroy` that was begun is not finished, or has left hosts out.
pub fn not_at_its_end(desired: &Desired, hosts: &Hosts) -> Result<(), Blocked> {
    match resting(desired, hosts, Purpose::End).next() {
        None => Ok(()),
        Some((_, note)) => Err(Blocked::new(
            Rule::DownOnPurpose,
            format!("the cluster is being destroyed, {}", note.told()),
            "run `quorate destroy` again to finish it; to keep the cluster while its members still have their data, run `quorate start`",
        )),
    }
}

/// May something begin that takes every member to end?
///
/// # Errors
/// While one is down on purpose.
pub fn nobody_rests(desired: &Desired, hosts: &Hosts) -> Result<(), Blocked> {
    not_stopped(desired, hosts)?;
    match resting(desired, hosts, Purpose::Maintenance).next() {
        None => Ok(()),
        Some((host, note)) => Err(Blocked::new(
            Rule::DownOnPurpose,
            format!(
                "it is down for maintenance {}, and this takes every member",
                note.told()
            ),
            format!("end the maintenance first (`quorate maintain {} --done`)", host.name),
        )
        .on(&host.name)),
    }
}

/// May every member be stopped, until somebody starts the cluster again?
///
/// # Errors
/// Without `--accept-outage`, with the clients that are connected.
pub fn may_stop_all(desired: &Desired, observed: &Observed, policy: Policy) -> Result<(), Vec<Blocked>> {
    let running: Vec<&DesiredHost> = observed.running(desired).collect();
    if policy.accept_outage || running.is_empty() {
        return Ok(());
    }
    let outage = Blocked::new(
        Rule::WouldLoseQuorum,
        "every member would stop: etcd would be unavailable to clients until `quorate start`",
        "pass --accept-outage if this is intended",
    );
    let clients = clients_left(observed, running.into_iter(), policy).into_iter();
    // Who cannot be told apart from nobody is not what keeps from an outage.
    let clients = clients
        .filter(|refusal| refusal.rule == Rule::ClientsConnected)
        .map(|refusal| Blocked {
            hint: "stop what uses the cluster first, or pass --accept-outage".to_owned(),
            ..refusal
        });
    Err(std::iter::once(outage).chain(clients).collect())
}

/// May the cluster be stopped while these hosts are away, with whatever runs there?
///
/// # Errors
/// Where one of them can be reached, or their members would go on as a cluster.
pub fn may_leave_running(
    desired: &Desired,
    observed: &Observed,
    without: &BTreeSet<NodeName>,
) -> Result<(), Vec<Blocked>> {
    if without.is_empty() {
        return Ok(());
    }
    let reached = without
        .iter()
        .filter(|name| matches!(observed.hosts.get(*name), Some(Fact::Known(_))));
    let reached: Vec<Blocked> = reached
        .map(|name| {
            Blocked::new(
                Rule::DownOnPurpose,
                "it can be reached, and its member would keep running without the others",
                format!("omit `--without {name}`"),
            )
            .on(name)
        })
        .collect();
    if !reached.is_empty() {
        return Err(reached);
    }
    // By the inventory, and by the member list where it could be read: the larger claim counts.
    let left = |name: &NodeName| without.contains(name);
    let carries_on = match observed.cluster.known() {
        Some(membership) => {
            let outside = membership
                .voters()
                .filter(|m| host_of(desired, m).is_none_or(|host| left(&host.name)));
            outside.count() >= quorum(membership.voters().count())
        }
        None => false,
    };
    if carries_on || without.len() >= quorum(desired.hosts.len()) {
        return Err(vec![Blocked::new(
            Rule::DownOnPurpose,
            "the members that are left out would be a quorum, and might keep serving clients",
            "make more hosts reachable, then run this again",
        )]);
    }
    Ok(())
}

/// A refusal because members are down names the way to start those that are down on purpose: `up` leaves them alone.
pub fn bring_back(
    desired: &Desired,
    observed: &Observed,
    coming: Option<&NodeName>,
    mut blocked: Vec<Blocked>,
) -> Vec<Blocked> {
    let down = resting(desired, &observed.hosts, Purpose::Maintenance).map(|(host, _)| &host.name);
    // Whose maintenance is just ended is not told to end it.
    let down = down.filter(|name| coming != Some(*name));
    let ends: Vec<String> = down.map(|name| format!("`quorate maintain {name} --done`")).collect();
    if ends.is_empty() {
        return blocked;
    }
    for refusal in &mut blocked {
        let about_members_down = matches!(
            refusal.rule,
            Rule::NotSettled | Rule::WouldLoseQuorum | Rule::QuorumLost | Rule::Unknown
        );
        if about_members_down && !refusal.hint.contains("maintain") {
            refusal.hint = format!("end the maintenance first ({})", ends.join(", "));
            refusal.last = None;
        }
    }
    blocked
}

#[cfg(test)]
#[path = "rest_tests.rs"]
mod tests;
