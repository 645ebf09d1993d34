//! Settings that several inventories share: `defaults.yml`, beside an inventory and in the directories above it.
//!
//! Where to look follows from files alone, so that an inventory means the same however it is named: up to the directory of
//! the repository (the one with `.git`); without one, as far up as directories belong to the same account and not everybody
//! may write to them. A file that somebody else could have put there is an error, wherever it is found.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::parse::LARGEST;
use super::problem::InventoryError;

/// What such a file is called.
pub const DEFAULTS: &str = "defaults.yml";

/// One of these files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The file, as it is shown.
    pub path: PathBuf,
    /// Its directory, absolute: what paths in it are relative to.
    pub dir: PathBuf,
    /// Its text.
    pub text: String,
}

/// Those that count for the inventory at `inventory`, the nearest first.
///
/// # Errors
/// When one cannot be read, or somebody else may write to it.
pub fn find(inventory: &Path) -> Result<Vec<Shared>, InventoryError> {
    let beside = inventory.parent().filter(|dir| !dir.as_os_str().is_empty());
    // Without a directory there is no inventory either, and whoever reads that says so.
    let start = beside.unwrap_or(Path::new(".")).canonicalize();
    let Some((start, owner)) = start
        .ok()
        .and_then(|dir| Some((dir.clone(), fs::metadata(dir).ok()?.uid())))
    else {
        return Ok(Vec::new());
    };
    let here = std::env::current_dir().and_then(|dir| dir.canonicalize()).ok();
    let mut found = Vec::new();
    for dir in looked_into(&start, owner) {
        let path = dir.join(DEFAULTS);
        let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
        let shown = below.unwrap_or(&path).to_owned();
        if let Some(text) = read(&path, &shown, dir, owner)? {
            found.push(Shared {
                path: shown,
                dir: dir.to_owned(),
                text,
            });
        }
    }
    Ok(found)
}

/// The directories that are looked into, the inventory's own first.
fn looked_into(start: &Path, owner: u32) -> Vec<&Path> {
    let all: Vec<&Path> = start.ancestors().collect();
    let ends = |dir: &&Path| dir.join(".git").symlink_metadata().is_ok();
    let among_us = |dir: &&&Path| fs::metadata(dir).is_ok_and(|dir| dir.uid() == owner && !everybody_writes(&dir));
    let many = match all.iter().position(ends) {
        Some(root) => root + 1,
        None => 1 + all[1..].iter().take_while(among_us).count(),
    };
    all.into_iter().take(many).collect()
}

fn everybody_writes(file: &Metadata) -> bool {
    file.mode() & 0o002 != 0
}

/// The text of one; `None` where there is none.
fn read(path: &Path, shown: &Path, dir: &Path, owner: u32) -> Result<Option<String>, InventoryError> {
    let refused = |why: String, help| {
        let path = shown.to_owned();
        Err(InventoryError::Shared { path, why, help })
    };
    let unreadable = |source: io::Error| {
        refused(
            source.to_string(),
            "let this account read it: inventories below it mean something else without it",
        )
    };
    let about = match path.symlink_metadata() {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return unreadable(error),
    };
    if !about.is_file() {
        return refused(
            "it is not a file".into(),
            "put the file itself there: links are not followed",
        );
    }
    let me = fs::metadata("/proc/self").map(|me| me.uid()).ok();
    let ours = |uid: u32| uid == owner || uid == 0 || Some(uid) == me;
    let above = match fs::metadata(dir) {
        Ok(above) => above,
        Err(error) => return unreadable(error),
    };
    if everybody_writes(&above) || everybody_writes(&about) {
        let what = if everybody_writes(&about) {
            "it"
        } else {
            "its directory"
        };
        return refused(
            format!("everybody may write to {what}"),
            "take that right away with `chmod o-w`, or delete the file if it is not yours",
        );
    }
    if !ours(about.uid()) || !ours(above.uid()) {
        return refused(
            "it belongs to somebody else".into(),
            "give it and its directory to the account that the inventory's directory belongs to, or delete it if it is not yours",
        );
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    if let Err(error) = file {
        return unreadable(error);
    }
    if bytes.len() as u64 > LARGEST {
        let path = shown.to_owned();
        return Err(InventoryError::TooLarge { path, limit: LARGEST });
    }
    super::parse::text(shown, bytes).map(Some)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// `repo/.git`, `repo/eu/a/inventory.yml`, and a `defaults.yml` in each directory from `outside` to `a`.
    fn tree() -> (tempfile::TempDir, PathBuf) {
        let outside = tempfile::tempdir().unwrap();
        let a = outside.path().join("repo/eu/a");
        fs::create_dir_all(&a).unwrap();
        fs::create_dir(outside.path().join("repo/.git")).unwrap();
        for dir in a.ancestors().take(4) {
            fs::write(dir.join(DEFAULTS), format!("# {}\n", dir.display())).unwrap();
        }
        (outside, a)
    }

    fn dirs(inventory: &Path) -> Vec<PathBuf> {
        let found = find(inventory).unwrap_or_else(|error| panic!("{error}"));
        found.into_iter().map(|shared| shared.dir).collect()
    }

    fn why(inventory: &Path) -> String {
        find(inventory).expect_err("it is refused").to_string()
    }

    #[test]
    fn the_nearest_comes_first_and_the_repository_is_the_end() {
        let (outside, a) = tree();
        let outside = outside.path().canonicalize().unwrap();
        let expected = ["repo/eu/a", "repo/eu", "repo"].map(|dir| outside.join(dir));
        assert_eq!(dirs(&a.join("inventory.yml")), expected);
        // However the inventory is named.
        assert_eq!(dirs(&a.join("../../eu/a/inventory.yml")), expected);
        symlink(&a, outside.join("repo/link")).unwrap();
        assert_eq!(dirs(&outside.join("repo/link/inventory.yml")), expected);
        // Without a repository: as far as nobody else may write.
        fs::remove_dir(outside.join("repo/.git")).unwrap();
        assert_eq!(&dirs(&a.join("inventory.yml"))[3..], std::slice::from_ref(&outside));
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(dirs(&a.join("inventory.yml")), expected);
    }

    #[test]
    fn what_somebody_else_may_have_put_there_is_refused_and_not_passed_over() {
        let (outside, a) = tree();
        let (inventory, eu) = (a.join("inventory.yml"), outside.path().join("repo/eu"));
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&eu, 0o777);
        assert!(
            why(&inventory).ends_with("everybody may write to its directory"),
            "{}",
            why(&inventory)
        );
        mode(&eu, 0o755);
        mode(&eu.join(DEFAULTS), 0o666);
        assert!(
            why(&inventory).ends_with("everybody may write to it"),
            "{}",
            why(&inventory)
        );
        fs::remove_file(eu.join(DEFAULTS)).unwrap();
        symlink("/etc/shadow", eu.join(DEFAULTS)).unwrap();
        assert!(why(&inventory).ends_with("it is not a file"), "{}", why(&inventory));
        fs::remove_file(eu.join(DEFAULTS)).unwrap();
        fs::write(eu.join(DEFAULTS), b"ssh: {}\n# \xff\n").unwrap();
        assert!(
            why(&inventory).ends_with("defaults.yml:2: not UTF-8 text"),
            "{}",
            why(&inventory)
        );
        fs::write(eu.join(DEFAULTS), vec![b'#'; 1 + LARGEST as usize]).unwrap();
        assert!(why(&inventory).contains("more than"), "{}", why(&inventory));
    }
}
