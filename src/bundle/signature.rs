//! Signatures of bundles: SSHSIG over `manifest.json`, from which everything else in the bundle follows. A person checks
//! one with what every machine has:
//!
//! ```text
//! tar -xOf etcd.qbundle manifest.json |
//!   ssh-keygen -Y verify -n quorate-bundle -f pki/allowed_signers -I alice@example.com -s etcd.qbundle.sig
//! ```

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use russh::keys::ssh_key::{LineEnding, SshSig, public};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};

use super::allowed_signers::{AllowedSigners, Stranger};

/// What the signatures are for.
pub const NAMESPACE: &str = "quorate-bundle";

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is no signature by an SSH key.
    #[error("it is not a signature by an SSH key: {0}")]
    Unreadable(String),
    /// It was made for something else.
    #[error("it was made for `{0}`, not for `{NAMESPACE}`")]
    Namespace(String),
    /// It fits another manifest.
    #[error("it is of another bundle, or the bundle was changed after it was signed")]
    Altered,
    /// Whoever made it may not.
    #[error("{key} made it, and {why}")]
    Stranger {
        /// Its fingerprint.
        key: String,
        /// Why it does not count.
        why: Stranger,
    },
    /// The key cannot sign.
    #[error("{0}")]
    Sign(String),
}

/// Where the signature of a bundle lies: `etcd.qbundle.sig`.
pub fn signature_file(bundle: &Path) -> PathBuf {
    let mut name = bundle.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// What an agent is asked to sign for `manifest`, and with which hash an RSA key does it.
///
/// # Errors
/// When it cannot be written down.
pub fn to_sign(key: &PublicKey, manifest: &[u8]) -> Result<(Vec<u8>, Option<HashAlg>), SignatureError> {
    let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, manifest).map_err(sign)?;
    let rsa = matches!(key.algorithm(), Algorithm::Rsa { .. });
    Ok((data, rsa.then_some(HashAlg::Sha512)))
}

/// The file for a signature that an agent made of [`to_sign`].
///
/// # Errors
/// When it is of another type than the key.
pub fn from_agent(key: &PublicKey, signature: russh::keys::ssh_key::Signature) -> Result<String, SignatureError> {
    let made = SshSig::new(key.key_data().clone(), NAMESPACE, HashAlg::Sha512, signature);
    made.and_then(|made| made.to_pem(LineEnding::LF)).map_err(sign)
}

/// The file for a signature with an opened key.
///
/// # Errors
/// When the key cannot sign.
pub fn with_key(key: &PrivateKey, manifest: &[u8]) -> Result<String, SignatureError> {
    let made = key.sign(NAMESPACE, HashAlg::Sha512, manifest);
    made.and_then(|made| made.to_pem(LineEnding::LF)).map_err(sign)
}

/// Who signed `manifest`: one of those `wanted`, or anybody who is allowed when that is empty.
///
/// # Errors
/// Why the signature does not count.
pub fn signed_by(
    manifest: &[u8],
    signature: &str,
    allowed: &AllowedSigners,
    wanted: &[String],
    now: Timestamp,
) -> Result<String, SignatureError> {
    let made = SshSig::from_pem(signature).map_err(|error| SignatureError::Unreadable(error.to_string()))?;
    if made.namespace() != NAMESPACE {
        return Err(SignatureError::Namespace(made.namespace().escape_debug().to_string()));
    }
    let key = PublicKey::from(made.public_key().clone());
    key.verify(NAMESPACE, manifest, &made)
        .map_err(|_| SignatureError::Altered)?;
    let who = allowed.who(made.public_key(), wanted, now);
    who.map_err(|why| SignatureError::Stranger {
        key: fingerprint(made.public_key()),
        why,
    })
}

fn fingerprint(key: &public::KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn sign(error: russh::keys::ssh_key::Error) -> SignatureError {
    SignatureError::Sign(format!("the key cannot sign it: {error}"))
}
