//! The command line without any host: exit codes, and what is said on which stream.

mod bundles;
mod ci;
#[path = "../ci_scripts/mod.rs"]
mod ci_scripts;
mod completions;
mod fleets;
mod help;
mod imports;
mod inventories;
mod keys;
mod program;
mod shared;
mod usage;
