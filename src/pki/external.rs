//! A company's CA above the cluster's own: quorate makes a key and a request for an *intermediate* CA, the company signs
//! it, and quorate issues from it as from a CA of its own (docs/decisions/0009-company-ca.md).
//!
//! | file | what |
//! |---|---|
//! | `ca-request.csr` | the request that is waiting for an answer |
//! | `ca-request.key.age` | its key, sealed to the operators from the first moment |
//! | `ca-chain.crt` | every certificate above an intermediate CA, root included |
//!
//! Members trust the intermediate alone: any other certificate of the company's would else open etcd. What they show
//! carries the certificates between them and the root, so that whoever trusts the company's root trusts them, too.
//!
//! The first answer becomes the cluster's CA. Where there is one already, the answer becomes the next, and
//! `quorate pki rotate-ca` takes the members from the one to the other.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::authority::{Authority, AuthorityError};
use super::certificate::{Certificate, bundle_pem};
use super::identity::AskPassphrase;
use super::recipient::Recipient;
use super::sealed::{self, CaSecret};
use super::spec::LeafSpec;
use super::store::{PkiDir, StoreError};
use super::trial;
use crate::inventory::PkiPolicy;

/// What an answer became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// The cluster's first CA.
    First,
    /// The CA that a rotation leads to.
    Next,
}

/// What an answer is checked against, besides the request.
#[derive(Debug)]
pub struct Expectations<'a> {
    /// The time.
    pub now: Timestamp,
    /// It must outlive the leaves that it signs.
    pub leaf_validity: Duration,
    /// Certificates that it must be able to issue: those of every host.
    pub leaves: &'a [LeafSpec],
}

impl PkiDir {
    /// The request for an intermediate CA, PEM; made when there is none yet, its key sealed to `recipients`.
    ///
    /// # Errors
    /// When nobody could open the key, or a file cannot be written.
    pub fn request(
        &self,
        policy: &PkiPolicy,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        if let (Some(text), true) = (self.read(&self.request_path())?, self.request_key_path().exists()) {
            return Ok(text);
        }
        // Sealed with a certificate of its own, which nobody ever sees: so the file is one like any other.
        let stand_in = Authority::create(&self.cluster, policy, now).map_err(|e| self.cannot_request(e))?;
        let request = stand_in.request(&self.cluster).map_err(|e| self.cannot_request(e))?;
        let sealed = self.sealed_text(&stand_in, recipients)?;
        self.unseal(&self.request_key_path(), &sealed, identities, ask)?;
        self.write(&self.request_key_path(), &sealed)?;
        self.write(&self.request_path(), &request)?;
        Ok(request)
    }

    /// Takes the company's answer: PEM, the intermediate's certificate and every one above it up to the root, in any
    /// order. Everything about it is checked first, by issuing with it, too.
    ///
    /// # Errors
    /// [`StoreError::Answer`] with every problem; when no request waits, or its key cannot be opened.
    pub fn import(
        &self,
        answer: &str,
        expected: &Expectations<'_>,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
    ) -> Result<Imported, StoreError> {
        let path = self.request_key_path();
        let Some(text) = self.read(&path)? else {
            return Err(StoreError::NoRequest { dir: self.dir.clone() });
        };
        if let Some(rotation) = self.rotation()? {
            let new = rotation.new.facts().subject.clone();
            return Err(StoreError::Rotating { new });
        }
        let secret = self.unseal(&path, &text, identities, ask)?;
        let refused = |problems| StoreError::Answer { problems };
        let bundle = Certificate::bundle_from_pem(answer).map_err(|error| refused(vec![error.to_string()]))?;
        let (own, above) = trial::judge(&bundle, &secret, expected).map_err(refused)?;

        let mut chain = self.above()?;
        chain.extend(above.into_iter().filter(|ca| !chain.contains(ca)).collect::<Vec<_>>());
        self.write(&self.chain_path(), bundle_pem(&chain))?;
        let secret = CaSecret {
            certificate: own.clone(),
            ..secret
        };
        let sealed = sealed::seal(&secret, recipients).map_err(|source| StoreError::Seal {
            path: self.sealed_path(),
            source,
        })?;
        self.unseal(&self.sealed_path(), &sealed, identities, ask)?;
        let became = match self.status()?.is_empty() {
            true => {
                self.write(&self.sealed_path(), &sealed)?;
                self.write_trusted(&[own])?;
                Imported::First
            }
            false => {
                self.adopt_next(&sealed, &own)?;
                Imported::Next
            }
        };
        // Last: cut off before, the same answer can be given again.
        for path in [self.request_path(), self.request_key_path()] {
            fs::remove_file(&path).map_err(|source| StoreError::Write { path, source })?;
        }
        Ok(became)
    }

    /// Whether a request waits for an answer.
    pub fn request_waits(&self) -> bool {
        self.request_key_path().exists()
    }

    /// What a certificate that `ca` signed is shown with: `ca` and those between it and the root. Empty for a CA that is
    /// a root itself.
    ///
    /// # Errors
    /// When `ca-chain.crt` cannot be read.
    pub fn shown_with(&self, ca: &Certificate) -> Result<Vec<Certificate>, StoreError> {
        let above = self.above()?;
        let mut shown = Vec::new();
        let mut next = Some(ca);
        while let Some(ca) = next.filter(|ca| !ca.is_issued_by(ca) && shown.len() < above.len() + 1) {
            shown.push(ca.clone());
            next = above.iter().find(|issuer| ca.is_issued_by(issuer));
        }
        Ok(shown)
    }

    fn above(&self) -> Result<Vec<Certificate>, StoreError> {
        let path = self.chain_path();
        match self.read(&path)? {
            None => Ok(Vec::new()),
            Some(text) => {
                Certificate::bundle_from_pem(&text).map_err(|source| StoreError::Certificates { path, source })
            }
        }
    }

    fn cannot_request(&self, source: AuthorityError) -> StoreError {
        StoreError::Authority {
            path: self.request_path(),
            source,
        }
    }

    fn request_path(&self) -> PathBuf {
        self.dir.join("ca-request.csr")
    }

    pub(super) fn request_key_path(&self) -> PathBuf {
        self.dir.join("ca-request.key.age")
    }

    fn chain_path(&self) -> PathBuf {
        self.dir.join("ca-chain.crt")
    }
}

#[cfg(test)]
#[path = "external_tests.rs"]
mod tests;
