//! Round trips between each pair, and segments that were lost.

use std::collections::{BTreeMap, BTreeSet};

use super::{Culprit, Figures, PeerFigures, listed, percent, time};
use crate::inventory::NodeName;
use crate::ops::doctor::Kind;

/// Below that a network is not what anybody notices, seconds.
const NOTICED: f64 = 0.010;
/// A pair that takes so many times as long as the usual one stands out.
const STANDS_OUT: f64 = 10.0;
/// The share of segments sent a second time from which on TCP crawls, and how many it takes to say so.
const LOST: f64 = 0.02;
const LOST_AT_LEAST: u64 = 20;

/// Two members.
type Pair = (NodeName, NodeName);

pub(super) fn culprits(figures: &Figures, heartbeat: f64) -> Vec<Culprit> {
    // A round trip is the same from both ends: what one of them measured more was something else.
    let trips = by_pair(figures, |peer| peer.round_trip_seconds, f64::min);
    let usual = median(trips.values().copied());
    let is_slow = |seconds: f64| seconds >= NOTICED && (seconds >= heartbeat || seconds >= usual * STANDS_OUT);
    let slow: BTreeMap<Pair, f64> = trips
        .iter()
        .filter(|(_, s)| is_slow(**s))
        .map(|(p, s)| (p.clone(), *s))
        .collect();
    let others = trips
        .iter()
        .filter(|(pair, _)| !slow.contains_key(*pair))
        .map(|(_, s)| *s)
        .reduce(f64::max);
    let mut culprits = Vec::new();
    for (whom, pairs) in blamed(&slow, &trips) {
        let worst = pairs.iter().map(|pair| slow[pair]).fold(0.0, f64::max);
        let mut says = format!("{}: round trips of {}", whom.text(), time(worst));
        says += &whom.from(&pairs);
        says += &others.map_or(String::new(), |others| format!(", {} between the others", time(others)));
        if worst >= heartbeat {
            says += &format!("; a heartbeat is sent every {}", time(heartbeat));
        }
        let help = "see what fills or delays that link; if the distance is intended, set `heartbeat-interval` to a round trip and \
                    `election-timeout` to ten, the same on all members";
        culprits.push(Culprit::new(worst / NOTICED, Kind::NetworkSlow, says, help));
    }
    culprits.extend(losses(figures));
    culprits
}

fn losses(figures: &Figures) -> Vec<Culprit> {
    let measured = by_pair(figures, |peer| Some(loss(peer)?.0), f64::max);
    let lossy = |peer: &PeerFigures| loss(peer).filter(|(share, again)| *share >= LOST && *again >= LOST_AT_LEAST);
    let slow = by_pair(figures, |peer| Some(lossy(peer)?.0), f64::max);
    let whom = blamed(&slow, &measured).into_iter();
    whom.map(|(whom, pairs)| {
        let worst = pairs.iter().map(|pair| slow[pair]).fold(0.0, f64::max);
        let from = whom.from(&pairs);
        let says = format!(
            "{}: {} of the segments{from} are lost and sent again",
            whom.text(),
            percent(worst)
        );
        let help = "look for errors on that link: cables, switches, a limit of the rate, a wrong MTU";
        Culprit::new(worst / LOST, Kind::NetworkLossy, says, help)
    })
    .collect()
}

/// The share of segments that were sent again, and how many those are.
fn loss(peer: &PeerFigures) -> Option<(f64, u64)> {
    let (segments, again) = (peer.segments?, peer.sent_again?);
    (segments > 0).then(|| (again as f64 / segments as f64, again))
}

/// A figure of each pair, of its two directions put together.
fn by_pair(
    figures: &Figures,
    of: impl Fn(&PeerFigures) -> Option<f64>,
    together: fn(f64, f64) -> f64,
) -> BTreeMap<Pair, f64> {
    let mut pairs: BTreeMap<Pair, f64> = BTreeMap::new();
    for (from, own) in &figures.members {
        for (to, peer) in &own.peers {
            if let Some(value) = of(peer) {
                let (a, b) = if from < to { (from, to) } else { (to, from) };
                let known = pairs.entry((a.clone(), b.clone())).or_insert(value);
                *known = together(*known, value);
            }
        }
    }
    pairs
}

/// Whose network it is.
enum Whom {
    /// Every pair that this member is in.
    Member(NodeName),
    /// This pair alone.
    Pair(Pair),
    /// Every pair there is.
    All,
}

impl Whom {
    fn text(&self) -> String {
        match self {
            Whom::Member(name) => format!("the network to {name}"),
            Whom::Pair((a, b)) => format!("the network between {a} and {b}"),
            Whom::All => "the network between all members".to_owned(),
        }
    }

    fn from(&self, pairs: &[Pair]) -> String {
        let Whom::Member(name) = self else {
            return String::new();
        };
        let others = pairs.iter().map(|(a, b)| if a == name { b } else { a });
        format!(" from {}", listed(others))
    }
}

/// To whom bad pairs belong: to the one member whose every pair is bad, else each to itself. Two members alone have one pair,
/// and nobody can tell whose it is.
fn blamed(bad: &BTreeMap<Pair, f64>, measured: &BTreeMap<Pair, f64>) -> Vec<(Whom, Vec<Pair>)> {
    let mut left: BTreeSet<Pair> = bad.keys().cloned().collect();
    if left.len() > 1 && left.len() == measured.len() {
        return vec![(Whom::All, left.into_iter().collect())];
    }
    let of = |name: &NodeName, pairs: &mut dyn Iterator<Item = &Pair>| -> Vec<Pair> {
        pairs.filter(|(a, b)| a == name || b == name).cloned().collect()
    };
    let names: BTreeSet<NodeName> = measured.keys().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    let mut blamed = Vec::new();
    for name in names {
        let (its_bad, its) = (of(&name, &mut left.iter()), of(&name, &mut measured.keys()));
        if its.len() > 1 && of(&name, &mut bad.keys()).len() == its.len() && !its_bad.is_empty() {
            left.retain(|pair| !its_bad.contains(pair));
            blamed.push((Whom::Member(name), its_bad));
        }
    }
    blamed.extend(left.into_iter().map(|pair| (Whom::Pair(pair.clone()), vec![pair])));
    blamed
}

/// The lower median; 0 of nothing.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default()
}
