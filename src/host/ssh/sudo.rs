//! Becoming root: whether sudo is needed, whether it asks, and how it gets its password without anything leaking.
//!
//! The password goes to sudo and to nobody else. It is written only after a script of our own has said that it gives
//! way to sudo (a login that runs something else never says that), and sudo has asked: with the prompt that it was given,
//! which no command line holds in one piece, or in PAM's own words, in whatever language. The data waits until the loader
//! behind sudo says that it is there, so none is taken for another attempt; and the loader drops a password that sudo did
//! not read. On first use the password is tried alone, once: a wrong one fails at once instead of using up the attempts
//! that the host allows.

use secrecy::{ExposeSecret as _, SecretString};

use crate::bounds::Limits;
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

impl Elevation {
    /// The script that gives way to sudo.
    pub(super) fn sudo(&self) -> Option<&'static str> {
        match self {
            Elevation::None => None,
            Elevation::Free => Some(FREE),
            Elevation::Password(_) => Some(ASK),
        }
    }
}

/// Says that sudo is next, and gives way to it.
pub(super) const FREE: &str = r#"printf "%s%s:sudo;" "$1" "$2" >&2; shift 2; exec sudo -n -- "$@""#;

/// The same where sudo asks: on standard error with our prompt, and answered on standard input.
pub(super) const ASK: &str =
    r#"printf "%s%s:sudo;" "$1" "$2" >&2; p=$1$2:password; shift 2; exec sudo -S -k -p "$p" -- "$@""#;

/// `$1` is `auto` when a login that has uid 0 needs no sudo.
pub(super) const PROBE: &str = r#"# Looking how to become root
[ "$1" = auto ] && [ "$(id -u)" = 0 ] && { echo root; exit; }
command -v sudo >/dev/null 2>&1 || { echo missing; exit; }
sudo -n -- sh -c 'echo "user $(id -u)"' 2>&1 </dev/null"#;

/// Tries a password.
pub(super) const TRIAL: &str = r#"# Trying the password of sudo
echo "user $(id -u)""#;

/// Longest answer that PAM takes, bytes (`PAM_MAX_RESP_SIZE` with its end); sudo cuts longer ones off without a word.
const LONGEST: usize = 511;

/// Why a password cannot be given to sudo, which takes one line. Anything else goes there as it is: no shell sees it.
pub(super) fn unfit(password: &SecretString) -> Option<String> {
    let password = password.expose_secret();
    if password.contains(['\n', '\r', '\0']) {
        return Some("the password for sudo contains a line break or a NUL byte, and sudo reads one line".to_owned());
    }
    let long = password.len() > LONGEST;
    long.then(|| format!("the password for sudo is longer than {LONGEST} bytes, which is the limit of PAM"))
}

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

/// Reads the answer of [`PROBE`] or [`TRIAL`].
pub(super) fn finding(output: &Output) -> Finding {
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    match last.strip_prefix("user ") {
        Some("0") => Finding::Free,
        Some(other) => Finding::Never(format!(
            "it runs commands as the user with uid {other} (`runas_default`)"
        )),
        None if last == "root" => Finding::Root,
        None if last == "missing" => Finding::Missing,
        None => match refuses(&said) {
            Some(line) => Finding::Never(line),
            // In any other words, or another language: whether it takes a password shows when it is asked.
            None => Finding::Asks,
        },
    }
}

/// The line in which sudo says that no password would help. Words of sudo 1.8 to 1.9 and sudo-rs, in English; in others it
/// is not recognised here and costs one question to the operator.
fn refuses(said: &str) -> Option<String> {
    let never = [
        "must have a tty",
        "not in the sudoers",
        "may not run sudo",
        "not allowed",
        "I'm sorry",
        "parse error",
        "syntax error",
        "setuid",
        "no new privileges",
        "expired",
    ];
    let line = said.lines().find(|line| never.iter().any(|words| line.contains(words)));
    line.map(|line| line.trim().to_owned())
}

/// Whether sudo, having said this, waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// It has asked with our prompt.
    Ours,
    /// Its last line is not ended, as those of questions are not: PAM may have asked in its own words.
    Perhaps,
    /// It has not.
    None,
}

/// Judges what sudo has said since it began, or since it was answered.
pub(super) fn question(said: &str, prompt: &str) -> Question {
    let last = said.rsplit('\n').next().unwrap_or_default();
    match (said.contains(prompt), last.trim().is_empty()) {
        (true, _) => Question::Ours,
        (false, false) => Question::Perhaps,
        (false, true) => Question::None,
    }
}

/// sudo's own words without our prompt; of several lines the one that says why.
pub(super) fn words(said: &str, prompt: &str) -> String {
    let said = said.replace(prompt, "\n");
    refuses(&said).unwrap_or_else(|| last_line(&said))
}

/// The error for a host on which root cannot be had.
pub(super) fn refusal(node: &NodeName, who: &str, finding: &Finding) -> HostError {
    let (why, hint) = match finding {
        Finding::Missing => (
            format!("{who} is not root, and the host has no sudo"),
            "install sudo there, or log in as root (ssh.user: root)".to_owned(),
        ),
        Finding::Never(said) => (format!("sudo refuses {who}: {said}"), never_hint(who, said)),
        _ => (
            format!("sudo on the host asks {who} for a password, but quorate cannot prompt for it"),
            "run quorate in a terminal, pass the password with --sudo-password-env or --sudo-password-fd, or allow the account \
             NOPASSWD"
                .to_owned(),
        ),
    };
    HostError::Sudo {
        node: node.clone(),
        why,
        hint,
    }
}

fn never_hint(who: &str, said: &str) -> String {
    if said.contains("expired") {
        return "log in there and set a new password (`passwd`), then run the command again".to_owned();
    }
    // A rule for etcd's programs or systemctl alone cannot be enough: everything is a script.
    let user = who.split('@').next().unwrap_or(who);
    format!(
        "quorate runs everything through `sh`: as root there, run `visudo -f /etc/sudoers.d/quorate` and add the line `{user} \
         ALL=(root) NOPASSWD: /bin/sh, /usr/bin/sh`, without `requiretty`"
    )
}

/// The error for a password that sudo did not take.
pub(super) fn wrong_password(node: &NodeName, who: &str, said: &str) -> HostError {
    if let Some(line) = refuses(said) {
        return refusal(node, who, &Finding::Never(line));
    }
    HostError::Sudo {
        node: node.clone(),
        why: format!("sudo did not accept the password of {who}: {said}"),
        hint: "it was tried once; check it with `sudo -v` on the host, then run the command again".to_owned(),
    }
}

/// sudo's last words that are no question.
fn last_line(said: &str) -> String {
    let mut lines = said.lines().rev().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.ends_with(':'));
    line.unwrap_or("it printed nothing").to_owned()
}

/// A script without arguments.
pub(super) fn script(text: &'static str, args: &[&str]) -> Script {
    Script {
        text,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        limits: Limits::answer(64 << 10, 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Output {
        Output {
            over: None,
            status: Some(0),
            stdout: text.into(),
            stderr: String::new(),
        }
    }

    #[test]
    fn what_sudo_answers_is_told_apart() {
        assert_eq!(finding(&said("root\n")), Finding::Root);
        assert_eq!(
            finding(&said("sudo: unable to resolve host x\nuser 0\n")),
            Finding::Free
        );
        assert_eq!(finding(&said("missing\n")), Finding::Missing);
        assert!(matches!(finding(&said("user 33\n")), Finding::Never(why) if why.contains("33")));
        for asks in [
            "sudo: a password is required\n",
            "sudo: interactive authentication is required\n",
            "sudo : il est nécessaire de saisir un mot de passe\n",
            "sudo-rs: interactive authentication is required\n",
        ] {
            assert_eq!(finding(&said(asks)), Finding::Asks, "{asks}");
        }
        let never = "sudo: sorry, you must have a tty to run sudo";
        assert_eq!(finding(&said(never)), Finding::Never(never.into()));
    }

    #[test]
    fn a_question_is_our_prompt_or_a_line_that_is_not_ended() {
        for (said, expected) in [
            ("", Question::None),
            ("We trust you have received the usual lecture.\n\n", Question::None),
            ("Q1:password", Question::Ours),
            ("[sudo: Q1:password] Password: ", Question::Ours),
            ("lecture\nMot de passe : ", Question::Perhaps),
            ("\nSorry, try again.\n", Question::None),
            ("\nSorry, try again.\nQ1:password", Question::Ours),
        ] {
            assert_eq!(question(said, "Q1:password"), expected, "{said:?}");
        }
    }

    #[test]
    fn the_words_are_those_that_say_why() {
        let words = |said: &str| words(said, "Q1:password");
        assert_eq!(
            words(
                "Q1:password\nSorry, try again.\nQ1:password\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n"
            ),
            "sudo: 1 incorrect password attempt"
        );
        let expired = "sudo: Account or password is expired, reset your password and try again";
        assert_eq!(words(&format!("Q1:password\n{expired}\nCurrent password: ")), expired);
        assert_eq!(
            words("[sudo: Q1:password] Password: \nx is not in the sudoers file.\n"),
            "x is not in the sudoers file."
        );
        assert_eq!(words("Q1:password"), "it printed nothing");
    }
}
