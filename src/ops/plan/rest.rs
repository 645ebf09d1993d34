//! `maintain`, `stop` and `start`: members that are down on purpose, and come back when they are told to.

use std::collections::BTreeSet;

use super::bootstrap::{certificates_hold, cold_start, enough, initial_new, known_hosts, members_among};
use super::converge::{runs, unreachable};
use super::drift::drift;
use super::leave::known_name;
use super::startable::{lacks, shut_out, would_stay_down};
use super::waves::{Draft, Effect, on, step};
use super::{Action, HostChange, Risk, Situation, Step, Target, living, roll, way_up};
use crate::etcd::Member;
use crate::host::{DataState, HostFacts};
use crate::inventory::{DesiredHost, NodeName, ServiceManager};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Intent, Membership, host_of, label};
use crate::ops::rest::{Purpose, RestNote};
use crate::ops::safety::bootstrap::{data_belongs, one_cluster};
use crate::ops::safety::membership::nobody_is_joining;
use crate::ops::safety::quorum::{Strength, may_stop, quorum};
use crate::ops::safety::rest::{may_leave_running, may_stop_all};
use crate::ops::safety::trust::rotation_under_way;
use crate::ops::safety::{Blocked, Rule};
use crate::render::initial_of;

/// Plans `maintain`: one member stops and stays down.
pub(super) fn maintain(situation: Situation<'_>, node: &NodeName, note: &RestNote) -> Result<Draft, Vec<Blocked>> {
    let membership = living(situation)?;
    let (host, facts) = inspected(situation, node)?;
    let member = may_rest(situation, membership, host, facts).map_err(|refusal| vec![refusal])?;
    let mut draft = Draft::new(Some(Strength::of(membership)));
    if let Some(already) = is_at_rest(host, facts) {
        draft
            .notes
            .push(format!("{node} is down for maintenance {}", already.told()));
        return Ok(draft);
    }
    let well = membership.healthy(member.id);
    let (effect, risk) = match (well, membership.voters().count()) {
        (false, _) => (Effect::None, Risk::Reversible),
        (true, 1 | 2) => (Effect::Rests(1), Risk::Outage),
        (true, _) => (Effect::Rests(1), Risk::ReducesRedundancy),
    };
    let url = host.peer_url();
    let leads = membership.leader() == Some(member.id);
    let policy = situation.policy;
    let mut stop = rest(host, facts, note, true, risk)
        .requires(Check::SafeToStop {
            url: url.clone(),
            policy,
        })
        .requires(Check::OthersConnected {
            url: url.clone(),
            policy,
        })
        .because(leads.then(|| "it is the leader: leadership is transferred first".to_owned()));
    if well && membership.voters().count() > 2 {
        stop = stop.ensures(Check::NotLeader { url });
    }
    draft.wave(format!("stop {node} for maintenance"), effect, vec![stop]);
    Ok(draft)
}

/// Plans `maintain --done`: it starts, and is proved healthy, caught up and connected before the note goes.
pub(super) fn end(situation: Situation<'_>, node: &NodeName) -> Result<Draft, Vec<Blocked>> {
    one_cluster(situation.observed).map_err(|refusal| vec![refusal])?;
    let (host, facts) = inspected(situation, node)?;
    let mut draft = Draft::new(situation.membership().map(Strength::of));
    let noted = RestNote::on(host, facts).is_some();
    if !noted && runs(facts) {
        draft.notes.push(format!("{node} is not in maintenance"));
        return Ok(draft);
    }
    comes_up(situation, host, facts).map_err(|refusal| vec![refusal])?;
    where_it_was(situation, host).map_err(|refusal| vec![refusal])?;
    // The others have to let it in, the leader above all.
    certificates_hold(situation, |_| true)?;
    others_let_in(situation)?;
    let alone = situation.membership().is_none();
    // One that waits for others which are in maintenance, too, would wait for ever, and they for it.
    let provable = !alone || enough(situation, std::slice::from_ref(node)).is_ok();
    if !provable {
        draft.notes.push(format!(
            "too few members run for a quorum: {node} is started, and cannot be proved healthy before the others run; start them with `quorate up`"
        ));
    }
    draft.wave(
        format!("enable {node}"),
        Effect::None,
        enable(host, facts).into_iter().collect(),
    );
    let url = host.peer_url();
    let proofs = [
        Check::HealthyVoter { url: url.clone() },
        Check::CaughtUp {
            url: url.clone(),
            within: CAUGHT_UP,
        },
        Check::Connected { url },
    ];
    let mut back = match runs(facts) {
        true => look(vec![node.clone()]),
        false => {
            let mut start = on(node, Action::Start, Risk::Reversible).ensures(Check::Started { node: node.clone() });
            start.requires.extend(way_up::needed_for(situation, host, facts));
            start
        }
    };
    if provable {
        back.ensures.extend(proofs);
    }
    let (title, effect) = match runs(facts) {
        true => (format!("verify {node}"), Effect::None),
        false => (format!("start {node}"), Effect::Recovers(1)),
    };
    let due = provable || !runs(facts);
    draft.wave(title, effect, due.then_some(back).into_iter().collect());
    let forget = noted.then(|| forget(host));
    draft.wave("end the maintenance", Effect::None, forget.into_iter().collect());
    Ok(draft)
}

/// Is the member still looked for where the cluster has it? While it is down it cannot move.
fn where_it_was(situation: Situation<'_>, host: &DesiredHost) -> Result<(), Blocked> {
    let elsewhere = situation.membership().and_then(|membership| {
        let named = membership
            .members
            .iter()
            .find(|member| member.name == host.name.as_str());
        named.filter(|_| membership.of(host).is_none())
    });
    let Some(url) = elsewhere.and_then(|member| member.peer_urls.first()) else {
        return Ok(());
    };
    Err(Blocked::new(
        Rule::Inventory,
        format!("the cluster has it at {url}, but the inventory has it at {}", host.peer_url()),
        format!(
            "put `address` and `peer_port` back and run `quorate maintain {} --done`; `quorate up` moves it when it runs",
            host.name
        ),
    )
    .on(&host.name))
}

/// Plans `stop`: the followers together, the leader last, so that nobody is elected meanwhile.
pub(super) fn stop(
    situation: Situation<'_>,
    note: &RestNote,
    without: &BTreeSet<NodeName>,
) -> Result<Draft, Vec<Blocked>> {
    may_leave_running(situation.desired, situation.observed, without)?;
    let mut unseen = unreachable(situation, &|name| !without.contains(name));
    if !unseen.is_empty() {
        for refusal in &mut unseen {
            if let Some(name) = &refusal.node {
                refusal.hint += &format!("; to stop the others and leave this one: --without {name}");
            }
        }
        return Err(unseen);
    }
    if situation.observed.cluster == Fact::Absent {
        return living(situation).map(|_| Draft::new(None));
    }
    may_stop_all(situation.desired, situation.observed, situation.policy)?;
    let membership = situation.membership();
    let leads = |host: &DesiredHost| {
        membership.is_some_and(|m| m.leader().is_some() && m.of(host).map(|member| member.id) == m.leader())
    };
    let due: Vec<_> = known_hosts(situation)
        .filter(|(host, _)| !without.contains(&host.name))
        .filter(|(_, facts)| runs(facts) || facts.data.state == DataState::Bootstrapped)
        .filter(|(host, facts)| is_at_rest(host, facts).is_none())
        .collect();
    let steps = |leader: bool| -> Vec<Step> {
        due.iter()
            .filter(|(host, _)| leads(host) == leader)
            .map(|(host, facts)| {
                let risk = match facts.service.pid {
                    Some(_) => Risk::Outage,
                    None => Risk::Reversible,
                };
                rest(host, facts, note, false, risk)
            })
            .collect()
    };
    let (others, leader) = (steps(false), steps(true));
    let mut draft = Draft::new(membership.map(Strength::of));
    if due.is_empty() {
        draft.notes.push("every member is down on purpose".to_owned());
    }
    let title = match leader.is_empty() {
        true => "stop the members",
        false => "stop the followers",
    };
    draft.wave(title, Effect::Rests(others.len()), others);
    draft.wave("stop the leader", Effect::Rests(leader.len()), leader);
    draft.notes.extend(left_running(situation));
    draft.notes.extend(without.iter().map(|name| {
        format!(
            "{name} cannot be reached: if its member runs, it has no quorum; run `quorate stop` again when it is back"
        )
    }));
    Ok(draft)
}

/// Plans `start`: all members that are down, together; those in maintenance stay down.
pub(super) fn start(situation: Situation<'_>) -> Result<Draft, Vec<Blocked>> {
    one_cluster(situation.observed).map_err(|refusal| vec![refusal])?;
    let reached: Vec<NodeName> = known_hosts(situation).map(|(host, _)| host.name.clone()).collect();
    let unseen = unreachable(situation, &|_| true);
    if reached.len() < quorum(situation.desired.hosts.len()) {
        return Err(unseen);
    }
    if situation.observed.cluster == Fact::Absent {
        return living(situation).map(|_| Draft::new(None));
    }
    let members: BTreeSet<NodeName> = members_among(situation, &reached)?.into_iter().collect();
    let kept: Vec<_> = known_hosts(situation)
        .filter(|(host, facts)| maintained(host, facts).is_some())
        .collect();
    let due: Vec<_> = known_hosts(situation)
        .filter(|(host, facts)| members.contains(&host.name) && maintained(host, facts).is_none())
        .collect();
    let down: Vec<NodeName> = due
        .iter()
        .filter(|(_, facts)| !runs(facts))
        .map(|(host, _)| host.name.clone())
        .collect();
    let mut draft = Draft::new(situation.membership().map(Strength::of));
    let enabled = due.iter().filter_map(|(host, facts)| enable(host, facts));
    draft.wave("enable the members", Effect::None, enabled.collect());
    if !down.is_empty() {
        others_let_in(situation)?;
        let started = cold_start(situation, &down)?;
        draft.waves.extend(started.waves);
        draft.notes.extend(started.notes);
    }
    let noted = known_hosts(situation).filter(|(host, facts)| {
        let note = RestNote::on(host, facts).flatten();
        note.is_some_and(|note| note.purpose != Purpose::Maintenance)
    });
    let forgotten: Vec<Step> = noted.map(|(host, _)| forget(host)).collect();
    draft.wave("remove the notes", Effect::None, forgotten);
    draft
        .notes
        .extend(kept.iter().map(|(host, _)| left_alone(host, "maintenance")));
    draft.notes.extend(unseen.iter().filter_map(|refusal| {
        let name = refusal.node.as_ref()?;
        Some(format!(
            "{name} cannot be inspected and is left out: run `quorate start` again when it is back"
        ))
    }));
    Ok(draft)
}

/// Notes that say nothing any more go with what makes a new member of a host, or none.
pub(super) fn put_away(situation: Situation<'_>, intent: &Intent, draft: &mut Draft) {
    if !matches!(
        intent,
        Intent::Remove { .. } | Intent::Replace { .. } | Intent::Restore(_)
    ) {
        return;
    }
    let noted = known_hosts(situation)
        .filter(|(host, facts)| intent.covers(&host.name) && RestNote::on(host, facts).is_some())
        .map(|(host, _)| forget(host));
    draft.wave(
        "remove the notes of members that were down on purpose",
        Effect::None,
        noted.collect(),
    );
}

/// Notes beside members that run: somebody has started them.
pub(super) fn outlived<'a>(seen: impl Iterator<Item = (&'a DesiredHost, &'a HostFacts)>) -> Vec<Step> {
    seen.filter(|(host, facts)| facts.service.pid.is_some() && RestNote::on(host, facts).is_some())
        .map(|(host, _)| forget(host).because(["its member runs".to_owned()]))
        .collect()
}

/// The note that keeps `up` from a member.
pub(super) fn maintained(host: &DesiredHost, facts: &HostFacts) -> Option<RestNote> {
    RestNote::in_force(host, facts).filter(|note| note.purpose == Purpose::Maintenance)
}

/// What a plan says of a member that it leaves down.
pub(super) fn left_alone(host: &DesiredHost, why: impl std::fmt::Display) -> String {
    format!(
        "{0} is down for {why} and left alone: `quorate maintain {0} --done` starts it",
        host.name
    )
}

/// Entries it may be behind when the maintenance ends, as after a restart.
const CAUGHT_UP: u64 = 100;

fn inspected<'a>(situation: Situation<'a>, node: &NodeName) -> Result<(&'a DesiredHost, &'a HostFacts), Vec<Blocked>> {
    known_name(situation, node)?;
    let unseen = unreachable(situation, &|name| name == node);
    known_hosts(situation)
        .find(|(host, _)| host.name == *node)
        .ok_or(unseen)
}

/// Is it a member that the others can do without, and that will come up again?
fn may_rest<'a>(
    situation: Situation<'_>,
    membership: &'a Membership,
    host: &DesiredHost,
    facts: &HostFacts,
) -> Result<&'a Member, Blocked> {
    let Some(member) = membership.of(host) else {
        return Err(Blocked::new(
            Rule::Inventory,
            "it is not a member of the cluster, so there is nothing to stop",
            "its machine can be stopped as it is; `quorate up` makes it a member",
        )
        .on(&host.name));
    };
    if member.learner || !member.started() {
        return Err(Blocked::new(
            Rule::NotSettled,
            "it is still joining the cluster",
            "finish that with `quorate up`",
        )
        .on(&host.name));
    }
    if is_at_rest(host, facts).is_some() {
        return Ok(member);
    }
    nobody_is_joining(membership)?;
    may_stop(membership, member.id, situation.policy).map_err(|refusal| refusal.on(&host.name))?;
    match runs(facts) {
        true => roll::stays_down(situation, membership, host, member).map_or(Ok(member), Err),
        // It could not be started again before the end of that.
        false if situation.supplies.next_ca.is_some() => Err(rotation_under_way().on(&host.name)),
        false => Ok(member),
    }
}

/// Whether those that run have certificates with which somebody new can connect to them: any of them may lead.
fn others_let_in(situation: Situation<'_>) -> Result<(), Vec<Blocked>> {
    let running = known_hosts(situation).filter(|(_, facts)| runs(facts));
    let refusals: Vec<Blocked> = running
        .filter_map(|(host, facts)| shuts_out(situation, host, facts))
        .collect();
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

fn shuts_out(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Option<Blocked> {
    let config = facts.files.get(&host.paths.config).and_then(|f| f.content.as_deref());
    let initial = config
        .and_then(initial_of)
        .unwrap_or_else(|| initial_new(situation.desired));
    // A rotation of the CA keeps certificates from being changed, and nobody from connecting.
    let rotating = |why: &Blocked| situation.supplies.next_ca.is_some() || *why == rotation_under_way().on(&host.name);
    let foreign = drift(situation, host, facts, &initial).err();
    let foreign = foreign.filter(|refusal| refusal.rule == Rule::Certificates && !rotating(refusal));
    let refusal = foreign.or_else(|| shut_out(situation, host, facts))?;
    let reason = format!("a member that starts now could not connect to it: {}", refusal.reason);
    Some(Blocked { reason, ..refusal })
}

/// Would it come up with what is on its host?
fn comes_up(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Result<(), Blocked> {
    let member = situation.membership().and_then(|m| Some((m, m.of(host)?)));
    let refusal = match member {
        Some((membership, member)) => roll::stays_down(situation, membership, host, member),
        None => data_belongs(situation.desired, host, facts)
            .err()
            .or_else(|| no_data(host, facts))
            .or_else(|| lacks(situation, host, facts).map(|what| would_stay_down(host, &what)))
            .or_else(|| shuts_out(situation, host, facts)),
    };
    match refusal {
        None => Ok(()),
        // `up` leaves it alone while the note is there.
        Some(refusal) if refusal.rule == Rule::Host => Err(Blocked {
            hint: format!(
                "remove {} on the host, then `quorate up` restores it and starts the member",
                RestNote::path(host)
            ),
            ..refusal
        }),
        Some(refusal) => Err(refusal),
    }
}

fn no_data(host: &DesiredHost, facts: &HostFacts) -> Option<Blocked> {
    let refusal = Blocked::new(
        Rule::DataGone,
        format!("{} has no member's data", host.paths.data),
        "mount its disk if that is missing; see `quorate status`",
    );
    (facts.data.state != DataState::Bootstrapped).then(|| refusal.on(&host.name))
}

/// The note of a member that is down as it says, also at the next boot.
fn is_at_rest(host: &DesiredHost, facts: &HostFacts) -> Option<RestNote> {
    RestNote::in_force(host, facts).filter(|_| !facts.service.enabled)
}

/// A note that is there already stays: it says since when.
pub(super) fn rest(host: &DesiredHost, facts: &HostFacts, note: &RestNote, others_carry_on: bool, risk: Risk) -> Step {
    let node = host.name.clone();
    let before = RestNote::on(host, facts).flatten();
    // The end of the cluster is more than what kept it down before.
    let before = before.filter(|before| note.purpose != Purpose::End || before.purpose == Purpose::End);
    let action = Action::Rest {
        note: before.unwrap_or_else(|| note.clone()),
        url: others_carry_on.then(|| host.peer_url()),
    };
    on(&host.name, action, risk)
        .ensures(Check::Stopped { node: node.clone() })
        .ensures(Check::RestNoted {
            node,
            at: RestNote::path(host),
        })
}

fn forget(host: &DesiredHost) -> Step {
    let note = RestNote::path(host);
    on(&host.name, Action::EndRest { note }, Risk::Reversible)
}

fn enable(host: &DesiredHost, facts: &HostFacts) -> Option<Step> {
    let due = host.service_manager == ServiceManager::Systemd && !facts.service.enabled;
    due.then(|| {
        let change = HostChange {
            enable: true,
            ..HostChange::default()
        };
        on(&host.name, Action::Provision { change }, Risk::Reversible)
    })
}

fn look(nodes: Vec<NodeName>) -> Step {
    let action = Action::LookAgain {
        nodes,
        cluster_id: None,
    };
    step(Target::Cluster, action, Risk::ReadOnly)
}

/// Members that no host of the inventory is.
fn left_running(situation: Situation<'_>) -> Option<String> {
    let membership = situation.membership()?;
    let strays: Vec<String> = membership
        .members
        .iter()
        .filter(|member| host_of(situation.desired, member).is_none())
        .map(|member| label(situation.desired, member))
        .collect();
    (!strays.is_empty()).then(|| format!("{} is not in the inventory and keeps running", strays.join(", ")))
}
