//! Program and bundle in one file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::fixtures::{Place, program};
use crate::bundle::embed::{Carried, carried, carried_by_ourselves, own_mark};
use crate::bundle::{Alone, Bundle, BundleError, Program, embed};
use crate::inventory::Arch;

#[test]
fn an_executable_carries_a_bundle_and_still_begins_with_the_program() {
    let place = Place::new();
    let bundle = place.bundle();
    let plain = place.quorate("quorate");
    let into = place.path().join("quorate-with-etcd");
    let inside = embed(&plain, &place.out(), &into).unwrap();
    assert!(inside.is_carried() && !bundle.is_carried());
    assert_eq!(inside.digest(), bundle.digest());
    assert_eq!(inside.verify().unwrap(), bundle.verify().unwrap());

    let (plain, full) = (fs::read(&plain).unwrap(), fs::read(&into).unwrap());
    let changed: Vec<usize> = (0..plain.len()).filter(|at| plain[*at] != full[*at]).collect();
    assert_eq!(changed.len(), 1, "only the mark");
    assert_eq!(fs::metadata(&into).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn embedding_again_replaces_the_bundle_and_does_not_grow_the_program() {
    let place = Place::new();
    place.bundle();
    let plain = place.quorate("quorate");
    let (once, twice) = (place.path().join("once"), place.path().join("twice"));
    embed(&plain, &place.out(), &once).unwrap();
    // The bundle can come out of an executable too, and the executable can be its own target.
    embed(&once, &once, &twice).unwrap();
    assert!(fs::read(&once).unwrap() == fs::read(&twice).unwrap());
    embed(&twice, &place.out(), &twice).unwrap();
    assert!(fs::read(&once).unwrap() == fs::read(&twice).unwrap());
}

#[test]
fn a_bundle_that_strip_cut_off_is_missed() {
    let place = Place::new();
    place.bundle();
    let plain = place.quorate("quorate");
    let full = place.path().join("full");
    embed(&plain, &place.out(), &full).unwrap();
    let bytes = fs::read(&full).unwrap();
    for left in [fs::metadata(&plain).unwrap().len() as usize, bytes.len() - 1] {
        let stripped = place.file("stripped", &bytes[..left]);
        let error = Bundle::open(&stripped).unwrap_err();
        assert!(matches!(error, BundleError::PayloadCutOff { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("do not strip"));
    }
}

#[test]
fn a_bundle_that_was_exchanged_inside_the_executable_is_noticed() {
    let place = Place::new();
    place.bundle();
    let full = place.path().join("full");
    embed(&place.quorate("quorate"), &place.out(), &full).unwrap();
    let mut bytes = fs::read(&full).unwrap();
    // A release's origin is free text that no program's digest covers.
    let at = bytes
        .windows(14)
        .position(|window| window == b"release-3.4.23")
        .unwrap();
    bytes[at] = b'R';
    let tampered = Bundle::open(&place.file("tampered", &bytes)).unwrap();
    let error = tampered.verify().unwrap_err();
    assert!(error.to_string().contains("not the one that was embedded"), "{error}");
}

#[test]
fn only_a_quorate_executable_carries_a_bundle_and_only_a_whole_bundle_is_carried() {
    let place = Place::new();
    place.bundle();
    let into = place.path().join("into");
    let other = place.file("other", &program(Program::Etcd, "3.5.30", Arch::Amd64));
    let script = place.file("script", b"#!/bin/sh\n");
    for unfit in [&other, &script] {
        let error = embed(unfit, &place.out(), &into).unwrap_err();
        assert!(matches!(error, BundleError::NotQuorate { .. }), "{error:?}");
    }
    let mut bytes = fs::read(place.out()).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    let damaged = place.file("damaged.qbundle", &bytes);
    assert!(embed(&place.quorate("quorate"), &damaged, &into).is_err());
    assert!(!into.exists());
}

#[test]
fn the_running_executable_has_exactly_one_mark_and_it_is_unset() {
    assert!(own_mark().ends_with(b":0"));
    let place = Place::new();
    place.bundle();
    let own = std::env::current_exe().unwrap();
    let file = fs::File::open(&own).unwrap();
    assert_eq!(carried(&file).unwrap(), Carried::Nothing);
    assert_eq!(carried_by_ourselves(&file).unwrap(), Carried::Nothing);
    // With no mark, or more than one, this would be refused.
    let inside = embed(&own, &place.out(), &place.path().join("full")).unwrap();
    assert!(inside.is_carried());
    assert!(Bundle::embedded().unwrap().is_none());
}

#[test]
fn hosts_get_the_program_without_the_bundle_that_it_carries() {
    let place = Place::new();
    place.bundle();
    let own = std::env::current_exe().unwrap();
    let full = place.path().join("full");
    embed(&own, &place.out(), &full).unwrap();
    let (alone, plain) = (Alone::read(&full).unwrap(), Alone::read(&own).unwrap());
    assert_eq!(Some(alone.arch), Arch::of_this_machine());
    assert!(alone.bytes == plain.bytes && plain.bytes == fs::read(&own).unwrap());

    let script = place.file("script", b"#!/bin/sh\n");
    let other = place.file("other", &program(Program::Etcd, "3.5.30", Arch::Arm64));
    for (unfit, why) in [(&script, "not an ELF program"), (&other, "not a quorate executable")] {
        let error = Alone::read(unfit).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
