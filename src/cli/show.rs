//! A plan as a person reads it: waves, steps, why, what may fail meanwhile, and what changes in files.

use std::fmt::Write;

use crate::ops::authorization::AuthChange;
use crate::ops::plan::{Action, HostChange, Plan, Risk, Step, Target, Tolerance, count};
use crate::report::{Paint, printable};

/// The plan as text.
pub fn plan(plan: &Plan, paint: Paint, with_diffs: bool) -> String {
    let mut text = String::new();
    for (index, wave) in plan.waves.iter().enumerate() {
        let tolerance = wave
            .tolerance
            .map(|t| format!("  {}", paint.dim(&tolerance(t))))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "{}{tolerance}",
            paint.strong(&format!("{}. {}", index + 1, wave.title))
        );
        for step in &wave.steps {
            self::step(&mut text, step, paint, with_diffs);
        }
    }
    for note in &plan.notes {
        let _ = writeln!(text, "{} {}", paint.warn("note:"), printable(note));
    }
    text
}

fn step(text: &mut String, step: &Step, paint: Paint, with_diffs: bool) {
    let target = match &step.target {
        Target::Node(name) => name.to_string(),
        Target::Cluster => "cluster".into(),
        Target::Operator => "this machine".into(),
    };
    let what = printable(&step.action.describe());
    let what = match step.risk {
        Risk::DestroysData | Risk::Outage => paint.bad(&what),
        Risk::ReducesRedundancy => paint.warn(&what),
        Risk::Reversible | Risk::ReadOnly => what,
    };
    let _ = writeln!(text, "   {target:<14} {what}");
    for why in &step.why {
        let _ = writeln!(
            text,
            "   {:<14} {}",
            "",
            paint.dim(&format!("because {}", printable(why)))
        );
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

fn change(action: &Action) -> Option<&HostChange> {
    match action {
        Action::Provision { change } | Action::Restart { change, .. } => Some(change),
        _ => None,
    }
}

/// `3 voters, survives 1 failure now, 0 during, 1 after`.
fn tolerance(t: Tolerance) -> String {
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
