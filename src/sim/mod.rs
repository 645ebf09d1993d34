//! A simulated world behind the planner: hosts, etcd's membership, a clock of its own, seeded faults, and an oracle.
//!
//! The real executor ([`crate::ops::exec::run`]) drives it on tokio's paused clock, so that a plan of minutes takes
//! microseconds. What it says an action does is what `ops/exec/real` and etcd do (docs/etcd.md, "First start" and
//! "Membership").
//!
//! | file | what |
//! |---|---|
//! | `stock` | what worlds are made of: inventories, releases, machines |
//! | `papers` | CAs and certificates, real and made once |
//! | `host` | one machine: files, unit, data directory |
//! | `raft` | one cluster: votes, leader, log, and etcd's rules about changing its members |
//! | `database` | what clients have written, the files it is in, quotas and alarms |
//! | `talk` | who can talk to whom, by the certificates they show and know |
//! | `world` | hosts and clusters under one clock |
//! | `boot` | what happens when a unit is started |
//! | `look` | the world as `observe` sees it |
//! | `apply` | what each action does, stroke by stroke |
//! | `restore` | what the steps of a restore do |
//! | `downgrade` | the way back over a minor release: etcd's job, its refusals, and the form of each member's storage |
//! | `rescue` | what a recovery finds, and what it saves |
//! | `upkeep` | what the steps of `defrag`, `compact` and `alarm disarm` do |
//! | `drive` | the world as the executor's, with crashes between strokes, and runs on it |
//! | `operator` | the surroundings of a change: who reads the plan, and a lock |
//! | `oracle` | judges every state in between, knowing nothing of `ops/safety` |
//! | `dice` | seeded chance |
//! | `chaos` | random worlds, intents and faults |
//! | `decay` | full databases and lost majorities, and what is asked for then |
//! | `scenes` | small worlds that a reader can hold in their head |
//! | `hints` | what a person does who is refused, word by word |
//! | `ladder` | every way from an older release to a newer one |
//! | `lint_rules` | each rule of the lint, broken on purpose |
//! | `arbitrary` | observations that no world could give |
//! | `pace` | how long the planner takes |

mod agreed_tests;
mod apply;
mod arbitrary;
mod boot;
mod chaos;
pub mod dark;
mod database;
mod decay;
mod dice;
mod downgrade;
pub mod drive;
mod flow_tests;
mod hints;
pub mod host;
mod ladder;
mod lint_rules;
mod log;
mod look;
pub mod operator;
mod oracle;
mod pace;
mod papers;
mod raft;
mod rescue;
mod rest_tests;
mod restart_tests;
mod restore;
mod rule_tests;
pub mod scenes;
pub mod stock;
mod talk;
mod upkeep;
mod upkeep_tests;
pub mod world;

mod properties;
