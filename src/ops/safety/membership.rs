//! Adding, promoting and removing members, one change at a time.

use std::collections::BTreeSet;

use super::bootstrap::Marker;
use super::quorum::{Strength, quorum, without_quorum};
use super::{Blocked, Rule, name};
use crate::etcd::Member;
use crate::inventory::{MemberId, PeerUrl};
use crate::ops::model::{Membership, Policy};
use crate::ops::sight::{Health, cannot_tell};

/// A learner may be this many raft entries behind when it is promoted. etcd itself accepts 90 % of the leader's index,
/// which on an old cluster is a gap of millions (server.go, `readyPercentThreshold`).
pub const PROMOTION_LAG: u64 = 500;

/// May a learner be added now?
///
/// etcd from 3.5.30 on lets two unstarted voters into a cluster of three; quorate never adds while any member is
/// unstarted, unhealthy or a learner.
///
/// # Errors
/// What is unfinished.
pub fn may_add(membership: &Membership) -> Result<(), Blocked> {
    may_add_once(membership, &BTreeSet::new())
}

/// [`may_add`], asked beforehand: as if the members in `cured`, which come first, were healthy by then.
///
/// # Errors
/// As [`may_add`].
pub fn may_add_once(membership: &Membership, cured: &BTreeSet<MemberId>) -> Result<(), Blocked> {
    let now = Strength::of(membership);
    if !now.has_quorum() {
        return Err(without_quorum(membership, now));
    }
    settled(membership, None, cured)
}

/// Can the change that this learner or unstarted member began be finished? Asked beforehand, as if the members in
/// `cured`, which come first, were healthy by then.
///
/// # Errors
/// What else is unfinished.
pub fn may_finish(membership: &Membership, id: MemberId, cured: &BTreeSet<MemberId>) -> Result<(), Blocked> {
    settled(membership, Some(id), cured)
}

/// May this learner become a voter?
///
/// # Errors
/// How far it is behind, or what else is unfinished.
pub fn may_promote(membership: &Membership, id: MemberId) -> Result<(), Blocked> {
    settled(membership, Some(id), &BTreeSet::new())?;
    match membership.lag(id) {
        Some(lag) if lag <= PROMOTION_LAG => Ok(()),
        Some(lag) => Err(Blocked::new(
            Rule::NotSettled,
            format!("the learner is {lag} entries behind; at most {PROMOTION_LAG} are allowed"),
            "wait until it has caught up; if the gap grows, check its disk and network, and `quorate logs NAME`",
        )),
        None => {
            let learner = membership.members.iter().filter(|m| m.id == id);
            let refusal = cannot_tell(membership, learner, "it is promoted once it has caught up");
            Err(refusal.unwrap_or_else(|| {
                Blocked::new(
                    Rule::Unknown,
                    "the learner does not answer",
                    "see its log with `quorate logs NAME`",
                )
            }))
        }
    }
}

/// May this member be removed for good?
///
/// # Errors
/// The counts.
pub fn may_remove(membership: &Membership, id: MemberId, policy: Policy) -> Result<(), Blocked> {
    may_remove_once(membership, id, policy, &BTreeSet::new())
}

/// [`may_remove`], asked beforehand: as if the members in `cured`, which come first, were healthy by then.
///
/// # Errors
/// As [`may_remove`].
pub fn may_remove_once(
    membership: &Membership,
    id: MemberId,
    policy: Policy,
    cured: &BTreeSet<MemberId>,
) -> Result<(), Blocked> {
    let now = Strength::of(membership);
    if !now.has_quorum() {
        return Err(without_quorum(membership, now));
    }
    if membership.members.iter().any(|m| m.id == id && m.learner) {
        return from_a_quorum(membership);
    }
    if now.voters == 1 {
        return Err(Blocked::new(
            Rule::WouldLoseQuorum,
            "it is the only voter: without it there is no cluster",
            "to move it, add the new host first (`quorate add-node`)",
        ));
    }
    match membership.health(id) {
        // It carries nothing: the list without it needs no more votes than the list with it, whoever else is down. etcd says
        // the same (server.go, `mayRemoveMember`).
        Health::Sick => nobody_else_is_joining(membership, id)?,
        _ => settled(membership, Some(id), cured)?,
    }
    let stays = |m: &&Member| m.id != id && (membership.healthy(m.id) || cured.contains(&m.id));
    let left = Strength {
        voters: now.voters - 1,
        healthy: membership.voters().filter(stays).count(),
    };
    if left.healthy < quorum(left.voters) {
        let dark = membership
            .voters()
            .filter(|m| m.id != id && membership.health(m.id) == Health::Unknown);
        let so = "without it, the other members might not have a quorum";
        if let Some(refusal) = cannot_tell(membership, dark, so) {
            return Err(refusal);
        }
        return Err(Blocked::new(
            Rule::WouldLoseQuorum,
            format!(
                "without it, {} of {} voters would be healthy, but quorum needs {}",
                left.healthy,
                left.voters,
                quorum(left.voters)
            ),
            "bring the members that are down back first (`quorate up`)",
        ));
    }
    if now.voters == 2 && !policy.accept_outage {
        return Err(Blocked::new(
            Rule::WouldLoseQuorum,
            "one of two voters: if the other one fails while this one leaves, quorum is lost",
            "grow to three first (`quorate add-node`), or pass --accept-outage",
        ));
    }
    Ok(())
}

/// May the data of a member be wiped or moved aside? Only when a list that a quorum stands behind no longer has it.
///
/// # Errors
/// Why that is not proven.
pub fn may_wipe(membership: &Membership, url: &PeerUrl) -> Result<(), Blocked> {
    if !membership.by_quorum {
        return Err(Blocked::new(
            Rule::Unknown,
            "the member list is not confirmed by a quorum, so it cannot prove that the member has left",
            "wait until the cluster has a quorum again",
        ));
    }
    if let Some(member) = membership.at(url) {
        return Err(Blocked::new(
            Rule::NotSettled,
            format!("member {} at {url} is still on the list", member.id),
            "remove it first: `quorate remove-node NAME`",
        ));
    }
    Ok(())
}

/// Is the data of a host that is not a member what a join of this same cluster left behind, one that quorate undid itself
/// (the learner never caught up) or that never came to its end? Then nobody has to ask for it to be moved aside before
/// the next try: it was never seen to be a voter's, and [`may_wipe`] is asked all the same.
pub fn left_by_a_join(membership: &Membership, url: &PeerUrl, marker: Option<&Marker>) -> bool {
    let unfinished = marker.is_some_and(|m| !m.complete && m.cluster_id == membership.cluster_id);
    unfinished && may_wipe(membership, url).is_ok()
}

/// No change of another member is under way.
fn nobody_else_is_joining(membership: &Membership, id: MemberId) -> Result<(), Blocked> {
    from_a_quorum(membership)?;
    let mut others = membership.members.iter().filter(|member| member.id != id);
    others.try_for_each(finished)
}

/// No change is under way and everybody (but the one concerned) is healthy.
fn settled(membership: &Membership, concerned: Option<MemberId>, cured: &BTreeSet<MemberId>) -> Result<(), Blocked> {
    from_a_quorum(membership)?;
    let others = membership.members.iter().filter(|m| Some(m.id) != concerned);
    for member in others.filter(|m| !cured.contains(&m.id)) {
        finished(member)?;
        if !membership.healthy(member.id) {
            let who = name(member);
            let so = "members are added or removed only while all others are healthy";
            if let Some(refusal) = cannot_tell(membership, std::iter::once(member), so) {
                return Err(refusal);
            }
            return Err(Blocked::new(
                Rule::NotSettled,
                format!("{who} is not healthy"),
                format!(
                    "bring it back first (`quorate up --limit {who}`, `quorate logs {who}`); if it is gone for good, `quorate remove-node {who}`: \
                     another one can be added when all that are left are well"
                ),
            )
            .because_of([member]));
        }
    }
    Ok(())
}

/// Does a quorum stand behind the member list? Else somebody may be on it who has left, or have left who is on it.
fn from_a_quorum(membership: &Membership) -> Result<(), Blocked> {
    if membership.by_quorum {
        return Ok(());
    }
    Err(Blocked::new(
        Rule::Unknown,
        "the member list could not be read from a quorum",
        "wait for a leader, then run the command again",
    ))
}

/// Is nobody on the way in? Asked before voters are restarted for no other reason than that it was asked for.
///
/// # Errors
/// Who is.
pub fn nobody_is_joining(membership: &Membership) -> Result<(), Blocked> {
    membership.members.iter().try_for_each(finished)
}

/// Whether a member's addition has come to its end.
fn finished(member: &Member) -> Result<(), Blocked> {
    let what = match (member.started(), member.learner) {
        (true, false) => return Ok(()),
        (true, true) => format!("{} is a learner that has not been promoted yet", member.name),
        (false, _) => format!("{} ({}) was added but has never started", name(member), urls(member)),
    };
    Err(Blocked::new(
        Rule::NotSettled,
        what,
        format!(
            "finish that change first: `quorate up`, or remove it with `quorate remove-node {}`",
            name(member)
        ),
    )
    .because_of([member]))
}

fn urls(member: &Member) -> String {
    member
        .peer_urls
        .iter()
        .map(|u| u.0.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
