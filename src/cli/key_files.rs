//! Which of the operator's key files may open what is sealed.

use std::path::PathBuf;

use super::session::Session;
use crate::host::ssh::identity_files;
use crate::inventory::{Connection, DesiredHost, SshTarget};
use crate::ops::vault::KeyFiles;

/// A key that opens what is sealed and logs in nowhere, below the home directory: for operators whose agent or security
/// token holds the key that does.
const OWN: &str = ".config/quorate/identity";

/// Every key file that the operator may own: the one for this alone, those of the inventory and its hosts, those that
/// `~/.ssh/config` names for them, then the usual ones. A file that the inventory names is tried, and told of, even where
/// it does not exist.
pub(super) fn of(session: &Session) -> KeyFiles {
    let desired = session.desired();
    let mut named = desired.pki.identities.clone();
    let targets: Vec<SshTarget> = desired.hosts.values().filter_map(reached_by_ssh).cloned().collect();
    named.extend(targets.iter().flat_map(|target| target.identity.clone()));
    let (environment, _) = session.ssh();
    KeyFiles::later(move || {
        let found = identity_files(&targets, &environment);
        let all = [environment.home.join(OWN)]
            .into_iter()
            .chain(named.clone())
            .chain(found);
        let mut files: Vec<PathBuf> = Vec::new();
        for file in all {
            if (named.contains(&file) || file.exists()) && !files.contains(&file) {
                files.push(file);
            }
        }
        files
    })
}

fn reached_by_ssh(host: &DesiredHost) -> Option<&SshTarget> {
    match &host.connection {
        Connection::Ssh(target) => Some(target),
        Connection::Local => None,
    }
}
