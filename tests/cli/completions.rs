//! What the shell itself completes with the scripts that `completions` prints.

use std::fs;
use std::process::Command;

use crate::program::Desk;

/// What bash offers at the end of `line`.
fn offered(desk: &Desk, script: &str, line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "{script}\nCOMP_WORDS=('{}' {})\nCOMP_CWORD={}\n_quorate_names \"${{COMP_WORDS[0]}}\" \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
         echo \"${{COMPREPLY[*]}}\"",
        env!("CARGO_BIN_EXE_quorate"),
        words.join(" "),
        words.len()
    );
    desk.write("ask.sh", ask);
    let output = Command::new("bash")
        .args(["--norc", "ask.sh"])
        .current_dir(desk.path(""))
        .output()
        .expect("bash");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What fish offers at the end of `line`, where there is a fish (`lab/deps test` installs one).
fn offered_by_fish(desk: &Desk, script: &str, line: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_quorate");
    let ask = format!("function quorate; {program} $argv; end\n{script}\ncomplete -C '{line}'\n");
    desk.write("ask.fish", ask);
    let output = Command::new("fish")
        .args(["--no-config", "ask.fish"])
        .current_dir(desk.path(""))
        .env("HOME", desk.path(""))
        .output()
        .ok()?;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = words.lines().filter_map(|line| line.split('\t').next()).collect();
    Some(words.join(" "))
}

#[test]
fn fish_completes_hosts_and_no_files_beside_them() {
    let desk = Desk::with(
        "cluster: demo\netcd: {version: \"3.6.16\"}\nhosts:\n  - {name: etcd-1, address: 10.0.0.1}\n  - {name: etcd-2, address: 10.0.0.2}\n",
    );
    let script = desk.run(&["completions", "fish"]).code(0).stdout;
    let Some(hosts) = offered_by_fish(&desk, &script, "quorate maintain ") else {
        eprintln!("not tried: there is no fish here");
        return;
    };
    assert_eq!(hosts, "etcd-1 etcd-2");
    for line in [
        "quorate ctl --on ",
        "quorate stop --without ",
        "quorate restart --limit ",
    ] {
        assert_eq!(
            offered_by_fish(&desk, &script, line).unwrap(),
            "etcd-1 etcd-2",
            "{line}"
        );
    }
    assert_eq!(
        offered_by_fish(&desk, &script, "quorate check-h").unwrap(),
        "check-hashes"
    );
    assert!(
        offered_by_fish(&desk, &script, "quorate restore inv")
            .unwrap()
            .contains("inventory.yml")
    );
}

#[test]
fn bash_completes_hosts_backups_and_commands() {
    let desk = Desk::new();
    let script = desk.run(&["completions", "bash"]).code(0).stdout;
    let hosts =
        ["etcd-1", "etcd-2", "other"].map(|name| format!("  - {{name: {name}, address: {name}.example.com}}\n"));
    let text = format!(
        "cluster: demo\netcd: {{version: \"3.6.16\"}}\nhosts:\n{}",
        hosts.concat()
    );
    fs::write(desk.path("inventory.yml"), text).unwrap();
    fs::create_dir(desk.path("backups")).unwrap();
    fs::write(desk.path("backups/demo-1.qbackup"), "").unwrap();

    assert_eq!(offered(&desk, &script, "logs etcd-"), "etcd-1 etcd-2");
    assert_eq!(offered(&desk, &script, "restart --limit o"), "other");
    assert_eq!(offered(&desk, &script, "restore "), "backups/demo-1.qbackup");
    // Where there are no names, what was generated.
    assert_eq!(offered(&desk, &script, "check-h"), "check-hashes");
    assert!(offered(&desk, &script, "restart --lim").contains("--limit"));
    // An inventory that cannot be read offers nothing, and says nothing.
    fs::write(desk.path("inventory.yml"), "cluster: [").unwrap();
    assert!(!offered(&desk, &script, "logs etcd-").contains("etcd-1"));
}
