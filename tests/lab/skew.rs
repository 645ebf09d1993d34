//! Two operators with different versions of quorate: what the newer one left on a host is not misread by the older one.

use crate::harness::Lab;

const MARKER: &str = "/var/lib/etcd/.quorate-cluster";

#[test]
fn a_marker_of_a_newer_quorate_closes_the_cluster_to_this_one_and_looking_still_works() {
    let lab = Lab::cluster(1);
    let host = lab.host("n1");
    let ours = host.sh(&format!("cat {MARKER}"));
    let mark = |text: &str| host.sh(&format!("cat >{MARKER} <<'END'\n{}\nEND", text.trim_end()));
    mark(include_str!("../formats/marker-from-the-future.json"));
    let newer = host.sh(&format!("cat {MARKER}"));

    for command in [
        &["up", "--yes"][..],
        &["restart", "--yes", "--accept-outage"],
        &["pki", "renew", "--yes"],
        &["stop", "--yes", "--accept-outage"],
        &["backup", "create"],
        &["ok-to-stop", "n1"],
        &["plan"],
    ] {
        let refused = lab.stops_nothing(|lab| lab.quorate(command).code(4));
        for text in [
            "has format 2, written by quorate 9.0.0",
            "use quorate 9.0.0 or a later version",
        ] {
            assert!(refused.stderr.contains(text), "{refused}");
        }
    }
    assert_eq!(host.sh(&format!("cat {MARKER}")), newer, "it is not overwritten");

    assert_eq!(lab.status()["healthy"], true);
    let found = lab.quorate(&["doctor", "--output", "json"]).code(11).json();
    let ids: Vec<&str> = found["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter_map(|f| f["id"].as_str())
        .collect();
    assert!(ids.contains(&"newer-mark"), "{found}");

    mark(&ours);
    lab.quorate(&["up", "--yes"]).ok().says(&["nothing to do"]);
}

/// The lock is a directory: whoever made it holds it, whatever else a later version says of its holder.
#[test]
fn a_lock_of_a_newer_quorate_is_held_and_its_holder_named() {
    let lab = Lab::cluster(1);
    let restart = ["restart", "--yes", "--accept-outage"];
    let running = lab.hold(&restart, "before:w1.n1");
    let holder = include_str!("../formats/lock-holder-from-the-future.json").trim_end();
    lab.host("n1").sh(&format!(
        "for holder in /run/quorate/etcd.lock/*/holder.json; do cat >\"$holder\" <<'END'\n{holder}\nEND\ndone"
    ));
    lab.quorate(&restart)
        .code(8)
        .says(&["locked by alice@laptop (process 4711)", "quorate up"]);
    running.go_on();
    running.wait().ok();
    assert_eq!(lab.status()["healthy"], true);
}
