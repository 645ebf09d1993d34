//! Whether a certificate is still the one that should be there. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::facts::{CertFacts, key_type_name};
use super::spec::LeafSpec;
use crate::inventory::Address;

/// What a certificate is judged against, besides its spec.
#[derive(Debug, Clone, Copy)]
pub struct AuditContext<'a> {
    /// The CA that signs now.
    pub current_ca: &'a CertFacts,
    /// Whether that CA's key signed the certificate, by [`super::Certificate::is_issued_by`].
    pub signed_by_current_ca: bool,
    /// The time.
    pub now: Timestamp,
    /// A leaf with less than this left is due.
    pub renew_before: Duration,
}

/// One thing that is not as it should be. `Display` is a plain sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum LeafFinding {
    /// It ended in the past.
    Expired { at: Timestamp },
    /// Less than `renew_before` is left.
    ExpiresSoon { days: i64 },
    /// Less than `renew_before` is left, but its CA ends at the same moment: a new leaf would live no longer.
    ExpiresWithCa { days: i64 },
    /// It begins in the future.
    NotYetValid { from: Timestamp },
    /// Names by which the host is dialled, or addresses it dials from, are not in it.
    SanMissing { names: Vec<String> },
    /// It names something that the inventory does not.
    SanExtra { names: Vec<String> },
    /// It lacks an extended key usage (`serverAuth`, `clientAuth`).
    UsageMissing { usages: Vec<String> },
    /// The current CA did not sign it.
    WrongIssuer { issuer: String },
    /// Its common name is another one.
    WrongName { found: String, expected: String },
    /// Its key is of another type than the inventory wants for new ones. Nothing to hurry for.
    KeyType { found: String, expected: String },
}

impl LeafFinding {
    /// Whether a new certificate must be issued because of it.
    pub fn is_due(&self) -> bool {
        !matches!(self, LeafFinding::KeyType { .. } | LeafFinding::ExpiresWithCa { .. })
    }
}

impl fmt::Display for LeafFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeafFinding::Expired { at } => write!(f, "it expired at {at}"),
            LeafFinding::ExpiresSoon { days } => write!(f, "it expires in {days} days"),
            LeafFinding::ExpiresWithCa { days } => {
                write!(
                    f,
                    "it expires in {days} days, together with its CA: run `quorate pki rotate-ca`"
                )
            }
            LeafFinding::NotYetValid { from } => {
                write!(
                    f,
                    "it is not valid before {from}: the clock that issued it or this one is wrong"
                )
            }
            LeafFinding::SanMissing { names } => write!(f, "it does not include {}", names.join(", ")),
            LeafFinding::SanExtra { names } => {
                write!(f, "it includes {}, which the inventory does not", names.join(", "))
            }
            LeafFinding::UsageMissing { usages } => {
                write!(
                    f,
                    "it may not be used for {}, which etcd requires",
                    usages.join(" and ")
                )
            }
            LeafFinding::WrongIssuer { issuer } => write!(f, "the current CA did not sign it (issuer: {issuer})"),
            LeafFinding::WrongName { found, expected } => {
                write!(f, "its common name is `{found}` instead of `{expected}`")
            }
            LeafFinding::KeyType { found, expected } => {
                write!(f, "its key is {found}; the next one will be {expected}")
            }
        }
    }
}

/// Everything about `cert` that is not as `spec` wants it, in a fixed order; empty when all is well.
pub fn audit(spec: &LeafSpec, cert: &CertFacts, context: &AuditContext<'_>) -> Vec<LeafFinding> {
    let mut findings = Vec::new();
    findings.extend(judge_time(cert, context));
    findings.extend(judge_sans(spec, cert));
    let usages = missing_usages(spec, cert);
    if !usages.is_empty() {
        findings.push(LeafFinding::UsageMissing { usages });
    }
    if !context.signed_by_current_ca {
        findings.push(LeafFinding::WrongIssuer {
            issuer: cert.issuer.clone(),
        });
    }
    if cert.common_name != spec.common_name {
        findings.push(LeafFinding::WrongName {
            found: cert.common_name.clone(),
            expected: spec.common_name.clone(),
        });
    }
    let expected = key_type_name(spec.key_type);
    if cert.key_type != expected {
        findings.push(LeafFinding::KeyType {
            found: cert.key_type.clone(),
            expected: expected.to_owned(),
        });
    }
    findings
}

/// Whether any of `findings` calls for a new certificate.
pub fn must_reissue(findings: &[LeafFinding]) -> bool {
    findings.iter().any(LeafFinding::is_due)
}

fn judge_time(cert: &CertFacts, context: &AuditContext<'_>) -> Option<LeafFinding> {
    let AuditContext { now, renew_before, .. } = *context;
    if now >= cert.not_after {
        return Some(LeafFinding::Expired { at: cert.not_after });
    }
    if now < cert.not_before {
        return Some(LeafFinding::NotYetValid { from: cert.not_before });
    }
    if cert.not_after.duration_since(now).unsigned_abs() >= renew_before {
        return None;
    }
    let days = cert.days_left(now);
    // Otherwise every `up` in the CA's last days would renew every leaf and gain nothing.
    if context.signed_by_current_ca && cert.not_after >= context.current_ca.not_after {
        return Some(LeafFinding::ExpiresWithCa { days });
    }
    Some(LeafFinding::ExpiresSoon { days })
}

fn judge_sans(spec: &LeafSpec, cert: &CertFacts) -> Vec<LeafFinding> {
    let missing: Vec<String> = spec
        .sans
        .iter()
        .filter(|san| !cert.names(san))
        .map(Address::to_string)
        .collect();
    let wanted: BTreeSet<String> = spec.sans.iter().map(Address::to_string).collect();
    let ips = cert.ip_addresses.iter().map(ToString::to_string);
    let extra: Vec<String> = ips
        .chain(cert.dns_names.iter().cloned())
        .filter(|name| !wanted.contains(name))
        .collect();
    let mut findings = Vec::new();
    if !missing.is_empty() {
        findings.push(LeafFinding::SanMissing { names: missing });
    }
    if !extra.is_empty() {
        findings.push(LeafFinding::SanExtra { names: extra });
    }
    findings
}

fn missing_usages(spec: &LeafSpec, cert: &CertFacts) -> Vec<String> {
    let mut missing = Vec::new();
    if spec.role.needs_server_auth() && !cert.server_auth {
        missing.push("serverAuth".to_owned());
    }
    if spec.role.needs_client_auth() && !cert.client_auth {
        missing.push("clientAuth".to_owned());
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::KeyType;
    use crate::pki::peer_spec;
    use crate::pki::test_keys::{authority, desired, host, now};

    const DAY: Duration = Duration::from_secs(86_400);

    /// A good peer certificate one day old, its spec and its CA; each test spoils one thing.
    fn good() -> (LeafSpec, CertFacts, CertFacts) {
        let authority = authority(KeyType::EcdsaP256);
        let spec = peer_spec(&desired(), &host("etcd-1", "10.0.0.1"));
        let facts = authority.issue(&spec, now()).unwrap().facts;
        (spec, facts, authority.certificate().facts().clone())
    }

    fn judge(spec: &LeafSpec, cert: &CertFacts, ca: &CertFacts, after: Duration) -> Vec<LeafFinding> {
        let context = AuditContext {
            current_ca: ca,
            signed_by_current_ca: true,
            now: now() + after,
            renew_before: 30 * DAY,
        };
        audit(spec, cert, &context)
    }

    #[test]
    fn a_fresh_certificate_has_no_findings() {
        let (spec, cert, ca) = good();
        assert_eq!(judge(&spec, &cert, &ca, DAY), []);
        assert!(!must_reissue(&[]));
    }

    #[test]
    fn time_passes_from_good_over_soon_to_expired() {
        let (spec, cert, ca) = good();
        assert_eq!(judge(&spec, &cert, &ca, 335 * DAY), []);
        assert_eq!(
            judge(&spec, &cert, &ca, 336 * DAY),
            [LeafFinding::ExpiresSoon { days: 29 }]
        );
        let expired = judge(&spec, &cert, &ca, 365 * DAY);
        assert_eq!(expired, [LeafFinding::Expired { at: cert.not_after }]);
        assert!(must_reissue(&expired));
        let early = AuditContext {
            current_ca: &ca,
            signed_by_current_ca: true,
            now: cert.not_before - DAY,
            renew_before: DAY,
        };
        let findings = audit(&spec, &cert, &early);
        assert_eq!(findings, [LeafFinding::NotYetValid { from: cert.not_before }]);
        assert!(findings[0].to_string().contains("clock"));
    }

    #[test]
    fn a_leaf_that_ends_with_its_ca_is_shown_but_not_renewed_for_ever() {
        let (spec, cert, mut ca) = good();
        ca.not_after = cert.not_after;
        let findings = judge(&spec, &cert, &ca, 360 * DAY);
        assert_eq!(findings, [LeafFinding::ExpiresWithCa { days: 5 }]);
        assert!(!must_reissue(&findings));
        assert!(findings[0].to_string().contains("rotate-ca"));
    }

    #[test]
    fn names_that_came_and_went_are_listed() {
        let (mut spec, cert, ca) = good();
        spec.sans.retain(|san| san.to_string() != "10.0.0.1");
        spec.sans.push("10.0.0.2".parse().unwrap());
        let findings = judge(&spec, &cert, &ca, DAY);
        let expected = [
            "it does not include 10.0.0.2",
            "it includes 10.0.0.1, which the inventory does not",
        ];
        assert_eq!(findings.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        assert!(must_reissue(&findings));
    }

    #[test]
    fn a_peer_certificate_without_client_auth_is_found_before_etcd_goes_half_deaf() {
        let (spec, mut cert, ca) = good();
        cert.client_auth = false;
        let findings = judge(&spec, &cert, &ca, DAY);
        assert_eq!(
            findings[0].to_string(),
            "it may not be used for clientAuth, which etcd requires"
        );
        assert!(must_reissue(&findings));
    }

    #[test]
    fn another_ca_or_another_name_is_due_and_another_key_type_is_not() {
        let (spec, mut cert, ca) = good();
        let mut context = AuditContext {
            current_ca: &ca,
            signed_by_current_ca: false,
            now: now(),
            renew_before: DAY,
        };
        assert!(matches!(
            audit(&spec, &cert, &context)[..],
            [LeafFinding::WrongIssuer { .. }]
        ));
        context.signed_by_current_ca = true;
        cert.key_type = "rsa-3072".to_owned();
        let findings = audit(&spec, &cert, &context);
        assert_eq!(
            findings[0].to_string(),
            "its key is rsa-3072; the next one will be ecdsa-p256"
        );
        assert!(!must_reissue(&findings));
        cert.common_name = "root".to_owned();
        assert!(must_reissue(&audit(&spec, &cert, &context)));
    }
}
