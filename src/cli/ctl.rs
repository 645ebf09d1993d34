//! `ctl`: the bundle's own etcdctl on this machine, its endpoints led through the SSH connections.

use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::args::{Ctl, Global};
use super::closed;
use super::error::{Exit, Failure};
use super::session::Session;
use crate::bundle::Program;
use crate::etcd::{ClientTls, Dial};
use crate::inventory::Arch;

/// Runs etcdctl with endpoints and certificates filled in.
///
/// # Errors
/// When the bundle has no etcdctl for this machine, the CA cannot be opened, a restore is unfinished, or the members are of
/// different clusters.
pub async fn ctl(global: &Global, args: &Ctl) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    // Reading, too: half-way through a restore etcdctl may be shown the old data, the new, or both.
    let vault = session.vault();
    let (tls, hosts) = tokio::join!(vault.operator(), closed::unseen_to_others(&session));
    let (tls, hosts) = (tls?, hosts?);
    closed::to_whom_answers(&session, &tls, &hosts).await?;
    // Removed with everything in it when this function ends; only this account can look inside.
    let dir = private_dir()?;
    let etcdctl = dir.path().join("etcdctl");
    let arch = Arch::from_uname(std::env::consts::ARCH)
        .ok_or_else(|| Failure::new(Exit::Bundle, "etcd has no release for this machine"))?;
    session
        .bundle()?
        .extract(session.desired().version, arch, Program::Etcdctl, &etcdctl)?;
    write_identity(dir.path(), &tls)?;
    let endpoints = tunnels(&session).await?;
    let status = tokio::process::Command::new(&etcdctl)
        .args(&args.args)
        // 3.4 and 3.5 would speak version 2 if it said so here, and later ones complain about it.
        .env_remove("ETCDCTL_API")
        .env("ETCDCTL_ENDPOINTS", endpoints.join(","))
        .env("ETCDCTL_CACERT", dir.path().join("ca.crt"))
        .env("ETCDCTL_CERT", dir.path().join("client.crt"))
        .env("ETCDCTL_KEY", dir.path().join("client.key"))
        .status()
        .await
        .map_err(|e| Failure::unexpected("cannot run etcdctl", e))?;
    Ok(if status.success() { Exit::Done } else { Exit::Unexpected })
}

/// In memory where the system has a place for that, else in the temporary directory.
fn private_dir() -> Result<tempfile::TempDir, Failure> {
    let mut builder = tempfile::Builder::new();
    builder
        .prefix("quorate-ctl-")
        .permissions(std::fs::Permissions::from_mode(0o700));
    let shm = Path::new("/dev/shm");
    // etcdctl is run from there, which `noexec` would forbid; the fallback covers that, too.
    let made = if shm.is_dir() && !noexec(shm) {
        builder.tempdir_in(shm)
    } else {
        builder.tempdir()
    };
    made.map_err(|e| Failure::unexpected("cannot create a private directory", e))
}

fn noexec(dir: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == dir.to_str()
            && fields
                .nth(1)
                .is_some_and(|options| options.split(',').any(|o| o == "noexec"))
    })
}

fn write_identity(dir: &Path, tls: &ClientTls) -> Result<(), Failure> {
    use secrecy::ExposeSecret;
    let files = [
        ("ca.crt", tls.ca_pem.as_str()),
        ("client.crt", tls.cert_pem.as_str()),
        ("client.key", tls.key_pem.expose_secret()),
    ];
    for (name, text) in files {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(dir.join(name))
            .map_err(|e| Failure::unexpected("cannot write the client certificate", e))?;
        std::io::Write::write_all(&mut file, text.as_bytes())
            .map_err(|e| Failure::unexpected("cannot write the client certificate", e))?;
    }
    Ok(())
}

/// A loopback port for each member (of `--limit`, when given) that leads through its host's connection.
async fn tunnels(session: &Session) -> Result<Vec<String>, Failure> {
    let fleet = session.fleet();
    let mut endpoints = Vec::new();
    for spec in session.within_limit() {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(|e| Failure::unexpected("cannot listen on loopback", e))?;
        let port = listener
            .local_addr()
            .map_err(|e| Failure::unexpected("cannot listen on loopback", e))?
            .port();
        endpoints.push(format!("https://127.0.0.1:{port}"));
        tokio::spawn(serve(listener, fleet.dial(spec, spec.client_port)));
    }
    Ok(endpoints)
}

async fn serve(listener: TcpListener, dial: Arc<dyn Dial>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let dial = dial.clone();
        tokio::spawn(async move {
            if let Ok(mut far) = dial.dial().await {
                // Either side may hang up at any time: that is how connections end.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
