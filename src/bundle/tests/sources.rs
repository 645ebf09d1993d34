//! Honest sources, and those that are honest but do not fit together.

use std::fs;

use super::fixtures::{
    Place, ar, gzip, package, package_data, program, release_directory, release_tarball, version, zstd,
};
use crate::bundle::{Bundle, BundleError, CreateOptions, Digest, Program, create};
use crate::inventory::Arch;

#[test]
fn tarballs_directories_and_packages_of_every_architecture_fit_into_one_bundle() {
    let place = Place::new();
    let server = package(&[Program::Etcd, Program::Etcdutl], "3.5.16", Arch::S390x);
    let client = package(&[Program::Etcdctl, Program::Etcdutl], "3.5.16", Arch::S390x);
    let created = place.create(&[
        release_tarball(place.path(), "3.5.30", Arch::Amd64),
        release_directory(place.path(), "3.4.23", Arch::Ppc64le),
        place.file("etcd-server.deb", &server),
        release_directory(place.path(), "3.5.30", Arch::Arm64),
        place.file("etcd-client.deb", &client),
    ]);
    let bundle = Bundle::open(&place.out()).unwrap();
    assert_eq!(created.unwrap().manifest, *bundle.manifest());
    let releases: Vec<_> = bundle.manifest().releases.iter().collect();
    let found: Vec<_> = releases
        .iter()
        .map(|r| (r.version.to_string(), r.arch, r.files.len()))
        .collect();
    let expected = [
        ("3.4.23", Arch::Ppc64le, 2),
        ("3.5.16", Arch::S390x, 3),
        ("3.5.30", Arch::Amd64, 3),
        ("3.5.30", Arch::Arm64, 3),
    ];
    assert_eq!(found, expected.map(|(v, a, n)| (v.to_owned(), a, n)));
    assert_eq!(releases[1].origin, "etcd-client.deb, etcd-server.deb");
    assert_eq!(releases[2].origin, "etcd-v3.5.30-linux-amd64.tar.gz");
    bundle.verify().unwrap();
}

#[test]
fn packages_are_read_however_their_data_is_packed() {
    let place = Place::new();
    let data = package_data(&Program::ALL, "3.5.30", Arch::Amd64);
    for (member, packed) in [
        ("data.tar", data.clone()),
        ("data.tar.gz", gzip(&data)),
        ("data.tar.zst", zstd(&data)),
    ] {
        let deb = ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.xz/", b"odd"),
            (member, &packed),
        ]);
        let created = place.create(&[place.file("etcd.deb", &deb)]).unwrap();
        assert_eq!(created.manifest.releases[0].files.len(), 3, "{member}");
    }
}

#[test]
fn the_same_sources_give_the_same_bytes_in_whatever_order() {
    let place = Place::new();
    let first = release_tarball(place.path(), "3.5.30", Arch::Amd64);
    let second = release_tarball(place.path(), "3.4.23", Arch::Amd64);
    place.create(&[first.clone(), second.clone()]).unwrap();
    let one = fs::read(place.out()).unwrap();
    place.create(&[second, first]).unwrap();
    assert!(one == fs::read(place.out()).unwrap());
}

#[test]
fn sums_beside_a_tarball_are_believed() {
    let place = Place::new();
    let tarball = release_tarball(place.path(), "3.5.30", Arch::Amd64);
    let sum = Digest::of(&fs::read(&tarball).unwrap());
    let unchecked = place.create(std::slice::from_ref(&tarball)).unwrap();
    assert!(unchecked.notes[0].contains("no SHA256SUMS"), "{:?}", unchecked.notes);

    place.file(
        "SHA256SUMS",
        format!(
            "{}  other.tar.gz\n{sum} *etcd-v3.5.30-linux-amd64.tar.gz\n",
            Digest::of(b"")
        )
        .as_bytes(),
    );
    let checked = place.create(std::slice::from_ref(&tarball)).unwrap();
    assert!(
        !checked.notes.iter().any(|note| note.contains("SHA256SUMS")),
        "{:?}",
        checked.notes
    );

    place.file("SHA256SUMS", format!("{}  other.tar.gz\n", Digest::of(b"")).as_bytes());
    let unlisted = place.create(std::slice::from_ref(&tarball)).unwrap();
    assert!(unlisted.notes[0].contains("does not list it"), "{:?}", unlisted.notes);

    let wrong = format!("{}  etcd-v3.5.30-linux-amd64.tar.gz\n", Digest::of(b""));
    place.file("SHA256SUMS", wrong.as_bytes());
    let before = fs::read(place.out()).unwrap();
    let error = place.create(std::slice::from_ref(&tarball)).unwrap_err();
    assert!(
        matches!(&error, BundleError::SumMismatch { found, .. } if *found == sum),
        "{error:?}"
    );
    assert!(
        before == fs::read(place.out()).unwrap(),
        "the bundle of before is untouched"
    );

    place.file("SHA256SUMS", b"<html>not found</html>\n");
    let error = place.create(&[tarball]).unwrap_err();
    assert!(matches!(error, BundleError::Sums { line: 1, .. }), "{error:?}");
}

#[test]
fn programs_must_be_what_they_are_called_and_agree() {
    let place = Place::new();
    let directory = release_directory(place.path(), "3.5.30", Arch::Amd64);
    let sources = [directory.clone()];
    let put = |name: Program, content: &[u8]| fs::write(directory.join(name.as_str()), content).unwrap();

    put(Program::Etcdctl, &program(Program::Etcdctl, "3.5.16", Arch::Amd64));
    let error = place.create(&sources).unwrap_err();
    assert!(matches!(&error, BundleError::Mixed { listing, .. } if listing.contains("etcdctl is 3.5.16 for amd64")));

    put(Program::Etcdctl, &program(Program::Etcdctl, "3.5.30", Arch::Arm64));
    assert!(matches!(place.create(&sources), Err(BundleError::Mixed { .. })));

    let mut foreign = program(Program::Etcdctl, "3.5.30", Arch::Amd64);
    foreign[18] = 243; // RISC-V
    let shell = b"#!/bin/sh\necho etcdctl version: 3.5.30\n".to_vec();
    let truncated = program(Program::Etcdctl, "3.5.30", Arch::Amd64)[..300].to_vec();
    for (content, expected) in [
        (program(Program::Etcd, "3.5.30", Arch::Amd64), "it is etcd"),
        (program(Program::Etcdctl, "3.6.0-rc.1", Arch::Amd64), "pre-release"),
        (program(Program::Etcdctl, "2.5.30", Arch::Amd64), "no etcd version"),
        (foreign, "ELF machine 243"),
        (shell, "not an ELF program"),
        (truncated, "truncated"),
        (Vec::new(), "not an ELF program"),
    ] {
        put(Program::Etcdctl, &content);
        match place.create(&sources).unwrap_err() {
            BundleError::NotEtcd { why, .. } => assert!(why.contains(expected), "{why}"),
            other => panic!("{expected}: {other:?}"),
        }
    }

    fs::remove_file(directory.join("etcdctl")).unwrap();
    let error = place.create(&sources).unwrap_err();
    assert!(matches!(
        error,
        BundleError::Incomplete {
            missing: Program::Etcdctl,
            ..
        }
    ));
    assert!(error.hint().unwrap().contains("etcd-client"));
}

#[test]
fn two_builds_of_one_release_cannot_share_a_bundle() {
    let place = Place::new();
    let tarball = release_tarball(place.path(), "3.5.30", Arch::Amd64);
    let directory = release_directory(place.path(), "3.5.30", Arch::Amd64);
    place.create(&[tarball.clone(), directory.clone()]).unwrap();

    let mut other = program(Program::Etcdutl, "3.5.30", Arch::Amd64);
    other.push(0);
    fs::write(directory.join("etcdutl"), other).unwrap();
    let error = place.create(&[tarball, directory]).unwrap_err();
    assert!(
        matches!(
            error,
            BundleError::Conflict {
                program: Program::Etcdutl,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_release_that_loses_data_is_refused_unless_it_is_asked_for() {
    let place = Place::new();
    let bad = release_directory(place.path(), "3.5.2", Arch::Amd64);
    let error = place.create(std::slice::from_ref(&bad)).unwrap_err();
    assert!(
        error.to_string().contains("etcd 3.5.2 loses or diverges data"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("3.5.33"), "{:?}", error.hint());
    assert!(!place.out().exists());

    let options = CreateOptions {
        allow_known_bad: true,
        ..CreateOptions::default()
    };
    let created = create(&place.out(), &[bad], options).unwrap();
    assert_eq!(created.manifest.releases[0].version, version("3.5.2"));
    assert!(created.notes.iter().any(|note| note.contains("etcd#13766")));

    let ancient = release_directory(place.path(), "3.3.27", Arch::Amd64);
    assert!(matches!(place.create(&[ancient]), Err(BundleError::Unsupported { .. })));
}
