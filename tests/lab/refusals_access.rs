//! Hosts that cannot be reached, are not who they should be, or do not let the operator in: `up` says which and how to
//! mend it, and changes nothing anywhere.

use std::fs;
use std::process::Command;

use crate::harness::{Host, Lab, current};

/// An inventory in which `extra` holds for every host.
fn inventory(lab: &Lab, extra: &str) {
    lab.inventory(|hosts| {
        let hosts: String = hosts.iter().map(listed).collect();
        format!(
            "cluster: lab\netcd:\n  version: \"{}\"\n{extra}\nhosts:\n{hosts}",
            current()
        )
    });
    lab.quorate(&["trust", "--yes"]).ok();
}

fn listed(host: &Host) -> String {
    format!("  - name: {}\n    address: {}\n", host.name, host.address)
}

#[test]
fn a_host_whose_key_nobody_pinned_is_not_talked_to() {
    let lab = Lab::start(2);
    lab.plain_inventory(&current());
    fs::remove_file(lab.dir().join("pki/known_hosts")).expect("the pins");
    let refused = lab.refuses(&["up", "--yes"], 5);
    for host in lab.hosts() {
        let unpinned = format!("{}: the host key of {}:22 is not pinned", host.name, host.address);
        assert!(refused.stderr.contains(&unpinned), "{refused}");
    }
    refused.says(&["ssh-ed25519 SHA256:", "run `quorate trust`"]);
}

#[test]
fn a_host_that_shows_another_key_is_not_talked_to_and_its_pin_stays() {
    let lab = Lab::start(2);
    lab.plain_inventory(&current());
    let pins = fs::read_to_string(lab.dir().join("pki/known_hosts")).expect("the pins");
    let host = lab.host("n2");
    host.sh("rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh");

    lab.refuses(&["up", "--yes"], 5).says(&[
        &format!("n2: the host key of {}:22 is not the pinned one", host.address),
        "remove line 2 of",
        "pki/known_hosts",
        "the connection may be intercepted",
    ]);
    lab.refuses(&["trust", "--yes"], 5)
        .says(&["n2", "a different key than the pinned one"]);
    let after = fs::read_to_string(lab.dir().join("pki/known_hosts")).expect("the pins");
    assert_eq!(after, pins, "`trust` never replaces a pin");
}

#[test]
fn a_refused_login_names_the_account_and_the_keys_that_were_tried() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    let key = lab.home().join(".ssh/id_ed25519");
    for old in [key.clone(), key.with_extension("pub")] {
        fs::remove_file(old).expect("the right key goes");
    }
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()
        .expect("ssh-keygen");
    assert!(made.success());
    lab.refuses(&["up", "--yes"], 5).says(&[
        &format!("n1: root@{}:22 refused the login (tried:", lab.host("n1").address),
        "id_ed25519",
        "help:",
    ]);
}

#[test]
fn sudo_that_refuses_the_account_or_the_password_is_named() {
    let lab = Lab::start(1);
    inventory(&lab, "ssh:\n  user: nosudo");
    lab.refuses(&["up", "--yes"], 5).says(&["n1: sudo", "nosudo", "help:"]);

    inventory(&lab, "ssh:\n  user: opspw");
    lab.refuses(&["up", "--yes"], 5)
        .says(&["n1: sudo on the host asks opspw", "--sudo-password-env"]);

    let wrong = lab.leaves_alone(|lab| {
        let arguments = ["up", "--yes", "--sudo-password-env", "PW"];
        let set = |command: &mut Command| {
            command.env("PW", "not-the-password");
        };
        lab.quorate_with(&arguments, set, b"").code(5)
    });
    assert!(!wrong.to_string().contains("not-the-password"), "{wrong}");
    wrong.says(&["n1: sudo did not accept the password of opspw", "tried once"]);

    inventory(&lab, "ssh:\n  user: nosudo\n  sudo: never");
    lab.refuses(&["up", "--yes"], 4)
        .says(&["n1: commands there do not run as root", "allow the login to use sudo"]);

    lab.host("n1").sh("mv /usr/bin/sudo /usr/bin/sudo.away");
    inventory(&lab, "ssh:\n  user: ops");
    lab.refuses(&["up", "--yes"], 5)
        .says(&["is not root, and the host has no sudo", "install sudo there"]);
}

#[test]
fn a_host_that_cannot_be_reached_blocks_a_bootstrap() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    lab.host("n2").cut();
    let refused = lab.refuses(&["up", "--yes"], 5);
    assert!(!refused.stderr.contains("n1: "), "only n2 is at fault\n{refused}");
    refused.says(&[
        &format!("n2: cannot connect to {}:22", lab.host("n2").address),
        "nothing is done without it",
    ]);
    assert!(!lab.dir().join("pki/ca.crt").exists(), "not even the CA was made");
}

#[test]
fn a_full_run_directory_is_said_and_nothing_else_is_blamed() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    lab.quorate(&["up", "--yes"]).ok();
    let host = lab.host("n1");
    // The lock has its place in /run; systemd's own files there stay.
    host.sh(
        "mkdir -p /run/quorate && mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs /run/quorate; echo x >/run/quorate/x; :",
    );
    let refused = lab.quorate(&["restart", "--yes", "--accept-outage"]);
    assert_ne!(refused.status, Some(0), "{refused}");
    let refused = refused.says(&["n1", "No space left on device"]);
    for wrong in ["gone for good", "is it up", "--steal", "replace-node", "recover"] {
        assert!(!refused.stderr.contains(wrong), "{wrong} in {refused}");
    }
    host.sh("umount /run/quorate");
    lab.quorate(&["restart", "--yes", "--accept-outage"]).ok();
}
