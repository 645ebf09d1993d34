//! What the inventory means, fully resolved: no `Option` here stands for "the default".

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::authorization::AuthPolicy;
use super::clients::ClientKind;
use super::names::{Address, ClusterName, HostPath, NodeName, PeerUrl, ServiceName, UserName, Version};
use super::place::BackupPlace;

/// One cluster as its inventory wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The cluster's name.
    pub cluster: ClusterName,
    /// The etcd release that every member should run.
    pub version: Version,
    /// `etcd.config` as typed, checked against `version`; durations already in the form etcd reads.
    pub options: BTreeMap<String, serde_json::Value>,
    /// Certificates.
    pub pki: PkiPolicy,
    /// What uses the cluster.
    #[serde(default)]
    pub clients: BTreeSet<ClientKind>,
    /// The Kubernetes that uses it, by a name that the operators chose. It changes nothing about this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
    /// etcd's own authentication.
    #[serde(default)]
    pub auth: AuthPolicy,
    /// Which bundle is used, where that matters.
    #[serde(default)]
    pub bundle: BundlePolicy,
    /// Backups that the members take by themselves, where that is wanted.
    #[serde(default)]
    pub backup: Option<BackupPolicy>,
    /// Every host, by name.
    pub hosts: BTreeMap<NodeName, DesiredHost>,
    /// Host names in the order of the file, for display.
    pub order: Vec<NodeName>,
}

impl Desired {
    /// Whether etcd's gRPC gateway is on, which translates JSON.
    pub fn gateway_is_on(&self) -> bool {
        let typed = self
            .options
            .get("enable-grpc-gateway")
            .and_then(serde_json::Value::as_bool);
        typed.unwrap_or(self.serves_json())
    }

    /// Whether a client speaks JSON to etcd.
    pub fn serves_json(&self) -> bool {
        self.clients.iter().any(|client| client.speaks_json())
    }

    /// The same without what is the operator's own: paths of this machine, and keys to log in with. Two checkouts of one
    /// inventory have the same, wherever they are.
    #[must_use]
    pub fn wherever_it_is(&self) -> Self {
        let mut cluster = self.clone();
        cluster.kubernetes = None;
        cluster.pki.dir = PathBuf::new();
        cluster.pki.identities.clear();
        cluster.pki.recipients.retain(|recipient| !recipient.starts_with('/'));
        if let Some(backup) = &mut cluster.backup {
            for path in [&mut backup.s3_credentials, &mut backup.identity] {
                *path = path.as_deref().and_then(Path::file_name).map(PathBuf::from);
            }
        }
        for host in cluster.hosts.values_mut() {
            if let Connection::Ssh(target) = &mut host.connection {
                target.identity.clear();
                target.known_hosts = PathBuf::new();
            }
        }
        cluster
    }
}

/// Which bundle is used: any, where nothing is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundlePolicy {
    /// The one with this SHA-256 (hex) of its manifest.
    pub sha256: Option<String>,
    /// One that any of these signed.
    pub signed_by: Vec<String>,
}

/// What certificates the cluster should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PkiPolicy {
    /// Where `ca.crt`, `ca.key.age` and `known_hosts` live on the operator's machine (absolute).
    pub dir: PathBuf,
    /// Algorithm of every new key.
    pub key_type: KeyType,
    /// Lifetime of a new CA.
    pub ca_validity: Duration,
    /// Lifetime of a new leaf.
    pub leaf_validity: Duration,
    /// A leaf with less than this left is renewed by `up`.
    pub renew_before: Duration,
    /// Whether members refuse revoked certificates by a list that quorate brings to them.
    #[serde(default)]
    pub crl: bool,
    /// Who can open the CA key: age or SSH public keys as typed, or absolute paths of files of them.
    /// Empty: the public halves of the SSH identities.
    pub recipients: Vec<String>,
    /// The key files of `ssh.identity` (absolute): they may open the CA key even where no host is reached over SSH.
    pub identities: Vec<PathBuf>,
}

/// Scheduled backups, taken by the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPolicy {
    /// When, in systemd's `OnCalendar=` syntax: `hourly`, `daily`, `*-*-* 03:00:00`.
    pub schedule: String,
    /// Where they go; never empty.
    pub to: Vec<BackupPlace>,
    /// Which of them stay; `None`: all.
    pub keep: Option<KeepPolicy>,
    /// `status` complains when the newest one is older.
    pub max_age: Duration,
    /// A file like `~/.aws/credentials` that hosts get for `s3://` (absolute); `None`: they have credentials of their
    /// own.
    pub s3_credentials: Option<PathBuf>,
    /// Another S3 than Amazon's: `https://s3.example.com`.
    pub s3_endpoint: Option<String>,
    /// The region of the bucket.
    pub s3_region: Option<String>,
    /// An SSH key file that hosts get for `ssh://` (absolute).
    pub identity: Option<PathBuf>,
}

/// How many backups to keep of each kind. A backup stays when any rule wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeepPolicy {
    /// The newest ones, whatever their age.
    pub last: usize,
    /// The newest of each of this many hours that have one (UTC, as all of these).
    pub hourly: usize,
    /// ... of this many days.
    pub daily: usize,
    /// ... of this many ISO weeks.
    pub weekly: usize,
    /// ... of this many months.
    pub monthly: usize,
}

impl KeepPolicy {
    /// True when no rule would keep anything.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Key algorithms that etcd's TLS accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum KeyType {
    EcdsaP256,
    Ed25519,
    #[serde(rename = "rsa-3072")]
    Rsa3072,
}

/// One host and the member on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredHost {
    /// The host's and the member's name.
    pub name: NodeName,
    /// What peers and clients dial.
    pub address: Address,
    /// The addresses etcd listens on, as typed and never none: `address` where that is an IP, else all interfaces, unless
    /// the inventory says.
    pub listen: Vec<IpAddr>,
    /// Further SANs: those of all members, then this one's.
    pub sans: Vec<Address>,
    /// Client port.
    pub client_port: u16,
    /// Peer port.
    pub peer_port: u16,
    /// Plain-HTTP metrics and health, when wanted.
    pub metrics: Option<MetricsListen>,
    /// The unit's name.
    pub service: ServiceName,
    /// The account etcd runs as. With `Connection::Local` and the process manager: the operator's own.
    pub user: UserName,
    /// Where things are on the host.
    pub paths: Paths,
    /// How the host is reached.
    pub connection: Connection,
    /// How the member is supervised.
    pub service_manager: ServiceManager,
}

impl DesiredHost {
    /// `https://ADDRESS:PEER_PORT`, the text that goes into etcd's ids.
    pub fn peer_url(&self) -> PeerUrl {
        PeerUrl::new(&self.address, self.peer_port)
    }

    /// `https://ADDRESS:CLIENT_PORT`.
    pub fn client_url(&self) -> String {
        format!("https://{}:{}", self.address.in_url(), self.client_port)
    }
}

/// A plain-HTTP listener for `/metrics` and `/health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsListen {
    /// `metrics_address`; 127.0.0.1 unless the inventory says.
    pub address: IpAddr,
    /// `metrics_port`.
    pub port: u16,
}

/// Where things are on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// The rendered etcd configuration file.
    pub config: HostPath,
    /// The directory of `ca.crt`, `server.{crt,key}`, `peer.{crt,key}`.
    pub pki: HostPath,
    /// etcd's data directory.
    pub data: HostPath,
    /// A directory of its own for the WAL, when wanted; may be a mount point. The WAL is in `wal` below it, see
    /// [`Paths::wal_files`].
    pub wal: Option<HostPath>,
    /// Releases are installed next to each other in this directory.
    pub bin: HostPath,
    /// Run-time directory of the member (`started`: what it runs with). systemd: `/run/quorate-SERVICE`.
    pub run: HostPath,
    /// The lock that one run holds on the host. systemd: `/run/quorate/SERVICE.lock`.
    pub lock: HostPath,
}

/// The file quorate leaves in a data directory to say whose it is.
pub const MARKER: &str = ".quorate-cluster";

impl Paths {
    /// The note that a restore is under way: beside the config, which outlives reboots and is not moved with the data.
    pub fn restore_note(&self) -> HostPath {
        self.config.with_suffix(".restoring")
    }

    /// The note that the member is down on purpose, in the same place.
    pub fn rest_note(&self) -> HostPath {
        self.config.with_suffix(".resting")
    }

    /// The note that the member had its turn in a restart of several, in the same place.
    pub fn turn_note(&self) -> HostPath {
        self.config.with_suffix(".turn")
    }

    /// `BIN/VERSION`, the directory of one release.
    pub fn release(&self, version: Version) -> HostPath {
        self.bin.join(&version.to_string())
    }

    /// Where the WAL files are. etcd makes this directory itself, by renaming `wal.tmp` beside it: so it must be
    /// neither a mount point nor in a directory that etcd cannot write to, and `self.wal` itself will not do.
    pub fn wal_files(&self) -> HostPath {
        self.wal.clone().unwrap_or_else(|| self.data.join("member")).join("wal")
    }

    /// Where what was in the data directory is moved aside to, where that can be beside it.
    pub fn data_aside(&self) -> HostPath {
        self.data.with_suffix(".quorate-aside")
    }

    /// The same of the directory for the WAL.
    pub fn wal_aside(&self) -> Option<HostPath> {
        self.wal.as_ref().map(|wal| wal.with_suffix(".quorate-aside"))
    }

    /// Where a command works with a copy of the data or with what becomes of them: below them, as their account.
    pub fn work(&self) -> HostPath {
        self.data.join(".quorate-work")
    }

    /// The directory of root's for a program that only a restore needs.
    pub fn restore_tool(&self, service: &ServiceName) -> HostPath {
        self.bin.join(&format!(".restore-{service}"))
    }

    /// Where quorate notes whose data this is.
    pub fn marker(&self) -> HostPath {
        self.data.join(MARKER)
    }
}

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// This machine, without SSH.
    Local,
    /// Over SSH.
    Ssh(SshTarget),
}

/// How to log in to a host. Values typed in the inventory win over `~/.ssh/config`, which wins over the defaults;
/// `None` means "not typed: ask ~/.ssh/config, else the default".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshTarget {
    /// Name or address to connect to (and to look up in known_hosts).
    pub host: String,
    /// TCP port; default 22.
    pub port: Option<u16>,
    /// Login; default root.
    pub user: Option<String>,
    /// Private key files, `~` expanded; empty: the agent, then ~/.ssh/id_ed25519, id_ecdsa, id_rsa.
    pub identity: Vec<PathBuf>,
    /// Pinned host keys (absolute).
    pub known_hosts: PathBuf,
    /// Bastions, outermost first.
    pub jump: Vec<Jump>,
    /// When to become root.
    pub sudo: Sudo,
    /// Whether ~/.ssh/config is read.
    pub use_config: bool,
}

/// One bastion: `[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Jump {
    pub host: String,
    pub port: Option<u16>,
    pub user: Option<String>,
}

/// When commands on the host go through sudo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sudo {
    /// When the login is not root.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What keeps a member running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceManager {
    /// A systemd unit.
    Systemd,
    /// A small supervising shell loop of quorate's own; no root needed.
    Process,
}
