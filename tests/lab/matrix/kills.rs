//! Every command that changes members, killed at each step boundary.

use super::{cluster, converged, old_and_new, row};
use crate::harness::{Lab, Writer, current, thorough};

/// Runs a command, to be killed right after wave `wave`. True when it was; false when it came to its end before.
#[track_caller]
fn killed(lab: &Lab, command: &[&str], wave: usize) -> bool {
    let point = format!("after:w{wave}");
    let outcome = lab.quorate_with(
        command,
        |process| {
            process.env("QUORATE_FAULT", point);
        },
        b"",
    );
    match outcome.status {
        None | Some(134) => true,
        _ => {
            outcome.ok();
            false
        }
    }
}

/// Whether a run is killed after a wave: after each of a command whose waves are of different kinds, and where they are
/// turns of members, which are alike, after the first two. A replacement begins with waves of its own, and goes on as a join.
fn stands_for_its_kind(command: &str, wave: usize) -> bool {
    let own = match command {
        "restart" | "upgrade" | "downgrade" => 2,
        "replace-node" => 3,
        _ => usize::MAX,
    };
    thorough() || wave <= own
}

/// For every wave of `command`: a run that is killed right after it, then `again`, then `back` to where it began.
fn every_boundary(lab: &Lab, name: &str, command: &[&str], again: &[&str], members: usize, back: &[&str]) {
    let writer = Writer::start(lab, lab.host("n1"));
    let mut waves = 0;
    while stands_for_its_kind(name, waves + 1) && killed(lab, command, waves + 1) {
        waves += 1;
        lab.quorate(again).ok();
        converged(lab, members);
        lab.quorate(back).ok();
    }
    assert!(waves > 1, "no boundary was met: is the feature `fault` on?");
    let writes = writer.acked();
    writer.judge();
    let befell = format!("program killed after each of {waves} waves");
    row(name, &befell, &format!("`{}`", again[0]), writes);
}

#[test]
fn restart_killed_at_every_boundary() {
    let lab = cluster(&current(), 3);
    let command = ["restart", "--yes"];
    every_boundary(&lab, "restart", &command, &command, 3, &["plan"]);
}

#[test]
fn add_node_killed_at_every_boundary() {
    let lab = cluster(&current(), 3);
    let address = lab.host("n4").address.clone();
    let command = ["add-node", "n4", "--address", &address, "--yes"];
    let back = ["remove-node", "n4", "--yes"];
    every_boundary(&lab, "add-node", &command, &["up", "--yes"], 4, &back);
}

#[test]
fn remove_node_killed_at_every_boundary() {
    let lab = cluster(&current(), 3);
    let address = lab.host("n3").address.clone();
    let command = ["remove-node", "n3", "--yes"];
    let back = ["add-node", "n3", "--address", &address, "--yes"];
    every_boundary(&lab, "remove-node", &command, &command, 2, &back);
}

#[test]
fn replace_node_killed_at_every_boundary() {
    let lab = cluster(&current(), 3);
    let writer = Writer::start(&lab, lab.host("n1"));
    let (mut old, mut new) = ("n3", "n4");
    let mut waves = 0;
    while stands_for_its_kind("replace-node", waves + 1) {
        lab.host(old).sh("systemctl stop etcd; rm -rf /var/lib/etcd/member");
        let address = lab.host(new).address.clone();
        let command = ["replace-node", old, new, "--address", &address, "--yes"];
        if !killed(&lab, &command, waves + 1) {
            break;
        }
        waves += 1;
        lab.quorate(&command).ok();
        converged(&lab, 3);
        (old, new) = (new, old);
    }
    assert!(waves > 1, "no boundary was met: is the feature `fault` on?");
    let writes = writer.acked();
    writer.judge();
    row(
        "replace-node",
        &format!("program killed after each of {waves} waves"),
        "the same command",
        writes,
    );
}

/// In turn on one lab, so that each is the other's way back.
#[test]
fn upgrade_and_downgrade_killed_at_every_boundary() {
    let (old, new) = old_and_new();
    let lab = cluster(&old, 3);
    let writer = Writer::start(&lab, lab.host("n1"));
    let commands = [["upgrade", "--to", &new, "--yes"], ["downgrade", "--to", &old, "--yes"]];
    let mut waves = [0, 0];
    for wave in 1.. {
        let mut met = false;
        for (command, waves) in commands.iter().zip(&mut waves) {
            if stands_for_its_kind(command[0], wave) && killed(&lab, command, wave) {
                met = true;
                *waves = wave;
                lab.quorate(command).ok();
                converged(&lab, 3);
            }
        }
        if !met {
            break;
        }
    }
    assert!(
        waves.iter().all(|w| *w > 1),
        "no boundary was met: is the feature `fault` on?"
    );
    let writes = writer.acked();
    writer.judge();
    for (command, waves) in commands.iter().zip(waves) {
        let befell = format!("program killed after each of {waves} waves");
        row(command[0], &befell, "the same command", writes);
    }
}
