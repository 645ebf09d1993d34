//! Hosts as operators harden and decorate them: few sessions, no forwarding, logins that print, other shells.

use std::path::Path;
use std::time::Duration;

use crate::harness::{Host, Lab, current, plain_inventory, wait_until};

/// Every login of the host prints in front of what it runs and behind it, on both outputs, and sets what changes tools.
const CHATTY: &str = "cat >/etc/odd.bashrc <<'END'\n\
    echo \"Welcome to $(hostname), $USER\"; echo 'no news today' >&2\n\
    export POSIXLY_CORRECT=1 TZ=Asia/Tokyo BLOCK_SIZE=1M CDPATH=/ SYSTEMD_COLORS=1 SYSTEMD_PAGER=less PATH=/bin IFS=/\n\
    date() { echo never; }; export -f date\n\
    trap 'echo Bye; echo bye >&2' EXIT\n\
    END\n\
    for home in /root /home/ops /home/opspw; do cp /etc/odd.bashrc $home/.bashrc; done";

/// The root login's shell is tcsh, and it talks.
const TCSH: &str = "echo /usr/local/bin/tcsh >>/etc/shells\n\
    for user in root ops opspw; do usermod -s /usr/local/bin/tcsh $user; done\n\
    for home in /root /home/ops /home/opspw; do echo 'echo tcsh says hello' >$home/.tcshrc; done";

/// Every command goes through a site's own wrapper, which logs, prints and loses the exit status.
const WRAPPED: &str = "cat >/usr/local/bin/wrapper <<'END'\n\
    #!/bin/sh\n\
    echo 'This session is recorded.'\n\
    $SHELL -c \"$SSH_ORIGINAL_COMMAND\"\n\
    echo 'Recorded.'\n\
    END\n\
    chmod 755 /usr/local/bin/wrapper; echo 'ForceCommand /usr/local/bin/wrapper' >>/etc/ssh/sshd_config.d/lab.conf";

/// Few sessions a connection, and no forwarding.
fn harden(host: &Host, sessions: u32, more: &str) {
    host.sh(&format!(
        "{{ {more}\n}} && sed -i 's/^MaxSessions.*/MaxSessions {sessions}/' /etc/ssh/sshd_config.d/lab.conf &&
         echo 'AllowTcpForwarding no' >>/etc/ssh/sshd_config.d/lab.conf && systemctl reload ssh"
    ));
}

fn harden_all(lab: &Lab) {
    lab.host("n2").sh(CHATTY);
    let tcsh = Path::new("/usr/bin/tcsh");
    assert!(tcsh.exists(), "install tcsh (lab/deps)");
    lab.host("n3").carry(tcsh, "/usr/local/bin/tcsh");
    lab.host("n3").sh(TCSH);
    for (name, sessions, more) in [("n1", 1, ":"), ("n2", 2, ":"), ("n3", 1, WRAPPED)] {
        harden(lab.host(name), sessions, more);
    }
}

fn inventory_as(lab: &Lab, user: &str) {
    lab.inventory(|hosts| format!("{}ssh: {{user: {user}}}\n", plain_inventory(&current(), hosts)));
}

#[test]
fn few_sessions_no_forwarding_chatter_and_tcsh_make_no_difference() {
    let lab = Lab::start(3);
    inventory_as(&lab, "root");
    lab.quorate(&["trust", "--yes"]).ok();
    harden_all(&lab);
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let status = lab.status();
    assert_eq!(status["healthy"], true, "{status}");
    let before = lab.pids();
    lab.quorate(&["restart", "--yes"]).ok();
    assert_eq!(lab.restarted_since(&before).len(), 3);
    lab.quorate(&["health"]).ok();

    // The same hosts through sudo, with a password and without.
    inventory_as(&lab, "ops");
    lab.quorate(&["plan"]).ok();
    inventory_as(&lab, "opspw");
    let plan = lab.quorate_with(
        &["plan", "--sudo-password-env", "SUDO_PW"],
        |command| _ = command.env("SUDO_PW", "lab-password"),
        b"",
    );
    plan.ok();
    for host in lab.hosts() {
        wait_until("nothing is left behind", Duration::from_secs(20), || {
            let left = host.sh("ls /run/quorate; cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
            !left.contains(" relay ") && !left.contains("etcd.lock")
        });
    }
}
