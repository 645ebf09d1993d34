//! What is on the screen while hosts answer: the verdict with a clock, a line for each member with the age of its answer, and
//! what is wrong. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::aged;
use crate::cli::status::{Glance, health_cell, members_table, remarks, verdict};
use crate::inventory::{Desired, NodeName};
use crate::ops::observe::{Board, Moment, Seen};
use crate::report::{Cell, Paint, Table, Tone, columns_of, human_seconds};

/// Keys that end it: q, Q, Ctrl-D.
pub(in crate::cli) const QUIT: [u8; 3] = [b'q', b'Q', 4];

/// Younger answers have no age worth reading.
const NOW: Duration = Duration::from_millis(2_500);

/// Columns that go first where there is no room for all.
const GO: [&str; 6] = ["ADDRESS", "IN USE", "LAG", "RAFT INDEX", "DB", "VERSION"];

/// The screen of `status --watch`.
pub(super) fn watching(desired: &Desired, board: &Board, now: Moment, paint: Paint, width: usize) -> Vec<String> {
    let clock = format!("{}  q quits", now.clock.strftime("%H:%M:%S UTC"));
    lines(desired, board, now, paint, width, &clock)
}

/// What is shown while `status` still waits for some.
pub(super) fn waiting(desired: &Desired, board: &Board, now: Moment, paint: Paint, width: usize) -> Vec<String> {
    lines(desired, board, now, paint, width, "")
}

fn lines(desired: &Desired, board: &Board, now: Moment, paint: Paint, width: usize, clock: &str) -> Vec<String> {
    let glance = aged(desired, board, now);
    let asked = asking(board, &glance, now);
    let says = match asked.len() {
        0 => verdict(&glance, paint),
        _ => paint.busy(&format!("waiting for {}", asked.join(", "))),
    };
    let title = format!("{} {says}", paint.strong(&glance.cluster));
    let mut lines = vec![beside(&title, &paint.dim(clock), width)];
    lines.extend(table(&glance, board, now, paint, width).lines().map(str::to_owned));
    if asked.is_empty() {
        lines.extend(remarks(&glance, paint).lines().map(str::to_owned));
    }
    lines
}

/// One text at the left, one at the right, where there is room for both.
pub(in crate::cli) fn beside(left: &str, right: &str, width: usize) -> String {
    match width.checked_sub(columns_of(left) + columns_of(right) + 2) {
        Some(_) if right.is_empty() => left.to_owned(),
        Some(room) => format!("{left}{}  {right}", " ".repeat(room)),
        None => format!("{left}\n{right}"),
    }
}

/// Hosts that have not answered the first time.
pub(in crate::cli) fn asking(board: &Board, glance: &Glance, now: Moment) -> Vec<String> {
    let names = glance.members.iter().map(|member| &member.name);
    names
        .filter(|name| seen(board, name, now) == Some(Seen::Asking))
        .cloned()
        .collect()
}

/// `None` for a member that is no host of the inventory.
pub(in crate::cli) fn seen(board: &Board, name: &str, now: Moment) -> Option<Seen> {
    let name: NodeName = name.parse().ok()?;
    board.knows(&name).then(|| board.seen(&name, now))
}

fn table(glance: &Glance, board: &Board, now: Moment, paint: Paint, width: usize) -> String {
    let table = rows(glance, board, now);
    table.render(u16::try_from(width).ok(), paint.colour)
}

/// A row for each member, with the age of its answer.
pub(in crate::cli) fn rows(glance: &Glance, board: &Board, now: Moment) -> Table {
    let table = members_table(glance, "ANSWERED", |member| {
        let seen = seen(board, &member.name, now);
        let health = match seen {
            Some(Seen::Asking) => Cell::new("...").tone(Tone::Dim),
            _ => health_cell(member),
        };
        (health, age(seen))
    });
    table.spare(GO)
}

/// How old is what the line says.
pub(in crate::cli) fn age(seen: Option<Seen>) -> Cell {
    let seconds = |since: Duration| match since.as_secs() {
        seconds @ 0..=99 => format!("{seconds} s"),
        _ => human_seconds(since.as_secs_f64()),
    };
    match seen {
        None => Cell::new("-"),
        Some(Seen::Asking) => Cell::new("not yet").tone(Tone::Dim),
        Some(Seen::Ago(since)) if since < NOW => Cell::new("now"),
        Some(Seen::Ago(since)) => Cell::new(format!("{} ago", seconds(since))).tone(Tone::Warn),
        Some(Seen::Silent(Some(since))) => Cell::new(format!("no answer for {}", seconds(since))).tone(Tone::Bad),
        Some(Seen::Silent(None)) => Cell::new("no answer").tone(Tone::Bad),
    }
}

/// A glance, and when it was.
#[derive(Debug, Serialize)]
pub(super) struct Dated<'a> {
    pub(super) at: Timestamp,
    #[serde(flatten)]
    pub(super) glance: &'a Glance,
}

/// Name, health, leader, learner, release.
type GistOfMember = (String, Option<bool>, bool, bool, Option<String>);

/// What makes one glance another for whoever reads a list of changes: neither ages nor what grows with every write.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Gist {
    verdict: (Option<bool>, Option<usize>, Option<usize>, Option<String>),
    says: Vec<String>,
    members: Vec<GistOfMember>,
}

pub(in crate::cli) fn gist(glance: &Glance) -> Gist {
    let says = glance.problems.iter().chain(&glance.unknown).chain(&glance.alarms);
    let says = says.chain(&glance.downgrade);
    let backups = glance.backups.iter().flat_map(|backups| &backups.findings);
    Gist {
        verdict: (
            glance.healthy,
            glance.voters,
            glance.can_lose,
            glance.cluster_id.clone(),
        ),
        says: says.chain(backups).cloned().collect(),
        members: glance
            .members
            .iter()
            .map(|m| (m.name.clone(), m.healthy, m.leader, m.learner, m.version.clone()))
            .collect(),
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
