//! What a command says where it looked and could not see: exit code 5, each host with its reason, and nothing about the
//! cluster that nobody knows.

use super::error::{Detail, Exit, Failure};
use super::session::Session;
use crate::inventory::Desired;
use crate::ops::model::{Fact, Membership, NO_WAY_TO_ASK, Observed, label, why_and_help};
use crate::ops::plan::count;
use crate::ops::safety::rest::not_stopped;
use crate::ops::sight::{Health, MEND, Sight};

/// The cluster, where it answers.
///
/// # Errors
/// Exit code 5 while hosts could not be inspected, else `otherwise`.
pub fn cluster<'a>(session: &Session, seen: &'a Observed, otherwise: Exit) -> Result<&'a Membership, Failure> {
    match &seen.cluster {
        Fact::Known(membership) => Ok(membership),
        Fact::Absent => Err(Failure::new(otherwise, "there is no cluster yet").hint("create it with `quorate up`")),
        Fact::Unknown(why) => Err(in_the_dark(session.desired(), seen).unwrap_or_else(|| {
            if let Err(refusal) = not_stopped(session.desired(), &seen.hosts) {
                return Failure::new(otherwise, refusal.reason).hint(refusal.hint);
            }
            Failure::new(otherwise, format!("the cluster could not be read: {why}"))
                .hint("see `quorate status`; `quorate up` starts the stopped members")
        })),
    }
}

/// The failure of a command that had to see the cluster, where hosts could not be inspected; `None` where all were.
pub fn in_the_dark(desired: &Desired, seen: &Observed) -> Option<Failure> {
    let sight = Sight::of(desired, seen);
    let details: Vec<Detail> = sight
        .blind()
        .map(|(name, unknown)| {
            let (why, help) = why_and_help(unknown);
            detail(name.to_string(), why.to_owned(), help)
        })
        .collect();
    if !details.is_empty() {
        return Some(unknown(details, desired.hosts.len()));
    }
    match &seen.cluster {
        Fact::Unknown(unknown) if unknown.starts_with(NO_WAY_TO_ASK) => {
            let (why, help) = why_and_help(unknown);
            Some(Failure::new(Exit::Unreachable, why).hint(help.unwrap_or(MEND)))
        }
        _ => None,
    }
}

/// Refuses where a voter could not be asked, because its host cannot be inspected.
///
/// # Errors
/// Exit code 5, with who and why.
pub fn every_voter(session: &Session, membership: &Membership) -> Result<(), Failure> {
    let dark = membership
        .voters()
        .filter(|m| membership.health(m.id) == Health::Unknown);
    let details: Vec<Detail> = dark
        .filter_map(|member| {
            let help = membership.unseen.get(&member.id).and_then(|why| why_and_help(why).1);
            let says = membership.in_the_dark(member.id)?;
            Some(detail(label(session.desired(), member), says, help))
        })
        .collect();
    match details.is_empty() {
        true => Ok(()),
        false => Err(unknown(details, session.desired().hosts.len())),
    }
}

fn detail(node: String, message: String, help: Option<&str>) -> Detail {
    Detail {
        node: Some(node),
        message,
        hint: help.unwrap_or(MEND).to_owned(),
    }
}

fn unknown(details: Vec<Detail>, hosts: usize) -> Failure {
    let dark = details.len();
    let failure = Failure::new(
        Exit::Unreachable,
        format!(
            "{dark} of {} cannot be inspected, so the state of the cluster is unknown",
            count(hosts, "host")
        ),
    );
    Failure {
        details,
        ..failure.hint("etcd may be healthy: no problem is known")
    }
}
