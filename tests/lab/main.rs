//! The suite on real hosts: the real program, real sshd, real systemd, real etcd (see `lab/lab`).
//!
//! Built with the feature `lab` and run as root by `make test`. One file per capability; every test boots hosts of its
//! own (under a second) and takes them away again, also when it panics or is killed.

mod adopt;
mod afar;
mod agreed;
mod airgap;
mod arm64;
mod backup;
mod bounds;
mod ci;
#[path = "../ci_scripts/mod.rs"]
mod ci_scripts;
mod clients_firewall;
mod clients_json;
mod clients_kube;
mod clients_lb;
mod clients_monitoring;
mod cold_start;
mod crash;
mod dark;
mod destroy;
mod doctor;
mod drift;
mod fleet;
mod guards;
#[allow(dead_code, unused_imports, reason = "a toolbox: not every tool of it has a user yet")]
mod harness;
mod hosts;
mod kinds;
mod leaks;
mod lock;
mod matrix;
mod members_join;
mod members_leave;
mod members_refusals;
mod members_versions;
mod model;
mod moved_entries;
mod moves;
mod nothing_left;
mod odd_logins;
mod packages;
mod pki;
mod pki_clients;
mod pki_company;
mod pki_mistakes;
mod places;
mod questions;
mod recover;
mod refusals_access;
mod refusals_ca;
mod refusals_hosts;
mod refusals_push;
mod refusals_supplies;
mod releases;
mod rest;
mod restore;
mod schedule;
mod signatures;
mod skew;
mod slow;
mod ssh;
mod streams;
mod taken_over;
mod up;
mod upkeep;
mod viewers;
mod watch;
