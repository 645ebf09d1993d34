//! Members that answer "healthy" and are not what they should be (docs/etcd.md, "Common mistakes"): changed behind
//! quorate's back, found by `health` and `status`, put right or refused by `up`.

use std::time::Duration;

use crate::harness::{Host, Lab, current, wait_until};

const CONFIG: &str = "/etc/etcd/etcd-config.yml";

/// Restarts etcd with `edit` (a sed script) made to its config; waits until it serves.
#[track_caller]
fn restart_with(host: &Host, edit: &str) {
    host.sh(&format!(
        "cp -p {CONFIG} /run/config.kept && sed -i '{edit}' {CONFIG} && systemctl restart etcd"
    ));
    assert_ne!(
        host.sh(&format!("cmp {CONFIG} /run/config.kept || echo changed")),
        "",
        "{edit} changes nothing"
    );
    wait_until("etcd runs with the changed config", Duration::from_secs(20), || {
        host.active("etcd")
    });
}

#[test]
fn a_client_port_in_plain_http_is_found_and_put_right() {
    let lab = Lab::cluster(3);
    lab.quorate(&["health"]).ok();
    // A misspelt section: etcd takes it without a word.
    let edit = "s/^client-transport-security:/client-transport-securty:/; /^listen-client-urls/s/https/http/g";
    restart_with(lab.host("n2"), edit);

    let health = lab.quorate(&["health"]).code(11);
    assert!(
        health.stdout.contains("n2 port 2379 answers plain HTTP, to anyone"),
        "{health}"
    );
    assert!(!health.stdout.contains("n1 port"), "{health}");
    assert_eq!(
        lab.quorate(&["status", "--output", "json"]).code(11).json()["healthy"],
        false
    );

    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["health"]).ok();
    lab.assert_converged();
}

/// etcd asks for certificates while it has a CA to check them with, whatever `client-cert-auth` says: both have to be
/// gone.
#[test]
fn a_port_without_client_authentication_is_found_even_when_the_file_was_put_back() {
    let lab = Lab::cluster(3);
    let host = lab.host("n3");
    restart_with(
        host,
        "/^client-transport-security:/,/^peer-transport-security:/ { s/client-cert-auth: true/client-cert-auth: false/; \
         /trusted-ca-file/d }",
    );
    host.sh(&format!("cp -p /run/config.kept {CONFIG}"));

    let health = lab.quorate(&["health"]).code(11);
    let open = "n3 port 2379 accepts clients without a certificate";
    assert!(health.stdout.contains(open), "{health}");
    assert!(!health.stdout.contains("port 2380"), "{health}");
    // What is on the disk is right; what runs was started with something else.
    let plan = lab.quorate(&["plan"]).code(10);
    assert!(plan.stdout.contains("it was started before"), "{plan}");
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["health"]).ok();
}

#[test]
fn a_sick_member_is_never_passed_off_as_nothing_to_do() {
    let lab = Lab::cluster(3);
    let host = lab.host("n2");
    // A drop-in of somebody else: every file of quorate's is as it should be, and etcd runs with another one.
    host.sh(&format!(
        "sed 's/^client-transport-security:/x:/; /^listen-client-urls/s/https/http/g' {CONFIG} >/etc/etcd/other.yml
         mkdir -p /etc/systemd/system/etcd.service.d
         start=$(systemctl show etcd --property=ExecStart --value | sed 's/.*path=\\([^ ;]*\\).*/\\1/')
         printf '[Service]\\nExecStart=\\nExecStart=%s --config-file /etc/etcd/other.yml\\n' \"$start\" \
            >/etc/systemd/system/etcd.service.d/override.conf
         systemctl daemon-reload && systemctl restart etcd"
    ));
    wait_until("etcd runs", Duration::from_secs(20), || host.active("etcd"));
    let health = lab.quorate(&["health"]).code(11);
    assert!(health.stdout.contains("n2 port 2379 answers plain HTTP"), "{health}");
    let up = lab.quorate(&["up", "--yes"]).code(6);
    assert!(!up.to_string().contains("nothing to do"), "{up}");
    up.says(&["n2", "not healthy", "quorate health"]);
}

/// etcd that is given a config file ignores its environment without a word.
#[test]
fn options_in_the_environment_are_named_as_ignored() {
    let lab = Lab::cluster(1);
    let host = lab.host("n1");
    host.sh("mkdir -p /etc/systemd/system/etcd.service.d
         printf '[Service]\\nEnvironment=ETCD_QUOTA_BACKEND_BYTES=1\\n' >/etc/systemd/system/etcd.service.d/quota.conf
         systemctl daemon-reload && systemctl restart etcd");
    let plan = lab.quorate(&["plan"]).ok();
    for said in [
        "n1: the unit etcd is modified by /etc/systemd/system/etcd.service.d/quota.conf",
        "n1: etcd has ETCD_QUOTA_BACKEND_BYTES in its environment, but ignores it",
    ] {
        assert!(plan.stdout.contains(said), "{said}\n{plan}");
    }
}

/// A `dd` that takes its time stands in for a slow disk: 32 synced writes in 0.8 s.
#[test]
fn a_slow_disk_is_named_while_the_member_is_made() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    lab.host("n1").sh("mv /usr/bin/dd /usr/bin/dd.real
         printf '#!/bin/sh\\ncase $* in *dsync*) sleep 0.8 ;; esac\\nexec /usr/bin/dd.real \"$@\"\\n' >/usr/bin/dd
         chmod 755 /usr/bin/dd");
    lab.quorate(&["up", "--yes"])
        .ok()
        .says(&["n1", "a synced write takes", "etcd needs 10 ms or less", "SSD"]);
    assert_eq!(lab.host("n1").sh("ls -A /var/lib/etcd | grep gauge || :").trim(), "");
}

/// Two clusters of which each says `"health":"true"`.
#[test]
fn a_member_that_founded_a_cluster_of_its_own_is_told_apart() {
    let lab = Lab::cluster(3);
    let host = lab.host("n3");
    // Started by hand: the unit does not start a member without its data.
    host.sh(&format!(
        "systemctl stop etcd; mv /var/lib/etcd/member /root/member
         sed -i 's/^initial-cluster:.*/initial-cluster: n3=https:\\/\\/{0}:2380/; \
                 s/^initial-cluster-state:.*/initial-cluster-state: new/' {CONFIG}
         runuser -u etcd -- /opt/quorate/etcd/*/etcd --config-file {CONFIG} >/dev/null 2>&1 &
         until ls /var/lib/etcd/member/wal/*.wal >/dev/null 2>&1; do sleep 0.1; done
         kill $!; wait; systemctl start etcd",
        host.address
    ));
    wait_until("n3 serves alone", Duration::from_secs(20), || host.active("etcd"));
    let status = lab.quorate(&["status", "--output", "json"]).code(11);
    assert!(status.stdout.contains("members of different clusters"), "{status}");
    let before = lab.pids();
    lab.quorate(&["up", "--yes"]).code(4).says(&["different clusters"]);
    assert_eq!(lab.pids(), before);
}
