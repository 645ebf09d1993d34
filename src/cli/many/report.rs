//! `report`: what `status` and `doctor` find, to be sent around: one page of HTML, and the same as Markdown.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::args::Report;
use super::find::{Cluster, Clusters};
use super::page;
use super::part::Shared;
use super::rows::{sort, worst};
use super::run;
use super::show::{progress, tell_failure};
use crate::cli::args::{Command, Doctor, Global, OutputFormat};
use crate::cli::error::{Exit, Failure};
use crate::inventory;
use crate::report::print::{data, say};

/// Of one cluster.
///
/// # Errors
/// When its inventory cannot be used, or a file cannot be written.
pub async fn report(global: &Global, args: &Report) -> Result<Exit, Failure> {
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
pub async fn of_fleet(
    global: &Global,
    shared: &Arc<Shared>,
    clusters: Clusters,
    args: &Report,
) -> Result<Exit, Failure> {
    let json = global.output == OutputFormat::Json;
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
    write(&args.out, "index.html", &page::html(&ended, &clashes, now))?;
    write(&args.out, "report.md", &page::markdown(&ended, &clashes, now))?;
    let mut exit = worst(ended.iter().map(|ran| ran.exit));
    if !clashes.is_empty() {
        exit = worst([exit, Exit::Inventory]);
    }
    if !json {
        let out = args.out.display();
        say!("wrote {out}/index.html and {out}/report.md");
        ended.into_iter().for_each(tell_failure);
    }
    Ok(exit)
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
