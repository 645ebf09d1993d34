//! What a host says has a size and a time, and both are said: nothing there makes quorate wait without an end, or take memory
//! without one.

use std::time::{Duration, Instant};

use crate::harness::{Lab, wait_until};

/// Where the member's account can write, so can whoever has taken it over.
const MARKER: &str = "/var/lib/etcd/.quorate-cluster";

#[test]
fn a_marker_that_is_a_pipe_or_has_gigabytes_is_named_and_not_read() {
    let lab = Lab::cluster(3);
    let host = lab.host("n2");
    let kept = format!("mv {MARKER} /root/marker");
    for (there, told) in [
        (format!("mkfifo {MARKER}"), "is not a file"),
        (format!("ln -s /dev/zero {MARKER}"), "is not a file"),
        (
            format!("truncate -s 3G {MARKER}"),
            "has more than 64 KiB, which is the limit",
        ),
    ] {
        host.sh(&format!("{kept} && {there} && chown -h etcd: {MARKER}"));
        let start = Instant::now();
        let status = lab.quorate(&["status"]);
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{there}: {:?}",
            start.elapsed()
        );
        let said = format!("{}{}", status.stdout, status.stderr);
        assert!(said.contains("n2") && said.contains(told), "{there}: {said}");
        // Unknown is never absent: nothing is planned on it.
        let plan = lab.quorate(&["up", "--yes"]);
        assert_ne!(plan.status, Some(0), "{there}: {plan:?}");
        host.sh(&format!("rm -f {MARKER} && mv /root/marker {MARKER}"));
    }
    lab.quorate(&["up", "--yes"]).ok();
}

#[test]
fn an_uname_that_never_ends_is_given_up_by_name_and_does_not_stay() {
    let lab = Lab::cluster(3);
    let host = lab.host("n3");
    // (Debian's sshd calls it, too, for its message of the day, and would hang before it comes to a command.)
    host.sh("rm -f /etc/update-motd.d/10-uname; printf '#!/bin/sh\\nexec sleep 7777\\n' >/usr/local/sbin/uname && chmod 0755 /usr/local/sbin/uname");
    let start = Instant::now();
    let status = lab.quorate(&["status"]);
    assert!(start.elapsed() < Duration::from_secs(100), "{:?}", start.elapsed());
    let said = format!("{}{}", status.stdout, status.stderr);
    let told =
        "n3: it cannot be inspected (inspecting the host failed: it did not end within 60 s, which is the limit)";
    assert!(said.contains(told), "{said}");
    wait_until("the host ends it by itself", Duration::from_secs(60), || {
        host.try_sh("pgrep -f 'sleep 777[7]'").status != Some(0)
    });
}

#[test]
fn who_is_connected_is_told_at_once_however_many_there_are() {
    let lab = Lab::cluster(1);
    let host = lab.host("n1");
    // As many as several API servers have, and as many again elsewhere; the shell becomes `sleep`, which keeps them.
    host.beside(
        "crowd",
        &format!(
            "exec bash -c 'ulimit -n 4096; for n in $(seq 300); do exec {{a}}<>/dev/tcp/{0}/2379 {{b}}<>/dev/tcp/{0}/2380; done; \
             sleep 600'",
            host.address
        ),
    );
    wait_until("the crowd is there", Duration::from_secs(30), || {
        host.sh("grep -c ':094B 0' /proc/net/tcp || :")
            .trim()
            .parse::<u32>()
            .unwrap_or(0)
            >= 500
    });
    let backup = lab
        .quorate(&["--output", "json", "backup", "create"])
        .ok()
        .events_of("backup")
        .remove(0);
    let file = lab.dir().join(backup["file"].as_str().expect("a path"));
    let start = Instant::now();
    let refused = lab.quorate(&["restore", file.to_str().expect("a path"), "--dry-run"]);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(
        said.contains("sleep (pid ") && said.contains("(300 connections)"),
        "{said}"
    );
}
