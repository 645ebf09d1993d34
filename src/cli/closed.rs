//! While a restore is unfinished nothing else touches the cluster: for commands that make no plan, which would ask by itself.

use std::collections::BTreeMap;

use super::error::Failure;
use super::session::Session;
use crate::host::HostFacts;
use crate::inventory::NodeName;
use crate::ops::model::Fact;
use crate::ops::observe::observe_notes;
use crate::ops::safety::restore::no_restore_under_way;

/// Refuses while a restore is unfinished, as the hosts that were seen tell.
///
/// # Errors
/// How to finish it.
pub fn to_others(session: &Session, hosts: &BTreeMap<NodeName, Fact<HostFacts>>) -> Result<(), Failure> {
    no_restore_under_way(session.desired(), hosts).map_err(|refusal| vec![refusal].into())
}

/// The same for a command that does not look at the hosts otherwise.
///
/// # Errors
/// How to finish it.
pub async fn unseen_to_others(session: &Session) -> Result<(), Failure> {
    to_others(session, &observe_notes(&session.fleet()).await)
}
