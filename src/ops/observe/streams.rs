//! What members hear of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::etcd::{ClientTls, EtcdError, Metrics};
use crate::inventory::{Desired, DesiredHost, MemberId};
use crate::ops::fleet::Fleet;
use crate::ops::inspect::metrics;
use crate::ops::model::{Fact, Membership};

/// Several heartbeats of etcd's default (100 ms); a cluster with slower ones is given as many of its own.
const SOME_HEARTBEATS: Duration = Duration::from_millis(1_500);
const AS_MANY: u32 = 4;

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
    if !membership.unseen.is_empty() {
        let told = membership
            .leader()
            .and_then(|id| Some((id, membership.peers.remove(&id)?)));
        believe_the_leader(&mut streams, told, &membership.unseen);
    }
    membership.peers = streams;
    membership
}

/// Of members in the dark a stream proves nothing: the leader's word stands, and where it has none, it counts as not asked.
fn believe_the_leader(
    streams: &mut BTreeMap<MemberId, Fact<BTreeSet<MemberId>>>,
    told: Option<(MemberId, Fact<BTreeSet<MemberId>>)>,
    dark: &BTreeMap<MemberId, String>,
) {
    let Some((leader, told)) = told else { return };
    let heard = match &told {
        Fact::Known(heard) => Some(heard),
        Fact::Unknown(_) | Fact::Absent => None,
    };
    for fact in streams.values_mut() {
        if let Fact::Known(open) = fact {
            open.retain(|id| !dark.contains_key(id) || heard.is_some_and(|heard| heard.contains(id)));
        }
    }
    if heard.is_none() {
        streams.insert(leader, told);
    }
}

/// The members that a leader hears from: what it received from them has grown between two looks. Whether a stream is open
/// says nothing of one whose machine lost power. Only who leads both times can tell: nobody answers anyone else's heartbeats.
pub(super) async fn heard_at(fleet: &Arc<Fleet>, leader: &DesiredHost, tls: &ClientTls) -> Fact<BTreeSet<MemberId>> {
    let pause = some_heartbeats(fleet.desired());
    let looks = async {
        let before = metrics(fleet, leader, tls).await?;
        tokio::time::sleep(pause).await;
        Ok((before, metrics(fleet, leader, tls).await?))
    };
    match looks.await {
        Ok((before, now)) => heard_between(&before, &now),
        Err::<_, EtcdError>(error) => Fact::Unknown(error.to_string()),
    }
}

/// How long a leader is listened to before a member counts as silent.
pub(super) fn some_heartbeats(desired: &Desired) -> Duration {
    let interval = desired
        .options
        .get("heartbeat-interval")
        .and_then(|value| value.as_u64());
    SOME_HEARTBEATS.max(Duration::from_millis(interval.unwrap_or_default()) * AS_MANY)
}

/// Whom a leader has heard from between two looks at what it measured.
pub(super) fn heard_between(before: &Metrics, now: &Metrics) -> Fact<BTreeSet<MemberId>> {
    if [before, now].iter().any(|metrics| metrics.is_leader != Some(true)) {
        return Fact::Unknown("the leader changed meanwhile".into());
    }
    let grew = now
        .received
        .iter()
        .filter(|(id, bytes)| before.received.get(id).is_none_or(|had| had < *bytes));
    Fact::Known(grew.map(|(id, _)| *id).collect())
}

fn live(metrics: &Metrics) -> BTreeSet<MemberId> {
    let streams = metrics.active_peers.iter();
    streams.filter(|(_, open)| **open > 0).map(|(id, _)| *id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(leads: bool, received: [u64; 2]) -> Metrics {
        Metrics {
            is_leader: Some(leads),
            received: [(MemberId(2), received[0]), (MemberId(3), received[1])].into(),
            ..Metrics::default()
        }
    }

    #[test]
    fn a_stream_to_a_member_in_the_dark_proves_nothing() {
        let (leader, other, dark) = (MemberId(1), MemberId(2), MemberId(3));
        let open = || {
            BTreeMap::from([
                (leader, Fact::Known([other, dark].into())),
                (other, Fact::Known([leader, dark].into())),
            ])
        };
        let unseen = BTreeMap::from([(dark, "no answer".to_owned())]);
        let after = |told| {
            let mut streams = open();
            believe_the_leader(&mut streams, Some((leader, told)), &unseen);
            streams
        };
        assert_eq!(after(Fact::Known([other, dark].into())), open(), "the leader hears it");
        let silent = after(Fact::Known([other].into()));
        assert_eq!(silent[&leader], Fact::Known([other].into()));
        assert_eq!(silent[&other], Fact::Known([leader].into()));
        let untold = after(Fact::Unknown("the leader changed meanwhile".into()));
        assert!(
            matches!(untold[&leader], Fact::Unknown(_)),
            "it is not known to be silent either"
        );
    }

    #[test]
    fn only_who_leads_all_the_while_can_tell_that_a_member_is_silent() {
        let before = told(true, [10, 10]);
        let heard = heard_between(&before, &told(true, [20, 10]));
        assert_eq!(heard, Fact::Known([MemberId(2)].into()));
        assert!(matches!(
            heard_between(&before, &told(false, [20, 10])),
            Fact::Unknown(_)
        ));
        assert!(matches!(
            heard_between(&told(false, [10, 10]), &before),
            Fact::Unknown(_)
        ));
    }
}
