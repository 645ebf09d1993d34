//! What is wrong with an inventory: every problem with its place, all of them in one report.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceSpan};
use serde::Serialize;

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In which file: 0 is the inventory, then the files of shared settings that count for it, the nearest first.
    pub file: usize,
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
        file: 0,
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
    /// The file, where it is not the inventory itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
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
    /// Which file, as in [`Place::file`].
    #[serde(skip)]
    in_file: usize,
    /// Where the other half of it stands, in another file.
    #[serde(skip)]
    elsewhere: Option<Place>,
    /// Something that has to be there is not.
    #[serde(skip)]
    missing: bool,
    /// What its lines are shown from, where that is not the inventory.
    #[serde(skip)]
    source: Option<Source>,
}

/// A file and its text.
#[derive(Debug, Clone)]
struct Source(Arc<NamedSource<String>>);

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}
impl Eq for Source {}

impl Problem {
    /// An error at `at`.
    pub fn error(at: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            file: None,
            in_file: at.file,
            elsewhere: None,
            missing: false,
            source: None,
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

    /// An error where something is missing at `at`.
    pub fn missing(at: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            missing: true,
            ..Self::error(at, message, help)
        }
    }

    /// The same, in the file of this number.
    pub fn in_file(mut self, file: usize) -> Self {
        self.in_file = file;
        self
    }

    /// Whether something is not there that has to be.
    pub fn is_missing(&self) -> bool {
        self.missing
    }

    /// Which file it is in, as in [`Place::file`], and where there.
    pub fn place(&self) -> (usize, usize, usize) {
        (self.in_file, self.line, self.column)
    }

    /// `line 3`, with the file where that is not the inventory.
    pub fn whereabouts(&self) -> String {
        match &self.file {
            None => format!("line {}", self.line),
            Some(file) => format!("{file}, line {}", self.line),
        }
    }

    /// The same problem, which also concerns a second place: `first` is where it was right, the problem's own
    /// place is where it went wrong again.
    pub fn also(mut self, first: Place, first_text: &str, again_text: &str) -> Self {
        if first.file != self.in_file {
            self.elsewhere = Some(first);
            return self;
        }
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
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|source| &*source.0 as &dyn miette::SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// All problems of an inventory and of what it shares with others, together with the texts, so that each can be shown in its
/// place.
#[derive(Debug)]
pub struct Problems {
    list: Vec<Problem>,
    /// The files that they are in.
    files: Vec<String>,
    source: NamedSource<String>,
    /// Whether its lines can be shown.
    shown: bool,
}

/// The longest line that problems are pointed out in. A line of more than 65,535 columns cannot be drawn (that is the width
/// that Rust's formatting takes), and one that is nearly as long tells nobody anything.
const LONGEST_LINE: usize = 2000;

impl Problems {
    /// `list` (sorted by place here) found in `text`, which is shown as `name`.
    pub fn new(name: &str, text: &str, list: Vec<Problem>) -> Self {
        Self::of(&[(name.to_owned(), text)], list)
    }

    /// The same of several files, each with its name and its text, in the order of [`Place::file`].
    pub fn of(files: &[(String, &str)], mut list: Vec<Problem>) -> Self {
        list.sort_by_key(Problem::place);
        let shown = |text: &str| text.lines().all(|line| line.len() <= LONGEST_LINE);
        let all_shown = files.iter().all(|(_, text)| shown(text));
        let sources: Vec<Source> = files
            .iter()
            .map(|(name, text)| Source(Arc::new(NamedSource::new(name, (*text).to_owned()))))
            .collect();
        let name = |file: usize| files.get(file).map(|(name, _)| name.clone());
        for problem in &mut list {
            if problem.in_file > 0 {
                problem.file = name(problem.in_file);
                problem.source = sources.get(problem.in_file).filter(|_| all_shown).cloned();
            }
            if let Some((other, at)) = problem.elsewhere.take().and_then(|at| Some((name(at.file)?, at))) {
                problem.message = format!("{} (the other is in {other}, line {})", problem.message, at.line);
            }
            if !all_shown {
                let at = problem.whereabouts();
                problem.message = format!("{at}, column {}: {}", problem.column, problem.message);
            }
        }
        let mut named: Vec<String> = list.iter().filter_map(|problem| name(problem.in_file)).collect();
        named.dedup();
        let (first, text) = files
            .first()
            .map_or((String::new(), ""), |(name, text)| (name.clone(), text));
        if named.is_empty() {
            named.push(first.clone());
        }
        Self {
            shown: all_shown,
            list,
            files: named,
            source: NamedSource::new(first, text.to_owned()),
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
        write!(f, "{}: ", self.files.join(" and "))?;
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
    /// A file of shared settings cannot be used at all.
    #[error("cannot use {}: {why}", path.display())]
    #[diagnostic(help("{help}"))]
    Shared {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
        /// What to do.
        help: &'static str,
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
