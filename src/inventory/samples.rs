//! A host as `resolve` would make it from a name and an address, for the tests of every room.

use super::*;

/// A host with everything at its default, reached without SSH.
pub fn host(name: &str, address: &str) -> DesiredHost {
    let path = |text: &str| text.parse().unwrap();
    DesiredHost {
        name: name.parse().unwrap(),
        address: address.parse().unwrap(),
        listen: address.parse().unwrap_or("0.0.0.0".parse().unwrap()),
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
