//! `backup ...` as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::backup::Keep;
use crate::inventory::NodeName;

/// `backup ...`
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Take a snapshot of the healthiest follower, sealed to the operators' keys
    #[command(
        after_help = "Examples:\n  quorate backup create\n  quorate backup create --out /mnt/usb/prod.qbackup\n  quorate backup create --plain --out snapshot.db     as `etcdctl snapshot save` writes it"
    )]
    Create(CreateArgs),
    /// The backups of this cluster in a directory, newest first
    List {
        /// The directory [default: backups/ beside the inventory]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Hold a restore drill: restore it into a scratch directory, start a private etcd on it, compare
    #[command(
        after_help = "Exit code 0: it can be restored and is what its manifest says; 11: it contradicts its manifest.\n\nExamples:\n  quorate backup verify backups/prod-a-20261121T113700Z-manual.qbackup\n  quorate backup verify            the newest in backups/"
    )]
    Verify {
        /// The backup, or any etcd snapshot [default: the newest in backups/ beside the inventory]
        file: Option<PathBuf>,
        /// Where to restore it to for the drill; takes about three times the snapshot's size
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
    },
    /// Delete backups that no rule keeps
    #[command(
        after_help = "Example:\n  quorate backup prune --keep-last 3 --keep-hourly 24 --keep-daily 7 --keep-weekly 5 --keep-monthly 12\n\nTimes are UTC. Files that are no backup of this cluster are never touched."
    )]
    Prune(PruneArgs),
}

/// `backup create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Write it to this file [default: backups/CLUSTER-TIME-REASON.qbackup beside the inventory]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Do not seal it: a plain etcd snapshot, readable by whoever gets it, with its manifest in FILE.json
    #[arg(long, conflicts_with = "recipient")]
    pub plain: bool,
    /// Seal it to this age or SSH public key (or file of them) instead of `pki.recipients` (may be repeated)
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// What it is for; part of the file's name
    #[arg(long, default_value = "manual", value_name = "WORD")]
    pub reason: String,
}

/// `backup prune`
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// The directory [default: backups/ beside the inventory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to keep
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Only say what would be deleted
    #[arg(long)]
    pub dry_run: bool,
}

/// How many backups to keep
#[derive(Debug, Clone, Copy, Args)]
#[group(required = true, multiple = true)]
pub struct KeepArgs {
    /// Keep the newest N
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub keep_last: usize,
    /// Keep the newest of each of the last N hours that have one
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub keep_hourly: usize,
    /// ... of the last N days
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub keep_daily: usize,
    /// ... of the last N weeks
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub keep_weekly: usize,
    /// ... of the last N months
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub keep_monthly: usize,
}

impl From<KeepArgs> for Keep {
    fn from(args: KeepArgs) -> Self {
        Self {
            last: args.keep_last,
            hourly: args.keep_hourly,
            daily: args.keep_daily,
            weekly: args.keep_weekly,
            monthly: args.keep_monthly,
        }
    }
}

/// `restore`
#[derive(Debug, Args)]
#[command(
    after_help = "Stops all members, moves their data aside, restores the same snapshot on each and starts them together. Interrupted?\nRun it again: it goes on. Nothing else touches the cluster meanwhile.\n\nKubernetes: stop all API servers first, start them again afterwards.\n\nExamples:\n  quorate restore backups/prod-a-20261121T113700Z-manual.qbackup --accept-data-loss\n  quorate restore snapshot.db --accept-data-loss        a file from `etcdctl snapshot save`\n  quorate restore db --without etcd-3 --accept-data-loss   a bare member/snap/db; etcd-3 is gone"
)]
pub struct Restore {
    /// A sealed backup, a snapshot of etcdctl, or the member/snap/db of a stopped member
    pub file: PathBuf,
    /// Leave this host out because it is gone (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub without: Vec<NodeName>,
    /// Do not raise revisions: caches that outlive the restore go stale without noticing
    #[arg(long)]
    pub no_bump: bool,
    /// Do not take a snapshot of what is there first
    #[arg(long)]
    pub no_snapshot: bool,
    /// Take a backup of a cluster with another name
    #[arg(long)]
    pub from_another_cluster: bool,
}
