//! `upgrade` and `downgrade`: one release after the other, each of them an `up` to that release, a snapshot first.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::args::Global;
use super::closed;
use super::converge::{Parts, bring_about};
use super::draft::{self, When};
use super::error::{Detail, Exit, Failure};
use super::session::Session;
use super::sight;
use super::trial;
use crate::inventory::{Version, edit, options};
use crate::ops::model::{Fact, Intent, Observed};
use crate::ops::safety::version::{ladder, may_change_version};
use crate::ops::sight::Sight;

/// etcd looks every 4 s whether its members have moved on.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// `upgrade --to`: through every minor on the way.
///
/// # Errors
/// See the exit codes. The inventory's version follows each release that every member runs.
pub async fn upgrade(global: &Global, to: Version) -> Result<Exit, Failure> {
    let mut session = Session::open(global)?;
    session.may_change().await?;
    session.way_chosen = true;
    let from = running(&session).await?;
    if from.oldest > to || session.desired().version > to {
        return Err(Failure::new(
            Exit::Usage,
            format!("{to} is older than {}", from.newest.max(session.desired().version)),
        )
        .hint(format!("to go back, use `quorate downgrade --to {to}`")));
    }
    let have: Vec<Version> = session.bundle()?.versions().into_keys().collect();
    let rungs = ladder(from.oldest, to, &have).map_err(|refusal| from.sight.complete(vec![refusal]))?;
    ends_in_the_bundle(&rungs, &have)?;
    options_survive(&session, from.oldest, &rungs)?;
    trial::rungs(&session, &rungs, &from.seen).await?;
    climb(&mut session, &rungs, to, When::Done).await
}

/// A ladder whose last rung is missing is not begun: it would end half way up, where nobody wanted to be.
fn ends_in_the_bundle(rungs: &[Version], have: &[Version]) -> Result<(), Failure> {
    let Some(missing) = rungs.last().filter(|last| rungs.len() > 1 && !have.contains(last)) else {
        return Ok(());
    };
    let there: Vec<String> = have.iter().map(Version::to_string).collect();
    Err(Failure::new(
        Exit::Bundle,
        format!("the bundle has no etcd {missing}; it has {}", there.join(", ")),
    )
    .hint(format!(
        "create a bundle that has it: `quorate bundle create --out etcd.qbundle etcd-v{missing}-linux-ARCH.tar.gz ...`"
    )))
}

/// `downgrade --to`: within a minor; over a minor only where etcd itself opens the way, which the plan asks it to.
///
/// # Errors
/// See the exit codes. The inventory's version follows once every member runs the earlier release; over a minor as soon as
/// the plan is agreed on, so that no `up` takes the members up again that are back already.
pub async fn downgrade(global: &Global, to: Version) -> Result<Exit, Failure> {
    let mut session = Session::open(global)?;
    session.may_change().await?;
    session.way_chosen = true;
    let from = running(&session).await?;
    if from.newest < to {
        return Err(Failure::new(Exit::Usage, format!("{to} is newer than {}", from.newest))
            .hint(format!("to go forward, use `quorate upgrade --to {to}`")));
    }
    may_change_version(from.newest, to).map_err(|refusal| from.sight.complete(vec![refusal]))?;
    options_survive(&session, from.newest, &[to])?;
    trial::rungs(&session, &[to], &from.seen).await?;
    let when = match to.series() < from.newest.series() {
        true => When::Agreed,
        false => When::Done,
    };
    climb(&mut session, &[to], to, when).await
}

async fn climb(session: &mut Session, rungs: &[Version], to: Version, when: When) -> Result<Exit, Failure> {
    let mut changed = 0;
    // Without a rung every member runs it already; the inventory may not say so yet.
    let rungs = if rungs.is_empty() { &[to][..] } else { rungs };
    session
        .later
        .extend(rungs.windows(2).map(|pair| next_rung(pair[0], pair[1])));
    for rung in rungs {
        let before = session.loaded.text.clone();
        let after = edit::set_version(&before, *rung)?;
        session.read_as(&after)?;
        draft::keep(session, &before, after, when);
        let intent = Intent::Converge {
            prune: false,
            limit: Vec::new(),
        };
        changed += bring_about(session, Parts::of(session)?, &intent, None).await?;
        draft::done(session)?;
        session.phase("settle", settled(session, *rung)).await?;
    }
    let summary = match changed {
        0 => format!("every member of {} already runs etcd {to}", session.desired().cluster),
        _ => format!("every member of {} runs etcd {to}", session.desired().cluster),
    };
    session.finish(true, changed, summary);
    Ok(Exit::Done)
}

/// What is known of a release on the way before the one below it runs.
fn next_rung(below: Version, rung: Version) -> String {
    let snapshot_of_the_log = match rung.series() >= (3, 7) && below.series() < (3, 7) {
        true => "; before it, members whose raft log still has requests of the v2 API write a new snapshot of it",
        false => "",
    };
    format!(
        "then, once every member runs etcd {below}, in the same way to etcd {rung}: a snapshot, and every member restarts once \
         more, the leader last{snapshot_of_the_log}"
    )
}

/// Waits until the cluster as a whole works at the minor that all of its members run: the next minor builds on that, and
/// from then on there is no way back.
async fn settled(session: &Session, rung: Version) -> Result<(), Failure> {
    let (fleet, tls) = (session.fleet(), session.vault().operator().await?);
    let begun = Instant::now();
    loop {
        let cluster = fleet.cluster_version(&tls).await;
        if cluster.is_some_and(|v| v.series() == rung.series()) {
            return Ok(());
        }
        if begun.elapsed() > SETTLE_LIMIT {
            let at = cluster.map_or("no version".to_owned(), |v| v.to_string());
            return Err(Failure::new(
                Exit::StepFailed,
                format!("every member runs etcd {rung}, but the cluster version is still {at}"),
            )
            .hint("see the leader's log (`quorate logs NAME`), then run the same command again"));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// The oldest and the newest release among the members: they differ while an upgrade is unfinished.
struct Running {
    oldest: Version,
    newest: Version,
    sight: Sight,
    /// What was seen of hosts and cluster.
    seen: Observed,
}

async fn running(session: &Session) -> Result<Running, Failure> {
    let seen = session.look(&session.fleet(), &session.vault()).await?;
    closed::to_two_clusters(session, &seen)?;
    let versions: Vec<Version> = match &seen.cluster {
        Fact::Known(membership) => membership.releases().collect(),
        Fact::Absent => return Err(no_cluster("there is no cluster yet")),
        Fact::Unknown(why) => {
            let dark = sight::in_the_dark(session.desired(), &seen);
            return Err(dark.unwrap_or_else(|| no_cluster(&format!("the cluster could not be read: {why}"))));
        }
    };
    match (versions.iter().min(), versions.iter().max()) {
        (Some(oldest), Some(newest)) => Ok(Running {
            oldest: *oldest,
            newest: *newest,
            sight: Sight::of(session.desired(), &seen),
            seen,
        }),
        _ => Err(no_cluster("no member answers")),
    }
}

fn no_cluster(why: &str) -> Failure {
    Failure::new(Exit::Blocked, why)
        .hint("bring it up with `quorate up` first; a new cluster starts with the inventory's version")
}

/// Options that a release on the way has renamed or removed: etcd itself would ignore them, or not start.
fn options_survive(session: &Session, from: Version, rungs: &[Version]) -> Result<(), Failure> {
    let config = &session.desired().options;
    for rung in rungs {
        let details: Vec<Detail> = options::check_upgrade(config, from, *rung)
            .into_iter()
            .map(|problem| Detail {
                node: None,
                message: problem.message,
                hint: problem.help,
            })
            .collect();
        if !details.is_empty() {
            let failure = Failure::new(
                Exit::Blocked,
                format!(
                    "`etcd.config` in {} does not fit etcd {rung}",
                    session.loaded.path.display()
                ),
            );
            return Err(Failure {
                details,
                ..failure.hint(format!(
                    "change these options and set `version: \"{rung}\"` in the inventory together, then run `quorate up`: \
                     it changes the release by the same rules"
                ))
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_is_begun_only_where_its_last_rung_is_there() {
        let [middle, last] = [Version::new(3, 6, 16), Version::new(3, 7, 3)];
        let refused = ends_in_the_bundle(&[middle, last], &[middle]).unwrap_err();
        assert!(
            refused.message.contains("the bundle has no etcd 3.7.3; it has 3.6.16"),
            "{}",
            refused.message
        );
        assert!(ends_in_the_bundle(&[middle, last], &[middle, last]).is_ok());
        // One rung alone is judged by its plan, which knows what the hosts have already.
        assert!(ends_in_the_bundle(&[last], &[middle]).is_ok());
    }
}
