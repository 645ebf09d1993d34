//! Defragmenting and alarms: one member at a time, for a reason, and an alarm is taken back only when its cause is gone
//! (docs/etcd.md, "Databases and alarms").

use super::{Blocked, Rule, name};
use crate::bundle::known_bad;
use crate::etcd::{AlarmKind, Member, MemberStatus};
use crate::host::HostFacts;
use crate::inventory::{Desired, DesiredHost, MemberId};
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Membership, host_of};
use crate::ops::sight::cannot_tell;
use crate::render::option_in;

/// etcd's quota where the configuration names none: 2 GiB.
const DEFAULT_QUOTA: u64 = 2 << 30;
/// The option that sets it.
const QUOTA: &str = "quota-backend-bytes";
/// Free bytes inside the file from which giving them back is worth a pause.
const WORTH_BYTES: u64 = 200 << 20;
/// Share of the quota, in percent, from which the file is worth a pause whatever is free in it.
const WORTH_QUOTA: u64 = 80;
/// Share of the quota, in percent, below which a database must be before its alarm is taken back.
const ROOM_QUOTA: u64 = 90;

/// The quota that the inventory gives the members, bytes; `None` where it is switched off.
pub fn quota(desired: &Desired) -> Option<u64> {
    match desired.options.get(QUOTA).and_then(serde_json::Value::as_i64) {
        None | Some(0) => Some(DEFAULT_QUOTA),
        Some(bytes) => u64::try_from(bytes).ok(),
    }
}

/// The quota in force on a member: its own word (3.6 and later), else the inventory's.
pub fn quota_of(status: &MemberStatus, configured: Option<u64>) -> Option<u64> {
    match status.db_quota {
        0 => configured,
        told => Some(told),
    }
}

/// Does the member run with the quota that the inventory gives it? Before 3.6 a member does not tell its quota, and
/// there is no room in one that still has the old.
///
/// # Errors
/// The host whose member has another.
pub fn quota_in_force(desired: &Desired, host: &DesiredHost, facts: &HostFacts) -> Result<(), Blocked> {
    let config = facts.files.get(&host.paths.config);
    let written = config.and_then(|file| option_in(file.content.as_deref()?, QUOTA)?.as_i64());
    let wanted = desired.options.get(QUOTA).and_then(serde_json::Value::as_i64);
    // What the process has not read is not in force.
    let read = config.is_none_or(|file| {
        let started_with = facts.service.started_with.get(&host.paths.config);
        started_with.is_none_or(|sha256| *sha256 == file.sha256)
    });
    if written.unwrap_or(0) == wanted.unwrap_or(0) && read {
        return Ok(());
    }
    Err(Blocked::new(
        Rule::Upkeep,
        format!("its member does not use the inventory's `{QUOTA}` yet"),
        "apply the configuration first (`quorate up`), then run this again",
    )
    .on(&host.name))
}

/// Is defragmenting this member worth the pause? Says why, either way.
///
/// # Errors
/// Why it is not.
pub fn worth_defragmenting(status: &MemberStatus, quota: Option<u64>) -> Result<String, String> {
    let free = status.db_size.saturating_sub(status.db_in_use);
    let mib = |bytes: u64| bytes >> 20;
    let share = quota_of(status, quota).map(|quota| percent(status.db_size, quota));
    let told = format!("{} MiB, {} MiB of it free", mib(status.db_size), mib(free));
    match share {
        // A full file with nothing free in it stays as it is.
        Some(share) if share > WORTH_QUOTA && free * 20 > status.db_size => {
            Ok(format!("its file is at {share} % of the quota: {told}"))
        }
        Some(share) if share > WORTH_QUOTA => Err(format!(
            "its file is at {share} % of the quota, with almost no free space in it ({told}): compact first, delete keys, \
             or raise `quota-backend-bytes`"
        )),
        _ if free > WORTH_BYTES => Ok(format!("its file has {told}")),
        _ => Err(format!(
            "its file has {told}; defragmenting pays off from {} MiB free or {WORTH_QUOTA} % of the quota",
            mib(WORTH_BYTES)
        )),
    }
}

/// Whether the quota is near enough to do something about it.
pub fn nearly_full(status: &MemberStatus, quota: u64) -> bool {
    percent(status.db_size, quota) > WORTH_QUOTA
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100) / whole.max(1)
}

/// What to do about an alarm, and what else where that does not help.
pub fn way_out(alarm: AlarmKind) -> (&'static str, Option<LastResort>) {
    match alarm {
        AlarmKind::Nospace => ("`quorate alarm disarm` fixes the cause, then disarms the alarm", None),
        AlarmKind::Corrupt => (
            "find the member that differs with `quorate check-hashes`",
            Some(LastResort::replace_whichever_is_odd()),
        ),
    }
}

/// May this member be defragmented now? It answers nobody meanwhile, so all the others must be well.
///
/// # Errors
/// Who is not healthy, what else goes on, or a release that loses data over it.
pub fn may_defragment(membership: &Membership, id: MemberId) -> Result<(), Blocked> {
    let sick = membership.members.iter().find(|m| !membership.healthy(m.id));
    if let Some(member) = sick {
        let so = "a member serves no clients while it is defragmented";
        if let Some(refusal) = cannot_tell(membership, std::iter::once(member), so) {
            return Err(refusal);
        }
        return Err(Blocked::new(
            Rule::NotSettled,
            format!(
                "{} is not healthy, and a member serves no clients while it is defragmented",
                name(member)
            ),
            "bring it back first (`quorate up`)",
        )
        .because_of([member]));
    }
    if let Some(member) = membership.members.iter().find(|m| m.learner) {
        return Err(Blocked::new(
            Rule::NotSettled,
            format!("{} is a learner that has not been promoted yet", name(member)),
            "finish that change first (`quorate up`)",
        )
        .because_of([member]));
    }
    if membership.alarms.iter().any(|alarm| alarm.kind == AlarmKind::Corrupt) {
        let (hint, last) = way_out(AlarmKind::Corrupt);
        let reason = "the alarm CORRUPT is active: members disagree about the data";
        return Err(Blocked {
            last,
            ..Blocked::new(Rule::Upkeep, reason, hint)
        });
    }
    let bad = membership
        .status_of(id)
        .and_then(|status| Some((status.version, known_bad(status.version)?)));
    match bad {
        Some((version, bad)) => Err(Blocked::new(
            Rule::Version,
            format!("it runs etcd {version}, which {}", bad.reason),
            format!(
                "go to {} or later first: `quorate upgrade --to {}`",
                bad.fixed_in, bad.fixed_in
            ),
        )),
        None => Ok(()),
    }
}

/// Is there room again in every database, so that the alarm NOSPACE would not come back with the next write?
///
/// # Errors
/// The member that is still too full, or does not answer.
pub fn has_room(membership: &Membership, configured: u64) -> Result<(), Blocked> {
    let configured = (configured > 0).then_some(configured);
    for member in membership.voters() {
        if membership.status_of(member.id).is_none() {
            let so = "its database may still be full";
            if let Some(refusal) = cannot_tell(membership, std::iter::once(member), so) {
                return Err(refusal);
            }
            return Err(Blocked::new(
                Rule::Unknown,
                format!("{} does not report the size of its database", name(member)),
                "bring it back first (`quorate up`)",
            )
            .because_of([member]));
        }
        let share = share_of_quota(membership, member, configured);
        if share >= ROOM_QUOTA {
            return Err(Blocked::new(
                Rule::Upkeep,
                format!("the database of {} is still at {share} % of its quota", name(member)),
                "delete keys, or raise `quota-backend-bytes` in the inventory and run `quorate up`; then run this again",
            ));
        }
    }
    Ok(())
}

/// May alarms be taken back at all? Every member must be there to be made room on.
///
/// # Errors
/// Who is missing, or full and out of reach.
pub fn may_disarm(desired: &Desired, membership: &Membership) -> Result<(), Blocked> {
    let missing = membership.voters().find(|m| membership.status_of(m.id).is_none());
    if let Some(member) = missing {
        let so = "its database might stay full";
        if let Some(refusal) = cannot_tell(membership, std::iter::once(member), so) {
            return Err(refusal);
        }
        return Err(Blocked::new(
            Rule::NotSettled,
            format!("{} does not answer, so its database would stay full", name(member)),
            "bring it back first (`quorate up`)",
        )
        .because_of([member]));
    }
    let nospace = membership.alarms.iter().any(|alarm| alarm.kind == AlarmKind::Nospace);
    let mut strangers = membership.voters().filter(|m| host_of(desired, m).is_none());
    let full = strangers.find(|m| nospace && share_of_quota(membership, m, quota(desired)) >= ROOM_QUOTA);
    match full {
        None => Ok(()),
        Some(member) => Err(Blocked::new(
            Rule::Upkeep,
            format!(
                "{} is full and not in the inventory, so no space can be freed on it",
                name(member)
            ),
            "add it to the inventory, or remove it from the cluster with `quorate up --prune`",
        )),
    }
}

/// How much of its quota the file of a member takes, percent; nothing where it is not known or the quota is off.
fn share_of_quota(membership: &Membership, member: &Member, configured: Option<u64>) -> u64 {
    let status = membership.status_of(member.id);
    let share = status.and_then(|status| Some(percent(status.db_size, quota_of(status, configured)?)));
    share.unwrap_or(0)
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
