//! A cluster of two architectures: one of its hosts is an arm64 machine, whose etcd is the real one for arm64 (`lab/kinds/arm64.sh`).

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Host, Lab, Outcome, current, releases};

/// The current release for arm64, which is built for this alone.
fn programs_for_arm64() -> PathBuf {
    let current = current();
    let (minor, _) = current.rsplit_once('.').expect("a version");
    let build = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/lab/build-etcd"))
        .args([minor, "arm64"])
        .output();
    let built = Outcome::of("lab/build-etcd".to_owned(), build.expect("lab/build-etcd")).ok();
    PathBuf::from(built.stdout.trim()).join(current)
}

fn programs_for_amd64() -> PathBuf {
    let (_, programs) = releases()
        .into_iter()
        .find(|(version, _)| *version == current())
        .unwrap();
    programs
}

/// e_machine in the ELF header of the program that quorate installed: 62 is x86_64, 183 is aarch64.
fn machine(host: &Host) -> String {
    let header = host.sh("od -An -tu2 -j18 -N2 /opt/quorate/etcd/*/etcd");
    header.trim().to_owned()
}

/// etcdctl on the emulated host: its five seconds are not enough there.
fn patiently(host: &Host, arguments: &str) -> String {
    let outcome = host.etcdctl(&format!("--dial-timeout=1m --command-timeout=1m {arguments}"));
    outcome.ok().stdout
}

#[test]
#[ignore = "builds etcd for arm64: make arm64"]
fn an_arm64_host_gets_the_etcd_for_it_and_is_a_member_like_any_other() {
    let lab = Lab::of_kinds(&["debian12", "debian12", "arm64"]);
    lab.plain_inventory(&current());
    let bundle = |name: &str, from: &[PathBuf]| {
        let from = from.iter().map(|dir| dir.to_str().expect("a path"));
        let arguments: Vec<&str> = ["bundle", "create", "--out", name].into_iter().chain(from).collect();
        lab.quorate(&arguments).ok();
    };
    bundle("one.qbundle", &[programs_for_amd64()]);
    bundle("both.qbundle", &[programs_for_amd64(), programs_for_arm64()]);

    lab.refuses(&["up", "--yes", "--bundle", "one.qbundle"], 9).says(&[
        &format!(
            "n3: it needs etcd {0} for arm64, but the bundle has {0} amd64",
            current()
        ),
        "quorate bundle create",
    ]);
    lab.quorate(&["up", "--yes", "--bundle", "both.qbundle"]).ok();
    let (plain, arm) = (lab.host("n1"), lab.host("n3"));
    assert_eq!((machine(plain).as_str(), machine(arm).as_str()), ("62", "183"));
    let emulator = arm.sh(&format!("readlink.real /proc/{}/exe", arm.pid()));
    assert_eq!(emulator.trim(), "/usr/bin/qemu-aarch64-static");

    // It leads, answers its own etcdctl, loses its power and comes back with what the others have.
    lab.lead("n3");
    patiently(arm, "put written on-arm64");
    assert!(plain.etcdctl("get written").ok().stdout.contains("on-arm64"));
    arm.crash();
    patiently(plain, "put written meanwhile");
    arm.boot();
    lab.quorate(&["restart", "--yes"]).ok();
    assert!(patiently(arm, "get written").contains("meanwhile"));
    assert!(lab.quorate(&["up", "--yes"]).ok().stderr.contains("nothing to do"));
    assert_eq!(lab.status()["healthy"], true);
}
