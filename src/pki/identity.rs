//! Opening sealed files with the operator's key files: SSH private keys and age identity files.

use std::fs;
use std::io::{self, BufRead, Read as _};
use std::path::{Path, PathBuf};

use age::armor::ArmoredReader;
use age::secrecy::{ExposeSecret as _, SecretString};
use age::stream::StreamReader;
use age::{DecryptError, Decryptor};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Error as SshError, PrivateKey, decode_secret_key};
use zeroize::Zeroizing;

use super::ssh_key;

/// Asks for the passphrase of a key file; `None` when nobody answers. A wrong answer is asked for again.
pub type AskPassphrase<'a> = dyn FnMut(&Path) -> Option<SecretString> + 'a;

/// How often a passphrase is asked for before the key is given up; as often as ssh does.
const PASSPHRASE_ATTEMPTS: usize = 3;

/// A key file that did not open the sealed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The key file.
    pub path: PathBuf,
    /// Why not.
    pub why: String,
}

/// Why a sealed file stays closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// None of the keys opens it.
    #[error("none of your keys can open it")]
    NoKey {
        /// Every key file that was tried.
        tried: Vec<Tried>,
    },
    /// It is not what was sealed.
    #[error("it is damaged: {why}")]
    Damaged {
        /// What the age library says.
        why: String,
    },
}

/// A key that fits a sealed file: opens it as often as needed, without asking again.
pub struct FittingKey(Keys);

impl FittingKey {
    /// Finds the first of `identities` that fits the binary age stream that begins with `head`, which must hold its whole
    /// header. A passphrase is only asked for when the key is one that the file is sealed to, or when that cannot be
    /// known.
    ///
    /// # Errors
    /// [`OpenError::NoKey`] with the reason for each key, or [`OpenError::Damaged`].
    pub fn find(head: &[u8], identities: &[PathBuf], ask: &mut AskPassphrase<'_>) -> Result<Self, OpenError> {
        let tags = ssh_tags(head);
        let mut tried = Vec::new();
        for path in identities {
            let key = match load(path, &tags, ask) {
                Ok(keys) => FittingKey(keys),
                Err(why) => {
                    tried.push(Tried {
                        path: path.clone(),
                        why,
                    });
                    continue;
                }
            };
            match key.decrypt(head) {
                Ok(_) => return Ok(key),
                Err(DecryptError::NoMatchingKeys) => tried.push(Tried {
                    path: path.clone(),
                    why: NOT_AMONG.to_owned(),
                }),
                Err(error) => return Err(damaged(error)),
            }
        }
        Err(OpenError::NoKey { tried })
    }

    /// Opens a binary age stream. What is read from the result is authenticated piece by piece; an error in the middle
    /// means that it was cut off or changed.
    ///
    /// # Errors
    /// When the key does not fit, or the header is damaged.
    pub fn open<R: BufRead>(&self, sealed: R) -> Result<StreamReader<R>, OpenError> {
        self.decrypt(sealed).map_err(damaged)
    }

    fn decrypt<R: BufRead>(&self, sealed: R) -> Result<StreamReader<R>, DecryptError> {
        let keys = self.0.iter().map(|key| &**key as &dyn age::Identity);
        Decryptor::new_buffered(sealed)?.decrypt(keys)
    }
}

/// Opens an armored age file with the first of `identities` that fits, as [`FittingKey::find`] does.
///
/// # Errors
/// [`OpenError::NoKey`] with the reason for each key, or [`OpenError::Damaged`].
pub fn open(
    armored: &str,
    identities: &[PathBuf],
    ask: &mut AskPassphrase<'_>,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut sealed = Vec::new();
    ArmoredReader::new(armored.as_bytes())
        .read_to_end(&mut sealed)
        .map_err(damaged)?;
    let key = FittingKey::find(&sealed, identities, ask)?;
    let mut plain = Zeroizing::new(Vec::new());
    key.open(&sealed[..])?.read_to_end(&mut plain).map_err(damaged)?;
    Ok(plain)
}

const NOT_AMONG: &str = "it is not sealed to this key";

fn damaged(error: impl std::fmt::Display) -> OpenError {
    OpenError::Damaged { why: error.to_string() }
}

/// The age secret keys of an identity file; empty when it is none.
pub(super) fn age_keys(text: &str) -> Vec<age::x25519::Identity> {
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// The tags of the SSH keys that an age file is sealed to, from its header: lines `-> ssh-ed25519 TAG ...`.
fn ssh_tags(sealed: &[u8]) -> Vec<String> {
    let header = sealed
        .split(|&byte| byte == b'\n')
        .take_while(|line| !line.starts_with(b"---"));
    header
        .filter_map(|line| std::str::from_utf8(line).ok()?.strip_prefix("-> ssh-"))
        .filter_map(|stanza| stanza.split(' ').nth(1).map(str::to_owned))
        .collect()
}

type Keys = Vec<Box<dyn age::Identity + Send + Sync>>;

fn load(path: &Path, tags: &[String], ask: &mut AskPassphrase<'_>) -> Result<Keys, String> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::InvalidData => "it is not a key file".to_owned(),
            _ => format!("it cannot be read: {error}"),
        })?;
    if !ssh_key::is_private_key(&text) {
        let keys = age_keys(&text);
        if let (true, Some(why)) = (keys.is_empty(), ssh_key::holds_no_secret(&text)) {
            return Err(why.to_owned());
        }
        if keys.is_empty() {
            return Err("it contains neither an SSH private key nor an age secret key".to_owned());
        }
        return Ok(keys
            .into_iter()
            .map(|key| Box::new(key) as Box<dyn age::Identity + Send + Sync>)
            .collect());
    }
    if let Some(public) = ssh_key::public_half(path, &text) {
        if let Some(why) = ssh_key::unusable(&public.algorithm()) {
            return Err(why.to_owned());
        }
        if ssh_key::stanza_tag(&public).is_some_and(|tag| !tags.contains(&tag)) {
            return Err(NOT_AMONG.to_owned());
        }
    }
    let key = decode(path, &text, ask)?;
    Ok(vec![Box::new(as_age(&key)?)])
}

/// Reads every format ssh itself reads. The age library reads fewer (no chacha20-poly1305, no encrypted PEM), so the
/// key is unlocked here and handed to it in the clear, in memory.
fn decode(path: &Path, text: &str, ask: &mut AskPassphrase<'_>) -> Result<PrivateKey, String> {
    match decode_secret_key(text, None) {
        Ok(key) => return Ok(key),
        Err(SshError::KeyIsEncrypted) => {}
        Err(error) => return Err(format!("it is not a readable SSH key: {error}")),
    }
    for _ in 0..PASSPHRASE_ATTEMPTS {
        let Some(passphrase) = ask(path) else {
            return Err("its passphrase was not given".to_owned());
        };
        if let Ok(key) = decode_secret_key(text, Some(passphrase.expose_secret())) {
            return Ok(key);
        }
    }
    Err("the passphrase is wrong".to_owned())
}

fn as_age(key: &PrivateKey) -> Result<age::ssh::Identity, String> {
    let plain = key.to_openssh(LineEnding::LF).map_err(|error| error.to_string())?;
    let identity = age::ssh::Identity::from_buffer(plain.as_bytes(), None);
    match identity {
        Ok(age::ssh::Identity::Unsupported(_)) | Err(_) => {
            Err("SSH keys of this type cannot open a sealed file".to_owned())
        }
        Ok(identity) => Ok(identity),
    }
}
