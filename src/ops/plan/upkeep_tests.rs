use super::*;
use crate::etcd::Alarm;
use crate::inventory::MemberId;
use crate::ops::model::{Intent, Observed};
use crate::ops::plan::{Plan, plan};
use crate::ops::samples::{ACCEPTED, desired, membership, name, observed, status, supplies};

const MIB: u64 = 1 << 20;

/// Three members, led by n1, whose files are this large with so much in use.
fn cluster(db_size: u64, db_in_use: u64) -> Observed {
    let wanted = desired(3);
    let mut seen = observed(&wanted);
    let mut cluster = membership(&wanted);
    for id in [1, 2, 3].map(MemberId) {
        let status = MemberStatus {
            db_size: db_size * MIB,
            db_in_use: db_in_use * MIB,
            ..status(id)
        };
        cluster.status.insert(id, Fact::Known(status));
    }
    seen.cluster = Fact::Known(cluster);
    seen
}

fn planned(intent: &Intent, seen: &Observed) -> Result<Plan, Vec<Blocked>> {
    plan(intent, &desired(3), seen, ACCEPTED, &supplies())
}

fn defrag(force: bool) -> Intent {
    Intent::Defragment {
        limit: Vec::new(),
        force,
    }
}

fn doings(plan: &Plan) -> Vec<String> {
    plan.steps()
        .map(|s| format!("{} {}", s.id, s.action.describe()))
        .collect()
}

#[test]
fn followers_first_and_the_leader_last_after_handing_over() {
    let plan = planned(&defrag(false), &cluster(900, 100)).unwrap();
    assert_eq!(
        doings(&plan),
        [
            "w1.n2 defragment its database",
            "w2.n3 defragment its database",
            "w3.cluster transfer leadership",
            "w4.n1 defragment its database",
        ]
    );
    let requires = |s: &Step| s.requires.iter().any(|c| matches!(c, Check::SafeToDefragment { .. }));
    assert!(
        plan.steps()
            .filter(|s| matches!(s.target, Target::Node(_)))
            .all(requires)
    );
}

#[test]
fn what_is_not_worth_it_is_said_and_left_alone_unless_asked_for() {
    let seen = cluster(50, 40);
    let plan = planned(&defrag(false), &seen).unwrap();
    assert!(plan.is_empty() && plan.notes.len() == 3 && plan.notes[0].contains("not needed"));
    assert_eq!(doings(&planned(&defrag(true), &seen).unwrap()).len(), 4);
}

#[test]
fn a_disk_without_room_for_the_new_file_blocks() {
    let mut seen = cluster(900, 100);
    if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(2)) {
        facts
            .system
            .disks
            .values_mut()
            .for_each(|disk| disk.free_bytes = 64 * MIB);
    }
    let refusals = planned(&defrag(false), &seen).unwrap_err();
    assert_eq!(
        (refusals[0].rule, refusals[0].node.clone()),
        (Rule::Host, Some(name(2)))
    );
}

/// Mistake 15 of docs/etcd.md: the order in which a full database is mended.
#[test]
fn nospace_is_compacted_and_defragmented_everywhere_before_it_is_disarmed() {
    let mut seen = cluster(2048, 50);
    assert!(planned(&Intent::Disarm, &seen).unwrap().is_empty());
    if let Fact::Known(cluster) = &mut seen.cluster {
        cluster.alarms.push(Alarm {
            member: MemberId(2),
            kind: AlarmKind::Nospace,
        });
    }
    let plan = planned(&Intent::Disarm, &seen).unwrap();
    assert_eq!(
        doings(&plan),
        [
            "w1.cluster compact everything before revision 5000",
            "w2.n2 defragment its database",
            "w3.n3 defragment its database",
            "w4.cluster transfer leadership",
            "w5.n1 defragment its database",
            "w6.cluster disarm the alarm NOSPACE",
        ]
    );
    let last = plan.steps().last().unwrap();
    assert_eq!(last.requires, [Check::RoomForWrites { quota: 2048 * MIB }]);
    assert_eq!(last.ensures, [Check::NoAlarm]);
}

#[test]
fn corrupt_is_taken_back_only_after_all_were_compared() {
    let mut seen = cluster(20, 10);
    if let Fact::Known(cluster) = &mut seen.cluster {
        cluster.alarms.push(Alarm {
            member: MemberId(0),
            kind: AlarmKind::Corrupt,
        });
        // etcd names every alarm in every member's status.
        for status in cluster.status.values_mut() {
            if let Fact::Known(status) = status {
                status.errors = vec!["memberID:0 alarm:CORRUPT ".into()];
            }
        }
    }
    let plan = planned(&Intent::Disarm, &seen).unwrap();
    assert_eq!(
        doings(&plan),
        [
            "w1.cluster compare the data of all members",
            "w2.cluster disarm the alarm CORRUPT"
        ]
    );
}

#[test]
fn compacting_keeps_what_was_asked_for() {
    let seen = cluster(20, 10);
    let plan = planned(&Intent::Compact { keep: 1000 }, &seen).unwrap();
    assert_eq!(doings(&plan), ["w1.cluster compact everything before revision 4000"]);
    assert!(planned(&Intent::Compact { keep: 5000 }, &seen).unwrap().is_empty());
}
