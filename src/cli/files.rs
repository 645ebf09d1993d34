//! Files for others, below a directory that the operator names.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::error::{Exit, Failure};

/// Replaces a file in one step; it never has more rights than `mode`, not even while it is written.
///
/// # Errors
/// When it or its directory cannot be written.
pub fn write(dir: &Path, name: &str, mode: u32, text: &str) -> Result<(), Failure> {
    let path = dir.join(name);
    let parent = path.parent().unwrap_or(dir);
    let replace = || -> io::Result<()> {
        fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    replace().map_err(|e| cannot_write(&path, &e))
}

/// The same failure for whatever could not be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Unexpected, format!("cannot write {}: {error}", path.display()))
        .hint("check the owner and permissions of its directory, and the free space")
}
