//! Real clusters on loopback, one per test; their processes end with the value.

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use quorate::etcd::{ClientTls, Endpoint, EtcdClient, EtcdError, EtcdHttp, MemberStatus, TcpDial};
use quorate::inventory::PeerUrl;
use tempfile::TempDir;

use crate::certs::{Ca, Client};

pub const V34: &str = "3.4.23";
pub const V35: &str = "3.5.30";
pub const V36: &str = "3.6.16";
pub const V37: &str = "3.7.3";
pub const TOKEN: &str = "quorate-tests";
/// For calls that are answered from memory.
pub const SOON: Duration = Duration::from_secs(5);
/// How long the tests wait for a condition before they give up.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Every release that is there, oldest first. Those of 3.6 and later cannot be built on every machine: `lab/fetch-etcd` leaves
/// a note then, and `lab/test` says so.
pub fn versions() -> Vec<&'static str> {
    let lacks = |version: &str| etcd_dir().join(format!(".lacks-{version}")).exists();
    [V34, V35, V36, V37]
        .into_iter()
        .filter(|version| !lacks(version))
        .collect()
}

/// The one for what is not about a particular release.
pub fn current() -> &'static str {
    let versions = versions();
    if versions.contains(&V36) { V36 } else { V35 }
}

pub fn binary(version: &str) -> PathBuf {
    let path = etcd_dir().join(version).join("etcd");
    assert!(path.is_file(), "QUORATE_ETCD_DIR has no {}", path.display());
    path
}

fn etcd_dir() -> PathBuf {
    let dir = std::env::var_os("QUORATE_ETCD_DIR");
    dir.expect("set QUORATE_ETCD_DIR to what `lab/fetch-etcd` prints")
        .into()
}

pub struct Cluster {
    pub ca: Ca,
    pub tls: ClientTls,
    version: &'static str,
    network: [u8; 3],
    dir: TempDir,
    options: Vec<String>,
    client_auth: bool,
    /// What members talk to clients, and to each other.
    schemes: (&'static [&'static str], &'static str),
    running: Vec<Option<Child>>,
}

impl Cluster {
    /// Three members, started together and healthy.
    pub async fn of_three(version: &'static str) -> Cluster {
        let mut cluster = Cluster::prepared(version, &[]);
        for member in 1..=3 {
            cluster.start(member, "new", &[1, 2, 3]);
        }
        cluster.healthy(&[1, 2, 3]).await;
        cluster
    }

    /// Nothing runs yet.
    pub fn prepared(version: &'static str, options: &[&str]) -> Cluster {
        let ca = Ca::new();
        let tls = ca.client(&Client::default());
        Cluster {
            ca,
            tls,
            version,
            network: own_network(),
            dir: TempDir::new().unwrap(),
            client_auth: true,
            schemes: (&["https"], "https"),
            options: options.iter().map(ToString::to_string).collect(),
            running: (0..8).map(|_| None).collect(),
        }
    }

    /// Another option for every member started from now on.
    pub fn add_option(&mut self, name: &str, value: &Path) {
        self.options.extend([name.to_owned(), value.display().to_string()]);
    }

    /// No client certificates asked for, as when `client-cert-auth` and the CA are forgotten.
    pub fn let_anybody_in(&mut self) {
        self.client_auth = false;
    }

    /// Members that are started from now on talk these to clients, and that to each other.
    pub fn speak(&mut self, to_clients: &'static [&'static str], to_peers: &'static str) {
        self.schemes = (to_clients, to_peers);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn address(&self, member: u8) -> IpAddr {
        let [a, b, c] = self.network;
        IpAddr::from([a, b, c, member])
    }

    pub fn peer_url(&self, member: u8) -> PeerUrl {
        PeerUrl(format!("{}://{}:2380", self.schemes.1, self.address(member)))
    }

    /// Starts a member that knows of `all`.
    pub fn start(&mut self, member: u8, state: &str, all: &[u8]) {
        let leaf = self.ca.member(self.address(member));
        let name = format!("m{member}");
        let [cert, key, ca, log] = ["crt", "key", "ca", "log"].map(|kind| self.path(&format!("{name}.{kind}")));
        std::fs::write(&cert, leaf.cert).unwrap();
        std::fs::write(&key, leaf.key).unwrap();
        std::fs::write(&ca, &self.ca.pem).unwrap();
        let initial: Vec<String> = all.iter().map(|n| format!("m{n}={}", self.peer_url(*n).0)).collect();
        let to_clients = self.schemes.0.iter();
        let client_urls = to_clients.map(|scheme| format!("{scheme}://{}:2379", self.address(member)));
        let client_urls = client_urls.collect::<Vec<_>>().join(",");
        let mut command = Command::new(binary(self.version));
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(log).unwrap())
            .args(["--name", &name, "--logger", "zap", "--initial-cluster-token", TOKEN])
            .arg("--data-dir")
            .arg(self.path(&name))
            .args(["--listen-peer-urls", &self.peer_url(member).0])
            .args(["--initial-advertise-peer-urls", &self.peer_url(member).0])
            .args(["--listen-client-urls", &client_urls])
            .args(["--advertise-client-urls", &client_urls])
            .args([
                "--initial-cluster",
                &initial.join(","),
                "--initial-cluster-state",
                state,
            ])
            .arg("--peer-client-cert-auth")
            .arg("--cert-file")
            .arg(&cert)
            .arg("--key-file")
            .arg(&key)
            .arg("--peer-cert-file")
            .arg(&cert)
            .arg("--peer-key-file")
            .arg(&key)
            .arg("--peer-trusted-ca-file")
            .arg(&ca)
            .args(&self.options);
        if self.client_auth {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(&ca);
        }
        self.running[usize::from(member)] = Some(command.spawn().unwrap());
    }

    /// SIGKILL.
    pub fn kill(&mut self, member: u8) {
        if let Some(mut child) = self.running[usize::from(member)].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn endpoint(&self, member: u8, port: u16) -> Endpoint {
        Endpoint {
            host: self.address(member).to_string(),
            port,
        }
    }

    pub fn dial(&self, member: u8, port: u16) -> Arc<TcpDial> {
        Arc::new(TcpDial::new(self.address(member).to_string(), port))
    }

    pub fn client(&self, member: u8) -> EtcdClient {
        self.client_as(member, &self.tls)
    }

    pub fn client_as(&self, member: u8, tls: &ClientTls) -> EtcdClient {
        EtcdClient::connect(self.dial(member, 2379), self.endpoint(member, 2379), tls).unwrap()
    }

    pub fn http(&self, member: u8, port: u16) -> EtcdHttp {
        EtcdHttp::new(self.dial(member, port), self.endpoint(member, port), &self.tls).unwrap()
    }

    /// Waits until each of `members` takes part in a quorum.
    pub async fn healthy(&self, members: &[u8]) {
        for member in members {
            let client = self.client(*member);
            until("a healthy member", async || client.linearizable_ping().await.map(drop)).await;
        }
    }

    /// The member that leads, and its status.
    pub async fn leader(&self, members: &[u8]) -> (u8, MemberStatus) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for member in members {
                if let Ok(status) = self.client(*member).status(SOON).await
                    && status.leader == status.header.member_id
                {
                    return (*member, status);
                }
            }
            assert!(Instant::now() < deadline, "no leader");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the members had to say is the first thing one wants to see.
            for member in 1..=4 {
                let log = std::fs::read_to_string(self.path(&format!("m{member}.log"))).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(8).collect();
                eprintln!(
                    "m{member}: {}",
                    tail.into_iter().rev().collect::<Vec<_>>().join("\n    ")
                );
            }
        }
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Tries again until it works; for conditions that etcd reaches by itself.
pub async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T, EtcdError>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < deadline, "no {what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A loopback network that no other test of this or another process uses at the moment.
fn own_network() -> [u8; 3] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = (number % (200 * 250)).to_be_bytes();
    let number = u16::from_be_bytes([high, low]);
    [127, 20 + (number / 250) as u8, (number % 250) as u8]
}
