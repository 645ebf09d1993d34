//! What hosts told one by one, put together with its age: whatever is older than [`FRESH`] is not known any more. Pure; the
//! time is given.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::answers::{Answered, agreed, no_certificate};
use super::hear::Heard;
use super::streams::{heard_between, some_heartbeats};
use crate::etcd::Metrics;
use crate::inventory::{Desired, DesiredHost, MemberId, NodeName};
use crate::ops::model::{Fact, Membership, Observed};

/// Nobody is shown to be well by an answer that is older.
pub const FRESH: Duration = Duration::from_secs(5);

/// A moment: since this machine was booted, asleep or not, which no setting of its clock moves; and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since the boot.
    pub since_boot: Duration,
    /// By the clock.
    pub clock: Timestamp,
}

impl Moment {
    fn since(self, earlier: Moment) -> Duration {
        self.since_boot.saturating_sub(earlier.since_boot)
    }

    fn later(self, by: Duration) -> Self {
        Self {
            since_boot: self.since_boot + by,
            clock: self.clock.checked_add(by).unwrap_or(self.clock),
        }
    }
}

/// When a host last answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is being asked for the first time.
    Asking,
    /// So long ago, and what it said still counts.
    Ago(Duration),
    /// It does not answer: for how long, where it ever did.
    Silent(Option<Duration>),
}

/// The newest that each host told.
pub struct Board {
    desired: Desired,
    /// Why members cannot be asked, where that is so.
    blind: Option<Fact<Membership>>,
    places: BTreeMap<NodeName, Place>,
}

#[derive(Default)]
struct Place {
    /// The newest look that saw the host, and when it was begun.
    last: Option<(Heard, Moment)>,
    /// Why the newest look did not.
    trouble: Option<String>,
    /// Where it leads: what it measured before, and whom it has heard since.
    measured: Option<(Metrics, Moment)>,
    hears: Option<(Fact<BTreeSet<MemberId>>, Moment)>,
}

impl Board {
    /// Nothing has been heard yet. `blind`: why members cannot be asked, where that is so.
    pub fn new(desired: &Desired, blind: Option<Fact<Membership>>) -> Self {
        Self {
            desired: desired.clone(),
            blind,
            places: desired
                .hosts
                .keys()
                .map(|name| (name.clone(), Place::default()))
                .collect(),
        }
    }

    /// Takes what a look at a host told that was begun at `begun`: what is said in it is no newer.
    pub fn hear(&mut self, name: &NodeName, heard: Heard, begun: Moment) {
        let pause = some_heartbeats(&self.desired);
        let begun = begun.later(heard.later);
        let Some(place) = self.places.get_mut(name) else {
            return;
        };
        match &heard.facts {
            Fact::Known(_) => {
                place.listen(heard.metrics.clone(), begun, pause);
                place.last = Some((heard, begun));
                place.trouble = None;
            }
            Fact::Unknown(why) => place.trouble = Some(why.clone()),
            Fact::Absent => {}
        }
    }

    /// Whether it is a host that is asked.
    pub fn knows(&self, name: &NodeName) -> bool {
        self.places.contains_key(name)
    }

    /// When a host last answered.
    pub fn seen(&self, name: &NodeName, now: Moment) -> Seen {
        let Some(place) = self.places.get(name) else {
            return Seen::Asking;
        };
        match (&place.last, &place.trouble) {
            (Some((_, at)), None) if now.since(*at) <= FRESH => Seen::Ago(now.since(*at)),
            (Some((_, at)), _) => Seen::Silent(Some(now.since(*at))),
            (None, Some(_)) => Seen::Silent(None),
            (None, None) => Seen::Asking,
        }
    }

    /// Whether every host was asked once.
    pub fn complete(&self, now: Moment) -> bool {
        self.places.keys().all(|name| self.seen(name, now) != Seen::Asking)
    }

    /// Whether a host is in the dark, so that its peers should be listened to.
    pub fn in_the_dark(&self, now: Moment) -> bool {
        let mut names = self.places.keys();
        names.any(|name| !matches!(self.seen(name, now), Seen::Ago(_)))
    }

    /// What is known at this moment.
    pub fn observed(&self, now: Moment) -> Observed {
        let hosts: BTreeMap<_, _> = self
            .places
            .iter()
            .map(|(name, place)| {
                let fact = match (&place.last, &place.trouble, self.seen(name, now)) {
                    (Some((heard, _)), _, Seen::Ago(_)) => heard.facts.clone(),
                    (_, Some(why), _) => Fact::Unknown(why.clone()),
                    (Some((_, at)), None, _) => {
                        Fact::Unknown(format!("no answer since {}", at.clock.strftime("%H:%M:%S UTC")))
                    }
                    (None, None, _) => Fact::Unknown("no answer yet".to_owned()),
                };
                (name.clone(), fact)
            })
            .collect();
        let answers: Vec<(&DesiredHost, Answered)> = self.fresh(now).collect();
        let mut cluster = match &self.blind {
            None => agreed(&self.desired, &hosts, &answers),
            Some(why) => match no_certificate(&hosts) {
                Fact::Unknown(_) => why.clone(),
                other => other,
            },
        };
        if let Fact::Known(membership) = &mut cluster {
            let leader = membership.leader();
            let spec = self
                .desired
                .hosts
                .values()
                .find(|spec| membership.of(spec).map(|m| m.id) == leader);
            let hears = spec.and_then(|spec| self.places.get(&spec.name)?.hears.as_ref());
            if let (Some(id), Some((heard, at))) = (leader, hears)
                && now.since(*at) <= FRESH
                && membership.healthy(id)
            {
                membership.peers.insert(id, heard.clone());
            }
        }
        Observed {
            at: now.clock,
            hosts,
            cluster,
            auth: Fact::Absent,
            clients: BTreeMap::new(),
            replays: BTreeMap::new(),
        }
    }

    /// What members said that is still true.
    fn fresh(&self, now: Moment) -> impl Iterator<Item = (&DesiredHost, Answered)> {
        self.places.iter().filter_map(move |(name, place)| {
            let Seen::Ago(_) = self.seen(name, now) else {
                return None;
            };
            let (heard, _) = place.last.as_ref()?;
            Some((self.desired.hosts.get(name)?, heard.answered.clone()?))
        })
    }
}

impl Place {
    /// Compares two measurements, taken far enough apart to tell and near enough to be about now.
    fn listen(&mut self, metrics: Option<Metrics>, at: Moment, pause: Duration) {
        let Some(metrics) = metrics else {
            self.measured = None;
            return;
        };
        if let Some((before, then)) = &self.measured {
            if at.since(*then) < pause {
                return;
            }
            self.hears = Some((heard_between(before, &metrics), at));
        }
        self.measured = Some((metrics, at));
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
