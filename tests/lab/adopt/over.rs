//! What is taken over, and what is refused with its reason.

use std::fs;
use std::time::Duration;

use super::{Client, Layout, adopt, all_healthy, etcdctl, hosts_of, led_by, started, their_files, theirs};
use crate::harness::{Lab, release, wait_until};

#[test]
fn members_are_taken_over_while_clients_write_and_the_first_roll_is_the_next_up() {
    let lab = theirs(&release("3.5"), [Layout::Yaml, Layout::Debian, Layout::Debian]);
    // So a member with a package's unit is the first to be restarted.
    led_by(&lab, "n1");
    let (before, files) = (started(&lab), their_files(&lab));
    let client = Client::begin(&lab);
    let hosts = hosts_of(&lab);

    // A member that is not covered, one under another name, and a key of another CA: nothing is written.
    lab.quorate(&adopt(&hosts[..2], &[]))
        .code(4)
        .says(&["the cluster has another member, n3", "--host NAME=ADDRESS"]);
    let swapped = [hosts[0].replace("n1=", "n9="), hosts[1].clone(), hosts[2].clone()];
    lab.quorate(&adopt(&swapped, &[]))
        .code(4)
        .says(&["n9: its member is called n1", &format!("pass --host {}", hosts[0])]);
    assert!(!lab.dir().join("inventory.yml").exists());

    let taken = lab.quorate(&adopt(&hosts, &[])).ok();
    taken.says(&[
        "is taken over; nothing was restarted",
        "`quorate pki rotate-ca`",
        "apt-mark hold",
        "heartbeat-interval: 250",
        "enable-grpc-gateway: true",
        "data: /data/etcd",
        "listen: [",
        ", 127.0.0.1]",
    ]);
    assert_eq!(started(&lab), before, "a member was restarted");
    assert_eq!(their_files(&lab), files, "something of theirs was changed");
    let key = fs::read_to_string(lab.dir().join("pki/ca.key.age")).expect("a sealed key");
    assert!(key.contains("AGE ENCRYPTED FILE") && !lab.dir().join("pki/ca.key").exists());
    lab.quorate(&adopt(&hosts, &[]))
        .code(2)
        .says(&["already exists", "never overwritten"]);
    let glance = lab.quorate(&["status"]).ok();
    assert!(glance.stdout.contains("lab healthy"), "{glance}");
    let plan = lab.quorate(&["plan", "-v"]).code(10);
    assert!(
        plan.stdout.contains("etcd.service") && !plan.stdout.contains("something else has written"),
        "{plan}"
    );
    assert_eq!(started(&lab), before, "a member was restarted");

    canary_that_does_not_come_back(&lab, &before);
    client.writes_on();

    // Killed after the first follower: it runs as quorate's, the others as theirs, and the same command goes on.
    let before = started(&lab);
    let died = lab.quorate_with(
        &["up", "--yes"],
        |command| _ = command.env("QUORATE_FAULT", "after:w3"),
        b"",
    );
    assert!(matches!(died.status, None | Some(134)), "{died}");
    let restarted = differing(&before, &started(&lab));
    assert_eq!(restarted.len(), 1, "the canary alone: {died}");
    assert_ne!(lab.hosts()[restarted[0]].name, "n1", "a follower first");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    client.end();
    // Those on the hosts still reach their member on loopback, with the certificates that they had.
    wait_until("the member to answer on loopback", Duration::from_secs(60), || {
        etcdctl(&lab, "endpoint health").is_some()
    });
    for host in lab.hosts() {
        assert!(
            host.sh("readlink /proc/$(systemctl show -p MainPID --value etcd)/exe")
                .contains("/opt/quorate/etcd/")
        );
    }

    // From here on it is a cluster like any other.
    lab.quorate(&["remove-node", "n1", "--yes"]).ok();
    lab.quorate(&["add-node", "n1", "--address", &lab.host("n1").address, "--yes"])
        .ok();
    assert_eq!(lab.status()["healthy"], true);
}

fn differing(before: &[String], now: &[String]) -> Vec<usize> {
    (0..before.len()).filter(|i| now[*i] != before[*i]).collect()
}

/// The first member of the first roll does not come up with what quorate installed: it is back on what ran before, a unit of a
/// package's, and nobody else was touched.
fn canary_that_does_not_come_back(lab: &Lab, before: &[String]) {
    let held = lab.hold(&["up", "--yes"], "in-place:w3");
    for host in lab.hosts() {
        host.sh("for f in /opt/quorate/etcd/*/etcd; do printf '#!/bin/sh\nexit 1\n' >$f.new; chmod 755 $f.new; mv $f.new $f; done");
    }
    held.go_on();
    held.wait()
        .code(6)
        .says(&["it is back on its previous configuration, and healthy"]);
    let now = started(lab);
    let restarted = differing(before, &now);
    assert_eq!(restarted.len(), 1, "the others were touched: {before:?}, {now:?}");
    let canary = &lab.hosts()[restarted[0]];
    canary.sh(
        "[ \"$(systemctl show -p FragmentPath --value etcd)\" = /usr/lib/systemd/system/etcd.service ]
         [ ! -e /etc/systemd/system/etcd.service ]; systemctl is-enabled etcd
         [ \"$(readlink /proc/$(systemctl show -p MainPID --value etcd)/exe)\" = /usr/local/bin/etcd ]",
    );
    assert_eq!(lab.status()["healthy"], true);
}

/// Each with its reason, all at once, and nothing is touched; whoever does what the hints say takes the cluster over.
#[test]
fn what_cannot_be_taken_over_is_refused_with_every_reason_and_the_hints_lead_out() {
    let lab = theirs(&release("3.5"), [Layout::Flags, Layout::Kubespray, Layout::Debian]);
    let hosts = hosts_of(&lab);
    let running = started(&lab);
    // What a unit would do at its next start, and what would change quorate's.
    let (n1, n2, n3) = (lab.host("n1"), lab.host("n2"), lab.host("n3"));
    n1.sh("mkdir -p /etc/systemd/system/etcd.service.d
         printf '[Service]\\nNice=-5\\n' >/etc/systemd/system/etcd.service.d/nice.conf
         cp /etc/systemd/system/etcd.service /root/etcd.service
         sed -i 's#^ExecStart=#ExecStartPre=/bin/sh -c \"rm -rf /data/etcd/none\"\\n&#' /etc/systemd/system/etcd.service
         systemctl daemon-reload");
    n2.sh("systemctl stop etcd");
    n3.sh("cp /etc/default/etcd /root/; echo ETCD_FORCE_NEW_CLUSTER=true >>/etc/default/etcd; chown root: /var/lib/etcd/default
         # etcd looks into it every half a minute, and ends when it cannot.
         chmod 755 /var/lib/etcd/default");
    let refused = lab.quorate(&adopt(&hosts, &[])).code(4).says(&[
        "n1: drop-ins change its unit",
        "n1: its unit deletes files before each start",
        "n2: no etcd runs here",
        "n3: /etc/default/etcd has `force-new-cluster` for its next start",
        "n3: it runs as etcd, and its data belongs to root",
        "nothing was changed",
    ]);
    assert!(!refused.stderr.contains("rotate-ca"), "{refused}");
    assert!(!lab.dir().join("inventory.yml").exists() && !lab.dir().join("pki/ca.crt").exists());
    let now = started(&lab);
    assert_eq!((&now[0], &now[2]), (&running[0], &running[2]));

    n1.sh(
        "rm -r /etc/systemd/system/etcd.service.d; mv /root/etcd.service /etc/systemd/system/; systemctl daemon-reload",
    );
    n2.sh("systemctl start etcd");
    // A member of another cluster.
    n3.sh(&format!(
        "cp /root/etcd /etc/default/etcd; chown etcd: /var/lib/etcd/default; chmod 700 /var/lib/etcd/default; mkdir /var/lib/etcd/other; chown etcd: /var/lib/etcd/other
         sed -i 's#^ETCD_DATA_DIR=.*#ETCD_DATA_DIR=/var/lib/etcd/other#; s#^ETCD_INITIAL_CLUSTER=.*#ETCD_INITIAL_CLUSTER=n3=https://{}:2380#
                 s#^ETCD_INITIAL_CLUSTER_TOKEN=.*#ETCD_INITIAL_CLUSTER_TOKEN=other#' /etc/default/etcd
         systemctl restart etcd",
        n3.address
    ));
    lab.quorate(&adopt(&hosts, &[])).code(4).says(&["clusters"]);
    assert!(!lab.dir().join("inventory.yml").exists());
    n3.sh("cp /root/etcd /etc/default/etcd; systemctl restart etcd; rm -r /var/lib/etcd/other");
    wait_until("their cluster to be healthy", Duration::from_secs(60), || {
        all_healthy(&lab)
    });
    fs::remove_dir_all(lab.dir().join("pki")).expect("the CA of the attempt");
    // A key that is not the CA's.
    let other = lab
        .as_operator("openssl")
        .args(["genrsa", "-out", "other.key", "2048"])
        .output();
    assert!(other.expect("openssl").status.success());
    let with_other = adopt(&hosts, &[])
        .iter()
        .map(|w| w.replace("theirs/ca.key", "other.key"))
        .collect::<Vec<_>>();
    let refused = lab.quorate(&with_other.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(
        refused.status != Some(0) && !lab.dir().join("pki/ca.key.age").exists(),
        "{refused}"
    );
    let before = started(&lab);
    lab.quorate(&adopt(&hosts, &[])).ok().says(&["user: root"]);
    assert_eq!(started(&lab), before, "a member was restarted");
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.status()["healthy"], true);
    // Another inventory does not get hold of it.
    fs::create_dir(lab.dir().join("elsewhere")).expect("a directory");
    let elsewhere: Vec<String> = adopt(&hosts, &["-i", "elsewhere/other.yml"])
        .iter()
        .map(|word| if *word == "lab" { "other" } else { word }.to_owned())
        .collect();
    lab.quorate(&elsewhere.iter().map(String::as_str).collect::<Vec<_>>())
        .code(4)
        .says(&["which has an inventory already"]);
    assert!(!lab.dir().join("elsewhere/other.yml").exists());
}
