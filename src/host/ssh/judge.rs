//! What the end of one command means, in words that hold nothing which was typed in.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::channel::Ended;
use super::exec::Outcome;
use super::frame::Verdict;
use super::link::Link;
use super::sudo::{self, Finding};
use crate::host::{HostError, Output};
use crate::inventory::NodeName;

/// Longest excerpt of what a login prints.
const EXCERPT: usize = 200;

/// A part of a password that is hidden by itself; shorter ones are everywhere.
const TELLING: usize = 4;

/// Stands where it was.
const HIDDEN: &str = "[password]";

/// Tells what the end of one command means.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) node: NodeName,
    /// `user@host:port`.
    pub(super) who: String,
    /// What the command was for.
    pub(super) operation: String,
    pub(super) link: Arc<Link>,
    /// What sudo was given, if anything.
    pub(super) password: Arc<OnceLock<SecretString>>,
}

impl Judge {
    pub(super) fn output(&self, outcome: Outcome) -> Result<Output, HostError> {
        let (stdout, ended) = match outcome {
            Outcome::Ended(stdout, ended) => (stdout, ended),
            Outcome::Passed(exceeded, ended) => {
                return Ok(Output {
                    stderr: self.shown(&String::from_utf8_lossy(&ended.stderr)),
                    over: Some(exceeded),
                    ..Output::default()
                });
            }
            Outcome::Unread(error) => return Err(self.lost(format!("the data to send cannot be read: {error}"))),
        };
        let mut stderr = self.shown(&String::from_utf8_lossy(&ended.stderr));
        let status = match ended.verdict() {
            Some(Verdict::Status(status)) => Some(status),
            Some(Verdict::Cut) => return Err(self.cut()),
            None if !ended.begun() => return Err(self.without_frame(&ended)),
            None if !ended.closed => return Err(self.lost(self.link.why_lost())),
            None => {
                let how = ended
                    .signal
                    .clone()
                    .unwrap_or_else(|| "the login that ran it".to_owned());
                stderr.push_str(&format!("cut off by {how}\n"));
                None
            }
        };
        Ok(Output {
            status,
            stdout,
            stderr,
            over: None,
        })
    }

    /// The error of a command of which nothing of ours was heard.
    pub(super) fn without_frame(&self, ended: &Ended) -> HostError {
        if ended.refused {
            return self.script(
                "the host's sshd does not run commands for this login",
                "check for restrictions in sshd_config and authorized_keys",
            );
        }
        if !ended.closed {
            return self.lost(self.link.why_lost());
        }
        if let Some((said, prompt)) = said_by_sudo(ended) {
            return self.sudo_refuses(&sudo::words(&said, &prompt));
        }
        self.something_else(ended)
    }

    /// The error of a login that does not come to the command that it was given.
    pub(super) fn something_else(&self, ended: &Ended) -> HostError {
        let said = self.excerpt(ended);
        let status = ended
            .status
            .map(|status| format!(", and ended with status {status}"))
            .unwrap_or_default();
        let said = match said.is_empty() {
            true => format!("it printed nothing{status}"),
            false => format!("it printed `{said}`{status}"),
        };
        self.script(
            &format!("the login of {} runs something other than the given commands: {said}", self.who),
            "try `ssh HOST true`; check for a ForceCommand in sshd_config, a `command=` in authorized_keys, the account's \
             shell (`getent passwd`), and start-up files (~/.bashrc, ~/.profile) that run or wait for something: guard that with `[ -t 1 \
             ]`",
        )
    }

    /// The same when it was waited for in vain.
    pub(super) fn mute(&self, ended: &Ended, limit: Duration) -> HostError {
        match self.something_else(ended) {
            HostError::Script {
                node,
                operation,
                why,
                hint,
            } => HostError::Script {
                node,
                operation,
                why: format!("{why} within {} s", limit.as_secs_f32()),
                hint,
            },
            other => other,
        }
    }

    fn cut(&self) -> HostError {
        self.script(
            "the login swallows the input of the given commands",
            "check ~/.bashrc, ~/.profile or a ForceCommand for something that reads standard input, and guard it with `[ -t 0 \
             ]`",
        )
    }

    /// What the login printed, in one line.
    fn excerpt(&self, ended: &Ended) -> String {
        let chatter = ended
            .frame
            .as_ref()
            .map(|frame| frame.chatter().map(String::from_utf8_lossy));
        let text = chatter
            .iter()
            .flatten()
            .flat_map(|text| text.lines())
            .collect::<Vec<_>>()
            .join(" ");
        let inert: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let words = inert.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = self.shown(&words);
        match shown.char_indices().nth(EXCERPT) {
            Some((at, _)) => format!("{}...", &shown[..at]),
            None => shown,
        }
    }

    /// The one place that a host's words go through before anybody sees them: what was typed in is taken out.
    pub(super) fn shown(&self, said: &str) -> String {
        match self.password.get() {
            Some(password) => without(said, password.expose_secret()),
            None => said.to_owned(),
        }
    }

    pub(super) fn sudo_refuses(&self, said: &str) -> HostError {
        sudo::refusal(&self.node, &self.who, &Finding::Never(self.shown(said)))
    }

    pub(super) fn wrong_password(&self, said: &str) -> HostError {
        sudo::wrong_password(&self.node, &self.who, &self.shown(said))
    }

    /// The error of an operation on the connection.
    pub(super) fn failed(&self, error: &russh::Error) -> HostError {
        match error {
            russh::Error::ChannelOpenFailure(failure) => self.no_session(&format!("{failure:?}")),
            _ => self.lost(self.link.why_lost()),
        }
    }

    /// The server opens no session at all.
    pub(super) fn no_session(&self, failure: &str) -> HostError {
        self.script(
            &format!("the host opens no session for {} ({failure})", self.who),
            "raise `MaxSessions` in its sshd_config (0 forbids commands altogether)",
        )
    }

    /// All sessions stayed occupied.
    pub(super) fn no_seat(&self, patience: Duration, occupied: &str) -> HostError {
        self.script(
            &format!("no session was free for {} s: {occupied}", patience.as_secs_f32()),
            "raise `MaxSessions` in the host's sshd_config; OpenSSH's default is 10",
        )
    }

    pub(super) fn script(&self, why: &str, hint: &str) -> HostError {
        HostError::Script {
            node: self.node.clone(),
            operation: self.operation.clone(),
            why: why.to_owned(),
            hint: hint.to_owned(),
        }
    }

    pub(super) fn lost(&self, why: String) -> HostError {
        HostError::Lost {
            node: self.node.clone(),
            operation: self.operation.clone(),
            why,
        }
    }
}

/// sudo's words and our prompt, where sudo is what the command came to.
pub(super) fn said_by_sudo(ended: &Ended) -> Option<(String, String)> {
    let frame = ended.frame.as_ref()?;
    Some((frame.said_by_sudo()?, frame.prompt.clone()))
}

/// `said` without `secret`, and without any part of it: a shell that takes a line for commands names words of it, cut wherever
/// that shell cuts.
fn without(said: &str, secret: &str) -> String {
    let whole = match secret.is_empty() {
        true => said.to_owned(),
        false => said.replace(secret, HIDDEN),
    };
    let secret: Vec<char> = secret.chars().collect();
    let said: Vec<char> = whole.chars().collect();
    let (mut out, mut at) = (String::with_capacity(whole.len()), 0);
    while at < said.len() {
        match common(&said[at..], &secret) {
            length if length >= TELLING => {
                out.push_str(HIDDEN);
                at += length;
            }
            _ => {
                out.push(said[at]);
                at += 1;
            }
        }
    }
    out
}

/// How many characters `text` begins with that stand together in `secret`.
fn common(text: &[char], secret: &[char]) -> usize {
    let from = |start: usize| text.iter().zip(&secret[start..]).take_while(|(a, b)| a == b).count();
    (0..secret.len()).map(from).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_whole_and_in_parts() {
        assert_eq!(
            without("bash: hunter2: command not found", "hunter2"),
            "bash: [password]: command not found"
        );
        assert_eq!(
            without("zsh: command not found: correct", "correct horse a"),
            "zsh: command not found: [password]"
        );
        assert_eq!(without("nothing", ""), "nothing");
        // Cut where a shell cuts.
        let secret = r#"hunter;secret&quiet$(house)'"\` |more<less>"#;
        let said = "sh: hunter: not found; sh: 1: secret: not found; quiet: x; house; more: No such file; `less>`";
        let shown = without(said, secret);
        for part in ["hunter", "secret", "quiet", "house", "more", "less"] {
            assert!(!shown.contains(part), "{part}: {shown}");
        }
        assert_eq!(without("ab cd", "x"), "ab cd");
        assert_eq!(without("grüße: not found", "a;grüße"), "[password]: not found");
    }
}
