//! The inventory: the file as it is typed, every problem in it with its place, and what it means.
//!
//! [`names`] are the checked building blocks, [`desired`] is the fully resolved result that every other
//! room works from.

pub mod desired;
pub mod leaf;
pub mod names;
pub mod options;
pub mod problem;
pub mod quantity;
pub mod raw;
pub mod read;
pub mod tree;

pub use desired::*;
pub use names::*;
