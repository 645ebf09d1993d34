//! The end of a run in a few lines: what came of it, how long each phase took, and what failed and why.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::journal::without_stack_traces;
use super::lines::place;
use super::text::one_line;
use super::{Event, Paint, ProbeReport, human_seconds, likely_cause, printable_lines};
use crate::inventory::NodeName;

/// Journal lines shown with a failed step.
const JOURNAL_LINES: usize = 20;

/// Gathers what the end needs while events go by.
#[derive(Default)]
pub(super) struct Summary {
    what: BTreeMap<String, String>,
    failures: Vec<Failure>,
    finished: Option<Event>,
}

struct Failure {
    step: String,
    node: Option<NodeName>,
    what: String,
    error: String,
    hint: Option<String>,
    journal: Vec<String>,
}

impl Summary {
    /// Takes note of one event.
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::StepStarted { step, what, .. } => {
                self.what.insert(step.clone(), what.clone());
            }
            Event::StepFailed {
                step,
                node,
                error,
                hint,
                journal,
            } => self.failures.push(Failure {
                step: step.clone(),
                node: node.clone(),
                what: self.what.get(step).cloned().unwrap_or_default(),
                error: error.clone(),
                hint: hint.clone(),
                journal: journal.clone(),
            }),
            Event::Finished { .. } => self.finished = Some(event.clone()),
            _ => {}
        }
    }

    /// The whole summary, once, after the last event has come.
    pub(super) fn take(&mut self, paint: Paint) -> Option<String> {
        let Event::Finished {
            ok,
            seconds,
            phases,
            changed,
            summary,
            round_trips,
            probe,
        } = self.finished.take()?
        else {
            return None;
        };
        let mut text = self
            .take_failures(paint)
            .map(|failures| failures + "\n")
            .unwrap_or_default();
        let mark = if ok {
            paint.good(paint.mark("✓", "ok:"))
        } else {
            paint.bad(paint.mark("✗", "failed:"))
        };
        text += &format!("{mark} {}\n", paint.strong(&one_line(&summary)));
        let changes = match changed {
            0 => "nothing changed".to_owned(),
            1 => "1 step changed something".to_owned(),
            n => format!("{n} steps changed something"),
        };
        text += &paint.dim(&format!("  {changes}, {}{}", human_seconds(seconds), by_phase(&phases)));
        if !round_trips.is_empty() {
            let each: Vec<String> = round_trips
                .iter()
                .map(|(node, trips)| format!("{node} {trips}"))
                .collect();
            text += &format!("\n  {}", paint.dim(&format!("round trips: {}", each.join(", "))));
        }
        if let Some(probe) = probe {
            text += &format!("\n  {}", probed(&probe, paint));
        }
        Some(text)
    }

    /// Only what failed, once; `None` when nothing did.
    pub(super) fn take_failures(&mut self, paint: Paint) -> Option<String> {
        let blocks: Vec<String> = self.failures.drain(..).map(|failure| failure.block(paint)).collect();
        (!blocks.is_empty()).then(|| format!("\n{}", blocks.join("\n")))
    }
}

fn by_phase(phases: &[(String, f64)]) -> String {
    let each: Vec<String> = phases
        .iter()
        .map(|(phase, s)| format!("{phase} {}", human_seconds(*s)))
        .collect();
    if each.is_empty() {
        String::new()
    } else {
        format!(" ({})", each.join(", "))
    }
}

fn probed(probe: &ProbeReport, paint: Paint) -> String {
    let plural = |n: u64, word: &str| {
        if n == 1 {
            format!("1 {word}")
        } else {
            format!("{n} {word}s")
        }
    };
    let lost = format!("{} lost", probe.lost);
    format!(
        "probe: {} acknowledged, {}, {}, longest gap {} ms, {}",
        plural(probe.acks, "write"),
        if probe.lost == 0 { lost } else { paint.bad(&lost) },
        plural(probe.failed_attempts, "failed attempt"),
        probe.longest_gap_ms,
        plural(probe.elections, "election"),
    )
}

impl Failure {
    fn block(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            let written = writeln!(text, "{line}");
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        };
        let place = place(self.node.as_ref());
        let what = if self.what.is_empty() {
            String::new()
        } else {
            format!(": {}", one_line(&self.what))
        };
        line(paint.bad(&format!("{place}{what}")) + &paint.dim(&format!("  (step {})", self.step)));
        for (i, part) in printable_lines(&self.error).lines().enumerate() {
            line(format!("  {}{part}", if i == 0 { "error: " } else { "  " }));
        }
        let cause = likely_cause(&self.journal);
        if let Some(cause) = cause.as_ref().filter(|cause| !self.error.contains(cause.what)) {
            line(format!("  {} {}", paint.strong("likely cause:"), cause.what));
        }
        let own = self.hint.as_deref();
        let of_cause = cause
            .map(|cause| cause.hint)
            .filter(|hint| !own.is_some_and(|own| own.starts_with(hint)));
        for hint in of_cause.into_iter().chain(own) {
            line(format!("  {} {}", paint.busy("help:"), one_line(hint)));
        }
        let told = without_stack_traces(&self.journal);
        let last = &told[told.len().saturating_sub(JOURNAL_LINES)..];
        if !last.is_empty() {
            line(paint.dim(&format!("  the last {} lines of its journal:", last.len())));
        }
        for entry in last {
            line(paint.dim(&format!("  {} {}", paint.mark("│", "|"), one_line(entry))));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::story;
    use super::*;

    fn summary_of(events: &[Event]) -> Summary {
        let mut summary = Summary::default();
        events.iter().for_each(|event| summary.add(event));
        summary
    }

    #[test]
    fn a_good_end_is_two_lines() {
        let mut summary = summary_of(&story::bootstrap());
        insta::assert_snapshot!(summary.take(Paint::PLAIN).unwrap(), @r"
        ok: prod-a is healthy: 3 members, 3 started now
          18 steps changed something, 2.5 s (connect 0.2 s, observe 0.1 s, plan 0.0 s, apply 2.1 s, verify 0.1 s)
        ");
        assert_eq!(summary.take(Paint::PLAIN), None);
    }

    #[test]
    fn a_failure_shows_the_chain_the_cause_the_way_out_and_twenty_lines() {
        let text = summary_of(&story::failed_bootstrap()).take(Paint::PLAIN).unwrap();
        assert_eq!(text.matches("\n  | ").count(), JOURNAL_LINES);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn who_asks_for_more_is_told_what_writers_saw_and_how_often_hosts_were_asked() {
        let finished = Event::Finished {
            ok: true,
            seconds: 8.0,
            phases: vec![],
            changed: 1,
            summary: "restarted".into(),
            round_trips: [("etcd-1".parse().unwrap(), 9)].into(),
            probe: Some(ProbeReport {
                acks: 800,
                failed_attempts: 1,
                longest_gap_ms: 34,
                lost: 0,
                elections: 1,
            }),
        };
        insta::assert_snapshot!(summary_of(&[finished]).take(Paint::PLAIN).unwrap(), @r"
        ok: restarted
          1 step changed something, 8.0 s
          round trips: etcd-1 9
          probe: 800 writes acknowledged, 0 lost, 1 failed attempt, longest gap 34 ms, 1 election
        ");
    }
}
