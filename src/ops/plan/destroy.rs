//! `destroy`: a last backup, everybody stops and is kept down, the data goes aside, and what quorate installed goes last.

use super::beforehand::snapshot_first;
use super::bootstrap::known_hosts;
use super::drift::managed_files;
use super::restore::unwatched;
use super::waves::{Draft, Effect, on};
use super::{Action, Risk, Situation, Step, pki_manifest, rest};
use crate::host::{DataState, HostFacts};
use crate::inventory::{Connection, DesiredHost, HostPath};
use crate::ops::check::Check;
use crate::ops::destroy::{DestroyOrder, end_noted, left_of};
use crate::ops::rest::{RestNote, TurnNote};
use crate::ops::safety::Blocked;
use crate::ops::safety::destroy::{LastBackup, may_destroy};
use crate::ops::safety::quorum::Strength;
use crate::render::{CRL, SchedulePaths};

type Parts<'a> = Vec<(&'a DesiredHost, &'a HostFacts)>;

/// Plans the end of a cluster.
pub(super) fn destroy(situation: Situation<'_>, order: &DestroyOrder) -> Result<Draft, Vec<Blocked>> {
    let backup = may_destroy(situation.desired, situation.observed, order, situation.policy)?;
    let note_stays = !order.without.is_empty();
    let parts: Parts<'_> = known_hosts(situation)
        .filter(|(host, facts)| left_of(host, facts, note_stays).is_some())
        .collect();
    let mut draft = Draft::new(situation.membership().map(Strength::of));
    if parts.is_empty() {
        return Ok(draft);
    }
    if backup == LastBackup::Taken {
        snapshot_first(situation, "before-destroy".to_owned(), None, &mut draft);
    }
    let (followers, leader) = stops(situation, order, &parts);
    let title = match leader.is_empty() {
        true => "stop the members",
        false => "stop the followers",
    };
    draft.wave(title, Effect::Rests(followers.len()), followers);
    draft.wave("stop the leader", Effect::Rests(leader.len()), leader);
    // From here on there is no cluster whose failures could be counted.
    let mut rest = Draft::new(None);
    let title = match order.wipe {
        true => "delete the data",
        false => "move the data aside",
    };
    rest.wave(title, Effect::None, data(order, &parts));
    rest.wave("remove the members", Effect::None, removals(&parts, note_stays));
    draft.waves.extend(rest.waves);
    draft.notes = notes(order, backup, &parts);
    Ok(draft)
}

/// Everybody is noted and stopped who is not yet: the followers, and the leader.
fn stops(situation: Situation<'_>, order: &DestroyOrder, parts: &Parts<'_>) -> (Vec<Step>, Vec<Step>) {
    let membership = situation.membership();
    let leads = |host: &DesiredHost| {
        membership.is_some_and(|m| m.leader().is_some() && m.of(host).map(|member| member.id) == m.leader())
    };
    let down = |host: &DesiredHost, facts: &HostFacts| {
        let noted = end_noted(host, facts).is_some();
        noted && facts.service.pid.is_none() && !facts.service.enabled
    };
    let due = parts.iter().filter(|(host, facts)| !down(host, facts));
    let steps = due.map(|(host, facts)| {
        let risk = match facts.service.pid {
            Some(_) => Risk::Outage,
            None => Risk::Reversible,
        };
        let stop = rest::rest(host, facts, &order.note, false, risk);
        (leads(host), unwatched(stop, host, facts, situation.policy))
    });
    let (leader, followers): (Vec<_>, Vec<_>) = steps.partition(|(leads, _)| *leads);
    let steps = |of: Vec<(bool, Step)>| of.into_iter().map(|(_, step)| step).collect();
    (steps(followers), steps(leader))
}

/// Nobody's data is touched before everybody has stopped.
fn data(order: &DestroyOrder, parts: &Parts<'_>) -> Vec<Step> {
    let (action, risk) = match order.wipe {
        true => (Action::Wipe, Risk::DestroysData),
        false => (Action::SetAside, Risk::Outage),
    };
    let due = parts
        .iter()
        .filter(|(_, facts)| facts.data.state != DataState::Empty)
        .map(|(host, _)| all_stopped(on(&host.name, action.clone(), risk), parts));
    due.collect()
}

fn removals(parts: &Parts<'_>, note_stays: bool) -> Vec<Step> {
    let removal = |(host, _): &(&DesiredHost, &HostFacts)| {
        let action = Action::Withdraw {
            files: installed(host),
            note: (!note_stays).then(|| RestNote::path(host)),
        };
        let removed = on(&host.name, action, Risk::Reversible).ensures(Check::NothingLeft {
            node: host.name.clone(),
            note_stays: note_stays.then(|| RestNote::path(host)),
        });
        all_stopped(removed, parts)
    };
    parts.iter().map(removal).collect()
}

fn all_stopped(step: Step, parts: &Parts<'_>) -> Step {
    parts.iter().fold(step, |step, (host, _)| {
        step.requires(Check::Stopped {
            node: host.name.clone(),
        })
    })
}

/// All that quorate puts on a host for its member, keys first; not the releases, which other clusters on the host may use,
/// and not the data.
fn installed(host: &DesiredHost) -> Vec<HostPath> {
    let pki = |name: &&str| host.paths.pki.join(name);
    let certificates = [
        "server.key",
        "peer.key",
        "server.crt",
        "peer.crt",
        "ca.crt",
        CRL,
        "current",
    ];
    let mut files: Vec<HostPath> = certificates.iter().map(pki).collect();
    // Below `current`, which is a link.
    debug_assert!(pki_manifest(host).is_within(&host.paths.pki));
    let schedule = SchedulePaths::of(host);
    files.extend(schedule.all().into_iter().cloned());
    // Where a backup was cut off there are data in it.
    files.push(schedule.state);
    files.extend(managed_files(host));
    files.push(TurnNote::path(host));
    files
}

fn notes(order: &DestroyOrder, backup: LastBackup, parts: &Parts<'_>) -> Vec<String> {
    let mut notes: Vec<String> = order
        .without
        .iter()
        .map(|name| {
            format!(
                "{name} is excluded and may come back: until `quorate destroy` was run with it, the other hosts keep a note, and \
                 quorate refuses everything else"
            )
        })
        .collect();
    let local = parts.iter().any(|(host, _)| host.connection == Connection::Local);
    if local && backup == LastBackup::Taken {
        notes.push(
            "the last backup is on this machine, which is a host of the cluster: copy it to another one".to_owned(),
        );
    }
    notes
}
