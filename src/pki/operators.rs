//! Operators come and go: sealing the CA key to other people.
//!
//! `recipients` beside the CA holds public keys, one a line; `pki seal --recipient` and `--remove` keep it. It adds to
//! the inventory's `pki.recipients`.

use std::path::PathBuf;

use super::identity::AskPassphrase;
use super::recipient::Recipient;
use super::sealed;
use super::store::{PkiDir, StoreError};

const HEAD: &str =
    "# Who can open the CA key, besides `pki.recipients` of the inventory. Maintained by `quorate pki seal`.\n";

impl PkiDir {
    /// The file of further recipients.
    pub fn recipients_path(&self) -> PathBuf {
        self.dir.join("recipients")
    }

    /// Writes the file of further recipients.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_recipients(&self, recipients: &[Recipient]) -> Result<(), StoreError> {
        let lines: String = recipients.iter().map(|r| format!("{}\n", r.public_line())).collect();
        self.write(&self.recipients_path(), format!("{HEAD}{lines}"))
    }

    /// Seals the CA key anew, that of the next CA during a rotation, and that of a request: from now on exactly `recipients` can open the
    /// files. Copies of the old files (in version control, in backups) stay open to whoever could open them.
    ///
    /// # Errors
    /// When none of `identities` opens a file, there is no recipient, or a file cannot be written.
    pub fn reseal(
        &self,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
    ) -> Result<(), StoreError> {
        let mut opened = Vec::new();
        for path in [self.sealed_path(), self.next_sealed_path(), self.request_key_path()] {
            if let Some(text) = self.read(&path)? {
                opened.push((path.clone(), self.unseal(&path, &text, identities, ask)?));
            }
        }
        if opened.is_empty() {
            return Err(self.without_sealed_key(self.cert_path().exists()));
        }
        for (path, secret) in opened {
            let text = sealed::seal(&secret, recipients).map_err(|source| StoreError::Seal {
                path: path.clone(),
                source,
            })?;
            self.write(&path, &text)?;
        }
        Ok(())
    }
}
