//! A new cluster: everything is installed first, then all members start together.

use std::collections::BTreeSet;

use super::converge::unreachable;
use super::drift::drift;
use super::join::{self, clear_aborted, is_on_its_way};
use super::preflight::preflight;
use super::rest::maintained;
use super::startable::{certificates_ended, ended, lacks, last_writer};
use super::waves::{Draft, Effect, on, step};
use super::{Action, Risk, Situation, Step, Target, way_up};
use crate::etcd::{bootstrap_cluster_id, bootstrap_member_id};
use crate::host::{DataState, HostFacts, ServiceState};
use crate::inventory::{ClusterId, Desired, DesiredHost, NodeName};
use crate::ops::check::Check;
use crate::ops::last_resort::LastResort;
use crate::ops::model::Fact;
use crate::ops::safety::bootstrap::{Ground, Marker, data_belongs, may_bootstrap, one_cluster, same_cluster};
use crate::ops::safety::place::reached_where_it_listens;
use crate::ops::safety::quorum::quorum;
use crate::ops::safety::trust::rotation_under_way;
use crate::ops::safety::version::may_start_with;
use crate::ops::safety::{Blocked, Rule};
use crate::render::{InitialCluster, InitialState, initial_of, initial_token};

/// What every member of a new cluster of this inventory is told about the others.
pub fn initial_new(desired: &Desired) -> InitialCluster {
    let members: Vec<_> = desired
        .hosts
        .values()
        .map(|h| (h.name.to_string(), h.peer_url()))
        .collect();
    InitialCluster {
        state: InitialState::New,
        token: initial_token(&desired.cluster, &members),
        members,
    }
}

/// The id that etcd will give a new cluster of this inventory.
pub fn expected_cluster_id(desired: &Desired) -> ClusterId {
    let token = initial_new(desired).token;
    let members: Vec<_> = desired
        .hosts
        .values()
        .map(|h| bootstrap_member_id(&[h.peer_url()], &token))
        .collect();
    bootstrap_cluster_id(&members)
}

/// Plans for the case that no member answers: make the cluster, finish making it, or start it again.
pub(super) fn from_nothing(situation: Situation<'_>, limit: &[NodeName]) -> Result<Draft, Vec<Blocked>> {
    one_cluster(situation.observed).map_err(|blocked| vec![blocked])?;
    let elsewhere: Vec<Blocked> = known_hosts(situation)
        .filter_map(|(host, facts)| reached_where_it_listens(host, facts).err())
        .collect();
    if !elsewhere.is_empty() {
        return Err(elsewhere);
    }
    if !limit.is_empty() {
        return cold_start(situation, &wanted_up(situation, members_among(situation, limit)?));
    }
    let expected = expected_cluster_id(situation.desired);
    let ground = may_bootstrap(situation.desired, situation.observed, expected).map_err(|mut blocked| {
        // All that stands in the way at once, so that it can be mended at once.
        blocked.extend(known_hosts(situation).flat_map(|(host, facts)| preflight(situation, host, facts)));
        blocked
    })?;
    match ground {
        Ground::Fresh => bootstrap(situation, expected),
        Ground::HalfMade => {
            // A member that is ready has found a leader: its cluster works, and may have grown since, whatever the notes of
            // its first start say. It has to be asked.
            certificates_hold(situation, |facts| {
                facts.data.state == DataState::Bootstrapped && facts.service.state == ServiceState::Running
            })?;
            bootstrap(situation, expected)
        }
        Ground::Stopped { with_data } => cold_start(situation, &wanted_up(situation, with_data)),
    }
}

/// Without those whose maintenance has not ended.
fn wanted_up(situation: Situation<'_>, mut members: Vec<NodeName>) -> Vec<NodeName> {
    let kept = known_hosts(situation).filter(|(host, facts)| maintained(host, facts).is_some());
    let kept: BTreeSet<&NodeName> = kept.map(|(host, _)| &host.name).collect();
    members.retain(|name| !kept.contains(name));
    members
}

/// With `--limit` only members that were complete once are started: that is safe whatever the other hosts hold.
pub(super) fn members_among(situation: Situation<'_>, limit: &[NodeName]) -> Result<Vec<NodeName>, Vec<Blocked>> {
    let covered = |name: &NodeName| limit.contains(name);
    let mut blocked = unreachable(situation, &covered);
    let mut members = Vec::new();
    for (host, facts) in known_hosts(situation).filter(|(host, _)| covered(&host.name)) {
        blocked.extend(data_belongs(situation.desired, host, facts).err());
        if facts.data.state == DataState::Bootstrapped && Marker::on(facts).is_some_and(|m| m.complete) {
            members.push(host.name.clone());
        }
    }
    blocked.extend(same_cluster(known_hosts(situation).filter(|(host, _)| covered(&host.name))).err());
    // What runs beside them must be theirs, too, or nobody could tell how they are.
    let others = known_hosts(situation).filter(|(host, facts)| !covered(&host.name) && facts.service.pid.is_some());
    blocked.extend(others.filter_map(|(host, facts)| data_belongs(situation.desired, host, facts).err()));
    if members.is_empty() && blocked.is_empty() {
        blocked.push(Blocked::new(
            Rule::Inventory,
            "no member answers, and none of these hosts has been a member of a complete cluster",
            "a new cluster is created on all its hosts at once: omit `--limit`",
        ));
    }
    if blocked.is_empty() { Ok(members) } else { Err(blocked) }
}

fn bootstrap(situation: Situation<'_>, expected: ClusterId) -> Result<Draft, Vec<Blocked>> {
    let desired = situation.desired;
    let initial = initial_new(desired);
    let mut blocked = Vec::new();
    let mut draft = Draft::new(None);
    let (mut stop, mut clear) = (Vec::new(), Vec::new());
    let (mut provision, mut start, mut tools, mut complete) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (host, facts) in known_hosts(situation) {
        blocked.extend(preflight(situation, host, facts));
        let drift = match drift(situation, host, facts, &initial) {
            Ok(drift) => drift,
            Err(refusal) => {
                blocked.push(refusal);
                continue;
            }
        };
        let aborted = facts.data.state == DataState::Aborted;
        // systemd goes on trying to start what does not come up.
        let trying = is_on_its_way(facts) && (aborted || facts.service.pid.is_none());
        if trying {
            stop.push(join::stop(host));
        }
        if aborted {
            clear.push(clear_aborted(host));
        }
        let marker = Marker {
            cluster: desired.cluster.clone(),
            cluster_id: expected,
            member: host.name.clone(),
            complete: false,
        };
        let has_data = facts.data.state == DataState::Bootstrapped;
        let lives = has_data && facts.service.pid.is_some();
        if has_data && !lives {
            blocked.extend(newer_data(situation, host, facts));
        }
        // One that crashed would come up with what is put under it. What it was started with is exchanged in its turn, once
        // the cluster can be asked.
        let mut change = match lives {
            true => drift.now.clone(),
            false => drift.whole(),
        };
        change.enable |= trying;
        // What is cleared away takes the marker with it.
        change.marker = (aborted || Marker::on(facts).as_ref() != Some(&marker)).then(|| marker.clone());
        tools.extend(join::bring_tools(host, &mut change));
        if !change.is_empty() {
            provision.push(
                on(&host.name, Action::Provision { change }, Risk::Reversible)
                    .because(drift.certificates.into_iter().take(1)),
            );
        }
        let runs = drift.restart.is_empty() && facts.service.pid.is_some() && !aborted;
        if !runs && !lives {
            start.push(
                on(&host.name, Action::Start, Risk::Reversible)
                    .requires(Check::NoData {
                        node: host.name.clone(),
                    })
                    .ensures(Check::Started {
                        node: host.name.clone(),
                    }),
            );
        }
        let change = super::HostChange {
            marker: Some(Marker {
                complete: true,
                ..marker
            }),
            ..Default::default()
        };
        complete.push(on(&host.name, Action::Provision { change }, Risk::Reversible));
    }
    if !blocked.is_empty() {
        return Err(blocked);
    }
    let nodes: Vec<_> = desired.hosts.keys().cloned().collect();
    if situation.supplies.ca_pem.is_none() {
        draft.wave(
            "create the CA",
            Effect::None,
            vec![step(Target::Operator, Action::CreateAuthority, Risk::Reversible)],
        );
    }
    draft.wave("stop members that do not come up", Effect::None, stop);
    draft.wave("clear aborted starts", Effect::None, clear);
    draft.wave("prepare every host", Effect::None, provision);
    let mut together = "start all members together";
    if let Some((name, first)) = asked_first(desired, &mut start) {
        draft.wave(
            format!("start {name} first; the others join it"),
            Effect::None,
            vec![first],
        );
        together = "start the others together";
    }
    draft.wave(together, Effect::Born(nodes.len()), start);
    let look = step(
        Target::Cluster,
        Action::LookAgain {
            nodes: nodes.clone(),
            cluster_id: Some(expected),
        },
        Risk::ReadOnly,
    )
    .ensures(Check::AllHealthy {
        cluster_id: Some(expected),
        members: nodes.len(),
    });
    // The members need a moment to find each other, in which the rest of the release arrives.
    draft.wave("verify", Effect::None, [vec![look], tools].concat());
    draft.wave("mark the cluster as complete", Effect::None, complete);
    Ok(draft)
}

/// Before its first start a member asks the others, in the order of their URLs, whether it has been there before, and one
/// whose port is open and which does not serve yet keeps it waiting for a second (etcd `isMemberBootstrapped` and
/// `getRemotePeerURLs`, server/etcdserver/cluster_util.go): members that start in the same moment wait for each other. So
/// the first in that order starts a moment earlier, and answers all others.
fn asked_first<'a>(desired: &'a Desired, start: &mut Vec<Step>) -> Option<(&'a NodeName, Step)> {
    let first = desired.hosts.values().min_by_key(|host| host.peer_url().0)?;
    let node = first.name.clone();
    let place = start.iter().position(|step| step.target == Target::Node(node.clone()));
    let place = place.filter(|_| start.len() > 1)?;
    Some((&first.name, start.remove(place).ensures(Check::HasData { node })))
}

/// A cluster that was stopped as a whole: one by one could never form a quorum, so all start at once. Only what a
/// member needs to come up is put back first; what else differs is seen, and planned, once it runs.
pub(super) fn cold_start(situation: Situation<'_>, with_data: &[NodeName]) -> Result<Draft, Vec<Blocked>> {
    // Members that cannot talk to each other are no quorum however often they are started.
    certificates_hold(situation, |_| true)?;
    enough(situation, with_data)?;
    if with_data.is_empty() {
        return Err(vec![Blocked::new(
            Rule::Unknown,
            "no member answers, and no member can be started",
            "see `quorate status` and `quorate logs NAME`",
        )]);
    }
    let mut draft = Draft::new(None);
    let missing = put_back(situation, with_data, &mut draft.notes)?;
    draft.wave("restore missing files", Effect::None, missing);
    let start = with_data
        .iter()
        .map(|node| on(node, Action::Start, Risk::Reversible).ensures(Check::Started { node: node.clone() }))
        .collect();
    draft.wave("start all members together", Effect::Born(with_data.len()), start);
    // A learner that was under way when everything stopped has data, too, and is never a healthy voter.
    let settled: Vec<&DesiredHost> = known_hosts(situation)
        .filter(|(host, facts)| with_data.contains(&host.name) && Marker::on(facts).is_some_and(|m| m.complete))
        .map(|(host, _)| host)
        .collect();
    let look = step(
        Target::Cluster,
        Action::LookAgain {
            nodes: settled.iter().map(|host| host.name.clone()).collect(),
            cluster_id: None,
        },
        Risk::ReadOnly,
    );
    let look = settled.iter().fold(look, |look, host| {
        look.ensures(Check::HealthyVoter { url: host.peer_url() })
    });
    // The members must have elected a leader before anything can be told of them.
    let look = with_data
        .iter()
        .filter_map(|node| situation.desired.hosts.get(node))
        .fold(look, |look, host| look.ensures(Check::Listed { url: host.peer_url() }));
    draft.wave("verify", Effect::None, vec![look]);
    let without = situation.desired.hosts.len() - with_data.len();
    if without > 0 {
        draft.notes.push(format!(
            "{} without data, excluded, or not inspected: planned once the cluster runs",
            super::count(without, "host")
        ));
    }
    let sight = situation.sight();
    if with_data.len() <= without && sight.is_clear() {
        let lost = "if those hosts have lost their members' data, there is no majority and etcd will not come up";
        draft
            .notes
            .push(sight.hint(lost, Some(&LastResort::no_majority_any_more())));
    }
    Ok(draft)
}

/// Whether the certificates of such members have not ended: else nobody can talk to them, we as little as their peers.
pub(super) fn certificates_hold(
    situation: Situation<'_>,
    such: impl Fn(&HostFacts) -> bool,
) -> Result<(), Vec<Blocked>> {
    let blocked: Vec<Blocked> = known_hosts(situation)
        .filter(|(_, facts)| such(facts))
        .filter_map(|(host, facts)| Some(certificates_ended(host, ended(situation, host, facts)?)))
        .collect();
    if blocked.is_empty() { Ok(()) } else { Err(blocked) }
}

/// Whether those that would run can be a quorum. There are at least as many members as hosts that say they were one of
/// the same cluster.
pub(super) fn enough(situation: Situation<'_>, with_data: &[NodeName]) -> Result<(), Vec<Blocked>> {
    let marked = known_hosts(situation).filter_map(|(host, facts)| Some((host, facts, Marker::on(facts)?)));
    let clusters: BTreeSet<_> = marked
        .clone()
        .filter(|(host, ..)| with_data.contains(&host.name))
        .map(|(.., marker)| marker.cluster_id)
        .collect();
    let complete: Vec<_> = marked
        .filter(|(.., marker)| marker.complete && (clusters.is_empty() || clusters.contains(&marker.cluster_id)))
        .collect();
    let will_run = complete.iter().filter(|(host, facts, _)| {
        facts.data.state == DataState::Bootstrapped && (with_data.contains(&host.name) || facts.service.pid.is_some())
    });
    let (will_run, members) = (will_run.count(), complete.len());
    if will_run >= quorum(members) || members == 0 {
        return Ok(());
    }
    Err(vec![
        Blocked::new(
            Rule::QuorumLost,
            format!(
                "only {will_run} of at least {members} members would run, but quorum needs {}",
                quorum(members)
            ),
            "start the others with them (`quorate up` without `--limit`)",
        )
        .or(LastResort::data_of_a_majority_gone()),
    ])
}

fn put_back(
    situation: Situation<'_>,
    with_data: &[NodeName],
    notes: &mut Vec<String>,
) -> Result<Vec<Step>, Vec<Blocked>> {
    let (mut steps, mut blocked) = (Vec::new(), Vec::new());
    for (host, facts) in known_hosts(situation).filter(|(host, _)| with_data.contains(&host.name)) {
        let missing = lacks(situation, host, facts);
        let rotating =
            |why: &Blocked| situation.supplies.next_ca.is_some() || *why == rotation_under_way().on(&host.name);
        let written = facts
            .files
            .get(&host.paths.config)
            .and_then(|f| f.content.as_deref())
            .and_then(initial_of);
        let initial = written.unwrap_or_else(|| initial_new(situation.desired));
        let drift = match drift(situation, host, facts, &initial) {
            Ok(drift) => drift,
            // A rotation of the CA keeps certificates from being changed here, and nobody from being started.
            Err(refusal) if missing.is_none() && rotating(&refusal) => continue,
            Err(refusal) => {
                blocked.push(refusal);
                continue;
            }
        };
        blocked.extend(way_up::cold(situation, host, facts, missing.is_some()));
        let Some(what) = missing else { continue };
        notes.extend(of_unknown_age(situation, host, facts));
        blocked.extend(preflight(situation, host, facts));
        // The unit that is put back names the wanted release.
        blocked.extend(newer_data(situation, host, facts));
        let change = drift.whole();
        steps.push(
            on(&host.name, Action::Provision { change }, Risk::Reversible).because([format!("{what} is missing")]),
        );
    }
    if blocked.is_empty() { Ok(steps) } else { Err(blocked) }
}

/// What is said where the wanted release is put on a host and nothing is left there that tells which one wrote its data.
/// Nobody but etcd can tell then: it ends at once when the data are of a later minor than itself.
fn of_unknown_age(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Option<String> {
    let version = situation.desired.version;
    last_writer(host, facts).is_none().then(|| {
        format!(
            "nothing on {} shows which release wrote its data: if it was later than {version}, etcd will not start until the inventory names that \
             release",
            host.name
        )
    })
}

/// The refusal to start the data on a host with the wanted release.
fn newer_data(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Option<Blocked> {
    let refusal = may_start_with(last_writer(host, facts)?, situation.desired.version).err()?;
    Some(refusal.on(&host.name))
}

pub(super) fn known_hosts<'a>(
    situation: Situation<'a>,
) -> impl Iterator<Item = (&'a DesiredHost, &'a HostFacts)> + Clone {
    situation
        .desired
        .hosts
        .values()
        .filter_map(move |host| match situation.observed.hosts.get(&host.name) {
            Some(Fact::Known(facts)) => Some((host, facts)),
            _ => None,
        })
}
