//! Full and damaged databases, and what `alarm disarm` makes of them.

use crate::etcd::AlarmKind;
use crate::ops::exec::RunError;
use crate::ops::model::Intent;

use super::drive::{Aftermath, Outcome};
use super::scenes::{Scene, UP};

fn disarm(scene: Scene) -> Aftermath {
    let after = scene.asked(Intent::Disarm).run();
    assert_eq!(after.violations, [""; 0]);
    after
}

fn alarms(after: &Aftermath) -> Vec<AlarmKind> {
    let clusters = after.world.clusters.values();
    clusters.flat_map(|c| c.alarms.iter().map(|alarm| alarm.kind)).collect()
}

#[test]
fn keys_of_today_fill_the_databases_until_the_quota_is_raised() {
    let after = disarm(Scene::healthy(3).full_of_keys());
    let Outcome::Stopped(RunError::NotSafe { saw, .. }) = &after.outcome else {
        panic!("{:?}", after.outcome);
    };
    assert!(saw.contains("still at 100 % of its quota"), "{saw}");
    assert_eq!(alarms(&after), [AlarmKind::Nospace; 3]);

    let mut raised = Scene::healthy(3).with_option("quota-backend-bytes", (4096_u64 << 20).into());
    raised.world = after.world;
    let rolled = raised.clone().asked(UP).run();
    assert!(matches!(rolled.outcome, Outcome::Done), "{:?}", rolled.outcome);
    raised.world = rolled.world;
    let after = disarm(raised);
    assert!(matches!(after.outcome, Outcome::Done), "{:?}", after.outcome);
    assert_eq!(alarms(&after), []);
}

#[test]
fn corrupt_is_taken_back_when_all_hold_the_same_and_stays_when_one_does_not() {
    let same = disarm(Scene::healthy(3).corrupt(None));
    assert!(matches!(same.outcome, Outcome::Done), "{:?}", same.outcome);
    assert_eq!(alarms(&same), []);
    let odd = disarm(Scene::healthy(3).corrupt(Some(3)));
    assert!(matches!(odd.outcome, Outcome::Stopped(_)), "{:?}", odd.outcome);
    assert_eq!(alarms(&odd), [AlarmKind::Corrupt]);
}

#[test]
fn a_quota_that_is_raised_only_in_the_inventory_makes_no_room() {
    let scene = Scene::healthy(3).full_of_keys();
    let scene = scene.with_option("quota-backend-bytes", (4096_u64 << 20).into());
    let after = disarm(scene);
    assert!(!matches!(after.outcome, Outcome::Done), "{:?}", after.outcome);
    assert_eq!(alarms(&after), [AlarmKind::Nospace; 3]);
}
