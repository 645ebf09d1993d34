//! `viewers/`: certificates of operators who look at the cluster and cannot open the CA key. Each lies there with its key,
//! sealed to its operator, and may be committed like `ca.key.age`.
//!
//! To etcd it is a client's certificate like any other; what keeps its owner from changing anything through quorate is that
//! every change asks for the CA key first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::authority::Issued;
use super::certificate::Certificate;
use super::identity::{self, AskPassphrase, OpenError};
use super::recipient::Recipient;
use super::sealed::{BEGIN, END_CERTIFICATE};
use super::secret::SecretPem;
use super::store::{PkiDir, StoreError};

/// Where they lie in the pki directory.
const ROOM: &str = "viewers";

/// A certificate to look with, opened.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// Who it was issued to, as named to `pki viewer`.
    pub name: String,
    /// The certificate, PEM, and those between it and what members trust.
    pub cert_pem: String,
    /// Its key.
    pub key: SecretPem,
}

/// What an operator's keys open of `viewers/`.
#[derive(Debug, Default)]
pub struct Viewers {
    /// The certificate that is valid longest.
    pub best: Option<Viewer>,
    /// Certificates that are theirs and cannot be used: a sentence each.
    pub unfit: Vec<String>,
}

impl PkiDir {
    /// Seals a viewer's certificate and key to `recipients`; replaces what was there under this name.
    ///
    /// # Errors
    /// When there is no recipient, or the file cannot be written.
    pub fn write_viewer(&self, name: &str, issued: &Issued, recipients: &[Recipient]) -> Result<PathBuf, StoreError> {
        let path = self.viewer_path(name);
        let what = format!(
            "# The certificate and key with which `{name}` looks at the etcd cluster `{}`, sealed by quorate. Safe to \
             commit.\n# valid until: {}\n",
            self.cluster, issued.facts.not_after
        );
        let plain = pair_text(&issued.cert_pem, &issued.key);
        self.write_sealed(path, &what, plain.as_bytes(), recipients)
    }

    /// Removes a viewer's file; whether there was one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_viewer(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.viewer_path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StoreError::Write { path, source }),
        }
    }

    /// What `identities` open of `viewers/`.
    ///
    /// # Errors
    /// When a file cannot be read, or one that opens is damaged.
    pub fn viewers(
        &self,
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
        now: Timestamp,
    ) -> Result<Viewers, StoreError> {
        let trusted = self.trusted()?;
        let issued = self.issued()?;
        let (mut found, mut until) = (Viewers::default(), Timestamp::MIN);
        for path in self.sealed_in(ROOM)? {
            let Some((viewer, certificate)) = self.open_pair(&path, identities, ask)? else {
                continue;
            };
            let facts = certificate.facts();
            let revoked = issued
                .records
                .iter()
                .any(|r| r.sha256 == facts.sha256 && r.revoked.is_some());
            let unfit = match trusted.iter().any(|ca| certificate.is_issued_by(ca)) {
                _ if revoked => Some("was revoked".to_owned()),
                _ if now >= facts.not_after => Some(format!("expired at {}", facts.not_after)),
                false => Some("is from a CA that is not in ca.crt".to_owned()),
                true => None,
            };
            match unfit {
                Some(why) => found.unfit.push(format!("your certificate {} {why}", path.display())),
                None if facts.not_after > until => {
                    until = facts.not_after;
                    found.best = Some(viewer);
                }
                None => {}
            }
        }
        Ok(found)
    }

    /// A certificate with its key that was sealed; `None` when it is sealed to others.
    pub(super) fn open_pair(
        &self,
        path: &Path,
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
    ) -> Result<Option<(Viewer, Certificate)>, StoreError> {
        let damaged = |why: &str| StoreError::Viewer {
            path: path.to_owned(),
            why: why.to_owned(),
        };
        let text = self.read(path)?.unwrap_or_default();
        let start = text.find(BEGIN).ok_or_else(|| damaged("it is not a sealed file"))?;
        let plain = match identity::open(&text[start..], identities, ask) {
            Ok(plain) => plain,
            Err(OpenError::NoKey { .. }) => return Ok(None),
            Err(OpenError::Damaged { why }) => return Err(damaged(&why)),
        };
        let no_pair = || damaged("what is sealed in it is not a certificate with its key");
        let plain = std::str::from_utf8(&plain).map_err(|_| no_pair())?;
        let key_at = plain.rfind(END_CERTIFICATE).ok_or_else(no_pair)? + END_CERTIFICATE.len();
        let (cert_pem, key) = plain.split_at(key_at);
        let chain = Certificate::bundle_from_pem(cert_pem).map_err(|_| no_pair())?;
        let certificate = chain.into_iter().next().ok_or_else(no_pair)?;
        let viewer = Viewer {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            cert_pem: cert_pem.to_owned(),
            key: SecretPem::new(Zeroizing::new(key.to_owned())),
        };
        Ok(Some((viewer, certificate)))
    }

    fn viewer_path(&self, name: &str) -> PathBuf {
        self.path().join(ROOM).join(format!("{name}.age"))
    }
}

/// A certificate and its key as one text.
pub(super) fn pair_text(cert_pem: &str, key: &SecretPem) -> Zeroizing<String> {
    let key = key.expose_pem();
    // Sized beforehand: a string that grows leaves copies of the key behind that nothing wipes.
    let mut plain = Zeroizing::new(String::with_capacity(cert_pem.len() + 1 + key.len()));
    plain.push_str(cert_pem);
    if !cert_pem.ends_with('\n') {
        plain.push('\n');
    }
    plain.push_str(key);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::KeyType;
    use crate::pki::test_keys::{age_key, authority, now};
    use crate::pki::{IssuedRecord, client_spec};

    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

    /// A key that opens what is sealed to it, as an operator has it on disk.
    struct Key {
        recipient: Vec<Recipient>,
        file: PathBuf,
    }

    fn key(dir: &Path, name: &str) -> Key {
        let (recipient, file) = age_key(dir, name);
        Key { recipient, file }
    }

    #[test]
    fn a_viewer_opens_its_own_certificate_and_no_one_elses() {
        let dir = tempfile::tempdir().unwrap();
        let pki = PkiDir::at(dir.path().join("pki"), &"demo".parse().unwrap());
        let (ca, now) = (authority(KeyType::EcdsaP256), now());
        pki.write_trusted(&[ca.certificate().clone()]).unwrap();
        let (alice, bob) = (key(dir.path(), "alice"), key(dir.path(), "bob"));
        let issue = |name: &str, days: u32, to: &Key| {
            let spec = client_spec(name, DAY * days, KeyType::EcdsaP256).unwrap();
            let issued = ca.issue(&spec, now).unwrap();
            pki.write_viewer(name, &issued, &to.recipient).unwrap();
            issued
        };
        let open = |key: &Key, now| {
            pki.viewers(std::slice::from_ref(&key.file), &mut |_| None, now)
                .unwrap()
        };

        let long = issue("alice", 30, &alice);
        issue("alice-ci", 2, &alice);
        let found = open(&alice, now);
        let best = found.best.expect("the one that is valid longest");
        assert_eq!((best.name.as_str(), &best.cert_pem), ("alice", &long.cert_pem));
        assert_eq!(best.key.expose_pem(), long.key.expose_pem());
        let stored = fs::read_to_string(pki.viewer_path("alice")).unwrap();
        assert!(
            stored.contains("# valid until: ") && !stored.contains("PRIVATE KEY"),
            "{stored}"
        );

        let others = open(&bob, now);
        assert!(others.best.is_none() && others.unfit.is_empty(), "{others:?}");

        let later = open(&alice, now + DAY * 31);
        assert!(later.best.is_none(), "{later:?}");
        assert!(
            later.unfit.iter().any(|why| why.contains("alice.age expired at")),
            "{later:?}"
        );

        // Another CA has taken over, and a revocation is heeded before the members have the list.
        let mut list = pki.issued().unwrap();
        list.records
            .push(IssuedRecord::of("alice", &long.facts, ca.certificate().facts()));
        list.revoke("alice", now);
        pki.write_issued(&list, now).unwrap();
        let left = open(&alice, now);
        assert_eq!(left.best.map(|viewer| viewer.name).as_deref(), Some("alice-ci"));
        assert!(left.unfit[0].ends_with("was revoked"), "{:?}", left.unfit);
        pki.write_trusted(&[authority(KeyType::EcdsaP256).certificate().clone()])
            .unwrap();
        let strange = open(&alice, now);
        assert!(strange.best.is_none(), "{strange:?}");
        let why = "is from a CA that is not in ca.crt";
        assert!(strange.unfit.iter().any(|unfit| unfit.contains(why)), "{strange:?}");

        assert!(pki.remove_viewer("alice").unwrap() && !pki.remove_viewer("alice").unwrap());
    }
}
