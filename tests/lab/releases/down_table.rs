//! Ways down at length: every way, on one, three and five members, killed at every point of the run. `make soak` runs it
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

#[test]
#[ignore = "takes many minutes: make soak runs it"]
fn every_way_down_killed_at_every_point_and_led_by_whoever_was_exchanged() {
    println!(
        "| members | way              | befell                                          | then                                    |"
    );
    println!(
        "|---------|------------------|-------------------------------------------------|-----------------------------------------|"
    );
    for members in [1, 3, 5] {
        for (from, to) in [("3.7", "3.6"), ("3.6", "3.5")] {
            let (from, to) = (release(from), release(to));
            let lab = cluster(members, &from);
            let writer = Writer::start(&lab, lab.host("n1"));
            let down = ["downgrade", "--to", &to, "--yes", "--accept-outage"];
            let up = ["upgrade", "--to", &from, "--yes", "--accept-outage"];
            let mut points = 0;
            while killed_at(&lab, &down, points + 1) {
                points += 1;
                // Whoever was exchanged leads, where anybody was: a leader of 3.5 ends etcd's job.
                let back = versions(&lab).iter().position(|version| *version == to);
                if let Some(back) = back.filter(|_| members > 1) {
                    lab.lead(&format!("n{}", back + 1));
                }
                // Down by the same command, or up again, in turn.
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
                "| {members:<7} | {from} to {to:<7} | program killed at each of {points:>2} points, an older one led | \
                 the same command, or up again; {writes} writes kept, hashes equal |"
            );
        }
    }
}
