//! `backup schedule`: the hosts take backups by themselves, as the inventory says.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;

use super::args::ScheduleArgs;
use super::backup_package::Package;
use super::error::{Detail, Exit, Failure};
use super::interrupt::unless;
use super::lock;
use super::session::Session;
use super::{closed, confirm};
use crate::backup::schedule::{Answered, End, Report, Scheduled, outlook, turns};
use crate::host::HostFacts;
use crate::inventory::{BackupPlace, BackupPolicy, Desired, DesiredHost, NodeName, ServiceManager};
use crate::ops::model::{Fact, Membership, Observed, why_and_help};
use crate::ops::observe::observe_hosts;
use crate::ops::plan::preflight;
use crate::ops::safety::Blocked;
use crate::render::SchedulePaths;
use crate::report::{Event, human_bytes};

/// Brings the hosts in line with `backup` in the inventory, or takes it all away.
///
/// # Errors
/// See the exit codes.
pub(super) async fn schedule(session: &Session, args: &ScheduleArgs) -> Result<Exit, Failure> {
    session.may_change().await?;
    match (args.remove, &session.desired().backup) {
        (true, _) => remove(session).await,
        (false, Some(policy)) => install(session, policy, args).await,
        (false, None) => Err(Failure::new(Exit::Inventory, "the inventory does not schedule backups")
            .hint("add to it:\n  backup:\n    schedule: daily\n    to: s3://BUCKET/PREFIX")),
    }
}

async fn install(session: &Session, policy: &BackupPolicy, args: &ScheduleArgs) -> Result<Exit, Failure> {
    let hosts = hosts(session)?;
    let package = Package::gather(session, policy, args)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = session.phase("look", session.look(&fleet, &vault)).await?;
    closed::to_others(session, &seen)?;
    let membership = well(&seen)?;
    let facts = reachable(&hosts, &seen)?;
    roots(session, &seen.hosts)?;
    refuse(package.misfits(&hosts, &facts))?;
    fleet
        .host(hosts[0])
        .await?
        .understands_calendar(&policy.schedule)
        .await?;

    announce(session, policy, &hosts);
    if !session.global.yes {
        confirm::ask("Apply this plan?")?;
    }
    let lock = lock::take(session, &fleet, &[], session.stop());
    let held = session.phase("lock", unless(session.stop(), lock)).await?;
    let setting_up = hosts.iter().zip(facts).map(|(spec, facts)| {
        let package = &package;
        step(session, spec, "set up the timer", async move {
            let host = session.fleet().host(spec).await?;
            Ok(package.set_up(session, policy, &host, spec, facts).await?)
        })
    });
    all(session.phase("set up", join_all(setting_up)).await)?;
    session
        .phase(
            "first backup",
            unless(session.stop(), prove(session, policy, &hosts, membership)),
        )
        .await?;
    let findings = look_again(session, policy).await;
    if let Some(finding) = findings.first() {
        return Err(Failure::new(Exit::StepFailed, finding.clone()).hint("fix that, then run this again"));
    }
    held.release().await;
    session.finish(
        true,
        hosts.len(),
        format!("backups are scheduled {}, and the first one was taken", policy.schedule),
    );
    Ok(Exit::Done)
}

async fn remove(session: &Session) -> Result<Exit, Failure> {
    let hosts = hosts(session)?;
    closed::unseen_to_others(session).await?;
    if !session.global.yes {
        confirm::ask("Remove the timers, keys and programs of scheduled backups from all hosts?")?;
    }
    let fleet = session.fleet();
    let lock = lock::take(session, &fleet, &[], session.stop());
    let held = session.phase("lock", unless(session.stop(), lock)).await?;
    let removing = hosts.iter().map(|spec| {
        step(session, spec, "remove the timer", async move {
            let host = session.fleet().host(spec).await?;
            let paths = SchedulePaths::of(spec);
            host.disable_timer(&paths.unit, &paths.all()).await?;
            Ok("removed; backups are kept".to_owned())
        })
    });
    all(session.phase("remove", join_all(removing)).await)?;
    held.release().await;
    session.finish(true, hosts.len(), "no host takes scheduled backups any more");
    Ok(Exit::Done)
}

/// Refuses where somebody else than root could exchange what is put on a host. What is taken away is taken away by whom it
/// belongs to.
fn roots(session: &Session, hosts: &BTreeMap<NodeName, Fact<HostFacts>>) -> Result<(), Failure> {
    refuse(preflight::not_roots(session.desired(), hosts))
}

fn refuse(blocked: Vec<Blocked>) -> Result<(), Failure> {
    match blocked.is_empty() {
        true => Ok(()),
        false => Err(blocked.into()),
    }
}

/// Every host of the inventory; timers take systemd.
fn hosts(session: &Session) -> Result<Vec<&DesiredHost>, Failure> {
    let hosts: Vec<&DesiredHost> = session
        .desired()
        .order
        .iter()
        .filter_map(|n| session.desired().hosts.get(n))
        .collect();
    match hosts
        .iter()
        .find(|host| host.service_manager != ServiceManager::Systemd)
    {
        None => Ok(hosts),
        Some(host) => Err(Failure::new(
            Exit::Usage,
            format!("{} has no systemd, which scheduled backups need", host.name),
        )
        .hint("run `quorate backup create` from cron instead")),
    }
}

fn well(seen: &Observed) -> Result<&Membership, Failure> {
    match &seen.cluster {
        Fact::Known(membership) => Ok(membership),
        Fact::Absent => Err(Failure::new(Exit::Blocked, "there is no cluster yet").hint("create it with `quorate up`")),
        Fact::Unknown(why) => Err(Failure::new(Exit::Blocked, why).hint("fix it with `quorate up`")),
    }
}

fn reachable<'a>(hosts: &[&DesiredHost], seen: &'a Observed) -> Result<Vec<&'a HostFacts>, Failure> {
    let mut details = Vec::new();
    let mut facts = Vec::new();
    for spec in hosts {
        let why = match seen.hosts.get(&spec.name) {
            Some(Fact::Known(known)) => {
                facts.push(known);
                continue;
            }
            Some(Fact::Unknown(why)) => why,
            Some(Fact::Absent) | None => "it was not inspected",
        };
        let (message, help) = why_and_help(why);
        details.push(Detail {
            node: Some(spec.name.to_string()),
            message: message.to_owned(),
            hint: help.unwrap_or_default().to_owned(),
        });
    }
    match details.is_empty() {
        true => Ok(facts),
        false => Err(Failure {
            details,
            ..Failure::new(Exit::Unreachable, "not every host can be reached; nothing was changed")
        }),
    }
}

fn announce(session: &Session, policy: &BackupPolicy, hosts: &[&DesiredHost]) {
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    let places: Vec<String> = policy.to.iter().map(ToString::to_string).collect();
    session.note(&format!(
        "{}: a timer ({}) and quorate itself; one of them at a time backs up to {}",
        names.join(", "),
        policy.schedule,
        places.join(", ")
    ));
    if policy.s3_credentials.is_some() || policy.identity.is_some() {
        session.note("each host gets the credentials for that, readable only by etcd's account");
    }
    let deletable: Vec<String> = policy
        .to
        .iter()
        .filter(|place| is_elsewhere(place))
        .map(ToString::to_string)
        .collect();
    if policy.keep.is_some() && !deletable.is_empty() {
        session.reporter.event(&Event::Warning {
            node: None,
            text: format!(
                "`keep` takes credentials on the hosts that can delete: whoever takes over a member can delete every backup in {}",
                deletable.join(", ")
            ),
            hint: Some(
                "give the hosts credentials that can only add (docs/backups.md), leave `keep` out, and run `quorate backup \
                 prune --at PLACE` here"
                    .to_owned(),
            ),
        });
    }
    if unshared(policy) {
        session.note("a directory that is not shared contains only the backups that its own host took");
    }
}

/// Its storage can tell adding from deleting, which a directory of the host itself cannot.
fn is_elsewhere(place: &BackupPlace) -> bool {
    !matches!(place, BackupPlace::Directory(_))
}

/// Others cannot see there what one has taken.
fn unshared(policy: &BackupPolicy) -> bool {
    policy.to.iter().any(|place| matches!(place, BackupPlace::Directory(_)))
}

/// One step on one host.
async fn step(
    session: &Session,
    spec: &DesiredHost,
    what: &str,
    work: impl Future<Output = Result<String, Failure>>,
) -> Result<(), Failure> {
    session
        .step(&format!("{what} {}", spec.name), Some(&spec.name), what, work)
        .await
}

/// The first backup, taken as the timer will take it: by the member whose turn it is, while the others look whether it
/// has come to every place.
async fn prove(
    session: &Session,
    policy: &BackupPolicy,
    hosts: &[&DesiredHost],
    membership: &Membership,
) -> Result<(), Failure> {
    let answered: BTreeMap<String, Answered> = membership
        .voters()
        .filter(|member| membership.healthy(member.id))
        .map(|member| {
            let leads = membership.leader() == Some(member.id);
            (member.name.clone(), Answered { leads })
        })
        .collect();
    let order = turns(&answered);
    let is_first = |spec: &DesiredHost| order.first() == Some(&spec.name.as_str());
    let (first, others): (Vec<&DesiredHost>, Vec<&DesiredHost>) = hosts.iter().partition(|spec| is_first(spec));
    let try_it = |spec| {
        step(session, spec, "take a backup as the timer will", async move {
            let host = session.fleet().host(spec).await?;
            host.run_timer_now(&SchedulePaths::of(spec).unit).await?;
            Ok("done".to_owned())
        })
    };
    all(join_all(first.into_iter().map(try_it)).await)?;
    if !unshared(policy) {
        all(join_all(others.into_iter().map(try_it)).await)?;
    }
    Ok(())
}

/// What the hosts report now.
async fn look_again(session: &Session, policy: &BackupPolicy) -> Vec<String> {
    let seen = observe_hosts(&session.fleet()).await;
    let reports = reports(session.desired(), &seen);
    for (node, report) in &reports {
        if let Scheduled::Ran(Report {
            end: End::Taken { file, bytes },
            ..
        }) = report
        {
            session.note(&format!("{node}: {file}, {}", human_bytes(*bytes)));
        }
    }
    outlook(&reports, &[], policy.max_age, Timestamp::now()).findings
}

/// What each host shows of its scheduled backups, of those that could be inspected.
pub(super) fn reports(desired: &Desired, seen: &BTreeMap<NodeName, Fact<HostFacts>>) -> BTreeMap<NodeName, Scheduled> {
    let report = |spec: &DesiredHost, facts: &HostFacts| {
        let paths = SchedulePaths::of(spec);
        let written = facts.files.get(&paths.report).and_then(|file| file.content.as_deref());
        match written.and_then(|content| serde_json::from_str(content).ok()) {
            Some(report) => Scheduled::Ran(report),
            None if facts.files.contains_key(&paths.timer) => Scheduled::Waiting,
            None => Scheduled::No,
        }
    };
    let known = desired
        .hosts
        .values()
        .filter_map(|spec| Some((spec, seen.get(&spec.name)?.known()?)));
    known
        .map(|(spec, facts)| (spec.name.clone(), report(spec, facts)))
        .collect()
}

/// The first failure, if there is any; each of them has been told.
fn all(outcomes: Vec<Result<(), Failure>>) -> Result<(), Failure> {
    outcomes.into_iter().collect()
}
