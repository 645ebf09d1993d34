//! Observed reality, the safety rules, plans, and their execution.
//!
//! [`plan::plan`] is pure: the same intent, desired state and observation give the same plan. [`exec`] runs a plan
//! against a [`exec::World`] and has no choices left.

pub mod check;
pub mod model;
pub mod plan;
pub mod safety;

pub use model::*;
