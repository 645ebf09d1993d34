//! Where programs of etcd's run that a command needs: on this machine, else on a host of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{Detail, Exit, Failure};
use super::session::Session;
use crate::bundle::Program;
use crate::host::{Host, HostFacts};
use crate::inventory::{Arch, DesiredHost, NodeName, Version};
use crate::ops::model::{Fact, Observed, why_and_help};
use crate::ops::observe::observe_hosts;

/// Where it runs.
pub(super) enum Place {
    /// Here, as a program for this processor out of the bundle.
    Here(Arch),
    /// On a host: this one, or any.
    Host {
        /// The one that was asked for.
        name: Option<NodeName>,
        /// Why not here; follows "because".
        why: String,
    },
}

/// A program that a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tool {
    /// Of this release.
    pub version: Version,
    /// Which one.
    pub program: Program,
}

/// Here, unless a host was asked for or nothing of the bundle runs on this machine.
///
/// # Errors
/// When the host is not in the inventory, or there is no bundle on a machine that could run its programs.
pub(super) fn place(session: &Session, on: Option<&NodeName>) -> Result<Place, Failure> {
    let machine = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    if let Some(name) = on {
        session.spec(name)?;
        return Ok(Place::Host {
            name: Some(name.clone()),
            why: "--on was passed".to_owned(),
        });
    }
    let why = match Arch::of_this_machine() {
        None => format!("etcd's programs do not run on this machine ({machine})"),
        Some(arch) if session.bundle()?.manifest().releases.iter().all(|r| r.arch != arch) => {
            format!("the bundle has no programs for this machine ({machine})")
        }
        Some(arch) => return Ok(Place::Here(arch)),
    };
    Ok(Place::Host { name: None, why })
}

/// The first host that can be reached and has what `tool` looks for; said, with why it is not here.
///
/// # Errors
/// Why each host cannot.
pub(super) async fn any_host<'a>(
    session: &'a Session,
    on: Option<NodeName>,
    tool: impl Fn(&HostFacts) -> Option<Tool>,
    why: &str,
    wanted: &str,
) -> Result<(Arc<Host>, &'a DesiredHost, Tool), Failure> {
    let hosts = observe_hosts(&session.fleet()).await;
    pick(session, on, &hosts, &[], tool, why, wanted).await
}

/// The same; the leader's host last, as it has the most to do.
///
/// # Errors
/// As [`any_host`].
pub(super) async fn followers_first<'a>(
    session: &'a Session,
    on: Option<NodeName>,
    tool: impl Fn(&HostFacts) -> Option<Tool>,
    why: &str,
    wanted: &str,
) -> Result<(Arc<Host>, &'a DesiredHost, Tool), Failure> {
    let seen = session.look(&session.fleet(), &session.vault()).await?;
    let last: Vec<NodeName> = leader_host(session, &seen).into_iter().collect();
    pick(session, on, &seen.hosts, &last, tool, why, wanted).await
}

fn leader_host(session: &Session, seen: &Observed) -> Option<NodeName> {
    let membership = seen.cluster.known()?;
    let leader = membership.leader()?;
    let of = |spec: &&DesiredHost| membership.of(spec).is_some_and(|member| member.id == leader);
    session.desired().hosts.values().find(of).map(|spec| spec.name.clone())
}

async fn pick<'a>(
    session: &'a Session,
    on: Option<NodeName>,
    hosts: &BTreeMap<NodeName, Fact<HostFacts>>,
    last: &[NodeName],
    tool: impl Fn(&HostFacts) -> Option<Tool>,
    why: &str,
    wanted: &str,
) -> Result<(Arc<Host>, &'a DesiredHost, Tool), Failure> {
    let mut specs: Vec<&DesiredHost> = session
        .within_limit()
        .filter(|spec| on.as_ref().is_none_or(|name| *name == spec.name))
        .collect();
    specs.sort_by_key(|spec| last.contains(&spec.name));
    let mut details = Vec::new();
    let mut exit = Exit::Bundle;
    for spec in specs {
        let (message, hint) = match hosts.get(&spec.name) {
            Some(Fact::Known(facts)) => match tool(facts) {
                Some(tool) => {
                    let host = session.fleet().host(spec).await?;
                    let Tool { version, program } = tool;
                    crate::report::print::tell!("note: {program} {version} runs on {}, because {why}", spec.name);
                    return Ok((host, spec, tool));
                }
                None => (
                    format!("{wanted} is not installed there"),
                    "`quorate up` installs it".to_owned(),
                ),
            },
            Some(Fact::Unknown(unknown)) => {
                exit = Exit::Unreachable;
                let (why, help) = why_and_help(unknown);
                (why.to_owned(), help.unwrap_or("see `quorate status`").to_owned())
            }
            _ => (
                "it could not be inspected".to_owned(),
                "see `quorate status`".to_owned(),
            ),
        };
        details.push(Detail {
            node: Some(spec.name.to_string()),
            message,
            hint,
        });
    }
    Err(Failure {
        details,
        ..Failure::new(
            exit,
            format!("{wanted} has to run on a host, because {why}, and no host can run it"),
        )
    })
}
