//! `defrag`, `compact`, `alarm disarm`: upkeep in the order that etcd's own guides give.

use super::bootstrap::known_hosts;
use super::converge::unreachable;
use super::waves::{Draft, Effect, on, step};
use super::{Action, Risk, Situation, Step, Target, living};
use crate::etcd::{AlarmKind, Member, MemberStatus};
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Membership};
use crate::ops::safety::quorum::{Strength, without_quorum};
use crate::ops::safety::upkeep::{may_defragment, may_disarm, quota, quota_in_force, worth_defragmenting};
use crate::ops::safety::{Blocked, Rule};
use crate::ops::sight::cannot_tell;

/// Entries that a member may be behind before the next one's turn.
const CAUGHT_UP: u64 = 500;

/// Plans `defrag`: followers first, the leader last and after handing over, only where it is worth it.
pub(super) fn defragment(situation: Situation<'_>, limit: &[NodeName], force: bool) -> Result<Draft, Vec<Blocked>> {
    let membership = living(situation)?;
    let mut draft = Draft::new(Some(Strength::of(membership)));
    let covered = |host: &DesiredHost| limit.is_empty() || limit.contains(&host.name);
    let whom = if force { Whom::AsAsked } else { Whom::WorthIt };
    one_by_one(situation, membership, &covered, whom, &mut draft)?;
    Ok(draft)
}

/// Plans `compact`.
pub(super) fn compact(situation: Situation<'_>, keep: u64) -> Result<Draft, Vec<Blocked>> {
    let membership = living(situation)?;
    quorate(membership)?;
    let mut draft = Draft::new(Some(Strength::of(membership)));
    compact_all_but(membership, keep, &mut draft);
    if draft.waves.is_empty() {
        draft.notes.push(format!("there are no more than {keep} revisions"));
    }
    Ok(draft)
}

/// Plans `alarm disarm`: for NOSPACE compact, defragment everybody, and only then disarm; CORRUPT only once all members
/// hold the same data.
pub(super) fn disarm(situation: Situation<'_>) -> Result<Draft, Vec<Blocked>> {
    let membership = living(situation)?;
    quorate(membership)?;
    let mut draft = Draft::new(Some(Strength::of(membership)));
    let on = |kind| membership.alarms.iter().any(|alarm| alarm.kind == kind);
    if membership.alarms.is_empty() {
        draft.notes.push("no alarm is active".to_owned());
        return Ok(draft);
    }
    may_disarm(situation.desired, membership).map_err(|refusal| vec![refusal])?;
    if on(AlarmKind::Corrupt) {
        let compare = step(Target::Cluster, Action::CompareMembers { at_least: 0 }, Risk::ReadOnly);
        draft.wave(
            "verify that all members hold the same data",
            Effect::None,
            vec![compare],
        );
        draft.wave("disarm the alarm", Effect::None, vec![take_back(AlarmKind::Corrupt)]);
    }
    if on(AlarmKind::Nospace) {
        let another = known_hosts(situation)
            .filter(|(host, _)| membership.of(host).is_some())
            .filter_map(|(host, facts)| quota_in_force(situation.desired, host, facts).err());
        let another: Vec<Blocked> = another.collect();
        if !another.is_empty() {
            return Err(another);
        }
        compact_all_but(membership, 0, &mut draft);
        let without_corrupt = Membership {
            alarms: membership
                .alarms
                .iter()
                .filter(|a| a.kind == AlarmKind::Nospace)
                .copied()
                .collect(),
            ..membership.clone()
        };
        one_by_one(situation, &without_corrupt, &|_| true, Whom::Everybody, &mut draft)?;
        let quota = quota(situation.desired).unwrap_or(0);
        let back = take_back(AlarmKind::Nospace)
            .requires(Check::RoomForWrites { quota })
            .ensures(Check::NoAlarm);
        draft.wave("disarm the alarm", Effect::None, vec![back]);
    }
    Ok(draft)
}

fn take_back(kind: AlarmKind) -> Step {
    step(Target::Cluster, Action::Disarm { kind }, Risk::Reversible)
}

fn quorate(membership: &Membership) -> Result<(), Vec<Blocked>> {
    // CORRUPT is on every member's lips, and does not keep them from electing and agreeing.
    let voters = membership.voters().count();
    let now = Strength {
        voters,
        healthy: membership.voters().filter(|m| membership.takes_part(m.id)).count(),
    };
    if now.has_quorum() {
        return Ok(());
    }
    Err(vec![without_quorum(membership, now)])
}

fn compact_all_but(membership: &Membership, keep: u64, draft: &mut Draft) {
    let statuses = membership.status.values().filter_map(Fact::known);
    let newest = statuses.map(|status| status.header.revision).max().unwrap_or(0);
    let revision = newest.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX));
    if revision > 0 {
        let compact = step(Target::Cluster, Action::Compact { revision }, Risk::Reversible);
        draft.wave("compact old revisions", Effect::None, vec![compact]);
    }
}

/// Whose turn comes at all.
#[derive(Clone, Copy)]
enum Whom {
    /// Where it is worth the pause.
    WorthIt,
    /// Also where it is not: that was asked for.
    AsAsked,
    /// Every one: how much compacting frees is known only afterwards.
    Everybody,
}

/// The turns, one member after the other.
fn one_by_one(
    situation: Situation<'_>,
    membership: &Membership,
    covered: &dyn Fn(&DesiredHost) -> bool,
    whom: Whom,
    draft: &mut Draft,
) -> Result<(), Vec<Blocked>> {
    let quota = quota(situation.desired);
    let (mut blocked, mut turns) = (Vec::new(), Vec::new());
    for host in situation.desired.hosts.values().filter(|host| covered(host)) {
        let Some(member) = membership.of(host).filter(|member| !member.learner) else {
            continue;
        };
        let Some(status) = membership.status_of(member.id) else {
            let so = "skipped until its host can be inspected";
            if let Some(refusal) = cannot_tell(membership, std::iter::once(member), so) {
                blocked.push(refusal);
                continue;
            }
            let refusal = Blocked::new(
                Rule::NotSettled,
                "it does not answer",
                "bring it back first (`quorate up`)",
            );
            blocked.push(refusal.on(&host.name));
            continue;
        };
        let why = match (whom, worth_defragmenting(status, quota)) {
            (Whom::Everybody, _) => "it returns the space freed by compaction to the disk".to_owned(),
            (_, Ok(why)) => why,
            (Whom::AsAsked, Err(why)) => format!("it was requested, although {why}"),
            (Whom::WorthIt, Err(why)) => {
                draft.notes.push(format!("{}: not needed: {why}", host.name));
                continue;
            }
        };
        turns.push((host, member, status, why));
    }
    blocked.extend(unreachable(situation, &|node| {
        turns.iter().any(|(host, ..)| host.name == *node)
    }));
    for (host, member, status, _) in &turns {
        blocked.extend(may_defragment(membership, member.id).err().map(|b| b.on(&host.name)));
        blocked.extend(no_room(situation, host, status));
    }
    if !blocked.is_empty() {
        return Err(blocked);
    }
    let leads = |member: &Member| membership.leader() == Some(member.id);
    turns.sort_by_key(|(_, member, ..)| (leads(member), member.id));
    for (host, member, status, why) in turns {
        let url = host.peer_url();
        if leads(member) && membership.voters().count() > 1 {
            let over = step(Target::Cluster, Action::HandOver { url: url.clone() }, Risk::Reversible)
                .ensures(Check::NotLeader { url: url.clone() });
            draft.wave(
                format!("transfer leadership from {}", host.name),
                Effect::None,
                vec![over],
            );
        }
        // A member that is busy with it answers nobody, but it is not gone: raft goes on.
        let turn = on(
            &host.name,
            Action::Defragment { url: url.clone() },
            Risk::ReducesRedundancy,
        )
        .requires(Check::SafeToDefragment { url: url.clone() })
        .ensures(Check::HealthyVoter { url: url.clone() })
        .ensures(Check::CaughtUp { url, within: CAUGHT_UP })
        .because([why, format!("its clients wait for about {} s", seconds(status))]);
        draft.wave(format!("defragment {}", host.name), Effect::None, vec![turn]);
    }
    Ok(())
}

/// 352 MB took five seconds; slower disks take longer.
fn seconds(status: &MemberStatus) -> u64 {
    1 + status.db_in_use / (50 << 20)
}

/// The new file is written beside the old one.
fn no_room(situation: Situation<'_>, host: &DesiredHost, status: &MemberStatus) -> Option<Blocked> {
    let facts = situation.observed.hosts.get(&host.name)?.known()?;
    let disk = facts.system.disks.get(&host.paths.data)?;
    let needed = status.db_in_use + (32 << 20);
    (disk.free_bytes < needed).then(|| {
        Blocked::new(
            Rule::Host,
            format!(
                "{} has {} MiB free, but the new file needs {} MiB next to the old one",
                host.paths.data,
                disk.free_bytes >> 20,
                needed >> 20
            ),
            "free some space on it",
        )
        .on(&host.name)
    })
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
