//! Observations that no world could give: facts that contradict each other. The planner has to answer all the same.

use super::dice::Dice;
use crate::etcd::{Alarm, AlarmKind};
use crate::host::{DataState, HostFacts, ServiceState};
use crate::inventory::{ClusterId, MemberId, PeerUrl, Version};
use crate::ops::model::{Fact, Membership, Observed};

/// Spoils an observation here and there.
pub fn scramble(mut seen: Observed, dice: &mut Dice) -> Observed {
    let nodes: Vec<_> = seen.hosts.keys().cloned().collect();
    for node in nodes {
        match dice.below(12) {
            0 => drop(seen.hosts.remove(&node)),
            1 => drop(seen.hosts.insert(node, Fact::Absent)),
            2 => drop(seen.hosts.insert(node, Fact::Unknown(String::new()))),
            3..=8 => {
                if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&node) {
                    host(facts, dice);
                }
            }
            _ => {}
        }
    }
    match dice.below(10) {
        0 => seen.cluster = Fact::Absent,
        1 => seen.cluster = Fact::Unknown("?".into()),
        2 => {}
        _ => {
            if let Fact::Known(membership) = &mut seen.cluster {
                cluster(membership, dice);
            }
        }
    }
    seen
}

fn host(facts: &mut HostFacts, dice: &mut Dice) {
    let data = [
        DataState::Empty,
        DataState::Aborted,
        DataState::Bootstrapped,
        DataState::Foreign,
    ];
    let service = [
        ServiceState::Missing,
        ServiceState::Stopped,
        ServiceState::Starting,
        ServiceState::Running,
        ServiceState::Failed,
    ];
    for _ in 0..1 + dice.below(4) {
        match dice.below(9) {
            0 => facts.data.state = *dice.pick(&data),
            1 => facts.service.state = *dice.pick(&service),
            2 => facts.service.pid = dice.chance(50).then_some(7),
            3 => {
                facts.service.running_version =
                    *dice.pick(&[None, Some(Version::new(3, 4, 23)), Some(Version::new(9, 9, 9))])
            }
            4 => {
                facts.data.marker = dice
                    .pick(&[None, Some("{}".to_owned()), Some("\u{0}".to_owned())])
                    .clone()
            }
            5 => facts
                .files
                .values_mut()
                .for_each(|f| f.content = Some("- not: [a map".into())),
            6 => facts.files.clear(),
            7 => facts.system.arch = None,
            _ => facts.system.clock_offset_seconds = f64::NAN,
        }
    }
}

fn cluster(membership: &mut Membership, dice: &mut Dice) {
    for _ in 0..1 + dice.below(4) {
        let chosen = match membership.members.len() {
            0 => None,
            n => Some(dice.below(n)),
        };
        let any = chosen.map(|at| membership.members[at].id);
        match (dice.below(13), chosen) {
            (0, _) => membership.by_quorum = false,
            (1, Some(at)) => drop(membership.members.remove(at)),
            (2, Some(at)) => membership.members[at].learner ^= true,
            (3, Some(at)) => membership.members[at].name.clear(),
            (4, Some(at)) => membership.members[at].peer_urls = vec![PeerUrl("https://192.0.2.1:2380".into())],
            (5, Some(at)) => {
                let copy = membership.members[at].clone();
                membership.members.push(copy);
            }
            (6, _) => membership
                .status
                .values_mut()
                .for_each(|s| *s = Fact::Unknown("silent".into())),
            (7, _) => membership.status.clear(),
            (8, _) => membership.cluster_id = ClusterId(dice.next()),
            (9, _) => membership.alarms.push(Alarm {
                member: MemberId(0),
                kind: AlarmKind::Corrupt,
            }),
            (10, _) => membership.status.values_mut().for_each(|status| {
                if let Fact::Known(status) = status {
                    status.errors = vec!["memberID:1 alarm:CORRUPT".into()];
                }
            }),
            _ => {
                if let Some(Fact::Known(status)) = any.and_then(|id| membership.status.get_mut(&id)) {
                    status.leader = *dice.pick(&[MemberId(0), MemberId(1), status.header.member_id]);
                    status.raft_index = *dice.pick(&[0, u64::MAX, status.raft_index]);
                    status.raft_applied = *dice.pick(&[0, u64::MAX, status.raft_applied]);
                    status.version =
                        *dice.pick(&[Version::new(3, 5, 30), Version::new(0, 0, 0), Version::new(3, 6, 14)]);
                }
            }
        }
    }
}
