//! From a file to [`Desired`]: the one place that reads the inventory.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::desired::Desired;
use super::merge;
use super::problem::{InventoryError, Problem, Problems, Severity};
use super::raw::RawInventory;
use super::read::FromNode;
use super::resolve::resolve;
use super::shared::{self, Shared};
use super::tree::Node;

/// Far beyond any inventory: a thousand hosts are a tenth of this.
pub(super) const LARGEST: u64 = 1 << 20;

/// What an inventory's meaning depends on besides its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The operator's home directory, for `~`.
    pub home: Option<PathBuf>,
    /// Where programs keep state for this operator: XDG_STATE_HOME, else `~/.local/state`.
    pub state_dir: PathBuf,
    /// The operator's account name, for members that run as the operator.
    pub user: String,
    /// The inventory's own directory, absolute.
    pub dir: PathBuf,
    /// What it shares with other inventories, the nearest file first.
    pub shared: Vec<Shared>,
}

impl Environment {
    /// The environment of this process, for an inventory at `path`.
    ///
    /// # Errors
    /// When the current directory is gone, or a file of shared settings cannot be used.
    pub fn of_process(path: &Path) -> Result<Self, InventoryError> {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = var("HOME");
        let state = var("XDG_STATE_HOME").filter(|dir| dir.is_absolute());
        let absolute = std::path::absolute(path).map_err(|source| InventoryError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            shared: shared::find(path)?,
            state_dir: state
                .or_else(|| Some(home.clone()?.join(".local/state")))
                .unwrap_or_else(|| PathBuf::from("/var/lib")),
            user: account()
                .or_else(|| Some(var("USER")?.to_string_lossy().into_owned()))
                .unwrap_or_else(|| "root".to_owned()),
            home,
            dir: absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned),
        })
    }

    /// What paths in a file are relative to, by its number ([`Place::file`](super::problem::Place::file)).
    pub(super) fn dir_of(&self, file: usize) -> &Path {
        let shared = file.checked_sub(1).and_then(|at| self.shared.get(at));
        shared.map_or(&self.dir, |shared| &shared.dir)
    }
}

/// The name of the account this process runs as, where the system says so in files. USER may be someone else's, after
/// `su` for one.
fn account() -> Option<String> {
    let id = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut entries = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    entries
        .find(|entry| entry.get(2) == Some(&id.as_str()))
        .map(|entry| entry[0].to_owned())
}

/// An inventory that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What it means.
    pub desired: Desired,
    /// What someone should look at.
    pub warnings: Vec<Problem>,
    /// The file's text, for edits.
    pub text: String,
    /// The file.
    pub path: PathBuf,
    /// What it shares with other inventories, the nearest file first.
    pub shared: Vec<Shared>,
}

impl Loaded {
    /// The document, with what it shares.
    pub fn document(&self) -> Option<Node> {
        merge::document(&self.text, &self.shared, &mut Vec::new())
    }

    /// The name of a file, by its number ([`Place::file`](super::problem::Place::file)).
    pub fn file(&self, number: usize) -> &Path {
        let shared = number.checked_sub(1).and_then(|at| self.shared.get(at));
        shared.map_or(&self.path, |shared| &shared.path)
    }

    /// The warnings as a report that shows each in its place; `None` when there are none.
    pub fn warning_report(&self) -> Option<Problems> {
        (!self.warnings.is_empty()).then(|| self.report(self.warnings.clone()))
    }

    pub(super) fn report(&self, problems: Vec<Problem>) -> Problems {
        Problems::of(&files(&self.path, &self.text, &self.shared), problems)
    }
}

/// All files of an inventory, with their texts.
fn files<'a>(path: &Path, text: &'a str, shared: &'a [Shared]) -> Vec<(String, &'a str)> {
    let shared = shared.iter().map(|shared| (&*shared.path, &*shared.text));
    let all = [(path, text)].into_iter().chain(shared);
    all.map(|(path, text)| (path.display().to_string(), without_bom(text)))
        .collect()
}

/// Reads and resolves the inventory at `path`.
///
/// # Errors
/// When it cannot be read or is not usable; in the latter case with every problem in it.
pub fn load(path: &Path) -> Result<Loaded, InventoryError> {
    let unreadable = |source| InventoryError::Read {
        path: path.to_owned(),
        source,
    };
    let too_large = || InventoryError::TooLarge {
        path: path.to_owned(),
        limit: LARGEST,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > LARGEST {
        return Err(too_large());
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    parse(path, &text(path, bytes)?, &Environment::of_process(path)?)
}

/// The text of a file.
///
/// # Errors
/// When it is none.
pub(super) fn text(path: &Path, bytes: Vec<u8>) -> Result<String, InventoryError> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        InventoryError::NotText {
            path: path.to_owned(),
            line: good.iter().filter(|b| **b == b'\n').count() + 1,
        }
    })
}

/// Resolves an inventory from its text. Pure: `path` is only shown.
///
/// # Errors
/// With every problem that could be found, when there is one that is not just a warning.
pub fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Loaded, InventoryError> {
    let mut problems = Vec::new();
    let document = merge::document(text, &environment.shared, &mut problems);
    let all_read = problems.iter().all(|problem| problem.severity == Severity::Warning);
    let mut found = Vec::new();
    let desired = document
        .and_then(|document| RawInventory::from_node(&document, &mut found))
        .and_then(|raw| resolve(&raw, environment, &mut found));
    // What is missing may stand in a file that could not be read.
    found.retain(|problem| all_read || !problem.is_missing());
    problems.extend(found);
    problems.sort_by(|a, b| (a.place(), &a.message).cmp(&(b.place(), &b.message)));
    // What is typed once for all hosts is wrong for each of them in the same place.
    problems.dedup_by(|a, b| (a.place(), &a.message) == (b.place(), &b.message));
    let shared = environment.shared.clone();
    match desired {
        Some(desired) if problems.iter().all(|p| p.severity == Severity::Warning) => Ok(Loaded {
            desired,
            warnings: Problems::of(&files(path, text, &shared), problems).list().to_vec(),
            text: text.to_owned(),
            path: path.to_owned(),
            shared,
        }),
        _ => {
            let all = Problems::of(&files(path, text, &shared), problems);
            Err(InventoryError::Invalid(Box::new(all)))
        }
    }
}

/// Windows editors put a byte order mark first; places are counted without it.
pub(super) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
