//! What `destroy` is asked for, and what there is of a member on a host.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use serde::{Deserialize, Serialize};

use crate::host::{DataState, HostFacts};
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::rest::{Purpose, RestNote};

/// What `destroy` was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyOrder {
    /// What is noted on each host until everything of it is gone.
    pub note: RestNote,
    /// Hosts that cannot be reached, and may come back.
    pub without: Vec<NodeName>,
    /// Delete the data instead of moving it aside.
    pub wipe: bool,
}

/// The note that the cluster is at its end.
pub fn end_noted(host: &DesiredHost, facts: &HostFacts) -> Option<RestNote> {
    RestNote::on(host, facts)
        .flatten()
        .filter(|note| note.purpose == Purpose::End)
}

/// The first thing of a member that is still on its host; `None` where nothing is. The note that the cluster is at its end
/// counts unless it `stays` for hosts that were left out.
pub fn left_of(host: &DesiredHost, facts: &HostFacts, note_stays: bool) -> Option<String> {
    let note = RestNote::path(host);
    let kept = note_stays && end_noted(host, facts).is_some();
    let file = facts.files.keys().find(|path| !(kept && **path == note));
    if let Some(pid) = facts.service.pid {
        return Some(format!("its etcd (process {pid})"));
    }
    if facts.data.state != DataState::Empty {
        return Some(format!("data in {}", host.paths.data));
    }
    file.map(ToString::to_string)
        .or_else(|| facts.service.enabled.then(|| format!("the unit {}", host.service)))
}
