//! What is wrong with an inventory: every problem with its place, all of them in one report.

use std::fmt;
use std::io;
use std::path::PathBuf;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceSpan};
use serde::Serialize;

/// Where something stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First byte.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The start of the file.
    pub const START: Place = Place {
        offset: 0,
        length: 0,
        line: 1,
        column: 1,
    };

    fn label(self, text: Option<&str>) -> LabeledSpan {
        LabeledSpan::new_with_span(
            text.map(str::to_owned),
            SourceSpan::new(self.offset.into(), self.length),
        )
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The inventory can be used; someone should look at this.
    Warning,
    /// The inventory cannot be used.
    Error,
}

/// One thing that is wrong, with its place and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    #[serde(skip)]
    labels: Vec<LabeledSpan>,
}

impl Problem {
    /// An error at `at`.
    pub fn error(at: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            line: at.line,
            column: at.column,
            severity: Severity::Error,
            message: message.into(),
            help: help.into(),
            labels: vec![at.label(None)],
        }
    }

    /// A warning at `at`.
    pub fn warning(at: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(at, message, help)
        }
    }

    /// The same problem, which also concerns a second place: `first` is where it was right, the problem's own
    /// place is where it went wrong again.
    pub fn also(mut self, first: Place, first_text: &str, again_text: &str) -> Self {
        for label in &mut self.labels {
            label.set_label(Some(again_text.to_owned()));
        }
        self.labels.push(first.label(Some(first_text)));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Problem {}
impl Diagnostic for Problem {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// All problems of one file, together with its text, so that each can be shown in its place.
#[derive(Debug)]
pub struct Problems {
    list: Vec<Problem>,
    source: NamedSource<String>,
    /// Whether its lines can be shown.
    shown: bool,
}

/// The longest line that problems are pointed out in. A line of more than 65,535 columns cannot be drawn (that is the width
/// that Rust's formatting takes), and one that is nearly as long tells nobody anything.
const LONGEST_LINE: usize = 2000;

impl Problems {
    /// `list` (sorted by place here) found in `text`, which is shown as `name`.
    pub fn new(name: &str, text: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|p| (p.line, p.column));
        let shown = text.lines().all(|line| line.len() <= LONGEST_LINE);
        if !shown {
            for problem in &mut list {
                problem.message = format!("line {}, column {}: {}", problem.line, problem.column, problem.message);
            }
        }
        Self {
            shown,
            list,
            source: NamedSource::new(name, text.to_owned()),
        }
    }

    /// Every problem, in the order of the file.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |severity| self.list.iter().filter(|p| p.severity == severity).count();
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        write!(f, "{}: ", self.source.name())?;
        match (errors, warnings) {
            (0, w) => f.write_str(&plural(w, "warning")),
            (e, 0) => f.write_str(&plural(e, "problem")),
            (e, w) => write!(f, "{}, {}", plural(e, "problem"), plural(w, "warning")),
        }
    }
}
impl std::error::Error for Problems {}
impl Diagnostic for Problems {
    fn severity(&self) -> Option<miette::Severity> {
        self.list.iter().filter_map(|p| p.severity()).max()
    }
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.shown.then_some(&self.source as &dyn miette::SourceCode)
    }
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.list.iter().map(|p| p as &dyn Diagnostic)))
    }
}

/// Why an inventory cannot be used.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum InventoryError {
    /// The file cannot be read.
    #[error("cannot read the inventory {}", path.display())]
    #[diagnostic(help("pass the file with `-i FILE`, or create one with `quorate init`"))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is far larger than any inventory.
    #[error("{} is not an inventory: it has more than {limit} bytes", path.display())]
    #[diagnostic(help("pass the inventory with `-i FILE`"))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes an inventory may have.
        limit: u64,
    },
    /// The file is not text.
    #[error("{}:{line}: not UTF-8 text", path.display())]
    #[diagnostic(help("save the file as UTF-8"))]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line of the first byte that is no UTF-8, from 1.
        line: usize,
    },
    /// The file has been read; these things in it are wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(Box<Problems>),
}

impl InventoryError {
    /// Every problem with its place, in the order of the file; empty when the file could not even be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            InventoryError::Invalid(problems) => problems.list(),
            _ => &[],
        }
    }
}
