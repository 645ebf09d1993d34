//! One machine: how it is reached and what quorate does on it.
//!
//! [`Transport`] is the narrow waist: run one POSIX shell script as root with a byte stream on its standard input,
//! and open a byte stream to a port as seen from the host. `ssh` and [`local`] implement it. [`Host`] is what
//! everything else uses: domain verbs, each of them one round trip.
//!
//! | file | verbs |
//! |---|---|
//! | [`observe`] | `facts`: one look at everything |
//! | [`clients`] | `clients`: who is connected to the member |
//! | [`pressure`], [`traffic`] | `pressure`, `traffic`: what it waits for, and who is sent how much |
//! | [`push`] | `push`: files, certificates and binaries, all of them or none |
//! | [`service`] | `start`, `restart`, `stop`, `disable_stop`, `service`, `journal`, `follow_journal` |
//! | [`restore`] | `restore_data`, `forget_restore` |
//! | [`data`] | `set_aside`, `wipe_contents`, `write_marker` |
//! | [`timer`] | `enable_timer`, `disable_timer`, `run_timer_now` |
//! | [`lock`] | `lock`, `steal_lock` |
//! | [`program`] | `run_program`, `receive_file` |
//! | [`trial`] | not of a host: an etcd on scratch data, on whatever machine |

pub mod clients;
pub mod data;
pub mod facts;
pub mod local;
pub mod lock;
pub mod observe;
pub mod pressure;
pub mod program;
pub mod push;
pub mod rescue;
pub mod restore;
pub mod secrets;
pub mod service;
pub mod shelf;
pub mod ssh;
pub mod timer;
pub mod traffic;
pub mod transport;
pub mod trial;

mod facts_parser;
mod replay;
mod scripts;
mod service_parser;
mod trouble;
mod verbs;

#[cfg(test)]
mod testbed;

pub use clients::Client;
pub use facts::*;
pub use local::LocalTransport;
pub use lock::{LockGuard, LockRefused};
pub use observe::FactsQuery;
pub use pressure::{Pressure, Waited};
pub use push::*;
pub use replay::RaftTail;
pub use secrets::*;
pub use shelf::Shelf;
pub use traffic::Connection;
pub use transport::*;
pub use trial::{TrialEnd, TrialProgram, TrialStand};
pub use verbs::Host;
