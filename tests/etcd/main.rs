//! The etcd room against real etcd, over mutual TLS on loopback addresses.
//!
//! Needs the directory `QUORATE_ETCD_DIR` with `VERSION/etcd` for the versions in `cluster::versions`.

mod auth;
mod calls;
mod certs;
mod cluster;
mod hostile;
mod members;
mod options;
mod ports;
mod probe;
mod to_tls;
mod trials;
mod trouble;
