//! A file that appears whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes `path` through a temporary file beside it: the content is on disk before the name is, and a run that is
/// killed leaves no half-written file under that name.
///
/// # Errors
/// Whatever `write` returns, or what the file system says; nothing is left behind then.
pub(super) fn write_atomically<T, E: From<io::Error>>(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<T, E>,
) -> Result<T, E> {
    let directory = directory_of(path);
    let temporary = tempfile::Builder::new().prefix(".quorate-").tempfile_in(directory)?;
    let mut writer = BufWriter::with_capacity(128 * 1024, temporary.as_file());
    let value = write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    temporary.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()?;
    Ok(value)
}

/// The directory that holds `path`; `.` for a bare name.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
