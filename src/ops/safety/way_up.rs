//! The way up to 3.7, which is closed to a member whose raft log still holds requests of the v2 API: 3.7 panics on the
//! first of them that it has to go through again at its start ([`crate::etcd::Replay`]). Every member of 3.5 writes one at
//! each of its starts, and it stays until the member's next snapshot of the raft log: 10 000 entries.
//!
//! The way is opened without a restart. From 3.6 on a member writes that snapshot at once when the version of the cluster
//! falls (`ForceSnapshot` in server/etcdserver/apply/apply.go), and that falls as soon as etcd is told to go back a minor
//! release and every member is there. All of them go on running what they run, and etcd is told right away that it stays.

use std::collections::{BTreeMap, BTreeSet};

use super::{Blocked, Rule, name};
use crate::etcd::Replay;
use crate::inventory::{MemberId, NodeName, Version};
use crate::ops::check::why_unhealthy;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, Membership, why_and_help};

/// The first minor that does not know the v2 API any more.
const FIRST_WITHOUT_V2: (u32, u32) = (3, 7);

/// The first minor that writes a snapshot of its raft log when the version of the cluster falls.
const FIRST_TO_OPEN: (u32, u32) = (3, 6);

/// Whether a start with this release depends on what the raft log holds.
pub fn reads_no_v2(release: Version) -> bool {
    release.series() >= FIRST_WITHOUT_V2
}

/// May the member of a host be started with `to`, as far as its raft log goes? Its own log must hold nothing that `to`
/// cannot read, and reach so far that nobody sends it any such entry afterwards.
///
/// # Errors
/// What is in the way, or that it is not known.
pub fn may_enter(replays: &BTreeMap<NodeName, Fact<Replay>>, node: &NodeName, to: Version) -> Result<(), Blocked> {
    if !reads_no_v2(to) {
        return Ok(());
    }
    let closed = |rule: Rule, reason: String| Err(Blocked::new(rule, reason, GO_ON).on(node));
    let replay = match replays.get(node) {
        Some(Fact::Known(replay)) => replay,
        Some(Fact::Unknown(why)) => {
            let reason = format!("its raft log could not be read: {}", why_and_help(why).0);
            return closed(Rule::Unknown, reason);
        }
        Some(Fact::Absent) | None => return closed(Rule::Unknown, "its raft log was not read".into()),
    };
    if let Some(entry) = replay.v2 {
        let reason = format!(
            "its raft log contains a request of the v2 API (entry {entry}, after its newest snapshot at {}): {} would exit on it",
            replay.snapshot,
            to.series_text()
        );
        return closed(Rule::Version, reason);
    }
    let further = replays
        .iter()
        .filter_map(|(other, fact)| Some((other, fact.known()?)))
        .find(|(_, other)| other.snapshot.max(other.v2.unwrap_or(0)) > replay.last);
    match further {
        None => Ok(()),
        Some((other, _)) => closed(
            Rule::NotSettled,
            format!(
                "its raft log ends with entry {}, and {other} may send it entries after that which {} cannot read",
                replay.last,
                to.series_text()
            ),
        ),
    }
}

const GO_ON: &str = "run the same command again: it has every member write a new snapshot of its raft log first";

/// May etcd be told to go back and, right away, that it stays, so that every member writes a snapshot? The version of the
/// cluster falls only while every member is there. `cured` are well by then.
///
/// # Errors
/// Who is not healthy, or does not know of it.
pub fn may_open(membership: &Membership, cured: &BTreeSet<MemberId>) -> Result<(), Blocked> {
    for member in &membership.members {
        if !membership.healthy(member.id) && !cured.contains(&member.id) {
            return Err(Blocked::new(
                Rule::NotSettled,
                format!(
                    "{} is not healthy ({}), and without it the others write no snapshot of their raft logs",
                    name(member),
                    why_unhealthy(membership, member.id)
                ),
                format!(
                    "bring it back with the release it has (`quorate restart --limit {}`), or remove it (`quorate remove-node`); then run the same command \
                     again",
                    name(member)
                ),
            )
            .because_of([member]));
        }
        let runs = membership.status_of(member.id).map(|status| status.version);
        if let Some(version) = runs.filter(|version| version.series() < FIRST_TO_OPEN) {
            let (major, minor) = FIRST_TO_OPEN;
            return Err(Blocked::new(
                Rule::Version,
                format!("{} runs etcd {version}, which does not support this", name(member)),
                format!("go to {major}.{minor} first: `quorate upgrade --to {major}.{minor}.N`"),
            ));
        }
    }
    Ok(())
}

/// The refusal to start a member that is down with a release that would end on its raft log: it writes no snapshot while
/// it is down. `before` is the release that the others run, or that it had.
pub fn needs_its_old_release(node: &NodeName, closed: Blocked, before: Option<Version>, to: Version) -> Blocked {
    let (hint, last) = match before.filter(|version| !reads_no_v2(*version)) {
        Some(version) => (
            format!(
                "start it with the release before: `version: \"{version}\"` in the inventory and `quorate up`; then `quorate \
                 upgrade --to {to}`"
            ),
            None,
        ),
        None => (
            "the other members have moved on, and it cannot follow with this log".to_owned(),
            Some(LastResort::lost_data(node)),
        ),
    };
    Blocked {
        reason: format!("it does not run, and {}", closed.reason),
        hint,
        last,
        ..closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::samples::{desired, membership, name as node};

    const V3_6: Version = Version::new(3, 6, 16);
    const V3_7: Version = Version::new(3, 7, 3);

    fn replay(snapshot: u64, last: u64, v2: Option<u64>) -> Fact<Replay> {
        Fact::Known(Replay { snapshot, last, v2 })
    }

    fn judged(replays: &[Fact<Replay>]) -> Result<(), Blocked> {
        let numbered = replays.iter().enumerate().map(|(n, fact)| (node(n + 1), fact.clone()));
        may_enter(&numbered.collect(), &node(1), V3_7)
    }

    #[test]
    fn a_log_with_requests_of_the_v2_api_keeps_a_member_from_3_7() {
        let closed = judged(&[replay(0, 15, Some(9))]).unwrap_err();
        assert_eq!(closed.rule, Rule::Version);
        assert!(
            closed.reason.contains("entry 9, after its newest snapshot at 0"),
            "{}",
            closed.reason
        );
        assert_eq!(judged(&[replay(9, 15, None)]), Ok(()));
        let none = BTreeMap::new();
        assert_eq!(may_enter(&none, &node(1), V3_6), Ok(()), "3.6 reads them");
    }

    #[test]
    fn what_was_not_read_is_not_open() {
        assert_eq!(judged(&[]).unwrap_err().rule, Rule::Unknown);
        let unknown = judged(&[Fact::Unknown("no answer".into())]).unwrap_err();
        assert!(
            unknown.reason.contains("could not be read: no answer"),
            "{}",
            unknown.reason
        );
        assert_eq!(judged(&[Fact::Absent]).unwrap_err().rule, Rule::Unknown);
    }

    /// It was down while the others had members of 3.5 among them: the entries would come over the network.
    #[test]
    fn a_log_that_ends_before_what_others_hold_is_not_open_either() {
        let behind = judged(&[replay(5, 8, None), replay(9, 20, None)]).unwrap_err();
        assert!(
            behind.reason.contains("ends with entry 8, and n2 may send"),
            "{}",
            behind.reason
        );
        assert!(judged(&[replay(5, 8, None), replay(0, 20, Some(12))]).is_err());
        assert_eq!(judged(&[replay(9, 20, None), replay(9, 15, None)]), Ok(()));
    }

    #[test]
    fn the_way_is_opened_only_while_everybody_is_there_and_runs_3_6() {
        let mut etcd = membership(&desired(3));
        let runs = |etcd: &mut Membership, n: u64, version| {
            if let Some(Fact::Known(status)) = etcd.status.get_mut(&MemberId(n)) {
                status.version = version;
            }
        };
        let older = may_open(&etcd, &BTreeSet::new()).unwrap_err();
        assert!(older.hint.contains("upgrade --to 3.6.N"), "{}", older.hint);
        (1..=3).for_each(|n| runs(&mut etcd, n, V3_6));
        runs(&mut etcd, 2, V3_7);
        assert_eq!(may_open(&etcd, &BTreeSet::new()), Ok(()), "one may be there already");
        etcd.status.insert(MemberId(3), Fact::Unknown("silent".into()));
        let sick = may_open(&etcd, &BTreeSet::new()).unwrap_err();
        assert!(sick.reason.contains("n3 is not healthy"), "{}", sick.reason);
        assert!(sick.hint.contains("`quorate restart --limit n3`"), "{}", sick.hint);
        assert_eq!(
            may_open(&etcd, &[MemberId(3)].into()),
            Ok(()),
            "this run starts it first"
        );
    }

    #[test]
    fn a_member_that_is_down_comes_back_with_what_it_had() {
        let closed = judged(&[replay(0, 15, Some(9))]).unwrap_err();
        let old = needs_its_old_release(&node(1), closed.clone(), Some(V3_6), V3_7);
        assert!(old.hint.contains("version: \"3.6.16\""), "{}", old.hint);
        let gone = needs_its_old_release(&node(1), closed, Some(V3_7), V3_7);
        assert_eq!(gone.last, Some(LastResort::lost_data("n1")));
    }
}
