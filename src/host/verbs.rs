//! [`Host`]: a machine with a connection to it.

use std::sync::Arc;

use super::scripts::HostScript;
use super::trouble::script_failed;
use super::{HostError, Output, Stdin, Transport};
use crate::inventory::{DesiredHost, NodeName, Paths, ServiceManager, ServiceName};

/// One machine, the member on it, and the connection to it. Cheap to clone.
///
/// Every verb (an async method) is one round trip, and says in its error what it was about.
#[derive(Clone)]
pub struct Host {
    pub(super) node: NodeName,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) paths: Paths,
    pub(super) service: ServiceName,
    pub(super) manager: ServiceManager,
}

impl Host {
    /// The host of `desired`, reached through `transport`.
    pub fn new(desired: &DesiredHost, transport: Arc<dyn Transport>) -> Self {
        Self {
            node: desired.name.clone(),
            transport,
            paths: desired.paths.clone(),
            service: desired.service.clone(),
            manager: desired.service_manager,
        }
    }

    /// The host's name.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The connection, for tunnels.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Runs one of quorate's own scripts; anything but exit status 0 is an error.
    pub(super) async fn call(
        &self,
        operation: &str,
        script: HostScript,
        args: Vec<String>,
        stdin: Stdin,
    ) -> Result<Output, HostError> {
        let output = self.transport.run(&script.with(args), stdin).await?;
        if output.ok() {
            Ok(output)
        } else {
            Err(script_failed(&self.node, operation, &output))
        }
    }

    /// The unit's name as the scripts take it.
    pub(super) fn unit(&self) -> String {
        format!("{}.service", self.service)
    }

    /// The service manager as the scripts take it.
    pub(super) fn manager_word(&self) -> String {
        match self.manager {
            ServiceManager::Systemd => "systemd",
            ServiceManager::Process => "process",
        }
        .to_owned()
    }

    /// `paths.wal` as the scripts take it.
    pub(super) fn wal_word(&self) -> String {
        self.paths.wal.as_ref().map_or("-".to_owned(), ToString::to_string)
    }
}

/// A standard input that is empty.
pub(super) fn no_input() -> Stdin {
    Box::pin(tokio::io::empty())
}

/// A standard input that holds `bytes`.
pub(super) fn input(bytes: impl Into<Vec<u8>>) -> Stdin {
    Box::pin(std::io::Cursor::new(bytes.into()))
}
