//! `recover`, its first half: what is left of the members is stopped, and the newest of them gives a backup from a private
//! etcd on a copy of its data. The second half is a restore of that backup.

use super::bootstrap::known_hosts;
use super::restore::unwatched;
use super::startable::last_writer;
use super::waves::{Draft, Effect, on};
use super::{Action, Risk, Situation, Step};
use crate::host::HostFacts;
use crate::inventory::{DesiredHost, HostPath, NodeName, Version};
use crate::ops::check::Check;
use crate::ops::model::Policy;
use crate::ops::recover::{RecoverOrder, Rescue};
use crate::ops::safety::Blocked;
use crate::ops::safety::recover::may_recover;

/// Plans the rescue of the newest survivor's data.
pub(super) fn recover(situation: Situation<'_>, order: &RecoverOrder) -> Result<Draft, Vec<Blocked>> {
    let chosen = may_recover(situation.desired, situation.observed, order, situation.policy)?;
    let mut draft = Draft::new(None);
    draft.notes = order.side_by_side(situation.desired, &chosen);
    let parts: Vec<_> = known_hosts(situation)
        .filter(|(host, _)| !order.without.contains(&host.name))
        .collect();
    draft.wave(
        "stop the remaining members",
        Effect::None,
        stop(&parts, situation.policy),
    );
    let rescue = parts.iter().find(|(host, _)| host.name == chosen).map(|(host, facts)| {
        let action = Action::Rescue(Rescue {
            at: host.paths.work(),
            etcd: program(situation, host, facts),
        });
        let rescue = on(&host.name, action, Risk::Reversible);
        parts
            .iter()
            .fold(rescue, |step, (host, _)| step.requires(stopped(&host.name)))
    });
    draft.wave("back up the newest data", Effect::None, rescue.into_iter().collect());
    Ok(draft)
}

fn stop(parts: &[(&DesiredHost, &HostFacts)], policy: Policy) -> Vec<Step> {
    let steps = parts.iter().map(|(host, facts)| {
        // Without a quorum nobody is served: reads at the most.
        let risk = match facts.service.pid {
            Some(_) => Risk::ReducesRedundancy,
            None => Risk::Reversible,
        };
        let stop = on(&host.name, Action::Retire, risk).ensures(stopped(&host.name));
        unwatched(stop, host, facts, policy)
    });
    steps.collect()
}

fn stopped(node: &NodeName) -> Check {
    Check::Stopped { node: node.clone() }
}

/// The etcd that reads a copy of the data: the release that wrote them. Where that is not known, or is there no more, the
/// wanted one, else the newest that is there.
fn program(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> HostPath {
    let wanted = situation.desired.version;
    let there = |version: &Version| facts.releases.contains_key(version);
    let wrote = last_writer(host, facts).filter(there);
    let version = wrote.or(Some(wanted).filter(there)).or_else(|| facts.newest_release());
    host.paths.release(version.unwrap_or(wanted)).join("etcd")
}
