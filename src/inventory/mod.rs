//! The inventory: the file as it is typed, every problem in it with its place, and what it means.
//!
//! ```text
//! texts --tree, merge--> nodes with places --read--> raw structs as typed --resolve, checks--> Desired
//! ```
//!
//! There is more than one text where an inventory shares settings with others ([`shared`]).
//!
//! Every step reports its [`Problem`]s and carries on, so that one run shows all of them. [`names`] are the checked
//! building blocks, [`leaf`] the single values, [`desired`] is the fully resolved result that every other room works
//! from, [`options`] knows etcd's own options by version.

pub mod authorization;
pub mod clients;
pub mod desired;
pub mod edit;
pub mod explain;
pub mod import;
pub mod init;
pub mod leaf;
pub mod names;
pub mod options;
pub mod problem;
pub mod quantity;
pub mod raw;
pub mod reference;
pub mod shared;
pub mod tree;

mod checks;
mod merge;
mod parse;
mod paths;
mod place;
mod read;
mod resolve;
mod resolve_auth;
mod resolve_backup;
mod resolve_clients;
mod sites;

pub use authorization::{Access, AuthMode, AuthPolicy, Permission, ROOT};
pub use clients::ClientKind;
pub use desired::*;
pub use names::*;
pub use parse::{Environment, Loaded, load, parse};
pub use place::{BackupPlace, RemoteDirectory};
pub use problem::{InventoryError, Place, Problem, Problems, Severity};
pub use raw::schema;
pub use resolve::listens_by_default;
pub use sites::Sites;

#[cfg(test)]
pub mod samples;
#[cfg(test)]
mod tests;
