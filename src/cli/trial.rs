//! Asking etcd before its members get something new: every configuration and release that is about to be started is
//! started once on scratch data, on this machine where that can be, else on a host.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use futures::future::join_all;

use super::converge::Parts;
use super::draft;
use super::error::{Exit, Failure};
use super::session::Session;
use crate::bundle::{Bundle, Program};
use crate::host::{HostFacts, Libc};
use crate::inventory::{Desired, NodeName, Version, edit};
use crate::ops::fleet::Fleet;
use crate::ops::model::{Fact, Observed};
use crate::ops::plan::{NewStart, Plan, initial_new, new_starts};
use crate::ops::safety::Blocked;
use crate::ops::safety::trial::{Trial, libc_is_new_enough, may_be_given};
use crate::ops::trial::{Bench, Configuration, here, on_host};
use crate::render::render_host;

/// What came of asking.
#[derive(Default)]
pub struct Answers {
    /// What was tried.
    pub trials: Vec<Trial>,
    /// What could not be, and why; a sentence each.
    pub untried: Vec<String>,
}

/// A configuration, and whose it is.
struct Asked {
    configuration: Configuration,
    nodes: Vec<NodeName>,
}

/// Hosts to turn to where this machine will not do.
#[derive(Clone, Copy)]
struct Hosts<'a> {
    fleet: &'a Fleet,
    seen: &'a Observed,
}

/// Before a plan is agreed to: asks about everything that it starts members with and that they do not run yet. What could
/// not be tried is a note of the plan.
///
/// # Errors
/// When etcd does not start with it; nothing has been changed then.
pub async fn before(session: &Session, parts: &Parts, plan: &mut Plan, seen: &Observed) -> Result<(), Failure> {
    let starts = new_starts(plan, session.desired(), seen);
    let wanted = starts.iter().map(|start| (&start.node, start.version));
    let old = libraries(parts.bundle.as_ref(), wanted, &seen.hosts)?;
    if !old.is_empty() {
        return Err(old.into());
    }
    let due = Due::of(session, starts, session.desired());
    if due.is_nothing() {
        return Ok(());
    }
    session.phase("trial", consider(session, parts, due, plan, seen)).await
}

/// The same for a plan that is only shown, which is all that may be printed.
///
/// # Errors
/// As [`before`].
pub async fn for_show(session: &Session, parts: &Parts, plan: &mut Plan, seen: &Observed) -> Result<(), Failure> {
    let starts = new_starts(plan, session.desired(), seen);
    let wanted = starts.iter().map(|start| (&start.node, start.version));
    let old = libraries(parts.bundle.as_ref(), wanted, &seen.hosts)?;
    if !old.is_empty() {
        return Err(old.into());
    }
    let due = Due::of(session, starts, session.desired());
    consider(session, parts, due, plan, seen).await
}

/// Every host whose C library is older than the bundle's etcd needs: this machine may have it and they not.
///
/// # Errors
/// When the bundle cannot be read.
pub(super) fn libraries<'a>(
    bundle: Option<&Bundle>,
    starts: impl Iterator<Item = (&'a NodeName, Version)>,
    seen: &BTreeMap<NodeName, Fact<HostFacts>>,
) -> Result<Vec<Blocked>, Failure> {
    let (mut needs, mut blocked) = (BTreeMap::new(), Vec::new());
    let Some(bundle) = bundle else { return Ok(blocked) };
    for (node, version) in starts {
        let Some(facts) = seen.get(node).and_then(Fact::known) else {
            continue;
        };
        let (Some(arch), Some(has)) = (facts.system.arch, facts.system.libc) else {
            continue;
        };
        if facts.releases.contains_key(&version) {
            continue;
        }
        let needed = match needs.entry((version, arch)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let program = bundle.open_program(version, arch, Program::Etcd);
                *unknown.insert(
                    program
                        .and_then(Libc::needed_by)
                        .map_err(|error| Failure::new(Exit::Inventory, &error).hint("create the bundle again"))?,
                )
            }
        };
        blocked.extend(libc_is_new_enough(node, version, needed, has).err());
    }
    Ok(blocked)
}

async fn consider(session: &Session, parts: &Parts, due: Due, plan: &mut Plan, seen: &Observed) -> Result<(), Failure> {
    let hosts = Hosts {
        fleet: &parts.fleet,
        seen,
    };
    let answers = ask(session, parts.bundle.as_ref(), due, session.desired(), Some(hosts)).await?;
    plan.notes.extend(answers.untried);
    Ok(may_be_given(&answers.trials)?)
}

/// Before the first rung of several: asks each release about what the inventory would make of it.
///
/// # Errors
/// As [`before`]; when the inventory cannot be read with one of the releases.
pub async fn rungs(session: &Session, rungs: &[Version], seen: &Observed) -> Result<(), Failure> {
    let (bundle, fleet) = (session.bundle()?, session.fleet());
    let hosts = Hosts { fleet: &fleet, seen };
    let mut trials = Vec::new();
    for rung in rungs {
        let text = edit::set_version(&session.loaded.text, *rung)?;
        let desired = draft::read(&session.loaded.path, &text)?.desired;
        let due = Due::of(session, everybody(&desired)?, &desired);
        let asked = ask(session, Some(&bundle), due, &desired, Some(hosts));
        let answers = session.phase("trial", asked).await?;
        answers.untried.iter().for_each(|note| session.note(note));
        trials.extend(answers.trials);
    }
    Ok(may_be_given(&trials)?)
}

/// Offline: asks the inventory's release about what every host would get.
///
/// # Errors
/// When a file cannot be made.
pub async fn offline(session: &Session, bundle: &Bundle) -> Result<Answers, Failure> {
    let desired = session.desired();
    let due = Due::of(session, everybody(desired)?, desired);
    ask(session, Some(bundle), due, desired, None).await
}

/// What every host gets as a new member.
fn everybody(desired: &Desired) -> Result<Vec<NewStart>, Failure> {
    let initial = initial_new(desired);
    let mut starts = Vec::new();
    for host in desired.hosts.values() {
        let files = render_host(desired, host, &initial)
            .map_err(|error| Failure::new(Exit::Inventory, &error).hint(error.hint()))?;
        let config = files.into_iter().find(|file| file.path == host.paths.config);
        starts.extend(config.map(|file| NewStart {
            node: host.name.clone(),
            version: desired.version,
            config: file.text,
        }));
    }
    Ok(starts)
}

/// What is to be asked, by release.
struct Due {
    releases: BTreeMap<Version, Vec<Asked>>,
    /// What cannot be: a sentence each.
    untried: Vec<String>,
}

impl Due {
    /// Each configuration once; not those that this command has seen to start.
    fn of(session: &Session, starts: Vec<NewStart>, desired: &Desired) -> Self {
        let (mut releases, mut untried) = (BTreeMap::<Version, Vec<Asked>>::new(), Vec::new());
        for start in starts {
            match Configuration::of(start.version, &start.config, desired.options.keys()) {
                Ok(known) if session.has_tried(&known.key()) => {}
                Ok(configuration) => join(releases.entry(start.version).or_default(), configuration, start.node),
                Err(why) => untried.push(not_tried(start.version, &[start.node], &why)),
            }
        }
        Self { releases, untried }
    }

    fn is_nothing(&self) -> bool {
        self.releases.is_empty() && self.untried.is_empty()
    }
}

/// Asks about all releases at the same time.
async fn ask(
    session: &Session,
    bundle: Option<&Bundle>,
    due: Due,
    desired: &Desired,
    hosts: Option<Hosts<'_>>,
) -> Result<Answers, Failure> {
    let Due { releases, untried } = due;
    let all = releases
        .iter()
        .map(|(version, asked)| of_release(bundle, *version, asked, desired, hosts));
    let told = tokio::select! {
        told = join_all(all) => told,
        // What is dropped here ends by itself, and takes along what it left.
        () = session.stop().cancelled() => {
            return Err(Failure::new(Exit::Interrupted, "stopped; nothing was changed"));
        }
    };
    let mut answers = Answers {
        untried,
        ..Answers::default()
    };
    for told in told {
        answers.trials.extend(told.trials);
        answers.untried.extend(told.untried);
    }
    if answers.trials.iter().all(|trial| trial.faults.is_empty()) {
        let asked = releases.values().flatten();
        asked.for_each(|asked| session.tried(asked.configuration.key()));
    }
    Ok(answers)
}

/// Hosts that differ in their places only share a trial; what is about the host itself is asked on each.
fn join(asked: &mut Vec<Asked>, configuration: Configuration, node: NodeName) {
    let shared = configuration.is_of_its_host().is_none();
    let same = |other: &&mut Asked| shared && other.configuration.key() == configuration.key();
    match asked.iter_mut().find(same) {
        Some(other) => other.nodes.push(node),
        None => asked.push(Asked {
            configuration,
            nodes: vec![node],
        }),
    }
}

/// Everything about one release.
async fn of_release(
    bundle: Option<&Bundle>,
    version: Version,
    asked: &[Asked],
    desired: &Desired,
    hosts: Option<Hosts<'_>>,
) -> Answers {
    let mut answers = Answers::default();
    let mut this_machine = None;
    for asked in asked {
        let not_here = match asked.configuration.is_of_its_host() {
            Some(why) => why.to_owned(),
            None => {
                if this_machine.is_none() {
                    this_machine = Some(match bundle {
                        Some(bundle) => here(bundle, version, desired.pki.key_type).await,
                        None => Err("this command uses nothing from the bundle".to_owned()),
                    });
                }
                match this_machine.as_mut() {
                    Some(Ok(bench)) => match judged(bench, asked).await {
                        Ok(trial) => {
                            answers.trials.push(trial);
                            continue;
                        }
                        Err(why) => why,
                    },
                    Some(Err(why)) => why.clone(),
                    None => String::new(),
                }
            }
        };
        match there(bundle, version, asked, desired, hosts).await {
            Ok(trial) => answers.trials.push(trial),
            Err(why) => answers
                .untried
                .push(not_tried(version, &asked.nodes, &format!("{not_here}; {why}"))),
        }
    }
    if let Some(Ok(bench)) = this_machine {
        bench.take_down().await;
    }
    answers
}

/// What a bench says; that not one option is to blame may be the machine's doing, so another one is to tell.
async fn judged(bench: &mut Bench, asked: &Asked) -> Result<Trial, String> {
    let faults = bench.judge(&asked.configuration).await;
    let faults = faults.map_err(|error| crate::report::chain(&error))?;
    match faults.iter().find(|fault| fault.options.is_empty()) {
        Some(fault) => Err(fault.says(asked.configuration.version())),
        None => Ok(trial(asked, faults)),
    }
}

/// On the first of the hosts that will do.
async fn there(
    bundle: Option<&Bundle>,
    version: Version,
    asked: &Asked,
    desired: &Desired,
    hosts: Option<Hosts<'_>>,
) -> Result<Trial, String> {
    let Some(Hosts { fleet, seen }) = hosts else {
        return Err("hosts are not contacted in an offline check".to_owned());
    };
    let mut why = "no host can be used for this".to_owned();
    for spec in asked.nodes.iter().filter_map(|node| desired.hosts.get(node)) {
        let Some(facts) = seen.hosts.get(&spec.name).and_then(Fact::known) else {
            continue;
        };
        let host = match fleet.host(spec).await {
            Ok(host) => host,
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        match on_host(spec, &host, facts, bundle, version, desired.pki.key_type).await {
            Ok(mut bench) => {
                let faults = bench.judge(&asked.configuration).await;
                bench.take_down().await;
                match faults {
                    Ok(faults) => return Ok(trial(asked, faults)),
                    Err(error) => why = crate::report::chain(&error),
                }
            }
            Err(cannot) => why = cannot,
        }
    }
    Err(why)
}

fn trial(asked: &Asked, faults: Vec<crate::ops::safety::trial::Fault>) -> Trial {
    Trial {
        version: asked.configuration.version(),
        nodes: asked.nodes.clone(),
        faults,
    }
}

fn not_tried(version: Version, nodes: &[NodeName], why: &str) -> String {
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    format!(
        "{}: did not test whether etcd {version} starts with its configuration: {why}",
        names.join(", ")
    )
}
