//! What has changed between two looks at a cluster, a sentence each, and the newest of those. This is how a command that somebody
//! else runs is followed: by what it does to the members. Pure.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::cli::many::rows::command_in_short;
use crate::cli::status::{Glance, MemberGlance};
use crate::ops::plan::count;
use crate::report::one_line;

/// More than these are not kept, of all clusters together.
const KEPT: usize = 200;

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// When it was seen.
    pub at: Timestamp,
    /// The cluster.
    pub cluster: String,
    /// What it is about, where that is one member.
    pub member: Option<String>,
    /// A sentence without a full stop, one line.
    pub says: String,
}

/// The newest changes, oldest first.
#[derive(Debug, Default)]
pub struct News(VecDeque<Piece>);

impl News {
    /// Takes one.
    pub fn push(&mut self, at: Timestamp, cluster: &str, member: Option<&str>, says: &str) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Piece {
            at,
            cluster: cluster.to_owned(),
            member: member.map(str::to_owned),
            says: one_line(says),
        });
    }

    /// Takes what has changed.
    pub fn compare(&mut self, at: Timestamp, cluster: &str, before: &Glance, after: &Glance) {
        for (member, says) in changes(before, after) {
            self.push(at, cluster, member.as_deref(), &says);
        }
    }

    /// The newest `room` of those that are wanted, oldest first.
    pub fn newest(&self, room: usize, wanted: impl Fn(&Piece) -> bool) -> Vec<&Piece> {
        let mut newest: Vec<&Piece> = self.0.iter().rev().filter(|piece| wanted(piece)).take(room).collect();
        newest.reverse();
        newest
    }
}

type Change = (Option<String>, String);

fn changes(before: &Glance, after: &Glance) -> Vec<Change> {
    let mut changes: Vec<Change> = lock(before, after).map(|says| (None, says)).into_iter().collect();
    for member in &after.members {
        let was = before.members.iter().find(|was| was.name == member.name);
        let says = match was {
            Some(was) => of_member(was, member),
            None => vec!["was added".to_owned()],
        };
        let named = |says| (Some(member.name.clone()), format!("{} {says}", member.name));
        changes.extend(says.into_iter().map(named));
    }
    let gone = before
        .members
        .iter()
        .filter(|was| !after.members.iter().any(|member| member.name == was.name));
    changes.extend(gone.map(|was| (Some(was.name.clone()), format!("{} was removed", was.name))));
    let on = |alarms: &[String], others: &[String]| -> Vec<String> {
        alarms.iter().filter(|alarm| !others.contains(alarm)).cloned().collect()
    };
    changes.extend(
        on(&after.alarms, &before.alarms)
            .iter()
            .map(|alarm| (None, format!("alarm {alarm} is on"))),
    );
    changes.extend(
        on(&before.alarms, &after.alarms)
            .iter()
            .map(|alarm| (None, format!("alarm {alarm} is off"))),
    );
    if let (Some(was), Some(is)) = (before.can_lose, after.can_lose)
        && was != is
    {
        changes.push((None, format!("survives {} now", count(is, "failure"))));
    }
    changes
}

fn lock(before: &Glance, after: &Glance) -> Option<String> {
    let command = |glance: &Glance| {
        glance
            .lock_command
            .as_deref()
            .map_or("a command".to_owned(), command_in_short)
    };
    match (&before.locked_by, &after.locked_by) {
        (was, Some(by)) if was.as_ref() != Some(by) => Some(format!("{} by {by}", command(after))),
        (Some(_), None) => Some(format!("{} has ended: the lock is free", command(before))),
        _ => None,
    }
}

fn of_member(was: &MemberGlance, is: &MemberGlance) -> Vec<String> {
    let mut says = Vec::new();
    if was.healthy != is.healthy {
        says.push(match is.healthy {
            Some(true) => "is healthy".to_owned(),
            Some(false) => format!("is down: {}", is.problem.as_deref().unwrap_or("it does not answer")),
            None => format!(
                "is unknown: {}",
                is.unknown.as_deref().unwrap_or("it was not heard from")
            ),
        });
    }
    if let (false, true) = (was.leader, is.leader) {
        says.push("leads".to_owned());
    }
    match (was.learner && was.id.is_some(), is.learner, is.id.is_some()) {
        (true, false, true) => says.push("is a voter".to_owned()),
        (false, true, true) => says.push("is a learner".to_owned()),
        _ => {}
    }
    if let (Some(from), Some(to)) = (&was.version, &is.version)
        && from != to
    {
        says.push(format!("runs {to}, and ran {from}"));
    }
    says
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::glance;
    use crate::ops::model::Fact;
    use crate::ops::samples;

    fn well() -> Glance {
        let desired = samples::desired(3);
        let mut world = samples::observed(&desired);
        world.cluster = Fact::Known(samples::membership(&desired));
        glance(&desired, &world)
    }

    fn noon() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn somebody_elses_upgrade_is_followed_by_what_it_does() {
        let mut news = News::default();
        let mut story = vec![well()];
        let mut then = |change: &dyn Fn(&mut Glance)| {
            let mut next = story.last().unwrap().clone();
            change(&mut next);
            story.push(next);
        };
        then(&|glance| {
            glance.locked_by = Some("ann@laptop since 2026-01-01T12:00:00Z".into());
            glance.lock_command = Some("quorate -i eu/prod.yml upgrade --to 3.6.16".into());
        });
        then(&|glance| {
            glance.members[1].healthy = Some(false);
            glance.members[1].problem = Some("its member does not run".into());
            glance.can_lose = Some(0);
        });
        then(&|glance| {
            glance.members[1].healthy = Some(true);
            glance.members[1].version = Some("3.6.16".into());
            glance.can_lose = Some(1);
        });
        then(&|_| {});
        then(&|glance| {
            glance.members[0].leader = false;
            glance.members[2].leader = true;
            glance.alarms = vec!["NOSPACE etcd-1".into()];
        });
        then(&|glance| {
            glance.locked_by = None;
            glance.members.pop();
        });
        for pair in story.windows(2) {
            news.compare(noon(), "prod", &pair[0], &pair[1]);
        }
        let told: Vec<&str> = news
            .newest(50, |_| true)
            .iter()
            .map(|piece| piece.says.as_str())
            .collect();
        insta::assert_snapshot!(told.join("\n"));
        let of_one = news.newest(50, |piece| {
            piece.member.as_deref() == Some(story[0].members[1].name.as_str())
        });
        assert_eq!(of_one.len(), 3);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut news = News::default();
        (0..1000).for_each(|n| news.push(noon(), "a", None, &n.to_string()));
        assert_eq!(news.newest(usize::MAX, |_| true).len(), KEPT);
        assert_eq!(news.newest(1, |_| true)[0].says, "999");
    }
}
