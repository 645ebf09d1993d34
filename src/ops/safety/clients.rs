//! Who would be locked out when etcd's own authentication is switched on.

use std::collections::BTreeSet;

use crate::inventory::{AuthPolicy, ClientKind, ROOT};
use crate::ops::authorization::AuthChange;
use crate::ops::safety::{Blocked, Rule};
use crate::pki::IssuedRecord;

/// May every client be asked to be a user? Only when each that quorate issued a certificate to is one, or has a certificate
/// for those that log in with a password; and, with etcd's `gateway` on, when none of these has a certificate that the gateway
/// refuses.
///
/// # Errors
/// One refusal that names those that are not.
pub fn may_require_users(policy: &AuthPolicy, clients: &[IssuedRecord], gateway: bool) -> Result<(), Blocked> {
    if gateway {
        gateway_takes_their_certificates(policy, clients)?;
    }
    let is_user = |client: &&IssuedRecord| match client.user.as_str() {
        "" => !policy.passwords.is_empty(),
        user => user == ROOT || policy.users.contains_key(user),
    };
    let strangers: BTreeSet<String> = clients
        .iter()
        .filter(|client| !is_user(client))
        .map(|client| match client.name == client.user || client.user.is_empty() {
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

/// May logins end that clients hold: tokens of a password that is replaced, or the time before users were asked for? Patroni
/// does not log in again for the call that keeps its lease (`lease_keepalive`, patroni/dcs/etcd3.py, 3.0.2 to 4.1), so its
/// primary steps down, and no other is elected before Patroni is restarted (tried: for minutes).
///
/// # Errors
/// What to do first.
pub fn may_end_logins(clients: &BTreeSet<ClientKind>, changes: &[AuthChange]) -> Result<(), Blocked> {
    let ends = changes.iter().find_map(|change| match change {
        AuthChange::SetPassword { user } | AuthChange::ReplaceUser { user, .. } => {
            Some(format!("a new password ends every login of `{user}`"))
        }
        AuthChange::Enable => Some("turning on authentication asks for logins that nobody has yet".to_owned()),
        _ => None,
    });
    let Some(why) = ends.filter(|_| clients.contains(&ClientKind::Patroni)) else {
        return Ok(());
    };
    Err(Blocked::new(
        Rule::LocksOut,
        format!(
            "{why}, and Patroni does not log in again by itself: its primary would step down, and no other would be elected"
        ),
        "run `patronictl pause --wait`, then this with --accept-outage; give every Patroni host its new files (`quorate users \
         files`) and restart Patroni there, then run `patronictl resume --wait`",
    ))
}

/// Someone who logs in with a password is taken to speak JSON, where anybody does. etcd's gateway then answers every
/// certificate with a common name with 400 (`accessController.ServeHTTP`, embed/serve.go; tried).
fn gateway_takes_their_certificates(policy: &AuthPolicy, clients: &[IssuedRecord]) -> Result<(), Blocked> {
    let named = clients.iter().filter(|client| policy.passwords.contains(&client.user));
    let named: BTreeSet<&str> = named.map(|client| client.name.as_str()).collect();
    let Some(first) = named.first() else {
        return Ok(());
    };
    let all: Vec<&str> = named.iter().copied().collect();
    Err(Blocked::new(
        Rule::LocksOut,
        format!(
            "turning on authentication would lock out clients that speak JSON: etcd's gateway then refuses certificates with a \
             common name, and these have one: {}",
            all.join(", ")
        ),
        format!(
            "give each a certificate without one: `quorate users files {first}`; for clients that speak gRPC, pass --accept-outage"
        ),
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
        assert_eq!(may_require_users(&policy, &fine, true), Ok(()));
        let strangers = [
            client("app", "app"),
            client("prometheus", "prometheus"),
            client("x", "y"),
        ];
        let refused = may_require_users(&policy, &strangers, false).unwrap_err();
        assert!(refused.reason.ends_with(": prometheus, x (user y)"), "{refused}");
        assert!(refused.hint.contains("users") && refused.hint.contains("pki revoke"));
        assert_eq!(refused.rule, Rule::LocksOut);
    }

    #[test]
    fn patroni_is_told_before_its_login_ends() {
        let patroni = BTreeSet::from([ClientKind::Patroni, ClientKind::Kubernetes]);
        let user = || "patroni".to_owned();
        let set = AuthChange::SetPassword { user: user() };
        let again = AuthChange::ReplaceUser {
            user: user(),
            password: true,
        };
        let added = AuthChange::AddUser {
            user: user(),
            password: true,
        };
        for change in [set.clone(), again, AuthChange::Enable] {
            let refused = may_end_logins(&patroni, &[added.clone(), change]).unwrap_err();
            assert!(
                refused.hint.contains("patronictl pause") && refused.hint.contains("--accept-outage"),
                "{refused}"
            );
        }
        assert_eq!(may_end_logins(&patroni, &[added, AuthChange::Disable]), Ok(()));
        assert_eq!(may_end_logins(&BTreeSet::from([ClientKind::Apisix]), &[set]), Ok(()));
    }

    #[test]
    fn who_logs_in_with_a_password_needs_a_certificate_without_a_name() {
        let nobody = [client("patroni", "")];
        let mut policy = AuthPolicy::default();
        let refused = may_require_users(&policy, &nobody, true).unwrap_err();
        assert!(refused.reason.ends_with(": patroni"), "{refused}");
        policy.users.insert("patroni".to_owned(), BTreeSet::new());
        policy.passwords.insert("patroni".to_owned());
        assert_eq!(may_require_users(&policy, &nobody, true), Ok(()));
        let named = [client("patroni", "patroni")];
        let refused = may_require_users(&policy, &named, true).unwrap_err();
        assert!(
            refused.reason.ends_with(": patroni") && refused.hint.contains("users files patroni"),
            "{refused}"
        );
        assert_eq!(may_require_users(&policy, &named, false), Ok(()), "gRPC takes it");
    }
}
