//! What is taken over, and what is refused with its reason.

use std::fs;

use super::{Client, Layout, adopt, etcdctl, hosts_of, started, their_files, theirs};
use crate::harness::{current, release};

#[test]
fn members_in_three_layouts_are_taken_over_while_clients_write_and_the_first_roll_is_the_next_up() {
    let lab = theirs(&current(), [Layout::Yaml, Layout::Flags, Layout::Debian]);
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
    assert!(plan.stdout.contains("etcd.service"), "{plan}");
    assert_eq!(started(&lab), before, "a member was restarted");

    // Killed after the first follower: it runs as quorate's, the others as theirs, and the same command goes on.
    let leader = lab.leader();
    let died = lab.quorate_with(
        &["up", "--yes"],
        |command| _ = command.env("QUORATE_FAULT", "after:w3"),
        b"",
    );
    assert!(matches!(died.status, None | Some(134)), "{died}");
    let now = started(&lab);
    let restarted: Vec<usize> = (0..3).filter(|i| now[*i] != before[*i]).collect();
    assert_eq!(restarted.len(), 1, "the canary alone: {died}");
    assert_ne!(lab.hosts()[restarted[0]].name, leader, "a follower first");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    client.end();
    // Those on the hosts still reach their member on loopback, with the certificates that they had.
    assert!(etcdctl(&lab, "endpoint health").is_some());
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

/// Each with its reason, all at once, and nothing is touched; whoever does what the hints say takes the cluster over.
#[test]
fn what_cannot_be_taken_over_is_refused_with_every_reason_and_the_hints_lead_out() {
    let lab = theirs(&release("3.5"), [Layout::Yaml, Layout::Kubespray, Layout::Debian]);
    let hosts = hosts_of(&lab);
    let running = started(&lab);
    // What a unit would do at its next start, and what would change quorate's.
    let (n1, n2) = (lab.host("n1"), lab.host("n2"));
    n1.sh("mkdir -p /etc/systemd/system/etcd.service.d
         printf '[Service]\\nNice=-5\\n' >/etc/systemd/system/etcd.service.d/nice.conf
         cp /etc/systemd/system/etcd.service /root/etcd.service
         sed -i 's#^ExecStart=#ExecStartPre=/bin/sh -c \"rm -rf /data/etcd/none\"\\n&#' /etc/systemd/system/etcd.service
         systemctl daemon-reload");
    n2.sh("systemctl stop etcd");
    let refused = lab.quorate(&adopt(&hosts, &[])).code(4).says(&[
        "n1: drop-ins change its unit",
        "n1: its unit deletes files before each start",
        "n2: no etcd runs here",
        "nothing was changed",
    ]);
    assert!(!refused.stderr.contains("  n3:"), "{refused}");
    assert!(!lab.dir().join("inventory.yml").exists() && !lab.dir().join("pki/ca.crt").exists());
    let now = started(&lab);
    assert_eq!((&now[0], &now[2]), (&running[0], &running[2]));

    n1.sh(
        "rm -r /etc/systemd/system/etcd.service.d; mv /root/etcd.service /etc/systemd/system/; systemctl daemon-reload",
    );
    n2.sh("systemctl start etcd");
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
