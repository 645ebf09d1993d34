//! What `~/.ssh/config` says of one host: the keywords that quorate honours.

use std::path::Path;

use crate::inventory::Jump;

/// The honoured keywords for one host; what the file does not mention is `None` or empty. Paths are as typed: what their
/// tokens stand for is known once the whole file is read ([`super::tokens`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// `HostName`, `%h` filled in.
    pub(super) hostname: Option<String>,
    /// `User`.
    pub(super) user: Option<String>,
    /// `Port`.
    pub(super) port: Option<u16>,
    /// `IdentityFile`, in order.
    pub(super) identity: Vec<String>,
    /// `CertificateFile`, in order.
    pub(super) certificates: Vec<String>,
    /// `IdentitiesOnly yes`.
    pub(super) identities_only: Option<bool>,
    /// `IdentityAgent`.
    pub(super) agent: Option<AgentChoice>,
    /// `PKCS11Provider`, which quorate leaves to the agent.
    pub(super) pkcs11: Option<String>,
    /// `ProxyJump`, outermost first; `Some` of an empty list for `none`.
    pub(super) jump: Option<Vec<Jump>>,
    /// `ProxyCommand`.
    pub(super) proxy_command: Option<String>,
    /// `UserKnownHostsFile`.
    pub(super) known_hosts: Option<Vec<String>>,
    /// `GlobalKnownHostsFile`.
    pub(super) global_known_hosts: Option<Vec<String>>,
    /// `RevokedHostKeys`.
    pub(super) revoked: Option<String>,
    /// `HostKeyAlias`.
    pub(super) host_key_alias: Option<String>,
    /// `BatchMode yes`: nobody is asked for anything.
    pub(super) batch: Option<bool>,
    /// Algorithms that the operator's OpenSSH uses.
    pub(super) algorithms: Algorithms,
}

/// Names of algorithms, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Algorithms {
    /// `KexAlgorithms`.
    pub(super) kex: Vec<String>,
    /// `HostKeyAlgorithms`.
    pub(super) host_keys: Vec<String>,
    /// `Ciphers`.
    pub(super) ciphers: Vec<String>,
    /// `MACs`.
    pub(super) macs: Vec<String>,
}

/// `IdentityAgent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AgentChoice {
    /// `none`: no agent.
    Nobody,
    /// `SSH_AUTH_SOCK`: the usual one.
    Usual,
    /// The socket that an environment variable names.
    Variable(String),
    /// This socket.
    Socket(String),
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
        let text = || Ok(first.clone());
        let yes = || Ok(matches!(first.as_str(), "yes" | "true"));
        let files = || Ok(values.iter().filter(|file| *file != "none").cloned().collect());
        match keyword.to_ascii_lowercase().as_str() {
            "hostname" => keep(&mut self.hostname, || Ok(subject.fill(first)))?,
            "user" => keep(&mut self.user, text)?,
            "port" => keep(&mut self.port, || {
                first.parse().map_err(|_| format!("`Port {first}` is not a port"))
            })?,
            "identityfile" if first != "none" => self.identity.push(first.clone()),
            "certificatefile" if first != "none" => self.certificates.push(first.clone()),
            "identitiesonly" => keep(&mut self.identities_only, yes)?,
            "identityagent" => keep(&mut self.agent, || Ok(AgentChoice::of(first)))?,
            "pkcs11provider" if first != "none" => keep(&mut self.pkcs11, text)?,
            // Whichever of the two stands first disables the other.
            "proxyjump" if self.proxy_command.is_none() => keep(&mut self.jump, || jumps(first))?,
            "proxycommand" if self.jump.is_none() => {
                keep(&mut self.proxy_command, || Ok(values.join(" ")))?;
            }
            "userknownhostsfile" => keep(&mut self.known_hosts, files)?,
            "globalknownhostsfile" => keep(&mut self.global_known_hosts, files)?,
            "revokedhostkeys" if first != "none" => keep(&mut self.revoked, text)?,
            "hostkeyalias" => keep(&mut self.host_key_alias, text)?,
            "batchmode" => keep(&mut self.batch, yes)?,
            "kexalgorithms" => names(&mut self.algorithms.kex, first),
            "hostkeyalgorithms" => names(&mut self.algorithms.host_keys, first),
            "ciphers" => names(&mut self.algorithms.ciphers, first),
            "macs" => names(&mut self.algorithms.macs, first),
            _ => {}
        }
        Ok(())
    }

    /// The command that leads to the host, where one does.
    pub(super) fn proxy(&self) -> Option<&str> {
        self.proxy_command.as_deref().filter(|command| *command != "none")
    }
}

fn keep<T>(slot: &mut Option<T>, value: impl FnOnce() -> Result<T, String>) -> Result<(), String> {
    if slot.is_none() {
        *slot = Some(value()?);
    }
    Ok(())
}

/// A list of algorithms. `+` and `^` add to OpenSSH's defaults, `-` takes away from them: only what may be used is of
/// interest here.
fn names(slot: &mut Vec<String>, list: &str) {
    if slot.is_empty() && !list.starts_with('-') {
        let list = list.trim_start_matches(['+', '^']);
        slot.extend(list.split(',').map(str::to_owned));
    }
}

impl AgentChoice {
    fn of(text: &str) -> Self {
        match (text, text.strip_prefix('$')) {
            ("none", _) => AgentChoice::Nobody,
            ("SSH_AUTH_SOCK", _) => AgentChoice::Usual,
            (_, Some(name)) if !name.starts_with('{') => AgentChoice::Variable(name.to_owned()),
            _ => AgentChoice::Socket(text.to_owned()),
        }
    }
}

impl Subject<'_> {
    fn fill(&self, text: &str) -> String {
        // `%%` first would turn `%%h` into the host's name.
        let parts: Vec<String> = text.split("%%").map(|part| part.replace("%h", self.host)).collect();
        parts.join("%")
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
    }
}
