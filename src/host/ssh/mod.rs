//! Hosts over SSH: [`connect`] gives a [`crate::host::Transport`], [`scan`] and [`pin`] are `quorate trust`.
//!
//! | file | one idea |
//! |---|---|
//! | `route` | the hops to a target: inventory, then `~/.ssh/config`, then defaults |
//! | `settings`, `ssh_g`, `config_file`, `glob` | what `~/.ssh/config` says, from OpenSSH or by an own small reader |
//! | `environment` | the operator's side, shared by all connections of a run |
//! | `known_hosts`, `pin`, `scan` | which host keys are trusted; pinning them |
//! | `handler`, `link`, `stall`, `jumps` | one connection; sharing bastions |
//! | `keys`, `offers`, `signer`, `auth` | the login |
//! | `command`, `sudo` | a script as a command line that runs as root |
//! | `session`, `exec`, `channel`, `tunnel` | running scripts and opening streams |

mod auth;
mod channel;
mod command;
mod config_file;
mod connect;
mod environment;
mod exec;
mod glob;
mod handler;
mod jumps;
mod keys;
mod known_hosts;
mod link;
mod offers;
mod pin;
mod route;
mod scan;
mod session;
mod settings;
mod signer;
mod ssh_g;
mod stall;
mod sudo;
mod trouble;
mod tunnel;

pub use command::quote;
pub use connect::connect;
pub use environment::SshEnvironment;
pub use pin::{HostKey, PinError, pin, pinned};
pub use scan::{KeyState, ScannedKey, scan};
pub use session::SshTransport;
pub use tunnel::FORWARDING_FORBIDDEN;
