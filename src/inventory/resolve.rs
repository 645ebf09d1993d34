//! From what was typed to what it means: defaults, overrides, and where everything is.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::checks;
use super::desired::{
    BundlePolicy, Connection, Desired, DesiredHost, KeyType, MetricsListen, PkiPolicy, ServiceManager, SshTarget, Sudo,
};
use super::leaf::{ConnectionKind, LocalPath, Period, Recipient};
use super::names::{Address, NodeName, ServiceName, UserName, Version};
use super::options::{self, Half};
use super::parse::Environment;
use super::paths;
use super::problem::{Place, Problem, Severity};
use super::raw::{Field, OneOrMany, RawBundle, RawEtcd, RawHost, RawInventory, RawOptions, RawPki, RawSsh};
use super::{resolve_auth, resolve_backup, resolve_clients};

const DAY: Duration = Duration::from_secs(86_400);

/// A resolved host and the places that problems with it are shown at.
pub struct Sited {
    /// The host.
    pub host: DesiredHost,
    /// Its name, or the start of its entry.
    pub name_at: Place,
    /// Its address.
    pub address_at: Place,
    /// Client, peer and metrics port, where typed for this host or for all.
    pub ports_at: [Option<Place>; 3],
}

/// Resolves what was typed. `None`, or any error among the problems: it cannot be used.
pub fn resolve(raw: &RawInventory, env: &Environment, problems: &mut Vec<Problem>) -> Option<Desired> {
    let no_etcd = RawEtcd::default();
    let etcd = raw.etcd.as_ref().unwrap_or(&no_etcd);
    let options = resolve_options(etcd, problems);
    let resolver = Resolver {
        raw,
        etcd,
        env,
        pki_dir: pki_dir(raw, env, problems),
    };
    let pki = resolver.pki(problems);
    if let Some(host) = raw.ssh.as_ref().and_then(|ssh| ssh.host.as_ref()) {
        let help = "write it below the host: `ssh: {host: ...}`";
        problems.push(Problem::error(host.at, "`ssh.host` is for one host, not for all", help));
    }
    let hosts = raw.hosts.as_ref()?;
    let sited: Vec<Sited> = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| resolver.host(index, host, problems))
        .collect();
    checks::hosts(raw.hosts_at, &sited, problems);
    let backup = resolve_backup::backup(raw, env, problems);
    let auth = resolve_auth::auth(raw, etcd, problems);
    let clients = resolve_clients::clients(raw, etcd, &auth, problems);
    Some(Desired {
        cluster: raw.cluster.as_ref()?.value.clone(),
        version: etcd.version.as_ref()?.value,
        options,
        pki,
        clients,
        kubernetes: raw.kubernetes.as_ref().map(|name| name.value.0.clone()),
        auth,
        bundle: raw.bundle.as_ref().map(bundle).unwrap_or_default(),
        backup,
        order: sited.iter().map(|s| s.host.name.clone()).collect(),
        hosts: sited.into_iter().map(|s| (s.host.name.clone(), s.host)).collect(),
    })
}

fn bundle(raw: &RawBundle) -> BundlePolicy {
    BundlePolicy {
        sha256: raw.sha256.as_ref().map(|sum| sum.value.0.clone()),
        signed_by: raw
            .signed_by
            .iter()
            .flat_map(|names| &names.0)
            .map(|name| name.value.0.clone())
            .collect(),
    }
}

/// etcd's options in the form it reads; what is wrong with them is reported where it stands.
fn resolve_options(etcd: &RawEtcd, problems: &mut Vec<Problem>) -> BTreeMap<String, serde_json::Value> {
    let none = RawOptions(Vec::new());
    let typed = etcd.config.as_ref().unwrap_or(&none);
    let Some(Field { value: version, at }) = etcd.version else {
        return BTreeMap::new();
    };
    if !options::table::SERIES.contains(&version.series()) {
        problems.push(unknown_series(version, at));
        return BTreeMap::new();
    }
    let values: BTreeMap<_, _> = typed.0.iter().map(|e| (e.key.clone(), e.value.to_json())).collect();
    for wrong in options::check_options(version, &values) {
        let entry = typed.0.iter().find(|e| e.key == wrong.option);
        let at = match (entry, wrong.half) {
            (Some(entry), Half::Value) => options::site(entry),
            (Some(entry), _) => entry.key_at,
            (None, _) => at,
        };
        problems.push(match wrong.severity {
            Severity::Error => Problem::error(at, wrong.message, wrong.help),
            Severity::Warning => Problem::warning(at, wrong.message, wrong.help),
        });
    }
    values
        .into_iter()
        .filter_map(|(name, value)| Some((options::for_etcd(version, &name, &value).ok()?, name)))
        .map(|(value, name)| (name, value))
        .collect()
}

fn unknown_series(version: Version, at: Place) -> Problem {
    let known: Vec<String> = options::table::SERIES
        .iter()
        .map(|(major, minor)| format!("{major}.{minor}"))
        .collect();
    Problem::error(
        at,
        format!("quorate does not know etcd {}.{}", version.major, version.minor),
        format!("it knows etcd {}", known.join(", ")),
    )
}

/// A path on this machine: `~` is the home directory, the rest is relative to the file that it stands in.
pub(super) fn local_path(env: &Environment, path: &Field<LocalPath>, problems: &mut Vec<Problem>) -> PathBuf {
    let text = path.value.0.as_str();
    match (text.strip_prefix('~'), &env.home) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        (Some(_), None) => {
            let help = "write the full path, or set HOME";
            problems.push(Problem::error(path.at, "`~` cannot be expanded: HOME is not set", help));
            PathBuf::from(text)
        }
        (None, _) => env.dir_of(path.at.file).join(text),
    }
}

fn pki_dir(raw: &RawInventory, env: &Environment, problems: &mut Vec<Problem>) -> PathBuf {
    match raw.pki.as_ref().and_then(|pki| pki.dir.as_ref()) {
        Some(dir) => local_path(env, dir, problems),
        None => env.dir.join("pki"),
    }
}

/// The value typed for the host, else the one typed for all.
fn pick<'a, T>(host: &'a Option<Field<T>>, all: &'a Option<Field<T>>) -> Option<&'a Field<T>> {
    host.as_ref().or(all.as_ref())
}

fn list<T: Clone>(many: Option<&OneOrMany<T>>) -> Vec<T> {
    many.map(|many| many.0.iter().map(|f| f.value.clone()).collect())
        .unwrap_or_default()
}

/// What the parts of the inventory are resolved against.
struct Resolver<'a> {
    raw: &'a RawInventory,
    etcd: &'a RawEtcd,
    env: &'a Environment,
    pki_dir: PathBuf,
}

impl Resolver<'_> {
    fn pki(&self, problems: &mut Vec<Problem>) -> PkiPolicy {
        let none = RawPki::default();
        let raw = self.raw.pki.as_ref().unwrap_or(&none);
        let period = |typed: &Option<Field<Period>>, default| typed.as_ref().map_or(default, |p| p.value.0);
        let policy = PkiPolicy {
            dir: self.pki_dir.clone(),
            key_type: raw.key_type.as_ref().map_or(KeyType::EcdsaP256, |k| k.value),
            ca_validity: period(&raw.ca_validity, DAY * 3650),
            leaf_validity: period(&raw.leaf_validity, DAY * 365),
            renew_before: period(&raw.renew_before, DAY * 30),
            crl: raw.crl.as_ref().is_some_and(|crl| crl.value),
            recipients: raw
                .recipients
                .iter()
                .flat_map(|many| &many.0)
                .map(|recipient| match &recipient.value {
                    Recipient::Key(key) => key.clone(),
                    Recipient::File(path) => {
                        let path = Field {
                            value: path.clone(),
                            at: recipient.at,
                        };
                        local_path(self.env, &path, problems).to_string_lossy().into_owned()
                    }
                })
                .collect(),
            identities: self
                .raw
                .ssh
                .iter()
                .flat_map(|ssh| &ssh.identity)
                .flat_map(|many| &many.0)
                .map(|path| local_path(self.env, path, problems))
                .collect(),
        };
        checks::pki(raw, &policy, problems);
        policy
    }

    /// Resolves one host. Where its name or address is unusable (reported already), a stand-in takes its place so
    /// that the rest is checked too.
    fn host(&self, index: usize, raw: &RawHost, problems: &mut Vec<Problem>) -> Sited {
        let etcd = self.etcd;
        let name = raw.name.as_ref().map_or_else(|| stand_in(index), |n| n.value.clone());
        let address = match &raw.address {
            Some(address) => address.value.clone(),
            None => Address::Dns(format!("{name}.invalid")),
        };
        let is_local = raw
            .connection
            .as_ref()
            .is_some_and(|c| c.value == ConnectionKind::Local);
        let service_manager = match &raw.service_manager {
            Some(manager) => manager.value,
            None if is_local => ServiceManager::Process,
            None => ServiceManager::Systemd,
        };
        let service = pick(&raw.service, &etcd.service).map_or_else(default_name::<ServiceName>, |s| s.value.clone());
        let ports = [
            pick(&raw.client_port, &etcd.client_port),
            pick(&raw.peer_port, &etcd.peer_port),
            pick(&raw.metrics_port, &etcd.metrics_port),
        ];
        let port = |index: usize| ports[index].map(|p: &Field<super::leaf::Port>| p.value.0);
        let metrics_address =
            pick(&raw.metrics_address, &etcd.metrics_address).map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |a| a.value);
        let name_at = raw.name.as_ref().map_or(raw.at, |n| n.at);
        let site = paths::Site {
            manager: service_manager,
            is_local,
            cluster: self.raw.cluster.as_ref().map_or("unnamed", |c| c.value.as_str()),
            name: &name,
            service: &service,
            state_dir: &self.env.state_dir,
        };
        let host = DesiredHost {
            listen: match list(raw.listen.as_ref()) {
                typed if !typed.is_empty() => typed,
                _ => vec![listens_by_default(&address)],
            },
            sans: [
                self.raw.pki.as_ref().and_then(|pki| pki.sans.as_ref()),
                raw.sans.as_ref(),
            ]
            .into_iter()
            .flat_map(list)
            .collect(),
            client_port: port(0).unwrap_or(2379),
            peer_port: port(1).unwrap_or(2380),
            metrics: port(2).map(|port| MetricsListen {
                address: metrics_address,
                port,
            }),
            user: self.user(raw, is_local && service_manager == ServiceManager::Process, problems),
            paths: paths::resolve(&site, name_at, raw.paths.as_ref(), etcd.paths.as_ref(), problems),
            connection: if is_local {
                self.warn_of_useless_ssh(raw, problems);
                Connection::Local
            } else {
                Connection::Ssh(self.ssh(raw, &address, problems))
            },
            service_manager,
            service,
            name,
            address,
        };
        checks::host(&host, name_at, raw.paths.as_ref().or(etcd.paths.as_ref()), problems);
        if let Some(typed) = &raw.listen {
            checks::listen(&host, typed, raw.at, problems);
        }
        Sited {
            host,
            name_at,
            address_at: raw.address.as_ref().map_or(raw.at, |a| a.at),
            ports_at: ports.map(|p| p.map(|p| p.at)),
        }
    }

    /// The account etcd runs as. A supervisor without root cannot be anyone but the operator.
    fn user(&self, raw: &RawHost, as_operator: bool, problems: &mut Vec<Problem>) -> UserName {
        if !as_operator {
            return pick(&raw.user, &self.etcd.user).map_or_else(default_name::<UserName>, |u| u.value.clone());
        }
        if let Some(user) = raw.user.as_ref().filter(|u| u.value.as_str() != self.env.user) {
            problems.push(Problem::error(
                user.at,
                format!(
                    "a member under `process` runs as you (`{}`), not as `{}`",
                    self.env.user, user.value
                ),
                "remove the line, or use `service_manager: systemd`",
            ));
        }
        self.env.user.parse().unwrap_or_else(|_| {
            let message = format!(
                "your account's name, `{}`, cannot be used for etcd here",
                self.env.user.escape_debug()
            );
            problems.push(Problem::error(
                raw.at,
                message,
                "use `service_manager: systemd` and name a `user`",
            ));
            default_name::<UserName>()
        })
    }

    fn warn_of_useless_ssh(&self, raw: &RawHost, problems: &mut Vec<Problem>) {
        if raw.ssh.is_some() {
            let at = raw.connection.as_ref().map_or(raw.at, |c| c.at);
            let help = "remove `ssh`, or `connection: local`";
            problems.push(Problem::warning(at, "`ssh` of a local host has no effect", help));
        }
    }

    fn ssh(&self, raw: &RawHost, address: &Address, problems: &mut Vec<Problem>) -> SshTarget {
        let none = RawSsh::default();
        let host = raw.ssh.as_ref().unwrap_or(&none);
        let all = self.raw.ssh.as_ref().unwrap_or(&none);
        let mut path = |p: &Field<LocalPath>| local_path(self.env, p, problems);
        SshTarget {
            host: host
                .host
                .as_ref()
                .map_or_else(|| address.to_string(), |h| h.value.0.clone()),
            port: pick(&host.port, &all.port).map(|p| p.value.0),
            user: pick(&host.user, &all.user).map(|u| u.value.0.clone()),
            identity: host
                .identity
                .as_ref()
                .or(all.identity.as_ref())
                .map(|many| many.0.iter().map(&mut path).collect())
                .unwrap_or_default(),
            known_hosts: pick(&host.known_hosts, &all.known_hosts)
                .map_or_else(|| self.pki_dir.join("known_hosts"), &mut path),
            jump: list(host.jump.as_ref().or(all.jump.as_ref())),
            sudo: pick(&host.sudo, &all.sudo).map_or(Sudo::Auto, |s| s.value),
            use_config: pick(&host.config, &all.config).is_none_or(|c| c.value),
        }
    }
}

/// Where etcd listens unless the inventory says.
pub fn listens_by_default(address: &Address) -> IpAddr {
    match address {
        Address::Ip(ip) => *ip,
        dns if dns.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        Address::Dns(_) => Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// `etcd`, the default name of the unit and of the account.
fn default_name<T: std::str::FromStr<Err: std::fmt::Debug>>() -> T {
    "etcd".parse().expect("`etcd` is a good name of either kind")
}

/// A name for a host whose own cannot be used; such an inventory is refused in the end.
fn stand_in(index: usize) -> NodeName {
    format!("unnamed-{index}").parse().expect("a good name")
}
