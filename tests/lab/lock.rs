//! Two operators: one works, the other is told who, from where, since when and what.

use std::process::Command;
use std::time::Duration;

use crate::harness::{Host, Lab, Running, current, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// An `up` that has the lock and hangs in the middle of its push, because the link to n1 is so slow.
fn an_up_that_takes_long(lab: &Lab) -> Running {
    lab.plain_inventory(&current());
    lab.host("n1").slow("8mbit");
    let up = lab.spawn(&["up", "--yes"]);
    wait_until("the lock and the push", SOON, || {
        lab.hosts().iter().all(is_locked) && is_pushed_to(lab.host("n1"))
    });
    up
}

fn is_locked(host: &Host) -> bool {
    host.try_sh("ls /run/quorate/*.lock/*/holder.json").status == Some(0)
}

fn is_pushed_to(host: &Host) -> bool {
    host.try_sh("test -d /opt/quorate").status == Some(0)
}

#[test]
fn a_second_up_is_refused_until_the_first_is_gone() {
    let lab = Lab::start(3);
    let mut first = an_up_that_takes_long(&lab);
    let second = lab.quorate(&["up", "--yes"]).code(8);
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    for said in [
        &format!("@{}", host_name.trim()),
        &format!("process {}", first.pid()),
        "since 20",
        "quorate up --yes",
    ] {
        assert!(
            second.stderr.contains(said),
            "who, where, since when, doing what: no {said:?} in {second}"
        );
    }
    let holder = lab.quorate(&["unlock"]).ok();
    assert!(holder.stdout.contains("quorate up --yes"), "{holder}");

    first.kill();
    first.wait();
    lab.host("n1").slow("off");
    // The end of its connection waits in the slow link's queue, and is sent again when TCP sees fit.
    wait_until("the hosts to see that it is gone", Duration::from_secs(60), || {
        lab.hosts().iter().all(|host| !is_locked(host))
    });
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    assert!(
        lab.hosts().iter().all(|host| !is_locked(host)),
        "the lock was given back"
    );
}

#[test]
fn a_paused_run_keeps_its_lock_and_stops_when_it_is_stolen() {
    let lab = Lab::start(3);
    let first = an_up_that_takes_long(&lab);
    signal(&first, "-STOP");
    lab.quorate(&["up", "--yes"]).code(8);
    let stolen = lab.quorate(&["unlock", "--steal"]).ok();
    assert!(stolen.stdout.contains("taken from"), "{stolen}");
    for host in lab.hosts() {
        let record = host.sh("cat /run/quorate/lock-audit.log");
        assert!(
            record.contains("stolen by") && record.contains(&format!("\"pid\":{}", first.pid())),
            "{record}"
        );
    }
    signal(&first, "-CONT");
    lab.host("n1").slow("off");
    let first = first.wait();
    assert!(matches!(first.status, Some(6 | 8 | 130)), "it stops: {first}");
    assert!(first.stderr.contains("the lock was lost"), "{first}");
    assert!(
        lab.hosts()
            .iter()
            .all(|host| host.try_sh("systemctl is-active etcd").status != Some(0))
    );
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
}

#[test]
fn looking_needs_no_lock() {
    let lab = Lab::start(3);
    let mut first = an_up_that_takes_long(&lab);
    lab.quorate(&["plan"]).code(10);
    first.kill();
    first.wait();
}

fn signal(running: &Running, signal: &str) {
    let sent = Command::new("kill").args([signal, &running.pid().to_string()]).status();
    assert!(sent.expect("kill").success());
}

#[test]
fn a_roll_goes_on_while_most_hosts_hold_the_lock_and_says_so_when_they_do_not() {
    let lab = Lab::cluster(3);
    lab.lead("n2");
    // A bystander reboots.
    let roll = lab.hold(&["restart", "--limit", "n1", "--yes"], "before:w1.n1");
    // Whoever asks now, while a member is down, is told of the roll, and not to mend what may be the roll's.
    lab.host("n3").sh("systemctl stop etcd");
    let told = lab.quorate(&["restart", "--limit", "n2", "--yes"]).code(8);
    told.says(&["another run holds the lock", "quorate restart --limit n1 --yes"]);
    lab.host("n3").crash();
    lab.host("n3").boot();
    wait_until("n3 to be a member again", Duration::from_secs(60), || {
        lab.glance()["healthy"] == true
    });
    roll.go_on();
    roll.wait()
        .ok()
        .says(&["the lock was lost here; 2 hosts still hold it"]);
    // Two are too many: it ends before the next member, the leader, and tells why.
    let roll = lab.hold(&["restart", "--limit", "n1", "--limit", "n2", "--yes"], "before:w1.n1");
    let before = lab.pids();
    for name in ["n2", "n3"] {
        lab.host(name).sh("kill $(cut -d' ' -f1 /run/quorate/*.lock/*/pid)");
    }
    wait_until("the loss to be noticed", Duration::from_secs(20), || {
        ["n2", "n3"].iter().all(|name| !is_locked(lab.host(name)))
    });
    roll.go_on();
    roll.wait()
        .code(8)
        .says(&["the lock was lost on n", "2 are required", "quorate unlock"]);
    // It may have noticed before the first turn.
    assert!(
        !lab.restarted_since(&before).contains("n2"),
        "the leader's turn was not started"
    );
}
