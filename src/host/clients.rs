//! `clients`: who is connected to a port of the host.

use std::collections::BTreeMap;
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

/// Lines of `ADDRESS` or `ADDRESS NAME (pid N)`, one a connection.
fn parse(text: &str) -> Result<Vec<Client>, String> {
    let answer = Answer::read(text)?;
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for line in answer.all("client") {
        let who = match line.split_once(' ') {
            Some((_, "?")) => "a process of the host itself".to_owned(),
            Some((_, process)) => format!("{process} on the host itself"),
            None => socket_address(line).unwrap_or_else(|| line.to_owned()),
        };
        *counted.entry(who).or_default() += 1;
    }
    let clients = counted.into_iter();
    Ok(clients.map(|(who, connections)| Client { who, connections }).collect())
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
