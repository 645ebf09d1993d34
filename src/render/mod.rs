//! `Desired` to the bytes of every file that lands on a host. Pure: the same input gives the same bytes.
//!
//! | file | what |
//! |---|---|
//! | `config` | etcd's configuration file |
//! | `defaults` | what quorate sets where the inventory is silent, per etcd release |
//! | `initial` | the `initial-*` settings: making, reading back, comparing without them |
//! | `unit` | the systemd unit |
//! | `schedule` | unit and timer of scheduled backups |
//! | `etcdctl` | the environment file for an etcdctl on the host |
//! | `yaml` | values as YAML that nothing can break out of |
//! | `templates` | the files below `templates/`, built into the program |
//! | `diff` | what would change, for the operator's eyes |
//!
//! No file made here holds a secret: keys are made and pushed by other rooms.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

mod config;
mod defaults;
mod diff;
mod etcdctl;
mod initial;
mod schedule;
pub(crate) mod templates;
#[cfg(test)]
mod tests;
mod unit;
mod yaml;

use sha2::{Digest, Sha256};

use crate::inventory::{Desired, DesiredHost, HostPath, NodeName, ServiceManager};

pub use config::{CRL, written_for};
pub use diff::unified_diff;
pub use etcdctl::path as etcdctl_path;
pub use initial::{InitialCluster, InitialState, initial_of, initial_token, option_in, same_but_initial};
pub use schedule::{SchedulePaths, render_schedule};
pub use unit::{release_of, unit_path};

/// One file as it should be on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Where it lands.
    pub path: HostPath,
    /// Permission bits.
    pub mode: u32,
    /// The account that owns it.
    pub owner: String,
    /// Its content.
    pub text: String,
    /// SHA-256 of `text`, hex.
    pub sha256: String,
}

impl RenderedFile {
    /// A file of a host, owned by whoever may change it there.
    pub fn new(path: HostPath, host: &DesiredHost, text: String) -> Self {
        Self {
            path,
            // None of these files holds a secret, and `started` (see `unit`) is made by the service's account.
            mode: 0o644,
            owner: match host.service_manager {
                ServiceManager::Systemd => "root".to_owned(),
                ServiceManager::Process => host.user.to_string(),
            },
            sha256: hex::encode(Sha256::digest(&text)),
            text,
        }
    }
}

/// Why a file cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A template refers to something it was not given: a mistake in the program.
    #[error("template {template}: {why}")]
    #[allow(missing_docs)]
    Template { template: &'static str, why: String },
    /// `etcd.config` sets what quorate derives from the rest of the inventory.
    #[error("{node}: `etcd.config` sets `{option}`, which quorate sets itself from the rest of the inventory")]
    #[allow(missing_docs)]
    Managed { node: NodeName, option: String },
    /// `etcd.config` has a key that cannot be one of etcd's options.
    #[error("{node}: `{option}` in `etcd.config` cannot be an option of etcd")]
    #[allow(missing_docs)]
    OptionName { node: NodeName, option: String },
    /// etcd refuses to start for the first time without itself in `initial-cluster`, at exactly its own peer URL.
    #[error("{node}: `initial-cluster` must hold {node}={peer_url}, and holds {found}")]
    #[allow(missing_docs)]
    NotInInitialCluster {
        node: NodeName,
        peer_url: String,
        found: String,
    },
    /// The environment file for etcdctl is named after the configuration file, which leaves it no room.
    #[error("{node}: no file for etcdctl can be placed next to {config}: the path is too long")]
    #[allow(missing_docs)]
    EtcdctlPath { node: NodeName, config: HostPath },
    /// systemd makes run-time directories below /run only.
    #[error("{node}: the run-time directory {run} is not below /run")]
    #[allow(missing_docs)]
    RunDirectory { node: NodeName, run: HostPath },
}

impl RenderError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            RenderError::Template { .. } | RenderError::RunDirectory { .. } => {
                "this is a bug in quorate: please report it with the inventory"
            }
            RenderError::Managed { .. } => {
                "remove it from `etcd.config`; ports, paths, addresses and certificates have their own keys"
            }
            RenderError::EtcdctlPath { .. } => "choose a shorter `paths.config`",
            RenderError::OptionName { .. } => "use etcd's own name of the option: a-z, 0-9 and `-`",
            RenderError::NotInInitialCluster { .. } => "see `quorate members`: the list and the inventory disagree",
        }
    }
}

/// Every file without secrets that `host` should have, in the order of their paths.
///
/// # Errors
/// When `desired` asks for something etcd or systemd could not be given; nothing is rendered then.
pub fn render_host(
    desired: &Desired,
    host: &DesiredHost,
    initial: &InitialCluster,
) -> Result<Vec<RenderedFile>, RenderError> {
    let mut files = vec![
        RenderedFile::new(host.paths.config.clone(), host, config::text(desired, host, initial)?),
        RenderedFile::new(etcdctl::path(host)?, host, etcdctl::text(desired, host)?),
    ];
    if host.service_manager == ServiceManager::Systemd {
        files.push(RenderedFile::new(
            unit_path(&host.service),
            host,
            unit::text(desired, host)?,
        ));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
