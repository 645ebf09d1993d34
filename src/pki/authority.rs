//! The certificate authority, unlocked: its key is in memory and nowhere else.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
    SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::certificate::{CertError, Certificate};
use super::facts::{CertFacts, DOCUMENT_SIGNING};
use super::secret::SecretPem;
use super::spec::LeafSpec;
use crate::inventory::{Address, ClusterName, KeyType, PkiPolicy};

/// New certificates begin this long ago, so that a host whose clock is a little behind takes them at once.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// A CA whose key is at hand.
pub struct Authority {
    certificate: Certificate,
    key: SecretPem,
    signer: Zeroizing<KeyPair>,
}

/// A new certificate and its key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// Its private key, PKCS#8.
    pub key: SecretPem,
    /// What the certificate says, read back from it.
    pub facts: CertFacts,
}

/// Why a CA cannot be made, loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The CA certificate cannot be read.
    #[error("the CA certificate cannot be read")]
    Certificate(#[source] CertError),
    /// The CA key cannot be read. The key's text is never part of the message.
    #[error("the CA key cannot be read: {why}")]
    Key {
        /// What is wrong with it.
        why: String,
    },
    /// None of the CA certificates has this key.
    #[error("the CA key does not match the CA certificate ({subjects})")]
    KeyMismatch {
        /// The certificates looked at.
        subjects: String,
    },
    /// The certificate may not sign others.
    #[error("`{subject}` is not a CA certificate")]
    NotACa {
        /// Its subject.
        subject: String,
    },
    /// The CA has expired.
    #[error("the CA `{subject}` expired at {at}")]
    Expired {
        /// Its subject.
        subject: String,
        /// When it ended.
        at: Timestamp,
    },
    /// The CA's validity has not begun.
    #[error("the CA `{subject}` is not valid before {from}, and this machine's clock says {now}")]
    NotYetValid {
        /// Its subject.
        subject: String,
        /// When it begins.
        from: Timestamp,
        /// The time that was handed in.
        now: Timestamp,
    },
    /// A key could not be made.
    #[error("cannot create a key")]
    Generate(#[source] rcgen::Error),
    /// A certificate could not be made.
    #[error("cannot create the certificate `{common_name}`: {why}")]
    Issue {
        /// Its subject.
        common_name: String,
        /// What the library says.
        why: String,
    },
    /// A revocation list could not be made.
    #[error("cannot create the revocation list: {why}")]
    Crl {
        /// What the library says.
        why: String,
    },
}

impl AuthorityError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            AuthorityError::Certificate(source) => source.hint(),
            AuthorityError::Key { .. } => {
                "pass an unencrypted PEM key (PKCS#8, PKCS#1 or SEC1) of type ECDSA P-256 or \
                 P-384, Ed25519 or RSA; `openssl pkey -in ca.key -out plain.key` removes a passphrase"
                    .to_owned()
            }
            AuthorityError::KeyMismatch { .. } => {
                "put the certificate and the key of the same CA next to each other; if one of the two files was changed, \
                 restore it from version control"
                    .to_owned()
            }
            AuthorityError::NotACa { .. } => "pass a certificate with CA:TRUE and the key usage keyCertSign".to_owned(),
            AuthorityError::Expired { .. } => "create a new CA with `quorate pki rotate-ca`".to_owned(),
            AuthorityError::NotYetValid { .. } => "set this machine's clock, then run this again".to_owned(),
            AuthorityError::Generate(_) | AuthorityError::Issue { .. } | AuthorityError::Crl { .. } => {
                "this is most likely a bug in quorate: please report it with the message above".to_owned()
            }
        }
    }
}

impl Authority {
    /// Makes a new self-signed CA, `CLUSTER etcd CA`. It signs leaves only (path length 0).
    ///
    /// # Errors
    /// [`AuthorityError::Generate`] and [`AuthorityError::Issue`], when the cryptographic library refuses.
    pub fn create(cluster: &ClusterName, policy: &PkiPolicy, now: Timestamp) -> Result<Authority, AuthorityError> {
        let signer = generate_key(policy.key_type)?;
        let common_name = format!("{cluster} etcd CA");
        let not_after = now.checked_add(policy.ca_validity).unwrap_or(Timestamp::MAX);
        let mut params = params(&common_name, None, now, not_after)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params
            .self_signed(&*signer)
            .map_err(|e| cannot_issue(&common_name, e))?;
        let certificate = Certificate::from_der(made.der()).map_err(|e| cannot_issue(&common_name, e))?;
        Ok(Authority {
            certificate,
            key: SecretPem::new(Zeroizing::new(signer.serialize_pem())),
            signer,
        })
    }

    /// A request (PKCS #10, PEM) that a company's CA make this key an intermediate CA, `CLUSTER etcd CA`, which signs
    /// leaves only.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`] when the cryptographic library refuses.
    pub(super) fn request(&self, cluster: &ClusterName) -> Result<String, AuthorityError> {
        let common_name = format!("{cluster} etcd CA");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, &common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let request = params.serialize_request(&*self.signer);
        request
            .and_then(|request| request.pem())
            .map_err(|e| cannot_issue(&common_name, e))
    }

    /// Takes up an existing CA: the certificate in `ca_cert_pem` (a bundle, while a CA is being rotated) that `key`
    /// belongs to. Keys in PKCS#8, PKCS#1 and SEC1 are read.
    ///
    /// # Errors
    /// One variant for each thing that can be wrong: unreadable, not a pair, not a CA, outside its validity.
    pub fn load(ca_cert_pem: &str, key: SecretPem, now: Timestamp) -> Result<Authority, AuthorityError> {
        let bundle = Certificate::bundle_from_pem(ca_cert_pem).map_err(AuthorityError::Certificate)?;
        let signer = read_key(&key)?;
        // A CA that was renewed with its old key is listed twice; the one that lives longest is meant.
        let own = bundle
            .iter()
            .filter(|cert| cert.has_public_key(signer.public_key_raw()));
        let Some(certificate) = own.max_by_key(|cert| cert.facts().not_after).cloned() else {
            let subjects: Vec<_> = bundle.iter().map(|cert| cert.facts().subject.as_str()).collect();
            return Err(AuthorityError::KeyMismatch {
                subjects: subjects.join("; "),
            });
        };
        if !certificate.facts().ca {
            return Err(AuthorityError::NotACa {
                subject: certificate.facts().subject.clone(),
            });
        }
        let authority = Authority {
            certificate,
            key,
            signer,
        };
        authority.check_time(now)?;
        Ok(authority)
    }

    /// The CA's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The CA's private key, to be sealed.
    pub fn key(&self) -> &SecretPem {
        &self.key
    }

    /// What signs, for the other files of this room.
    pub(super) fn signer(&self) -> &KeyPair {
        &self.signer
    }

    /// Makes a key and a certificate for it as `spec` says, valid from five minutes ago until the end of the spec's
    /// validity or of the CA, whichever comes first.
    ///
    /// # Errors
    /// When the CA is outside its validity at `now`, or the cryptographic library refuses.
    pub fn issue(&self, spec: &LeafSpec, now: Timestamp) -> Result<Issued, AuthorityError> {
        self.check_time(now)?;
        let name = &spec.common_name;
        let leaf_key = generate_key(spec.key_type)?;
        let ends = now.checked_add(spec.validity).unwrap_or(Timestamp::MAX);
        let not_after = ends.min(self.certificate.facts().not_after);
        let mut params = params(name, spec.organization.as_deref(), now, not_after)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = leaf_key_usages(spec.key_type);
        params.extended_key_usages = extended_usages(spec);
        params.subject_alt_names = spec
            .sans
            .iter()
            .map(san)
            .collect::<Result<_, _>>()
            .map_err(|e| cannot_issue(name, e))?;
        let ca_der = CertificateDer::from(self.certificate.der());
        let issuer = Issuer::from_ca_cert_der(&ca_der, &*self.signer).map_err(|e| cannot_issue(name, e))?;
        let made = params
            .signed_by(&*leaf_key, &issuer)
            .map_err(|e| cannot_issue(name, e))?;
        let leaf = Certificate::from_der(made.der()).map_err(|e| cannot_issue(name, e))?;
        Ok(Issued {
            cert_pem: leaf.to_pem(),
            key: SecretPem::new(Zeroizing::new(leaf_key.serialize_pem())),
            facts: leaf.facts().clone(),
        })
    }

    fn check_time(&self, now: Timestamp) -> Result<(), AuthorityError> {
        let facts = self.certificate.facts();
        let subject = facts.subject.clone();
        if now >= facts.not_after {
            return Err(AuthorityError::Expired {
                subject,
                at: facts.not_after,
            });
        }
        if now < facts.not_before {
            return Err(AuthorityError::NotYetValid {
                subject,
                from: facts.not_before,
                now,
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", self.certificate.facts())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn cannot_issue(common_name: &str, why: impl fmt::Display) -> AuthorityError {
    AuthorityError::Issue {
        common_name: common_name.to_owned(),
        why: why.to_string(),
    }
}

fn generate_key(key_type: KeyType) -> Result<Zeroizing<KeyPair>, AuthorityError> {
    let key = match key_type {
        KeyType::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyType::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
        KeyType::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
    };
    key.map(Zeroizing::new).map_err(AuthorityError::Generate)
}

pub(super) fn read_key(key: &SecretPem) -> Result<Zeroizing<KeyPair>, AuthorityError> {
    let refuse = |why: &str| AuthorityError::Key { why: why.to_owned() };
    let text = key.expose_pem();
    if text.contains("ENCRYPTED") {
        return Err(refuse("it is protected by a passphrase"));
    }
    // Skips what stands before the key, such as the EC PARAMETERS that openssl writes.
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| refuse("there is no intact `PRIVATE KEY` block in it"))?;
    let signer = KeyPair::try_from(&der).map_err(|_| refuse("it is damaged or of an unsupported type"))?;
    // P-521 would sign, but neither rustls nor the check of our own leaves could verify it.
    let known = [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
        &PKCS_RSA_SHA256,
    ];
    if !known.contains(&signer.algorithm()) {
        return Err(refuse("its type is not supported"));
    }
    Ok(Zeroizing::new(signer))
}

fn params(
    common_name: &str,
    organization: Option<&str>,
    now: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, AuthorityError> {
    let wrong_time = |e: time::error::ComponentRange| cannot_issue(common_name, e);
    let not_before = now.checked_sub(BACKDATED).unwrap_or(Timestamp::MIN);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if !common_name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, common_name);
    }
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.serial_number = Some(random_serial(common_name)?);
    params.not_before = OffsetDateTime::from_unix_timestamp(not_before.as_second()).map_err(wrong_time)?;
    params.not_after = OffsetDateTime::from_unix_timestamp(not_after.as_second()).map_err(wrong_time)?;
    Ok(params)
}

/// 158 random bits in 20 bytes. The top bits are `01`: a positive number that always has its full length.
fn random_serial(common_name: &str) -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0; 20];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random
        .fill(&mut bytes)
        .map_err(|_| cannot_issue(common_name, "the system gives no random numbers"))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Only RSA keys can also encrypt the session key (TLS 1.2 without forward secrecy; some old clients insist).
fn leaf_key_usages(key_type: KeyType) -> Vec<KeyUsagePurpose> {
    match key_type {
        KeyType::EcdsaP256 | KeyType::Ed25519 => vec![KeyUsagePurpose::DigitalSignature],
        KeyType::Rsa3072 => vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment],
    }
}

fn extended_usages(spec: &LeafSpec) -> Vec<ExtendedKeyUsagePurpose> {
    let mut usages = Vec::new();
    if spec.role.needs_server_auth() {
        usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    if spec.role.needs_client_auth() {
        usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    if spec.role.signs_documents() {
        usages.push(ExtendedKeyUsagePurpose::Other(DOCUMENT_SIGNING.to_vec()));
    }
    usages
}

fn san(address: &Address) -> Result<SanType, rcgen::Error> {
    Ok(match address {
        Address::Ip(ip) => SanType::IpAddress(*ip),
        Address::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
    })
}
