//! `init --from`: an inventory from what there is already, or nothing at all and every reason.

use std::io::Write;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::program::Desk;

const ANSIBLE: &str = "\
[etcd]
node[1:3].example.com ansible_user=ubuntu ansible_become=true
[web]
web.example.com
";

#[test]
fn an_ansible_inventory_becomes_one_that_check_takes() {
    let desk = Desk::new();
    desk.write("hosts.ini", ANSIBLE);
    assert_snapshot!(desk.run(&["init", "--from", "hosts.ini", "--group", "etcd"]).whole(), @r#"
    exit code 0
    --- stdout
    wrote inventory.yml: review it, then run `quorate check`
    wrote .gitignore: what must not be committed
    wrote inventory.schema.json: editors complete and check the inventory with it
    --- stderr
    note: files in group_vars/ and host_vars/ were not read
    "#);
    desk.run(&["check"]).code(0);
    let written = desk.read("inventory.yml");
    let hosts = written.split_once("\nssh:\n").map_or("", |(_, after)| after);
    assert!(hosts.starts_with("  sudo: always\n  user: ubuntu\n"), "{written}");
    assert!(
        written.contains("  - name: node3.example.com\n    address: node3.example.com\n"),
        "{written}"
    );
}

#[test]
fn every_problem_is_told_and_nothing_is_written() {
    let desk = Desk::new();
    desk.write("hosts.ini", ANSIBLE);
    assert_snapshot!(desk.run(&["init", "--from", "hosts.ini"]).whole(), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: no hosts were taken from hosts.ini: 1 problem; nothing was written
      line 1: it has several groups: which hosts are for etcd?
        help: pass `--group NAME`: etcd (3), web (1), or `all` (4)
    "#);
    desk.write(
        "bad.ini",
        "[etcd]\na ansible_host=10.0.0.300 ansible_password=hunter2\nb ansible_host=10.0.0.1 ansible_port=0\n",
    );
    let said = desk.run(&["init", "--from", "bad.ini"]).code(2);
    assert_snapshot!(said.whole(), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: no hosts were taken from bad.ini: 2 problems; nothing was written
      line 2: `10.0.0.300` is not an address
        help: give an IPv4 or IPv6 address (without brackets or port) or a DNS name in lower case
      line 3: `0` is not a port
        help: give a number from 1 to 65535
    "#);
    assert!(!desk.path("inventory.yml").exists() && !desk.path(".gitignore").exists());
    let json = desk
        .run(&["init", "--from", "bad.ini", "--output", "json"])
        .code(2)
        .stdout;
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(told["details"].as_array().map(Vec::len), Some(2), "{json}");
    for wrong in [
        &["init", "--group", "etcd"][..],
        &["init", "--from", "bad.ini", "--host", "a=10.0.0.1"],
        &["init", "--from", "missing.ini"],
        &["init", "--from", "bad.ini", "--format", "toml"],
    ] {
        desk.run(wrong).code(2);
    }
}

#[test]
fn standard_input_is_read_and_an_inventory_stays_what_it_was() {
    let nodes = r#"{"kind": "List", "items": [{"kind": "Node",
        "metadata": {"name": "cp-1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}}]}"#;
    let desk = Desk::new();
    let piped = || {
        let mut command = desk.command(&["init", "--from", "-", "--cluster", "prod"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("quorate");
        let mut stdin = child.stdin.take().expect("its input");
        stdin.write_all(nodes.as_bytes()).expect("it reads");
        drop(stdin);
        child.wait().expect("it ends").code()
    };
    assert_eq!(piped(), Some(0));
    let written = desk.read("inventory.yml");
    assert!(
        written.contains("cluster: prod\n") && written.contains("  - name: cp-1\n    address: 10.0.0.1\n"),
        "{written}"
    );
    assert_eq!(piped(), Some(2));
    assert_eq!(desk.read("inventory.yml"), written);
}
