//! The scripts of `examples/ci`, for the tests that run them.

use std::fs;
use std::path::Path;

/// The script of a job, as a runner gives it to the shell.
pub fn script(file: &str, job: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci").join(file);
    let text = fs::read_to_string(path).expect("an example");
    let after = text
        .split_once(&format!("\n  {job}:\n"))
        .or_else(|| text.split_once(&format!("\n{job}:\n")));
    let (_, after) = after.unwrap_or_else(|| panic!("{file} has no {job}"));
    let (_, block) = after.split_once("|\n").expect("a script of several lines");
    let indent = block.len() - block.trim_start().len();
    let lines = block
        .lines()
        .take_while(|line| line.len() - line.trim_start().len() >= indent);
    lines.map(|line| format!("{}\n", &line[indent..])).collect()
}
