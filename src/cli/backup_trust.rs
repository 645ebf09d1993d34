//! Whether a backup is this cluster's: said before anything is done with it.

use jiff::Timestamp;

use super::error::{Exit, Failure};
use super::session::Session;
use crate::backup::{Manifest, Source, Standing};
use crate::report::Event;

/// Says who signed a backup and which cluster it is from; one that is not signed only with `unsigned`.
///
/// # Errors
/// [`Exit::Blocked`] for one that nobody of this cluster signed.
pub(super) fn vouch(session: &Session, source: &Source, unsigned: bool) -> Result<(), Failure> {
    let now = Timestamp::now();
    let standing = source.standing(&session.vault().trust()?, now);
    let finding = match source.manifest() {
        Some(manifest) => standing.finding(manifest, now),
        None => Some("it is a plain snapshot of etcd, which says neither where it is from nor who made it".to_owned()),
    };
    let path = source.path().display();
    if let (Standing::Unsigned(_), false) = (&standing, unsigned) {
        let finding = finding.unwrap_or_default();
        let from = source
            .manifest()
            .map(|manifest| format!(" It says that it is of {}.", origin(manifest)));
        return Err(Failure::new(
            Exit::Blocked,
            format!(
                "{path} is not signed by the CA of {}: {finding}",
                session.desired().cluster
            ),
        )
        .hint(format!(
            "anybody can have made it.{} If you know where it comes from, pass --unsigned",
            from.unwrap_or_default()
        )));
    }
    if let Some(finding) = finding {
        session.reporter.event(&Event::Warning {
            node: None,
            text: format!("{path}: {finding}"),
            hint: None,
        });
    }
    if let (Some(by), Some(manifest)) = (standing.signed_by(), source.manifest()) {
        session.note(&format!("{path} is of {}, signed by {by}", origin(manifest)));
    }
    Ok(())
}

/// `cluster prod-a (4f7ba549ecde386b), taken from etcd-2 at ...`.
pub(super) fn origin(manifest: &Manifest) -> String {
    format!(
        "cluster {} ({}), taken from {} at {}",
        manifest.cluster,
        manifest.cluster_id,
        manifest.taken_from,
        manifest.taken_at.strftime("%Y-%m-%d %H:%M:%SZ")
    )
}
