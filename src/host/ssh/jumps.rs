//! Bastions: one connection to each, shared by all hosts behind it, and a limit on logins under way through it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::{Mutex, Semaphore};

use super::environment::SshEnvironment;
use super::link::Link;
use super::route::{Hop, Route};
use super::trouble::Trouble;
use crate::host::SecretSource;

/// Logins under way through one bastion. From the eighth on, OpenSSH's default `MaxStartups 10:30:100` drops some.
const LOGINS: usize = 5;

/// The bastions of one run, by the way that leads to them.
#[derive(Default)]
pub(super) struct JumpPool {
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
}

struct Slot {
    logins: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Weak: the hosts behind it keep the connection open, and it closes after the last one.
    link: Weak<Link>,
    failure: Option<(Instant, Trouble)>,
}

/// Connects along `route` and logs in at its target.
pub(super) async fn reach(
    route: &Route,
    env: &SshEnvironment,
    secrets: &Arc<dyn SecretSource>,
) -> Result<Link, Trouble> {
    let Some((via, slot)) = through(&route.jumps, env, secrets).await? else {
        return Link::open(&route.target, None, env, secrets).await;
    };
    // The semaphore is never closed, so there always is a permit in the end.
    let _permit = slot.logins.acquire().await;
    Link::open(&route.target, Some(&via), env, secrets).await
}

/// The connection to the last of `jumps`, shared with everybody who goes the same way.
async fn through(
    jumps: &[Hop],
    env: &SshEnvironment,
    secrets: &Arc<dyn SecretSource>,
) -> Result<Option<(Arc<Link>, Arc<Slot>)>, Trouble> {
    let Some((last, before)) = jumps.split_last() else {
        return Ok(None);
    };
    let way = jumps
        .iter()
        .map(|hop| format!("{} {:?}", hop.label(), hop.identities.files))
        .collect::<Vec<_>>();
    let slot = env.jumps.slot(way.join(" > ")).await;
    let asked = Instant::now();
    let mut state = slot.state.lock().await;
    if let Some(link) = state.link.upgrade().filter(|link| !link.handle.is_closed()) {
        drop(state);
        return Ok(Some((link, slot)));
    }
    // Whoever waited for an attempt that failed shares its failure instead of waiting as long again.
    if let Some((when, trouble)) = &state.failure
        && *when >= asked
    {
        return Err(trouble.clone());
    }
    let opened = match Box::pin(through(before, env, secrets)).await {
        Ok(Some((via, outer))) => {
            let _permit = outer.logins.acquire().await;
            Link::open(last, Some(&via), env, secrets).await.map_err(at_the_jump)
        }
        Ok(None) => Link::open(last, None, env, secrets).await.map_err(at_the_jump),
        Err(trouble) => Err(trouble),
    };
    match opened {
        Ok(link) => {
            let link = Arc::new(link);
            *state = State {
                link: Arc::downgrade(&link),
                failure: None,
            };
            drop(state);
            Ok(Some((link, slot)))
        }
        Err(trouble) => {
            state.failure = Some((Instant::now(), trouble.clone()));
            Err(trouble)
        }
    }
}

/// The connection to the last of `jumps`, for a scan behind it.
pub(super) async fn jump_link(
    jumps: &[Hop],
    env: &SshEnvironment,
    secrets: &Arc<dyn SecretSource>,
) -> Result<Option<Arc<Link>>, Trouble> {
    Ok(through(jumps, env, secrets).await?.map(|(link, _)| link))
}

fn at_the_jump(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Connect { target, why, hint } => Trouble::Connect {
            target: format!("jump host {target}"),
            why,
            hint,
        },
        Trouble::Login {
            target,
            user,
            tried,
            hint,
        } => Trouble::Login {
            target: format!("{target} (jump host)"),
            user,
            tried,
            hint,
        },
        other => other,
    }
}

impl JumpPool {
    async fn slot(&self, way: String) -> Arc<Slot> {
        let new = || {
            Arc::new(Slot {
                logins: Semaphore::new(LOGINS),
                state: Mutex::default(),
            })
        };
        Arc::clone(self.slots.lock().await.entry(way).or_insert_with(new))
    }
}
