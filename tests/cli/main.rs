//! The command line without any host: exit codes, and what is said on which stream.

mod bundles;
mod help;
mod inventories;
mod program;
mod usage;
