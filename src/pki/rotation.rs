//! Changing the CA, as far as the operator's disk goes. No state is kept but the files themselves:
//!
//! | on disk | stage |
//! |---|---|
//! | no `ca-next.crt` | none; hosts that still trust a CA which is not in `ca.crt` are to drop it |
//! | `ca-next.crt` and `ca-next.key.age` | [`Stage::TrustBoth`]: the old CA signs, `ca.crt` ends with the new one |
//! | `ca-next.crt` alone | [`Stage::Reissue`]: the new CA's key is `ca.key.age`, `ca.crt` begins with it |
//!
//! `ca-next.crt` holds the new CA and, behind it, the one that it replaces.
//!
//! Each of the three turns ([`PkiDir::prepare_next`], [`PkiDir::switch_to_next`], [`PkiDir::retire_previous`]) writes
//! in an order that leaves it to be done again when it is cut off between two files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::authority::Authority;
use super::certificate::{CertError, Certificate, bundle_pem};
use super::identity::AskPassphrase;
use super::recipient::Recipient;
use super::store::{PkiDir, StoreError};
use crate::inventory::PkiPolicy;

/// A change of the CA that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The CA that comes.
    pub new: Certificate,
    /// The CA that goes.
    pub old: Certificate,
    /// How far it has come on the operator's machine.
    pub stage: Stage,
}

/// How far a rotation has come on the operator's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The old CA signs; members learn to trust both.
    TrustBoth,
    /// The new CA signs; members and clients get new certificates.
    Reissue,
}

impl PkiDir {
    /// The rotation that is under way on this machine, told without opening anything.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn rotation(&self) -> Result<Option<Rotation>, StoreError> {
        let Some((new, old)) = self.next_certificates()? else {
            return Ok(None);
        };
        // Cut off in the switch, the new CA has its key in place and does not stand first yet.
        let signs = !self.next_sealed_path().exists() && self.trusted()?.first() == Some(&new);
        let stage = if signs { Stage::Reissue } else { Stage::TrustBoth };
        Ok(Some(Rotation { new, old, stage }))
    }

    /// First turn: makes the next CA, proves that `identities` open its sealed key, and adds it to what is trusted. Does
    /// nothing again what is done.
    ///
    /// # Errors
    /// When there is no CA yet, no recipient, none of `identities` is among them, or a file cannot be written.
    pub fn prepare_next(
        &self,
        policy: &PkiPolicy,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
        now: Timestamp,
    ) -> Result<Certificate, StoreError> {
        let mut trusted = self.trusted()?;
        let next = match self.next_certificates()? {
            Some((next, _)) => next,
            None => {
                let authority =
                    Authority::create(&self.cluster, policy, now).map_err(|source| StoreError::Authority {
                        path: self.next_path(),
                        source,
                    })?;
                let text = self.sealed_text(&authority, recipients)?;
                self.unseal(&self.next_sealed_path(), &text, identities, ask)?;
                self.write_next(&text, authority.certificate(), trusted.first())?;
                authority.certificate().clone()
            }
        };
        if !trusted.contains(&next) {
            trusted.push(next.clone());
            self.write_trusted(&trusted)?;
        }
        Ok(next)
    }

    /// The first turn with a CA that was made elsewhere: its key sealed as `sealed`.
    pub(super) fn adopt_next(&self, sealed: &str, next: &Certificate) -> Result<(), StoreError> {
        let mut trusted = self.trusted()?;
        self.write_next(sealed, next, trusted.first())?;
        trusted.push(next.clone());
        self.write_trusted(&trusted)
    }

    /// A key without `ca-next.crt` is what an earlier attempt left: nobody trusts it yet, and it is replaced.
    fn write_next(&self, sealed: &str, new: &Certificate, old: Option<&Certificate>) -> Result<(), StoreError> {
        let both: Vec<Certificate> = [Some(new), old].into_iter().flatten().cloned().collect();
        self.write(&self.next_sealed_path(), sealed)?;
        self.write(&self.next_path(), bundle_pem(&both))
    }

    /// Second turn: from now on the new CA signs. The old CA's key leaves the directory; nothing needs it any more.
    ///
    /// # Errors
    /// When no rotation is under way, or a file cannot be written.
    pub fn switch_to_next(&self) -> Result<Certificate, StoreError> {
        let Some((next, _)) = self.next_certificates()? else {
            return Err(StoreError::NotRotating { dir: self.dir.clone() });
        };
        let mut trusted = self.trusted()?;
        let sealed = self.next_sealed_path();
        if sealed.exists() {
            self.rename(&sealed, &self.sealed_path())?;
        }
        trusted.retain(|ca| *ca != next);
        trusted.insert(0, next.clone());
        self.write_trusted(&trusted)?;
        Ok(next)
    }

    /// Third turn: the old CA is trusted no longer. Other CAs in `ca.crt` stay. Backups that were signed in its time keep
    /// their signers ([`super::retired`]), unless its key may be in strange hands: then `after` is `None`, and it vouches
    /// for nothing, because whoever has the key can sign with any date.
    ///
    /// # Errors
    /// When the new CA does not sign yet, or a file cannot be written.
    pub fn retire_previous(&self, after: Option<Timestamp>) -> Result<(), StoreError> {
        let rotation = self.rotation()?.filter(|rotation| rotation.stage == Stage::Reissue);
        let Some(Rotation { old, .. }) = rotation else {
            return Err(StoreError::NotRotating { dir: self.dir.clone() });
        };
        // Whose key was never here has signed none of them.
        let never_ours = self.borrowed_path().exists();
        if let Some(now) = after.filter(|_| !never_ours) {
            self.remember(&old, now)?;
        }
        let mut trusted = self.trusted()?;
        trusted.retain(|ca| *ca != old);
        self.write_trusted(&trusted)?;
        self.forget_taken_over(&old)?;
        let path = self.next_path();
        fs::remove_file(&path).map_err(|source| StoreError::Write { path, source })
    }

    fn next_certificates(&self) -> Result<Option<(Certificate, Certificate)>, StoreError> {
        let path = self.next_path();
        let Some(text) = self.read(&path)? else {
            return Ok(None);
        };
        let pair = Certificate::bundle_from_pem(&text)
            .and_then(|both| <[Certificate; 2]>::try_from(both).map_err(|_| CertError::Missing));
        match pair {
            Ok([new, old]) => Ok(Some((new, old))),
            Err(source) => Err(StoreError::Certificates { path, source }),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let moved = || -> io::Result<()> {
            fs::rename(from, to)?;
            fs::File::open(&self.dir)?.sync_all()
        };
        moved().map_err(|source| StoreError::Write {
            path: to.to_owned(),
            source,
        })
    }

    fn next_path(&self) -> PathBuf {
        self.dir.join("ca-next.crt")
    }

    pub(super) fn next_sealed_path(&self) -> PathBuf {
        self.dir.join("ca-next.key.age")
    }
}
