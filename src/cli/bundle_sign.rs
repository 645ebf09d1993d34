//! `bundle sign`: with the agent's key, or a key file.

use std::path::{Path, PathBuf};

use russh::keys::agent::client::AgentClient;
use russh::keys::{PrivateKey, PublicKey, decode_secret_key};
use secrecy::ExposeSecret as _;

use super::args::Global;
use super::bundle::find;
use super::error::{Exit, Failure};
use crate::bundle::signature::{SignatureError, from_agent, signature_file, to_sign, with_key};
use crate::host::{SecretSource as _, Secrets};
use crate::report::print::{say, tell};

/// Writes the signature beside the bundle.
///
/// # Errors
/// When the bundle is damaged, or there is no key that can sign.
pub async fn sign(global: &Global, file: Option<&Path>, key: Option<&Path>) -> Result<Exit, Failure> {
    let bundle = find(global, file)?;
    // It may merely lie beside the inventory.
    tell!("signing {}: SHA-256 {}", bundle.path().display(), bundle.digest());
    // Nobody is to vouch for what is not there.
    bundle.verify()?;
    let manifest = bundle.manifest_json();
    let (text, by) = match key.map(read).transpose()? {
        Some(Key::Private(key)) => (with_key(&key, &manifest)?, key.public_key().clone()),
        Some(Key::Public(key)) => (by_agent(&key, &manifest).await?, key),
        None => {
            let key = only_one().await?;
            (by_agent(&key, &manifest).await?, key)
        }
    };
    let to = signature_file(bundle.path());
    std::fs::write(&to, text)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot write {}: {error}", to.display())))?;
    say!(
        "wrote {}: {} vouches for SHA-256 {}",
        to.display(),
        named(&by),
        bundle.digest()
    );
    Ok(Exit::Done)
}

/// The signature goes with a bundle that an executable carries.
///
/// # Errors
/// When it cannot be copied.
pub(super) fn carry(bundle: &Path, into: &Path) -> Result<(), Failure> {
    let (from, to) = (signature_file(bundle), signature_file(into));
    if !from.exists() {
        return Ok(());
    }
    std::fs::copy(&from, &to)
        .map(drop)
        .map_err(|error| Failure::new(Exit::Bundle, format!("cannot write {}: {error}", to.display())))
}

enum Key {
    Private(Box<PrivateKey>),
    Public(PublicKey),
}

fn read(file: &Path) -> Result<Key, Failure> {
    let unusable = |why: String| {
        Failure::new(Exit::Usage, format!("{} cannot be used: {why}", file.display()))
            .hint("give a private key of ssh-keygen, or the public half of one that the agent holds")
    };
    let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    if let Ok(key) = PublicKey::from_openssh(text.trim()) {
        return Ok(Key::Public(key));
    }
    let opened = decode_secret_key(&text, None).or_else(|error| match error {
        russh::keys::Error::KeyIsEncrypted => {
            let word = Secrets::new().passphrase(file);
            decode_secret_key(&text, word.as_ref().map(|word| word.expose_secret()))
        }
        error => Err(error),
    });
    opened
        .map(|key| Key::Private(Box::new(key)))
        .map_err(|error| unusable(error.to_string()))
}

async fn agent() -> Result<AgentClient<tokio::net::UnixStream>, Failure> {
    let none = |why: String| {
        Failure::new(Exit::Usage, format!("no agent can sign: {why}")).hint("name a private key with --key")
    };
    let socket = std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
    let socket = socket.ok_or_else(|| none("SSH_AUTH_SOCK is not set".to_owned()))?;
    AgentClient::connect_uds(&socket)
        .await
        .map_err(|error| none(error.to_string()))
}

/// The agent's key, where it holds just one.
async fn only_one() -> Result<PublicKey, Failure> {
    let held = agent().await?.request_identities().await.map_err(refused)?;
    let mut keys: Vec<PublicKey> = held.iter().map(|each| each.public_key().into_owned()).collect();
    match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => Ok(key),
        (last, _) => {
            keys.extend(last);
            let names: Vec<String> = keys.iter().map(named).collect();
            let what = match names.is_empty() {
                true => "the agent holds no key".to_owned(),
                false => format!("the agent holds several keys: {}", names.join("; ")),
            };
            Err(Failure::new(Exit::Usage, what)
                .hint("name one with --key: a private key, or the FILE.pub of one in the agent"))
        }
    }
}

async fn by_agent(key: &PublicKey, manifest: &[u8]) -> Result<String, Failure> {
    let (data, hash) = to_sign(key, manifest)?;
    let signature = agent()
        .await?
        .sign_request_signature(key, hash, &data)
        .await
        .map_err(refused)?;
    Ok(from_agent(key, signature)?)
}

fn refused(error: russh::keys::Error) -> Failure {
    Failure::new(Exit::Usage, format!("the agent did not sign: {error}"))
        .hint("see that it holds the key (`ssh-add -l`), or name a private key with --key")
}

fn named(key: &PublicKey) -> String {
    let fingerprint = key.fingerprint(russh::keys::HashAlg::Sha256);
    format!("{} {fingerprint} {}", key.algorithm(), key.comment())
        .trim_end()
        .to_owned()
}

impl From<SignatureError> for Failure {
    fn from(error: SignatureError) -> Self {
        Failure::new(Exit::Bundle, error)
    }
}
