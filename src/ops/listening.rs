//! Where a member that runs can be talked to, while the inventory has another address or other ports for it than those it
//! was started with.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::etcd::Endpoint;
use crate::host::HostFacts;
use crate::inventory::{Address, DesiredHost};
use crate::render::option_in;

/// The listeners of a member, as the configuration has them that it was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// The address that its certificate names.
    name: String,
    /// An address of the host that it listens on.
    ip: IpAddr,
    /// The client port.
    client: u16,
    /// The peer port.
    peer: u16,
}

impl Listening {
    /// Where the member that runs listens; `None` where that is as the inventory has it, or cannot be told.
    pub fn of(host: &DesiredHost, facts: &HostFacts) -> Option<Self> {
        let config = started_with(host, facts)?;
        let urls = |key: &str| -> Option<Vec<(Address, u16)>> {
            let option = option_in(config, key)?;
            option.as_str()?.split(',').map(|url| place(url.trim())).collect()
        };
        let (name, client) = urls("advertise-client-urls")?.into_iter().next()?;
        let (_, peer) = urls("initial-advertise-peer-urls")?.into_iter().next()?;
        if (&name, client, peer) == (&host.address, host.client_port, host.peer_port) {
            return None;
        }
        let listens = option_in(config, "listen-client-urls")?;
        let ips: Vec<IpAddr> = listens.as_str()?.split(',').filter_map(|url| ip(url.trim())).collect();
        let own = ips.iter().find(|ip| Address::Ip(**ip) == name);
        let ip = match own.or(ips.first())? {
            IpAddr::V4(every) if every.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(every) if every.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => *ip,
        };
        let name = name.to_string();
        Some(Self { name, ip, client, peer })
    }

    /// What the listener is called that the inventory has at `port`, and where it is.
    pub fn at(&self, host: &DesiredHost, port: u16) -> (Endpoint, Endpoint) {
        let port = match port {
            client if client == host.client_port => self.client,
            peer if peer == host.peer_port => self.peer,
            other => other,
        };
        let endpoint = |host: String| Endpoint { host, port };
        (endpoint(self.name.clone()), endpoint(self.ip.to_string()))
    }
}

/// The configuration that the process has read: the one that lies there, or the one that was replaced last.
fn started_with<'a>(host: &DesiredHost, facts: &'a HostFacts) -> Option<&'a str> {
    facts.service.pid?;
    let sha256 = facts.service.started_with.get(&host.paths.config)?;
    let candidates = [host.paths.config.clone(), host.paths.config.previous()];
    let mut files = candidates.iter().filter_map(|path| facts.files.get(path));
    files.find(|file| file.sha256 == *sha256)?.content.as_deref()
}

/// The address and the port of `https://ADDRESS:PORT`.
pub fn place(url: &str) -> Option<(Address, u16)> {
    let (host, port) = url.strip_prefix("https://")?.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).parse().ok()?, port.parse().ok()?))
}

/// The same of a URL to listen on, which has an IP address, maybe that of every interface.
fn ip(url: &str) -> Option<IpAddr> {
    let (host, _) = url.strip_prefix("https://")?.rsplit_once(':')?;
    host.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FileFacts;
    use crate::inventory::HostPath;
    use crate::ops::samples;

    const CONFIG: &str = "\
listen-client-urls: \"https://10.0.0.1:2379,https://127.0.0.1:2379\"
advertise-client-urls: \"https://10.0.0.1:2379\"
initial-advertise-peer-urls: \"https://10.0.0.1:2380\"
";

    fn wrote(facts: &mut HostFacts, path: &HostPath, sha256: &str, text: &str) {
        let file = FileFacts {
            sha256: sha256.into(),
            mode: 0o644,
            owner: "root".into(),
            content: Some(text.into()),
        };
        facts.files.insert(path.clone(), file);
    }

    #[test]
    fn a_member_is_talked_to_where_it_was_started() {
        let desired = samples::desired(3);
        let mut host = desired.hosts[&samples::name(1)].clone();
        host.address = "10.0.0.1".parse().unwrap();
        let mut facts = samples::facts(&desired, 1);
        let path = host.paths.config.clone();
        facts.service.started_with.insert(path.clone(), "aa".into());
        wrote(&mut facts, &path, "aa", CONFIG);
        assert_eq!(Listening::of(&host, &facts), None, "as the inventory has it");
        host.client_port = 12379;
        let listening = Listening::of(&host, &facts).unwrap();
        let (called, at) = listening.at(&host, 12379);
        assert_eq!(
            (called.to_string(), at.to_string()),
            ("10.0.0.1:2379".into(), "10.0.0.1:2379".into())
        );
        assert_eq!(listening.at(&host, 2380).1.port, 2380);

        // The file has been replaced, and the process not yet.
        wrote(&mut facts, &path, "bb", &CONFIG.replace("2379", "12379"));
        assert_eq!(Listening::of(&host, &facts), None, "nobody knows what it reads");
        wrote(&mut facts, &path.previous(), "aa", CONFIG);
        assert_eq!(Listening::of(&host, &facts), Some(listening));

        host.address = "etcd-1.example.com".parse().unwrap();
        wrote(
            &mut facts,
            &path,
            "aa",
            &CONFIG.replace("//10.0.0.1:2379,", "//0.0.0.0:2379,"),
        );
        let (called, at) = Listening::of(&host, &facts).unwrap().at(&host, 12379);
        assert_eq!(
            (called.to_string(), at.to_string()),
            ("10.0.0.1:2379".into(), "127.0.0.1:2379".into())
        );
        facts.service.pid = None;
        assert_eq!(Listening::of(&host, &facts), None);
    }
}
