//! From a file to [`Desired`]: the one place that reads the inventory.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::desired::Desired;
use super::problem::{InventoryError, Place, Problem, Problems, Severity};
use super::raw::RawInventory;
use super::read::FromNode;
use super::resolve::resolve;
use super::tree::{Kind, Node};

/// Far beyond any inventory: a thousand hosts are a tenth of this.
const LARGEST: u64 = 1 << 20;

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
}

impl Environment {
    /// The environment of this process, for an inventory at `path`.
    ///
    /// # Errors
    /// When the current directory is gone.
    pub fn of_process(path: &Path) -> io::Result<Self> {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = var("HOME");
        let state = var("XDG_STATE_HOME").filter(|dir| dir.is_absolute());
        let absolute = std::path::absolute(path)?;
        Ok(Self {
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
}

impl Loaded {
    /// The warnings as a report that shows each in its place; `None` when there are none.
    pub fn warning_report(&self) -> Option<Problems> {
        let shown = self.path.display().to_string();
        (!self.warnings.is_empty()).then(|| Problems::new(&shown, without_bom(&self.text), self.warnings.clone()))
    }
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
    let environment = Environment::of_process(path).map_err(unreadable)?;
    let too_large = || InventoryError::TooLarge {
        path: path.to_owned(),
        limit: LARGEST,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > LARGEST {
        return Err(too_large());
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        InventoryError::NotText {
            path: path.to_owned(),
            line: good.iter().filter(|b| **b == b'\n').count() + 1,
        }
    })?;
    parse(path, &text, &environment)
}

/// Resolves an inventory from its text. Pure: `path` is only shown.
///
/// # Errors
/// With every problem that could be found, when there is one that is not just a warning.
pub fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Loaded, InventoryError> {
    let yaml = without_bom(text);
    let mut problems = Vec::new();
    let desired = match Node::parse(yaml) {
        Ok(tree) if tree.kind == Kind::Null => {
            problems.push(Problem::error(
                Place::START,
                "the inventory is empty",
                "create one with `quorate init`",
            ));
            None
        }
        Ok(tree) => {
            RawInventory::from_node(&tree, &mut problems).and_then(|raw| resolve(&raw, environment, &mut problems))
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    problems.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    // What is typed once for all hosts is wrong for each of them in the same place.
    problems.dedup_by(|a, b| (a.line, a.column, &a.message) == (b.line, b.column, &b.message));
    match desired {
        Some(desired) if problems.iter().all(|p| p.severity == Severity::Warning) => Ok(Loaded {
            desired,
            warnings: problems,
            text: text.to_owned(),
            path: path.to_owned(),
        }),
        _ => {
            let shown = path.display().to_string();
            Err(InventoryError::Invalid(Box::new(Problems::new(&shown, yaml, problems))))
        }
    }
}

/// Windows editors put a byte order mark first; places are counted without it.
pub(super) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
