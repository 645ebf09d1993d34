//! Where passphrases and passwords come from: the terminal, or a place that the operator named. Never argv.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::Restored;

/// Answers the questions that a login or sudo may ask. Calls may block for as long as a person types.
pub trait SecretSource: Send + Sync {
    /// The passphrase of the private key file `key`; `None` when there is nobody to ask.
    fn passphrase(&self, key: &Path) -> Option<SecretString>;

    /// The password that sudo wants from `who` (`user@host:port`).
    fn sudo_password(&self, who: &str) -> Option<SecretString>;

    /// A password for the SSH login itself; `None` unless the operator asked for such logins.
    fn login_password(&self, who: &str) -> Option<SecretString>;

    /// The answer to `question`, which a host asks at a login (a one-time code). Each time anew.
    fn code(&self, question: &str) -> Option<SecretString>;
}

/// A place to read a secret from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// Ask on the terminal, without echo.
    Terminal,
    /// The first line of a file.
    File(PathBuf),
    /// The first line of an open file descriptor.
    Descriptor(u32),
    /// An environment variable.
    Variable(String),
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a place for a secret: use `prompt`, `file:PATH`, `fd:NUMBER` or `env:NAME`")]
pub struct PlaceError(String);

impl FromStr for SecretPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let refuse = || PlaceError(text.escape_debug().to_string());
        match text.split_once(':') {
            None if text == "prompt" => Ok(SecretPlace::Terminal),
            Some(("file", path)) if !path.is_empty() => Ok(SecretPlace::File(path.into())),
            Some(("fd", number)) => number.parse().map(SecretPlace::Descriptor).map_err(|_| refuse()),
            Some(("env", name)) if !name.is_empty() => Ok(SecretPlace::Variable(name.to_owned())),
            _ => Err(refuse()),
        }
    }
}

/// The secrets of one run: each is asked for once, and one sudo password serves all hosts.
pub struct Secrets {
    passphrases: SecretPlace,
    sudo: SecretPlace,
    login: Option<SecretPlace>,
    /// Also keeps two prompts from being shown at once.
    given: Mutex<BTreeMap<Question, Option<SecretString>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Passphrase(PathBuf),
    Sudo,
    Login,
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new()
    }
}

impl Secrets {
    /// Asks on the terminal for passphrases and sudo's password; gives no login password.
    pub fn new() -> Self {
        Self {
            passphrases: SecretPlace::Terminal,
            sudo: SecretPlace::Terminal,
            login: None,
            given: Mutex::default(),
        }
    }

    /// Takes key passphrases from `place`.
    #[must_use]
    pub fn with_passphrases(self, place: SecretPlace) -> Self {
        Self {
            passphrases: place,
            ..self
        }
    }

    /// Takes sudo's password from `place`.
    #[must_use]
    pub fn with_sudo(self, place: SecretPlace) -> Self {
        Self { sudo: place, ..self }
    }

    /// Allows logins by password, taken from `place`.
    #[must_use]
    pub fn with_login(self, place: SecretPlace) -> Self {
        Self {
            login: Some(place),
            ..self
        }
    }

    fn once(&self, question: Question, place: &SecretPlace, prompt: &str) -> Option<SecretString> {
        // A poisoned lock only means that another prompt panicked; the answers in it are whole.
        let mut given = self.given.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        given.entry(question).or_insert_with(|| read(place, prompt)).clone()
    }
}

impl SecretSource for Secrets {
    fn passphrase(&self, key: &Path) -> Option<SecretString> {
        let prompt = format!("Passphrase for {}: ", key.display());
        self.once(Question::Passphrase(key.to_owned()), &self.passphrases, &prompt)
    }

    fn sudo_password(&self, who: &str) -> Option<SecretString> {
        let prompt = format!("sudo password for {who} (used for all hosts): ");
        self.once(Question::Sudo, &self.sudo, &prompt)
    }

    fn login_password(&self, who: &str) -> Option<SecretString> {
        let prompt = format!("Password for {who} (used for all hosts): ");
        let place = self.login.as_ref()?;
        self.once(Question::Login, place, &prompt)
    }

    fn code(&self, question: &str) -> Option<SecretString> {
        if self.login != Some(SecretPlace::Terminal) {
            return None;
        }
        let _one_at_a_time = self.given.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        read(&SecretPlace::Terminal, &format!("{question} "))
    }
}

/// Reads from `place`; nothing readable there is no secret.
fn read(place: &SecretPlace, prompt: &str) -> Option<SecretString> {
    let text = match place {
        SecretPlace::Terminal => {
            let _restored = Restored::at_the_end();
            rpassword::prompt_password(prompt).ok()
        }
        SecretPlace::File(path) => first_line(path),
        SecretPlace::Descriptor(number) => first_line(Path::new(&format!("/dev/fd/{number}"))),
        SecretPlace::Variable(name) => std::env::var(name).ok(),
    };
    text.filter(|text| !text.is_empty()).map(SecretString::from)
}

fn first_line(path: &Path) -> Option<String> {
    let file = std::fs::File::open(path).ok()?;
    let mut line = Zeroizing::new(String::new());
    BufReader::new(file).read_line(&mut line).ok()?;
    Some(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn places_are_named_in_four_forms() {
        assert_eq!("prompt".parse(), Ok(SecretPlace::Terminal));
        assert_eq!("file:/run/a:b".parse(), Ok(SecretPlace::File("/run/a:b".into())));
        assert_eq!("fd:3".parse(), Ok(SecretPlace::Descriptor(3)));
        assert_eq!("env:SUDO_PW".parse(), Ok(SecretPlace::Variable("SUDO_PW".into())));
        for bad in ["", "hunter2", "fd:x", "fd:-1", "env:", "file:"] {
            assert!(bad.parse::<SecretPlace>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_read_once_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pw");
        std::fs::write(&path, "pass word'$(x)\nsecond line\n").unwrap();
        let secrets = Secrets::new().with_sudo(SecretPlace::File(path.clone()));
        assert_eq!(
            secrets.sudo_password("a@b:22").unwrap().expose_secret(),
            "pass word'$(x)"
        );
        std::fs::remove_file(&path).unwrap();
        let again = secrets.sudo_password("a@c:22").unwrap();
        assert_eq!(again.expose_secret(), "pass word'$(x)");
        assert!(!format!("{again:?}").contains("pass word"));
    }

    #[test]
    fn nothing_there_is_no_secret_and_logins_by_password_are_off() {
        let gone = SecretPlace::File("/nonexistent/pw".into());
        let secrets = Secrets::new().with_passphrases(gone.clone()).with_sudo(gone);
        assert!(secrets.passphrase(Path::new("/k")).is_none());
        assert!(secrets.sudo_password("a@b").is_none());
        assert!(secrets.login_password("a@b").is_none());
        assert!(secrets.code("Code:").is_none());
    }
}
