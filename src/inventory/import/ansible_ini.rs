//! Ansible's INI: `[group]`, `[group:children]`, `[group:vars]`, and lines of hosts with variables.

use super::ansible::{Inventory, Variables};
use super::ranges::expand;
use super::words::words;
use super::{Gathered, Typed};

enum Section {
    Hosts,
    Children,
    Vars,
    /// Its header could not be read; neither is what follows.
    Unknown,
}

/// Whether a line opens a section.
pub(super) fn is_section(line: &str) -> bool {
    header(line).is_some_and(|(name, _)| !name.is_empty() && !name.contains([' ', '"', '{', ',']))
}

/// The name and the kind in `[name:kind]`.
fn header(line: &str) -> Option<(&str, &str)> {
    let (inside, after) = line.strip_prefix('[')?.split_once(']')?;
    let after = after.trim();
    let closed = after.is_empty() || after.starts_with(['#', ';']);
    closed.then(|| inside.split_once(':').unwrap_or((inside, "")))
}

/// Reads it, and reports every line that it cannot read.
pub(super) fn read(text: &str, gathered: &mut Gathered) -> Inventory {
    let mut inventory = Inventory::default();
    inventory.group("all");
    let (mut group, mut section) = ("ungrouped".to_owned(), Section::Hosts);
    for (index, whole) in super::super::parse::without_bom(text).lines().enumerate() {
        let (number, line) = (index + 1, whole.trim());
        let column = whole.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let here = Typed::new(line, number, column);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some((name, kind)) = header(line).filter(|_| is_section(line)) {
            group = name.to_owned();
            section = match kind {
                "" => Section::Hosts,
                "children" => Section::Children,
                "vars" => Section::Vars,
                _ => {
                    gathered.problem(
                        here.at,
                        format!("`[{}:{}]` is not a section", name.escape_debug(), kind.escape_debug()),
                        "use `[NAME]`, `[NAME:children]` or `[NAME:vars]`",
                    );
                    Section::Unknown
                }
            };
            inventory.group(name).declared |= !matches!(section, Section::Vars);
            continue;
        }
        match section {
            Section::Hosts => hosts(&mut inventory, &group, whole, number, gathered),
            Section::Children => {
                let name = line.split([' ', '\t', '#']).next().unwrap_or_default();
                inventory.group(&group).children.push(Typed::new(name, number, column));
            }
            Section::Vars => match line.split_once('=') {
                Some((name, value)) => {
                    let value = Typed::new(unquoted(value.trim()), number, column);
                    let vars = &mut inventory.group(&group).vars;
                    vars.insert(name.trim().to_owned(), (here.at, Some(value)));
                }
                None => gathered.problem(
                    here.at,
                    format!("a line of `[{}:vars]` is no `name=value`", group.escape_debug()),
                    "write `name=value`, or move it to the section that it belongs to",
                ),
            },
            Section::Unknown => {}
        }
    }
    undeclared(&inventory, gathered);
    inventory
}

/// One line of hosts: a name or a range, then variables.
fn hosts(inventory: &mut Inventory, group: &str, line: &str, number: usize, gathered: &mut Gathered) {
    let words = match words(line, number) {
        Ok(words) => words,
        Err(column) => {
            let at = Typed::new("", number, column).at;
            return gathered.problem(
                at,
                "a quote is not closed",
                "close it, or write the value without quotes",
            );
        }
    };
    let Some((pattern, told)) = words.split_first() else {
        return;
    };
    let mut vars = Variables::new();
    for word in told {
        match word.text.split_once('=') {
            Some((name, value)) => {
                let value = Typed {
                    text: value.to_owned(),
                    at: word.at,
                };
                vars.insert(name.to_owned(), (word.at, Some(value)));
            }
            // What it is may be the rest of a password with a space in it.
            None => gathered.problem(
                word.at,
                format!(
                    "behind `{}` stands a word that is no `name=value`",
                    pattern.text.escape_debug()
                ),
                "write `name=value`, and quotes around a value with spaces",
            ),
        }
    }
    match expand(&pattern.text) {
        Ok(names) => {
            for text in names {
                let host = Typed { text, at: pattern.at };
                inventory.host(group, host, vars.clone());
            }
        }
        Err((wrong, help)) => gathered.problem(pattern.at, wrong, help),
    }
}

/// Ansible refuses children that are not there as well.
fn undeclared(inventory: &Inventory, gathered: &mut Gathered) {
    for child in inventory.groups.values().flat_map(|group| &group.children) {
        if !inventory.groups.get(&child.text).is_some_and(|group| group.declared) {
            gathered.problem(
                child.at,
                format!("there is no group `{}`", child.text.escape_debug()),
                "correct its name, or add a section for it",
            );
        }
    }
}

fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}
