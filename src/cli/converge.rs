//! The surroundings of `ops/flow.rs` for every command that changes a cluster: real hosts, the bundle, the CA, a terminal.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::error::{Detail, Exit, Failure};
use super::interrupt::unless;
use super::session::Session;
use super::settle::settled;
use super::{confirm, draft, dry_run, lock, probe, show, trial};
use crate::backup::Unlocked;
use crate::bundle::Bundle;
use crate::inventory::DesiredHost;
use crate::ops::authorization::as_wanted;
use crate::ops::check::{Look, why_unhealthy};
use crate::ops::exec::real::RealWorld;
use crate::ops::exec::{RunError, World, run};
use crate::ops::fleet::Fleet;
use crate::ops::flow::{self, Ended, Stale, Surroundings};
use crate::ops::model::{Fact, Intent, Observed, Policy, Supplies};
use crate::ops::observe::{observe_clients, observe_logins, observe_replays};
use crate::ops::plan::{Plan, count, plan};
use crate::ops::rest::RestNote;
use crate::ops::safety::quorum::Strength;
use crate::ops::vault::Vault;
use crate::report::print::tell_all;
use crate::report::{Paint, quiet, terminal_width};

/// The real parts that a changing command works with.
pub struct Parts {
    /// The hosts.
    pub fleet: Arc<Fleet>,
    /// The CA.
    pub vault: Arc<Vault>,
    /// The releases; `None` where the command installs nothing.
    pub bundle: Option<Bundle>,
    /// What is restored from, for a restore.
    pub backup: Option<Unlocked>,
}

impl Parts {
    /// Wires them for a session.
    ///
    /// # Errors
    /// When there is no usable bundle.
    pub fn of(session: &Session) -> Result<Self, Failure> {
        Ok(Self {
            fleet: session.fleet(),
            vault: session.vault(),
            bundle: Some(session.bundle()?),
            backup: None,
        })
    }

    /// Wires them for a command that installs nothing.
    pub fn without_bundle(session: &Session) -> Self {
        Self {
            fleet: session.fleet(),
            vault: session.vault(),
            bundle: None,
            backup: None,
        }
    }

    /// The same with a backup to restore.
    #[must_use]
    pub fn with_backup(mut self, backup: Unlocked) -> Self {
        self.backup = Some(backup);
        self
    }

    /// Looks at everything that the intent needs.
    pub async fn look(&self, session: &Session, intent: &Intent) -> Result<Observed, Failure> {
        let mut seen = match intent.mends_trust() {
            true => session.look_past_expiry(&self.fleet, &self.vault).await?,
            false => {
                let seen = session.look(&self.fleet, &self.vault).await?;
                settled(session, &self.fleet, &self.vault, seen).await?
            }
        };
        if intent.stops_everybody() {
            seen.clients = observe_clients(&self.fleet, &seen.hosts).await;
        }
        seen.auth = observe_logins(&self.fleet, &self.vault, &seen).await;
        seen.replays = observe_replays(&self.fleet, &seen).await;
        Ok(seen)
    }

    /// The plan for what was seen, for whoever only wants to see it.
    ///
    /// # Errors
    /// Every reason not to begin.
    pub fn draft(&self, session: &Session, intent: &Intent, seen: &Observed, policy: Policy) -> Result<Plan, Failure> {
        let change = Change {
            session,
            parts: self,
            policy,
        };
        Ok(flow::draft(&change, intent, seen)?)
    }

    /// Makes the plan for what was seen. One who only looks is shown it without etcd's users and roles, which etcd tells to
    /// `root` alone.
    ///
    /// # Errors
    /// Every reason not to begin.
    fn plan(&self, session: &Session, intent: &Intent, seen: &Observed, policy: Policy) -> Result<Plan, Failure> {
        let supplies: Supplies = session.supplies(self.bundle.as_ref(), &self.vault)?;
        let desired = session.desired();
        if !(self.vault.only_looks() && matches!(seen.auth, Fact::Unknown(_)) && seen.cluster.known().is_some()) {
            return Ok(plan(intent, desired, seen, policy, &supplies)?);
        }
        let seen = Observed {
            auth: Fact::Known(as_wanted(desired)),
            ..seen.clone()
        };
        let mut plan = plan(intent, desired, &seen, policy, &supplies)?;
        let note = "etcd's users and roles are not part of this plan: they could not be read, because etcd shows them to `root` alone";
        plan.notes.push(note.to_owned());
        Ok(plan)
    }
}

impl Parts {
    /// Looks at every release that the plan takes from the bundle, before the first host is touched.
    fn releases_are_whole(&self, plan: &Plan) -> Result<(), Failure> {
        let changes = plan.steps().filter_map(|step| step.action.change());
        let releases: BTreeSet<_> = changes
            .filter_map(|change| change.release.as_ref())
            .map(|release| (release.version, release.arch))
            .collect();
        for (version, arch) in releases {
            if let Some(bundle) = &self.bundle {
                bundle.check_packed(version, arch)?;
            }
        }
        Ok(())
    }
}

/// Brings an intent about; says how it ended and returns the number of steps that changed something.
///
/// # Errors
/// See the exit codes.
pub async fn bring_about(
    session: &Session,
    parts: Parts,
    intent: &Intent,
    saved: Option<&Plan>,
) -> Result<usize, Failure> {
    session.may_change().await?;
    let change = Change {
        session,
        parts: &parts,
        policy: session.policy(),
    };
    Ok(flow::bring_about(&change, intent, saved).await?)
}

/// A change of real hosts, as a person at a terminal (or a fleet's command) wants it.
struct Change<'a> {
    session: &'a Session,
    parts: &'a Parts,
    policy: Policy,
}

#[async_trait]
impl Surroundings for Change<'_> {
    type No = Failure;
    type Lock = lock::Held;

    async fn look(&self, intent: &Intent) -> Result<Observed, Failure> {
        self.session.phase("look", self.look_again(intent)).await
    }

    fn plan(&self, intent: &Intent, seen: &Observed) -> Result<Plan, Failure> {
        self.parts.plan(self.session, intent, seen, self.policy)
    }

    async fn before(&self, plan: &mut Plan, seen: &Observed) -> Result<(), Failure> {
        match self.session.global.dry_run {
            true => Err(Failure::only(
                dry_run::shown(self.session, self.parts, plan, seen, false).await?,
            )),
            false => trial::before(self.session, self.parts, plan, seen).await,
        }
    }

    async fn agree(&self, plan: &Plan) -> Result<(), Failure> {
        agree(self.session, self.parts, plan)
    }

    fn changes(&self) -> bool {
        !self.session.global.dry_run
    }

    async fn lock(&self, intent: &Intent) -> Result<lock::Held, Failure> {
        let (session, stop) = (self.session, self.session.stop());
        let lock = lock::take(session, &self.parts.fleet, intent.left_out(), stop);
        session.phase("lock", unless(stop, lock)).await
    }

    async fn look_again(&self, intent: &Intent) -> Result<Observed, Failure> {
        unless(self.session.stop(), self.parts.look(self.session, intent)).await
    }

    fn changed_meanwhile(&self) {
        self.session
            .note(&format!("{}; this is the new plan", Stale::WhileReviewed));
    }

    fn begin(&self) -> Result<(), Failure> {
        draft::agreed(self.session)?;
        if let Some(part) = &self.session.global.part {
            part.goes_on();
        }
        Ok(())
    }

    async fn apply(&self, plan: &Plan, seen: Observed) -> Result<(), Failure> {
        apply(self.session, self.parts, plan, seen, self.session.stop()).await
    }

    fn nothing_to_do(&self, intent: &Intent, plan: &Plan, seen: &Observed) -> Result<(), Failure> {
        plan.notes.iter().for_each(|note| self.session.note(note));
        well(self.session, intent, seen)
    }

    fn explain(&self, lock: &lock::Held, failure: Failure) -> Failure {
        lock.explain(failure)
    }

    async fn unlock(&self, lock: lock::Held) {
        lock.release().await;
    }
}

impl From<Ended<Failure>> for Failure {
    fn from(ended: Ended<Failure>) -> Self {
        match ended {
            Ended::No(failure) => failure,
            Ended::Busy(others) => lock::Refusal::Taken(others).into(),
            Ended::BeforeNextPart(refusal) => Failure {
                message: "stopped before the next part: it would not be safe".into(),
                ..refusal
            },
            Ended::Stale(why) => stale(&why.to_string()),
            Ended::Contradicts(finding) => Failure::new(
                Exit::Unexpected,
                format!("the plan contradicts what was seen: {finding}"),
            )
            .hint("nothing was touched; this is a fault of quorate's: report it with the output of `quorate status --output json`"),
            Ended::Endless(_) => Failure::new(
                Exit::StepFailed,
                "the hosts still differ from the inventory after several rounds",
            )
            .hint("something else is changing them too: see `quorate plan`"),
        }
    }
}

/// Nothing is agreed to that the bundle could not do: it is looked at first, for every plan that is shown.
fn agree(session: &Session, parts: &Parts, plan: &Plan) -> Result<(), Failure> {
    parts.releases_are_whole(plan)?;
    if let Some(part) = &session.global.part {
        part.agreed_to(plan)?;
        return confirm::allowed(&session.global, plan.risk());
    }
    if session.json() {
        return confirm::plan(session, plan);
    }
    let _quiet = quiet(session.reporter.as_ref());
    let width = terminal_width().map_or(usize::MAX, usize::from);
    let with_diffs = session.global.verbose > 0;
    tell_all!("{}", show::plan(plan, Paint::from_env(true), with_diffs, width));
    confirm::plan(session, plan)
}

async fn apply(
    session: &Session,
    parts: &Parts,
    plan: &Plan,
    seen: Observed,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let probe = probe::start(session, parts, &seen).await;
    let world = RealWorld::new(parts.fleet.clone(), parts.vault.clone(), parts.bundle.clone(), seen)
        .with_backup(parts.backup.clone());
    let done = session
        .phase("apply", run(plan, &world, session.reporter.as_ref(), stop))
        .await;
    if let Some(probe) = probe {
        probe::finish(session, probe, done.is_ok()).await;
    }
    let Err(error) = done else { return Ok(()) };
    if let RunError::Stopped(_) = error {
        return Err(Failure::new(Exit::Interrupted, error)
            .hint("run the same command again to continue where this one stopped"));
    }
    let hint = match &error {
        RunError::NotSafe { hint, .. } => {
            let again = "run the same command again once that is resolved; completed steps are kept";
            hint.as_ref()
                .map_or(again.to_owned(), |hint| format!("{hint}. Then {again}"))
        }
        _ => "fix the cause and run the same command again to continue from here".to_owned(),
    };
    let why = match holds_now(&world).await {
        Some(now) => format!("{now}; {error}"),
        None => error.to_string(),
    };
    Err(Failure::new(Exit::StepFailed, why).hint(hint))
}

/// What holds now comes first, then why; `None` where nobody could say.
async fn holds_now(world: &RealWorld) -> Option<String> {
    let seen = world.look(&Look::at_the_cluster()).await;
    let Strength { voters, healthy } = Strength::of(seen.cluster.known()?);
    let now = Strength { voters, healthy };
    Some(match (healthy == voters, now.has_quorum()) {
        (true, _) => format!("the cluster is healthy ({})", count(voters, "voter")),
        (false, true) => format!("the cluster has quorum ({healthy} of {voters} voters are healthy)"),
        (false, false) => format!("the cluster has no quorum ({healthy} of {voters} voters are healthy)"),
    })
}

/// Nothing differs; but a member may be sick all the same, and then `nothing to do` would be a lie.
fn well(session: &Session, intent: &Intent, seen: &Observed) -> Result<(), Failure> {
    let (Intent::Converge { limit, .. }, Fact::Known(membership)) = (intent, &seen.cluster) else {
        return Ok(());
    };
    let details: Vec<Detail> = session
        .desired()
        .hosts
        .values()
        .filter(|host| limit.is_empty() || limit.contains(&host.name))
        .filter_map(|host| Some((host, membership.of(host)?)))
        .filter(|(host, member)| !membership.healthy(member.id) && !rests(host, seen))
        .map(|(host, member)| Detail {
            node: Some(host.name.to_string()),
            message: why_unhealthy(membership, member.id),
            hint: format!("see `quorate health` and `quorate logs {}`", host.name),
        })
        .collect();
    if details.is_empty() {
        return Ok(());
    }
    Err(Failure {
        details,
        ..Failure::new(
            Exit::StepFailed,
            "the hosts match the inventory, but the cluster is not healthy",
        )
    })
}

/// Down on purpose, which a note of the plan has said.
fn rests(host: &DesiredHost, seen: &Observed) -> bool {
    let facts = seen.hosts.get(&host.name).and_then(Fact::known);
    facts.is_some_and(|facts| RestNote::in_force(host, facts).is_some())
}

pub(super) fn stale(why: &str) -> Failure {
    Failure::new(Exit::Stale, format!("the plan is stale: {why}"))
        .hint("nothing was changed; make a new plan with `quorate plan`")
}
