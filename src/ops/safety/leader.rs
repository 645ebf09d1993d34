//! Who has to lead while members come and go.

use std::collections::BTreeSet;

use super::{Blocked, Rule};
use crate::etcd::Member;
use crate::inventory::MemberId;
use crate::ops::last_resort::LastResort;
use crate::ops::model::Membership;
use crate::ops::sight::cannot_tell;

/// What becomes of leadership when a member is taken off the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// Somebody else leads.
    NotNeeded,
    /// It hands over first: no write fails.
    HandOver,
    /// It leads and does not answer, so it cannot be told to hand over. The others elect one of theirs as soon as it is
    /// off the list; until then, a second or two, nobody takes writes.
    Election,
}

/// How leadership leaves a member that is about to be removed. Whether it may be removed is another rule
/// ([`super::membership::may_remove`]); any member passes the request on.
pub fn before_a_removal(membership: &Membership, id: MemberId) -> Succession {
    match (membership.leader() == Some(id), membership.takes_part(id)) {
        (false, _) => Succession::NotNeeded,
        (true, true) => Succession::HandOver,
        (true, false) => Succession::Election,
    }
}

/// Who leads after `from`: a healthy voter that has applied nearly all there is; among those one of the latest minor,
/// and the furthest of them. etcd hangs for long when it is asked to hand over to one that is down (docs/etcd.md,
/// "Restart and leadership"), and ends a downgrade before its time once a member of 3.5 leads ([`super::downgrade`]).
pub fn heir(membership: &Membership, from: MemberId) -> Option<MemberId> {
    let heirs = || membership.voters().filter(|m| m.id != from && membership.healthy(m.id));
    let applied = |m: &Member| membership.status_of(m.id).map_or(0, |status| status.raft_applied);
    let furthest = heirs().map(applied).max()?;
    let near = heirs().filter(|m| applied(m) + NEAR >= furthest);
    let heir = near.max_by_key(|m| {
        let minor = membership.status_of(m.id).map(|status| status.version.series());
        (minor, applied(m), std::cmp::Reverse(m.id))
    });
    heir.map(|m| m.id)
}

/// Raft entries that an heir may be behind another: what it lacks it is sent before it leads.
const NEAR: u64 = 100;

/// The member that has to transfer leadership before a learner is added and promoted: promotions are asked of the
/// leader (passed on by a follower they fail with authentication on, before 3.5.28 and 3.6.6, etcd#20874), so it has to
/// be `ours`, a host of the inventory.
///
/// # Errors
/// When a stranger leads and does not answer.
pub fn before_a_join(membership: &Membership, ours: impl Fn(&Member) -> bool) -> Result<Option<&Member>, Blocked> {
    let leader = membership
        .leader()
        .and_then(|id| membership.members.iter().find(|m| m.id == id));
    match leader.filter(|member| !ours(member)) {
        None => Ok(None),
        Some(stranger) if membership.takes_part(stranger.id) => Ok(Some(stranger)),
        Some(stranger) => Err(Blocked::new(
            Rule::Inventory,
            format!(
                "the cluster is led by {} ({}), which is not in the inventory and does not answer, and members are added \
                 through the leader",
                stranger.name, stranger.id
            ),
            "remove it with `quorate up --prune`, or add it to the inventory",
        )),
    }
}

/// Who leads, by the word of those who answer: where a majority stands behind the list one of them is enough.
pub fn named(membership: &Membership) -> Option<&Member> {
    let told = membership.voters().filter_map(|m| membership.status_of(m.id));
    let told = told.map(|status| status.leader).find(|leader| leader.0 != 0);
    let id = membership.leader().or(told.filter(|_| membership.by_quorum))?;
    membership.members.iter().find(|m| m.id == id)
}

/// Who leads, as far as it can be seen: the word of a majority, or where members are in the dark that of those who
/// answer.
pub fn seen(membership: &Membership) -> Option<MemberId> {
    match membership.unseen.is_empty() {
        true => membership.leader(),
        false => named(membership).map(|member| member.id),
    }
}

/// Whether members that answer name no leader that they agree on. Where nobody could be asked, nothing is known of that.
pub fn none_is_agreed_on(membership: &Membership) -> bool {
    let asked = |member: &Member| !membership.unseen.contains_key(&member.id);
    seen(membership).is_none() && membership.members.iter().any(asked)
}

/// Whether the leader would take a member back that is stopped for a while. The members that run go on over connections
/// that are open, whatever has become of certificates; who comes back needs a new one, to the leader above all. A
/// leader that does not answer us may answer nobody new. Those in `cured` do by then.
///
/// # Errors
/// When somebody else leads and does not answer.
pub fn takes_back(membership: &Membership, id: MemberId, cured: &BTreeSet<MemberId>) -> Result<(), Blocked> {
    let silent = named(membership).filter(|leader| {
        let answers = membership.takes_part(leader.id) || cured.contains(&leader.id);
        leader.id != id && !answers
    });
    let Some(silent) = silent else { return Ok(()) };
    let so = "it is the leader, and a stopped member has to be able to reconnect to it";
    if let Some(refusal) = cannot_tell(membership, std::iter::once(silent), so) {
        return Err(refusal);
    }
    Err(Blocked::new(
        Rule::NotSettled,
        format!(
            "the cluster is led by {} ({}), which does not answer: a stopped member may not be able to reconnect to it",
            silent.name, silent.id
        ),
        format!(
            "bring {0} back first (`quorate up --limit {0}`, `quorate logs {0}`)",
            silent.name
        ),
    )
    .or(LastResort::replace_by_another(&silent.name))
    .because_of([silent]))
}
