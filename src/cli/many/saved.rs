//! A plan of a whole fleet that travels: made in one checkout, by CI, and done from another, by a person.
//!
//! It is what a person agreed to, so less than that may still be done, and nothing else: a cluster that was changed meanwhile, or
//! whose inventory was, is stale. Where the first half of the fleet is done already, the rest follows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::find::Cluster;
use super::run::Ran;
use crate::cli::args::{Command, Global, Up};
use crate::cli::converge::stale as stale_plan;
use crate::cli::error::{Detail, Exit, Failure};
use crate::cli::up::VERSION;
use crate::ops::model::Intent;
use crate::ops::plan::{Plan, count, within};
use crate::report::print::tell;
use crate::report::printable;

/// How such a file is written.
const FORMAT: u32 = 1;

/// The plans of several clusters, by name. No secret is in them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    fleet_plan: u32,
    /// The version that saved it.
    quorate: String,
    clusters: BTreeMap<String, One>,
}

#[derive(Debug, Serialize, Deserialize)]
struct One {
    /// Below the fleet's directory.
    inventory: PathBuf,
    plan: Plan,
}

/// Saves what was planned. Half a fleet is no plan for it.
///
/// # Errors
/// When a cluster has no plan, or the file cannot be written.
pub fn save(out: &Path, dir: &Path, ended: &[Ran], clashes: &[String]) -> Result<(), Failure> {
    let without: Vec<&str> = ended
        .iter()
        .filter(|ran| ran.plan().is_none())
        .map(|ran| ran.name.as_str())
        .collect();
    let not_saved = |why: String| Failure::new(Exit::Blocked, format!("{} was not written: {why}", out.display()));
    if !without.is_empty() {
        return Err(not_saved(format!("no plan for {}", without.join(", ")))
            .hint("fix that, or leave them out with --skip CLUSTER"));
    }
    if let Some(clash) = clashes.first() {
        return Err(not_saved(clash.clone()).hint("change one of them, or move it out of the fleet"));
    }
    let clusters = ended.iter().filter_map(|ran| {
        let one = One {
            inventory: ran.path.strip_prefix(dir).unwrap_or(&ran.path).to_owned(),
            plan: ran.plan()?.clone(),
        };
        Some((ran.name.clone(), one))
    });
    let saved = Saved {
        fleet_plan: FORMAT,
        quorate: VERSION.to_owned(),
        clusters: clusters.collect(),
    };
    let text = serde_json::to_string_pretty(&saved).map_err(|e| Failure::unexpected("cannot write the plan", e))?;
    fs::write(out, text).map_err(|e| Failure::unexpected(&format!("cannot write {}", out.display()), e))?;
    let changed = saved.clusters.values().filter(|one| !one.plan.is_empty()).count();
    tell!(
        "saved {}: {}, {changed} to be changed",
        out.display(),
        count(saved.clusters.len(), "cluster")
    );
    Ok(())
}

impl Saved {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let not_one = |why: String| {
            Failure::new(
                Exit::Usage,
                format!("{} is not a saved plan of a fleet: {why}", path.display()),
            )
            .hint(
                "save one with `quorate --fleet DIR plan --out FILE`; that of one cluster goes with `-i FILE` instead of --fleet",
            )
        };
        let text = fs::read_to_string(path).map_err(|error| not_one(error.to_string()))?;
        let saved: Self = serde_json::from_str(&text).map_err(|error| match by_another(&text) {
            Some(other) => stale_plan(&format!("it was saved by quorate {other}, and this is {VERSION}")),
            None => not_one(error.to_string()),
        })?;
        if saved.fleet_plan != FORMAT {
            return Err(not_one(format!("its format is {}, not {FORMAT}", saved.fleet_plan)));
        }
        for (name, one) in &saved.clusters {
            if one.plan.header.cluster.as_str() != name {
                return Err(not_one(format!("the plan of {name} is of {}", one.plan.header.cluster)));
            }
        }
        Ok(saved)
    }

    /// Those clusters of the fleet that it is for; says which others are not touched.
    ///
    /// # Errors
    /// When a cluster that it is for is not there, and was not left out.
    pub fn only(&self, global: &Global, clusters: Vec<Cluster>) -> Result<Vec<Cluster>, Failure> {
        let (due, others): (Vec<Cluster>, Vec<Cluster>) = clusters
            .into_iter()
            .partition(|cluster| self.clusters.contains_key(&cluster.name));
        let there: BTreeSet<&str> = due.iter().map(|cluster| cluster.name.as_str()).collect();
        let skipped = |name: &str| global.fleet.skip.iter().any(|skip| skip.as_str() == name);
        let mut gone = self
            .clusters
            .iter()
            .filter(|(name, _)| !there.contains(name.as_str()) && !skipped(name));
        if let Some((name, one)) = gone.next() {
            return Err(Failure::new(
                Exit::Stale,
                format!(
                    "the plan is stale: the fleet has no cluster `{name}` any more ({})",
                    one.inventory.display()
                ),
            )
            .hint("nothing was changed; save a new plan with `quorate --fleet DIR plan --out FILE`"));
        }
        if !others.is_empty() {
            let names: Vec<&str> = others.iter().map(|cluster| cluster.name.as_str()).collect();
            tell!(
                "note: not part of the saved plan, and not touched: {}",
                names.join(", ")
            );
        }
        Ok(due)
    }

    /// The command whose plans were saved.
    ///
    /// # Errors
    /// When that was not `up`, or not one command.
    pub fn command(&self) -> Result<Command, Failure> {
        let asked: BTreeSet<Option<bool>> = self
            .clusters
            .values()
            .map(|one| match &one.plan.header.intent {
                Intent::Converge { prune, limit } if limit.is_empty() => Some(*prune),
                _ => None,
            })
            .collect();
        match asked.into_iter().collect::<Vec<_>>()[..] {
            [] => Ok(Command::Up(Up {
                plan: None,
                prune: false,
            })),
            [Some(prune)] => Ok(Command::Up(Up { plan: None, prune })),
            _ => Err(Failure::new(
                Exit::Usage,
                "its plans are not all those of one `up` for whole clusters",
            )
            .hint("save a new plan with `quorate --fleet DIR plan --out FILE`")),
        }
    }

    /// Whether what would be done now is what was saved, or what is left of it.
    ///
    /// # Errors
    /// Every cluster that is stale.
    pub fn still_holds(&self, clusters: &[Cluster], now: &[Option<Plan>]) -> Result<(), Failure> {
        let stale = clusters.iter().zip(now).filter_map(|(cluster, now)| {
            let saved = &self.clusters.get(&cluster.name)?.plan;
            let why = stale(saved, now.as_ref()?)?;
            Some(Detail {
                node: Some(cluster.name.clone()),
                message: why.to_owned(),
                hint: format!(
                    "save a new plan with `quorate --fleet DIR plan --out FILE`, or leave it out: `--skip {}`",
                    cluster.name
                ),
            })
        });
        let details: Vec<Detail> = stale.collect();
        match details.is_empty() {
            true => Ok(()),
            false => Err(Failure {
                details,
                ..Failure::new(Exit::Stale, "nothing was changed: the saved plan is stale")
            }),
        }
    }
}

/// The version that saved a plan of a fleet, where that is another one than this.
fn by_another(text: &str) -> Option<String> {
    let read: serde_json::Value = serde_json::from_str(text).ok()?;
    let other = read["quorate"].as_str().filter(|other| *other != VERSION)?;
    read.get("fleet_plan").map(|_| printable(other).to_string())
}

/// Why a plan that was made now is not part of the one that was saved.
fn stale(saved: &Plan, now: &Plan) -> Option<&'static str> {
    let (was, is) = (&saved.header, &now.header);
    if was.desired_digest != is.desired_digest {
        return Some("its inventory, or what it shares with others, has changed since");
    }
    // Not there any more while its members are down; another one once it was restored.
    if was.cluster_id.is_some() && is.cluster_id.is_some() && was.cluster_id != is.cluster_id {
        return Some("another cluster runs on its hosts");
    }
    (!within(now, saved)).then_some("it needs more than was planned: its members or its hosts have changed since")
}
