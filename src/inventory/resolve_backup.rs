//! `backup`: what it means, and what is wrong with it.

use std::time::Duration;

use super::desired::{BackupPolicy, KeepPolicy};
use super::leaf::{Count, Plain};
use super::parse::Environment;
use super::place::BackupPlace;
use super::problem::Problem;
use super::raw::{Field, RawBackup, RawInventory, RawKeep};
use super::resolve::local_path;

const HOUR: Duration = Duration::from_secs(3600);

/// Resolves it.
pub fn backup(raw: &RawInventory, env: &Environment, problems: &mut Vec<Problem>) -> Option<BackupPolicy> {
    let raw = raw.backup.as_ref()?;
    let to: Vec<BackupPlace> = raw
        .to
        .iter()
        .flat_map(|to| &to.0)
        .map(|place| place.value.clone())
        .collect();
    let keep = raw.keep.as_ref().map(keep);
    if let (Some(keep), Some(schedule)) = (keep, &raw.schedule)
        && keep.is_nothing()
    {
        let help = "set how many: `keep: {last: 7, daily: 14}`; without `keep`, all are kept";
        problems.push(Problem::error(schedule.at, "`keep` keeps nothing", help));
    }
    unused(raw, &to, problems);
    let word = |field: &Option<Field<Plain>>| field.as_ref().map(|word| word.value.0.clone());
    let mut local = |path| local_path(env, path, problems);
    let (s3_credentials, identity) = (
        raw.s3_credentials.as_ref().map(&mut local),
        raw.identity.as_ref().map(&mut local),
    );
    let schedule = raw.schedule.as_ref()?.value.0.clone();
    (!to.is_empty()).then(|| BackupPolicy {
        max_age: raw
            .max_age
            .as_ref()
            .map_or_else(|| usual_age(&schedule), |age| age.value.0),
        schedule,
        to,
        keep,
        s3_credentials,
        s3_endpoint: word(&raw.s3_endpoint),
        s3_region: word(&raw.s3_region),
        identity,
    })
}

/// Secrets go to the hosts only where something there needs them.
fn unused(raw: &RawBackup, to: &[BackupPlace], problems: &mut Vec<Problem>) {
    let s3 = to.iter().any(|place| matches!(place, BackupPlace::S3 { .. }));
    let ssh = to.iter().any(|place| matches!(place, BackupPlace::Ssh(_)));
    if let Some(field) = raw.s3_credentials.as_ref().filter(|_| !s3) {
        let help = "remove it: nothing is backed up to `s3://`";
        problems.push(Problem::error(field.at, "`s3_credentials` has no effect", help));
    }
    match (&raw.identity, ssh, raw.to.as_ref().and_then(|to| to.0.first())) {
        (Some(field), false, _) => {
            let help = "remove it: nothing is backed up to `ssh://`";
            problems.push(Problem::error(field.at, "`identity` has no effect", help));
        }
        (None, true, Some(first)) => {
            let help = "add `identity: FILE`, the key with which the hosts may log in there";
            problems.push(Problem::error(first.at, "the hosts have no key for `ssh://`", help));
        }
        _ => {}
    }
}

fn keep(raw: &RawKeep) -> KeepPolicy {
    let number = |field: &Option<Field<Count>>| field.as_ref().map_or(0, |count| count.value.0);
    KeepPolicy {
        last: number(&raw.last),
        hourly: number(&raw.hourly),
        daily: number(&raw.daily),
        weekly: number(&raw.weekly),
        monthly: number(&raw.monthly),
    }
}

/// Late by more than a run that had to be repeated.
fn usual_age(schedule: &str) -> Duration {
    match schedule {
        "hourly" => 3 * HOUR,
        "weekly" => 8 * 24 * HOUR,
        "monthly" => 32 * 24 * HOUR,
        _ => 26 * HOUR,
    }
}
