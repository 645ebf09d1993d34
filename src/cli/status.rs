//! `status`, `members`, `health`: the cluster at a glance.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::args::{Global, Status};
use super::backup_schedule::reports;
use super::closed;
use super::error::{Exit, Failure};
use super::many::part::Answer;
use super::session::Session;
use super::vitals::Vitals;
use super::{sight, vitals, watch};
use crate::backup::schedule::{Outlook, outlook};
use crate::etcd::{ClientTls, MemberStatus};
use crate::host::{DataState, HostFacts, LockHolder, ServiceState};
use crate::inventory::{Desired, DesiredHost, MemberId, NodeName};
use crate::ops::check::why_unhealthy;
use crate::ops::fleet::Fleet;
use crate::ops::inspect;
use crate::ops::model::{
    DIFFERENT_CLUSTERS, Fact, Membership, NO_QUORUM, NO_WAY_TO_ASK, Observed, host_of, why_and_help,
};
use crate::ops::plan::count;
use crate::ops::rest::{Purpose, RestNote};
use crate::ops::safety::bootstrap::one_cluster;
use crate::ops::safety::downgrade::told;
use crate::ops::safety::leader::{none_is_agreed_on, seen as leader_seen};
use crate::ops::safety::moves::as_known;
use crate::ops::safety::quorum::Strength;
use crate::ops::safety::rest::{not_stopped, notes_are_readable, resting};
use crate::ops::safety::restore::no_restore_under_way;
use crate::ops::safety::upkeep::{quota, quota_of};
use crate::ops::sight::{Health, Sight};
use crate::pki::Certificate;
use crate::report::print::{data, say, say_all};
use crate::report::{Cell, Paint, Table, Tone, human_bytes, indented, one_line, terminal_width};

/// One look at a cluster, as `--output json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Glance {
    /// The cluster's name.
    pub cluster: String,
    /// etcd's id of it; `None` while it does not answer.
    pub cluster_id: Option<String>,
    /// Every member well, a leader agreed on, no alarm, and as many members as hosts. `None` where hosts could not be looked
    /// at, and nothing is known to be wrong.
    pub healthy: Option<bool>,
    /// Members and hosts of the inventory, in its order; then members it does not list.
    pub members: Vec<MemberGlance>,
    /// Voters; `None` where the member list could not be read.
    pub voters: Option<usize>,
    /// How many more voters may fail before writes stop, not counting on those that could not be inspected.
    pub can_lose: Option<usize>,
    /// The smallest quota of a member's database, bytes; `None` where there is none, or no member was asked.
    pub quota: Option<u64>,
    /// Who holds the lock: the run of an operator that changes something now.
    pub locked_by: Option<String>,
    /// The command line of that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_command: Option<String>,
    /// Active alarms, `NOSPACE etcd-1`.
    pub alarms: Vec<String>,
    /// What keeps it from being healthy, in sentences.
    pub problems: Vec<String>,
    /// What could not be inspected, in sentences.
    pub unknown: Vec<String>,
    /// What to do about that.
    #[serde(skip)]
    helps: BTreeSet<String>,
    /// The way back to an earlier minor that etcd is on, and what can be done about it. It makes nobody unhealthy.
    pub downgrade: Option<String>,
    /// Who stopped the whole cluster on purpose, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<RestNote>,
    /// Scheduled backups; `None` when the inventory wants none. What is wrong with them makes nobody unhealthy.
    pub backups: Option<Outlook>,
    /// What a fleet's row tells besides; `None` where one cluster is looked at.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub vitals: Option<Vitals>,
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
    /// Well, by its own answer. False only where the contrary is known, `None` where neither is.
    pub healthy: Option<bool>,
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
    /// Why it is down on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_rest: Option<RestNote>,
    /// Why it is not healthy.
    pub problem: Option<String>,
    /// Why no one can tell whether it is.
    pub unknown: Option<String>,
    /// How old is what is said of it; only while it is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_since_answer: Option<u64>,
}

/// `status`.
///
/// # Errors
/// When the inventory or the CA cannot be read; an unhealthy cluster is an exit code.
pub async fn status(global: &Global, args: &Status) -> Result<Exit, Failure> {
    if args.watch {
        return watch::watch(global).await;
    }
    let (session, display) = watch::open(global, false)?;
    let seen = match display {
        Some(display) => watch::look(&session, &display).await?,
        None => session.look(&session.fleet(), &session.vault()).await?,
    };
    let mut glance = glance(session.desired(), &seen);
    if session.global.part.is_some() {
        let viewer = session.vault().viewer().await?;
        let metrics = vitals::measured(&session, &session.fleet(), &seen, viewer.tls()).await;
        glance.vitals = Some(vitals::vitals(&session, &seen, &metrics, &glance).await);
    }
    let exit = Exit::of_health(glance.healthy);
    print(&session, glance)?;
    Ok(exit)
}

/// `members`: the list as etcd has it.
///
/// # Errors
/// When no member answers.
pub async fn members(global: &Global) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = session.look(&fleet, &vault).await?;
    closed::to_two_clusters(&session, &seen)?;
    let membership = sight::cluster(&session, &seen, Exit::Unhealthy)?;
    if session.json() {
        return json(&membership.members).map(|()| Exit::Done);
    }
    let mut table = Table::new(["NAME", "ID", "PEER URL", "CLIENT URL", "ROLE"]);
    for member in &membership.members {
        let urls: Vec<&str> = member.peer_urls.iter().map(|u| u.0.as_str()).collect();
        let role = match (
            member.started(),
            member.learner,
            leader_seen(membership) == Some(member.id),
        ) {
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
    say_all!("{}\n", table.render(terminal_width(), true));
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
    let mut glance = glance(session.desired(), &seen);
    if let Some(tls) = vault.viewer().await?.tls() {
        let proofs = askable(session.desired(), &seen).map(|spec| prove(&fleet, spec, &seen, tls));
        glance.problems.extend(join_all(proofs).await.into_iter().flatten());
        glance.healthy = glance.verdict();
    }
    let exit = Exit::of_health(glance.healthy);
    if let Some(part) = &session.global.part {
        part.answer(Answer::Glance(Box::new(glance)));
    } else if session.json() {
        json(&glance)?;
    } else {
        match glance.stopped {
            Some(_) => say!("stopped on purpose"),
            None => say!("{}: {}", said(glance.healthy), strength(&glance)),
        }
        for line in glance.problems.iter().chain(&glance.unknown) {
            say!("  {}", one_line(line));
        }
        for help in &glance.helps {
            say!("  help: {}", one_line(help));
        }
    }
    Ok(exit)
}

/// The hosts whose member runs, and to whom there is a way.
pub(super) fn askable<'a>(desired: &'a Desired, seen: &'a Observed) -> impl Iterator<Item = &'a DesiredHost> {
    seen.running(desired).filter(|host| match &seen.cluster {
        Fact::Known(membership) => membership
            .of(host)
            .is_none_or(|m| !membership.unseen.contains_key(&m.id)),
        Fact::Unknown(why) => !why.starts_with(NO_WAY_TO_ASK),
        Fact::Absent => true,
    })
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
                    // One that is down, or could not be inspected, has its own line.
                    .find(|cut| membership.status_of(cut.id).is_some())
                    .map(|cut| format!("{} has no active stream to {}", spec.name, cut.name)),
            ),
            Err(error) => problems.push(format!("{}: {error}", spec.name)),
        }
    }
    problems
}

pub(super) fn glance(desired: &Desired, seen: &Observed) -> Glance {
    let known = seen.cluster.known().map(|list| as_known(desired, seen, list));
    let (membership, moving) = known.as_ref().map(|(list, moving)| (list, moving)).unzip();
    let mut members: Vec<MemberGlance> = desired
        .order
        .iter()
        .filter_map(|n| desired.hosts.get(n))
        .map(|host| of_host(host, seen, membership))
        .collect();
    for id in moving.into_iter().flatten() {
        let member = membership
            .iter()
            .flat_map(|list| &list.members)
            .find(|member| member.id == *id);
        let row = members
            .iter_mut()
            .find(|row| member.is_some_and(|member| member.name == row.name));
        if let (Some(member), Some(row)) = (member, row) {
            let old = member.peer_urls.first().map_or("another URL", |url| url.0.as_str());
            row.problem = Some(format!("the cluster has it at {old}; `quorate up` moves it"));
        }
    }
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
    let sight = Sight::of(desired, seen);
    let strength = match &seen.cluster {
        Fact::Known(membership) => Some(Strength::of(membership)),
        Fact::Absent => Some(Strength { voters: 0, healthy: 0 }),
        Fact::Unknown(_) => None,
    };
    let alarms: Vec<String> = membership
        .iter()
        .flat_map(|m| m.alarms.iter().map(move |a| alarm(m, a)))
        .collect();
    let stopped = [Purpose::End, Purpose::Outage]
        .into_iter()
        .find_map(|purpose| resting(desired, &seen.hosts, purpose).next())
        .map(|(_, note)| note);
    let mut problems: Vec<String> = members
        .iter()
        .filter(|m| {
            !m.at_rest
                .as_ref()
                .is_some_and(|note| note.purpose != Purpose::Maintenance)
        })
        .filter_map(|m| m.problem.as_ref().map(|p| format!("{}: {p}", m.name)))
        .collect();
    problems.extend(alarms.iter().map(|a| format!("alarm {a}")));
    for refusal in [
        notes_are_readable(desired, &seen.hosts),
        not_stopped(desired, &seen.hosts),
    ]
    .into_iter()
    .filter_map(Result::err)
    {
        problems.push(format!("{refusal}: {}", refusal.hint));
    }
    if let Err(refusal) = no_restore_under_way(desired, &seen.hosts) {
        let refusals = sight.complete(vec![refusal]);
        problems.extend(refusals.iter().map(|refusal| format!("{refusal}: {}", refusal.hint)));
    }
    let mut unknown: Vec<String> = members
        .iter()
        .filter_map(|m| m.unknown.as_ref().map(|why| format!("{}: {why}", m.name)))
        .collect();
    match &seen.cluster {
        Fact::Known(m) if none_is_agreed_on(m) => problems.push("the members do not agree on a leader".into()),
        Fact::Known(_) => {}
        Fact::Absent if stopped.is_some() => {}
        Fact::Absent => problems.push("there is no cluster yet: `quorate up` creates it".into()),
        // Said below.
        Fact::Unknown(_) if stopped.is_some() => {}
        Fact::Unknown(why) if sight.is_to_blame(why) => unknown.push(why_and_help(why).0.to_owned()),
        Fact::Unknown(why) => match one_cluster(seen) {
            Err(refusal) => {
                let refusals = sight.complete(vec![refusal]);
                problems.extend(refusals.iter().map(|refusal| format!("{refusal}: {}", refusal.hint)));
            }
            Ok(()) => problems.push(why_and_help(why).0.to_owned()),
        },
    }
    let mut glance = Glance {
        cluster: desired.cluster.to_string(),
        cluster_id: membership.map(|m| m.cluster_id.to_string()),
        healthy: None,
        members,
        voters: strength.map(|strength| strength.voters),
        can_lose: strength.map(Strength::can_lose),
        quota: membership.and_then(|m| smallest_quota(desired, m)),
        locked_by: holder(seen).map(|holder| format!("{} since {}", holder.who, holder.since)),
        lock_command: holder(seen).map(|holder| holder.doing.clone()),
        alarms,
        problems,
        unknown,
        helps: helps(seen, &sight),
        downgrade: membership.and_then(told).map(|(says, help)| format!("{says}; {help}")),
        stopped: stopped.filter(|_| membership.is_none()),
        backups: backups(desired, seen),
        vitals: None,
    };
    glance.healthy = glance.verdict();
    glance
}

fn smallest_quota(desired: &Desired, membership: &Membership) -> Option<u64> {
    let asked = membership.status.values().filter_map(Fact::known);
    asked.filter_map(|status| quota_of(status, quota(desired))).min()
}

/// Who changes the cluster now.
fn holder(seen: &Observed) -> Option<&LockHolder> {
    let mut holders = seen.hosts.values().filter_map(|facts| facts.known()?.lock.as_ref());
    holders.find(|holder| holder.alive)
}

/// What helps against the dark.
fn helps(seen: &Observed, sight: &Sight) -> BTreeSet<String> {
    let unasked: Vec<&str> = match &seen.cluster {
        Fact::Known(membership) => membership.unseen.values().map(String::as_str).collect(),
        Fact::Unknown(why) => vec![why],
        Fact::Absent => Vec::new(),
    };
    let reasons = sight.blind().map(|(_, why)| why).chain(unasked);
    reasons
        .filter_map(|why| why_and_help(why).1.map(str::to_owned))
        .collect()
}

impl Glance {
    /// Well where all was seen to be well, not well where something is known to be wrong, else unknown.
    fn verdict(&self) -> Option<bool> {
        match (self.problems.is_empty(), self.unknown.is_empty()) {
            (false, _) => Some(false),
            (true, false) => None,
            (true, true) => Some(!self.members.is_empty()),
        }
    }
}

fn said(healthy: Option<bool>) -> &'static str {
    match healthy {
        Some(true) => "healthy",
        Some(false) => "NOT healthy",
        None => "UNKNOWN",
    }
}

/// How scheduled backups fare, by the hosts' own reports; `None` when the inventory wants none.
pub(super) fn backups(desired: &Desired, seen: &Observed) -> Option<Outlook> {
    let policy = desired.backup.as_ref()?;
    let sight = Sight::of(desired, seen);
    let dark: Vec<NodeName> = sight.blind().map(|(name, _)| name.clone()).collect();
    Some(outlook(&reports(desired, &seen.hosts), &dark, policy.max_age, seen.at))
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
        None => outside(host, seen, known),
    };
    row.service = known.map(|f| f.service.state);
    row.certificate_days = known.and_then(|f| certificate_days(host, f));
    row.at_rest = known.and_then(|facts| RestNote::in_force(host, facts));
    if let Some(note) = &row.at_rest {
        row.healthy = Some(false);
        row.unknown = None;
        row.problem = Some(match note.purpose {
            Purpose::Maintenance => format!(
                "down for maintenance {}: `quorate maintain {} --done` starts it again",
                note.told(),
                host.name
            ),
            Purpose::Outage => format!("stopped on purpose {}", note.told()),
            Purpose::End => format!("stopped for good {}", note.told()),
        });
    }
    if let Some(days) = row.certificate_days.filter(|days| *days < 0) {
        row.problem = Some(format!("its certificate expired {} days ago", -days));
    }
    row
}

/// A host that no member list has as a member, or of which no list could be read.
fn outside(host: &DesiredHost, seen: &Observed, known: Option<&HostFacts>) -> MemberGlance {
    let row = blank(host.name.as_str(), host.client_url());
    let dark = match seen.hosts.get(&host.name) {
        Some(Fact::Unknown(why)) => format!("it cannot be inspected ({})", why_and_help(why).0),
        _ => "it was not inspected".to_owned(),
    };
    let problem = |problem: String| MemberGlance {
        healthy: Some(false),
        problem: Some(problem),
        ..blank(host.name.as_str(), host.client_url())
    };
    match (&seen.cluster, known) {
        (Fact::Known(_), None) => problem(format!("not a member, and {dark}")),
        (Fact::Known(_) | Fact::Absent, _) => problem("not a member".into()),
        (Fact::Unknown(_), None) => MemberGlance {
            unknown: Some(dark),
            ..row
        },
        (Fact::Unknown(why), Some(facts)) if facts.service.pid.is_some() => match why.contains(NO_QUORUM) {
            true => problem("its member runs, but has no leader".into()),
            false if why.starts_with(DIFFERENT_CLUSTERS) => {
                problem("its member runs, next to one of another cluster".into())
            }
            false => MemberGlance {
                unknown: Some("its member runs, but could not be queried".into()),
                ..row
            },
        },
        (Fact::Unknown(_), Some(facts)) => problem(match facts.data.state {
            DataState::Empty => "there is no member".to_owned(),
            _ => format!("its member does not run: the unit is {:?}", facts.service.state).to_lowercase(),
        }),
    }
}

fn of_member(membership: &Membership, id: MemberId, name: &str, address: String) -> MemberGlance {
    let status: Option<&MemberStatus> = membership.status_of(id);
    let health = membership.health(id);
    MemberGlance {
        id: Some(id.to_string()),
        healthy: match health {
            Health::Well => Some(true),
            Health::Sick => Some(false),
            Health::Unknown => None,
        },
        leader: leader_seen(membership) == Some(id),
        learner: membership.members.iter().any(|m| m.id == id && m.learner),
        version: status.map(|s| s.version.to_string()),
        db_size: status.map(|s| s.db_size),
        db_in_use: status.map(|s| s.db_in_use),
        raft_index: status.map(|s| s.raft_index),
        lag: membership.lag(id),
        problem: (health == Health::Sick).then(|| why_unhealthy(membership, id)),
        unknown: membership.in_the_dark(id).filter(|_| health == Health::Unknown),
        ..blank(name, address)
    }
}

fn blank(name: &str, address: String) -> MemberGlance {
    MemberGlance {
        name: name.to_owned(),
        id: None,
        address,
        healthy: None,
        leader: false,
        learner: false,
        version: None,
        db_size: None,
        db_in_use: None,
        raft_index: None,
        lag: None,
        certificate_days: None,
        service: None,
        at_rest: None,
        problem: None,
        unknown: None,
        seconds_since_answer: None,
    }
}

fn certificate_days(host: &DesiredHost, facts: &HostFacts) -> Option<i64> {
    ["server.crt", "peer.crt"]
        .iter()
        .filter_map(|name| facts.files.get(&host.paths.pki.join(name))?.content.as_deref())
        .filter_map(|pem| Certificate::from_pem(pem).ok())
        .map(|cert| cert.facts().days_left(Timestamp::now()))
        .min()
}

fn strength(glance: &Glance) -> String {
    let with = |healthy| glance.members.iter().filter(move |m| m.healthy == healthy).count();
    let (Some(voters), Some(can_lose)) = (glance.voters, glance.can_lose) else {
        let hosts = count(glance.members.len(), "host");
        return match with(None) {
            0 => format!("{hosts}, but no member list could be read"),
            _ if glance.members.iter().all(|m| m.service.is_some()) => {
                format!("{hosts} inspected, but no member could be queried")
            }
            dark => format!("{dark} of {hosts} could not be inspected"),
        };
    };
    match with(None) {
        0 => format!("{}, survives {}", count(voters, "voter"), count(can_lose, "failure")),
        dark => format!(
            "{}, {} confirmed healthy, {dark} unknown; the confirmed ones survive {}",
            count(voters, "voter"),
            with(Some(true)),
            count(can_lose, "failure")
        ),
    }
}

fn print(session: &Session, glance: Glance) -> Result<(), Failure> {
    if let Some(part) = &session.global.part {
        part.answer(Answer::Glance(Box::new(glance)));
        return Ok(());
    }
    if session.json() {
        return json(&glance);
    }
    say_all!("{}", text(&glance, Paint::from_env(true), terminal_width()));
    Ok(())
}

/// For people: the verdict, the members, and what is wrong or unknown.
pub(super) fn text(glance: &Glance, paint: Paint, width: Option<u16>) -> String {
    let id = glance.cluster_id.as_deref().unwrap_or("-");
    let mut text = format!(
        "{} {}  id {id}\n",
        paint.strong(&glance.cluster),
        verdict(glance, paint)
    );
    let table = members_table(glance, "CERT", |member| {
        let days = member.certificate_days.map_or("-".into(), |d| format!("{d}d"));
        (health_cell(member), Cell::new(days))
    })
    .right(["CERT"])
    .spare(["RAFT INDEX", "IN USE", "LAG", "DB", "CERT"]);
    text += &format!("{}\n", table.render(width, true));
    text + &remarks(glance, paint)
}

/// A row for each member, with its health and a last column that tells what else is of interest.
pub(super) fn members_table(
    glance: &Glance,
    last: &'static str,
    told: impl Fn(&MemberGlance) -> (Cell, Cell),
) -> Table {
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
        last,
    ])
    .right(["DB", "IN USE", "RAFT INDEX", "LAG"]);
    let or_none = |text: Option<String>| Cell::new(text.unwrap_or_else(|| "-".to_owned()));
    for member in &glance.members {
        let (health, last) = told(member);
        table.row([
            Cell::new(member.name.clone()),
            Cell::new(member.address.trim_start_matches("https://").to_owned()),
            health,
            Cell::new(role(member)),
            or_none(member.version.clone()),
            or_none(member.db_size.map(human_bytes)),
            or_none(member.db_in_use.map(human_bytes)),
            or_none(member.raft_index.map(|index| index.to_string())),
            or_none(member.lag.map(|lag| lag.to_string())),
            last,
        ]);
    }
    table
}

/// `ok`, `DOWN` or `UNKNOWN`.
pub(super) fn health_cell(member: &MemberGlance) -> Cell {
    match member.healthy {
        Some(false) if member.at_rest.is_some() => Cell::new("stopped").tone(Tone::Warn),
        Some(true) => Cell::new("ok").tone(Tone::Good),
        Some(false) => Cell::new("DOWN").tone(Tone::Bad),
        None => Cell::new("UNKNOWN").tone(Tone::Warn),
    }
}

/// Whether it is well, and how much it can lose.
pub(super) fn verdict(glance: &Glance, paint: Paint) -> String {
    if glance.stopped.is_some() {
        return paint.warn("STOPPED on purpose");
    }
    let verdict = match glance.healthy {
        Some(true) => paint.good(said(glance.healthy)),
        Some(false) => paint.bad(said(glance.healthy)),
        None => paint.warn(said(glance.healthy)),
    };
    format!("{verdict}  {}", strength(glance))
}

/// What is wrong or unknown, a line each.
pub(super) fn remarks(glance: &Glance, paint: Paint) -> String {
    let mut text = String::new();
    for problem in &glance.problems {
        text += &format!("{} {}\n", paint.bad("!"), indented(problem, 4));
    }
    let backups = glance.backups.iter().filter_map(|backups| backups.unknown.as_ref());
    for unknown in glance.unknown.iter().chain(backups) {
        text += &format!("{} {}\n", paint.warn("?"), indented(unknown, 4));
    }
    for help in &glance.helps {
        text += &format!("  {} {}\n", paint.good("help:"), indented(help, 8));
    }
    if let Some(downgrade) = &glance.downgrade {
        text += &format!("{} {}\n", paint.warn("!"), indented(downgrade, 4));
    }
    for finding in glance.backups.iter().flat_map(|backups| &backups.findings) {
        text += &format!("{} {}\n", paint.warn("!"), indented(finding, 4));
    }
    if let Some(last) = glance.backups.as_ref().and_then(|backups| backups.last_success) {
        text += &last_backup(last);
    }
    text
}

/// What it is in the cluster, in a word.
pub(super) fn role(member: &MemberGlance) -> &'static str {
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
    data(&text);
    Ok(())
}

#[cfg(test)]
#[path = "dark_tests.rs"]
mod dark_tests;
