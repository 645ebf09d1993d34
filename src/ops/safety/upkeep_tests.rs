use serde_json::json;

use super::*;
use crate::etcd::Alarm;
use crate::host::FileFacts;
use crate::ops::model::Fact;
use crate::ops::samples::{desired, facts, membership, name, status};

const MIB: u64 = 1 << 20;

fn sized(db_size: u64, db_in_use: u64) -> MemberStatus {
    MemberStatus {
        db_size: db_size * MIB,
        db_in_use: db_in_use * MIB,
        ..status(MemberId(1))
    }
}

#[test]
fn a_quota_that_has_not_been_rolled_out_is_not_in_force() {
    let mut desired = desired(1);
    let host = desired.hosts[&name(1)].clone();
    let mut facts = facts(&desired, 1);
    let config = |quota: &str, sha256: &str| FileFacts {
        sha256: sha256.into(),
        mode: 0o644,
        owner: "root".into(),
        content: Some(format!("name: n1\n{quota}")),
    };
    facts.files.insert(host.paths.config.clone(), config("", "old"));
    facts.service.started_with = [(host.paths.config.clone(), "old".into())].into();
    assert_eq!(quota_in_force(&desired, &host, &facts), Ok(()));

    desired.options.insert(QUOTA.into(), json!(4096 * MIB));
    let refused = quota_in_force(&desired, &host, &facts).unwrap_err();
    assert!(refused.hint.contains("quorate up"), "{refused:?}");
    let written = config(&format!("{QUOTA}: {}\n", 4096 * MIB), "new");
    facts.files.insert(host.paths.config.clone(), written);
    assert!(
        quota_in_force(&desired, &host, &facts).is_err(),
        "written, but not read"
    );
    facts.service.started_with = [(host.paths.config.clone(), "new".into())].into();
    assert_eq!(quota_in_force(&desired, &host, &facts), Ok(()));
}

#[test]
fn worth_it_from_200_mib_free_or_80_percent_of_the_quota_on() {
    let quota = Some(2048 * MIB);
    assert!(worth_defragmenting(&sized(500, 300), quota).is_err());
    assert!(worth_defragmenting(&sized(501, 300), quota).is_ok());
    assert!(
        worth_defragmenting(&sized(1700, 1550), quota)
            .unwrap()
            .contains("83 % of the quota")
    );
    // Full of data: a pause would give nothing back.
    let full = worth_defragmenting(&sized(1700, 1699), quota).unwrap_err();
    assert!(full.contains("raise `quota-backend-bytes`"), "{full}");
    assert!(worth_defragmenting(&sized(1700, 1699), None).is_err());
    let hardly = worth_defragmenting(&sized(7680, 7380), Some(8192 * MIB)).unwrap_err();
    assert!(hardly.contains("93 % of the quota"), "{hardly}");
    assert!(worth_defragmenting(&sized(10, 0), quota).is_err());
}

#[test]
fn the_quota_is_the_members_word_else_the_inventorys_else_etcds() {
    let mut wanted = desired(1);
    assert_eq!(quota(&wanted), Some(2 << 30));
    wanted.options.insert("quota-backend-bytes".into(), json!(16 * MIB));
    assert_eq!(quota(&wanted), Some(16 * MIB));
    wanted.options.insert("quota-backend-bytes".into(), json!(-1));
    assert_eq!(quota(&wanted), None);
    let mut told = sized(1, 1);
    assert_eq!(quota_of(&told, Some(5)), Some(5));
    told.db_quota = 7;
    assert_eq!(quota_of(&told, Some(5)), Some(7));
}

#[test]
fn only_one_at_a_time_and_only_while_all_are_well() {
    let wanted = desired(3);
    let mut seen = membership(&wanted);
    assert_eq!(may_defragment(&seen, MemberId(2)), Ok(()));
    let nospace = Alarm {
        member: MemberId(1),
        kind: AlarmKind::Nospace,
    };
    seen.alarms.push(nospace);
    assert_eq!(may_defragment(&seen, MemberId(2)), Ok(()), "NOSPACE is what it is for");
    seen.alarms.push(Alarm {
        kind: AlarmKind::Corrupt,
        ..nospace
    });
    assert_eq!(may_defragment(&seen, MemberId(2)).unwrap_err().rule, Rule::Upkeep);
    seen.alarms.clear();
    seen.status.insert(MemberId(3), Fact::Unknown("busy".into()));
    assert_eq!(may_defragment(&seen, MemberId(2)).unwrap_err().rule, Rule::NotSettled);
    let mut seen = membership(&wanted);
    seen.members[2].learner = true;
    assert_eq!(may_defragment(&seen, MemberId(2)).unwrap_err().rule, Rule::NotSettled);
}

#[test]
fn a_release_that_diverges_over_it_is_left_alone() {
    let mut seen = membership(&desired(1));
    let old = MemberStatus {
        version: "3.5.5".parse().unwrap(),
        ..status(MemberId(1))
    };
    seen.status.insert(MemberId(1), Fact::Known(old));
    assert_eq!(may_defragment(&seen, MemberId(1)).unwrap_err().rule, Rule::Version);
}

#[test]
fn an_alarm_goes_only_when_every_database_has_room_again() {
    let mut seen = membership(&desired(3));
    assert_eq!(has_room(&seen, 100 * MIB), Ok(()));
    assert_eq!(has_room(&seen, 0), Ok(()), "no quota");
    let full = has_room(&seen, 22 * MIB).unwrap_err();
    assert!(
        full.reason.contains("90 %") && full.hint.contains("quota-backend-bytes"),
        "{full}"
    );
    seen.status.insert(MemberId(3), Fact::Unknown("down".into()));
    assert_eq!(has_room(&seen, 100 * MIB).unwrap_err().rule, Rule::Unknown);
    assert_eq!(may_disarm(&desired(3), &seen).unwrap_err().rule, Rule::NotSettled);
}

#[test]
fn a_full_member_that_is_not_in_the_inventory_keeps_the_alarm() {
    let mut seen = membership(&desired(3));
    let full = MemberStatus {
        db_size: 2048 * MIB,
        ..status(MemberId(3))
    };
    seen.status.insert(MemberId(3), Fact::Known(full));
    let ours = desired(2);
    assert_eq!(
        may_disarm(&ours, &seen),
        Ok(()),
        "no alarm that its size is the cause of"
    );
    seen.alarms.push(Alarm {
        member: MemberId(3),
        kind: AlarmKind::Nospace,
    });
    assert_eq!(may_disarm(&desired(3), &seen), Ok(()));
    let refused = may_disarm(&ours, &seen).unwrap_err();
    assert!(refused.hint.contains("--prune"), "{refused:?}");
}
