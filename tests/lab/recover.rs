//! The majority is gone for good: what a minority still has becomes the cluster again, in one command.

use std::time::Duration;

use crate::harness::{Lab, Outcome, some_of, thorough, wait_until};

/// A cluster with a few keys that every member has applied.
fn cluster(hosts: usize) -> Lab {
    let lab = Lab::cluster(hosts);
    put(&lab, "kept", "yes");
    let revision = |host: &str| {
        let told = lab.host(host).etcdctl("get kept --consistency s -w json").ok().json();
        told["header"]["revision"].as_i64()
    };
    wait_until("every member to have it", Duration::from_secs(10), || {
        let names: Vec<_> = lab.hosts().iter().map(|h| h.name.clone()).collect();
        names.iter().all(|name| revision(name) == revision("n1"))
    });
    lab
}

fn put(lab: &Lab, key: &str, value: &str) {
    lab.quorate(&["ctl", "--", "put", key, value]).ok();
}

fn get(lab: &Lab, key: &str) -> String {
    let got = lab.quorate(&["ctl", "--", "get", key, "--print-value-only"]);
    got.ok().stdout
}

/// Fire in the server room: the disk is new, the machine answers again.
fn burn(lab: &Lab, names: &[&str]) {
    for name in names {
        lab.host(name)
            .sh("systemctl kill -s KILL etcd; systemctl disable --now etcd 2>/dev/null; rm -rf /var/lib/etcd/member /var/lib/etcd/.quorate-cluster");
    }
}

fn recover(lab: &Lab, point: &str, arguments: &[&str]) -> Outcome {
    let all = [&["recover", "--yes", "--accept-data-loss"], arguments].concat();
    lab.quorate_with(&all, |command| _ = command.env("QUORATE_FAULT", point), b"")
}

#[track_caller]
fn is_whole(lab: &Lab, members: usize) {
    assert_eq!(get(lab, "kept"), "yes\n");
    let status = lab.status();
    assert_eq!(status["healthy"], true, "{status}");
    assert_eq!(status["members"].as_array().map(Vec::len), Some(members), "{status}");
    lab.quorate(&["check-hashes"]).ok();
    lab.quorate(&["up", "--yes"]).ok().says(&["nothing to do"]);
    for host in lab.hosts() {
        let strays = host.try_sh("pgrep -x etcd | wc -l").stdout;
        assert!(
            ["0", "1"].contains(&strays.trim()),
            "a private etcd is left on {}",
            host.name
        );
    }
}

#[test]
fn two_of_three_lost_their_disks_and_the_third_becomes_three_again() {
    let lab = cluster(3);
    // While a majority has its data there is nothing to recover.
    lab.stops_nothing(|lab| {
        lab.quorate(&["recover", "--yes", "--accept-data-loss"])
            .code(4)
            .says(&["the cluster works"])
    });
    let before = lab.status()["cluster_id"].clone();
    burn(&lab, &["n1", "n2"]);
    let plan = lab.quorate(&["plan"]).code(10).stdout;
    assert!(
        plan.contains("`quorate recover` rebuilds the cluster from what is left"),
        "{plan}"
    );
    lab.quorate(&["recover", "--yes"]).code(4).says(&[
        "--accept-data-loss",
        "whatever the lost majority acknowledged after that is lost",
    ]);
    let recovered = recover(&lab, "", &[])
        .ok()
        .says(&["n3: committed", "<- survivor", "n1: no data", "may be lost"]);
    is_whole(&lab, 3);
    assert_ne!(
        lab.status()["cluster_id"],
        before,
        "stragglers cannot mix in\n{recovered}"
    );
    lab.host("n3")
        .sh("ls /var/lib/etcd.quorate-aside/*-restore/member/snap/db");
    let kept = lab.quorate(&["--output", "json", "backup", "list"]).ok().stdout;
    assert!(kept.contains("\"reason\":\"recover\""), "{kept}");
}

/// Left out by name, and back all the same, with their old data and running: a majority of the old cluster.
#[test]
fn hosts_that_never_come_back_are_left_out_by_name_and_never_join_unnoticed() {
    let lab = cluster(3);
    lab.host("n1").crash();
    lab.host("n2").crash();
    recover(&lab, "", &[]).code(5).says(&["--without n1", "--without n2"]);
    assert!(lab.host("n3").pid() > 0, "nothing was stopped");
    recover(&lab, "", &["--without", "n1", "--without", "n2"])
        .ok()
        .says(&["`quorate replace-node NAME NAME` adds it again as a new member"]);
    assert_eq!(get(&lab, "kept"), "yes\n");
    let healthy = || {
        let status = lab.glance();
        let members = status["members"].as_array().expect("members").clone();
        members.iter().filter(|m| m["healthy"] == true).count()
    };
    assert_eq!(healthy(), 1);
    put(&lab, "new", "yes");

    // One of them is no quorum: its etcd runs, and serves nobody.
    lab.host("n1").boot();
    wait_until("n1's etcd to start by itself", Duration::from_secs(30), || {
        lab.host("n1").pid() > 0
    });
    lab.stops_nothing_of(&["n1", "n3"], |lab| {
        lab.quorate(&["up", "--yes", "--limit", "n1"])
            .code(4)
            .says(&["it is no longer a member"])
    });

    // Both of them are: the old cluster serves beside the new one, and quorate touches neither.
    lab.host("n2").boot();
    wait_until("the old cluster to work again", Duration::from_secs(60), || {
        lab.host("n1").etcdctl("get kept").status == Some(0)
    });
    for command in [
        &["up", "--yes"][..],
        &["restart", "--yes"],
        &["remove-node", "n1", "--yes"],
        &["replace-node", "n1", "n1", "--yes"],
        &["recover", "--yes", "--accept-data-loss"],
        &["backup", "create", "--plain"],
        &["members"],
        &["alarm", "list"],
        &["check-hashes"],
        &["ok-to-stop", "n1"],
        &["ctl", "--", "get", "new"],
        &["ctl", "--", "put", "new", "no"],
    ] {
        lab.stops_nothing(|lab| lab.quorate(command).code(4).says(&["different clusters", "n1, n2"]));
    }
    // Told whom to ask, etcdctl asks that one.
    lab.quorate(&["ctl", "--limit", "n2", "--limit", "n3", "--", "put", "new", "no"])
        .code(4)
        .says(&[
            "different clusters",
            "`quorate replace-node NAME NAME`",
            "`--limit NAME`",
        ]);
    let read = |name| {
        lab.quorate(&["ctl", "--limit", name, "--", "get", "new", "--print-value-only"])
            .ok()
            .stdout
    };
    assert_eq!((read("n1"), read("n3")), (String::new(), "yes\n".to_owned()));
    let status = lab.quorate(&["status"]).code(11);
    assert!(status.stdout.contains("different clusters"), "{status}");

    // Everything stopped: started together they would be two clusters again.
    for host in lab.hosts() {
        host.sh("systemctl disable --now etcd");
    }
    lab.stops_nothing(|lab| {
        lab.quorate(&["up", "--yes"]).code(4).says(&[
            "different clusters",
            "on n1, n2",
            "on n3",
            "quorate up --limit NAME",
        ])
    });
    lab.quorate(&["up", "--yes", "--limit", "n3"]).ok();
    for name in ["n1", "n2"] {
        lab.quorate(&["replace-node", name, name, "--yes"]).ok();
        lab.host(name).sh("ls /var/lib/etcd.quorate-aside/*/member/snap/db");
    }
    is_whole(&lab, 3);
    assert_eq!(get(&lab, "new"), "yes\n");
}

/// n1 was cut off earlier than n2, so n2 knows more.
#[test]
fn of_two_survivors_the_one_with_the_newest_committed_data_goes_on() {
    let lab = cluster(5);
    lab.host("n1").sh("systemctl stop etcd");
    for n in 0..20 {
        put(&lab, "kept", "yes");
        put(&lab, &format!("later/{n}"), "yes");
    }
    // A survivor that lost power has more in its log than in its database.
    lab.host("n2")
        .sh("systemctl kill -s KILL etcd; systemctl disable --now etcd 2>/dev/null; true");
    burn(&lab, &["n3", "n4", "n5"]);
    let told = recover(&lab, "", &[]).ok();
    let chosen = told
        .stderr
        .lines()
        .find(|line| line.contains("<- survivor"))
        .expect("one is chosen");
    assert!(chosen.contains("n2:"), "{told}");
    is_whole(&lab, 5);
    // The last write may be one that n2 had not heard of as committed.
    let count = lab
        .quorate(&["ctl", "--", "get", "later/", "--prefix", "--keys-only"])
        .ok();
    assert!(count.stdout.matches("later/").count() >= 19, "{count}");
}

#[test]
fn a_recovery_killed_at_any_boundary_is_finished_by_the_same_command() {
    let lab = cluster(3);
    let mut deaths = 0;
    // The first half has two waves, with a private etcd in the middle of the second. The second half is a restore, which
    // counts its waves from one again: they are met from where the first half has none left.
    let first = ["after:w1", "private:w2.n3", "after:w2"].into_iter().map(str::to_owned);
    let all = first.chain((3..14).map(|wave| format!("after:w{wave}")));
    // In `make test`: with the private etcd running, at the end of the first half, with everything moved aside, and started.
    let stand_for_their_kind = ["private:w2.n3", "after:w2", "after:w6", "after:w8"];
    let points = some_of(all, |point| stand_for_their_kind.contains(&point.as_str()));
    let met = if thorough() { 11 } else { points.len() };
    for point in points {
        burn(&lab, &["n1", "n2"]);
        let died = recover(&lab, &point, &[]);
        if died.status == Some(0) {
            is_whole(&lab, 3);
            break;
        }
        assert!(matches!(died.status, None | Some(134)), "{died}");
        deaths += 1;
        let again = recover(&lab, "", &[]);
        if again.status != Some(0) {
            // It had died right behind its last step.
            again.code(4).says(&["the cluster works: 3 of 3"]);
        }
        is_whole(&lab, 3);
    }
    println!("| recover | program killed at {deaths} boundaries | same command | whole again, hashes equal |");
    assert!(deaths >= met, "only {deaths} boundaries were met");
}
