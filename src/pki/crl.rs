//! Certificate revocation lists.
//!
//! Always DER: etcd 3.4 and 3.5 read DER and PEM, etcd 3.6 only DER, and a PEM list there breaks *every* handshake, of
//! peers too (`x509: malformed crl`, etcd 3.6.14). etcd looks at serial numbers only, and reads the file anew at every
//! handshake.
//!
//! So a list names everything that is revoked, whichever CA issued it: while one CA gives way to another, members trust
//! both and read one list. Serial numbers are random, no two CAs ever give out the same.
//!
//! A list is signed anew each time it is made, and would never be the same twice: `crl.der` beside the CA is made once
//! for each revocation, and hosts are compared with it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::authority::{Authority, AuthorityError};
use super::issued::IssuedRecord;
use super::store::{PkiDir, StoreError};

/// How long a list claims to be the newest. etcd does not look at it; other readers do.
const NEXT_UPDATE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Authority {
    /// The list of those of `records` that are revoked, in DER. Its number is `now` in seconds: it only ever grows.
    ///
    /// # Errors
    /// [`AuthorityError::Crl`] when a serial is not hexadecimal or the library refuses.
    pub fn revocation_list(&self, records: &[IssuedRecord], now: Timestamp) -> Result<Vec<u8>, AuthorityError> {
        let revoked = records
            .iter()
            .filter_map(|record| Some((record, record.revoked?)))
            .map(|(record, at)| {
                Ok(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&hex::decode(&record.serial).map_err(refused)?),
                    revocation_time: moment(at)?,
                    reason_code: Some(RevocationReason::Unspecified),
                    invalidity_date: None,
                })
            })
            .collect::<Result<Vec<_>, AuthorityError>>()?;
        let params = CertificateRevocationListParams {
            this_update: moment(now)?,
            next_update: moment(now.checked_add(NEXT_UPDATE).map_err(refused)?)?,
            crl_number: SerialNumber::from(now.as_second().unsigned_abs()),
            issuing_distribution_point: None,
            revoked_certs: revoked,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let der = CertificateDer::from(self.certificate().der());
        let issuer = Issuer::from_ca_cert_der(&der, self.signer()).map_err(refused)?;
        Ok(params.signed_by(&issuer).map_err(refused)?.der().to_vec())
    }
}

impl PkiDir {
    /// The list that members are given.
    pub fn crl_path(&self) -> PathBuf {
        self.dir.join("crl.der")
    }

    /// The list, when it is there and names everything that is revoked.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn current_crl(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.crl_path();
        let der = match std::fs::read(&path) {
            Ok(der) => der,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path, source }),
        };
        let named = serials(&der).unwrap_or_default();
        let is_list = serials(&der).is_some();
        let records = self.issued()?.records;
        let mut revoked = records.iter().filter(|r| r.revoked.is_some());
        let complete = revoked.all(|record| named.contains(&record.serial));
        Ok((is_list && complete).then_some(der))
    }

    /// The list, made anew when it is not there or lacks something.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn crl(&self, authority: &Authority, now: Timestamp) -> Result<Vec<u8>, StoreError> {
        if let Some(der) = self.current_crl()? {
            return Ok(der);
        }
        let path = self.crl_path();
        let made = authority.revocation_list(&self.issued()?.records, now);
        let der = made.map_err(|source| StoreError::Authority {
            path: path.clone(),
            source,
        })?;
        self.write(&path, &der)?;
        Ok(der)
    }
}

/// The serial numbers on a list, lower-case hexadecimal; `None` when it is none, or not in DER.
fn serials(der: &[u8]) -> Option<BTreeSet<String>> {
    let (rest, list) = CertificateRevocationList::from_der(der).ok()?;
    let each = list
        .iter_revoked_certificates()
        .map(|entry| super::facts::serial(entry.raw_serial()));
    rest.is_empty().then(|| each.collect())
}

fn moment(at: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(refused)
}

fn refused(why: impl std::fmt::Display) -> AuthorityError {
    AuthorityError::Crl { why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use x509_parser::parse_x509_certificate;

    use super::*;
    use crate::inventory::KeyType;
    use crate::pki::test_keys::{DAY, authority, cluster, now};
    use crate::pki::{IssuedList, client_spec};

    fn record(ca: &Authority, name: &str) -> IssuedRecord {
        let spec = client_spec(name, DAY, KeyType::EcdsaP256).unwrap();
        IssuedRecord::of(name, &ca.issue(&spec, now()).unwrap().facts, ca.certificate().facts())
    }

    #[test]
    fn everything_that_was_revoked_is_on_the_list_whichever_ca_issued_it_and_it_is_der() {
        let (ours, theirs) = (authority(KeyType::EcdsaP256), authority(KeyType::EcdsaP256));
        let mut records = [
            record(&ours, "stolen"),
            record(&ours, "fine"),
            record(&theirs, "of-the-old-ca"),
        ];
        records[0].revoked = Some(now());
        records[2].revoked = Some(now());

        let der = ours.revocation_list(&records, now()).unwrap();
        let revoked = [records[0].serial.clone(), records[2].serial.clone()];
        assert_eq!(serials(&der), Some(revoked.into()));
        let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
        let (_, ca) = parse_x509_certificate(ours.certificate().der()).unwrap();
        assert!(list.verify_signature(ca.public_key()).is_ok());
    }

    #[test]
    fn a_list_of_nothing_is_a_list_too() {
        let ca = authority(KeyType::Ed25519);
        let der = ca.revocation_list(&[], now()).unwrap();
        assert_eq!(serials(&der), Some(BTreeSet::new()));
        assert_eq!(serials(b"-----BEGIN X509 CRL-----"), None);
    }

    #[test]
    fn the_file_is_made_once_and_again_when_something_was_revoked_since() {
        let ca = authority(KeyType::EcdsaP256);
        let place = tempfile::tempdir().unwrap();
        let dir = PkiDir::at(place.path(), &cluster());
        assert_eq!(dir.current_crl().unwrap(), None);
        let first = dir.crl(&ca, now()).unwrap();
        assert_eq!(dir.crl(&ca, now() + DAY).unwrap(), first, "hosts are compared with it");

        let mut list = IssuedList {
            records: vec![record(&ca, "stolen")],
        };
        list.revoke("stolen", now());
        dir.write_issued(&list, now()).unwrap();
        assert_eq!(dir.current_crl().unwrap(), None);
        let second = dir.crl(&ca, now()).unwrap();
        assert_eq!(dir.current_crl().unwrap(), Some(second));
        std::fs::write(dir.crl_path(), "junk").unwrap();
        assert_eq!(dir.current_crl().unwrap(), None);
    }
}
