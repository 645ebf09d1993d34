//! etcd's own authentication: users and roles as the inventory lists them, and the switch last of all.

use super::waves::{Draft, Effect, step};
use super::{Action, Risk, Situation, Step, Target};
use crate::inventory::{AuthMode, DesiredHost};
use crate::ops::authorization::{AuthChange, principals, switch, unlisted, wanted};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Membership, why_and_help};
use crate::ops::safety::clients::{may_end_logins, may_require_users};
use crate::ops::safety::{Blocked, Rule};

/// The waves of it; none when the inventory does not say anything about it.
///
/// # Errors
/// When users and roles could not be read, or known clients would be locked out.
pub(super) fn users_and_roles(
    situation: Situation<'_>,
    membership: &Membership,
    prune: bool,
    draft: &mut Draft,
) -> Result<(), Vec<Blocked>> {
    let policy = &wanted(situation.desired);
    if policy.mode == AuthMode::LeftAlone {
        return Ok(());
    }
    let state = match &situation.observed.auth {
        Fact::Known(state) => state,
        Fact::Absent => return Err(vec![unread("no member was queried")]),
        Fact::Unknown(why) => return Err(vec![unread(why)]),
    };
    let untried = policy.passwords.iter().find(|user| !state.logins.contains_key(*user));
    if let (Some(user), AuthMode::On) = (untried, policy.mode) {
        return Err(vec![unread(&format!("the password of `{user}` was not tried"))]);
    }
    let switched = switch(policy, state);
    let turning_on = switched == Some(AuthChange::Enable);
    if turning_on && !situation.policy.accept_outage {
        let json = situation.desired.gateway_is_on();
        may_require_users(policy, &situation.supplies.clients, json).map_err(|refusal| vec![refusal])?;
    }
    let changes = principals(policy, state, prune);
    if !situation.policy.accept_outage {
        may_end_logins(&situation.desired.clients, &ended(&changes, &switched, situation))
            .map_err(|refusal| vec![refusal])?;
    }
    draft.wave("users and roles", Effect::None, principals_step(changes));
    let Some(switched) = switched else {
        note_unlisted(situation, prune, draft);
        return Ok(());
    };
    let why = match turning_on {
        true => {
            "from then on each client is the user named by its certificate's common name, or that it logs in as, and no one else has access"
        }
        false => "from then on every certificate of the CA has full access",
    };
    let is_voter = |host: &&DesiredHost| membership.of(host).is_some_and(|m| m.started() && !m.learner);
    let voters: Vec<&DesiredHost> = situation.desired.hosts.values().filter(is_voter).collect();
    let look = Action::LookAgain {
        nodes: voters.iter().map(|host| host.name.clone()).collect(),
        cluster_id: Some(membership.cluster_id),
    };
    draft.wave(
        "etcd's own authentication",
        Effect::None,
        vec![authorize(vec![switched]).because([why.to_owned()])],
    );
    let look = step(Target::Cluster, look, Risk::ReadOnly);
    let look = voters.iter().fold(look, |look, host| {
        look.ensures(Check::HealthyVoter { url: host.peer_url() })
    });
    draft.wave("verify", Effect::None, vec![look]);
    note_unlisted(situation, prune, draft);
    Ok(())
}

/// The changes that end what somebody holds: while authentication is off nobody is logged in, and of a cluster that never
/// gave anybody a certificate nobody is a client.
fn ended(changes: &[AuthChange], switched: &Option<AuthChange>, situation: Situation<'_>) -> Vec<AuthChange> {
    match switched {
        None => changes.to_vec(),
        Some(_) if situation.supplies.clients.is_empty() => Vec::new(),
        Some(switched) => vec![switched.clone()],
    }
}

/// What is only reported: nobody is deleted unasked.
fn note_unlisted(situation: Situation<'_>, prune: bool, draft: &mut Draft) {
    let policy = &wanted(situation.desired);
    let (Fact::Known(state), AuthMode::On, false) = (&situation.observed.auth, policy.mode, prune) else {
        return;
    };
    let unasked = state.password_unasked(policy);
    if !unasked.is_empty() {
        draft.notes.push(format!(
            "etcd lets these users in with a password that the inventory does not ask for (`password: true`); `up --prune` \
             would take it from them: {}",
            unasked.join(", ")
        ));
    }
    let (users, roles) = unlisted(policy, state);
    for (what, names) in [("users", users), ("roles", roles)] {
        if !names.is_empty() {
            draft.notes.push(format!(
                "etcd has {what} that the inventory does not list; `up --prune` would delete: {}",
                names.join(", ")
            ));
        }
    }
}

fn principals_step(changes: Vec<AuthChange>) -> Vec<Step> {
    match changes.is_empty() {
        true => Vec::new(),
        false => vec![authorize(changes)],
    }
}

fn authorize(changes: Vec<AuthChange>) -> Step {
    step(Target::Cluster, Action::Authorize { changes }, Risk::Reversible)
}

fn unread(why: &str) -> Blocked {
    let (why, help) = why_and_help(why);
    Blocked::new(
        Rule::Unknown,
        format!("etcd's users and roles could not be read: {why}"),
        help.unwrap_or("give etcd a user `root` with the role `root` and no password: quorate connects as that user"),
    )
}
