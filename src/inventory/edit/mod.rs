//! Edits of the inventory's text in place: comments, order, indentation and quotes stay, the diff is what was meant.
//!
//! Each edit is worked out on the text and then proved: the result is read again and must mean exactly the old
//! document with the one intended change. Where it does not (exotic YAML), nothing is edited and the operator is asked
//! to do it by hand.

mod layout;

use serde_json::{Value, json};

use super::names::{Address, NodeName, Version};
use super::tree::{Kind, Node};
use layout::Item;
pub(crate) use layout::scalar;

/// A host to be written into the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// `name`.
    pub name: NodeName,
    /// `address`.
    pub address: Address,
    /// `ssh.host`, where SSH differs from the address.
    pub ssh_host: Option<String>,
}

/// Why an inventory cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum EditError {
    /// The text is not an inventory with hosts.
    #[error("cannot edit the inventory: {0}")]
    #[diagnostic(help("`quorate check` shows what is wrong with it"))]
    Unreadable(String),
    /// There is no such host.
    #[error("there is no host `{0}` in the inventory")]
    #[diagnostic(help("`quorate members` shows the names"))]
    NoSuchHost(NodeName),
    /// The name is taken.
    #[error("there is a host `{0}` in the inventory already")]
    #[diagnostic(help("choose another name"))]
    NameTaken(NodeName),
    /// An inventory without hosts would be none.
    #[error("`{0}` is the only host in the inventory")]
    #[diagnostic(help("a cluster keeps at least one host: add the new one first with `quorate add-node`"))]
    LastHost(NodeName),
    /// The text is laid out in a way that an edit in place would break.
    #[error("cannot {edit} in place: the file's layout is too unusual to edit safely")]
    #[diagnostic(help("make the change by hand and run the command again"))]
    Layout {
        /// The change, in words.
        edit: &'static str,
    },
}

/// Adds a host after the last one, in the style of the last one.
///
/// # Errors
/// When the name is taken, or the text cannot be edited.
pub fn add_host(text: &str, entry: &HostEntry) -> Result<String, EditError> {
    let document = Document::read(text)?;
    if document.position(&entry.name).is_some() {
        return Err(EditError::NameTaken(entry.name.clone()));
    }
    let mut wanted = document.json();
    document.hosts_of(&mut wanted)?.push(entry.json());
    let edited = match document.hosts.last() {
        Some(last) => layout::insert_after(text, last, &entry.fields()),
        None => None,
    };
    prove(edited, &wanted, "add a host")
}

/// Removes a host, with the comment lines right above it.
///
/// # Errors
/// When there is no such host, it is the only one, or the text cannot be edited.
pub fn remove_host(text: &str, name: &NodeName) -> Result<String, EditError> {
    let document = Document::read(text)?;
    let index = document
        .position(name)
        .ok_or_else(|| EditError::NoSuchHost(name.clone()))?;
    if document.hosts.len() == 1 {
        return Err(EditError::LastHost(name.clone()));
    }
    let mut wanted = document.json();
    document.hosts_of(&mut wanted)?.remove(index);
    let edited = layout::remove(text, &document.hosts[index], index);
    prove(edited, &wanted, "remove a host")
}

/// Puts `new` in the place of `old`: name, address and `ssh.host` change, everything else of the entry stays.
///
/// # Errors
/// When there is no host `old`, the new name is taken by another, or the text cannot be edited.
pub fn replace_host(text: &str, old: &NodeName, new: &HostEntry) -> Result<String, EditError> {
    let document = Document::read(text)?;
    let index = document
        .position(old)
        .ok_or_else(|| EditError::NoSuchHost(old.clone()))?;
    if document.position(&new.name).is_some_and(|taken| taken != index) {
        return Err(EditError::NameTaken(new.name.clone()));
    }
    let node = &document.hosts[index].node;
    let address = new.address.to_string();
    let old_ssh_host = node.get("ssh").and_then(|ssh| ssh.value.get("host"));
    // A host whose SSH differs from its address keeps the key: without a new value it is the address, the default.
    let ssh_host = match (&new.ssh_host, old_ssh_host) {
        (Some(host), _) => Some(host.as_str()),
        (None, Some(_)) => Some(address.as_str()),
        (None, None) => None,
    };
    let mut wanted = document.json();
    let host = &mut document.hosts_of(&mut wanted)?[index];
    host["name"] = json!(new.name.as_str());
    host["address"] = json!(address);
    if let Some(ssh_host) = ssh_host {
        host["ssh"]["host"] = json!(ssh_host);
    }
    let mut changes = vec![
        (node.get("name"), new.name.as_str()),
        (node.get("address"), address.as_str()),
    ];
    if let (Some(entry), Some(ssh_host)) = (old_ssh_host, ssh_host) {
        changes.push((Some(entry), ssh_host));
    }
    let mut changes: Vec<_> = changes
        .into_iter()
        .filter_map(|(entry, value)| Some((entry?.value.at, value)))
        .collect();
    // From the end, so that the earlier places stay right.
    changes.sort_by_key(|(at, _)| std::cmp::Reverse(at.offset));
    let mut edited = Some(text.to_owned());
    for (at, value) in changes {
        edited = edited.and_then(|text| layout::replace_scalar(&text, at, value));
    }
    if let (Some(ssh_host), None) = (ssh_host, old_ssh_host) {
        let read = edited.as_deref().map(Document::read).transpose()?;
        edited = read.and_then(|d| layout::insert_ssh_host(d.text, &d.hosts[index], ssh_host));
    }
    prove(edited, &wanted, "replace a host")
}

/// Sets `etcd.version`. Where it is shared with other inventories, this one gets its own.
///
/// # Errors
/// When the text cannot be edited.
pub fn set_version(text: &str, version: Version) -> Result<String, EditError> {
    let tree = read_tree(text)?;
    let mut wanted = tree.to_json();
    if !wanted.is_object() || !(wanted["etcd"].is_object() || wanted["etcd"].is_null()) {
        return Err(EditError::Unreadable("it has no section `etcd`".to_owned()));
    }
    wanted["etcd"]["version"] = json!(version.to_string());
    let entry = tree.get("etcd").and_then(|etcd| etcd.value.get("version"));
    let edited = match entry {
        Some(entry) => layout::replace_scalar(text, entry.value.at, &version.to_string()),
        None => layout::insert_version(text, &tree, &version.to_string()),
    };
    prove(edited, &wanted, "set the version")
}

impl HostEntry {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("name", layout::scalar(self.name.as_str())),
            ("address", layout::scalar(&self.address.to_string())),
        ];
        if let Some(host) = &self.ssh_host {
            fields.push(("ssh", format!("{{host: {}}}", layout::scalar(host))));
        }
        fields
    }

    fn json(&self) -> Value {
        let mut json = json!({"name": self.name.as_str(), "address": self.address.to_string()});
        if let Some(host) = &self.ssh_host {
            json["ssh"] = json!({"host": host});
        }
        json
    }
}

/// The text, the tree and the host entries of an inventory.
struct Document<'a> {
    text: &'a str,
    tree: Node,
    hosts: Vec<Item>,
}

fn read_tree(text: &str) -> Result<Node, EditError> {
    // Places are counted from the first byte here, so a byte order mark would shift them all.
    if text.starts_with('\u{feff}') {
        return Err(EditError::Unreadable(
            "it starts with a byte order mark; save it without".to_owned(),
        ));
    }
    Node::parse(text).map_err(|problem| EditError::Unreadable(format!("line {}: {problem}", problem.line)))
}

impl<'a> Document<'a> {
    fn read(text: &'a str) -> Result<Self, EditError> {
        let tree = read_tree(text)?;
        let Some(Kind::List(items)) = tree.get("hosts").map(|entry| &entry.value.kind) else {
            return Err(EditError::Unreadable("it has no list of `hosts`".to_owned()));
        };
        let hosts = items.iter().map(|node| Item::locate(text, node)).collect();
        Ok(Self { text, hosts, tree })
    }

    fn position(&self, name: &NodeName) -> Option<usize> {
        let is_it = |item: &Item| item.node.get("name").and_then(|e| e.value.text()) == Some(name.as_str());
        self.hosts.iter().position(is_it)
    }

    fn json(&self) -> Value {
        self.tree.to_json()
    }

    fn hosts_of<'j>(&self, json: &'j mut Value) -> Result<&'j mut Vec<Value>, EditError> {
        json["hosts"]
            .as_array_mut()
            .ok_or_else(|| EditError::Unreadable("it has no list of `hosts`".to_owned()))
    }
}

/// The edited text, if it means what was wanted.
fn prove(edited: Option<String>, wanted: &Value, edit: &'static str) -> Result<String, EditError> {
    edited
        .filter(|text| Node::parse(text).is_ok_and(|tree| tree.to_json() == *wanted))
        .ok_or(EditError::Layout { edit })
}

#[cfg(test)]
mod tests;
