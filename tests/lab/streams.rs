//! Members that are healthy and do not hear each other: no roll goes on over them, and none is taken in.

use crate::harness::{Host, Lab, current, wait_until};
use std::time::Duration;

/// The host connects from another address from now on, as after a change of its routes or a second network card.
fn connects_from_elsewhere(host: &Host) -> String {
    let elsewhere = {
        let (net, last) = host.address.rsplit_once('.').expect("an IPv4 address");
        format!("{net}.2{last:0>2}")
    };
    let address = &host.address;
    host.sh(&format!(
        "dev=$(ip -o -4 addr show to {address} | awk '{{print $2}}'); \
         ip addr add {elsewhere}/24 dev $dev; \
         net=$(ip -4 route show dev $dev scope link | awk '{{print $1; exit}}'); \
         ip route replace $net dev $dev src {elsewhere}"
    ));
    elsewhere
}

#[test]
fn a_roll_stops_at_the_member_that_the_others_refuse_and_its_hint_leads_out() {
    let lab = Lab::cluster(3);
    lab.lead("n3");
    let before = lab.pids();
    let elsewhere = connects_from_elsewhere(lab.host("n1"));
    let stopped = lab
        .quorate(&["restart", "--yes"])
        .code(6)
        .says(&["n1 has no active stream to n", "its peer certificate does not include"]);
    // Whichever it began with, it was the only one.
    let turned = lab.restarted_since(&before);
    assert_eq!(turned.len(), 1, "{}", stopped.stderr);
    // Everybody is healthy, and the last one whom both of the others need is not stopped, whoever asks.
    assert_eq!(lab.status()["healthy"], true);
    let now = lab.pids();
    let again = lab.quorate(&["restart", "--limit", "n3", "--yes"]).code(6);
    again.says(&["n1 has no active stream to n2"]);
    assert_eq!(lab.restarted_since(&now), [].into());
    lab.quorate(&["ok-to-stop", "n3"])
        .code(4)
        .says(&["has no active stream to"]);

    // The hint, word by word: the address under `sans`, and `up`, which restarts nobody.
    let pids = lab.pids();
    let address = lab.host("n1").address.clone();
    lab.edit(
        &format!("    address: {address}\n"),
        &format!("    address: {address}\n    sans: [{elsewhere}]\n"),
    );
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.restarted_since(&pids), [].into());
    wait_until("n1's streams", Duration::from_secs(20), || {
        !lab.quorate(&["doctor"]).stdout.contains("no active stream")
    });
    lab.quorate(&["restart", "--yes"]).ok();
    // Who had its turn in the roll that stopped is not restarted again.
    assert_eq!(lab.restarted_since(&pids).len(), 2);
}

#[test]
fn a_newcomer_that_the_others_refuse_gets_no_vote() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    let all = std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    let n3 = lab.host("n3").address.clone();
    let two = all.replace(&format!("  - name: n3\n    address: {n3}\n"), "");
    lab.write("inventory.yml", &two);
    lab.quorate(&["up", "--yes"]).ok();
    lab.write("inventory.yml", &all);
    // It has come in, and right before its vote it connects from elsewhere.
    let run = lab.hold(&["up", "--yes"], "before:w4.cluster");
    wait_until("n3's data", Duration::from_secs(20), || {
        lab.host("n3").try_sh("ls /var/lib/etcd/member/wal/*.wal").status == Some(0)
    });
    let elsewhere = connects_from_elsewhere(lab.host("n3"));
    lab.host("n3").sh("systemctl restart --no-block etcd");
    run.go_on();
    run.wait().code(6).says(&[
        "it stays a learner",
        "n3 has no active stream to",
        "its peer certificate does not include",
    ]);
    lab.edit(
        &format!("    address: {n3}\n"),
        &format!("    address: {n3}\n    sans: [{elsewhere}]\n"),
    );
    lab.quorate(&["up", "--yes"]).ok();
    let status = lab.status();
    let members = status["members"].as_array().expect("members").clone();
    assert_eq!(members.len(), 3);
    assert!(members.iter().all(|m| m["learner"] == false), "{status}");
}
