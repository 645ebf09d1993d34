//! Opening, reading and doubting bundles.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use super::fixtures::{Place, program, version};
use crate::bundle::{Bundle, BundleError, Digest, Packing, Program};
use crate::inventory::Arch;

#[test]
fn a_bundle_gives_back_what_was_packed_to_many_readers_at_once() {
    let place = Place::new();
    let bundle = place.bundle();
    thread::scope(|scope| {
        for arch in [Arch::Amd64, Arch::Arm64].into_iter().cycle().take(8) {
            let bundle = bundle.clone();
            scope.spawn(move || {
                let expected = program(Program::Etcdctl, "3.5.30", arch);
                for packing in Packing::ALL {
                    let packed = bundle.open_packed(version("3.5.30"), arch, Program::Etcdctl, packing);
                    let mut bytes = Vec::new();
                    let mut unpacked = packing.unpack(packed.unwrap()).unwrap();
                    unpacked.read_to_end(&mut bytes).unwrap();
                    assert!(bytes == expected, "{packing:?}");
                }
                let mut plain = bundle.open_program(version("3.5.30"), arch, Program::Etcdctl).unwrap();
                let mut bytes = Vec::new();
                plain.read_to_end(&mut bytes).unwrap();
                assert!(bytes == expected);
            });
        }
    });
    let both = [
        (version("3.4.23"), vec![Arch::Amd64]),
        (version("3.5.30"), vec![Arch::Amd64, Arch::Arm64]),
    ];
    assert_eq!(bundle.versions(), both.into());
    assert_eq!(bundle.verify().unwrap().programs, 8);
    assert_eq!(bundle.size(), fs::metadata(place.out()).unwrap().len());
}

#[test]
fn a_bundle_is_a_tar_that_any_tar_can_list() {
    let place = Place::new();
    let bundle = place.bundle();
    let mut tar = tar::Archive::new(fs::File::open(place.out()).unwrap());
    let names: Vec<_> = tar
        .entries()
        .unwrap()
        .map(|e| e.unwrap().path().unwrap().into_owned())
        .collect();
    assert_eq!(names[0], Path::new("manifest.json"));
    assert_eq!(names[1], Path::new("3.4.23/amd64/etcd.zst"));
    assert_eq!(names[2], Path::new("3.4.23/amd64/etcd.gz"));
    assert_eq!(names[16], Path::new("3.5.30/arm64/etcdutl.gz"));
    assert_eq!(names.len(), 17);
    let json = fs::read(place.out()).unwrap();
    let end = json[512..].iter().position(|b| *b == 0).unwrap();
    assert_eq!(bundle.digest(), Digest::of(&json[512..512 + end]));
}

#[test]
fn a_program_is_extracted_whole_and_executable() {
    let place = Place::new();
    let bundle = place.bundle();
    let dest = place.path().join("etcdutl");
    bundle
        .extract(version("3.5.30"), Arch::Arm64, Program::Etcdutl, &dest)
        .unwrap();
    assert!(fs::read(&dest).unwrap() == program(Program::Etcdutl, "3.5.30", Arch::Arm64));
    assert_eq!(fs::metadata(&dest).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn what_a_bundle_lacks_is_said_with_what_it_has() {
    let place = Place::new();
    let bundle = place.bundle();
    let error = bundle.release(version("3.5.30"), Arch::S390x).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it has 3.4.23 for amd64, 3.5.30 for amd64, 3.5.30 for arm64"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("etcd-v3.5.30-linux-s390x.tar.gz"));
    let error = bundle
        .file(version("3.4.23"), Arch::Amd64, Program::Etcdutl)
        .unwrap_err();
    assert!(matches!(error, BundleError::NoSuchProgram { .. }));
    let missing = bundle.open_program(version("3.6.0"), Arch::Amd64, Program::Etcd);
    assert_eq!(missing.err().unwrap().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_truncated_bundle_is_refused_at_every_length() {
    let place = Place::new();
    place.bundle();
    let whole = fs::read(place.out()).unwrap();
    for length in [1, 511, 512, 600, 1600, 5000, whole.len() / 2, whole.len() - 1] {
        let path = place.file("short.qbundle", &whole[..length]);
        match Bundle::open(&path).unwrap_err() {
            BundleError::Truncated { found, .. } => assert_eq!(found, length as u64),
            BundleError::NotABundle { .. } => assert!(length < 14, "{length}"),
            other => panic!("{length}: {other:?}"),
        }
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let place = Place::new();
    let digest = place.bundle().digest();
    let whole = fs::read(place.out()).unwrap();
    let path = place.path().join("flipped.qbundle");
    // A prime, so that headers, manifest, contents, padding and end are all hit.
    for at in (0..whole.len()).step_by(37).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let verdict = Bundle::open(&path).and_then(|bundle| bundle.verify().map(|_| bundle));
        // The manifest's free texts can be changed into other texts; then it is another bundle.
        assert!(
            verdict.map_or(true, |bundle| bundle.digest() != digest),
            "the byte at {at}"
        );
    }
}

#[test]
fn a_program_that_was_exchanged_is_neither_verified_nor_extracted() {
    let place = Place::new();
    let bundle = place.bundle();
    let whole = fs::read(place.out()).unwrap();
    let (version, arch, program) = (version("3.5.30"), Arch::Arm64, Program::Etcdutl);
    let file = bundle.file(version, arch, program).unwrap();
    // These two are the last contents: zstd, a header, gzip, each up to the next block, and two blocks for the end.
    let gzip = whole.len() - 1024 - file.gzip.size.next_multiple_of(512) as usize;
    let zstd = gzip - 512 - file.zstd.size.next_multiple_of(512) as usize;
    for (start, file, name) in [(zstd, file.zstd, "etcdutl.zst"), (gzip, file.gzip, "etcdutl.gz")] {
        let mut bytes = whole.clone();
        bytes[start + file.size as usize / 2] ^= 1;
        let tampered = Bundle::open(&place.file("tampered.qbundle", &bytes)).unwrap();
        for error in [
            tampered.verify().unwrap_err(),
            tampered.check_packed(version, arch).unwrap_err(),
        ] {
            assert!(
                matches!(&error, BundleError::Damaged { problems, .. } if problems.len() == 1),
                "{error}"
            );
            assert!(error.to_string().contains(&format!("3.5.30/arm64/{name}")), "{error}");
        }
        let dest = place.path().join("etcdutl");
        let extracted = tampered.extract(version, arch, program, &dest);
        // It is taken from the zstd file, whatever became of the other.
        assert_eq!((extracted.is_err(), dest.exists()), (start == zstd, start == gzip));
    }

    let path = place.file("longer.qbundle", &[whole, vec![0]].concat());
    assert!(Bundle::open(&path).unwrap_err().to_string().contains("1 bytes follow"));
}

#[test]
fn other_files_are_not_bundles() {
    let place = Place::new();
    for (content, expected) in [
        (&b""[..], "empty"),
        (b"\x1f\x8b\x08\x00", "a compressed archive"),
        (b"!<arch>\n", "a Debian package"),
        (b"\x7fELF and so on", "a program without one"),
        (b"cluster: prod-a\n", "something else"),
    ] {
        let error = Bundle::open(&place.file("x", content)).unwrap_err();
        assert!(
            matches!(&error, BundleError::NotABundle { what, .. } if *what == expected),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("bundle create"));
    }
    assert!(matches!(
        Bundle::open(place.path()),
        Err(BundleError::NotABundle {
            what: "a directory",
            ..
        })
    ));
}

#[test]
fn the_bundle_to_use_is_the_named_one_or_the_only_one_beside_the_inventory() {
    let place = Place::new();
    let error = Bundle::find(None, place.path()).unwrap_err();
    assert!(matches!(error, BundleError::NotFound { .. }));
    assert!(error.hint().unwrap().contains("quorate bundle create --out"));

    let bundle = place.bundle();
    assert_eq!(Bundle::find(None, place.path()).unwrap().0.digest(), bundle.digest());

    let second = place.path().join("another.qbundle");
    fs::copy(place.out(), &second).unwrap();
    match Bundle::find(None, place.path()).unwrap_err() {
        BundleError::Ambiguous { listing } => {
            assert!(
                listing[0].ends_with("another.qbundle") && listing[1].ends_with("etcd.qbundle"),
                "{listing:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(Bundle::find(Some(&second), place.path()).unwrap().0.path(), second);
}
