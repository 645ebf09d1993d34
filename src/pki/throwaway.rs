//! Certificates for a private etcd that lives for seconds on loopback: from a CA that is forgotten at once, so nobody but
//! this process gets in.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::authority::{Authority, AuthorityError, Issued};
use super::spec::{LeafRole, LeafSpec, operator_spec};
use crate::inventory::{Address, ClusterName, KeyType, PkiPolicy};

/// They outlive whatever they are for.
const VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// A CA of its own, a member's certificate for 127.0.0.1, and a client's.
pub struct Throwaway {
    /// The CA certificate.
    pub ca_pem: String,
    /// For both ports of the member.
    pub server: Issued,
    /// An operator's, which etcd's own authentication lets do everything.
    pub client: Issued,
    /// A list of that CA which revokes nothing, DER.
    pub crl: Vec<u8>,
}

impl Throwaway {
    /// Makes them all, for `name`, with keys of the type that the real ones have.
    ///
    /// # Errors
    /// When the system gives no keys.
    pub fn make(name: &ClusterName, key_type: KeyType, now: Timestamp) -> Result<Self, AuthorityError> {
        let policy = PkiPolicy {
            dir: PathBuf::new(),
            key_type,
            ca_validity: VALIDITY,
            leaf_validity: VALIDITY,
            renew_before: Duration::ZERO,
            crl: false,
            identities: Vec::new(),
            recipients: Vec::new(),
        };
        let authority = Authority::create(name, &policy, now)?;
        let member = LeafSpec {
            role: LeafRole::Server,
            common_name: format!("quorate-{name}"),
            organization: None,
            sans: vec![Address::Ip(Ipv4Addr::LOCALHOST.into())],
            key_type,
            validity: VALIDITY,
        };
        Ok(Self {
            ca_pem: authority.certificate().to_pem(),
            server: authority.issue(&member, now)?,
            client: authority.issue(&operator_spec(key_type), now)?,
            crl: authority.revocation_list(&[], now)?,
        })
    }
}
