//! While a restore is unfinished, the cluster is stopped on purpose, or the hosts run members of different clusters, nothing touches the cluster: for commands
//! that make no plan, which would ask by itself.

use std::collections::BTreeMap;

use super::error::Failure;
use super::session::Session;
use crate::etcd::ClientTls;
use crate::host::HostFacts;
use crate::inventory::NodeName;
use crate::ops::model::{Fact, Observed};
use crate::ops::observe::{observe_answers, observe_notes};
use crate::ops::safety::bootstrap::{one_cluster, one_cluster_answers};
use crate::ops::safety::marks::are_known;
use crate::ops::safety::rest::not_stopped;
use crate::ops::safety::restore::no_restore_under_way;
use crate::ops::sight::Sight;

/// Refuses while a restore is unfinished, the cluster is stopped on purpose, or more than one answers, as a look told.
///
/// # Errors
/// How to finish the restore; how to start the cluster; which cluster is where.
pub fn to_others(session: &Session, seen: &Observed) -> Result<(), Failure> {
    let desired = session.desired();
    are_known(desired, &seen.hosts)?;
    no_restore_under_way(desired, &seen.hosts)
        .and_then(|()| not_stopped(desired, &seen.hosts))
        .and_then(|()| one_cluster(seen))
        .map_err(|refusal| Sight::of(desired, seen).complete(vec![refusal]).into())
}

/// Refuses while more than one cluster answers, for commands that only read.
///
/// # Errors
/// Which cluster is where.
pub fn to_two_clusters(session: &Session, seen: &Observed) -> Result<(), Failure> {
    one_cluster(seen).map_err(|refusal| Sight::of(session.desired(), seen).complete(vec![refusal]).into())
}

/// Refuses while a restore is unfinished or the cluster is stopped on purpose, for a command that does not look at the hosts otherwise.
///
/// # Errors
/// How to finish it.
pub async fn unseen_to_others(session: &Session) -> Result<BTreeMap<NodeName, Fact<HostFacts>>, Failure> {
    let hosts = observe_notes(&session.fleet()).await;
    let desired = session.desired();
    are_known(desired, &hosts)?;
    no_restore_under_way(desired, &hosts)
        .and_then(|()| not_stopped(desired, &hosts))
        .map_err(|refusal| Sight::of_hosts(desired, &hosts).complete(vec![refusal]))?;
    Ok(hosts)
}

/// Refuses when the members that a program is about to be led to are of different clusters: it would take turns with them.
///
/// # Errors
/// Which cluster is where, and how to ask one of them alone.
pub async fn to_whom_answers(
    session: &Session,
    tls: &ClientTls,
    hosts: &BTreeMap<NodeName, Fact<HostFacts>>,
) -> Result<(), Failure> {
    let asked = session.within_limit().map(|spec| &spec.name);
    let reached = asked.filter(|name| matches!(hosts.get(name), Some(Fact::Known(_))));
    let answers = observe_answers(&session.fleet(), tls, reached).await;
    one_cluster_answers(&answers).map_err(|refusal| {
        let mut refusals = Sight::of_hosts(session.desired(), hosts).complete(vec![refusal]);
        for refusal in &mut refusals {
            refusal.hint += "; until then `--limit NAME` asks that host's member alone, whichever cluster it is of";
        }
        refusals.into()
    })
}
