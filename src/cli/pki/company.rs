//! `pki csr` and `pki import`: a company's CA above the cluster's own.

use std::fs;
use std::path::Path;

use super::super::error::{Detail, Exit, Failure};
use super::super::session::Session;
use crate::pki::{Imported, StoreError};

/// `pki csr`: the request for an intermediate CA.
///
/// # Errors
/// When nobody could open its key, or a file cannot be written.
pub fn csr(session: &Session, out: &Path) -> Result<Exit, Failure> {
    session.recipients()?;
    let request = session.vault().request()?;
    fs::write(out, request).map_err(|e| {
        Failure::new(Exit::Unexpected, format!("cannot write {}: {e}", out.display()))
            .hint("check the owner and permissions of its directory, and the free space")
    })?;
    session.finish(
        true,
        1,
        format!(
            "{}: have it signed as a CA with path length 0, then run `quorate pki import FILE` with the chain; its key is sealed in the pki directory: commit \
             it",
            out.display()
        ),
    );
    Ok(Exit::Done)
}

/// `pki import`: what the company's CA made of it.
///
/// # Errors
/// Every problem with it; nothing is changed then.
pub fn import(session: &Session, file: &Path) -> Result<Exit, Failure> {
    session.recipients()?;
    let answer = fs::read_to_string(file).map_err(|e| {
        Failure::new(Exit::Usage, format!("cannot read {}: {e}", file.display()))
            .hint("pass the certificates as PEM; convert DER with `openssl x509 -inform der -in FILE`")
    })?;
    let vault = session.vault();
    let recipients = vault.recipients()?;
    let imported = vault.import(session.desired(), &answer, &recipients).map_err(refusal)?;
    let next = match imported {
        Imported::First => "the cluster's CA is an intermediate of your company's CA; continue with `quorate up`",
        Imported::Next => {
            "the next CA is an intermediate of your company's CA; switch to it with `quorate pki rotate-ca`"
        }
    };
    session.finish(true, 1, format!("{next}; commit the pki directory"));
    Ok(Exit::Done)
}

/// Each problem with the answer on a line of its own.
fn refusal(error: StoreError) -> Failure {
    let hint = error.hint();
    let StoreError::Answer { problems } = error else {
        return error.into();
    };
    let details = problems.into_iter().map(|message| Detail {
        node: None,
        message,
        hint: hint.clone(),
    });
    Failure {
        details: details.collect(),
        ..Failure::new(Exit::Blocked, "nothing was changed: this cannot be the cluster's CA")
    }
}
