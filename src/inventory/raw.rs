//! The inventory exactly as typed, and the JSON schema of it.
//!
//! These structs are the one list of keys: [`schema`] is derived from them, docs/inventory.md is written from the
//! schema, and `read.rs` fills them from the document.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use std::net::IpAddr;

use super::authorization::Access;
use super::clients::ClientKind;
use super::desired::{Jump, KeyType, ServiceManager, Sudo};
use super::leaf::{
    Calendar, ConnectionKind, Count, KeyText, Leaf, LocalPath, Login, Period, Plain, Port, PrincipalName, Recipient,
    Sha256Text, SshName,
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
    /// What uses the cluster: members are given the settings that these clients need, and no others. A single one or a
    /// list. `patroni`, `apisix`, `etcd3gw` and `json` (any other client that speaks JSON) turn etcd's gRPC gateway on;
    /// the others need nothing.
    #[schemars(extend("default" = []))]
    pub clients: Option<OneOrMany<ClientKind>>,
    /// A name for the Kubernetes that uses the cluster. Of several clusters with the same one (events have a cluster of their
    /// own, say), no two are changed at the same time with `--fleet`.
    pub kubernetes: Option<Field<Plain>>,
    /// etcd's users, with `etcd.auth: true`. A client is the user named by its certificate's common name (`quorate pki
    /// issue NAME --user USER`), or the one that it logs in as with a password.
    pub users: Option<Vec<RawUser>>,
    /// etcd's roles, with `etcd.auth: true`.
    pub roles: Option<Vec<RawRole>>,
    /// Which bundle of etcd releases is used.
    pub bundle: Option<RawBundle>,
    /// Scheduled backups, taken by the members. `quorate backup schedule` applies changes to the hosts.
    pub backup: Option<RawBackup>,
    /// The hosts, one member on each. 3 or 5 for production.
    #[schemars(required, length(min = 1))]
    pub hosts: Option<Vec<RawHost>>,
    /// Where `hosts` stands.
    #[schemars(skip)]
    pub hosts_at: Place,
}

/// Which bundle of etcd releases is used; any other is refused before a byte of it is.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawBundle {
    /// The one with this SHA-256, as `quorate bundle show` prints it (that of its `manifest.json`).
    pub sha256: Option<Field<Sha256Text>>,
    /// One that any of these has signed (`quorate bundle sign`), by their names in `allowed_signers` beside the CA. A
    /// single one or a list.
    pub signed_by: Option<OneOrMany<PrincipalName>>,
}

/// Scheduled backups, taken by the members.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawBackup {
    /// When, in systemd's `OnCalendar=` syntax: `hourly`, `daily`, `"*-*-* 03:00:00"`.
    #[schemars(required)]
    pub schedule: Option<Field<Calendar>>,
    /// Where they go: `s3://BUCKET/PREFIX`, `ssh://USER@HOST/DIR`, or a directory of the hosts. One that is not shared
    /// (NFS, ...) contains only what its own host took. A single one or a list.
    #[schemars(required)]
    pub to: Option<OneOrMany<BackupPlace>>,
    /// Which scheduled backups to keep; the others are deleted. Not set: all are kept.
    pub keep: Option<RawKeep>,
    /// `quorate status` warns if the newest one is older. `3h` for `hourly`, `26h` for `daily`, `8d` for `weekly`.
    #[schemars(extend("default" = "26h"))]
    pub max_age: Option<Field<Period>>,
    /// For `s3://`: a file like `~/.aws/credentials`, copied to every host for quorate only. Not set: the credentials
    /// that the hosts have.
    pub s3_credentials: Option<Field<LocalPath>>,
    /// For `s3://`: an S3 service other than Amazon's, like `https://s3.example.com`.
    pub s3_endpoint: Option<Field<Plain>>,
    /// For `s3://`: the bucket's region.
    pub s3_region: Option<Field<Plain>>,
    /// For `ssh://`: the private key, without a passphrase, copied to every host for quorate only. The host's key must
    /// be in `~/.ssh/known_hosts`. Preferably one with no other access there.
    pub identity: Option<Field<LocalPath>>,
}

/// Which backups to keep: those that match any rule.
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
    /// Any option of etcd's configuration file by its own name, checked against the version. Durations and sizes may be
    /// human-readable (`8h`, `8GiB`). What quorate sets itself (names, addresses, certificates) is refused with a hint.
    pub config: Option<RawOptions>,
    /// etcd's own authentication: `true` turns it on and keeps `users` and `roles` as listed, `false` turns it off. Not
    /// set: left as it is. Not for Kubernetes: its API server would have to be `root`.
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
    /// Where files are on the hosts.
    pub paths: Option<RawPaths>,
}

/// Where files are on a host. The defaults are for `service: etcd` under systemd; another service name replaces `etcd`
/// in `/etc/etcd` and `/var/lib/etcd`. Under `service_manager: process` everything is in
/// `~/.local/state/quorate/CLUSTER/NAME` (XDG_STATE_HOME is respected; on an SSH host in `/var/lib/quorate`).
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
    /// A separate directory for the write-ahead log, on a faster disk. Not set: in the data directory.
    pub wal: Option<Field<HostPath>>,
    /// Releases are installed next to each other in this directory.
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
    /// Whether members refuse certificates revoked with `quorate pki revoke`: `quorate up` installs the list (`crl.der`
    /// next to the CA), and they read it at every handshake. Changing this restarts them, changing the list does not.
    #[schemars(extend("default" = false))]
    pub crl: Option<Field<bool>>,
    /// Additional names and addresses in the certificates of all members, like those of a load balancer. `quorate up`
    /// brings new ones, without a restart.
    #[schemars(extend("default" = []))]
    pub sans: Option<OneOrMany<Address>>,
    /// Who can open the CA key: age or SSH public keys, or files of them (relative to the inventory). Empty: the keys
    /// that log in, and `~/.config/quorate/identity`.
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
    /// Its roles: names from `roles`, or `root`, which has full access.
    #[schemars(extend("default" = []))]
    pub roles: Option<OneOrMany<PrincipalName>>,
    /// Whether it logs in with a password, as clients that speak JSON must. quorate makes one at random, sealed in
    /// `passwords` in `pki.dir`; `quorate users password` replaces it.
    #[schemars(extend("default" = false))]
    pub password: Option<Field<bool>>,
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
    /// Every key with this prefix; `""` for all keys.
    pub prefix: Option<Field<KeyText>>,
    /// The first key of a range.
    pub from: Option<Field<KeyText>>,
    /// The first key after the range.
    pub to: Option<Field<KeyText>>,
}

/// How to log in. Values here override `~/.ssh/config`, which overrides the defaults.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RawSsh {
    /// Name or address to connect to, if it differs from the host's `address`. Only on a host.
    pub host: Option<Field<SshName>>,
    /// Login.
    #[schemars(extend("default" = "root"))]
    pub user: Option<Field<Login>>,
    /// TCP port.
    #[schemars(extend("default" = 22))]
    pub port: Option<Field<Port>>,
    /// Private key files. Not set: those of `~/.ssh/config`, the agent, then `~/.ssh/id_ed25519`, `id_ecdsa`, `id_rsa`.
    pub identity: Option<OneOrMany<LocalPath>>,
    /// The file of pinned host keys, relative to the inventory. `quorate trust` fills it. Default: `known_hosts` in
    /// `pki.dir`.
    #[schemars(extend("default" = "pki/known_hosts"))]
    pub known_hosts: Option<Field<LocalPath>>,
    /// Bastions as `[user@]host[:port]`, outermost first. `[]` on a host: none, whatever the default is.
    #[schemars(extend("default" = []))]
    pub jump: Option<OneOrMany<Jump>>,
    /// When commands use sudo; `auto`: if the login is not root.
    #[schemars(extend("default" = "auto"))]
    pub sudo: Option<Field<Sudo>>,
    /// Whether `~/.ssh/config` and `/etc/ssh/ssh_config` are read, as OpenSSH reads them.
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
    /// SSH settings that differ from the defaults.
    pub ssh: Option<RawSsh>,
    /// The addresses that etcd listens on with both ports, a single one or a list: `[10.0.0.11, 127.0.0.1]` for clients on
    /// the host itself. Default: `address` if it is an IP address, otherwise 0.0.0.0.
    pub listen: Option<OneOrMany<IpAddr>>,
    /// Additional names and addresses in the certificates of this host; those in `pki.sans` are in all.
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
    /// Where files are, on this host.
    pub paths: Option<RawPaths>,
}

/// The JSON schema (draft 2020-12) of an inventory, for editors and for `quorate schema`.
pub fn schema() -> Value {
    schemars::schema_for!(RawInventory).to_value()
}
