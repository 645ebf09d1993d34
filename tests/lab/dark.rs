//! "I cannot look" is never "it is dead": with a healthy cluster out of the operator's sight no command calls it down, names
//! what would destroy it, or ends with another code than 5; and what can be seen of it is shown as it is.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Lab, Outcome, current, wait_until};

/// Commands that give up what a cluster has.
const LAST_RESORTS: [&str; 6] = [
    "quorate restore",
    "`restore",
    "quorate recover",
    "`recover",
    "replace-node",
    "backup create",
];

/// What is not so in a cluster that is well.
const UNTRUE: [&str; 8] = [
    "no member runs",
    "quorum is lost",
    "not healthy",
    "is down",
    "are down",
    "DOWN",
    "gone for good",
    "0 voters",
];

/// Everything that looks at a cluster, or would change it.
fn commands(backup: &str) -> Vec<Vec<String>> {
    let version = current();
    let lines = [
        "status",
        "status --output json",
        "health",
        "health --output json",
        "doctor",
        "doctor --output json",
        "doctor --for 1s",
        "members",
        "ok-to-stop n1",
        "ok-to-stop n2 --output json",
        "plan",
        "up --yes",
        "up --prune --yes",
        "up --limit n1 --yes",
        "restart --yes --accept-outage",
        "restart --limit n3 --yes",
        "maintain n1 --stop --yes",
        "maintain n1 --done --yes",
        "stop --yes --accept-outage",
        "start --yes",
        "compact --yes",
        "defrag --force --yes",
        "alarm list",
        "alarm disarm --yes",
        "check-hashes",
        "backup create",
        "pki show",
        "pki renew --yes",
        "recover --yes --accept-outage --accept-data-loss",
        "remove-node n3 --yes",
        "replace-node n3 n3 --yes",
    ];
    let mut commands: Vec<Vec<String>> = lines
        .iter()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect();
    commands.push(vec!["upgrade".into(), "--to".into(), version, "--yes".into()]);
    let restore = ["restore", backup, "--yes", "--accept-outage", "--accept-data-loss"];
    commands.push(restore.map(str::to_owned).to_vec());
    commands
}

/// Runs them all at once: each waits for the same timeouts.
fn at_once(lab: &Lab, commands: &[Vec<String>]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for some in commands.chunks(10) {
        let start = |line: &Vec<String>| lab.spawn(&line.iter().map(String::as_str).collect::<Vec<_>>());
        let running: Vec<_> = some.iter().map(start).collect();
        outcomes.extend(running.into_iter().map(|one| one.wait()));
    }
    outcomes
}

/// What is wrong with what was said of a healthy cluster.
fn unfit(outcome: &Outcome) -> Option<String> {
    let said = format!("{}\n{}", outcome.stdout, outcome.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let word = LAST_RESORTS.iter().chain(&UNTRUE).find(|word| said.contains(*word));
    word.map(|word| format!("says `{word}`: {outcome}"))
}

/// Every command, with all hosts out of sight: exit code 5, the reason, and nothing unfit.
fn nothing_is_seen(lab: &Lab, why: &str, commands: &[Vec<String>]) {
    let pids = lab.pids();
    let mut wrong = Vec::new();
    for outcome in at_once(lab, commands) {
        let said = format!("{}\n{}", outcome.stdout, outcome.stderr);
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        wrong.extend(unfit(&outcome));
        if outcome.status != Some(5) || !words.contains(why) {
            wrong.push(format!("is not 5 because `{why}`: {outcome}"));
        }
        if outcome.command == "quorate status --output json" {
            let glance = outcome.json();
            assert_eq!(glance["healthy"], Value::Null, "{glance}");
            for member in glance["members"].as_array().expect("members") {
                assert_eq!(member["healthy"], Value::Null, "{member}");
                assert!(
                    member["unknown"].as_str().is_some_and(|told| told.contains(why)),
                    "{member}"
                );
            }
        }
        if outcome.command == "quorate status" {
            assert_eq!(outcome.stdout.matches("UNKNOWN").count(), 4, "{outcome}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(lab.pids(), pids, "no member was touched");
}

#[test]
fn a_healthy_cluster_that_nobody_can_see_is_unknown_to_every_command() {
    let lab = Lab::cluster(3);
    lab.quorate(&["backup", "create", "--out", "monday.qbackup"]).ok();
    let seen_by_root = fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    let commands = commands("monday.qbackup");

    // The sudo password is missing.
    lab.write(
        "inventory.yml",
        &seen_by_root.replace("hosts:", "ssh:\n  user: opspw\nhosts:"),
    );
    nothing_is_seen(&lab, "sudo on the host asks opspw", &commands);
    lab.write("inventory.yml", &seen_by_root);

    // A colleague's key opens the CA, and is not on the hosts yet.
    let keys = "/root/.ssh/authorized_keys";
    lab.hosts()
        .iter()
        .for_each(|host| _ = host.sh(&format!("mv {keys} {keys}.away")));
    nothing_is_seen(&lab, "refused the login", &commands);
    lab.hosts()
        .iter()
        .for_each(|host| _ = host.sh(&format!("mv {keys}.away {keys}")));

    // The login may run commands, no ports are forwarded for it, and there is no bash to stand in for that: the hosts are
    // seen, and etcd is not.
    let sshd = |rule: &str| {
        let script = format!(
            "sed -i '/^root:/s#/bin/bash$#/bin/sh#' /etc/passwd; sed -i '/^AllowTcpForwarding/d' /etc/ssh/sshd_config; \
             {rule} systemctl reload ssh"
        );
        lab.hosts().iter().for_each(|host| _ = host.sh(&script));
    };
    sshd("sed -i '1i AllowTcpForwarding no' /etc/ssh/sshd_config; mv /usr/bin/bash /usr/bin/bash.away;");
    let why = "sshd forbids forwarding";
    for looks in [
        "status",
        "health",
        "doctor",
        "members",
        "ok-to-stop n1",
        "alarm list",
        "check-hashes",
        "backup create",
    ] {
        let outcome = lab.quorate(&looks.split(' ').collect::<Vec<_>>());
        assert_eq!(unfit(&outcome), None, "{outcome}");
        assert!(outcome.to_string().contains(why), "{outcome}");
        if looks != "doctor" && looks != "health" {
            outcome.code(5);
        }
    }
    for changes in ["restart --yes", "compact --yes", "defrag --yes"] {
        let outcome = lab.quorate(&changes.split(' ').collect::<Vec<_>>()).code(5);
        assert_eq!(unfit(&outcome), None, "{outcome}");
    }
    sshd("mv /usr/bin/bash.away /usr/bin/bash;");

    // The operator's own cable is out.
    lab.cut_operator();
    nothing_is_seen(&lab, "cannot connect to", &commands);
    lab.mend_operator();

    wait_until("the lights to be on again", Duration::from_secs(30), || {
        lab.quorate(&["status"]).status == Some(0)
    });
    lab.assert_converged();
}

#[test]
fn of_a_cluster_that_is_seen_in_part_the_living_are_shown_and_their_word_counts() {
    let lab = Lab::cluster(3);
    let n3 = lab.host("n3");
    let keys = "/root/.ssh/authorized_keys";
    let member = |glance: &Value, name: &str| {
        let members = glance["members"].as_array().expect("members");
        members.iter().find(|m| m["name"] == name).expect("a row").clone()
    };

    // The operator's key is missing on one host: its member is well, and the others hear it.
    n3.sh(&format!("mv {keys} {keys}.away"));
    let outcome = lab.quorate(&["status", "--output", "json"]).code(5);
    let glance = outcome.json();
    assert_eq!(glance["healthy"], Value::Null, "{glance}");
    assert_eq!(glance["voters"], 3, "{glance}");
    for name in ["n1", "n2"] {
        assert_eq!(member(&glance, name)["healthy"], true, "{glance}");
    }
    let dark = member(&glance, "n3");
    assert_eq!(dark["healthy"], Value::Null, "{dark}");
    let told = dark["unknown"].as_str().expect("a reason");
    assert!(told.contains("refused the login"), "{told}");
    assert!(told.contains("receives from its member, so it runs"), "{told}");
    let human = lab.quorate(&["status"]).code(5).stdout;
    assert!(
        human.contains("UNKNOWN  3 voters, 2 confirmed healthy, 1 unknown"),
        "{human}"
    );

    // What needs it says so with exit code 5; what does not, works.
    let refused = [
        "health",
        "doctor",
        "plan",
        "up --yes",
        "restart --yes",
        "restart --limit n1 --yes",
        "defrag --force --yes",
        "alarm disarm --yes",
        "check-hashes",
        "remove-node n1 --yes",
        "replace-node n3 n3 --yes",
        "recover --yes --accept-data-loss --accept-outage",
        "ok-to-stop n1",
        "pki show",
    ];
    let fine = [
        "members",
        "alarm list",
        "backup create --out seen.qbackup",
        "compact --yes",
        "ok-to-stop n3",
    ];
    let lines = |lines: &[&str]| -> Vec<Vec<String>> {
        let words = |line: &&str| line.split(' ').map(str::to_owned).collect();
        lines.iter().map(words).collect()
    };
    let mut wrong = Vec::new();
    let refusals = at_once(&lab, &lines(&refused)).into_iter().map(|outcome| (outcome, 5));
    let others = at_once(&lab, &lines(&fine)).into_iter().map(|outcome| (outcome, 0));
    for (outcome, code) in refusals.chain(others) {
        wrong.extend(unfit(&outcome));
        // A member that works is a fact, and so is no alarm.
        let known = ["quorate recover", "quorate alarm disarm"]
            .iter()
            .any(|known| outcome.command.starts_with(known));
        if outcome.status != Some(code) && !known {
            wrong.push(format!("is not {code}: {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    // The machine goes off as well: now its peers know, and that is no riddle any more.
    n3.crash();
    wait_until("the peers to miss it", Duration::from_secs(60), || {
        lab.quorate(&["status", "--output", "json"]).status == Some(11)
    });
    let glance = lab.quorate(&["status", "--output", "json"]).code(11).json();
    assert_eq!(
        (&glance["healthy"], &member(&glance, "n3")["healthy"]),
        (&Value::Bool(false), &Value::Bool(false))
    );
    assert_eq!(member(&glance, "n1")["healthy"], true, "{glance}");
    let why = member(&glance, "n3")["problem"].to_string();
    assert!(why.contains("receives nothing from its member"), "{why}");
    for command in ["doctor", "health"] {
        let outcome = lab.quorate(&[command]).code(11);
        let named = LAST_RESORTS.iter().find(|named| outcome.to_string().contains(*named));
        assert_eq!(named, None, "{outcome}");
    }
}
