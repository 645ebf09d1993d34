//! What goes wrong in the middle of a push: the program names the host, gives up in time, starts no etcd, and leaves
//! nothing half-written; the next run finishes the job.

use std::time::{Duration, Instant};

use crate::harness::{Host, Lab, current, wait_until};

/// No member runs, and nothing that was on its way is left over.
#[track_caller]
fn nothing_begun(hosts: &[Host]) {
    for host in hosts {
        assert!(!host.active("etcd"), "{} runs etcd", host.name);
        let half = host.sh("find /opt /etc /var/lib -name '*.quorate-new' 2>/dev/null || true");
        assert_eq!(half.trim(), "", "{}", host.name);
    }
}

#[test]
fn a_disk_that_fills_up_during_the_push_leaves_no_half_file() {
    let lab = Lab::start(2);
    lab.plain_inventory(&current());
    let n2 = lab.host("n2");
    // Enough to pass the look before, filled while the push is under way.
    n2.sh("mkdir -p /opt/quorate && mount -t tmpfs -o size=120m tmpfs /opt/quorate");
    n2.slow("80mbit");
    let running = lab.spawn(&["up", "--yes"]);
    wait_until("the push has begun", Duration::from_secs(30), || {
        n2.try_sh("ls /opt/quorate/etcd/*/.*.quorate-new").status == Some(0)
    });
    n2.sh("dd if=/dev/zero of=/opt/quorate/other bs=1M status=none 2>/dev/null || true");
    running
        .wait()
        .code(6)
        .says(&["n2", "No space left on device", "free space on that file system"]);
    nothing_begun(lab.hosts());

    n2.sh("rm /opt/quorate/other");
    n2.slow("off");
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["status"]).ok();
}

#[test]
fn a_host_that_stops_answering_during_the_push_is_given_up_on_and_named() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    let n3 = lab.host("n3");
    n3.slow("40mbit");
    let running = lab.spawn(&["up", "--yes"]);
    wait_until("the push has begun", Duration::from_secs(30), || {
        n3.try_sh("ls /opt/quorate/etcd/*/.*.quorate-new").status == Some(0)
    });
    n3.freeze();
    let begun = Instant::now();
    let gave_up = running.wait().code(6);
    // Four silent keepalives of 5 s.
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
    assert!(!gave_up.stderr.contains("n1: "), "only n3 is at fault\n{gave_up}");
    gave_up.says(&["n3", "no longer answers", "help:"]);
    n3.thaw();
    n3.slow("off");
    wait_until(
        "n3 notices that nobody is there any more",
        Duration::from_secs(30),
        || n3.try_sh("ls /opt/quorate/etcd/*/.*.quorate-new").status != Some(0),
    );
    nothing_begun(lab.hosts());
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["status"]).ok();
}
