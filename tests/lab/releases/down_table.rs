//! Ways down at length: both ways, on one, three and five members, killed at every point of the run. `make soak` runs them
//! and prints the table.

use super::down::{cluster, versions};
use crate::harness::{Lab, Writer, release};

/// Runs a command, to be killed at the `nth` point of its run. True when it was; false when it came to its end before.
#[track_caller]
fn killed_at(lab: &Lab, command: &[&str], nth: usize) -> bool {
    let point = format!("#{nth}");
    let outcome = lab.quorate_with(command, |process| _ = process.env("QUORATE_FAULT", point), b"");
    match outcome.status {
        None | Some(134) => true,
        _ => {
            outcome.ok();
            false
        }
    }
}

/// A healthy member that runs this release already.
fn exchanged(lab: &Lab, version: &str) -> Option<String> {
    let status = lab.glance();
    let members = status["members"].as_array().expect("members");
    let back = members
        .iter()
        .find(|m| m["version"] == version && m["healthy"] == true)?;
    back["name"].as_str().map(str::to_owned)
}

/// Both ways down from every point at which the program can be killed; whoever was exchanged leads then, where anybody was,
/// and a leader of 3.5 ends etcd's job.
fn killed_at_every_point(members: usize) {
    for (from, to) in [("3.7", "3.6"), ("3.6", "3.5")] {
        let (from, to) = (release(from), release(to));
        let lab = cluster(members, &from);
        let writer = Writer::start(&lab, lab.host("n1"));
        let down = ["downgrade", "--to", &to, "--yes", "--accept-outage"];
        let up = ["upgrade", "--to", &from, "--yes", "--accept-outage"];
        let mut points = 0;
        while killed_at(&lab, &down, points + 1) {
            points += 1;
            let back = exchanged(&lab, &to);
            if let Some(back) = back.filter(|_| members > 1) {
                lab.lead(&back);
            }
            // Every other time it goes up again from where it is.
            if points % 2 == 0 {
                lab.quorate(&down).ok();
                assert_eq!(versions(&lab), vec![to.as_str(); members]);
            }
            lab.quorate(&up).ok();
            assert_eq!(versions(&lab), vec![from.as_str(); members]);
        }
        assert!(points > 5, "no point was met: is the feature `fault` on?");
        let writes = writer.acked();
        writer.judge();
        println!(
            "| {members} members | {from} to {to} | killed at each of {points} points, led by one that was exchanged | \
             finished by the same command, or taken up again; {writes} writes kept, hashes equal |"
        );
    }
}

#[test]
#[ignore = "takes many minutes: make soak runs it"]
fn one_member_down_killed_at_every_point() {
    killed_at_every_point(1);
}

#[test]
#[ignore = "takes many minutes: make soak runs it"]
fn three_members_down_killed_at_every_point() {
    killed_at_every_point(3);
}

#[test]
#[ignore = "takes many minutes: make soak runs it"]
fn five_members_down_killed_at_every_point() {
    killed_at_every_point(5);
}
