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
