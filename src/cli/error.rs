//! The edge where errors become text and an exit code. Printed once, with the chain and what to do.

use std::collections::BTreeSet;
use std::fmt;

use crate::bundle::BundleError;
use crate::host::HostError;
use crate::inventory::InventoryError;
use crate::ops::exec::StepError;
use crate::ops::model::NO_WAY_TO_ASK;
use crate::ops::safety::{Blocked, Rule};
use crate::pki::StoreError;
use crate::report::print::{data, tell_all};
use crate::report::{Paint, chain, now, print, printable_lines, terminal_width, wrapped};

/// The exit codes, explained in `docs/reference/exit-codes.md`: part of the contract.
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

impl Exit {
    /// Every one, by number.
    #[cfg(test)]
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::Inventory,
        Self::Blocked,
        Self::Unreachable,
        Self::StepFailed,
        Self::Stale,
        Self::Locked,
        Self::Bundle,
        Self::Changes,
        Self::Unhealthy,
        Self::Interrupted,
    ];

    /// Of a look: well, known not to be, or unknown because hosts could not be inspected.
    pub fn of_health(healthy: Option<bool>) -> Self {
        match healthy {
            Some(true) => Exit::Done,
            Some(false) => Exit::Unhealthy,
            None => Exit::Unreachable,
        }
    }
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
    /// The safety rules that said no.
    pub rules: BTreeSet<Rule>,
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
            rules: BTreeSet::new(),
            hint: None,
            spans: None,
        }
    }

    /// The end of a run that has said everything itself.
    pub fn only(exit: Exit) -> Self {
        Self::new(exit, "")
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
        if self.message.is_empty() {
            return;
        }
        match json {
            true => data(&self.object(seconds).to_string()),
            false => self.tell(),
        }
    }

    /// The last object of a command that failed.
    pub(super) fn object(&self, seconds: f64) -> serde_json::Value {
        let problems = self.spans.as_ref().map(|e| e.problems().to_vec()).unwrap_or_default();
        let mut object = serde_json::json!({
            "event": "finished", "at": now(), "ok": false, "seconds": seconds, "exit_code": self.exit as u8,
            "error": self.message, "hint": self.hint, "details": self.details, "problems": problems,
        });
        if !self.rules.is_empty() {
            object["rules"] = serde_json::json!(self.rules);
        }
        object
    }

    /// All of it but the hints in one line, for a place where there is no more room: which rules said no, and why.
    pub fn in_a_line(&self) -> String {
        let rules = self.rules.iter().filter_map(|rule| serde_json::to_value(rule).ok());
        let rules: Vec<String> = rules.filter_map(|rule| Some(format!("`{}`", rule.as_str()?))).collect();
        let details = self.details.iter().map(|detail| match &detail.node {
            Some(node) => format!("{node}: {}", detail.message),
            None => detail.message.clone(),
        });
        let details: Vec<String> = details.collect();
        match (rules.is_empty(), details.is_empty()) {
            (_, true) => self.message.clone(),
            (true, false) => format!("{}: {}", self.message, details.join("; ")),
            (false, false) => format!("refused by {}: {}", rules.join(", "), details.join("; ")),
        }
    }

    /// Prints it as text.
    pub(super) fn tell(self) {
        if let Some(error) = self.spans {
            tell_all!("{}\n", print::own(&format!("{:?}", miette::Report::new_boxed(error))));
            return;
        }
        tell_all!("{}", self.text(Paint::from_env(true), stderr_width()));
    }

    /// For people: the sentence, every single problem, what to do. Help that several problems share stands once.
    pub(super) fn text(&self, paint: Paint, width: usize) -> String {
        let mut text = wrapped(
            &format!("{} {}", paint.bad("error:"), printable_lines(&self.message)),
            width,
            7,
        );
        for (i, detail) in self.details.iter().enumerate() {
            let node = detail.node.as_ref().map(|n| format!("{}: ", paint.strong(n)));
            let problem = format!("  {}{}", node.unwrap_or_default(), printable_lines(&detail.message));
            text += &wrapped(&problem, width, 4);
            if self.details.get(i + 1).is_none_or(|next| next.hint != detail.hint) {
                let help = format!("    {} {}", paint.good("help:"), printable_lines(&detail.hint));
                text += &wrapped(&help, width, 10);
            }
        }
        if let Some(hint) = &self.hint {
            text += &wrapped(&format!("{} {}", paint.good("help:"), printable_lines(hint)), width, 6);
        }
        text
    }
}

/// Where lines end: the terminal's width, or nowhere when nobody watches.
fn stderr_width() -> usize {
    terminal_width().map_or(usize::MAX, usize::from)
}

impl From<Vec<Blocked>> for Failure {
    fn from(blocked: Vec<Blocked>) -> Self {
        let failure = if blocked.iter().any(|b| b.rule == Rule::Bundle) {
            Self::new(Exit::Bundle, "nothing was changed: the bundle does not fit")
        } else if blocked.iter().all(|b| b.reason.starts_with(NO_WAY_TO_ASK)) {
            Self::new(
                Exit::Unreachable,
                "nothing was changed: the state of the cluster is unknown",
            )
        } else if blocked.iter().all(|b| b.rule == Rule::Unreachable) {
            Self::new(Exit::Unreachable, "nothing was changed: not every host can be inspected").hint(
                "a host that cannot be inspected may hold data or run a healthy member, so nothing is done without it. Commands that \
                 take `--limit` can work on the other hosts of a running cluster",
            )
        } else if blocked.iter().all(|b| b.rule == Rule::WouldNotStart) {
            Self::new(
                Exit::Blocked,
                "nothing was changed: etcd does not start with the new configuration",
            )
        } else {
            Self::new(Exit::Blocked, "nothing was changed: it would not be safe")
        };
        let rules = blocked.iter().map(|b| b.rule).collect();
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
            rules,
            ..failure
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
