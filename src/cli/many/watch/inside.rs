//! One cluster of several on the whole screen, and one member of it. Pure; the time is given.

use std::path::Path;

use super::fleet::{cut, keys_told, title};
use super::news::News;
use crate::cli::many::rows::millis;
use crate::cli::status::{Glance, MemberGlance, health_cell, remarks, role, verdict};
use crate::cli::vitals::Vitals;
use crate::cli::watch::frame::rows;
use crate::host::HostFacts;
use crate::ops::observe::{Board, Moment};
use crate::ops::plan::count;
use crate::report::{Cell, Paint, Table, human_bytes, human_seconds, one_line, wrapped};

/// What is shown of a cluster.
pub struct Cluster<'a> {
    /// How it is.
    pub glance: &'a Glance,
    /// What each host told, and when.
    pub board: &'a Board,
    /// What was found out about it with the others, if anything was.
    pub vitals: Option<&'a Vitals>,
    /// What has changed.
    pub news: &'a News,
    /// Its inventory.
    pub path: &'a Path,
}

impl Cluster<'_> {
    /// The screen; `chosen`: the place of a member in the list.
    pub fn lines(&self, chosen: usize, now: Moment, paint: Paint, width: usize, height: usize) -> Vec<String> {
        let glance = self.glance;
        let about = format!(
            "{} {}",
            paint.strong(&one_line(&glance.cluster)),
            verdict(glance, paint)
        );
        let mut body = vec![title(&about, now, paint, width)];
        body.extend(self.lock(paint));
        let table = rows(glance, self.board, now).spare(["ROLE", "ANSWERED"]).choose(chosen);
        let columns = u16::try_from(width).ok();
        body.extend(table.render(columns, paint.colour).lines().map(str::to_owned));
        body.extend(remarks(glance, paint).lines().map(str::to_owned));
        body.extend(self.vitals.iter().flat_map(|vitals| told(vitals, self.path)));
        let news = |room| self.news.newest(room, |piece| piece.cluster == glance.cluster);
        page(body, width, height, paint, |room| {
            let line = |piece: &super::news::Piece| format!("{}  {}", piece.at.strftime("%H:%M:%S"), piece.says);
            news(room).into_iter().map(line).collect()
        })
    }

    /// The screen of one member.
    pub fn member(
        &self,
        member: &MemberGlance,
        facts: Option<&HostFacts>,
        now: Moment,
        paint: Paint,
        width: usize,
        height: usize,
    ) -> Vec<String> {
        let about = format!(
            "{}, member of {}",
            paint.strong(&one_line(&member.name)),
            one_line(&self.glance.cluster)
        );
        let mut body = vec![title(&about, now, paint, width)];
        body.extend(self.lock(paint));
        let mut table = Table::new(["", " "]).prose([" "]);
        for (name, value) in details(member, facts) {
            table.row([Cell::new(name), value]);
        }
        let text = table.render(u16::try_from(width).ok(), paint.colour);
        body.extend(text.lines().skip(1).map(str::to_owned));
        page(body, width, height, paint, |room| {
            let mine = |piece: &super::news::Piece| {
                piece.cluster == self.glance.cluster && piece.member.as_deref().is_none_or(|name| name == member.name)
            };
            let line = |piece: &super::news::Piece| format!("{}  {}", piece.at.strftime("%H:%M:%S"), piece.says);
            self.news.newest(room, mine).into_iter().map(line).collect()
        })
    }

    /// Who changes it, with which command.
    fn lock(&self, paint: Paint) -> Option<String> {
        let by = self.glance.locked_by.as_ref()?;
        let command = self.glance.lock_command.as_deref().unwrap_or("a command");
        Some(paint.busy(&format!("in progress: `{}` by {}", one_line(command), one_line(by))))
    }
}

/// What the fleet's row tells, in sentences.
fn told(vitals: &Vitals, path: &Path) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(slowest) = &vitals.slowest_fsync {
        parts.push(format!(
            "slowest WAL write {} ({})",
            millis(slowest.p99_seconds),
            slowest.member
        ));
    }
    if let Some(slowest) = &vitals.slowest_round_trip {
        parts.push(format!(
            "slowest round trip {} ({})",
            millis(slowest.p99_seconds),
            slowest.member
        ));
    }
    if let Some(at) = vitals.newest_backup {
        parts.push(format!("newest backup {}", at.strftime("%Y-%m-%d %H:%M:%SZ")));
    }
    for release in &vitals.releases {
        match (release.loses_data, release.supported, &release.upgrade) {
            (true, ..) => parts.push(format!("etcd {} is known to lose data", release.version)),
            (_, false, _) => parts.push(format!("etcd {} gets no fixes any more", release.version)),
            (_, _, Some(next)) => parts.push(format!("etcd {} can be upgraded to {next}", release.version)),
            _ => {}
        }
    }
    if let Some(steps @ 1..) = vitals.drift_steps {
        let path = path.display();
        parts.push(format!(
            "{} from its inventory: `quorate -i {path} plan`",
            count(steps, "step")
        ));
    }
    parts.extend(vitals.not_told.iter().cloned());
    parts.iter().map(|part| format!("- {}", one_line(part))).collect()
}

fn details(member: &MemberGlance, facts: Option<&HostFacts>) -> Vec<(&'static str, Cell)> {
    let text = |value: Option<String>| Cell::new(value.unwrap_or_else(|| "-".to_owned()));
    let mut rows = vec![
        ("health", health_cell(member)),
        ("role", Cell::new(role(member))),
        ("address", Cell::new(member.address.clone())),
        ("id", text(member.id.clone())),
        ("release", text(member.version.clone())),
        ("database", text(member.db_size.map(human_bytes))),
        ("in use", text(member.db_in_use.map(human_bytes))),
        ("raft index", text(member.raft_index.map(|index| index.to_string()))),
        ("lag", text(member.lag.map(|lag| lag.to_string()))),
        (
            "certificate",
            text(member.certificate_days.map(|days| format!("{days} days left"))),
        ),
        (
            "answered",
            text(member.seconds_since_answer.map(|seconds| format!("{seconds} s ago"))),
        ),
    ];
    if let Some(why) = member.problem.as_ref().or(member.unknown.as_ref()) {
        rows.insert(1, ("why", Cell::new(why.clone())));
    }
    if let Some(facts) = facts {
        let service = &facts.service;
        let since = service
            .active_seconds
            .map(|seconds| format!(" for {}", human_seconds(seconds as f64)));
        let state = format!("{:?}{}", service.state, since.unwrap_or_default()).to_lowercase();
        rows.push(("unit", Cell::new(state)));
        rows.push(("restarts", Cell::new(service.restarts.to_string())));
        rows.push((
            "host",
            Cell::new(format!("{}, {}", facts.system.hostname, facts.system.os)),
        ));
    }
    rows
}

/// What there is to say, what is new below it, and the keys at the end; cut to the height.
fn page(
    body: Vec<String>,
    width: usize,
    height: usize,
    paint: Paint,
    news: impl Fn(usize) -> Vec<String>,
) -> Vec<String> {
    let broken = body.iter().flat_map(|line| {
        let text = wrapped(line, width, 4);
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let mut lines: Vec<String> = broken.collect();
    let room = height.saturating_sub(1);
    // What is new is why somebody looks: it has a third where all does not fit.
    let fresh = news(room.saturating_sub(lines.len()).max(room / 3));
    let kept = room.saturating_sub(fresh.len());
    if lines.len() > kept {
        lines.truncate(kept.saturating_sub(1));
        lines.push(paint.dim("..."));
    }
    lines.extend(fresh.iter().map(|line| paint.dim(&cut(line, width))));
    lines.push(paint.dim(keys_told(width, false)));
    lines
}

#[cfg(test)]
#[path = "inside_tests.rs"]
mod tests;
