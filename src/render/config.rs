//! etcd's configuration file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use serde_json::Value;

use super::{InitialCluster, RenderError, defaults, templates, yaml};
use crate::inventory::{Desired, DesiredHost, Paths, Version};

/// The revocation list, below `paths.pki`.
pub const CRL: &str = "crl.der";

/// What the template sets itself; an option of one of these names would stand in the file twice, and etcd would silently
/// take one of the two.
const MANAGED: [&str; 15] = [
    "ClientTLSInfo",
    "PeerTLSInfo",
    "advertise-client-urls",
    "client-transport-security",
    "data-dir",
    "initial-advertise-peer-urls",
    "initial-cluster",
    "initial-cluster-state",
    "initial-cluster-token",
    "listen-client-urls",
    "listen-metrics-urls",
    "listen-peer-urls",
    "name",
    "peer-transport-security",
    "wal-dir",
];

/// What the template reads.
#[derive(Serialize)]
struct View<'a> {
    cluster: &'a str,
    version: String,
    name: &'a str,
    data_dir: &'a str,
    wal_dir: Option<String>,
    listen_peer_urls: String,
    advertise_peer_urls: String,
    listen_client_urls: String,
    advertise_client_urls: String,
    listen_metrics_urls: Option<String>,
    initial_cluster: String,
    initial_state: &'static str,
    initial_token: &'a str,
    pki: PkiFiles,
    defaults: Vec<Setting>,
    options: Vec<Setting>,
}

#[derive(Serialize)]
struct PkiFiles {
    ca_crt: String,
    server_crt: String,
    server_key: String,
    peer_crt: String,
    peer_key: String,
    /// Only where revoked certificates are to be refused.
    crl: Option<String>,
}

/// One line of the file, its value already YAML.
#[derive(Serialize)]
struct Setting {
    key: String,
    value: String,
}

/// The whole file.
pub(super) fn text(desired: &Desired, host: &DesiredHost, initial: &InitialCluster) -> Result<String, RenderError> {
    refuse_unusable_options(desired, host)?;
    refuse_stranger(host, initial)?;
    let (defaults, options) = defaults::complete(desired.version, &desired.options, desired.serves_json());
    let view = View {
        cluster: desired.cluster.as_str(),
        version: desired.version.to_string(),
        name: host.name.as_str(),
        data_dir: host.paths.data.as_str(),
        wal_dir: host.paths.wal.as_ref().map(|_| host.paths.wal_files().to_string()),
        listen_peer_urls: listens(host, host.peer_port),
        advertise_peer_urls: host.peer_url().0,
        listen_client_urls: listens(host, host.client_port),
        advertise_client_urls: host.client_url(),
        listen_metrics_urls: host.metrics.map(|m| url("http", m.address, m.port)),
        initial_cluster: initial.text(),
        initial_state: initial.state.as_str(),
        initial_token: &initial.token,
        pki: pki_files(&host.paths, desired.pki.crl),
        defaults: settings(defaults),
        options: settings(options),
    };
    templates::render(templates::CONFIG, &view)
}

/// A port on every address that the host listens on.
fn listens(host: &DesiredHost, port: u16) -> String {
    let urls: Vec<String> = host.listen.iter().map(|ip| url("https", *ip, port)).collect();
    urls.join(",")
}

/// etcd wants an IP in every URL it listens on.
fn url(scheme: &str, address: IpAddr, port: u16) -> String {
    format!("{scheme}://{}", SocketAddr::new(address, port))
}

fn pki_files(paths: &Paths, crl: bool) -> PkiFiles {
    let file = |name: &str| paths.pki.join(name).to_string();
    PkiFiles {
        ca_crt: file("ca.crt"),
        server_crt: file("server.crt"),
        server_key: file("server.key"),
        peer_crt: file("peer.crt"),
        peer_key: file("peer.key"),
        crl: crl.then(|| file(CRL)),
    }
}

fn settings(options: BTreeMap<String, Value>) -> Vec<Setting> {
    options
        .into_iter()
        .map(|(key, value)| Setting {
            value: yaml::flow(&value),
            key,
        })
        .collect()
}

fn refuse_unusable_options(desired: &Desired, host: &DesiredHost) -> Result<(), RenderError> {
    for option in desired.options.keys() {
        if MANAGED.contains(&option.as_str()) {
            return Err(RenderError::Managed {
                node: host.name.clone(),
                option: option.clone(),
            });
        }
        if option.is_empty() || !option.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(RenderError::OptionName {
                node: host.name.clone(),
                option: option.escape_debug().to_string(),
            });
        }
    }
    Ok(())
}

/// The release that a configuration file of quorate's was written for, by its first line.
pub fn written_for(config: &str) -> Option<Version> {
    let (_, rest) = config.lines().next()?.rsplit_once("(etcd ")?;
    rest.strip_suffix(").")?.parse().ok()
}

fn refuse_stranger(host: &DesiredHost, initial: &InitialCluster) -> Result<(), RenderError> {
    let peer_url = host.peer_url();
    let own: Vec<_> = initial
        .members
        .iter()
        .filter(|(name, _)| name == host.name.as_str())
        .collect();
    if own.len() == 1 && own[0].1 == peer_url {
        return Ok(());
    }
    Err(RenderError::NotInInitialCluster {
        node: host.name.clone(),
        peer_url: peer_url.0,
        found: initial.text(),
    })
}
