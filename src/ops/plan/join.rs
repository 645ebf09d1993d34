//! Hosts of the inventory that are not members yet: one after the other, as learners first.

use std::collections::BTreeSet;

use super::bootstrap::known_hosts;
use super::converge::{own_data, runs};
use super::drift::drift;
use super::preflight::preflight;
use super::waves::{Draft, Effect, on, step};
use super::{Action, HostChange, Risk, Situation, Step, Target, leave, roll, way_up};
use crate::etcd::Member;
use crate::host::{DataState, HostFacts, ServiceState};
use crate::inventory::{DesiredHost, MemberId, NodeName, PeerUrl};
use crate::ops::check::Check;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Membership, host_of};
use crate::ops::safety::bootstrap::Marker;
use crate::ops::safety::leader::before_a_join;
use crate::ops::safety::membership::{PROMOTION_LAG, left_by_a_join, may_add_once, may_finish};
use crate::ops::safety::place::at_another_url;
use crate::ops::safety::quorum::may_stop;
use crate::ops::safety::version::may_join_with;
use crate::ops::safety::{Blocked, Rule};
use crate::render::{InitialCluster, InitialState};

/// The waves for every covered host that is not a started voter yet.
pub(super) fn missing(
    situation: Situation<'_>,
    membership: &Membership,
    covered: &dyn Fn(&NodeName) -> bool,
    cured: &BTreeSet<MemberId>,
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
    if let Some((host, _)) = newcomers.first() {
        blocked.extend(match membership.of(host) {
            Some(begun) => may_finish(membership, begun.id, cured).err(),
            None => may_add_once(membership, cured).err(),
        });
        match before_a_join(membership, |member| host_of(situation.desired, member).is_some()) {
            Ok(None) => {}
            Ok(Some(stranger)) => leave::hand_over(situation, stranger, draft),
            Err(refusal) => blocked.push(refusal),
        }
    }
    let voter = |host: &DesiredHost| membership.of(host).is_some_and(|m| m.started() && !m.learner);
    let mut hosts = situation.desired.hosts.values();
    // Members that this run moves to the inventory's release go before whoever joins.
    if !hosts.any(|host| covered(&host.name) && voter(host)) {
        let refused = newcomers
            .iter()
            .filter_map(|(host, _)| with_its_release(situation, membership, host).err());
        blocked.extend(refused);
    }
    blocked.extend(
        newcomers
            .iter()
            .filter_map(|(host, facts)| may_start(situation, membership, host, facts).err()),
    );
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
        let joined = if left_over(membership, host, facts) {
            leave::retire(situation, host, false, draft)
                .and_then(|()| one(situation, membership, host, &leave::blank(facts), &known, draft))
        } else {
            one(situation, membership, host, facts, &known, draft)
        };
        joined.map_err(|refusal| vec![refusal])?;
    }
    Ok(())
}

/// A host that is not on the list brings no data but what an earlier join of its own left, which is moved aside: anything
/// else is a former member's, or that of a member which the cluster knows by another address. A learner that has started
/// has its own.
///
/// # Errors
/// What to do about it.
pub(super) fn may_start(
    situation: Situation<'_>,
    membership: &Membership,
    host: &DesiredHost,
    facts: &HostFacts,
) -> Result<(), Blocked> {
    match membership.of(host) {
        Some(learner) if learner.started() => return own_data(situation, host, facts, learner),
        Some(_) => return Ok(()),
        None => {}
    }
    listed_elsewhere(membership, host)?;
    if facts.data.state != DataState::Bootstrapped || left_over(membership, host, facts) {
        return Ok(());
    }
    Err(Blocked::new(
        Rule::ForeignData,
        format!(
            "it is no longer a member, but {} still has its old data",
            host.paths.data
        ),
        "check what it contains",
    )
    .or(LastResort::moves_aside(&host.name, &host.address))
    .on(&host.name))
}

/// Whether the host may join with the inventory's release.
///
/// # Errors
/// When it would be the first with another minor.
pub(super) fn with_its_release(
    situation: Situation<'_>,
    membership: &Membership,
    host: &DesiredHost,
) -> Result<(), Blocked> {
    let version = |m: &Member| Some(membership.status_of(m.id)?.version);
    let own = membership.of(host);
    let joins = match own.filter(|m| !m.learner).and_then(version) {
        // It has a vote already: what is left of its joining does not take it to another minor.
        Some(runs) => may_join_with(std::iter::once(runs), situation.desired.version),
        None => {
            let others = membership
                .members
                .iter()
                .filter(|m| own.is_none_or(|own| own.id != m.id));
            may_join_with(others.filter_map(version), situation.desired.version)
        }
    };
    joins.map_err(|refusal| refusal.on(&host.name))
}

/// Whether the host still holds what an earlier join of its own left there.
pub(super) fn left_over(membership: &Membership, host: &DesiredHost, facts: &HostFacts) -> bool {
    facts.data.state == DataState::Bootstrapped
        && left_by_a_join(membership, &host.peer_url(), Marker::on(facts).as_ref())
}

/// A member's address is its identity: one that the cluster knows by another address is not this one, and its data is
/// not to be touched in this one's name.
///
/// # Errors
/// When the cluster has a member of this name elsewhere.
pub(super) fn listed_elsewhere(membership: &Membership, host: &DesiredHost) -> Result<(), Blocked> {
    let namesake = membership.members.iter().find(|m| m.name == host.name.as_str());
    let Some(elsewhere) = namesake.filter(|m| !m.peer_urls.contains(&host.peer_url())) else {
        return Ok(());
    };
    let urls: Vec<&str> = elsewhere.peer_urls.iter().map(|u| u.0.as_str()).collect();
    let urls = urls.join(", ");
    let reason = format!(
        "the cluster has this member at {urls}, but the inventory has it at {}",
        host.peer_url()
    );
    Err(at_another_url(host, &urls, reason))
}

/// Whether systemd runs the unit or tries to.
pub(super) fn is_on_its_way(facts: &HostFacts) -> bool {
    !matches!(facts.service.state, ServiceState::Missing | ServiceState::Stopped)
}

/// Moves what an aborted start left behind aside.
pub(super) fn clear_aborted(host: &DesiredHost) -> Step {
    on(&host.name, Action::ClearAborted, Risk::Reversible).because(["an earlier start was interrupted".into()])
}

/// Stops the unit on a host and keeps it from starting by itself.
pub(super) fn stop(host: &DesiredHost) -> Step {
    on(&host.name, Action::Retire, Risk::Reversible).ensures(Check::Stopped {
        node: host.name.clone(),
    })
}

/// What etcd runs without arrives while it starts and catches up.
pub(super) fn bring_tools(host: &DesiredHost, change: &mut HostChange) -> Vec<Step> {
    let change = change.split_tools();
    let missing = !change.is_empty();
    let bring = || on(&host.name, Action::Provision { change }, Risk::Reversible);
    missing.then(bring).into_iter().collect()
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
    let tools = bring_tools(host, &mut change);
    let marker = Marker {
        cluster: situation.desired.cluster.clone(),
        cluster_id: membership.cluster_id,
        member: host.name.clone(),
        complete: false,
    };
    let aborted = facts.data.state == DataState::Aborted;
    // What is cleared away takes the marker with it.
    change.marker = (aborted || Marker::on(facts).as_ref() != Some(&marker)).then(|| marker.clone());
    let listed = membership.of(host);
    let stopped = (aborted || listed.is_none()) && is_on_its_way(facts);
    if stopped {
        // systemd goes on trying, and a start before the member is listed would fail and leave its remains.
        draft.wave(format!("stop {}", host.name), Effect::None, vec![stop(host)]);
        change.enable = true;
    }
    if aborted {
        let clear = format!("clear the aborted start of {}", host.name);
        draft.wave(clear, Effect::None, vec![clear_aborted(host)]);
    }
    let running = runs(facts) && !stopped;
    let again = running && !drift.restart.is_empty();
    // One that brings data of its own goes through its raft log again.
    let enters = way_up::needed_for(situation, host, facts);
    if again {
        let title = format!("restart {}", host.name);
        match listed.filter(|m| !m.learner) {
            // Cut short after its promotion: it is a voter like the others by now.
            Some(member) => {
                may_stop(membership, member.id, situation.policy).map_err(|refusal| refusal.on(&host.name))?;
                let one = roll::Turn {
                    host,
                    member,
                    change,
                    version: Some(situation.desired.version),
                    why: drift.restart,
                };
                let effect = roll::effect(membership, member);
                let mut turn = one.step(situation, membership);
                turn.requires.extend(enters.clone());
                draft.wave(title, effect, vec![turn]);
            }
            // A learner that runs with other files than it should: they take effect with a restart, which costs nobody.
            None => {
                let restart = Action::Restart {
                    change,
                    url: url.clone(),
                    turn: None,
                };
                let mut step = on(&host.name, restart, Risk::Reversible)
                    .ensures(Check::RunsCurrent {
                        node: host.name.clone(),
                        version: Some(situation.desired.version),
                    })
                    .because(drift.restart);
                step.requires.extend(enters.clone());
                draft.wave(title, Effect::None, vec![step]);
            }
        }
    } else if !change.is_empty() {
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
    if !running {
        let mut start = on(&host.name, Action::Start, Risk::Reversible)
            .requires(Check::Listed { url: url.clone() })
            .ensures(Check::Started {
                node: host.name.clone(),
            });
        start.requires.extend(enters);
        draft.wave(format!("start {}", host.name), Effect::None, vec![start]);
    }
    if listed.is_none_or(|m| m.learner) {
        let promote = step(Target::Cluster, Action::Promote { url: url.clone() }, Risk::Reversible)
            .requires(Check::Listed { url: url.clone() })
            .ensures(Check::HealthyVoter { url: url.clone() })
            .ensures(Check::CaughtUp {
                url,
                within: PROMOTION_LAG,
            });
        draft.wave(
            format!("promote {}", host.name),
            Effect::Joins,
            [vec![promote], tools].concat(),
        );
    } else {
        draft.wave(
            format!("install the remaining programs on {}", host.name),
            Effect::None,
            tools,
        );
    }
    let change = HostChange {
        marker: Some(Marker {
            complete: true,
            ..marker
        }),
        ..Default::default()
    };
    draft.wave(
        format!("verify {}", host.name),
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
        format!("mark {} as complete", host.name),
        Effect::None,
        vec![on(&host.name, Action::Provision { change }, Risk::Reversible)],
    );
    Ok(())
}
