//! `restore`: a whole new cluster from one snapshot. Everything is brought to the hosts first; then all members stop, what
//! they are started with is exchanged, the old data is moved aside, the same snapshot is restored on each, and all start
//! together.
//!
//! Begun again, the plan holds what is left: a host that carries the new cluster's id is done, every other one is not.

use super::bootstrap::known_hosts;
use super::drift::{Drift, drift};
use super::preflight::preflight;
use super::waves::{Draft, Effect, on, step};
use super::{Action, HostChange, Risk, Situation, Step, Target};
use crate::backup::RestoreTool;
use crate::bundle::Program;
use crate::host::{DataState, HostFacts};
use crate::inventory::{ClusterId, DesiredHost, ServiceManager};
use crate::ops::check::Check;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Policy, Supplies};
use crate::ops::restore::{RestoreData, RestoreNote, RestoreOrder};
use crate::ops::safety::bootstrap::Marker;
use crate::ops::safety::restore::may_restore;
use crate::ops::safety::{Blocked, Rule};
use crate::ops::sight::Sight;
use crate::render::{InitialCluster, InitialState};

/// A host that takes part.
struct Part<'a> {
    host: &'a DesiredHost,
    facts: &'a HostFacts,
    tool: RestoreTool,
    /// It carries the restored data.
    done: bool,
    /// What may lie there while the old member still runs.
    provision: HostChange,
    /// What the new member is started with.
    launch: HostChange,
}

/// Plans `restore`.
pub(super) fn restore(situation: Situation<'_>, order: &RestoreOrder) -> Result<Draft, Vec<Blocked>> {
    let (note, resumed) = may_restore(situation.desired, situation.observed, order, situation.policy)?;
    let id = note.cluster_id(situation.desired);
    let parts = survey(situation, &note, id)?;
    let note = with_possible_bump(note, resumed, &parts);

    // The old members' fault tolerance is of no matter any more, and that of the new ones comes and goes while they start:
    // a plan that is made twice in that time must be the same.
    let mut draft = Draft::new(None);
    let sight = Sight::but_for(situation.desired, situation.observed, &order.without);
    draft.notes = notes(&sight, order, &note, &parts, resumed);
    if situation.supplies.ca_pem.is_none() {
        let authority = step(Target::Operator, Action::CreateAuthority, Risk::Reversible);
        draft.wave("create the CA", Effect::None, vec![authority]);
    }
    if !resumed && order.snapshot_first && can_give_a_snapshot(situation) {
        let action = Action::Snapshot {
            reason: "before-restore".into(),
        };
        draft.wave(
            "back up the current data",
            Effect::None,
            vec![step(Target::Operator, action, Risk::ReadOnly)],
        );
    }
    draft.wave(
        "mark every host as being restored",
        Effect::None,
        write_notes(&parts, &note),
    );
    draft.wave("prepare every host", Effect::None, provision(&parts));
    draft.wave(
        "copy the snapshot to every host",
        Effect::None,
        stage(&parts, order, &note),
    );
    draft.wave("stop all members", Effect::None, stop(&parts, &note, situation.policy));
    draft.wave("install the new members' configuration", Effect::None, launch(&parts));
    draft.wave("move the old data aside", Effect::None, make_room(&parts));
    draft.wave(
        "restore the same snapshot on every host",
        Effect::None,
        restore_data(situation, &parts, order, &note, id),
    );
    draft.wave(
        "start all members together",
        Effect::Born(parts.len()),
        start(&parts, id),
    );
    draft.wave("verify", Effect::None, vec![look_again(&parts, id)]);
    draft.wave("compare the members", Effect::None, vec![compare(order, &note)]);
    draft.wave(
        "mark the cluster as complete",
        Effect::None,
        complete(situation, &parts, id),
    );
    draft.wave("remove the restore markers", Effect::None, forget(&parts));
    Ok(draft)
}

fn survey<'a>(situation: Situation<'a>, note: &RestoreNote, id: ClusterId) -> Result<Vec<Part<'a>>, Vec<Blocked>> {
    let initial = initial(situation, note);
    let (mut parts, mut blocked) = (Vec::new(), Vec::new());
    for (host, facts) in known_hosts(situation).filter(|(host, _)| note.hosts.contains(&host.name)) {
        blocked.extend(preflight(situation, host, facts));
        match (
            drift(situation, host, facts, &initial),
            tool(situation.supplies, situation, facts),
        ) {
            (Ok(drift), Some(tool)) => parts.push(part(host, facts, tool, drift, id)),
            (Err(refusal), _) => blocked.push(refusal),
            (_, None) => blocked.push(no_tool(situation, host)),
        }
    }
    if blocked.is_empty() { Ok(parts) } else { Err(blocked) }
}

/// etcd that crashes, or whose machine reboots, is started with the config and the unit that lie there by then. Those of
/// the new cluster, and its release, are not for the old data, which may be gone back to: they come once it is stopped.
fn part<'a>(host: &'a DesiredHost, facts: &'a HostFacts, tool: RestoreTool, drift: Drift, id: ClusterId) -> Part<'a> {
    let done =
        facts.data.state == DataState::Bootstrapped && Marker::on(facts).is_some_and(|marker| marker.cluster_id == id);
    let (provision, launch) = match done {
        true => (drift.whole(), HostChange::default()),
        false => (drift.now, drift.at_restart),
    };
    Part {
        host,
        facts,
        tool,
        done,
        // It must not start at boot before its data is there.
        provision: HostChange {
            enable: false,
            ..provision
        },
        launch,
    }
}

fn initial(situation: Situation<'_>, note: &RestoreNote) -> InitialCluster {
    let hosts = situation
        .desired
        .hosts
        .values()
        .filter(|host| note.hosts.contains(&host.name));
    InitialCluster {
        state: InitialState::New,
        token: note.token.clone(),
        members: hosts.map(|host| (host.name.to_string(), host.peer_url())).collect(),
    }
}

fn tool(supplies: &Supplies, situation: Situation<'_>, facts: &HostFacts) -> Option<RestoreTool> {
    let arch = facts.system.arch?;
    let programs = supplies.releases.iter().flat_map(|(version, archs)| {
        let names = archs.get(&arch).into_iter().flat_map(|files| files.keys());
        names.filter_map(|name| Some((*version, Program::from_name(name)?)))
    });
    RestoreTool::choose(programs, situation.desired.version)
}

fn no_tool(situation: Situation<'_>, host: &DesiredHost) -> Blocked {
    let version = situation.desired.version;
    Blocked::new(
        Rule::Bundle,
        format!("the bundle has no program for it that can restore for etcd {version}"),
        format!("add the etcdutl of {version} to the bundle with `quorate bundle create`"),
    )
    .on(&host.name)
}

/// Raising revisions takes a release that can; all hosts must do the same.
fn with_possible_bump(note: RestoreNote, resumed: bool, parts: &[Part<'_>]) -> RestoreNote {
    let possible = resumed || parts.iter().all(|part| part.tool.bumps());
    RestoreNote {
        bump: note.bump.filter(|_| possible),
        ..note
    }
}

fn can_give_a_snapshot(situation: Situation<'_>) -> bool {
    situation
        .membership()
        .is_some_and(|m| m.voters().any(|voter| m.healthy(voter.id)))
}

fn notes(sight: &Sight, order: &RestoreOrder, note: &RestoreNote, parts: &[Part<'_>], resumed: bool) -> Vec<String> {
    let mut notes = vec![
        "Kubernetes: stop every kube-apiserver before you continue (move its manifest out of the static pod directory); \
         afterwards start them again, then restart controller managers, schedulers and kubelets"
            .to_owned(),
    ];
    match note.bump {
        Some(bump) => notes.push(format!("revisions are raised by {bump}, and older ones count as compacted: watchers have to list again")),
        None if order.bump.is_some() && parts.iter().any(|part| !part.tool.bumps()) => notes.push(
            "the releases in the bundle cannot raise revisions: caches that outlive the restore (Kubernetes) will be stale"
                .to_owned(),
        ),
        None => {}
    }
    if order.bare {
        notes.push("a bare database has no checksum, and lacks whatever was only in the write-ahead log".to_owned());
    }
    if !order.without.is_empty() {
        let names: Vec<&str> = order.without.iter().map(|name| name.as_str()).collect();
        let text = format!(
            "{} is excluded: it must not start again with its old data. If it never comes back, remove it from the inventory",
            names.join(", ")
        );
        notes.push(sight.hint(&text, Some(&LastResort::when_it_comes_back())));
    }
    if resumed {
        notes.push(format!("continues the restore that was started at {}", note.begun));
    }
    notes
}

fn write_notes(parts: &[Part<'_>], note: &RestoreNote) -> Vec<Step> {
    let without = parts
        .iter()
        .filter(|part| RestoreNote::on(part.host, part.facts).flatten().as_ref() != Some(note));
    let steps = without.map(|part| {
        let action = Action::NoteRestore { note: note.clone() };
        on(&part.host.name, action, Risk::Reversible).ensures(noted(part, note))
    });
    // A restore whose last step was cut off has nothing left but to remove the other notes.
    if parts.iter().all(|part| part.done && part.facts.service.pid.is_some()) {
        Vec::new()
    } else {
        steps.collect()
    }
}

fn provision(parts: &[Part<'_>]) -> Vec<Step> {
    let due = parts.iter().filter(|part| !part.provision.is_empty());
    due.map(|part| {
        on(
            &part.host.name,
            Action::Provision {
                change: part.provision.clone(),
            },
            Risk::Reversible,
        )
    })
    .collect()
}

fn stage(parts: &[Part<'_>], order: &RestoreOrder, note: &RestoreNote) -> Vec<Step> {
    let due = parts.iter().filter(|part| !part.done);
    due.map(|part| {
        let action = Action::StageSnapshot {
            snapshot: order.snapshot.clone(),
            at: part.host.paths.work(),
            tool: staged_tool(part),
        };
        on(&part.host.name, action, Risk::Reversible).requires(noted(part, note))
    })
    .collect()
}

/// The tool, when it does not belong to the release that is installed anyway.
fn staged_tool(part: &Part<'_>) -> Option<RestoreTool> {
    let installed = part.provision.release.as_ref().map(|release| release.version);
    let there = part.facts.releases.get(&part.tool.version);
    let comes = installed == Some(part.tool.version);
    let is_there = there.is_some_and(|files| files.contains_key(part.tool.program.as_str()));
    (!comes && !is_there).then_some(part.tool)
}

fn stop(parts: &[Part<'_>], note: &RestoreNote, policy: Policy) -> Vec<Step> {
    let due = parts.iter().filter(|part| !part.done);
    due.map(|part| {
        let risk = match part.facts.service.pid {
            Some(_) => Risk::Outage,
            None => Risk::Reversible,
        };
        let stop = on(&part.host.name, Action::Retire, risk).ensures(stopped(part));
        let stop = unwatched(stop, part.host, part.facts, policy);
        parts.iter().fold(stop, |step, other| step.requires(noted(other, note)))
    })
    .collect()
}

/// Somebody may have connected again while the hosts were prepared.
pub(super) fn unwatched(stop: Step, host: &DesiredHost, facts: &HostFacts, policy: Policy) -> Step {
    match facts.service.pid {
        Some(_) if !policy.accept_outage => stop.requires(Check::NobodyConnected {
            node: host.name.clone(),
        }),
        _ => stop,
    }
}

fn launch(parts: &[Part<'_>]) -> Vec<Step> {
    let due = parts.iter().filter(|part| !part.launch.is_empty());
    due.map(|part| {
        let change = part.launch.clone();
        on(&part.host.name, Action::Provision { change }, Risk::Reversible).requires(stopped(part))
    })
    .collect()
}

fn make_room(parts: &[Part<'_>]) -> Vec<Step> {
    let due = parts
        .iter()
        .filter(|part| !part.done && part.facts.data.state != DataState::Empty);
    due.map(|part| all_stopped(on(&part.host.name, Action::MakeRoom, Risk::DestroysData), parts))
        .collect()
}

fn restore_data(
    situation: Situation<'_>,
    parts: &[Part<'_>],
    order: &RestoreOrder,
    note: &RestoreNote,
    id: ClusterId,
) -> Vec<Step> {
    let initial = initial(situation, note);
    let due = parts.iter().filter(|part| !part.done);
    due.map(|part| {
        let paths = &part.host.paths;
        let place = staged_tool(part).map_or(paths.release(part.tool.version), |_| {
            paths.restore_tool(&part.host.service)
        });
        let action = Action::RestoreData(Box::new(RestoreData {
            at: paths.work(),
            tool: place.join(part.tool.program.as_str()),
            initial_cluster: initial.text(),
            token: note.token.clone(),
            url: part.host.peer_url(),
            bump: note.bump,
            checksum: !order.bare,
            marker: marker(situation, part, id, false),
        }));
        // What was there has been moved aside by now, and that was the step that may cost something.
        let step = on(&part.host.name, action, Risk::Reversible).ensures(restored(part, id));
        all_stopped(step, parts)
    })
    .collect()
}

fn marker(situation: Situation<'_>, part: &Part<'_>, id: ClusterId, complete: bool) -> Marker {
    Marker {
        cluster: situation.desired.cluster.clone(),
        cluster_id: id,
        member: part.host.name.clone(),
        complete,
    }
}

fn start(parts: &[Part<'_>], id: ClusterId) -> Vec<Step> {
    let due = parts
        .iter()
        .filter(|part| !(part.done && part.facts.service.pid.is_some()));
    due.map(|part| {
        let started = Check::Started {
            node: part.host.name.clone(),
        };
        let start = on(&part.host.name, Action::Start, Risk::Reversible).ensures(started);
        parts
            .iter()
            .fold(start, |step, other| step.requires(restored(other, id)))
    })
    .collect()
}

fn look_again(parts: &[Part<'_>], id: ClusterId) -> Step {
    let nodes: Vec<_> = parts.iter().map(|part| part.host.name.clone()).collect();
    let healthy = Check::AllHealthy {
        cluster_id: Some(id),
        members: nodes.len(),
    };
    let action = Action::LookAgain {
        nodes,
        cluster_id: Some(id),
    };
    step(Target::Cluster, action, Risk::ReadOnly).ensures(healthy)
}

fn compare(order: &RestoreOrder, note: &RestoreNote) -> Step {
    let revision = order.manifest.as_ref().map_or(0, |manifest| manifest.revision);
    let raised = i64::try_from(note.bump.unwrap_or(0)).unwrap_or(0);
    // A database without a single key is at revision 1 by definition only: raised, it is at the bump itself.
    let in_the_database = if revision <= 1 && raised > 0 { 0 } else { revision };
    let at_least = raised.saturating_add(in_the_database);
    step(Target::Cluster, Action::CompareMembers { at_least }, Risk::ReadOnly)
}

fn complete(situation: Situation<'_>, parts: &[Part<'_>], id: ClusterId) -> Vec<Step> {
    let steps = parts.iter().map(|part| {
        let change = HostChange {
            marker: Some(marker(situation, part, id, true)),
            enable: part.host.service_manager == ServiceManager::Systemd,
            ..HostChange::default()
        };
        on(&part.host.name, Action::Provision { change }, Risk::Reversible)
    });
    steps.collect()
}

fn forget(parts: &[Part<'_>]) -> Vec<Step> {
    let steps = parts.iter().map(|part| {
        let action = Action::ForgetRestore {
            at: part.host.paths.work(),
            note: RestoreNote::path(part.host),
        };
        on(&part.host.name, action, Risk::Reversible)
    });
    steps.collect()
}

fn noted(part: &Part<'_>, note: &RestoreNote) -> Check {
    Check::RestoreNoted {
        node: part.host.name.clone(),
        at: RestoreNote::path(part.host),
        token: note.token.clone(),
    }
}

fn stopped(part: &Part<'_>) -> Check {
    Check::Stopped {
        node: part.host.name.clone(),
    }
}

fn restored(part: &Part<'_>, id: ClusterId) -> Check {
    Check::Restored {
        node: part.host.name.clone(),
        cluster_id: id,
    }
}

/// Only when every member is proved to be down: one that still runs would go on with the old data.
fn all_stopped(step: Step, parts: &[Part<'_>]) -> Step {
    parts
        .iter()
        .filter(|part| !part.done)
        .fold(step, |step, part| step.requires(stopped(part)))
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
