//! `terraform output -json`: outputs that are hosts, in the shapes that people give them.
//!
//! ```text
//! {"etcd": {"value": [{"name": "etcd-1", "private_ip": "10.0.0.11"}]}}     a list of objects with a name
//! {"etcd": {"value": {"etcd-1": {"private_ip": "10.0.0.11"}}}}             a map of objects by name
//! {"etcd": {"value": {"etcd-1": "10.0.0.11"}}}                             a map of addresses by name
//! ```
//!
//! or one `value` alone, as `terraform output -json NAME` prints it.

use std::net::IpAddr;

use super::super::tree::{Entry, Kind, Node};
use super::{Candidate, Gathered, Login, Typed};

/// Keys for the address, the best first: what other hosts dial.
const ADDRESS: [&str; 9] = [
    "address",
    "private_ip",
    "private_ip_address",
    "ip",
    "ip_address",
    "ipv4_address",
    "access_ip_v4",
    "public_ip",
    "public_ip_address",
];
/// Keys for where SSH connects to, when another key has the address.
const SSH_HOST: [&str; 3] = ["ssh_host", "public_ip", "public_ip_address"];
const NAME: [&str; 2] = ["name", "hostname"];
const USER: [&str; 2] = ["ssh_user", "user"];
const PORT: [&str; 1] = ["ssh_port"];

/// Takes the hosts of the output `group`, or of the only one that has any.
pub(super) fn gather(tree: &Node, group: Option<&str>, gathered: &mut Gathered) {
    let Some(outputs) = outputs(tree) else {
        if let Some(group) = group {
            return gathered.problem(
                tree.at,
                format!(
                    "this is one output, so there is no `{}` to choose",
                    group.escape_debug()
                ),
                "omit `--group`, or pass what `terraform output -json` prints",
            );
        }
        return take(tree, gathered);
    };
    let with_hosts: Vec<&Entry> = outputs
        .iter()
        .copied()
        .filter(|entry| !is_sensitive(entry) && has_hosts(value(entry)))
        .collect();
    let names = |entries: &[&Entry]| {
        let names: Vec<String> = entries.iter().map(|e| format!("`{}`", e.key.escape_debug())).collect();
        names.join(", ")
    };
    match (group, with_hosts.as_slice()) {
        (Some(group), _) => match outputs.iter().find(|entry| entry.key == group) {
            Some(entry) => take(value(entry), gathered),
            None => gathered.problem(
                tree.at,
                format!("there is no output `{}`", group.escape_debug()),
                format!("these are there: {}", names(&outputs)),
            ),
        },
        (None, [one]) => {
            take(value(one), gathered);
            let others: Vec<&Entry> = outputs.iter().copied().filter(|entry| entry.key != one.key).collect();
            if !others.is_empty() {
                gathered.note(format!("outputs that are not hosts: {}", names(&others)));
            }
        }
        (None, []) => gathered.problem(
            tree.at,
            "no output is a list or map of hosts with addresses",
            "add an output like `value = { for host in ... : host.name => host.private_ip }`; a sensitive one has to be named \
             with `--group`",
        ),
        (None, several) => gathered.problem(
            tree.at,
            "several outputs have hosts: which are for etcd?",
            format!("pass `--group NAME`: {}", names(several)),
        ),
    }
}

/// All outputs by name; `None` when this is the value of one.
fn outputs(tree: &Node) -> Option<Vec<&Entry>> {
    let Kind::Map(entries) = &tree.kind else { return None };
    let wrapped = |entry: &Entry| entry.value.get("value").is_some() && entry.value.get("type").is_some();
    (!entries.is_empty() && entries.iter().all(wrapped)).then(|| entries.iter().collect())
}

fn value(output: &Entry) -> &Node {
    output.value.get("value").map_or(&output.value, |entry| &entry.value)
}

/// Such an output is left alone unless it is asked for.
fn is_sensitive(output: &Entry) -> bool {
    output.value.get("sensitive").and_then(|told| told.value.text()) == Some("true")
}

/// Whether this reads like hosts.
fn has_hosts(node: &Node) -> bool {
    let is_host = |node: &Node| first(node, &ADDRESS).is_some();
    match &node.kind {
        Kind::List(items) => !items.is_empty() && items.iter().all(|item| is_host(item) || is_ip(item)),
        Kind::Map(entries) => {
            !entries.is_empty() && (is_host(node) || entries.iter().all(|e| is_host(&e.value) || is_ip(&e.value)))
        }
        _ => false,
    }
}

fn is_ip(node: &Node) -> bool {
    node.text().is_some_and(|text| text.parse::<IpAddr>().is_ok())
}

/// Takes every host of a value.
fn take(node: &Node, gathered: &mut Gathered) {
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| host(None, item, gathered)),
        Kind::Map(_) if first(node, &ADDRESS).is_some() => host(None, node, gathered),
        Kind::Map(entries) => {
            for entry in entries {
                let name = Typed {
                    text: entry.key.clone(),
                    at: entry.key_at,
                };
                host(Some(name), &entry.value, gathered);
            }
        }
        _ => gathered.problem(
            node.at,
            format!("expected a list or a map of hosts, not {}", node.describe()),
            "choose another output with `--group`",
        ),
    }
}

/// One host: an object, or only its address.
fn host(key: Option<Typed>, node: &Node, gathered: &mut Gathered) {
    let address = match &node.kind {
        Kind::Map(_) => first(node, &ADDRESS),
        _ => Typed::of(node),
    };
    let Some(address) = address else {
        let called = key
            .map(|key| format!(" `{}`", key.text.escape_debug()))
            .unwrap_or_default();
        return gathered.problem(
            node.at,
            format!("the host{called} has no address"),
            "give it one of the keys `address`, `private_ip` or `ip`",
        );
    };
    gathered.candidates.push(Candidate {
        name: first(node, &NAME).or(key),
        login: Login {
            host: first(node, &SSH_HOST),
            user: first(node, &USER),
            port: first(node, &PORT),
            ..Login::default()
        },
        address,
    });
}

/// The value of the first of these keys that has one.
fn first(node: &Node, keys: &[&str]) -> Option<Typed> {
    keys.iter().find_map(|key| Typed::of(&node.get(key)?.value))
}
