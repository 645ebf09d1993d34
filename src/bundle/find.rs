//! Which bundle a run uses.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::error::BundleError;
use super::open::Bundle;

/// How a bundle was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It was named.
    Named,
    /// Inside the running executable.
    Carried,
    /// It lay beside the inventory.
    Beside,
}

impl Bundle {
    /// The bundle to use: the one that was named, else the one inside the running executable, else the only `*.qbundle`
    /// in the inventory's directory.
    ///
    /// # Errors
    /// None or several were found, or the one found cannot be opened.
    pub fn find(explicit: Option<&Path>, inventory_dir: &Path) -> Result<(Bundle, Found), BundleError> {
        if let Some(path) = explicit {
            return Ok((Bundle::open(path)?, Found::Named));
        }
        if let Some(bundle) = Bundle::embedded()? {
            return Ok((bundle, Found::Carried));
        }
        let mut found = beside(inventory_dir).map_err(BundleError::read(inventory_dir))?;
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok((Bundle::open(&only)?, Found::Beside)),
            (None, _) => Err(BundleError::NotFound {
                directory: inventory_dir.to_owned(),
            }),
            (Some(last), false) => {
                found.push(last);
                let listing = found.iter().map(|path| path.display().to_string()).collect();
                Err(BundleError::Ambiguous { listing })
            }
        }
    }
}

/// The bundles in a directory, in the order of their names.
fn beside(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "qbundle") && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
