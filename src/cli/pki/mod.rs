//! `pki`: certificates for the life of the cluster.

mod company;
mod issue;
mod seal;
mod show;
mod viewer;

pub(super) use issue::{file_name, warn_if_cut};
pub(super) use show::problems;

use super::args::{Global, PkiCommand};
use super::converge::{Parts, bring_about};
use super::error::{Exit, Failure};
use super::session::Session;
use crate::ops::model::Intent;

/// `pki ...`.
///
/// # Errors
/// See the exit codes.
pub async fn pki(global: &Global, command: &PkiCommand) -> Result<Exit, Failure> {
    let mut session = Session::open(global)?;
    session.clients_ready = matches!(
        command,
        PkiCommand::RotateCa {
            clients_ready: true,
            ..
        }
    );
    match command {
        PkiCommand::Show => show::show(&session).await,
        PkiCommand::Renew => renew(&session).await,
        PkiCommand::RotateCa { compromised, .. } => rotate_ca(&session, *compromised).await,
        PkiCommand::Issue(args) => issue::issue(&session, args).await,
        PkiCommand::Viewer(args) => viewer::viewer(&session, args).await,
        PkiCommand::Revoke { name } => issue::revoke(&session, name).await,
        PkiCommand::Crl { out } => issue::crl(&session, out).await,
        PkiCommand::Csr { out } => company::csr(&session, out),
        PkiCommand::Import { file } => company::import(&session, file),
        PkiCommand::Seal(args) => seal::seal(&session, args).await,
    }
}

/// New server and peer certificates for every host, or those of `--limit`.
async fn renew(session: &Session) -> Result<Exit, Failure> {
    let intent = Intent::RotateLeaves {
        limit: session.global.limit.clone(),
    };
    let changed = bring_about(session, parts(session), &intent, None).await?;
    session.finish(
        true,
        changed,
        "every certificate was replaced, and each member presents the new one on both ports",
    );
    Ok(Exit::Done)
}

/// Begins a rotation, or goes on with the one that is under way, to its end.
async fn rotate_ca(session: &Session, compromised: bool) -> Result<Exit, Failure> {
    if !session.global.limit.is_empty() {
        return Err(Failure::new(Exit::Usage, "a CA is changed on all hosts at once").hint("omit --limit"));
    }
    let intent = Intent::RotateCa {
        compromised,
        begin: true,
    };
    let changed = bring_about(session, parts(session), &intent, None).await?;
    let cluster = &session.desired().cluster;
    session.finish(
        true,
        changed,
        format!("{cluster} has a new CA, and nothing trusts the old one any more; commit the pki directory"),
    );
    Ok(Exit::Done)
}

/// Nothing is installed, so no bundle is needed.
fn parts(session: &Session) -> Parts {
    Parts {
        fleet: session.fleet(),
        vault: session.vault(),
        bundle: None,
        backup: None,
    }
}
