//! What cannot be meant: exit code 2, and nothing on standard output.

use insta::assert_snapshot;

use crate::program::Desk;

#[test]
fn mistyped_commands_and_flags_are_usage_errors() {
    let desk = Desk::new();
    for arguments in [
        &["upp"][..],
        &["up", "--no-such-flag"],
        &["up", "--plan"],
        &["up", "--parallel", "0"],
        &["up", "--parallel", "257"],
        &["up", "--output", "xml"],
        &["up", "--limit", "Not A Name"],
        &["up", "--dry-run", "--plan", "p.json"],
        &["up", "--sudo-password-fd", "0"],
        &["init", "--host", "etcd-1"],
        &["init", "--host", "etcd-1=10.0.0.1/24"],
        &["bundle", "create"],
        &["ctl"],
        &[],
    ] {
        let said = desk.run(arguments).code(2);
        assert_eq!(said.stdout, "", "{arguments:?}");
        assert!(
            said.stderr.contains("Usage:") || said.stderr.contains("error:"),
            "{said:?}"
        );
    }
    assert_snapshot!(desk.run(&["upp"]).whole(), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'upp'

      tip: a similar subcommand exists: 'up'

    Usage: quorate [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
}

#[test]
fn a_limit_that_names_no_host_suggests_the_nearest() {
    let desk = Desk::with("cluster: a\netcd:\n  version: 3.5.30\nhosts:\n  - {name: etcd-1, address: 10.0.0.1}\n");
    assert_snapshot!(desk.run(&["up", "--limit", "etcd1"]).whole(), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: the inventory has no host `etcd1`
    help: did you mean `etcd-1`?
    "#);
    assert_snapshot!(desk.run(&["logs", "db-7"]).whole(), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: the inventory has no host `db-7`
    help: its hosts are etcd-1
    "#);
}

#[test]
fn every_command_that_takes_a_node_suggests_the_nearest() {
    let hosts: String = (1..=3)
        .map(|n| format!("  - {{name: etcd-{n}, address: 10.0.0.{n}}}\n"))
        .collect();
    let desk = Desk::with(&format!("cluster: a\netcd:\n  version: 3.5.30\nhosts:\n{hosts}"));
    for arguments in [
        &["up", "--limit", "etcd-22"][..],
        &["restart", "--limit", "etcd-22"],
        &["pki", "renew", "--limit", "etcd-22"],
        &["remove-node", "etcd-22"],
        &["replace-node", "etcd-22", "etcd-4", "--address", "10.0.0.4"],
        &["ok-to-stop", "etcd-22"],
        &["maintain", "etcd-22"],
        &["logs", "etcd-22"],
        &["ssh", "etcd-22"],
    ] {
        let said = desk.run(arguments).code(2);
        assert_eq!(
            said.stderr, "error: the inventory has no host `etcd-22`\nhelp: did you mean `etcd-2`?\n",
            "{arguments:?}"
        );
    }
    // These two may name a host that is new: then it takes an address, and a typo is named all the same.
    for arguments in [&["add-node", "etcd-22"][..], &["replace-node", "etcd-1", "etcd-22"]] {
        let said = desk.run(arguments).code(2);
        assert_eq!(
            said.stderr,
            "error: the inventory has no host `etcd-22`\n\
             help: did you mean `etcd-2`? A new host needs its address: `--address ADDRESS`\n",
            "{arguments:?}"
        );
    }
}

#[test]
fn a_saved_plan_that_is_none_is_a_usage_error() {
    let desk = Desk::with("cluster: a\netcd:\n  version: 3.5.30\nhosts:\n  - {name: etcd-1, address: 10.0.0.1}\n");
    desk.write("plan.json", "{}");
    assert_snapshot!(desk.run(&["up", "--plan", "plan.json"]).whole(), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: plan.json is not a saved plan: missing field `header` at line 1 column 2
    help: create one with `quorate plan --out FILE`
    "#);
    assert_snapshot!(desk.run(&["up", "--plan", "missing.json"]).whole(), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: cannot read missing.json: No such file or directory (os error 2)
    help: create one with `quorate plan --out FILE`
    "#);
}

#[test]
fn init_never_writes_over_an_inventory() {
    let desk = Desk::with("cluster: a\n");
    assert_snapshot!(desk.run(&["init", "--host", "etcd-1=10.0.0.1"]).whole(), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: cannot create inventory.yml: File exists (os error 17)
    help: name another file with --inventory
    "#);
    assert_eq!(desk.read("inventory.yml"), "cluster: a\n");
}

#[test]
fn what_init_writes_is_valid() {
    let desk = Desk::new();
    assert_snapshot!(desk.run(&["init", "--host", "etcd-1=10.0.0.1", "--host", "etcd-2=fd00::2"]).whole(), @r#"
    exit code 0
    --- stdout
    wrote inventory.yml: review it, then run `quorate check`
    wrote .gitignore: what must not be committed
    wrote inventory.schema.json: editors complete and check the inventory with it
    --- stderr
    "#);
    // In CI there is no bundle: the inventory is checked, and what was not is said.
    let checked = desk.run(&["check"]).code(0);
    assert!(checked.stdout.contains("bundle     NOT CHECKED"), "{}", checked.stdout);
    let modeline = desk.read("inventory.yml");
    let schema = modeline
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
    let read: serde_json::Value = serde_json::from_str(&desk.read(schema.expect("a schema"))).expect("JSON");
    assert!(read["properties"]["hosts"].is_object());
    let ignored = desk.read(".gitignore");
    assert!(
        ignored.contains("*.key\n") && !ignored.contains("age"),
        "a sealed key is kept"
    );
    let rendered = desk.run(&["render", "--out", "out"]).code(0);
    assert_eq!(rendered.stdout, "");
    assert!(
        desk.read("out/etcd-1/etc/etcd/etcd-config.yml")
            .contains("https://10.0.0.1:2380")
    );
}

#[test]
fn the_schema_is_json() {
    let said = Desk::new().run(&["schema"]).code(0);
    let schema: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert!(schema["properties"]["hosts"].is_object());
}
