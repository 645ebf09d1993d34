//! Becoming root: whether sudo is needed, whether it asks, and how it gets its password without anything leaking.
//!
//! The password travels on standard input, one line in front of the data. Two things must not happen: data that sudo
//! takes for a second and third attempt at the password, and a password line that lands in the script because sudo did
//! not ask. So the data waits until a small gate, run by sudo as root, says that it is there; and the gate drops every line
//! up to one that opens it. On first use the password is tried alone, once: a wrong one fails at once instead of using
//! up the attempts that the host allows.

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};

use crate::host::{HostError, Output, Script};
use crate::inventory::NodeName;

/// How commands become root on one host.
#[derive(Debug, Clone)]
pub(super) enum Elevation {
    /// They are root already, or are to stay what they are.
    None,
    /// sudo does not ask.
    Free,
    /// sudo asks, and this was right when it was tried.
    Password(SecretString),
}

/// Printed by the gate when it runs as root.
pub(super) const READY: &[u8] = b"quorate:ready\n";

/// Opens the gate.
pub(super) const OPEN: &[u8] = b"quorate:open\n";

const GATE: &str = r#"printf 'quorate:ready\n'
while IFS= read -r line; do
  [ "$line" = quorate:open ] && { unset line; exec "$@"; }
done
exit 125"#;

/// `$1` is `auto` when a login that has uid 0 needs no sudo.
pub(super) const PROBE: &str = r#"# Looking how to become root
[ "$1" = auto ] && [ "$(id -u)" = 0 ] && { echo quorate:root; exit 0; }
command -v sudo >/dev/null 2>&1 || { echo quorate:missing; exit 0; }
LC_ALL=C; export LC_ALL
sudo -n -- sh -c '[ "$(id -u)" = 0 ] && echo quorate:free' 2>&1"#;

/// What [`PROBE`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    Root,
    Free,
    Asks,
    Missing,
    /// sudo will not do it, with or without a password; its own words.
    Never(String),
}

/// Reads the answer of [`PROBE`].
pub(super) fn finding(output: &Output) -> Finding {
    let said = String::from_utf8_lossy(&output.stdout);
    let has = |line: &str| said.lines().any(|said| said.trim() == line);
    let never = [
        "must have a tty",
        "not in the sudoers",
        "may not run sudo",
        "not allowed",
        "parse error",
        "setuid",
    ];
    if has("quorate:root") {
        Finding::Root
    } else if has("quorate:free") {
        Finding::Free
    } else if has("quorate:missing") {
        Finding::Missing
    } else if never.iter().any(|words| said.contains(words)) {
        Finding::Never(last_line(&said))
    } else {
        Finding::Asks
    }
}

/// Tries the password alone: prints `quorate:right`.
pub(super) const TRIAL: &str = "env LC_ALL=C sudo -S -k -p '' -- sh -c 'echo quorate:right'";

/// Whether the password of a [`TRIAL`] was right.
pub(super) fn was_right(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .any(|line| line == "quorate:right")
}

/// The password as sudo reads it.
pub(super) fn password_line(password: &SecretString) -> Bytes {
    Bytes::from(format!("{}\n", password.expose_secret()))
}

impl Elevation {
    /// The command line that runs `script` this way.
    pub(super) fn command(&self, script: &Script) -> Result<String, String> {
        let words: &[&str] = match self {
            Elevation::None => &[],
            Elevation::Free => &["sudo", "-n", "--"],
            Elevation::Password(_) => &[
                "env", "LC_ALL=C", "sudo", "-S", "-k", "-p", "", "--", "sh", "-c", GATE, "quorate",
            ],
        };
        super::command::line(words, script)
    }
}

/// The error for a host on which root cannot be had.
pub(super) fn refusal(node: &NodeName, who: &str, finding: &Finding) -> HostError {
    let (why, hint) = match finding {
        Finding::Missing => (
            format!("{who} is not root, and the host has no sudo"),
            "install sudo there, or log in as root (ssh.user: root)".to_owned(),
        ),
        Finding::Never(said) => (
            format!("sudo refuses {who}: {said}"),
            "allow that account to run `sh` as root in /etc/sudoers.d, without `requiretty`".to_owned(),
        ),
        _ => (
            format!("sudo on the host asks {who} for a password, and there was nobody to ask"),
            "run quorate on a terminal, name the password's place with --sudo-password-env or --sudo-password-fd, or allow \
             the account NOPASSWD"
                .to_owned(),
        ),
    };
    HostError::Sudo {
        node: node.clone(),
        why,
        hint,
    }
}

/// The error for a password that sudo did not take.
pub(super) fn wrong_password(node: &NodeName, who: &str, said: &str) -> HostError {
    let said = last_line(said);
    HostError::Sudo {
        node: node.clone(),
        why: format!("sudo did not accept the password of {who}: {said}"),
        hint: "it was tried once; check it with `sudo -v` on the host and run the command again".to_owned(),
    }
}

fn last_line(said: &str) -> String {
    let line = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Output {
        Output {
            status: Some(0),
            stdout: text.into(),
            stderr: String::new(),
        }
    }

    #[test]
    fn the_probe_is_read_past_whatever_a_login_shell_prints() {
        assert_eq!(finding(&said("Welcome!\nquorate:root\n")), Finding::Root);
        assert_eq!(finding(&said("Welcome!\nquorate:free\n")), Finding::Free);
        assert_eq!(finding(&said("quorate:missing\n")), Finding::Missing);
        assert_eq!(finding(&said("sudo: a password is required\n")), Finding::Asks);
        assert_eq!(
            finding(&said("sudo: interactive authentication is required\n")),
            Finding::Asks
        );
        let never = "sudo: sorry, you must have a tty to run sudo";
        assert_eq!(finding(&said(never)), Finding::Never(never.into()));
    }

    /// The gate, run by a plain shell in sudo's place.
    fn through_the_gate(input: &str) -> (Option<i32>, String) {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let mut child = Command::new("sh")
            .args([
                "-c",
                GATE,
                "quorate",
                "sh",
                "-c",
                "cat; printf '[%s]' \"$1\" \"$line\"",
                "quorate",
                "a b",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn a_password_that_sudo_did_not_read_never_reaches_the_script() {
        let (status, output) = through_the_gate("hunter2\nquorate:open\ndata\n\nquorate:open\n");
        assert_eq!(status, Some(0));
        assert_eq!(output, "quorate:ready\ndata\n\nquorate:open\n[a b][]");
        assert_eq!(through_the_gate("quorate:open\n").1, "quorate:ready\n[a b][]");
    }

    #[test]
    fn a_gate_that_is_never_opened_runs_nothing() {
        assert_eq!(through_the_gate("hunter2\n"), (Some(125), "quorate:ready\n".into()));
    }

    #[test]
    fn no_command_line_and_no_debug_output_holds_the_password() {
        let elevation = Elevation::Password(SecretString::from("hunter2"));
        let line = elevation
            .command(&Script {
                text: "id",
                args: vec![],
            })
            .unwrap();
        assert!(
            !line.contains("hunter2") && line.ends_with("quorate sh -c id quorate"),
            "{line}"
        );
        assert!(!format!("{elevation:?}").contains("hunter2"));
    }
}
