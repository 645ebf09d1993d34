//! Observations for the tests of rules and plans: hosts and a cluster as they are when all is well, to be changed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::backup::{Manifest, SnapshotDigest};
use crate::etcd::{Header, Member, MemberStatus, RaftLog};
use crate::host::{DataFacts, DataState, DiskFacts, HostFacts, ServiceFacts, ServiceState, SystemFacts};
use crate::inventory::samples::{cluster_of, host};
use crate::inventory::{Arch, ClusterId, Desired, MemberId, NodeName, Version};
use crate::ops::model::{Fact, Membership, Observed, Policy, Supplies};
use crate::ops::restore::RestoreOrder;
use crate::ops::safety::bootstrap::Marker;

/// The cluster that the samples belong to.
pub const CLUSTER: ClusterId = ClusterId(0xabc);
const RELEASE: Version = Version::new(3, 5, 30);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// `n1`, `n2`, ...
pub fn name(n: usize) -> NodeName {
    format!("n{n}").parse().unwrap()
}

/// An inventory of so many hosts.
pub fn desired(hosts: usize) -> Desired {
    let hosts: Vec<_> = (1..=hosts)
        .map(|n| host(&format!("n{n}"), &format!("10.0.0.{n}")))
        .collect();
    let mut desired = cluster_of(RELEASE, hosts);
    desired.pki.ca_validity = YEAR;
    desired.pki.renew_before = Duration::ZERO;
    desired
}

/// A host that runs its member, with ten gigabytes free.
pub fn facts(desired: &Desired, n: usize) -> HostFacts {
    let spec = &desired.hosts[&name(n)];
    let marker = Marker {
        cluster: desired.cluster.clone(),
        cluster_id: CLUSTER,
        member: spec.name.clone(),
        complete: true,
    };
    let disk = DiskFacts {
        free_bytes: 10 << 30,
        total_bytes: 20 << 30,
        writable: true,
        filesystem: "ext4".into(),
        free_inodes: Some(1 << 20),
    };
    let binaries = ["etcd", "etcdctl", "etcdutl"].map(|file| (file.to_owned(), "00".repeat(32)));
    HostFacts {
        system: SystemFacts {
            hostname: spec.name.to_string(),
            machine_id: format!("machine {n}"),
            arch: Some(Arch::Amd64),
            os: "Debian".into(),
            kernel: "6.1".into(),
            systemd: Some(252),
            root: true,
            clock_offset_seconds: 0.0,
            clock_uncertainty_seconds: 0.0,
            boot_id: "boot".into(),
            disks: BTreeMap::from([(spec.paths.data.clone(), disk)]),
            memory: 8 << 30,
            swap: 0,
            listeners: Vec::new(),
            other_etcd: Vec::new(),
            member_units: Vec::new(),
            unprivileged_port: None,
            libc: None,
            missing_tools: Vec::new(),
            time_service: None,
        },
        files: BTreeMap::new(),
        service: ServiceFacts {
            state: ServiceState::Running,
            enabled: true,
            needs_reload: false,
            pid: Some(7),
            running_version: Some(RELEASE),
            running_exe: None,
            exe_replaced: false,
            started_with: BTreeMap::new(),
            last_exit: None,
            active_seconds: Some(60),
            restarts: 0,
            drop_ins: Vec::new(),
            ignored_environment: Vec::new(),
        },
        data: DataFacts {
            state: DataState::Bootstrapped,
            bytes: 100 << 20,
            db_bytes: 20 << 20,
            marker: Some(marker.to_text()),
            set_aside: Vec::new(),
            elsewhere: Default::default(),
        },
        releases: BTreeMap::from([(RELEASE, BTreeMap::from(binaries))]),
        lock: None,
        loose: Vec::new(),
        exposed: Vec::new(),
        obstacles: Vec::new(),
    }
}

/// A stopped host without data.
pub fn empty(desired: &Desired, n: usize) -> HostFacts {
    let mut facts = facts(desired, n);
    facts.data.state = DataState::Empty;
    facts.data.marker = None;
    stop(&mut facts);
    facts
}

/// Its member does not run.
pub fn stop(facts: &mut HostFacts) {
    facts.service.state = ServiceState::Stopped;
    facts.service.pid = None;
}

/// Every host runs; the cluster is not looked at.
pub fn observed(desired: &Desired) -> Observed {
    let hosts = (1..=desired.hosts.len()).map(|n| (name(n), Fact::Known(facts(desired, n))));
    Observed {
        at: "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap(),
        hosts: hosts.collect(),
        cluster: Fact::Unknown("no member answers".into()),
        auth: Fact::Absent,
        clients: (1..=desired.hosts.len())
            .map(|n| (name(n), Fact::Known(Vec::new())))
            .collect(),
        replays: BTreeMap::new(),
    }
}

/// A healthy cluster of all hosts, led by the first; 20 MiB databases, half free.
pub fn membership(desired: &Desired) -> Membership {
    let members: Vec<Member> = (1..=desired.hosts.len())
        .map(|n| Member {
            id: MemberId(n as u64),
            name: name(n).to_string(),
            peer_urls: vec![desired.hosts[&name(n)].peer_url()],
            client_urls: vec![desired.hosts[&name(n)].client_url()],
            learner: false,
        })
        .collect();
    let status = members.iter().map(|m| (m.id, Fact::Known(status(m.id))));
    Membership {
        cluster_id: CLUSTER,
        by_quorum: true,
        status: status.collect(),
        members,
        alarms: Vec::new(),
        peers: BTreeMap::new(),
        unseen: BTreeMap::new(),
        works_at: BTreeMap::new(),
    }
}

/// What a healthy member says.
pub fn status(id: MemberId) -> MemberStatus {
    MemberStatus {
        header: Header {
            cluster_id: CLUSTER,
            member_id: id,
            revision: 5000,
            raft_term: 2,
        },
        version: RELEASE,
        db_size: 20 << 20,
        db_in_use: 10 << 20,
        db_quota: 0,
        leader: MemberId(1),
        raft_index: 6000,
        raft_applied: 6000,
        raft_term: 2,
        errors: Vec::new(),
        learner: false,
        storage_version: None,
        downgrade: None,
    }
}

/// A raft log that goes so far.
pub fn log(committed: u64, last: u64) -> Fact<RaftLog> {
    Fact::Known(RaftLog {
        committed,
        last_term: 2,
        last,
        term: 2,
    })
}

/// A bundle with the wanted release; no CA yet.
pub fn supplies() -> Supplies {
    let binaries = ["etcd", "etcdctl", "etcdutl"].map(|file| (file.to_owned(), "00".repeat(32)));
    let releases = BTreeMap::from([(RELEASE, BTreeMap::from([(Arch::Amd64, BTreeMap::from(binaries))]))]);
    Supplies {
        releases,
        ca_pem: None,
        next_ca: None,
        clients: Vec::new(),
        crl: None,
        keyless: false,
    }
}

/// A backup of that cluster, as the command line hands it to the planner.
pub fn backup() -> RestoreOrder {
    RestoreOrder {
        snapshot: SnapshotDigest {
            sha256: "ab".repeat(32),
            size: 1 << 30,
        },
        file: "prod-a.qbackup".into(),
        bare: false,
        manifest: Some(manifest()),
        begun: "2026-01-01T00:00:00Z".parse().unwrap(),
        bump: Some(1_000_000_000),
        without: Vec::new(),
        snapshot_first: true,
        any_cluster: false,
        unsigned: false,
    }
}

/// What that backup says of itself.
pub fn manifest() -> Manifest {
    Manifest {
        quorate_backup: 1,
        cluster: "prod-a".parse().unwrap(),
        cluster_id: CLUSTER,
        reason: "manual".into(),
        taken_at: "2025-12-31T00:00:00Z".parse().unwrap(),
        taken_from: "n2".into(),
        etcd_version: RELEASE,
        members: Vec::new(),
        revision: 40,
        keys: 3,
        hash: None,
        inventory_sha256: String::new(),
        snapshot: SnapshotDigest::default(),
        sealed_to: Vec::new(),
        created_by: "test".into(),
    }
}

/// With `--accept-data-loss`.
pub const ACCEPTED: Policy = Policy {
    accept_outage: false,
    accept_data_loss: true,
    no_snapshot: false,
    way_chosen: false,
    clients_ready: false,
};
