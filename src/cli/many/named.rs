//! The clusters of a fleet that are named one by one: `-i` several times, or with a pattern.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::find::Clusters;
use crate::cli::error::{Exit, Failure};
use crate::inventory::shared::DEFAULTS;

/// Whether these mean several clusters, and not one.
pub fn are_several(named: &[PathBuf]) -> bool {
    named.len() > 1 || named.iter().any(|path| is_pattern(path))
}

/// A file of that very name is what is meant.
fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '[']) && !path.exists()
}

/// Finds them. Whatever a pattern matches counts, but for `defaults.yml`: a file that is named and is no inventory is told.
///
/// # Errors
/// When a pattern is none, or matches nothing.
pub fn find(named: &[PathBuf]) -> Result<Clusters, Failure> {
    let mut found = Clusters::default();
    let mut taken = BTreeSet::new();
    for path in named {
        for file in files(path)? {
            let itself = file.canonicalize().unwrap_or_else(|_| file.clone());
            if taken.insert(itself) {
                found.named(file);
            }
        }
    }
    Ok(found.by_path())
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !is_pattern(path) {
        return Ok(vec![path.to_owned()]);
    }
    let pattern = path.to_string_lossy();
    let refused = |why: String| {
        Failure::new(Exit::Usage, why)
            .hint("put a pattern in quotes: -i 'clusters/*/inventory.yml', or `**` for every depth")
    };
    let matches = glob::glob(&pattern).map_err(|error| refused(format!("`{pattern}` is no pattern: {error}")))?;
    let mut files = Vec::new();
    for entry in matches {
        let path =
            entry.map_err(|error| refused(format!("cannot read {}: {}", error.path().display(), error.error())))?;
        let shared = path.file_name().is_some_and(|name| name == DEFAULTS);
        if !shared && !path.is_dir() {
            files.push(path);
        }
    }
    match files.is_empty() {
        true => Err(refused(format!("no file matches `{pattern}`"))),
        false => Ok(files),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_pattern_and_files_are_the_inventories_that_they_name_each_once() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "eu/a/inventory.yml",
            "eu/b/inventory.yml",
            "us/c.yml",
            "eu/defaults.yml",
            "odd[1].yml",
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("cluster: {}\n", name.len())).unwrap();
        }
        let found = |named: &[&str]| {
            let named: Vec<PathBuf> = named.iter().map(|name| dir.path().join(name)).collect();
            let found = find(&named)?;
            let below = |path: &Path| path.strip_prefix(dir.path()).unwrap().display().to_string();
            Ok::<_, Failure>(
                found
                    .broken
                    .iter()
                    .map(|broken| below(&broken.path))
                    .collect::<Vec<_>>(),
            )
        };
        let eu = ["eu/a/inventory.yml", "eu/b/inventory.yml"];
        assert_eq!(found(&["eu/*/inventory.yml"]).unwrap(), eu);
        assert_eq!(found(&["eu/**/*.yml", "eu/../eu/a/inventory.yml"]).unwrap(), eu);
        assert_eq!(
            found(&["us/c.yml", "eu/a/inventory.yml"]).unwrap(),
            ["eu/a/inventory.yml", "us/c.yml"]
        );
        assert_eq!(
            found(&["us/c.yml", "gone.yml"]).unwrap(),
            ["gone.yml", "us/c.yml"],
            "what is named is told"
        );
        assert_eq!(found(&["asia/*.yml"]).unwrap_err().exit, Exit::Usage);
        assert_eq!(found(&["eu/***"]).unwrap_err().exit, Exit::Usage);
        assert!(are_several(&["a*.yml".into()]) && are_several(&["a".into(), "b".into()]));
        assert!(!are_several(&[dir.path().join("odd[1].yml")]), "a file of that name");
    }
}
