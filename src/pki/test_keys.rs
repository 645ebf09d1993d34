//! Fixtures of this room's tests: a small cluster, CAs, and SSH and age keys made without any tool.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use age::secrecy::ExposeSecret as _;
use jiff::Timestamp;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::{Cipher, Kdf, LineEnding};
use russh::keys::{PrivateKey, decode_secret_key};

use super::Authority;
use crate::inventory::{ClusterName, Desired, KeyType, PkiPolicy, Version};

pub const DAY: Duration = Duration::from_secs(86_400);

/// A fixed moment: tests do not look at the clock.
pub fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub fn cluster() -> ClusterName {
    "prod-a".parse().unwrap()
}

pub fn policy(key_type: KeyType) -> PkiPolicy {
    PkiPolicy {
        key_type,
        ..pki_policy()
    }
}

pub fn authority(key_type: KeyType) -> Authority {
    Authority::create(&cluster(), &policy(key_type), now()).unwrap()
}

pub fn desired() -> Desired {
    cluster_of(Version::new(3, 5, 30), Vec::new())
}

pub use crate::inventory::samples::host;
use crate::inventory::samples::{cluster_of, pki_policy};

/// An ed25519 SSH key; the same for the same `seed`.
pub fn ssh_ed25519(seed: u8) -> PrivateKey {
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32]));
    PrivateKey::new(pair, format!("operator{seed}@laptop")).unwrap()
}

pub fn ssh_rsa() -> PrivateKey {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    decode_secret_key(&pair.serialize_pem(), None).unwrap()
}

pub fn ssh_ecdsa() -> PrivateKey {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    decode_secret_key(&pair.serialize_pem(), None).unwrap()
}

/// `key` under a passphrase. Few bcrypt rounds: tests should not wait for it.
pub fn locked(key: &PrivateKey, passphrase: &str, cipher: Cipher) -> PrivateKey {
    let kdf = Kdf::Bcrypt {
        salt: vec![7; 16],
        rounds: 2,
    };
    key.encrypt_with(cipher, kdf, 42, passphrase).unwrap()
}

/// Writes `key` and its public half as `NAME` and `NAME.pub` below `dir`.
pub fn write_ssh_key(dir: &Path, name: &str, key: &PrivateKey) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    fs::write(dir.join(format!("{name}.pub")), public_line(key)).unwrap();
    path
}

/// The line that `ssh-keygen` would put into `NAME.pub`.
pub fn public_line(key: &PrivateKey) -> String {
    format!("{}\n", key.public_key().to_openssh().unwrap())
}

/// A new age key below `dir`: what is sealed to it, and the file that opens that.
pub fn age_key(dir: &Path, name: &str) -> (Vec<super::Recipient>, PathBuf) {
    let (file, public) = write_age_key(dir, name);
    (super::Recipient::parse_all(&[public], dir).unwrap(), file)
}

/// A new age identity file below `dir`; returns its path and its public key.
pub fn write_age_key(dir: &Path, name: &str) -> (PathBuf, String) {
    let identity = age::x25519::Identity::generate();
    let path = dir.join(name);
    let text = format!("# created for a test\n{}\n", identity.to_string().expose_secret());
    fs::write(&path, text).unwrap();
    (path, identity.to_public().to_string())
}
