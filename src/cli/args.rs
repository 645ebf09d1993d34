//! The command line exactly as it is typed. What it means is decided elsewhere.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use super::backup_args::{AlarmCommand, BackupCommand, CreateArgs, PruneArgs, Recover, Restore, ScheduleArgs};
use crate::inventory::{Address, NodeName, Version};

/// Brings up and looks after etcd clusters over SSH.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, about, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// Flags every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  quorate init --host etcd-1=10.0.0.11 --host etcd-2=10.0.0.12 --host etcd-3=10.0.0.13
  quorate bundle create --out etcd.qbundle etcd-v3.6.16-linux-amd64.tar.gz
  quorate trust                 pin the hosts' SSH keys after a look at the fingerprints
  quorate plan                  what `up` would do, with diffs; changes nothing
  quorate up                    from bare hosts to a healthy cluster; again: repairs what differs
  quorate status                the members at a glance

Exit codes: 0 done, 1 unexpected, 2 usage, 3 inventory invalid, 4 blocked by a safety rule, 5 host unreachable or login
refused, 6 a step failed (safe to run again), 7 plan is stale, 8 locked by another operator, 9 bundle missing or
invalid, 10 `plan` found changes, 11 unhealthy, 130 interrupted.";

/// Flags every command takes, before or after its name.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The inventory
    #[arg(
        short,
        long,
        global = true,
        env = "QUORATE_INVENTORY",
        default_value = "inventory.yml",
        value_name = "FILE"
    )]
    pub inventory: PathBuf,
    /// The bundle of etcd releases [default: the one inside this program, else *.qbundle beside the inventory]
    #[arg(long, global = true, env = "QUORATE_BUNDLE", value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Output for people, or one JSON object a line
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Human)]
    pub output: OutputFormat,
    /// Answer yes to questions (never to losing quorum or data)
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Allow steps after which clients are without etcd for a while
    #[arg(long, global = true)]
    pub accept_outage: bool,
    /// Allow steps that delete data or go back to older data
    #[arg(long, global = true)]
    pub accept_data_loss: bool,
    /// Take no snapshot before an upgrade, a removal, a replacement or a restore, nor after a restore
    #[arg(long, global = true)]
    pub no_snapshot: bool,
    /// Write to the cluster all the while and report gaps, failed attempts and elections (commands that change it)
    #[arg(long, global = true)]
    pub probe: bool,
    /// Work on this host only (may be repeated)
    #[arg(long, global = true, value_name = "NAME")]
    pub limit: Vec<NodeName>,
    /// Hosts to work on at the same time
    #[arg(long, global = true, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,
    /// Read the sudo password from this file descriptor instead of asking
    #[arg(long, global = true, value_name = "FD", value_parser = clap::value_parser!(u32).range(3..))]
    pub sudo_password_fd: Option<u32>,
    /// Read the sudo password from the environment variable of this name instead of asking
    #[arg(long, global = true, value_name = "VARIABLE", conflicts_with = "sudo_password_fd")]
    pub sudo_password_env: Option<String>,
    /// Tell more (timings, round trips)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Also ask etcd: start it for a moment on this machine with what each host would get, on scratch data
    #[arg(long = "try")]
    pub ask_etcd: bool,
}

/// How output looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented inventory to start from
    Init(Init),
    /// Check the inventory, the bundle and the rendered files, offline
    #[command(after_help = "Examples:\n  quorate check\n  quorate check --try")]
    Check(Check),
    /// Show what would land on each host (no secrets)
    Render(Render),
    /// Show what `up` would do, host by host, with diffs; changes nothing
    Plan(PlanArgs),
    /// Bring hosts, config, version, certificates and members in line with the inventory
    Up(Up),
    /// Restart the members one by one: unhealthy ones first, the leader last
    #[command(after_help = "Examples:\n  quorate restart --probe\n  quorate restart --limit etcd-2")]
    Restart,
    /// Add a host: it joins as a learner and gets its vote once it has caught up
    AddNode(AddNode),
    /// Take a member out of the cluster and of the inventory, also when its host is dead
    RemoveNode(RemoveNode),
    /// Put a new member in the place of one that is gone for good
    ReplaceNode(ReplaceNode),
    /// Tell whether this host may be stopped or rebooted now, and why not (exit code 4)
    OkToStop(OkToStop),
    /// Move the members to a newer etcd, one by one, a snapshot first
    Upgrade(Upgrade),
    /// Move the members to an older etcd, where etcd allows it
    Downgrade(Downgrade),
    /// Pin the SSH keys the hosts show now, after a look at their fingerprints
    Trust,
    /// The cluster at a glance
    Status(Status),
    /// The member list
    Members,
    /// Whether the cluster is healthy, each member proved by itself (exit code 11 when not)
    Health,
    /// Examine hosts and cluster against etcd's own guidance: each finding with what to do (exit code 11: problems)
    #[command(
        after_help = "Looks and changes nothing. Problems are what is broken or will be soon; advice works, and etcd's guides are against\nit. Databases up to 1 GiB are compared by etcd's own hash, one member after the\nother: each answers nobody meanwhile.\n\nExamples:\n  quorate doctor\n  quorate doctor --output json | jq '.findings[] | select(.severity == \"problem\")'"
    )]
    Doctor,
    /// Make, show, check or embed a bundle of etcd releases
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Take, list, check and prune backups
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Go back to a backup: a whole new cluster from one snapshot, on all hosts
    Restore(Restore),
    /// Go on from what a minority still has: the majority is gone for good
    Recover(Recover),
    /// Give the free space inside the members' databases back to the disk, one by one, the leader last
    #[command(
        after_help = "A member answers nobody while it is defragmented; raft goes on without it. Left alone are those where it is not\nworth it: less than 80 % of the quota in use and less than 200 MiB free in the file.\n\nExamples:\n  quorate defrag\n  quorate defrag --limit etcd-2 --force"
    )]
    Defrag {
        /// Also where it is not worth it
        #[arg(long)]
        force: bool,
    },
    /// Forget old revisions
    #[command(
        after_help = "Examples:\n  quorate compact               all but the newest 1000\n  quorate compact --keep 0      all but the present state"
    )]
    Compact {
        /// How many of the newest revisions stay; who watches from an older one has to list anew
        #[arg(long, value_name = "N", default_value_t = 1000)]
        keep: u64,
    },
    /// List alarms, or remove their cause and then them
    #[command(subcommand)]
    Alarm(AlarmCommand),
    /// Compare the data of all members: etcd's hash of everything at one revision (exit code 11: they differ)
    #[command(
        after_help = "One member after the other: each answers nobody while it reads all of its data (about a gigabyte a second).\n\nExample:\n  quorate check-hashes"
    )]
    CheckHashes,
    /// Show, renew and issue certificates; change the CA
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Run the bundle's own etcdctl against the cluster, through the SSH connections
    #[command(
        after_help = "Examples:\n  quorate ctl -- get --prefix /registry --keys-only\n  quorate ctl -- endpoint status -w table"
    )]
    Ctl(Ctl),
    /// Show the journal of a member's unit
    Logs(Logs),
    /// Open a shell on a host
    Ssh(Ssh),
    /// Take the lock of a run that is gone or stuck (recorded on the hosts)
    Unlock(Unlock),
    /// Print shell completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    Man {
        /// A page for each command into this directory [default: one page on standard output]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print the JSON schema of the inventory
    Schema,
}

/// `init`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  quorate init --host etcd-1=10.0.0.11 --host etcd-2=10.0.0.12 --host etcd-3=10.0.0.13"
)]
pub struct Init {
    /// A host and the address its peers reach it at (may be repeated)
    #[arg(long = "host", value_name = "NAME=ADDRESS", value_parser = parse_host)]
    pub hosts: Vec<(NodeName, Address)>,
    /// The cluster's name
    #[arg(long, default_value = "etcd", value_name = "NAME")]
    pub cluster: crate::inventory::ClusterName,
    /// The etcd release [default: the newest in the bundle beside the inventory, else 3.6.16]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<Version>,
}

fn parse_host(text: &str) -> Result<(NodeName, Address), String> {
    let (name, address) = text
        .split_once('=')
        .ok_or("write it as NAME=ADDRESS, like etcd-1=10.0.0.11")?;
    Ok((
        name.parse().map_err(|e| format!("{e}"))?,
        address.parse().map_err(|e| format!("{e}"))?,
    ))
}

/// `render`
#[derive(Debug, Args)]
pub struct Render {
    /// Write the files below this directory, a folder a host, instead of printing them
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `plan`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: nothing to change; 10: there are changes.\n\nExample:\n  quorate plan --out plan.json && quorate up --plan plan.json"
)]
pub struct PlanArgs {
    /// Save the plan, for `up --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Also remove members that the inventory does not list
    #[arg(long)]
    pub prune: bool,
}

/// `up`
#[derive(Debug, Args)]
#[command(
    after_help = "Interrupted? Run it again: it looks at what is there and goes on.\n\nExamples:\n  quorate up\n  quorate up --dry-run\n  quorate up --plan plan.json --yes"
)]
pub struct Up {
    /// Do exactly this saved plan; refused when the world has moved on since
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Also remove members that the inventory does not list
    #[arg(long)]
    pub prune: bool,
    /// Show the plan and stop
    #[arg(long, conflicts_with = "plan")]
    pub dry_run: bool,
}

/// `add-node`
#[derive(Debug, Args)]
#[command(
    after_help = "The host is written into the inventory if it is not there; comments and order stay. Several at once: add them to\nthe inventory and run `quorate up`.\n\nExample:\n  quorate add-node etcd-4 --address 10.0.0.14"
)]
pub struct AddNode {
    /// Its name
    pub node: NodeName,
    /// The address its peers and clients reach it at [default: as in the inventory]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<Address>,
    /// Where SSH reaches it, if not at its address
    #[arg(long, value_name = "HOST")]
    pub ssh_host: Option<String>,
}

/// `remove-node`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  quorate remove-node etcd-3")]
pub struct RemoveNode {
    /// Who leaves
    pub node: NodeName,
    /// Delete its data instead of moving it aside (takes --accept-data-loss)
    #[arg(long)]
    pub wipe: bool,
}

/// `replace-node`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  quorate replace-node etcd-2 etcd-6 --address 10.0.0.16\n  quorate replace-node etcd-2 etcd-2     the same host, reinstalled or with an empty disk"
)]
pub struct ReplaceNode {
    /// The member that is gone for good
    pub old: NodeName,
    /// Who takes its place
    pub new: NodeName,
    /// The new host's address [default: as in the inventory]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<Address>,
    /// Where SSH reaches it, if not at its address
    #[arg(long, value_name = "HOST")]
    pub ssh_host: Option<String>,
}

/// `ok-to-stop`
#[derive(Debug, Args)]
pub struct OkToStop {
    /// The host
    pub node: NodeName,
}

/// `upgrade`
#[derive(Debug, Args)]
#[command(
    after_help = "Interrupted with Ctrl-C? It stops between two members; run it again to go on.\n\nExample:\n  quorate upgrade --to 3.6.16 --probe"
)]
pub struct Upgrade {
    /// The release to arrive at; minors on the way are taken from the bundle
    #[arg(long, value_name = "VERSION")]
    pub to: Version,
}

/// `downgrade`
#[derive(Debug, Args)]
#[command(
    after_help = "From 3.6 on also back to the minor before: etcd is told first, and members follow one by one. Interrupted? \
                  Run it again to go on, or `quorate upgrade --to` the release it came from to call it off.\n\nExample:\n  \
                  quorate downgrade --to 3.5.30"
)]
pub struct Downgrade {
    /// The release to go back to, of the same minor or the one before
    #[arg(long, value_name = "VERSION")]
    pub to: Version,
}

/// `status`
#[derive(Debug, Args)]
pub struct Status {
    /// Show it again and again until interrupted
    #[arg(long)]
    pub watch: bool,
}

/// `bundle ...`
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Make a bundle from release tarballs, directories or .deb files
    #[command(
        after_help = "Examples:\n  quorate bundle create --out etcd.qbundle etcd-v3.6.16-linux-amd64.tar.gz etcd-v3.6.16-linux-arm64.tar.gz\n  quorate bundle create --out etcd.qbundle /usr/local/bin\n  quorate bundle create --out etcd.qbundle etcd-server_*.deb etcd-client_*.deb\n\nA SHA256SUMS file beside a tarball is checked."
    )]
    Create {
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Release tarballs, directories with etcd, etcdctl and etcdutl, or .deb files
        #[arg(required = true, value_name = "SOURCE")]
        sources: Vec<PathBuf>,
    },
    /// List what a bundle holds
    Show {
        /// The bundle [default: as for every command]
        file: Option<PathBuf>,
    },
    /// Check every byte of a bundle against its manifest
    Verify {
        /// The bundle [default: as for every command]
        file: Option<PathBuf>,
    },
    /// Make one executable that carries this program and the bundle
    #[command(
        after_help = "Example:\n  quorate --bundle etcd.qbundle bundle embed --into quorate-airgap\n\nDo not strip the result: that cuts the bundle off."
    )]
    Embed {
        /// Where to write the executable
        #[arg(long, value_name = "FILE")]
        into: PathBuf,
    },
}

/// `pki ...`
#[derive(Debug, Subcommand)]
pub enum PkiCommand {
    /// Every certificate on every host and on this machine (exit code 11 when one expires soon or differs)
    Show,
    /// Put new certificates on every host; etcd uses them without a restart
    #[command(
        after_help = "Works over SSH alone: also when every certificate has expired and etcd cannot be talked to."
    )]
    Renew,
    /// Change the CA: trust both, reissue everything, drop the old one
    #[command(
        name = "rotate-ca",
        after_help = "Interrupted, or stopped to wait for clients? Run it again: it goes on where it was.\n\nExamples:\n  quorate pki rotate-ca\n  quorate pki rotate-ca --compromised"
    )]
    RotateCa {
        /// Somebody else has the CA's key: do not wait until clients have new certificates
        #[arg(long)]
        compromised: bool,
    },
    /// Issue a client certificate and remember it in issued.yml
    #[command(
        after_help = "Writes NAME.crt, NAME.key (0600) and ca.crt.\n\nExamples:\n  quorate pki issue kube-apiserver --out /etc/kubernetes/pki/etcd\n  quorate pki issue backup --user root --validity 8h --out ./out"
    )]
    Issue(Issue),
    /// Take back the certificates of a client
    #[command(
        after_help = "Members refuse them where the inventory has `pki.crl: true`, once `quorate up` has brought them the list.\n\nExample:\n  quorate pki revoke app && quorate up"
    )]
    Revoke {
        /// The name it was issued under
        name: String,
    },
    /// Ask your company's CA for an intermediate CA: write the request
    #[command(
        after_help = "The key of the request is made here and sealed to the operators at once, like that of any CA; it leaves this machine\nin no other form. Run again, the same request is written again until `pki import` has taken the answer.\n\nExample:\n  quorate pki csr --out etcd.csr"
    )]
    Csr {
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Take what your company's CA returned: the cluster's CA from now on, or after `pki rotate-ca`
    #[command(
        after_help = "FILE holds the intermediate's certificate and all those above it up to the root (PEM, in any order). It is checked\nas a whole, and by issuing every host's certificates with it, before anything is changed.\n\nExample:\n  quorate pki import chain.pem && quorate pki rotate-ca"
    )]
    Import {
        /// The certificates
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write the revocation list (DER, which every etcd reads)
    Crl {
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Seal the CA key anew: to the recipients of the inventory, and to those added here
    #[command(
        after_help = "Also seals a key that was brought along as ca.key. Copies of the old file stay open to whoever could open\nthem: when somebody must not have the key any more, change the CA.\n\nExamples:\n  quorate pki seal --recipient bob.pub\n  quorate pki seal --remove alice@laptop"
    )]
    Seal(Seal),
}

/// `pki issue`
#[derive(Debug, Args)]
pub struct Issue {
    /// Who it is for; also the name of its files
    pub name: String,
    /// Write the files into this directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How long it is valid [default: `pki.leaf_validity` of the inventory]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub validity: Option<std::time::Duration>,
    /// The user it is to etcd [default: its name]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let duration = crate::inventory::quantity::duration(text).filter(|d| !d.is_zero());
    duration.ok_or_else(|| "write it like 8h, 30d or 1y".to_owned())
}

/// `pki seal`
#[derive(Debug, Args)]
pub struct Seal {
    /// Let this one open it too: an age or SSH public key, or a file of them (may be repeated)
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// Let this one open it no longer: a key, or a part of its name (may be repeated)
    #[arg(long, value_name = "KEY")]
    pub remove: Vec<String>,
}

/// `ctl`
#[derive(Debug, Args)]
pub struct Ctl {
    /// etcdctl's own arguments
    #[arg(last = true, required = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// `logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// The host
    pub node: NodeName,
    /// Go on as new lines come
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    pub lines: u32,
}

/// `ssh`
#[derive(Debug, Args)]
pub struct Ssh {
    /// The host
    pub node: NodeName,
    /// A command to run there instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `unlock`
#[derive(Debug, Args)]
pub struct Unlock {
    /// Take it although its holder is alive
    #[arg(long)]
    pub steal: bool,
}
