//! The SSH transport against real OpenSSH servers on loopback. Needs `openssh-server` and `openssh-client`.

mod as_openssh;
mod bastions;
mod few_sessions;
mod host_keys;
mod logins;
mod losses;
mod no_forwarding;
mod odd_logins;
mod scripts;
mod server;
mod sudo;
mod token;
