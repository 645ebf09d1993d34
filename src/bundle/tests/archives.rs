//! Archives that nobody vouches for: each kind of hostility is refused by name, and nothing is left behind.

use super::fixtures::{Place, Tar, ar, gzip, package, package_data, program, release_tarball, zstd};
use crate::bundle::archive::ArchiveError;
use crate::bundle::budget::{Budget, Limits};
use crate::bundle::{BundleError, Program};
use crate::inventory::Arch;

/// What `create` says of a source with this content; also that it left nothing behind.
fn refusal(content: &[u8]) -> ArchiveError {
    let place = Place::new();
    let source = place.file("source", content);
    match place.create(&[source]).unwrap_err() {
        BundleError::Archive { source, .. } => {
            assert_eq!(place.listing(), ["source"]);
            source
        }
        other => panic!("refused as something else: {other:?}"),
    }
}

fn tarball(fill: impl FnOnce(&mut Tar)) -> Vec<u8> {
    let mut tar = Tar::default();
    fill(&mut tar);
    gzip(&tar.finish())
}

#[test]
fn a_path_that_leads_out_of_the_archive_is_refused_whoever_it_belongs_to() {
    let absolute = tarball(|tar| tar.add(b'0', "/etc/passwd", b"x"));
    assert!(matches!(refusal(&absolute), ArchiveError::AbsolutePath { entry } if entry == "/etc/passwd"));
    let parent = tarball(|tar| tar.add(b'0', "etcd/../../etcd", b"x"));
    assert!(matches!(refusal(&parent), ArchiveError::ParentPath { .. }));
    let link = tarball(|tar| tar.add(b'2', "../link", b""));
    assert!(matches!(refusal(&link), ArchiveError::ParentPath { .. }));
}

#[test]
fn a_hostile_path_is_also_seen_in_a_long_name_record_and_in_a_pax_header() {
    let long_name = tarball(|tar| {
        tar.add(b'L', "././@LongLink", b"/root/etcd\0");
        tar.add(b'0', "etcd", b"x");
    });
    assert!(matches!(refusal(&long_name), ArchiveError::AbsolutePath { .. }));
    let pax = tarball(|tar| {
        tar.add(b'x', "PaxHeaders/etcd", b"17 path=../../etcd\n");
        tar.add(b'0', "etcd", b"x");
    });
    assert!(
        matches!(refusal(&pax), ArchiveError::Corrupt { .. }),
        "a record whose length lies"
    );
    let pax = tarball(|tar| {
        tar.add(b'x', "PaxHeaders/etcd", b"19 path=../../etcd\n");
        tar.add(b'0', "etcd", b"x");
    });
    assert!(matches!(refusal(&pax), ArchiveError::ParentPath { .. }));
    let endless = tarball(|tar| tar.add(b'L', "././@LongLink", &vec![b'a'; 100_000]));
    assert!(matches!(refusal(&endless), ArchiveError::Corrupt { why } if why.contains("too long")));
}

#[test]
fn a_program_must_be_a_file() {
    for (kind, expected) in [
        (b'1', "a hard link"),
        (b'2', "a symbolic link"),
        (b'3', "a device"),
        (b'4', "a device"),
        (b'6', "a pipe"),
        (b'S', "a special entry"),
    ] {
        // The content is a file's: only the kind is wrong.
        let archive = tarball(|tar| tar.add(kind, "etcd-v3.5.30-linux-amd64/etcdctl", b""));
        match refusal(&archive) {
            ArchiveError::NotAFile { kind, .. } => assert_eq!(kind, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn a_program_must_be_there_once() {
    let twice = tarball(|tar| {
        tar.add(b'0', "etcd-v3.5.30-linux-amd64/etcd", b"one");
        tar.add(b'0', "etcd", b"another");
    });
    assert_eq!(refusal(&twice), ArchiveError::Duplicate { program: Program::Etcd });
}

#[test]
fn a_bomb_is_stopped_by_what_it_unpacks_to() {
    let zeros = tarball(|tar| tar.add(b'0', "filler", &vec![0; 40 << 20]));
    assert!(zeros.len() < 1 << 20);
    assert!(matches!(refusal(&zeros), ArchiveError::Bomb { unpacked, .. } if unpacked < 20 << 20));

    let claimed = tarball(|tar| tar.add_header(b'0', "etcd", 1 << 40));
    assert!(matches!(refusal(&claimed), ArchiveError::TooLarge { size, .. } if size == 1 << 40));

    let entries = tarball(|tar| (0..20_001).for_each(|_| tar.add(b'5', "d/", b"")));
    // Empty headers alone: the count stops it before the ratio does.
    assert!(matches!(
        refusal(&entries),
        ArchiveError::TooManyEntries { limit: 20_000 }
    ));
}

#[test]
fn the_total_counts_as_well_as_the_ratio() {
    let budget = Budget::new(Limits {
        total: 1000,
        ..Limits::default()
    });
    let copied = std::io::copy(&mut budget.unpacked(&[7; 1001][..]), &mut std::io::sink());
    assert!(matches!(
        budget.explain(&copied.unwrap_err()),
        ArchiveError::Bomb { unpacked: 1001, .. }
    ));
}

#[test]
fn an_archive_that_ends_early_is_called_truncated() {
    let place = Place::new();
    let whole = std::fs::read(release_tarball(place.path(), "3.5.30", Arch::Amd64)).unwrap();
    for length in [100, whole.len() / 2, whole.len() - 1] {
        assert_eq!(refusal(&whole[..length]), ArchiveError::Truncated, "{length}");
    }
    // An uncompressed tar has no checksum at its end: the missing bytes themselves must be noticed.
    let mut tar = Tar::default();
    tar.add_header(b'0', "usr/bin/etcd", 5000);
    let mut data = tar.unfinished();
    data.extend([1; 700]);
    let short = ar(&[("debian-binary", b"2.0\n"), ("data.tar", &data)]);
    assert_eq!(refusal(&short), ArchiveError::Truncated);
    // Neither do bytes that are only skipped, nor a Zstandard frame.
    let mut tar = Tar::default();
    tar.add_header(b'0', "usr/share/doc/etcd/README", 5000);
    let skipped = ar(&[("debian-binary", b"2.0\n"), ("data.tar", &tar.unfinished())]);
    assert_eq!(refusal(&skipped), ArchiveError::Truncated);
    let frame = zstd(&package_data(&[Program::Etcd], "3.5.30", Arch::Amd64));
    let frame = ar(&[("debian-binary", b"2.0\n"), ("data.tar.zst", &frame[..frame.len() / 2])]);
    assert_eq!(refusal(&frame), ArchiveError::Truncated);
    let whole = package(&[Program::Etcd], "3.5.30", Arch::Amd64);
    for length in [8 + 30, 8 + 60 + 2, whole.len() - 40] {
        let found = refusal(&whole[..length]);
        assert_eq!(found, ArchiveError::Truncated, "{length}");
    }
}

#[test]
fn flipped_bits_are_noticed() {
    let place = Place::new();
    let mut bytes = std::fs::read(release_tarball(place.path(), "3.5.30", Arch::Amd64)).unwrap();
    let last = bytes.len() - 6;
    bytes[last] ^= 1; // in gzip's own checksum
    assert!(matches!(refusal(&bytes), ArchiveError::Corrupt { .. }));
    assert!(matches!(refusal(&gzip(&[b'x'; 2000])), ArchiveError::Corrupt { .. }));
}

#[test]
fn a_package_without_its_parts_is_refused() {
    assert_eq!(
        refusal(&ar(&[("debian-binary", b"2.0\n")])),
        ArchiveError::NoMember { member: "data.tar" }
    );
    let lzma = ar(&[("debian-binary", b"2.0\n"), ("data.tar.lzma", b"x")]);
    assert!(matches!(refusal(&lzma), ArchiveError::UnknownPacking { .. }));
    let mut broken = package(&[Program::Etcd], "3.5.30", Arch::Amd64);
    broken[8 + 50] = b'x'; // the size of the first member
    assert!(matches!(refusal(&broken), ArchiveError::Corrupt { .. }));
}

#[test]
fn what_is_no_source_at_all_is_named() {
    let place = Place::new();
    let etcd = program(Program::Etcd, "3.5.30", Arch::Amd64);
    for (content, expected) in [
        (&b""[..], "empty"),
        (b"hello", "neither"),
        (b"PK\x03\x04", "a zip file"),
        (&etcd, "name the directory"),
    ] {
        let source = place.file("source", content);
        let error = place.create(&[source]).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().unwrap().contains("tarball"));
    }
    assert!(matches!(place.create(&[]), Err(BundleError::NoSources)));
    let missing = place.create(&[place.path().join("missing")]).unwrap_err();
    assert!(matches!(missing, BundleError::Read { .. }));
    let empty = gzip(&Tar::default().finish());
    let none = place.create(&[place.file("empty.tar.gz", &empty)]).unwrap_err();
    assert!(matches!(none, BundleError::NoPrograms { .. }));
    assert_eq!(place.listing(), ["empty.tar.gz", "source"]);
}
