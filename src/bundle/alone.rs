//! A quorate executable as hosts get it that take their own backups: for which architecture it is, and without the bundle that it
//! may carry, which nobody reads there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::elf::Elf;
use super::embed::{PAGE, Trailer, marks, own_mark};
use super::error::BundleError;
use crate::inventory::Arch;

/// A quorate executable that carries nothing.
#[derive(Debug, Clone)]
pub struct Alone {
    /// The architecture that it was built for.
    pub arch: Arch,
    /// The executable.
    pub bytes: Vec<u8>,
}

impl Alone {
    /// Reads the executable `file`. Whether it carries a bundle or not, the bytes are the same.
    ///
    /// # Errors
    /// It cannot be read, is no executable for Linux on an architecture of etcd's, or is not a quorate.
    pub fn read(file: &Path) -> Result<Self, BundleError> {
        let read = BundleError::read(file);
        let open = File::open(file).map_err(BundleError::read(file))?;
        let not_quorate = |why: &str| BundleError::NotForHosts {
            path: file.to_owned(),
            why: why.to_owned(),
        };
        let arch = Elf::read(&open).map_err(|why| not_quorate(&why))?.arch;
        let length = open.metadata().map_err(BundleError::read(file))?.len();
        let trailer = Trailer::read(&open, length).map_err(BundleError::read(file))?;
        let end = trailer.map_or(length, |trailer| trailer.offset);
        let found = marks(&open, end).map_err(BundleError::read(file))?;
        let [mark] = found.as_slice() else {
            return Err(not_quorate("it is not a quorate executable"));
        };
        let mut bytes = vec![0; usize::try_from(end).map_err(|_| not_quorate("it is too large"))?];
        open.read_exact_at(&mut bytes, 0).map_err(read)?;
        bytes[mark.state as usize] = own_mark()[63];
        if trailer.is_some() {
            bytes.truncate(unpadded(&bytes));
        }
        Ok(Self { arch, bytes })
    }
}

/// Where an ELF file ended before it was filled with zeros to a page: behind the table of its sections, which linkers and `strip`
/// write last.
fn unpadded(bytes: &[u8]) -> usize {
    let number = |at: usize, length: usize| {
        let field = bytes.get(at..at + length).unwrap_or_default();
        field
            .iter()
            .rev()
            .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let end = number(40, 8).saturating_add(number(58, 2) * number(60, 2));
    match bytes.get(end..) {
        Some(rest) if rest.len() < PAGE as usize && rest.iter().all(|byte| *byte == 0) => end,
        _ => bytes.len(),
    }
}
