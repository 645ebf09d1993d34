//! `check`: whether an inventory can be worked with, without touching a host.

use serde::Serialize;

use super::args::{Check, Global};
use super::error::{Exit, Failure};
use super::many::part::Answer;
use super::session::Session;
use super::{new_hosts, trial};
use crate::bundle::{Bundle, advice, known_bad};
use crate::inventory::{Problem, Version};
use crate::ops::plan::{count, initial_new};
use crate::pki::CaStatus;
use crate::render::render_host;
use crate::report::print::{data, say_all};
use crate::report::printable;

/// What was checked and is well, as `--output json` prints it.
#[derive(Debug, Serialize)]
pub struct Checked {
    event: &'static str,
    ok: bool,
    seconds: f64,
    /// How many the inventory has.
    pub hosts: usize,
    /// The release.
    pub etcd: Version,
    /// False where there is no bundle to be checked.
    pub bundle_checked: bool,
    hosts_checked: bool,
    /// `None` where there is no CA yet.
    pub ca_days_left: Option<i64>,
    trial: Option<String>,
    advice: Option<String>,
    #[serde(skip)]
    lines: Vec<(&'static str, String)>,
}

/// `check`: the inventory, the bundle, the rendered files and the CA, without touching a host.
///
/// # Errors
/// The first kind of problem that keeps `up` from working.
pub async fn check(global: &Global, args: &Check) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let checked = checked(&session, args).await?;
    if let Some(part) = &session.global.part {
        part.answer(Answer::Checked(Box::new(checked)));
    } else if session.json() {
        data(&serde_json::to_string(&checked).map_err(|e| Failure::unexpected("cannot write JSON", e))?);
    } else {
        say_all!("{}", checked.text());
    }
    Ok(Exit::Done)
}

async fn checked(session: &Session, args: &Check) -> Result<Checked, Failure> {
    let desired = session.desired();
    let bundle = match args.ask_etcd {
        true => Some(session.bundle()?),
        false => session.bundle_if_any()?,
    };
    let report = bundle.as_ref().map(Bundle::verify).transpose()?;
    let version = desired.version;
    if let Some(bad) = known_bad(version) {
        return Err(Failure::new(
            Exit::Blocked,
            format!("etcd {version} must not be used: {}", bad.reason),
        )
        .hint(format!("use {} or later", bad.fixed_in)));
    }
    if let Some(bundle) = bundle.as_ref().filter(|b| !b.versions().contains_key(&version)) {
        let have: Vec<String> = bundle.versions().keys().map(ToString::to_string).collect();
        return Err(Failure::new(
            Exit::Bundle,
            format!("the bundle has no etcd {version}, it has {}", have.join(", ")),
        )
        .hint("create a bundle that has it with `quorate bundle create`, or change `etcd.version`"));
    }
    for host in desired.hosts.values() {
        render_host(desired, host, &initial_new(desired))
            .map_err(|e| Failure::new(Exit::Inventory, format!("{}: {e}", host.name)).hint(e.hint()))?;
    }
    session.recipients()?;
    let trial = match (args.ask_etcd, &bundle) {
        (true, Some(bundle)) => Some(etcd_starts(session, bundle).await?),
        _ => None,
    };
    let hosts = match args.hosts {
        true => Some(new_hosts::will_do(session, bundle.as_ref()).await?),
        false => None,
    };
    let ca = session.vault().dir().status()?;
    let advice = advice(version).map(|advice| advice.to_string());
    let mut lines = vec![
        ("inventory", format!("{} hosts, etcd {version}", desired.hosts.len())),
        (
            "bundle",
            match (&bundle, &report) {
                (Some(bundle), Some(report)) => format!(
                    "{} of {} releases, every byte checked",
                    count(report.programs, "program"),
                    bundle.versions().len()
                ),
                _ => format!("NOT CHECKED: there is none here; `up` needs one that has etcd {version}"),
            },
        ),
        ("files", "rendered for every host".to_owned()),
        ("pki", of_ca(&ca)),
    ];
    let more = [("trial", &trial), ("hosts", &hosts), ("note", &advice)];
    lines.extend(more.into_iter().filter_map(|(what, said)| Some((what, said.clone()?))));
    Ok(Checked {
        event: "finished",
        ok: true,
        seconds: session.begun.elapsed().as_secs_f64(),
        hosts: desired.hosts.len(),
        etcd: version,
        bundle_checked: report.is_some(),
        hosts_checked: hosts.is_some(),
        ca_days_left: ca.trusted.first().map(|cert| cert.days_left(jiff::Timestamp::now())),
        trial,
        advice,
        lines,
    })
}

impl Checked {
    /// For people: a line for each thing that was checked.
    fn text(&self) -> String {
        let lines = self.lines.iter();
        lines
            .map(|(what, said)| format!("{what:<9}  {}\n", printable(said)))
            .collect()
    }
}

fn of_ca(ca: &CaStatus) -> String {
    match ca.trusted.first() {
        None => "no CA yet: `quorate up` creates it".to_owned(),
        Some(cert) => format!(
            "CA valid for {} more days, its key sealed to {}",
            cert.days_left(jiff::Timestamp::now()),
            ca.recipients.join(", ")
        ),
    }
}

/// Whether etcd starts with what the hosts would get; every option that keeps it from it, in its place.
async fn etcd_starts(session: &Session, bundle: &Bundle) -> Result<String, Failure> {
    let answers = trial::offline(session, bundle).await?;
    let sites = session.loaded.sites();
    let mut problems = Vec::new();
    for (trial, fault) in answers
        .trials
        .iter()
        .flat_map(|trial| trial.faults.iter().map(move |fault| (trial, fault)))
    {
        let mut at = fault.options.iter().filter_map(|option| sites.options.get(option));
        let first = at.next().copied().unwrap_or(sites.version);
        let mut problem = Problem::error(first, fault.says(trial.version), fault.help());
        for other in at {
            problem = problem.also(*other, "together with this", "this");
        }
        problems.push(problem);
    }
    if !problems.is_empty() {
        return Err(session.loaded.wrong(problems).into());
    }
    if let Some(why) = answers.untried.first() {
        return Err(
            Failure::new(Exit::Bundle, why).hint("`quorate plan` runs this trial on a host when this machine cannot")
        );
    }
    let hosts: usize = answers.trials.iter().map(|trial| trial.nodes.len()).sum();
    Ok(format!(
        "etcd {} starts with the configuration of {} ({})",
        session.desired().version,
        count(hosts, "host"),
        count(answers.trials.len(), "configuration")
    ))
}
