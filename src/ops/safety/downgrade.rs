//! The way back over a minor release, as etcd itself opens it from 3.6 on: it is told first, lowers the version that
//! the cluster works at, brings the storage of each member into the older form, and only then an older server starts on
//! it (docs/etcd.md, "Changes of version"; server/etcdserver/version/monitor.go).
//!
//! What etcd tells of its job says little: a leader of 3.5 ends it as soon as the cluster *works* at 3.5 (etcd's
//! `isMatchedVersions`), with members of 3.6 still to come, and tells nobody. Nothing is lost with it: a cluster never
//! works at a later minor than its oldest member runs, whether that one answers or not. So what counts here is what
//! holds: the version that the cluster works at, the form of each storage, and what keeps them where they are (decision
//! 19).

use super::{Blocked, Rule, name};
use crate::etcd::Member;
use crate::inventory::{MemberId, Version};
use crate::ops::check::why_unhealthy;
use crate::ops::model::{Fact, Membership};
use crate::ops::sight::cannot_tell;

/// How far the way back to a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayBack {
    /// Nobody who answers runs a later minor.
    NotNeeded,
    /// etcd has not been told yet.
    Closed,
    /// It has been told, and not every member's storage is ready.
    Opening,
    /// Members may be exchanged, one after the other.
    Open,
}

/// How far the way back to `to` is, by what the members say.
pub fn way_back(membership: &Membership, to: Version) -> WayBack {
    let mut later = later(membership, to).peekable();
    if later.peek().is_none() {
        return WayBack::NotNeeded;
    }
    if later.all(|member| may_go_back(membership, member.id, to).is_ok()) {
        return WayBack::Open;
    }
    match under_way(membership) {
        Some(target) if target.series() == to.series() => WayBack::Opening,
        _ => WayBack::Closed,
    }
}

/// The version that the cluster is on its way back to, as any member tells it.
pub fn under_way(membership: &Membership) -> Option<Version> {
    membership
        .status
        .values()
        .filter_map(Fact::known)
        .find_map(|status| status.downgrade)
}

/// May etcd be told to go back to the minor of `to`? The cluster as a whole must run the next one: etcd lowers its
/// version only while it knows that of every member.
///
/// # Errors
/// Who is not healthy, who runs something else, or what is not finished.
pub fn may_begin(membership: &Membership, to: Version) -> Result<(), Blocked> {
    everybody_is_well(membership)?;
    match under_way(membership) {
        Some(target) if target.series() == to.series() => return Ok(()),
        Some(target) => {
            let reason = format!("etcd is already being downgraded to {}", target.series_text());
            return Err(Blocked::new(
                Rule::Version,
                reason,
                "finish that, or cancel it (`quorate status` shows both commands)",
            ));
        }
        None => {}
    }
    // Beside a member of the older minor the cluster works at that already: there is nothing to tell etcd.
    match runs_at_most(membership, to, None) {
        true => everybody_may_go_back(membership, to),
        false => Ok(()),
    }
}

/// Would etcd listen now? It takes the order from a cluster that works at the minor that its members run, and gets
/// there by itself within seconds after an upgrade, or after a downgrade that was called off.
///
/// # Errors
/// As [`may_begin`], and whose storage has not followed yet.
pub fn would_listen(membership: &Membership, to: Version) -> Result<(), Blocked> {
    may_begin(membership, to)?;
    if under_way(membership).is_some() {
        return Ok(());
    }
    for member in &membership.members {
        let Some(status) = membership.status_of(member.id) else {
            continue;
        };
        if status.storage_version.map(|version| version.series()) != Some(status.version.series()) {
            let form = match status.storage_version {
                Some(version) => format!("has storage of {}", version.series_text()),
                None => "does not report its storage version".to_owned(),
            };
            return Err(Blocked::new(
                Rule::NotSettled,
                format!(
                    "{} runs etcd {} and {form}: the cluster version is not {} yet",
                    name(member),
                    status.version,
                    status.version.series_text()
                ),
                "etcd does that within seconds: run the same command again in a moment",
            ));
        }
    }
    Ok(())
}

/// Whether a member that answers, other than `but`, runs the minor of `to` or an older one.
fn runs_at_most(membership: &Membership, to: Version, but: Option<MemberId>) -> bool {
    membership.members.iter().any(|member| {
        let status = membership.status_of(member.id).filter(|_| Some(member.id) != but);
        status.is_some_and(|status| status.version.series() <= to.series())
    })
}

/// One that is down keeps the cluster's version where it is, and its storage as it was.
fn everybody_is_well(membership: &Membership) -> Result<(), Blocked> {
    if let Some(sick) = membership.members.iter().find(|m| !membership.healthy(m.id)) {
        let so = "etcd downgrades only as a whole";
        if let Some(refusal) = cannot_tell(membership, std::iter::once(sick), so) {
            return Err(refusal);
        }
        return Err(Blocked::new(
            Rule::NotSettled,
            format!(
                "{} is not healthy ({}), and etcd downgrades only as a whole",
                name(sick),
                why_unhealthy(membership, sick.id)
            ),
            as_it_is(sick),
        )
        .because_of([sick]));
    }
    match membership.members.iter().find(|m| m.learner) {
        None => Ok(()),
        Some(learner) => Err(Blocked::new(
            Rule::NotSettled,
            format!("{} is a learner that has not been promoted yet", name(learner)),
            "finish that change first (`quorate up`, with the previous version in the inventory)",
        )
        .because_of([learner])),
    }
}

fn as_it_is(member: &Member) -> String {
    format!(
        "bring it back with the release it has (`quorate restart --limit {}`), then run the same command again",
        name(member)
    )
}

/// Does everybody come along? A member that goes on running the later minor would keep the job from ever ending.
///
/// # Errors
/// Who would be left behind.
pub fn takes_everybody(membership: &Membership, goes: impl Fn(&Member) -> bool) -> Result<(), Blocked> {
    match membership.members.iter().find(|member| !goes(member)) {
        None => Ok(()),
        Some(left) => Err(Blocked::new(
            Rule::Inventory,
            format!(
                "{} would be left behind, and etcd downgrades only as a whole",
                name(left)
            ),
            "omit `--limit`; a member that is not in the inventory has to be added to it, or removed from the cluster (`quorate up --prune`, with the previous version in the \
             inventory)",
        )),
    }
}

/// May this member's binary be exchanged for `to`, as far as the minor goes? An older server ends at once (`invalid
/// downgrade`) on storage or in a cluster that is not ready for it. Both must be, and something must keep them so until
/// it has started: etcd's job, or a member that runs the older minor already.
///
/// # Errors
/// What is not ready.
pub fn may_go_back(membership: &Membership, id: MemberId, to: Version) -> Result<(), Blocked> {
    let Some(member) = membership.members.iter().find(|m| m.id == id) else {
        return Ok(());
    };
    let (who, minor) = (name(member), to.series_text());
    let not_yet = |reason: String| Err(Blocked::new(Rule::NotSettled, reason, LOOK));
    let Some(status) = membership.status_of(id) else {
        let reason = format!("{who} does not answer, so it may not be ready for {minor}");
        let so = "its storage may not be ready for the older release";
        if let Some(refusal) = cannot_tell(membership, std::iter::once(member), so) {
            return Err(refusal);
        }
        return Err(Blocked::new(Rule::Unknown, reason, as_it_is(member)));
    };
    if status.version.series() <= to.series() {
        return Ok(());
    }
    let told = status.downgrade.map(|target| target.series()) == Some(to.series());
    if !told && !runs_at_most(membership, to, Some(id)) {
        return not_yet(format!(
            "{who} does not know of a downgrade to {minor}, and no member runs it"
        ));
    }
    match membership.works_at.get(&id) {
        Some(works_at) if works_at.series() == to.series() => {}
        Some(works_at) => return not_yet(format!("{who} still sees cluster version {}", works_at.series_text())),
        None if !status.between_minors() => {
            return not_yet(format!(
                "{who} still sees cluster version {}",
                status.version.series_text()
            ));
        }
        None => return not_yet(format!("{who} does not report the cluster version")),
    }
    match status.storage_version {
        Some(storage) if storage.series() == to.series() => Ok(()),
        Some(storage) => not_yet(format!(
            "the storage version of {who} is still {}",
            storage.series_text()
        )),
        None => not_yet(format!("{who} does not report its storage version")),
    }
}

const LOOK: &str = "wait; if nothing changes, see the leader's log (`quorate logs NAME`)";

/// Is every member ready for the minor of `to`?
///
/// # Errors
/// The first that is not, and how many are.
pub fn everybody_may_go_back(membership: &Membership, to: Version) -> Result<(), Blocked> {
    let ready = |member: &&Member| may_go_back(membership, member.id, to).is_ok();
    let count = membership.members.iter().filter(ready).count();
    let open = membership
        .members
        .iter()
        .find_map(|member| may_go_back(membership, member.id, to).err());
    match open {
        None => Ok(()),
        Some(open) => Err(Blocked {
            reason: format!(
                "{} ({count} of {} members are ready)",
                open.reason,
                membership.members.len()
            ),
            ..open
        }),
    }
}

/// Is no downgrade under way, as far as members tell?
///
/// # Errors
/// The one that is.
pub fn none_under_way(membership: &Membership) -> Result<(), Blocked> {
    match under_way(membership) {
        None => Ok(()),
        Some(target) => Err(Blocked::new(
            Rule::NotSettled,
            format!("etcd is still being downgraded to {}", target.series_text()),
            LOOK,
        )),
    }
}

/// Does every member run the minor of `to`, and has the job ended?
///
/// # Errors
/// Who is left, or that the job is not over.
pub fn went_back(membership: &Membership, to: Version) -> Result<(), Blocked> {
    for member in &membership.members {
        match membership.status_of(member.id).map(|status| status.version) {
            Some(version) if version.series() == to.series() => {}
            Some(version) => {
                let reason = format!("{} still runs etcd {version}", name(member));
                return Err(Blocked::new(Rule::Version, reason, LOOK));
            }
            None => {
                let reason = format!("{} does not answer", name(member));
                return Err(Blocked::new(Rule::Unknown, reason, LOOK));
            }
        }
    }
    none_under_way(membership)
}

fn opens_the_way_up(membership: &Membership, target: Version, wanted: Version) -> bool {
    membership
        .releases()
        .all(|runs| runs.series() > target.series() && runs.series() < wanted.series())
}

/// May a run that was not told which way go to `wanted`? Members between two minors have come there by an upgrade or a
/// downgrade that was not finished, and the inventory may be older than that. Only upwards, without a job of etcd's, it
/// goes on by itself: so it does after an `up` that brought the later release and was interrupted.
///
/// # Errors
/// What would be turned round, with both ways out.
pub fn goes_on(membership: &Membership, wanted: Version) -> Result<(), Blocked> {
    let turns_round = match under_way(membership) {
        // Nobody has gone back yet, and the inventory wants more than anybody runs: the job is what opens the way up
        // ([`super::way_up`]), cut off in the middle.
        Some(target) if opens_the_way_up(membership, target, wanted) => false,
        Some(target) => wanted.series() > target.series() && later(membership, target).next().is_some(),
        None => runs_at_most(membership, wanted, None) && later(membership, wanted).next().is_some(),
    };
    match told(membership).filter(|_| turns_round) {
        None => Ok(()),
        Some((says, help)) => Err(Blocked::new(
            Rule::Version,
            format!("{says}, but the inventory has {wanted}: applying it might reverse the change"),
            format!("choose a direction: {help}"),
        )),
    }
}

/// What a person should know of members between two minors: how far it is, and both ways out.
pub fn told(membership: &Membership) -> Option<(String, String)> {
    let target = under_way(membership);
    let older = match target {
        Some(target) => target,
        None => membership.releases().min()?,
    };
    let runs = |back: bool| {
        let releases = membership.releases();
        releases.filter(move |version| (version.series() <= older.series()) == back)
    };
    let (back, newest) = (runs(true).max(), runs(false).max());
    let count = runs(true).count();
    let says = match target {
        Some(target) => format!(
            "etcd is being downgraded to {}: {count} of {} members run it",
            target.series_text(),
            membership.members.len()
        ),
        None => format!(
            "its members are between two minor releases: {count} of {} run {}, the others {}",
            membership.members.len(),
            back?.series_text(),
            newest?.series_text()
        ),
    };
    let Some(newest) = newest else {
        return Some((says, "it ends on its own within seconds".to_owned()));
    };
    let up = format!("`quorate upgrade --to {newest}`");
    let down = back.map_or(format!("{}.N", older.series_text()), |version| version.to_string());
    let help = match (target.is_some(), way_back(membership, older)) {
        (true, _) => format!("`quorate downgrade --to {down}` continues it, {up} cancels it"),
        (false, WayBack::Open) => {
            format!("{up} upgrades all of them, `quorate downgrade --to {down}` downgrades all of them")
        }
        (false, _) => format!("{up} upgrades all of them"),
    };
    Some((says, help))
}

/// The members that answer and run a later minor than `to`.
fn later(membership: &Membership, to: Version) -> impl Iterator<Item = &Member> {
    membership.members.iter().filter(move |member| {
        let status = membership.status_of(member.id);
        status.is_some_and(|status| status.version.series() > to.series())
    })
}

#[cfg(test)]
#[path = "downgrade_tests.rs"]
mod tests;
