//! Hosts as a file tells them, and what of that fits an inventory.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::desired::Jump;
use super::super::edit::scalar;
use super::super::leaf::{Leaf, LocalPath, Login as LoginName, Port, Refusal, SshName};
use super::super::names::{Address, NodeName};
use super::super::problem::{Place, Problem};
use super::super::tree::Node;

/// A text as typed, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub at: Place,
}

impl Typed {
    /// A text at a line and column, both from 1.
    pub fn new(text: impl Into<String>, line: usize, column: usize) -> Self {
        let at = Place {
            line,
            column,
            ..Place::START
        };
        Self { text: text.into(), at }
    }

    /// The single value of a node; `None` when it is none, or says nothing.
    pub(super) fn of(node: &Node) -> Option<Self> {
        let text = node.text()?.trim().to_owned();
        (!text.is_empty()).then_some(Self { text, at: node.at })
    }
}

/// How a file says to log in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Login {
    /// Where SSH connects to, if that is not the address.
    pub host: Option<Typed>,
    /// The account.
    pub user: Option<Typed>,
    /// The port.
    pub port: Option<Typed>,
    /// A private key file.
    pub identity: Option<Typed>,
    /// Bastions, outermost first; empty: not told.
    pub jump: Vec<Typed>,
    /// Commands need sudo, whoever logs in.
    pub sudo: bool,
}

/// A host as a file tells it, unchecked.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its name; `None` where the file has only an address.
    pub name: Option<Typed>,
    /// What peers and clients would dial.
    pub address: Typed,
    /// How to log in.
    pub login: Login,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Hosts, in the order of the file.
    pub candidates: Vec<Candidate>,
    /// What was changed or is not taken over.
    pub notes: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// A host that fits an inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedHost {
    /// Its name.
    pub name: NodeName,
    /// What peers and clients dial.
    pub address: Address,
    /// The keys of its section `ssh`, with values as YAML.
    pub ssh: BTreeMap<&'static str, String>,
}

impl From<(NodeName, Address)> for ImportedHost {
    fn from((name, address): (NodeName, Address)) -> Self {
        Self {
            name,
            address,
            ssh: BTreeMap::new(),
        }
    }
}

/// Everything that fits.
#[derive(Debug, PartialEq)]
pub struct Found {
    /// The hosts, in the order of the file.
    pub hosts: Vec<ImportedHost>,
    /// What was changed or is not taken over.
    pub notes: Vec<String>,
}

impl Gathered {
    /// Adds an error.
    pub fn problem(&mut self, at: Place, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::error(at, message, help));
    }

    /// Adds a note, once.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Checks every candidate.
    ///
    /// # Errors
    /// Every problem, in the order of the file.
    pub fn hosts(mut self) -> Result<Found, Vec<Problem>> {
        if self.candidates.is_empty() && self.problems.is_empty() {
            self.problem(
                Place::START,
                "there are no hosts in it",
                "check the file, or list the hosts with `--host NAME=ADDRESS`",
            );
        }
        let mut hosts = Vec::new();
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        for (index, candidate) in std::mem::take(&mut self.candidates).iter().enumerate() {
            let name = self.name(index, candidate);
            let address = self.checked::<Address>(&lower_case(&candidate.address));
            for (what, value) in [
                ("called", name.as_ref().map(NodeName::to_string)),
                ("at the address", address.as_ref().map(Address::to_string)),
            ] {
                let Some(value) = value else { continue };
                let at = candidate.name.as_ref().map_or(candidate.address.at, |name| name.at);
                if let Some(first) = places.insert(format!("{what} `{value}`"), at) {
                    self.problem(
                        at,
                        format!("two hosts are {what} `{value}`: the first is on line {}", first.line),
                        "give each its own, or leave one of them out",
                    );
                }
            }
            let ssh = self.ssh(&candidate.login, &candidate.address);
            if let (Some(name), Some(address)) = (name, address) {
                hosts.push(ImportedHost { name, address, ssh });
            }
        }
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems.dedup();
        match self.problems.is_empty() {
            true => Ok(Found {
                hosts,
                notes: self.notes,
            }),
            false => Err(self.problems),
        }
    }

    /// A member's name is a DNS name in lower case; what is an address only is numbered.
    fn name(&mut self, index: usize, candidate: &Candidate) -> Option<NodeName> {
        let named = candidate
            .name
            .as_ref()
            .filter(|name| name.text.parse::<IpAddr>().is_err());
        let Some(typed) = named else {
            let name = format!("etcd-{}", index + 1);
            self.note(format!(
                "{} is called `{name}`: it has no name there",
                candidate.address.text.escape_debug()
            ));
            return name.parse().ok();
        };
        let wanted = typed.text.to_ascii_lowercase().replace('_', "-");
        let name = self.checked::<NodeName>(&Typed {
            text: wanted,
            at: typed.at,
        })?;
        if name.as_str() != typed.text {
            self.note(format!(
                "`{}` is called `{name}`: names of members are DNS names in lower case",
                typed.text.escape_debug()
            ));
        }
        Some(name)
    }

    fn ssh(&mut self, login: &Login, address: &Typed) -> BTreeMap<&'static str, String> {
        let mut ssh = BTreeMap::new();
        let host = login.host.as_ref().filter(|host| host.text != address.text);
        if let Some(host) = host.and_then(|host| self.checked::<SshName>(host)) {
            ssh.insert("host", scalar(&host.0));
        }
        if let Some(user) = login.user.as_ref().and_then(|user| self.checked::<LoginName>(user)) {
            ssh.insert("user", scalar(&user.0));
        }
        if let Some(port) = login.port.as_ref().and_then(|port| self.checked::<Port>(port)) {
            ssh.insert("port", port.0.to_string());
        }
        if let Some(file) = login.identity.as_ref().and_then(|file| self.checked::<LocalPath>(file)) {
            ssh.insert("identity", scalar(&file.0));
        }
        let jump: Vec<&Typed> = login
            .jump
            .iter()
            .filter(|jump| self.checked::<Jump>(jump).is_some())
            .collect();
        if !jump.is_empty() {
            let jump: Vec<String> = jump.iter().map(|jump| scalar(&jump.text)).collect();
            ssh.insert("jump", format!("[{}]", jump.join(", ")));
        }
        if login.sudo {
            ssh.insert("sudo", "always".to_owned());
        }
        ssh
    }

    fn checked<T: Leaf>(&mut self, typed: &Typed) -> Option<T> {
        match T::read(&typed.text) {
            Ok(value) => Some(value),
            Err(Refusal { message, help }) => {
                self.problem(typed.at, message, help);
                None
            }
        }
    }
}

fn lower_case(typed: &Typed) -> Typed {
    Typed {
        text: typed.text.to_ascii_lowercase(),
        at: typed.at,
    }
}
