//! `status`, `members`, `health`: the cluster at a glance.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::args::{Global, Status};
use super::backup_schedule::reports;
use super::closed;
use super::error::{Exit, Failure};
use super::session::Session;
use crate::backup::schedule::{Outlook, outlook};
use crate::etcd::{ClientTls, MemberStatus};
use crate::host::ServiceState;
use crate::inventory::{Desired, DesiredHost, MemberId};
use crate::ops::check::why_unhealthy;
use crate::ops::fleet::Fleet;
use crate::ops::inspect;
use crate::ops::model::{Fact, Membership, Observed, host_of, why_and_help};
use crate::ops::safety::bootstrap::one_cluster;
use crate::ops::safety::downgrade::told;
use crate::ops::safety::quorum::Strength;
use crate::ops::safety::restore::no_restore_under_way;
use crate::pki::Certificate;
use crate::report::{Cell, Paint, Table, Tone, human_bytes, terminal_width};

/// One look at a cluster, as `--output json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Glance {
    /// The cluster's name.
    pub cluster: String,
    /// etcd's id of it; `None` while it does not answer.
    pub cluster_id: Option<String>,
    /// Every member well, a leader agreed on, no alarm, and as many members as hosts.
    pub healthy: bool,
    /// Members and hosts of the inventory, in its order; then members it does not list.
    pub members: Vec<MemberGlance>,
    /// Voters.
    pub voters: usize,
    /// How many more voters may fail before writes stop.
    pub can_lose: usize,
    /// Active alarms, `NOSPACE etcd-1`.
    pub alarms: Vec<String>,
    /// What keeps it from being healthy, in sentences.
    pub problems: Vec<String>,
    /// The way back to an earlier minor that etcd is on, and what can be done about it. It makes nobody unhealthy.
    pub downgrade: Option<String>,
    /// Scheduled backups; `None` when the inventory wants none. What is wrong with them makes nobody unhealthy.
    pub backups: Option<Outlook>,
}

/// One member, or a host that should be one.
#[derive(Debug, Clone, Serialize)]
pub struct MemberGlance {
    /// Its name.
    pub name: String,
    /// etcd's id of it; `None` when it is not a member.
    pub id: Option<String>,
    /// Where clients reach it.
    pub address: String,
    /// Well, by its own answer.
    pub healthy: bool,
    /// It leads.
    pub leader: bool,
    /// It has no vote.
    pub learner: bool,
    /// What it runs.
    pub version: Option<String>,
    /// Database file, bytes.
    pub db_size: Option<u64>,
    /// In use inside it, bytes.
    pub db_in_use: Option<u64>,
    /// Last raft index.
    pub raft_index: Option<u64>,
    /// Entries behind the furthest member.
    pub lag: Option<u64>,
    /// Days until the first of its certificates expires.
    pub certificate_days: Option<i64>,
    /// What the host's service manager says.
    pub service: Option<ServiceState>,
    /// Why it is not healthy.
    pub problem: Option<String>,
}

/// `status`.
///
/// # Errors
/// When the inventory or the CA cannot be read; an unhealthy cluster is an exit code.
pub async fn status(global: &Global, args: &Status) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    loop {
        let seen = session.look(&fleet, &vault).await?;
        let glance = glance(&session, &seen);
        if args.watch && !session.json() {
            anstream::print!("\x1b[H\x1b[2J");
        }
        print(&session, &glance)?;
        if !args.watch {
            return Ok(if glance.healthy { Exit::Done } else { Exit::Unhealthy });
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// `members`: the list as etcd has it.
///
/// # Errors
/// When no member answers.
pub async fn members(global: &Global) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = session.look(&fleet, &vault).await?;
    closed::to_two_clusters(&seen)?;
    let membership = match &seen.cluster {
        Fact::Known(membership) => membership,
        Fact::Absent => {
            return Err(Failure::new(Exit::Unhealthy, "there is no cluster yet").hint("make it with `quorate up`"));
        }
        Fact::Unknown(why) => return Err(Failure::new(Exit::Unhealthy, why).hint("start it with `quorate up`")),
    };
    if session.json() {
        return json(&membership.members).map(|()| Exit::Done);
    }
    let mut table = Table::new(["NAME", "ID", "PEER URL", "CLIENT URL", "ROLE"]);
    for member in &membership.members {
        let urls: Vec<&str> = member.peer_urls.iter().map(|u| u.0.as_str()).collect();
        let role = match (member.started(), member.learner, membership.leader() == Some(member.id)) {
            (false, ..) => "never started",
            (_, true, _) => "learner",
            (_, _, true) => "leader",
            _ => "voter",
        };
        table.row([
            Cell::new(member.name.clone()),
            Cell::new(member.id.to_string()),
            Cell::new(urls.join(",")),
            Cell::new(member.client_urls.join(",")),
            Cell::new(role),
        ]);
    }
    anstream::println!("{}", table.render(terminal_width(), true));
    Ok(Exit::Done)
}

/// `health`: each member proved by a linearizable read of its own, by what its ports show, and by its peers' streams.
///
/// # Errors
/// When the inventory or the CA cannot be read; an unhealthy cluster is an exit code.
pub async fn health(global: &Global) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = session.look(&fleet, &vault).await?;
    let mut glance = glance(&session, &seen);
    if let Ok(tls) = vault.operator().await {
        let proofs = seen
            .running(session.desired())
            .map(|spec| prove(&fleet, spec, &seen, &tls));
        glance.problems.extend(join_all(proofs).await.into_iter().flatten());
        glance.healthy = glance.healthy && glance.problems.is_empty();
    }
    if session.json() {
        json(&glance)?;
    } else if glance.healthy {
        println!("healthy: {}", strength(&glance));
    } else {
        println!("NOT healthy: {}", strength(&glance));
        for problem in &glance.problems {
            println!("  {problem}");
        }
    }
    Ok(if glance.healthy { Exit::Done } else { Exit::Unhealthy })
}

/// What no health endpoint tells: who gets in at its ports, and whether it hears the others.
async fn prove(fleet: &Arc<Fleet>, spec: &DesiredHost, seen: &Observed, tls: &ClientTls) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) = inspect::ports(fleet, spec, tls).await {
        problems.push(error.message);
    }
    let own = seen.cluster.known().and_then(|m| Some((m, m.of(spec)?)));
    if let Some((membership, own)) = own.filter(|(m, own)| m.healthy(own.id)) {
        match inspect::metrics(fleet, spec, tls).await {
            Ok(metrics) => problems.extend(
                inspect::without_stream(membership, own.id, &metrics)
                    .next()
                    .map(|cut| format!("{} has no live stream to {}", spec.name, cut.name)),
            ),
            Err(error) => problems.push(format!("{}: {error}", spec.name)),
        }
    }
    problems
}

fn glance(session: &Session, seen: &Observed) -> Glance {
    let desired = session.desired();
    let membership = seen.cluster.known();
    let mut members: Vec<MemberGlance> = desired
        .order
        .iter()
        .filter_map(|n| desired.hosts.get(n))
        .map(|host| of_host(host, seen, membership))
        .collect();
    let strays = membership.iter().flat_map(|m| {
        m.members
            .iter()
            .filter(|x| host_of(desired, x).is_none())
            .map(move |x| (*m, x))
    });
    members.extend(strays.map(|(membership, member)| MemberGlance {
        problem: Some("not in the inventory".into()),
        ..of_member(
            membership,
            member.id,
            &member.name,
            member.client_urls.first().cloned().unwrap_or_default(),
        )
    }));
    let strength = membership.map_or(Strength { voters: 0, healthy: 0 }, Strength::of);
    let alarms: Vec<String> = membership
        .iter()
        .flat_map(|m| m.alarms.iter().map(move |a| alarm(m, a)))
        .collect();
    let mut problems: Vec<String> = members
        .iter()
        .filter_map(|m| m.problem.as_ref().map(|p| format!("{}: {p}", m.name)))
        .collect();
    problems.extend(alarms.iter().map(|a| format!("alarm {a}")));
    if let Err(refusal) = no_restore_under_way(session.desired(), &seen.hosts) {
        problems.push(format!("{refusal}: {}", refusal.hint));
    }
    match &seen.cluster {
        Fact::Known(m) if m.leader().is_none() => problems.push("the members do not agree on a leader".into()),
        Fact::Known(_) => {}
        Fact::Absent => problems.push("there is no cluster yet: `quorate up` makes it".into()),
        Fact::Unknown(why) => problems.push(match one_cluster(seen) {
            Err(refusal) => format!("{refusal}: {}", refusal.hint),
            Ok(()) => why.clone(),
        }),
    }
    Glance {
        cluster: desired.cluster.to_string(),
        cluster_id: membership.map(|m| m.cluster_id.to_string()),
        healthy: problems.is_empty() && !members.is_empty(),
        members,
        voters: strength.voters,
        can_lose: strength.can_lose(),
        alarms,
        problems,
        downgrade: membership.and_then(told).map(|(says, help)| format!("{says}; {help}")),
        backups: backups(desired, seen),
    }
}

/// How scheduled backups fare, by the hosts' own reports; `None` when the inventory wants none.
pub(super) fn backups(desired: &Desired, seen: &Observed) -> Option<Outlook> {
    let policy = desired.backup.as_ref()?;
    Some(outlook(&reports(desired, &seen.hosts), policy.max_age, seen.at))
}

fn alarm(membership: &Membership, alarm: &crate::etcd::Alarm) -> String {
    let who = membership
        .members
        .iter()
        .find(|m| m.id == alarm.member)
        .map_or("(member unknown)", |m| m.name.as_str());
    format!("{:?} {who}", alarm.kind).to_uppercase()
}

fn of_host(host: &DesiredHost, seen: &Observed, membership: Option<&Membership>) -> MemberGlance {
    let facts = seen.hosts.get(&host.name);
    let known = facts.and_then(Fact::known);
    let member = membership.and_then(|m| m.of(host).map(|x| (m, x.id)));
    let mut row = match member {
        Some((membership, id)) => of_member(membership, id, host.name.as_str(), host.client_url()),
        None => MemberGlance {
            problem: Some("not a member".into()),
            ..blank(host.name.as_str(), host.client_url())
        },
    };
    row.service = known.map(|f| f.service.state);
    row.certificate_days = known.and_then(|f| certificate_days(host, f));
    if let Some(Fact::Unknown(why)) = facts {
        row.problem = Some(format!("the host cannot be looked at: {}", why_and_help(why).0));
        row.healthy = false;
    }
    if let Some(days) = row.certificate_days.filter(|days| *days < 0) {
        row.problem = Some(format!("its certificate expired {} days ago", -days));
    }
    row
}

fn of_member(membership: &Membership, id: MemberId, name: &str, address: String) -> MemberGlance {
    let status: Option<&MemberStatus> = membership.status_of(id);
    let healthy = membership.healthy(id);
    MemberGlance {
        id: Some(id.to_string()),
        healthy,
        leader: membership.leader() == Some(id),
        learner: membership.members.iter().any(|m| m.id == id && m.learner),
        version: status.map(|s| s.version.to_string()),
        db_size: status.map(|s| s.db_size),
        db_in_use: status.map(|s| s.db_in_use),
        raft_index: status.map(|s| s.raft_index),
        lag: membership.lag(id),
        problem: (!healthy).then(|| why_unhealthy(membership, id)),
        ..blank(name, address)
    }
}

fn blank(name: &str, address: String) -> MemberGlance {
    MemberGlance {
        name: name.to_owned(),
        id: None,
        address,
        healthy: false,
        leader: false,
        learner: false,
        version: None,
        db_size: None,
        db_in_use: None,
        raft_index: None,
        lag: None,
        certificate_days: None,
        service: None,
        problem: None,
    }
}

fn certificate_days(host: &DesiredHost, facts: &crate::host::HostFacts) -> Option<i64> {
    ["server.crt", "peer.crt"]
        .iter()
        .filter_map(|name| facts.files.get(&host.paths.pki.join(name))?.content.as_deref())
        .filter_map(|pem| Certificate::from_pem(pem).ok())
        .map(|cert| cert.facts().days_left(Timestamp::now()))
        .min()
}

fn strength(glance: &Glance) -> String {
    format!(
        "{}, can lose {}",
        crate::ops::plan::count(glance.voters, "voter"),
        glance.can_lose
    )
}

fn print(session: &Session, glance: &Glance) -> Result<(), Failure> {
    if session.json() {
        return json(glance);
    }
    let paint = Paint::from_env(true);
    let verdict = if glance.healthy {
        paint.good("healthy")
    } else {
        paint.bad("NOT healthy")
    };
    let id = glance.cluster_id.as_deref().unwrap_or("-");
    anstream::println!(
        "{} {verdict}  {}  id {id}",
        paint.strong(&glance.cluster),
        strength(glance)
    );
    let mut table = Table::new([
        "NAME",
        "ADDRESS",
        "HEALTH",
        "ROLE",
        "VERSION",
        "DB",
        "IN USE",
        "RAFT INDEX",
        "LAG",
        "CERT",
    ])
    .right(["DB", "IN USE", "RAFT INDEX", "LAG", "CERT"]);
    for member in &glance.members {
        let health = if member.healthy {
            Cell::new("ok").tone(Tone::Good)
        } else {
            Cell::new("DOWN").tone(Tone::Bad)
        };
        table.row([
            Cell::new(member.name.clone()),
            Cell::new(member.address.trim_start_matches("https://").to_owned()),
            health,
            Cell::new(role(member)),
            Cell::new(member.version.clone().unwrap_or_else(|| "-".into())),
            Cell::new(member.db_size.map_or("-".into(), human_bytes)),
            Cell::new(member.db_in_use.map_or("-".into(), human_bytes)),
            Cell::new(member.raft_index.map_or("-".into(), |i| i.to_string())),
            Cell::new(member.lag.map_or("-".into(), |i| i.to_string())),
            Cell::new(member.certificate_days.map_or("-".into(), |d| format!("{d}d"))),
        ]);
    }
    anstream::println!("{}", table.render(terminal_width(), true));
    for problem in &glance.problems {
        anstream::println!("{} {}", paint.bad("!"), crate::report::printable(problem));
    }
    if let Some(downgrade) = &glance.downgrade {
        anstream::println!("{} {downgrade}", paint.warn("!"));
    }
    for finding in glance.backups.iter().flat_map(|backups| &backups.findings) {
        anstream::println!("{} {}", paint.warn("!"), crate::report::printable(finding));
    }
    if let Some(last) = glance.backups.as_ref().and_then(|backups| backups.last_success) {
        anstream::print!("{}", last_backup(last));
    }
    Ok(())
}

fn role(member: &MemberGlance) -> &'static str {
    match (member.id.is_some(), member.learner, member.leader) {
        (false, ..) => "-",
        (_, true, _) => "learner",
        (_, _, true) => "leader",
        _ => "voter",
    }
}

/// When the newest scheduled backup was taken, as a line.
pub(super) fn last_backup(at: Timestamp) -> String {
    format!("last scheduled backup: {}\n", at.strftime("%Y-%m-%d %H:%M:%SZ"))
}

/// Prints one object on standard output.
pub(super) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|e| Failure::unexpected("cannot write JSON", e))?;
    println!("{text}");
    Ok(())
}
