//! What could be looked at, and what may be said for it: **"I cannot look" is never "it is dead".**
//!
//! A password that is missing, a key that is not on the hosts yet or a cable at the operator's end hide a healthy cluster
//! completely. [`Sight`] is what one look has left in the dark. Whatever gives up what a cluster has (`restore`, `recover`,
//! `replace-node`) is a [`LastResort`], and its text cannot be had without a sight, which keeps it back while a host was not
//! looked at.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use std::collections::{BTreeMap, BTreeSet};

use crate::inventory::{Desired, NodeName};
use crate::ops::last_resort::LastResort;
use crate::ops::model::{DIFFERENT_CLUSTERS, Fact, Membership, NO_QUORUM, NO_WAY_TO_ASK, Observed, why_and_help};
use crate::ops::plan::count;
use crate::ops::safety::{Blocked, Rule};

/// What one look has left in the dark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The hosts that could not be inspected: why, and on a second line what to do about it.
    blind: BTreeMap<NodeName, String>,
    /// Members run, and could not be asked: why.
    unasked: Option<String>,
}

impl Sight {
    /// What a look at the hosts of an inventory left in the dark.
    pub fn of(desired: &Desired, seen: &Observed) -> Self {
        Self::but_for(desired, seen, &[])
    }

    /// The same; hosts that are gone by the operator's own word are not missed.
    pub fn but_for(desired: &Desired, seen: &Observed, gone: &[NodeName]) -> Self {
        // Who has no quorum, or has another cluster's, said so itself.
        let told = |why: &str| why.contains(NO_QUORUM) || why.starts_with(DIFFERENT_CLUSTERS);
        let unasked = match &seen.cluster {
            Fact::Unknown(why) if !told(why) && seen.running(desired).next().is_some() => Some(why.clone()),
            Fact::Known(membership) => {
                let hosts = desired.hosts.values().filter(|host| !gone.contains(&host.name));
                let mut members = hosts.filter_map(|host| membership.of(host));
                members.find_map(|member| membership.unseen.get(&member.id).cloned())
            }
            _ => None,
        };
        let mut sight = Self::of_hosts(desired, &seen.hosts);
        sight.blind.retain(|name, _| !gone.contains(name));
        Self { unasked, ..sight }
    }

    /// The same, where only the hosts were looked at.
    pub fn of_hosts<T>(desired: &Desired, hosts: &BTreeMap<NodeName, Fact<T>>) -> Self {
        let unseen = |name: &NodeName| match hosts.get(name) {
            Some(Fact::Known(_)) => None,
            Some(Fact::Unknown(why)) => Some(why.clone()),
            Some(Fact::Absent) | None => Some("it was not inspected".to_owned()),
        };
        let blind = desired
            .hosts
            .keys()
            .filter_map(|name| Some((name.clone(), unseen(name)?)));
        Self {
            blind: blind.collect(),
            unasked: None,
        }
    }

    /// A look that left nothing in the dark.
    #[cfg(test)]
    pub fn clear() -> Self {
        Self {
            blind: BTreeMap::new(),
            unasked: None,
        }
    }

    /// Whether nothing was left in the dark.
    pub fn is_clear(&self) -> bool {
        self.blind.is_empty() && self.unasked.is_none()
    }

    /// Whether the reason of an unknown cluster lies with the look: hosts are in the dark, or nobody could be asked.
    pub fn is_to_blame(&self, why: &str) -> bool {
        (!self.blind.is_empty() && !why.contains(NO_QUORUM)) || why.starts_with(NO_WAY_TO_ASK)
    }

    /// The hosts that could not be inspected: why, and on a second line what to do about it.
    pub fn blind(&self) -> impl Iterator<Item = (&NodeName, &str)> {
        self.blind.iter().map(|(name, why)| (name, why.as_str()))
    }

    /// What to do, and the last resort where nothing was left in the dark.
    pub fn hint(&self, hint: &str, last: Option<&LastResort>) -> String {
        match last {
            Some(last) if self.allows(last) => last.after(hint),
            Some(_) => format!("{hint}. {}", self.more_once_seen()),
            None => hint.to_owned(),
        }
    }

    fn allows(&self, last: &LastResort) -> bool {
        self.is_clear() || (last.is_told_by_hosts() && self.blind.is_empty())
    }

    /// Where there is more to be said than may be said now.
    fn more_once_seen(&self) -> String {
        let names: Vec<&str> = self.blind.keys().map(NodeName::as_str).collect();
        match names.as_slice() {
            [] => "There may be another way once every member can be queried: run this again then".to_owned(),
            names => format!(
                "There may be another way once {} can be inspected: run this again then",
                names.join(", ")
            ),
        }
    }

    /// Refusals as they are shown: with their last resort, or without it. What is refused only because a host is in the dark
    /// is not said beside that host itself.
    pub fn complete(&self, mut blocked: Vec<Blocked>) -> Vec<Blocked> {
        let dark =
            |b: &Blocked| b.rule == Rule::Unreachable && b.node.as_ref().is_some_and(|n| self.blind.contains_key(n));
        let follows = |b: &Blocked| b.rule == Rule::Unreachable && !dark(b);
        if blocked.iter().any(dark) {
            blocked.retain(|b| !follows(b));
        }
        let mut told = BTreeSet::new();
        blocked.retain(|b| b.rule != Rule::Unreachable || dark(b) || told.insert(b.reason.clone()));
        for refusal in &mut blocked {
            refusal.hint = self.hint(&refusal.hint, refusal.last.take().as_ref());
        }
        blocked
    }

    /// A refusal for every host in the dark.
    pub fn refusals(&self) -> Vec<Blocked> {
        let refusal = |(name, why): (&NodeName, &String)| {
            let (why, help) = why_and_help(why);
            Blocked::new(Rule::Unreachable, why, help.unwrap_or(MEND)).on(name)
        };
        self.blind.iter().map(refusal).collect()
    }
}

/// What helps where a host cannot be inspected, and nothing better is known.
pub const MEND: &str = "fix the connection";

/// What is said of a cluster where nobody answers: that no member runs only where every host was looked at.
pub fn nobody_runs<T>(hosts: &BTreeMap<NodeName, Fact<T>>) -> String {
    let dark: Vec<&str> = hosts
        .iter()
        .filter(|(_, fact)| fact.known().is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if dark.is_empty() {
        return "no member runs".to_owned();
    }
    let others = match hosts.len() - dark.len() {
        0 => String::new(),
        seen => format!("; no member runs on the {} that could", others(seen)),
    };
    format!(
        "{} could not be inspected, so a member may run there{others}",
        dark.join(", ")
    )
}

fn others(seen: usize) -> String {
    match seen {
        1 => "one".to_owned(),
        more => more.to_string(),
    }
}

/// How a member is, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answered, and all is well.
    Well,
    /// It answered otherwise, or its host was looked at, or none of its peers hears it.
    Sick,
    /// Its host cannot be inspected, and nothing is known against it.
    Unknown,
}

impl Membership {
    /// How a member is, as far as that can be told.
    pub fn health(&self, id: crate::inventory::MemberId) -> Health {
        match (self.healthy(id), self.unseen.contains_key(&id)) {
            (true, _) => Health::Well,
            (false, true) if !self.unheard(id) => Health::Unknown,
            (false, _) => Health::Sick,
        }
    }

    /// Whether members that are well were asked about this one, and none of them hears it.
    fn unheard(&self, id: crate::inventory::MemberId) -> bool {
        let (hear, deaf) = self.heard_by(id);
        hear.is_empty() && !deaf.is_empty()
    }

    /// The members that are well, were asked, and hear this one; and those that do not.
    pub fn heard_by(&self, id: crate::inventory::MemberId) -> (Vec<&str>, Vec<&str>) {
        // Of a member in the dark only its leader knows.
        let can_tell = |asked| !self.unseen.contains_key(&id) || self.leader() == Some(asked);
        let asked = self
            .members
            .iter()
            .filter(|m| m.id != id && self.healthy(m.id) && can_tell(m.id));
        let told = asked.filter_map(|m| Some((m.name.as_str(), self.peers.get(&m.id)?.known()?)));
        let (hear, deaf): (Vec<_>, Vec<_>) = told.partition(|(_, streams)| streams.contains(&id));
        let hear: BTreeSet<&str> = hear.into_iter().map(|(name, _)| name).collect();
        let deaf: BTreeSet<&str> = deaf.into_iter().map(|(name, _)| name).collect();
        (hear.into_iter().collect(), deaf.into_iter().collect())
    }

    /// What can be said of a member whose host could not be inspected; `None` when it was, or the member answered.
    pub fn in_the_dark(&self, id: crate::inventory::MemberId) -> Option<String> {
        let why = why_and_help(self.unseen.get(&id)?).0;
        let (hear, deaf) = self.heard_by(id);
        let told = match (hear.as_slice(), deaf.as_slice()) {
            ([], []) => String::new(),
            ([], deaf) => format!("; {} its member", none_of(deaf)),
            (hear, _) => format!("; {} its member, so it runs", some_of(hear)),
        };
        Some(format!("it cannot be inspected ({why}){told}"))
    }

    /// Notes whose host could not be inspected: whoever is not asked has not been silent.
    #[must_use]
    pub fn seen_from<T>(mut self, desired: &Desired, hosts: &BTreeMap<NodeName, Fact<T>>) -> Self {
        for host in desired.hosts.values() {
            let why = match hosts.get(&host.name) {
                Some(Fact::Known(_)) => continue,
                Some(Fact::Unknown(why)) => why.clone(),
                Some(Fact::Absent) | None => "it was not inspected".to_owned(),
            };
            let member = self.of(host).map(|m| m.id);
            if let Some(id) = member.filter(|id| self.status_of(*id).is_none()) {
                self.unseen.insert(id, why);
            }
        }
        self
    }
}

fn some_of(names: &[&str]) -> String {
    let hear = if names.len() == 1 { "receives" } else { "receive" };
    format!("{} {hear} from", names.join(", "))
}

fn none_of(names: &[&str]) -> String {
    let hear = if names.len() == 1 { "receives" } else { "receive" };
    format!("{} {hear} nothing from", names.join(", "))
}

/// The refusal where it matters how these members are, and no one can tell. `None` when all of them are known.
pub fn cannot_tell<'a>(
    membership: &Membership,
    members: impl Iterator<Item = &'a crate::etcd::Member>,
    so: &str,
) -> Option<Blocked> {
    let dark: Vec<_> = members.filter(|m| membership.health(m.id) == Health::Unknown).collect();
    let first = dark.first()?;
    let names: Vec<&str> = dark.iter().map(|m| m.name.as_str()).collect();
    let why = membership.unseen.get(&first.id).map_or("", String::as_str);
    let (why, help) = why_and_help(why);
    let (hosts, they) = match names.len() {
        1 => ("the host of".to_owned(), "it is"),
        n => (format!("{} (", count(n, "host")), "they are"),
    };
    let whom = match names.len() {
        1 => format!("{hosts} {}", names[0]),
        _ => format!("{hosts}{})", names.join(", ")),
    };
    Some(Blocked::new(
        Rule::Unreachable,
        format!("{whom} cannot be inspected ({why}), so it is unknown whether {they} healthy: {so}"),
        help.unwrap_or(MEND),
    ))
}
