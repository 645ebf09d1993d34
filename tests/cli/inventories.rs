//! Inventories that are wrong: exit code 3, every problem at once, each with its place and help.

use std::path::Path;

use insta::assert_snapshot;

use crate::program::Desk;

const FIVE: &str = "\
cluster: Prod A
etcd:
  version: \"3.5\"
  client_prot: 2379
  config:
    cert-file: /x.pem
hosts:
  - name: etcd-1
    address: 10.0.0.11
  - name: etcd-1
    address: 10.0.0.300
";

#[test]
fn broken_yaml_is_one_problem_with_its_place() {
    let desk = Desk::with("cluster: a\netcd:\n\tversion: 3.5.30\n");
    assert_snapshot!(desk.run(&["check"]).whole(), @r#"
    exit code 3
    --- stdout
    --- stderr
      × inventory.yml: 1 problem

    Error:
      × not readable as YAML: tabs disallowed within this context (block
      │ indentation)
       ╭─[inventory.yml:3:2]
     2 │ etcd:
     3 │     version: 3.5.30
       ·     ─
       ╰────
      help: YAML does not take tabs for indentation: use spaces
    "#);
}

#[test]
fn every_problem_is_told_at_once() {
    let desk = Desk::with(FIVE);
    assert_snapshot!(desk.run(&["check"]).whole(), @r#"
    exit code 3
    --- stdout
    --- stderr
      × inventory.yml: 5 problems, 1 warning

    Error:
      × `Prod A` cannot name a cluster
       ╭─[inventory.yml:1:10]
     1 │ cluster: Prod A
       ·          ──────
     2 │ etcd:
       ╰────
      help: use 1 to 40 of a-z, 0-9 and `-`, with a letter or digit at both ends

    Error:
      × `3.5` is not an etcd version
       ╭─[inventory.yml:3:12]
     2 │ etcd:
     3 │   version: "3.5"
       ·            ─────
     4 │   client_prot: 2379
       ╰────
      help: write it like 3.6.16

    Error:
      × there is no key `client_prot` in `etcd`
       ╭─[inventory.yml:4:3]
     3 │   version: "3.5"
     4 │   client_prot: 2379
       ·   ───────────
     5 │   config:
       ╰────
      help: did you mean `client_port`?

    Warning:
      ⚠ two members: losing or restarting either one is an outage of the cluster
       ╭─[inventory.yml:7:1]
     6 │     cert-file: /x.pem
     7 │ hosts:
       · ─────
     8 │   - name: etcd-1
       ╰────
      help: 3 members survive the loss of one, 5 of two

    Error:
      × two hosts are called `etcd-1`
        ╭─[inventory.yml:8:11]
      7 │ hosts:
      8 │   - name: etcd-1
        ·           ───┬──
        ·              ╰── first here
      9 │     address: 10.0.0.11
     10 │   - name: etcd-1
        ·           ───┬──
        ·              ╰── again here
     11 │     address: 10.0.0.300
        ╰────
      help: give each its own name

    Error:
      × `10.0.0.300` is not an address
        ╭─[inventory.yml:11:14]
     10 │   - name: etcd-1
     11 │     address: 10.0.0.300
        ·              ──────────
        ╰────
      help: give an IPv4 or IPv6 address (without brackets or port) or a DNS name
            in lower case
    "#);
    // Whoever changes hosts refuses the same inventory in the same words, before any connection.
    let check = desk.run(&["check"]).code(3).stderr;
    for command in [
        &["up", "--yes"][..],
        &["plan"],
        &["status"],
        &["trust", "--yes"],
        &["render"],
    ] {
        assert_eq!(desk.run(command).code(3).stderr, check, "{command:?}");
    }
}

#[test]
fn programs_get_the_problems_as_json() {
    let said = Desk::with(FIVE).run(&["check", "--output", "json"]).code(3);
    assert_eq!(said.stderr, "");
    let last = said.stdout.lines().last().unwrap_or_default();
    let told: serde_json::Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(
        (told["event"].as_str(), told["ok"].as_bool()),
        (Some("finished"), Some(false))
    );
    assert_eq!(told["exit_code"], 3);
    let problems = told["problems"].as_array().expect("problems");
    assert!(problems.len() >= 5, "{problems:#?}");
    for problem in problems {
        assert!(problem["line"].as_u64().is_some_and(|line| line > 0), "{problem}");
        assert!(
            problem["help"].as_str().is_some_and(|help| !help.is_empty()),
            "{problem}"
        );
    }
}

#[test]
fn an_inventory_that_is_not_there_says_how_to_make_one() {
    assert_snapshot!(Desk::new().run(&["up"]).whole(), @r#"
    exit code 3
    --- stdout
    --- stderr
      × cannot read the inventory inventory.yml
      ╰─▶ No such file or directory (os error 2)
      help: pass the file with `-i FILE`, or create one with `quorate init`
    "#);
}

/// Nothing of these may reach a shell, a path or the terminal as it is.
#[test]
fn hostile_strings_are_refused_and_shown_harmlessly() {
    for hostile in [
        "$(reboot)",
        "a;reboot",
        "a`id`",
        "../../etc",
        "-oProxyCommand=id",
        "a\\u001b[2J",
        "a\\nb",
        "a b",
    ] {
        for line in [
            format!("name: \"{hostile}\", address: 10.0.0.1"),
            format!("name: n1, address: \"{hostile}\""),
            format!("name: n1, address: 10.0.0.1, paths: {{data: \"/var/{hostile} x\"}}"),
            format!("name: n1, address: 10.0.0.1, ssh: {{host: \"{hostile}\"}}"),
            format!("name: n1, address: 10.0.0.1, user: \"{hostile}\""),
            format!("name: n1, address: 10.0.0.1, service: \"{hostile}\""),
        ] {
            let desk = Desk::with(&format!(
                "cluster: a\netcd:\n  version: 3.5.30\nhosts:\n  - {{{line}}}\n"
            ));
            let said = desk.run(&["check"]).code(3);
            assert!(!said.whole().contains('\u{1b}'), "{line}: {said:?}");
        }
    }
}

#[test]
fn every_example_passes_as_it_is() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/inventories");
    let mut checked = 0;
    for entry in std::fs::read_dir(examples).unwrap().flatten() {
        let path = entry.path();
        let said = Desk::new().run(&["check", "-i", path.to_str().unwrap()]).code(0);
        assert!(
            said.stdout.contains("rendered for every host"),
            "{}: {said:?}",
            path.display()
        );
        assert!(!said.stderr.contains("warning"), "{}: {said:?}", path.display());
        let json = Desk::new()
            .run(&["check", "-o", "json", "-i", path.to_str().unwrap()])
            .code(0);
        let told: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
        assert_eq!(
            (&told["ok"], &told["bundle_checked"]),
            (&true.into(), &false.into()),
            "{told}"
        );
        checked += 1;
    }
    assert!(checked >= 9, "only {checked} examples");
}
