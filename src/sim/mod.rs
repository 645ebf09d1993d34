//! A simulated world behind the planner: hosts, etcd's membership, a clock of its own, seeded faults, and an oracle.
//!
//! The real executor ([`crate::ops::exec::run`]) drives it on tokio's paused clock, so that a plan of minutes takes
//! microseconds. What it says an action does is what `ops/exec/real` and etcd do (facts/etcd.md sections 3 and 4).
//!
//! | file | what |
//! |---|---|
//! | `stock` | what worlds are made of: inventories, releases, certificates made once |
//! | `host` | one machine: files, unit, data directory |
//! | `raft` | one cluster: votes, leader, log, and etcd's rules about changing its members |
//! | `world` | hosts and clusters under one clock |
//! | `boot` | what happens when a unit is started |
//! | `look` | the world as `observe` sees it |
//! | `apply` | what each action does, stroke by stroke |
//! | `drive` | the world as the executor's, with crashes between strokes, and rounds of plan and apply |
//! | `oracle` | judges every state in between, knowing nothing of `ops/safety` |
//! | `dice` | seeded chance |
//! | `chaos` | random worlds, intents and faults |
//! | `rule_tests` | what each rule says, on clusters small enough to read |
//! | `arbitrary` | observations that no world could give |

mod apply;
mod arbitrary;
mod boot;
mod chaos;
mod dice;
mod drive;
mod host;
mod look;
mod oracle;
mod raft;
mod rule_tests;
mod stock;
mod world;

mod properties;
