//! What `recover` is asked for, and what it tells of the members that are left.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::etcd::RaftLog;
use crate::inventory::{Desired, HostPath, NodeName};
use crate::ops::model::Fact;

/// The reason in the manifest of the backup that a recovery goes on from.
pub const REASON: &str = "recover";

/// What `recover` was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverOrder {
    /// Go on from this member, whoever is the newest.
    pub from: Option<NodeName>,
    /// Hosts that are gone and take no part.
    pub without: Vec<NodeName>,
    /// How far the log of each host goes. `Absent`: it has no data.
    pub logs: BTreeMap<NodeName, Fact<RaftLog>>,
}

/// Where a private etcd on a copy of the data runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescue {
    /// The directory of the copy.
    pub at: HostPath,
    /// The program that runs on it.
    pub etcd: HostPath,
}

impl RecoverOrder {
    /// The raft logs side by side, and what may be lost with going on from `chosen`; a line each.
    pub fn side_by_side(&self, desired: &Desired, chosen: &NodeName) -> Vec<String> {
        let mut lines: Vec<String> = desired.order.iter().map(|name| self.line(name, chosen)).collect();
        let logs = self.logs.values().filter_map(Fact::known);
        let furthest = logs.map(|log| log.last).max().unwrap_or(0);
        if let Some(log) = self.logs.get(chosen).and_then(Fact::known) {
            lines.push(match furthest.saturating_sub(log.committed) {
                0 => format!(
                    "may be lost: what the lost members acknowledged after index {} and {chosen} never received",
                    log.committed
                ),
                beyond => format!(
                    "may be lost: the entries {} to {furthest} ({beyond}), which no survivor knows to be committed, and what \
                     the lost members acknowledged after that",
                    log.committed + 1
                ),
            });
        }
        lines
    }

    fn line(&self, name: &NodeName, chosen: &NodeName) -> String {
        let mark = if name == chosen { " <- survivor" } else { "" };
        match self.logs.get(name) {
            Some(Fact::Known(log)) => format!(
                "{name}: committed {}, last {} of term {}, term {}{mark}",
                log.committed, log.last, log.last_term, log.term
            ),
            Some(Fact::Absent) => format!("{name}: no data"),
            Some(Fact::Unknown(why)) => format!("{name}: {why}{mark}"),
            None if self.without.contains(name) => format!("{name}: excluded"),
            None => format!("{name}: not inspected"),
        }
    }
}
