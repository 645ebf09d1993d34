//! etcd's own users and roles. quorate is `root` by its certificate's common name, before and after enabling.

use secrecy::{ExposeSecret, SecretString};
use tonic::transport::Channel;

use super::{EtcdClient, LARGEST_MESSAGE, RAFT_LIMIT};
use crate::etcd::error::Asked;
use crate::etcd::model::MOST_GRANTS;
use crate::etcd::pb::auth_client::AuthClient;
use crate::etcd::{Access, Answer, EtcdError, Header, Permission, pb};

/// What etcd says to a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordAnswer {
    /// It is the user's.
    Right,
    /// It is not, or there is no such user.
    Wrong,
    /// The user was made without a password, and no password will do.
    NoPassword,
}

impl EtcdClient {
    fn auth(&self, operation: &'static str) -> (Asked<'_>, AuthClient<Channel>) {
        (
            self.asked(operation, RAFT_LIMIT),
            AuthClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_MESSAGE),
        )
    }

    /// Switches authentication on. The user `root` with the role `root` must exist.
    ///
    /// # Errors
    /// `Refused` without that user.
    pub async fn auth_enable(&self) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("auth enable");
        let answer = asked.answer(auth.auth_enable(pb::AuthEnableRequest {})).await?;
        asked.header(answer.header)
    }

    /// Switches authentication off.
    ///
    /// # Errors
    /// `Denied` for anyone but root.
    pub async fn auth_disable(&self) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("auth disable");
        let answer = asked.answer(auth.auth_disable(pb::AuthDisableRequest {})).await?;
        asked.header(answer.header)
    }

    /// Is authentication on?
    ///
    /// # Errors
    /// `Other` with code `Unimplemented` on 3.4.
    pub async fn auth_status(&self) -> Result<Answer<bool>, EtcdError> {
        let (asked, mut auth) = self.auth("auth status");
        let answer = asked.answer(auth.auth_status(pb::AuthStatusRequest {})).await?;
        asked.with(answer.header, answer.enabled)
    }

    /// Is authentication on? On every release: 3.4 has no call that tells, but refuses a token to somebody it has never
    /// heard of for another reason when authentication is off (`CheckPassword`, auth/store.go).
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn auth_is_on(&self) -> Result<bool, EtcdError> {
        match self.auth_status().await {
            Err(EtcdError::Other { code, .. }) if code == "Unimplemented" => {}
            told => return told.map(|answer| answer.value),
        }
        let (asked, mut auth) = self.auth("auth status");
        let request = pb::AuthenticateRequest {
            name: "quorate-asks-whether-authentication-is-on".to_owned(),
            password: String::new(),
        };
        let says = |message: &str, text: &str| message.contains(text);
        match asked.answer(auth.authenticate(request)).await {
            Err(EtcdError::Refused { message, .. }) if says(&message, "authentication is not enabled") => Ok(false),
            Err(EtcdError::Other { message, .. }) if says(&message, "authentication failed") => Ok(true),
            Err(error) => Err(error),
            Ok(_) => Ok(true),
        }
    }

    /// Whether this is a user's password, which a login with it tells: the right one gets a token that nobody uses.
    ///
    /// # Errors
    /// `Refused` while authentication is off.
    pub async fn try_password(&self, name: &str, password: &SecretString) -> Result<PasswordAnswer, EtcdError> {
        let (asked, mut auth) = self.auth("authenticate");
        let request = pb::AuthenticateRequest {
            name: name.to_owned(),
            password: password.expose_secret().to_owned(),
        };
        let says = |message: &str, text: &str| message.contains(text);
        match asked.answer(auth.authenticate(request)).await {
            Ok(_) => Ok(PasswordAnswer::Right),
            // The same words in 3.4 to 3.7 (`ErrNoPasswordUser`, auth/store.go; `ErrGRPCAuthFailed`, rpctypes; tried).
            Err(EtcdError::Denied { message, .. }) if says(&message, "no password user") => {
                Ok(PasswordAnswer::NoPassword)
            }
            Err(EtcdError::Other { message, .. }) if says(&message, "invalid user ID or password") => {
                Ok(PasswordAnswer::Wrong)
            }
            Err(error) => Err(error),
        }
    }

    /// Creates a user; without a password it can only come in by its certificate's common name.
    ///
    /// # Errors
    /// `Refused` when it exists.
    pub async fn user_add(&self, name: &str, password: Option<&SecretString>) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("user add");
        let request = pb::AuthUserAddRequest {
            name: name.to_owned(),
            password: password.map(|p| p.expose_secret().to_owned()).unwrap_or_default(),
            options: Some(pb::UserAddOptions {
                no_password: password.is_none(),
            }),
        };
        let answer = asked.answer(auth.user_add(request)).await?;
        asked.header(answer.header)
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// `Refused` when there is none.
    pub async fn user_delete(&self, name: &str) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("user delete");
        let name = name.to_owned();
        let answer = asked
            .answer(auth.user_delete(pb::AuthUserDeleteRequest { name }))
            .await?;
        asked.header(answer.header)
    }

    /// The roles of a user.
    ///
    /// # Errors
    /// `Refused` when there is no such user.
    pub async fn user_get(&self, name: &str) -> Result<Answer<Vec<String>>, EtcdError> {
        let (asked, mut auth) = self.auth("user get");
        let name = name.to_owned();
        let answer = asked.answer(auth.user_get(pb::AuthUserGetRequest { name })).await?;
        asked.no_more_than(MOST_GRANTS, answer.roles.len())?;
        asked.with(answer.header, answer.roles)
    }

    /// All users.
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn user_list(&self) -> Result<Answer<Vec<String>>, EtcdError> {
        let (asked, mut auth) = self.auth("user list");
        let answer = asked.answer(auth.user_list(pb::AuthUserListRequest {})).await?;
        asked.no_more_than(MOST_GRANTS, answer.users.len())?;
        asked.with(answer.header, answer.users)
    }

    /// Gives a user a role.
    ///
    /// # Errors
    /// `Refused` when either is missing.
    pub async fn user_grant_role(&self, user: &str, role: &str) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("user grant");
        let request = pb::AuthUserGrantRoleRequest {
            user: user.to_owned(),
            role: role.to_owned(),
        };
        let answer = asked.answer(auth.user_grant_role(request)).await?;
        asked.header(answer.header)
    }

    /// Takes a role from a user.
    ///
    /// # Errors
    /// `Refused` when the user does not have it.
    pub async fn user_revoke_role(&self, user: &str, role: &str) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("user revoke");
        let request = pb::AuthUserRevokeRoleRequest {
            name: user.to_owned(),
            role: role.to_owned(),
        };
        let answer = asked.answer(auth.user_revoke_role(request)).await?;
        asked.header(answer.header)
    }

    /// Sets a user's password.
    ///
    /// # Errors
    /// `Refused` when there is no such user.
    pub async fn user_change_password(&self, name: &str, password: &SecretString) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("user password");
        let request = pb::AuthUserChangePasswordRequest {
            name: name.to_owned(),
            password: password.expose_secret().to_owned(),
        };
        let answer = asked.answer(auth.user_change_password(request)).await?;
        asked.header(answer.header)
    }

    /// Creates a role without permissions.
    ///
    /// # Errors
    /// `Refused` when it exists.
    pub async fn role_add(&self, name: &str) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("role add");
        let name = name.to_owned();
        let answer = asked.answer(auth.role_add(pb::AuthRoleAddRequest { name })).await?;
        asked.header(answer.header)
    }

    /// Deletes a role, also from the users that have it.
    ///
    /// # Errors
    /// `Refused` when there is none.
    pub async fn role_delete(&self, role: &str) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("role delete");
        let role = role.to_owned();
        let answer = asked
            .answer(auth.role_delete(pb::AuthRoleDeleteRequest { role }))
            .await?;
        asked.header(answer.header)
    }

    /// The permissions of a role.
    ///
    /// # Errors
    /// `Refused` when there is no such role.
    pub async fn role_get(&self, role: &str) -> Result<Answer<Vec<Permission>>, EtcdError> {
        let (asked, mut auth) = self.auth("role get");
        let role = role.to_owned();
        let answer = asked.answer(auth.role_get(pb::AuthRoleGetRequest { role })).await?;
        asked.no_more_than(MOST_GRANTS, answer.perm.len())?;
        asked.with(answer.header, answer.perm.into_iter().map(permission).collect())
    }

    /// All roles.
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn role_list(&self) -> Result<Answer<Vec<String>>, EtcdError> {
        let (asked, mut auth) = self.auth("role list");
        let answer = asked.answer(auth.role_list(pb::AuthRoleListRequest {})).await?;
        asked.no_more_than(MOST_GRANTS, answer.roles.len())?;
        asked.with(answer.header, answer.roles)
    }

    /// Adds a permission to a role, or changes the access of the same range.
    ///
    /// # Errors
    /// `Refused` when there is no such role.
    pub async fn role_grant_permission(&self, role: &str, grant: &Permission) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("role grant");
        let access = match grant.access {
            Access::Read => pb::permission::Type::Read,
            Access::Write => pb::permission::Type::Write,
            Access::ReadWrite => pb::permission::Type::Readwrite,
        };
        let request = pb::AuthRoleGrantPermissionRequest {
            name: role.to_owned(),
            perm: Some(pb::Permission {
                perm_type: access.into(),
                key: grant.key.clone(),
                range_end: grant.range_end.clone(),
            }),
        };
        let answer = asked.answer(auth.role_grant_permission(request)).await?;
        asked.header(answer.header)
    }

    /// Takes the permission for exactly this range from a role.
    ///
    /// # Errors
    /// `Refused` when the role does not have it.
    pub async fn role_revoke_permission(&self, role: &str, key: &[u8], range_end: &[u8]) -> Result<Header, EtcdError> {
        let (asked, mut auth) = self.auth("role revoke");
        let request = pb::AuthRoleRevokePermissionRequest {
            role: role.to_owned(),
            key: key.to_vec(),
            range_end: range_end.to_vec(),
        };
        let answer = asked.answer(auth.role_revoke_permission(request)).await?;
        asked.header(answer.header)
    }
}

fn permission(permission: pb::Permission) -> Permission {
    let access = match permission.perm_type() {
        pb::permission::Type::Read => Access::Read,
        pb::permission::Type::Write => Access::Write,
        pb::permission::Type::Readwrite => Access::ReadWrite,
    };
    Permission {
        access,
        key: permission.key,
        range_end: permission.range_end,
    }
}
