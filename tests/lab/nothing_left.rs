//! Nothing secret outlives a command, whatever ends it; and nobody else of this machine reaches the members through it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::{Lab, release, wait_until};

const NONE: [PathBuf; 0] = [];

/// The directories that a run has for itself, in all places where it may have them.
fn directories(pid: u32) -> Vec<PathBuf> {
    let root = std::env::temp_dir();
    let all = [Path::new("/dev/shm"), &root].map(|root| root.join("quorate-0"));
    let entries = all.iter().filter_map(|all| fs::read_dir(all).ok()).flatten().flatten();
    let prefix = format!("{pid}-");
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect()
}

fn secrets_in(dirs: &[PathBuf]) -> String {
    let found = Command::new("grep")
        .args(["-rlI", "PRIVATE KEY"])
        .args(dirs)
        .output()
        .expect("grep");
    String::from_utf8_lossy(&found.stdout).into_owned()
}

fn children(pid: u32) -> Vec<u32> {
    let found = Command::new("pgrep")
        .args(["-P", &pid.to_string()])
        .output()
        .expect("pgrep");
    let lines = String::from_utf8_lossy(&found.stdout).into_owned();
    lines
        .split_whitespace()
        .map(|pid| pid.parse().expect("a pid"))
        .collect()
}

fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z'))
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

fn until(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, Duration::from_secs(60), condition);
}

/// etcdctl's pid, once it runs.
fn etcdctl_of(quorate: u32) -> u32 {
    let mut found = Vec::new();
    until("etcdctl to run", || {
        found = children(quorate);
        found.retain(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "etcdctl"));
        !found.is_empty()
    });
    found[0]
}

fn environment(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/environ")).expect("its environment");
    String::from_utf8_lossy(&bytes).replace('\0', "\n")
}

#[test]
fn whatever_ends_etcdctl_leaves_no_key_behind() {
    let lab = Lab::cluster(1);
    for name in ["INT", "TERM", "HUP", "KILL"] {
        let running = lab.spawn(&["ctl", "--", "watch", "x"]);
        let (quorate, etcdctl) = (running.pid(), etcdctl_of(running.pid()));
        let dirs = directories(quorate);
        assert_eq!(dirs.len(), 1, "{dirs:?}");
        assert_eq!(secrets_in(&dirs), "", "not even while it runs");
        assert!(!environment(etcdctl).contains("ETCDCTL_KEY"));
        signal(quorate, name);
        if name != "KILL" {
            let ended = running.wait();
            assert_eq!(ended.status, Some(130), "{name}\n{ended}");
            assert_eq!(directories(quorate), NONE, "{name}");
            until("etcdctl to end", || !lives(etcdctl));
            continue;
        }
        until("quorate to end", || !lives(quorate));
        assert_eq!(secrets_in(&dirs), "");
        lab.quorate(&["status"]).ok();
        assert_eq!(directories(quorate), NONE, "the next run did");
        // It holds nothing, and the other end of our pipes.
        if lives(etcdctl) {
            signal(etcdctl, "KILL");
        }
        running.wait();
    }

    // The terminal is closed.
    let line = format!("{} ctl -- watch x", env!("CARGO_BIN_EXE_quorate"));
    let mut terminal = lab
        .as_operator("script")
        .args(["-qec", &line, "/dev/null"])
        .env("QUORATE_BUNDLE", crate::harness::bundle())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("script");
    let mut quorate = 0;
    until("quorate to run", || {
        let shells = children(terminal.id());
        let mut all: Vec<u32> = shells.iter().flat_map(|pid| children(*pid)).collect();
        all.extend(shells);
        let is_it = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|n| n.trim() == "quorate");
        quorate = all.into_iter().find(is_it).unwrap_or(0);
        quorate != 0
    });
    let etcdctl = etcdctl_of(quorate);
    terminal.kill().expect("script");
    terminal.wait().expect("script");
    until("quorate to end", || !lives(quorate));
    until("etcdctl to end", || !lives(etcdctl));
    assert_eq!(directories(quorate), NONE);
}

#[test]
fn a_drill_that_is_ended_leaves_no_database_in_the_clear() {
    let lab = Lab::cluster(1);
    lab.quorate(&["ctl", "--", "put", "kept", "a secret value"]).ok();
    lab.quorate(&["backup", "create"]).ok();
    for name in ["INT", "TERM", "HUP", "KILL"] {
        let running = lab.spawn(&["backup", "verify"]);
        let quorate = running.pid();
        until("the drill to begin", || {
            directories(quorate).iter().any(|dir| dir.join("data").exists())
        });
        signal(quorate, name);
        running.wait();
        if name == "KILL" {
            lab.quorate(&["status"]).ok();
        }
        assert_eq!(directories(quorate), NONE, "{name}");
    }
}

#[test]
fn no_other_account_reaches_a_member_through_ctl() {
    let lab = Lab::cluster(1);
    let running = lab.spawn(&["ctl", "--", "watch", "x"]);
    let quorate = running.pid();
    let etcdctl = etcdctl_of(quorate);
    let environment = environment(etcdctl);
    let path = environment
        .lines()
        .find_map(|line| line.strip_prefix("ETCDCTL_ENDPOINTS=unix://"))
        .expect("a socket");
    let reach = |uid: &str| {
        let reached = Command::new("setpriv")
            .args(["--reuid", uid, "--clear-groups", "test", "-S", path])
            .status();
        reached.expect("setpriv").success()
    };
    assert!(reach("0") && !reach("65534"));
    signal(quorate, "TERM");
    running.wait();
}

/// etcdctl 3.4 is led through a port, at which others are hung up on.
#[test]
fn etcdctl_3_4_is_led_through_a_port_that_only_its_own_account_can_use() {
    let lab = Lab::start(1);
    lab.plain_inventory(&release("3.4"));
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["ctl", "--", "put", "kept", "then"]).ok();
    let kept = lab.quorate(&["ctl", "--", "get", "kept", "--print-value-only"]).ok();
    assert_eq!(kept.stdout, "then\n");
    let running = lab.spawn(&["ctl", "--", "watch", "x"]);
    let quorate = running.pid();
    let environment = environment(etcdctl_of(quorate));
    let port = environment
        .lines()
        .find_map(|line| line.strip_prefix("ETCDCTL_ENDPOINTS=http://127.0.0.1:"))
        .expect("a port");
    // The beginning of HTTP/2, which etcd answers with its own.
    let hello = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}
         printf 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\4\\0\\0\\0\\0\\0' >&3
         timeout 10 head -c 1 <&3 | wc -c"
    );
    let heard = |uid: &str| {
        let output = lab
            .as_operator("setpriv")
            .args(["--reuid", uid, "--clear-groups", "bash", "-c", &hello])
            .output()
            .expect("setpriv");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(heard("0"), "1");
    assert_ne!(heard("65534"), "1");
    signal(quorate, "TERM");
    running.wait();
}
