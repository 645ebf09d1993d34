//! What members hear of each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;

use crate::etcd::{ClientTls, Metrics};
use crate::inventory::{DesiredHost, MemberId};
use crate::ops::fleet::Fleet;
use crate::ops::inspect::metrics;
use crate::ops::model::{Fact, Membership};

/// The same with the streams of every member that answers and is a host of the inventory.
pub(super) async fn with_streams(fleet: &Arc<Fleet>, tls: &ClientTls, mut membership: Membership) -> Membership {
    let hosts = fleet.desired().hosts.values();
    let answering = hosts.filter_map(|spec| Some((spec, membership.of(spec)?.id)));
    let asks = answering
        .filter(|(_, id)| membership.takes_part(*id))
        .map(|(spec, id)| async move { (id, streams_of(fleet, spec, tls).await) });
    membership.peers = join_all(asks).await.into_iter().collect();
    membership
}

/// The members that the one on a host has a live stream to, by its own word.
pub(super) async fn streams_of(fleet: &Arc<Fleet>, spec: &DesiredHost, tls: &ClientTls) -> Fact<BTreeSet<MemberId>> {
    match metrics(fleet, spec, tls).await {
        Ok(metrics) => Fact::Known(live(&metrics)),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

fn live(metrics: &Metrics) -> BTreeSet<MemberId> {
    let streams = metrics.active_peers.iter();
    streams.filter(|(_, open)| **open > 0).map(|(id, _)| *id).collect()
}
