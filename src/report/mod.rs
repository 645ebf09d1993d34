//! What happens, as data, and how it is shown.
//!
//! One closed [`Event`] enum, many sinks. Secrets cannot be put in an event: no type in here can hold one.
//! stdout is data, stderr is progress; only with `--output json` do events go to stdout.
//!
//! | file | what |
//! |---|---|
//! | `event` | everything a run can tell |
//! | `lines` | plain lines, for pipes and logs |
//! | `json` | one JSON object per line |
//! | `live` | the live display as pure state: events in, lines out |
//! | `tty` | `live` on a real terminal |
//! | `summary` | the end: phases, changes, and what failed and why |
//! | `journal` | from a unit's journal to the likely cause of a failure |
//! | `table` | `status`-like tables |
//! | `chain` | an error and its sources in one line |
//! | `text` | bytes, seconds and colours in words |
//! | `print` | the only way to standard output and standard error |
//! | `recorder` | keeps events, for tests |

mod chain;
pub mod event;
#[cfg(test)]
mod hostile_tests;
mod journal;
mod json;
mod lines;
mod live;
pub(crate) mod print;
mod recorder;
#[cfg(test)]
mod story;
mod summary;
mod table;
mod text;
mod tty;

use std::env;
use std::io::{stderr, stdout};
use std::sync::Arc;

pub use chain::chain;
pub use event::*;
pub use journal::{Cause, DataLoss, likely_cause};
pub use json::{JsonLines, now};
pub use lines::Lines;
pub use recorder::Recorder;
pub use table::{Cell, Table, Tone, terminal_width};
pub use text::{
    Paint, columns_of, human_bytes, human_millis, human_seconds, indented, one_line, printable, printable_lines,
    wrapped,
};
pub use tty::Tty;

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// For people.
    Human,
    /// For programs: events as JSON lines on stdout, nothing on stderr.
    Json,
}

/// The sink for this run, which is about this cluster where one is known: live on a terminal that can do it, plain lines
/// elsewhere.
pub fn reporter(output: OutputMode, stderr_is_tty: bool, cluster: Option<String>) -> Arc<dyn Reporter> {
    let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    match output {
        OutputMode::Json => Arc::new(JsonLines::new(stdout(), cluster)),
        OutputMode::Human if stderr_is_tty && !dumb => Arc::new(Tty::on_stderr(Paint::from_env(true))),
        OutputMode::Human => Arc::new(Lines::new(stderr())),
    }
}
