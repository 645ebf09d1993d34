//! What worlds are made of: inventories, releases, machines.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::papers::Keys;
use crate::host::{DiskFacts, SystemFacts};
use crate::inventory::samples;
use crate::inventory::{Arch, ClusterName, Desired, DesiredHost, Version};
use crate::ops::model::Supplies;

/// When every world begins.
pub fn epoch() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub const V3_4: Version = Version::new(3, 4, 23);
pub const V3_5_OLD: Version = Version::new(3, 5, 16);
pub const V3_5: Version = Version::new(3, 5, 30);
/// Too old to be left for 3.7.
pub const V3_6_OLD: Version = Version::new(3, 6, 5);
pub const V3_6: Version = Version::new(3, 6, 14);
pub const V3_7: Version = Version::new(3, 7, 1);
/// What the operator's bundle has.
pub const RELEASES: [Version; 6] = [V3_4, V3_5_OLD, V3_5, V3_6_OLD, V3_6, V3_7];

/// `etcd-N` at 10.0.0.N.
pub fn host(n: usize) -> DesiredHost {
    samples::host(&format!("etcd-{n}"), &format!("10.0.0.{n}"))
}

pub fn cluster_name() -> ClusterName {
    "prod-a".parse().unwrap()
}

/// An inventory of these hosts.
pub fn inventory(hosts: impl IntoIterator<Item = usize>, version: Version) -> Desired {
    samples::cluster_of(version, hosts.into_iter().map(host).collect())
}

/// SHA-256 of the binaries of one release.
pub fn binaries(version: Version) -> BTreeMap<String, String> {
    ["etcd", "etcdctl", "etcdutl"]
        .into_iter()
        .map(|file| (file.to_owned(), sha256(&format!("{file} {version}"))))
        .collect()
}

/// What the operator has: a bundle with the releases, and the CA once there is one.
pub fn supplies(keys: Option<Keys>) -> Supplies {
    let arch = |version| BTreeMap::from([(Arch::Amd64, binaries(version))]);
    Supplies {
        releases: RELEASES.into_iter().map(|v| (v, arch(v))).collect(),
        ca_pem: keys.map(Keys::pem),
        next_ca: keys.and_then(Keys::next_ca),
        clients: Vec::new(),
        crl: None,
        keyless: false,
    }
}

pub fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// Inventories have nine hosts at most; the rest are strays.
pub const MOST_HOSTS: usize = 11;

/// A machine on which nothing is wrong.
pub fn system(host: &DesiredHost) -> SystemFacts {
    let disk = DiskFacts {
        free_bytes: 20 << 30,
        total_bytes: 40 << 30,
        writable: true,
        filesystem: "ext4".into(),
        free_inodes: Some(1 << 20),
    };
    SystemFacts {
        hostname: host.name.to_string(),
        machine_id: sha256(host.name.as_str()),
        arch: Some(Arch::Amd64),
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.1.0".into(),
        systemd: Some(252),
        root: true,
        clock_offset_seconds: 0.0,
        clock_uncertainty_seconds: 0.0,
        boot_id: "boot".into(),
        disks: [&host.paths.data, &host.paths.bin]
            .into_iter()
            .map(|p| (p.clone(), disk.clone()))
            .collect(),
        memory: 4 << 30,
        swap: 0,
        listeners: Vec::new(),
        other_etcd: Vec::new(),
        member_units: Vec::new(),
        unprivileged_port: None,
        libc: None,
        missing_tools: Vec::new(),
        time_service: Some("systemd-timesyncd".into()),
    }
}
