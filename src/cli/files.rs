//! Files for others, below a directory that the operator names.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

use super::error::{Detail, Exit, Failure};

/// A file to be written: its path below the directory, its mode, what is in it.
pub type Given<'a> = (&'a str, u32, &'a str);

/// Replaces a file in one step; it never has more rights than `mode`, not even while it is written.
///
/// # Errors
/// When it or its directory cannot be written.
pub fn write(dir: &Path, name: &str, mode: u32, text: &str) -> Result<(), Failure> {
    write_together(dir, [(name, mode, text)])
}

/// The same with files that belong together: each is on the disk before the first gets its name, so whoever reads a
/// certificate and then its key does not have to wait for a disk in between to get a pair.
///
/// # Errors
/// As [`write`].
pub fn write_together<'a>(dir: &Path, files: impl IntoIterator<Item = Given<'a>>) -> Result<(), Failure> {
    let mut staged = Vec::new();
    for (name, mode, text) in files {
        let path = dir.join(name);
        let file = stage(path.parent().unwrap_or(dir), mode, text).map_err(|e| cannot_write(&path, &e))?;
        staged.push((file, path));
    }
    for (file, path) in staged {
        file.persist(&path).map_err(|e| cannot_write(&path, &e.error))?;
    }
    Ok(())
}

fn stage(parent: &Path, mode: u32, text: &str) -> io::Result<NamedTempFile> {
    fs::create_dir_all(parent)?;
    let mut file = NamedTempFile::new_in(parent)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// What is in a file already, and after it those of `lines` that it lacks.
///
/// # Errors
/// When it cannot be read.
pub fn with_lines(path: &Path, lines: &str) -> Result<String, Failure> {
    let mut text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::unexpected(&format!("cannot read {}", path.display()), error)),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in lines.lines() {
        if !text.lines().any(|there| there == line) {
            text += &format!("{line}\n");
        }
    }
    Ok(text)
}

/// Refuses when any of these files is there.
///
/// # Errors
/// Each of them.
pub fn nothing_is_replaced<'a>(dir: &Path, paths: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
    let there: Vec<Detail> = paths
        .into_iter()
        .map(|path| dir.join(path))
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| Detail {
            node: None,
            message: format!("{} is there already", path.display()),
            hint: "pass `--replace` to replace them, or another directory with `--out`".to_owned(),
        })
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    Err(Failure {
        details: there,
        ..Failure::new(Exit::Usage, "nothing was issued and nothing written")
    })
}

/// The same failure for whatever could not be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Unexpected, format!("cannot write {}: {error}", path.display()))
        .hint("check the owner and permissions of its directory, and the free space")
}
