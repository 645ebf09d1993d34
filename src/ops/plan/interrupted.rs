//! A restart of several members that was interrupted, and who had a turn in it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Situation;
use super::bootstrap::known_hosts;
use crate::host::HostFacts;
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::model::{Fact, Membership};
use crate::ops::rest::TurnNote;

/// A restart that nobody has continued for so long is over: the next one begins afresh.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(24);

/// The newest restart of exactly these hosts, while it is unfinished.
pub(super) struct Interrupted {
    /// When it was begun.
    pub begun: Timestamp,
    /// Who had a turn and is well, with the seconds since, where they are known.
    pub over: BTreeMap<NodeName, Option<u64>>,
}

impl Interrupted {
    /// Reads it from the notes on the hosts; `None` where there is none, or all had their turn.
    pub fn among(situation: Situation<'_>, membership: &Membership, hosts: &BTreeSet<NodeName>) -> Option<Self> {
        let notes: Vec<(&DesiredHost, &HostFacts, TurnNote)> = known_hosts(situation)
            .filter_map(|(host, facts)| Some((host, facts, TurnNote::on(host, facts)?)))
            .filter(|(host, _, note)| hosts.contains(&host.name) && note.hosts == *hosts)
            .collect();
        let begun = notes.iter().map(|(.., note)| note.begun).max()?;
        if situation.observed.at.duration_since(begun) > FORGOTTEN {
            return None;
        }
        let well = |host: &DesiredHost| membership.of(host).is_some_and(|member| membership.healthy(member.id));
        let over: BTreeMap<NodeName, Option<u64>> = notes
            .iter()
            .filter(|(host, facts, note)| note.begun == begun && note.is_over(facts) && well(host))
            .map(|(host, facts, _)| (host.name.clone(), facts.service.active_seconds))
            .collect();
        (!over.is_empty() && over.len() < hosts.len()).then_some(Self { begun, over })
    }

    /// What a plan says of those that it skips.
    pub fn told(&self, situation: Situation<'_>) -> Vec<String> {
        let begun = self.begun.strftime("%Y-%m-%d %H:%M:%SZ");
        let order = situation.desired.order.iter();
        let skipped = order.filter_map(|name| Some((name, self.over.get(name)?)));
        let each = skipped.map(|(name, seconds)| {
            let when = seconds.map(ago).unwrap_or_default();
            format!("{name} restarted{when} in the interrupted restart of {begun}: skipped")
        });
        let how = "to restart every member again, pass --all".to_owned();
        each.chain(std::iter::once(how)).collect()
    }
}

/// What is noted on a host right before its turn.
pub(super) fn note_of_turn(
    situation: Situation<'_>,
    host: &DesiredHost,
    begun: Timestamp,
    hosts: &BTreeSet<NodeName>,
) -> Option<TurnNote> {
    let facts = situation.observed.hosts.get(&host.name).and_then(Fact::known)?;
    Some(TurnNote {
        begun,
        hosts: hosts.clone(),
        process: facts.service.pid,
        boot: facts.system.boot_id.clone(),
    })
}

/// ` 3 minutes ago`.
fn ago(seconds: u64) -> String {
    let (n, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7199 => (seconds / 60, "minute"),
        _ => (seconds / 3600, "hour"),
    };
    format!(" {} ago", super::count(usize::try_from(n).unwrap_or(usize::MAX), unit))
}
