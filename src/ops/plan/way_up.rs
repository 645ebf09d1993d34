//! What the members' data need before the first of them is started with the next minor. 3.5 may take members for removed:
//! a key is written. 3.7 cannot read what members before 3.6 wrote into the raft log: where such entries are left every
//! member writes a new snapshot of its log.

use std::collections::BTreeSet;

use super::bootstrap::known_hosts;
use super::converge::runs;
use super::startable::unit_release;
use super::waves::{Draft, Effect, step};
use super::{Action, Risk, Situation, Target};
use crate::host::{DataState, HostFacts, ServiceState};
use crate::inventory::{Desired, DesiredHost, MemberId, NodeName, Version};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Membership, Observed};
use crate::ops::safety::Blocked;
use crate::ops::safety::downgrade::under_way;
use crate::ops::safety::way_up::{may_enter, may_open, needs_its_old_release, reads_no_v2};

/// The hosts whose members' raft logs have to be read before anything is planned.
pub fn to_be_read<'a>(desired: &'a Desired, seen: &'a Observed) -> impl Iterator<Item = &'a DesiredHost> {
    desired.hosts.values().filter(|host| {
        let facts = seen.hosts.get(&host.name).and_then(Fact::known);
        facts.is_some_and(|facts| starts_onto(desired.version, facts))
    })
}

/// Whether the next start of a member is one that depends on its raft log. One that is ready on such a release has had it
/// behind it.
fn starts_onto(wanted: Version, facts: &HostFacts) -> bool {
    let service = &facts.service;
    let is_there = service.state == ServiceState::Running && service.running_version.is_some_and(reads_no_v2);
    reads_no_v2(wanted) && facts.data.state == DataState::Bootstrapped && !is_there
}

/// What a start of the member on a host needs beforehand.
pub(super) fn needed_for(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Option<Check> {
    let to = situation.desired.version;
    starts_onto(to, facts).then(|| Check::SafeToEnter {
        node: host.name.clone(),
        to,
    })
}

/// The write before the first member of 3.4 is started with 3.5.
///
/// 3.4 notes in its database how far that goes only when a key is written. A member of 3.5 goes through everything behind
/// that again, and from 3.5.26 on it takes, after each change of the members, those for removed that it has not come to yet
/// (`CleanupZombieMembersIfNeeded` in server/etcdserver/api/membership/cluster.go): 3.5 goes on as if nothing were, and 3.6
/// refuses these members for ever. So a cluster into which nothing was written since two members joined would be lost there.
pub(super) fn write_first(
    situation: Situation<'_>,
    membership: &Membership,
    covered: &dyn Fn(&NodeName) -> bool,
    draft: &mut Draft,
) {
    let to = situation.desired.version;
    let leaves = |facts: &HostFacts| {
        facts
            .service
            .running_version
            .is_some_and(|runs| runs.series() < FIRST_TO_SWEEP)
    };
    let mut leaving = known_hosts(situation)
        .filter(|(host, facts)| covered(&host.name) && runs(facts) && leaves(facts))
        .filter(|(host, _)| membership.of(host).is_some_and(|member| member.started()));
    if to.series() < FIRST_TO_SWEEP || leaving.next().is_none() {
        return;
    }
    let write = step(Target::Cluster, Action::WriteOneKey, Risk::Reversible);
    let title = format!("prepare the members' data for {}", to.series_text());
    draft.wave(title, Effect::None, vec![write]);
}

/// The first minor that takes members for removed which it has not come to in its raft log.
const FIRST_TO_SWEEP: (u32, u32) = (3, 5);

/// The wave that opens the way to everybody whom this run starts with the wanted release. `well` are members that it
/// starts, or gives certificates that others accept, before.
///
/// # Errors
/// Who cannot be helped like that, because it does not run; or who keeps the others from it.
pub(super) fn open(
    situation: Situation<'_>,
    membership: &Membership,
    covered: &dyn Fn(&NodeName) -> bool,
    well: &BTreeSet<MemberId>,
    draft: &mut Draft,
) -> Result<(), Vec<Blocked>> {
    let to = situation.desired.version;
    let entering: Vec<(&DesiredHost, &HostFacts)> = known_hosts(situation)
        .filter(|(host, facts)| covered(&host.name) && starts_onto(to, facts))
        .filter(|(host, _)| membership.of(host).is_some_and(|member| member.started()))
        .collect();
    let closed: Vec<(&HostFacts, Blocked)> = entering
        .iter()
        .filter_map(|(host, facts)| Some((*facts, may_enter(&situation.observed.replays, &host.name, to).err()?)))
        .collect();
    // One that was cut off in the middle of it: the version of the cluster has to rise again before anybody goes on.
    let begun = under_way(membership).is_some_and(|target| target.series() < to.series());
    if entering.is_empty() || (closed.is_empty() && !begun) {
        return Ok(());
    }
    let mut blocked: Vec<Blocked> = closed
        .iter()
        .filter(|(facts, _)| !can_write(facts))
        .map(|(_, why)| shut(membership.releases(), why.clone(), to))
        .collect();
    if blocked.is_empty() {
        blocked.extend(may_open(membership, well).err());
    }
    if !blocked.is_empty() {
        return Err(blocked);
    }
    let action = Action::OpenTheWayUp { to };
    let open = step(Target::Cluster, action, Risk::Reversible)
        .requires(Check::SafeToOpenTheWayUp)
        .ensures(Check::NoDowngrade)
        .because(closed.iter().map(|(_, why)| why.to_string()));
    let open = entering.iter().fold(open, |open, (host, _)| {
        open.ensures(Check::SafeToEnter {
            node: host.name.clone(),
            to,
        })
    });
    draft.wave(
        format!("prepare the raft logs for {}", to.series_text()),
        Effect::None,
        vec![open],
    );
    Ok(())
}

/// Whether its member can write a snapshot: it runs, and with a release that reads what is in its log.
fn can_write(facts: &HostFacts) -> bool {
    runs(facts)
        && facts
            .service
            .running_version
            .is_some_and(|version| !reads_no_v2(version))
}

/// The refusal to start a member that is down with what it would end on.
fn shut(others: impl Iterator<Item = Version>, why: Blocked, to: Version) -> Blocked {
    let oldest_to_newest: BTreeSet<Version> = others.collect();
    match why.node.clone() {
        Some(node) => needs_its_old_release(&node, why, oldest_to_newest.last().copied(), to),
        None => why,
    }
}

/// The refusal to start a member while nobody answers, be it with the wanted release or with the one that its unit names.
pub(super) fn cold(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts, put_back: bool) -> Option<Blocked> {
    let wanted = situation.desired.version;
    let starts = match put_back {
        true => Some(wanted),
        false => unit_release(host, facts),
    };
    if !starts.is_some_and(reads_no_v2) || !starts_onto(wanted, facts) {
        return None;
    }
    let why = may_enter(&situation.observed.replays, &host.name, wanted).err()?;
    let had = facts
        .releases
        .keys()
        .copied()
        .filter(|version| !reads_no_v2(*version))
        .max();
    Some(needs_its_old_release(
        &host.name,
        why,
        had.or(Some(LAST_WITH_V2)),
        wanted,
    ))
}

/// The minor from which 3.7 is entered.
const LAST_WITH_V2: Version = Version::new(3, 6, 11);
