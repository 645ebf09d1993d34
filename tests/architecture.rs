//! Imports run one way: a room uses only the rooms that `docs/architecture.md` allows it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const EVERY_ROOM: &[&str] = &[
    "backup",
    "bounds",
    "bundle",
    "cli",
    "clients",
    "etcd",
    "host",
    "inventory",
    "ops",
    "pki",
    "render",
    "report",
    "sim",
];

/// A room and what it may use, besides itself. `ops` is divided further: its pure half knows nothing of its effects.
const MAY_USE: &[(&str, &[&str])] = &[
    ("inventory", &[]),
    ("pki", &["inventory"]),
    ("render", &["inventory", "pki"]),
    ("clients", &["inventory", "pki", "render"]),
    ("bundle", &["inventory"]),
    ("bounds", &[]),
    ("host", &["bounds", "inventory"]),
    ("etcd", &["bounds", "inventory"]),
    ("report", &["inventory"]),
    ("backup", &["bounds", "bundle", "etcd", "inventory", "pki", "report"]),
    (
        "ops",
        &[
            "backup",
            "bounds",
            "bundle",
            "etcd",
            "host",
            "inventory",
            "pki",
            "render",
            "report",
        ],
    ),
    (
        "sim",
        &[
            "backup",
            "bounds",
            "bundle",
            "etcd",
            "host",
            "inventory",
            "ops",
            "pki",
            "render",
            "report",
        ],
    ),
    ("cli", EVERY_ROOM),
];

/// What decides must not reach for what acts.
const PURE: &[&str] = &[
    "ops/model.rs",
    "ops/check.rs",
    "ops/sight.rs",
    "ops/last_resort.rs",
    "ops/safety",
    "ops/plan",
    "ops/slow",
];
const EFFECTFUL: &[&str] = &["exec", "fleet", "measure", "observe", "vault"];

#[test]
fn no_import_runs_upward_between_rooms() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let Some((room, allowed)) = MAY_USE.iter().find(|(room, _)| file.starts_with(room)) else {
            assert!(
                ["fuzz.rs", "lib.rs", "main.rs"].contains(&file.to_str().unwrap_or_default()),
                "{} is in no room of the table",
                file.display()
            );
            continue;
        };
        for used in used_below(&text, "crate::") {
            if EVERY_ROOM.contains(&used.as_str()) && used != *room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("src/{} uses crate::{used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against docs/architecture.md:\n{}", wrong.join("\n"));
}

#[test]
fn what_decides_does_not_know_what_acts() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        if !PURE.iter().any(|pure| file.starts_with(pure)) {
            continue;
        }
        for used in used_below(&text, "crate::ops::") {
            if EFFECTFUL.contains(&used.as_str()) {
                wrong.push(format!("src/{} uses crate::ops::{used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against docs/architecture.md:\n{}", wrong.join("\n"));
}

#[test]
fn names_below_a_path_are_found_in_every_spelling() {
    let text = "use crate::{cli::up, ops::plan};\n// crate::report\nlet x = crate::host::f(crate::etcd::g());";
    let used: Vec<String> = used_below(text, "crate::").into_iter().collect();
    assert_eq!(used, ["cli", "etcd", "host", "ops"]);
}

/// The names that directly follow `path` in code, also in a group in braces. Comments do not count.
fn used_below(text: &str, path: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices(path) {
        let rest = &code[at + path.len()..];
        match rest.strip_prefix('{') {
            Some(group) => used.extend(names_of_group(group)),
            None => used.extend(first_name(rest)),
        }
    }
    used
}

/// The first name of every entry of a group, up to its closing brace.
fn names_of_group(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.extend(first_name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.extend(first_name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

/// Every source file below `src/`, by its path there.
fn sources() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![src.clone()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&src).unwrap().to_owned(), text));
            }
        }
    }
    found
}
