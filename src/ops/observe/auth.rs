//! etcd's users and roles, read from one member, and their passwords, tried there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::SecretString;

use crate::etcd::{ClientTls, EtcdClient, EtcdError, PasswordAnswer};
use crate::inventory::{AuthMode, AuthPolicy, DesiredHost};
use crate::ops::authorization::{AuthState, Login, Told, wanted};
use crate::ops::fleet::Fleet;
use crate::ops::model::{Fact, Membership, Observed};
use crate::ops::vault::Vault;
use crate::report::chain;

/// etcd's users and roles, from a healthy member; only where the inventory has a say in them.
pub(super) async fn look_at_auth(
    fleet: &Arc<Fleet>,
    tls: Option<&ClientTls>,
    cluster: &Fact<Membership>,
) -> Fact<AuthState> {
    let (Fact::Known(membership), Some(tls)) = (cluster, tls) else {
        return Fact::Absent;
    };
    if fleet.desired().auth.mode == AuthMode::LeftAlone {
        return Fact::Absent;
    }
    let Some(spec) = healthy(fleet, membership) else {
        return Fact::Unknown("no member is healthy".into());
    };
    let read = async { read_auth(&fleet.client(spec, tls).await?).await };
    match read.await {
        Ok(state) => Fact::Known(state),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

/// The same with how they stand with passwords. It is a question of its own because the sealed ones have to be opened for it.
pub async fn observe_logins(fleet: &Arc<Fleet>, vault: &Vault, seen: &Observed) -> Fact<AuthState> {
    let policy = wanted(fleet.desired());
    let (Fact::Known(state), Fact::Known(membership), AuthMode::On) = (&seen.auth, &seen.cluster, policy.mode) else {
        return seen.auth.clone();
    };
    let Some(spec) = healthy(fleet, membership) else {
        return Fact::Unknown("no member is healthy".into());
    };
    let passwords = match vault.passwords(&policy.passwords).await {
        Ok(passwords) => passwords,
        Err(error) => return Fact::unknown(&chain(&error), Some(&error.hint())),
    };
    let tried = async {
        let tls = vault.operator().await.map_err(|error| chain(&error))?;
        let client = fleet.client(spec, &tls).await.map_err(|error| chain(&error))?;
        let tried = try_logins(&client, &policy, &passwords, state).await;
        tried.map_err(|error| chain(&error))
    };
    match tried.await {
        Ok(logins) => Fact::Known(AuthState {
            logins,
            ..state.clone()
        }),
        Err(why) => Fact::Unknown(why),
    }
}

fn healthy<'a>(fleet: &'a Fleet, membership: &Membership) -> Option<&'a DesiredHost> {
    fleet.desired().hosts.values().find(|spec| {
        let member = membership.of(spec);
        member.is_some_and(|m| !m.learner && membership.healthy(m.id))
    })
}

/// Everything about authentication that etcd tells.
///
/// # Errors
/// When a call fails; `Denied` for anyone but `root` while authentication is on.
pub async fn read_auth(client: &EtcdClient) -> Result<AuthState, EtcdError> {
    let enabled = client.auth_is_on().await?;
    let mut users = BTreeMap::new();
    for user in client.user_list().await?.value {
        let roles: BTreeSet<String> = client.user_get(&user).await?.value.into_iter().collect();
        users.insert(user, roles);
    }
    let mut roles = BTreeMap::new();
    for role in client.role_list().await?.value {
        let permissions = client.role_get(&role).await?.value.into_iter().collect();
        roles.insert(role, permissions);
    }
    Ok(AuthState {
        enabled,
        users,
        roles,
        logins: BTreeMap::new(),
    })
}

fn told(answer: PasswordAnswer) -> Told {
    match answer {
        PasswordAnswer::Right => Told::Accepted,
        PasswordAnswer::Wrong => Told::Refused,
        PasswordAnswer::NoPassword => Told::NoPassword,
    }
}

/// Tries the passwords of the inventory's users: those that are sealed, and for whoever is to have none the empty one, which
/// tells whether there is another. Each that is right is a login as any other.
///
/// # Errors
/// When a call fails.
pub async fn try_logins(
    client: &EtcdClient,
    policy: &AuthPolicy,
    passwords: &BTreeMap<String, SecretString>,
    state: &AuthState,
) -> Result<BTreeMap<String, Login>, EtcdError> {
    let mut logins = BTreeMap::new();
    let nothing = SecretString::from(String::new());
    for user in policy.users.keys() {
        let exists = state.users.contains_key(user);
        if !exists && !policy.passwords.contains(user) {
            continue;
        }
        let sealed = passwords.get(user);
        let told = match state.enabled && exists {
            true => told(client.try_password(user, sealed.unwrap_or(&nothing)).await?),
            false => Told::Nothing,
        };
        let sealed = sealed.is_some();
        logins.insert(user.clone(), Login { sealed, told });
    }
    Ok(logins)
}
