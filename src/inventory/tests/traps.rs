//! What YAML, editors and strangers can put into a file.

use proptest::prelude::*;

use super::*;

const GOOD: &str = "cluster: a\netcd:\n  version: 3.5.30\nhosts:\n  - name: etcd-1\n    address: 10.0.0.1\n";

#[test]
fn line_ends_and_marks_of_windows_are_no_problem() {
    let desired = meaning(GOOD);
    assert_eq!(meaning(&GOOD.replace('\n', "\r\n")), desired);
    assert_eq!(meaning(&format!("\u{feff}{GOOD}")), desired);
    let bad = GOOD.replace("etcd-1", "Etcd").replace('\n', "\r\n");
    assert_eq!(mistakes(&format!("\u{feff}{bad}")), ["5:11 `Etcd` cannot name a host"]);
}

#[test]
fn broken_yaml_is_one_problem_with_its_line() {
    for (text, line) in [
        (GOOD.replace("  version", "\tversion"), 3),
        (GOOD.replace("cluster: a", "cluster: 'a"), 1),
        (GOOD.replace("cluster: a", "cluster a"), 2),
        (GOOD.replace("- name", "- [name"), 5),
        (GOOD.replace("cluster: a", "cluster: *nothing"), 1),
        (format!("{GOOD}---\ncluster: b\n"), 7),
    ] {
        let error = read(&text).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{text}\n{:?}", error.problems());
        let problem = &error.problems()[0];
        assert!(problem.line.abs_diff(line) <= 2, "{text}\n{problem:?}");
        assert!(problem.message.starts_with("not readable as YAML: "), "{problem:?}");
        assert!(!problem.message.contains('\n'), "{problem:?}");
    }
}

#[test]
fn an_empty_file_says_so() {
    for empty in ["", "\n\n", "# nothing\n", "---\n", "null", "~", "\u{feff}"] {
        assert_eq!(mistakes(empty), ["1:1 the inventory is empty"], "{empty:?}");
    }
}

#[test]
fn scalars_stay_what_was_typed() {
    let named = |name: &str| GOOD.replace("etcd-1", name);
    for name in ["no", "1e3", "0x1f", "12", "on", "1.5"] {
        let desired = meaning(&named(name));
        assert_eq!(desired.order[0].as_str(), name);
    }
    assert_eq!(mistakes(&named("~")), ["5:5 `name` has no value in a host"]);
}

#[test]
fn hostile_strings_are_refused_wherever_they_stand() {
    for hostile in [
        "a;reboot",
        "$(reboot)",
        "a`id`",
        "a b",
        "../x",
        "a\\nb",
        "-oProxyCommand=x",
        "a\\u0000",
        "a'\\\"b",
    ] {
        for key in ["name", "address", "service", "user", "listen"] {
            // Each key once: a second `name` would be refused for that, whatever it holds.
            let others = [("name", "n1"), ("address", "10.0.0.1")]
                .into_iter()
                .filter(|(other, _)| *other != key);
            let others: String = others.map(|(other, value)| format!("{other}: {value}, ")).collect();
            let text = with_hosts(&[&format!("{others}{key}: \"{hostile}\"")]);
            assert!(read(&text).is_err(), "{key}: {hostile}");
            assert!(
                mistakes(&text).iter().all(|message| !message.contains("twice")),
                "{key}: {hostile}"
            );
        }
        for key in ["data", "pki", "config", "wal", "bin"] {
            let text = with_hosts(&[&format!(
                "name: n1, address: 10.0.0.1, paths: {{{key}: \"/x/{hostile}\"}}"
            )]);
            let is_harmless = hostile == "-oProxyCommand=x";
            assert_eq!(read(&text).is_err(), !is_harmless, "{key}: {hostile}");
        }
        for key in ["host", "user", "jump"] {
            let text = with_hosts(&[&format!("name: n1, address: 10.0.0.1, ssh: {{{key}: \"{hostile}\"}}")]);
            let is_login = key == "user" && hostile == "a\\nb";
            assert!(read(&text).is_err() || is_login, "{key}: {hostile}");
        }
    }
    // What goes back to the terminal carries no control characters.
    let text = with_hosts(&["name: \"\\e[31mx\", address: 10.0.0.1, \"\\e]0;x\\a\": 1"]);
    for message in mistakes(&text) {
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }
}

#[test]
fn bombs_are_stopped() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let alias = format!("*a{}", i - 1);
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", [alias.as_str(); 9].join(", ")));
    }
    assert_eq!(mistakes(&bomb).len(), 1);
    assert_eq!(mistakes(&"[".repeat(100_000)).len(), 1);
    assert_eq!(mistakes(&"- ".repeat(100_000)).len(), 1);
}

#[test]
fn anchors_and_merges_are_read() {
    let text = "\
cluster: a
etcd: {version: 3.5.30}
hosts:
  - &first {name: a, address: 10.0.0.1, ssh: &how {user: ops}}
  - {name: b, address: 10.0.0.2, ssh: *how}
  - {<<: *first, name: c, address: 10.0.0.3}
";
    let desired = meaning(text);
    for host in desired.hosts.values() {
        let Connection::Ssh(ssh) = &host.connection else {
            panic!()
        };
        assert_eq!(ssh.user.as_deref(), Some("ops"));
    }
}

#[test]
fn files_that_are_no_inventory_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("inventory.yml");
    assert!(matches!(load(&path), Err(InventoryError::Read { .. })));
    assert!(matches!(load(dir.path()), Err(InventoryError::Read { .. })));
    std::fs::write(&path, b"cluster: a\nname: \xff\n").unwrap();
    assert!(matches!(load(&path), Err(InventoryError::NotText { line: 2, .. })));
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(matches!(load(&path), Err(InventoryError::TooLarge { .. })));
    std::fs::write(&path, GOOD).unwrap();
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.text, GOOD);
    assert_eq!(loaded.desired.pki.dir, dir.path().join("pki"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|\n|\t){0,200}") {
        let _ = read(&text);
    }

    /// Every cut of a good file, and every odd character anywhere in it, is answered and not crashed upon.
    #[test]
    fn no_damage_panics(at in 0..GOOD.len(), odd in any::<char>()) {
        let _ = read(&GOOD[..at]);
        let _ = read(&format!("{}{odd}{}", &GOOD[..at], &GOOD[at..]));
    }
}
