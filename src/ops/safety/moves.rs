//! When a member that lives may be given another address or another port: it keeps its data and its id, and the others
//! learn where it will be before it is there (docs/decisions/0042-a-member-moves.md).

use std::collections::BTreeSet;

use super::bootstrap::Marker;
use super::membership::nobody_is_joining;
use super::{Blocked, Rule};
use crate::etcd::Member;
use crate::host::{DataState, HostFacts};
use crate::inventory::{Desired, DesiredHost, MemberId, NodeName, PeerUrl};
use crate::ops::model::{Fact, Membership, Observed};
use crate::render::option_in;

/// The voter that lives on a host which the inventory has at a URL that no member has: its note, its configuration and
/// the member list all say that it is the one.
pub fn lives_there<'a>(
    desired: &Desired,
    membership: &'a Membership,
    host: &DesiredHost,
    facts: &HostFacts,
) -> Option<&'a Member> {
    let marker = Marker::on(facts)?;
    let its_own = marker.cluster == desired.cluster
        && marker.cluster_id == membership.cluster_id
        && marker.member == host.name
        && facts.data.state == DataState::Bootstrapped;
    if !its_own || membership.of(host).is_some() {
        return None;
    }
    let config = facts.files.get(&host.paths.config)?.content.as_deref()?;
    let told = option_in(config, "initial-advertise-peer-urls")?;
    let told: Vec<&str> = told.as_str()?.split(',').collect();
    let has_told = |member: &&Member| member.peer_urls.iter().any(|url| told.contains(&url.0.as_str()));
    let mut there = membership.members.iter().filter(has_told);
    let member = there.next()?;
    // A learner would be promoted by that (docs/etcd.md, "Members").
    let settled = there.next().is_none() && member.started() && !member.learner;
    (settled && member.name == host.name.as_str()).then_some(member)
}

/// The member list as it is once every member that lives on a host of the inventory is entered at the inventory's URL,
/// and the members that this is about.
pub fn as_known(desired: &Desired, observed: &Observed, membership: &Membership) -> (Membership, BTreeSet<MemberId>) {
    let (mut known, mut moving) = (membership.clone(), BTreeSet::new());
    for host in desired.hosts.values() {
        let facts = observed.hosts.get(&host.name).and_then(Fact::known);
        let member = facts.and_then(|facts| lives_there(desired, membership, host, facts));
        let entry = member.and_then(|member| known.members.iter_mut().find(|entry| entry.id == member.id));
        if let Some(entry) = entry {
            entry.peer_urls.push(host.peer_url());
            moving.insert(entry.id);
        }
    }
    (known, moving)
}

/// Is the member at the inventory's URL of a host the one that lives there? Two addresses that were exchanged would make
/// each answer for the other.
///
/// # Errors
/// Whose URL it is.
pub fn at_its_own_url(
    desired: &Desired,
    host: &DesiredHost,
    member: &Member,
    facts: &HostFacts,
) -> Result<(), Blocked> {
    let marker = Marker::on(facts);
    let lives_there = marker.is_some_and(|m| m.cluster == desired.cluster && m.member == host.name && m.complete);
    // One that was taken over may have a name that no host can have, until its turn (`default`).
    let of_a_host = member.name.parse::<NodeName>().is_ok();
    if !lives_there || !member.started() || !of_a_host || member.name == host.name.as_str() {
        return Ok(());
    }
    Err(Blocked::new(
        Rule::Inventory,
        format!(
            "{} is the peer URL of the member {}, and the host there has the member {}",
            host.peer_url(),
            member.name,
            host.name
        ),
        format!(
            "a member gets only an address that no other one has: give {} such an address and run `quorate up`; what it \
             had is free for another member then",
            member.name
        ),
    )
    .on(&host.name))
}

/// May the list have these URLs for a member?
///
/// # Errors
/// When a member is on its way in, another one has such a URL, or no quorum stands behind the list.
pub fn may_change_urls(membership: &Membership, id: MemberId, urls: &[PeerUrl]) -> Result<(), Blocked> {
    let refuse = |rule, reason: String, hint: &str| Err(Blocked::new(rule, reason, hint));
    nobody_is_joining(membership)?;
    if !membership.members.iter().any(|member| member.id == id) {
        return refuse(
            Rule::NotSettled,
            format!("member {id} has left the cluster"),
            "`quorate up` plans again",
        );
    }
    if !membership.by_quorum || membership.leader().is_none() {
        let hint = "start the members that are down first (`quorate up`)";
        return refuse(Rule::QuorumLost, "no quorum confirms the member list".into(), hint);
    }
    let other = membership.members.iter().filter(|member| member.id != id);
    match other
        .into_iter()
        .find(|member| member.peer_urls.iter().any(|url| urls.contains(url)))
    {
        Some(other) => refuse(
            Rule::Inventory,
            format!("the member {} has that address and port", other.name),
            "give it an address that no other member has",
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
