//! Everything a run can tell, as one closed enum.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::inventory::NodeName;

/// One thing that happened. With `--output json` each is one line, tagged by `event`, with the time (`at`) and the `cluster`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A phase of the run began (`connect`, `observe`, `plan`, `apply`, `verify`).
    PhaseStarted {
        /// Name of the phase.
        phase: String,
    },
    /// It ended.
    PhaseFinished {
        /// Name of the phase.
        phase: String,
        /// How long it took.
        seconds: f64,
    },
    /// A wave of the plan began: its steps run at the same time.
    WaveStarted {
        /// Which one it is, from 1.
        number: usize,
        /// How many the plan has.
        of: usize,
        /// What it is for.
        title: String,
        /// Voters that may fail while it runs; -1: writes stop. `None` while there is no cluster.
        can_lose: Option<i64>,
    },
    /// A step of the plan began.
    StepStarted {
        /// Id within the plan, `w1.etcd-1`.
        step: String,
        /// Host it works on; `None` for a step on the cluster.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        node: Option<NodeName>,
        /// What it does, in words.
        what: String,
    },
    /// Bytes moved by a step (a push, a snapshot).
    StepProgress {
        /// Id within the plan.
        step: String,
        /// Host it works on.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        node: Option<NodeName>,
        /// What is being counted: `bytes`, `entries behind`, ...
        unit: &'static str,
        /// So far.
        done: u64,
        /// In all, when known.
        total: Option<u64>,
    },
    /// A step is waiting for a condition.
    StepWaiting {
        /// Id within the plan.
        step: String,
        /// Host it works on.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        node: Option<NodeName>,
        /// What it waits for and what it sees now.
        on: String,
    },
    /// A step ended well.
    StepFinished {
        /// Id within the plan.
        step: String,
        /// Host it worked on.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        node: Option<NodeName>,
        /// How long it took.
        seconds: f64,
        /// What was found when verifying.
        saw: String,
    },
    /// A step failed.
    StepFailed {
        /// Id within the plan.
        step: String,
        /// Host it worked on.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        node: Option<NodeName>,
        /// The error with its chain.
        error: String,
        /// What to do.
        hint: Option<String>,
        /// The last lines of the unit's journal, oldest first, when a unit is concerned: some 100, for a panic's stack trace
        /// may stand between the cause and the end. Sinks leave traces out and show 20.
        journal: Vec<String>,
    },
    /// A write probe ended (`--probe`): what it saw, and when. A run with several parts has one for each.
    ProbeFinished {
        /// When it began to write.
        #[cfg_attr(test, schemars(with = "String"))]
        began: Timestamp,
        /// How long it wrote.
        seconds: f64,
        /// Acknowledged writes.
        acks: u64,
        /// Attempts that failed or timed out.
        failed_attempts: u64,
        /// Acknowledged writes that could not be read back.
        lost: u64,
        /// Leader changes seen.
        elections: u64,
        /// Times of at least 100 ms without an acknowledged write (`at`, `ms`), the longest 100 of them, in order.
        gaps: Vec<ProbeGap>,
        /// Acknowledged writes in each interval since it began.
        writes: Vec<u32>,
        /// How long such an interval is.
        writes_seconds: f64,
    },
    /// Something worth knowing that needs no action now.
    Note {
        /// The text.
        text: String,
    },
    /// Something the operator should look at.
    Warning {
        /// Host, if it is about one.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        node: Option<NodeName>,
        /// The text.
        text: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The run's last event.
    Finished {
        /// Whether everything asked for holds now.
        ok: bool,
        /// Wall time of the run.
        seconds: f64,
        /// Seconds by phase, in order.
        phases: Vec<(String, f64)>,
        /// Steps that changed something.
        changed: usize,
        /// One sentence.
        summary: String,
        /// Exchanges with each host, with `-v`: scripts run and tunnels opened over its one connection.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        #[cfg_attr(test, schemars(with = "BTreeMap<String, u64>"))]
        round_trips: BTreeMap<NodeName, u64>,
        /// What the write probe measured, with `--probe`.
        #[serde(skip_serializing_if = "Option::is_none")]
        probe: Option<ProbeReport>,
    },
}

/// What a write probe saw while the cluster was being changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProbeReport {
    /// Acknowledged writes.
    pub acks: u64,
    /// Attempts that failed or timed out.
    pub failed_attempts: u64,
    /// Longest time between two acknowledged writes, milliseconds.
    pub longest_gap_ms: u64,
    /// Acknowledged writes that could not be read back.
    pub lost: u64,
    /// Leader changes seen.
    pub elections: u64,
}

/// A time without an acknowledged write.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProbeGap {
    /// When it began.
    #[cfg_attr(test, schemars(with = "String"))]
    pub at: Timestamp,
    /// How long it was, milliseconds.
    pub ms: u64,
}

/// Where events go.
pub trait Reporter: Send + Sync {
    /// Shows, writes or ignores one event. Must not block for long and cannot fail.
    fn event(&self, event: &Event);

    /// Leaves the terminal alone until [`Reporter::resume`]; events are kept and shown then. Use [`quiet`].
    fn pause(&self) {}

    /// Takes the terminal again.
    fn resume(&self) {}

    /// The run is over: shows what was held back (what failed, when no last event came) and leaves the terminal alone.
    fn end(&self) {}
}

/// The terminal belongs to the caller (for a question, a password) until this is dropped.
#[must_use = "the display comes back as soon as this is dropped"]
pub struct Quiet<'a>(&'a dyn Reporter);

/// Makes room on the terminal for a question.
pub fn quiet(reporter: &dyn Reporter) -> Quiet<'_> {
    reporter.pause();
    Quiet(reporter)
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.resume();
    }
}
