//! One member as an inventory could have it, or every reason why none can.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::Hurdle;
use super::hands::{files_read, in_other_hands, next_start, only_one};
use super::kept::{kept, logs_elsewhere, refused};
use super::listens::Listens;
use super::names::{called_otherwise, renamed};
use super::options::{Options, config_file, options_of};
use crate::host::running::{Running, RunningEtcd};
use crate::inventory::{Address, HostPath, NodeName, ServiceName, UserName};

/// A member that can be taken over.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its name, and its host's.
    pub name: NodeName,
    /// Its process, and when that was started: another one may have been started with other options.
    pub process: (u32, u64),
    /// Where SSH connects to.
    pub reached_at: Address,
    /// What its peer URL names.
    pub address: Address,
    /// The addresses that it listens on; none where that is what `address` makes of it.
    pub listen: Vec<IpAddr>,
    /// Client port.
    pub client_port: u16,
    /// Peer port.
    pub peer_port: u16,
    /// Plain-HTTP metrics.
    pub metrics: Option<(IpAddr, u16)>,
    /// Its data directory, links resolved.
    pub data: HostPath,
    /// The directory above that of its log, where that is not in the data directory.
    pub wal: Option<HostPath>,
    /// Its unit.
    pub service: ServiceName,
    /// The account that it runs as.
    pub user: UserName,
    /// The file with the CA that clients are checked against, and the one for peers.
    pub trusted: [String; 2],
    /// The files with its certificate for clients and that key, and those for peers.
    pub pairs: [[String; 2]; 2],
    /// The files that its options come from: its configuration, or those that its unit has variables from.
    pub read: Vec<String>,
    /// Options that the inventory keeps.
    pub options: Options,
    /// Where its options come from, for people.
    pub source: String,
    /// What somebody should know.
    pub notes: Vec<String>,
}

impl Member {
    /// Whether what installed it keeps files of its own in this directory, which quorate then leaves alone.
    pub fn fills(&self, dir: &str) -> bool {
        let own = self.pairs.iter().flatten().chain(&self.trusted).chain(&self.read);
        own.into_iter().any(|path| path.starts_with(dir))
    }
}

/// What runs on a host as a member of an inventory. `texts` has the files that [`files_read`] names.
///
/// # Errors
/// Every reason why it cannot be taken over.
pub fn member(
    name: &NodeName,
    reached_at: &Address,
    running: &Running,
    texts: &BTreeMap<String, String>,
) -> Result<Member, Vec<Hurdle>> {
    let process = only_one(name, running).map_err(|hurdle| vec![hurdle])?;
    let mut hurdles = in_other_hands(name, process);
    hurdles.extend(next_start(name, process, texts));
    let config = config_file(process);
    let text = config.as_ref().and_then(|path| texts.get(path));
    if let (Some(path), None) = (&config, text) {
        hurdles.push(Hurdle::on(
            name,
            format!("its configuration file {path} is gone, or too large to be read"),
            "restore the file that it was started with",
        ));
        return Err(hurdles);
    }
    let options = match options_of(process, text.map(String::as_str)) {
        Ok(options) => options,
        Err(why) => {
            let path = config.unwrap_or_default();
            hurdles.push(Hurdle::on(name, format!("{path} cannot be read: {why}"), "correct it"));
            return Err(hurdles);
        }
    };
    let found = Found {
        name,
        reached_at,
        process,
        options,
        source: source(process, config.as_deref()),
    };
    found.member(hurdles)
}

/// Whether another process than the one that was described runs by now.
pub fn restarted_since(member: &Member, running: &Running) -> Option<Hurdle> {
    let same = matches!(running.etcd.as_slice(), [one] if (one.pid, one.started) == member.process);
    (!same).then(|| {
        Hurdle::on(
            &member.name,
            "its member was restarted while it was looked at",
            "find out what restarts it, and run this again: it may run with other options now",
        )
    })
}

fn source(process: &RunningEtcd, config: Option<&str>) -> String {
    let unit = process.unit.get("FragmentPath").cloned().unwrap_or_default();
    match config {
        Some(path) => format!("{path} ({unit})"),
        None if process.arguments.len() > 1 => format!("flags in {unit}"),
        None => format!("variables of {unit}"),
    }
}

/// What was found of one member.
struct Found<'a> {
    name: &'a NodeName,
    reached_at: &'a Address,
    process: &'a RunningEtcd,
    options: Options,
    source: String,
}

impl Found<'_> {
    fn member(self, mut hurdles: Vec<Hurdle>) -> Result<Member, Vec<Hurdle>> {
        hurdles.extend(called_otherwise(self.name, self.reached_at, &self.options));
        hurdles.extend(refused(self.name, &self.options));
        hurdles.extend(self.strangers_let_in());
        let mut take = |part: &mut dyn FnMut() -> Result<(), Hurdle>| {
            if let Err(hurdle) = part() {
                hurdles.push(hurdle);
            }
        };
        let (mut peer, mut client, mut listens, mut metrics) = (None, None, None, None);
        let (mut data, mut user, mut service) = (None, None, None);
        take(&mut || self.one_url("initial-advertise-peer-urls").map(|url| peer = Some(url)));
        take(&mut || self.advertised().map(|url| client = Some(url)));
        take(&mut || self.listens().map(|at| listens = Some(at)));
        take(&mut || self.metrics().map(|at| metrics = at));
        take(&mut || self.directories().map(|dirs| data = Some(dirs)));
        take(&mut || self.user().map(|name| user = Some(name)));
        take(&mut || self.service().map(|name| service = Some(name)));
        let (Some(peer), Some(client), Some(listens), Some((data, wal)), Some(user), Some(service)) =
            (peer, client, listens, data, user, service)
        else {
            return Err(hurdles);
        };
        if client.0 != peer.0 {
            hurdles.push(self.hurdle(
                format!(
                    "clients are told {}, and peers {}: an inventory has one address for both",
                    client.0, peer.0
                ),
                "advertise the same address to both, and restart the member",
            ));
        }
        if (client.1, peer.1) != (listens.client, listens.peer) {
            hurdles.push(self.hurdle(
                "it listens on other ports than those it advertises",
                "an inventory has one port for each: make them the same",
            ));
        }
        if !hurdles.is_empty() {
            return Err(hurdles);
        }
        let trusted = ["trusted-ca-file", "peer-trusted-ca-file"].map(|name| self.text(name).to_owned());
        let pairs = [["cert-file", "key-file"], ["peer-cert-file", "peer-key-file"]]
            .map(|pair| pair.map(|name| self.text(name).to_owned()));
        Ok(Member {
            read: files_read(self.process),
            process: (self.process.pid, self.process.started),
            pairs,
            name: self.name.clone(),
            reached_at: self.reached_at.clone(),
            listen: listens.addresses(&peer.0),
            address: peer.0,
            client_port: client.1,
            peer_port: peer.1,
            metrics,
            data,
            wal,
            service,
            user,
            trusted,
            notes: self.notes(),
            options: kept(&self.options),
            source: self.source,
        })
    }

    fn hurdle(&self, what: impl Into<String>, help: impl Into<String>) -> Hurdle {
        Hurdle::on(self.name, what, help)
    }

    fn text(&self, option: &str) -> &str {
        self.options.get(option).and_then(Value::as_str).unwrap_or_default()
    }

    /// quorate's members ask every client and peer for a certificate. So does etcd wherever it knows a CA, whatever
    /// `client-cert-auth` says (docs/etcd.md, "Who is let in").
    fn strangers_let_in(&self) -> Vec<Hurdle> {
        let mut hurdles = Vec::new();
        for (whom, prefix) in [("clients", ""), ("peers", "peer-")] {
            let named = |option: &str| !self.text(&format!("{prefix}{option}")).is_empty();
            let urls = match prefix {
                "" => "listen-client-urls",
                _ => "listen-peer-urls",
            };
            if self.urls(urls).iter().any(|url| url.starts_with("http://")) || !named("cert-file") {
                hurdles.push(self.hurdle(
                    format!("it talks plain HTTP to {whom}"),
                    "move the cluster to TLS first, one member at a time (docs/operate.md, \"From plain HTTP to TLS\")",
                ));
            } else if !named("trusted-ca-file") {
                hurdles.push(self.hurdle(
                    format!("it lets {whom} without a certificate in (no `{prefix}trusted-ca-file`), and quorate's members do not"),
                    format!(
                        "give all {whom} certificates of its CA, then set `{prefix}client-cert-auth` and `{prefix}trusted-ca-file`, and restart the \
                         members one by one"
                    ),
                ));
            }
        }
        hurdles
    }

    fn urls(&self, option: &str) -> Vec<String> {
        match self.options.get(option) {
            Some(Value::Array(urls)) => urls.iter().filter_map(|u| u.as_str().map(str::to_owned)).collect(),
            Some(Value::String(urls)) => urls.split(',').map(|url| url.trim().to_owned()).collect(),
            _ => Vec::new(),
        }
    }

    fn one_url(&self, option: &str) -> Result<(Address, u16), Hurdle> {
        match self.urls(option).as_slice() {
            [url] => parse_url(url).ok_or_else(|| {
                let help = "it must be https://ADDRESS:PORT";
                self.hurdle(format!("`{option}` is `{url}`"), help)
            }),
            [] => Err(self.hurdle(
                format!("it does not say `{option}`"),
                "set it to https://ADDRESS:PORT, as the member list has it, and restart the member",
            )),
            several => Err(self.hurdle(
                format!(
                    "`{option}` has {} URLs, and an inventory has one address for a member",
                    several.len()
                ),
                "take the others out of the member list (`etcdctl member update`), and restart the member",
            )),
        }
    }

    /// What clients are told; a loopback address beside the real one is for those on the host.
    fn advertised(&self) -> Result<(Address, u16), Hurdle> {
        let urls = self.urls("advertise-client-urls");
        let mut real = urls
            .iter()
            .filter(|url| !parse_url(url).is_some_and(|(host, _)| is_loopback(&host)));
        match (real.next(), real.next()) {
            (Some(url), None) => parse_url(url).ok_or_else(|| {
                self.hurdle(
                    format!("`advertise-client-urls` is `{url}`"),
                    "it must be https://ADDRESS:PORT",
                )
            }),
            _ => Err(self.hurdle(
                format!(
                    "`advertise-client-urls` is `{}`, and an inventory has one address for a member",
                    urls.join(",")
                ),
                "set it to https://ADDRESS:PORT, and restart the member",
            )),
        }
    }

    fn listens(&self) -> Result<Listens, Hurdle> {
        let of = |option: &str| -> Result<(Vec<String>, u16), Hurdle> {
            let urls = self.urls(option);
            let parsed: Option<Vec<(String, u16)>> = urls.iter().map(|url| parts(url)).collect();
            let parsed = parsed.filter(|parsed| !parsed.is_empty());
            let one_port = parsed.filter(|parsed| parsed.iter().all(|(_, port)| *port == parsed[0].1));
            let Some(parsed) = one_port else {
                return Err(self.hurdle(
                    format!(
                        "`{option}` is `{}`, and an inventory has one port for it",
                        urls.join(",")
                    ),
                    "listen with https on one port, and restart the member",
                ));
            };
            let port = parsed[0].1;
            Ok((parsed.into_iter().map(|(host, _)| host).collect(), port))
        };
        let (mut hosts, client) = of("listen-client-urls")?;
        let (others, peer) = of("listen-peer-urls")?;
        hosts.extend(others);
        Ok(Listens { hosts, client, peer })
    }

    fn metrics(&self) -> Result<Option<(IpAddr, u16)>, Hurdle> {
        let urls = self.urls("listen-metrics-urls");
        let [url] = urls.as_slice() else {
            return match urls.is_empty() {
                true => Ok(None),
                false => Err(self.hurdle("it has several metrics ports", "keep one, and restart the member")),
            };
        };
        let place = url.strip_prefix("http://").and_then(|rest| {
            let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
            let host = host.trim_matches(['[', ']']);
            let host = if host == "localhost" { "127.0.0.1" } else { host };
            Some((host.parse().ok()?, port.parse().ok()?))
        });
        place.map(Some).ok_or_else(|| {
            self.hurdle(
                format!("`listen-metrics-urls` is `{url}`"),
                "quorate serves metrics over plain HTTP on an IP address",
            )
        })
    }

    /// Where the database and the log are open, which is where they are.
    fn directories(&self) -> Result<(HostPath, Option<HostPath>), Hurdle> {
        let opened = &self.process.opened;
        let data = opened.iter().find_map(|path| path.strip_suffix("/member/snap/db"));
        let log = opened
            .iter()
            .find_map(|path| path.strip_suffix(".wal")?.rsplit_once('/').map(|(dir, _)| dir));
        let (Some(data), Some(log)) = (data, log) else {
            return Err(self.hurdle(
                "its database and its log could not be found among its open files",
                "log in as root, or with sudo",
            ));
        };
        let path = |text: &str| -> Result<HostPath, Hurdle> {
            text.parse().map_err(|error| {
                self.hurdle(
                    format!("`{text}` cannot be a path of the inventory: {error}"),
                    "move its data",
                )
            })
        };
        let wal = match log.strip_suffix("/wal") {
            _ if log == format!("{data}/member/wal") => None,
            Some(above) => Some(path(above)?),
            None => {
                return Err(self.hurdle(
                    format!("its log is in {log}, and quorate needs a directory called `wal`"),
                    "stop the member, move the log to a directory `wal` below that one, set `wal-dir` to it, and start it",
                ));
            }
        };
        Ok((path(data)?, wal))
    }

    fn user(&self) -> Result<UserName, Hurdle> {
        let user = &self.process.user;
        if let Some(owner) = self.process.owner.as_ref().filter(|owner| *owner != user) {
            return Err(self.hurdle(
                format!("it runs as {user}, and its data belongs to {owner}"),
                format!("give the data directory to {user} (`chown -R`), which a running etcd does not notice"),
            ));
        }
        user.parse().map_err(|error| {
            self.hurdle(
                format!("it runs as `{user}`: {error}"),
                "run it as an account with a name",
            )
        })
    }

    fn service(&self) -> Result<ServiceName, Hurdle> {
        let id = self.process.unit.get("Id").map(String::as_str).unwrap_or_default();
        let name = id.strip_suffix(".service").unwrap_or(id);
        name.parse()
            .map_err(|error| self.hurdle(format!("its unit is called `{id}`: {error}"), "rename the unit"))
    }

    fn notes(&self) -> Vec<String> {
        let unit = |key: &str| self.process.unit.get(key).map(String::as_str).unwrap_or_default();
        let mut notes: Vec<String> = [
            renamed(self.name, &self.options),
            logs_elsewhere(self.name, &self.options),
        ]
        .into_iter()
        .flatten()
        .collect();
        let fragment = unit("FragmentPath");
        if fragment.starts_with("/usr/lib/") || fragment.starts_with("/lib/") {
            notes.push(format!(
                "{}: {fragment} is a package's. Keep the package from being upgraded (`apt-mark hold etcd-server`): that restarts the unit on \
                 every host. Purging Debian's package deletes /var/lib/etcd",
                self.name
            ));
        }
        if !unit("ExecStartPre").is_empty() {
            notes.push(format!(
                "{}: what its unit runs before each start (`ExecStartPre=`) is not taken over",
                self.name
            ));
        }
        notes
    }
}

fn is_loopback(host: &Address) -> bool {
    let text = host.to_string();
    text == "localhost" || text.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `https://HOST:PORT`, an IPv6 address without its brackets.
fn parts(url: &str) -> Option<(String, u16)> {
    let (host, port) = url.strip_prefix("https://")?.trim_end_matches('/').rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

/// The same where others dial it.
fn parse_url(url: &str) -> Option<(Address, u16)> {
    let (host, port) = parts(url)?;
    Some((host.parse().ok()?, port))
}

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
