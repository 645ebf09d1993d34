//! The scripts of `examples/ci`, run by a real shell beside a quorate that ends as it is told: what makes a job fail.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::ci_scripts::script;
use crate::program::Desk;

const FILES: [&str; 4] = ["github.yml", "gitlab.yml", "github-fleet.yml", "gitlab-fleet.yml"];

/// How a script ends where quorate ends with `code`, and what it said to `gh` or `glab`.
fn ends(script: &str, code: i32) -> (i32, String) {
    let room = tempfile::tempdir().expect("a directory");
    let stub = |name: &str, text: &str| {
        let path = room.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    };
    stub("quorate", &format!("echo '### the plan'; exit {code}"));
    for forge in ["gh", "glab"] {
        stub(forge, "echo \"$*\" >> told");
    }
    let path = format!("{}:/usr/bin:/bin", room.path().display());
    let ended = Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(room.path())
        .env_clear()
        .env("PATH", path)
        .env("GITHUB_STEP_SUMMARY", "summary")
        .env("PULL_REQUEST", "7")
        .env("CI_MERGE_REQUEST_IID", "7")
        .output()
        .expect("a shell");
    let told = fs::read_to_string(room.path().join("told")).unwrap_or_default();
    (ended.status.code().unwrap_or(-1), told)
}

#[test]
fn a_plan_is_posted_whether_there_are_changes_or_not_and_an_error_is_one() {
    for file in FILES {
        let plan = script(file, "plan");
        for code in [0, 10] {
            let (ended, told) = ends(&plan, code);
            assert_eq!(ended, 0, "{file}: {code}");
            assert!(told.contains(" 7 ") && told.contains("plan"), "{file}: {told}");
        }
        for code in [3, 4, 5, 9] {
            assert_eq!(ends(&plan, code), (code, String::new()), "{file}");
        }
    }
}

#[test]
fn drift_fails_the_nightly_job() {
    for file in FILES {
        let drift = script(file, "drift");
        for code in [0, 5, 10] {
            assert_eq!(ends(&drift, code).0, code, "{file}");
        }
    }
}

/// The hook of the example, as pre-commit runs it: split into words like a shell's, with the names of files behind them.
fn hook(desk: &Desk, files: &[&str]) -> (i32, String) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci/pre-commit.yml"));
    let read: serde_json::Value = serde_yaml::from_str(&text.expect("an example")).expect("YAML");
    let entry = read["repos"][0]["hooks"][0]["entry"].as_str().expect("an entry");
    let program = Path::new(env!("CARGO_BIN_EXE_quorate")).parent().expect("a directory");
    let ended = Command::new("sh")
        .args(["-c", &format!("{entry} \"$@\""), "sh"])
        .args(files)
        .current_dir(desk.path("."))
        .env("PATH", format!("{}:/usr/bin:/bin", program.display()))
        .output()
        .expect("a shell");
    let said = [ended.stdout, ended.stderr].concat();
    (
        ended.status.code().unwrap_or(-1),
        String::from_utf8(said).expect("text"),
    )
}

#[test]
fn the_pre_commit_hook_checks_what_changed_and_what_shares_it() {
    let desk = Desk::new();
    for name in ["a", "b"] {
        fs::create_dir_all(desk.path(&format!("eu/{name}"))).expect("a directory");
        let text = format!("cluster: {name}\nhosts: [{{name: n1, address: 10.0.0.1}}]\n");
        desk.write(&format!("eu/{name}/inventory.yml"), text);
    }
    desk.write("eu/defaults.yml", "etcd: {version: \"3.6.16\"}\n");
    let (code, said) = hook(&desk, &["eu/defaults.yml", "eu/a/inventory.yml"]);
    assert_eq!((code, said.matches("inventory  1 hosts").count()), (0, 2), "{said}");
    desk.write("eu/defaults.yml", "etcd: {version: \"3.6.16\", clinet_port: 1}\n");
    let (code, said) = hook(&desk, &["eu/defaults.yml"]);
    assert!(code == 3 && said.contains("eu/defaults.yml:1:27"), "{code} {said}");
    assert_eq!(hook(&desk, &[]).0, 0);
}
