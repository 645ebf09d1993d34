//! Asks etcd itself: a release is started for a moment with exactly the options that members would get, on scratch data,
//! before any of them is stopped for it. A list of values that etcd dies of will never be whole.
//!
//! | file | what |
//! |---|---|
//! | `configuration` | a rendered file without what belongs to its host; pure |
//! | `words` | what of etcd's log says why it ended; pure |
//! | `bench` | one release on one machine: starts it, and finds out which options it dies of |
//! | `place` | where that is: the operator's machine, or a host |
//!
//! What is due is told by [`crate::ops::plan::starts`], what follows from a fault by [`crate::ops::safety::trial`].

mod bench;
mod configuration;
mod place;
mod words;

pub use bench::{Bench, TrialError};
pub use configuration::Configuration;
pub use place::{here, on_host};
