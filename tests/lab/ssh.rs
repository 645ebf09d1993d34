//! The ways to a host: sudo with and without a password, jump hosts, IPv6, this machine itself; and two clusters on
//! the same hosts.

use std::fs;
use std::process::Command;

use crate::harness::{Host, Lab, Outcome, current, plain_inventory};

fn inventory_as(lab: &Lab, user: &str) {
    lab.inventory(|hosts| format!("{}ssh: {{user: {user}}}\n", plain_inventory(&current(), hosts)));
    lab.quorate(&["trust", "--yes"]).ok();
}

#[test]
fn a_login_with_sudo_makes_a_cluster_as_well_as_root() {
    let lab = Lab::start(3);
    inventory_as(&lab, "ops");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    lab.host("n1")
        .sh("test \"$(stat -Lc '%U:%G %a' /etc/etcd/pki/server.key)\" = 'root:etcd 640'");
}

#[test]
fn a_sudo_password_comes_from_the_place_the_operator_names() {
    let lab = Lab::start(1);
    inventory_as(&lab, "opspw");
    let with = |password: &'static str| {
        lab.quorate_with(
            &["up", "--yes", "--sudo-password-env", "SUDO_PW"],
            |command| _ = command.env("SUDO_PW", password),
            b"",
        )
    };
    let bare = lab.host("n1").fingerprint();
    let wrong = with("wrong-password").code(5);
    assert!(
        wrong.stderr.contains("sudo") && wrong.stderr.contains("password"),
        "{wrong}"
    );
    assert!(
        !wrong.stderr.contains("wrong-password") && !wrong.stdout.contains("wrong-password"),
        "{wrong}"
    );
    let none = lab.quorate(&["up", "--yes"]).code(5);
    assert!(none.stderr.contains("--sudo-password-fd"), "{none}");
    assert_eq!(lab.host("n1").fingerprint(), bare, "nothing was touched");

    with("lab-password").ok();
    lab.write("password", "lab-password\n");
    let through_a_descriptor = lab
        .as_operator("sh")
        .args(["-c", "exec \"$@\" 3<password", "sh", env!("CARGO_BIN_EXE_quorate")])
        .args(["status", "--output", "json", "--sudo-password-fd", "3"])
        .output()
        .expect("sh");
    let status = Outcome::of("quorate status --sudo-password-fd 3".into(), through_a_descriptor)
        .ok()
        .json();
    assert_eq!(status["healthy"], true, "{status}");
    let seen = lab
        .host("n1")
        .sh("journalctl --no-pager; cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(!seen.contains("lab-password"), "the password shows on the host");
}

#[test]
fn a_login_without_sudo_is_refused_in_words() {
    let lab = Lab::start(1);
    inventory_as(&lab, "nosudo");
    let bare = lab.host("n1").fingerprint();
    let refused = lab
        .quorate_with(
            &["up", "--yes", "--sudo-password-env", "SUDO_PW"],
            |command| _ = command.env("SUDO_PW", "lab-password"),
            b"",
        )
        .code(5);
    assert!(
        refused.stderr.contains("n1") && refused.stderr.contains("sudo"),
        "{refused}"
    );
    assert_eq!(lab.host("n1").fingerprint(), bare);
}

#[test]
fn hosts_behind_a_bastion_are_reached_through_it_alone() {
    let lab = Lab::start(4);
    let bastion = lab.host("n4").address.clone();
    lab.inventory(|hosts| {
        let plain = plain_inventory(&current(), &hosts[..3]);
        format!("{plain}ssh: {{jump: [\"ops@{bastion}\"]}}\n")
    });
    for host in &lab.hosts()[..3] {
        // Only the bastion and the other members get in.
        host.sh(&format!(
            "cd /tmp && printf 'Match Address *,!{bastion}\\n  DenyUsers *\\n' >>/etc/ssh/sshd_config && systemctl reload ssh"
        ));
    }
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let plan = lab.quorate(&["plan"]);
    assert_eq!(plan.status, Some(0), "{plan}");
    assert_eq!(lab.status()["healthy"], true);
}

#[test]
fn two_clusters_share_hosts_and_never_touch_each_other() {
    let lab = Lab::start(3);
    let second = |text: &str| {
        text.replace("cluster: lab", "cluster: lab-events").replace(
            "\nhosts:",
            "\n  client_port: 12379\n  peer_port: 12380\n  service: etcd-events\npki: {dir: pki-events}\n\
             ssh: {known_hosts: pki/known_hosts}\nhosts:",
        )
    };
    lab.plain_inventory(&current());
    let text = second(&fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory"));
    lab.write("events.yml", &text);
    lab.quorate(&["up", "--yes"]).ok();
    let pids = lab.pids();
    lab.quorate(&["up", "--yes", "-i", "events.yml"]).ok();
    assert_eq!(lab.pids(), pids);
    lab.assert_converged();
    lab.quorate(&["plan", "-i", "events.yml"]).ok();

    lab.quorate(&["ctl", "--", "put", "whose", "first"]).ok();
    lab.quorate(&["ctl", "-i", "events.yml", "--", "put", "whose", "second"])
        .ok();
    let whose = |arguments: &[&str]| lab.quorate(arguments).ok().stdout.trim().to_owned();
    assert_eq!(whose(&["ctl", "--", "get", "whose", "--print-value-only"]), "first");
    assert_eq!(
        whose(&["ctl", "-i", "events.yml", "--", "get", "whose", "--print-value-only"]),
        "second"
    );

    // Repairing one leaves the other alone.
    let events = |host: &Host| host.sh("systemctl show --property MainPID --value etcd-events");
    let before: Vec<String> = lab.hosts().iter().map(events).collect();
    lab.host("n1").sh("rm /etc/etcd/etcd-config.yml");
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.hosts().iter().map(events).collect::<Vec<_>>(), before);
}

#[test]
fn members_talk_ipv6() {
    let lab = Lab::start(3);
    lab.inventory(|hosts| {
        let text: String = hosts
            .iter()
            .map(|host| format!("  - name: {}\n    address: \"{}\"\n", host.name, host.address_v6()))
            .collect();
        format!("cluster: lab\netcd:\n  version: \"{}\"\nhosts:\n{text}", current())
    });
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    let listening = lab.host("n1").sh("ss -Htln");
    assert!(
        listening.contains(&format!("[{}]:2380", lab.host("n1").address_v6())),
        "{listening}"
    );
}

const LOCAL: &str = "cluster: local\netcd:\n  version: \"VERSION\"\nhosts:\n\
    \x20 - {name: local-1, address: 127.0.0.1, connection: local, client_port: 12379, peer_port: 12380}\n\
    \x20 - {name: local-2, address: 127.0.0.1, connection: local, client_port: 22379, peer_port: 22380}\n\
    \x20 - {name: local-3, address: 127.0.0.1, connection: local, client_port: 32379, peer_port: 32380}\n";

/// Brings three local members up, repairs one, and ends them; `as_user` makes a command run as the operator.
fn local_members(lab: &Lab, run: impl Fn(&[&str]) -> Outcome) {
    lab.write("inventory.yml", &LOCAL.replace("VERSION", &current()));
    let cleanup = EndLocalMembers(lab);
    run(&["up", "--yes"]).ok();
    let status = run(&["status", "--output", "json"]).ok().json();
    assert_eq!(status["healthy"], true, "{status}");
    assert_eq!(status["members"].as_array().map(Vec::len), Some(3), "{status}");
    run(&["plan"]).ok();
    cleanup.kill_one();
    run(&["up", "--yes"]).ok();
    run(&["health"]).ok();
}

/// Local members outlive the program on purpose; the test's own end with it.
struct EndLocalMembers<'a>(&'a Lab);

impl EndLocalMembers<'_> {
    fn pids(&self) -> Vec<u32> {
        let home = self.0.home().display().to_string();
        let processes = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| *pid != std::process::id() && String::from_utf8_lossy(&line).contains(&home))
        })
        .collect()
    }

    fn kill_one(&self) {
        let etcd = self
            .pids()
            .into_iter()
            .find(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim() == "etcd"));
        kill(etcd.expect("a local etcd"));
    }
}

impl Drop for EndLocalMembers<'_> {
    fn drop(&mut self) {
        // Supervisors first are not enough: whoever is left after a round is ended in the next.
        for _ in 0..50 {
            let pids = self.pids();
            if pids.is_empty() {
                return;
            }
            pids.into_iter().for_each(kill);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

fn kill(pid: u32) {
    // It may have ended by itself meanwhile.
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}

#[test]
fn local_members_run_as_root() {
    let lab = Lab::start(1);
    local_members(&lab, |arguments| lab.quorate(arguments));
}

#[test]
fn local_members_run_without_any_privilege() {
    let lab = Lab::start(1);
    // The checkout may lie where nobody else can look.
    let (program, bundle) = (lab.dir().join("quorate"), lab.dir().join("etcd.qbundle"));
    fs::copy(env!("CARGO_BIN_EXE_quorate"), &program).expect("a copy of the program");
    fs::copy(crate::harness::bundle(), &bundle).expect("a copy of the bundle");
    let user = "65534";
    local_members(&lab, |arguments| {
        let owned = Command::new("chown").args(["-R", user]).arg(lab.dir()).status();
        assert!(owned.expect("chown").success());
        let mut command = lab.as_operator("setpriv");
        command
            .args(["--reuid", user, "--regid", user, "--clear-groups"])
            .arg(&program)
            .args(arguments)
            .env("QUORATE_BUNDLE", &bundle);
        Outcome::of(
            format!("as {user}: quorate {}", arguments.join(" ")),
            command.output().expect("setpriv"),
        )
    });
}
