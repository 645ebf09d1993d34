//! Quorum arithmetic, and whether a member may be stopped.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::leader::takes_back;
use super::{Blocked, Rule, name};
use crate::etcd::Member;
use crate::inventory::MemberId;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Membership, Policy};
use crate::ops::sight::{Health, cannot_tell};

/// Votes needed among `voters` members: more than half.
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// Voters and how many of them are healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strength {
    /// Members with a vote.
    pub voters: usize,
    /// Healthy ones among them.
    pub healthy: usize,
}

impl Strength {
    /// Of a cluster as observed.
    pub fn of(membership: &Membership) -> Self {
        let voters = membership.voters().count();
        let healthy = membership.voters().filter(|m| membership.healthy(m.id)).count();
        Self { voters, healthy }
    }

    /// Whether writes can be acknowledged.
    pub fn has_quorum(self) -> bool {
        self.voters > 0 && self.healthy >= quorum(self.voters)
    }

    /// How many more voters may fail before writes stop; 0 also when they have stopped already.
    pub fn can_lose(self) -> usize {
        self.healthy.saturating_sub(quorum(self.voters))
    }

    /// The same cluster with one healthy voter down.
    pub fn one_down(self) -> Self {
        Self {
            healthy: self.healthy.saturating_sub(1),
            ..self
        }
    }
}

/// May this member be stopped for a while (restart, upgrade, reboot)?
///
/// A member that is down already, or a learner, costs nothing. For a healthy voter all the others must be healthy, and
/// those left must still be a quorum; with one or two voters that cannot be, so it takes `--accept-outage`. Whoever accepts
/// an outage means one that ends: the leader must be there to take the member back ([`takes_back`]).
///
/// # Errors
/// The counts, and what to do first.
pub fn may_stop(membership: &Membership, id: MemberId, policy: Policy) -> Result<(), Blocked> {
    may_stop_once(membership, id, policy, &BTreeSet::new())
}

/// [`may_stop`], asked beforehand: as if the members in `cured`, which come first, were healthy by then.
///
/// # Errors
/// As [`may_stop`].
pub fn may_stop_once(
    membership: &Membership,
    id: MemberId,
    policy: Policy,
    cured: &BTreeSet<MemberId>,
) -> Result<(), Blocked> {
    let healthy = |id: MemberId| membership.healthy(id) || cured.contains(&id);
    let now = Strength {
        voters: membership.voters().count(),
        healthy: membership.voters().filter(|m| healthy(m.id)).count(),
    };
    if membership.members.iter().any(|m| m.id == id && m.learner) {
        return Ok(());
    }
    if !now.has_quorum() && !policy.accept_outage {
        return Err(without_quorum(membership, now));
    }
    let dark = membership.health(id) == Health::Unknown;
    if !healthy(id) && !dark {
        return Ok(());
    }
    // One in the dark may carry the others as well as any; among the healthy it was not counted.
    let after = if healthy(id) { now.one_down() } else { now };
    if after.has_quorum() {
        let not_well = membership.members.iter().filter(|m| m.id != id && !healthy(m.id));
        let sick: Vec<&Member> = not_well
            .clone()
            .filter(|m| membership.health(m.id) == Health::Sick)
            .collect();
        let dark = cannot_tell(membership, not_well, "stopping this one might leave no spare member");
        if sick.is_empty() && dark.is_none() {
            return Ok(());
        }
        if policy.accept_outage {
            return takes_back(membership, id, cured);
        }
        if let Some(refusal) = dark.filter(|_| sick.is_empty()) {
            return Err(refusal);
        }
        let names: Vec<String> = sick.iter().map(|member| name(member)).collect();
        let first = names.first().map_or("NAME", String::as_str);
        return Err(Blocked::new(
            Rule::NotSettled,
            format!(
                "stopping it while {} is not healthy would leave no spare member",
                names.join(", ")
            ),
            format!("bring {first} back first (`quorate up --limit {first}`, `quorate logs {first}`)"),
        )
        .or(LastResort::replace_by_another(first))
        .because_of(sick));
    }
    if policy.accept_outage {
        return takes_back(membership, id, cured);
    }
    let others = membership.voters().filter(|m| m.id != id && !healthy(m.id));
    let dark = others
        .clone()
        .filter(|m| membership.health(m.id) == Health::Unknown)
        .count();
    // With those in the dark it might be a quorum.
    if after.healthy + dark >= quorum(after.voters)
        && let Some(refusal) = cannot_tell(membership, others, "stopping this one might lose the quorum")
    {
        return Err(refusal);
    }
    Err(Blocked::new(
        Rule::WouldLoseQuorum,
        format!(
            "stopping it would leave {} of {} voters, but quorum needs {}: etcd would be unavailable to clients",
            after.healthy,
            now.voters,
            quorum(now.voters)
        ),
        if now.voters <= 2 {
            "clusters of one or two members cannot be changed without an outage: grow to three (`quorate add-node`), \
             or pass --accept-outage"
        } else {
            "bring the members that are down back first (`quorate up`), or pass --accept-outage"
        },
    ))
}

/// The refusal where too few voters are known to be healthy: that quorum is lost is said only where those in the dark could
/// not make it up.
pub fn without_quorum(membership: &Membership, now: Strength) -> Blocked {
    let dark = membership
        .voters()
        .filter(|m| membership.health(m.id) == Health::Unknown);
    let so = format!(
        "{} of {} voters are confirmed healthy, but quorum needs {}",
        now.healthy,
        now.voters,
        quorum(now.voters)
    );
    let enough = now.healthy + dark.clone().count() >= quorum(now.voters);
    let refusal = cannot_tell(membership, dark, &so).filter(|_| enough);
    refusal.unwrap_or_else(|| quorum_lost(now))
}

fn quorum_lost(now: Strength) -> Blocked {
    Blocked::new(
        Rule::QuorumLost,
        format!(
            "quorum is lost: {} of {} voters are healthy, but quorum needs {}",
            now.healthy,
            now.voters,
            quorum(now.voters)
        ),
        "start the members that are down (`quorate up`)",
    )
    .or(LastResort::majority_gone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorum_of_one_to_seven() {
        let needed: Vec<usize> = (1..=7).map(quorum).collect();
        assert_eq!(needed, [1, 2, 2, 3, 3, 4, 4]);
        let tolerance: Vec<usize> = (1..=7).map(|n| Strength { voters: n, healthy: n }.can_lose()).collect();
        assert_eq!(tolerance, [0, 0, 1, 1, 2, 2, 3]);
    }
}
