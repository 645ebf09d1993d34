//! The private member that a drill starts on the restored data.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::process::{Child, Command};

use super::{DrillError, Programs, in_scratch, last_lines, peer_url};
use crate::etcd::{ClientTls, Endpoint, EtcdClient, TcpDial};
use crate::inventory::{ClusterName, KeyType};
use crate::pki::Throwaway;

/// A large database takes a while to be read for the first time.
const START_LIMIT: Duration = Duration::from_secs(120);
const STATUS_LIMIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);

/// A single private member: loopback only, and nobody gets in without a certificate that exists in this process alone.
pub(super) struct Member {
    child: Child,
    client_port: u16,
    tls: ClientTls,
    log: PathBuf,
}

impl Member {
    pub(super) fn start(
        programs: &Programs,
        scratch: &Path,
        (client_port, peer_port): (u16, u16),
    ) -> Result<Self, DrillError> {
        let in_scratch = |source| DrillError::Scratch {
            path: scratch.to_owned(),
            source,
        };
        let tls = certificates(scratch)?;
        let log = scratch.join("etcd.log");
        let output = File::create(&log).map_err(in_scratch)?;
        let client_url = format!("https://127.0.0.1:{client_port}");
        let file = |name: &str| scratch.join(name);
        let mut command = Command::new(&programs.etcd);
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .kill_on_drop(true);
        command
            .args([
                "--name",
                "drill",
                "--logger",
                "zap",
                "--log-level",
                "warn",
                "--data-dir",
            ])
            .arg(file("data"));
        command.args([
            "--listen-client-urls",
            &client_url,
            "--advertise-client-urls",
            &client_url,
        ]);
        command.args(["--listen-peer-urls", &peer_url(peer_port)]);
        command.args(["--initial-advertise-peer-urls", &peer_url(peer_port)]);
        command.args(["--initial-cluster", &format!("drill={}", peer_url(peer_port))]);
        for side in ["", "peer-"] {
            command.arg(format!("--{side}client-cert-auth"));
            command.arg(format!("--{side}trusted-ca-file")).arg(file("ca.crt"));
            command.arg(format!("--{side}cert-file")).arg(file("server.crt"));
            command.arg(format!("--{side}key-file")).arg(file("server.key"));
        }
        let child = command.spawn().map_err(|source| DrillError::Run {
            path: programs.etcd.clone(),
            source,
        })?;
        Ok(Self {
            child,
            client_port,
            tls,
            log,
        })
    }

    /// A client, once the member answers reads.
    pub(super) async fn client(&mut self) -> Result<EtcdClient, DrillError> {
        let dial = Arc::new(TcpDial::new("127.0.0.1", self.client_port));
        let endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port: self.client_port,
        };
        let client = EtcdClient::connect(dial, endpoint, &self.tls)?;
        let began = Instant::now();
        loop {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_none() && client.status(STATUS_LIMIT).await.is_ok() && client.linearizable_ping().await.is_ok()
            {
                return Ok(client);
            }
            if ended.is_some() || began.elapsed() > START_LIMIT {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(DrillError::Start { said: last_lines(&log) });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) async fn end(mut self) {
        // Nothing of it is kept, so there is nothing to end gently; failing means that it has ended by itself.
        let _ = self.child.kill().await;
    }
}

/// The member's files and the client's identity.
fn certificates(scratch: &Path) -> Result<ClientTls, DrillError> {
    let name = "drill"
        .parse::<ClusterName>()
        .map_err(|e| in_scratch(scratch, io::Error::other(e)))?;
    let made = Throwaway::make(&name, KeyType::EcdsaP256, Timestamp::now())?;
    let files = [
        ("ca.crt", made.ca_pem.as_str()),
        ("server.crt", made.server.cert_pem.as_str()),
        ("server.key", made.server.key.expose_pem()),
    ];
    for (name, text) in files {
        let path = scratch.join(name);
        fs::write(&path, "").map_err(|e| in_scratch(scratch, e))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(|e| in_scratch(scratch, e))?;
        fs::write(&path, text).map_err(|e| in_scratch(scratch, e))?;
    }
    Ok(ClientTls {
        ca_pem: made.ca_pem,
        // `root`: the snapshot may have etcd's authentication switched on.
        cert_pem: made.client.cert_pem.clone(),
        key_pem: made.client.key.expose_pem().to_owned().into(),
    })
}
