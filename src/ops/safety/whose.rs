//! Whose the members are that a refusal is about. Rules see a member list; what is to be done about a member depends on whether the
//! inventory has a host for it.

use crate::etcd::Member;
use crate::inventory::Desired;
use crate::ops::model::{Observed, host_of};

use super::{Blocked, name};

/// Refusals with the way that there is for the members in question: one without a name yet has its host's, and one that the
/// inventory does not list is brought back by nothing that quorate does to hosts.
pub fn by_their_hosts(desired: &Desired, observed: &Observed, mut blocked: Vec<Blocked>) -> Vec<Blocked> {
    let Some(membership) = observed.cluster.known() else {
        return blocked;
    };
    for refusal in &mut blocked {
        let concerned: Vec<&Member> = membership
            .members
            .iter()
            .filter(|member| refusal.waits_for.contains(&member.id))
            .collect();
        let mut outside = Vec::new();
        for member in concerned {
            match host_of(desired, member) {
                None => outside.push(name(member)),
                Some(host) if !member.started() => {
                    let (id, host) = (name(member), host.name.as_str());
                    refusal.reason = refusal.reason.replace(&id, host);
                    refusal.hint = refusal.hint.replace(&id, host);
                }
                Some(_) => {}
            }
        }
        if !outside.is_empty() {
            refusal.hint = format!(
                "not in the inventory: {}. Add what belongs there, and remove the rest from the cluster first (`quorate up --prune`; one alone: \
                 `quorate remove-node {} --unlisted`)",
                outside.join(", "),
                outside[0]
            );
        }
    }
    blocked
}
