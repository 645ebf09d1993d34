//! `ctl`: the bundle's own etcdctl on this machine, its endpoints led through the SSH connections; where it cannot run here, a
//! host's (`ctl_afar.rs`).

use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::afar::{self, Place};
use super::args::{Ctl, Global};
use super::closed;
use super::ctl_afar::on_host;
use super::error::{Exit, Failure};
use super::gate::Way;
use super::interrupt::Endings;
use super::scratch::Scratch;
use super::session::Session;
use crate::bundle::Program;
use crate::etcd::ClientTls;
use crate::inventory::{Arch, Version};

/// What ends us has mostly been told to etcdctl, too; it gives back a lock before it goes.
const GRACE: Duration = Duration::from_secs(3);

/// From this release on etcdctl can be led through a socket.
const TAKES_SOCKETS: Version = Version::new(3, 5, 0);

/// Runs etcdctl with endpoints filled in. The TLS is ours, so it needs no certificate, and nothing secret outlives it.
///
/// # Errors
/// When the bundle has no etcdctl for this machine, the CA cannot be opened, a restore is unfinished, or the members are of
/// different clusters.
pub async fn ctl(global: &Global, args: &Ctl) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    // It would exit on them, beside those that it is given (`verifyEnv`, pkg/flags/flag.go).
    if args
        .args
        .iter()
        .any(|arg| arg == "--endpoints" || arg.starts_with("--endpoints="))
    {
        return Err(Failure::new(
            Exit::Usage,
            "etcdctl gets its endpoints from quorate: every member of the inventory",
        )
        .hint("omit --endpoints; `quorate ctl --limit NAME -- ...` asks the member of one host"));
    }
    // To etcdctl there is no looking alone.
    session.may_change().await?;
    // Reading, too: half-way through a restore etcdctl may be shown the old data, the new, or both.
    let vault = session.vault();
    let (tls, hosts) = tokio::join!(vault.operator(), closed::unseen_to_others(&session));
    let (tls, hosts) = (tls?, hosts?);
    closed::to_whom_answers(&session, &tls, &hosts).await?;
    match afar::place(&session, args.on.as_ref())? {
        Place::Here(arch) => here(&session, &tls, arch, &args.args).await,
        Place::Host { name, why } => on_host(&session, &tls, name, &why, &args.args).await,
    }
}

async fn here(session: &Session, tls: &ClientTls, arch: Arch, typed: &[String]) -> Result<Exit, Failure> {
    let scratch = Scratch::in_memory()?;
    let etcdctl = scratch.path().join("etcdctl");
    session
        .bundle()?
        .extract(session.desired().version, arch, Program::Etcdctl, &etcdctl)?;
    let endpoints = gates(session, &scratch, tls).await?;
    let mut endings = Endings::listen()?;
    let mut command = Command::new(&etcdctl);
    command.args(told(typed)).kill_on_drop(true);
    // What the operator's shell says of certificates is about other endpoints. 3.4 and 3.5 would speak version 2 if API
    // said so, and later ones complain about it.
    for name in ["API", "CACERT", "CERT", "KEY", "INSECURE_TRANSPORT"] {
        command.env_remove(format!("ETCDCTL_{name}"));
    }
    let child = command
        .env("ETCDCTL_ENDPOINTS", endpoints.join(","))
        .spawn()
        .map_err(|e| Failure::unexpected("cannot run etcdctl", e))?;
    attend(child, &mut endings).await
}

/// What etcdctl is told. Every member is an endpoint already: with `endpoint ... --cluster` it would go to the addresses that
/// etcd publishes, which lead around the SSH connections.
fn told(typed: &[String]) -> impl Iterator<Item = &String> {
    let endpoints = typed.first().is_some_and(|command| command == "endpoint");
    typed.iter().filter(move |arg| !endpoints || *arg != "--cluster")
}

/// A gate for each member (of `--limit`, when given) that leads through its host's connection.
async fn gates(session: &Session, scratch: &Scratch, tls: &ClientTls) -> Result<Vec<String>, Failure> {
    let fleet = session.fleet();
    let mut endpoints = Vec::new();
    for (number, spec) in session.within_limit().enumerate() {
        let way = Way {
            name: spec.name.to_string(),
            dial: fleet.dial(spec, spec.client_port),
            endpoint: fleet.endpoint(spec, spec.client_port),
            tls: tls.clone(),
            told: Default::default(),
        };
        endpoints.push(match session.desired().version >= TAKES_SOCKETS {
            true => way.behind_socket(scratch.path(), number)?,
            false => way.behind_port().await?,
        });
    }
    Ok(endpoints)
}

/// Until etcdctl ends; what ends us ends it, too, and then what we have left goes.
async fn attend(mut child: Child, endings: &mut Endings) -> Result<Exit, Failure> {
    tokio::select! {
        status = child.wait() => {
            let status = status.map_err(|e| Failure::unexpected("cannot wait for etcdctl", e))?;
            Ok(if status.success() { Exit::Done } else { Exit::Unexpected })
        }
        () = endings.next() => {
            if timeout(GRACE, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
            Ok(Exit::Interrupted)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_all_members_already() {
        let of = |line: &str| {
            let typed: Vec<String> = line.split(' ').map(str::to_owned).collect();
            told(&typed).cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("endpoint status --cluster -w table"), "endpoint status -w table");
        assert_eq!(of("put key --cluster"), "put key --cluster");
    }
}
