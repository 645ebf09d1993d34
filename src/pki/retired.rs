//! CAs of before: `ca-previous.crt`. No TLS trusts them. They vouch for backups that were taken while they were trusted,
//! because a backup outlives the CA that its signer had.

use std::path::PathBuf;

use jiff::Timestamp;

use super::certificate::{CertError, Certificate};
use super::store::{PkiDir, StoreError};

/// What stands before each certificate, in front of the moment.
const MARK: &str = "# trusted until ";

/// A CA that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// The CA.
    pub certificate: Certificate,
    /// When it left `ca.crt`.
    pub until: Timestamp,
}

impl PkiDir {
    /// The CAs of before, oldest first; none where `ca-previous.crt` does not exist.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn retired(&self) -> Result<Vec<Retired>, StoreError> {
        let path = self.retired_path();
        let Some(text) = self.read(&path)? else {
            return Ok(Vec::new());
        };
        parse(&text).map_err(|source| StoreError::Certificates { path, source })
    }

    /// Remembers a CA that leaves `ca.crt`. Done twice, the first moment counts.
    pub(super) fn remember(&self, old: &Certificate, now: Timestamp) -> Result<(), StoreError> {
        let mut retired = self.retired()?;
        if retired.iter().any(|each| each.certificate == *old) {
            return Ok(());
        }
        retired.push(Retired {
            certificate: old.clone(),
            until: now,
        });
        self.write(&self.retired_path(), text(&retired))
    }

    fn retired_path(&self) -> PathBuf {
        self.dir.join("ca-previous.crt")
    }
}

fn text(retired: &[Retired]) -> String {
    let each = retired.iter().map(|ca| {
        format!(
            "{MARK}{}: {}\n{}",
            ca.until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            ca.certificate.facts().subject,
            ca.certificate.to_pem()
        )
    });
    format!(
        "# CAs of before. Nothing trusts them but signatures of backups that were taken in their time.\n{}",
        each.collect::<String>()
    )
}

/// A certificate without its moment vouches for nothing, so it is an error and not left out.
fn parse(text: &str) -> Result<Vec<Retired>, CertError> {
    let unreadable = |why: String| CertError::Pem { why };
    let mut parts = text.split(MARK);
    if parts.next().is_some_and(|before| before.contains("-----BEGIN")) {
        return Err(unreadable(format!("a certificate has no line `{MARK}...` before it")));
    }
    let mut retired = Vec::new();
    for part in parts {
        let (line, pem) = part.split_once('\n').unwrap_or((part, ""));
        let moment = line.split(": ").next().unwrap_or(line).trim();
        let until = moment
            .parse()
            .map_err(|_| unreadable(format!("`{}` is not a moment", moment.escape_debug())))?;
        match <[Certificate; 1]>::try_from(Certificate::bundle_from_pem(pem)?) {
            Ok([certificate]) => retired.push(Retired { certificate, until }),
            Err(_) => return Err(unreadable(format!("each certificate needs its own line `{MARK}...`"))),
        }
    }
    Ok(retired)
}
