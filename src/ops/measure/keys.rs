//! A bounded sample of what is stored: prefix by prefix, each counted in the member's index, and the sizes of a few values read.
//! One member answers from its own data, without bothering the others.

use std::sync::Arc;

use crate::etcd::{ClientTls, EtcdClient, EtcdError, end_of_prefix};
use crate::ops::fleet::Fleet;
use crate::ops::model::{Fact, Observed};
use crate::ops::slow::{Group, Keys, group_of};

/// Prefixes at most.
const GROUPS: u64 = 64;
/// Values that are read of each; fewer of the rest once so many bytes came.
const VALUES: u32 = 10;
const BYTES: u64 = 8 << 20;
/// etcd walks its index from the first to the last key of a range to count it (`Revisions`, server/storage/mvcc/index.go), and we
/// ask for what is left after each prefix: so many steps in all, about a second of one processor.
const STEPS: u64 = 5_000_000;

/// All prefixes, from a member that does not lead where there is one.
pub(super) async fn sample(fleet: &Arc<Fleet>, tls: Option<&ClientTls>, seen: &Observed) -> Fact<Keys> {
    let (Some(tls), Some(membership)) = (tls, seen.cluster.known()) else {
        return Fact::Absent;
    };
    let leads = |id| {
        membership
            .status
            .values()
            .filter_map(Fact::known)
            .any(|status| status.leader == id)
    };
    let mut members: Vec<_> = super::running(fleet, seen)
        .into_iter()
        .filter_map(|spec| Some((spec, membership.of(spec)?)))
        .filter(|(_, member)| !member.learner && membership.healthy(member.id))
        .collect();
    members.sort_by_key(|(_, member)| leads(member.id));
    let Some((spec, _)) = members.first() else {
        return Fact::Unknown("no member is healthy".to_owned());
    };
    let sampled = async { groups(&fleet.client(spec, tls).await?).await };
    match sampled.await {
        Ok(keys) => Fact::Known(keys),
        Err(error) => Fact::Unknown(format!("{}: {error}", spec.name)),
    }
}

async fn groups(client: &EtcdClient) -> Result<Keys, EtcdError> {
    let mut keys = Keys::default();
    let mut next = b"\0".to_vec();
    let mut read = 0;
    loop {
        let (first, left) = client.page(&next, b"\0", 1, true).await?.value;
        if keys.groups.is_empty() {
            keys.keys = left;
        }
        let Some(first) = first.into_iter().next() else {
            break;
        };
        if keys.groups.len() as u64 >= GROUPS.min(STEPS / keys.keys.max(1)).max(4) {
            keys.more = true;
            break;
        }
        let prefix = group_of(&first.key).to_vec();
        let end = end_of_prefix(&prefix);
        let values = if read < BYTES { VALUES } else { 1 };
        let (some, count) = client.page(&first.key, &end, values, false).await?.value;
        let some: Vec<_> = some.into_iter().map(|kv| (kv.key, kv.value.len() as u64)).collect();
        read += some.iter().map(|(_, value)| value).sum::<u64>();
        keys.groups.push(Group::of(&prefix, count, &some));
        if end == b"\0" {
            break;
        }
        next = end;
    }
    keys.groups.sort_by_key(|group| std::cmp::Reverse(group.bytes));
    Ok(keys)
}
