//! `clients`: who is connected to a port of the host.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::facts_parser::{Answer, socket_address};
use super::trouble::not_understood;
use super::verbs::no_input;
use super::{Host, HostError, scripts};

/// Somebody who is connected to a port of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The address it comes from, or the process where that is one of the host itself: `kube-apiserver (pid 812)`.
    pub who: String,
    /// How many established connections it has.
    pub connections: usize,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.connections == 1 { "" } else { "s" };
        write!(f, "{} ({} connection{plural})", self.who, self.connections)
    }
}

impl Host {
    /// Who is connected to a TCP port of the host. Not counted: a process that talks to itself, as etcd's JSON gateway does,
    /// and what comes through SSH, as quorate's own tunnels do.
    ///
    /// # Errors
    /// When the host cannot be reached, or does not show its connections.
    pub async fn clients(&self, port: u16) -> Result<Vec<Client>, HostError> {
        let operation = "listing connected clients";
        let args = vec![format!("{port:04X}")];
        let output = self.call(operation, scripts::CLIENTS, args, no_input()).await?;
        parse(&String::from_utf8_lossy(&output.stdout)).map_err(|why| not_understood(&self.node, operation, why))
    }
}

/// From which quorate's own streams come: what forwards them, and what scripts/clients.sh calls those that go through bash.
const OWN_STREAMS: [&str; 4] = ["sshd", "sshd-session", "dropbear", "quorate-relay"];

/// Both ends of a connection, as the kernel shows them.
type Ends<'a> = (&'a str, &'a str);

/// What the host's tables say, each line looked at once: there may be very many.
fn parse(text: &str) -> Result<Vec<Client>, String> {
    let answer = Answer::read(text)?;
    let made: HashMap<Ends<'_>, &str> = answer.all("made").filter_map(connection).collect();
    let still: HashSet<Ends<'_>> = answer
        .all("still")
        .filter_map(connection)
        .map(|(ends, _)| ends)
        .collect();
    // A socket that several have open belongs to the oldest, which has passed it on.
    let age = |process: &str| process.parse::<u64>().unwrap_or(u64::MAX);
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for (inode, process) in answer.all("socket").filter_map(|line| line.split_once(' ')) {
        let owner = owners.entry(inode).or_insert(process);
        if age(process) < age(owner) {
            *owner = process;
        }
    }
    let names: HashMap<&str, &str> = answer.all("process").filter_map(|line| line.split_once(' ')).collect();
    let above: HashSet<&str> = answer.all("above").collect();

    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for ((there, here), inode) in answer.all("served").filter_map(connection) {
        let who = match made.get(&(there, here)) {
            None => {
                let address = there.split_once(':').map_or(there, |(address, _)| address);
                socket_address(address).unwrap_or_else(|| address.to_owned())
            }
            Some(other_end) => match owners.get(other_end) {
                None if still.contains(&(there, here)) => "a process of the host itself".to_owned(),
                // It has hung up.
                None => continue,
                Some(owner) if owners.get(inode) == Some(owner) || above.contains(owner) => continue,
                Some(owner) => match names.get(owner).copied().unwrap_or_default() {
                    name if OWN_STREAMS.contains(&name) => continue,
                    "" => format!("? (pid {owner}) on the host itself"),
                    name => format!("{name} (pid {owner}) on the host itself"),
                },
            },
        };
        *counted.entry(who).or_default() += 1;
    }
    let clients = counted.into_iter();
    Ok(clients.map(|(who, connections)| Client { who, connections }).collect())
}

/// `ONE_END OTHER_END INODE`.
fn connection(line: &str) -> Option<(Ends<'_>, &str)> {
    let mut words = line.split(' ');
    Some(((words.next()?, words.next()?), words.next()?))
}

/// For `crate::fuzz`.
#[cfg(any(test, feature = "lab"))]
pub(super) fn fuzz(text: &str) -> bool {
    parse(text).is_ok()
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
