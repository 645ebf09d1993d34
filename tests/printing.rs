//! Nothing reaches a terminal around `src/report/print.rs`, which lets nothing through that could steer it.

use std::fs;
use std::path::{Path, PathBuf};

/// What prints, and where it may be used: bytes that programs verify must not be changed on their way.
const WAYS_OUT: [&str; 6] = ["print!(", "println!(", "eprint!(", "eprintln!(", "stdout()", "stderr()"];
const ALLOWED: [(&str, &str); 9] = [
    ("src/report/print.rs", "the way"),
    ("src/report/mod.rs", "sinks, which make their lines harmless themselves"),
    ("src/report/tty.rs", "the same"),
    ("src/report/table.rs", "whether it is a terminal"),
    ("src/cli/bundle.rs", "the manifest, byte by byte as it was signed"),
    (
        "src/cli/watch/display.rs",
        "whether it is a terminal, and its own cursor movements",
    ),
    (
        "src/cli/watch/mod.rs",
        "made harmless there; a reader that went away is noticed",
    ),
    ("src/cli/gate.rs", "one line that is made harmless there"),
    ("src/cli/session.rs", "whether it is a terminal"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn there_is_one_way_to_the_terminal() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    assert!(files.len() > 200, "the sources are where they were");
    let mut around = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).expect("below").display().to_string();
        if name.contains("test") || name.starts_with("src/sim") || ALLOWED.iter().any(|(allowed, _)| *allowed == name) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("text");
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            if WAYS_OUT.iter().any(|way| line.contains(way)) {
                around.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(
        around.is_empty(),
        "printed around src/report/print.rs:\n{}",
        around.join("\n")
    );
}
