//! Who is connected to the members.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::as_fact;
use crate::host::{Client, HostFacts};
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::fleet::Fleet;
use crate::ops::model::Fact;

/// Who is connected to the member of every host that could be looked at.
pub async fn observe_clients(
    fleet: &Arc<Fleet>,
    hosts: &BTreeMap<NodeName, Fact<HostFacts>>,
) -> BTreeMap<NodeName, Fact<Vec<Client>>> {
    let specs = fleet.desired().hosts.values();
    look_at_clients(
        fleet,
        specs.filter(|spec| matches!(hosts.get(&spec.name), Some(Fact::Known(_)))),
    )
    .await
}

pub(super) async fn look_at_clients<'a>(
    fleet: &Arc<Fleet>,
    specs: impl Iterator<Item = &'a DesiredHost>,
) -> BTreeMap<NodeName, Fact<Vec<Client>>> {
    let looks = specs.map(|spec| async move {
        let asked = fleet.ask(spec, |host| {
            Box::pin(async move { host.clients(spec.client_port).await })
        });
        (spec.name.clone(), as_fact(asked.await))
    });
    join_all(looks).await.into_iter().collect()
}
