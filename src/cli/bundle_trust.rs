//! Whether a bundle is one that the inventory allows: by its digest, or by who signed it.

use std::path::Path;

use jiff::Timestamp;

use super::error::{Detail, Exit, Failure};
use crate::bundle::signature::{signature_file, signed_by};
use crate::bundle::{AllowedSigners, Bundle};
use crate::inventory::Desired;

/// The file beside the CA that lists whose signatures count.
pub(super) const ALLOWED_SIGNERS: &str = "allowed_signers";

/// Holds a bundle against `bundle` of the inventory; says which one it is.
///
/// # Errors
/// [`Exit::Bundle`] when it is not the one that is wanted, with every reason.
pub(super) fn admit(desired: &Desired, bundle: &Bundle) -> Result<String, Failure> {
    let (policy, path, digest) = (&desired.bundle, bundle.path().display(), bundle.digest().to_string());
    if let Some(wanted) = policy.sha256.as_ref().filter(|wanted| **wanted != digest) {
        return Err(Failure::new(
            Exit::Bundle,
            format!("{path} has the SHA-256 {digest}, and the inventory wants {wanted}"),
        )
        .hint("give the right bundle with --bundle, or change `bundle.sha256`"));
    }
    let allowed = desired.pki.dir.join(ALLOWED_SIGNERS);
    let signer = match policy.signed_by.as_slice() {
        [] => None,
        wanted => Some(check(bundle, &read(&allowed)?, wanted)?),
    };
    let signed = match (signer, signature_file(bundle.path()).exists()) {
        (Some(signer), _) => format!("signed by {signer}"),
        (None, true) => "its signature was not asked for".to_owned(),
        (None, false) => "not signed".to_owned(),
    };
    Ok(format!("the bundle is {path}: SHA-256 {digest}, {signed}"))
}

/// Who signed a bundle: one of those in the file `allowed`, or, where that is not given, in `usual` if it is there and so is
/// a signature.
///
/// # Errors
/// When the signature is missing, or does not count.
pub(super) fn signer(bundle: &Bundle, allowed: Option<&Path>, usual: &Path) -> Result<Option<String>, Failure> {
    let file = match allowed {
        Some(file) => file,
        None if usual.exists() && signature_file(bundle.path()).exists() => usual,
        None => return Ok(None),
    };
    check(bundle, &read(file)?, &[]).map(Some)
}

fn check(bundle: &Bundle, allowed: &AllowedSigners, wanted: &[String]) -> Result<String, Failure> {
    let file = signature_file(bundle.path());
    let hint = match wanted {
        [] => "have somebody sign it whom the list names: `quorate bundle sign`".to_owned(),
        wanted => format!(
            "have one of them sign it: {} (`quorate bundle sign`)",
            wanted.join(", ")
        ),
    };
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::NotFound => format!(
                "{} is not signed: there is no {}",
                bundle.path().display(),
                file.display()
            ),
            _ => format!("cannot read {}: {error}", file.display()),
        };
        Failure::new(Exit::Bundle, what).hint(&hint)
    })?;
    signed_by(&bundle.manifest_json(), &text, allowed, wanted, Timestamp::now()).map_err(|error| {
        Failure::new(
            Exit::Bundle,
            format!("the signature {} does not count: {error}", file.display()),
        )
        .hint(hint)
    })
}

fn read(file: &Path) -> Result<AllowedSigners, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(Exit::Bundle, format!("cannot read {}: {error}", file.display()))
            .hint("list there whose signatures count, a line each: `alice@example.com ssh-ed25519 AAAA...`")
    })?;
    AllowedSigners::parse(&text).map_err(|lines| {
        let details = lines.into_iter().map(|bad| Detail {
            node: None,
            message: bad.to_string(),
            hint: "write it as ssh-keygen(1) says under ALLOWED SIGNERS".to_owned(),
        });
        Failure {
            details: details.collect(),
            ..Failure::new(Exit::Bundle, format!("{} cannot be used", file.display()))
        }
    })
}
