//! What members hear of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::etcd::{ClientTls, EtcdError, Metrics};
use crate::inventory::{DesiredHost, MemberId};
use crate::ops::fleet::Fleet;
use crate::ops::inspect::metrics;
use crate::ops::model::{Fact, Membership};

/// Several heartbeats, also of a cluster over a wide area (`heartbeat-interval`: 100 ms by default).
const SOME_HEARTBEATS: Duration = Duration::from_millis(1_500);

/// The same with the streams of every member that answers and is a host of the inventory.
pub(super) async fn with_streams(fleet: &Arc<Fleet>, tls: &ClientTls, mut membership: Membership) -> Membership {
    let hosts = fleet.desired().hosts.values();
    let answering = hosts.filter_map(|spec| Some((spec, membership.of(spec)?.id)));
    let asks = answering
        .filter(|(_, id)| membership.takes_part(*id))
        .map(|(spec, id)| async move {
            let fact = match metrics(fleet, spec, tls).await {
                Ok(metrics) => Fact::Known(live(&metrics)),
                Err(error) => Fact::Unknown(error.to_string()),
            };
            (id, fact)
        });
    let mut streams: BTreeMap<MemberId, Fact<BTreeSet<MemberId>>> = join_all(asks).await.into_iter().collect();
    // Of members in the dark a stream proves nothing: the leader's word stands.
    let heard = membership.leader().and_then(|id| membership.peers.get(&id)?.known());
    if let Some(heard) = heard {
        for fact in streams.values_mut() {
            if let Fact::Known(open) = fact {
                open.retain(|id| !membership.unseen.contains_key(id) || heard.contains(id));
            }
        }
    }
    membership.peers = streams;
    membership
}

/// The members that a leader hears from: what it received from them has grown between two looks. Whether a stream is open
/// says nothing of one whose machine lost power.
pub(super) async fn heard_at(fleet: &Arc<Fleet>, leader: &DesiredHost, tls: &ClientTls) -> Fact<BTreeSet<MemberId>> {
    let received = async || metrics(fleet, leader, tls).await.map(|metrics| metrics.received);
    let looks = async {
        let before = received().await?;
        tokio::time::sleep(SOME_HEARTBEATS).await;
        Ok((before, received().await?))
    };
    match looks.await {
        Ok((before, now)) => {
            let grew = now
                .into_iter()
                .filter(|(id, bytes)| before.get(id).is_none_or(|had| had < bytes));
            Fact::Known(grew.map(|(id, _)| id).collect())
        }
        Err::<_, EtcdError>(error) => Fact::Unknown(error.to_string()),
    }
}

fn live(metrics: &Metrics) -> BTreeSet<MemberId> {
    let streams = metrics.active_peers.iter();
    streams.filter(|(_, open)| **open > 0).map(|(id, _)| *id).collect()
}
