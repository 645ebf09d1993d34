//! What those who use a cluster are given, made from the inventory alone. Pure: the same input gives the same bytes.
//!
//! | file | what |
//! |---|---|
//! | `endpoints` | the list that clients dial, and whether certificates carry another name of it |
//! | `readiness` | what a health check may ask a member of a release |
//! | `firewall` | who may reach which port: nftables, firewalld, ufw |
//! | `kube` | certificates and configuration for Kubernetes and what runs beside it |
//! | `login` | for those who log in with a password: Patroni |
//! | `lb` | HAProxy in front of the client ports |
//! | `monitoring` | Prometheus: scrape configuration, targets, alerts; a Grafana dashboard |
//!
//! No file made here holds a secret, but those that are told to by their name.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

pub mod endpoints;
pub mod firewall;
pub mod kube;
pub mod lb;
pub mod login;
pub mod monitoring;
mod readiness;

pub use readiness::readiness;
