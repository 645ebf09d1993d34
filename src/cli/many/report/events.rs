//! What a run printed with `--output json`, read again: which member had its turn when, and what writers saw of it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::cli::error::{Exit, Failure};
use crate::ops::plan::count;

/// Larger than any run's: a bootstrap of nine members tells some hundred lines.
const LARGEST: u64 = 64 << 20;

/// More steps are not drawn.
const MOST_STEPS: usize = 1000;

/// A run that is over, or as far as it was saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The cluster that it was for.
    pub cluster: Option<String>,
    /// The first event.
    pub began: Timestamp,
    /// The last one.
    pub ended: Timestamp,
    /// How it ended, in its own words; `None` where that was not saved.
    pub ending: Option<(bool, String)>,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// Steps that are too many to be kept.
    pub more_steps: usize,
    /// The write probes, with `--probe`.
    pub probes: Vec<Probe>,
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The member; `None` for the cluster.
    pub node: Option<String>,
    /// What it does.
    pub what: String,
    /// When it began.
    pub from: Timestamp,
    /// When it ended; that of the last event where it did not.
    pub to: Timestamp,
    /// How.
    pub end: End,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// Done; what was seen afterwards.
    Done(String),
    /// It failed; why.
    Failed(String),
    /// Nothing more is known of it.
    Open,
}

/// What a write probe saw.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Probe {
    /// When it began to write.
    pub began: Timestamp,
    /// How long it wrote.
    pub seconds: f64,
    /// Acknowledged writes.
    pub acks: u64,
    /// Attempts that failed or timed out.
    pub failed_attempts: u64,
    /// Acknowledged writes that could not be read back.
    pub lost: u64,
    /// Leader changes seen.
    pub elections: u64,
    /// Times without an acknowledged write.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Acknowledged writes in each interval.
    #[serde(default)]
    pub writes: Vec<u32>,
    /// How long such an interval is.
    #[serde(default)]
    pub writes_seconds: f64,
}

/// A time without an acknowledged write.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Gap {
    /// When it began.
    pub at: Timestamp,
    /// Milliseconds.
    pub ms: u64,
}

impl Gap {
    /// When it ended.
    pub fn ended(&self) -> Timestamp {
        let ms = i64::try_from(self.ms).unwrap_or(i64::MAX);
        self.at
            .checked_add(SignedDuration::from_millis(ms))
            .unwrap_or(Timestamp::MAX)
    }
}

/// As much of an event as is needed; what a later version adds is passed over.
#[derive(Deserialize)]
struct Line {
    event: Option<String>,
    at: Option<Timestamp>,
    cluster: Option<String>,
    step: Option<String>,
    node: Option<String>,
    what: Option<String>,
    saw: Option<String>,
    error: Option<String>,
    ok: Option<bool>,
    summary: Option<String>,
}

/// Reads a run.
///
/// # Errors
/// When the file cannot be read, or is not what a run printed.
pub fn load(path: &Path) -> Result<Run, Failure> {
    let not_one = |why: String| {
        Failure::new(Exit::Usage, format!("{} is not a run's events: {why}", path.display()))
            .hint("save them with `quorate restart --yes --probe --output json > FILE`, or those of another change of one cluster")
    };
    let length = std::fs::metadata(path)
        .map_err(|error| not_one(error.to_string()))?
        .len();
    if length > LARGEST {
        return Err(not_one(format!("it has {length} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| not_one(error.to_string()))?;
    parse(&text).map_err(not_one)
}

/// Reads the lines of a run.
///
/// # Errors
/// Why they are none, in words.
pub fn parse(text: &str) -> Result<Run, String> {
    let mut reading = Reading::default();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let read: Line = serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))?;
        reading
            .take(read, line)
            .map_err(|why| format!("line {}: {why}", at + 1))?;
    }
    reading.run()
}

#[derive(Default)]
struct Reading {
    cluster: Option<String>,
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
    ending: Option<(bool, String)>,
    steps: Vec<Step>,
    more_steps: usize,
    /// Steps that have not ended yet, by id: a later part of the run uses an id again.
    open: BTreeMap<String, usize>,
    probes: Vec<Probe>,
    untimed: usize,
}

impl Reading {
    fn take(&mut self, read: Line, line: &str) -> Result<(), String> {
        // A plan, say: it is printed between the events.
        let Some(event) = read.event else { return Ok(()) };
        match (&self.cluster, read.cluster) {
            (Some(one), Some(other)) if *one != other => {
                return Err(format!(
                    "it is about the cluster `{other}`, and those before about `{one}`"
                ));
            }
            (None, cluster) => self.cluster = cluster,
            _ => {}
        }
        let Some(at) = read.at else {
            self.untimed += 1;
            return Ok(());
        };
        self.began = Some(self.began.map_or(at, |began| began.min(at)));
        self.ended = Some(self.ended.map_or(at, |ended| ended.max(at)));
        let ended = match event.as_str() {
            "step_started" => {
                self.start(
                    read.step.unwrap_or_default(),
                    read.node,
                    read.what.unwrap_or_default(),
                    at,
                );
                return Ok(());
            }
            "probe_finished" => {
                self.probes
                    .push(serde_json::from_str(line).map_err(|error| error.to_string())?);
                return Ok(());
            }
            "finished" => {
                let says = read.summary.or(read.error).unwrap_or_default();
                self.ending = Some((read.ok.unwrap_or(false), says));
                return Ok(());
            }
            "step_finished" => End::Done(read.saw.unwrap_or_default()),
            "step_failed" => End::Failed(read.error.unwrap_or_default()),
            _ => return Ok(()),
        };
        if let Some(step) = self.open.remove(&read.step.unwrap_or_default()) {
            (self.steps[step].to, self.steps[step].end) = (at, ended);
        }
        Ok(())
    }

    fn start(&mut self, id: String, node: Option<String>, what: String, from: Timestamp) {
        if self.steps.len() == MOST_STEPS {
            self.more_steps += 1;
            return;
        }
        self.open.insert(id, self.steps.len());
        self.steps.push(Step {
            node,
            what,
            from,
            to: from,
            end: End::Open,
        });
    }

    fn run(mut self) -> Result<Run, String> {
        let (Some(began), Some(ended)) = (self.began, self.ended) else {
            return Err(match self.untimed {
                0 => "there is no event in it".to_owned(),
                n => format!(
                    "{} in it, and none has a time: an older version saved them",
                    count(n, "event")
                ),
            });
        };
        for step in self.steps.iter_mut().filter(|step| step.end == End::Open) {
            step.to = ended;
        }
        let first = self.probes.iter().map(|probe| probe.began).min();
        Ok(Run {
            cluster: self.cluster,
            began: first.map_or(began, |first| first.min(began)),
            ended,
            ending: self.ending,
            steps: self.steps,
            more_steps: self.more_steps,
            probes: self.probes,
        })
    }
}

impl Run {
    /// Every gap in which nothing was written, in order.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.probes.iter().flat_map(|probe| probe.gaps.iter().copied())
    }

    /// The cluster first, then every member in the order in which they had their turn, with its steps.
    pub fn lanes(&self) -> Vec<(Option<&str>, Vec<&Step>)> {
        let mut lanes: Vec<(Option<&str>, Vec<&Step>)> = Vec::new();
        for step in &self.steps {
            let node = step.node.as_deref();
            match lanes.iter_mut().find(|(of, _)| *of == node) {
                Some((_, steps)) => steps.push(step),
                None => lanes.push((node, vec![step])),
            }
        }
        lanes.sort_by_key(|(node, _)| node.is_some());
        lanes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_get_their_ends_and_an_id_that_comes_again_is_another_step() {
        let run = parse(concat!(
            "{\"event\":\"step_started\",\"step\":\"w1.n1\",\"node\":\"n1\",\"what\":\"restart etcd\",\"at\":\"2026-01-01T00:00:01Z\",\"cluster\":\"a\"}\n",
            "{\"waves\":[]}\n\n",
            "{\"event\":\"step_finished\",\"step\":\"w1.n1\",\"node\":\"n1\",\"seconds\":2.0,\"saw\":\"healthy\",\"at\":\"2026-01-01T00:00:03Z\"}\n",
            "{\"event\":\"something_new\",\"at\":\"2026-01-01T00:00:03Z\",\"what\":\"x\"}\n",
            "{\"event\":\"step_started\",\"step\":\"w1.n1\",\"node\":\"n1\",\"what\":\"restart etcd\",\"at\":\"2026-01-01T00:00:04Z\"}\n",
            "{\"event\":\"step_started\",\"step\":\"w2.c\",\"node\":null,\"what\":\"promote\",\"at\":\"2026-01-01T00:00:05Z\"}\n",
            "{\"event\":\"step_failed\",\"step\":\"w1.n1\",\"node\":\"n1\",\"error\":\"no\",\"hint\":null,\"journal\":[],\"at\":\"2026-01-01T00:00:06Z\"}\n",
            "{\"event\":\"finished\",\"ok\":false,\"error\":\"a step failed\",\"at\":\"2026-01-01T00:00:07Z\"}\n",
        ))
        .unwrap();
        let ends: Vec<&End> = run.steps.iter().map(|step| &step.end).collect();
        assert_eq!(
            ends,
            [&End::Done("healthy".into()), &End::Failed("no".into()), &End::Open]
        );
        assert_eq!(run.steps[2].to, run.ended, "as far as it is known");
        let lanes: Vec<(Option<&str>, usize)> = run.lanes().iter().map(|(of, steps)| (*of, steps.len())).collect();
        assert_eq!(lanes, [(None, 1), (Some("n1"), 2)]);
        assert_eq!(run.ending, Some((false, "a step failed".to_owned())));
        assert_eq!(run.cluster.as_deref(), Some("a"));
    }

    #[test]
    fn what_is_not_a_run_is_told_by_its_line() {
        for (text, why) in [
            ("", "there is no event in it"),
            ("{\"plan\":1}", "there is no event in it"),
            ("{\"event\":\"note\",\"text\":\"x\"}", "none has a time"),
            (
                "{\"event\":\"note\",\"at\":\"2026-01-01T00:00:01Z\"}\nhello",
                "line 2: ",
            ),
            (
                "{\"event\":\"probe_finished\",\"at\":\"2026-01-01T00:00:01Z\"}",
                "line 1: ",
            ),
            (
                "{\"event\":\"finished\",\"cluster\":\"a\"}\n{\"event\":\"finished\",\"cluster\":\"b\"}",
                "line 2: it is about the cluster `b`",
            ),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
