//! Whether members hear each other: a quorum is one only where its members are connected.
//!
//! etcd's health tells nothing of it. A member whose connections come from an address that its peer certificate does
//! not name is refused by every other one, and looks healthy all the same: the others open streams to it, and send what
//! it should have fetched one message at a time. The next member that comes back like this cannot talk to the first one
//! at all. Only `etcd_network_active_peers` shows it, on either side (docs/etcd.md, "Certificates and streams").

use super::{Blocked, Rule, name};
use crate::etcd::Member;
use crate::inventory::MemberId;
use crate::ops::model::{Fact, Membership, Policy, why_and_help};

/// Has this member live streams to all others that take part, and those to it?
///
/// # Errors
/// Who does not hear whom, or whose streams could not be inspected.
pub fn connected(membership: &Membership, id: MemberId) -> Result<(), Blocked> {
    let Some(own) = membership.members.iter().find(|m| m.id == id) else {
        return Ok(());
    };
    let others: Vec<&Member> = in_touch(membership).filter(|m| m.id != id).collect();
    if others.is_empty() {
        return Ok(());
    }
    hears(membership, own, &others)?;
    for other in others {
        // One that is no host of the inventory is not asked.
        if membership.peers.contains_key(&other.id) {
            hears(membership, other, &[own])?;
        }
    }
    Ok(())
}

/// May this member be stopped, as far as the streams of those go that carry on without it? One that takes no part, or
/// has no vote, carries nothing.
///
/// # Errors
/// Who of them does not hear whom.
pub fn others_connected(membership: &Membership, id: MemberId, policy: Policy) -> Result<(), Blocked> {
    let carries = membership.voters().any(|m| m.id == id) && membership.takes_part(id);
    if !carries || policy.accept_outage {
        return Ok(());
    }
    let left: Vec<&Member> = in_touch(membership).filter(|m| m.id != id).collect();
    for member in left.iter().filter(|m| membership.peers.contains_key(&m.id)) {
        let others: Vec<&Member> = left.iter().filter(|m| m.id != member.id).copied().collect();
        hears(membership, member, &others)?;
    }
    Ok(())
}

/// Those of whom something is heard: who is down has no streams.
fn in_touch(membership: &Membership) -> impl Iterator<Item = &Member> {
    membership.members.iter().filter(|m| membership.takes_part(m.id))
}

fn hears(membership: &Membership, member: &Member, others: &[&Member]) -> Result<(), Blocked> {
    let streams = match membership.peers.get(&member.id) {
        Some(Fact::Known(streams)) => streams,
        Some(Fact::Unknown(why)) => return Err(unseen(member, why_and_help(why).0)),
        Some(Fact::Absent) | None => return Err(unseen(member, "they were not inspected")),
    };
    match others.iter().find(|other| !streams.contains(&other.id)) {
        None => Ok(()),
        Some(other) => Err(Blocked::new(
            Rule::NotSettled,
            format!(
                "{} has no active stream to {}, although both are healthy",
                name(member),
                name(other)
            ),
            WAY_OUT,
        )),
    }
}

fn unseen(member: &Member, why: &str) -> Blocked {
    Blocked::new(
        Rule::Unknown,
        format!("the streams of {} are not known: {why}", name(member)),
        "try again in a moment; `quorate doctor` lists every missing stream",
    )
}

/// What keeps a healthy member's streams from coming about, the likeliest first, and what to do.
pub const WAY_OUT: &str = "most likely it connects from an address that its peer certificate does not include, and the others refuse it (etcd checks the source address): add that address to `sans` of its host, then `quorate up` issues a new certificate, without a restart. Otherwise a firewall blocks the peer port. `quorate logs NAME` of both shows which, `quorate doctor` when the streams are back; all other members are \
    unchanged";

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
