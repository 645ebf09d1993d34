//! Whether a restore is under way, for commands that look at nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::as_fact;
use crate::host::{FactsQuery, HostFacts};
use crate::inventory::NodeName;
use crate::ops::fleet::Fleet;
use crate::ops::model::Fact;
use crate::ops::restore::RestoreNote;

/// How long the others are waited for once one host has answered. Whoever takes part in a restore has its note before the
/// first member stops, so any one of them tells of it.
const OTHERS: Duration = Duration::from_secs(3);

/// The notes of restores on the hosts, in as short a look as there is. A host that takes too long is unknown.
pub async fn observe_notes(fleet: &Arc<Fleet>) -> BTreeMap<NodeName, Fact<HostFacts>> {
    let specs = fleet.desired().hosts.values();
    let mut looks: FuturesUnordered<_> = specs
        .map(|spec| async move {
            let query = &FactsQuery {
                contents: vec![RestoreNote::path(spec)],
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
