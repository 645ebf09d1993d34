//! From an inventory's target to the hops that lead to it: the inventory wins over `~/.ssh/config`, which wins over defaults.

use std::path::{Path, PathBuf};

use super::environment::SshEnvironment;
use super::known_hosts::HostId;
use super::settings::{AgentChoice, Settings};
use super::trouble::Trouble;
use crate::inventory::{Jump, SshTarget};

/// Longest chain of jump hosts; more is a loop in `~/.ssh/config`.
const LONGEST: usize = 8;

/// One SSH server on the way, with everything that is needed to log in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    /// Name or address that is dialled.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
    /// Login.
    pub(super) user: String,
    /// How its key is looked up; the first name is the one that gets pinned.
    pub(super) id: HostId,
    /// Where its key may be pinned.
    pub(super) known_hosts: Vec<PathBuf>,
    /// What may be offered at the login.
    pub(super) identities: Identities,
}

impl Hop {
    /// `user@host:port`, for the operator and as a key of shared connections.
    pub(super) fn label(&self) -> String {
        format!("{}@{}", self.user, self.place())
    }

    /// `host:port`.
    pub(super) fn place(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// The way to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Bastions, outermost first.
    pub(super) jumps: Vec<Hop>,
    /// The host itself.
    pub(super) target: Hop,
}

/// What may be offered at a login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identities {
    /// Key files, in order.
    pub(super) files: Vec<PathBuf>,
    /// Certificate files beside those next to the keys.
    pub(super) certificates: Vec<PathBuf>,
    /// Offer only keys of `files` (the agent may hold them); else the agent's other keys too.
    pub(super) only: bool,
    /// The files were named by somebody, so a missing one is worth telling.
    pub(super) named: bool,
    /// The agent's socket.
    pub(super) agent: Option<PathBuf>,
}

/// The way to `target`.
///
/// # Errors
/// `~/.ssh/config` cannot be understood, or wants something that quorate does not do.
pub(super) async fn route(target: &SshTarget, env: &SshEnvironment) -> Result<Route, Trouble> {
    let ask = async |host: &str, user: Option<&str>, port: Option<u16>| match target.use_config {
        true => env
            .settings(host, user, port)
            .await
            .map_err(|why| unreadable(host, why)),
        false => Ok(Settings::default()),
    };
    let mut settings = ask(&target.host, target.user.as_deref(), target.port).await?;
    let user = target
        .user
        .clone()
        .or(settings.user.clone())
        .unwrap_or_else(|| "root".to_owned());
    let typed = Typed {
        host: &target.host,
        port: target.port,
        user: &user,
    };
    let host = hop(target, typed, &settings, env);
    let mut hops = Vec::new();

    // Typed jumps replace the configuration's; the outermost may have a jump of its own there.
    let mut jumps = match target.jump.is_empty() {
        true => behind(&target.host, &mut settings)?,
        false => target.jump.clone(),
    };
    while let Some(jump) = jumps.pop() {
        if hops.len() >= LONGEST {
            let why = format!("more than {LONGEST} chained jump hosts");
            return Err(unreadable(&target.host, why));
        }
        let mut settings = ask(&jump.host, jump.user.as_deref(), jump.port).await?;
        let login = jump
            .user
            .clone()
            .or(settings.user.clone())
            .unwrap_or_else(|| user.clone());
        let typed = Typed {
            host: &jump.host,
            port: jump.port,
            user: &login,
        };
        hops.insert(0, hop(target, typed, &settings, env));
        if jumps.is_empty() {
            jumps = behind(&jump.host, &mut settings)?;
        }
    }
    Ok(Route {
        jumps: hops,
        target: host,
    })
}

/// The jumps that the configuration wants in front of `host`.
fn behind(host: &str, settings: &mut Settings) -> Result<Vec<Jump>, Trouble> {
    match (&settings.proxy_command, settings.jump.take()) {
        (Some(command), _) => Err(Trouble::Connect {
            target: host.to_owned(),
            why: format!("~/.ssh/config sets `ProxyCommand {command}`, which quorate does not run"),
            hint: "use ProxyJump there, or set the bastions in the inventory (ssh.jump)".to_owned(),
        }),
        (None, jumps) => Ok(jumps.unwrap_or_default()),
    }
}

struct Typed<'a> {
    host: &'a str,
    port: Option<u16>,
    user: &'a str,
}

fn hop(target: &SshTarget, typed: Typed<'_>, settings: &Settings, env: &SshEnvironment) -> Hop {
    let host = settings.hostname.clone().unwrap_or_else(|| typed.host.to_owned());
    let mut names = match &settings.host_key_alias {
        Some(alias) => vec![alias.clone()],
        None => vec![typed.host.to_owned(), host.clone()],
    };
    names.dedup();
    let mut known_hosts = vec![target.known_hosts.clone()];
    if target.use_config {
        let usual = || vec![env.home.join(".ssh/known_hosts"), env.home.join(".ssh/known_hosts2")];
        known_hosts.extend(settings.known_hosts.clone().unwrap_or_else(usual));
    }
    let port = typed.port.or(settings.port).unwrap_or(22);
    Hop {
        host,
        port,
        user: typed.user.to_owned(),
        id: HostId { names, port },
        known_hosts,
        identities: identities(&target.identity, settings, &env.home, env.agent.as_deref()),
    }
}

fn identities(typed: &[PathBuf], settings: &Settings, home: &Path, agent: Option<&Path>) -> Identities {
    let agent = match &settings.agent {
        Some(AgentChoice::Nobody) => None,
        Some(AgentChoice::Socket(path)) => Some(path.clone()),
        Some(AgentChoice::Usual) | None => agent.map(Path::to_owned),
    };
    let certificates = settings.certificates.clone();
    if !typed.is_empty() {
        return Identities {
            files: typed.to_vec(),
            certificates,
            only: true,
            named: true,
            agent,
        };
    }
    let named = !settings.identity.is_empty();
    let usual = || {
        ["id_ed25519", "id_ecdsa", "id_rsa"]
            .map(|name| home.join(".ssh").join(name))
            .to_vec()
    };
    Identities {
        files: if named { settings.identity.clone() } else { usual() },
        certificates,
        only: settings.identities_only,
        named,
        agent,
    }
}

fn unreadable(host: &str, why: String) -> Trouble {
    Trouble::Connect {
        target: host.to_owned(),
        why: format!("its SSH configuration cannot be used: {why}"),
        hint: "fix ~/.ssh/config, or set `ssh.config: false` in the inventory and configure host, user and keys there"
            .to_owned(),
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
