//! Members that are down on purpose, on real hosts: through reboots, under writes, and killed half-way.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::harness::{Lab, Outcome, bundle};

fn dies(lab: &Lab, arguments: &[&str], point: &str) -> Outcome {
    let died = lab.quorate_with(arguments, |command| _ = command.env("QUORATE_FAULT", point), b"");
    assert!(matches!(died.status, None | Some(134)), "{died}");
    died
}

fn running(lab: &Lab) -> usize {
    lab.hosts().iter().filter(|host| host.active("etcd")).count()
}

#[test]
fn a_host_is_maintained_through_a_reboot_while_clients_write() {
    let lab = Lab::cluster(3);
    let (leader, other) = ("n2", "n3");
    lab.lead(leader);
    let host = lab.host(leader);
    let maintain = |what: &str| lab.quorate(&["maintain", leader, what, "--yes"]);
    let told = lab.quorate(&["ok-to-stop", leader]).ok();
    assert!(told.stdout.contains(&format!("`quorate maintain {leader}`")), "{told}");
    // Without a terminal nobody can press Enter.
    lab.quorate(&["maintain", leader, "--yes"])
        .code(2)
        .says(&["--stop", "--done"]);

    let writes = lab.begin_writing();
    // Killed after the note and before the stop, and finished by the same command.
    dies(&lab, &["maintain", leader, "--stop", "--yes"], "noted:w1");
    assert!(host.active("etcd"));
    maintain("--stop")
        .ok()
        .says(&[&format!("`quorate maintain {leader} --done` starts it again")]);
    assert!(!host.active("etcd"));
    assert_ne!(lab.leader(), leader);
    host.stop();
    host.boot();
    assert!(!host.active("etcd"), "it started by itself");

    let glance = lab.quorate(&["status"]).code(11);
    assert!(glance.stdout.contains("down for maintenance since"), "{glance}");
    assert!(
        glance.stdout.contains(&format!("`quorate maintain {leader} --done`")),
        "{glance}"
    );
    let found = lab.quorate(&["doctor"]);
    assert!(found.stdout.contains("down for maintenance since"), "{found}");
    assert!(
        !found.stdout.contains(&format!("{leader}: etcd does not run")),
        "{found}"
    );
    // Nobody starts it by accident, and nobody else is stopped meanwhile.
    lab.quorate(&["up", "--yes"])
        .ok()
        .says(&[&format!("`quorate maintain {leader} --done`")]);
    assert!(!host.active("etcd"));
    for refused in [
        &["maintain", other, "--stop", "--yes"][..],
        &["restart", "--yes"],
        &["ok-to-stop", other],
    ] {
        let refused = lab.quorate(refused).code(4);
        assert!(
            refused.stderr.contains(&format!("`quorate maintain {leader} --done`")),
            "{refused}"
        );
    }
    maintain("--stop").ok().says(&["already down for maintenance"]);

    // Killed after the start, and finished by the same command.
    dies(&lab, &["maintain", leader, "--done", "--yes"], "before:w3");
    maintain("--done").ok();
    assert_eq!(host.try_sh("ls /etc/etcd/*.resting").stdout, "");
    assert_eq!(host.try_sh("systemctl is-enabled --quiet etcd").status, Some(0));
    writes.end_with_nothing_lost();
    maintain("--done").ok().says(&["is not in maintenance: nothing to do"]);
    lab.assert_converged();
}

#[test]
fn a_cluster_is_stopped_for_a_planned_outage_and_started_again() {
    let lab = Lab::cluster(3);
    let url = format!("https://{}:2379", lab.host("n2").address);
    lab.quorate(&["ctl", "--", "put", "kept", "yes"]).ok();
    lab.host("n3").stays_connected_to(&url);
    lab.stops_nothing(|lab| {
        lab.quorate(&["stop", "--yes"]).code(4).says(&[
            "--accept-outage",
            "n2: clients are connected to its member",
            &lab.host("n3").address.to_string(),
        ])
    });
    let stop = ["stop", "--yes", "--accept-outage"];
    dies(&lab, &stop, "after:w1");
    assert_eq!(running(&lab), 1, "the leader is the last one");
    lab.quorate(&["up", "--yes"])
        .code(4)
        .says(&["were stopped on purpose", "`quorate start`"]);
    lab.quorate(&stop).ok().says(&["`quorate start` starts it again"]);
    lab.quorate(&stop).ok().says(&["nothing to do"]);
    assert_eq!(running(&lab), 0);
    lab.host("n1").stop();
    lab.host("n1").boot();
    assert_eq!(running(&lab), 0, "one started by itself");

    for looks in [&["status"][..], &["health"], &["doctor"]] {
        let told = lab.quorate(looks).code(11);
        assert!(told.stdout.contains("stopped on purpose"), "{told}");
        let last_resort = ["quorate recover", "quorate restore", "replace-node", "quorate up"];
        assert!(
            !last_resort.iter().any(|word| told.to_string().contains(word)),
            "{told}"
        );
    }
    assert!(lab.quorate(&["status"]).stdout.contains("STOPPED on purpose"));
    for closed in [
        &["up", "--yes"][..],
        &["restart", "--yes", "--accept-outage"],
        &["maintain", "n1", "--stop", "--yes"],
        &["defrag", "--yes"],
        &["ok-to-stop", "n1"],
        &["backup", "create"],
        &["ctl", "--", "get", "kept"],
    ] {
        lab.quorate(closed)
            .code(4)
            .says(&["was stopped on purpose", "`quorate start`"]);
    }
    // Cut off right after everybody was started.
    dies(&lab, &["start", "--yes"], "after:w2");
    lab.quorate(&["start", "--yes"]).ok().says(&["is running again"]);
    lab.quorate(&["start", "--yes"])
        .ok()
        .says(&["is running: nothing to do"]);
    assert_eq!(
        lab.quorate(&["ctl", "--", "get", "kept", "--print-value-only"])
            .ok()
            .stdout,
        "yes\n"
    );
    lab.assert_converged();
}

#[test]
fn an_interrupted_restart_goes_on_with_who_is_left() {
    let lab = Lab::cluster(3);
    let (leader, before) = (lab.leader(), lab.pids());
    dies(&lab, &["restart", "--yes"], "after:w1");
    let first = lab.restarted_since(&before);
    assert_eq!(first.len(), 1);
    let skipped = format!("{} restarted", first.first().expect("one"));
    let shown = lab.quorate(&["restart", "--dry-run"]).code(10);
    assert!(
        shown.stdout.contains(&skipped) && shown.stdout.contains("skipped"),
        "{shown}"
    );
    let between = lab.pids();
    // Killed again, between the note and the restart of the second one: it has its turn all the same.
    dies(&lab, &["restart", "--yes"], "in-place:w1");
    assert_eq!(lab.restarted_since(&between).len(), 0);
    lab.quorate(&["restart", "--yes"]).ok().says(&["2 members restarted"]);
    let rest = lab.restarted_since(&between);
    assert!(rest.is_disjoint(&first) && rest.contains(&leader), "{rest:?}");
    // It is through: the next one is about everybody, and so is `--all` in the middle of one.
    dies(&lab, &["restart", "--yes"], "after:w2");
    lab.quorate(&["restart", "--all", "--yes"])
        .ok()
        .says(&["3 members restarted"]);
    lab.assert_converged();
}

#[test]
fn a_member_of_two_goes_into_maintenance_with_consent_only() {
    let lab = Lab::cluster(2);
    lab.stops_nothing(|lab| {
        lab.quorate(&["maintain", "n2", "--stop", "--yes"])
            .code(4)
            .says(&["--accept-outage"])
    });
    lab.quorate(&["maintain", "n2", "--stop", "--yes", "--accept-outage"])
        .ok();
    // Without a quorum the way back is the same.
    let told = lab.quorate(&["up", "--yes"]).code(4);
    assert!(told.stderr.contains("`quorate maintain n2 --done`"), "{told}");
    lab.quorate(&["maintain", "n2", "--done", "--yes"]).ok();
    lab.assert_converged();
}

/// A person at a terminal, who presses Enter when the work on the host is done.
#[test]
fn at_a_terminal_one_command_stops_waits_and_starts() {
    let lab = Lab::cluster(3);
    let n3 = lab.host("n3");
    let typed = format!("{} maintain n3 --yes", env!("CARGO_BIN_EXE_quorate"));
    let mut terminal = lab
        .as_operator("script")
        .args(["--quiet", "--return", "--command", &typed, "/dev/null"])
        .env("QUORATE_BUNDLE", bundle())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script");
    let mut screen = BufReader::new(terminal.stdout.take().expect("a pipe"));
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("Press Enter when the host of n3 is ready") {
        let read = screen.read_until(b')', &mut shown).expect("a screen");
        assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&shown));
    }
    assert!(!n3.active("etcd"), "{}", String::from_utf8_lossy(&shown));
    let mut keys = terminal.stdin.take().expect("a pipe");
    keys.write_all(b"\n").expect("Enter");
    screen.read_to_end(&mut shown).expect("a screen");
    let shown = String::from_utf8_lossy(&shown);
    assert!(terminal.wait().expect("script").success(), "{shown}");
    assert!(shown.contains("the maintenance of n3 is over"), "{shown}");
    assert!(n3.active("etcd"), "{shown}");
    lab.assert_converged();
}
