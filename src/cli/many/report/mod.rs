//! `report`: what `status` and `doctor` find, to be sent around: one page of HTML, and the same as Markdown.
//!
//! | file | what |
//! |---|---|
//! | `page`, `markdown` | the two kinds; `said` has what both say, `style.css` how the page looks |
//! | `html` | the only way to markup |
//! | `history`, `chart` | what is kept of past reports, and pictures of it |
//! | `events`, `timeline` | what a run printed, and a picture of that |

mod chart;
pub mod events;
pub mod history;
mod html;
mod markdown;
mod page;
mod said;
#[cfg(test)]
mod tests;
mod timeline;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use self::events::Run;
use self::history::History;
use super::args::Report as Args;
use super::find::{Cluster, Clusters};
use super::part::Shared;
use super::rows::{sort, worst};
use super::run::{self, Ran};
use super::show::{progress, tell_failure};
use crate::cli::args::{Command, Doctor, Global, OutputFormat};
use crate::cli::error::{Exit, Failure};
use crate::inventory;
use crate::report::print::{data, say};

/// What a report is made of.
pub struct Report {
    /// What was found, the worst first.
    ended: Vec<Ran>,
    /// Inventories that cannot both be meant.
    clashes: Vec<String>,
    /// This report and those before it.
    history: History,
    /// Changes that are told with it.
    runs: Vec<Run>,
    now: Timestamp,
}

impl Report {
    fn runs(&self, cluster: &str) -> impl Iterator<Item = &Run> {
        let alone = self.ended.len() == 1;
        self.runs
            .iter()
            .filter(move |run| run.cluster.as_deref().map_or(alone, |of| of == cluster))
    }
}

/// Of one cluster.
///
/// # Errors
/// When its inventory cannot be used, or a file cannot be written.
pub async fn report(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let loaded = inventory::load(&global.inventory)?;
    let one = Clusters {
        whole: vec![Cluster::of(&loaded.desired, global.inventory.clone())],
        ..Clusters::default()
    };
    of_fleet(global, &Shared::new(global), one, args).await
}

/// Of every cluster of a fleet.
///
/// # Errors
/// When a file cannot be written; what was found is the exit code.
pub async fn of_fleet(global: &Global, shared: &Arc<Shared>, clusters: Clusters, args: &Args) -> Result<Exit, Failure> {
    let json = global.output == OutputFormat::Json;
    let mut history = History::load(&args.out)?;
    let runs = runs(args, &clusters)?;
    let clashes = clusters.clashes();
    let mut progress = progress(shared, &clusters);
    let doctor = Command::Doctor(Doctor {
        window: None,
        explain: None,
    });
    let mut ended = run::look(global, shared, clusters, &doctor, |ran| match json {
        true => data(&ran.object().to_string()),
        false => progress(ran),
    })
    .await;
    sort(&mut ended);
    let now = Timestamp::now();
    history.add(&ended, now);
    let report = Report {
        ended,
        clashes,
        history,
        runs,
        now,
    };
    write(&args.out, "index.html", &page::html(&report))?;
    write(&args.out, "report.md", &markdown::markdown(&report))?;
    write(&args.out, history::FILE, &report.history.text())?;
    let mut exit = worst(report.ended.iter().map(|ran| ran.exit));
    if !report.clashes.is_empty() {
        exit = worst([exit, Exit::Inventory]);
    }
    if !json {
        let out = args.out.display();
        say!("wrote {out}/index.html and {out}/report.md");
        report.ended.into_iter().for_each(tell_failure);
    }
    Ok(exit)
}

/// The changes that are to be told, each of a cluster that is here.
fn runs(args: &Args, clusters: &Clusters) -> Result<Vec<Run>, Failure> {
    let here = |name: &str| {
        let whole = clusters.whole.iter().map(|cluster| cluster.name.as_str());
        whole
            .chain(clusters.broken.iter().map(|broken| broken.name.as_str()))
            .any(|one| one == name)
    };
    let several = clusters.whole.len() + clusters.broken.len() > 1;
    let mut runs = Vec::new();
    for file in &args.events {
        let run = events::load(file)?;
        let of = match &run.cluster {
            Some(name) if !here(name) => Some(format!("of the cluster `{name}`")),
            None if several => Some("of a cluster that it does not name".to_owned()),
            _ => None,
        };
        if let Some(of) = of {
            let message = format!("{} has the events {of}, which this report is not about", file.display());
            return Err(Failure::new(Exit::Usage, message).hint("pass the inventory of that cluster, or omit the file"));
        }
        runs.push(run);
    }
    Ok(runs)
}

/// Whole or not at all: somebody may be reading the one from before.
fn write(dir: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let failed = |error| {
        Failure::new(Exit::Usage, format!("cannot write {}/{name}: {error}", dir.display()))
            .hint("pass a directory that this account may write to with --out")
    };
    fs::create_dir_all(dir).map_err(failed)?;
    let next = dir.join(format!(".{name}.new"));
    fs::write(&next, text).map_err(failed)?;
    fs::rename(&next, dir.join(name)).map_err(failed)
}
