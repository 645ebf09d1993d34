//! From what is wanted and what was seen to what to do. Pure: no clock, no disk, no network.
//!
//! [`plan`] names the situation and hands over to one file per intent; each reads as a list of named waves.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

pub mod advice;
pub mod converge;
pub mod drift;
pub mod lint;
pub mod preflight;
pub mod step;
pub mod way_up;

mod authorize;
mod beforehand;
mod bootstrap;
mod destroy;
mod downgrade;
mod interrupted;
mod join;
mod leave;
mod moves;
mod recover;
mod renew;
mod rest;
mod restore;
mod roll;
mod rotate_ca;
mod startable;
mod starts;
mod upkeep;
mod waves;
mod within;

#[cfg(test)]
mod certificates_tests;

pub use bootstrap::{expected_cluster_id, initial_new};
pub use drift::{managed_files, pki_manifest};
pub use starts::{NewStart, new_starts};
pub use step::*;
pub use within::within;

use crate::inventory::Desired;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, Intent, Membership, NO_WAY_TO_ASK, Observed, Policy, Supplies, why_and_help};
use crate::ops::safety::bootstrap::{answers_for_us, one_cluster};
use crate::ops::safety::marks::are_known;
use crate::ops::safety::rest::{bring_back, not_at_its_end, not_stopped, notes_are_readable};
use crate::ops::safety::restore::no_restore_under_way;
use crate::ops::safety::whose::by_their_hosts;
use crate::ops::safety::{Blocked, Rule};
use crate::ops::sight::Sight;

/// Everything a planner looks at.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// What is wanted.
    pub desired: &'a Desired,
    /// What was seen.
    pub observed: &'a Observed,
    /// What the operator allowed.
    pub policy: Policy,
    /// What lies ready on the operator's machine.
    pub supplies: &'a Supplies,
}

impl<'a> Situation<'a> {
    /// What was left in the dark.
    pub fn sight(&self) -> Sight {
        Sight::of(self.desired, self.observed)
    }

    /// The cluster, when it answers.
    pub fn membership(&self) -> Option<&'a Membership> {
        self.observed.cluster.known()
    }
}

/// Makes the plan for an intent. Total and deterministic: the same input gives the same bytes.
///
/// # Errors
/// Every reason not to begin at all, each with its rule and a hint. Nothing has been touched then. No hint names what would
/// destroy a cluster that merely cannot be seen.
pub fn plan(
    intent: &Intent,
    desired: &Desired,
    observed: &Observed,
    policy: Policy,
    supplies: &Supplies,
) -> Result<Plan, Vec<Blocked>> {
    let situation = Situation {
        desired,
        observed,
        policy,
        supplies,
    };
    let sight = Sight::but_for(desired, observed, intent.left_out());
    made(intent, situation).map_err(|blocked| {
        let told = by_their_hosts(desired, observed, sight.complete(blocked));
        bring_back(desired, observed, intent.brings_back(), told)
    })
}

fn made(intent: &Intent, situation: Situation<'_>) -> Result<Plan, Vec<Blocked>> {
    let Situation { desired, observed, .. } = situation;
    are_known(desired, &observed.hosts)?;
    if !matches!(intent, Intent::Restore(_)) {
        no_restore_under_way(desired, &observed.hosts).map_err(|refusal| vec![refusal])?;
    }
    if !matches!(intent, Intent::Restore(_) | Intent::Recover(_)) {
        answers_for_us(desired, observed).map_err(|refusal| vec![refusal])?;
    }
    if intent.mends_trust() {
        not_at_its_end(desired, &observed.hosts).map_err(|refusal| vec![refusal])?;
    }
    if !matches!(intent, Intent::Restore(_) | Intent::Recover(_)) && !intent.mends_trust() {
        notes_are_readable(desired, &observed.hosts).map_err(|refusal| vec![refusal])?;
        if !matches!(intent, Intent::Stop { .. } | Intent::Start | Intent::Destroy(_)) {
            not_stopped(desired, &observed.hosts).map_err(|refusal| vec![refusal])?;
        }
    }
    let mut draft = match intent {
        Intent::Converge { prune, limit } => converge::converge(situation, *prune, limit)?,
        Intent::Restart { limit, begun, afresh } => roll::restart(situation, limit, *begun, *afresh)?,
        Intent::Maintain { node, note } => rest::maintain(situation, node, note)?,
        Intent::EndMaintenance { node } => rest::end(situation, node)?,
        Intent::Stop { note, without } => rest::stop(situation, note, without)?,
        Intent::Start => rest::start(situation)?,
        Intent::Destroy(order) => destroy::destroy(situation, order)?,
        Intent::Remove { node, wipe } => leave::remove(situation, node, *wipe)?,
        Intent::Replace { old, new } => leave::replace(situation, old, new)?,
        Intent::Restore(order) => restore::restore(situation, order)?,
        Intent::Recover(order) => recover::recover(situation, order)?,
        Intent::Defragment { limit, force } => upkeep::defragment(situation, limit, *force)?,
        Intent::Compact { keep } => upkeep::compact(situation, *keep)?,
        Intent::Disarm => upkeep::disarm(situation)?,
        Intent::RotateLeaves { limit } => renew::renew(situation, limit)?,
        Intent::RotateCa { compromised, begin } => rotate_ca::rotate_ca(situation, *compromised, *begin)?,
    };
    rest::put_away(situation, intent, &mut draft);
    draft.notes.extend(advice::of_all(situation));
    draft.notes.extend(advice::between_minors(situation, intent));
    draft.number();
    Ok(Plan {
        header: Header {
            intent: intent.clone(),
            cluster: desired.cluster.clone(),
            desired_digest: step::digest(&desired.wherever_it_is()),
            cluster_id: situation.membership().map(|m| m.cluster_id),
            membership: situation.membership().map(Membership::fingerprint),
            observed_at: observed.at,
        },
        steps_digest: step::digest(&step::what_is_done(&draft.waves)),
        waves: draft.waves,
        notes: draft.notes,
    })
}

/// Refuses when members run and there was no way to ask any of them: they may be a healthy cluster, and what starts a stopped
/// one is not for them.
///
/// # Errors
/// Why they could not be asked.
fn not_asked(situation: Situation<'_>, unknown: &str) -> Result<(), Blocked> {
    let runs = situation.observed.running(situation.desired).next().is_some();
    match runs && unknown.starts_with(NO_WAY_TO_ASK) {
        true => Err(no_way_to_ask(unknown)),
        false => Ok(()),
    }
}

fn no_way_to_ask(unknown: &str) -> Blocked {
    let (why, help) = why_and_help(unknown);
    Blocked::new(
        Rule::Unreachable,
        why,
        help.unwrap_or("fix that first: etcd may be healthy"),
    )
}

/// Refuses when no member answers: for intents that need a living cluster.
fn living(situation: Situation<'_>) -> Result<&Membership, Vec<Blocked>> {
    one_cluster(situation.observed).map_err(|refusal| vec![refusal])?;
    let dark = situation.sight().refusals();
    match &situation.observed.cluster {
        Fact::Known(membership) => Ok(membership),
        Fact::Absent => Err(vec![Blocked::new(
            Rule::QuorumLost,
            format!("there is no cluster {} yet", situation.desired.cluster),
            "create it with `quorate up`",
        )]),
        Fact::Unknown(_) if !dark.is_empty() => Err(dark),
        Fact::Unknown(unknown) if unknown.starts_with(NO_WAY_TO_ASK) => Err(vec![no_way_to_ask(unknown)]),
        Fact::Unknown(why) => {
            let (hint, last) = match why.contains(crate::ops::model::NO_QUORUM) {
                true => (
                    "start the members that are down with `quorate up`",
                    Some(LastResort::majority_gone()),
                ),
                false => ("start it with `quorate up`, or see `quorate status`", None),
            };
            let reason = format!("the cluster could not be read: {why}");
            Err(vec![Blocked::new(Rule::Unknown, reason, hint).or(last)])
        }
    }
}
