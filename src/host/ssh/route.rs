//! From an inventory's target to the hops that lead to it: the inventory wins over `~/.ssh/config`, which wins over defaults.

use std::path::{Path, PathBuf};

use super::environment::SshEnvironment;
use super::known_hosts::HostId;
use super::settings::{AgentChoice, Algorithms, Settings};
use super::tokens::{self, Tokens};
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
    /// `ProxyCommand`, which leads there instead of a TCP connection.
    pub(super) proxy: Option<String>,
    /// How its key is looked up; the first name is the one that gets pinned.
    pub(super) id: HostId,
    /// Where its key may be pinned.
    pub(super) known_hosts: Vec<PathBuf>,
    /// `RevokedHostKeys`.
    pub(super) revoked: Option<PathBuf>,
    /// What may be offered at the login.
    pub(super) identities: Identities,
    /// Whether the operator may be asked for a password or a code.
    pub(super) asks: bool,
    /// What the operator's OpenSSH would use.
    pub(super) algorithms: Algorithms,
}

impl Hop {
    /// `user@host:port`, for the operator and as a key of shared connections.
    pub(super) fn label(&self) -> String {
        format!("{}@{}", self.user, self.place())
    }

    /// As OpenSSH's `ssh` takes it.
    pub(super) fn by_hand(&self) -> String {
        format!("{}@{} -p {}", self.user, self.host, self.port)
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
    /// `PKCS11Provider`: a library that only the agent may load.
    pub(super) pkcs11: Option<String>,
}

/// The way to `target`.
///
/// # Errors
/// `~/.ssh/config` cannot be understood.
pub(super) async fn route(target: &SshTarget, env: &SshEnvironment) -> Result<Route, Trouble> {
    let typed = Jump {
        host: target.host.clone(),
        port: target.port,
        user: target.user.clone(),
    };
    let mut last = Asked::about(typed, "root", target, env).await?;
    // Typed jumps replace the configuration's. Where it names no login, OpenSSH takes the operator's own for them.
    let (mut jumps, login) = match target.jump.is_empty() {
        true => (last.behind(), tokens::local_user().unwrap_or_else(|| last.user.clone())),
        false => {
            last.settings.proxy_command = None;
            (target.jump.clone(), last.user.clone())
        }
    };
    let mut hops = Vec::new();
    // From the target outwards; the outermost may have a jump of its own in the configuration.
    while let Some(jump) = jumps.pop() {
        if hops.len() >= LONGEST {
            let why = format!("more than {LONGEST} chained jump hosts");
            return Err(unreadable(&target.host, why));
        }
        hops.push(last.hop(target, env, false)?);
        last = Asked::about(jump, &login, target, env).await?;
        if jumps.is_empty() {
            jumps = last.behind();
        }
    }
    hops.push(last.hop(target, env, true)?);
    let host = hops.remove(0);
    hops.reverse();
    Ok(Route {
        jumps: hops,
        target: host,
    })
}

/// A hop, and what the configuration says of it.
struct Asked {
    typed: Jump,
    user: String,
    settings: Settings,
}

impl Asked {
    async fn about(typed: Jump, usual: &str, target: &SshTarget, env: &SshEnvironment) -> Result<Self, Trouble> {
        let ask = async |user: Option<&str>| match target.use_config {
            true => env
                .settings(&typed.host, user, typed.port)
                .await
                .map_err(|why| unreadable(&typed.host, why)),
            false => Ok(Settings::default()),
        };
        let mut settings = ask(typed.user.as_deref()).await?;
        let named = typed.user.clone().or(settings.user.clone());
        if named.is_none() && settings != Settings::default() {
            // `Match user` asks for the login that will be used.
            settings = ask(Some(usual)).await?;
        }
        Ok(Self {
            user: named.unwrap_or_else(|| usual.to_owned()),
            typed,
            settings,
        })
    }

    /// The jumps that the configuration wants in front.
    fn behind(&mut self) -> Vec<Jump> {
        self.settings.jump.take().unwrap_or_default()
    }

    fn hop(&self, target: &SshTarget, env: &SshEnvironment, outermost: bool) -> Result<Hop, Trouble> {
        let Self { typed, user, settings } = self;
        let host = settings.hostname.clone().unwrap_or_else(|| typed.host.clone());
        let port = typed.port.or(settings.port).unwrap_or(22);
        let alias = settings.host_key_alias.as_deref();
        let tokens = Tokens {
            home: &env.home,
            typed: &typed.host,
            host: &host,
            port,
            user,
            alias,
        };
        let wrong = |why| unreadable(&typed.host, why);
        let paths = |texts: &[String]| {
            let paths = texts.iter().map(|text| tokens.path(text));
            paths.collect::<Result<Vec<PathBuf>, String>>().map_err(wrong)
        };
        let mut known_hosts = vec![target.known_hosts.clone()];
        if target.use_config {
            let (user, global) = usual_known_hosts(env);
            known_hosts.extend(settings.known_hosts.as_deref().map_or(Ok(user), paths)?);
            known_hosts.extend(settings.global_known_hosts.as_deref().map_or(Ok(global), paths)?);
        }
        let proxy = settings.proxy().filter(|_| outermost);
        let agent = match &settings.agent {
            Some(AgentChoice::Nobody) => None,
            Some(AgentChoice::Socket(path)) => Some(tokens.path(path).map_err(wrong)?),
            Some(AgentChoice::Variable(name)) => std::env::var_os(name).map(PathBuf::from),
            Some(AgentChoice::Usual) | None => env.agent.clone(),
        };
        let identities = Identities {
            certificates: paths(&settings.certificates)?,
            agent,
            pkcs11: settings.pkcs11.clone(),
            ..files(&target.identity, paths(&settings.identity)?, settings, &env.home)
        };
        Ok(Hop {
            id: names(&typed.host, &host, port, alias),
            known_hosts,
            revoked: paths(settings.revoked.as_slice())?.pop(),
            identities,
            proxy: proxy
                .map(|command| tokens.command(command))
                .transpose()
                .map_err(wrong)?,
            asks: !settings.batch.unwrap_or_default(),
            algorithms: settings.algorithms.clone(),
            user: user.clone(),
            host,
            port,
        })
    }
}

/// How the host's key is looked up. An alias stands for host and port.
fn names(typed: &str, host: &str, port: u16, alias: Option<&str>) -> HostId {
    let Some(alias) = alias else {
        let mut names = vec![typed.to_owned(), host.to_owned()];
        names.dedup();
        return HostId { names, port };
    };
    HostId {
        // The second is what quorate pinned before it read aliases as OpenSSH does.
        names: vec![alias.to_owned(), format!("[{alias}]:{port}")],
        port: 22,
    }
}

fn usual_known_hosts(env: &SshEnvironment) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let both = |directory: &Path, name: &str| vec![directory.join(name), directory.join(format!("{name}2"))];
    (
        both(&env.home.join(".ssh"), "known_hosts"),
        both(&env.system, "ssh_known_hosts"),
    )
}

/// The key files: typed ones alone, else those of the configuration, else the usual ones.
fn files(typed: &[PathBuf], configured: Vec<PathBuf>, settings: &Settings, home: &Path) -> Identities {
    let only = settings.identities_only.unwrap_or_default();
    let (files, only, named) = match (typed.is_empty(), configured.is_empty()) {
        (false, _) => (typed.to_vec(), true, true),
        (true, false) => (configured, only, true),
        (true, true) => (usual_files(home), only, false),
    };
    Identities {
        files,
        only,
        named,
        ..Identities::default()
    }
}

/// The key files that OpenSSH tries where none is named.
pub(super) fn usual_files(home: &Path) -> Vec<PathBuf> {
    ["id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"]
        .map(|name| home.join(".ssh").join(name))
        .to_vec()
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
