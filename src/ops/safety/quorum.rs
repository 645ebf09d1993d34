//! Quorum arithmetic, and whether a member may be stopped.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::leader::takes_back;
use super::{Blocked, Rule};
use crate::inventory::MemberId;
use crate::ops::model::{Membership, Policy};

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
        return Err(quorum_lost(now));
    }
    if !healthy(id) {
        return Ok(());
    }
    let after = now.one_down();
    if after.has_quorum() {
        let sick: Vec<String> = membership
            .members
            .iter()
            .filter(|m| m.id != id && !healthy(m.id))
            .map(|m| if m.started() { m.name.clone() } else { m.id.to_string() })
            .collect();
        if sick.is_empty() {
            return Ok(());
        }
        if policy.accept_outage {
            return takes_back(membership, id, cured);
        }
        return Err(Blocked::new(
            Rule::NotSettled,
            format!(
                "stopping it while {} is not healthy would leave no reserve",
                sick.join(", ")
            ),
            "bring that member back first (`quorate up`, `quorate logs NAME`), or replace it (`quorate replace-node`)",
        ));
    }
    if policy.accept_outage {
        return takes_back(membership, id, cured);
    }
    Err(Blocked::new(
        Rule::WouldLoseQuorum,
        format!(
            "stopping it would leave {} of {} voters, and {} are needed: clients would be without etcd meanwhile",
            after.healthy,
            now.voters,
            quorum(now.voters)
        ),
        if now.voters <= 2 {
            "clusters of one or two cannot be changed without an outage: grow to three (`quorate add-node`), \
             or say --accept-outage"
        } else {
            "bring the members that are down back first (`quorate up`), or say --accept-outage"
        },
    ))
}

/// The refusal when quorum is gone.
pub fn quorum_lost(now: Strength) -> Blocked {
    Blocked::new(
        Rule::QuorumLost,
        format!(
            "quorum is lost: {} of {} voters are healthy, {} are needed",
            now.healthy,
            now.voters,
            quorum(now.voters)
        ),
        "start the members that are down (`quorate up`); when a majority is gone for good, `quorate recover`",
    )
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
