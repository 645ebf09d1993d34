//! Who may have signed a backup, and what that says of it. Pure: the moment is handed in.
//!
//! A backup outlives the certificate of its signer, and often the CA. So a signature is judged as of the moment that the
//! manifest gives for the backup: the certificate must have been valid then, and its CA trusted. That moment is the
//! signer's own word. Whoever has a member's key can use any moment of the life of its certificate, and none before or
//! after it; nobody has an operator's, which is gone when the run ends (docs/decisions/0026-signed-backups.md).

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::format;
use super::manifest::Manifest;
use super::schedule::REASON;
use super::signature::Signature;
use crate::pki::{Certificate, OPERATOR_SIGNER, Retired, peer_common_name};

/// Clocks may differ this much before a date lies in the future.
const SLACK: Duration = Duration::from_secs(5 * 60);

/// The CAs whose signers count.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    current: Vec<Certificate>,
    retired: Vec<Retired>,
}

/// Who signed a backup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignedBy {
    /// An operator: somebody who can open the CA.
    Operator,
    /// The member of this name, with the certificate that it shows its peers.
    Member(String),
}

/// What a backup's signature says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is what its signer made.
    Signed(SignedBy),
    /// The same, but its date has not come yet: a wrong clock, or a lie.
    Ahead(SignedBy),
    /// Nothing says that it is this cluster's.
    Unsigned(Doubt),
}

/// Why a backup counts as unsigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// There is no signature.
    #[error("it has no signature")]
    Missing,
    /// There is something else in its place.
    #[error("its signature cannot be read")]
    Unreadable,
    /// Manifest and signature do not fit.
    #[error("it was changed after it was signed")]
    Altered,
    /// The file is not as long as what was signed.
    #[error("it has {found} bytes, and {signed} were signed")]
    #[allow(missing_docs)]
    Length { signed: u64, found: u64 },
    /// The signer's certificate comes from elsewhere.
    #[error("its signer `{signer}` is not from a CA of this cluster, but from `{issuer}`")]
    #[allow(missing_docs)]
    OtherCa { signer: String, issuer: String },
    /// A certificate for something else signed it, or a member what is not its own.
    #[error("the certificate `{signer}` may not sign it")]
    #[allow(missing_docs)]
    NotASigner { signer: String },
    /// The signer's certificate was not valid at the date of the backup.
    #[error("the certificate of its signer was not valid at {at}")]
    #[allow(missing_docs)]
    Invalid { at: Timestamp },
}

impl Trust {
    /// These CAs are trusted now, and those were.
    pub fn new(current: Vec<Certificate>, retired: Vec<Retired>) -> Self {
        Self { current, retired }
    }

    /// The CAs of before.
    pub fn retired(&self) -> &[Retired] {
        &self.retired
    }

    /// What the signature of a file of so many bytes says.
    pub fn judge(&self, manifest: &Manifest, signature: Option<&Signature>, bytes: u64, now: Timestamp) -> Standing {
        match self.signer(manifest, signature, bytes) {
            Ok((_, certificate)) if !valid_at(&certificate, manifest.taken_at) => {
                Standing::Unsigned(Doubt::Invalid { at: manifest.taken_at })
            }
            Ok((by, _)) if is_ahead(manifest, now) => Standing::Ahead(by),
            Ok((by, _)) => Standing::Signed(by),
            Err(doubt) => Standing::Unsigned(doubt),
        }
    }

    fn signer(
        &self,
        manifest: &Manifest,
        signature: Option<&Signature>,
        bytes: u64,
    ) -> Result<(SignedBy, Certificate), Doubt> {
        let signature = signature.ok_or(Doubt::Missing)?;
        let certificate = signature.certificate().ok_or(Doubt::Unreadable)?;
        let json = format::json(manifest).map_err(|_| Doubt::Unreadable)?;
        if !signature.holds(&certificate, &json) {
            return Err(Doubt::Altered);
        }
        if signature.bytes != bytes {
            return Err(Doubt::Length {
                signed: signature.bytes,
                found: bytes,
            });
        }
        if !self.vouches(&certificate, manifest.taken_at) {
            return Err(Doubt::OtherCa {
                signer: certificate.facts().common_name.clone(),
                issuer: certificate.facts().issuer.clone(),
            });
        }
        match signed_by(&certificate, manifest) {
            Some(by) => Ok((by, certificate)),
            None => Err(Doubt::NotASigner {
                signer: certificate.facts().common_name.clone(),
            }),
        }
    }

    /// A CA of now, or one that was trusted at that moment, issued it.
    fn vouches(&self, certificate: &Certificate, at: Timestamp) -> bool {
        let current = self.current.iter();
        let retired = self.retired.iter().filter(|ca| at < ca.until);
        current
            .chain(retired.map(|ca| &ca.certificate))
            .any(|ca| certificate.is_issued_by(ca) && valid_at(ca, at))
    }
}

/// Whose certificate it is, if it may sign this backup: an operator's any; a member's the scheduled ones that it took of
/// itself. What `pki issue` gives to clients may sign none: it is for TLS clients only.
fn signed_by(certificate: &Certificate, manifest: &Manifest) -> Option<SignedBy> {
    let facts = certificate.facts();
    if facts.ca || !facts.digital_signature {
        return None;
    }
    if facts.document_signing && facts.common_name == OPERATOR_SIGNER {
        return Some(SignedBy::Operator);
    }
    let is_member =
        facts.server_auth && facts.client_auth && facts.common_name == peer_common_name(&manifest.taken_from);
    (is_member && manifest.reason == REASON).then(|| SignedBy::Member(manifest.taken_from.clone()))
}

fn valid_at(certificate: &Certificate, at: Timestamp) -> bool {
    let facts = certificate.facts();
    // Certificates know whole seconds.
    facts.not_before.as_second() <= at.as_second() && at.as_second() <= facts.not_after.as_second()
}

/// Whether the date of a backup has not come yet.
pub fn is_ahead(manifest: &Manifest, now: Timestamp) -> bool {
    manifest.taken_at > now + SLACK
}

impl Standing {
    /// Who signed it, where that counts.
    pub fn signed_by(&self) -> Option<&SignedBy> {
        match self {
            Standing::Signed(by) | Standing::Ahead(by) => Some(by),
            Standing::Unsigned(_) => None,
        }
    }

    /// It is signed, and its date has come.
    pub fn counts(&self) -> bool {
        matches!(self, Standing::Signed(_))
    }

    /// What is to be said about it; nothing about one that counts.
    pub fn finding(&self, manifest: &Manifest, now: Timestamp) -> Option<String> {
        let ahead = is_ahead(manifest, now).then(|| format!("it is dated in the future, {}", manifest.taken_at));
        match self {
            Standing::Signed(_) => None,
            Standing::Ahead(_) => ahead,
            Standing::Unsigned(doubt) => Some(
                [Some(doubt.to_string()), ahead]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
        }
    }
}

impl fmt::Display for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignedBy::Operator => f.write_str("operator"),
            SignedBy::Member(name) => f.write_str(name),
        }
    }
}
