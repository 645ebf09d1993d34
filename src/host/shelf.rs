//! A directory of a host that files are kept in. The host need not be one of the cluster's.

use std::sync::Arc;

use super::scripts::HostScript;
use super::trouble::{not_understood, passed, script_failed};
use super::verbs::no_input;
use super::{HostError, Output, Running, Script, Stdin, Transport, scripts};
use crate::bounds::Exceeded;
use crate::inventory::NodeName;

/// A directory on a machine with a connection to it.
#[derive(Clone)]
pub struct Shelf {
    node: NodeName,
    transport: Arc<dyn Transport>,
    directory: String,
}

impl Shelf {
    /// The directory, which is made when something is put there.
    pub fn new(node: NodeName, transport: Arc<dyn Transport>, directory: String) -> Self {
        Self {
            node,
            transport,
            directory,
        }
    }

    /// Puts a file there: whole, with that SHA-256 (hex), or not at all. False when the name is taken.
    ///
    /// # Errors
    /// When it cannot be written, or something else arrives.
    pub async fn put(&self, name: &str, sha256: &str, content: Stdin) -> Result<bool, HostError> {
        let operation = "keeping a file";
        let args = ["put", &self.directory, name, sha256];
        let output = self.call(operation, scripts::SHELF, &args, content).await?;
        match output.stdout.as_slice() {
            b"done\n" => Ok(true),
            b"exists\n" => Ok(false),
            _ => Err(not_understood(
                &self.node,
                operation,
                "the host did not confirm that it is done",
            )),
        }
    }

    /// The backups there: bytes and name.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn list(&self) -> Result<Vec<(u64, String)>, HostError> {
        let output = self
            .call(
                "listing files",
                scripts::SHELF_LOOK,
                &["list", &self.directory],
                no_input(),
            )
            .await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(lines
            .filter_map(|(bytes, name)| Some((bytes.parse().ok()?, name.to_owned())))
            .collect())
    }

    /// The first bytes of a file.
    ///
    /// # Errors
    /// When there is none.
    pub async fn begins(&self, name: &str, bytes: u64) -> Result<Vec<u8>, HostError> {
        let bytes = bytes.to_string();
        let args = ["begins", &self.directory, name, &bytes];
        Ok(self
            .call("reading a file", scripts::SHELF_LOOK, &args, no_input())
            .await?
            .stdout)
    }

    /// Begins to read a file; its standard output is the content.
    ///
    /// # Errors
    /// When the host cannot be reached. A file that is not there shows at the end.
    pub async fn get(&self, name: &str) -> Result<Running, HostError> {
        let args = ["get", &self.directory, name];
        self.transport.spawn(&script(scripts::SHELF_GET, &args)).await
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// When that is not allowed.
    pub async fn delete(&self, name: &str) -> Result<(), HostError> {
        let args = ["delete", &self.directory, name];
        self.call("deleting a file", scripts::SHELF_LOOK, &args, no_input())
            .await
            .map(drop)
    }

    /// What passing a limit means.
    pub fn passed(&self, operation: &str, exceeded: Exceeded) -> HostError {
        passed(&self.node, operation, exceeded)
    }

    /// What a script that failed means.
    pub fn failed(&self, operation: &str, output: &Output) -> HostError {
        script_failed(&self.node, operation, output)
    }

    async fn call(
        &self,
        operation: &str,
        host_script: HostScript,
        args: &[&str],
        stdin: Stdin,
    ) -> Result<Output, HostError> {
        let output = self.transport.run(&script(host_script, args), stdin).await?;
        match output.ok() {
            true => Ok(output),
            false => Err(script_failed(&self.node, operation, &output)),
        }
    }
}

fn script(script: HostScript, args: &[&str]) -> Script {
    script.with(args.iter().map(|arg| (*arg).to_owned()).collect())
}
