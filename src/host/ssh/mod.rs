//! Hosts over SSH: [`connect`] gives a [`crate::host::Transport`], [`scan`] and [`pin`] are `quorate trust`.
//!
//! | file | one idea |
//! |---|---|
//! | `route` | the hops to a target: inventory, then `~/.ssh/config`, then defaults |
//! | `settings`, `ssh_g`, `config_file`, `glob` | what `~/.ssh/config` says, from OpenSSH or by an own small reader |
//! | `tokens` | what `%h`, `${NAME}` and `~` stand for in it |
//! | `identities` | the key files that it names, which also open what is sealed |
//! | `listed` | the hosts that a `~/.ssh/config` names, for `init --from` |
//! | `environment` | the operator's side, shared by all connections of a run |
//! | `known_hosts`, `pin`, `scan` | which host keys are trusted; pinning them |
//! | `handler`, `algorithms`, `link`, `proxy`, `stall`, `jumps` | one connection; sharing bastions |
//! | `keys`, `offers`, `signer`, `questions`, `auth` | the login |
//! | `command`, `frame` | a script as a line that any login shell can start; what of the output is the script's |
//! | `sudo`, `password` | becoming root |
//! | `session`, `exec`, `channel`, `tunnel`, `relay` | running scripts and opening streams |
//! | `sessions` | as many connections as it takes where one has few sessions |
//! | `judge` | what the end of a command means |

mod algorithms;
mod auth;
mod channel;
mod command;
mod config_file;
mod connect;
mod environment;
mod exec;
mod frame;
mod glob;
mod handler;
mod identities;
mod judge;
mod jumps;
mod keys;
mod known_hosts;
mod link;
mod listed;
mod offers;
mod password;
mod pin;
mod proxy;
mod questions;
mod relay;
mod route;
mod scan;
mod session;
mod sessions;
mod settings;
mod signer;
mod ssh_g;
mod stall;
mod sudo;
mod tokens;
mod trouble;
mod tunnel;

pub use command::quote;
pub use connect::connect;
pub use environment::{SshEnvironment, Told};
pub use identities::identity_files;
pub use listed::listed;
pub use pin::{HostKey, PinError, pin, pinned};
pub use scan::{KeyState, ScannedKey, scan};
pub use session::SshTransport;
pub use tunnel::FORWARDING_FORBIDDEN;

/// A file like `~/.ssh/config`, for `crate::fuzz`.
#[cfg(any(test, feature = "lab"))]
pub(crate) fn fuzz_config(path: &std::path::Path) {
    let subject = settings::Subject {
        host: "etcd-1.example.com",
        home: std::path::Path::new("/home/operator"),
    };
    std::hint::black_box(config_file::read(&[path.to_owned()], subject).is_ok());
}

/// A file like `~/.ssh/known_hosts`, for `crate::fuzz`.
#[cfg(any(test, feature = "lab"))]
pub(crate) fn fuzz_known_hosts(text: &str) {
    let mut known = known_hosts::KnownHosts::default();
    known.add(std::path::Path::new("known_hosts"), text);
    let host = known_hosts::HostId {
        names: vec!["etcd-1".to_owned()],
        port: 22,
    };
    std::hint::black_box(known.pinned(&host).count());
}

/// What comes over a channel, in pieces, for `crate::fuzz`. The number of the frame stands for itself.
#[cfg(any(test, feature = "lab"))]
pub(crate) fn fuzz_frame(bytes: &[u8]) {
    let nonce = frame::Nonce {
        first: "Q1".to_owned(),
        second: "2".to_owned(),
    };
    let mut frame = frame::Frame::new(&nonce);
    for piece in bytes.chunks(7) {
        std::hint::black_box(frame.out(bytes::Bytes::copy_from_slice(piece)));
        std::hint::black_box(frame.err(bytes::Bytes::copy_from_slice(piece)));
    }
    std::hint::black_box((frame.verdict(), frame.said_by_sudo()));
}
