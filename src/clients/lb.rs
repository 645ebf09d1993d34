//! HAProxy in front of the client ports: TCP, TLS untouched, members that are not ready left out.

use serde::Serialize;

use super::endpoints::{endpoints, hosts};
use super::readiness;
use crate::inventory::{Address, Desired, DesiredHost};
use crate::render::{RenderError, templates};

/// What the inventory does not say about a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// The port that clients dial.
    pub port: u16,
    /// On its host: the CA that members' certificates are checked against.
    pub ca: String,
    /// On its host: a client certificate and its key in one PEM file, for the checks of members without a metrics port
    /// that can be reached.
    pub pair: String,
}

#[derive(Serialize)]
struct View<'a> {
    cluster: &'a str,
    endpoints: String,
    bind: String,
    path: &'static str,
    ca: &'a str,
    pair: &'a str,
    checks_with_tls: bool,
    resolves: bool,
    servers: Vec<Server<'a>>,
}

#[derive(Serialize)]
struct Server<'a> {
    name: &'a str,
    address: String,
    resolves: bool,
    /// The port of plain-HTTP checks; `None`: the client port, with TLS.
    metrics_port: Option<u16>,
}

/// One `listen` section that stands on its own: in a file beside others, or as the whole configuration.
///
/// # Errors
/// [`RenderError::Template`]: a mistake in the program.
pub fn haproxy(desired: &Desired, choices: &Choices) -> Result<String, RenderError> {
    let servers: Vec<Server<'_>> = hosts(desired).map(server).collect();
    let v6 = hosts(desired).any(|host| matches!(host.address, Address::Ip(ip) if ip.is_ipv6()));
    let view = View {
        cluster: desired.cluster.as_str(),
        endpoints: endpoints(desired).join(","),
        bind: match v6 {
            true => format!(":::{} v4v6", choices.port),
            false => format!("*:{}", choices.port),
        },
        path: readiness(desired.version),
        ca: &choices.ca,
        pair: &choices.pair,
        checks_with_tls: checks_with_tls(desired),
        resolves: servers.iter().any(|server| server.resolves),
        servers,
    };
    templates::render(templates::HAPROXY, &view)
}

/// Whether a member can only be checked with a client certificate, since no other machine reaches its metrics port.
pub fn checks_with_tls(desired: &Desired) -> bool {
    hosts(desired).any(|host| reachable_metrics_port(host).is_none())
}

/// The plain-HTTP metrics port, where it listens on the address that clients use.
pub(super) fn reachable_metrics_port(host: &DesiredHost) -> Option<u16> {
    let metrics = host.metrics?;
    let reached = metrics.address.is_unspecified() || host.address == Address::Ip(metrics.address);
    reached.then_some(metrics.port)
}

fn server(host: &DesiredHost) -> Server<'_> {
    Server {
        name: host.name.as_str(),
        address: format!("{}:{}", host.address.in_url(), host.client_port),
        resolves: matches!(host.address, Address::Dns(_)),
        metrics_port: reachable_metrics_port(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::samples::{cluster_of, host};
    use crate::inventory::{MetricsListen, Version};

    fn choices() -> Choices {
        Choices {
            port: 2379,
            ca: "/etc/haproxy/etcd/prod-a-ca.crt".to_owned(),
            pair: "/etc/haproxy/etcd/prod-a.pem".to_owned(),
        }
    }

    fn metrics(address: &str) -> Option<MetricsListen> {
        let address = address.parse().unwrap();
        Some(MetricsListen { address, port: 2381 })
    }

    #[test]
    fn three_members_without_a_metrics_port() {
        let hosts = vec![
            host("etcd-1", "10.0.0.11"),
            host("etcd-2", "10.0.0.12"),
            host("etcd-3", "10.0.0.13"),
        ];
        let desired = cluster_of(Version::new(3, 6, 16), hosts);
        insta::assert_snapshot!(haproxy(&desired, &choices()).unwrap());
    }

    #[test]
    fn a_metrics_port_is_asked_where_other_machines_reach_it() {
        let mut hosts = vec![
            host("a", "10.0.0.11"),
            host("b", "10.0.0.12"),
            host("c", "etcd-c.example.com"),
            host("d", "fd00::4"),
        ];
        hosts[0].metrics = metrics("0.0.0.0");
        hosts[1].metrics = metrics("127.0.0.1");
        hosts[2].metrics = metrics("0.0.0.0");
        let desired = cluster_of(Version::new(3, 4, 23), hosts);
        insta::assert_snapshot!(haproxy(&desired, &choices()).unwrap());
    }

    #[test]
    fn without_tls_checks_no_certificate_is_asked_for() {
        let mut one = host("a", "10.0.0.11");
        one.metrics = metrics("10.0.0.11");
        let text = haproxy(&cluster_of(Version::new(3, 5, 30), vec![one]), &choices()).unwrap();
        assert!(
            !text.contains("/etc/haproxy/etcd") && text.contains("check port 2381"),
            "{text}"
        );
    }
}
