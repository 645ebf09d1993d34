//! Who is sent how much.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{Culprit, Figures};
use crate::host::Connection;
use crate::ops::doctor::Kind;
use crate::report::human_bytes;

/// A tenth of the network that etcd's hardware guide asks for (1 GbE), bytes a second: less slows nobody down.
const MUCH: f64 = 12.5e6;
/// Of what all clients are sent.
const MOST: f64 = 0.5;
/// A reader of at least this share of everything there is, each time.
const EVERYTHING: f64 = 0.5;

/// Programs at the end of which is this very look, through a tunnel or without one.
const OURSELVES: [&str; 4] = ["sshd", "sshd-session", "dropbear", "quorate"];

/// The connections of one host, looked at again and again. What short ones were sent after the last look at them is not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sightings {
    begun: bool,
    last: BTreeMap<(SocketAddr, SocketAddr), Counted>,
    clients: BTreeMap<String, Client>,
    /// Segments to the peer ports of others and from our own, and those sent again, by address.
    peers: BTreeMap<String, (u64, u64)>,
}

/// One client of one member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// Different connections.
    pub connections: u64,
    /// Bytes that it was sent.
    pub sent: u64,
    /// Bytes that came from it.
    pub received: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counted {
    sent: u64,
    received: u64,
    segments: u64,
    again: u64,
}

impl Counted {
    fn of(connection: &Connection) -> Self {
        Self {
            sent: connection.sent,
            received: connection.received,
            segments: connection.segments,
            again: connection.again,
        }
    }

    fn since(self, earlier: Counted) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            received: self.received.saturating_sub(earlier.received),
            segments: self.segments.saturating_sub(earlier.segments),
            again: self.again.saturating_sub(earlier.again),
        }
    }
}

impl Sightings {
    /// Another look. What the first one shows was sent before the window; a connection that is new later was opened in it.
    pub fn add(&mut self, connections: &[Connection], client_port: u16) {
        let owners: BTreeMap<(SocketAddr, SocketAddr), &(String, u32)> = connections
            .iter()
            .filter_map(|c| Some(((c.here, c.there), c.process.as_ref()?)))
            .collect();
        let mut last = BTreeMap::new();
        for connection in connections {
            let key = (connection.here, connection.there);
            let now = Counted::of(connection);
            let before = self.last.get(&key).copied();
            last.insert(key, now);
            let grown = match (before, self.begun) {
                (Some(before), _) => now.since(before),
                (None, true) => now,
                (None, false) => Counted::default(),
            };
            if connection.here.port() == client_port {
                let other_end = owners.get(&(connection.there, connection.here)).copied();
                if let Some(who) = client(connection, other_end) {
                    let client = self.clients.entry(who).or_default();
                    client.connections += u64::from(before.is_none());
                    client.sent += grown.sent;
                    client.received += grown.received;
                }
            } else if connection.there.port() != client_port {
                let (segments, again) = self.peers.entry(connection.there.ip().to_string()).or_default();
                *segments += grown.segments;
                *again += grown.again;
            }
        }
        self.last = last;
        self.begun = true;
    }

    /// How many connections there were at the last look.
    pub fn connections(&self) -> usize {
        self.last.len()
    }

    /// Each client with its name: an address, or the name of a program on the host.
    pub fn clients(&self) -> impl Iterator<Item = (&String, &Client)> {
        self.clients.iter()
    }

    /// Segments sent to a peer's address, and those sent again.
    pub fn towards(&self, address: &str) -> (u64, u64) {
        self.peers.get(address).copied().unwrap_or_default()
    }
}

/// Who is at the other end; `None` for ourselves, and for a process that talks to itself (etcd's JSON gateway).
fn client(connection: &Connection, other_end: Option<&(String, u32)>) -> Option<String> {
    let Some((name, pid)) = other_end else {
        return Some(match connection.here.ip() == connection.there.ip() {
            true => "a process".to_owned(),
            false => connection.there.ip().to_string(),
        });
    };
    let itself = connection.process.as_ref().is_some_and(|(_, own)| own == pid);
    // Without its number: a program that is started again and again is one client.
    (!itself && !OURSELVES.contains(&name.as_str())).then(|| name.clone())
}

pub(super) fn culprits(figures: &Figures) -> Option<Culprit> {
    let seen: f64 = figures.clients.iter().map(|client| client.sent_per_second).sum();
    let greedy = figures
        .clients
        .first()
        .filter(|client| client.sent_per_second >= seen * MOST)?;
    // Short connections end between two looks: the members' own count is the whole of it.
    let all = figures.sent_to_clients_per_second.unwrap_or_default().max(seen);
    if all < MUCH {
        return None;
    }
    let share = greedy.sent_per_second / seen;
    let members: BTreeSet<_> = greedy.members.iter().collect();
    let rate = |bytes: f64| format!("{}/s", human_bytes(bytes as u64));
    let mut says = format!(
        "client {} reads {} from {}, {} of what clients are sent",
        greedy.who,
        rate(all * share),
        super::listed(members),
        super::percent(share)
    );
    let ranges = figures.requests_per_second.get("Range").copied().unwrap_or_default();
    if ranges >= 0.1 {
        let each = all / ranges;
        let stored = figures.keys.as_ref().map(|keys| keys.bytes() as f64);
        let everything = stored.is_some_and(|stored| stored > 0.0 && each >= stored * EVERYTHING);
        says += &format!(
            ": members answer {ranges:.1} reads a second with {} each{}",
            human_bytes(each as u64),
            if everything {
                ", which is about all that is stored"
            } else {
                ""
            }
        );
    }
    let help = "see what it reads: a client should list once and watch from there, in pages (`limit`), and only the keys it \
                needs; it can be kept out with `quorate firewall`, or its certificate revoked";
    Some(Culprit::new(all * share / MUCH, Kind::HeavyClient, says, help))
}
