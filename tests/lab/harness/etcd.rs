//! The etcd releases that tests run: brought once by `lab/fetch-etcd`, and a bundle of them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use super::lab::{PROGRAM, REPOSITORY, in_order};

/// Every release there is, as `(version, directory with etcd, etcdctl, etcdutl and the .deb files)`, oldest first.
#[track_caller]
pub fn releases() -> Vec<(String, PathBuf)> {
    let fetched = Command::new(Path::new(REPOSITORY).join("lab/fetch-etcd"))
        .output()
        .expect("lab/fetch-etcd");
    assert!(
        fetched.status.success(),
        "lab/fetch-etcd: {}",
        String::from_utf8_lossy(&fetched.stderr)
    );
    let root = PathBuf::from(String::from_utf8(fetched.stdout).expect("a path").trim());
    let mut found: Vec<_> = fs::read_dir(&root)
        .expect("the fetched releases")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.join("etcd").exists())
        .map(|path| {
            (
                path.file_name().and_then(OsStr::to_str).expect("a version").to_owned(),
                path,
            )
        })
        .collect();
    found.sort_by_key(|(version, _)| in_order(version));
    found
}

/// The newest release of a minor, `3.5`: tests name minors, since Debian's archive moves on.
#[track_caller]
pub fn release(minor: &str) -> String {
    let belongs = |version: &String| version.strip_prefix(minor).is_some_and(|rest| rest.starts_with('.'));
    let mut versions = releases().into_iter().map(|(version, _)| version);
    versions
        .rfind(belongs)
        .unwrap_or_else(|| panic!("no etcd {minor} among the fetched releases"))
}

/// The release that everything is tested on which is not about a particular one: 3.6, or the newest there is where that
/// could not be built (`lab/test` says so then).
#[track_caller]
pub fn current() -> String {
    let versions: Vec<String> = releases().into_iter().map(|(version, _)| version).collect();
    let tested = versions.iter().rfind(|version| version.starts_with("3.6."));
    tested.or(versions.last()).expect("a release of etcd").clone()
}

/// A bundle of all of them, made by the program under test, once for each build of it.
#[track_caller]
pub fn bundle() -> PathBuf {
    let built = fs::metadata(PROGRAM)
        .and_then(|program| program.modified())
        .expect("the program");
    let stamp = built.duration_since(UNIX_EPOCH).expect("a date after 1970").as_millis();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bundle");
    let bundle = directory.join(format!("{stamp}.qbundle"));
    fs::create_dir_all(&directory).expect("a directory for the bundle");
    // Tests are processes of their own: the first makes it, the others wait.
    let lock = File::create(directory.join("lock")).expect("the bundle's lock");
    lock.lock().expect("the bundle's lock");
    if !bundle.exists() {
        for old in fs::read_dir(&directory).expect("the bundle's directory").flatten() {
            if old.path().extension() == Some(OsStr::new("qbundle")) {
                fs::remove_file(old.path()).expect("an old bundle goes");
            }
        }
        let unfinished = directory.join("unfinished");
        let sources = releases().into_iter().map(|(_, directory)| directory);
        let made = Command::new(PROGRAM)
            .args(["bundle", "create", "--out"])
            .arg(&unfinished)
            .args(sources)
            .output()
            .expect("quorate bundle create");
        assert!(
            made.status.success(),
            "quorate bundle create: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        fs::rename(unfinished, &bundle).expect("the finished bundle");
    }
    bundle
}
