//! Signatures over bytes, by the keys of certificates of the cluster's CA.

use std::fmt;

use rcgen::{KeyPair, SigningKey as _};
use rustls::SignatureScheme;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use super::authority::{AuthorityError, read_key};
use super::certificate::{CertError, Certificate};
use super::secret::SecretPem;

/// A certificate with its key.
pub struct Signer {
    certificate: Certificate,
    key: Zeroizing<KeyPair>,
}

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The certificate cannot be read.
    #[error("the certificate to sign with cannot be read")]
    Certificate(#[source] CertError),
    /// Its key cannot be read. The key's text is never part of the message.
    #[error("the key to sign with cannot be used")]
    Key(#[source] AuthorityError),
    /// The key is another one's.
    #[error("the key to sign with does not belong to the certificate `{subject}`")]
    NotAPair {
        /// The certificate's subject.
        subject: String,
    },
    /// The cryptographic library refuses.
    #[error("cannot sign: {0}")]
    Refused(#[source] rcgen::Error),
}

impl Signer {
    /// Takes the first certificate of `cert_pem` and its key.
    ///
    /// # Errors
    /// When one of them cannot be read, or they are no pair.
    pub fn new(cert_pem: &str, key: &SecretPem) -> Result<Self, SignerError> {
        let certificate = Certificate::from_pem(cert_pem).map_err(SignerError::Certificate)?;
        let key = read_key(key).map_err(SignerError::Key)?;
        if !certificate.has_public_key(rcgen::PublicKeyData::der_bytes(&*key)) {
            let subject = certificate.facts().subject.clone();
            return Err(SignerError::NotAPair { subject });
        }
        Ok(Self { certificate, key })
    }

    /// The certificate that verifies it.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The signature over `message`, in the form that TLS 1.2 gives it for this kind of key.
    ///
    /// # Errors
    /// When the cryptographic library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.key.sign(message).map_err(SignerError::Refused)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("certificate", self.certificate.facts())
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Whether its key made `signature` over `message`. Neither times nor usages are looked at.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let scheme = match self.facts().key_type.as_str() {
            "ecdsa-p256" => SignatureScheme::ECDSA_NISTP256_SHA256,
            "ecdsa-p384" => SignatureScheme::ECDSA_NISTP384_SHA384,
            "ed25519" => SignatureScheme::ED25519,
            rsa if rsa.starts_with("rsa-") => SignatureScheme::RSA_PKCS1_SHA256,
            _ => return false,
        };
        let known = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let fitting = known.mapping.iter().filter(|(each, _)| *each == scheme);
        let Ok((_, x509)) = parse_x509_certificate(self.der()) else {
            return false;
        };
        let key = &x509.public_key().subject_public_key.data;
        fitting
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::KeyType;
    use crate::pki::test_keys::{authority, desired, host, now};
    use crate::pki::{peer_spec, signer_spec};

    #[test]
    fn every_kind_of_key_signs_and_only_its_own_certificate_verifies() {
        for kind in [KeyType::EcdsaP256, KeyType::Ed25519, KeyType::Rsa3072] {
            let authority = authority(KeyType::EcdsaP256);
            let [ours, others] = [(), ()].map(|()| authority.issue(&signer_spec(kind), now()).unwrap());
            let signer = Signer::new(&ours.cert_pem, &ours.key).unwrap();
            let other = Certificate::from_pem(&others.cert_pem).unwrap();
            let signature = signer.sign(b"what is said").unwrap();
            assert!(signer.certificate().verifies(b"what is said", &signature), "{kind:?}");
            assert!(!signer.certificate().verifies(b"what is not said", &signature));
            assert!(!signer.certificate().verifies(b"what is said", &signature[1..]));
            assert!(!other.verifies(b"what is said", &signature));
            let mixed = Signer::new(&ours.cert_pem, &others.key);
            assert!(matches!(mixed, Err(SignerError::NotAPair { .. })));
        }
    }

    #[test]
    fn what_signs_backups_is_good_for_nothing_else_and_the_other_way_round() {
        let authority = authority(KeyType::EcdsaP256);
        let signer = authority.issue(&signer_spec(KeyType::EcdsaP256), now()).unwrap().facts;
        assert!(signer.document_signing && signer.digital_signature);
        assert!(!signer.client_auth && !signer.server_auth && !signer.ca);
        let peer = peer_spec(&desired(), &host("etcd-1", "10.0.0.1"));
        let peer = authority.issue(&peer, now()).unwrap().facts;
        assert!(!peer.document_signing && peer.digital_signature);
    }
}
