//! Entries of the inventory that do not fit what runs: whatever the refusal says is done word by word, and nobody loses
//! anything over it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::harness::Lab;

/// What must be the same before and after: who runs, since when, and that each has its log.
fn lives(lab: &Lab) -> (BTreeMap<String, u32>, Vec<String>) {
    let logs = "find /var/lib /srv -name '*.wal' 2>/dev/null | sed 's,/[^/]*$,,' | sort -u";
    (lab.pids(), lab.hosts().iter().map(|host| host.sh(logs)).collect())
}

fn inventory(lab: &Lab) -> String {
    fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory")
}

/// With `changed`, `plan` and `up` refuse and say `texts`; nothing is touched, and with the entry back all is as it was.
#[track_caller]
fn refused_and_put_back(lab: &Lab, changed: &str, texts: &[&str]) {
    let (before, was) = (inventory(lab), lives(lab));
    lab.write("inventory.yml", changed);
    for command in [&["plan"][..], &["up", "--yes"][..]] {
        let refused = lab.quorate(command).code(4).says(texts);
        let said = format!("{}{}", refused.stdout, refused.stderr);
        for lossy in ["mv /", "replace-node", "start all members together"] {
            assert!(!said.contains(lossy), "{lossy}: {said}");
        }
    }
    assert_eq!(lives(lab), was);
    lab.write("inventory.yml", &before);
    lab.assert_converged();
    assert_eq!(lives(lab), was);
}

#[test]
fn names_that_were_exchanged_or_changed_are_put_back() {
    let lab = Lab::cluster(3);
    let text = inventory(&lab);
    let exchanged = text
        .replace("name: n1\n", "name: n0\n")
        .replace("name: n2\n", "name: n1\n")
        .replace("name: n0\n", "name: n2\n");
    refused_and_put_back(
        &lab,
        &exchanged,
        &["has the member n1 of this same cluster", "put the names back"],
    );
    let renamed = text.replace("name: n3\n", "name: m3\n");
    refused_and_put_back(
        &lab,
        &renamed,
        &["has the member n3 of this same cluster", "put the names back"],
    );
    // The same while nobody runs: no cluster is made beside what lies there.
    for host in lab.hosts() {
        host.sh("systemctl stop etcd");
    }
    lab.write("inventory.yml", &exchanged);
    lab.quorate(&["up", "--yes"]).code(4).says(&["put the names back"]);
    lab.write("inventory.yml", &text);
    lab.quorate(&["up", "--yes"]).ok();
}

#[test]
fn paths_of_living_and_of_stopped_members_are_put_back() {
    let lab = Lab::cluster(3);
    let text = inventory(&lab);
    let with = |paths: &str| text.replace("etcd:\n", &format!("etcd:\n  paths: {{{paths}}}\n"));
    refused_and_put_back(
        &lab,
        &with("data: /srv/etcd"),
        &["with its data in /var/lib/etcd", "put `paths.data: /var/lib/etcd` back"],
    );
    refused_and_put_back(
        &lab,
        &with("wal: /srv/wal"),
        &[
            "with its write-ahead log in /var/lib/etcd/member/wal",
            "without `paths.wal`",
        ],
    );
    for host in lab.hosts() {
        host.sh("systemctl stop etcd");
    }
    for (paths, says) in [
        ("data: /srv/etcd", "put `paths.data: /var/lib/etcd` back"),
        ("wal: /srv/wal", "without `paths.wal`"),
    ] {
        lab.write("inventory.yml", &with(paths));
        lab.quorate(&["up", "--yes"]).code(4).says(&[says]);
        assert!(lab.hosts().iter().all(|host| host.pid() == 0));
    }
    lab.write("inventory.yml", &text);
    lab.quorate(&["up", "--yes"]).ok();
}

#[test]
fn a_log_disk_that_is_not_mounted_is_mounted() {
    let lab = Lab::start(3);
    lab.plain_inventory(&crate::harness::current());
    let text = inventory(&lab).replace("etcd:\n", "etcd:\n  paths: {wal: /srv/wal}\n");
    lab.write("inventory.yml", &text);
    for host in lab.hosts() {
        host.sh("mkdir -p /srv/disk /srv/wal; echo '/srv/disk /srv/wal none bind 0 0' >>/etc/fstab; mount /srv/wal");
    }
    lab.quorate(&["up", "--yes"]).ok();
    let n2 = lab.host("n2");
    n2.sh("systemctl stop etcd; umount /srv/wal");
    let refused = lab.quorate(&["up", "--yes"]).code(4).says(&["`mount /srv/wal`"]);
    assert!(!refused.stderr.contains("replace-node"), "{}", refused.stderr);
    n2.sh("mount /srv/wal");
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.status()["healthy"], true);
}

#[test]
fn a_lost_note_is_written_again_beside_a_member_that_lives() {
    let lab = Lab::cluster(3);
    let pids = lab.pids();
    lab.host("n2").sh("rm /var/lib/etcd/.quorate*");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    assert_eq!(lab.pids(), pids);
}

#[test]
fn a_dead_member_is_replaced_by_a_host_that_was_one_before() {
    let lab = Lab::cluster(4);
    // n4 leaves while its host is off, so it keeps what it had.
    lab.host("n4").stop();
    lab.quorate(&["remove-node", "n4", "--yes"]).ok();
    lab.host("n4").boot();
    lab.host("n1").stop();
    let address = lab.host("n4").address.clone();
    lab.quorate(&["replace-node", "n1", "n4", "--address", &address, "--yes"])
        .ok();
    let status = lab.status();
    let names: BTreeSet<&str> = status["members"]
        .as_array()
        .expect("members")
        .iter()
        .filter_map(|m| m["name"].as_str())
        .collect();
    assert_eq!(names, ["n2", "n3", "n4"].into());
    assert!(
        lab.host("n4")
            .sh("ls -d /var/lib/etcd.quorate-aside/* /var/lib/etcd/.quorate-aside/* 2>/dev/null || :")
            .contains("quorate-aside")
    );
}

/// Neither the keys nor the unit of what runs are touched, and what the refusal says leads to the new value.
#[test]
fn another_account_or_another_unit_is_a_new_member() {
    let lab = Lab::cluster(3);
    let text = inventory(&lab);
    for (entry, says) in [
        ("user: other", "put `user: etcd` back"),
        ("service: etcd-b", "put `service: etcd` back"),
    ] {
        let changed = text.replace("etcd:\n", &format!("etcd:\n  {entry}\n"));
        refused_and_put_back(&lab, &changed, &[says, "`quorate remove-node n1`"]);
    }
    // Nor is a cluster made beside one that is stopped.
    for host in lab.hosts() {
        host.sh("systemctl stop etcd");
    }
    lab.write("inventory.yml", &text.replace("etcd:\n", "etcd:\n  service: etcd-b\n"));
    lab.quorate(&["up", "--yes"])
        .code(4)
        .says(&["put `service: etcd` back"]);
    lab.write("inventory.yml", &text);
    lab.quorate(&["up", "--yes"]).ok();

    for (name, entry) in [("n3", "user: other"), ("n2", "service: etcd-b")] {
        lab.quorate(&["remove-node", name, "--yes"]).ok();
        let address = &lab.host(name).address;
        let added = format!(
            "{}  - name: {name}\n    address: {address}\n    {entry}\n",
            inventory(&lab)
        );
        lab.write("inventory.yml", &added);
        lab.quorate(&["up", "--yes"]).ok();
        lab.assert_converged();
    }
    assert_eq!(lab.status()["healthy"], true);
    assert_eq!(lab.host("n3").sh("stat -c %U /var/lib/etcd/member").trim(), "other");
    assert!(lab.host("n2").active("etcd-b") && !lab.host("n2").active("etcd"));
}

#[test]
fn certificates_configuration_and_releases_go_elsewhere_with_a_restart_each() {
    let lab = Lab::cluster(3);
    let since = lab.host("n1").now();
    let text = inventory(&lab);
    let paths = "pki: /etc/etcd/keys, config: /etc/etcd/other.yml, bin: /opt/other";
    lab.write(
        "inventory.yml",
        &text.replace(
            "etcd:\n",
            &format!("etcd:\n  paths: {{{paths}}}\n  metrics_port: 2381\n"),
        ),
    );
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    assert_eq!(lab.one_down_at_a_time(since).len(), 3);
    assert_eq!(lab.status()["healthy"], true);
}
