//! One host of a lab, and what can befall it.

use std::fs::File;
use std::path::Path;

use super::lab::{lab_command, script};
use super::outcome::Outcome;

/// One host: its own systemd, sshd, disk and address.
#[derive(Debug, Clone)]
pub struct Host {
    pub(super) lab: String,
    /// `n1`, `n2`, ...: its host name; also in /etc/hosts of every host and of the operator.
    pub name: String,
    /// Its IPv4 address.
    pub address: String,
}

impl Host {
    /// Its IPv6 address.
    pub fn address_v6(&self) -> String {
        let mut parts = self.address.split('.').skip(2);
        let (subnet, number) = (
            parts.next().expect("an IPv4 address"),
            parts.next().expect("an IPv4 address"),
        );
        format!("fd77:{subnet}::{number}")
    }

    /// The name of its network namespace.
    pub fn network(&self) -> String {
        format!("ql-{}.{}", self.lab, self.name)
    }

    /// Runs a shell script on the host as root, past its sshd (works while it is cut off). Must end with 0.
    #[track_caller]
    pub fn sh(&self, text: &str) -> String {
        self.try_sh(text).ok().stdout
    }

    /// The same; the script may fail.
    #[track_caller]
    pub fn try_sh(&self, text: &str) -> Outcome {
        script(&self.lab, &["exec", &self.name, "sh", "-c", text])
    }

    /// Nothing of a backup schedule is there, nor of what it would write.
    #[track_caller]
    pub fn assert_has_no_schedule(&self) {
        let left =
            self.sh("ls -d /srv/backups /etc/etcd/etcd-backup /etc/systemd/system/etcd-backup.* 2>/dev/null || :");
        assert_eq!(left, "", "nothing was touched");
    }

    /// Carries an executable to the host, past its network.
    #[track_caller]
    pub fn carry(&self, from: &Path, to: &str) {
        let mut command = lab_command(&self.lab);
        command.args([
            "exec",
            &self.name,
            "sh",
            "-c",
            "cat >\"$1\" && chmod 755 \"$1\"",
            "carry",
            to,
        ]);
        let carried = command.stdin(File::open(from).expect("a file")).status();
        assert!(carried.expect("lab/lab exec").success(), "{} to {to}", from.display());
    }

    /// Runs a shell script on the host as the unit `name`, beside the test and until `systemctl stop`.
    #[track_caller]
    pub fn beside(&self, name: &str, text: &str) {
        self.sh(&format!(
            "cat >/run/{name}.sh <<'END'\n{text}\nEND\nsystemctl reset-failed {name} 2>/dev/null\n\
             systemd-run --quiet --unit {name} sh /run/{name}.sh"
        ));
    }

    /// Whether a systemd unit is active.
    #[track_caller]
    pub fn active(&self, unit: &str) -> bool {
        self.try_sh(&format!("systemctl is-active --quiet {unit}")).status == Some(0)
    }

    /// The power goes: no process gets to say goodbye, no connection is closed. What reached the page cache survives.
    #[track_caller]
    pub fn crash(&self) {
        self.lab(&["crash", &self.name]);
    }

    /// An orderly shutdown.
    #[track_caller]
    pub fn stop(&self) {
        self.lab(&["stop", &self.name]);
    }

    /// Power on; returns when its sshd answers.
    #[track_caller]
    pub fn boot(&self) {
        self.lab(&["boot", &self.name]);
    }

    /// Pulls the network cable.
    #[track_caller]
    pub fn cut(&self) {
        self.lab(&["cut", &self.name]);
    }

    /// Plugs it in again.
    #[track_caller]
    pub fn mend(&self) {
        self.lab(&["mend", &self.name]);
    }

    /// Stops all its processes; the kernel still acknowledges packets, so nothing looks broken from outside.
    #[track_caller]
    pub fn freeze(&self) {
        self.lab(&["freeze", &self.name]);
    }

    /// Lets them go on.
    #[track_caller]
    pub fn thaw(&self) {
        self.lab(&["thaw", &self.name]);
    }

    /// Limits its link in both directions, `20mbit`; `off` lifts the limit.
    #[track_caller]
    pub fn slow(&self, rate: &str) {
        self.lab(&["slow", &self.name, rate]);
    }

    /// A round trip to it takes so many milliseconds more; `off` shortens the cable again.
    #[track_caller]
    pub fn delay(&self, milliseconds: &str) {
        self.lab(&["delay", &self.name, milliseconds]);
    }

    /// Holds back its etcd: `cpu` and per cent of a processor, or `disk` and writes a second; `off` lifts it.
    #[track_caller]
    pub fn limit(&self, how: &[&str]) {
        self.lab(&[&["limit", &self.name], how].concat());
    }

    /// Its `date` is so many seconds off from now on (only that program: etcd and sshd still see the true time).
    #[track_caller]
    pub fn clock(&self, seconds: i64) {
        self.lab(&["clock", &self.name, &seconds.to_string()]);
    }

    #[track_caller]
    fn lab(&self, arguments: &[&str]) {
        script(&self.lab, arguments).ok();
    }
}
