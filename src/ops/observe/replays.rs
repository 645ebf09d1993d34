//! What members go through again when they start.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::as_fact;
use crate::etcd::{Replay, Segment};
use crate::host::RaftTail;
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::fleet::Fleet;
use crate::ops::model::{Fact, Observed};
use crate::ops::plan::way_up::to_be_read;

/// The raft logs of the members for whom they decide whether they may be started with the wanted release.
pub async fn observe_replays(fleet: &Arc<Fleet>, seen: &Observed) -> BTreeMap<NodeName, Fact<Replay>> {
    look_at_replays(fleet, to_be_read(fleet.desired(), seen)).await
}

pub(super) async fn look_at_replays<'a>(
    fleet: &Arc<Fleet>,
    specs: impl Iterator<Item = &'a DesiredHost>,
) -> BTreeMap<NodeName, Fact<Replay>> {
    let looks = specs.map(|spec| async move {
        let asked = fleet.ask(spec, |host| Box::pin(async move { host.raft_tail().await }));
        let fact = match as_fact(asked.await) {
            Fact::Known(Some(tail)) => read(&tail),
            Fact::Known(None) => Fact::Unknown("too much of it follows its newest snapshot to be read".to_owned()),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        (spec.name.clone(), fact)
    });
    join_all(looks).await.into_iter().collect()
}

fn read(tail: &RaftTail) -> Fact<Replay> {
    let segments: Vec<Segment<'_>> = tail
        .segments
        .iter()
        .map(|(name, bytes)| Segment { name, bytes })
        .collect();
    match Replay::read(&tail.snapshots, &segments) {
        Ok(replay) => Fact::Known(replay),
        Err(why) => Fact::Unknown(why),
    }
}
