//! Members that come: from one to three to five, under writes, the inventory's text kept.

use std::time::Duration;

use crate::harness::{Lab, Writer, current, plain_inventory, wait_until};

/// An inventory of the first hosts of a lab, with comments that must survive.
fn commented(lab: &Lab, version: &str, members: usize) {
    lab.inventory(|hosts| {
        let mut text = format!("# ours\ncluster: lab\netcd:\n  version: \"{version}\"   # reviewed\nhosts:\n");
        for host in &hosts[..members] {
            text += &format!(
                "  # rack of {}\n  - name: {}\n    address: {}\n",
                host.name, host.name, host.address
            );
        }
        text
    });
    lab.quorate(&["trust", "--yes"]).ok();
}

#[test]
fn from_one_to_three_to_five_under_writes() {
    let lab = Lab::start(5);
    commented(&lab, &current(), 1);
    lab.quorate(&["up", "--yes"]).ok();
    let writer = Writer::start(&lab, lab.host("n1"));
    let before = std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");

    for name in ["n2", "n3"] {
        let added = lab
            .quorate(&[
                "add-node",
                name,
                "--address",
                &lab.host(name).address,
                "--yes",
                "--probe",
                "--output",
                "json",
            ])
            .ok();
        let probe = &added.events_of("finished")[0]["probe"];
        assert_eq!(probe["lost"], 0, "{added}");
        assert!(probe["acks"].as_u64() > Some(0), "{added}");
    }
    let after = std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    assert!(after.starts_with(&before), "only lines at the end came:\n{after}");

    // Two at once, written by hand: one after the other.
    let by_hand: String = ["n4", "n5"]
        .iter()
        .map(|n| format!("  - {{name: {n}, address: {}}}\n", lab.host(n).address))
        .collect();
    lab.write("inventory.yml", &(after + &by_hand));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes", "--probe"]).ok();

    let status = lab.quorate(&["status", "--output", "json"]).ok().json();
    assert_eq!(status["members"].as_array().map(Vec::len), Some(5));
    assert!(
        status["members"]
            .as_array()
            .expect("members")
            .iter()
            .all(|m| m["learner"] == false)
    );
    lab.quorate(&["plan"]).ok();
    writer.judge();
}

#[test]
fn a_refused_newcomer_leaves_the_inventory_as_it_was() {
    let lab = Lab::start(2);
    commented(&lab, &current(), 1);
    lab.quorate(&["up", "--yes"]).ok();
    let inventory = || std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    let before = inventory();
    lab.host("n2")
        .sh("mkdir -p /var/lib/etcd && echo thesis >/var/lib/etcd/thesis.tex");
    let refused = lab
        .quorate(&["add-node", "n2", "--address", &lab.host("n2").address, "--yes"])
        .code(4);
    assert!(
        refused.stderr.contains("contains files that do not belong to etcd"),
        "{refused}"
    );
    assert_eq!(inventory(), before);
}

#[test]
fn up_takes_one_member_to_three_one_learner_after_the_other() {
    let lab = Lab::start(3);
    commented(&lab, &current(), 1);
    lab.quorate(&["up", "--yes"]).ok();
    let writer = Writer::start(&lab, lab.host("n1"));
    commented(&lab, &current(), 3);
    let up = lab.quorate(&["up", "--yes", "--output", "json"]).ok();
    let changes: Vec<&str> = up
        .events_of("step_started")
        .iter()
        .filter_map(|e| {
            let what = e["what"].as_str()?;
            let known = ["as a learner", "promote it to a voter"];
            known.into_iter().find(|k| what.contains(k))
        })
        .collect();
    // Never a voter at once, and never two at a time.
    assert_eq!(
        changes,
        [
            "as a learner",
            "promote it to a voter",
            "as a learner",
            "promote it to a voter"
        ],
        "{up}"
    );
    // Each is told about the members of that moment and itself, and never that it founds a cluster.
    for (newcomer, known) in [("n2", 2), ("n3", 3)] {
        let config = lab.host(newcomer).sh("tr -d '\"' </etc/etcd/etcd-config.yml");
        let members: Vec<String> = lab.hosts()[..known]
            .iter()
            .map(|h| format!("{}=https://{}:2380", h.name, h.address))
            .collect();
        assert!(config.contains("initial-cluster-state: existing"), "{config}");
        let list = config
            .lines()
            .find_map(|line| line.strip_prefix("initial-cluster: "))
            .expect("a list");
        let mut told: Vec<&str> = list.split(',').collect();
        told.sort_unstable();
        assert_eq!(told, members, "{config}");
    }
    lab.assert_converged();
    writer.judge();
}

#[test]
fn a_learner_that_never_catches_up_is_taken_out_again_and_the_next_try_begins_anew() {
    let lab = Lab::start(4);
    lab.inventory(|hosts| plain_inventory(&current(), &hosts[..3]));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let n4 = lab.host("n4");
    let command = ["add-node", "n4", "--address", &n4.address, "--yes"];
    let cut_short = |process: &mut std::process::Command| _ = process.env("QUORATE_FAULT", "after:w3.n4");
    let killed = lab.quorate_with(&command, cut_short, b"");
    assert_eq!(killed.status, None, "it dies after n4 was asked to start\n{killed}");
    // etcd asks the others who they are before anything else, and exits when none of them answers.
    wait_until("n4 runs as a learner", Duration::from_secs(60), || n4.active("etcd"));

    // The operator reaches n4, and the other members do not.
    let others = || lab.hosts()[..3].iter().map(|h| h.address.as_str());
    let routes = |verb: &str| -> String {
        others()
            .map(|address| format!("ip route {verb} blackhole {address}/32; "))
            .collect()
    };
    n4.sh(&routes("add"));
    let writer = Writer::start(&lab, lab.host("n1"));
    let index = || {
        let status = lab.status();
        let members = status["members"].as_array().expect("members").iter();
        members
            .filter_map(|m| m["raft_index"].as_u64())
            .max()
            .expect("an index")
    };
    // More than a learner may lack when it is promoted.
    let before = index();
    lab.host("n1").loads();
    wait_until("writes that n4 does not get", Duration::from_secs(90), || {
        index() > before + 600
    });

    let failed = lab.quorate(&command).code(6);
    failed.says(&[
        "the learner has made no progress for 120 s: it is",
        "entries behind",
        "it was removed from the cluster again",
        "quorate logs n4",
    ]);
    let status = lab.quorate(&["status", "--output", "json"]).json();
    let members = status["members"].as_array().expect("members").iter();
    assert_eq!(members.filter(|m| m["healthy"] == true).count(), 3, "{status}");

    n4.sh(&routes("del"));
    lab.quorate(&command).ok();
    lab.assert_converged();
    assert!(
        n4.sh("ls -d /var/lib/etcd.quorate-aside/*/member")
            .contains("left-the-cluster"),
        "what the first try left is kept"
    );
    writer.judge();
}
