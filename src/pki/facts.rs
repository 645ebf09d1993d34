//! What a certificate says, as data.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::der_parser::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ED25519};
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::inventory::{Address, KeyType};

/// The extended key usage of certificates that sign documents (RFC 9336, `id-kp-documentSigning`).
pub(super) const DOCUMENT_SIGNING: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 36];

/// What a certificate says. Holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertFacts {
    /// Subject common name; empty when there is none.
    pub common_name: String,
    /// The whole subject, `CN=..., O=...`.
    pub subject: String,
    /// The whole issuer name.
    pub issuer: String,
    /// Serial number, lower-case hexadecimal without separators.
    pub serial: String,
    /// DNS names among the SANs.
    pub dns_names: BTreeSet<String>,
    /// IP addresses among the SANs.
    pub ip_addresses: BTreeSet<IpAddr>,
    /// May be shown by a TLS server. Also true without the extension: then anything goes.
    pub server_auth: bool,
    /// May be shown by a TLS client. Also true without the extension.
    pub client_auth: bool,
    /// Was made to sign documents. False without the extension: this is never given by accident.
    #[serde(default)]
    pub document_signing: bool,
    /// May make signatures at all (key usage digitalSignature). Also true without the extension.
    #[serde(default)]
    pub digital_signature: bool,
    /// May sign certificates.
    pub ca: bool,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// `ecdsa-p256`, `ecdsa-p384`, `ecdsa-p521`, `ed25519`, `rsa-BITS`, or the algorithm's OID.
    pub key_type: String,
    /// SHA-256 of the whole certificate, lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo), lower-case hexadecimal.
    pub spki_sha256: String,
}

impl CertFacts {
    /// Reads the facts off a parsed certificate; `der` is what it was parsed from. `None` when a time in it is out of
    /// range or an extension is damaged.
    pub(super) fn read(x509: &X509Certificate<'_>, der: &[u8]) -> Option<CertFacts> {
        let usages = x509.extended_key_usage().ok()?.map(|extension| extension.value);
        let (dns_names, ip_addresses) = sans(x509)?;
        let makes_signatures = x509
            .key_usage()
            .ok()?
            .is_none_or(|usage| usage.value.digital_signature());
        let signs = x509.key_usage().ok()?.is_none_or(|usage| usage.value.key_cert_sign());
        Some(CertFacts {
            common_name: common_name(x509),
            subject: x509.subject().to_string(),
            issuer: x509.issuer().to_string(),
            serial: serial(x509.raw_serial()),
            dns_names,
            ip_addresses,
            server_auth: usages.is_none_or(|u| u.any || u.server_auth),
            client_auth: usages.is_none_or(|u| u.any || u.client_auth),
            document_signing: usages.is_some_and(|u| u.other.iter().any(is_document_signing)),
            digital_signature: makes_signatures,
            ca: x509.is_ca() && signs,
            not_before: Timestamp::from_second(x509.validity().not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(x509.validity().not_after.timestamp()).ok()?,
            key_type: key_type(x509.public_key()),
            sha256: hex::encode(Sha256::digest(der)),
            spki_sha256: hex::encode(Sha256::digest(x509.public_key().raw)),
        })
    }

    /// Whole days from `now` to the end of its validity; negative once it has expired.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_second() - now.as_second()).div_euclid(24 * 60 * 60)
    }

    /// Whether `address` is among the SANs.
    pub fn names(&self, address: &Address) -> bool {
        match address {
            Address::Ip(ip) => self.ip_addresses.contains(ip),
            Address::Dns(name) => self.dns_names.contains(name),
        }
    }
}

/// A key algorithm by the name the inventory uses, to compare with [`CertFacts::key_type`].
pub fn key_type_name(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::EcdsaP256 => "ecdsa-p256",
        KeyType::Ed25519 => "ed25519",
        KeyType::Rsa3072 => "rsa-3072",
    }
}

fn is_document_signing(usage: &Oid<'_>) -> bool {
    usage.iter().is_some_and(|mut arcs| arcs.by_ref().eq(DOCUMENT_SIGNING))
}

fn common_name(x509: &X509Certificate<'_>) -> String {
    let first = x509.subject().iter_common_name().next();
    first.and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned()
}

/// Without the zero byte that DER puts before a number whose top bit is set.
pub(super) fn serial(raw: &[u8]) -> String {
    hex::encode(raw.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(raw))
}

fn sans(x509: &X509Certificate<'_>) -> Option<(BTreeSet<String>, BTreeSet<IpAddr>)> {
    let (mut dns, mut ips) = (BTreeSet::new(), BTreeSet::new());
    let Some(extension) = x509.subject_alternative_name().ok()? else {
        return Some((dns, ips));
    };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => {
                dns.insert(name.to_ascii_lowercase());
            }
            GeneralName::IPAddress(bytes) => {
                ips.insert(ip(bytes)?);
            }
            _ => {}
        }
    }
    Some((dns, ips))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn key_type(spki: &SubjectPublicKeyInfo<'_>) -> String {
    let algorithm = &spki.algorithm;
    if algorithm.algorithm == OID_SIG_ED25519 {
        return "ed25519".to_owned();
    }
    match spki.parsed() {
        Ok(PublicKey::RSA(key)) => format!("rsa-{}", key.key_size()),
        Ok(PublicKey::EC(_)) => {
            let curve = algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            match curve {
                Some(oid) if oid == OID_EC_P256 => "ecdsa-p256".to_owned(),
                Some(oid) if oid == OID_NIST_EC_P384 => "ecdsa-p384".to_owned(),
                Some(oid) if oid == OID_NIST_EC_P521 => "ecdsa-p521".to_owned(),
                Some(oid) => format!("ecdsa ({oid})"),
                None => "ecdsa".to_owned(),
            }
        }
        _ => algorithm.algorithm.to_string(),
    }
}
