//! Members that go: the leader, a dead one, one that is replaced; and who may be stopped.

use std::time::Duration;

use crate::harness::{Lab, Writer, current, plain_inventory, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// Members `n1` to `nN`; the other hosts are bare.
fn first(lab: &Lab, members: usize) {
    lab.inventory(|hosts| plain_inventory(&current(), &hosts[..members]));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
}

fn inventory(lab: &Lab) -> String {
    std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory")
}

#[test]
fn a_rolling_restart_loses_nothing_and_the_leader_goes_last() {
    let lab = Lab::cluster(3);
    let leads = lab.leader();
    let done = lab.quorate(&["restart", "--yes", "--probe", "--output", "json"]).ok();
    let order: Vec<_> = done
        .events_of("step_started")
        .iter()
        .map(|e| e["node"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(order.len(), 3, "{done}");
    assert_eq!(order.last(), Some(&leads), "{done}");
    let probe = done.events_of("finished")[0]["probe"].clone();
    assert_eq!(probe["lost"], 0, "{done}");
    assert!(
        lab.quorate(&["ctl", "--", "get", "quorate-probe", "--prefix"])
            .ok()
            .stdout
            .is_empty(),
        "no key stays behind"
    );
    told_by_a_report(&lab, &done.stdout, &order);
}

/// The timeline of a change, and from the second report on what past ones said.
fn told_by_a_report(lab: &Lab, events: &str, members: &[String]) {
    lab.write("restart.jsonl", events);
    let report = ["report", "--out", "out", "--events", "restart.jsonl"];
    for _ in 0..2 {
        let said = lab.quorate(&report);
        assert!(said.stdout.contains("wrote out/index.html"), "{said}");
    }
    let read = |name: &str| std::fs::read_to_string(lab.dir().join("out").join(name)).expect("a report");
    let (page, text) = (read("index.html"), read("report.md"));
    assert!(
        page.contains("<svg class=\"timeline\"") && page.contains("<figure class=\"chart\">"),
        "{page}"
    );
    assert!(
        text.contains("largest database: ") && text.contains("in 2 reports"),
        "{text}"
    );
    assert!(text.contains("writes: ") && text.contains(" 0 lost"), "{text}");
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("| restart etcd |")).collect();
    let order: Vec<&str> = rows.iter().filter_map(|row| row.split(" | ").nth(1)).collect();
    assert_eq!(order, members, "{text}");
}

/// etcd itself would wait for them, for seconds and with its data long closed.
#[test]
fn a_restart_does_not_wait_for_connections_on_which_nothing_was_asked() {
    let lab = Lab::cluster(3);
    let n2 = lab.host("n2");
    // As peers have spare ones when they have just started; etcd gives each of them five seconds.
    let connects = format!(
        "while sleep 0.5; do\nsleep 4 | openssl s_client -quiet -connect {}:2380 \
         -cert /etc/etcd/pki/peer.crt -key /etc/etcd/pki/peer.key 2>/dev/null &\n: >/run/silent\ndone",
        n2.address
    );
    n2.beside("silent", &connects);
    wait_until("such a connection", SOON, || {
        n2.try_sh("test -e /run/silent").status == Some(0)
    });
    lab.quorate(&["restart", "--limit", "n2", "--yes"]).ok();
    n2.sh("systemctl stop silent");
    let said = n2.sh("journalctl -u etcd");
    assert!(said.contains("stopping serving peer traffic"), "{said}");
    assert!(
        !said.contains("closed etcd server"),
        "it came to that by itself: {said}"
    );
    assert!(!said.contains("Failed with result"), "{said}");
    lab.assert_converged();
}

#[test]
fn the_leader_leaves_and_its_data_is_kept_aside() {
    let lab = Lab::cluster(3);
    let leaves = lab.leader();
    let stays = lab.hosts().iter().find(|h| h.name != leaves).expect("another one");
    let writer = Writer::start(&lab, stays);
    lab.quorate(&["remove-node", &leaves, "--yes"]).ok();
    assert!(!inventory(&lab).contains(&leaves));
    assert!(lab.has_backup(&format!("before-remove-{leaves}")));
    assert!(!lab.host(&leaves).active("etcd"));
    assert!(
        lab.host(&leaves)
            .sh("ls -d /var/lib/etcd.quorate-aside/*/member")
            .contains("left-the-cluster")
    );
    lab.quorate(&["plan"]).ok();
    writer.judge();
}

#[test]
fn two_of_five_dead_hosts_are_removed_and_another_one_is_replaced() {
    let lab = Lab::start(5);
    first(&lab, 5);
    let writer = Writer::start(&lab, lab.host("n1"));

    lab.host("n4").crash();
    lab.host("n5").crash();
    let why = lab.quorate(&["ok-to-stop", "n2"]).code(4);
    assert!(
        why.stderr.contains("would leave 2 of 5 voters, but quorum needs 3"),
        "{why}"
    );
    for gone in ["n4", "n5"] {
        lab.quorate(&["remove-node", gone, "--yes"]).ok();
        assert!(!inventory(&lab).contains(gone));
    }
    let fine = lab.quorate(&["ok-to-stop", "n2"]).ok();
    assert!(fine.stdout.contains("2 of 3 voters remain"), "{fine}");

    // One of them comes back to life, with what it had, and takes another one's place.
    lab.host("n5").boot();
    lab.host("n3").crash();
    let replaced = lab
        .quorate(&[
            "replace-node",
            "n3",
            "n5",
            "--address",
            &lab.host("n5").address,
            "--yes",
        ])
        .ok();
    let (old, new) = (&lab.host("n3").address, &lab.host("n5").address);
    assert!(
        replaced
            .stderr
            .contains(&format!("https://{old}:2379 is now https://{new}:2379")),
        "{replaced}"
    );
    assert!(lab.has_backup("before-replace-n3"));
    lab.quorate(&["plan"]).ok();

    // The removed one comes back to life: it harms nobody.
    lab.host("n3").boot();
    lab.quorate(&["health"]).ok();
    writer.judge();
}

#[test]
fn data_is_deleted_where_that_is_asked_for() {
    let lab = Lab::cluster(3);
    lab.lead("n1");
    lab.quorate(&[
        "remove-node",
        "n3",
        "--wipe",
        "--yes",
        "--accept-data-loss",
        "--accept-outage",
    ])
    .ok();
    let n3 = lab.host("n3");
    assert_eq!(
        n3.sh("ls -A /var/lib/etcd /var/lib/etcd.quorate-aside 2>/dev/null || :")
            .trim(),
        "/var/lib/etcd:"
    );
    assert!(!n3.active("etcd"));
    lab.quorate(&["plan"]).ok();
}

#[test]
fn a_wiped_disk_is_recognised_and_the_same_host_joins_afresh() {
    let lab = Lab::cluster(3);
    lab.host("n2").sh("systemctl stop etcd; rm -rf /var/lib/etcd/member");
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    assert!(refused.stderr.contains("quorate replace-node n2 n2"), "{refused}");
    let writer = Writer::start(&lab, lab.host("n1"));
    lab.quorate(&["replace-node", "n2", "n2", "--yes"]).ok();
    lab.quorate(&["plan"]).ok();
    writer.judge();
}

/// etcd itself would: a member that joined a cluster comes back empty under its old id, its votes forgotten.
#[test]
fn a_machine_that_comes_up_without_its_disk_starts_no_member_until_the_disk_is_back() {
    let lab = Lab::start(3);
    first(&lab, 1);
    for name in ["n2", "n3"] {
        let address = &lab.host(name).address;
        lab.quorate(&["add-node", name, "--address", address, "--yes"]).ok();
    }
    let n3 = lab.host("n3");
    n3.crash();
    n3.boot();
    wait_until("n3 to come back by itself", SOON, || n3.active("etcd"));
    n3.sh("systemctl stop etcd; mv /var/lib/etcd /srv/disk; install -d -o etcd -g etcd -m 700 /var/lib/etcd");
    n3.crash();
    n3.boot();
    wait_until("systemd to have tried", SOON, || {
        n3.sh("journalctl -u etcd -b")
            .contains("no data in /var/lib/etcd/member/wal: mount its disk")
    });
    let said = lab.quorate(&["logs", "n3"]).ok().stdout;
    assert!(said.contains("mount its disk"), "{said}");
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    refused.says(&[
        "its data directory /var/lib/etcd is empty",
        "quorate replace-node n3 n3",
    ]);
    assert_eq!(n3.sh("ls -A /var/lib/etcd"), "", "nothing was started");

    n3.sh("rmdir /var/lib/etcd; mv /srv/disk /var/lib/etcd");
    wait_until("n3 to come back by itself", SOON, || n3.active("etcd"));
    lab.assert_converged();
}

/// Members `n1` to `nN`, and `leads` leads them.
fn led_by(lab: &Lab, members: usize, leads: &str) {
    first(lab, members);
    lab.lead(leads);
}

#[test]
fn members_that_left_the_inventory_are_pruned_even_the_leader_and_one_that_is_dead() {
    let lab = Lab::start(6);
    led_by(&lab, 5, "n4");
    let writer = Writer::start(&lab, lab.host("n1"));
    // n4, which leads, and n5, which is dead, have gone; n6 is new.
    lab.host("n5").crash();
    lab.inventory(|hosts| {
        let listed: Vec<_> = hosts
            .iter()
            .filter(|h| !["n4", "n5"].contains(&h.name.as_str()))
            .cloned()
            .collect();
        plain_inventory(&current(), &listed)
    });
    lab.quorate(&["trust", "--yes"]).ok();
    let refused = lab.quorate(&["up", "--yes"]).code(4);
    refused.says(&["n5 is not healthy"]);
    let pruned = lab.quorate(&["up", "--prune", "--yes", "--output", "json"]).ok();
    let done: Vec<String> = pruned
        .events_of("step_started")
        .iter()
        .map(|e| e["what"].as_str().unwrap_or_default().to_owned())
        .collect();
    let at = |what: &str| {
        done.iter()
            .position(|d| d.contains(what))
            .unwrap_or_else(|| panic!("{what}: {done:?}"))
    };
    let order = [
        at("remove the member n5"),
        at("transfer leadership"),
        at("as a learner"),
        at("remove the member n4"),
    ];
    assert!(
        order.is_sorted(),
        "the dead one goes first, the one that carries its part last: {done:?}"
    );
    let status = lab.status();
    let mut names: Vec<&str> = status["members"]
        .as_array()
        .expect("members")
        .iter()
        .filter_map(|m| m["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["n1", "n2", "n3", "n6"]);
    lab.quorate(&["plan"]).ok();
    writer.judge();
}

#[test]
fn a_stranger_that_leads_and_cannot_be_asked_is_voted_out() {
    let lab = Lab::start(4);
    led_by(&lab, 4, "n4");
    lab.inventory(|hosts| plain_inventory(&current(), &hosts[..3]));
    let noted = lab.quorate(&["up", "--yes"]).ok();
    noted.says(&["the member n4", "`quorate up --prune`"]);
    for host in &lab.hosts()[..3] {
        // Hosts that let nobody tunnel to other machines, nor stand in for that with bash.
        host.sh(&format!(
            "echo 'PermitOpen {0}:2379 {0}:2380' >/etc/ssh/sshd_config.d/tunnels.conf; systemctl reload ssh; \
             sed -i '/^root:/s#/bin/bash$#/bin/sh#' /etc/passwd; mv /usr/bin/bash /usr/bin/bash.away",
            host.address
        ));
    }
    let writer = Writer::start(&lab, lab.host("n1"));
    let pruned = lab.quorate(&["up", "--prune", "--yes"]).ok();
    pruned.says(&["n4 is the leader and does not answer", "the others elect a leader"]);
    assert_eq!(lab.status()["members"].as_array().map(Vec::len), Some(3));
    lab.quorate(&["plan"]).ok();
    writer.judge();
}
