//! `passwords/`: those of etcd's users that log in with one. Each lies there sealed like the CA key, to the same recipients,
//! and may be committed.
//!
//! Inside stand the cluster and the user once more: a file under another name, or of another cluster, is not taken.

use std::path::PathBuf;

use age::secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::authority::AuthorityError;
use super::identity::{self, AskPassphrase, OpenError};
use super::recipient::Recipient;
use super::sealed::{self, BEGIN};
use super::store::{PkiDir, StoreError};

/// Where they lie in the pki directory.
const ROOM: &str = "passwords";
/// bcrypt, with which etcd keeps them, takes no more bytes; 3.4 would ignore the rest, later releases refuse it (tried).
const LONGEST: usize = 72;
/// Fewer are guessed from the hash that every snapshot holds.
const SHORTEST: usize = 12;
/// In hexadecimal twice as many: nothing has to be quoted, wherever it is written.
const RANDOM_BYTES: usize = 24;

/// A password as somebody gave it.
///
/// # Errors
/// What is wrong with it, without it.
pub fn fit(text: Zeroizing<String>) -> Result<SecretString, String> {
    if !(SHORTEST..=LONGEST).contains(&text.len()) {
        return Err(format!(
            "a password must have {SHORTEST} to {LONGEST} bytes, not {}",
            text.len()
        ));
    }
    match text.chars().any(char::is_control) {
        true => Err("a password must be one line without control characters".to_owned()),
        false => Ok(SecretString::from(text.as_str())),
    }
}

/// One that nobody has to remember.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn random() -> Result<SecretString, AuthorityError> {
    let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
    let source = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    source.fill(bytes.as_mut()).map_err(|_| AuthorityError::Issue {
        common_name: "a password".to_owned(),
        why: "the operating system gives no random bytes".to_owned(),
    })?;
    Ok(SecretString::from(hex::encode(bytes.as_ref())))
}

impl PkiDir {
    /// Seals the password of a user to `recipients`; replaces the one before.
    ///
    /// # Errors
    /// When there is no recipient, or the file cannot be written.
    pub fn write_password(
        &self,
        user: &str,
        password: &SecretString,
        recipients: &[Recipient],
    ) -> Result<PathBuf, StoreError> {
        let path = self.password_path(user);
        let (cluster, secret) = (&self.cluster, password.expose_secret());
        let head = self.head(user);
        // Sized beforehand: a string that grows leaves copies behind that nothing wipes.
        let mut plain = Zeroizing::new(String::with_capacity(head.len() + secret.len() + 1));
        plain.push_str(&head);
        plain.push_str(secret);
        plain.push('\n');
        let what = format!(
            "# The password of the user `{user}` of the etcd cluster `{cluster}`, sealed by quorate. Safe to commit.\n"
        );
        self.write_sealed(path, &what, plain.as_bytes(), recipients)
    }

    /// The password of a user; `None` where none is sealed.
    ///
    /// # Errors
    /// When none of `identities` opens it, or what is inside is not this user's of this cluster.
    pub fn password(
        &self,
        user: &str,
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
    ) -> Result<Option<SecretString>, StoreError> {
        let path = self.password_path(user);
        let Some(text) = self.read(&path)? else {
            return Ok(None);
        };
        let unusable = |why: String| StoreError::Password {
            path: path.clone(),
            why,
        };
        let Some(start) = text.find(BEGIN) else {
            return Err(unusable("it is not a sealed file".to_owned()));
        };
        let plain = identity::open(&text[start..], identities, ask).map_err(|error| {
            let to = sealed::label(&text).recipients.join("; ");
            unusable(match error {
                OpenError::NoKey { .. } => format!("none of your keys opens it; it is sealed to {to}"),
                damaged => damaged.to_string(),
            })
        })?;
        let other = || {
            unusable(format!(
                "it is not the password of `{user}` of the cluster `{}`",
                self.cluster
            ))
        };
        let plain = std::str::from_utf8(&plain).map_err(|_| other())?;
        let secret = plain.strip_prefix(self.head(user).as_str()).ok_or_else(other)?;
        let secret = Zeroizing::new(secret.strip_suffix('\n').unwrap_or(secret).to_owned());
        fit(secret).map(Some).map_err(unusable)
    }

    /// Seals every password anew.
    ///
    /// # Errors
    /// When one cannot be opened or written. Sealing again completes what was cut off.
    pub fn reseal_passwords(
        &self,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
    ) -> Result<(), StoreError> {
        for path in self.sealed_in(ROOM)? {
            let Some(user) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            if let Some(password) = self.password(user, identities, ask)? {
                self.write_password(user, &password, recipients)?;
            }
        }
        Ok(())
    }

    fn password_path(&self, user: &str) -> PathBuf {
        self.path().join(ROOM).join(format!("{user}.age"))
    }

    fn head(&self, user: &str) -> String {
        format!("cluster: {}\nuser: {user}\npassword: ", self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pki::test_keys::age_key as key;

    fn text(secret: Option<SecretString>) -> Option<String> {
        secret.map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn a_password_is_opened_by_its_recipients_alone_and_goes_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let pki = PkiDir::at(dir.path().join("pki"), &"demo".parse().unwrap());
        let ((alice, alices), (bob, bobs)) = (key(dir.path(), "alice"), key(dir.path(), "bob"));
        let open = |user: &str, file: &PathBuf| pki.password(user, std::slice::from_ref(file), &mut |_| None);
        assert!(open("patroni", &alices).unwrap().is_none());

        let secret = random().unwrap();
        let path = pki.write_password("patroni", &secret, &alice).unwrap();
        let stored = fs::read_to_string(&path).unwrap();
        assert!(
            stored.contains("user `patroni`") && !stored.contains(secret.expose_secret()),
            "{stored}"
        );
        assert_eq!(
            text(open("patroni", &alices).unwrap()).as_deref(),
            Some(secret.expose_secret())
        );
        let refused = open("patroni", &bobs).unwrap_err();
        assert!(refused.to_string().contains("none of your keys opens it"), "{refused}");

        pki.reseal_passwords(&bob, std::slice::from_ref(&alices), &mut |_| None)
            .unwrap();
        assert_eq!(
            text(open("patroni", &bobs).unwrap()).as_deref(),
            Some(secret.expose_secret())
        );
        assert!(open("patroni", &alices).is_err());

        // Under the name of another user, or in another cluster, it is nothing.
        fs::copy(&path, path.with_file_name("other.age")).unwrap();
        assert!(
            open("other", &bobs)
                .unwrap_err()
                .to_string()
                .contains("not the password of `other`")
        );
        let elsewhere = PkiDir::at(dir.path().join("pki"), &"prod".parse().unwrap());
        assert!(elsewhere.password("patroni", &[bobs], &mut |_| None).is_err());
        fs::write(&path, "nothing sealed").unwrap();
        assert!(open("patroni", &alices).is_err(), "damaged is not absent");
    }

    #[test]
    fn passwords_fit_into_bcrypt_and_on_a_line() {
        let given = |text: &str| fit(Zeroizing::new(text.to_owned())).map(drop);
        assert_eq!(given(&"a".repeat(72)), Ok(()));
        assert_eq!(given("a b \u{e4} \" : #"), Ok(()));
        for wrong in ["", "short", &"a".repeat(73), "two\nlines of it"] {
            let why = given(wrong).unwrap_err();
            assert!(wrong.is_empty() || !why.contains(wrong), "{why}");
        }
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_eq!(one.expose_secret().len(), 48);
    }
}
