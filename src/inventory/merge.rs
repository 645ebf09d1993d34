//! What an inventory says together with the settings that it shares with others. Pure.
//!
//! The nearest file wins, and the inventory is the nearest. Sections are merged key by key, everything else is replaced as a
//! whole, lists too: a list that is half from here and half from there is what nobody wrote. A key with no value stands for
//! the program's default.

use super::parse::without_bom;
use super::problem::{Place, Problem};
use super::raw::RawInventory;
use super::read::FromNode;
use super::shared::Shared;
use super::tree::{Entry, Kind, Node};

/// What is merged key by key; `""` is the top. An option of etcd's is one value, whatever it is.
const SECTIONS: [&str; 9] = [
    "",
    "etcd",
    "etcd.config",
    "etcd.paths",
    "pki",
    "ssh",
    "bundle",
    "backup",
    "backup.keep",
];

/// What is of one cluster only.
const OF_ONE: [&str; 2] = ["cluster", "hosts"];

/// The inventory's document, with everything in it that it shares. `None` where there is none to be had. What is wrong with
/// each file is among the problems, whether it counts for this inventory or not.
pub fn document(text: &str, shared: &[Shared], problems: &mut Vec<Problem>) -> Option<Node> {
    let mut document = match Node::parse(without_bom(text)) {
        Ok(tree) if tree.kind == Kind::Null => {
            let help = "create one with `quorate init`";
            problems.push(Problem::error(Place::START, "the inventory is empty", help));
            None
        }
        Ok(tree) => Some(tree),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    for (file, shared) in shared.iter().enumerate().map(|(at, shared)| (at + 1, shared)) {
        match Node::parse(without_bom(&shared.text)) {
            Ok(tree) => {
                let tree = settings(tree.in_file(file), problems);
                document = document.map(|document| merged(document, tree, ""));
            }
            Err(problem) => problems.push(problem.in_file(file)),
        }
    }
    document
}

/// What counts of a shared file, which is read by itself: a mistake in it is one for every inventory, even where all of them
/// say something else there.
fn settings(tree: Node, problems: &mut Vec<Problem>) -> Node {
    let Node { at, kind } = tree;
    let kind = match kind {
        Kind::Map(mut entries) => {
            entries.retain(|entry| {
                let fits = !OF_ONE.contains(&entry.key.as_str());
                if !fits {
                    let message = format!("`{}` is of one cluster, and this file is for several", entry.key);
                    problems.push(Problem::error(entry.key_at, message, "move it to the inventory"));
                }
                fits
            });
            Kind::Map(entries)
        }
        other => other,
    };
    let tree = Node { at, kind };
    if tree.kind != Kind::Null {
        let mut found = Vec::new();
        RawInventory::from_node(&tree, &mut found);
        // What is not here is in the inventory.
        problems.extend(found.into_iter().filter(|problem| !problem.is_missing()));
    }
    tree
}

fn merged(own: Node, shared: Node, section: &str) -> Node {
    let (entries, shared) = match (own.kind, shared.kind) {
        (Kind::Map(own), Kind::Map(shared)) if SECTIONS.contains(&section) => (own, shared),
        (kind, _) => return Node { kind, ..own },
    };
    let mut all: Vec<Entry> = Vec::new();
    let mut shared: Vec<Entry> = shared;
    for entry in entries {
        let at = shared.iter().position(|other| other.key == entry.key);
        let value = match at.map(|at| shared.remove(at)) {
            Some(other) => merged(entry.value, other.value, &below(section, &entry.key)),
            None => entry.value,
        };
        all.push(Entry { value, ..entry });
    }
    // A key that is set twice has said so already: the first one counts, as everywhere.
    let typed = all.len();
    for entry in shared {
        let known = all[..typed].iter().any(|own| own.key == entry.key);
        if !known && !all[typed..].iter().any(|other| other.key == entry.key) {
            all.push(entry);
        }
    }
    Node {
        at: own.at,
        kind: Kind::Map(all),
    }
}

fn below(section: &str, key: &str) -> String {
    match section {
        "" => key.to_owned(),
        _ => format!("{section}.{key}"),
    }
}
