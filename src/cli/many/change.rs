//! Commands that change every cluster of a fleet: all plans are shown and agreed to once, a canary goes first, and the first
//! failure is the end.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;

use super::find::{Cluster, Clusters};
use super::part::{Part, Shared};
use super::rows::worst;
use super::run::{self, Ran};
use super::saved::Saved;
use super::show::{progress, tell_failure};
use super::waves::Turns;
use crate::cli::args::{Command, Global, OutputFormat, Up};
use crate::cli::error::{Detail, Exit, Failure};
use crate::cli::{confirm, interrupt, show as show_plan};
use crate::inventory::ClusterName;
use crate::ops::plan::{Plan, Risk, count};
use crate::report::print::{data, say_all, tell_all};
use crate::report::{Cell, Event, Paint, Table, Tone, human_seconds, printable, terminal_width};

/// `up`, `restart`, `upgrade`, `pki renew`, `backup create`.
///
/// # Errors
/// When nothing is begun: an inventory is broken, two claim the same, a plan cannot be made, or the answer is no.
pub async fn change(
    global: &Global,
    shared: &Arc<Shared>,
    clusters: Clusters,
    command: &Command,
) -> Result<Exit, Failure> {
    let clusters = all_whole(global, clusters)?;
    let saved = match command {
        Command::Up(Up { plan: Some(file), .. }) => Some(Saved::load(file)?),
        _ => None,
    };
    let (clusters, of_saved) = match &saved {
        Some(saved) => (saved.only(global, clusters)?, Some(saved.command()?)),
        None => (clusters, None),
    };
    let command = of_saved.as_ref().unwrap_or(command);
    interrupt::cancels(shared.stop.clone());
    let plans = match command {
        // It changes no cluster, and makes no plan.
        Command::Backup(_) => clusters.iter().map(|_| None).collect(),
        _ => plans(global, shared, &clusters, command).await?,
    };
    if let Some(saved) = &saved {
        saved.still_holds(&clusters, &plans)?;
    }
    let due: Vec<usize> = (0..clusters.len())
        .filter(|at| is_due(command, plans[*at].as_ref()))
        .collect();
    let canaries: Vec<&str> = global.fleet.canary.iter().map(|name| name.as_str()).collect();
    let turns = Turns::of(&clusters, &due, &canaries, usize::from(global.parallel.unwrap_or(1)));
    agree(global, &clusters, &plans, &turns)?;
    let fleet = Fleet {
        // Every cluster's plan was shown, and is held against the one that is done.
        global: Global {
            yes: true,
            ..global.clone()
        },
        shared,
        clusters: &clusters,
        command,
        agreed: plans,
    };
    let ended = fleet.run(&turns).await;
    Ok(fleet.tell(&turns, ended))
}

/// Nothing is changed while an inventory is broken, which may claim what another has, or while two do.
fn all_whole(global: &Global, clusters: Clusters) -> Result<Vec<Cluster>, Failure> {
    let clashes = clusters.clashes();
    if !clusters.broken.is_empty() {
        return Err(refused(
            global,
            clusters.broken.into_iter().map(Ran::from).collect(),
            &clusters.whole,
        ));
    }
    if clashes.is_empty() {
        return Ok(clusters.whole);
    }
    let details = clashes.into_iter().map(|clash| Detail {
        node: None,
        message: clash,
        hint: "change one of them, or move it out of the fleet".into(),
    });
    Err(Failure {
        details: details.collect(),
        ..Failure::new(
            Exit::Inventory,
            "nothing was changed: two inventories cannot both be meant",
        )
    })
}

/// Ends a run that changed nothing: why, cluster by cluster.
fn refused(global: &Global, failed: Vec<Ran>, others: &[Cluster]) -> Failure {
    let exit = worst(failed.iter().map(|ran| ran.exit));
    let names: Vec<String> = failed.iter().map(|ran| ran.name.clone()).collect();
    if global.output == OutputFormat::Json {
        let rest = others.iter().filter(|cluster| !names.contains(&cluster.name));
        rest.for_each(|cluster| data(&not_begun(cluster).to_string()));
        failed.iter().for_each(|ran| data(&ran.object().to_string()));
        return Failure::only(exit);
    }
    failed.into_iter().for_each(tell_failure);
    let failure = Failure::new(exit, format!("nothing was changed: no plan for {}", names.join(", ")));
    match names.iter().all(|name| name.parse::<ClusterName>().is_ok()) {
        true => failure.hint(format!(
            "fix that, or leave them out: {}",
            skips(names.iter().map(String::as_str))
        )),
        false => failure.hint("fix that, or move the files that are not inventories out of the fleet"),
    }
}

fn not_begun(cluster: &Cluster) -> serde_json::Value {
    json!({
        "event": "finished", "cluster": cluster.name, "inventory": cluster.path, "ok": false, "seconds": 0.0,
        "changed": 0, "error": "not begun", "exit_code": null,
    })
}

fn skips<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let flags: Vec<String> = names.map(|name| format!("--skip {name}")).collect();
    format!("`{}`", flags.join(" "))
}

/// The plan of every cluster, in their order.
async fn plans(
    global: &Global,
    shared: &Arc<Shared>,
    clusters: &[Cluster],
    command: &Command,
) -> Result<Vec<Option<Plan>>, Failure> {
    let only_plan = Global {
        dry_run: true,
        ..global.clone()
    };
    let all = Clusters {
        whole: clusters.to_vec(),
        ..Clusters::default()
    };
    let json = global.output == OutputFormat::Json;
    let mut progress = progress(shared, &all);
    let told = |ran: &Ran| {
        if !json {
            progress(ran)
        }
    };
    let ended = run::look(&only_plan, shared, all, command, told).await;
    if shared.stop.is_cancelled() {
        return Err(Failure::new(Exit::Interrupted, "stopped; nothing was changed"));
    }
    let (failed, made): (Vec<Ran>, Vec<Ran>) = ended.into_iter().partition(|ran| ran.failure.is_some());
    if !failed.is_empty() {
        return Err(refused(global, failed, clusters));
    }
    let plan = |cluster: &Cluster| made.iter().find(|ran| ran.path == cluster.path)?.plan().cloned();
    Ok(clusters.iter().map(plan).collect())
}

/// An upgrade also writes the version into an inventory whose members run it already.
fn is_due(command: &Command, plan: Option<&Plan>) -> bool {
    match command {
        Command::Backup(_) | Command::Upgrade(_) => true,
        _ => plan.is_some_and(|plan| !plan.is_empty()),
    }
}

/// Shows every plan and the order, and asks once.
fn agree(global: &Global, clusters: &[Cluster], plans: &[Option<Plan>], turns: &Turns) -> Result<(), Failure> {
    let plans: Vec<(&Cluster, &Plan)> = clusters
        .iter()
        .zip(plans)
        .filter_map(|(cluster, plan)| Some((cluster, plan.as_ref().filter(|plan| !plan.is_empty())?)))
        .collect();
    if global.output == OutputFormat::Human && !turns.canaries.is_empty() {
        show(global, clusters, &plans, turns);
    }
    let costs: Vec<Detail> = plans
        .iter()
        .filter_map(|(cluster, plan)| Some((cluster, confirm::allowed(global, plan.risk()).err()?)))
        .map(|(cluster, refused)| Detail {
            node: Some(cluster.name.clone()),
            message: refused.message,
            hint: refused.hint.unwrap_or_default(),
        })
        .collect();
    if !costs.is_empty() {
        return Err(Failure {
            details: costs,
            ..Failure::new(
                Exit::Blocked,
                "nothing was changed: a plan costs more than was accepted",
            )
        });
    }
    let risk = plans
        .iter()
        .map(|(_, plan)| plan.risk())
        .max()
        .unwrap_or(Risk::ReadOnly);
    if global.yes || risk == Risk::ReadOnly {
        return Ok(());
    }
    let what = match risk {
        Risk::Outage => " etcd will be UNAVAILABLE to clients of a cluster.",
        Risk::DestroysData => " Data will be DELETED.",
        Risk::ReducesRedundancy => " One member of a cluster at a time will be down.",
        Risk::ReadOnly | Risk::Reversible => "",
    };
    confirm::ask(&format!("Apply {}?{what}", of_clusters(plans.len())))
}

fn of_clusters(plans: usize) -> String {
    match plans {
        1 => "this plan".to_owned(),
        n => format!("these plans of {n} clusters"),
    }
}

fn show(global: &Global, clusters: &[Cluster], plans: &[(&Cluster, &Plan)], turns: &Turns) {
    let (paint, width) = (Paint::from_env(true), terminal_width().map_or(usize::MAX, usize::from));
    for (cluster, plan) in plans {
        tell_all!(
            "\n{} {}\n{}",
            paint.strong(&cluster.name),
            paint.dim(&printable(&format!("(-i {})", cluster.path.display()))),
            show_plan::plan(plan, paint, global.verbose > 0, width)
        );
    }
    tell_all!("\n{}\n", turns.told(clusters));
}

/// A fleet that is being changed.
struct Fleet<'a> {
    global: Global,
    shared: &'a Arc<Shared>,
    clusters: &'a [Cluster],
    command: &'a Command,
    agreed: Vec<Option<Plan>>,
}

impl Fleet<'_> {
    /// Turn by turn; after a failure, or Ctrl-C, nobody begins any more, and those under way come to their end.
    async fn run(&self, turns: &Turns) -> Vec<Ran> {
        let (mut begun, mut running, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        let mut under_way = FuturesUnordered::new();
        let mut stopped = false;
        loop {
            while !stopped && !self.shared.stop.is_cancelled() {
                let Some(at) = turns.next(self.clusters, &begun, &running) else {
                    break;
                };
                begun.push(at);
                running.push(at);
                under_way.push(async move { (at, self.one(at).await) });
            }
            let Some((at, ran)) = under_way.next().await else {
                return ended;
            };
            running.retain(|other| *other != at);
            // A backup that fails is no reason to be without the others.
            stopped |= ran.failure.is_some() && !matches!(self.command, Command::Backup(_));
            self.one_ended(&ran);
            ended.push(ran);
        }
    }

    async fn one(&self, at: usize) -> Ran {
        let cluster = &self.clusters[at];
        let part = Part::changing(self.shared, &cluster.name, self.agreed[at].clone());
        run::one(&self.global, cluster, part, self.command).await
    }

    /// With `--output json`, failures are kept for the end: the last object says whether all is well.
    fn one_ended(&self, ran: &Ran) {
        match (self.global.output, &ran.failure) {
            (OutputFormat::Json, None) => data(&ran.object().to_string()),
            (OutputFormat::Json, Some(_)) => {}
            (OutputFormat::Human, Some(failure)) => {
                self.shared
                    .screen
                    .line(format!("{}: FAILED: {}", ran.name, failure.message));
            }
            (OutputFormat::Human, None) => {}
        }
    }

    /// Says what was done and what was not, and how to continue.
    fn tell(&self, turns: &Turns, ended: Vec<Ran>) -> Exit {
        let stopped = self.shared.stop.is_cancelled();
        let mut exit = worst(ended.iter().map(|ran| ran.exit));
        let order = turns.canaries.iter().chain(&turns.others).map(|at| &self.clusters[*at]);
        let left: Vec<&Cluster> = order.filter(|c| !ended.iter().any(|ran| ran.path == c.path)).collect();
        if stopped && !left.is_empty() {
            exit = worst([exit, Exit::Interrupted]);
        }
        let done: Vec<String> = ended
            .iter()
            .filter(|ran| ran.failure.is_none())
            .map(|ran| ran.name.clone())
            .collect();
        if self.global.output == OutputFormat::Json {
            self.up_to_date(turns)
                .for_each(|cluster| data(&nothing_to_do(cluster).to_string()));
            left.iter().for_each(|cluster| data(&not_begun(cluster).to_string()));
            let failed = ended.iter().filter(|ran| ran.failure.is_some());
            failed.for_each(|ran| data(&ran.object().to_string()));
            return exit;
        }
        self.table(turns, &ended, &left);
        let failed = ended.iter().filter(|ran| ran.failure.is_some()).count();
        ended.into_iter().for_each(tell_failure);
        if failed > 0 || !left.is_empty() {
            let message = format!(
                "{} done, {failed} failed, {} not begun",
                count(done.len(), "cluster"),
                left.len()
            );
            tell_all!("\n");
            Failure::new(exit, message).hint(self.how_to_continue(&done)).tell();
        }
        exit
    }

    fn how_to_continue(&self, done: &[String]) -> String {
        let again = "fix the cause, then run the same command again";
        let sees_what_is_done = matches!(self.command, Command::Up(_) | Command::Upgrade(_));
        match (sees_what_is_done, done.is_empty()) {
            (true, _) => format!("{again}: what is done is skipped"),
            (false, true) => again.to_owned(),
            (false, false) => format!("{again} with {}", skips(done.iter().map(String::as_str))),
        }
    }

    /// Clusters whose plan was empty.
    fn up_to_date(&self, turns: &Turns) -> impl Iterator<Item = &Cluster> {
        let due: Vec<usize> = turns.canaries.iter().chain(&turns.others).copied().collect();
        let rest = self
            .clusters
            .iter()
            .enumerate()
            .filter(move |(at, _)| !due.contains(at));
        rest.map(|(_, cluster)| cluster)
    }

    fn table(&self, turns: &Turns, ended: &[Ran], left: &[&Cluster]) {
        let mut table = Table::new(["CLUSTER", "RESULT", "TOOK", "NOW"])
            .prose(["NOW"])
            .right(["TOOK"]);
        let mut row = |name: &str, result: Cell, took: String, now: &str| {
            table.row([Cell::new(name), result, Cell::new(took), Cell::new(now)]);
        };
        for ran in ended {
            let took = human_seconds(ran.seconds);
            match (&ran.failure, &ran.finished) {
                (None, Some(Event::Finished { summary, .. })) => {
                    row(&ran.name, Cell::new("done").tone(Tone::Good), took, summary);
                }
                (None, _) => row(&ran.name, Cell::new("done").tone(Tone::Good), took, "-"),
                (Some(failure), _) => row(&ran.name, Cell::new("FAILED").tone(Tone::Bad), took, &failure.message),
            }
        }
        for cluster in left {
            row(&cluster.name, Cell::new("not begun").tone(Tone::Warn), "-".into(), "-");
        }
        for cluster in self.up_to_date(turns) {
            row(
                &cluster.name,
                Cell::new("nothing to do").tone(Tone::Good),
                "-".into(),
                "up to date",
            );
        }
        say_all!("{}\n", table.render(terminal_width(), true));
    }
}

fn nothing_to_do(cluster: &Cluster) -> serde_json::Value {
    json!({
        "event": "finished", "cluster": cluster.name, "inventory": cluster.path, "ok": true, "seconds": 0.0,
        "changed": 0, "summary": format!("{} is up to date: nothing to do", cluster.name), "exit_code": 0,
    })
}
