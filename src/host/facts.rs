//! What one look at a host tells: plain data, read in one round trip, no judgement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::libc::Libc;
use crate::inventory::{Arch, HostPath, Version};

/// Everything quorate reads from a host before it plans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The machine itself.
    pub system: SystemFacts,
    /// The files quorate manages here, by path; a path that does not exist is not in the map.
    pub files: BTreeMap<HostPath, FileFacts>,
    /// The member's unit (or supervised process).
    pub service: ServiceFacts,
    /// The data directory.
    pub data: DataFacts,
    /// Releases below `paths.bin`, each with the SHA-256 (hex) of the files in it, by file name.
    pub releases: BTreeMap<Version, BTreeMap<String, String>>,
    /// Who holds the lock, when somebody does.
    pub lock: Option<LockHolder>,
    /// Directories that must be root's ([`super::FactsQuery::roots`]) and belong to somebody else.
    #[serde(default)]
    pub loose: Vec<HostPath>,
    /// Where the account of the member's data may exchange what leads to them.
    #[serde(default)]
    pub exposed: Vec<Exposed>,
    /// What would keep a new member from starting here.
    #[serde(default)]
    pub obstacles: Vec<Obstacle>,
}

/// Something on a host that is not as a member needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// The member's account cannot go through a directory.
    Closed {
        /// The directory.
        above: String,
        /// What is below it.
        path: HostPath,
    },
    /// One of the inventory's paths is a symbolic link.
    Link {
        /// The path.
        path: HostPath,
        /// What it leads to; `?` where that is no plain name.
        target: String,
    },
    /// The file system of the programs lets none run.
    NoExec {
        /// Where it is mounted.
        at: String,
    },
    /// The unit is masked: whoever did that does not want it to start.
    Masked,
}

/// A directory that its own account could replace by something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposed {
    /// The directory above it that the account may write to.
    pub above: String,
    /// The directory.
    pub path: HostPath,
}

impl HostFacts {
    /// The newest release that is installed.
    pub fn newest_release(&self) -> Option<Version> {
        self.releases.keys().next_back().copied()
    }
}

/// The machine itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemFacts {
    /// `uname -n`.
    pub hostname: String,
    /// /etc/machine-id; empty where there is none.
    pub machine_id: String,
    /// `uname -m` as etcd names it; `None` for one etcd has no release for.
    pub arch: Option<Arch>,
    /// `PRETTY_NAME` of os-release.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// systemd's version where it is pid 1.
    pub systemd: Option<u32>,
    /// Whether scripts run as uid 0.
    pub root: bool,
    /// The host's clock minus the operator's, in seconds (half the round trip taken off).
    pub clock_offset_seconds: f64,
    /// Half of the round trip: how wrong `clock_offset_seconds` may be.
    pub clock_uncertainty_seconds: f64,
    /// Kernel boot id: differs after a reboot.
    pub boot_id: String,
    /// Bytes free on the file system that holds (or would hold) each path, with whether it takes writes.
    pub disks: BTreeMap<HostPath, DiskFacts>,
    /// Bytes of memory in all.
    pub memory: u64,
    /// Bytes of swap in all.
    pub swap: u64,
    /// TCP ports somebody listens on, of those asked about; with the process where that could be told.
    pub listeners: Vec<Listener>,
    /// Other etcd processes than the unit's own: pid and command line.
    pub other_etcd: Vec<String>,
    /// Units of quorate's that start members at boot, those of other clusters among them.
    #[serde(default)]
    pub member_units: Vec<MemberUnit>,
    /// The first TCP port that an account other than root may listen on, where the kernel says so.
    #[serde(default)]
    pub unprivileged_port: Option<u16>,
    /// The version of glibc; `None` where there is another C library.
    #[serde(default)]
    pub libc: Option<Libc>,
    /// Tools that are missing of those the scripts use (`zstd` and `gzip` are optional, the rest fatal).
    pub missing_tools: Vec<String>,
    /// `chrony`, `systemd-timesyncd`, ... when a time service is active.
    pub time_service: Option<String>,
}

/// A unit that quorate has written for a member, as its first line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberUnit {
    /// The unit's name, without `.service`.
    pub service: String,
    /// The member that it runs.
    pub member: String,
    /// The member's cluster.
    pub cluster: String,
}

/// A tool that unpacks what is sent packed, called as `TOOL -d -c`. A host may have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unpacker {
    Zstd,
    Gzip,
}

impl Unpacker {
    /// All that are looked for.
    pub const ALL: [Unpacker; 2] = [Unpacker::Zstd, Unpacker::Gzip];

    /// Its name.
    pub fn tool(self) -> &'static str {
        match self {
            Unpacker::Zstd => "zstd",
            Unpacker::Gzip => "gzip",
        }
    }
}

impl SystemFacts {
    /// Whether it is there.
    pub fn has(&self, unpacker: Unpacker) -> bool {
        !self.missing_tools.iter().any(|tool| tool == unpacker.tool())
    }
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DiskFacts {
    pub free_bytes: u64,
    pub total_bytes: u64,
    pub writable: bool,
    pub filesystem: String,
    /// `None` where the file system makes them as it needs them.
    #[serde(default)]
    pub free_inodes: Option<u64>,
}

/// A listening TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The address it listens on, as text.
    pub address: String,
    /// True when the listener belongs to the member's own unit.
    pub ours: bool,
    /// `name (pid N)` when known.
    pub process: Option<String>,
}

/// One managed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner's account name (or number where it has none).
    pub owner: String,
    /// The content, for files that are not secret (never set for `*.key`).
    pub content: Option<String>,
}

/// The member's unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// What the service manager says.
    pub state: ServiceState,
    /// Starts by itself at boot.
    pub enabled: bool,
    /// The unit file on disk is newer than what the manager has loaded.
    pub needs_reload: bool,
    /// Main process.
    pub pid: Option<u32>,
    /// Release the running executable belongs to, from /proc/PID/exe below `paths.bin`.
    pub running_version: Option<Version>,
    /// The executable that is running.
    pub running_exe: Option<String>,
    /// The file of the running executable has been replaced since: the process still runs the old one.
    pub exe_replaced: bool,
    /// SHA-256 of config, unit and CA file as they were when the process started, by path: what it really runs with.
    pub started_with: BTreeMap<HostPath, String>,
    /// Exit code or signal of the last end, as text.
    pub last_exit: Option<String>,
    /// Seconds since it became active.
    pub active_seconds: Option<u64>,
    /// Restarts by the manager since it was loaded.
    pub restarts: u32,
    /// Files that change the unit beside the one quorate writes (`systemctl edit`).
    pub drop_ins: Vec<String>,
    /// Names of `ETCD_*` variables that the process has and ignores: it takes its options from its config file alone.
    pub ignored_environment: Vec<String>,
}

/// What the service manager says of the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// No such unit.
    Missing,
    /// Known, not running, no failure.
    Stopped,
    /// Started, not ready yet (etcd says ready only once it has joined a quorum).
    Starting,
    /// Ready.
    Running,
    /// Failed, or waiting to be restarted after a failure.
    Failed,
}

/// The data directory. Telling these apart decides whether a bootstrap would destroy something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// What is in it.
    pub state: DataState,
    /// Bytes it takes on disk (the `member` directory).
    pub bytes: u64,
    /// The database file's size in bytes, 0 where there is none.
    pub db_bytes: u64,
    /// The marker quorate leaves beside the data: cluster name and cluster id at bootstrap.
    pub marker: Option<String>,
    /// Old data moved aside, by path.
    pub set_aside: Vec<String>,
    /// What is known of the member's data besides.
    #[serde(default)]
    pub elsewhere: Elsewhere,
}

/// Traces of a member's data at other places than where the inventory has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The data directory that the member's process has open, or else that its configuration on the host names, where
    /// that is another one and there is a member in it.
    pub data: Option<String>,
    /// The same of the directory with its write-ahead log.
    pub log: Option<String>,
    /// Mount points of /etc/fstab above one of the directories, where nothing is mounted.
    pub unmounted: Vec<String>,
}

/// What is in a data directory. Source: a WAL file means "bootstrapped" to etcd (`HaveWAL` in etcd's bootstrap).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataState {
    /// Not there, or empty.
    Empty,
    /// A database without a WAL: an aborted first start, or a lost WAL.
    Aborted,
    /// At least one WAL file: this member has been bootstrapped.
    Bootstrapped,
    /// Something that is not etcd's.
    Foreign,
}

/// Who holds the lock of a cluster on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Random id of the run.
    pub id: String,
    /// `user@machine`.
    pub who: String,
    /// Process id on the operator's machine.
    pub pid: u32,
    /// RFC 3339.
    pub since: String,
    /// What it is doing: the command line.
    pub doing: String,
    /// False when its process on the host is gone and the lock is only a remainder.
    pub alive: bool,
}
