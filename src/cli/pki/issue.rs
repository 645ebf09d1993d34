//! `pki issue`, `pki revoke`, `pki crl`: certificates of clients.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::super::args::Issue;
use super::super::error::{Exit, Failure};
use super::super::files::{cannot_write, write, write_together};
use super::super::session::Session;
use crate::pki::{bundle_pem, client_spec};
use crate::report::Event;

/// `pki issue`: `NAME.crt`, `NAME.key` and `ca.crt` for one client. The same name again replaces what it had.
///
/// # Errors
/// When the name cannot be used, the CA cannot be opened, or a file cannot be written.
pub async fn issue(session: &Session, args: &Issue) -> Result<Exit, Failure> {
    let name = file_name(&args.name)?;
    let policy = &session.desired().pki;
    let validity = args.validity.unwrap_or(policy.leaf_validity);
    let spec = client_spec(args.user.as_deref().unwrap_or(name), validity, policy.key_type)
        .map_err(|e| Failure::new(Exit::Usage, &e).hint(e.hint()))?;
    let (trusted, issued) = session.vault().issue_client(name, &spec).await?;

    let (cert, key) = (format!("{name}.crt"), format!("{name}.key"));
    write(&args.out, "ca.crt", 0o644, &bundle_pem(&trusted))?;
    let pair = [
        (cert.as_str(), 0o644, issued.cert_pem.as_str()),
        (key.as_str(), 0o600, issued.key.expose_pem()),
    ];
    write_together(&args.out, pair)?;
    let facts = &issued.facts;
    warn_if_cut(session, facts.not_after, validity);
    let place = args.out.join(name);
    session.finish(
        true,
        1,
        format!(
            "{0}.crt and {0}.key for the user `{1}`, valid until {2}; recorded in issued.yml: commit that file",
            place.display(),
            facts.common_name,
            facts.not_after
        ),
    );
    Ok(Exit::Done)
}

/// No certificate outlives its CA: one that was to be valid for longer says so.
pub(in crate::cli) fn warn_if_cut(session: &Session, until: Timestamp, validity: Duration) {
    let wanted = Timestamp::now().checked_add(validity).unwrap_or(Timestamp::MAX);
    if until < wanted - jiff::Span::new().minutes(1) {
        session.reporter.event(&Event::Warning {
            node: None,
            text: format!("it expires with its CA, at {until}"),
            hint: Some("create a new CA with `quorate pki rotate-ca`".into()),
        });
    }
}

/// `pki revoke`: notes that a client's certificates are to be refused, and writes the new revocation list.
///
/// # Errors
/// When nothing was issued under this name, or the CA cannot be opened; nothing is noted then.
pub async fn revoke(session: &Session, name: &str) -> Result<Exit, Failure> {
    let vault = session.vault();
    let now = Timestamp::now();
    let mut list = vault.dir().issued()?;
    let revoked = list.revoke(name, now);
    if revoked == 0 {
        let names: Vec<&str> = list.current(now).into_keys().collect();
        return Err(
            Failure::new(Exit::Usage, format!("no certificate of `{name}` is in use"))
                .hint(format!("those in use are: {}", names.join(", "))),
        );
    }
    // Only who can open the CA may take back what it gave.
    vault.authority().await?;
    vault.dir().write_issued(&list, now)?;
    vault.crl().await?;
    vault.dir().remove_viewer(name)?;
    let next = match session.desired().pki.crl {
        true => {
            "`quorate up` installs the list on the members, without a restart: they refuse the certificate from the next handshake on; open connections stay \
                 open"
        }
        false => "members do not read the list (`crl.der` beside the CA) unless `pki.crl: true` is in the inventory",
    };
    session.finish(
        true,
        revoked,
        format!("`{name}` is revoked; {next}; commit the pki directory"),
    );
    Ok(Exit::Done)
}

/// `pki crl`: the revocation list that members are given, in DER, which every etcd reads.
///
/// # Errors
/// When the CA cannot be opened or the file cannot be written.
pub async fn crl(session: &Session, out: &Path) -> Result<Exit, Failure> {
    let der = session.vault().crl().await?;
    fs::write(out, der).map_err(|e| cannot_write(out, &e))?;
    session.finish(true, 1, format!("{} (DER)", out.display()));
    Ok(Exit::Done)
}

/// The name is also that of files.
pub(in crate::cli) fn file_name(name: &str) -> Result<&str, Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.is_empty() && name.chars().all(fits) && !name.starts_with(['.', '-']) && name != "ca" {
        return Ok(name);
    }
    Err(Failure::new(
        Exit::Usage,
        format!("`{}` cannot be used as a file name", name.escape_debug()),
    )
    .hint("use letters, digits, `.`, `_` and `-`; for a different user name in the certificate, use --user"))
}
