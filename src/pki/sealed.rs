//! The sealed CA: a text file that may be committed, because only the recipients' keys open it.
//!
//! ```text
//! # The CA key of the etcd cluster `prod-a`, sealed by quorate. Safe to commit.
//! # cluster: prod-a
//! # ca-sha256: 5f0c...
//! # recipient: ssh-ed25519 SHA256:... alice@laptop
//! -----BEGIN AGE ENCRYPTED FILE-----
//! ```
//!
//! The comment lines tell a person (and `quorate pki show`) what it is without opening it. They prove nothing: what
//! counts is written again inside, before the certificate and the key.

use std::io::Write as _;
use std::path::PathBuf;

use age::Encryptor;
use age::armor::{ArmoredWriter, Format};
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::identity::{self, AskPassphrase, OpenError};
use super::recipient::Recipient;
use super::secret::SecretPem;
use crate::inventory::ClusterName;

pub(super) const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const CLUSTER: &str = "# cluster: ";
const RECIPIENT: &str = "# recipient: ";
pub(super) const END_CERTIFICATE: &str = "-----END CERTIFICATE-----\n";

/// What a sealed CA file holds.
#[derive(Debug, Clone)]
pub struct CaSecret {
    /// The cluster whose CA it is.
    pub cluster: ClusterName,
    /// The CA's certificate: ties the file to one CA, and lets `ca.crt` be written again if a crash lost it.
    pub certificate: Certificate,
    /// The CA's private key.
    pub key: SecretPem,
}

/// What a sealed file's comment lines claim.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealLabel {
    /// The cluster, as written.
    pub cluster: Option<String>,
    /// Who can open it.
    pub recipients: Vec<String>,
}

/// Why a CA, or a certificate to look with, cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Nobody could open it.
    #[error("there is no recipient to seal it to")]
    NoRecipient,
    /// The age library refuses.
    #[error("age cannot seal it: {why}")]
    Age {
        /// What it says.
        why: String,
    },
}

/// Why a sealed CA cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The file is for another cluster.
    #[error("it is the CA key of the cluster `{found}`, not of `{expected}`")]
    OtherCluster {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: ClusterName,
    },
    /// It stays closed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It opened, but what is inside is not a sealed CA.
    #[error("it is damaged: what is sealed in it is not a CA")]
    NotACa,
}

/// Seals `secret` to `recipients`, as the text of `ca.key.age`.
///
/// # Errors
/// When there is no recipient, or the age library refuses.
pub fn seal(secret: &CaSecret, recipients: &[Recipient]) -> Result<String, SealError> {
    encrypted(
        comment_lines(secret, recipients),
        plaintext(secret).as_bytes(),
        recipients,
    )
}

/// Who can open it, a comment line each.
pub(super) fn recipient_lines(recipients: &[Recipient]) -> String {
    recipients
        .iter()
        .map(|recipient| format!("{RECIPIENT}{}\n", recipient.label()))
        .collect()
}

/// `comments`, and below them `plain` sealed to `recipients`.
///
/// # Errors
/// As [`seal`].
pub(super) fn encrypted(comments: String, plain: &[u8], recipients: &[Recipient]) -> Result<String, SealError> {
    if recipients.is_empty() {
        return Err(SealError::NoRecipient);
    }
    let encryptor = Encryptor::with_recipients(recipients.iter().map(Recipient::as_age)).map_err(refused)?;
    let armor = ArmoredWriter::wrap_output(comments.into_bytes(), Format::AsciiArmor).map_err(refused)?;
    let mut writer = encryptor.wrap_output(armor).map_err(refused)?;
    writer.write_all(plain).map_err(refused)?;
    let text = writer.finish().and_then(ArmoredWriter::finish).map_err(refused)?;
    String::from_utf8(text).map_err(refused)
}

fn refused(error: impl std::fmt::Display) -> SealError {
    SealError::Age { why: error.to_string() }
}

/// Opens the text of a `ca.key.age` of `cluster` with the first of `identities` that fits.
///
/// # Errors
/// When no key opens it, it is damaged, or it belongs to another cluster (told from the comments before any
/// passphrase is asked for, and from the inside afterwards).
pub fn unseal(
    text: &str,
    cluster: &ClusterName,
    identities: &[PathBuf],
    ask: &mut AskPassphrase<'_>,
) -> Result<CaSecret, UnsealError> {
    let refuse_other = |found: &str| match found == cluster.as_str() {
        true => Ok(()),
        false => Err(UnsealError::OtherCluster {
            found: found.to_owned(),
            expected: cluster.clone(),
        }),
    };
    if let Some(claimed) = label(text).cluster {
        refuse_other(&claimed)?;
    }
    let start = text.find(BEGIN).ok_or_else(|| OpenError::Damaged {
        why: format!("there is no `{BEGIN}` in it"),
    })?;
    let plain = identity::open(&text[start..], identities, ask)?;
    let secret = parse_plaintext(&plain).ok_or(UnsealError::NotACa)?;
    refuse_other(secret.cluster.as_str())?;
    Ok(secret)
}

/// Reads the comment lines of a sealed file.
pub fn label(text: &str) -> SealLabel {
    let mut label = SealLabel::default();
    for line in text.lines().take_while(|line| *line != BEGIN) {
        if let Some(cluster) = line.strip_prefix(CLUSTER) {
            label.cluster = Some(cluster.trim().to_owned());
        } else if let Some(recipient) = line.strip_prefix(RECIPIENT) {
            label.recipients.push(recipient.trim().to_owned());
        }
    }
    label
}

fn comment_lines(secret: &CaSecret, recipients: &[Recipient]) -> String {
    let cluster = &secret.cluster;
    let mut text = format!("# The CA key of the etcd cluster `{cluster}`, sealed by quorate. Safe to commit.\n");
    text += &format!(
        "{CLUSTER}{cluster}\n# ca-sha256: {}\n",
        secret.certificate.facts().sha256
    );
    text += &recipient_lines(recipients);
    text += "# Without quorate: grep -v '^#' ca.key.age | age --decrypt -i ~/.ssh/id_ed25519\n";
    text
}

/// A header, the certificate and the key: openssl reads the key straight from it.
fn plaintext(secret: &CaSecret) -> Zeroizing<String> {
    let public = format!("cluster: {}\n{}", secret.cluster, secret.certificate.to_pem());
    let key = secret.key.expose_pem();
    // Sized beforehand: a string that grows leaves copies of the key behind that nothing wipes.
    let mut text = Zeroizing::new(String::with_capacity(public.len() + key.len()));
    text.push_str(&public);
    text.push_str(key);
    text
}

fn parse_plaintext(plain: &[u8]) -> Option<CaSecret> {
    let text = std::str::from_utf8(plain).ok()?;
    let (first, rest) = text.split_once('\n')?;
    let cluster = first.strip_prefix("cluster: ")?.parse().ok()?;
    let key_at = rest.find(END_CERTIFICATE)? + END_CERTIFICATE.len();
    Some(CaSecret {
        cluster,
        certificate: Certificate::from_pem(&rest[..key_at]).ok()?,
        key: SecretPem::new(Zeroizing::new(rest[key_at..].to_owned())),
    })
}
