//! `pki renew`: new server and peer certificates, which etcd shows from the next handshake on, without a restart.
//!
//! Nothing here asks etcd: with every certificate expired nobody can, and this is the way out.

use super::bootstrap::known_hosts;
use super::converge::{runs, unreachable};
use super::moves::former_addresses;
use super::preflight::clock;
use super::startable::launcher_gone;
use super::waves::{Draft, Effect, on, step};
use super::{Action, HostChange, Risk, Situation, Step, Target};
use crate::host::{DataState, HostFacts};
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::check::Check;
use crate::ops::rest::RestNote;
use crate::ops::safety::bootstrap::{Marker, data_belongs};
use crate::ops::safety::leader::takes_back;
use crate::ops::safety::quorum::Strength;
use crate::ops::safety::trust::{HostTrust, cannot_issue, may_sign_with};
use crate::ops::safety::{Blocked, Rule};
use crate::pki::Certificate;

/// Plans `pki renew`.
pub(super) fn renew(situation: Situation<'_>, limit: &[NodeName]) -> Result<Draft, Vec<Blocked>> {
    let signer = signer(situation)?;
    let covered = |name: &NodeName| limit.is_empty() || limit.contains(name);
    let mut blocked = unreachable(situation, &covered);
    let mut members: Vec<_> = members(situation).filter(|(host, _)| covered(&host.name)).collect();
    for (host, facts) in &members {
        clock(host, facts, &mut blocked);
        blocked.extend(data_belongs(situation.desired, host, facts).err());
    }
    let trust = members
        .iter()
        .map(|(h, f)| (h.name.clone(), HostTrust::of(&h.paths.pki, f)))
        .collect();
    blocked.extend(
        may_sign_with(&signer.facts().sha256, &trust)
            .err()
            .into_iter()
            .flatten(),
    );
    if !blocked.is_empty() {
        return Err(blocked);
    }

    let mut draft = Draft::new(situation.membership().map(Strength::of));
    let reissued = members
        .iter()
        .map(|(host, facts)| reissue(host, facts, &signer))
        .collect();
    draft.wave("new certificates, without a restart", Effect::None, reissued);
    // Whoever is down on purpose comes up with them when that is over.
    members.retain(|(host, facts)| match RestNote::in_force(host, facts) {
        Some(note) => {
            draft.notes.push(format!(
                "{} is down on purpose {}, and is not started",
                host.name,
                note.told()
            ));
            false
        }
        None => true,
    });
    // `up` puts back what else a start needs, and it needs the certificates for that.
    members.retain(|(host, facts)| match cannot_start(host, facts) {
        Some(what) if !runs(facts) => {
            draft.notes.push(format!(
                "{} will not be started: {what} is missing there; `quorate up` restores it",
                host.name
            ));
            false
        }
        _ => true,
    });
    let down = members.iter().filter(|(_, facts)| !runs(facts));
    draft.wave(
        "start stopped members",
        Effect::None,
        down.map(|(host, _)| start(host)).collect(),
    );
    lost_to_the_leader(situation, &mut members, &mut draft);
    draft.wave(
        "verify",
        Effect::None,
        look_again(situation, &members).into_iter().collect(),
    );
    Ok(draft)
}

/// Takes out, and names, who would be waited for in vain: members on their way to a leader that will not answer with the
/// new certificates either, because it is none of ours.
fn lost_to_the_leader(situation: Situation<'_>, members: &mut Vec<(&DesiredHost, &HostFacts)>, draft: &mut Draft) {
    let Some(membership) = situation.membership() else {
        return;
    };
    let renewed = members
        .iter()
        .filter_map(|(host, _)| Some(membership.of(host)?.id))
        .collect();
    members.retain(|(host, _)| {
        let away = membership.of(host).filter(|m| !membership.takes_part(m.id));
        let Some(why) = away.and_then(|m| takes_back(membership, m.id, &renewed).err()) else {
            return true;
        };
        let name = &host.name;
        draft
            .notes
            .push(format!("not waiting for {name}: {}; {}", why.reason, why.hint));
        false
    });
}

/// The CA that signs now.
pub(super) fn signer(situation: Situation<'_>) -> Result<Certificate, Vec<Blocked>> {
    let refuse = |reason: String, hint: &str| vec![Blocked::new(Rule::Certificates, reason, hint)];
    let Some(pem) = &situation.supplies.ca_pem else {
        return Err(refuse(
            "there is no CA yet".into(),
            "`quorate up` creates one with the cluster",
        ));
    };
    if situation.supplies.keyless {
        return Err(vec![cannot_issue("certificates are to be renewed".into())]);
    }
    let signer = Certificate::from_pem(pem).map_err(|e| refuse(format!("ca.crt: {e}"), &e.hint()))?;
    let end = signer.facts().not_after;
    if situation.observed.at >= end {
        return Err(refuse(
            format!("the CA expired at {end}: nothing it signs is valid"),
            "create a new one with `quorate pki rotate-ca`",
        ));
    }
    Ok(signer)
}

/// The hosts that carry data of a member.
pub(super) fn members<'a>(situation: Situation<'a>) -> impl Iterator<Item = (&'a DesiredHost, &'a HostFacts)> {
    known_hosts(situation).filter(|(_, facts)| facts.data.state == DataState::Bootstrapped)
}

/// Puts new certificates of `signer` on a host.
pub(super) fn reissue(host: &DesiredHost, facts: &HostFacts, signer: &Certificate) -> Step {
    let change = HostChange {
        certificates: true,
        also_named: former_addresses(host, facts),
        ..HostChange::default()
    };
    on(&host.name, Action::Provision { change }, Risk::Reversible).ensures(Check::LeavesFrom {
        node: host.name.clone(),
        pki: host.paths.pki.clone(),
        ca: signer.facts().sha256.clone(),
    })
}

/// What a stopped member lacks for its start, besides certificates.
fn cannot_start(host: &DesiredHost, facts: &HostFacts) -> Option<String> {
    let release = || facts.releases.is_empty().then(|| "etcd itself".to_owned());
    launcher_gone(host, facts).map(|path| path.to_string()).or_else(release)
}

fn start(host: &DesiredHost) -> Step {
    on(&host.name, Action::Start, Risk::Reversible)
        .ensures(Check::Started {
            node: host.name.clone(),
        })
        .because(["it does not run".into()])
}

/// Looks at both ports of each member. Where all of them are at hand and all vote, the whole cluster must be well
/// afterwards; else those that are known to vote. While the cluster cannot be read and some are left out, there is nothing
/// to look at yet.
fn look_again(situation: Situation<'_>, members: &[(&DesiredHost, &HostFacts)]) -> Option<Step> {
    let membership = situation.membership();
    let some_left_out = members.len() < situation.desired.hosts.len();
    if membership.is_none() && some_left_out {
        return None;
    }
    let cluster_id = membership.map(|m| m.cluster_id);
    let votes = |host: &DesiredHost, facts: &HostFacts| match membership {
        Some(membership) => membership.of(host).is_some_and(|m| !m.learner),
        None => Marker::on(facts).is_some_and(|marker| marker.complete),
    };
    let voters: Vec<&DesiredHost> = members
        .iter()
        .filter(|(host, facts)| votes(host, facts))
        .map(|(host, _)| *host)
        .collect();
    if voters.is_empty() {
        return None;
    }
    let nodes = voters.iter().map(|host| host.name.clone()).collect();
    let look = step(Target::Cluster, Action::LookAgain { nodes, cluster_id }, Risk::ReadOnly);
    let all_vote = membership.is_some_and(|m| m.members.len() == voters.len());
    Some(match all_vote {
        true => look.ensures(Check::AllHealthy {
            cluster_id,
            members: voters.len(),
        }),
        false => voters.iter().fold(look, |look, host| {
            look.ensures(Check::HealthyVoter { url: host.peer_url() })
        }),
    })
}
