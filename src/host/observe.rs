//! `facts`: one look at a host, in one round trip.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use super::trouble::not_understood;
use super::verbs::no_input;
use super::{Host, HostError, HostFacts, facts_parser, scripts};
use crate::inventory::{HostPath, MARKER, UserName, Version};

/// What to look at besides the machine, the unit, the data directory and the lock, which are always looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactsQuery {
    /// Managed files of which the content is wanted (up to 1 MiB each; the content of a `*.key` is never read).
    pub contents: Vec<HostPath>,
    /// Managed files of which hash, mode and owner are enough.
    pub hashes: Vec<HostPath>,
    /// Directories that must be root's, where they exist and root is who scripts run as.
    pub roots: Vec<HostPath>,
    /// The account that the data will belong to, where that is not who scripts run as.
    pub account: Option<UserName>,
    /// What that account must be able to come to.
    pub footing: Vec<HostPath>,
    /// TCP ports to look for listeners on.
    pub ports: Vec<u16>,
    /// Paths whose file system's free space is wanted; they need not exist yet.
    pub disks: Vec<HostPath>,
    /// Releases of which the hashes are wanted; of the one that runs they come in any case, others are only listed.
    /// A binary that `push` verified is hashed again (0.1 s or more) only when its inode, size or change time differ.
    pub releases: BTreeSet<Version>,
}

/// When a question was sent and its answer was there, in seconds since 1970 by the operator's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sent {
    pub(super) at: f64,
    pub(super) answered: f64,
}

impl Host {
    /// Reads everything a plan needs from the host. Changes nothing.
    ///
    /// # Errors
    /// When the host cannot be reached, or when something is there but cannot be read: never taken for absent.
    pub async fn facts(&self, query: &FactsQuery) -> Result<HostFacts, HostError> {
        let operation = "inspecting the host";
        let at = operator_clock();
        let output = self
            .call(operation, scripts::OBSERVE, self.facts_args(query), no_input())
            .await?;
        let sent = Sent {
            at,
            answered: operator_clock(),
        };
        facts_parser::host_facts(&String::from_utf8_lossy(&output.stdout), &self.paths.bin, query, sent)
            .map_err(|why| not_understood(&self.node, operation, why))
    }

    fn facts_args(&self, query: &FactsQuery) -> Vec<String> {
        let paths = &self.paths;
        let mut args = vec![
            self.manager_word(),
            self.unit(),
            paths.data.to_string(),
            self.wal_word(),
            paths.bin.to_string(),
            paths.run.to_string(),
            paths.lock.to_string(),
            MARKER.to_owned(),
            paths.config.to_string(),
            scripts::LOOK_INSIDE.text.to_owned(),
        ];
        for path in &query.contents {
            let kind = if path.as_str().ends_with(".key") { 'h' } else { 'c' };
            args.push(format!("{kind}:{path}"));
        }
        args.extend(query.hashes.iter().map(|path| format!("h:{path}")));
        args.extend(query.account.iter().map(|name| format!("u:{name}")));
        args.extend(query.roots.iter().map(|path| format!("o:{path}")));
        args.extend(query.footing.iter().map(|path| format!("f:{path}")));
        args.extend(query.ports.iter().map(|port| format!("p:{port}:{port:04X}")));
        args.extend(query.disks.iter().map(|path| format!("d:{path}")));
        args.extend(query.releases.iter().map(|version| format!("r:{version}")));
        args
    }
}

/// The operator's clock. One before 1970 is as wrong as it gets: the offset will show it.
fn operator_clock() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
