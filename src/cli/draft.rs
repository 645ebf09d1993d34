//! Edits of the inventory by commands: worked out on the text, read back, and written to the file in one step, at the
//! moment that fits the command.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::error::{Exit, Failure};
use super::session::Session;
use crate::inventory::edit::EditError;
use crate::inventory::{Environment, Loaded, parse};

/// A text that is to take the place of the inventory's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The text the edit was worked out on: what must still be in the file.
    pub before: String,
    /// The text to write.
    pub after: String,
    /// When it is written.
    pub when: When,
}

/// When an edit belongs into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As soon as the plan is agreed on, so that a run that is cut short is finished by `up`.
    Agreed,
    /// Only once everything was done, so that a run that is cut short is finished by the same command.
    Done,
}

/// Reads a text as the inventory at `path`.
///
/// # Errors
/// Every problem in it at once.
pub fn read(path: &Path, text: &str) -> Result<Loaded, Failure> {
    Ok(parse(path, text, &Environment::of_process(path)?)?)
}

/// Keeps an edit until it is time to write it.
pub fn keep(session: &Session, before: &str, after: String, when: When) {
    if let Ok(mut draft) = session.draft.lock() {
        *draft = (before != after).then(|| Draft {
            before: before.to_owned(),
            after,
            when,
        });
    }
}

/// The plan was agreed on: writes the edit if this is its time.
///
/// # Errors
/// As [`done`].
pub fn agreed(session: &Session) -> Result<(), Failure> {
    let due = |draft: &mut Draft| draft.when == When::Agreed;
    write(session, session.draft.lock().ok().and_then(|mut d| d.take_if(due)))
}

/// Everything was done: writes the edit, if there is one that is not in the file yet.
///
/// # Errors
/// When the file was changed meanwhile, or cannot be written.
pub fn done(session: &Session) -> Result<(), Failure> {
    write(session, session.draft.lock().ok().and_then(|mut d| d.take()))
}

fn write(session: &Session, draft: Option<Draft>) -> Result<(), Failure> {
    let Some(draft) = draft.filter(|_| !session.global.dry_run) else {
        return Ok(());
    };
    let path = &session.loaded.path;
    let now = std::fs::read_to_string(path).unwrap_or_default();
    if now != draft.before {
        return Err(Failure::new(
            Exit::StepFailed,
            format!("{} changed during this run, so it was not edited", path.display()),
        )
        .hint("enter by hand what this command changed, then review `quorate plan`"));
    }
    replace(path, &draft.after).map_err(|error| {
        Failure::unexpected(&format!("cannot write {}", path.display()), error)
            .hint("enter by hand what this command changed, then review `quorate plan`")
    })
}

/// Whole or not at all; a link stays a link, and mode and owner stay what they were.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = path.canonicalize()?;
    let was = path.metadata()?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut next = tempfile::NamedTempFile::new_in(dir)?;
    next.write_all(text.as_bytes())?;
    next.as_file()
        .set_permissions(Permissions::from_mode(was.mode() & 0o7777))?;
    // Only root may give a file away; for anybody else it is theirs already.
    let _ = std::os::unix::fs::chown(next.path(), Some(was.uid()), Some(was.gid()));
    next.as_file().sync_all()?;
    next.persist(&path).map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        let hint = miette::Diagnostic::help(&error).map(|help| help.to_string());
        Self {
            hint,
            ..Self::new(Exit::Usage, error)
        }
    }
}
