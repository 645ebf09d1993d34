//! `doctor`: hosts and cluster against etcd's own guidance, each finding with what to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::args::{Global, OutputFormat};
use super::error::{Exit, Failure};
use super::many::part::Answer;
use super::session::Session;
use super::{pki, status, vitals};
use crate::etcd::{ClientTls, Metrics};
use crate::inventory::{Desired, DesiredHost, NodeName};
use crate::ops::doctor::{Examined, Finding, Kind, Severity, Topic, does_not_run, examine, sorted};
use crate::ops::exec::StepError;
use crate::ops::exec::real::{MemberHash, RealWorld};
use crate::ops::fleet::Fleet;
use crate::ops::inspect;
use crate::ops::model::{Fact, Observed};
use crate::ops::plan::count;
use crate::report::print::say_all;
use crate::report::{Cause, Paint, human_bytes, likely_cause, printable, printable_lines, terminal_width, wrapped};

/// What was looked at, so that "nothing to report" can be believed.
const LOOKED_AT: &str = "hosts, clocks, memory, disks, units, members, streams, round trips, elections, releases, \
                         databases, data hashes, ports, certificates, scheduled backups";

/// A member reads about a gigabyte of its data a second (etcd#8910), and answers nobody meanwhile.
const COMPARED_UP_TO: u64 = 1 << 30;

/// Lines of a journal in which a member says why it ended.
const LAST_WORDS: u32 = 100;

/// Everything that was found, as `--output json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Examination {
    cluster: String,
    /// No problems; advice does not count. `None` where hosts could not be inspected, and nothing is known to be wrong.
    pub(super) healthy: Option<bool>,
    pub(super) findings: Vec<Finding>,
    /// When the newest scheduled backup was taken; `None` when there is none, or none is wanted.
    last_backup: Option<Timestamp>,
    /// So that "nothing found" can be believed.
    #[serde(skip)]
    pub(super) looked_at: &'static str,
}

/// `doctor`.
///
/// # Errors
/// When the inventory or the CA cannot be read; problems are an exit code.
pub async fn doctor(global: &Global) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = watched(&session, "look", session.look_past_expiry(&fleet, &vault)).await?;
    let viewer = vault.viewer_past_expiry().await?;
    let world = RealWorld::new(fleet.clone(), vault.clone(), None, seen.clone());
    let (members, causes, hashes) = watched(&session, "examine", async {
        tokio::join!(
            ask_members(&session, &fleet, &seen, viewer.tls()),
            causes(&session, &fleet, &seen),
            compared(&world, &seen)
        )
    })
    .await;

    let backups = status::backups(session.desired(), &seen);
    let last_backup = backups.as_ref().and_then(|backups| backups.last_success);
    let mut findings = examine(&Examined {
        desired: session.desired(),
        seen: &seen,
        metrics: members.metrics.clone(),
        causes,
        hashes,
        backups,
    });
    findings.extend(members.ports);
    findings.extend(certificates(&session, &seen)?);
    if let Some(part) = &session.global.part {
        let mut glance = status::glance(session.desired(), &seen);
        glance.vitals = Some(vitals::vitals(&session, &seen, &members.metrics, &glance).await);
        part.answer(Answer::Glance(Box::new(glance)));
    }
    tell(&session, sorted(findings), last_backup)
}

/// Shown while it takes its time; standard output stays one JSON object.
pub(super) async fn watched<T>(session: &Session, phase: &str, work: impl Future<Output = T>) -> T {
    match session.json() {
        true => work.await,
        false => session.phase(phase, work).await,
    }
}

/// What each running member says and shows.
struct Asked {
    metrics: BTreeMap<NodeName, Fact<Metrics>>,
    ports: Vec<Finding>,
}

async fn ask_members(session: &Session, fleet: &Arc<Fleet>, seen: &Observed, tls: Option<&ClientTls>) -> Asked {
    let answers = match tls {
        Some(tls) => join_all(status::askable(session.desired(), seen).map(|spec| ask(fleet, spec, tls))).await,
        None => Vec::new(),
    };
    let mut asked = Asked {
        metrics: BTreeMap::new(),
        ports: Vec::new(),
    };
    for (spec, metrics, ports) in answers {
        asked.metrics.insert(spec.name.clone(), metrics);
        asked.ports.extend(ports.err().map(|error| port(spec, error)));
    }
    asked
}

async fn ask<'a>(
    fleet: &Arc<Fleet>,
    spec: &'a DesiredHost,
    tls: &ClientTls,
) -> (&'a DesiredHost, Fact<Metrics>, Result<(), StepError>) {
    let (metrics, ports) = tokio::join!(inspect::metrics(fleet, spec, tls), inspect::ports(fleet, spec, tls));
    let metrics = metrics.map_or_else(|error| Fact::Unknown(error.to_string()), Fact::Known);
    (spec, metrics, ports)
}

fn port(spec: &DesiredHost, error: StepError) -> Finding {
    let help = error
        .hint
        .unwrap_or_else(|| format!("`quorate logs {}` shows more", spec.name));
    Finding::problem(Kind::CertificatePresented, error.message, help).on(&spec.name)
}

/// Why members that do not run did not come up, where their journals say it.
async fn causes(session: &Session, fleet: &Arc<Fleet>, seen: &Observed) -> BTreeMap<NodeName, Cause> {
    let down = session.desired().hosts.values().filter(|spec| {
        let facts = seen.hosts.get(&spec.name).and_then(Fact::known);
        facts.is_some_and(does_not_run)
    });
    let told = join_all(down.map(async |spec| {
        let journal = fleet.host(spec).await.ok()?.journal(LAST_WORDS).await.ok()?;
        Some((spec.name.clone(), likely_cause(&journal)?))
    }));
    told.await.into_iter().flatten().collect()
}

/// All members' data by etcd's hash, where there is a cluster to ask and none of them is kept busy by that for long.
async fn compared(world: &RealWorld, seen: &Observed) -> Fact<Vec<MemberHash>> {
    let Fact::Known(membership) = &seen.cluster else {
        return Fact::Absent;
    };
    let sizes = membership
        .status
        .values()
        .filter_map(Fact::known)
        .map(|status| status.db_size);
    let largest = sizes.max().unwrap_or_default();
    if largest > COMPARED_UP_TO {
        let why = format!("a member serves no clients while it reads {}", human_bytes(largest));
        return Fact::unknown(&why, Some("run `quorate check-hashes` at a quiet time"));
    }
    match world.hashes().await {
        Ok(hashes) => Fact::Known(hashes),
        Err(error) => Fact::unknown(&error.message, error.hint.as_deref()),
    }
}

fn certificates(session: &Session, seen: &Observed) -> Result<Vec<Finding>, Failure> {
    let help = "`quorate pki show` lists every certificate; `quorate up` renews what is due";
    let problems = pki::problems(session, seen)?.into_iter();
    Ok(problems
        .map(|says| Finding::problem(Kind::Certificates, says, help))
        .collect())
}

fn tell(session: &Session, findings: Vec<Finding>, last_backup: Option<Timestamp>) -> Result<Exit, Failure> {
    let examination = examination(session.desired(), findings, last_backup);
    let exit = Exit::of_health(examination.healthy);
    if let Some(part) = &session.global.part {
        part.answer(Answer::Examination(Box::new(examination)));
    } else if session.json() {
        status::json(&examination)?;
    } else {
        let width = terminal_width().map_or(usize::MAX, usize::from);
        say_all!("{}", text(&examination, Paint::from_env(true), width));
    }
    Ok(exit)
}

pub(super) fn examination(desired: &Desired, findings: Vec<Finding>, last_backup: Option<Timestamp>) -> Examination {
    let any = |severity| findings.iter().any(|f| f.severity == severity);
    let healthy = match (any(Severity::Problem), any(Severity::Unknown)) {
        (true, _) => Some(false),
        (false, true) => None,
        (false, false) => Some(true),
    };
    Examination {
        cluster: desired.cluster.to_string(),
        healthy,
        findings,
        last_backup,
        looked_at: LOOKED_AT,
    }
}

/// For people: the verdict, every finding with its help, and what was looked at.
pub(super) fn text(examination: &Examination, paint: Paint, width: usize) -> String {
    let of = |severity| -> Vec<&Finding> { examination.findings.iter().filter(|f| f.severity == severity).collect() };
    let (problems, unknown, advice) = (of(Severity::Problem), of(Severity::Unknown), of(Severity::Advice));
    let in_the_dark = format!("{} could not be inspected", count(unknown.len(), "thing"));
    let verdict = match (problems.len(), unknown.len(), advice.len()) {
        (0, 0, 0) => paint.good("nothing to report"),
        (0, 0, _) => paint.good("no problems"),
        (0, ..) => paint.warn(&format!("UNKNOWN: {in_the_dark}")),
        (n, ..) => paint.bad(&count(n, "problem")),
    };
    let mut text = format!("{} {verdict}", paint.strong(&examination.cluster));
    if !problems.is_empty() && !unknown.is_empty() {
        text += &format!(", {in_the_dark}");
    }
    if !advice.is_empty() {
        text += &format!(", {} of advice", count(advice.len(), "piece"));
    }
    text.push('\n');
    text += &findings_told(&examination.findings, paint, width);
    if let Some(last) = examination.last_backup {
        text += &status::last_backup(last);
    }
    let looked_at = match unknown.is_empty() {
        true => "checked",
        false => "checked, where possible",
    };
    text += &wrapped(&format!("{looked_at}: {}", examination.looked_at), width, 2);
    if !examination.findings.is_empty() {
        text += &wrapped("more about a finding: `quorate doctor --explain ID`", width, 2);
    }
    text
}

/// `doctor --explain`: what a finding means, as its page has it; needs no inventory and no host.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn explain(global: &Global, kind: Kind) -> Result<Exit, Failure> {
    match global.output {
        OutputFormat::Json => status::json(&Explained {
            id: kind,
            topic: kind.topic(),
            means: kind.means(),
        })?,
        OutputFormat::Human => {
            let width = terminal_width().map_or(usize::MAX, usize::from);
            say_all!("{}", wrapped(&format!("{kind}: {}", kind.means()), width, 2));
        }
    }
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct Explained {
    id: Kind,
    topic: Topic,
    means: &'static str,
}

/// Every finding with its help: problems, what is unknown, advice.
pub(super) fn findings_told(findings: &[Finding], paint: Paint, width: usize) -> String {
    let marks = [
        (Severity::Problem, paint.bad("!")),
        (Severity::Unknown, paint.warn("?")),
        (Severity::Advice, paint.warn("-")),
    ];
    let mut text = String::new();
    for (severity, mark) in marks {
        let those: Vec<&Finding> = findings.iter().filter(|f| f.severity == severity).collect();
        for alike in alike(&those) {
            text += &told(&alike, &mark, paint, width);
        }
    }
    text
}

/// The same said of several hosts stands once.
fn alike<'a>(findings: &[&'a Finding]) -> Vec<Vec<&'a Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let same = |group: &&mut Vec<&Finding>| (&group[0].says, &group[0].help) == (&finding.says, &finding.help);
        match groups.iter_mut().find(same) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

fn told(alike: &[&Finding], mark: &str, paint: Paint, width: usize) -> String {
    let nodes: Vec<&str> = alike.iter().filter_map(|finding| finding.node.as_deref()).collect();
    let nodes = match nodes.is_empty() {
        true => String::new(),
        false => format!("{}: ", paint.strong(&printable(&nodes.join(", ")))),
    };
    let id = paint.dim(&format!("[{}]", alike[0].kind));
    let says = format!("{mark} {nodes}{} {id}", printable_lines(&alike[0].says));
    let help = format!("    {} {}", paint.good("help:"), printable_lines(&alike[0].help));
    wrapped(&says, width, 4) + &wrapped(&help, width, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_what_many_hosts_share_stands_once() {
        let drifts = |node: &str| Finding::advice(Kind::ClockOff, "its clock may drift", "install chrony").on(node);
        let examination = Examination {
            cluster: "prod-a".into(),
            healthy: Some(false),
            findings: sorted(vec![
                drifts("n1"),
                Finding::problem(Kind::Alarm, "the alarm NOSPACE is on", "`quorate alarm disarm`"),
                drifts("n3"),
            ]),
            last_backup: Some("2026-01-01T03:00:00Z".parse().unwrap()),
            looked_at: LOOKED_AT,
        };
        assert_eq!(
            text(&examination, Paint::PLAIN, 70),
            "prod-a 1 problem, 2 pieces of advice\n\
             ! the alarm NOSPACE is on [alarm]\n    help: `quorate alarm disarm`\n\
             - n1, n3: its clock may drift [clock-off]\n    help: install chrony\n\
             last scheduled backup: 2026-01-01 03:00:00Z\n\
             checked: hosts, clocks, memory, disks, units, members, streams, round\n  \
             trips, elections, releases, databases, data hashes, ports,\n  \
             certificates, scheduled backups\n\
             more about a finding: `quorate doctor --explain ID`\n"
        );
    }

    #[test]
    fn nothing_found_says_what_was_looked_at() {
        let examination = Examination {
            cluster: "prod-a".into(),
            healthy: Some(true),
            findings: Vec::new(),
            last_backup: None,
            looked_at: LOOKED_AT,
        };
        assert!(text(&examination, Paint::PLAIN, 200).starts_with("prod-a nothing to report\nchecked: hosts, "));
    }
}
