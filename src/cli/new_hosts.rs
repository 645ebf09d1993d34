//! `check --hosts`: whether hosts that may carry nothing yet can run their members.

use super::error::{Detail, Exit, Failure};
use super::session::Session;
use super::trial;
use crate::bundle::Bundle;
use crate::ops::model::{Fact, why_and_help};
use crate::ops::observe::observe_hosts;
use crate::ops::plan::{count, preflight};

/// What `up` would ask of every host before it touches any; a sentence when nothing is wrong.
///
/// # Errors
/// Everything that would keep a member from starting, and every host that cannot be inspected.
pub(super) async fn will_do(session: &Session, bundle: Option<&Bundle>) -> Result<String, Failure> {
    let desired = session.desired();
    let releases = session.supplies(bundle, &session.vault())?.releases;
    let seen = session
        .phase("look", async { observe_hosts(&session.fleet()).await })
        .await;
    let (mut blocked, mut dark) = (Vec::new(), Vec::new());
    for host in desired.hosts.values() {
        match seen.get(&host.name) {
            Some(Fact::Known(facts)) => {
                if bundle.is_some() {
                    blocked.extend(preflight::unsupplied(desired.version, &releases, host, facts));
                }
                blocked.extend(preflight::lacks(desired.version, host, facts));
            }
            Some(Fact::Unknown(why)) => {
                let (message, help) = why_and_help(why);
                dark.push(Detail {
                    node: Some(host.name.to_string()),
                    message: message.to_owned(),
                    hint: help
                        .unwrap_or("make sure that it is up and reachable over SSH")
                        .to_owned(),
                });
            }
            Some(Fact::Absent) | None => {}
        }
    }
    let starts = desired.hosts.keys().map(|node| (node, desired.version));
    blocked.extend(trial::libraries(bundle, starts, &seen)?);
    let exit = match (blocked.is_empty(), dark.is_empty()) {
        (true, true) => {
            return Ok(format!(
                "{}: nothing keeps a member from starting",
                count(desired.hosts.len(), "host")
            ));
        }
        (true, false) => Exit::Unreachable,
        (false, _) => Exit::Blocked,
    };
    let refused: Failure = blocked.into();
    Err(Failure {
        details: refused.details.into_iter().chain(dark).collect(),
        ..Failure::new(exit, "not every host can run its member")
    })
}
