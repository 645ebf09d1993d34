//! What a lab test works with: [`Lab`], its [`Host`]s, the program run by its operator, and waiting for conditions.

mod clients;
mod cluster;
mod etcd;
mod host;
mod lab;
mod outcome;
mod s3;
mod terminal;
mod thorough;
mod untouched;
mod wait;
mod writer;

pub use clients::kubernetes;
pub use cluster::Writes;
pub use etcd::{bundle, current, release, releases};
pub use host::Host;
pub use lab::{Lab, Running, plain_inventory};
pub use outcome::Outcome;
pub use s3::{S3_PORT, Server, s3, s3_that_only_adds};
pub use terminal::Terminal;
pub use thorough::{some_of, thorough};
pub use wait::wait_until;
pub use writer::Writer;
