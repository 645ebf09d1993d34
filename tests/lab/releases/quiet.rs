//! What depends on nobody writing: 3.4 hashes nothing at the revision that it is compacted to, which after a restore with
//! raised revisions is the newest one until somebody writes.

use crate::harness::{Lab, release};

#[test]
fn a_restore_onto_3_4_ends_though_nobody_writes() {
    let lab = Lab::start(3);
    lab.plain_inventory(&release("3.4"));
    lab.quorate(&["up", "--yes"]).ok();
    lab.host("n1").etcdctl("put kept then").ok();
    let told = lab
        .quorate(&["--output", "json", "backup", "create"])
        .ok()
        .events_of("backup")
        .remove(0);
    let file = told["file"].as_str().expect("a path").to_owned();
    lab.host("n1").etcdctl("put kept now").ok();
    lab.quorate(&["restore", &file, "--yes", "--accept-data-loss"]).ok();
    lab.quorate(&["up", "--yes"]).ok().says(&["nothing to do"]);
    let same = lab.quorate(&["--output", "json", "check-hashes"]).ok().json();
    assert_eq!(
        same["members"][0]["revision"], same["members"][0]["compact_revision"],
        "nobody wrote: {same}"
    );
    let read = ["ctl", "--", "get", "kept", "--print-value-only"];
    assert_eq!(lab.quorate(&read).ok().stdout.trim(), "then");
    // The environment file serves the old etcdctl as it is.
    let read = lab.host("n2").etcdctl("get kept --print-value-only").ok();
    assert_eq!((read.stdout.trim(), read.stderr.trim()), ("then", ""));
}
