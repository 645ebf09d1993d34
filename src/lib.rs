//! quorate brings up and looks after etcd clusters from an operator's laptop, over SSH.
//!
//! One direction only: nothing left of `plan()` changes anything, nothing right of it decides anything.
//!
//! ```text
//! inventory.yml --parse--> Inventory --resolve--> Desired --+
//!                                                           +-> plan() -> Plan -> exec --Event--> report
//! hosts + etcd --observe (reads only)--> Observed ----------+                     +-> Host, EtcdClient
//! ```
//!
//! | room | owns |
//! |---|---|
//! | [`bounds`] | how much another machine may say, and how long that may take |
//! | [`inventory`] | the file as typed, its errors with places, and what it means: `Desired` |
//! | [`pki`] | which certificates must exist, issuing, reading, the sealed CA key |
//! | [`render`] | `Desired` to the bytes of every file that lands on a host |
//! | [`clients`] | what clients, load balancers, monitoring and firewalls are given |
//! | [`backup`] | backup files: taken, sealed, checked, read again |
//! | [`bundle`] | packing, checking and embedding etcd releases |
//! | [`host`] | one connection to a machine: facts, files, services, tunnels |
//! | [`etcd`] | etcd's gRPC and HTTP through a tunnel |
//! | [`ops`] | observed reality, safety rules, plans and their execution |
//! | [`report`] | events, and how they are shown |
//! | [`cli`] | what was typed; wires the real parts together |

// On Windows there is nothing but `main`, which says so.
#![cfg(unix)]

pub mod backup;
pub mod bounds;
pub mod bundle;
pub mod cli;
pub mod clients;
pub mod etcd;
pub mod host;
pub mod inventory;
pub mod ops;
pub mod pki;
pub mod render;
pub mod report;

#[cfg(any(test, feature = "lab"))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
mod sim;
