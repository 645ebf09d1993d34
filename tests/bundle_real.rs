//! Bundles of real etcd releases: Debian's packages of 3.4 and 3.5, and directories of what was built from Go modules.
//!
//! `QUORATE_ETCD_DIR` names a directory with one directory for each version, as `lab/fetch-etcd` makes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use quorate::bundle::{Bundle, CreateOptions, Program, create};
use quorate::inventory::{Arch, Version};

/// What is bundled: the packages of the oldest release and the directory with the programs of the newest. (The bundle of
/// the lab's hosts has them all.)
fn sources() -> BTreeMap<Version, Vec<PathBuf>> {
    let root = std::env::var_os("QUORATE_ETCD_DIR").expect("set QUORATE_ETCD_DIR to what `lab/fetch-etcd` prints");
    let mut sources = BTreeMap::new();
    for directory in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()) {
        let Some(version) = directory.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        let debs: Vec<_> = files
            .filter(|file| file.extension().is_some_and(|e| e == "deb"))
            .collect();
        sources.insert(version, if debs.is_empty() { vec![directory] } else { debs });
    }
    assert!(!sources.is_empty(), "{} holds no VERSION/", root.display());
    while sources.len() > 2 {
        let between = *sources.keys().nth(1).unwrap();
        sources.remove(&between);
    }
    sources
}

#[test]
fn packages_and_programs_become_a_bundle_whose_programs_run_and_name_their_version() {
    let by_version = sources();
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("etcd.qbundle");
    let sources: Vec<_> = by_version.values().flatten().cloned().collect();
    let created = create(&out, &sources, CreateOptions::default()).unwrap();
    let tried: Vec<_> = created
        .notes
        .iter()
        .filter(|note| note.contains("was not tested"))
        .collect();
    assert!(tried.is_empty(), "{tried:?}");

    let bundle = Bundle::open(&out).unwrap();
    bundle.verify().unwrap();
    let arch = Arch::from_uname(std::env::consts::ARCH).unwrap();
    assert_eq!(
        bundle.versions().into_keys().collect::<Vec<_>>(),
        by_version.into_keys().collect::<Vec<_>>()
    );
    for version in bundle.versions().into_keys() {
        let etcd = place.path().join(format!("etcd-{version}"));
        bundle.extract(version, arch, Program::Etcd, &etcd).unwrap();
        let said = Command::new(&etcd).arg("--version").output().unwrap().stdout;
        assert!(String::from_utf8_lossy(&said).starts_with(&format!("etcd Version: {version}\n")));
    }
}
