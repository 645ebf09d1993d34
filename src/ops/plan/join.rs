//! Hosts of the inventory that are not members yet: one after the other, as learners first.

use super::bootstrap::known_hosts;
use super::drift::drift;
use super::preflight::preflight;
use super::waves::{Draft, Effect, on, step};
use super::{Action, Risk, Situation, Target};
use crate::host::{DataState, HostFacts};
use crate::inventory::{DesiredHost, NodeName, PeerUrl};
use crate::ops::check::Check;
use crate::ops::model::Membership;
use crate::ops::safety::bootstrap::Marker;
use crate::ops::safety::membership::{PROMOTION_LAG, may_add};
use crate::ops::safety::{Blocked, Rule};
use crate::render::{InitialCluster, InitialState};

/// The waves for every covered host that is not a started voter yet.
pub(super) fn missing(
    situation: Situation<'_>,
    membership: &Membership,
    covered: &dyn Fn(&NodeName) -> bool,
    draft: &mut Draft,
) -> Result<(), Vec<Blocked>> {
    let mut newcomers: Vec<(&DesiredHost, &HostFacts)> = known_hosts(situation)
        .filter(|(host, _)| covered(&host.name))
        .filter(|(host, _)| membership.of(host).is_none_or(|m| m.learner || !m.started()))
        .collect();
    // One that was begun goes first: etcd takes one learner at a time.
    newcomers.sort_by_key(|(host, _)| (membership.of(host).is_none(), host.name.clone()));
    let mut blocked: Vec<Blocked> = newcomers
        .iter()
        .flat_map(|(host, facts)| preflight(situation, host, facts))
        .collect();
    blocked.extend(
        newcomers
            .iter()
            .filter_map(|(host, facts)| has_left(membership, host, facts)),
    );
    let begun = newcomers.iter().any(|(host, _)| membership.of(host).is_some());
    if let (false, false, Err(refusal)) = (newcomers.is_empty(), begun, may_add(membership)) {
        blocked.push(refusal);
    }
    if !newcomers.is_empty() {
        blocked.extend(super::leave::leader_in_reach(situation, membership).err());
    }
    if !blocked.is_empty() {
        return Err(blocked);
    }
    let mut known: Vec<(String, PeerUrl)> = membership
        .members
        .iter()
        .flat_map(|m| {
            let host = crate::ops::model::label(situation.desired, m);
            m.peer_urls.iter().map(move |url| (host.clone(), url.clone()))
        })
        .collect();
    for (host, facts) in newcomers {
        if !known.iter().any(|(_, url)| *url == host.peer_url()) {
            known.push((host.name.to_string(), host.peer_url()));
        }
        one(situation, membership, host, facts, &known, draft).map_err(|refusal| vec![refusal])?;
    }
    Ok(())
}

/// A host that is no member and has a member's data was removed from the cluster: etcd refuses to run with it again.
fn has_left(membership: &Membership, host: &DesiredHost, facts: &HostFacts) -> Option<Blocked> {
    let left = membership.of(host).is_none() && facts.data.state == DataState::Bootstrapped;
    left.then(|| {
        Blocked::new(
            Rule::DataGone,
            format!(
                "it was a member and has been removed: what is in {} cannot be used again",
                host.paths.data
            ),
            format!(
                "finish taking it out with `quorate remove-node {0}`, or let it join afresh, its old data moved aside, \
                 with `quorate replace-node {0} {0}`",
                host.name
            ),
        )
        .on(&host.name)
    })
}

/// Provision, add as a learner, start, let it catch up, promote, look again.
pub(super) fn one(
    situation: Situation<'_>,
    membership: &Membership,
    host: &DesiredHost,
    facts: &HostFacts,
    known: &[(String, PeerUrl)],
    draft: &mut Draft,
) -> Result<(), Blocked> {
    let url = host.peer_url();
    let initial = InitialCluster {
        state: InitialState::Existing,
        members: known.to_vec(),
        token: membership.cluster_id.to_string(),
    };
    let drift = drift(situation, host, facts, &initial)?;
    let mut change = drift.whole();
    let marker = Marker {
        cluster: situation.desired.cluster.clone(),
        cluster_id: membership.cluster_id,
        member: host.name.clone(),
        complete: false,
    };
    change.marker = (Marker::on(facts).as_ref() != Some(&marker)).then(|| marker.clone());
    let listed = membership.of(host);
    if facts.data.state == DataState::Aborted {
        draft.wave(
            format!("clear the aborted start of {}", host.name),
            Effect::None,
            vec![on(&host.name, Action::ClearAborted, Risk::Reversible)],
        );
    }
    if !change.is_empty() {
        draft.wave(
            format!("prepare {}", host.name),
            Effect::None,
            vec![
                on(&host.name, Action::Provision { change }, Risk::Reversible)
                    .because(["it is not a member yet".into()]),
            ],
        );
    }
    if listed.is_none() {
        draft.wave(
            format!("add {} as a learner", host.name),
            Effect::None,
            vec![
                step(
                    Target::Cluster,
                    Action::AddLearner { url: url.clone() },
                    Risk::Reversible,
                )
                .requires(Check::SafeToAdd)
                .ensures(Check::Listed { url: url.clone() }),
            ],
        );
    }
    if !super::converge::runs(facts) || !drift.restart.is_empty() {
        draft.wave(
            format!("start {}", host.name),
            Effect::None,
            vec![
                on(&host.name, Action::Start, Risk::Reversible)
                    .requires(Check::Listed { url: url.clone() })
                    .ensures(Check::Started {
                        node: host.name.clone(),
                    }),
            ],
        );
    }
    if listed.is_none_or(|m| m.learner) {
        draft.wave(
            format!("promote {}", host.name),
            Effect::Joins,
            vec![
                step(Target::Cluster, Action::Promote { url: url.clone() }, Risk::Reversible)
                    .requires(Check::Listed { url: url.clone() })
                    .ensures(Check::HealthyVoter { url: url.clone() })
                    .ensures(Check::CaughtUp {
                        url,
                        within: PROMOTION_LAG,
                    }),
            ],
        );
    }
    let change = super::HostChange {
        marker: Some(Marker {
            complete: true,
            ..marker
        }),
        ..Default::default()
    };
    draft.wave(
        format!("look again at {}", host.name),
        Effect::None,
        vec![step(
            Target::Cluster,
            Action::LookAgain {
                nodes: vec![host.name.clone()],
                cluster_id: Some(membership.cluster_id),
            },
            Risk::ReadOnly,
        )],
    );
    draft.wave(
        format!("note that {} is complete", host.name),
        Effect::None,
        vec![on(&host.name, Action::Provision { change }, Risk::Reversible)],
    );
    Ok(())
}
