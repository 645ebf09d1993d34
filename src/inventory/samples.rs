//! A host as `resolve` would make it from a name and an address, for the tests of every room.

use std::time::Duration;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// What certificates should be like where a test does not care.
pub fn pki_policy() -> PkiPolicy {
    PkiPolicy {
        dir: "/unused".into(),
        key_type: KeyType::EcdsaP256,
        ca_validity: 3650 * DAY,
        leaf_validity: 365 * DAY,
        renew_before: 30 * DAY,
        crl: false,
        recipients: Vec::new(),
        identities: Vec::new(),
    }
}

/// The cluster `prod-a` of these hosts, with everything else at its default.
pub fn cluster_of(version: Version, hosts: Vec<DesiredHost>) -> Desired {
    Desired {
        cluster: "prod-a".parse().unwrap(),
        version,
        options: Default::default(),
        pki: pki_policy(),
        kubernetes: None,
        clients: Default::default(),
        auth: Default::default(),
        bundle: Default::default(),
        backup: None,
        order: hosts.iter().map(|host| host.name.clone()).collect(),
        hosts: hosts.into_iter().map(|host| (host.name.clone(), host)).collect(),
    }
}

/// A host with everything at its default, reached without SSH.
pub fn host(name: &str, address: &str) -> DesiredHost {
    let path = |text: &str| text.parse().unwrap();
    DesiredHost {
        name: name.parse().unwrap(),
        address: address.parse().unwrap(),
        listen: vec![address.parse().unwrap_or("0.0.0.0".parse().unwrap())],
        sans: Vec::new(),
        client_port: 2379,
        peer_port: 2380,
        metrics: None,
        service: "etcd".parse().unwrap(),
        user: "etcd".parse().unwrap(),
        paths: Paths {
            config: path("/etc/etcd/etcd-config.yml"),
            pki: path("/etc/etcd/pki"),
            data: path("/var/lib/etcd"),
            wal: None,
            bin: path("/opt/quorate/etcd"),
            run: path("/run/quorate-etcd"),
            lock: path("/run/quorate/etcd.lock"),
        },
        connection: Connection::Local,
        service_manager: ServiceManager::Systemd,
    }
}
