//! Members on their way: the service manager has started one, or is about to start it again, and it does not take part
//! yet. What is planned in that moment is wrong a moment later.

use std::collections::BTreeMap;

use crate::host::ServiceState;
use crate::inventory::{Desired, NodeName};
use crate::ops::model::{Fact, Observed};

/// How a member on its way was last seen: a change means that it has come further, or has failed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnItsWay {
    /// Started, and not ready yet; else it waits for its next start.
    pub starting: bool,
    /// Restarts by the manager.
    pub restarts: u32,
}

/// The members of a cluster that answers which are on their way. Where nobody leads all of them start, and go on doing so
/// until more of them do: that is not waited for.
pub fn on_their_way(desired: &Desired, seen: &Observed) -> BTreeMap<NodeName, OnItsWay> {
    let Fact::Known(membership) = &seen.cluster else {
        return BTreeMap::new();
    };
    let away = desired.hosts.values().filter(|host| {
        let member = membership.of(host).filter(|member| member.started());
        member.is_some_and(|member| !membership.takes_part(member.id))
    });
    away.filter_map(|host| {
        let service = &seen.hosts.get(&host.name)?.known()?.service;
        let starting = service.state == ServiceState::Starting;
        let again = service.state == ServiceState::Failed && service.pid.is_none();
        let restarts = service.restarts;
        (starting || again).then(|| (host.name.clone(), OnItsWay { starting, restarts }))
    })
    .collect()
}

/// Whether it is worth to look again: somebody has come no end yet, neither up nor down once more.
pub fn worth_waiting(first: &BTreeMap<NodeName, OnItsWay>, now: &BTreeMap<NodeName, OnItsWay>) -> bool {
    now.iter().any(|(node, now)| {
        let tries = first
            .get(node)
            .map_or(0, |first| now.restarts.saturating_sub(first.restarts));
        // The start that was seen, or waited for, has ended when it waits for the next one.
        let failing = match first.get(node) {
            Some(first) if first.starting => tries > 0 || !now.starting,
            _ => tries > 1 || (tries == 1 && !now.starting),
        };
        !failing
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::samples;

    fn seen(state: ServiceState, takes_part: bool) -> (Desired, Observed) {
        let desired = samples::desired(3);
        let mut seen = samples::observed(&desired);
        let mut membership = samples::membership(&desired);
        if !takes_part {
            let second = membership.members[1].id;
            membership
                .status
                .insert(second, Fact::Unknown("it does not answer".into()));
        }
        seen.cluster = Fact::Known(membership);
        if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&samples::name(2)) {
            facts.service.state = state;
            if state == ServiceState::Failed {
                facts.service.pid = None;
            }
        }
        (desired, seen)
    }

    #[test]
    fn who_starts_or_is_started_again_is_on_its_way_and_nobody_else() {
        let way = |state, takes_part| {
            let (desired, seen) = seen(state, takes_part);
            on_their_way(&desired, &seen).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(way(ServiceState::Starting, false), [samples::name(2)]);
        assert_eq!(way(ServiceState::Failed, false), [samples::name(2)]);
        assert_eq!(way(ServiceState::Stopped, false), []);
        // Hung, perhaps: that does not pass by itself.
        assert_eq!(way(ServiceState::Running, false), []);
        assert_eq!(way(ServiceState::Running, true), []);
        let (desired, mut lost) = seen(ServiceState::Starting, false);
        lost.cluster = Fact::Unknown("no leader".into());
        assert!(on_their_way(&desired, &lost).is_empty());
    }

    #[test]
    fn one_that_fails_again_is_not_waited_for() {
        let at = |starting, restarts| BTreeMap::from([(samples::name(2), OnItsWay { starting, restarts })]);
        assert!(worth_waiting(&at(true, 0), &at(true, 0)));
        assert!(!worth_waiting(&at(true, 0), &at(false, 0)), "it ended");
        assert!(!worth_waiting(&at(true, 0), &at(true, 1)), "and was started again");
        assert!(worth_waiting(&at(false, 4), &at(false, 4)), "its next start is due");
        assert!(worth_waiting(&at(false, 4), &at(true, 5)), "it starts");
        assert!(!worth_waiting(&at(false, 4), &at(false, 5)), "and ended again");
        assert!(!worth_waiting(&at(true, 0), &BTreeMap::new()), "it takes part");
    }
}
