//! Certificate revocation lists.
//!
//! Always DER: etcd 3.4 and 3.5 read DER and PEM, etcd 3.6 only DER, and a PEM list there breaks *every* handshake, of
//! peers too (`x509: malformed crl`, etcd 3.6.14). etcd looks at serial numbers only, and reads the file anew at every
//! handshake.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use super::authority::{Authority, AuthorityError};
use super::issued::IssuedRecord;

/// How long a list claims to be the newest. etcd does not look at it; other readers do.
const NEXT_UPDATE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Authority {
    /// The list of those of `records` that this CA issued and that are revoked, in DER. Its number is `now` in seconds:
    /// it only ever grows.
    ///
    /// # Errors
    /// [`AuthorityError::Crl`] when a serial is not hexadecimal or the library refuses.
    pub fn revocation_list(&self, records: &[IssuedRecord], now: Timestamp) -> Result<Vec<u8>, AuthorityError> {
        let own = &self.certificate().facts().sha256;
        let revoked = records
            .iter()
            .filter(|record| record.issuer == *own)
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

fn moment(at: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(refused)
}

fn refused(why: impl std::fmt::Display) -> AuthorityError {
    AuthorityError::Crl { why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use x509_parser::parse_x509_certificate;
    use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

    use super::*;
    use crate::inventory::KeyType;
    use crate::pki::client_spec;
    use crate::pki::test_keys::{DAY, authority, now};

    #[test]
    fn only_what_this_ca_issued_and_was_revoked_is_on_the_list_and_it_is_der() {
        let (ours, theirs) = (authority(KeyType::EcdsaP256), authority(KeyType::EcdsaP256));
        let record = |ca: &Authority, name: &str| {
            let issued = ca
                .issue(&client_spec(name, DAY, KeyType::EcdsaP256).unwrap(), now())
                .unwrap();
            IssuedRecord::of(name, &issued.facts, ca.certificate().facts())
        };
        let mut records = [
            record(&ours, "stolen"),
            record(&ours, "fine"),
            record(&theirs, "elsewhere"),
        ];
        records[0].revoked = Some(now());
        records[2].revoked = Some(now());

        let der = ours.revocation_list(&records, now()).unwrap();
        let (rest, list) = CertificateRevocationList::from_der(&der).unwrap();
        assert!(rest.is_empty());
        let serials: Vec<_> = list
            .iter_revoked_certificates()
            .map(|c| hex::encode(c.raw_serial()))
            .collect();
        assert_eq!(serials, [records[0].serial.clone()]);
        let (_, ca) = parse_x509_certificate(ours.certificate().der()).unwrap();
        assert!(list.verify_signature(ca.public_key()).is_ok());
    }

    #[test]
    fn a_list_of_nothing_is_a_list_too() {
        let ca = authority(KeyType::Ed25519);
        let der = ca.revocation_list(&[], now()).unwrap();
        let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
        assert_eq!(list.iter_revoked_certificates().count(), 0);
    }
}
