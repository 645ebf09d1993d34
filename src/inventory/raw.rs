//! The inventory exactly as typed, and the JSON schema of it.
//!
//! These structs are the one list of keys: [`schema`] is derived from them, docs/inventory.md is written from the
//! schema, and `read.rs` fills them from the document.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use std::net::IpAddr;

use super::authorization::Access;
use super::desired::{Jump, KeyType, ServiceManager, Sudo};
use super::leaf::{
    Calendar, ConnectionKind, Count, KeyText, Leaf, LocalPath, Login, Period, Plain, Port, PrincipalName, Recipient,
    SshName,
};
use super::names::{Address, ClusterName, HostPath, NodeName, ServiceName, UserName, Version};
use super::place::BackupPlace;
use super::problem::Place;
use super::tree::Entry;

/// A checked value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Field<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Place,
}

impl<T: Leaf> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Field".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // A schema that is not an object would be a mistake in leaf.rs; the empty one allows everything.
        Schema::try_from(T::schema()).unwrap_or_default()
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct OneOrMany<T>(pub Vec<Field<T>>);

impl<T: Leaf> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [T::schema(), {"type": "array", "items": T::schema()}]})
    }
}

/// etcd's own options as typed; which exist is a matter of the version, so the schema leaves them open.
#[derive(Debug, Clone, PartialEq)]
pub struct RawOptions(pub Vec<Entry>);

impl JsonSchema for RawOptions {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Options".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

/// One etcd cluster: one file per cluster, kept in git.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(title = "quorate inventory", deny_unknown_fields)]
pub struct RawInventory {
    /// The cluster's name: 1 to 40 of a-z, 0-9 and `-`, with a letter or digit at both ends.
    #[schemars(required)]
    pub cluster: Option<Field<ClusterName>>,
    /// What every member runs, and how.
    #[schemars(required)]
    pub etcd: Option<RawEtcd>,
    /// Certificates.
    pub pki: Option<RawPki>,
    /// How hosts are reached; each host can override each key.
    pub ssh: Option<RawSsh>,
    /// etcd's users, with `etcd.auth: true`. A user is whoever shows a certificate with its name as common name
    /// (`quorate pki issue NAME --user USER`); there are no passwords.
    pub users: Option<Vec<RawUser>>,
    /// etcd's roles, with `etcd.auth: true`.
    pub roles: Option<Vec<RawRole>>,
    /// Backups that the members take by themselves. `quorate backup schedule` brings the hosts in line with it.
    pub backup: Option<RawBackup>,
    /// The hosts, one member on each. 3 or 5 for production.
    #[schemars(required, length(min = 1))]
    pub hosts: Option<Vec<RawHost>>,
    /// Where `hosts` stands.
    #[schemars(skip)]
    pub hosts_at: Place,
}

/// Backups that the members take by themselves.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawBackup {
    /// When, as systemd's `OnCalendar=` has it: `hourly`, `daily`, `"*-*-* 03:00:00"`.
    #[schemars(required)]
    pub schedule: Option<Field<Calendar>>,
    /// Where they go: `s3://BUCKET/PREFIX`, `ssh://USER@HOST/DIR`, or a directory of the hosts. One that they do not share
    /// (NFS, ...) holds only what its own host took. A single one or a list.
    #[schemars(required)]
    pub to: Option<OneOrMany<BackupPlace>>,
    /// Which of the scheduled backups stay; the others are deleted. Not set: all.
    pub keep: Option<RawKeep>,
    /// `quorate status` complains when the newest one is older. `3h` for `hourly`, `26h` for `daily`, `8d` for `weekly`.
    #[schemars(extend("default" = "26h"))]
    pub max_age: Option<Field<Period>>,
    /// For `s3://`: a file like `~/.aws/credentials`, copied to every host for quorate alone. Not set: what the hosts have.
    pub s3_credentials: Option<Field<LocalPath>>,
    /// For `s3://`: another S3 than Amazon's, like `https://s3.example.com`.
    pub s3_endpoint: Option<Field<Plain>>,
    /// For `s3://`: the bucket's region.
    pub s3_region: Option<Field<Plain>>,
    /// For `ssh://`: the private key, without a passphrase, copied to every host for quorate alone. The host's key must be
    /// in `~/.ssh/known_hosts`. Best one that can do nothing else there.
    pub identity: Option<Field<LocalPath>>,
}

/// Which backups stay: one that any rule wants.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawKeep {
    /// The newest ones, whatever their age.
    pub last: Option<Field<Count>>,
    /// The newest of each of this many hours that have one (UTC, as all of these).
    pub hourly: Option<Field<Count>>,
    /// ... of this many days.
    pub daily: Option<Field<Count>>,
    /// ... of this many weeks.
    pub weekly: Option<Field<Count>>,
    /// ... of this many months.
    pub monthly: Option<Field<Count>>,
}

/// What every member runs, and how.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawEtcd {
    /// The etcd release, like "3.6.16"; it must be in the bundle.
    #[schemars(required)]
    pub version: Option<Field<Version>>,
    /// Any option of etcd's configuration file by its own name, checked against the version. Durations and sizes
    /// may be human (`8h`, `8GiB`). What quorate sets itself (names, addresses, certificates) is refused with a hint.
    pub config: Option<RawOptions>,
    /// etcd's own authentication: `true` switches it on and keeps `users` and `roles` as they are listed, `false`
    /// switches it off. Not set: left as it is. Not for Kubernetes, whose API server would have to be `root`.
    pub auth: Option<Field<bool>>,
    /// Port for clients.
    #[schemars(extend("default" = 2379))]
    pub client_port: Option<Field<Port>>,
    /// Port for the other members.
    #[schemars(extend("default" = 2380))]
    pub peer_port: Option<Field<Port>>,
    /// A number opens plain-HTTP `/metrics` and `/health` on that port of `metrics_address`. Not set: closed.
    pub metrics_port: Option<Field<Port>>,
    /// The address of the metrics port.
    #[schemars(extend("default" = "127.0.0.1"))]
    pub metrics_address: Option<Field<IpAddr>>,
    /// The unit's name, without `.service`. With other ports, two clusters can share hosts.
    #[schemars(extend("default" = "etcd"))]
    pub service: Option<Field<ServiceName>>,
    /// The account etcd runs as. A local member under `service_manager: process` runs as you.
    #[schemars(extend("default" = "etcd"))]
    pub user: Option<Field<UserName>>,
    /// Where things are on the hosts.
    pub paths: Option<RawPaths>,
}

/// Where things are on a host. The defaults hold for `service: etcd` under systemd; another service name takes the
/// place of `etcd` in `/etc/etcd` and `/var/lib/etcd`. Under `service_manager: process` everything is below
/// `~/.local/state/quorate/CLUSTER/NAME` (XDG_STATE_HOME is honoured; on an SSH host below `/var/lib/quorate`).
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawPaths {
    /// The rendered etcd configuration file.
    #[schemars(extend("default" = "/etc/etcd/etcd-config.yml"))]
    pub config: Option<Field<HostPath>>,
    /// The directory of the certificates and keys.
    #[schemars(extend("default" = "/etc/etcd/pki"))]
    pub pki: Option<Field<HostPath>>,
    /// etcd's data directory.
    #[schemars(extend("default" = "/var/lib/etcd"))]
    pub data: Option<Field<HostPath>>,
    /// A directory of its own for the write-ahead log, on a faster disk. Not set: in the data directory.
    pub wal: Option<Field<HostPath>>,
    /// Releases live side by side below this.
    #[schemars(extend("default" = "/opt/quorate/etcd"))]
    pub bin: Option<Field<HostPath>>,
}

/// Certificates and the CA.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawPki {
    /// Directory of `ca.crt`, `ca.key.age` and `known_hosts` on the operator's machine, relative to the inventory.
    /// Safe to commit.
    #[schemars(extend("default" = "pki"))]
    pub dir: Option<Field<LocalPath>>,
    /// Algorithm of new keys.
    #[schemars(extend("default" = "ecdsa-p256"))]
    pub key_type: Option<Field<KeyType>>,
    /// Lifetime of a new CA.
    #[schemars(extend("default" = "10y"))]
    pub ca_validity: Option<Field<Period>>,
    /// Lifetime of a new server or peer certificate.
    #[schemars(extend("default" = "1y"))]
    pub leaf_validity: Option<Field<Period>>,
    /// A certificate with less than this left is renewed by `quorate up`.
    #[schemars(extend("default" = "30d"))]
    pub renew_before: Option<Field<Period>>,
    /// Whether members refuse what `quorate pki revoke` took back: `quorate up` brings them the list (`crl.der`
    /// beside the CA), and they read it at every handshake. Changing this restarts them, changing the list does not.
    #[schemars(extend("default" = false))]
    pub crl: Option<Field<bool>>,
    /// Who can open the CA key: age or SSH public keys, or files of them (relative to the inventory). Empty: the SSH
    /// identities.
    #[schemars(extend("default" = []))]
    pub recipients: Option<OneOrMany<Recipient>>,
}

/// One of etcd's users.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawUser {
    /// Where the entry starts.
    #[schemars(skip)]
    pub at: Place,
    /// The common name of its certificate. `root` is quorate's own.
    #[schemars(required)]
    pub name: Option<Field<PrincipalName>>,
    /// What it is: names out of `roles`, or `root`, which may do everything.
    #[schemars(extend("default" = []))]
    pub roles: Option<OneOrMany<PrincipalName>>,
}

/// One of etcd's roles.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawRole {
    /// Where the entry starts.
    #[schemars(skip)]
    pub at: Place,
    /// Its name.
    #[schemars(required)]
    pub name: Option<Field<PrincipalName>>,
    /// What it may do.
    #[schemars(extend("default" = []))]
    pub permissions: Option<Vec<RawPermission>>,
}

/// What a role may do with some keys: those of one of `key`, `prefix`, or `from` and `to`.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawPermission {
    /// Where the entry starts.
    #[schemars(skip)]
    pub at: Place,
    /// What it allows.
    #[schemars(required)]
    pub access: Option<Field<Access>>,
    /// One key.
    pub key: Option<Field<KeyText>>,
    /// Every key that begins like this; `""` for all keys.
    pub prefix: Option<Field<KeyText>>,
    /// The first key of a range.
    pub from: Option<Field<KeyText>>,
    /// The first key that is not in the range any more.
    pub to: Option<Field<KeyText>>,
}

/// How to log in. What is typed here wins over `~/.ssh/config`, which wins over the defaults.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawSsh {
    /// Name or address to connect to, where it differs from the host's `address`. Only below a host.
    pub host: Option<Field<SshName>>,
    /// Login.
    #[schemars(extend("default" = "root"))]
    pub user: Option<Field<Login>>,
    /// TCP port.
    #[schemars(extend("default" = 22))]
    pub port: Option<Field<Port>>,
    /// Private key files. Not set: the agent, then `~/.ssh/id_ed25519`, `id_ecdsa`, `id_rsa`.
    pub identity: Option<OneOrMany<LocalPath>>,
    /// The file of pinned host keys, relative to the inventory. `quorate trust` fills it. Default: `known_hosts` in
    /// `pki.dir`.
    #[schemars(extend("default" = "pki/known_hosts"))]
    pub known_hosts: Option<Field<LocalPath>>,
    /// Bastions as `[user@]host[:port]`, outermost first. `[]` on a host: none, whatever the default is.
    #[schemars(extend("default" = []))]
    pub jump: Option<OneOrMany<Jump>>,
    /// When commands go through sudo; `auto`: when the login is not root.
    #[schemars(extend("default" = "auto"))]
    pub sudo: Option<Field<Sudo>>,
    /// Whether `~/.ssh/config` is read.
    #[schemars(extend("default" = true))]
    pub config: Option<Field<bool>>,
}

/// One host and the member on it. The keys below `sans` override `etcd` for this host.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawHost {
    /// Where the host's entry starts.
    #[schemars(skip)]
    pub at: Place,
    /// The host's and the member's name; also a SAN. A DNS name in lower case.
    #[schemars(required)]
    pub name: Option<Field<NodeName>>,
    /// What peers and clients dial: an IPv4 or IPv6 address or a DNS name.
    #[schemars(required)]
    pub address: Option<Field<Address>>,
    /// `ssh`, or `local` for a member on this machine without SSH.
    #[schemars(extend("default" = "ssh"))]
    pub connection: Option<Field<ConnectionKind>>,
    /// What keeps the member running: a systemd unit, or `process`, a small supervisor that needs no root.
    /// Default: `systemd` over SSH, `process` for a local member.
    pub service_manager: Option<Field<ServiceManager>>,
    /// Where SSH differs from the defaults.
    pub ssh: Option<RawSsh>,
    /// The address etcd listens on. Default: `address` where that is an IP, else 0.0.0.0.
    pub listen: Option<Field<IpAddr>>,
    /// Further names and addresses in the certificates.
    #[schemars(extend("default" = []))]
    pub sans: Option<OneOrMany<Address>>,
    /// Port for clients, on this host.
    pub client_port: Option<Field<Port>>,
    /// Port for the other members, on this host.
    pub peer_port: Option<Field<Port>>,
    /// Plain-HTTP metrics port, on this host.
    pub metrics_port: Option<Field<Port>>,
    /// Address of the metrics port, on this host.
    pub metrics_address: Option<Field<IpAddr>>,
    /// The unit's name, on this host.
    pub service: Option<Field<ServiceName>>,
    /// The account etcd runs as, on this host.
    pub user: Option<Field<UserName>>,
    /// Where things are, on this host.
    pub paths: Option<RawPaths>,
}

/// The JSON schema (draft 2020-12) of an inventory, for editors and for `quorate schema`.
pub fn schema() -> Value {
    schemars::schema_for!(RawInventory).to_value()
}
