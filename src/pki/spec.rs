//! Which certificates must exist, and what each must say. Pure.
//!
//! The rules are etcd's own. Server and peer certificates both need serverAuth *and* clientAuth: a peer dials
//! with the certificate it serves, and the JSON gateway dials its own member with the server certificate
//! (without clientAuth it answers 503). Names are only ever looked up in the SANs, never in the common name.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::inventory::{Address, Desired, DesiredHost, KeyType};

/// The most characters X.509 allows in a common name (`ub-common-name`).
const LONGEST_COMMON_NAME: usize = 64;

/// How long the operator's in-memory certificate lives: longer than any run, shorter than a stolen copy is of use.
const OPERATOR_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the certificate lives that a backup is signed with: for the beginning of one backup, at which it is judged.
const SIGNER_VALIDITY: Duration = Duration::from_secs(10 * 60);

/// The common name of the operator's certificate for signatures.
pub const OPERATOR_SIGNER: &str = "quorate:operator";

/// What a leaf certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeafRole {
    /// Served on the client port.
    Server,
    /// Served on the peer port, and shown when dialling other members.
    Peer,
    /// Shown by a client of etcd; the common name is the etcd user.
    Client,
    /// Shown to nobody: it signs backups for the operator. No TLS server and no etcd takes it.
    Signer,
}

impl LeafRole {
    /// Whether the certificate must be usable by a TLS server.
    pub fn needs_server_auth(self) -> bool {
        matches!(self, LeafRole::Server | LeafRole::Peer)
    }

    /// Whether the certificate must be usable by a TLS client: every one that is used for TLS.
    pub fn needs_client_auth(self) -> bool {
        self != LeafRole::Signer
    }

    /// Whether it signs documents: nothing that a client or a member is given does.
    pub fn signs_documents(self) -> bool {
        self == LeafRole::Signer
    }
}

/// One certificate that must exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafSpec {
    /// What it is for.
    pub role: LeafRole,
    /// Subject common name; none where it is empty.
    pub common_name: String,
    /// Subject organization.
    pub organization: Option<String>,
    /// Subject alternative names, sorted, each once.
    pub sans: Vec<Address>,
    /// Algorithm of its key.
    pub key_type: KeyType,
    /// Lifetime from now; the CA's own end caps it.
    pub validity: Duration,
}

/// Why a client certificate cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The common name is not usable as an etcd user or in a certificate.
    #[error("`{}` cannot be a certificate's common name", name.escape_debug())]
    CommonName {
        /// As typed.
        name: String,
    },
}

impl SpecError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            SpecError::CommonName { .. } => {
                format!(
                    "use 1 to {LONGEST_COMMON_NAME} printable ASCII characters without spaces; etcd takes it as the user name"
                )
            }
        }
    }
}

/// The certificate a host serves on its client port.
pub fn server_spec(desired: &Desired, host: &DesiredHost) -> LeafSpec {
    member_spec(LeafRole::Server, "etcd-server", desired, host)
}

/// The certificate a host serves on its peer port and dials other members with.
pub fn peer_spec(desired: &Desired, host: &DesiredHost) -> LeafSpec {
    member_spec(LeafRole::Peer, "etcd-peer", desired, host)
}

/// A client's certificate. `common_name` is the etcd user when etcd's authentication is on.
///
/// # Errors
/// When `common_name` is empty, longer than 64 characters, or holds anything but visible ASCII.
pub fn client_spec(common_name: &str, validity: Duration, key_type: KeyType) -> Result<LeafSpec, SpecError> {
    let visible = common_name.bytes().all(|b| b.is_ascii_graphic());
    if common_name.is_empty() || common_name.len() > LONGEST_COMMON_NAME || !visible {
        return Err(SpecError::CommonName {
            name: common_name.to_owned(),
        });
    }
    Ok(client(common_name, validity, key_type))
}

/// The certificate of a client that logs in with a password: it opens the door, and stands for nobody. With its own
/// authentication on, etcd's gateway refuses every certificate with a common name (`accessController.ServeHTTP`,
/// embed/serve.go). The organization, which etcd ignores, tells people whose it is.
///
/// # Errors
/// As [`client_spec`], of `name`.
pub fn nobody_spec(name: &str, validity: Duration, key_type: KeyType) -> Result<LeafSpec, SpecError> {
    let named = client_spec(name, validity, key_type)?;
    Ok(LeafSpec {
        organization: Some(named.common_name),
        common_name: String::new(),
        ..named
    })
}

/// The operator's own certificate, made in memory for one run. Its common name is `root` from the first day, so that
/// nothing changes when etcd's authentication is switched on.
pub fn operator_spec(key_type: KeyType) -> LeafSpec {
    client("root", OPERATOR_VALIDITY, key_type)
}

/// What the operator signs a backup with. Made in memory for one backup, its key is gone with the run.
pub fn signer_spec(key_type: KeyType) -> LeafSpec {
    LeafSpec {
        role: LeafRole::Signer,
        ..client(OPERATOR_SIGNER, SIGNER_VALIDITY, key_type)
    }
}

/// The common name that a member's peer certificate has.
pub fn peer_common_name(node: &str) -> String {
    member_common_name("etcd-peer", node)
}

fn client(common_name: &str, validity: Duration, key_type: KeyType) -> LeafSpec {
    LeafSpec {
        role: LeafRole::Client,
        common_name: common_name.to_owned(),
        organization: None,
        sans: Vec::new(),
        key_type,
        validity,
    }
}

fn member_spec(role: LeafRole, prefix: &str, desired: &Desired, host: &DesiredHost) -> LeafSpec {
    LeafSpec {
        role,
        common_name: member_common_name(prefix, host.name.as_str()),
        organization: None,
        sans: member_sans(host),
        key_type: desired.pki.key_type,
        validity: desired.pki.leaf_validity,
    }
}

/// `etcd-server:NAME`. With client-cert-auth etcd takes the common name of *any* certificate of this CA as the user
/// name, a member's too. The prefix keeps it apart from the names people give to users, above all `root`, so that
/// whoever steals a member's key is nobody to etcd.
fn member_common_name(prefix: &str, host: &str) -> String {
    let mut name = format!("{prefix}:{host}");
    // Host names may be longer than a common name may be. Nothing is looked up by it, so a cut does no harm.
    name.truncate(LONGEST_COMMON_NAME);
    name
}

/// Everything the member is dialled as (its name, its address, `localhost` for checks on the host and through
/// tunnels) and everything it dials *from*: an etcd that accepts a peer looks for the source IP among the SANs.
/// That is why the address it listens on counts too (a host behind NAT), and loopback (several members on one host).
fn member_sans(host: &DesiredHost) -> Vec<Address> {
    let mut sans: BTreeSet<Address> = host.sans.iter().cloned().collect();
    sans.insert(Address::Dns(host.name.as_str().to_owned()));
    sans.insert(host.address.clone());
    sans.insert(Address::Dns("localhost".to_owned()));
    sans.insert(Address::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    sans.insert(Address::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    let listens = host.listen.iter().filter(|ip| !ip.is_unspecified());
    sans.extend(listens.map(|ip| Address::Ip(*ip)));
    sans.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::test_keys::{desired, host};

    fn texts(sans: &[Address]) -> Vec<String> {
        sans.iter().map(Address::to_string).collect()
    }

    #[test]
    fn a_member_is_named_by_all_it_is_dialled_as_and_dials_from() {
        let mut host = host("etcd-1", "203.0.113.7");
        host.listen = vec!["10.0.0.11".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        host.sans = vec!["etcd-1".parse().unwrap(), "etcd-1.example.com".parse().unwrap()];
        let spec = server_spec(&desired(), &host);
        let expected = [
            "10.0.0.11",
            "127.0.0.1",
            "203.0.113.7",
            "::1",
            "etcd-1",
            "etcd-1.example.com",
            "localhost",
        ];
        assert_eq!(texts(&spec.sans), expected);
        assert_eq!(peer_spec(&desired(), &host).sans, spec.sans);
    }

    /// Its key is gone with the run; whoever got hold of it could still be `root` for as long as this.
    #[test]
    fn what_is_made_for_one_run_ends_within_a_day() {
        for spec in [operator_spec(KeyType::EcdsaP256), signer_spec(KeyType::EcdsaP256)] {
            assert!(spec.validity <= Duration::from_secs(24 * 60 * 60), "{spec:?}");
        }
    }

    #[test]
    fn a_host_that_listens_everywhere_adds_no_unspecified_address() {
        let mut host = host("etcd-1", "etcd-1.example.com");
        host.listen = vec!["0.0.0.0".parse().unwrap()];
        let spec = peer_spec(&desired(), &host);
        assert_eq!(
            texts(&spec.sans),
            ["127.0.0.1", "::1", "etcd-1", "etcd-1.example.com", "localhost"]
        );
    }

    #[test]
    fn no_member_certificate_can_be_taken_for_an_etcd_user() {
        let server = server_spec(&desired(), &host("root", "10.0.0.1"));
        let peer = peer_spec(&desired(), &host("root", "10.0.0.1"));
        assert_eq!(
            (server.common_name.as_str(), peer.common_name.as_str()),
            ("etcd-server:root", "etcd-peer:root")
        );
        let long = host(&format!("{0}.{0}", "a".repeat(45)), "10.0.0.1");
        assert_eq!(server_spec(&desired(), &long).common_name.len(), 64);
    }

    #[test]
    fn client_names_are_checked() {
        let day = Duration::from_secs(86_400);
        assert!(client_spec("kube-apiserver", day, KeyType::Ed25519).is_ok());
        for bad in ["", "a b", "a\n", "n\u{e4}me", &"a".repeat(65)] {
            let error = client_spec(bad, day, KeyType::Ed25519).unwrap_err();
            assert!(error.hint().contains("64"), "{bad:?}");
        }
        let operator = operator_spec(KeyType::EcdsaP256);
        assert_eq!(
            (operator.common_name.as_str(), operator.role),
            ("root", LeafRole::Client)
        );
        assert!(!operator.role.needs_server_auth());
    }
}
