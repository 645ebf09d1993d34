//! What a fleet's row tells of a cluster besides its health: releases, latencies, the newest backup that counts, and how far its
//! hosts are from the inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::converge::Parts;
use super::session::Session;
use super::status::{Glance, askable, backups};
use crate::backup::list;
use crate::bundle::{gets_fixes, known_bad, upgrade};
use crate::etcd::{ClientTls, Metrics};
use crate::inventory::{Desired, NodeName, Version};
use crate::ops::doctor::{ENOUGH, ENOUGH_PROBES};
use crate::ops::fleet::Fleet;
use crate::ops::inspect;
use crate::ops::model::{Fact, Intent, Observed, Policy, label};
use crate::ops::observe::observe_logins;
use crate::report::chain;

/// As `--output json` prints it, beside what `status` says.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Vitals {
    /// What runs, and what is to be known of it.
    pub releases: Vec<Release>,
    /// The slowest write to a WAL (99 of 100), since that member was started.
    pub slowest_fsync: Option<Slowest>,
    /// The slowest round trip between two members (99 of 100), since the first of them was started.
    pub slowest_round_trip: Option<Slowest>,
    /// The newest backup that counts: scheduled, or beside the inventory.
    pub newest_backup: Option<Timestamp>,
    /// Steps that `up` would take; `None` where that could not be found out.
    pub drift_steps: Option<usize>,
    /// What could not be found out, in sentences.
    pub not_told: Vec<String>,
}

/// A release that members run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// The release.
    pub version: Version,
    /// It is known to lose data.
    pub loses_data: bool,
    /// Its series still gets fixes.
    pub supported: bool,
    /// Where to go from there: `3.5.33`, or `3.6` for the next series.
    pub upgrade: Option<String>,
}

/// The slowest of all members.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slowest {
    /// The member; for a round trip both, `etcd-1 to etcd-2`.
    pub member: String,
    /// Seconds that 99 of 100 take at the most.
    pub p99_seconds: f64,
}

/// What is told of releases, for each that a member runs.
pub fn releases(glance: &Glance) -> Vec<Release> {
    let versions: BTreeSet<Version> = glance
        .members
        .iter()
        .filter_map(|member| member.version.as_deref()?.parse().ok())
        .collect();
    let release = |version| Release {
        version,
        loses_data: known_bad(version).is_some(),
        supported: gets_fixes(version),
        upgrade: upgrade(version),
    };
    versions.into_iter().map(release).collect()
}

/// Asks every member that can be asked what it has measured.
pub async fn measured(
    session: &Session,
    fleet: &Arc<Fleet>,
    seen: &Observed,
    tls: Option<&ClientTls>,
) -> BTreeMap<NodeName, Fact<Metrics>> {
    let Some(tls) = tls else { return BTreeMap::new() };
    let asked = askable(session.desired(), seen).map(async |spec| {
        let metrics = inspect::metrics(fleet, spec, tls).await;
        let metrics = metrics.map_or_else(|error| Fact::Unknown(error.to_string()), Fact::Known);
        (spec.name.clone(), metrics)
    });
    join_all(asked).await.into_iter().collect()
}

/// All of it, from what was seen and measured.
pub async fn vitals(
    session: &Session,
    seen: &Observed,
    metrics: &BTreeMap<NodeName, Fact<Metrics>>,
    glance: &Glance,
) -> Vitals {
    let mut not_told: Vec<String> = metrics
        .iter()
        .filter_map(|(name, metrics)| match metrics {
            Fact::Unknown(why) => Some(format!("{name}: its metrics could not be read: {why}")),
            Fact::Known(_) | Fact::Absent => None,
        })
        .collect();
    let newest_backup = newest_backup(session, seen).unwrap_or_else(|why| {
        not_told.push(why);
        None
    });
    let drift_steps = drift(session, seen)
        .await
        .map_err(|why| not_told.push(format!("how far it is from the inventory: {why}")))
        .ok();
    Vitals {
        releases: releases(glance),
        slowest_fsync: slowest_fsync(metrics),
        slowest_round_trip: slowest_round_trip(session.desired(), seen, metrics),
        newest_backup,
        drift_steps,
        not_told,
    }
}

fn known(metrics: &BTreeMap<NodeName, Fact<Metrics>>) -> impl Iterator<Item = (&NodeName, &Metrics)> {
    metrics
        .iter()
        .filter_map(|(name, metrics)| Some((name, metrics.known()?)))
}

fn slowest(all: impl Iterator<Item = Slowest>) -> Option<Slowest> {
    all.max_by(|a, b| a.p99_seconds.total_cmp(&b.p99_seconds))
}

fn slowest_fsync(metrics: &BTreeMap<NodeName, Fact<Metrics>>) -> Option<Slowest> {
    slowest(known(metrics).filter_map(|(name, metrics)| {
        let fsync = metrics.wal_fsync.filter(|fsync| fsync.count >= ENOUGH)?;
        Some(Slowest {
            member: name.to_string(),
            p99_seconds: fsync.p99_seconds,
        })
    }))
}

fn slowest_round_trip(
    desired: &Desired,
    seen: &Observed,
    metrics: &BTreeMap<NodeName, Fact<Metrics>>,
) -> Option<Slowest> {
    let members = seen.cluster.known().map_or(&[][..], |membership| &membership.members);
    slowest(known(metrics).flat_map(|(name, metrics)| {
        let enough = metrics
            .round_trips
            .iter()
            .filter(|(_, trip)| trip.count >= ENOUGH_PROBES);
        enough.filter_map(move |(remote, trip)| {
            let remote = members.iter().find(|member| member.id == *remote)?;
            Some(Slowest {
                member: format!("{name} to {}", label(desired, remote)),
                p99_seconds: trip.p99_seconds,
            })
        })
    }))
}

/// Of those that hosts take by themselves, and those beside the inventory.
fn newest_backup(session: &Session, seen: &Observed) -> Result<Option<Timestamp>, String> {
    let scheduled = backups(session.desired(), seen).and_then(|outlook| outlook.last_success);
    let trust = session.vault().trust().map_err(|error| chain(&error))?;
    let dir = session.base().join("backups");
    let beside = list(&dir, &session.desired().cluster, &trust, Timestamp::now()).map_err(|error| chain(&error))?;
    let counting = beside.entries.iter().filter(|entry| entry.standing.counts());
    Ok(counting.map(|entry| entry.manifest.taken_at).chain(scheduled).max())
}

/// How many steps `up` would take.
async fn drift(session: &Session, seen: &Observed) -> Result<usize, String> {
    let said = |failure: super::error::Failure| failure.in_a_line();
    let parts = Parts {
        fleet: session.fleet(),
        vault: session.vault(),
        bundle: session.bundle_if_any().map_err(said)?,
        backup: None,
    };
    let seen = Observed {
        auth: observe_logins(&parts.fleet, &parts.vault, seen).await,
        ..seen.clone()
    };
    let intent = Intent::Converge {
        prune: false,
        limit: Vec::new(),
    };
    // How far it is, and not whether it may be done: a cluster of one cannot be changed without an outage.
    let policy = Policy {
        accept_outage: true,
        ..session.policy()
    };
    let plan = parts.draft(session, &intent, &seen, policy).map_err(said)?;
    Ok(plan.steps().count())
}
