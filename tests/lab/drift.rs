//! Drift: whatever was changed behind quorate's back is put right by `up`, with no more restarts than that takes.

use std::collections::BTreeSet;

use crate::harness::Lab;

const RELEASE: &str = "/opt/quorate/etcd/$(ls /opt/quorate/etcd | head -n 1)";

/// What happened to a host, and whether repairing it takes a restart there.
struct Damage {
    what: &'static str,
    host: &'static str,
    script: String,
    restarts: bool,
}

fn damage(what: &'static str, host: &'static str, restarts: bool, script: impl Into<String>) -> Damage {
    let script = script.into();
    Damage {
        what,
        host,
        script,
        restarts,
    }
}

#[test]
fn every_kind_of_drift_is_repaired_and_nobody_else_is_restarted() {
    let lab = Lab::cluster(3);
    let writes = lab.begin_writing();
    let begun = lab.host("n1").now();
    let all = [
        damage(
            "a changed config",
            "n1",
            true,
            "echo 'snapshot-count: 77' >>/etc/etcd/etcd-config.yml",
        ),
        damage("a missing config", "n2", true, "rm /etc/etcd/etcd-config.yml"),
        damage(
            "a changed unit",
            "n3",
            true,
            "sed -i s/RestartSec=5/RestartSec=50/ /etc/systemd/system/etcd.service",
        ),
        damage(
            "a config others may write",
            "n1",
            true,
            "chmod 666 /etc/etcd/etcd-config.yml",
        ),
        damage("a disabled unit", "n1", false, "systemctl disable etcd"),
        damage(
            "no environment for etcdctl",
            "n2",
            false,
            "rm /etc/etcd/etcd-config.etcdctl.env",
        ),
        damage(
            "a missing certificate",
            "n1",
            false,
            "rm /etc/etcd/pki/current/server.crt",
        ),
        damage(
            "a key that fits no certificate",
            "n2",
            false,
            "cat /etc/etcd/pki/server.key >/etc/etcd/pki/current/peer.key",
        ),
        damage(
            "a key that others can read",
            "n3",
            false,
            "chmod 644 /etc/etcd/pki/current/server.key",
        ),
        damage(
            // Not on n1, where the writes keep it in use.
            "a tampered etcdctl",
            "n3",
            false,
            format!("echo tampered >>{RELEASE}/etcdctl"),
        ),
        damage("a missing etcdutl", "n2", false, format!("rm {RELEASE}/etcdutl")),
        damage("a stopped member", "n2", true, "systemctl stop etcd"),
        damage(
            "a killed member that may not come back",
            "n3",
            true,
            "systemctl stop etcd; systemctl disable etcd",
        ),
    ];
    let mut stopped = Vec::new();
    for Damage {
        what,
        host,
        script,
        restarts,
    } in all
    {
        let before = lab.pids();
        lab.host(host).sh(&script);
        lab.quorate(&["plan"]).code(10);
        lab.quorate(&["up", "--yes"]).ok();
        let expected: BTreeSet<String> = restarts.then(|| host.to_owned()).into_iter().collect();
        stopped.extend(expected.iter().cloned());
        assert_eq!(lab.restarted_since(&before), expected, "{what}");
        let open = lab.quorate(&["plan"]);
        assert_eq!(open.status, Some(0), "after {what}\n{open}");
    }
    assert!(lab.host("n3").sh("systemctl is-enabled etcd").trim() == "enabled");
    assert_eq!(lab.one_down_at_a_time(begun), stopped, "nobody else was down");
    assert!(writes.end_with_nothing_lost() > 0);
    lab.assert_converged();
}

#[test]
fn a_tampered_etcd_is_replaced_and_the_good_one_runs() {
    let lab = Lab::cluster(3);
    let before = lab.pids();
    let n3 = lab.host("n3");
    // The file is exchanged under the running process, which goes on with the good one until its next start.
    n3.sh(&format!(
        "cd {RELEASE} && cp etcd evil && echo tampered >>evil && mv evil etcd"
    ));
    lab.quorate(&["plan"]).code(10);
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    let others: BTreeSet<String> = lab.restarted_since(&before);
    assert!(others.iter().all(|name| name == "n3"), "{others:?} were restarted");
    let runs = |path: &str| n3.sh(&format!("sha256sum <{path}"));
    assert_eq!(
        runs("/proc/$(systemctl show -P MainPID etcd)/exe"),
        runs(&format!("{RELEASE}/etcd"))
    );
    assert!(
        !n3.sh("readlink /proc/$(systemctl show -P MainPID etcd)/exe")
            .contains("deleted")
    );
}

#[test]
fn a_config_change_rolls_through_one_member_at_a_time_with_the_leader_last() {
    let lab = Lab::cluster(3);
    let cluster_id = lab.status()["cluster_id"].clone();
    let leader = lab.leader();
    let writes = lab.begin_writing();
    let (before, begun) = (lab.pids(), lab.host("n1").now());
    lab.edit("hosts:", "  config:\n    snapshot-count: 5000\nhosts:");
    let shown = lab.quorate(&["plan", "-v"]).code(10);
    assert!(shown.stdout.contains("+snapshot-count: 5000"), "{shown}");
    assert!(
        shown.stdout.contains("survives 1 failure now, 0 during, 1 after"),
        "{shown}"
    );
    lab.quorate(&["up", "--yes"]).ok();

    assert_eq!(
        lab.restarted_since(&before).len(),
        3,
        "every member runs with the new config"
    );
    let order = lab.one_down_at_a_time(begun);
    assert_eq!(order.len(), 3, "each was down once: {order:?}");
    assert_eq!(order.last(), Some(&leader), "{order:?}");
    writes.goes_on();
    writes.end_with_nothing_lost();
    assert_eq!(lab.status()["cluster_id"], cluster_id);
    for host in lab.hosts() {
        host.sh("grep -qx 'snapshot-count: 5000' /etc/etcd/etcd-config.yml");
    }
    lab.assert_converged();
}

#[test]
fn a_config_that_etcd_refuses_is_taken_back_and_the_roll_stops_there() {
    let lab = Lab::cluster(3);
    let (before, leader) = (lab.pids(), lab.leader());
    let was = lab.host("n1").sh("cat /etc/etcd/etcd-config.yml");
    lab.edit("hosts:", "  config:\n    log-outputs: [/nowhere/etcd.log]\nhosts:");
    let failed = lab.quorate(&["up", "--yes"]).code(6);
    assert!(
        failed.stderr.contains("/nowhere/etcd.log"),
        "the journal says why: {failed}"
    );
    assert!(failed.stderr.contains("previous files were restored"), "{failed}");

    let touched = lab.restarted_since(&before);
    assert_eq!(touched.len(), 1, "the roll stopped at the first: {touched:?}");
    assert!(!touched.contains(&leader));
    for host in lab.hosts() {
        host.sh("! grep -q nowhere /etc/etcd/etcd-config.yml");
    }
    assert_eq!(lab.host("n1").sh("cat /etc/etcd/etcd-config.yml"), was);
    assert_eq!(lab.status()["healthy"], true);
    lab.edit("  config:\n    log-outputs: [/nowhere/etcd.log]\n", "");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
}
