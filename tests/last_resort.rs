//! Commands that give up what a cluster has are named to an operator by one file, which only tells while every host was
//! looked at (`src/ops/sight.rs`). Said anywhere else, they would be read by somebody whose healthy cluster is merely out of
//! sight.

use std::fs;
use std::path::{Path, PathBuf};

/// Where these commands may be named: by the file that is there for it, and where no cluster is spoken of.
const MAY_NAME_THEM: &[&str] = &[
    "src/ops/last_resort.rs",
    // Help texts.
    "src/cli/args.rs",
    "src/cli/backup_args.rs",
    // The names of the commands themselves.
    "src/ops/model.rs",
    // Which commands there are, by topic.
    "src/cli/help.rs",
    // What an option of etcd does; offline.
    "src/inventory/options/table.rs",
];

const LAST_RESORTS: &[&str] = &[
    "quorate restore",
    "quorate recover",
    "`restore",
    "`recover",
    "replace-node",
];

#[test]
fn what_gives_up_a_cluster_is_named_in_one_place() {
    let mut elsewhere = Vec::new();
    for file in sources(Path::new("src")) {
        let name = file.to_string_lossy().into_owned();
        let is_test = name.contains("tests") || name.starts_with("src/sim/");
        if is_test || MAY_NAME_THEM.contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source file");
        // What follows belongs to tests.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let says = line.split("//").next().unwrap_or_default();
            if LAST_RESORTS.iter().any(|named| says.contains(named)) {
                elsewhere.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(elsewhere.is_empty(), "{}", elsewhere.join("\n"));
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false if path.extension().is_some_and(|ext| ext == "rs") => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}
