//! Whether the other members would let a member back in that is stopped now, by its certificates.
//!
//! etcd checks certificates in handshakes only. Streams that are open live on with a certificate that has expired,
//! lacks a usage or comes from another CA, and everything looks healthy; the restart is what brings it to light, one
//! member after the other, until the quorum is gone (docs/etcd.md, "Certificates and streams").

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::host::HostFacts;
use crate::inventory::{Desired, DesiredHost};
use crate::ops::safety::{Blocked, Rule};
use crate::pki::{AuditContext, Certificate, LeafFinding, audit, peer_spec, server_spec};

/// What is wrong with the server and the peer certificate of a host, against the CAs that it trusts itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostLeaves {
    /// By file name; a file that is missing is judged elsewhere.
    pub findings: BTreeMap<&'static str, Vec<LeafFinding>>,
}

impl HostLeaves {
    /// Reads the files below the host's `paths.pki`, as they are at `now`.
    pub fn of(desired: &Desired, host: &DesiredHost, facts: &HostFacts, now: Timestamp) -> HostLeaves {
        let text = |name: &str| {
            let file = facts.files.get(&host.paths.pki.join(name))?;
            file.content.as_deref()
        };
        let cas = text("ca.crt").and_then(|pem| Certificate::bundle_from_pem(pem).ok());
        let cas = cas.unwrap_or_default();
        let judge = |name, spec| {
            let leaf = Certificate::from_pem(text(name)?).ok()?;
            let signer = cas.iter().find(|ca| leaf.is_issued_by(ca));
            let context = AuditContext {
                current_ca: signer.or(cas.first())?.facts(),
                signed_by_current_ca: signer.is_some(),
                now,
                renew_before: std::time::Duration::ZERO,
            };
            Some((name, audit(&spec, leaf.facts(), &context)))
        };
        let both = [
            judge("server.crt", server_spec(desired, host)),
            judge("peer.crt", peer_spec(desired, host)),
        ];
        HostLeaves {
            findings: both.into_iter().flatten().collect(),
        }
    }
}

/// May a running member be stopped, as far as its certificates go?
///
/// # Errors
/// What would keep it out once it is back.
pub fn may_come_back(leaves: &HostLeaves, address: &str) -> Result<(), Blocked> {
    let keeps_out = |finding: &LeafFinding| match finding {
        LeafFinding::Expired { .. }
        | LeafFinding::NotYetValid { .. }
        | LeafFinding::UsageMissing { .. }
        | LeafFinding::WrongIssuer { .. } => true,
        // Further names are a convenience; without the address peers neither dial it nor let it dial them.
        LeafFinding::SanMissing { names } => names.iter().any(|name| name == address),
        _ => false,
    };
    let reasons: Vec<String> = leaves
        .findings
        .iter()
        .flat_map(|(file, findings)| {
            findings
                .iter()
                .filter(|f| keeps_out(f))
                .map(move |f| format!("{file}: {f}"))
        })
        .collect();
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Blocked::new(
        Rule::Certificates,
        format!(
            "after a restart the other members would refuse it: {}",
            reasons.join("; ")
        ),
        "renew its certificates first, without a restart: `quorate pki renew`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(peer: Vec<LeafFinding>) -> HostLeaves {
        HostLeaves {
            findings: [("server.crt", Vec::new()), ("peer.crt", peer)].into(),
        }
    }

    #[test]
    fn what_only_the_next_handshake_shows_keeps_a_member_from_being_stopped() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let usages = vec!["clientAuth".to_owned()];
        let names = vec!["10.0.0.1".to_owned()];
        for (finding, says) in [
            (LeafFinding::Expired { at }, "expired"),
            (LeafFinding::NotYetValid { from: at }, "not valid before"),
            (LeafFinding::UsageMissing { usages }, "clientAuth"),
            (LeafFinding::WrongIssuer { issuer: "CN=x".into() }, "did not sign it"),
            (LeafFinding::SanMissing { names }, "does not include 10.0.0.1"),
        ] {
            let refusal = may_come_back(&leaves(vec![finding]), "10.0.0.1").unwrap_err();
            assert!(
                refusal.reason.contains("peer.crt: ") && refusal.reason.contains(says),
                "{refusal}"
            );
            assert!(refusal.hint.contains("pki renew"));
        }
    }

    #[test]
    fn what_can_wait_does_not() {
        let fine = vec![
            LeafFinding::ExpiresSoon { days: 3 },
            LeafFinding::SanMissing {
                names: vec!["etcd.example.com".into()],
            },
            LeafFinding::SanExtra {
                names: vec!["old.example.com".into()],
            },
        ];
        assert_eq!(may_come_back(&leaves(fine), "10.0.0.1"), Ok(()));
        assert_eq!(may_come_back(&HostLeaves::default(), "10.0.0.1"), Ok(()));
    }
}
