//! The live display as pure state: events go in, the lines to show come out. `tty` puts them on a terminal.

use std::time::{Duration, Instant};

use super::lines::place;
use super::summary::Summary;
use super::text::{one_line, progress};
use super::{Event, Paint, human_bytes, human_seconds};

/// More hosts than this, and only those at work are shown.
const MOST_ROWS: usize = 20;
/// Shorter steps show no time: it would only flicker.
const SHOW_TIME_AFTER: Duration = Duration::from_secs(2);
const BAR_WIDTH: usize = 14;
/// Less than this shows no progress.
const LEAST_BYTES: u64 = 1 << 20;
/// Room for what has moved: `1023.9 of 1023.9 MiB`, and with how fast: `, 999.9 MiB/s`.
const AMOUNT: usize = 20;
const WITH_RATE: usize = AMOUNT + 13;
/// What a step does keeps this much room beside its progress.
const WORDS_WIDTH: usize = 16;
/// Two blanks, the mark, a blank, the name, two blanks. Words give way to a name: one copies it.
const BESIDE_NAMES: usize = 6;
/// Narrower terminals get wrapped lines.
const LEAST_WIDTH: usize = 24;

/// What is going on.
pub(super) struct Live {
    paint: Paint,
    phase: Option<Phase>,
    rows: Vec<Row>,
    summary: Summary,
}

struct Phase {
    name: String,
    /// The wave of the plan that is under way, for people.
    wave: Option<String>,
    since: Instant,
}

/// One host, or the cluster.
struct Row {
    place: String,
    state: State,
    finished_steps: usize,
}

enum State {
    Working(Work),
    Done(String),
    Failed(String),
}

struct Work {
    step: String,
    what: String,
    since: Instant,
    progress: Option<(&'static str, u64, Option<u64>)>,
    waiting: Option<String>,
}

impl Live {
    pub(super) fn new(paint: Paint) -> Self {
        Self {
            paint,
            phase: None,
            rows: Vec::new(),
            summary: Summary::default(),
        }
    }

    /// Takes one event; gives the lines that stay on the screen for good.
    pub(super) fn event(&mut self, event: &Event, now: Instant) -> Vec<String> {
        self.summary.add(event);
        match event {
            Event::PhaseStarted { phase } => {
                self.rows.clear();
                self.phase = Some(Phase {
                    name: phase.clone(),
                    wave: None,
                    since: now,
                });
                vec![]
            }
            Event::WaveStarted {
                number,
                of,
                title,
                can_lose,
            } => {
                // What a step of an earlier wave came to is said above; nothing of it goes on turning.
                self.rows.retain(|row| !matches!(row.state, State::Working(_)));
                if let Some(phase) = &mut self.phase {
                    let lose = match can_lose {
                        None => String::new(),
                        Some(1) => "  survives 1 failure now".to_owned(),
                        Some(lose @ 0..) => format!("  survives {lose} failures now"),
                        Some(_) => "  writes stop meanwhile".to_owned(),
                    };
                    phase.wave = Some(format!("{number} of {of}  {}{lose}", one_line(title)));
                }
                vec![]
            }
            Event::PhaseFinished { phase, seconds } => self.end_phase(phase, *seconds),
            Event::StepStarted { step, node, what } => {
                self.row(place(node.as_ref())).state = State::Working(Work {
                    step: step.clone(),
                    what: one_line(what),
                    since: now,
                    progress: None,
                    waiting: None,
                });
                vec![]
            }
            Event::StepProgress {
                step,
                unit,
                done,
                total,
                ..
            } => {
                if let Some(work) = self.work(step) {
                    // What has arrived is no longer on its way: the step goes on with something else.
                    let moves = worth_a_bar(unit, *total) && total.is_none_or(|total| *done < total);
                    work.progress = moves.then_some((unit, *done, *total));
                    work.waiting = None;
                }
                vec![]
            }
            Event::StepWaiting { step, on, .. } => {
                if let Some(work) = self.work(step) {
                    work.waiting = Some(one_line(on));
                }
                vec![]
            }
            Event::StepFinished { step, node, saw, .. } => {
                let what = self.work(step).map(|work| work.what.clone()).unwrap_or_default();
                let row = self.row(place(node.as_ref()));
                row.finished_steps += 1;
                let said = [what, one_line(saw)].into_iter().filter(|part| !part.is_empty());
                row.state = State::Done(said.collect::<Vec<_>>().join(": "));
                vec![]
            }
            Event::StepFailed { step, node, error, .. } => {
                let what = self.work(step).map(|work| work.what.clone()).unwrap_or_default();
                let place = place(node.as_ref());
                self.row(place).state = State::Failed(one_line(error));
                let mark = self.paint.bad(self.paint.mark("✗", "x"));
                vec![format!(
                    "{mark} {}  {what}: {}",
                    self.paint.strong(place),
                    one_line(error)
                )]
            }
            Event::Note { text } => vec![
                self.paint
                    .dim(&format!("{} {}", self.paint.mark("·", "-"), one_line(text))),
            ],
            Event::Warning { node, text, hint } => {
                let place = node.as_ref().map(|n| format!("{n}: ")).unwrap_or_default();
                let mut lines = vec![format!("{} {place}{}", self.paint.warn("!"), one_line(text))];
                lines.extend(
                    hint.as_deref()
                        .map(|h| format!("  {} {}", self.paint.busy("help:"), one_line(h))),
                );
                lines
            }
            Event::ProbeFinished { .. } => Vec::new(),
            Event::Finished { .. } => {
                self.phase = None;
                self.rows.clear();
                self.summary.take(self.paint).into_iter().collect()
            }
        }
    }

    /// What must not get lost when the run ends without its last event.
    pub(super) fn last_words(&mut self) -> Option<String> {
        self.summary.take_failures(self.paint)
    }

    /// The lines that are on the screen now, each at most `width` columns wide. Nothing between phases.
    pub(super) fn frame(&self, now: Instant, width: usize) -> Vec<String> {
        let width = width.max(LEAST_WIDTH);
        let Some(phase) = &self.phase else { return vec![] };
        let paint = self.paint;
        let elapsed = now.saturating_duration_since(phase.since);
        let turning = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        let mark = paint.mark(turning[(elapsed.as_millis() / 120) as usize % turning.len()], ">");
        let time = paint.dim(&whole_seconds(elapsed, "  "));
        let says = match &phase.wave {
            Some(wave) => format!("{}  {wave}", phase.name),
            None => phase.name.clone(),
        };
        let mut lines = vec![format!(
            "{} {}{time}",
            paint.busy(mark),
            paint.strong(&paint.cut(&says, width - 12))
        )];
        let many = self.rows.len() > MOST_ROWS;
        let shown = self
            .rows
            .iter()
            .filter(|row| !many || matches!(row.state, State::Working(_)))
            .take(MOST_ROWS);
        let names = self
            .rows
            .iter()
            .map(|row| row.place.chars().count())
            .max()
            .unwrap_or(0)
            .min(width - BESIDE_NAMES);
        lines.extend(shown.map(|row| row.line(paint, now, names, width)));
        if many {
            lines.push(paint.dim(&paint.cut(&self.crowd(), width)));
        }
        lines
    }

    fn crowd(&self) -> String {
        let count = |wanted: fn(&State) -> bool| self.rows.iter().filter(|row| wanted(&row.state)).count();
        let failed = count(|state| matches!(state, State::Failed(_)));
        format!(
            "  {} hosts: {} at work, {} done{}",
            self.rows.len(),
            count(|state| matches!(state, State::Working(_))),
            count(|state| matches!(state, State::Done(_))),
            if failed > 0 {
                format!(", {failed} failed")
            } else {
                String::new()
            }
        )
    }

    fn end_phase(&mut self, phase: &str, seconds: f64) -> Vec<String> {
        let failed = self.rows.iter().any(|row| matches!(row.state, State::Failed(_)));
        let steps: usize = self.rows.iter().map(|row| row.finished_steps).sum();
        self.phase = None;
        self.rows.clear();
        let mark = if failed {
            self.paint.bad(self.paint.mark("✗", "x"))
        } else {
            self.paint.good(self.paint.mark("✓", "+"))
        };
        let steps = match steps {
            0 => String::new(),
            1 => ", 1 step".to_owned(),
            n => format!(", {n} steps"),
        };
        let time = self.paint.dim(&format!("{}{steps}", human_seconds(seconds)));
        vec![format!("{mark} {}  {time}", self.paint.strong(phase))]
    }

    fn row(&mut self, place: &str) -> &mut Row {
        let at = self.rows.iter().position(|row| row.place == place).unwrap_or_else(|| {
            self.rows.push(Row {
                place: place.to_owned(),
                state: State::Done(String::new()),
                finished_steps: 0,
            });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    fn work(&mut self, step: &str) -> Option<&mut Work> {
        self.rows.iter_mut().find_map(|row| match &mut row.state {
            State::Working(work) if work.step == step => Some(work),
            _ => None,
        })
    }
}

impl Row {
    /// `  ▸ etcd-1  push etcd 3.5.30  ━━━━━━━━────────  12.3 of 27.1 MiB, 45.0 MiB/s`.
    fn line(&self, paint: Paint, now: Instant, names: usize, width: usize) -> String {
        let name = format!("{:<names$}", paint.cut(&self.place, names));
        let room = width - names - BESIDE_NAMES;
        let (mark, text) = match &self.state {
            State::Working(work) => work.text(paint, now, room),
            State::Done(text) => (paint.good(paint.mark("✓", "+")), paint.dim(&paint.cut(text, room))),
            State::Failed(text) => (paint.bad(paint.mark("✗", "x")), paint.cut(text, room)),
        };
        format!("  {mark} {name}  {text}")
    }
}

impl Work {
    fn text(&self, paint: Paint, now: Instant, room: usize) -> (String, String) {
        let elapsed = now.saturating_duration_since(self.since);
        let time = if elapsed >= SHOW_TIME_AFTER {
            whole_seconds(elapsed, ", ")
        } else {
            String::new()
        };
        if let Some(on) = &self.waiting {
            let text = paint.cut(&format!("{}: {on}{time}", self.what), room);
            return (paint.warn(paint.mark("…", "~")), text);
        }
        let text = match self.progress {
            Some((unit, done, total)) => self.moving(paint, room, unit, done, total, elapsed),
            None => paint.cut(&format!("{}{time}", self.what), room),
        };
        (paint.busy(paint.mark("▸", ">")), text)
    }

    /// Words, bar, amount and rate, as far as there is room: the rate goes first, then the bar, then the amount. Where there
    /// is a bar it stands in the same column in every line.
    fn moving(
        &self,
        paint: Paint,
        room: usize,
        unit: &str,
        done: u64,
        total: Option<u64>,
        elapsed: Duration,
    ) -> String {
        let words = self.what.chars().count().min(WORDS_WIDTH);
        let amount = progress(unit, done, total);
        let with_rate = match elapsed.as_secs_f64() {
            seconds if unit == "bytes" && seconds >= 0.3 => {
                format!("{amount}, {}/s", human_bytes((done as f64 / seconds) as u64))
            }
            _ => amount.clone(),
        };
        if let Some(total) = total.filter(|total| *total > 0) {
            for (tail, columns) in [(&with_rate, WITH_RATE), (&amount, AMOUNT)] {
                let Some(left) = room.checked_sub(columns + 2 + BAR_WIDTH + 2) else {
                    continue;
                };
                if left >= WORDS_WIDTH && tail.chars().count() <= columns {
                    let what = paint.cut(&self.what, left);
                    return format!("{what:<left$}  {}  {}", bar(paint, done, total), paint.dim(tail));
                }
            }
        }
        let fits = |tail: &str| words + 2 + tail.chars().count() <= room;
        let Some(tail) = [with_rate, amount].into_iter().find(|tail| fits(tail)) else {
            return paint.cut(&self.what, room);
        };
        let left = room - tail.chars().count() - 2;
        format!("{}  {}", paint.cut(&self.what, left), paint.dim(&tail))
    }
}

/// A few files are there before they could be seen to move.
fn worth_a_bar(unit: &str, total: Option<u64>) -> bool {
    unit != "bytes" || total.is_none_or(|total| total >= LEAST_BYTES)
}

/// `elapsed` without fractions, which would only flicker; nothing in the first second.
fn whole_seconds(elapsed: Duration, before: &str) -> String {
    match elapsed.as_secs() {
        0 => String::new(),
        seconds @ 1..=9 => format!("{before}{seconds} s"),
        seconds => format!("{before}{}", human_seconds(seconds as f64)),
    }
}

fn bar(paint: Paint, done: u64, total: u64) -> String {
    let filled = (done.min(total) as u128 * BAR_WIDTH as u128 / total as u128) as usize;
    let full = paint.mark("━", "=").repeat(filled);
    let rest = paint.mark("─", "-").repeat(BAR_WIDTH - filled);
    format!("{}{}", paint.busy(&full), paint.dim(&rest))
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
