//! All the way up to 3.7 for real: under writes, killed on the way, led by another in the middle. 3.7 ends on what members
//! of 3.5 leave in the raft logs (decision 18), so each of these would fail without the step that opens the way.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Lab, Outcome, Writer, release, releases, some_of, thorough};

fn up(lab: &Lab, version: &str) {
    lab.plain_inventory(version);
    lab.quorate(&["up", "--yes"]).ok();
}

fn versions(lab: &Lab) -> Vec<String> {
    let status = lab.status();
    let members = status["members"].as_array().expect("members");
    let version = |member: &serde_json::Value| member["version"].as_str().unwrap_or_default().to_owned();
    members.iter().map(version).collect()
}

/// The command dies at a point of its run (see `ops::exec::fault`).
fn dies(lab: &Lab, arguments: &[&str], point: &str) {
    let died = lab.quorate_with(arguments, |command| _ = command.env("QUORATE_FAULT", point), b"");
    assert_eq!(died.status, None, "it reaches {point}\n{died}");
}

/// No member has ever ended on its raft log.
fn nobody_panicked(lab: &Lab) {
    for host in lab.hosts() {
        let said = host.try_sh("journalctl -u etcd | grep -c 'unmarshal should never fail'");
        assert_eq!(said.stdout.trim(), "0", "etcd on {} has panicked", host.name);
    }
}

#[test]
fn three_members_go_from_3_4_to_3_7_in_one_command_under_writes() {
    let (first, last) = (release("3.4"), release("3.7"));
    let lab = Lab::start(3);
    up(&lab, &first);
    let writer = Writer::start(&lab, lab.host("n1"));
    let done = lab
        .quorate(&["upgrade", "--to", &last, "--yes", "--probe", "--output", "json"])
        .ok();
    assert_eq!(done.events_of("finished")[0]["probe"]["lost"], 0, "{done}");
    assert_eq!(versions(&lab), vec![last.as_str(); 3]);
    nobody_panicked(&lab);
    lab.assert_converged();
    writer.judge();
}

/// Nobody has written into it: 3.5 would note two of its members as removed, and 3.6 refuse them for ever.
#[test]
fn a_cluster_of_3_4_that_nobody_has_used_goes_up_with_all_its_members() {
    let lab = Lab::start(3);
    up(&lab, &release("3.4"));
    let last = release("3.6");
    lab.quorate(&["upgrade", "--to", &last, "--yes"])
        .ok()
        .says(&["write and delete one key"]);
    assert_eq!(versions(&lab), vec![last.as_str(); 3]);
    // What is in the members' databases shows at their next start.
    lab.quorate(&["restart", "--yes"]).ok();
    lab.assert_converged();
}

/// Members, the minor that they come from, and where each run dies before the last one finishes.
type Row = (usize, &'static str, [&'static str; 3]);

/// On the first rung; with etcd told to go back so that every member writes a snapshot, before or after its version has
/// fallen; on the rung of 3.7. What a run was killed in comes about without it, so the next has it only to call off. What
/// began with 3.4 needs no telling: 3.6 goes through the whole log there, meets the version of the cluster of then, and
/// writes a snapshot by itself.
const KILLED: [Row; 5] = [
    (3, "3.5", ["restarted:n2", "told:cluster", "restarted:n2"]),
    (3, "3.4", ["in-place:n2", "restarted:n3", "in-place:n3"]),
    (1, "3.5", ["restarted:n1", "fallen:cluster", "restarted:n1"]),
    (5, "3.5", ["restarted:n4", "fallen:cluster", "restarted:n5"]),
    (5, "3.4", ["in-place:n3", "restarted:n4", "in-place:n4"]),
];

#[test]
fn killed_in_a_turn_on_each_rung_and_while_the_way_is_opened_the_same_command_finishes() {
    let last = release("3.7");
    for (members, first, points) in some_of(KILLED, |row| row.0 == 3 && row.1 == "3.5") {
        let lab = Lab::start(members);
        up(&lab, &release(first));
        let writer = Writer::start(&lab, lab.host("n1"));
        let mut upgrade = vec!["upgrade", "--to", &last, "--yes"];
        if members == 1 {
            upgrade.push("--accept-outage");
        }
        for point in points {
            dies(&lab, &upgrade, point);
        }
        lab.quorate(&upgrade).ok();
        assert_eq!(versions(&lab), vec![last.as_str(); members]);
        nobody_panicked(&lab);
        lab.assert_converged();
        writer.judge();
    }
}

/// Many are five in `make soak`: their turns are alike.
#[test]
fn one_member_and_many_go_onto_3_7_also_when_another_leads_in_the_middle() {
    let (first, between, last) = (release("3.5"), release("3.6"), release("3.7"));
    let lab = Lab::start(1);
    up(&lab, &first);
    let upgrade = ["upgrade", "--to", &last, "--yes"];
    lab.quorate(&[&upgrade[..], &["--accept-outage"]].concat()).ok();
    assert_eq!(versions(&lab), [last.as_str()]);
    nobody_panicked(&lab);
    drop(lab);

    let many = if thorough() { 5 } else { 3 };
    let lab = Lab::start(many);
    up(&lab, &first);
    lab.quorate(&["upgrade", "--to", &between, "--yes"]).ok();
    let writer = Writer::start(&lab, lab.host("n1"));
    let led = lab.leader();
    let other = ["n2", "n3"].into_iter().find(|name| *name != led).expect("two names");
    // Right after the first member of 3.7 is back: its turn is the first one that ends like this.
    let running = lab.hold(&upgrade, "after:w4");
    assert_eq!(
        versions(&lab).iter().filter(|version| **version == last).count(),
        1,
        "one member's turn is over"
    );
    lab.lead(other);
    running.go_on();
    running.wait().ok();
    assert_eq!(versions(&lab), vec![last.as_str(); many]);
    nobody_panicked(&lab);
    lab.assert_converged();
    writer.judge();
}

/// What is down writes no snapshot of its raft log, and would end on it.
#[test]
fn a_member_that_is_down_comes_back_with_3_6_before_anybody_goes_on() {
    let (first, between, last) = (release("3.5"), release("3.6"), release("3.7"));
    let lab = Lab::start(3);
    up(&lab, &first);
    lab.quorate(&["upgrade", "--to", &between, "--yes"]).ok();
    lab.host("n3").sh("systemctl stop etcd");
    let before = lab.pids();
    let refused = lab.quorate(&["upgrade", "--to", &last, "--yes"]).code(4);
    for words in [
        "its raft log contains a request of the v2 API",
        &format!("version: \"{between}\""),
        "`quorate up`",
    ] {
        assert!(refused.stderr.contains(words), "{words}\n{refused}");
    }
    assert!(lab.restarted_since(&before).is_empty());
    // Word by word.
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["upgrade", "--to", &last, "--yes"]).ok();
    assert_eq!(versions(&lab), vec![last.as_str(); 3]);
    nobody_panicked(&lab);
}

fn directory(version: &str) -> PathBuf {
    let found = releases().into_iter().find(|(found, _)| found == version);
    found.expect("a release of the lab").1
}

fn packed(lab: &Lab, name: &str, from: &[PathBuf]) -> Outcome {
    let mut arguments = vec![
        "bundle".to_owned(),
        "create".to_owned(),
        "--out".to_owned(),
        name.to_owned(),
    ];
    arguments.extend(from.iter().map(|path| path.display().to_string()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    lab.quorate(&arguments)
}

#[test]
fn a_bundle_without_the_rung_between_one_that_lies_and_one_that_is_exchanged_meanwhile() {
    let (first, between, last) = (release("3.5"), release("3.6"), release("3.7"));
    let lab = Lab::start(3);
    up(&lab, &first);
    let before = lab.pids();
    let with = |bundle: &'static str| {
        let path = lab.dir().join(bundle);
        move |command: &mut Command| _ = command.env("QUORATE_BUNDLE", path)
    };

    // Only what it runs, and where it is to go.
    packed(&lab, "gap.qbundle", &[directory(&first), directory(&last)]).ok();
    let refused = lab
        .quorate_with(&["upgrade", "--to", &last, "--yes"], with("gap.qbundle"), b"")
        .code(4);
    assert!(refused.stderr.contains("goes through 3.6"), "{refused}");

    // One that is called 3.7 and is 3.6: programs are asked, and a ladder without its last rung is not begun.
    let liar = lab.dir().join(format!("etcd-v{last}-linux-amd64"));
    let copied = Command::new("cp")
        .arg("-r")
        .arg(directory(&between))
        .arg(&liar)
        .status();
    assert!(copied.expect("cp").success());
    packed(&lab, "liar.qbundle", &[directory(&first), liar]).ok();
    let refused = lab
        .quorate_with(&["upgrade", "--to", &last, "--yes"], with("liar.qbundle"), b"")
        .code(9);
    let told = format!("the bundle has no etcd {last}; it has {first}, {between}");
    assert!(refused.stderr.contains(&told), "{refused}");
    assert!(lab.restarted_since(&before).is_empty(), "nobody was touched");

    // Exchanged while a roll is held after its first member: what was opened is what is used, or it ends cleanly.
    packed(&lab, "whole.qbundle", &[directory(&first), directory(&between)]).ok();
    let writer = Writer::start(&lab, lab.host("n1"));
    std::fs::rename(lab.dir().join("whole.qbundle"), lab.dir().join("used.qbundle")).expect("its place");
    let used = lab.dir().join("used.qbundle");
    let upgrade = ["upgrade", "--to", &between, "--yes"];
    let exchanged = lab.hold_with(&upgrade, "after:w3", |command| _ = command.env("QUORATE_BUNDLE", &used));
    std::fs::copy(lab.dir().join("gap.qbundle"), lab.dir().join("new.qbundle")).expect("another bundle");
    std::fs::rename(lab.dir().join("new.qbundle"), &used).expect("it takes the place");
    exchanged.go_on();
    exchanged.wait().ok();
    assert_eq!(versions(&lab), vec![between.as_str(); 3]);
    lab.quorate(&["upgrade", "--to", &last, "--yes"]).ok();
    assert_eq!(versions(&lab), vec![last.as_str(); 3]);
    writer.judge();
}
