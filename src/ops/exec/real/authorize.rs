//! Changing etcd's users and roles, and looking whether it did.

use std::collections::BTreeSet;

use secrecy::SecretString;

use super::RealWorld;
use crate::etcd::EtcdClient;
use crate::ops::authorization::{AuthChange, wanted};
use crate::ops::exec::StepError;
use crate::ops::observe::{read_auth, try_logins};
use crate::ops::plan::count;
use crate::pki::passwords::random;

impl RealWorld {
    pub(super) async fn authorize(&self, changes: &[AuthChange]) -> Result<String, StepError> {
        let membership = self.membership().await?;
        let client = self.leader(&membership).await?;
        for change in changes {
            self.make(&client, change).await?;
        }
        let policy = wanted(self.desired());
        let mut now = read_auth(&client).await?;
        let passwords = self.vault.passwords(&policy.passwords).await?;
        now.logins = try_logins(&client, &policy, &passwords, &now).await?;
        if let Some(user) = now.refused(&policy) {
            return Err(StepError::new(format!("etcd refuses the sealed password of `{user}`"))
                .hint("something else is changing users and roles too: see `quorate plan`"));
        }
        match changes.iter().find(|change| !change.holds(&now)) {
            None => Ok(format!(
                "{}, confirmed in etcd{}",
                count(changes.len(), "change"),
                match changes
                    .iter()
                    .any(|change| matches!(change, AuthChange::SealPassword { .. }))
                {
                    true => "; commit the pki directory: a new password is in it",
                    false => "",
                }
            )),
            Some(open) => Err(StepError::new(format!(
                "etcd accepted the change but does not show it: {}",
                open.describe()
            ))
            .hint("something else is changing users and roles too: see `quorate plan`")),
        }
    }

    async fn make(&self, client: &EtcdClient, change: &AuthChange) -> Result<(), StepError> {
        let made = match change {
            AuthChange::SealPassword { user } => {
                return self.vault.seal_password(user, &random()?).await.map(drop);
            }
            AuthChange::AddUser { user, password } => {
                let password = self.password_for(user, *password).await?;
                client.user_add(user, password.as_ref()).await
            }
            AuthChange::ReplaceUser { user, password } => {
                let password = self.password_for(user, *password).await?;
                match client.user_delete(user).await {
                    Ok(_) => client.user_add(user, password.as_ref()).await,
                    failed => failed,
                }
            }
            AuthChange::SetPassword { user } => match self.password_for(user, true).await? {
                Some(password) => client.user_change_password(user, &password).await,
                None => return Ok(()),
            },
            AuthChange::AddRole { role } => client.role_add(role).await,
            AuthChange::Grant { role, permission } => client.role_grant_permission(role, permission).await,
            AuthChange::Revoke { role, permission } => {
                let (key, end) = (&permission.key, &permission.range_end);
                client.role_revoke_permission(role, key, end).await
            }
            AuthChange::DeleteRole { role } => client.role_delete(role).await,
            AuthChange::GrantRole { user, role } => client.user_grant_role(user, role).await,
            AuthChange::RevokeRole { user, role } => client.user_revoke_role(user, role).await,
            AuthChange::DeleteUser { user } => client.user_delete(user).await,
            AuthChange::Enable => client.auth_enable().await,
            AuthChange::Disable => client.auth_disable().await,
        };
        made.map(drop).map_err(|error| {
            StepError::new(format!("{}: {error}", change.describe()))
                .hint("run the same command again: it picks up from the current state")
        })
    }

    /// The sealed one, where the user is to have one.
    async fn password_for(&self, user: &str, wanted: bool) -> Result<Option<SecretString>, StepError> {
        if !wanted {
            return Ok(None);
        }
        let mut sealed = self.vault.passwords(&BTreeSet::from([user.to_owned()])).await?;
        match sealed.remove(user) {
            Some(password) => Ok(Some(password)),
            None => Err(StepError::new(format!("no password is sealed for `{user}`"))
                .hint("run the same command again: it makes one")),
        }
    }
}
