//! Who would be locked out when etcd's own authentication is switched on.

use std::collections::BTreeSet;

use crate::inventory::{AuthPolicy, ROOT};
use crate::ops::safety::{Blocked, Rule};
use crate::pki::IssuedRecord;

/// May every client be asked to be a user? Only when each that quorate issued a certificate to is one.
///
/// # Errors
/// One refusal that names those that are not.
pub fn may_require_users(policy: &AuthPolicy, clients: &[IssuedRecord]) -> Result<(), Blocked> {
    let is_user = |client: &&IssuedRecord| client.user == ROOT || policy.users.contains_key(&client.user);
    let strangers: BTreeSet<String> = clients
        .iter()
        .filter(|client| !is_user(client))
        .map(|client| match client.name == client.user {
            true => client.name.clone(),
            false => format!("{} (user {})", client.name, client.user),
        })
        .collect();
    if strangers.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = strangers.into_iter().collect();
    Err(Blocked::new(
        Rule::LocksOut,
        format!(
            "turning on authentication would lock out these clients, which have certificates: {}",
            all.join(", ")
        ),
        "list them under `users` with the roles they need; revoke those that are gone with `quorate pki revoke`; to lock them out, pass \
         --accept-outage",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str, user: &str) -> IssuedRecord {
        IssuedRecord {
            name: name.into(),
            user: user.into(),
            serial: "01".into(),
            sha256: "00".into(),
            issuer: "ca".into(),
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
            revoked: None,
        }
    }

    #[test]
    fn every_client_that_is_known_must_be_a_user() {
        let policy = AuthPolicy {
            users: [("app".to_owned(), BTreeSet::new())].into(),
            ..AuthPolicy::default()
        };
        let fine = [client("app", "app"), client("backup", "root"), client("app-2", "app")];
        assert_eq!(may_require_users(&policy, &fine), Ok(()));
        let strangers = [
            client("app", "app"),
            client("prometheus", "prometheus"),
            client("x", "y"),
        ];
        let refused = may_require_users(&policy, &strangers).unwrap_err();
        assert!(refused.reason.ends_with(": prometheus, x (user y)"), "{refused}");
        assert!(refused.hint.contains("users") && refused.hint.contains("pki revoke"));
        assert_eq!(refused.rule, Rule::LocksOut);
    }
}
