//! Who can open what is sealed: age and SSH public keys, and files of them.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use russh::keys::{HashAlg, PublicKey};

use super::ssh_key;

/// What to use instead of a key that cannot open sealed files.
const USABLE: &str = "use an ed25519 SSH key (`ssh-keygen -t ed25519`), an RSA one of 2048 bits or more, or an age key \
                      (`age-keygen`)";

/// One key that sealed files can be opened with.
#[derive(Clone)]
pub struct Recipient {
    key: Key,
    label: String,
}

#[derive(Clone)]
enum Key {
    Age(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

/// A recipient that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("recipient {place}: {why}")]
pub struct RecipientError {
    /// The entry as typed (shortened), or the file and line.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

impl Recipient {
    /// Reads the inventory's list: age public keys (`age1...`), SSH public keys (`ssh-ed25519 AAAA... comment`), and
    /// paths of files that hold such keys, one a line, with `#` comments; relative to `base_dir`, `~/` understood.
    /// A key that is named twice counts once.
    ///
    /// # Errors
    /// Every entry that cannot be used, not only the first.
    pub fn parse_all(entries: &[String], base_dir: &Path) -> Result<Vec<Recipient>, Vec<RecipientError>> {
        let mut found = Gathered::default();
        for entry in entries {
            let entry = entry.trim();
            if looks_like_key(entry) {
                found.take(Recipient::parse(entry), || format!("`{}`", shortened(entry)));
            } else {
                found.take_file(&expand(entry, base_dir));
            }
        }
        found.finish()
    }

    /// The public halves of the operator's own identities, for an inventory that names no recipients. Files that do
    /// not exist are skipped, as are keys that cannot open anything; passphrases are not needed.
    ///
    /// # Errors
    /// When no usable key is left: why not, file by file (an empty list when none of the files exists).
    pub fn of_identities(identities: &[PathBuf]) -> Result<Vec<Recipient>, Vec<RecipientError>> {
        let mut found = Gathered::default();
        for path in identities {
            match fs::read_to_string(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.refuse(path.display().to_string(), unreadable(&error)),
                Ok(text) => found.take(Recipient::of_identity(path, &text), || path.display().to_string()),
            }
        }
        if found.recipients.is_empty() {
            return Err(found.errors);
        }
        Ok(found.recipients)
    }

    /// What to call it: `age1...`, or `ssh-ed25519 SHA256:... comment`. One line, nothing secret.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The public key, without a comment: what tells recipients apart.
    pub fn public_key(&self) -> String {
        match &self.key {
            Key::Age(key) => key.to_string(),
            Key::Ssh(key) => key.to_string(),
        }
    }

    /// The public key as one line with its comment, as [`Recipient::parse_all`] reads it.
    pub fn public_line(&self) -> String {
        match self.label.splitn(3, ' ').nth(2) {
            Some(comment) => format!("{} {comment}", self.public_key()),
            None => self.public_key(),
        }
    }

    /// For the age library, which does the sealing.
    pub fn as_age(&self) -> &dyn age::Recipient {
        match &self.key {
            Key::Age(key) => key,
            Key::Ssh(key) => key,
        }
    }

    fn parse(text: &str) -> Result<Recipient, Refusal> {
        if text.starts_with("age1") {
            return Recipient::from_age(text);
        }
        match PublicKey::from_openssh(text) {
            Ok(key) => Recipient::from_ssh(&key),
            Err(_) => Err(Refusal::new("it is neither an age nor an SSH public key", USABLE)),
        }
    }

    fn from_age(text: &str) -> Result<Recipient, Refusal> {
        let key: age::x25519::Recipient = text.parse().map_err(|_| {
            let hint = "copy the whole line `age1...` that `age-keygen -y FILE` prints; plugin keys are not supported";
            Refusal::new("it is not an intact age public key", hint)
        })?;
        Ok(Recipient {
            label: key.to_string(),
            key: Key::Age(key),
        })
    }

    fn from_ssh(key: &PublicKey) -> Result<Recipient, Refusal> {
        if let Some(why) = ssh_key::unusable(&key.algorithm()) {
            return Err(Refusal::new(why, USABLE));
        }
        let line = key.to_openssh().unwrap_or_default();
        let age_key = line
            .parse()
            .map_err(|_| Refusal::new("age does not take this SSH key (RSA needs 2048 to 4096 bits)", USABLE))?;
        // The comment goes into a comment line of the sealed file: it must not be able to start a new one.
        let comment: String = key
            .comment()
            .as_str_lossy()
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let label = format!("{} {} {comment}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        Ok(Recipient {
            key: Key::Ssh(age_key),
            label: label.trim_end().to_owned(),
        })
    }

    fn of_identity(path: &Path, text: &str) -> Result<Recipient, Refusal> {
        if let Some(why) = ssh_key::holds_no_secret(text) {
            return Err(Refusal::new(why, USABLE));
        }
        if let Some(key) = super::identity::age_keys(text).first() {
            return Recipient::from_age(&key.to_public().to_string());
        }
        // The `.pub` file carries the comment, which an encrypted private key does not show; a stale one, of another
        // key, must not be sealed to.
        let half = ssh_key::public_half(path, text);
        let beside = fs::read_to_string(ssh_key::public_file(path)).ok();
        let key = beside
            .and_then(|line| PublicKey::from_openssh(line.trim()).ok())
            .filter(|beside| half.as_ref().is_none_or(|half| half.key_data() == beside.key_data()))
            .or(half);
        match key {
            Some(key) => Recipient::from_ssh(&key),
            None => Err(Refusal::new(
                "its public half is not known",
                &format!("write it with `ssh-keygen -y -f {0} > {0}.pub`", path.display()),
            )),
        }
    }

    fn same_key(&self, other: &Recipient) -> bool {
        self.public_key() == other.public_key()
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.label)
    }
}

/// Why one key is not usable, before its place is known.
struct Refusal {
    why: String,
    hint: String,
}

impl Refusal {
    fn new(why: &str, hint: &str) -> Refusal {
        Refusal {
            why: why.to_owned(),
            hint: hint.to_owned(),
        }
    }
}

/// What a list has yielded so far.
#[derive(Default)]
struct Gathered {
    recipients: Vec<Recipient>,
    errors: Vec<RecipientError>,
}

impl Gathered {
    fn take(&mut self, parsed: Result<Recipient, Refusal>, place: impl FnOnce() -> String) {
        match parsed {
            Ok(recipient) if self.recipients.iter().any(|known| known.same_key(&recipient)) => {}
            Ok(recipient) => self.recipients.push(recipient),
            Err(refusal) => self.refuse(place(), refusal),
        }
    }

    fn refuse(&mut self, place: String, Refusal { why, hint }: Refusal) {
        self.errors.push(RecipientError { place, why, hint });
    }

    fn take_file(&mut self, path: &Path) {
        let place = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.refuse(place, unreadable(&error)),
        };
        if ssh_key::is_private_key(&text) || text.contains("AGE-SECRET-KEY-") {
            let hint = format!(
                "use the file with the public key: `{}`",
                ssh_key::public_file(path).display()
            );
            return self.refuse(place, Refusal::new("this is a private key", &hint));
        }
        let before = (self.recipients.len(), self.errors.len());
        let mut keys = 0;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                keys += 1;
                self.take(Recipient::parse(line), || format!("{place}:{}", number + 1));
            }
        }
        if keys == 0 && before == (self.recipients.len(), self.errors.len()) {
            self.refuse(place, Refusal::new("there is no key in this file", USABLE));
        }
    }

    fn finish(self) -> Result<Vec<Recipient>, Vec<RecipientError>> {
        if self.errors.is_empty() {
            Ok(self.recipients)
        } else {
            Err(self.errors)
        }
    }
}

fn unreadable(error: &io::Error) -> Refusal {
    let hint = "give an age public key, an SSH public key, or the path of a readable file of them";
    Refusal::new(&format!("the file cannot be read: {error}"), hint)
}

fn looks_like_key(entry: &str) -> bool {
    let is_ssh = ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| entry.starts_with(prefix));
    entry.starts_with("age1") || (is_ssh && entry.contains(' '))
}

fn expand(entry: &str, base_dir: &Path) -> PathBuf {
    match (entry.strip_prefix("~/"), etcetera::home_dir()) {
        (Some(rest), Ok(home)) => home.join(rest),
        _ => base_dir.join(entry),
    }
}

/// Enough of a key to find it again in the inventory.
fn shortened(entry: &str) -> String {
    let start: String = entry.chars().take(40).collect();
    let dots = if start.len() < entry.len() { "..." } else { "" };
    format!("{}{dots}", start.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::test_keys::{public_line, ssh_ecdsa, ssh_ed25519, ssh_rsa, write_age_key, write_ssh_key};

    fn labels(recipients: &[Recipient]) -> Vec<&str> {
        recipients.iter().map(Recipient::label).collect()
    }

    #[test]
    fn keys_and_files_of_keys_are_read_and_a_repeated_key_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let alice = public_line(&ssh_ed25519(1)).trim().to_owned();
        let (_, age_key) = write_age_key(dir.path(), "age.txt");
        let team = format!("# the team\n\n{alice}\n{}\n{age_key}\n", public_line(&ssh_rsa()).trim());
        fs::write(dir.path().join("team.pub"), team).unwrap();
        let entries = [alice, "team.pub".to_owned(), age_key.clone()];
        let recipients = Recipient::parse_all(&entries, dir.path()).unwrap();
        let labels = labels(&recipients);
        assert_eq!(labels.len(), 3, "{labels:?}");
        assert!(labels[0].starts_with("ssh-ed25519 SHA256:") && labels[0].ends_with("operator1@laptop"));
        assert!(labels[1].starts_with("ssh-rsa SHA256:"));
        assert_eq!(labels[2], age_key);
    }

    #[test]
    fn every_unusable_entry_is_reported_with_its_place_and_a_fix() {
        let dir = tempfile::tempdir().unwrap();
        let private = write_ssh_key(dir.path(), "id_ed25519", &ssh_ed25519(1));
        fs::write(
            dir.path().join("mixed.pub"),
            format!("{}nonsense\n", public_line(&ssh_ed25519(2))),
        )
        .unwrap();
        fs::write(dir.path().join("empty.pub"), "# nobody\n").unwrap();
        let entries = [
            public_line(&ssh_ecdsa()),
            "age1notakey".to_owned(),
            "missing.pub".to_owned(),
            private.display().to_string(),
            "mixed.pub".to_owned(),
            "empty.pub".to_owned(),
            public_line(&ssh_ed25519(3)),
        ];
        let errors = Recipient::parse_all(&entries, dir.path()).unwrap_err();
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 6, "{texts:#?}");
        assert!(texts[0].contains("`ecdsa-sha2-nistp256") && texts[0].contains("can only sign"));
        assert!(errors[0].hint.contains("ssh-keygen -t ed25519"));
        assert!(texts[1].contains("age1notakey"));
        assert!(texts[2].contains("missing.pub: the file cannot be read"));
        assert!(texts[3].contains("this is a private key") && errors[3].hint.contains("id_ed25519.pub"));
        assert!(texts[4].contains("mixed.pub:2"));
        assert!(texts[5].contains("no key in this file"));
    }

    #[test]
    fn a_comment_cannot_break_out_of_its_line() {
        let mut key = ssh_ed25519(1);
        key.set_comment("eve\r\n# recipient: mallory");
        let recipient = Recipient::from_ssh(key.public_key()).ok().unwrap();
        assert!(recipient.label().ends_with("eve# recipient: mallory"));
    }

    #[test]
    fn the_operators_own_keys_are_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let with_pub = write_ssh_key(dir.path(), "id_ed25519", &ssh_ed25519(1));
        let without_pub = write_ssh_key(dir.path(), "id_other", &ssh_ed25519(2));
        fs::remove_file(dir.path().join("id_other.pub")).unwrap();
        let ecdsa = write_ssh_key(dir.path(), "id_ecdsa", &ssh_ecdsa());
        let (age_file, age_key) = write_age_key(dir.path(), "age.txt");
        let missing = dir.path().join("id_rsa");
        let identities = [missing.clone(), with_pub, without_pub, ecdsa.clone(), age_file];
        let recipients = Recipient::of_identities(&identities).unwrap();
        assert_eq!(recipients.len(), 3, "{recipients:?}");
        assert_eq!(recipients[2].label(), age_key);

        let errors = Recipient::of_identities(&[missing.clone(), ecdsa]).unwrap_err();
        assert!(errors[0].why.contains("can only sign"));
        assert_eq!(Recipient::of_identities(&[missing]).unwrap_err(), []);
    }
}
