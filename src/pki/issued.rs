//! `issued.yml`: which client certificates were issued. Committed like the rest of the directory; holds no key.
//!
//! A client cannot be inspected, so this list is the only way for a CA rotation to know who must get a new certificate
//! first, and for a CRL to know serial numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::facts::CertFacts;
use super::store::{PkiDir, StoreError};

const HEAD: &str = "\
# Client certificates that quorate issued; no keys. Keep this file in version control:
# a CA rotation waits until each of these clients has a new certificate.
";

/// One certificate that was issued to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuedRecord {
    /// Who it was issued for, as named to `pki issue`; also the name of its files.
    pub name: String,
    /// Its common name: the user, where etcd's own authentication is on.
    pub user: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of the CA certificate that signed it.
    pub issuer: String,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl IssuedRecord {
    /// What to remember of a certificate; `issuer` is the CA that signed it.
    pub fn of(name: &str, certificate: &CertFacts, issuer: &CertFacts) -> IssuedRecord {
        IssuedRecord {
            name: name.to_owned(),
            user: certificate.common_name.clone(),
            serial: certificate.serial.clone(),
            sha256: certificate.sha256.clone(),
            issuer: issuer.sha256.clone(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            revoked: None,
        }
    }

    /// Whether somebody may still use it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.not_after
    }
}

/// Every certificate that was issued to a client and may still be valid, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IssuedList {
    /// The records.
    pub records: Vec<IssuedRecord>,
}

impl IssuedList {
    /// The newest certificate of each name that is in use, by name. An older one of the same name counts as replaced.
    pub fn current(&self, now: Timestamp) -> BTreeMap<&str, &IssuedRecord> {
        let live = self.records.iter().filter(|record| record.is_live(now));
        live.map(|record| (record.name.as_str(), record)).collect()
    }

    /// Who still needs a certificate from the CA `issuer` (its SHA-256): their newest one comes from another.
    pub fn not_from(&self, issuer: &str, now: Timestamp) -> Vec<&IssuedRecord> {
        let current = self.current(now);
        current.into_values().filter(|record| record.issuer != issuer).collect()
    }

    /// Marks every live certificate of `name` as revoked; how many there were.
    pub fn revoke(&mut self, name: &str, now: Timestamp) -> usize {
        let live = self.records.iter_mut().filter(|r| r.name == name && r.is_live(now));
        live.map(|record| record.revoked = Some(now)).count()
    }
}

impl PkiDir {
    /// What was issued to clients; empty when there is no `issued.yml`.
    ///
    /// # Errors
    /// When the file cannot be read or was edited into something else.
    pub fn issued(&self) -> Result<IssuedList, StoreError> {
        let path = self.issued_path();
        let Some(text) = self.read(&path)? else {
            return Ok(IssuedList::default());
        };
        let only_comments = text.lines().all(|line| line.trim().is_empty() || line.starts_with('#'));
        if only_comments {
            return Ok(IssuedList::default());
        }
        serde_yaml::from_str(&text).map_err(|error| StoreError::IssuedList {
            path,
            why: error.to_string(),
        })
    }

    /// Writes the list, without what has expired.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_issued(&self, list: &IssuedList, now: Timestamp) -> Result<(), StoreError> {
        let path = self.issued_path();
        let records: Vec<_> = list.records.iter().filter(|r| now < r.not_after).cloned().collect();
        let body = serde_yaml::to_string(&IssuedList { records }).map_err(|error| StoreError::IssuedList {
            path: path.clone(),
            why: error.to_string(),
        })?;
        self.write(&path, format!("{HEAD}{body}"))
    }

    fn issued_path(&self) -> PathBuf {
        self.dir.join("issued.yml")
    }
}
