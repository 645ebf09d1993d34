//! The inventory as a whole: text in, meaning or problems out.

mod backups;
mod clients;
mod examples;
mod mistakes;
mod shared;
mod traps;
mod users;

use std::path::{Path, PathBuf};

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::*;

fn environment() -> Environment {
    Environment {
        home: Some(PathBuf::from("/home/me")),
        state_dir: PathBuf::from("/home/me/.local/state"),
        user: "me".to_owned(),
        dir: PathBuf::from("/work/infra"),
        shared: Vec::new(),
    }
}

fn read(text: &str) -> Result<Loaded, InventoryError> {
    parse(Path::new("inventory.yml"), text, &environment())
}

/// What an inventory without problems means.
fn meaning(text: &str) -> Desired {
    match read(text) {
        Ok(loaded) => loaded.desired,
        Err(error) => panic!("{:#?}", error.problems()),
    }
}

/// The messages of an unusable inventory, as `line:column message`.
fn mistakes(text: &str) -> Vec<String> {
    let error = read(text).expect_err("this inventory has a mistake");
    error
        .problems()
        .iter()
        .map(|p| format!("{}:{} {}", p.line, p.column, p.message))
        .collect()
}

/// Its problems as a person without colours sees them.
fn drawn(error: &InventoryError) -> String {
    let mut shown = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .render_report(&mut shown, error)
        .unwrap();
    shown
}

/// A usable inventory around `hosts`, flow entries without the dash.
fn with_hosts(hosts: &[&str]) -> String {
    let entries: String = hosts.iter().map(|h| format!("  - {{{h}}}\n")).collect();
    format!("cluster: a\netcd: {{version: 3.5.30}}\nhosts:\n{entries}")
}
