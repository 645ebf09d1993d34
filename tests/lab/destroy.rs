//! The end of a cluster on real hosts: interrupted in the middle, with a host that comes back later, and with nothing left.

use std::fs;

use crate::harness::{Host, Lab, Outcome, current, plain_inventory};

fn dies(lab: &Lab, arguments: &[&str], point: &str) -> Outcome {
    let died = lab.quorate_with(arguments, |command| _ = command.env("QUORATE_FAULT", point), b"");
    assert!(matches!(died.status, None | Some(134)), "{died}");
    died
}

/// Everything of quorate's on a host but releases and old data.
fn left_on(host: &Host) -> String {
    let left = host.sh(
        "find /etc/etcd /run/quorate* /var/lib/etcd /var/lib/etcd-backup 2>/dev/null || :
         ls -d /etc/systemd/system/etcd* /etc/systemd/system/*.wants/etcd* 2>/dev/null || :
         systemctl list-units --all --no-legend 'etcd*'; pgrep -a etcd || :",
    );
    // Empty directories are nobody's.
    let nothing = ["/run/quorate", "/var/lib/etcd"];
    let left = left.lines().filter(|line| !nothing.contains(line));
    left.collect::<Vec<_>>().join("\n")
}

fn last_backup(lab: &Lab) -> String {
    let names = fs::read_dir(lab.dir().join("backups")).expect("backups").flatten();
    let mut names: Vec<String> = names.map(|entry| entry.path().display().to_string()).collect();
    names.retain(|name| name.ends_with("-before-destroy.qbackup"));
    names.sort();
    names.pop().expect("a last backup")
}

#[test]
fn a_cluster_ends_with_a_last_backup_and_nothing_of_it_is_left() {
    let lab = Lab::cluster(3);
    let cluster = lab.status()["cluster"].as_str().expect("a name").to_owned();
    let named = ["destroy", "--name", &cluster, "--accept-data-loss"];
    lab.quorate(&["ctl", "--", "put", "kept", "yes"]).ok();
    lab.lead("n2");

    // Refused: nobody has typed the name, another one was, nobody accepts the loss, and somebody is connected.
    let url = format!("https://{}:2379", lab.host("n2").address);
    lab.stops_nothing(|lab| {
        lab.quorate(&["destroy", "--yes", "--accept-data-loss"])
            .code(2)
            .says(&["stdin is not a terminal", "--name"])
    });
    lab.stops_nothing(|lab| {
        lab.quorate(&["destroy", "--name", "another", "--accept-data-loss"])
            .code(2)
            .says(&["not of another"])
    });
    lab.host("n3").stays_connected_to(&url);
    lab.stops_nothing(|lab| {
        lab.quorate(&named[..3]).code(4).says(&[
            "--accept-data-loss",
            "n2: clients are connected to its member",
            &lab.host("n3").address,
            "--accept-outage",
        ])
    });
    lab.host("n3").sh("systemctl stop watcher");
    let destroy = [&named[..], &["--accept-outage"]].concat();
    let plan = lab
        .quorate(&["plan", "destroy", "--accept-data-loss", "--accept-outage"])
        .code(10);
    assert!(plan.stdout.contains("save a verified snapshot"), "{plan}");

    // Killed once the followers are down: nobody takes what is left for a cluster that lacks two members.
    dies(&lab, &destroy, "after:w2");
    assert!(lab.host("n2").active("etcd") && !lab.host("n1").active("etcd"));
    for closed in [
        &["up", "--yes"][..],
        &["restart", "--yes"],
        &["pki", "renew", "--yes"],
        &["backup", "create"],
    ] {
        lab.quorate(closed)
            .code(4)
            .says(&["is being destroyed", "`quorate destroy`", "`quorate start`"]);
    }
    let glance = lab.quorate(&["status"]).code(11);
    assert!(glance.stdout.contains("is being destroyed"), "{glance}");
    // Whoever had another one in mind keeps it.
    lab.quorate(&["start", "--yes"]).ok();
    assert_eq!(
        lab.quorate(&["ctl", "--", "get", "kept", "--print-value-only"])
            .ok()
            .stdout,
        "yes\n"
    );
    lab.assert_converged();

    // Killed again, with the data of all members moved aside and the files of some hosts gone.
    dies(&lab, &destroy, "after:w4");
    lab.quorate(&["up", "--yes"]).code(4).says(&["`quorate destroy`"]);
    let done = lab.quorate(&destroy).ok();
    done.says(&[
        "is destroyed",
        "/opt/quorate/etcd",
        "/var/lib/etcd.quorate-aside",
        "backups/",
    ]);
    for host in lab.hosts() {
        assert_eq!(left_on(host), "", "{}", host.name);
        let aside = host.sh("ls -d /var/lib/etcd.quorate-aside/*/member");
        assert!(aside.contains("member"), "{}: {aside}", host.name);
    }
    lab.quorate(&destroy).ok().says(&["nothing to do"]);
    let backup = last_backup(&lab);
    lab.quorate(&["backup", "verify", &backup]).ok();

    // The same inventory makes a new cluster.
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.quorate(&["ctl", "--", "get", "kept"]).ok().stdout, "");
    lab.assert_converged();
}

/// A host that is off while its cluster ends comes back with a member, which must not be taken for one that lost the others.
#[test]
fn a_host_that_comes_back_is_destroyed_later_and_nothing_else_is_done_until_then() {
    let lab = Lab::start(3);
    lab.inventory(|hosts| plain_inventory(&current(), hosts) + "backup:\n  schedule: daily\n  to: /var/backups/etcd\n");
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let cluster = lab.status()["cluster"].as_str().expect("a name").to_owned();
    let destroy = ["destroy", "--name", &cluster, "--accept-data-loss", "--wipe"];
    let program = env!("CARGO_BIN_EXE_quorate");
    lab.quorate(&["backup", "schedule", "--yes", "--program", program]).ok();
    let gone = lab.host("n3");
    gone.crash();

    lab.quorate(&destroy).code(5).says(&["n3", "--without n3"]);
    let without = [&destroy[..], &["--without", "n3"]].concat();
    lab.quorate(&without).ok().says(&["except on n3", "`quorate destroy`"]);
    for host in &lab.hosts()[..2] {
        assert_eq!(
            left_on(host),
            "/etc/etcd\n/etc/etcd/etcd-config.yml.resting",
            "{}",
            host.name
        );
        assert_eq!(
            host.try_sh("ls /var/lib/etcd.quorate-aside").stdout,
            "",
            "{}",
            host.name
        );
    }
    lab.quorate(&without).ok().says(&["except on n3"]);

    gone.boot();
    assert!(gone.active("etcd") || gone.pid() > 0, "its unit is enabled");
    for closed in [&["up", "--yes"][..], &["pki", "renew", "--yes"], &["restart", "--yes"]] {
        let refused = lab
            .quorate(closed)
            .code(4)
            .says(&["is being destroyed", "`quorate destroy`"]);
        assert!(
            !refused.stderr.contains("replace-node") && !refused.stderr.contains("quorate recover"),
            "{refused}"
        );
    }
    let glance = lab.quorate(&["status"]).code(11);
    assert!(glance.stdout.contains("is being destroyed"), "{glance}");
    // It has no quorum to give a backup with, and that was taken.
    lab.quorate(&destroy).ok().says(&["is destroyed"]);
    for host in lab.hosts() {
        assert_eq!(left_on(host), "", "{}", host.name);
    }
    lab.quorate(&destroy).ok().says(&["nothing to do"]);
}
