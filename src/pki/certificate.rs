//! Reading certificates: PEM or DER in, [`CertFacts`] and real signature checks out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::parse_x509_certificate;

use super::facts::CertFacts;

/// A certificate that could be read: its bytes and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    facts: CertFacts,
}

/// Why some text or bytes are not certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// There is no `BEGIN CERTIFICATE` block in the text.
    #[error("there is no certificate in it")]
    Missing,
    /// A PEM block is damaged.
    #[error("its PEM is damaged: {why}")]
    Pem {
        /// What the PEM reader says.
        why: String,
    },
    /// A block is not an X.509 certificate.
    #[error("certificate {number} in it is not a valid X.509 certificate")]
    Der {
        /// Place among the certificates of the text, from 1.
        number: usize,
    },
}

impl CertError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        "pass one or more certificates as PEM (`-----BEGIN CERTIFICATE-----`); if the file was damaged, restore it from version \
         control"
            .to_owned()
    }
}

impl Certificate {
    /// Reads one certificate in DER, as a TLS peer presents it.
    ///
    /// # Errors
    /// [`CertError::Der`] when it is not one, or bytes follow it.
    pub fn from_der(der: &[u8]) -> Result<Certificate, CertError> {
        let refuse = CertError::Der { number: 1 };
        let (rest, x509) = parse_x509_certificate(der).map_err(|_| refuse.clone())?;
        let facts = CertFacts::read(&x509, der).filter(|_| rest.is_empty()).ok_or(refuse)?;
        Ok(Certificate {
            der: der.to_vec(),
            facts,
        })
    }

    /// Reads the first certificate of a PEM text (the leaf, of a chain).
    ///
    /// # Errors
    /// When there is none or any of the text's certificates is damaged.
    pub fn from_pem(text: &str) -> Result<Certificate, CertError> {
        Ok(Certificate::bundle_from_pem(text)?.swap_remove(0))
    }

    /// Reads every certificate of a PEM text, in order; at least one.
    ///
    /// # Errors
    /// When there is none or any of them is damaged.
    pub fn bundle_from_pem(text: &str) -> Result<Vec<Certificate>, CertError> {
        let mut bundle = Vec::new();
        for der in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let der = der.map_err(|error| CertError::Pem { why: error.to_string() })?;
            let number = bundle.len() + 1;
            bundle.push(Certificate::from_der(&der).map_err(|_| CertError::Der { number })?);
        }
        if bundle.is_empty() {
            return Err(CertError::Missing);
        }
        Ok(bundle)
    }

    /// What it says.
    pub fn facts(&self) -> &CertFacts {
        &self.facts
    }

    /// Its bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// As one PEM block with a final newline.
    pub fn to_pem(&self) -> String {
        let body = STANDARD.encode(&self.der);
        let mut pem = String::with_capacity(body.len() + body.len() / 64 + 64);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in body.as_bytes().chunks(64) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// Whether `ca` is a CA, has the name this certificate gives for its issuer, and really signed it.
    /// Times are not looked at.
    pub fn is_issued_by(&self, ca: &Certificate) -> bool {
        let (Ok((_, leaf)), Ok((_, issuer))) = (parse_x509_certificate(&self.der), parse_x509_certificate(&ca.der))
        else {
            return false;
        };
        ca.facts.ca
            && leaf.issuer().as_raw() == issuer.subject().as_raw()
            && leaf.verify_signature(Some(issuer.public_key())).is_ok()
    }

    /// Whether its public key is `raw`: the contents of the SubjectPublicKeyInfo's bit string.
    pub fn has_public_key(&self, raw: &[u8]) -> bool {
        parse_x509_certificate(&self.der).is_ok_and(|(_, x509)| x509.public_key().subject_public_key.data == raw)
    }
}

/// Several certificates as one PEM text, the form of `ca.crt`.
pub fn bundle_pem(certificates: &[Certificate]) -> String {
    certificates.iter().map(Certificate::to_pem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::KeyType;
    use crate::pki::test_keys::{authority, desired, host, now};
    use crate::pki::{client_spec, server_spec};

    #[test]
    fn a_bundle_is_read_in_order_and_written_back() {
        let (old, new) = (authority(KeyType::EcdsaP256), authority(KeyType::Ed25519));
        let text = format!(
            "a comment\n{}\r\n{}",
            old.certificate().to_pem(),
            new.certificate().to_pem()
        );
        let bundle = Certificate::bundle_from_pem(&text).unwrap();
        assert_eq!(bundle, [old.certificate().clone(), new.certificate().clone()]);
        assert_eq!(Certificate::bundle_from_pem(&bundle_pem(&bundle)).unwrap(), bundle);
        assert_eq!(bundle[0].facts().key_type, "ecdsa-p256");
        assert_eq!(bundle[1].facts().key_type, "ed25519");
    }

    #[test]
    fn only_the_signer_counts_as_issuer_although_both_cas_have_the_same_name() {
        let (old, new) = (authority(KeyType::EcdsaP256), authority(KeyType::EcdsaP256));
        let spec = server_spec(&desired(), &host("etcd-1", "10.0.0.1"));
        let issued = new.issue(&spec, now()).unwrap();
        let leaf = Certificate::from_pem(&issued.cert_pem).unwrap();
        assert_eq!(old.certificate().facts().subject, leaf.facts().issuer);
        assert!(leaf.is_issued_by(new.certificate()));
        assert!(!leaf.is_issued_by(old.certificate()));
        assert!(!leaf.is_issued_by(&leaf), "a leaf issues nothing");
        assert_eq!(&issued.facts, leaf.facts());
    }

    #[test]
    fn facts_survive_serialisation() {
        let authority = authority(KeyType::EcdsaP256);
        let spec = client_spec("root", std::time::Duration::from_secs(3600), KeyType::EcdsaP256).unwrap();
        let facts = authority.issue(&spec, now()).unwrap().facts;
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<CertFacts>(&text).unwrap(), facts);
        assert!(facts.client_auth && !facts.server_auth && !facts.ca);
    }

    #[test]
    fn what_is_no_certificate_is_refused_with_its_place() {
        assert_eq!(Certificate::from_pem("").unwrap_err(), CertError::Missing);
        let good = authority(KeyType::EcdsaP256).certificate().to_pem();
        let key_only = good.replace("CERTIFICATE", "PRIVATE KEY");
        assert_eq!(Certificate::from_pem(&key_only).unwrap_err(), CertError::Missing);
        let cut = &good[..good.len() / 2];
        assert!(matches!(Certificate::from_pem(cut), Err(CertError::Pem { .. })));
        let hollow = format!("{good}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let error = Certificate::bundle_from_pem(&hollow).unwrap_err();
        assert_eq!(error, CertError::Der { number: 2 });
        assert!(error.hint().contains("PEM"));
        let mut trailing = Certificate::from_pem(&good).unwrap().der().to_vec();
        trailing.push(0);
        assert!(Certificate::from_der(&trailing).is_err());
    }
}
