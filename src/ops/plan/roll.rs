//! One member after the other: unhealthy ones first, the leader last, each only while the others carry the quorum.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::converge::{Peer, initial_existing, look_again, members_where, own_data, runs, unreachable};
use super::drift::drift;
use super::interrupted::{Interrupted, note_of_turn};
use super::rest::{left_alone, maintained};
use super::startable::{lacks, shut_out, would_stay_down};
use super::waves::{Draft, Effect, on};
use super::{Action, HostChange, Risk, Situation, downgrade, living, way_up};
use crate::etcd::Member;
use crate::inventory::{DesiredHost, MemberId, NodeName, Version};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Membership};
use crate::ops::rest::RestNote;
use crate::ops::safety::membership::nobody_is_joining;
use crate::ops::safety::quorum::{Strength, may_stop_once};
use crate::ops::safety::{Blocked, Rule};

/// The waves for members whose running process does not match what should run.
///
/// # Errors
/// When one of them may not be stopped, although everything before it went well.
pub(super) fn changed(
    situation: Situation<'_>,
    membership: &Membership,
    peers: &[Peer<'_>],
    draft: &mut Draft,
) -> Result<(), Vec<Blocked>> {
    let mut due: Vec<&Peer<'_>> = peers
        .iter()
        .filter(|p| runs(p.facts) && !p.drift.restart.is_empty())
        .collect();
    due.sort_by_key(|p| turn(membership, p.member.id));
    // Stopped members are started before the roll, and with certificates that others accept one is well before its turn.
    let well = members_where(peers, |p| !runs(p.facts) || p.drift.now.certificates);
    may_take_turns(situation, membership, due.iter().map(|p| (p.host, p.member)), well)?;
    let any = !due.is_empty();
    for peer in due {
        let one = Turn {
            host: peer.host,
            member: peer.member,
            change: peer.drift.at_restart.clone(),
            version: Some(situation.desired.version),
            why: peer.drift.restart.clone(),
        };
        let mut step = one.step(situation, membership);
        step.requires.extend(downgrade::needed_for(situation, membership, peer));
        step.requires
            .extend(way_up::needed_for(situation, peer.host, peer.facts));
        draft.wave(
            format!("restart {}", peer.host.name),
            effect(membership, peer.member),
            vec![step],
        );
    }
    if any {
        let mut look = look_again(situation, membership, peers);
        look.ensures
            .extend(downgrade::seen_at_the_end(situation, membership, peers));
        draft.wave("verify", Effect::None, vec![look]);
    }
    Ok(())
}

/// Whether each may be stopped when its turn comes is asked again right then; asking now keeps a run that cannot succeed
/// from beginning. `well` are healthy before the first turn, and whoever had its turn is healthy afterwards.
fn may_take_turns<'a>(
    situation: Situation<'_>,
    membership: &Membership,
    turns: impl Iterator<Item = (&'a DesiredHost, &'a Member)>,
    mut well: BTreeSet<MemberId>,
) -> Result<(), Vec<Blocked>> {
    let mut refusals = Vec::new();
    for (host, member) in turns {
        let may = may_stop_once(membership, member.id, situation.policy, &well);
        refusals.extend(may.err().map(|refusal| refusal.on(&host.name)));
        well.insert(member.id);
    }
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

/// Plans `restart`. One that was interrupted goes on with those that had no turn.
pub(super) fn restart(
    situation: Situation<'_>,
    limit: &[NodeName],
    begun: Timestamp,
    afresh: bool,
) -> Result<Draft, Vec<Blocked>> {
    let membership = living(situation)?;
    let covered = |name: &NodeName| limit.is_empty() || limit.contains(name);
    let mut blocked = unreachable(situation, &covered);
    let mut turns: Vec<(&DesiredHost, &Member)> = Vec::new();
    let mut draft = Draft::new(Some(Strength::of(membership)));
    for host in situation.desired.hosts.values().filter(|h| covered(&h.name)) {
        if let Some(note) = maintained_on(situation, host) {
            draft
                .notes
                .push(left_alone(host, format!("maintenance ({})", note.told())));
            continue;
        }
        match membership.of(host) {
            Some(member) => {
                blocked.extend(stays_down(situation, membership, host, member));
                turns.push((host, member));
            }
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
    let hosts: BTreeSet<NodeName> = turns.iter().map(|(host, _)| host.name.clone()).collect();
    let interrupted = (!afresh)
        .then(|| Interrupted::among(situation, membership, &hosts))
        .flatten();
    if let Some(interrupted) = &interrupted {
        turns.retain(|(host, _)| !interrupted.over.contains_key(&host.name));
        draft.notes.extend(interrupted.told(situation));
    }
    let begun = interrupted.map_or(begun, |interrupted| interrupted.begun);
    if turns.iter().any(|(_, member)| member.started() && !member.learner) {
        blocked.extend(nobody_is_joining(membership).err());
    }
    if let Err(refusals) = may_take_turns(situation, membership, turns.iter().copied(), BTreeSet::new()) {
        blocked.extend(refusals);
    }
    if !blocked.is_empty() {
        return Err(blocked);
    }
    for (host, member) in turns {
        let one = Turn {
            host,
            member,
            change: HostChange::default(),
            version: None,
            why: vec!["it was requested".into()],
        };
        let mut step = one.step(situation, membership);
        if let (Action::Restart { turn, .. }, true) = (&mut step.action, hosts.len() > 1) {
            *turn = note_of_turn(situation, host, begun, &hosts);
        }
        draft.wave(format!("restart {}", host.name), effect(membership, member), vec![step]);
    }
    Ok(draft)
}

fn maintained_on(situation: Situation<'_>, host: &DesiredHost) -> Option<RestNote> {
    maintained(host, situation.observed.hosts.get(&host.name).and_then(Fact::known)?)
}

/// Why a member would not come up again once stopped.
pub(super) fn stays_down(
    situation: Situation<'_>,
    membership: &Membership,
    host: &DesiredHost,
    member: &Member,
) -> Option<Blocked> {
    let facts = situation.observed.hosts.get(&host.name)?.known()?;
    if let Err(refusal) = own_data(situation, host, facts, member) {
        return Some(refusal);
    }
    match drift(situation, host, facts, &initial_existing(membership, facts, host)) {
        Ok(_) => lacks(situation, host, facts)
            .map(|what| would_stay_down(host, &what))
            .or_else(|| shut_out(situation, host, facts)),
        Err(refusal) => Some(refusal),
    }
}

/// One member's turn.
pub(super) struct Turn<'a> {
    pub host: &'a DesiredHost,
    pub member: &'a Member,
    pub change: HostChange,
    /// What it runs, or is to run, afterwards.
    pub version: Option<Version>,
    pub why: Vec<String>,
}

impl Turn<'_> {
    pub(super) fn step(self, situation: Situation<'_>, membership: &Membership) -> super::Step {
        let url = self.host.peer_url();
        let voters = membership.voters().count();
        // One that reports a corrupt database votes all the same.
        let risk = match (membership.takes_part(self.member.id) && !self.member.learner, voters) {
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
                turn: None,
            },
            risk,
        )
        .requires(Check::SafeToStop {
            url: url.clone(),
            policy: situation.policy,
        })
        .requires(Check::OthersConnected {
            url: url.clone(),
            policy: situation.policy,
        })
        .ensures(Check::RunsCurrent {
            node: self.host.name.clone(),
            version: self.version,
        })
        .ensures(match self.member.learner {
            true => Check::Listed { url: url.clone() },
            false => Check::HealthyVoter { url: url.clone() },
        })
        .ensures(Check::CaughtUp {
            url: url.clone(),
            within: CAUGHT_UP,
        })
        .ensures(Check::Connected { url })
        .because(self.why)
        .because(leads.then(|| "it is the leader: restarted last, after transferring leadership".to_owned()))
    }
}

/// Entries a restarted member may be behind the highest index before the next one is touched: a moment's writes.
const CAUGHT_UP: u64 = 100;

/// The order of a roll. A leader that is unwell, but leads, is the last one all the same.
pub(super) fn turn(membership: &Membership, id: MemberId) -> (u8, MemberId) {
    let leads = membership.leader() == Some(id) && membership.takes_part(id);
    let rank = match (membership.takes_part(id), membership.healthy(id)) {
        _ if leads => 3,
        (_, true) => 2,
        (true, false) => 1,
        (false, false) => 0,
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
