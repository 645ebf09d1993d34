//! `--fleet DIR` without any host: which inventories are found, what is refused, and how broken ones are told.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::program::{Desk, Said};

fn inventory(name: &str, address: &str) -> String {
    format!("cluster: {name}\netcd:\n  version: \"3.6.16\"\nhosts:\n  - {{name: n1, address: {address}}}\n")
}

fn fleet(files: &[(&str, String)]) -> Desk {
    let desk = Desk::new();
    for (name, text) in files {
        let path = desk.path("fleet").join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    desk
}

fn objects(said: &Said) -> Vec<Value> {
    said.stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn what_is_for_one_cluster_is_refused_for_several() {
    let desk = fleet(&[("a.yml", inventory("a", "10.0.0.1"))]);
    for arguments in [
        &["members"][..],
        &["destroy", "--accept-data-loss"],
        &["pki", "show"],
        &["pki", "rotate-ca"],
        &["backup", "verify"],
        &["backup", "schedule"],
        &["plan", "stop"],
        &["status", "--watch", "--canary", "a"],
        &["doctor", "--for", "1s"],
        &["up", "--plan", "nothing.json"],
        &["up", "--plan", "fleet/a.yml"],
        &["up", "--limit", "n1"],
        &["backup", "create", "--out", "b.qbackup"],
        &["status", "-i", "fleet/a.yml"],
        &["status", "--skip", "b"],
        &["up", "--canary", "b"],
        &["check", "--try"],
        &["report", "--out", "out", "--events", "nowhere.jsonl"],
        &["status", "--canary", "a"],
    ] {
        let typed = [&["--fleet", "fleet"], arguments].concat();
        let said = desk.run(&typed).code(2);
        assert_eq!(said.stdout, "", "{arguments:?}");
        assert!(said.stderr.contains("help: "), "{said:?}");
    }
    for directory in ["fleet/a.yml", "nowhere", "."] {
        desk.write(
            "fleet/a.yml",
            if directory == "." {
                "image: {}\n"
            } else {
                "cluster: a\n"
            },
        );
        desk.run(&["--fleet", directory, "status"]).code(2);
    }
    // Without a fleet there is nothing to choose among.
    desk.run(&["status", "--skip", "a"]).code(2);
}

#[test]
fn a_broken_inventory_hides_no_other_and_nothing_is_changed_beside_it() {
    let desk = fleet(&[
        ("eu/a/inventory.yml", inventory("a", "10.0.0.1")),
        ("eu/b/inventory.yml", inventory("b", "10.0.0.2")),
        ("us/c.yml", inventory("c", "10.0.0.300").replace("etcd:", "ectd:")),
    ]);
    let said = desk
        .run(&["--fleet", "fleet", "backup", "list", "--output", "json"])
        .code(3);
    let told = objects(&said);
    let names: Vec<&Value> = told.iter().map(|object| &object["cluster"]).collect();
    assert_eq!(names, [&json!("c"), &json!("a"), &json!("b")]);
    assert_eq!(told[0]["problems"].as_array().map(Vec::len), Some(3), "{}", told[0]);
    assert_eq!(told[1]["backups"], json!([]));
    let listed = desk.run(&["--fleet", "fleet", "backup", "list"]).code(3);
    assert_snapshot!(listed.stdout, @r"
    CLUSTER  BACKUPS            NEWEST  AGE    SIZE
    c        INVALID inventory  -       -         -
    a        0                  -       never     -
    b        0                  -       never     -
    ");
    for said in ["c (-i fleet/us/c.yml):", "[fleet/us/c.yml:2:1]", "did you mean `etcd`?"] {
        assert!(listed.stderr.contains(said), "{listed:?}");
    }
    let refused = desk
        .run(&["--fleet", "fleet", "up", "--yes", "--output", "json"])
        .code(3);
    let told = objects(&refused);
    assert!(
        told.len() == 3 && told.iter().all(|object| object["ok"] == false),
        "{refused:?}"
    );
    assert_eq!(told[2]["cluster"], "c", "the cause comes last");
    desk.run(&["--fleet", "fleet", "backup", "list", "--skip", "c"]).code(0);
}

#[test]
fn two_inventories_that_claim_the_same_are_told_and_not_changed() {
    let desk = fleet(&[
        ("a/inventory.yml", inventory("a", "10.0.0.1")),
        ("b/inventory.yml", inventory("b", "10.0.0.1")),
        ("c/inventory.yml", inventory("a", "10.0.0.3")),
    ]);
    assert_snapshot!(desk.run(&["--fleet", "fleet", "up", "--yes"]).whole(), @r"
    exit code 3
    --- stdout
    --- stderr
    error: nothing was changed: two inventories cannot both be meant
      fleet/a/inventory.yml and fleet/c/inventory.yml are both the cluster `a`
      fleet/a/inventory.yml and fleet/b/inventory.yml both claim /etc/etcd/etcd-config.yml on 10.0.0.1 and 5 other things
        help: change one of them, or move it out of the fleet
    ");
    let looked = desk.run(&["--fleet", "fleet", "backup", "list"]).code(3);
    assert!(
        looked
            .stderr
            .contains("a/inventory.yml and fleet/b/inventory.yml both claim"),
        "{looked:?}"
    );
    assert_eq!(looked.stdout.lines().count(), 4, "{looked:?}");
}

#[test]
fn a_report_of_names_that_are_markup_has_no_markup_of_theirs() {
    let evil = "cluster: '<script>alert(1)</script>'\nhosts: ['<b>']\n";
    let desk = fleet(&[("evil.yml", evil.to_owned())]);
    desk.run(&["--fleet", "fleet", "report", "--out", "out"]).code(3);
    let page = desk.read("out/index.html");
    assert!(
        page.contains("&lt;script&gt;") && !page.contains("<script") && !page.contains("<b>"),
        "{page}"
    );
    // Between backticks it is text for Markdown.
    let markdown = desk.read("out/report.md");
    let outside: String = markdown.split('`').step_by(2).collect();
    assert!(
        markdown.contains("&lt;script&gt;") && !outside.contains('<'),
        "{markdown}"
    );
}

/// The inventories of a hundred clusters.
fn hundred() -> Desk {
    let files: Vec<(String, String)> = (0..100)
        .map(|n| {
            (
                format!("c{n:02}/inventory.yml"),
                inventory(&format!("c{n:02}"), &format!("10.0.0.{}", n + 1)),
            )
        })
        .collect();
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    fleet(&files)
}

#[test]
fn what_is_broken_among_a_hundred_is_told_all_at_once_and_hides_no_other() {
    let desk = hundred();
    let all = desk.run(&["--fleet", "fleet", "check"]).code(0);
    assert_eq!(
        all.stdout.lines().filter(|line| line.contains("  valid ")).count(),
        100,
        "{all:?}"
    );
    desk.write(
        "fleet/c17/inventory.yml",
        inventory("c17", "10.0.0.18").replace("etcd:", "ectd:"),
    );
    desk.write("fleet/c42/inventory.yml", inventory("c42", "10.0.0.3"));
    desk.write("fleet/c99/inventory.yml", "cluster: {\n");
    let said = desk.run(&["--fleet", "fleet", "check"]).code(3);
    let worst: Vec<&str> = said.stdout.lines().skip(1).take(2).map(|line| &line[..3]).collect();
    assert_eq!(worst, ["c17", "{  "], "{said:?}");
    for told in [
        "[fleet/c17/inventory.yml:2:1]",
        "did you mean `etcd`?",
        "fleet/c99/inventory.yml:1:",
        "fleet/c02/inventory.yml and fleet/c42/inventory.yml both claim",
    ] {
        assert!(said.stderr.contains(told), "{told}: {said:?}");
    }
    assert_eq!(said.stdout.matches("  valid ").count(), 98, "{said:?}");
    let json = desk.run(&["--fleet", "fleet", "check", "--output", "json"]).code(3);
    assert_eq!(objects(&json).len(), 100);
}

#[test]
fn a_fleet_is_also_a_pattern_or_several_inventories() {
    let desk = hundred();
    let rows = |arguments: &[&str]| {
        let said = desk.run(arguments).code(0);
        said.stdout
            .lines()
            .skip(1)
            .map(|line| line[..3].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&["-i", "fleet/c0?/*.yml", "backup", "list"]).len(), 10);
    let two = ["c03", "c07"];
    assert_eq!(
        rows(&[
            "-i",
            "fleet/c03/inventory.yml",
            "-i",
            "fleet/c07/inventory.yml",
            "check"
        ]),
        two
    );
    assert_eq!(
        rows(&[
            "-i",
            "fleet/c03/inventory.yml",
            "check",
            "-i",
            "fleet/c07/inventory.yml"
        ]),
        two
    );
    let skipped = ["-i", "fleet/c0[1-4]/*", "--skip", "c01", "check", "--skip", "c02"];
    assert_eq!(rows(&skipped), ["c03", "c04"], "wherever a flag stands");
    desk.run(&["-i", "fleet/d*/inventory.yml", "check"]).code(2);
    let expanded = desk
        .run(&["-i", "fleet/c01/inventory.yml", "fleet/c02/inventory.yml", "check"])
        .code(2);
    assert!(expanded.stderr.contains("put a pattern in quotes"), "{expanded:?}");
    desk.run(&["-i", "fleet/c0*/*.yml", "members"]).code(2);
    desk.run(&["-i", "a.yml", "-i", "b.yml", "init", "--host", "n1=10.0.0.1"])
        .code(2);
    let settings = desk
        .run(&["-i", "fleet/c0[12]/*", "config", "--explain", "etcd.version"])
        .code(0);
    let lines: Vec<&str> = settings.stdout.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "CLUSTER  KEY           VALUE   FROM",
            "c01      etcd.version  3.6.16  fleet/c01/inventory.yml:3",
            "c02      etcd.version  3.6.16  fleet/c02/inventory.yml:3",
        ]
    );
}

#[test]
fn too_low_a_limit_of_open_files_is_told_before_anything_is_begun() {
    let files: Vec<(String, String)> = (0..8)
        .map(|n| {
            (
                format!("{n}/inventory.yml"),
                inventory(&format!("c{n}"), &format!("10.0.0.{n}")),
            )
        })
        .collect();
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let desk = fleet(&files);
    let said = desk.limited(60, &["--fleet", "fleet", "status"]).code(1);
    for told in [
        "may have 60 open files here, and this command may need 64",
        "`ulimit -n 64`",
        "`--parallel 1`",
    ] {
        assert!(said.stderr.contains(told), "{said:?}");
    }
    // The way out that it names.
    let said = desk
        .limited(
            60,
            &["--fleet", "fleet", "--parallel", "1", "up", "--plan", "nothing.json"],
        )
        .code(2);
    assert!(!said.stderr.contains("open files"), "{said:?}");
}
