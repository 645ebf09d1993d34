//! Ways down between minor releases on real servers, 3.7 to 3.6 to 3.5: under writes, killed between two members and in
//! the middle of a member's turn, with an older member leading, called off half way, and refused.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Lab, Outcome, Writer, release, wait_until};

/// A cluster of all hosts on this release.
pub(super) fn cluster(members: usize, version: &str) -> Lab {
    let lab = Lab::start(members);
    lab.plain_inventory(version);
    lab.quorate(&["up", "--yes"]).ok();
    lab
}

/// What each member runs.
pub(super) fn versions(lab: &Lab) -> Vec<String> {
    let status = lab.glance();
    let members = status["members"].as_array().expect("members");
    members
        .iter()
        .map(|member| member["version"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The members in the order of their turns: by id, the leader last.
#[track_caller]
fn turns(lab: &Lab) -> [String; 3] {
    let status = lab.glance();
    let mut members = status["members"].as_array().expect("members").clone();
    let text = |member: &Value, key: &str| member[key].as_str().expect("a text").to_owned();
    members.sort_by_key(|member| {
        let id = u64::from_str_radix(&text(member, "id"), 16).expect("an id");
        (member["leader"] == true, id)
    });
    let names: Vec<String> = members.iter().map(|member| text(member, "name")).collect();
    names.try_into().expect("three members")
}

#[track_caller]
fn all_run(lab: &Lab, version: &str) {
    assert_eq!(versions(lab), vec![version; lab.hosts().len()]);
    assert!(inventory(lab).contains(&format!("version: \"{version}\"")));
    lab.assert_converged();
}

fn inventory(lab: &Lab) -> String {
    std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory")
}

/// Runs a command, to be killed at this point of its run. True when it was; false when it came to its end without it.
#[track_caller]
pub(super) fn killed_at(lab: &Lab, command: &[&str], point: &str) -> bool {
    let outcome = lab.quorate_with(command, |process| _ = process.env("QUORATE_FAULT", point), b"");
    match outcome.status {
        None | Some(134) => true,
        _ => {
            outcome.ok();
            false
        }
    }
}

/// The same at a point that it passes.
#[track_caller]
fn killed(lab: &Lab, command: &[&str], point: &str) {
    assert!(killed_at(lab, command, point), "it did not pass {point}");
}

/// The boundary after the first member's turn: a snapshot, what needs no restart and etcd's own part come before.
fn between_the_first_and(second: &str) -> String {
    format!("before:w5.{second}")
}

/// Runs quorate, which must refuse and leave every host as it was; only clients go on writing.
#[track_caller]
fn refused(lab: &Lab, command: &[&str]) -> Outcome {
    let look = || {
        let hosts = lab.hosts().iter();
        (lab.pids(), hosts.map(|host| host.fingerprint()).collect::<Vec<_>>())
    };
    let (before, file) = (look(), inventory(lab));
    let outcome = lab.quorate(command).code(4);
    assert_eq!(look(), before, "{outcome}");
    assert_eq!(inventory(lab), file);
    outcome
}

/// What `status` says of members between two minors; empty where it says nothing.
fn told(lab: &Lab) -> String {
    lab.glance()["downgrade"].as_str().unwrap_or_default().to_owned()
}

/// `up` and `plan` are told no way, and take none.
#[track_caller]
fn up_turns_nothing_round(lab: &Lab, texts: &[&str]) {
    refused(lab, &["plan"]).says(texts);
    refused(lab, &["up", "--yes"]).says(texts);
}

#[test]
fn from_3_7_through_3_6_to_3_5_killed_between_members_and_in_a_members_turn_under_writes() {
    let (newest, middle, oldest) = (release("3.7"), release("3.6"), release("3.5"));
    let lab = cluster(3, &newest);
    let writer = Writer::start(&lab, lab.host("n1"));
    for to in [&middle, &oldest] {
        let [_, second, last] = turns(&lab);
        let down = ["downgrade", "--to", to, "--yes"];
        killed(&lab, &down, &between_the_first_and(&second));
        assert!(told(&lab).contains("1 of 3 members run it"), "{}", told(&lab));
        // From here on it has the older files and runs the later release.
        killed(&lab, &down, &format!("in-place:{second}"));
        killed(&lab, &down, &format!("restarted:{last}"));
        lab.quorate(&down).ok();
        all_run(&lab, to);
    }
    writer.judge();
}

#[test]
fn a_leader_of_3_5_ends_etcds_job_and_the_same_command_goes_on_or_up_again() {
    let (later, older) = (release("3.6"), release("3.5"));
    let lab = cluster(3, &later);
    let writer = Writer::start(&lab, lab.host("n1"));
    let (down, up) = (
        ["downgrade", "--to", &older, "--yes"],
        ["upgrade", "--to", &later, "--yes"],
    );
    let (go_on, go_up) = (
        format!("`quorate downgrade --to {older}`"),
        format!("`quorate upgrade --to {later}`"),
    );
    let both = [go_on.as_str(), go_up.as_str()];
    let led_by_the_older = || {
        let [first, second, last] = turns(&lab);
        killed(&lab, &down, &between_the_first_and(&second));
        lab.lead(&first);
        // etcd looks every five seconds, and tells nobody.
        wait_until("etcd to end its job", Duration::from_secs(30), || {
            told(&lab).contains("between two minor releases")
        });
        assert!(both.iter().all(|way| told(&lab).contains(way)), "{}", told(&lab));
        last
    };

    let later_one = led_by_the_older();
    let doctor = lab.quorate(&["doctor"]);
    assert!(both.iter().all(|way| doctor.stdout.contains(way)), "{doctor}");
    up_turns_nothing_round(&lab, &both);
    // A member of the later release that crashes comes back as it was, and changes nothing.
    let host = lab.host(&later_one);
    let before = host.pid();
    host.sh("systemctl kill --signal KILL etcd");
    wait_until("it to come back", Duration::from_secs(60), || {
        ![0, before].contains(&host.pid()) && lab.glance()["healthy"] == true
    });
    lab.quorate(&down).ok();
    all_run(&lab, &older);
    assert_eq!(told(&lab), "");

    // The way up is open again, and so is one half way down.
    lab.quorate(&up).ok();
    all_run(&lab, &later);
    led_by_the_older();
    lab.quorate(&up).ok();
    all_run(&lab, &later);
    writer.judge();
}

#[test]
fn the_last_member_that_does_not_come_up_is_put_back_and_the_same_command_goes_on() {
    let (later, older) = (release("3.6"), release("3.5"));
    let lab = cluster(3, &later);
    let writer = Writer::start(&lab, lab.host("n1"));
    let [_, _, last] = turns(&lab);
    let host = lab.host(&last);
    // It hands leadership to a member of 3.5 in its turn, so etcd's job ends meanwhile.
    host.sh(
        "mkdir -p /etc/systemd/system/etcd.service.d; printf '[Service]\\nExecStartPre=/bin/sh -c \"sleep 6; ! grep -q \
         etcd/3.5 /etc/systemd/system/etcd.service\"\\n' >/etc/systemd/system/etcd.service.d/sick.conf; systemctl daemon-reload",
    );
    let down = ["downgrade", "--to", &older, "--yes"];
    let failed = lab.quorate(&down).code(6);
    failed.says(&["it is back on its previous configuration, and healthy"]);
    // etcd looks every five seconds whether its job is done.
    wait_until("etcd to end its job", Duration::from_secs(30), || {
        told(&lab).contains("2 of 3 run 3.5, the others 3.6")
    });
    host.sh("rm -r /etc/systemd/system/etcd.service.d; systemctl daemon-reload");
    lab.quorate(&down).ok();
    all_run(&lab, &older);
    writer.judge();
}

#[test]
fn called_off_half_way_it_goes_up_and_later_down_after_all() {
    let (later, older) = (release("3.7"), release("3.6"));
    let lab = cluster(3, &later);
    let writer = Writer::start(&lab, lab.host("n1"));
    let [first, second, _] = turns(&lab);
    let down = ["downgrade", "--to", &older, "--yes"];
    let wanted = |version: &str| format!("version: \"{version}\"");
    killed(&lab, &down, &format!("in-place:{second}"));
    // A leader of 3.6 knows better than one of 3.5, and waits for everybody.
    lab.lead(&first);

    // An inventory of before turns nothing round.
    lab.edit(&wanted(&older), &wanted(&later));
    let both = [
        format!("`quorate downgrade --to {older}` continues it"),
        format!("`quorate upgrade --to {later}` cancels it"),
    ];
    up_turns_nothing_round(&lab, &[&both[0], &both[1]]);

    lab.quorate(&["upgrade", "--to", &later, "--yes"]).ok();
    all_run(&lab, &later);
    lab.quorate(&down).ok();
    all_run(&lab, &older);
    writer.judge();
}

#[test]
fn a_single_member_goes_down_two_minors_one_after_the_other() {
    let lab = cluster(1, &release("3.7"));
    let writer = Writer::start(&lab, lab.host("n1"));
    for to in [release("3.6"), release("3.5")] {
        let down = ["downgrade", "--to", &to, "--yes"];
        lab.quorate(&down).code(4).says(&["--accept-outage"]);
        lab.quorate(&[&down[..], &["--accept-outage"]].concat()).ok();
        all_run(&lab, &to);
    }
    writer.judge();
}

#[test]
fn what_etcd_or_the_older_release_would_not_take_is_refused_before_anything_is_touched() {
    let (later, older, oldest) = (release("3.6"), release("3.5"), release("3.4"));
    let lab = cluster(3, &later);
    let down = |to: &str| refused(&lab, &["downgrade", "--to", to, "--yes"]);
    down(&oldest).says(&["one minor release at a time", "`quorate downgrade --to 3.5.N`"]);
    // 3.5.16 is older than what 3.6 may be entered from.
    down("3.5.16").says(&["there would be no way to upgrade again", "3.5.26"]);

    lab.edit(
        "etcd:\n",
        "etcd:\n  config:\n    corrupt-check-time: 24h\n    watch-progress-notify-interval: 10m\n",
    );
    down(&older).says(&["corrupt-check-time", "watch-progress-notify-interval", &older]);
    lab.plain_inventory(&later);

    lab.host("n3").sh("systemctl stop etcd");
    down(&older).says(&["etcd downgrades only as a whole", "`quorate restart --limit n3`"]);
    lab.quorate(&["restart", "--limit", "n3", "--yes"]).ok();
    lab.quorate(&["downgrade", "--to", &older, "--yes"]).ok();
    all_run(&lab, &older);
    // No further: etcd has no way back from there.
    down(&oldest).says(&["quorate restore FILE"]);
}
