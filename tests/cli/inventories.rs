//! Inventories that are wrong: exit code 3, every problem at once, each with its place and help.

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
    assert_snapshot!(desk.run(&["check"]).whole(), @"");
}

#[test]
fn every_problem_is_told_at_once() {
    let desk = Desk::with(FIVE);
    assert_snapshot!(desk.run(&["check"]).whole(), @"");
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
    assert_snapshot!(Desk::new().run(&["up"]).whole(), @"");
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
