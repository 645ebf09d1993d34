//! Why a cluster is slow now: what was measured in a window of time in, culprits out, the worst first. Pure.
//!
//! | file | what |
//! |---|---|
//! | `window` | what was collected, as it came |
//! | `figures` | the same as numbers that one can read, print and judge |
//! | `local` | disk, processor and memory of one host |
//! | `network` | round trips between each pair, segments that were lost |
//! | `clients` | who is sent how much |
//! | `requests` | what members wrote down about slow requests |
//! | `keys` | which prefixes hold most |
//! | `symptoms` | what follows from slowness, and names nobody |

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

mod clients;
mod figures;
mod keys;
mod local;
mod network;
mod requests;
mod symptoms;
mod window;

pub use clients::{Client, Sightings};
pub use figures::{ClientFigures, Figures, Measured, MemberFigures, PeerFigures, Shares, figures};
pub use keys::{Group, Keys, group_of};
pub use requests::{SlowRequest, SlowRequests};
pub use window::{HostWindow, Trip, Window};

use crate::inventory::{Desired, NodeName};
use crate::ops::doctor::{Finding, Kind};
use crate::ops::model::why_and_help;

/// etcd's default, in milliseconds (`DefaultTickMs`, server/embed/config.go).
const HEARTBEAT_MS: u64 = 100;

/// A culprit, and how many times over its limit it is: the worst comes first.
struct Culprit {
    times: f64,
    finding: Finding,
}

impl Culprit {
    fn new(times: f64, kind: Kind, says: String, help: &str) -> Self {
        Self {
            times,
            finding: Finding::problem(kind, says, help),
        }
    }

    fn on(mut self, node: &NodeName) -> Self {
        self.finding = self.finding.on(node);
        self
    }
}

/// What is slow, the worst first; then what could not be measured; then what follows from it.
pub fn findings(desired: &Desired, figures: &Figures) -> Vec<Finding> {
    let configured = desired.options.get("heartbeat-interval");
    let heartbeat = configured.and_then(serde_json::Value::as_u64).unwrap_or(HEARTBEAT_MS);
    let mut culprits = local::culprits(figures);
    culprits.extend(network::culprits(figures, heartbeat as f64 / 1000.0));
    culprits.extend(clients::culprits(figures));
    culprits.sort_by(|a, b| b.times.total_cmp(&a.times));
    let named = culprits.into_iter().map(|culprit| culprit.finding);
    let dark = figures.unknown.iter().map(|(host, why)| {
        let (why, help) = why_and_help(why);
        let why = why.strip_prefix(&format!("{host}: ")).unwrap_or(why);
        let help = help.unwrap_or("make sure that it is up and reachable over SSH");
        Finding::unknown(Kind::HostUnknown, format!("it cannot be inspected: {why}"), help).on(host)
    });
    named.chain(dark).chain(symptoms::symptoms(figures)).collect()
}

/// `n1`, `n1 and n2`, `n1, n2 and n3`.
fn listed(names: impl IntoIterator<Item = impl ToString>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// `under 0.1 ms`, `0.3 ms`, `180 ms`, `2.5 s`.
pub fn time(seconds: f64) -> String {
    match seconds * 1000.0 {
        tiny if tiny < 0.05 => "under 0.1 ms".to_owned(),
        small if small < 10.0 => format!("{small:.1} ms"),
        large if large < 1000.0 => format!("{large:.0} ms"),
        _ => format!("{seconds:.1} s"),
    }
}

/// `60%`.
pub fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

#[cfg(test)]
mod tests;
