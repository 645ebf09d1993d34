//! The program's own sources, for tests that hold what may stand where.

use std::fs;
use std::path::{Path, PathBuf};

/// A line of code: its file, its number, and what stands there without a comment.
pub struct Line {
    pub file: String,
    pub number: usize,
    pub code: String,
}

/// Every line of the program itself, but for `left_out`: neither tests nor the simulator.
pub fn lines(left_out: impl Fn(&str) -> bool) -> Vec<Line> {
    let mut found = Vec::new();
    for path in files(Path::new("src")) {
        let file = path.to_string_lossy().into_owned();
        let is_test = file.contains("tests") || file.starts_with("src/sim/");
        if is_test || left_out(&file) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        // What follows belongs to tests.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        found.extend(code.lines().enumerate().map(|(at, line)| Line {
            file: file.clone(),
            number: at + 1,
            code: line.split("//").next().unwrap_or_default().trim().to_owned(),
        }));
    }
    assert!(found.len() > 10_000, "the sources are where they were");
    found
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.extension().is_some_and(|ext| ext == "rs") => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}
