//! Plain lines on stderr, for pipes and logs: no time stamps, no cursor movement, one line per event.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::print::inert;
use super::summary::Summary;
use super::text::one_line;
use super::{Event, Paint, Reporter, human_seconds};
use crate::inventory::NodeName;

/// Writes each event as one line; the last one is followed by the summary.
pub struct Lines<W: Write + Send>(Mutex<State<W>>);

struct State<W> {
    /// `None` once the reader has gone away.
    out: Option<W>,
    /// What each step under way does.
    steps: BTreeMap<String, String>,
    summary: Summary,
}

impl<W: Write + Send> Lines<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self(Mutex::new(State {
            out: Some(out),
            steps: BTreeMap::new(),
            summary: Summary::default(),
        }))
    }
}

impl<W: Write + Send> Reporter for Lines<W> {
    fn event(&self, event: &Event) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.summary.add(event);
        if let Some(line) = state.line(event) {
            state.write(&line);
        }
        if let Some(text) = state.summary.take(Paint::PLAIN) {
            state.write(&text);
        }
    }

    fn end(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = state.summary.take_failures(Paint::PLAIN) {
            state.write(&text);
        }
    }
}

/// A run that ended without its last event still tells what failed.
impl<W: Write + Send> Drop for Lines<W> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<W: Write> State<W> {
    fn write(&mut self, line: &str) {
        let Some(out) = self.out.as_mut() else { return };
        if writeln!(out, "{}", inert(line)).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }

    fn line(&mut self, event: &Event) -> Option<String> {
        Some(match event {
            Event::PhaseStarted { phase } => phase.clone(),
            Event::WaveStarted { .. } => return None,
            Event::PhaseFinished { phase, seconds } => format!("{phase}: took {}", human_seconds(*seconds)),
            Event::StepStarted { step, node, what } => {
                let what = one_line(what);
                let line = format!("{}  {what}", place(node.as_ref()));
                self.steps.insert(step.clone(), what);
                line
            }
            // A log has a line when a step begins, and one when it ends.
            Event::StepProgress { .. } | Event::StepWaiting { .. } => return None,
            // For those who look back; the summary says what matters now.
            Event::ProbeFinished { .. } => return None,
            Event::StepFinished {
                step,
                node,
                seconds,
                saw,
            } => {
                let what = self.steps.remove(step).unwrap_or_default();
                let saw = if saw.is_empty() {
                    String::new()
                } else {
                    format!(": {}", one_line(saw))
                };
                format!(
                    "{}  {what}: done in {}{saw}",
                    place(node.as_ref()),
                    human_seconds(*seconds)
                )
            }
            Event::StepFailed { step, node, error, .. } => {
                let what = self.steps.remove(step).unwrap_or_default();
                format!("{}  {what}: FAILED: {}", place(node.as_ref()), one_line(error))
            }
            Event::Note { text } => format!("note: {}", one_line(text)),
            Event::Warning { node, text, hint } => {
                let hint = hint
                    .as_deref()
                    .map(|h| format!(" (help: {})", one_line(h)))
                    .unwrap_or_default();
                match node {
                    Some(node) => format!("{node}  warning: {}{hint}", one_line(text)),
                    None => format!("warning: {}{hint}", one_line(text)),
                }
            }
            // The summary says it all.
            Event::Finished { .. } => return None,
        })
    }
}

/// Where a step works, as the first word of its lines.
pub(super) fn place(node: Option<&NodeName>) -> &str {
    node.map_or("cluster", NodeName::as_str)
}

#[cfg(test)]
mod tests {
    use super::super::story;
    use super::*;

    #[test]
    fn a_run_with_a_failure_reads_as_a_log() {
        let mut written = Vec::new();
        {
            let sink = Lines::new(&mut written);
            story::failed_bootstrap().iter().for_each(|event| sink.event(event));
        }
        insta::assert_snapshot!(String::from_utf8(written).unwrap());
    }

    #[test]
    fn a_run_that_is_cut_short_still_tells_what_failed() {
        let mut written = Vec::new();
        {
            let sink = Lines::new(&mut written);
            let mut events = story::failed_bootstrap();
            events.pop();
            events.iter().for_each(|event| sink.event(event));
        }
        let text = String::from_utf8(written).unwrap();
        assert_eq!(text.matches("likely cause:").count(), 1, "{text}");
    }
}
