//! A CA that `adopt` took in: something else issued certificates from it, and perhaps its key is not here.
//!
//! | file | what |
//! |---|---|
//! | `taken-over.crt` | the CA: clients have certificates of it that `issued.yml` does not list |
//! | `borrowed.age` | only where its key is not here: a client's certificate of it with its key, sealed to the operators |
//!
//! With a borrowed certificate members can be asked and restarted, and nothing can be issued. The next CA ends that:
//! `rotate-ca` needs no key of the one before.

use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use super::certificate::Certificate;
use super::identity::AskPassphrase;
use super::recipient::Recipient;
use super::secret::SecretPem;
use super::store::{PkiDir, StoreError};
use super::viewers::{Viewer, pair_text};

impl PkiDir {
    /// Takes in a CA without its key, and what members are asked with instead. Cut off between the files, it is done again.
    ///
    /// # Errors
    /// When there is no recipient, none of `identities` is among them, or a file cannot be written.
    pub fn borrow(
        &self,
        ca: &Certificate,
        cert_pem: &str,
        key: &SecretPem,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
    ) -> Result<(), StoreError> {
        let what = format!(
            "# A client's certificate and key from the CA that the etcd cluster `{}` was taken over with, sealed by quorate.\n# \
             Safe to commit. `quorate pki rotate-ca` makes it superfluous.\n",
            self.cluster
        );
        let plain = pair_text(cert_pem, key);
        self.write_sealed(self.borrowed_path(), &what, plain.as_bytes(), recipients)?;
        self.open_pair(&self.borrowed_path(), identities, ask)?
            .ok_or_else(|| self.borrowed_for_others())?;
        self.write_trusted(std::slice::from_ref(ca))
    }

    /// Notes that clients have certificates of this CA which were issued elsewhere.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_taken_over(&self, ca: &Certificate) -> Result<(), StoreError> {
        self.write(&self.taken_over_path(), ca.to_pem())
    }

    /// The CA that was taken over and is still trusted.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn taken_over(&self) -> Result<Option<Certificate>, StoreError> {
        let path = self.taken_over_path();
        let Some(text) = self.read(&path)? else {
            return Ok(None);
        };
        let ca = Certificate::from_pem(&text);
        ca.map(Some).map_err(|source| StoreError::Certificates { path, source })
    }

    /// Whether the key of the CA that signs is nowhere: nothing can be issued until the next CA signs.
    pub fn is_keyless(&self) -> bool {
        !self.sealed_path().exists() && self.borrowed_path().exists()
    }

    /// What members are asked with while nothing can be issued.
    ///
    /// # Errors
    /// When none of `identities` opens it, it is damaged, or it has expired.
    pub fn borrowed(
        &self,
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
        now: Timestamp,
    ) -> Result<(Viewer, Timestamp), StoreError> {
        let path = self.borrowed_path();
        let (pair, certificate) = self
            .open_pair(&path, identities, ask)?
            .ok_or_else(|| self.borrowed_for_others())?;
        let until = certificate.facts().not_after;
        match now < until {
            true => Ok((pair, until)),
            false => Err(StoreError::BorrowedEnded { path, at: until }),
        }
    }

    /// The CA is trusted no longer: what was kept because of it goes.
    pub(super) fn forget_taken_over(&self, old: &Certificate) -> Result<(), StoreError> {
        if self.taken_over()?.as_ref() != Some(old) {
            return Ok(());
        }
        for path in [self.borrowed_path(), self.taken_over_path()] {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError::Write { path, source }),
            }
        }
        Ok(())
    }

    fn borrowed_for_others(&self) -> StoreError {
        let path = self.borrowed_path();
        let text = self.read(&path).ok().flatten().unwrap_or_default();
        StoreError::NotYours {
            sealed_to: super::sealed::label(&text).recipients,
            path,
            tried: Vec::new(),
        }
    }

    pub(super) fn borrowed_path(&self) -> PathBuf {
        self.path().join("borrowed.age")
    }

    fn taken_over_path(&self) -> PathBuf {
        self.path().join("taken-over.crt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::KeyType;
    use crate::pki::client_spec;
    use crate::pki::test_keys::{age_key, authority, now, policy};

    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

    #[test]
    fn a_ca_without_its_key_is_asked_with_what_was_borrowed_until_the_next_one_signs() {
        let dir = tempfile::tempdir().unwrap();
        let pki = PkiDir::at(dir.path().join("pki"), &"demo".parse().unwrap());
        let (theirs, now) = (authority(KeyType::EcdsaP256), now());
        let ca = theirs.certificate().clone();
        let pair = theirs
            .issue(&client_spec("admin", DAY, KeyType::EcdsaP256).unwrap(), now)
            .unwrap();
        let (recipients, mine) = age_key(dir.path(), "mine");
        let (_, others) = age_key(dir.path(), "others");
        let (mine, others) = ([mine], [others]);
        assert!(!pki.is_keyless());
        pki.note_taken_over(&ca).unwrap();
        pki.borrow(&ca, &pair.cert_pem, &pair.key, &recipients, &mine, &mut |_| None)
            .unwrap();
        assert!(pki.is_keyless());
        let sealed = fs::read_to_string(pki.borrowed_path()).unwrap();
        assert!(!sealed.contains("PRIVATE KEY"), "{sealed}");
        let (borrowed, until) = pki.borrowed(&mine, &mut |_| None, now).unwrap();
        assert_eq!(
            (borrowed.cert_pem, until),
            (pair.cert_pem.clone(), pair.facts.not_after)
        );
        let error = pki.borrowed(&others, &mut |_| None, now).unwrap_err();
        assert!(error.is_for_others(), "{error}");
        let error = pki.borrowed(&mine, &mut |_| None, now + DAY * 2).unwrap_err();
        assert!(matches!(error, StoreError::BorrowedEnded { .. }), "{error}");
        assert!(matches!(
            pki.unlock(&mine, &mut |_| None, now),
            Err(StoreError::Keyless { .. })
        ));

        // The next CA needs no key of the one before; what was kept because of that goes with it.
        let next = pki
            .prepare_next(&policy(KeyType::EcdsaP256), &recipients, &mine, &mut |_| None, now)
            .unwrap();
        assert!(pki.is_keyless(), "members trust the old one alone");
        assert_eq!(pki.trusted().unwrap(), [ca.clone(), next.clone()]);
        pki.switch_to_next().unwrap();
        assert!(!pki.is_keyless());
        assert_eq!(pki.unlock(&mine, &mut |_| None, now).unwrap().certificate(), &next);
        pki.retire_previous(Some(now)).unwrap();
        assert!(pki.taken_over().unwrap().is_none() && !pki.borrowed_path().exists());
        assert_eq!(pki.retired().unwrap(), [], "it vouches for no backup of quorate's");
    }
}
