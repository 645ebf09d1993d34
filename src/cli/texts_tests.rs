//! Every sentence of plans, refusals and findings in one file, for whoever reads how the program speaks (`docs/style.md`):
//! `src/cli/snapshots/texts.snap`. It is taken from the sources, so that no sentence can be forgotten.

use std::fs;
use std::path::{Path, PathBuf};

/// Where an operator's sentences about a cluster are made.
const ROOMS: [&str; 6] = [
    "src/ops/plan",
    "src/ops/safety",
    "src/ops/doctor",
    "src/ops/slow",
    "src/ops/last_resort.rs",
    "src/ops/sight.rs",
];

#[test]
fn every_sentence_in_one_place() {
    let mut text = String::new();
    for source in ROOMS.iter().flat_map(|room| sources(Path::new(room))) {
        let code = fs::read_to_string(&source).expect("a source file");
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        let sentences: Vec<String> = literals(code).into_iter().filter(|text| is_sentence(text)).collect();
        if !sentences.is_empty() {
            text += &format!("\n## {}\n{}\n", source.display(), sentences.join("\n"));
        }
    }
    assert!(text.lines().count() > 400, "the sources were not read:\n{text}");
    insta::with_settings!({snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("texts", text);
    });
}

/// The sources of a room, without its tests and without the lint of plans, which speaks to developers.
fn sources(room: &Path) -> Vec<PathBuf> {
    if room.is_file() {
        return vec![room.to_owned()];
    }
    let entries = fs::read_dir(room).expect("a directory").flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| {
        let name = path.to_string_lossy();
        !name.contains("tests") && !name.ends_with("lint.rs") && name.ends_with(".rs")
    });
    found.sort();
    found
}

/// More than one word, and not only what goes between them.
fn is_sentence(text: &str) -> bool {
    let is_word = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_alphabetic() || ",;:'.".contains(c));
    text.split_whitespace().filter(is_word).count() > 1
}

/// The string literals of a source, as they are printed but for their placeholders.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (_, from) = rest.split_at(at);
        rest = if from.starts_with("//") {
            from.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(after) = ["'\"'", "'\\\"'"].iter().find_map(|quoted| from.strip_prefix(quoted)) {
            after
        } else if let Some(body) = from.strip_prefix('"') {
            let (literal, after) = literal(body);
            found.push(literal);
            after
        } else {
            &from[1..]
        };
    }
    found
}

/// A literal, and what follows its closing quote.
fn literal(body: &str) -> (String, &str) {
    let mut text = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, &body[at + 1..]),
            '\\' => match chars.next() {
                // The line goes on in the next one.
                Some((_, '\n')) => {
                    let left = chars.as_str();
                    let skipped = left.len() - left.trim_start().len();
                    chars.by_ref().take(skipped).for_each(drop);
                }
                Some((_, 'n')) => text.push_str("\\n"),
                Some((_, escaped)) => text.push(escaped),
                None => break,
            },
            c => text.push(c),
        }
    }
    panic!("a literal without an end: {text}")
}
