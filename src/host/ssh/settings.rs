//! What `~/.ssh/config` says of one host: the keywords that quorate honours.

use std::path::{Path, PathBuf};

use crate::inventory::Jump;

/// The honoured keywords for one host; what the file does not mention is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// `HostName`, `%h` filled in.
    pub(super) hostname: Option<String>,
    /// `User`.
    pub(super) user: Option<String>,
    /// `Port`.
    pub(super) port: Option<u16>,
    /// `IdentityFile`, in order.
    pub(super) identity: Vec<PathBuf>,
    /// `CertificateFile`, in order.
    pub(super) certificates: Vec<PathBuf>,
    /// `IdentitiesOnly yes`.
    pub(super) identities_only: bool,
    /// `IdentityAgent`.
    pub(super) agent: Option<AgentChoice>,
    /// `ProxyJump`, outermost first; `Some` of an empty list for `none`.
    pub(super) jump: Option<Vec<Jump>>,
    /// `ProxyCommand`, which quorate does not run.
    pub(super) proxy_command: Option<String>,
    /// `UserKnownHostsFile`.
    pub(super) known_hosts: Option<Vec<PathBuf>>,
    /// `HostKeyAlias`.
    pub(super) host_key_alias: Option<String>,
    identities_only_seen: bool,
}

/// `IdentityAgent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AgentChoice {
    /// `none`: no agent.
    Nobody,
    /// `SSH_AUTH_SOCK`: the usual one.
    Usual,
    /// This socket.
    Socket(PathBuf),
}

/// The host that is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// As typed.
    pub(super) host: &'a str,
    /// The operator's home directory.
    pub(super) home: &'a Path,
}

impl Settings {
    /// Takes one `keyword value...` line that holds for the host. As in ssh_config(5) the first value wins, except for
    /// `IdentityFile` and `CertificateFile`, which add up. Unknown keywords are ignored.
    ///
    /// # Errors
    /// A value that cannot be read, as a sentence.
    pub(super) fn take(&mut self, keyword: &str, values: &[String], subject: Subject<'_>) -> Result<(), String> {
        let Some(first) = values.first() else {
            return Ok(());
        };
        let path = |text: &String| subject.path(text);
        match keyword.to_ascii_lowercase().as_str() {
            "hostname" => keep(&mut self.hostname, || Ok(subject.fill(first)))?,
            "user" => keep(&mut self.user, || Ok(first.clone()))?,
            "port" => keep(&mut self.port, || {
                first.parse().map_err(|_| format!("`Port {first}` is not a port"))
            })?,
            "identityfile" if first != "none" => self.identity.push(path(first)),
            "certificatefile" if first != "none" => self.certificates.push(path(first)),
            "identitiesonly" if !self.identities_only_seen => {
                self.identities_only_seen = true;
                self.identities_only = matches!(first.as_str(), "yes" | "true");
            }
            "identityagent" => keep(&mut self.agent, || {
                Ok(match first.as_str() {
                    "none" => AgentChoice::Nobody,
                    "SSH_AUTH_SOCK" => AgentChoice::Usual,
                    _ => AgentChoice::Socket(path(first)),
                })
            })?,
            // Whichever of the two stands first disables the other.
            "proxyjump" if self.proxy_command.is_none() => keep(&mut self.jump, || jumps(first))?,
            "proxycommand" if self.jump.is_none() && first != "none" => {
                keep(&mut self.proxy_command, || Ok(values.join(" ")))?;
            }
            "userknownhostsfile" => keep(&mut self.known_hosts, || {
                Ok(values.iter().filter(|file| *file != "none").map(path).collect())
            })?,
            "hostkeyalias" => keep(&mut self.host_key_alias, || Ok(first.clone()))?,
            _ => {}
        }
        Ok(())
    }
}

fn keep<T>(slot: &mut Option<T>, value: impl FnOnce() -> Result<T, String>) -> Result<(), String> {
    if slot.is_none() {
        *slot = Some(value()?);
    }
    Ok(())
}

impl Subject<'_> {
    fn fill(&self, text: &str) -> String {
        // `%%` first would turn `%%h` into the host's name.
        let parts: Vec<String> = text.split("%%").map(|part| part.replace("%h", self.host)).collect();
        parts.join("%")
    }

    fn path(&self, text: &str) -> PathBuf {
        let home = self.home.to_string_lossy();
        let parts: Vec<String> = text
            .split("%%")
            .map(|part| part.replace("%h", self.host).replace("%d", &home))
            .collect();
        let text = parts.join("%");
        match text.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => PathBuf::from(text),
        }
    }
}

/// `[user@]host[:port]`, separated by commas, outermost first; `none` for no jump.
fn jumps(text: &str) -> Result<Vec<Jump>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    text.split(',').map(jump).collect()
}

fn jump(text: &str) -> Result<Jump, String> {
    let refuse = || format!("`{text}` is not a jump host: write [user@]host[:port]");
    let spec = text.strip_prefix("ssh://").unwrap_or(text).trim_end_matches('/');
    let (user, place) = match spec.rsplit_once('@') {
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, spec),
    };
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(refuse)?;
            (
                host,
                after
                    .strip_prefix(':')
                    .or(after.is_empty().then_some(""))
                    .ok_or_else(refuse)?,
            )
        }
        // More than one colon: an IPv6 address without a port.
        None if place.matches(':').count() > 1 => (place, ""),
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let port = match port {
        "" => None,
        digits => Some(digits.parse().map_err(|_| refuse())?),
    };
    if host.is_empty() || user.as_deref() == Some("") {
        return Err(refuse());
    }
    Ok(Jump {
        host: host.to_owned(),
        port,
        user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_hosts_take_every_form_that_openssh_takes() {
        let jump = |host: &str, port, user: Option<&str>| Jump {
            host: host.into(),
            port,
            user: user.map(Into::into),
        };
        assert_eq!(
            jumps("me@bast:2200,second,[fd00::1]:22,fd00::2,ssh://u@h:1").unwrap(),
            [
                jump("bast", Some(2200), Some("me")),
                jump("second", None, None),
                jump("fd00::1", Some(22), None),
                jump("fd00::2", None, None),
                jump("h", Some(1), Some("u")),
            ]
        );
        assert_eq!(jumps("none").unwrap(), []);
        for bad in ["", "a:b", "@h", "[::1", "a,,b", "h:70000"] {
            assert!(jumps(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn percent_signs_are_filled_in_once() {
        let subject = Subject {
            host: "h%d",
            home: Path::new("/home/me"),
        };
        assert_eq!(subject.fill("x-%h-%%h"), "x-h%d-%h");
        let subject = Subject {
            host: "web",
            home: Path::new("/home/me"),
        };
        assert_eq!(subject.path("~/.ssh/%h"), Path::new("/home/me/.ssh/web"));
        assert_eq!(subject.path("%d/keys/a"), Path::new("/home/me/keys/a"));
    }
}
