//! Hosts from what people have already: an Ansible inventory, Terraform's outputs, Kubernetes, `~/.ssh/config`.
//!
//! ```text
//! text --recognise--> format --gather--> candidates as typed, with places --Gathered::hosts--> hosts that fit an inventory
//! ```
//!
//! Nothing is guessed in silence: what was renamed or is not taken over becomes a note, what cannot be taken over a
//! [`Problem`](super::Problem), all of them at once. Messages repeat names, addresses and logins, never another value:
//! these files are full of passwords. `~/.ssh/config` is gathered by the room that knows its syntax, `host/ssh/listed.rs`.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

mod ansible;
mod ansible_ini;
mod ansible_ssh_args;
mod ansible_yaml;
mod gather;
mod kubernetes;
mod ranges;
mod recognise;
mod terraform;
mod words;

pub use gather::{Candidate, Found, Gathered, ImportedHost, Login, Typed};
pub use recognise::recognise;

use super::problem::Problem;
use super::tree::Node;

/// Far beyond any listing of hosts, and small enough to be read at once.
pub const LARGEST: u64 = 16 << 20;

/// The nodes of a tree of that size: what `kubectl get nodes -o json` says of one host are some hundred.
const MOST_NODES: usize = 1_000_000;

/// What a file of hosts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// An Ansible inventory: INI, YAML, or what `ansible-inventory --list` prints
    Ansible,
    /// What `terraform output -json` prints
    Terraform,
    /// What `kubectl get nodes -o json` prints, or a kubeconfig
    Kubernetes,
    /// `~/.ssh/config`
    SshConfig,
}

/// Reads the hosts of `group` (the format says what that is), or all that are meant without one. `ssh` does that for
/// `~/.ssh/config`.
pub fn gather(format: Format, text: &str, group: Option<&str>, ssh: fn(&str, Option<&str>) -> Gathered) -> Gathered {
    let mut gathered = Gathered::default();
    let told = match format {
        Format::Ansible if !is_ini(text) => tree(text).map(|tree| ansible_yaml::read(&tree, &mut gathered)),
        Format::Ansible => Ok(ansible_ini::read(text, &mut gathered)),
        Format::Terraform => return from_tree(text, group, gathered, terraform::gather),
        Format::Kubernetes => return from_tree(text, group, gathered, kubernetes::gather),
        Format::SshConfig => return ssh(text, group),
    };
    match told {
        Ok(inventory) => inventory.gather(group, &mut gathered),
        Err(problem) => gathered.problems.push(problem),
    }
    gathered
}

fn from_tree(
    text: &str,
    group: Option<&str>,
    mut gathered: Gathered,
    read: fn(&Node, Option<&str>, &mut Gathered),
) -> Gathered {
    match tree(text) {
        Ok(tree) => read(&tree, group, &mut gathered),
        Err(problem) => gathered.problems.push(problem),
    }
    gathered
}

/// JSON is YAML, and so everything has its place.
fn tree(text: &str) -> Result<Node, Problem> {
    Node::parse_up_to(super::parse::without_bom(text), MOST_NODES)
}

/// An Ansible inventory that is no YAML: a section, or a first line that is a host.
fn is_ini(text: &str) -> bool {
    let mut lines = recognise::significant(text);
    let Some(first) = lines.next() else { return true };
    let is_mapping = first.starts_with(['{', '-']) || first.ends_with(':') || first.contains(": ");
    !is_mapping || first.starts_with('[') || lines.any(ansible_ini::is_section)
}
