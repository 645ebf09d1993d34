//! One machine: how it is reached and what quorate does on it.
//!
//! [`Transport`] is the narrow waist: run one POSIX shell script as root with a byte stream on its standard input,
//! and open a byte stream to a port as seen from the host. `ssh` and `local` implement it. [`Host`] is what
//! everything else uses: domain verbs, each of them one round trip.

pub mod facts;
pub mod secrets;
pub mod ssh;
pub mod transport;

pub use facts::*;
pub use secrets::*;
pub use transport::*;
