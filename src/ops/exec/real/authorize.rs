//! Changing etcd's users and roles, and looking whether it did.

use super::RealWorld;
use crate::etcd::{EtcdClient, EtcdError, Header};
use crate::ops::authorization::AuthChange;
use crate::ops::exec::StepError;
use crate::ops::observe::read_auth;
use crate::ops::plan::count;

impl RealWorld {
    pub(super) async fn authorize(&self, changes: &[AuthChange]) -> Result<String, StepError> {
        let membership = self.membership().await?;
        let client = self.leader(&membership).await?;
        for change in changes {
            make(&client, change).await.map_err(|error| {
                StepError::new(format!("{}: {error}", change.describe()))
                    .hint("run the same command again: it picks up from the current state")
            })?;
        }
        let now = read_auth(&client).await?;
        match changes.iter().find(|change| !change.holds(&now)) {
            None => Ok(format!("{}, confirmed in etcd", count(changes.len(), "change"))),
            Some(open) => Err(StepError::new(format!(
                "etcd accepted the change but does not show it: {}",
                open.describe()
            ))
            .hint("something else is changing users and roles too: see `quorate plan`")),
        }
    }
}

async fn make(client: &EtcdClient, change: &AuthChange) -> Result<Header, EtcdError> {
    match change {
        AuthChange::AddRole { role } => client.role_add(role).await,
        AuthChange::Grant { role, permission } => client.role_grant_permission(role, permission).await,
        AuthChange::Revoke { role, permission } => {
            let (key, end) = (&permission.key, &permission.range_end);
            client.role_revoke_permission(role, key, end).await
        }
        AuthChange::DeleteRole { role } => client.role_delete(role).await,
        AuthChange::AddUser { user } => client.user_add(user, None).await,
        AuthChange::GrantRole { user, role } => client.user_grant_role(user, role).await,
        AuthChange::RevokeRole { user, role } => client.user_revoke_role(user, role).await,
        AuthChange::DeleteUser { user } => client.user_delete(user).await,
        AuthChange::Enable => client.auth_enable().await,
        AuthChange::Disable => client.auth_disable().await,
    }
}
