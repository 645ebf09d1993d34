//! `pki viewer`: an operator who looks and cannot open the CA key.

use super::super::args::Viewer;
use super::super::error::{Exit, Failure};
use super::super::session::{Session, unusable};
use super::issue::{file_name, warn_if_cut};
use crate::pki::{Recipient, client_spec};

/// Issues a client certificate and seals it, with its key, to the operator's own key in `pki/viewers`.
///
/// # Errors
/// When the name or a recipient cannot be used, the CA cannot be opened, or a file cannot be written.
pub async fn viewer(session: &Session, args: &Viewer) -> Result<Exit, Failure> {
    let name = file_name(&args.name)?;
    let policy = &session.desired().pki;
    let validity = args.validity.unwrap_or(policy.leaf_validity);
    let recipients = Recipient::parse_all(&args.recipient, session.base())
        .map_err(|errors| unusable(Exit::Usage, "not every recipient can be used", errors))?;
    let user = args.user.as_deref().unwrap_or(name);
    let spec =
        client_spec(user, validity, policy.key_type).map_err(|e| Failure::new(Exit::Usage, &e).hint(e.hint()))?;
    let (path, until) = session.vault().issue_viewer(name, &spec, &recipients).await?;
    warn_if_cut(session, until, validity);
    session.note(
        "a viewer also needs a login on each host, with the rights of the account that the inventory names: put the SSH key \
         into its authorized_keys",
    );
    let labels: Vec<&str> = recipients.iter().map(Recipient::label).collect();
    session.finish(
        true,
        1,
        format!(
            "{} for the user `{user}`, sealed to {}, valid until {until}; commit the pki directory",
            path.display(),
            labels.join("; ")
        ),
    );
    Ok(Exit::Done)
}
