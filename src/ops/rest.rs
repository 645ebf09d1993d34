//! The notes on hosts whose members are down on purpose, or had their turn in a restart of several.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::HostFacts;
use crate::inventory::{DesiredHost, HostPath, NodeName};

/// Why a member is down although nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// `maintain`: something is done to its host.
    Maintenance,
    /// `stop`: the whole cluster is down.
    Outage,
    /// `destroy`: the cluster is at its end.
    End,
}

/// The note that a member is down on purpose, on its host from before it stops until it was seen healthy again. It
/// outlives reboots, and the unit is disabled meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestNote {
    /// What for.
    pub purpose: Purpose,
    /// Since when, by the operator's clock.
    pub since: Timestamp,
    /// Who stopped it: `user@machine`.
    pub by: String,
}

impl RestNote {
    /// Where it is.
    pub fn path(host: &DesiredHost) -> HostPath {
        host.paths.rest_note()
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The note on a host. A file that is there and cannot be read counts as one: `Some(None)`.
    pub fn on(host: &DesiredHost, facts: &HostFacts) -> Option<Option<Self>> {
        let file = facts.files.get(&Self::path(host))?;
        Some(file.content.as_deref().and_then(|text| serde_json::from_str(text).ok()))
    }

    /// The note that says why the member of a host does not run. One beside a member that runs says nothing any more.
    pub fn in_force(host: &DesiredHost, facts: &HostFacts) -> Option<Self> {
        Self::on(host, facts).flatten().filter(|_| facts.service.pid.is_none())
    }

    /// Since when and by whom, for people.
    pub fn told(&self) -> String {
        format!("since {} by {}", self.since.strftime("%Y-%m-%d %H:%M:%SZ"), self.by)
    }
}

/// What a restart of several members leaves on each host right before that one's turn. Whoever continues the restart reads
/// from it who had a turn: another process runs since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnNote {
    /// When the restart was begun, by the operator's clock; the same on all its hosts.
    pub begun: Timestamp,
    /// Everybody who was to be restarted.
    pub hosts: BTreeSet<NodeName>,
    /// The process that was about to end; `None` where none ran.
    pub process: Option<u32>,
    /// The boot that it belonged to.
    pub boot: String,
}

impl TurnNote {
    /// Where it is.
    pub fn path(host: &DesiredHost) -> HostPath {
        host.paths.turn_note()
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The note on a host, where it can be read.
    pub fn on(host: &DesiredHost, facts: &HostFacts) -> Option<Self> {
        let content = facts.files.get(&Self::path(host))?.content.as_deref()?;
        serde_json::from_str(content).ok()
    }

    /// Whether another process runs than the one that was about to end.
    pub fn is_over(&self, facts: &HostFacts) -> bool {
        let now = (facts.service.pid, facts.system.boot_id.as_str());
        now.0.is_some() && now != (self.process, self.boot.as_str())
    }
}
