//! etcd's users and roles, read from one member.

use std::collections::{BTreeMap, BTreeSet};

use crate::etcd::{EtcdClient, EtcdError};
use crate::ops::authorization::AuthState;

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
    Ok(AuthState { enabled, users, roles })
}
