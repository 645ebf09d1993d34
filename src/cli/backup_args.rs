//! `backup ...` as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::backup::Keep;
use crate::backup::place::Address;
use crate::inventory::NodeName;

/// `backup ...`
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Take a snapshot of the healthiest follower, sealed to the operators' keys
    #[command(
        after_help = "Examples:\n  quorate backup create\n  quorate backup create --out /mnt/usb/prod.qbackup\n  quorate backup create --plain --out snapshot.db     as `etcdctl snapshot save` writes it\n  quorate backup create --to s3://backups/etcd --to ssh://keeper@10.0.0.9/srv/etcd\n\nS3: credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or ~/.aws/credentials; AWS_ENDPOINT_URL and AWS_REGION for\nstorage that is not Amazon's. SSH: the host's key has to be in ~/.ssh/known_hosts."
    )]
    Create(CreateArgs),
    /// List the backups of this cluster, newest first
    List {
        /// The directory [default: backups/ beside the inventory]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Another place: a directory, s3://BUCKET/PREFIX or ssh://USER@HOST/DIR
        #[arg(long, value_name = "PLACE", conflicts_with = "dir")]
        at: Option<Address>,
    },
    /// Copy a backup from another place to this machine
    #[command(
        after_help = "Example:\n  quorate backup fetch --at s3://backups/etcd            the newest, into backups/"
    )]
    Fetch {
        /// Its name there [default: the newest of this cluster]
        name: Option<String>,
        /// The place: a directory, s3://BUCKET/PREFIX or ssh://USER@HOST/DIR
        #[arg(long, value_name = "PLACE")]
        at: Address,
        /// The file to write [default: backups/NAME beside the inventory]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Prove that a backup can be restored: restore it into a scratch directory and start a private etcd on it
    #[command(
        after_help = "Exit code 0: it can be restored and matches its manifest; 11: it does not match its manifest.\n\nExamples:\n  quorate backup verify backups/prod-a-20261121T113700Z-manual.qbackup\n  quorate backup verify            the newest in backups/\n\nOn a machine that cannot run etcd (macOS), and with --on, a host of the cluster looks at it: nothing is restored or\nstarted there. The host's etcdutl reads the snapshot in a temporary directory and, from 3.6 on, hashes all of its keys."
    )]
    Verify(VerifyArgs),
    /// Delete backups that no rule keeps
    #[command(
        after_help = "Example:\n  quorate backup prune --keep-last 3 --keep-hourly 24 --keep-daily 7 --keep-weekly 5 --keep-monthly 12\n\nTimes are UTC. Each signer's backups are counted separately. Backups that this cluster's CA did not sign, or that are dated\nin the future, are neither counted nor deleted; files that are not backups of this cluster are never touched."
    )]
    Prune(PruneArgs),
    /// Set up scheduled backups on the hosts as in `backup` of the inventory, and take a first one
    #[command(
        after_help = "The inventory defines the schedule, the destination and how many to keep:\n\n  backup:\n    schedule: daily\n    to: s3://backups/etcd\n    keep: {daily: 14, monthly: 12}\n\nThe timers of all members run at the same time; the first follower that answers takes the backup and seals it to the\noperators before it leaves the host. If there is no backup after --patience, the next member takes over.\n`quorate status` shows the age of the newest backup. Run this again after a change, or after adding a host.\n\nExamples:\n  quorate backup schedule\n  quorate backup schedule --remove"
    )]
    Schedule(ScheduleArgs),
    /// What a host's timer runs
    #[command(hide = true)]
    Run {
        /// The orders, as `backup schedule` wrote them
        orders: PathBuf,
    },
}

/// `backup schedule`
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    /// Remove timers, keys and programs; backups are kept
    #[arg(long)]
    pub remove: bool,
    /// How long each member waits for the ones before it
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = patience)]
    pub patience: Duration,
    /// The quorate executable for the hosts, if this one does not run there; one for each architecture (may be repeated)
    #[arg(long, value_name = "FILE")]
    pub program: Vec<PathBuf>,
}

fn patience(text: &str) -> Result<Duration, String> {
    crate::inventory::quantity::duration(text).ok_or_else(|| "expected a duration such as 10m".to_owned())
}

/// `backup create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Write it to this file [default: backups/CLUSTER-TIME-REASON.qbackup beside the inventory]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Do not seal it: write a plain etcd snapshot, readable by anyone who gets it, with its manifest in FILE.json
    #[arg(long, conflicts_with = "recipient")]
    pub plain: bool,
    /// Seal it to this age or SSH public key (or file of them) instead of `pki.recipients` (may be repeated)
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// Also copy it to this place: a directory, s3://BUCKET/PREFIX or ssh://USER@HOST/DIR (may be repeated)
    #[arg(long, value_name = "PLACE", conflicts_with = "plain")]
    pub to: Vec<Address>,
    /// The reason; part of the file name
    #[arg(long, default_value = "manual", value_name = "WORD")]
    pub reason: String,
}

/// `backup verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The backup, or any etcd snapshot [default: the newest in backups/ beside the inventory]
    pub file: Option<PathBuf>,
    /// The directory to restore into; needs about three times the snapshot's size
    #[arg(long, value_name = "DIR", conflicts_with = "on")]
    pub scratch: Option<PathBuf>,
    /// Do not restore it here: send it to this host, whose etcdutl reads it
    #[arg(long, value_name = "HOST")]
    pub on: Option<NodeName>,
    /// The file is the member/snap/db of a stopped member, although it looks like a snapshot without its checksum
    #[arg(long)]
    pub bare: bool,
    /// Accept a file that this cluster's CA did not sign: a snapshot of etcdctl, an old backup, another cluster's
    #[arg(long)]
    pub unsigned: bool,
}

/// `backup prune`
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// The directory [default: backups/ beside the inventory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Another place: a directory, s3://BUCKET/PREFIX or ssh://USER@HOST/DIR
    #[arg(long, value_name = "PLACE", conflicts_with = "dir")]
    pub at: Option<Address>,
    /// What to keep
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Also delete backups that this cluster's CA did not sign, counted separately
    #[arg(long)]
    pub unsigned: bool,
    /// Only show what would be deleted
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
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Stops all members, moves their data aside, restores the same snapshot on each, and starts them together. Interrupted?\nRun it again to continue. No other run touches the cluster meanwhile.\n\nKubernetes: stop all API servers first, start them again afterwards.\n\nExamples:\n  quorate restore backups/prod-a-20261121T113700Z-manual.qbackup --accept-data-loss\n  quorate restore snapshot.db --unsigned --accept-data-loss        a file from `etcdctl snapshot save`\n  quorate restore db --unsigned --without etcd-3 --accept-data-loss   a bare member/snap/db; etcd-3 is gone"
)]
pub struct Restore {
    /// A sealed backup, a snapshot of etcdctl, or the member/snap/db of a stopped member
    pub file: PathBuf,
    /// Exclude this host because it is gone (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub without: Vec<NodeName>,
    /// Do not raise revisions: caches that outlive the restore become stale without noticing
    #[arg(long)]
    pub no_bump: bool,
    /// The file is the member/snap/db of a stopped member, although it looks like a snapshot without its checksum
    #[arg(long)]
    pub bare: bool,
    /// Accept a backup of a cluster with another name
    #[arg(long)]
    pub from_another_cluster: bool,
    /// Accept a file that this cluster's CA did not sign: a snapshot of etcdctl, an old backup, another cluster's
    #[arg(long)]
    pub unsigned: bool,
}

/// `recover`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Shows how far each raft log goes and what may be lost, stops the remaining members, backs up the newest data to\nbackups/, and restores it on every participating host, as a new cluster. Interrupted? Run it again to continue.\n\nExamples:\n  quorate recover --accept-data-loss                          etcd-2 and etcd-3 are back, with empty disks\n  quorate recover --without etcd-2 --without etcd-3 --accept-data-loss    they are not coming back"
)]
pub struct Recover {
    /// Exclude this host because it is gone (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub without: Vec<NodeName>,
    /// Rebuild from this member instead of the one with the newest data
    #[arg(long, value_name = "NAME")]
    pub from: Option<NodeName>,
    /// Do not raise revisions: caches that outlive the recovery become stale without noticing
    #[arg(long)]
    pub no_bump: bool,
}

/// `alarm ...`
#[derive(Debug, Subcommand)]
pub enum AlarmCommand {
    /// List active alarms (exit code 11 if there are any)
    #[command(after_help = "Example:\n  quorate alarm list")]
    List,
    /// NOSPACE: compact, defragment every member, then disarm. CORRUPT: only when all members hold the same data
    #[command(after_help = "Example:\n  quorate alarm disarm --yes")]
    Disarm,
}
