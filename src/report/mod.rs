//! What happens, as data, and how it is shown.
//!
//! One closed [`Event`] enum, many sinks. Secrets cannot be put in an event: no type in here can hold one.

pub mod event;

pub use event::*;
