//! A cluster that something else made, taken over while it runs. From what runs to the inventory that describes it; pure.
//!
//! | file | what |
//! |---|---|
//! | `options` | flags, variables and configuration files as one set of options, as etcd reads them |
//! | `kept` | which of them stay, and which keep a member from being taken over |
//! | `hands` | who keeps a member running, and what its next start would be |
//! | `names` | what a member's host is called |
//! | `listens` | what a member listens on |
//! | `member` | one member as an inventory could have it, or every reason why none can |
//! | `inventory` | the members together: the inventory's text, each line with where it comes from |

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

pub mod hands;
pub mod inventory;
mod kept;
mod listens;
pub mod member;
pub mod names;
pub mod options;

use crate::inventory::NodeName;

/// Why a cluster cannot be taken over, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hurdle {
    /// The host that it is about.
    pub node: Option<NodeName>,
    /// What is in the way.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

impl Hurdle {
    /// One that is about a host.
    pub fn on(node: &NodeName, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            node: Some(node.clone()),
            what: what.into(),
            help: help.into(),
        }
    }

    /// One that is about the cluster.
    pub fn of_all(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            node: None,
            what: what.into(),
            help: help.into(),
        }
    }
}
