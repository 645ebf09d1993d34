//! Answers of clusters, for tests.

use super::part::Answer;
use super::run::Ran;
use crate::cli::error::{Exit, Failure};
use crate::cli::status::{Glance, glance};
use crate::cli::vitals::{Slowest, Vitals, releases};
use crate::ops::model::Fact;
use crate::ops::samples;
use crate::report::columns_of;

/// What `status` sees of a cluster of three members that is well.
pub fn well(name: &str) -> Glance {
    let desired = samples::desired(3);
    let mut world = samples::observed(&desired);
    world.cluster = Fact::Known(samples::membership(&desired));
    let mut glance = glance(&desired, &world);
    name.clone_into(&mut glance.cluster);
    glance.vitals = Some(Vitals {
        releases: releases(&glance),
        slowest_fsync: Some(Slowest {
            member: "etcd-2".into(),
            p99_seconds: 0.0042,
        }),
        slowest_round_trip: Some(Slowest {
            member: "etcd-1 to etcd-3".into(),
            p99_seconds: 0.000_8,
        }),
        newest_backup: Some("2025-12-31T03:00:00Z".parse().unwrap()),
        drift_steps: Some(0),
        not_told: Vec::new(),
    });
    glance
}

/// A cluster that answered like this.
pub fn ran(name: &str, exit: Exit, change: impl FnOnce(&mut Glance)) -> Ran {
    let mut seen = well(name);
    change(&mut seen);
    Ran {
        name: name.to_owned(),
        path: format!("clusters/{name}.yml").into(),
        exit,
        answers: vec![Answer::Glance(Box::new(seen))],
        failure: None,
        finished: None,
        warnings: Vec::new(),
        seconds: 0.0,
    }
}

/// One whose command failed.
pub fn failed(name: &str, exit: Exit, why: &str) -> Ran {
    Ran {
        answers: Vec::new(),
        failure: Some(Failure::new(exit, why)),
        ..ran(name, exit, |_| {})
    }
}

/// One of each kind, in no order.
pub fn all_kinds() -> Vec<Ran> {
    vec![
        ran("well", Exit::Done, |_| {}),
        ran("full", Exit::Done, |glance| glance.quota = Some(22 << 20)),
        ran("dark", Exit::Unreachable, |glance| {
            glance.healthy = None;
            glance.can_lose = None;
            glance.vitals = None;
        }),
        ran("hurt", Exit::Unhealthy, |glance| {
            glance.healthy = Some(false);
            glance.can_lose = Some(0);
            glance.alarms = vec!["NOSPACE etcd-1".into()];
        }),
        ran("lost", Exit::Unhealthy, |glance| {
            glance.healthy = Some(false);
            glance.can_lose = None;
        }),
        ran("old", Exit::Done, |glance| {
            glance.members[0].version = Some("3.5.4".into());
            glance.vitals.as_mut().unwrap().drift_steps = Some(3);
        }),
        ran("busy", Exit::Done, |glance| {
            glance.locked_by = Some("ann@laptop since 2026-01-01T11:58:00Z".into());
            glance.lock_command = Some("quorate -i clusters/busy.yml upgrade --to 3.6.16".into());
            glance.vitals.as_mut().unwrap().drift_steps = None;
        }),
        failed("typo", Exit::Inventory, "the inventory has 2 problems"),
    ]
}

/// Lines of a screen as text, of which none is too wide or one too many.
pub fn on_screen(lines: Vec<String>, width: usize, height: usize) -> String {
    assert!(lines.len() <= height, "{} lines of {height}: {lines:#?}", lines.len());
    assert!(
        lines.iter().all(|line| columns_of(line) <= width),
        "{width}: {lines:#?}"
    );
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}
