//! A plan as a person reads it: waves, steps, why, what may fail meanwhile, and what changes in files.

use std::fmt::Write;

use crate::inventory::NodeName;
use crate::ops::authorization::AuthChange;
use crate::ops::model::Intent;
use crate::ops::plan::{Action, AuthorityTurn, HostChange, Plan, Risk, Step, Target, Tolerance, count};
use crate::report::{Paint, printable, printable_lines, wrapped};

/// Where what is done stands, below what it is done to.
const INDENT: usize = 18;

/// The plan as text: what matters first, then each step; lines are broken between words at `width` columns.
pub fn plan(plan: &Plan, paint: Paint, with_diffs: bool, width: usize) -> String {
    let mut text = wrapped(&gist(plan), width, 0);
    for (index, wave) in plan.waves.iter().enumerate() {
        let tolerance = wave
            .tolerance
            .map(|t| format!("  {}", paint.dim(&tolerance(t))))
            .unwrap_or_default();
        let title = paint.strong(&format!("{}. {}", index + 1, wave.title));
        text += &wrapped(&format!("{title}{tolerance}"), width, 3);
        for step in &wave.steps {
            self::step(&mut text, step, paint, with_diffs, width);
        }
    }
    for note in &plan.notes {
        text += &wrapped(&format!("{} {}", paint.warn("note:"), printable_lines(note)), width, 6);
    }
    text
}

/// Whether files change whose contents are shown on demand.
pub fn has_diffs(plan: &Plan) -> bool {
    let mut files = plan
        .steps()
        .filter_map(|step| change(&step.action))
        .flat_map(|c| &c.files);
    files.any(|file| !file.diff.is_empty())
}

/// What a plan for a cluster that runs comes to: which members restart, how often, and what clients notice.
pub(super) fn gist(plan: &Plan) -> String {
    if plan.is_empty() || plan.header.cluster_id.is_none() || matches!(plan.header.intent, Intent::Restore(_)) {
        return String::new();
    }
    let mut restarts: Vec<(&NodeName, usize)> = Vec::new();
    for step in plan
        .steps()
        .filter(|step| matches!(step.action, Action::Restart { .. }))
    {
        let Target::Node(node) = &step.target else { continue };
        match restarts.iter_mut().find(|(name, _)| *name == node) {
            Some((_, times)) => *times += 1,
            None => restarts.push((node, 1)),
        }
    }
    let named: Vec<String> = restarts
        .iter()
        .map(|(name, times)| match times {
            1 => name.to_string(),
            times => format!("{name} ({times} times)"),
        })
        .collect();
    let stops: Vec<&str> = plan
        .steps()
        .filter_map(|step| match (&step.action, &step.target) {
            (Action::Rest { .. }, Target::Node(node)) => Some(node.as_str()),
            _ => None,
        })
        .collect();
    let members = match (named.as_slice(), stops.as_slice()) {
        ([], [one]) => format!("{one} stops and stays down"),
        ([], [all @ .., last]) => format!("{} and {last} stop and stay down", all.join(", ")),
        // The parts that follow can only be planned after this one, and are what matters about it.
        ([], []) if begins_a_rotation(plan) => {
            "no member restarts yet; in the parts that follow, each restarts twice, one at a time".to_owned()
        }
        ([], []) => "no member restarts".to_owned(),
        ([one], _) => format!("{one} restarts"),
        ([all @ .., last], _) => format!("{} and {last} restart, in this order", all.join(", ")),
    };
    let clients = match plan.risk() {
        Risk::Outage if matches!(plan.header.intent, Intent::Destroy(_)) => "clients LOSE the cluster",
        Risk::ReadOnly | Risk::Reversible => "clients are not affected",
        Risk::ReducesRedundancy => "clients of a member that stops have to reconnect, etcd stays available",
        Risk::Outage => "etcd is UNAVAILABLE to clients meanwhile",
        Risk::DestroysData => "data is DELETED",
    };
    format!("{members}; {clients}")
}

fn begins_a_rotation(plan: &Plan) -> bool {
    let first = Action::RotateAuthority {
        turn: AuthorityTurn::Prepare,
    };
    plan.steps().any(|step| step.action == first)
}

fn step(text: &mut String, step: &Step, paint: Paint, with_diffs: bool, width: usize) {
    let target = match &step.target {
        Target::Node(name) => name.to_string(),
        Target::Cluster => "cluster".into(),
        Target::Operator => "this machine".into(),
    };
    let what = printable_lines(&step.action.describe());
    let what = match step.risk {
        Risk::DestroysData | Risk::Outage => paint.bad(&what),
        Risk::ReducesRedundancy => paint.warn(&what),
        Risk::Reversible | Risk::ReadOnly => what,
    };
    *text += &wrapped(&format!("   {target:<14} {what}"), width, INDENT);
    for why in &step.why {
        let why = paint.dim(&format!("because {}", printable_lines(why)));
        *text += &wrapped(&format!("{:INDENT$}{why}", ""), width, INDENT);
    }
    if let Action::Authorize { changes } = &step.action {
        for line in changes.iter().map(AuthChange::describe) {
            let line = coloured(&printable(&line), paint);
            let _ = writeln!(text, "   {:<14} {line}", "");
        }
    }
    if with_diffs {
        for file in change(&step.action).into_iter().flat_map(|c| &c.files) {
            for line in file.diff.lines() {
                let line = coloured(&printable(line), paint);
                let _ = writeln!(text, "   {:<14} {line}", "");
            }
        }
    }
}

/// A line of a diff.
fn coloured(line: &str, paint: Paint) -> String {
    match line.chars().next() {
        Some('+') => paint.good(line),
        Some('-') => paint.bad(line),
        _ => paint.dim(line),
    }
}

pub(super) fn change(action: &Action) -> Option<&HostChange> {
    match action {
        Action::Provision { change } | Action::Restart { change, .. } => Some(change),
        _ => None,
    }
}

/// `3 voters, survives 1 failure now, 0 during, 1 after`.
pub(super) fn tolerance(t: Tolerance) -> String {
    let voters = count(t.voters, "voter");
    let now = count(t.before, "failure");
    let during = if t.during < 0 {
        "no quorum".to_owned()
    } else {
        t.during.to_string()
    };
    if t.before as i64 == t.during && t.before == t.after {
        return format!("{voters}, survives {now}");
    }
    format!("{voters}, survives {now} now, {during} during, {} after", t.after)
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
