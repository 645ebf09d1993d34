//! `backup schedule`: the hosts take backups by themselves, as the inventory says.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::future::join_all;

use super::args::ScheduleArgs;
use super::backup_package::Package;
use super::confirm;
use super::error::{Detail, Exit, Failure};
use super::lock;
use super::session::Session;
use crate::backup::schedule::{Answered, End, Report, outlook, turns};
use crate::host::{FactsQuery, HostError, HostFacts};
use crate::inventory::{BackupPlace, BackupPolicy, DesiredHost, NodeName, ServiceManager};
use crate::ops::model::{Fact, Membership, Observed};
use crate::render::SchedulePaths;
use crate::report::{Event, human_bytes};

/// Brings the hosts in line with `backup` in the inventory, or takes it all away.
///
/// # Errors
/// See the exit codes.
pub(super) async fn schedule(session: &Session, args: &ScheduleArgs) -> Result<Exit, Failure> {
    match (args.remove, &session.desired().backup) {
        (true, _) => remove(session).await,
        (false, Some(policy)) => install(session, policy, args).await,
        (false, None) => Err(Failure::new(
            Exit::Inventory,
            "the inventory does not say when backups are to be taken",
        )
        .hint("add to it:\n  backup:\n    schedule: daily\n    to: s3://BUCKET/PREFIX")),
    }
}

async fn install(session: &Session, policy: &BackupPolicy, args: &ScheduleArgs) -> Result<Exit, Failure> {
    let hosts = hosts(session)?;
    let package = Package::gather(session, policy, args)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = session.phase("look", session.look(&fleet, &vault)).await?;
    let membership = well(&seen)?;
    let facts = reachable(&hosts, &seen)?;
    fleet
        .host(hosts[0])
        .await?
        .understands_calendar(&policy.schedule)
        .await?;

    announce(session, policy, &hosts);
    if !session.global.yes {
        confirm::ask("Do this?")?;
    }
    let _held = session
        .phase("lock", lock::take(session, &fleet, &[], session.stop()))
        .await?;
    let setting_up = hosts.iter().zip(facts).map(|(spec, facts)| {
        let package = &package;
        step(session, spec, "set up the timer", async move {
            let host = session.fleet().host(spec).await?;
            package.set_up(session, policy, &host, spec, facts).await
        })
    });
    all(session.phase("set up", join_all(setting_up)).await)?;
    session
        .phase("first backup", prove(session, policy, &hosts, membership))
        .await?;
    let findings = look_again(session, policy, &hosts).await?;
    if let Some(finding) = findings.first() {
        return Err(Failure::new(Exit::StepFailed, finding.clone()).hint("mend that, and run this again"));
    }
    session.finish(
        true,
        hosts.len(),
        format!("backups are taken {}, and the first one is there", policy.schedule),
    );
    Ok(Exit::Done)
}

async fn remove(session: &Session) -> Result<Exit, Failure> {
    let hosts = hosts(session)?;
    if !session.global.yes {
        confirm::ask("Take timers, keys and programs of scheduled backups away from all hosts?")?;
    }
    let fleet = session.fleet();
    let _held = session
        .phase("lock", lock::take(session, &fleet, &[], session.stop()))
        .await?;
    let removing = hosts.iter().map(|spec| {
        step(session, spec, "take the timer away", async move {
            let host = session.fleet().host(spec).await?;
            let paths = SchedulePaths::of(spec);
            host.disable_timer(&paths.unit, &paths.all()).await?;
            Ok("it is gone; backups stay".to_owned())
        })
    });
    all(session.phase("remove", join_all(removing)).await)?;
    session.finish(true, hosts.len(), "no host takes backups by itself any more");
    Ok(Exit::Done)
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
            format!("{} has no systemd, and timers are systemd's", host.name),
        )
        .hint("run `quorate backup create` from cron instead")),
    }
}

fn well(seen: &Observed) -> Result<&Membership, Failure> {
    match &seen.cluster {
        Fact::Known(membership) => Ok(membership),
        Fact::Absent => Err(Failure::new(Exit::Blocked, "there is no cluster yet").hint("make it with `quorate up`")),
        Fact::Unknown(why) => Err(Failure::new(Exit::Blocked, why).hint("mend it with `quorate up`")),
    }
}

fn reachable<'a>(hosts: &[&DesiredHost], seen: &'a Observed) -> Result<Vec<&'a HostFacts>, Failure> {
    let mut details = Vec::new();
    let mut facts = Vec::new();
    for spec in hosts {
        match seen.hosts.get(&spec.name) {
            Some(Fact::Known(known)) => facts.push(known),
            Some(Fact::Unknown(why)) => details.push(Detail {
                node: Some(spec.name.to_string()),
                message: why.clone(),
                hint: String::new(),
            }),
            Some(Fact::Absent) | None => {}
        }
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
        "{}: a timer ({}) and quorate itself; one of them backs up to {}",
        names.join(", "),
        policy.schedule,
        places.join(", ")
    ));
    if policy.s3_credentials.is_some() || policy.identity.is_some() {
        session.note("each host gets the credentials for that, readable for etcd's account alone");
    }
    if unshared(policy) {
        session.note("a directory that the hosts do not share holds only what its own host took");
    }
}

/// Others cannot see there what one has taken.
fn unshared(policy: &BackupPolicy) -> bool {
    policy.to.iter().any(|place| matches!(place, BackupPlace::Directory(_)))
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
    let try_it = |spec: &'_ DesiredHost| {
        let (name, unit) = (spec.clone(), SchedulePaths::of(spec).unit);
        async move {
            let what = "take a backup as the timer will";
            step(session, &name, what, async {
                session.fleet().host(&name).await?.run_timer_now(&unit).await?;
                Ok("done".to_owned())
            })
            .await
        }
    };
    all(join_all(first.into_iter().map(try_it)).await)?;
    if !unshared(policy) {
        all(join_all(others.into_iter().map(try_it)).await)?;
    }
    Ok(())
}

/// What the hosts report now.
async fn look_again(session: &Session, policy: &BackupPolicy, hosts: &[&DesiredHost]) -> Result<Vec<String>, Failure> {
    let fleet = session.fleet();
    let mut reports = BTreeMap::new();
    for spec in hosts {
        let path = SchedulePaths::of(spec).report;
        let query = FactsQuery {
            contents: vec![path.clone()],
            ..FactsQuery::default()
        };
        let facts = fleet.host(spec).await?.facts(&query).await?;
        reports.insert(spec.name.clone(), report_of(spec, &facts));
    }
    let now = jiff::Timestamp::now();
    let mut findings = outlook(&reports, policy.max_age, now).findings;
    if unshared(policy) {
        findings.retain(|finding| !finding.contains("takes no scheduled backups yet"));
    }
    for (node, report) in &reports {
        if let Some(Report {
            end: End::Taken { file, bytes },
            ..
        }) = report
        {
            session.note(&format!("{node}: {file}, {}", human_bytes(*bytes)));
        }
    }
    Ok(findings)
}

/// How the last run on a host ended, from what was looked at there.
pub(super) fn report_of(spec: &DesiredHost, facts: &HostFacts) -> Option<Report> {
    let file = facts.files.get(&SchedulePaths::of(spec).report)?;
    serde_json::from_str(file.content.as_deref()?).ok()
}

/// One step on one host, told as it goes.
async fn step(
    session: &Session,
    spec: &DesiredHost,
    what: &str,
    work: impl Future<Output = Result<String, HostError>>,
) -> Result<(), (NodeName, HostError)> {
    let name = format!("{what} {}", spec.name);
    session.reporter.event(&Event::StepStarted {
        step: name.clone(),
        node: Some(spec.name.clone()),
        what: what.to_owned(),
    });
    let begun = Instant::now();
    match work.await {
        Ok(saw) => {
            session.reporter.event(&Event::StepFinished {
                step: name,
                node: Some(spec.name.clone()),
                seconds: begun.elapsed().as_secs_f64(),
                saw,
            });
            Ok(())
        }
        Err(error) => {
            session.reporter.event(&Event::StepFailed {
                step: name,
                node: Some(spec.name.clone()),
                error: error.to_string(),
                hint: error.hint().map(str::to_owned),
                journal: Vec::new(),
            });
            Err((spec.name.clone(), error))
        }
    }
}

fn all(outcomes: Vec<Result<(), (NodeName, HostError)>>) -> Result<(), Failure> {
    let mut failed = outcomes.into_iter().filter_map(Result::err);
    match failed.next() {
        None => Ok(()),
        Some((_, error)) => Err(error.into()),
    }
}
