//! One run at a time: a lock on the hosts themselves, so that it works before there is a cluster.
//!
//! A run holds the lock on more than half of the inventory's hosts, so two runs of the same inventory can never both
//! hold it, although a host may be down. (A restore that leaves hosts out holds it on all the others.) On each host it is held by a small script that lives as long as this
//! program's connection: a killed program, a closed laptop or a rebooted host frees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::args::{Global, Unlock};
use super::error::{Detail, Exit, Failure};
use super::session::Session;
use crate::host::{FactsQuery, LockGuard, LockHolder, LockRefused};
use crate::inventory::NodeName;
use crate::ops::fleet::Fleet;
use crate::report::print::{data, say};
use crate::report::{Event, Reporter, one_line};

/// The holder of a run that was killed a moment ago needs this long at most to notice.
const GRACE: Duration = Duration::from_secs(3);

/// The lock, held on enough hosts.
pub struct Held {
    guards: Vec<(NodeName, LockGuard)>,
    watch: tokio::task::JoinHandle<()>,
    /// Set before the lock is given back: what ends from then on is no loss. (Aborting the watch alone would not reach it
    /// where it runs just now.)
    over: Arc<AtomicBool>,
    lost: Arc<OnceLock<String>>,
}

impl Held {
    /// How a run ended that was stopped because the lock was lost, and not because somebody interrupted it.
    pub fn explain(&self, ended: Failure) -> Failure {
        match self.lost.get() {
            Some(why) if ended.exit == Exit::Interrupted => Failure::new(
                Exit::Locked,
                format!("{}: {why}", ended.message),
            )
            .hint(
                "someone ran `quorate unlock --steal`, or the connections broke: `quorate unlock` shows who holds the lock. Completed steps are kept; run the same command again to \
                     continue",
            ),
            _ => ended,
        }
    }

    /// Gives it back.
    pub async fn release(mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.watch.abort();
        let guards = std::mem::take(&mut self.guards);
        join_all(guards.into_iter().map(|(_, guard)| guard.release())).await;
    }
}

/// However a command ends, a lock that it gives back itself is not one that it lost.
impl Drop for Held {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.watch.abort();
    }
}

/// Takes the lock. When it is lost later (stolen, or the connections broke) on so many hosts that another run could have
/// it, `stop` is cancelled. Hosts `without` are gone for good by the operator's word: then every other one must be held,
/// since half of all may be out of reach.
///
/// # Errors
/// Who holds it, from where, since when, doing what.
pub async fn take(
    session: &Session,
    fleet: &Arc<Fleet>,
    without: &[NodeName],
    stop: &CancellationToken,
) -> Result<Held, Failure> {
    let me = myself();
    let begun = Instant::now();
    loop {
        match try_once(session, fleet, without, &me).await {
            Ok(guards) => {
                let hosts = session.desired().hosts.keys();
                let needed = needed(hosts.filter(|node| !without.contains(node)).count(), without);
                return Ok(held(guards, needed, stop, &session.reporter));
            }
            Err(Refusal::Taken(_)) if begun.elapsed() < GRACE => sleep(Duration::from_millis(250)).await,
            Err(refusal) => return Err(refusal.into()),
        }
    }
}

/// `unlock`: shows who holds the lock; with `--steal` takes it away from them, which each host records.
///
/// # Errors
/// When a host cannot be reached.
pub async fn unlock(global: &Global, args: &Unlock) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let fleet = session.fleet();
    let me = myself();
    let mut told = Vec::new();
    for spec in session.desired().hosts.values() {
        let host = fleet.host(spec).await?;
        let holder = host.facts(&FactsQuery::default()).await?.lock;
        told.push(json!({
            "name": spec.name,
            "held_by": holder.as_ref().map(describe),
            "taken": args.steal && holder.is_some(),
        }));
        match (holder, args.steal) {
            (None, _) if session.json() => {}
            (Some(_), false) if session.json() => {}
            (None, _) => say!("{}: free", spec.name),
            (Some(holder), false) => say!("{}: {}", spec.name, one_line(&describe(&holder))),
            (Some(holder), true) => {
                host.steal_lock(&me)
                    .await
                    .map_err(|error| match error {
                        LockRefused::Host(error) => Failure::from(error),
                        LockRefused::Held(_) => Failure::new(Exit::Locked, error),
                    })?
                    .release()
                    .await;
                if !session.json() {
                    say!("{}: taken from {}", spec.name, one_line(&describe(&holder)));
                }
            }
        }
    }
    if session.json() {
        data(&json!({ "hosts": told }).to_string());
    }
    Ok(Exit::Done)
}

/// Why the lock cannot be had.
pub enum Refusal {
    /// By whom it is held, and where.
    Taken(Vec<(NodeName, LockHolder)>),
    /// Too few hosts answer.
    #[allow(missing_docs)]
    TooFew {
        held: usize,
        needed: usize,
        why: Vec<Detail>,
    },
}

async fn try_once(
    session: &Session,
    fleet: &Arc<Fleet>,
    without: &[NodeName],
    me: &LockHolder,
) -> Result<Vec<(NodeName, LockGuard)>, Refusal> {
    let hosts = session.desired().hosts.values();
    let specs: Vec<_> = hosts.filter(|spec| !without.contains(&spec.name)).collect();
    let tries = specs.iter().map(|spec| async move {
        let host = fleet.host(spec).await.map_err(LockRefused::Host)?;
        host.lock(me).await
    });
    let results = join_all(tries).await;
    let (mut guards, mut taken, mut why) = (Vec::new(), Vec::new(), Vec::new());
    for (spec, result) in specs.iter().zip(results) {
        match result {
            Ok(guard) => guards.push((spec.name.clone(), guard)),
            Err(LockRefused::Held(holder)) => taken.push((spec.name.clone(), *holder)),
            Err(LockRefused::Host(error)) => why.push(Detail {
                node: Some(spec.name.to_string()),
                message: error.what(),
                hint: error.hint().unwrap_or("fix the connection").to_owned(),
            }),
        }
    }
    let needed = needed(specs.len(), without);
    if taken.is_empty() && guards.len() >= needed {
        return Ok(guards);
    }
    let held = guards.len();
    join_all(guards.into_iter().map(|(_, guard)| guard.release())).await;
    if taken.is_empty() {
        Err(Refusal::TooFew { held, needed, why })
    } else {
        Err(Refusal::Taken(taken))
    }
}

/// On how many of the `hosts` that take part the lock must be held: no two runs can ever both have that.
fn needed(hosts: usize, without: &[NodeName]) -> usize {
    match without.is_empty() {
        true => hosts / 2 + 1,
        false => hosts,
    }
}

fn held(
    guards: Vec<(NodeName, LockGuard)>,
    needed: usize,
    stop: &CancellationToken,
    reporter: &Arc<dyn Reporter>,
) -> Held {
    let mut losses: FuturesUnordered<_> = guards
        .iter()
        .map(|(node, guard)| {
            let (node, lost) = (node.clone(), guard.lost());
            async move {
                lost.await;
                node
            }
        })
        .collect();
    let (lost, over) = (Arc::new(OnceLock::new()), Arc::new(AtomicBool::new(false)));
    let (stop, reporter, why, mut left) = (stop.clone(), reporter.clone(), lost.clone(), guards.len());
    let given_back = over.clone();
    let watch = tokio::spawn(async move {
        while let Some(node) = losses.next().await {
            if given_back.load(Ordering::SeqCst) {
                return;
            }
            left -= 1;
            let enough = left >= needed;
            let hosts = crate::ops::plan::count(left, "host");
            reporter.event(&Event::Warning {
                node: Some(node.clone()),
                text: match enough {
                    true => {
                        format!("the lock was lost here; {hosts} still hold it, and {needed} are enough: continuing")
                    }
                    false => "the lock was lost here: stopping before the next step".into(),
                },
                hint: Some("someone ran `quorate unlock --steal`, or the connection broke".into()),
            });
            if !enough {
                let _ = why.set(format!(
                    "the lock was lost on {node}: {hosts} hold it, but {needed} are required"
                ));
                stop.cancel();
                return;
            }
        }
    });
    Held {
        guards,
        watch,
        over,
        lost,
    }
}

/// `user@machine`, for others to read.
pub fn who() -> String {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "somebody".into());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| node_name());
    format!("{user}@{}", machine.trim())
}

/// This run, as others see it.
fn myself() -> LockHolder {
    let nanos = Timestamp::now().as_nanosecond();
    LockHolder {
        id: format!("{:x}-{}", nanos, std::process::id()),
        who: who(),
        pid: std::process::id(),
        since: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        doing: doing(std::env::args().skip(1)),
        alive: true,
    }
}

/// What this machine calls itself, where the kernel has no file for it.
fn node_name() -> String {
    let said = std::process::Command::new("uname").arg("-n").output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned())
        .unwrap_or_default()
}

/// The command line, for others to read: what comes behind `--` may hold values that are nobody else's business.
fn doing(args: impl Iterator<Item = String>) -> String {
    let shown: Vec<String> = args.take_while(|a| a != "--").collect();
    format!("quorate {}", shown.join(" "))
}

fn describe(holder: &LockHolder) -> String {
    let state = if holder.alive { "" } else { " (its process is gone)" };
    format!(
        "{} (process {}) since {}: {}{state}",
        holder.who, holder.pid, holder.since, holder.doing
    )
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Taken(taken) => {
                let details = taken
                    .iter()
                    .map(|(node, holder)| Detail {
                        node: Some(node.to_string()),
                        message: format!("locked by {}", describe(holder)),
                        hint: "wait for it to finish; if that run is dead or stuck: `quorate unlock --steal` (recorded on the hosts)".into(),
                    })
                    .collect();
                Failure {
                    details,
                    ..Failure::new(Exit::Locked, "another run holds the lock; nothing was changed")
                }
            }
            Refusal::TooFew { held, needed, why } => Failure {
                details: why,
                ..Failure::new(
                    Exit::Unreachable,
                    format!("the lock was acquired on {held} of the {needed} hosts that it needs; nothing was changed"),
                )
                .hint("fix that, then run the same command again")
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_can_both_hold_enough_of_the_hosts() {
        let somebody = ["n9".parse().unwrap()];
        for hosts in 1..=9 {
            assert!(2 * needed(hosts, &[]) > hosts, "{hosts}: two halves would both do");
            assert!(needed(hosts, &[]) <= hosts);
            assert_eq!(needed(hosts, &somebody), hosts, "nobody knows what those left out hold");
        }
    }
}
