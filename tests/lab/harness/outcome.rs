//! How a command ended, and what it said.

use std::fmt;
use std::process::Output;

use serde_json::Value;

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command, for messages.
    pub command: String,
    /// Its exit code; `None` when a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Outcome {
    /// What became of a command that was run past the harness.
    pub fn of(command: String, output: Output) -> Self {
        Self {
            command,
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Passes the outcome on when the exit code is `code`; else fails the test and shows everything.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.status, Some(code), "exit code\n{self}");
        self
    }

    /// Exit code 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Passes the outcome on when standard error holds each of these texts, wherever lines break.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = words(&self.stderr);
        for text in texts {
            assert!(said.contains(&words(text)), "not said: {text}\n{self}");
        }
        self
    }

    /// Standard output as one JSON value (`status --output json`).
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON: {error}\n{self}"))
    }

    /// Standard output as one JSON value a line (`up --output json`).
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON: {error}: {line}\n{self}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The events whose `event` is `kind`.
    #[track_caller]
    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        self.events()
            .into_iter()
            .filter(|event| event["event"] == kind)
            .collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            status,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "$ {command}\nexit code {status:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )
    }
}
