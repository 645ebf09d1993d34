//! etcd's users and roles as they are, and what makes them what the inventory wants. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::inventory::{AuthMode, AuthPolicy, Desired, Permission, ROOT};
use crate::pki::peer_spec;

/// etcd's own users and roles, as it tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthState {
    /// Whether authentication is on.
    pub enabled: bool,
    /// The roles of each user.
    pub users: BTreeMap<String, BTreeSet<String>>,
    /// The permissions of each role.
    pub roles: BTreeMap<String, BTreeSet<Permission>>,
    /// How the inventory's users stand with passwords: those that etcd has, and those that are to log in with one.
    #[serde(default)]
    pub logins: BTreeMap<String, Login>,
}

/// How a user stands with its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Whether a password for it lies sealed beside the CA.
    pub sealed: bool,
    /// What etcd says when it is tried; without one the empty password is.
    pub told: Told,
}

/// What etcd says to a password. Nothing else tells what it has: there is no call for it, and only a hash is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// It is the right one.
    Accepted,
    /// The user has another.
    Refused,
    /// The user was made without one, and can never be given one (`UserChangePassword`, auth/store.go, says that it was
    /// done and does nothing).
    NoPassword,
    /// Nothing: there is no such user, or authentication is off, and then etcd looks at no password.
    Nothing,
}

/// Users and roles as they should be: the inventory's, and the members' own where they take backups by themselves. A
/// snapshot takes the role `root` (`authMaintenanceServer`, server/etcdserver/api/v3rpc/maintenance.go), and a member shows
/// the certificate that it has: whoever holds its key speaks raft, and can do more than that.
pub fn wanted(desired: &Desired) -> AuthPolicy {
    let mut policy = desired.auth.clone();
    if desired.backup.is_some() && policy.mode == AuthMode::On {
        for host in desired.hosts.values() {
            let user = peer_spec(desired, host).common_name;
            policy.users.entry(user).or_default().insert(ROOT.to_owned());
        }
    }
    policy
}

/// Users and roles that are all that the inventory asks for: for a plan of someone to whom etcd does not tell those it has.
pub fn as_wanted(desired: &Desired) -> AuthState {
    let policy = wanted(desired);
    let accepted = Login {
        sealed: true,
        told: Told::Accepted,
    };
    let mut state = AuthState {
        enabled: policy.mode == AuthMode::On,
        users: policy.users,
        roles: policy.roles,
        logins: policy.passwords.into_iter().map(|user| (user, accepted)).collect(),
    };
    state.users.entry(ROOT.to_owned()).or_default().insert(ROOT.to_owned());
    state.roles.entry(ROOT.to_owned()).or_default();
    state
}

/// One change to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum AuthChange {
    AddRole {
        role: String,
    },
    Grant {
        role: String,
        permission: Permission,
    },
    Revoke {
        role: String,
        permission: Permission,
    },
    DeleteRole {
        role: String,
    },
    AddUser {
        user: String,
        /// With the sealed one.
        #[serde(default)]
        password: bool,
    },
    /// Makes a password at random, and seals it beside the CA.
    SealPassword {
        user: String,
    },
    /// Sets the sealed one.
    SetPassword {
        user: String,
    },
    /// Deletes it and adds it again: the only way from a user without a password to one with, and back.
    ReplaceUser {
        user: String,
        password: bool,
    },
    GrantRole {
        user: String,
        role: String,
    },
    RevokeRole {
        user: String,
        role: String,
    },
    DeleteUser {
        user: String,
    },
    Enable,
    Disable,
}

impl AuthChange {
    /// As a line of a diff.
    pub fn describe(&self) -> String {
        match self {
            AuthChange::AddRole { role } => format!("+ role {role}"),
            AuthChange::Grant { role, permission } => format!("+ role {role}: {permission}"),
            AuthChange::Revoke { role, permission } => format!("- role {role}: {permission}"),
            AuthChange::DeleteRole { role } => format!("- role {role}"),
            AuthChange::AddUser { user, password: false } => format!("+ user {user}"),
            AuthChange::AddUser { user, password: true } => format!("+ user {user}, with the sealed password"),
            AuthChange::SealPassword { user } => {
                format!("+ user {user}: a random password, sealed in the pki directory")
            }
            AuthChange::SetPassword { user } => format!("~ user {user}: the sealed password replaces the one before"),
            AuthChange::ReplaceUser { user, password: true } => {
                format!("~ user {user}: created again, with the sealed password")
            }
            AuthChange::ReplaceUser { user, password: false } => {
                format!("~ user {user}: created again, without a password")
            }
            AuthChange::GrantRole { user, role } => format!("+ user {user}: role {role}"),
            AuthChange::RevokeRole { user, role } => format!("- user {user}: role {role}"),
            AuthChange::DeleteUser { user } => format!("- user {user}"),
            AuthChange::Enable => "+ authentication".into(),
            AuthChange::Disable => "- authentication".into(),
        }
    }

    /// Whether somebody may do less afterwards.
    pub fn takes_away(&self) -> bool {
        self.describe().starts_with(['-', '~']) || *self == AuthChange::Enable
    }

    /// Whether it has been done.
    pub fn holds(&self, state: &AuthState) -> bool {
        let permits = |role: &str, wanted: &Permission| state.roles.get(role).is_some_and(|p| p.contains(wanted));
        // What etcd does not tell is tried when it does: see `refused`.
        let not_refused = |user: &str| state.told(user) != Some(Told::Refused);
        let has = |user: &str, role: &str| state.users.get(user).is_some_and(|roles| roles.contains(role));
        match self {
            AuthChange::AddRole { role } => state.roles.contains_key(role),
            AuthChange::Grant { role, permission } => permits(role, permission),
            AuthChange::Revoke { role, permission } => !permits(role, permission),
            AuthChange::DeleteRole { role } => !state.roles.contains_key(role),
            // It was read again when it was written.
            AuthChange::SealPassword { user } => state.logins.get(user).is_some_and(|login| login.sealed),
            AuthChange::AddUser { user, password } | AuthChange::ReplaceUser { user, password } => {
                let other = match password {
                    true => Told::NoPassword,
                    false => Told::Accepted,
                };
                state.users.contains_key(user) && state.told(user) != Some(other) && (!password || not_refused(user))
            }
            AuthChange::SetPassword { user } => state.users.contains_key(user) && not_refused(user),
            AuthChange::GrantRole { user, role } => has(user, role),
            AuthChange::RevokeRole { user, role } => !has(user, role),
            AuthChange::DeleteUser { user } => !state.users.contains_key(user),
            AuthChange::Enable => state.enabled,
            AuthChange::Disable => !state.enabled,
        }
    }
}

impl AuthState {
    fn told(&self, user: &str) -> Option<Told> {
        self.logins.get(user).map(|login| login.told)
    }

    /// A user that is to log in with a password and cannot, although authentication is on.
    pub fn refused<'a>(&self, policy: &'a AuthPolicy) -> Option<&'a str> {
        let users = policy.passwords.iter().filter(|_| self.enabled);
        let mut refused = users.filter(|user| self.told(user) != Some(Told::Accepted));
        refused.next().map(String::as_str)
    }

    /// The inventory's users that have a password it does not want: it would let them in.
    pub fn password_unasked(&self, policy: &AuthPolicy) -> Vec<String> {
        let has = |user: &&String| matches!(self.told(user), Some(Told::Accepted | Told::Refused));
        let users = policy.users.keys().filter(|user| !policy.passwords.contains(*user));
        users.filter(has).cloned().collect()
    }
}

/// Users and roles that etcd has and the inventory does not list, by name. `root` is quorate's own.
pub fn unlisted(policy: &AuthPolicy, state: &AuthState) -> (Vec<String>, Vec<String>) {
    let users = state.users.keys().filter(|name| !policy.users.contains_key(*name));
    let roles = state.roles.keys().filter(|name| !policy.roles.contains_key(*name));
    let others = |name: &&String| *name != ROOT;
    (
        users.filter(others).cloned().collect(),
        roles.filter(others).cloned().collect(),
    )
}

/// What makes users and roles those of the inventory, in an order in which nobody loses what it is to keep: what is
/// given comes before what is taken. Whoever is not listed goes only with `prune`.
pub fn principals(policy: &AuthPolicy, state: &AuthState, prune: bool) -> Vec<AuthChange> {
    if policy.mode != AuthMode::On {
        return Vec::new();
    }
    let mut changes = Vec::new();
    let mut taken = Vec::new();
    let (no_permission, no_role) = (BTreeSet::new(), BTreeSet::new());
    let root_role = (ROOT.to_owned(), BTreeSet::new());
    let root_user = (ROOT.to_owned(), BTreeSet::from([ROOT.to_owned()]));

    for (role, wanted) in policy.roles.iter().chain([(&root_role.0, &root_role.1)]) {
        let have = state.roles.get(role);
        changes.extend(have.is_none().then(|| AuthChange::AddRole { role: role.clone() }));
        // The role `root` may do everything, whatever permissions it has.
        let have = have.filter(|_| role != ROOT).unwrap_or(&no_permission);
        permissions(role, wanted, have, &mut changes, &mut taken);
    }
    for (user, wanted) in policy.users.iter().chain([(&root_user.0, &root_user.1)]) {
        let made = user_with_its_password(user, policy, state, prune);
        let anew = matches!(
            made.last(),
            Some(AuthChange::AddUser { .. } | AuthChange::ReplaceUser { .. })
        );
        changes.extend(made);
        let have = state.users.get(user).filter(|_| !anew).unwrap_or(&no_role);
        let of = |role: &String| (user.clone(), role.clone());
        let (gives, takes) = (wanted.difference(have).map(of), have.difference(wanted).map(of));
        changes.extend(gives.map(|(user, role)| AuthChange::GrantRole { user, role }));
        if user != ROOT {
            taken.extend(takes.map(|(user, role)| AuthChange::RevokeRole { user, role }));
        }
    }
    changes.extend(taken);
    if prune {
        let (users, roles) = unlisted(policy, state);
        changes.extend(users.into_iter().map(|user| AuthChange::DeleteUser { user }));
        changes.extend(roles.into_iter().map(|role| AuthChange::DeleteRole { role }));
    }
    changes
}

/// What makes a user exist, with the sealed password or without any. While authentication is off etcd tells no user with a
/// password from one without, and nobody is one: those that are to have one are made again.
fn user_with_its_password(user: &str, policy: &AuthPolicy, state: &AuthState, prune: bool) -> Vec<AuthChange> {
    let exists = state.users.contains_key(user);
    let login = state.logins.get(user);
    let told = login.map_or(Told::Nothing, |login| login.told);
    let user = user.to_owned();
    if !policy.passwords.contains(&user) {
        let unasked = prune && matches!(told, Told::Accepted | Told::Refused);
        return match (exists, unasked) {
            (false, _) => vec![AuthChange::AddUser { user, password: false }],
            (true, true) => vec![AuthChange::ReplaceUser { user, password: false }],
            (true, false) => Vec::new(),
        };
    }
    let sealed = login.is_some_and(|login| login.sealed);
    let seal = (!sealed).then(|| AuthChange::SealPassword { user: user.clone() });
    let set = match (exists, told) {
        (true, Told::Accepted) if sealed => None,
        (true, Told::Accepted | Told::Refused) => Some(AuthChange::SetPassword { user }),
        (true, Told::NoPassword | Told::Nothing) => Some(AuthChange::ReplaceUser { user, password: true }),
        (false, _) => Some(AuthChange::AddUser { user, password: true }),
    };
    seal.into_iter().chain(set).collect()
}

/// Another access to the same keys is granted in place, except where the role has a second range that begins with the
/// same key: etcd finds the first of them only, and would add a duplicate (`roleGrantPermission`, auth/store.go).
fn permissions(
    role: &str,
    wanted: &BTreeSet<Permission>,
    have: &BTreeSet<Permission>,
    changes: &mut Vec<AuthChange>,
    taken: &mut Vec<AuthChange>,
) {
    let revoke = |permission: &Permission| AuthChange::Revoke {
        role: role.to_owned(),
        permission: permission.clone(),
    };
    for permission in wanted.difference(have) {
        let replaced = have.iter().find(|old| old.same_keys(permission));
        let begins_alike = have.iter().filter(|old| old.key == permission.key).count();
        changes.extend(replaced.filter(|_| begins_alike > 1).map(revoke));
        changes.push(AuthChange::Grant {
            role: role.to_owned(),
            permission: permission.clone(),
        });
    }
    let gone = have.difference(wanted);
    taken.extend(
        gone.filter(|old| !wanted.iter().any(|new| new.same_keys(old)))
            .map(revoke),
    );
}

/// Whether authentication is to be switched on or off; the last thing that is done.
pub fn switch(policy: &AuthPolicy, state: &AuthState) -> Option<AuthChange> {
    match (policy.mode, state.enabled) {
        (AuthMode::On, false) => Some(AuthChange::Enable),
        (AuthMode::Off, true) => Some(AuthChange::Disable),
        _ => None,
    }
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
