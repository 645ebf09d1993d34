//! Settings that several inventories share, `defaults.yml`, by the program: found, explained, refused; and written to by nobody.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::program::Desk;

const SHARED: &str = "etcd:\n  version: \"3.6.16\"\n  config: {quota-backend-bytes: 4GiB}\nssh: {user: ops}\n";

fn own(name: &str, address: &str) -> String {
    format!("cluster: {name}\nhosts:\n  - {{name: n1, address: {address}}}\n")
}

/// `fleet/eu/a.yml` and `fleet/us/b/inventory.yml`, with settings for both.
fn desk() -> Desk {
    let desk = Desk::new();
    for dir in ["fleet/eu", "fleet/us/b"] {
        fs::create_dir_all(desk.path(dir)).expect("a directory");
    }
    desk.write("fleet/defaults.yml", SHARED);
    desk.write("fleet/eu/a.yml", own("a", "10.0.0.1"));
    desk.write("fleet/us/b/inventory.yml", own("b", "10.0.0.2"));
    desk
}

#[test]
fn what_counts_is_shown_with_the_line_that_says_it() {
    let desk = desk();
    desk.write("fleet/us/defaults.yml", "etcd: {config: {snapshot-count: 5000}}\n");
    let inventory = "fleet/us/b/inventory.yml";
    let shown = desk.run(&["-i", inventory, "config", "--explain", "etcd"]).code(0);
    assert_snapshot!(shown.whole());
    let json = desk.run(&["-i", inventory, "config", "--output", "json"]).code(0);
    let object: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        object["files"],
        json!([inventory, "fleet/us/defaults.yml", "fleet/defaults.yml"])
    );
    let settings = object["settings"].as_array().expect("settings");
    let user = settings
        .iter()
        .find(|setting| setting["key"] == "ssh.user")
        .expect("ssh.user");
    assert_eq!(user["origin"], json!({"file": "fleet/defaults.yml", "line": 4}));
    let unknown = desk.run(&["-i", inventory, "config", "etcd.verson"]).code(2);
    assert!(unknown.stderr.contains("did you mean `etcd.version`?"), "{unknown:?}");
    // Without --explain there are no origins.
    let plain = desk.run(&["-i", inventory, "config", "etcd.version"]).code(0);
    assert!(plain.stdout.ends_with("\netcd.version  3.6.16\n"), "{plain:?}");
    // From another directory, and by `check`: it is the same inventory.
    let mut elsewhere = desk.command(&["-i", "b/inventory.yml", "check"]);
    let checked = elsewhere.current_dir(desk.path("fleet/us")).output().expect("quorate");
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_mistake_in_what_is_shared_is_one_of_every_inventory_and_is_shown_where_it_stands() {
    let desk = desk();
    desk.write("fleet/defaults.yml", format!("{SHARED}hosts: []\nsssh: {{}}\n"));
    let refused = desk.run(&["-i", "fleet/eu/a.yml", "check"]).code(3);
    for said in [
        "[fleet/defaults.yml:5:1]",
        "[fleet/defaults.yml:6:1]",
        "is of one cluster",
        "did you mean `ssh`?",
    ] {
        assert!(refused.stderr.contains(said), "{said}: {refused:?}");
    }
    let told = desk
        .run(&["--fleet", "fleet", "backup", "list", "--output", "json"])
        .code(3);
    for line in told.stdout.lines() {
        let object: Value = serde_json::from_str(line).expect("JSON");
        let problems = object["problems"].as_array().expect("problems");
        assert_eq!(problems.len(), 2, "{object}");
        assert!(problems.iter().all(|problem| problem["file"] == "fleet/defaults.yml"));
    }
    assert_eq!(
        told.stdout.lines().count(),
        2,
        "and it is no inventory itself: {told:?}"
    );
}

#[test]
fn an_inventory_with_a_mistyped_name_and_shared_releases_is_still_one_of_the_fleet() {
    let desk = desk();
    desk.write(
        "fleet/us/b/inventory.yml",
        own("b", "10.0.0.2").replace("cluster", "clutser") + "ssh: {port: 22}\n",
    );
    let told = desk.run(&["--fleet", "fleet", "backup", "list"]).code(3);
    assert!(told.stderr.contains("did you mean `cluster`?"), "{told:?}");
}
