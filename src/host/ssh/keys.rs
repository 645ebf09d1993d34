//! Private key files: what can be told of them without a passphrase, and opening them once per run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{self, Algorithm, Certificate, PrivateKey, PublicKey};
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;

use crate::host::SecretSource;

/// A key file as it is before anybody typed a passphrase.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    /// The file.
    pub(super) path: PathBuf,
    /// Its public half; old formats tell it only with the passphrase or in a `.pub` file beside.
    pub(super) public: Option<PublicKey>,
    /// The private half.
    pub(super) secret: Secret,
    /// Certificates for the key.
    pub(super) certificates: Vec<Certificate>,
}

/// The private half of a [`KeyFile`].
#[derive(Debug, Clone)]
pub(super) enum Secret {
    /// Readable as it is.
    Open(Arc<PrivateKey>),
    /// Needs a passphrase.
    Locked,
    /// The file is a public key, or the handle of one on a token: an agent must hold the private one.
    Elsewhere,
}

/// Looks at `path` and at `PATH.pub` and `PATH-cert.pub` beside it; `extra` are further certificate files.
///
/// # Errors
/// Why the file is of no use, in a few words.
pub(super) fn look(path: &Path, extra: &[PathBuf]) -> Result<KeyFile, String> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => error.to_string(),
    })?;
    let (public, secret) = if let Ok(public) = PublicKey::from_openssh(text.trim()) {
        (Some(public), Secret::Elsewhere)
    } else if let Ok(key) = PrivateKey::from_openssh(&text) {
        let public = key.public_key().clone();
        match key.is_encrypted() {
            // Its file is a handle: only who talks to the token can sign.
            _ if on_token(&public) => (Some(public), Secret::Elsewhere),
            true => (Some(public), Secret::Locked),
            false => (Some(public), Secret::Open(Arc::new(key))),
        }
    } else {
        match keys::decode_secret_key(&text, None) {
            Ok(key) => (Some(key.public_key().clone()), Secret::Open(Arc::new(key))),
            Err(keys::Error::KeyIsEncrypted) => (keys::load_public_key(with_suffix(path, ".pub")).ok(), Secret::Locked),
            Err(error) => return Err(format!("not a usable private key ({error})")),
        }
    };
    let beside = with_suffix(path, "-cert.pub");
    let files = std::iter::once(&beside).chain(extra);
    let ours = |certificate: &Certificate| {
        public
            .as_ref()
            .is_some_and(|public| public.key_data() == certificate.public_key())
    };
    let certificates = files
        .filter_map(|file| keys::load_openssh_certificate(file).ok())
        .filter(ours)
        .collect();
    Ok(KeyFile {
        path: path.to_owned(),
        public,
        secret,
        certificates,
    })
}

/// Whether the private half is on a FIDO token.
pub(super) fn on_token(key: &PublicKey) -> bool {
    matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Keys that were opened in this run, so that nobody types a passphrase twice and no key is derived twice.
#[derive(Default)]
pub(super) struct KeyRing {
    opened: Mutex<BTreeMap<PathBuf, Result<Arc<PrivateKey>, String>>>,
}

impl KeyRing {
    /// The private key of `file`, asking `secrets` for its passphrase where it has one.
    ///
    /// # Errors
    /// Why it cannot be opened, in a few words. The same answer is given to everybody who asks again.
    pub(super) async fn open(
        &self,
        file: &KeyFile,
        secrets: &Arc<dyn SecretSource>,
    ) -> Result<Arc<PrivateKey>, String> {
        match &file.secret {
            Secret::Open(key) => return Ok(Arc::clone(key)),
            Secret::Elsewhere => {
                return Err("contains only the public key, and the agent does not have the private one".to_owned());
            }
            Secret::Locked => {}
        }
        // Held while somebody types: whoever needs the same key waits for that one answer.
        let mut opened = self.opened.lock().await;
        if let Some(known) = opened.get(&file.path) {
            return known.clone();
        }
        let (path, secrets) = (file.path.clone(), Arc::clone(secrets));
        // Prompting blocks, and so does deriving the key (bcrypt is slow on purpose).
        let work = tokio::task::spawn_blocking(move || unlock(&path, secrets.as_ref()));
        let result = work
            .await
            .map_err(|error| error.to_string())
            .and_then(|result| result.map(Arc::new));
        opened.insert(file.path.clone(), result.clone());
        result
    }
}

fn unlock(path: &Path, secrets: &dyn SecretSource) -> Result<PrivateKey, String> {
    let passphrase = secrets
        .passphrase(path)
        .ok_or("needs a passphrase, but cannot prompt for it")?;
    keys::load_secret_key(path, Some(passphrase.expose_secret())).map_err(|error| match error {
        keys::Error::IO(error) => error.to_string(),
        _ => "wrong passphrase".to_owned(),
    })
}
