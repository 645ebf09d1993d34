//! Bundles of real etcd releases, as Debian packages them.
//!
//! `QUORATE_TEST_DEBS` names a directory with one directory for each version (`3.5.30/*.deb`), as `lab/fetch-etcd`
//! makes it. Without it there is nothing to test, and the test says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quorate::bundle::{Bundle, CreateOptions, Program, create};
use quorate::inventory::{Arch, Version};

/// The packages by version, as the directories' names say.
fn packages() -> Option<BTreeMap<Version, Vec<PathBuf>>> {
    let root = std::env::var_os("QUORATE_TEST_DEBS")?;
    let mut packages = BTreeMap::new();
    for directory in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()) {
        let Some(version) = directory.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        let debs: Vec<_> = files
            .filter(|file| file.extension().is_some_and(|e| e == "deb"))
            .collect();
        packages.insert(version, debs);
    }
    assert!(
        !packages.is_empty(),
        "{} holds no VERSION/*.deb",
        Path::new(&root).display()
    );
    Some(packages)
}

#[test]
fn debians_packages_become_a_bundle_whose_programs_run_and_name_their_version() {
    let Some(packages) = packages() else {
        eprintln!("skipped: QUORATE_TEST_DEBS names no directory of packages");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("etcd.qbundle");
    let sources: Vec<_> = packages.values().flatten().cloned().collect();
    let created = create(&out, &sources, CreateOptions::default()).unwrap();
    let tried: Vec<_> = created
        .notes
        .iter()
        .filter(|note| note.contains("was not tried out"))
        .collect();
    assert!(tried.is_empty(), "{tried:?}");

    let bundle = Bundle::open(&out).unwrap();
    bundle.verify().unwrap();
    let arch = Arch::from_uname(std::env::consts::ARCH).unwrap();
    assert_eq!(
        bundle.versions().into_keys().collect::<Vec<_>>(),
        packages.into_keys().collect::<Vec<_>>()
    );
    for version in bundle.versions().into_keys() {
        let etcd = place.path().join(format!("etcd-{version}"));
        bundle.extract(version, arch, Program::Etcd, &etcd).unwrap();
        let said = Command::new(&etcd).arg("--version").output().unwrap().stdout;
        assert!(String::from_utf8_lossy(&said).starts_with(&format!("etcd Version: {version}\n")));
    }
}
