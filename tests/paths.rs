//! Texts name only files that exist: links of the documentation with their anchors, and every path of this repository in a
//! comment, a text or a document.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Where a path of this repository begins.
const ROOMS: [&str; 8] = [
    "src/",
    "docs/",
    "tests/",
    "lab/",
    "examples/",
    "templates/",
    "fuzz/",
    ".ci/",
];

fn gather(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()) {
        match entry.is_dir() {
            true => gather(&entry, found),
            false => found.push(entry),
        }
    }
}

/// Every text of the repository, with its path below it.
fn texts() -> Vec<(PathBuf, String)> {
    let root = Path::new(ROOT);
    let mut files: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    for room in ["src", "docs", "tests", "lab", "examples", "templates", ".ci"] {
        gather(&root.join(room), &mut files);
    }
    // What is generated, or this very list.
    files.retain(|path| !path.ends_with("Cargo.lock") && !path.ends_with("tests/paths.rs"));
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        Some((path.strip_prefix(root).unwrap().to_owned(), text))
    };
    files.into_iter().filter_map(text).collect()
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() })
        .collect()
}

fn anchors(markdown: &str) -> Vec<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, text) in texts() {
        if path.extension().is_none_or(|kind| kind != "md") {
            continue;
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match file.is_empty() {
                true => Path::new(ROOT).join(&path),
                false => Path::new(ROOT).join(path.parent().unwrap()).join(file),
            };
            let there = match fs::read_to_string(&target) {
                Ok(_) if fragment.is_empty() => true,
                Ok(text) => anchors(&text).iter().any(|anchor| anchor == fragment),
                Err(_) => target.is_dir() && fragment.is_empty(),
            };
            if !there {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(seen > 100, "only {seen} links");
    assert!(wrong.is_empty(), "these links lead nowhere:\n{}", wrong.join("\n"));
}

/// What looks like a path of this repository in `text`: without a placeholder or a pattern.
fn named(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    let mut found = Vec::new();
    for room in ROOMS {
        for (at, _) in text.match_indices(room) {
            let before = text[..at].chars().next_back();
            // Part of a longer path: of another repository, a host, or a variable.
            if before.is_some_and(|c| is_part(c) || matches!(c, '$' | '}' | '~' | '@' | ':' | '>' | '<')) {
                continue;
            }
            let rest = &text[at..];
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let follows = rest[end..].chars().next();
            if follows.is_some_and(|c| matches!(c, '*' | '{' | '<' | '$' | '[' | '%' | '?')) {
                continue;
            }
            found.push(rest[..end].trim_end_matches(['.', '/', '-']));
        }
    }
    found
}

#[test]
fn every_path_of_this_repository_that_a_text_names_exists() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, text) in texts() {
        for name in named(&text) {
            // A placeholder, or what is there only after a build.
            let made_later = name.starts_with("fuzz/target");
            if made_later
                || name
                    .split('/')
                    .any(|part| part.len() > 1 && part.chars().all(char::is_uppercase))
            {
                continue;
            }
            seen += 1;
            if !Path::new(ROOT).join(name).exists() {
                wrong.push(format!("{}: {name}", path.display()));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(seen > 200, "only {seen} paths");
    assert!(wrong.is_empty(), "there is no such file:\n{}", wrong.join("\n"));
}
