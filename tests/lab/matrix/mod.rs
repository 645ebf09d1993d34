//! Every command that changes members, cut short at every step boundary; and hosts, leaders and networks that die in the
//! middle. After one more run of the same command (or of `up`) the cluster is as wanted, every acknowledged write is
//! there, and all members hold the same data. Each test prints its rows of the table.

mod faults;
mod kills;

use serde_json::Value;

use crate::harness::{Lab, plain_inventory, releases};

/// The first hosts, n1 and on, are members; the last one is a spare, unless all four are members.
fn cluster(version: &str, members: usize) -> Lab {
    let lab = Lab::start(4);
    lab.inventory(|hosts| plain_inventory(version, &hosts[..members]));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    lab
}

/// Two releases of one minor.
fn old_and_new() -> (String, String) {
    let all = releases().into_iter().map(|(version, _)| version);
    let of_minor: Vec<String> = all.filter(|version| version.starts_with("3.5.")).collect();
    assert!(of_minor.len() > 1, "there is only {of_minor:?}");
    (of_minor[0].clone(), of_minor[of_minor.len() - 1].clone())
}

/// Nothing is left to do, and everybody is a healthy voter.
#[track_caller]
fn converged(lab: &Lab, members: usize) {
    lab.quorate(&["plan"]).ok();
    let status = lab.status();
    let all = status["members"].as_array().expect("members").clone();
    assert_eq!(all.len(), members, "{status}");
    assert!(
        all.iter()
            .all(|m: &Value| m["healthy"] == true && m["learner"] == false),
        "{status}"
    );
}

/// A row of the table: what befell which command, and what was run then.
fn row(command: &str, befell: &str, then: &str, writes: usize) {
    println!("| {command:<12} | {befell:<66} | {then:<62} | converged, {writes} writes kept, hashes equal |");
}
