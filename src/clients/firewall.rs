//! Who may reach which port of the members: nftables, firewalld, ufw.
//!
//! The nftables rules only narrow: a drop is final in every table, an accept is not. So they stand beside those of firewalld,
//! ufw or containers, and open nothing that those close.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Serialize;

use super::endpoints::hosts;
use super::lb::reachable_metrics_port;
use crate::inventory::{Address, Desired, DesiredHost, NodeName};
use crate::render::{RenderError, templates};

/// An address, or a network of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn longest(address: IpAddr) -> u8 {
        match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        }
    }

    fn host(address: IpAddr) -> Self {
        Self {
            address,
            bits: Self::longest(address),
        }
    }

    /// The bits behind the prefix are zero, as every firewall wants them.
    fn is_aligned(self) -> bool {
        match self.address {
            IpAddr::V4(ip) => self.bits == 32 || u32::from(ip) << self.bits == 0,
            IpAddr::V6(ip) => self.bits == 128 || u128::from(ip) << self.bits == 0,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits == Self::longest(self.address) {
            true => self.address.fmt(f),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is no address or network: write it like 10.0.1.5, 10.0.1.0/24 or fd00::/64",
                text.escape_debug()
            )
        };
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = Self::longest(address);
        let bits = match bits {
            None => longest,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= longest).ok_or_else(wrong)?,
        };
        let network = Self { address, bits };
        match network.is_aligned() {
            true => Ok(network),
            false => Err(format!(
                "`{text}` is an address inside a network: write the network's own, or leave /{bits} out"
            )),
        }
    }
}

/// Who else, besides the members themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// To the peer port: members behind NAT, and where the inventory has names instead of addresses.
    pub peers: Vec<Network>,
    /// To the client port; empty: it is left as it is.
    pub clients: Vec<Network>,
    /// To the metrics port; empty: it is left as it is.
    pub metrics: Vec<Network>,
}

/// Ports that the same ones may reach.
struct Port {
    name: &'static str,
    what: &'static str,
    numbers: BTreeSet<u16>,
    from: BTreeSet<Network>,
}

/// The members whose addresses are names: a firewall's rules hold addresses, so these have to be given.
pub fn named(desired: &Desired) -> Vec<&NodeName> {
    let is_name = |host: &&DesiredHost| sources(host).next().is_none();
    hosts(desired).filter(is_name).map(|host| &host.name).collect()
}

/// Where connections of a member come from.
fn sources(host: &DesiredHost) -> impl Iterator<Item = Network> {
    let address = match host.address {
        Address::Ip(ip) => Some(ip),
        Address::Dns(_) => None,
    };
    let listens = host.listen.iter().copied();
    let listens = listens.filter(|ip| !ip.is_unspecified() && !ip.is_loopback());
    address.into_iter().chain(listens).map(Network::host)
}

fn ports(desired: &Desired, others: &Others) -> Vec<Port> {
    let members: BTreeSet<Network> = hosts(desired)
        .flat_map(sources)
        .chain(others.peers.iter().copied())
        .collect();
    let with = |more: &[Network]| members.iter().chain(more).copied().collect();
    let mut ports = vec![Port {
        name: "peers",
        what: "peer port: the members",
        numbers: hosts(desired).map(|host| host.peer_port).collect(),
        from: with(&[]),
    }];
    if !others.clients.is_empty() {
        ports.push(Port {
            name: "clients",
            what: "client port: the members, and --clients",
            numbers: hosts(desired).map(|host| host.client_port).collect(),
            from: with(&others.clients),
        });
    }
    let metrics: BTreeSet<u16> = hosts(desired).filter_map(reachable_metrics_port).collect();
    if !others.metrics.is_empty() && !metrics.is_empty() {
        ports.push(Port {
            name: "metrics",
            what: "metrics port: the members, and --metrics",
            numbers: metrics,
            from: with(&others.metrics),
        });
    }
    ports
}

/// One file for `nft -f`: a table of its own, replaced in one step.
///
/// # Errors
/// [`RenderError::Template`]: a mistake in the program.
pub fn nftables(desired: &Desired, others: &Others) -> Result<String, RenderError> {
    #[derive(Serialize)]
    struct View<'a> {
        cluster: &'a str,
        table: String,
        ports: Vec<Rule>,
    }
    #[derive(Serialize)]
    struct Rule {
        name: &'static str,
        what: &'static str,
        numbers: String,
        v4: String,
        v6: String,
    }
    let rule = |port: &Port| Rule {
        name: port.name,
        what: port.what,
        numbers: joined(&port.numbers),
        v4: joined(port.from.iter().filter(|network| network.address.is_ipv4())),
        v6: joined(port.from.iter().filter(|network| network.address.is_ipv6())),
    };
    let view = View {
        cluster: desired.cluster.as_str(),
        table: format!("quorate_{}", desired.cluster.as_str().replace('-', "_")),
        ports: ports(desired, others).iter().map(rule).collect(),
    };
    templates::render(templates::NFTABLES, &view)
}

fn joined<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// Commands for firewalld, to be run on every host.
pub fn firewalld(desired: &Desired, others: &Others) -> String {
    let mut text = head(desired, "firewalld, in its default zone");
    for (network, port) in allowed(desired, others) {
        let family = if network.address.is_ipv4() { "ipv4" } else { "ipv6" };
        text += &format!(
            "firewall-cmd --permanent --add-rich-rule='rule family=\"{family}\" source address=\"{network}\" port port=\"{port}\" \
             protocol=\"tcp\" accept'\n"
        );
    }
    text + "firewall-cmd --reload\n"
}

/// Commands for ufw, to be run on every host.
pub fn ufw(desired: &Desired, others: &Others) -> String {
    let mut text = head(desired, "ufw");
    for (network, port) in allowed(desired, others) {
        text += &format!(
            "ufw allow from {network} to any port {port} proto tcp comment 'quorate {}'\n",
            desired.cluster
        );
    }
    text
}

fn head(desired: &Desired, whose: &str) -> String {
    format!(
        "# Who may reach the members of the etcd cluster {}, as commands for {whose}. Written by `quorate firewall`.\n\
         # They only add: take out by hand what was for members that have left. Keep SSH open before you switch a firewall on.\n",
        desired.cluster
    )
}

/// Every source with every port that is open to it.
fn allowed(desired: &Desired, others: &Others) -> Vec<(Network, u16)> {
    let pairs = |port: &Port| -> Vec<(Network, u16)> {
        let numbers = &port.numbers;
        port.from
            .iter()
            .flat_map(|from| numbers.iter().map(move |number| (*from, *number)))
            .collect()
    };
    ports(desired, others).iter().flat_map(pairs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::samples::{cluster_of, host};
    use crate::inventory::{MetricsListen, Version};

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn desired() -> Desired {
        let mut hosts = vec![host("a", "10.0.0.11"), host("b", "10.0.0.12"), host("c", "fd00::3")];
        hosts[0].metrics = Some(MetricsListen {
            address: "0.0.0.0".parse().unwrap(),
            port: 2381,
        });
        cluster_of(Version::new(3, 6, 16), hosts)
    }

    fn others() -> Others {
        Others {
            peers: vec![],
            clients: networks(&["10.0.1.0/24", "fd00:1::/64"]),
            metrics: networks(&["10.0.9.5"]),
        }
    }

    #[test]
    fn a_table_of_its_own() {
        insta::assert_snapshot!(nftables(&desired(), &others()).unwrap());
    }

    #[test]
    fn ports_that_nobody_was_named_for_are_left_alone() {
        let text = nftables(&desired(), &Others::default()).unwrap();
        assert!(
            text.contains("tcp dport { 2380 }") && !text.contains("2379") && !text.contains("2381"),
            "{text}"
        );
    }

    #[test]
    fn commands_for_others() {
        insta::assert_snapshot!("ufw", ufw(&desired(), &others()));
        insta::assert_snapshot!("firewalld", firewalld(&desired(), &others()));
    }

    #[test]
    fn networks_are_what_they_say() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        for wrong in [
            "10.0.0.1/24",
            "10.0.0.0/33",
            "fd00::/129",
            "etcd.example.com",
            "",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn members_with_names_are_told() {
        let desired = cluster_of(
            Version::new(3, 6, 16),
            vec![host("a", "etcd-a.example.com"), host("b", "10.0.0.2")],
        );
        assert_eq!(named(&desired), [&"a".parse().unwrap()]);
    }
}
