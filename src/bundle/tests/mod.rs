//! The room as a whole: from hostile or honest sources to a bundle that is used.

mod archives;
mod bundles;
mod executables;
mod fixtures;
mod signatures;
mod sources;
