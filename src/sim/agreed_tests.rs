//! Which plans are part of one that was agreed to (`ops/plan/within.rs`), by the plans of the scenes.

use super::scenes::all;
use crate::inventory::{Arch, Version};
use crate::ops::plan::{Action, HostChange, Plan, ReleaseChange, Risk, within};

fn scene(wanted: &str) -> Plan {
    let (_, _, scene) = all().into_iter().find(|(name, ..)| *name == wanted).unwrap();
    scene.plan().unwrap()
}

fn first_change(plan: &mut Plan) -> &mut HostChange {
    let steps = plan.waves.iter_mut().flat_map(|wave| &mut wave.steps);
    let mut changes = steps.filter_map(|step| match &mut step.action {
        Action::Provision { change } | Action::Restart { change, .. } => Some(change),
        _ => None,
    });
    changes.next().unwrap()
}

#[test]
fn less_and_in_another_order_is_still_what_was_agreed_to() {
    for (name, _, scene) in all() {
        let Ok(agreed) = scene.plan() else { continue };
        assert!(within(&agreed, &agreed), "{name}");
    }
    for name in ["bare-hosts", "changed-option"] {
        let agreed = scene(name);
        let mut less = agreed.clone();
        less.waves.reverse();
        less.waves.pop();
        *first_change(&mut less) = HostChange::default();
        assert!(within(&less, &agreed), "{name}");
    }
}

#[test]
fn anything_more_is_not() {
    type Change = fn(&mut Plan);
    let more: [(&str, Change); 7] = [
        ("another inventory", |plan| plan.header.desired_digest.push('x')),
        ("a step twice", |plan| {
            let again = plan.waves[0].clone();
            plan.waves.push(again);
        }),
        ("another host", |plan| {
            let other = plan.steps().last().unwrap().target.clone();
            let first = &mut plan.waves[0].steps[0];
            assert_ne!(first.target, other);
            first.target = other;
        }),
        ("a higher risk", |plan| plan.waves[0].steps[0].risk = Risk::DestroysData),
        ("another file", |plan| {
            let mut file = first_change(plan).files[0].clone();
            file.text.push('#');
            first_change(plan).files.push(file);
        }),
        ("certificates", |plan| first_change(plan).certificates = true),
        ("another program", |plan| {
            let sha256 = [("etcd".to_owned(), "00".to_owned())].into();
            let (version, arch) = (Version::new(3, 6, 16), Arch::Amd64);
            first_change(plan).release = Some(ReleaseChange { version, arch, sha256 });
        }),
    ];
    let agreed = scene("changed-option");
    for (what, change) in more {
        let mut now = agreed.clone();
        change(&mut now);
        assert!(!within(&now, &agreed), "{what}");
    }
}
