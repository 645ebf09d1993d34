//! One simulated machine.

use std::collections::BTreeMap;

use crate::host::{FileFacts, SystemFacts};
use crate::inventory::{ClusterId, DesiredHost, HostPath, MemberId, PeerUrl, Version};
use crate::render::option_in;

use super::database::quota;
use super::stock;

/// A machine with a member, or room for one.
#[derive(Debug, Clone)]
pub struct SimHost {
    /// Its name, addresses and paths.
    pub spec: DesiredHost,
    pub link: Link,
    pub system: SystemFacts,
    pub files: BTreeMap<HostPath, FileFacts>,
    pub releases: BTreeMap<Version, BTreeMap<String, String>>,
    pub unit: Unit,
    pub data: Data,
    /// Lives in the data directory, and goes where its contents go.
    pub marker: Option<String>,
    pub set_aside: usize,
    /// Raft entries it takes in per millisecond.
    pub speed: u64,
    /// The only configuration with which etcd comes up here, by digest; `None`: with any.
    pub likes: Option<String>,
    /// Its connections come from an address that its certificate does not name.
    pub moved: bool,
    /// When a reboot ends, on the world's clock.
    pub back_at: Option<u64>,
    /// SHA-256 of the snapshot that was brought here and lies ready.
    pub staged: Option<String>,
    /// What an earlier version left to etcd's account.
    pub loose: Vec<HostPath>,
}

/// Who can reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Up,
    /// The operator cannot log in; its peers reach it.
    Cut,
    /// Powered off.
    Dead,
}

/// The member's unit.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    pub enabled: bool,
    pub process: Option<Process>,
    /// Why it ended last; systemd goes on starting it again.
    pub failed: Option<String>,
    /// When systemd does so next.
    pub retry_at: u64,
    /// It was the machine that started it last, when it came up, and nobody else.
    pub by_itself: bool,
}

/// A running etcd.
#[derive(Debug, Clone)]
pub struct Process {
    pub version: Version,
    pub started_with: BTreeMap<HostPath, String>,
    /// When, on the world's clock.
    pub since: u64,
    /// The others refuse its connections; they reach it themselves.
    pub refused: bool,
    /// Where it listens for its peers.
    pub at: PeerUrl,
    /// It has found a leader once: systemd was told, and it answers clients.
    pub ready: bool,
    /// The size of its database that it takes no writes from, bytes; 0 for none.
    pub quota: u64,
    /// Until when it is busy with defragmenting, on the world's clock.
    pub busy_until: Option<u64>,
}

/// What is in a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Empty,
    Aborted,
    Foreign,
    Member(Disk),
}

/// A member's write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    pub cluster: ClusterId,
    pub member: MemberId,
    /// The last raft entry on it.
    pub index: u64,
    /// The last entry that its newest snapshot of the raft log covers; 0 where there is none.
    pub snapshot: u64,
    /// Bytes of the database file beside it.
    pub file: u64,
    /// The database has other contents than those of the other members.
    pub odd: bool,
}

impl Disk {
    pub fn new(cluster: ClusterId, member: MemberId, index: u64) -> Self {
        Self {
            cluster,
            member,
            index,
            snapshot: 0,
            file: 0,
            odd: false,
        }
    }
}

impl Process {
    /// A process that has just been started with what lies on the host now.
    pub fn of(host: &SimHost, version: Version, now: u64) -> Self {
        Self {
            version,
            started_with: host.read_at_a_start(),
            since: now,
            refused: host.moved,
            at: host.configured_at(),
            ready: false,
            quota: quota(host.text(&host.spec.paths.config).unwrap_or_default()),
            busy_until: None,
        }
    }
}

impl SimHost {
    /// A machine that quorate has never touched.
    pub fn bare(n: usize) -> Self {
        let spec = stock::host(n);
        Self {
            system: stock::system(&spec),
            spec,
            link: Link::Up,
            files: BTreeMap::new(),
            releases: BTreeMap::new(),
            unit: Unit::default(),
            data: Data::Empty,
            marker: None,
            set_aside: 0,
            speed: 10_000,
            likes: None,
            moved: false,
            back_at: None,
            staged: None,
            loose: Vec::new(),
        }
    }

    /// Where its configuration has it listen for its peers.
    fn configured_at(&self) -> PeerUrl {
        let config = self.text(&self.spec.paths.config);
        let told = config.and_then(|config| option_in(config, "initial-advertise-peer-urls"));
        let told = told.as_ref().and_then(|told| told.as_str());
        told.map_or_else(|| self.spec.peer_url(), |url| PeerUrl(url.to_owned()))
    }

    /// Where its peers reach it, or would.
    pub fn peer_url(&self) -> PeerUrl {
        self.unit
            .process
            .as_ref()
            .map_or_else(|| self.configured_at(), |process| process.at.clone())
    }

    /// Its data, when it is a member's.
    pub fn disk(&self) -> Option<Disk> {
        match &self.data {
            Data::Member(disk) => Some(*disk),
            _ => None,
        }
    }

    /// A member that runs, as its peers see it.
    pub fn live(&self) -> Option<(Disk, &Process)> {
        let process = self.unit.process.as_ref().filter(|_| self.link != Link::Dead)?;
        Some((self.disk()?, process))
    }

    /// Whether it runs, and had been started with the world once before.
    pub fn was_restarted(&self) -> bool {
        self.unit.process.as_ref().is_some_and(|process| process.since > 0)
    }

    /// The release that runs.
    pub fn runs(&self) -> Option<Version> {
        self.unit.process.as_ref().map(|process| process.version)
    }

    /// Hashes of what a process reads when it starts, as the unit notes them.
    pub fn read_at_a_start(&self) -> BTreeMap<HostPath, String> {
        let read = [
            self.spec.paths.config.clone(),
            self.spec.paths.pki.join("ca.crt"),
            self.unit_path(),
        ];
        read.into_iter()
            .filter_map(|path| Some((path.clone(), self.files.get(&path)?.sha256.clone())))
            .collect()
    }

    pub fn unit_path(&self) -> HostPath {
        crate::render::unit_path(&self.spec.service)
    }

    pub fn text(&self, path: &HostPath) -> Option<&str> {
        self.files.get(path)?.content.as_deref()
    }
}
