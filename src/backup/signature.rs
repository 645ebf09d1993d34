//! The signature of a backup: over its manifest, which has the snapshot's SHA-256, and over the length of the file, so that
//! nothing else can be hung behind a manifest that somebody copied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::pki::{Certificate, Signer, SignerError};

/// What is signed begins with this, so that it is good for nothing else.
const CONTEXT: &str = "quorate-backup 2";

/// The signature as it stands in the file's first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Bytes of the whole file.
    pub bytes: u64,
    /// The signer's certificate, DER in base64.
    pub certificate: String,
    /// The signature, base64.
    pub value: String,
}

impl Signature {
    /// Signs a manifest, as the bytes of its JSON, and the length of the file.
    ///
    /// # Errors
    /// When the cryptographic library refuses.
    pub fn make(signer: &Signer, manifest: &[u8], bytes: u64) -> Result<Self, SignerError> {
        let value = signer.sign(&message(manifest, bytes))?;
        Ok(Self {
            bytes,
            certificate: STANDARD.encode(signer.certificate().der()),
            value: STANDARD.encode(value),
        })
    }

    /// The signer's certificate; `None` when it is none.
    pub fn certificate(&self) -> Option<Certificate> {
        Certificate::from_der(&STANDARD.decode(&self.certificate).ok()?).ok()
    }

    /// Whether the owner of `certificate` signed this manifest.
    pub fn holds(&self, certificate: &Certificate, manifest: &[u8]) -> bool {
        let value = STANDARD.decode(&self.value);
        value.is_ok_and(|value| certificate.verifies(&message(manifest, self.bytes), &value))
    }
}

fn message(manifest: &[u8], bytes: u64) -> Vec<u8> {
    let mut message = format!("{CONTEXT}\n{bytes}\n").into_bytes();
    message.extend_from_slice(manifest);
    message
}
