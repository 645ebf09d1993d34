//! The lab itself: that its hosts are what the other tests take them for.

use std::process::Command;
use std::time::Duration;

use crate::harness::{Lab, wait_until};

#[test]
fn hosts_boot_with_systemd_and_can_be_crashed_and_booted_again() {
    let lab = Lab::start(2);
    let [n1, n2] = lab.hosts() else { panic!("two hosts") };
    assert_eq!(n1.sh("cat /proc/1/comm").trim(), "systemd");
    assert_eq!(n1.sh("hostname").trim(), "n1");
    assert!(n1.active("ssh"));

    let machine = n1.sh("cat /etc/machine-id");
    assert_ne!(
        machine,
        n2.sh("cat /etc/machine-id"),
        "each host is a machine of its own"
    );
    n1.sh("echo kept >/var/lib/kept");
    n1.crash();
    assert!(n1.try_sh("true").status != Some(0), "a crashed host runs nothing");
    n1.boot();
    assert_eq!(n1.sh("cat /var/lib/kept").trim(), "kept");
    assert_eq!(n1.sh("cat /etc/machine-id"), machine);
    n2.stop();
    n2.boot();
}

#[test]
fn the_operator_reaches_the_hosts_and_nothing_else() {
    let lab = Lab::start(1);
    let n1 = lab.host("n1");
    let answers = |address: &str, port: u16| {
        let probe = format!("exec 3<>/dev/tcp/{address}/{port}");
        lab.as_operator("timeout")
            .args(["2", "bash", "-c", &probe])
            .output()
            .expect("a probe")
            .status
            .success()
    };
    assert!(answers(&n1.address, 22));
    assert!(answers(&n1.address_v6(), 22));
    assert!(!answers("192.0.2.1", 22), "the operator's namespace has no route out");
    n1.cut();
    assert!(!answers(&n1.address, 22));
    n1.mend();
    wait_until("n1 answers again", Duration::from_secs(10), || answers(&n1.address, 22));
}

#[test]
fn every_login_of_the_lab_does_what_its_name_says() {
    let lab = Lab::start(1);
    let host = lab.host("n1");
    let key = lab.home().join(".ssh/id_ed25519");
    let ssh = |user: &str, script: &str| {
        let options = [
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-i",
        ];
        let mut command = lab.as_operator("ssh");
        command
            .args(options)
            .arg(&key)
            .arg(format!("{user}@{}", host.address))
            .arg(script);
        String::from_utf8(command.output().expect("ssh").stdout)
            .expect("text")
            .trim()
            .to_owned()
    };
    assert_eq!(ssh("root", "id -un"), "root");
    assert_eq!(ssh("ops", "sudo -n id -un"), "root");
    assert_eq!(ssh("opspw", "sudo -n id -un || echo refused"), "refused");
    assert_eq!(ssh("opspw", "echo lab-password | sudo -S -p '' id -un"), "root");
    assert_eq!(ssh("nosudo", "sudo -n id -un || echo refused"), "refused");
}

#[test]
fn a_wrong_clock_and_a_frozen_host_can_be_had() {
    let lab = Lab::start(1);
    let host = lab.host("n1");
    let now = || host.sh("date +%s").trim().parse::<i64>().expect("seconds");
    let before = now();
    host.clock(-3600);
    assert!((before - now() - 3600).abs() < 60);
    host.clock(0);
    assert!((now() - before).abs() < 60);

    host.sh("systemd-run --unit ticks sh -c 'while :; do echo >>/run/ticks; sleep 0.01; done'");
    let ticks = || host.sh("wc -l </run/ticks").trim().parse::<u64>().unwrap_or(0);
    wait_until("ticks", Duration::from_secs(10), || ticks() > 0);
    host.freeze();
    let frozen = ticks();
    assert_eq!(frozen, ticks());
    host.thaw();
    wait_until("ticks again", Duration::from_secs(10), || ticks() > frozen);
}

#[test]
fn a_lab_whose_owner_was_killed_is_taken_away_by_the_next() {
    let mut owner = Command::new("sleep").arg("1000").spawn().expect("sleep");
    let name = format!("orphan-{}", owner.id());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/lab/lab");
    let lab = |arguments: &[&str]| {
        Command::new(script)
            .env("LAB", &name)
            .args(arguments)
            .output()
            .expect("lab/lab")
    };
    let listed = || String::from_utf8_lossy(&lab(&["list"]).stdout).contains(&name);
    assert!(lab(&["up", "1", "--owner", &owner.id().to_string()]).status.success());
    assert!(lab(&["reap"]).status.success());
    assert!(listed(), "its owner lives");
    owner.kill().expect("the owner ends");
    owner.wait().expect("the owner ends");
    assert!(lab(&["reap"]).status.success());
    assert!(!listed(), "its owner is gone");
}
