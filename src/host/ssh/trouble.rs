//! What can go wrong on the way to a host, before it is known for which node the way was taken.
//!
//! A shared bastion fails once for everybody behind it; each node then gets the same trouble under its own name.

use crate::host::HostError;
use crate::inventory::NodeName;

/// A [`HostError`] without the node.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    Connect {
        target: String,
        why: String,
        hint: String,
    },
    HostKey {
        why: String,
        hint: String,
    },
    Login {
        target: String,
        user: String,
        tried: String,
        hint: String,
    },
}

impl Trouble {
    /// The same trouble, for `node`.
    pub(super) fn on(self, node: &NodeName) -> HostError {
        let node = node.clone();
        match self {
            Trouble::Connect { target, why, hint } => HostError::Connect {
                node,
                target,
                why,
                hint,
            },
            Trouble::HostKey { why, hint } => HostError::HostKey { node, why, hint },
            Trouble::Login {
                target,
                user,
                tried,
                hint,
            } => HostError::Login {
                node,
                target,
                user,
                tried,
                hint,
            },
        }
    }
}
