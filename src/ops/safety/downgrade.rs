//! The way back over a minor release, as etcd itself opens it from 3.6 on: it is told first, lowers the version that the
//! cluster works at, brings the storage of each member into the older form, and only then an older server starts on it
//! (facts/etcd.md section 5; server/etcdserver/version/monitor.go). The job ends by itself with the last member, and can
//! be called off until then.

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
    match under_way(membership) {
        Some(target) if target.series() == to.series() => {
            match later.all(|member| may_go_back(membership, member.id, to).is_ok()) {
                true => WayBack::Open,
                false => WayBack::Opening,
            }
        }
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
/// Who is not well, who runs something else, or what is not finished.
pub fn may_begin(membership: &Membership, to: Version) -> Result<(), Blocked> {
    everybody_is_well(membership)?;
    match under_way(membership) {
        Some(target) if target.series() == to.series() => return Ok(()),
        Some(target) => {
            let reason = format!("etcd is on its way back to {} already", target.series_text());
            return Err(Blocked::new(
                Rule::Version,
                reason,
                "finish that, or call it off (`quorate status` names both commands)",
            ));
        }
        None => {}
    }
    let newest = membership.releases().max().unwrap_or(to);
    for member in &membership.members {
        let Some(status) = membership.status_of(member.id) else {
            continue;
        };
        if status.version.series() <= to.series() {
            return Err(Blocked::new(
                Rule::Version,
                format!(
                    "{} runs etcd {} beside members of {}: an upgrade was not finished, or a downgrade was called off",
                    name(member),
                    status.version,
                    newest.series_text()
                ),
                format!("go on with `quorate upgrade --to {newest}`; once every member runs it, etcd can go back"),
            ));
        }
        if status.storage_version.map(|version| version.series()) != Some(status.version.series()) {
            let form = match status.storage_version {
                Some(version) => format!("has storage of {}", version.series_text()),
                None => "does not tell the version of its storage".to_owned(),
            };
            return Err(Blocked::new(
                Rule::NotSettled,
                format!(
                    "{} runs etcd {} and {form}: the cluster as a whole does not work at {} yet",
                    name(member),
                    status.version,
                    status.version.series_text()
                ),
                "etcd sees to that within seconds: run the same command again in a moment",
            ));
        }
    }
    Ok(())
}

/// One that is down keeps the cluster's version where it is, and its storage as it was.
fn everybody_is_well(membership: &Membership) -> Result<(), Blocked> {
    if let Some(sick) = membership.members.iter().find(|m| !membership.healthy(m.id)) {
        let so = "etcd goes back as a whole or not at all";
        if let Some(refusal) = cannot_tell(membership, std::iter::once(sick), so) {
            return Err(refusal);
        }
        return Err(Blocked::new(
            Rule::NotSettled,
            format!(
                "{} is not healthy ({}), and etcd goes back as a whole or not at all",
                name(sick),
                why_unhealthy(membership, sick.id)
            ),
            as_it_is(sick),
        ));
    }
    match membership.members.iter().find(|m| m.learner) {
        None => Ok(()),
        Some(learner) => Err(Blocked::new(
            Rule::NotSettled,
            format!("{} is a learner that has not been promoted yet", name(learner)),
            "finish that change first (`quorate up`, with the inventory's version as it was)",
        )),
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
                "{} would be left behind, and etcd goes back as a whole or not at all",
                name(left)
            ),
            "leave `--limit` away; a member that the inventory does not list has to be added to it, or taken out of the \
             cluster (`quorate up --prune`, with the inventory's version as it was)",
        )),
    }
}

/// May this member's binary be exchanged for `to`, as far as the minor goes? An older server ends at once (`invalid
/// downgrade`) on storage or in a cluster that is not ready for it.
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
    if status.downgrade.map(|target| target.series()) != Some(to.series()) {
        return not_yet(format!("{who} knows nothing of a downgrade to {minor}"));
    }
    match membership.works_at.get(&id) {
        Some(works_at) if works_at.series() == to.series() => {}
        Some(works_at) => return not_yet(format!("for {who} the cluster works at {} yet", works_at.series_text())),
        None => return not_yet(format!("{who} does not tell what version the cluster works at")),
    }
    match status.storage_version {
        Some(storage) if storage.series() == to.series() => Ok(()),
        Some(storage) => not_yet(format!("the storage of {who} is that of {} yet", storage.series_text())),
        None => not_yet(format!("{who} does not tell the version of its storage")),
    }
}

const LOOK: &str = "wait; if it does not come about, look at the leader's log (`quorate logs NAME`)";

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
            format!("etcd is still on its way back to {}", target.series_text()),
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

/// What a person should know of a downgrade that is under way: how far it is, and both ways out.
pub fn told(membership: &Membership) -> Option<(String, String)> {
    let target = under_way(membership)?;
    let there: Vec<Version> = membership
        .releases()
        .filter(|version| version.series() == target.series())
        .collect();
    let says = format!(
        "etcd is on its way back to {}: {} of {} members run it",
        target.series_text(),
        there.len(),
        membership.members.len()
    );
    let exactly = |version: Option<Version>, or: String| version.map_or(or, |version| version.to_string());
    let back = exactly(there.into_iter().max(), format!("{}.N", target.series_text()));
    let newest = membership.releases().max().filter(|v| v.series() > target.series());
    let help = match newest {
        Some(newest) => {
            format!("`quorate downgrade --to {back}` goes on with it, `quorate upgrade --to {newest}` calls it off")
        }
        None => "it ends by itself within seconds".to_owned(),
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
