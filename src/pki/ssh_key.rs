//! SSH keys as age sees them: which can be used, and how to tell whether one fits before asking for its passphrase.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use russh::keys::{Algorithm, PrivateKey, PublicKey, decode_secret_key};
use sha2::{Digest, Sha256};

/// Whether a file's text holds an SSH private key of any format.
pub(super) fn is_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----") || text.starts_with("PuTTY-User-Key-File-")
}

/// Why the text of a key file opens nothing, whoever its owner is.
pub(super) fn holds_no_secret(text: &str) -> Option<&'static str> {
    if PublicKey::from_openssh(text.trim()).is_ok() {
        return Some("it is a public key; its private half, in an agent, can only sign");
    }
    text.contains("AGE-PLUGIN-")
        .then_some("it belongs to an age plugin, and quorate runs none")
}

/// `FILE.pub`.
pub(super) fn public_file(private: &Path) -> PathBuf {
    let mut name = private.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

/// The public half of the private key `text`, as far as it can be had without a passphrase: from the key itself
/// (OpenSSH's format keeps it in the clear), else from `FILE.pub` beside it.
pub(super) fn public_half(path: &Path, text: &str) -> Option<PublicKey> {
    let from_key = PrivateKey::from_openssh(text).or_else(|_| decode_secret_key(text, None));
    if let Ok(key) = from_key {
        return Some(key.public_key().clone());
    }
    let line = fs::read_to_string(public_file(path)).ok()?;
    PublicKey::from_openssh(line.trim()).ok()
}

/// Why age cannot use keys of this type, if it cannot.
pub(super) fn unusable(algorithm: &Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::Ed25519 | Algorithm::Rsa { .. } => None,
        Algorithm::Ecdsa { .. } => Some("an ECDSA SSH key can only sign, it cannot open a sealed file"),
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {
            Some("an SSH key on a security token can only sign, it cannot open a sealed file")
        }
        _ => Some("SSH keys of this type cannot open a sealed file"),
    }
}

/// How an age file names the SSH key it is sealed to: the first four bytes of the public key's SHA-256.
/// (Format: age-encryption.org/v1, recipient types ssh-rsa and ssh-ed25519.)
pub(super) fn stanza_tag(key: &PublicKey) -> Option<String> {
    let wire = key.to_bytes().ok()?;
    Some(STANDARD_NO_PAD.encode(&Sha256::digest(wire)[..4]))
}
