//! A command for one cluster of a fleet: the same function that runs it alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};

use super::find::{Broken, Cluster, Clusters};
use super::part::{Answer, Part, Shared};
use crate::cli::args::{Command, Global};
use crate::cli::dispatch;
use crate::cli::error::{Exit, Failure};
use crate::cli::plan_json::plan_json;
use crate::cli::status::Glance;
use crate::report::Event;

/// Nobody waits longer for what one cluster has to say: `doctor` hashes databases of up to 1 GiB one after the other.
const LONGEST_LOOK: Duration = Duration::from_secs(300);

/// Clusters that are looked at at the same time, where nothing else was asked for.
pub const LOOKS: u16 = 8;

/// How it ended for one cluster.
#[derive(Debug)]
pub struct Ran {
    /// The cluster.
    pub name: String,
    /// Its inventory.
    pub path: PathBuf,
    /// The exit code that the command alone would have had.
    pub exit: Exit,
    /// What it found.
    pub answers: Vec<Answer>,
    /// Why it did not succeed; `None` also where it found something bad.
    pub failure: Option<Failure>,
    /// Its last event.
    pub finished: Option<Event>,
    /// Warnings that were not shown as they came.
    pub warnings: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Ran {
    /// What `status` or `doctor` saw.
    pub fn glance(&self) -> Option<&Glance> {
        self.answers.iter().find_map(|answer| match answer {
            Answer::Glance(glance) => Some(&**glance),
            _ => None,
        })
    }

    /// The plan, where one was made.
    pub fn plan(&self) -> Option<&crate::ops::plan::Plan> {
        self.answers.iter().find_map(|answer| match answer {
            Answer::Plan(plan) => Some(&**plan),
            _ => None,
        })
    }

    /// As JSON: what the command alone would print last, with the cluster and its inventory.
    pub fn object(&self) -> Value {
        let answered = self.answers.iter().last().map(|answer| match answer {
            Answer::Glance(glance) => serde_json::to_value(glance).unwrap_or_default(),
            Answer::Examination(found) => serde_json::to_value(found).unwrap_or_default(),
            Answer::Plan(plan) => plan_json(plan).unwrap_or_default(),
            Answer::Backups(backups) => backups.object(),
            Answer::Checked(checked) => serde_json::to_value(checked).unwrap_or_default(),
            Answer::Settings(settings) => settings.object(),
        });
        let finished = || {
            self.finished
                .as_ref()
                .and_then(|event| serde_json::to_value(event).ok())
        };
        let mut object = match &self.failure {
            Some(failure) => failure.object(self.seconds),
            None => answered.or_else(finished).unwrap_or_else(|| json!({})),
        };
        object["cluster"] = json!(self.name);
        object["inventory"] = json!(self.path);
        object["exit_code"] = json!(self.exit as u8);
        if !self.warnings.is_empty() {
            object["warnings"] = json!(self.warnings);
        }
        object
    }
}

impl From<Broken> for Ran {
    fn from(broken: Broken) -> Self {
        Self {
            exit: broken.failure.exit,
            name: broken.name,
            path: broken.path,
            answers: Vec::new(),
            failure: Some(broken.failure),
            finished: None,
            warnings: Vec::new(),
            seconds: 0.0,
        }
    }
}

/// Runs it.
pub async fn one(global: &Global, cluster: &Cluster, part: Arc<Part>, command: &Command) -> Ran {
    let begun = Instant::now();
    let global = Global {
        inventory: cluster.path.clone(),
        part: Some(part.clone()),
        ..global.clone()
    };
    // The way back into `dispatch` must be boxed somewhere.
    let ended = Box::pin(dispatch(&global, command)).await;
    let (exit, failure) = match ended {
        Ok(exit) => (exit, None),
        // A run that has said everything itself.
        Err(failure) if failure.message.is_empty() => (failure.exit, None),
        Err(failure) => (failure.exit, Some(failure)),
    };
    Ran {
        name: cluster.name.clone(),
        path: cluster.path.clone(),
        exit,
        answers: part.answers(),
        failure,
        finished: part.finished(),
        warnings: part.warnings(),
        seconds: begun.elapsed().as_secs_f64(),
    }
}

/// Runs a command that only looks for every cluster, several at a time; each is told as it ends, broken ones first.
pub async fn look(
    global: &Global,
    shared: &Arc<Shared>,
    clusters: Clusters,
    command: &Command,
    mut told: impl FnMut(&Ran),
) -> Vec<Ran> {
    let mut ended: Vec<Ran> = clusters.broken.into_iter().map(Ran::from).collect();
    ended.iter().for_each(&mut told);
    let at_once = usize::from(global.parallel.unwrap_or(LOOKS));
    let looks = clusters
        .whole
        .iter()
        .map(|cluster| within(global, shared, cluster, command));
    let mut looks = futures::stream::iter(looks).buffer_unordered(at_once);
    while let Some(ran) = looks.next().await {
        told(&ran);
        ended.push(ran);
    }
    ended
}

/// Runs a command that only looks for one cluster, which has its time.
pub async fn within(global: &Global, shared: &Arc<Shared>, cluster: &Cluster, command: &Command) -> Ran {
    let part = Part::looking(shared, &cluster.name);
    let look = one(global, cluster, part, command);
    match tokio::time::timeout(LONGEST_LOOK, look).await {
        Ok(ran) => ran,
        Err(_) => Ran::from(Broken {
            name: cluster.name.clone(),
            path: cluster.path.clone(),
            failure: Failure::new(
                Exit::Unreachable,
                format!("no answer within {} s", LONGEST_LOOK.as_secs()),
            )
            .hint(format!(
                "see what takes so long: `quorate -i {} status`",
                cluster.path.display()
            )),
        }),
    }
}
