//! Observed reality, the safety rules, plans, and their execution.
//!
//! [`plan::plan`] is pure: the same intent, desired state and observation give the same plan. [`exec`] runs a plan
//! against a [`exec::World`] and has no choices left.

pub mod adopt;
pub mod authorization;
pub mod check;
pub mod destroy;
pub mod doctor;
pub mod exec;
pub mod fleet;
pub mod flow;
pub mod inspect;
pub mod last_resort;
pub mod listening;
pub mod measure;
pub mod model;
pub mod observe;
pub mod place;
pub mod plan;
pub mod recover;
pub mod rest;
pub mod restore;
#[cfg(test)]
pub(crate) mod samples;

pub mod safety;
pub mod settling;
pub mod sight;
pub mod slow;
pub mod trial;
pub mod vault;

pub use model::*;
