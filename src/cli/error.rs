//! The edge where errors become text and an exit code. Printed once, with the chain and what to do.

use std::fmt;

use crate::bundle::BundleError;
use crate::host::HostError;
use crate::inventory::InventoryError;
use crate::ops::exec::StepError;
use crate::ops::safety::{Blocked, Rule};
use crate::pki::StoreError;
use crate::report::{chain, printable};

/// The exit codes of `docs/interface`: part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Exit {
    Done = 0,
    Unexpected = 1,
    Usage = 2,
    Inventory = 3,
    Blocked = 4,
    Unreachable = 5,
    StepFailed = 6,
    Stale = 7,
    Locked = 8,
    Bundle = 9,
    Changes = 10,
    Unhealthy = 11,
    Interrupted = 130,
}

/// A command that did not succeed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened; one sentence.
    pub message: String,
    /// Every single problem, when there are several.
    pub details: Vec<Detail>,
    /// What to do.
    pub hint: Option<String>,
    /// An error with source spans, printed by miette instead of the rest.
    pub spans: Option<Box<InventoryError>>,
}

/// One of several problems.
#[derive(Debug, Clone, serde::Serialize)]
#[allow(missing_docs)]
pub struct Detail {
    pub node: Option<String>,
    pub message: String,
    pub hint: String,
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            details: Vec::new(),
            hint: None,
            spans: None,
        }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// An unexpected error with its chain.
    pub fn unexpected(doing: &str, error: impl std::error::Error) -> Self {
        Self::new(Exit::Unexpected, format!("{doing}: {}", chain(&error)))
    }
}

impl Failure {
    /// Prints it: text on stderr, or one last JSON object on stdout.
    pub fn print(self, json: bool, seconds: f64) {
        if json {
            let problems = self.spans.as_ref().map(|e| e.problems().to_vec()).unwrap_or_default();
            let object = serde_json::json!({
                "event": "finished", "ok": false, "seconds": seconds, "exit_code": self.exit as u8,
                "error": self.message, "hint": self.hint, "details": self.details, "problems": problems,
            });
            println!("{object}");
            return;
        }
        if let Some(error) = self.spans {
            anstream::eprintln!("{:?}", miette::Report::new_boxed(error));
            return;
        }
        let paint = crate::report::Paint::from_env(true);
        anstream::eprintln!("{} {}", paint.bad("error:"), printable(&self.message));
        for detail in &self.details {
            let node = detail
                .node
                .as_ref()
                .map(|n| format!("{}: ", paint.strong(n)))
                .unwrap_or_default();
            anstream::eprintln!("  {node}{}", printable(&detail.message));
            anstream::eprintln!("    {} {}", paint.good("help:"), printable(&detail.hint));
        }
        if let Some(hint) = &self.hint {
            anstream::eprintln!("{} {}", paint.good("help:"), printable(hint));
        }
    }
}

impl From<Vec<Blocked>> for Failure {
    fn from(blocked: Vec<Blocked>) -> Self {
        let exit = if blocked.iter().any(|b| b.rule == Rule::Bundle) {
            Exit::Bundle
        } else if blocked.iter().all(|b| b.rule == Rule::Unreachable) {
            Exit::Unreachable
        } else {
            Exit::Blocked
        };
        let details = blocked
            .into_iter()
            .map(|b| Detail {
                node: b.node.as_ref().map(ToString::to_string),
                message: b.reason,
                hint: b.hint,
            })
            .collect();
        Self {
            details,
            ..Self::new(exit, "nothing was changed, because it would not be safe")
        }
    }
}

impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Self {
        Self {
            spans: Some(Box::new(error)),
            ..Self::new(Exit::Inventory, "the inventory is not valid")
        }
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let hint = error.hint();
        Self {
            hint,
            ..Self::new(Exit::Bundle, chain(&error))
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let exit = match error {
            HostError::Script { .. } => Exit::StepFailed,
            _ => Exit::Unreachable,
        };
        let failure = Self::new(exit, &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self {
            hint: error.hint,
            ..Self::new(Exit::StepFailed, error.message)
        }
    }
}

/// The CA is asked for before any host is touched, so what is wrong with it blocks and breaks nothing.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = error.hint();
        Self::new(Exit::Blocked, chain(&error)).hint(hint)
    }
}
