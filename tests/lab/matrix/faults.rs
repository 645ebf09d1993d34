//! Hosts and networks that die in the middle of a command: it is held at a point of its run, something happens, it goes
//! on. While the fault lasts, the same command is refused, or done without what is gone; after it, one more run is enough.

use std::time::Duration;

use serde_json::Value;

use super::{cluster, converged, old_and_new, row};
use crate::harness::{Lab, Outcome, Writer, current, some_of, thorough, wait_until};

/// The writer's host. It is a member all the time, and nothing ever happens to it.
const CALM: &str = "n1";
/// Leads when a command begins.
const LEADER: &str = "n2";

/// What happens while the command is held.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The host that is worked on loses power and boots at once.
    Reboot,
    /// It loses power, and is off for a while.
    Crash,
    /// A member is cut off, with its etcd running.
    Cut,
    /// The leader's host loses power.
    LeaderCrash,
    /// The operator's network is cut, and the laptop closed.
    Closed,
}

/// What every command goes through.
const FAULTS: [Fault; 4] = [Fault::Reboot, Fault::Cut, Fault::LeaderCrash, Fault::Closed];

/// What becomes of the same command while the fault lasts.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    /// It is refused, with these words.
    Refused(&'static str),
    /// It finishes without what is gone.
    Finishes,
}

/// A command, and where it can be hit.
struct Command<'a> {
    arguments: &'a [&'a str],
    /// The point at which it is held (see `ops::exec::fault`).
    middle: &'a str,
    /// The host that it works on right then.
    worked_on: &'a str,
    /// The member that is cut off.
    cut_off: &'a str,
    /// Voters that come back before it is run again.
    voters: usize,
    /// Members once it is done.
    members: usize,
}

impl Command<'_> {
    fn name(&self) -> &str {
        self.arguments[0]
    }

    /// Runs it with a fault in the middle, and once more. While the fault lasts, it is as `meanwhile` says.
    #[track_caller]
    fn survives(&self, lab: &Lab, fault: Fault, meanwhile: Meanwhile) {
        lab.lead(LEADER);
        let writer = Writer::start(lab, lab.host(CALM));
        let mut running = lab.hold(self.arguments, self.middle);
        self.strike(lab, fault);
        if fault == Fault::Closed {
            running.kill();
        }
        running.go_on();
        let ended = running.wait();
        let lasts = match fault {
            Fault::Closed | Fault::Reboot => None,
            Fault::Crash | Fault::Cut | Fault::LeaderCrash => Some(self.while_it_lasts(lab, &ended, meanwhile)),
        };
        self.mend(lab, fault);
        self.members_are_back(lab, fault);
        let finished = ended.status == Some(0) || lasts.as_ref().is_some_and(|(_, done)| *done);
        let (again, named) = match finished {
            true => (&["up", "--yes"][..], "`up`"),
            false => (self.arguments, "the same command"),
        };
        let stolen = again_past_a_lock(lab, again);
        converged(lab, self.members);
        let writes = writer.acked();
        writer.judge();
        let before = lasts.map(|(lasts, _)| format!("{lasts}; "));
        let lock = if stolen { "`unlock --steal`, " } else { "" };
        let then = format!("{}{lock}{named}", before.unwrap_or_default());
        row(self.name(), &self.befell(fault), &then, writes);
    }

    /// What the table says of the same command while the fault lasts, and whether it is done then.
    #[track_caller]
    fn while_it_lasts(&self, lab: &Lab, ended: &Outcome, meanwhile: Meanwhile) -> (String, bool) {
        match meanwhile {
            Meanwhile::Refused(why) => {
                // Unfinished, and in a way that says that it may be run again.
                assert!(matches!(ended.status, Some(4 | 5 | 6 | 130)), "{ended}");
                let refused = lab.quorate(self.arguments);
                assert!(matches!(refused.status, Some(4 | 5)), "not refused\n{refused}");
                refused.says(&[why]);
                (format!("refused meanwhile ({why})"), false)
            }
            Meanwhile::Finishes => {
                assert!(matches!(ended.status, Some(0 | 4 | 5 | 6 | 130)), "{ended}");
                if ended.status != Some(0) {
                    lab.quorate(self.arguments).ok();
                }
                ("done without it".to_owned(), true)
            }
        }
    }

    fn strike(&self, lab: &Lab, fault: Fault) {
        match fault {
            Fault::Reboot => {
                lab.host(self.worked_on).crash();
                lab.host(self.worked_on).boot();
            }
            Fault::Crash => lab.host(self.worked_on).crash(),
            Fault::Cut => lab.host(self.cut_off).cut(),
            Fault::LeaderCrash => lab.host(LEADER).crash(),
            Fault::Closed => lab.cut_operator(),
        }
    }

    fn mend(&self, lab: &Lab, fault: Fault) {
        match fault {
            Fault::Reboot => {}
            Fault::Crash => lab.host(self.worked_on).boot(),
            Fault::Cut => lab.host(self.cut_off).mend(),
            Fault::LeaderCrash => lab.host(LEADER).boot(),
            Fault::Closed => lab.mend_operator(),
        }
    }

    fn befell(&self, fault: Fault) -> String {
        match fault {
            Fault::Reboot => format!("{}, worked on, lost power and booted", self.worked_on),
            Fault::Crash => format!("{}, worked on, lost power", self.worked_on),
            Fault::Cut => format!("{}, cut off", self.cut_off),
            Fault::LeaderCrash => format!("{LEADER}, the leader, lost power"),
            Fault::Closed => "the operator's network cut, the program killed".to_owned(),
        }
    }

    /// A newcomer may be half-way in, so not everybody counts as healthy: those that were members do, and who was hit.
    fn members_are_back(&self, lab: &Lab, fault: Fault) {
        let hit = match fault {
            Fault::Cut => self.cut_off,
            Fault::LeaderCrash => LEADER,
            Fault::Reboot | Fault::Crash | Fault::Closed => CALM,
        };
        wait_until("the members are back", Duration::from_secs(60), || {
            let status = lab.glance();
            let all = status["members"].as_array().cloned().unwrap_or_default();
            let votes = |m: &&Value| !m["id"].is_null() && m["learner"] == false;
            let healthy = all.iter().filter(votes).filter(|m| m["healthy"] == true);
            let hit_is_sick = all
                .iter()
                .filter(votes)
                .any(|m| m["name"] == hit && m["healthy"] != true);
            healthy.count() >= self.voters && !hit_is_sick
        });
    }
}

/// Runs a command to its end. A host that was cut off from the run takes a minute to notice that nobody holds its lock any
/// more; the operator knows, and takes it, except on a newcomer that is not in the inventory yet. True when that was needed.
#[track_caller]
fn again_past_a_lock(lab: &Lab, command: &[&str]) -> bool {
    let mut outcome = lab.quorate(command);
    let locked = outcome.status == Some(8);
    if locked {
        lab.quorate(&["unlock", "--steal"]).ok();
        wait_until("the lock to be free", Duration::from_secs(90), || {
            outcome = lab.quorate(command);
            outcome.status != Some(8)
        });
    }
    outcome.ok();
    locked
}

/// A command that restarts one member after the other, held when it has just restarted n3.
fn roll<'a>(arguments: &'a [&'a str]) -> Command<'a> {
    Command {
        arguments,
        middle: "restarted:n3",
        worked_on: "n3",
        cut_off: "n3",
        voters: 3,
        members: 3,
    }
}

/// Another member is restarted only once n3 is healthy, and the next one only while n2 is.
fn in_a_roll(fault: Fault) -> Meanwhile {
    match fault {
        Fault::LeaderCrash => Meanwhile::Refused(LEADER),
        _ => Meanwhile::Refused("n3"),
    }
}

// Each command meets one fault here, and each fault one command that rolls or one that changes the members: the way through a
// fault is the same code whatever was going on. In `make soak` every fault befalls every command.

#[test]
fn in_the_middle_of_a_config_roll() {
    let lab = cluster(&current(), 3);
    let count = |n: usize| format!("  config:\n    snapshot-count: {}\nhosts:", 5000 + n);
    lab.edit("hosts:", &count(0));
    lab.quorate(&["up", "--yes"]).ok();
    let some = some_of(FAULTS, |fault| *fault == Fault::Closed);
    for (n, fault) in some.into_iter().enumerate() {
        lab.edit(&count(n), &count(n + 1));
        roll(&["up", "--yes"]).survives(&lab, fault, in_a_roll(fault));
    }
}

#[test]
fn in_the_middle_of_a_restart() {
    let lab = cluster(&current(), 3);
    let all = FAULTS.into_iter().chain([Fault::Crash]);
    for fault in some_of(all, |fault| *fault == Fault::LeaderCrash) {
        roll(&["restart", "--yes"]).survives(&lab, fault, in_a_roll(fault));
    }
}

/// Each is the other's way back; in `make test` nobody goes back.
#[test]
fn in_the_middle_of_an_upgrade_and_of_a_downgrade() {
    let (old, new) = old_and_new();
    let lab = cluster(&old, 3);
    for fault in some_of(FAULTS, |fault| *fault == Fault::Cut) {
        roll(&["upgrade", "--to", &new, "--yes"]).survives(&lab, fault, in_a_roll(fault));
        if thorough() {
            roll(&["downgrade", "--to", &old, "--yes"]).survives(&lab, fault, in_a_roll(fault));
        }
    }
}

/// Held when n4 is listed as a learner and has not started.
#[test]
fn in_the_middle_of_adding_a_node() {
    let lab = cluster(&current(), 3);
    let address = lab.host("n4").address.clone();
    let add = Command {
        arguments: &["add-node", "n4", "--address", &address, "--yes"],
        middle: "after:cluster",
        worked_on: "n4",
        cut_off: "n3",
        voters: 3,
        members: 4,
    };
    for fault in some_of(FAULTS, |fault| *fault == Fault::Reboot) {
        let meanwhile = match fault {
            Fault::Cut => Meanwhile::Refused("n3 is not healthy"),
            Fault::LeaderCrash => Meanwhile::Refused("n2 is not healthy"),
            _ => Meanwhile::Refused("n4"),
        };
        add.survives(&lab, fault, meanwhile);
        lab.quorate(&["remove-node", "n4", "--yes"]).ok();
    }
}

/// Held right before n4 is taken off the list: a dead member can leave, and nobody leaves beside a sick one.
#[test]
fn in_the_middle_of_removing_a_node() {
    let lab = cluster(&current(), 4);
    let address = lab.host("n4").address.clone();
    let remove = Command {
        arguments: &["remove-node", "n4", "--yes"],
        middle: "before:cluster",
        worked_on: "n4",
        cut_off: "n3",
        voters: 3,
        members: 3,
    };
    let all = FAULTS.into_iter().chain([Fault::Crash]);
    for fault in some_of(all, |fault| *fault == Fault::Crash) {
        let meanwhile = match fault {
            Fault::Cut => Meanwhile::Refused("n3 is not healthy"),
            Fault::LeaderCrash => Meanwhile::Refused("n2 is not healthy"),
            _ => Meanwhile::Finishes,
        };
        remove.survives(&lab, fault, meanwhile);
        let back = match fault {
            // It left while its host was down, and still has its data.
            Fault::Crash => &["replace-node", "n4", "n4", "--address", &address, "--yes"][..],
            _ => &["add-node", "n4", "--address", &address, "--yes"][..],
        };
        lab.quorate(back).ok();
    }
}

/// Held when the newcomer is prepared, and the old one off the list.
#[test]
fn in_the_middle_of_replacing_a_node() {
    let lab = cluster(&current(), 3);
    let (mut old, mut new) = ("n3", "n4");
    for fault in some_of(FAULTS, |fault| *fault == Fault::LeaderCrash) {
        lab.host(old).sh("systemctl stop etcd; rm -rf /var/lib/etcd/member");
        let address = lab.host(new).address.clone();
        let replace = Command {
            arguments: &["replace-node", old, new, "--address", &address, "--yes"],
            middle: &format!("done:{new}"),
            worked_on: new,
            cut_off: new,
            voters: 2,
            members: 3,
        };
        let meanwhile = match fault {
            // Of two voters one is not enough; and what the other carries is unknown.
            Fault::LeaderCrash => Meanwhile::Refused("not every host can be inspected"),
            _ => Meanwhile::Refused(new),
        };
        replace.survives(&lab, fault, meanwhile);
        (old, new) = (new, old);
    }
}
