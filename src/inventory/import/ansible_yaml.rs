//! Ansible's YAML, and the JSON of `ansible-inventory --list` and of dynamic inventories, which says the same with lists.

use super::super::problem::Place;
use super::super::tree::{Entry, Kind, Node};
use super::ansible::{Inventory, Variables};
use super::ranges::expand;
use super::{Gathered, Typed};

/// Reads it, and reports whatever it cannot read.
pub(super) fn read(tree: &Node, gathered: &mut Gathered) -> Inventory {
    let mut inventory = Inventory::default();
    inventory.group("all");
    if let Some(plugin) = tree.get("plugin") {
        gathered.problem(
            plugin.key_at,
            "this file only tells Ansible where to ask for hosts (`plugin`)",
            "pass what `ansible-inventory -i FILE --list` prints",
        );
        return inventory;
    }
    for entry in entries(tree, "groups", gathered) {
        match entry.key.as_str() {
            "_meta" => {
                inventory.complete = true;
                let all = entry.value.get("hostvars").map(|vars| &vars.value);
                for host in all.map(|vars| entries(vars, "hosts", gathered)).unwrap_or_default() {
                    let vars = variables(&host.value, gathered);
                    inventory.host_vars.entry(host.key.clone()).or_default().extend(vars);
                }
            }
            name => group(&mut inventory, name, &entry.value, gathered),
        }
    }
    inventory
}

fn group(inventory: &mut Inventory, name: &str, node: &Node, gathered: &mut Gathered) {
    inventory.group(name).declared = true;
    for entry in entries(node, "`hosts`, `vars` and `children`", gathered) {
        match entry.key.as_str() {
            "hosts" => {
                for (host, vars) in named(&entry.value, gathered) {
                    let vars = vars.map(|vars| variables(vars, gathered)).unwrap_or_default();
                    match expand(&host.text) {
                        Ok(names) => {
                            for text in names {
                                inventory.host(name, Typed { text, at: host.at }, vars.clone());
                            }
                        }
                        Err((wrong, help)) => gathered.problem(host.at, wrong, help),
                    }
                }
            }
            "vars" => {
                let vars = variables(&entry.value, gathered);
                inventory.group(name).vars.extend(vars);
            }
            "children" => {
                for (child, below) in named(&entry.value, gathered) {
                    inventory.group(&child.text);
                    if let Some(below) = below {
                        group(inventory, &child.text, below, gathered);
                    }
                    inventory.group(name).children.push(child);
                }
            }
            key => gathered.problem(
                entry.key_at,
                format!("there is no key `{}` in a group", key.escape_debug()),
                "a group has `hosts`, `vars` and `children`; variables of a group go below `vars`",
            ),
        }
    }
}

/// Names with what stands below each, or a bare list of names.
fn named<'a>(node: &'a Node, gathered: &mut Gathered) -> Vec<(Typed, Option<&'a Node>)> {
    match &node.kind {
        Kind::List(items) => {
            let mut names = Vec::new();
            for item in items {
                match Typed::of(item) {
                    Some(name) => names.push((name, None)),
                    None => gathered.problem(item.at, "this is not a name", "write one name for each entry"),
                }
            }
            names
        }
        _ => entries(node, "names", gathered)
            .iter()
            .map(|entry| {
                let name = Typed {
                    text: entry.key.clone(),
                    at: entry.key_at,
                };
                (name, Some(&entry.value))
            })
            .collect(),
    }
}

fn variables(node: &Node, gathered: &mut Gathered) -> Variables {
    let entries = entries(node, "variables", gathered).iter();
    entries
        .map(|entry| (entry.key.clone(), (entry.key_at, value(&entry.value))))
        .collect()
}

fn value(node: &Node) -> Option<Typed> {
    let text = match &node.kind {
        Kind::Null => String::new(),
        _ => node.text()?.to_owned(),
    };
    Some(Typed { text, at: node.at })
}

/// The entries of a mapping; nothing at all has none.
fn entries<'a>(node: &'a Node, of: &str, gathered: &mut Gathered) -> &'a [Entry] {
    match &node.kind {
        Kind::Map(entries) => {
            repeated(entries, gathered);
            entries
        }
        Kind::Null => &[],
        _ => {
            gathered.problem(
                node.at,
                format!("expected a mapping of {of}, not {}", node.describe()),
                "put a `:` behind each name, and what belongs to it below",
            );
            &[]
        }
    }
}

fn repeated(entries: &[Entry], gathered: &mut Gathered) {
    let mut places: std::collections::BTreeMap<&str, Place> = std::collections::BTreeMap::new();
    for entry in entries {
        if let Some(first) = places.insert(&entry.key, entry.key_at) {
            gathered.problem(
                entry.key_at,
                format!(
                    "`{}` stands here twice: first on line {}",
                    entry.key.escape_debug(),
                    first.line
                ),
                "keep one of the two",
            );
        }
    }
}
