//! Members that come: from one to three to five, under writes, the inventory's text kept.

use crate::harness::{Lab, Writer, release};

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
    commented(&lab, &release("3.5"), 1);
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
    commented(&lab, &release("3.5"), 1);
    lab.quorate(&["up", "--yes"]).ok();
    let inventory = || std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    let before = inventory();
    lab.host("n2")
        .sh("mkdir -p /var/lib/etcd && echo thesis >/var/lib/etcd/thesis.tex");
    let refused = lab
        .quorate(&["add-node", "n2", "--address", &lab.host("n2").address, "--yes"])
        .code(4);
    assert!(refused.stderr.contains("holds files that are not etcd's"), "{refused}");
    assert_eq!(inventory(), before);
}
