//! Whether a restore is under way, or the cluster was stopped on purpose, and of which cluster the members are that answer, for commands that look at nothing
//! else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;

use super::{STATUS_LIMIT, as_fact};
use crate::etcd::ClientTls;
use crate::host::{FactsQuery, HostFacts};
use crate::inventory::{ClusterId, NodeName};
use crate::ops::fleet::Fleet;
use crate::ops::model::Fact;
use crate::ops::rest::RestNote;
use crate::ops::restore::RestoreNote;

/// How long the others are waited for once one host has answered. Whoever takes part in a restore has its note before the
/// first member stops, so any one of them tells of it.
const OTHERS: Duration = Duration::from_secs(3);

/// The notes of restores and of members that are down on purpose on the hosts, in as short a look as there is. A host that takes too long is unknown.
pub async fn observe_notes(fleet: &Arc<Fleet>) -> BTreeMap<NodeName, Fact<HostFacts>> {
    let specs = fleet.desired().hosts.values();
    let mut looks: FuturesUnordered<_> = specs
        .map(|spec| async move {
            let query = &FactsQuery {
                contents: vec![RestoreNote::path(spec), RestNote::path(spec)],
                ..FactsQuery::default()
            };
            let asked = fleet.ask(spec, |host| Box::pin(async move { host.facts(query).await }));
            (spec.name.clone(), as_fact(asked.await))
        })
        .collect();
    let mut seen = BTreeMap::new();
    while let Some((name, fact)) = looks.next().await {
        let answered = matches!(fact, Fact::Known(_));
        seen.insert(name, fact);
        if answered {
            break;
        }
    }
    let others = async {
        while let Some((name, fact)) = looks.next().await {
            seen.insert(name, fact);
        }
    };
    let _ = tokio::time::timeout(OTHERS, others).await;
    for name in fleet.desired().hosts.keys() {
        seen.entry(name.clone())
            .or_insert_with(|| Fact::Unknown("it does not answer in time".to_owned()));
    }
    seen
}

/// Which cluster each of `names` is a member of, by its own word; who does not answer in a moment is not in it.
pub async fn observe_answers(
    fleet: &Arc<Fleet>,
    tls: &ClientTls,
    names: impl Iterator<Item = &NodeName>,
) -> BTreeMap<ClusterId, Vec<NodeName>> {
    let asks = names
        .filter_map(|name| fleet.desired().hosts.get(name))
        .map(|spec| async move {
            let status = fleet.client(spec, tls).await.ok()?.status(STATUS_LIMIT).await.ok()?;
            Some((status.header.cluster_id, spec.name.clone()))
        });
    let mut answers: BTreeMap<ClusterId, Vec<NodeName>> = BTreeMap::new();
    for (cluster, name) in join_all(asks).await.into_iter().flatten() {
        answers.entry(cluster).or_default().push(name);
    }
    answers
}
