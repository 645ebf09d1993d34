//! One machine: how it is reached and what quorate does on it.
//!
//! [`Transport`] is the narrow waist: run one POSIX shell script as root with a byte stream on its standard input,
//! and open a byte stream to a port as seen from the host. `ssh` and [`local`] implement it. [`Host`] is what
//! everything else uses: domain verbs, each of them one round trip.
//!
//! | file | verbs |
//! |---|---|
//! | [`observe`] | `facts`: one look at everything |
//! | [`clients`] | `clients`: who is connected to the member |
//! | [`pressure`], [`traffic`] | `pressure`, `traffic`: what it waits for, and who is sent how much |
//! | [`push`] | `push`: files, certificates and binaries, all of them or none |
//! | [`service`] | `start`, `restart`, `stop`, `disable_stop`, `service`, `journal`, `follow_journal` |
//! | [`restore`] | `restore_data`, `forget_restore` |
//! | [`data`] | `set_aside`, `wipe_contents`, `write_marker` |
//! | [`timer`] | `enable_timer`, `disable_timer`, `run_timer_now` |
//! | [`lock`] | `lock`, `steal_lock` |
//! | [`etcdctl`], [`examine`] | `etcdctl`, `examine`: etcd's own tools there, for an operator whose machine cannot run them |
//! | [`program`] | `run_program`, `receive_file` |
//! | [`trial`] | not of a host: an etcd on scratch data, on whatever machine |

pub mod clients;
pub mod data;
pub mod etcdctl;
pub mod examine;
pub mod facts;
pub mod libc;
pub mod local;
pub mod lock;
pub mod observe;
pub mod pressure;
pub mod program;
pub mod push;
pub mod rescue;
pub mod restore;
pub mod running;
pub mod secrets;
pub mod service;
pub mod shelf;
pub mod ssh;
pub mod timer;
pub mod traffic;
pub mod transport;
pub mod trial;

mod facts_parser;
mod replay;
mod restored;
mod scripts;
mod service_parser;
mod trouble;
mod verbs;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod testbed;

pub use clients::Client;
pub use etcdctl::{Etcdctl, Sitting};
pub use examine::{Examine, Examined};
pub use facts::*;
pub use libc::Libc;
pub use local::LocalTransport;
pub use lock::{LockGuard, LockRefused};
pub use observe::FactsQuery;
pub use pressure::{Pressure, Waited};
pub use push::*;
pub use replay::RaftTail;
pub use restored::Restored;
pub use secrets::*;
pub use shelf::Shelf;
pub use traffic::Connection;
pub use transport::*;
pub use trial::{TrialEnd, TrialProgram, TrialStand};
pub use verbs::Host;

#[cfg(any(test, feature = "lab"))]
fn fuzz_query() -> (crate::inventory::HostPath, FactsQuery) {
    let path = |text: &str| text.parse().expect("a path");
    let query = FactsQuery {
        contents: vec![path("/etc/etcd/etcd-config.yml")],
        hashes: vec![path("/etc/etcd/pki/ca.crt")],
        ports: vec![2379, 2380],
        disks: vec![path("/var/lib/etcd")],
        ..FactsQuery::default()
    };
    (path("/opt/quorate/etcd"), query)
}

/// What a look at a host says, for `crate::fuzz`.
#[cfg(any(test, feature = "lab"))]
pub(crate) fn fuzz_facts(text: &str) {
    let (bin, query) = fuzz_query();
    let sent = observe::Sent { at: 0.0, answered: 1.0 };
    std::hint::black_box(facts_parser::host_facts(text, &bin, &query, sent).is_ok());
    std::hint::black_box(facts_parser::member_facts(text, &bin).is_ok());
}

/// Who holds a lock, for `crate::cli::formats_tests`.
#[cfg(test)]
pub(crate) fn lock_holder_in(json: &str) -> LockHolder {
    facts_parser::lock_holder(json, true)
}

/// What other scripts say, for `crate::fuzz`.
#[cfg(any(test, feature = "lab"))]
pub(crate) fn fuzz_answers(text: &str) {
    let (bin, _) = fuzz_query();
    std::hint::black_box(service_parser::service_facts(text, &bin).is_ok());
    std::hint::black_box(clients::fuzz(text));
    std::hint::black_box(facts_parser::lock_holder(text, true));
    std::hint::black_box(trouble::script_failed(
        &"etcd-1".parse().expect("a name"),
        "x",
        &Output {
            status: Some(70),
            stderr: text.to_owned(),
            ..Output::default()
        },
    ));
}
