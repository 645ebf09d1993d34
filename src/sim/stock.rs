//! What worlds are made of. Certificates are real and made once: the planner parses and checks them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::host::{DiskFacts, FileFacts, SystemFacts};
use crate::inventory::samples;
use crate::inventory::{Arch, ClusterName, Desired, DesiredHost, HostPath, KeyType, NodeName, PkiPolicy, Version};
use crate::ops::model::Supplies;
use crate::pki::{Authority, FileContent, host_files, peer_spec, server_spec};

const DAY: Duration = Duration::from_secs(86_400);

/// When every world begins.
pub fn epoch() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub const V3_4: Version = Version::new(3, 4, 23);
pub const V3_5_OLD: Version = Version::new(3, 5, 16);
pub const V3_5: Version = Version::new(3, 5, 30);

/// `etcd-N` at 10.0.0.N.
pub fn host(n: usize) -> DesiredHost {
    samples::host(&format!("etcd-{n}"), &format!("10.0.0.{n}"))
}

pub fn cluster_name() -> ClusterName {
    "prod-a".parse().unwrap()
}

/// An inventory of these hosts.
pub fn inventory(hosts: impl IntoIterator<Item = usize>, version: Version) -> Desired {
    let hosts: Vec<DesiredHost> = hosts.into_iter().map(host).collect();
    Desired {
        cluster: cluster_name(),
        version,
        options: BTreeMap::new(),
        pki: pki_policy(),
        auth: Default::default(),
        order: hosts.iter().map(|h| h.name.clone()).collect(),
        hosts: hosts.into_iter().map(|h| (h.name.clone(), h)).collect(),
    }
}

fn pki_policy() -> PkiPolicy {
    PkiPolicy {
        dir: PathBuf::from("/unused"),
        key_type: KeyType::EcdsaP256,
        ca_validity: 3650 * DAY,
        leaf_validity: 365 * DAY,
        renew_before: 30 * DAY,
        crl: false,
        recipients: Vec::new(),
        identities: Vec::new(),
    }
}

/// SHA-256 of the binaries of one release.
pub fn binaries(version: Version) -> BTreeMap<String, String> {
    ["etcd", "etcdctl", "etcdutl"]
        .into_iter()
        .map(|file| (file.to_owned(), sha256(&format!("{file} {version}"))))
        .collect()
}

/// What the operator has: a bundle with three releases, and the CA once there is one.
pub fn supplies(ca: bool) -> Supplies {
    let arch = |version| BTreeMap::from([(Arch::Amd64, binaries(version))]);
    Supplies {
        releases: [V3_4, V3_5_OLD, V3_5].into_iter().map(|v| (v, arch(v))).collect(),
        ca_pem: ca.then(|| AUTHORITY.certificate().to_pem()),
        next_ca: None,
        clients: Vec::new(),
        crl: None,
    }
}

pub fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(authority);
static STRANGER: LazyLock<Authority> = LazyLock::new(authority);

fn authority() -> Authority {
    Authority::create(&cluster_name(), &pki_policy(), epoch() - 1000 * DAY).unwrap()
}

/// The certificates that a host may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Papers {
    /// Issued on the first day.
    Fresh,
    /// Due for renewal.
    Ageing,
    /// Ended.
    Expired,
    /// Of a CA that nobody here knows.
    Foreign,
}

type Generation = BTreeMap<HostPath, FileFacts>;

static PAPERS: LazyLock<BTreeMap<(NodeName, Papers), Generation>> = LazyLock::new(|| {
    let kinds = [Papers::Fresh, Papers::Ageing, Papers::Expired, Papers::Foreign];
    let all = (1..=MOST_HOSTS).flat_map(|n| kinds.map(|kind| (n, kind)));
    all.map(|(n, kind)| ((host(n).name, kind), issue(&host(n), kind)))
        .collect()
});

/// Inventories have nine hosts at most; the rest are strays.
pub const MOST_HOSTS: usize = 11;

/// The five files of a host's `paths.pki`.
pub fn papers(node: &NodeName, kind: Papers) -> &'static Generation {
    &PAPERS[&(node.clone(), kind)]
}

fn issue(host: &DesiredHost, kind: Papers) -> Generation {
    let (ca, at) = match kind {
        Papers::Fresh => (&*AUTHORITY, epoch()),
        Papers::Ageing => (&*AUTHORITY, epoch() - 350 * DAY),
        Papers::Expired => (&*AUTHORITY, epoch() - 400 * DAY),
        Papers::Foreign => (&*STRANGER, epoch()),
    };
    let desired = inventory([], V3_5);
    let server = ca.issue(&server_spec(&desired, host), at).unwrap();
    let peer = ca.issue(&peer_spec(&desired, host), at).unwrap();
    let files = host_files(&[ca.certificate().clone()], &server, &peer);
    let facts = files.into_iter().map(|file| {
        let content = match &file.content {
            FileContent::Public(text) => Some(text.clone()),
            FileContent::Secret(_) => None,
        };
        let sha256 = hex::encode(Sha256::digest(file.content.expose_bytes()));
        let facts = FileFacts {
            sha256,
            mode: file.mode,
            owner: "etcd".into(),
            content,
        };
        (host.paths.pki.join(file.name), facts)
    });
    facts.collect()
}

/// A machine on which nothing is wrong.
pub fn system(host: &DesiredHost) -> SystemFacts {
    let disk = DiskFacts {
        free_bytes: 20 << 30,
        total_bytes: 40 << 30,
        writable: true,
        filesystem: "ext4".into(),
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
        missing_tools: Vec::new(),
        time_service: Some("systemd-timesyncd".into()),
    }
}
