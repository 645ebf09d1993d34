//! One member after the other: unhealthy ones first, the leader last, each only while the others carry the quorum.

use super::converge::{Peer, look_again, runs, unreachable};
use super::waves::{Draft, Effect, on};
use super::{Action, HostChange, Risk, Situation, living};
use crate::etcd::Member;
use crate::inventory::{DesiredHost, MemberId, NodeName, Version};
use crate::ops::check::Check;
use crate::ops::model::Membership;
use crate::ops::safety::quorum::{Strength, may_stop};
use crate::ops::safety::{Blocked, Rule};

/// The waves for members whose running process does not match what should run.
pub(super) fn changed(situation: Situation<'_>, membership: &Membership, peers: &[Peer<'_>], draft: &mut Draft) {
    let mut due: Vec<&Peer<'_>> = peers
        .iter()
        .filter(|p| runs(p.facts) && !p.drift.restart.is_empty())
        .collect();
    due.sort_by_key(|p| turn(membership, p.member.id));
    let any = !due.is_empty();
    for peer in due {
        let one = Turn {
            host: peer.host,
            member: peer.member,
            change: peer.drift.at_restart.clone(),
            version: situation.desired.version,
            why: peer.drift.restart.clone(),
        };
        draft.wave(
            format!("roll {}", peer.host.name),
            effect(membership, peer.member),
            vec![one.step(situation, membership)],
        );
    }
    if any {
        draft.wave(
            "look again",
            Effect::None,
            vec![look_again(situation, membership, peers)],
        );
    }
}

/// Plans `restart`.
pub(super) fn restart(situation: Situation<'_>, limit: &[NodeName]) -> Result<Draft, Vec<Blocked>> {
    let membership = living(situation)?;
    let covered = |name: &NodeName| limit.is_empty() || limit.contains(name);
    let mut blocked = unreachable(situation, &covered);
    let mut turns: Vec<(&DesiredHost, &Member)> = Vec::new();
    for host in situation.desired.hosts.values().filter(|h| covered(&h.name)) {
        match membership.of(host) {
            Some(member) => turns.push((host, member)),
            None => blocked.push(
                Blocked::new(
                    Rule::Inventory,
                    "it is not a member of the cluster yet",
                    "join it with `quorate up`",
                )
                .on(&host.name),
            ),
        }
    }
    turns.sort_by_key(|(_, member)| turn(membership, member.id));
    // Whether each may be stopped when its turn comes is asked again right then; asking now keeps a run that cannot
    // succeed from beginning.
    if let Some((host, member)) = turns.iter().find(|(_, m)| membership.healthy(m.id)) {
        let sick_covered = turns.iter().any(|(_, m)| !membership.healthy(m.id));
        if let (false, Err(refusal)) = (sick_covered, may_stop(membership, member.id, situation.policy)) {
            blocked.push(refusal.on(&host.name));
        }
    }
    if !blocked.is_empty() {
        return Err(blocked);
    }
    let mut draft = Draft::new(Some(Strength::of(membership)));
    for (host, member) in turns {
        let version = membership
            .status_of(member.id)
            .map_or(situation.desired.version, |s| s.version);
        let one = Turn {
            host,
            member,
            change: HostChange::default(),
            version,
            why: vec!["asked for".into()],
        };
        draft.wave(
            format!("restart {}", host.name),
            effect(membership, member),
            vec![one.step(situation, membership)],
        );
    }
    Ok(draft)
}

/// One member's turn.
pub(super) struct Turn<'a> {
    pub host: &'a DesiredHost,
    pub member: &'a Member,
    pub change: HostChange,
    /// What it runs, or is to run, afterwards.
    pub version: Version,
    pub why: Vec<String>,
}

impl Turn<'_> {
    pub(super) fn step(self, situation: Situation<'_>, membership: &Membership) -> super::Step {
        let url = self.host.peer_url();
        let voters = membership.voters().count();
        let risk = match (membership.healthy(self.member.id) && !self.member.learner, voters) {
            (false, _) => Risk::Reversible,
            (true, 1 | 2) => Risk::Outage,
            (true, _) => Risk::ReducesRedundancy,
        };
        let leads = membership.leader() == Some(self.member.id);
        on(
            &self.host.name,
            Action::Restart {
                change: self.change,
                url: url.clone(),
            },
            risk,
        )
        .requires(Check::SafeToStop {
            url: url.clone(),
            policy: situation.policy,
        })
        .ensures(Check::RunsCurrent {
            node: self.host.name.clone(),
            version: self.version,
        })
        .ensures(Check::HealthyVoter { url: url.clone() })
        .ensures(Check::CaughtUp { url, within: CAUGHT_UP })
        .because(self.why)
        .because(leads.then(|| "it leads: last, after handing leadership over".to_owned()))
    }
}

/// Entries a restarted member may be behind the highest index before the next one is touched: a moment's writes.
const CAUGHT_UP: u64 = 100;

/// The order of a roll.
pub(super) fn turn(membership: &Membership, id: MemberId) -> (u8, MemberId) {
    let rank = match (membership.healthy(id), membership.leader() == Some(id)) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    };
    (rank, id)
}

pub(super) fn effect(membership: &Membership, member: &Member) -> Effect {
    match (member.learner, membership.healthy(member.id)) {
        (true, _) => Effect::None,
        (false, true) => Effect::OneDown,
        (false, false) => Effect::Recovers(1),
    }
}
