//! `trust`: pins the SSH keys that hosts show now, after a person compared the fingerprints.

use super::args::Global;
use super::confirm;
use super::error::{Exit, Failure};
use super::session::Session;
use crate::host::ssh::{HostKey, KeyState, pin, scan};
use crate::inventory::{Connection, DesiredHost, SshTarget};
use crate::report::print::tell;

/// A chain of bastions longer than this is not believed.
const HOPS: usize = 8;

/// Pins every unknown key on the way to every host.
///
/// # Errors
/// When a host cannot be reached, or shows another key than the pinned one (which is never replaced here).
pub async fn trust(global: &Global) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let mut pinned = 0;
    for host in session.desired().hosts.values() {
        pinned += trust_host(&session, host).await?;
    }
    session.finish(
        true,
        pinned,
        match pinned {
            0 => "every host key is already pinned".to_owned(),
            1 => "1 host key pinned".to_owned(),
            n => format!("{n} host keys pinned"),
        },
    );
    Ok(Exit::Done)
}

/// Pins every unknown key on the way to one host, after the operator (or `--yes`) agreed.
///
/// # Errors
/// As [`trust`].
pub async fn trust_host(session: &Session, host: &DesiredHost) -> Result<usize, Failure> {
    match &host.connection {
        Connection::Ssh(target) => pin_hops(session, host, target).await,
        Connection::Local => Ok(0),
    }
}

/// A key behind a bastion can only be seen once the bastion is trusted: scan, pin, scan again.
async fn pin_hops(session: &Session, host: &DesiredHost, target: &SshTarget) -> Result<usize, Failure> {
    let (environment, secrets) = session.ssh();
    let mut pinned = 0;
    for _ in 0..HOPS {
        let keys = scan(&host.name, target, &environment, secrets.clone()).await?;
        let mut fresh: Vec<HostKey> = Vec::new();
        for key in keys {
            match key.state {
                KeyState::Pinned => {}
                KeyState::New => {
                    tell!(
                        "{}: {}:{} shows {} {}",
                        host.name,
                        key.key.host,
                        key.key.port,
                        key.kind,
                        key.fingerprint
                    );
                    fresh.push(key.key);
                }
                KeyState::Changed(place) => {
                    return Err(Failure::new(
                        Exit::Unreachable,
                        format!("{}: {} presents a different key than the pinned one: {} {}", host.name, key.key.host, key.kind, key.fingerprint),
                    )
                    .hint(format!("if the host was reinstalled on purpose, remove {place} and run this again; otherwise the connection may be intercepted")));
                }
            }
        }
        if fresh.is_empty() {
            break;
        }
        if !session.global.yes {
            confirm::ask(
                "Do these match the hosts' own fingerprints (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there)? Pin them?",
            )?;
        }
        pinned += pin(&target.known_hosts, &fresh).map_err(|e| Failure::unexpected("cannot pin the keys", e))?;
    }
    Ok(pinned)
}
