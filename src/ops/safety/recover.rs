//! Going on from what a minority still has: only where the majority is gone for good, and from the newest of what is left.

use std::collections::BTreeMap;

use super::bootstrap::{data_belongs, same_cluster};
use super::quorum::{Strength, quorum};
use super::restore::{clients_left, left_out, unreachable};
use super::{Blocked, Rule};
use crate::etcd::{Member, MemberStatus, RaftLog};
use crate::host::{DataState, HostFacts, ServiceState};
use crate::inventory::{Desired, DesiredHost, NodeName};
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, NO_QUORUM, Observed, Policy, host_of, why_and_help};
use crate::ops::recover::RecoverOrder;

/// Free bytes that the copy of a member's data leaves.
const ROOM: u64 = 256 << 20;

/// May the cluster be rebuilt from one survivor? Returns the one with the newest committed data.
///
/// # Errors
/// Every reason against it: a majority that works or could be started, a host that may hold something newer, data that
/// belongs elsewhere, and without `--accept-data-loss` what may be lost.
pub fn may_recover(
    desired: &Desired,
    observed: &Observed,
    order: &RecoverOrder,
    policy: Policy,
) -> Result<NodeName, Vec<Blocked>> {
    if let Some(refusal) = still_works(observed) {
        return Err(vec![refusal]);
    }
    let mut blocked = left_out(desired, observed, &order.without, false);
    let taking_part = desired
        .hosts
        .values()
        .filter(|host| !order.without.contains(&host.name));
    let mut survivors = BTreeMap::new();
    for host in taking_part {
        match observed.hosts.get(&host.name) {
            Some(Fact::Known(facts)) => {
                blocked.extend(
                    data_belongs(desired, host, facts)
                        .err()
                        .filter(|b| b.rule != Rule::DataGone),
                );
                if facts.data.state == DataState::Bootstrapped {
                    survivors.insert(&host.name, (host, facts));
                }
            }
            Some(Fact::Unknown(why)) => blocked.push(unreachable(host, why)),
            Some(Fact::Absent) | None => blocked.push(unreachable(host, "it was not inspected")),
        }
    }
    let stopped = desired.hosts.values();
    let stopped = stopped.filter(|host| !order.without.contains(&host.name));
    blocked.extend(clients_left(observed, stopped, policy));
    blocked.extend(one_cluster(&survivors));
    blocked.extend(could_not_be_asked(observed, &survivors));
    blocked.extend(could_be_started(desired, observed, &survivors));
    let chosen = choose(order, &survivors);
    let dark = blocked.iter().any(|refusal| refusal.rule == Rule::Unreachable);
    // Nobody has data as long as nobody was seen.
    let chosen = match chosen {
        Err(refusal) if refusal.rule == Rule::DataGone && dark => None,
        chosen => chosen.map_err(|refusal| blocked.push(refusal)).ok(),
    };
    if let Some((host, facts)) = chosen.and_then(|name| survivors.get(name)) {
        blocked.extend(no_room(host, facts));
        blocked.extend(no_release(host, facts));
    }
    if !policy.accept_data_loss && blocked.is_empty() {
        blocked.push(loses(order, chosen));
    }
    match chosen {
        Some(name) if blocked.is_empty() => Ok(name.clone()),
        _ => Err(blocked),
    }
}

type Survivors<'a> = BTreeMap<&'a NodeName, (&'a DesiredHost, &'a HostFacts)>;

/// A majority that answers is not gone, also in the second in which it elects a leader and nobody is healthy.
fn still_works(observed: &Observed) -> Option<Blocked> {
    let membership = observed.cluster.known()?;
    let now = Strength::of(membership);
    if now.has_quorum() {
        return Some(
            Blocked::new(
                Rule::NotSettled,
                format!(
                    "the cluster works: {} of {} voters are healthy",
                    now.healthy, now.voters
                ),
                "`quorate up` starts the stopped members",
            )
            .or(LastResort::one_is_gone()),
        );
    }
    let corrupt = |s: &MemberStatus| s.errors.iter().any(|e| e.contains("CORRUPT"));
    let answers = |m: &&Member| membership.status_of(m.id).is_some_and(|s| !corrupt(s));
    let answering = membership.voters().filter(answers).count();
    if answering >= quorum(now.voters) {
        return Some(Blocked::new(
            Rule::NotSettled,
            format!(
                "{answering} of {} voters answer, a majority, but have no leader",
                now.voters
            ),
            "try again in a moment: they may be electing one. If there is still none, they cannot reach each other: see `quorate doctor`",
        ));
    }
    // Who does not answer us, because its certificate has ended, may answer the others: a majority of them gave the list.
    let may_be_well = |m: &&Member| membership.status_of(m.id).is_none_or(|s| !corrupt(s));
    let may_be_well = membership.voters().filter(may_be_well).count();
    (membership.by_quorum && may_be_well >= quorum(now.voters)).then(|| {
        Blocked::new(
            Rule::NotSettled,
            format!(
                "the cluster works: a majority of its {} voters confirms the member list, although only {answering} \
                 answer",
                now.voters
            ),
            "find out why the others do not answer: `quorate doctor`; if certificates have expired: `quorate pki renew`",
        )
    })
}

/// Survivors of different clusters have nothing to say about each other.
fn one_cluster(survivors: &Survivors<'_>) -> Option<Blocked> {
    let refusal = same_cluster(survivors.values().copied()).err()?;
    Some(Blocked {
        hint: "exclude the hosts with old data: --without NAME".to_owned(),
        last: None,
        ..refusal
    })
}

/// A member that runs and cannot be asked (its certificate has expired, or the operator's) may be one of a cluster that
/// works: what is not known is not lost.
fn could_not_be_asked(observed: &Observed, survivors: &Survivors<'_>) -> Option<Blocked> {
    let Fact::Unknown(why) = &observed.cluster else {
        return None;
    };
    let runs = |facts: &HostFacts| facts.service.state == ServiceState::Running;
    let (host, _) = survivors
        .values()
        .find(|(_, facts)| runs(facts) && !why.contains(NO_QUORUM))?;
    let (why, help) = why_and_help(why);
    let stop = "if its cluster is lost, stop it (`systemctl stop etcd` there)";
    let hint = help.map_or(stop.to_owned(), |help| format!("{help}; {stop}"));
    let reason = format!("its member runs but could not be queried, so its cluster may work ({why})");
    Some(Blocked::new(Rule::Unknown, reason, hint).on(&host.name))
}

/// A majority that has its data is not gone; members outside the inventory that answer have theirs.
fn could_be_started(desired: &Desired, observed: &Observed, survivors: &Survivors<'_>) -> Option<Blocked> {
    let (listed, strangers) = observed.cluster.known().map_or((0, 0), |membership| {
        let answers = |m: &&Member| host_of(desired, m).is_none() && membership.status_of(m.id).is_some();
        (membership.voters().count(), membership.voters().filter(answers).count())
    });
    // How many there are is known where a majority says so; hosts that have not joined yet are none of them.
    let members = match observed.cluster.known() {
        Some(membership) if membership.by_quorum => listed,
        _ => desired.hosts.len().max(listed),
    };
    let with_data = survivors.len() + strangers;
    (with_data >= quorum(members)).then(|| {
        Blocked::new(
            Rule::NotSettled,
            format!("{with_data} of {members} members have their data, a majority"),
            "start them with `quorate up`; if the data of one is unusable, pass --without NAME",
        )
    })
}

/// The survivor that knows of the most committed entries; of equals the one with the longer log.
fn choose<'a>(order: &'a RecoverOrder, survivors: &Survivors<'a>) -> Result<&'a NodeName, Blocked> {
    if let Some(name) = &order.from {
        return match survivors.get_key_value(name) {
            Some((name, _)) => Ok(name),
            None => Err(Blocked::new(
                Rule::DataGone,
                "it has no data to rebuild from",
                "omit --from: the survivor with the newest data is found",
            )
            .on(name)),
        };
    }
    let known = |name: &&NodeName| order.logs.get(*name).and_then(Fact::known).copied();
    let unread = survivors.keys().find(|name| known(name).is_none());
    if let Some(name) = unread {
        let why = match order.logs.get(*name) {
            Some(Fact::Unknown(why)) => why.clone(),
            _ => "it was not read".to_owned(),
        };
        let hint =
            format!("it may be the newest; to continue without it, pass --from another host or --without {name}");
        return Err(Blocked::new(Rule::Unknown, format!("its raft log cannot be read: {why}"), hint).on(name));
    }
    let newest = survivors.keys().copied().max_by_key(|name| {
        let log: Option<RaftLog> = known(name);
        (log, std::cmp::Reverse(*name))
    });
    newest.ok_or_else(|| {
        Blocked::new(
            Rule::DataGone,
            "no host that answers has data of this cluster",
            "check the hosts that do not answer: they may have it",
        )
        .or(LastResort::back_to_a_backup())
    })
}

fn no_room(host: &DesiredHost, facts: &HostFacts) -> Option<Blocked> {
    let disk = facts.system.disks.get(&host.paths.data)?;
    let needed = facts.data.bytes + ROOM;
    (disk.free_bytes < needed).then(|| {
        Blocked::new(
            Rule::Host,
            format!(
                "{} has {} MiB free, but a copy of the data needs {} MiB",
                host.paths.data,
                disk.free_bytes >> 20,
                needed >> 20
            ),
            "free some space on it",
        )
        .on(&host.name)
    })
}

fn no_release(host: &DesiredHost, facts: &HostFacts) -> Option<Blocked> {
    facts.releases.is_empty().then(|| {
        Blocked::new(
            Rule::Host,
            format!("there is no etcd under {} to read the data with", host.paths.bin),
            "install the release that wrote it there",
        )
        .on(&host.name)
    })
}

fn loses(order: &RecoverOrder, chosen: Option<&NodeName>) -> Blocked {
    let log = chosen.and_then(|name| order.logs.get(name)).and_then(Fact::known);
    let kept = match (chosen, log) {
        (Some(name), Some(log)) => format!("{name} goes up to raft index {}", log.committed),
        _ => "only a minority is left".to_owned(),
    };
    Blocked::new(
        Rule::OlderData,
        format!("{kept}: whatever the lost majority acknowledged after that is lost"),
        "pass --accept-data-loss if the majority is gone for good; data on the hosts is moved aside, not deleted",
    )
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
