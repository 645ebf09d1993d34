//! The command line exactly as it is typed. What it means is decided elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use super::backup_args::{
    AlarmCommand, BackupCommand, CreateArgs, PruneArgs, Recover, Restore, ScheduleArgs, VerifyArgs,
};
pub use super::many::args::{FleetArgs, Report};
use super::many::part::Part;
pub use super::planned::Planned;
pub use super::users_args::{LoginReader, UsersCommand, UsersFiles, UsersPassword};
use crate::clients::firewall::Network;
use crate::clients::kube::Consumer;
use crate::inventory::{Address, NodeName, Version};
use crate::ops::adopt::names::provisional;
use crate::ops::doctor::Kind;

/// Deploy and operate etcd clusters over SSH.
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
  quorate trust                 pin the hosts' SSH keys after showing their fingerprints
  quorate plan                  what `up` would do; changes nothing
  quorate up                    from bare hosts to a healthy cluster; later: apply changes, repair
  quorate status                the health of the cluster and its members

Exit codes:
    0  done                          7  the plan is stale
    1  unexpected error              8  locked by another operator
    2  usage                         9  bundle missing or invalid
    3  inventory invalid            10  `plan` or --dry-run: changes
    4  blocked by a safety rule     11  unhealthy, or a problem
    5  host unreachable             130 interrupted
    6  a step failed; run it again";

/// Flags every command takes, before or after its name.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The inventory; several, or a pattern in quotes, are a fleet (may be repeated)
    #[arg(
        id = "inventory",
        short,
        long = "inventory",
        global = true,
        env = "QUORATE_INVENTORY",
        default_value = "inventory.yml",
        value_name = "FILE"
    )]
    pub inventories: Vec<PathBuf>,
    /// The one that the command runs for.
    #[arg(skip)]
    pub inventory: PathBuf,
    /// The bundle of etcd releases [default: the one inside this program, else *.qbundle beside the inventory]
    #[arg(long, global = true, env = "QUORATE_BUNDLE", value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Output for people, or JSON, one object per line
    #[arg(short, long, global = true, value_enum, default_value_t = OutputFormat::Human)]
    pub output: OutputFormat,
    /// Do not prompt (does not accept outages or data loss)
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Show the plan and exit: 10 if there are changes, 0 if there are none (commands that change a cluster)
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Allow steps that make etcd unavailable to clients for a while
    #[arg(long, global = true)]
    pub accept_outage: bool,
    /// Allow steps that delete data or return to older data
    #[arg(long, global = true)]
    pub accept_data_loss: bool,
    /// Skip the snapshots around upgrades, removals, replacements and restores
    #[arg(long, global = true)]
    pub no_snapshot: bool,
    /// Write to the cluster during the change, and report gaps, failed attempts and elections
    #[arg(long, global = true)]
    pub probe: bool,
    /// Work only on this host (may be repeated)
    #[arg(long, global = true, value_name = "NAME")]
    pub limit: Vec<NodeName>,
    /// Hosts to work on at the same time [default: 16]; with --fleet, clusters [default: 8 to look, 1 to change]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: Option<u16>,
    /// Read the sudo password from this file descriptor instead of asking
    #[arg(long, global = true, value_name = "FD", value_parser = clap::value_parser!(u32).range(3..))]
    pub sudo_password_fd: Option<u32>,
    /// Read the sudo password from the environment variable of this name instead of asking
    #[arg(long, global = true, value_name = "VARIABLE", conflicts_with = "sudo_password_fd")]
    pub sudo_password_env: Option<String>,
    /// Show more (file contents in plans, round trips)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Which clusters
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Set where the command runs for one cluster of several.
    #[arg(skip)]
    pub part: Option<Arc<Part>>,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Also start etcd briefly on this machine with each host's configuration, on scratch data
    #[arg(long = "try")]
    pub ask_etcd: bool,
    /// Also log in to every host and check whether it can run its member, before the first `up`; nothing is changed
    #[arg(long)]
    pub hosts: bool,
}

/// How output looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Human,
    /// JSON, one object per line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented inventory to start from
    Init(Init),
    /// Take over a running cluster that something else made: write its inventory, take its CA in; restarts nothing
    Adopt(Adopt),
    /// Check the inventory, the bundle and the rendered files, offline
    #[command(after_help = "Examples:\n  quorate check\n  quorate check --try\n  quorate check --hosts")]
    Check(Check),
    /// Show every setting that counts, with --explain also which file says so; reaches no host
    Config(Config),
    /// Show the files each host would get (no secrets)
    Render(Render),
    /// Show what `up` would do, host by host; changes nothing
    Plan(PlanArgs),
    /// Make hosts, configuration, version, certificates and members match the inventory
    Up(Up),
    /// Restart the members one by one: unhealthy ones first, the leader last
    #[command(
        after_help = "Interrupted? Run it again: members that have had their turn are skipped.\n\nExamples:\n  quorate restart --probe\n  quorate restart --limit etcd-2"
    )]
    Restart {
        /// Also members that had their turn in an interrupted restart
        #[arg(long)]
        all: bool,
    },
    /// Stop one member for maintenance of its host, and start it again afterwards
    Maintain(Maintain),
    /// Stop every member on purpose, until `quorate start` (requires --accept-outage)
    #[command(
        after_help = "The followers stop first, the leader last. No member starts by itself, not even at boot.\nInterrupted? Run it again, or start what is down with `quorate start`.\n\nExample:\n  quorate stop --accept-outage\n  quorate stop --accept-outage --without etcd-3      etcd-3 cannot be reached"
    )]
    Stop(Stop),
    /// Start the members that are down, together, and wait until they are healthy
    #[command(
        after_help = "Hosts that cannot be reached are left out while the others are a majority. Members in maintenance stay down.\n\nExample:\n  quorate start"
    )]
    Start,
    /// Destroy the cluster: take a last backup, stop every member, move its data aside, remove what was installed
    Destroy(Destroy),
    /// Add a member: it joins as a learner and is promoted once it has caught up
    AddNode(AddNode),
    /// Remove a member from the cluster and the inventory, even if its host is dead
    RemoveNode(RemoveNode),
    /// Replace a member that is gone for good
    ReplaceNode(ReplaceNode),
    /// Check whether a host may be stopped or rebooted now (exit code 4 if not, with the reason)
    OkToStop(OkToStop),
    /// Upgrade the members to a newer etcd release, one by one, after a snapshot
    Upgrade(Upgrade),
    /// Downgrade the members to an older etcd release, where etcd allows it
    Downgrade(Downgrade),
    /// Pin the hosts' SSH keys after showing their fingerprints
    Trust,
    /// Show the health of the cluster and its members
    Status(Status),
    /// Show the member list
    Members,
    /// Check whether the cluster is healthy, member by member (exit code 11 if not)
    Health,
    /// Check hosts and cluster against etcd's guidance; each finding says what to do (exit code 11: problems)
    #[command(
        after_help = "Changes nothing. A problem is broken or about to break; advice is about what works but goes against etcd's guidance.\nDatabases up to 1 GiB are compared by etcd's own hash, one member at a time: a member serves no clients meanwhile.\nWith --for it measures for that long instead, and says what is slow now and what is to blame.\n\nExamples:\n  quorate doctor\n  quorate doctor --for 30s\n  quorate doctor --output json | jq '.findings[] | select(.severity == \"problem\")'"
    )]
    Doctor(Doctor),
    /// Create, show, verify or embed a bundle of etcd releases
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Take, list, verify, prune and schedule backups
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Restore a backup: create a new cluster from one snapshot, on all hosts
    Restore(Restore),
    /// Rebuild the cluster from a surviving minority when the majority is gone for good
    Recover(Recover),
    /// Return free space in the members' databases to the disk, one member at a time, the leader last
    #[command(
        after_help = "A member serves no clients while it is defragmented; raft continues without it. Members that would gain little\nare skipped: less than 80 % of the quota in use and less than 200 MiB free in the file.\n\nExamples:\n  quorate defrag\n  quorate defrag --limit etcd-2 --force"
    )]
    Defrag {
        /// Also members that would gain little
        #[arg(long)]
        force: bool,
    },
    /// Compact old revisions
    #[command(
        after_help = "Examples:\n  quorate compact               all but the newest 1000\n  quorate compact --keep 0      all but the current state"
    )]
    Compact {
        /// How many of the newest revisions to keep; watchers of older ones have to list again
        #[arg(long, value_name = "N", default_value_t = 1000)]
        keep: u64,
    },
    /// List alarms, or fix their cause and disarm them
    #[command(subcommand)]
    Alarm(AlarmCommand),
    /// Compare the data of all members: etcd's hash of everything at one revision (exit code 11: they differ)
    #[command(
        after_help = "One member at a time: a member serves no clients while it reads all of its data (about a gigabyte a second).\n\nExample:\n  quorate check-hashes"
    )]
    CheckHashes,
    /// Show, renew and issue certificates; change the CA
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Run the bundle's own etcdctl against the cluster, through the SSH connections
    #[command(
        after_help = "Examples:\n  quorate ctl -- get --prefix /registry --keys-only\n  quorate ctl -- endpoint status -w table\n  quorate ctl --on etcd-1 -- get key      with the host's own etcdctl; by default where this machine cannot run etcdctl (macOS)"
    )]
    Ctl(Ctl),
    /// Connect Kubernetes: client certificate and configuration, and whether a release can use this cluster
    #[command(subcommand)]
    Kube(KubeCommand),
    /// Passwords of etcd's users, for clients that speak JSON: Patroni, APISIX
    #[command(subcommand)]
    Users(UsersCommand),
    /// Print a HAProxy configuration for clients that know a single address
    Lb(Lb),
    /// Write scrape configuration, targets, alerts and a dashboard for Prometheus and Grafana
    Monitoring(Monitoring),
    /// Write what `status` and `doctor` find as one static HTML page, and as Markdown
    Report(Report),
    /// Print firewall rules for the members' ports
    Firewall(Firewall),
    /// Print what a shell needs for etcdctl, of a certificate made with `pki issue`
    #[command(
        after_help = "Examples:\n  quorate pki issue admin --user root --out ./out\n  eval \"$(quorate env admin --dir ./out)\" && etcdctl endpoint health"
    )]
    Env(Env),
    /// Show the journal of a member's unit
    Logs(Logs),
    /// Open a shell on a host
    Ssh(Ssh),
    /// Show or take over the lock of a run that is dead or stuck (recorded on the hosts)
    Unlock(Unlock),
    /// Print shell completions
    Completions {
        /// The shell to generate completions for
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    Man {
        /// Write one page per command into this directory [default: one page on standard output]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print the JSON schema of the inventory
    Schema,
    /// What the scripts of `completions` ask: names that only the inventory and its directory know
    #[command(hide = true)]
    Complete {
        /// The words of the command line up to the cursor, the program's name left out
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// `init`
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is written when a host cannot be taken over; what was left out is reported.\n\nExamples:\n  quorate init --host etcd-1=10.0.0.11 --host etcd-2=10.0.0.12 --host etcd-3=10.0.0.13\n  quorate init --from inventory.ini --group etcd      an Ansible inventory, INI or YAML\n  terraform output -json | quorate init --from -\n  kubectl get nodes -o json | quorate init --from -   the control plane\n  quorate init --from ~/.ssh/config --group 'etcd-*'"
)]
pub struct Init {
    /// A host and the address its peers reach it at (may be repeated)
    #[arg(long = "host", value_name = "NAME=ADDRESS", value_parser = parse_host)]
    pub hosts: Vec<(NodeName, Address)>,
    /// Take the hosts from this file (`-`: standard input) of Ansible, Terraform, Kubernetes or SSH
    #[arg(long, value_name = "FILE", conflicts_with = "hosts")]
    pub from: Option<PathBuf>,
    /// Which of its hosts: a group of Ansible's, an output of Terraform's, a role of nodes, a pattern of SSH hosts
    #[arg(long, value_name = "NAME", requires = "from")]
    pub group: Option<String>,
    /// What kind of file it is [default: told by its content]
    #[arg(long, value_enum, requires = "from")]
    pub format: Option<crate::inventory::import::Format>,
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
        .ok_or("expected NAME=ADDRESS, for example etcd-1=10.0.0.11")?;
    Ok((
        name.parse().map_err(|e| format!("{e}"))?,
        address.parse().map_err(|e| format!("{e}"))?,
    ))
}

/// A host that gets its name once it was looked at.
fn parse_from(text: &str) -> Result<(NodeName, Address), String> {
    let address: Address = text.parse().map_err(|e| format!("{e}"))?;
    let name = provisional(&address).map_err(|_| "this name is too long for a host: pass its IP address")?;
    Ok((name, address))
}

/// `adopt`
#[derive(Debug, Args)]
#[command(
    after_help = "Looks at what runs, not at files. Nothing is written when something cannot be taken over; every reason is said at once.\nWrites the inventory, pki/ with the CA (its key sealed to you), and a note beside the data of each member.\nThe first restart is the next `quorate up`: one member at a time, followers first.\nWithout the CA's key: pass --client-cert and --client-key, and replace the CA after that with `quorate pki rotate-ca`.\n\nExamples:\n  quorate adopt --cluster prod-a --ca-key ca.key --from 10.0.0.11 10.0.0.12 10.0.0.13\n  quorate adopt --cluster prod-a --ca-key ca.key --host etcd-1=10.0.0.11 --host etcd-2=10.0.0.12 --host etcd-3=10.0.0.13"
)]
pub struct Adopt {
    /// A host by the name of its member, and its address (may be repeated; all members of the cluster)
    #[arg(long = "host", value_name = "NAME=ADDRESS", value_parser = parse_host, required_unless_present = "from")]
    pub hosts: Vec<(NodeName, Address)>,
    /// The hosts of all members, each called as its member, or as it calls itself where that is `default`
    #[arg(long, value_name = "HOST", num_args = 1.., value_parser = parse_from, conflicts_with = "hosts")]
    pub from: Vec<(NodeName, Address)>,
    /// The private key of the CA that signed the certificates of members and clients
    #[arg(long, value_name = "FILE", required_unless_present = "client_cert")]
    pub ca_key: Option<PathBuf>,
    /// Where nobody has that key: a client certificate of the CA, to ask the members with
    #[arg(long, value_name = "FILE", requires = "client_key", conflicts_with = "ca_key")]
    pub client_cert: Option<PathBuf>,
    /// The key of that client certificate
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// What the cluster is to be called
    #[arg(long, default_value = "etcd", value_name = "NAME")]
    pub cluster: crate::inventory::ClusterName,
}

/// `config`
#[derive(Debug, Args)]
#[command(
    after_help = "An inventory shares the settings of every `defaults.yml` beside and above it, up to the root of the repository; the\nnearest file wins, and the inventory is the nearest.\n\nExamples:\n  quorate config --explain\n  quorate config --explain etcd.config\n  quorate config etcd.version --output json"
)]
pub struct Config {
    /// Only this key, and what is below it
    pub key: Option<String>,
    /// Also the file and line of each value, or that it is the default
    #[arg(long)]
    pub explain: bool,
}

/// `render`
#[derive(Debug, Args)]
pub struct Render {
    /// Write the files to this directory, one subdirectory per host, instead of printing them
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `plan`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit code 0: nothing to change; 10: there are changes. `quorate plan restart` is the same as `quorate restart --dry-run`.\n\nExamples:\n  quorate plan -v                                            with what changes inside files\n  quorate plan --out plan.json; quorate up --plan plan.json\n  quorate plan --markdown > plan.md                          for a pull request"
)]
pub struct PlanArgs {
    /// Whose plan; without one, that of `up`
    #[command(subcommand)]
    pub of: Option<Planned>,
    /// Print it as Markdown, with what changes inside files folded away
    #[arg(long)]
    pub markdown: bool,
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
    after_help = "Interrupted? Run it again: it continues from the current state.\n\nExamples:\n  quorate up\n  quorate up --dry-run\n  quorate up --plan plan.json --yes"
)]
pub struct Up {
    /// Apply exactly this saved plan; refused if anything has changed since
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub plan: Option<PathBuf>,
    /// Also remove members that the inventory does not list
    #[arg(long)]
    pub prune: bool,
}

/// `add-node`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The host is added to the inventory if it is not there; comments and order are kept. To add several at once, add them\nto the inventory and run `quorate up`.\n\nExample:\n  quorate add-node etcd-4 --address 10.0.0.14"
)]
pub struct AddNode {
    /// Its name
    pub node: NodeName,
    /// The address that peers and clients use to reach it [default: from the inventory]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<Address>,
    /// The SSH host, if it differs from its address
    #[arg(long, value_name = "HOST")]
    pub ssh_host: Option<String>,
}

/// `remove-node`
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  quorate remove-node etcd-3")]
pub struct RemoveNode {
    /// The member to remove
    pub node: NodeName,
    /// Delete its data instead of moving it aside (requires --accept-data-loss)
    #[arg(long, conflicts_with = "unlisted")]
    pub wipe: bool,
    /// A member that the inventory does not list: its process and data are left as they are
    #[arg(long)]
    pub unlisted: bool,
}

/// `replace-node`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  quorate replace-node etcd-2 etcd-6 --address 10.0.0.16\n  quorate replace-node etcd-2 etcd-2     the same host, reinstalled or with an empty disk"
)]
pub struct ReplaceNode {
    /// The member that is gone for good
    pub old: NodeName,
    /// The host that takes its place
    pub new: NodeName,
    /// The new host's address [default: from the inventory]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<Address>,
    /// The SSH host, if it differs from its address
    #[arg(long, value_name = "HOST")]
    pub ssh_host: Option<String>,
}

/// `ok-to-stop`
#[derive(Debug, Args)]
pub struct OkToStop {
    /// The host
    pub node: NodeName,
}

/// `maintain`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The member stops only if `ok-to-stop` allows it, after transferring leadership. It stays down until the maintenance ends,\nalso when its host reboots meanwhile. Then it starts, and is healthy, caught up and connected before the command ends.\n\nExamples:\n  quorate maintain etcd-2            stop, wait for Enter, start\n  quorate maintain etcd-2 --stop; ...; quorate maintain etcd-2 --done"
)]
pub struct Maintain {
    /// The host
    pub node: NodeName,
    /// Only stop the member
    #[arg(long, conflicts_with = "done")]
    pub stop: bool,
    /// Only start it again: the maintenance is over
    #[arg(long)]
    pub done: bool,
}

/// `destroy`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Requires --accept-data-loss. Refused while clients are connected, and without a last backup, which is saved to backups/ and\nverified. Without a terminal, pass the name of the cluster with --name; --yes is not enough.\nInterrupted? Run it again. To keep the cluster after all: `quorate start`, while its members have their data.\n\nExamples:\n  quorate destroy --accept-data-loss\n  quorate destroy --name prod-a --accept-data-loss --without etcd-3"
)]
pub struct Destroy {
    /// The name of the cluster, as in the inventory, instead of typing it when prompted
    #[arg(long, value_name = "NAME")]
    pub name: Option<crate::inventory::ClusterName>,
    /// Exclude a host that cannot be reached (may be repeated); it is destroyed by the same command when it is back
    #[arg(long, value_name = "NAME")]
    pub without: Vec<NodeName>,
    /// Delete the data instead of moving it aside
    #[arg(long)]
    pub wipe: bool,
}

/// `upgrade`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Ctrl-C stops it between two members; run it again to continue.\n\nExample:\n  quorate upgrade --to 3.6.16 --probe"
)]
pub struct Upgrade {
    /// The target release; minor releases on the way are taken from the bundle
    #[arg(long, value_name = "VERSION")]
    pub to: Version,
}

/// `downgrade`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "From 3.6 on, also to the previous minor release: the downgrade is enabled in etcd first, then members follow one by one. Interrupted? Run it again to continue, or cancel it with `quorate upgrade --to` the release it came \
                  from.\n\nExample:\n  \
                  quorate downgrade --to 3.5.33"
)]
pub struct Downgrade {
    /// The target release, of the same minor release or the previous one
    #[arg(long, value_name = "VERSION")]
    pub to: Version,
}

/// `status`
#[derive(Debug, Args)]
pub struct Status {
    /// Refresh until interrupted
    #[arg(long)]
    pub watch: bool,
}

/// `bundle ...`
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Create a bundle from release tarballs, directories or .deb files
    #[command(
        after_help = "Examples:\n  quorate bundle create --out etcd.qbundle etcd-v3.6.16-linux-amd64.tar.gz etcd-v3.6.16-linux-arm64.tar.gz\n  quorate bundle create --out etcd.qbundle /usr/local/bin\n  quorate bundle create --out etcd.qbundle etcd-server_*.deb etcd-client_*.deb\n\nA SHA256SUMS file beside a tarball is checked."
    )]
    Create {
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Release tarballs, directories with etcd, etcdctl and etcdutl, or .deb files
        #[arg(required = true, value_name = "SOURCE")]
        sources: Vec<PathBuf>,
    },
    /// List the contents of a bundle
    Show {
        /// The bundle [default: see --bundle]
        file: Option<PathBuf>,
        /// Print its manifest instead, byte for byte: what a signature is made of
        #[arg(long)]
        manifest: bool,
    },
    /// List what is inside the programs of a bundle: modules, versions and checksums, as CycloneDX (JSON)
    #[command(
        after_help = "The list is read from the programs themselves, where Go's linker wrote it. It has no licences: they are not there.\n\nExample:\n  quorate bundle sbom etcd.qbundle >etcd.cdx.json"
    )]
    Sbom {
        /// The bundle [default: see --bundle]
        file: Option<PathBuf>,
    },
    /// Sign a bundle with an SSH key: BUNDLE.sig beside it
    #[command(
        after_help = "The signature is one of `ssh-keygen -Y` over the bundle's manifest, for the namespace `quorate-bundle`.\n\nExamples:\n  quorate bundle sign etcd.qbundle                                 the only key of the agent\n  quorate bundle sign etcd.qbundle --key ~/.ssh/id_ed25519.pub     that key of the agent\n  quorate bundle sign etcd.qbundle --key ~/.ssh/release_ed25519    a key file\n\nWithout quorate:\n  quorate bundle show --manifest etcd.qbundle | ssh-keygen -Y sign -n quorate-bundle -f KEY - >etcd.qbundle.sig"
    )]
    Sign {
        /// The bundle [default: see --bundle]
        file: Option<PathBuf>,
        /// A private key, or the public half of one that the agent holds [default: the only one that the agent holds]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Verify every byte of a bundle against its manifest, and its signature
    #[command(
        after_help = "The signature lies beside the bundle, in BUNDLE.sig. Without --allowed-signers it is checked where both it and\npki/allowed_signers beside the inventory are there.\n\nWithout quorate:\n  tar -xOf etcd.qbundle manifest.json |\n    ssh-keygen -Y verify -n quorate-bundle -f pki/allowed_signers -I alice@example.com -s etcd.qbundle.sig"
    )]
    Verify {
        /// The bundle [default: see --bundle]
        file: Option<PathBuf>,
        /// Demand the signature of somebody whom this file lists, in the format of ssh-keygen(1)
        #[arg(long, value_name = "FILE")]
        allowed_signers: Option<PathBuf>,
    },
    /// Create one executable that contains this program and the bundle
    #[command(
        after_help = "Example:\n  quorate --bundle etcd.qbundle bundle embed --into quorate-airgap\n\nDo not strip the result: that cuts the bundle off."
    )]
    Embed {
        /// The executable to write
        #[arg(long, value_name = "FILE")]
        into: PathBuf,
    },
}

/// `pki ...`
#[derive(Debug, Subcommand)]
pub enum PkiCommand {
    /// Show every certificate on the hosts and on this machine (exit code 11 if one expires soon or differs)
    Show,
    /// Install new certificates on every host; etcd uses them without a restart
    #[command(
        after_help = "Needs only SSH: it works even if every certificate has expired and etcd cannot be reached."
    )]
    Renew,
    /// Rotate the CA: trust both, reissue all certificates, remove the old one
    #[command(
        name = "rotate-ca",
        after_help = "Interrupted, or stopped to wait for clients? Run it again to continue.\n\nExamples:\n  quorate pki rotate-ca\n  quorate pki rotate-ca --compromised"
    )]
    RotateCa {
        /// The CA key has leaked: do not wait until clients have new certificates
        #[arg(long)]
        compromised: bool,
        /// After `adopt`: every client trusts both CAs and has a certificate of the new one
        #[arg(long)]
        clients_ready: bool,
    },
    /// Issue a client certificate and record it in issued.yml
    #[command(
        after_help = "Writes NAME.crt, NAME.key (0600) and ca.crt.\n\nExamples:\n  quorate pki issue kube-apiserver --out /etc/kubernetes/pki/etcd\n  quorate pki issue backup --user root --validity 8h --out ./out"
    )]
    Issue(Issue),
    /// Issue a certificate to an operator who only looks, sealed to their key in pki/viewers
    #[command(
        after_help = "With it, and a login on the hosts, `status`, `doctor`, `plan` and the like work without the CA key. To etcd it is the\ncertificate of a client: without etcd's own users, whoever has it can read and write.\n\nExamples:\n  quorate pki viewer bob --recipient bob.pub\n  quorate pki viewer ci --recipient ci.pub --validity 30d"
    )]
    Viewer(Viewer),
    /// Revoke the certificates of a client or viewer
    #[command(
        after_help = "Members refuse them if the inventory has `pki.crl: true`, once `quorate up` has installed the list.\n\nExample:\n  quorate pki revoke app && quorate up"
    )]
    Revoke {
        /// The name it was issued under
        name: String,
    },
    /// Write a request for an intermediate CA, to be signed by your company's CA
    #[command(
        after_help = "The request's key is created here and immediately sealed to the operators, like that of any CA; it leaves this machine\nin no other form. Until `pki import` has taken the answer, running this again writes the same request.\n\nExample:\n  quorate pki csr --out etcd.csr"
    )]
    Csr {
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Import the chain that your company's CA returned, as the cluster's CA or for the next `pki rotate-ca`
    #[command(
        after_help = "FILE contains the intermediate's certificate and all those above it up to the root (PEM, in any order). Before anything\nis changed, the chain is checked, and every host's certificates are issued with it on trial.\n\nExample:\n  quorate pki import chain.pem && quorate pki rotate-ca"
    )]
    Import {
        /// The certificate chain
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write the revocation list (DER, which every etcd reads)
    Crl {
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Seal the CA key again: to the recipients in the inventory and those added here
    #[command(
        after_help = "Also seals an existing key placed there as ca.key. Copies of the old file can still be opened by their recipients: if\nsomeone must lose access to the key, rotate the CA.\n\nExamples:\n  quorate pki seal --recipient bob.pub\n  quorate pki seal --remove alice@laptop"
    )]
    Seal(Seal),
}

/// `pki issue`
#[derive(Debug, Args)]
pub struct Issue {
    /// The client's name; also the name of its files
    pub name: String,
    /// Write the files into this directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Validity [default: `pki.leaf_validity` of the inventory]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub validity: Option<std::time::Duration>,
    /// The etcd user [default: the client's name]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

pub(super) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let duration = crate::inventory::quantity::duration(text).filter(|d| !d.is_zero());
    duration.ok_or_else(|| "expected a duration such as 8h, 30d or 1y".to_owned())
}

/// `doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Measure for so long (1s to 1h) and say what is slow now: disks, network, processors, clients
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_window)]
    pub window: Option<std::time::Duration>,
    /// Explain a finding by its id: what it means, by which measure, what else to know; asks nobody
    #[arg(long, value_name = "ID", value_parser = kinds(), hide_possible_values = true, conflicts_with = "window")]
    pub explain: Option<Kind>,
}

/// The ids of findings.
fn kinds() -> impl TypedValueParser<Value = Kind> {
    let id = |id: String| Kind::ALL.iter().copied().find(|kind| kind.id() == id);
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.id()))
        .try_map(move |text| id(text).ok_or("no such finding"))
}

fn parse_window(text: &str) -> Result<std::time::Duration, String> {
    let duration = crate::inventory::quantity::duration(text).filter(|d| (1..=3600).contains(&d.as_secs()));
    duration.ok_or_else(|| "expected a duration from 1s to 1h, such as 30s".to_owned())
}

/// `pki viewer`
#[derive(Debug, Args)]
pub struct Viewer {
    /// The operator's name; also the name of the file
    pub name: String,
    /// Seal it to this age or SSH public key, or a file of them (may be repeated)
    #[arg(long, value_name = "KEY", required = true)]
    pub recipient: Vec<String>,
    /// Validity [default: `pki.leaf_validity` of the inventory]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub validity: Option<std::time::Duration>,
    /// The etcd user [default: the operator's name]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// `pki seal`
#[derive(Debug, Args)]
pub struct Seal {
    /// Add a recipient: an age or SSH public key, or a file of them (may be repeated)
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// Remove a recipient: a key, or part of its name (may be repeated)
    #[arg(long, value_name = "KEY")]
    pub remove: Vec<String>,
}

/// `stop`
#[derive(Debug, Clone, Args)]
pub struct Stop {
    /// Stop the others although this host cannot be reached (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub without: Vec<NodeName>,
}

/// `ctl`
#[derive(Debug, Args)]
pub struct Ctl {
    /// Run the etcdctl of this host there, not the bundle's here
    #[arg(long, value_name = "HOST")]
    pub on: Option<NodeName>,
    /// etcdctl's own arguments
    #[arg(last = true, required = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// `lb`
#[derive(Debug, Args)]
#[command(
    after_help = "Changes no host. Most clients take a list of endpoints and need no load balancer.\n\nExamples:\n  quorate lb --address etcd.example.com >etcd.cfg && haproxy -c -f etcd.cfg\n  quorate lb --address 10.0.0.10 --port 12379"
)]
pub struct Lb {
    /// What clients dial: it must be in every member's certificate (may be repeated)
    #[arg(long, value_name = "ADDRESS")]
    pub address: Vec<Address>,
    /// The port that clients dial [default: the members' client port]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// On the load balancer: the CA file [default: /etc/haproxy/etcd/CLUSTER-ca.crt]
    #[arg(long, value_name = "FILE", value_parser = plain_path)]
    pub cacert: Option<String>,
    /// On the load balancer: client certificate and key in one file [default: /etc/haproxy/etcd/CLUSTER.pem]
    #[arg(long, value_name = "FILE", value_parser = plain_path)]
    pub cert: Option<String>,
}

/// `kube ...`
#[derive(Debug, Subcommand)]
pub enum KubeCommand {
    /// Issue a client certificate, and write it and the configuration as the consumer expects them
    #[command(
        after_help = "Keys have mode 0600, and a .gitignore names them. Changes no host.\n\nExamples:\n  quorate kube files --for kubeadm\n  quorate kube files --for capi --cluster-name prod --namespace clusters --out capi-prod\n  quorate kube files --for kubeadm --prefix /two --name second-kubernetes --out two"
    )]
    Files(KubeFiles),
    /// Check whether API servers can use every member of this cluster (exit code 11 if not)
    #[command(
        after_help = "Changes nothing.\n\nExamples:\n  quorate kube check --kubernetes 1.36\n  quorate kube check --cacert kubeadm/pki/etcd/ca.crt --cert kubeadm/pki/apiserver-etcd-client.crt \\\n    --key kubeadm/pki/apiserver-etcd-client.key"
    )]
    Check(KubeCheck),
}

/// `kube files`
#[derive(Debug, Args)]
pub struct KubeFiles {
    /// Who reads the files
    #[arg(long = "for", value_name = "CONSUMER", value_parser = consumer())]
    pub consumer: Consumer,
    /// Write them into this directory [default: the consumer's name]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace files that are there already
    #[arg(long)]
    pub replace: bool,
    /// The name in issued.yml; another one for each Kubernetes that uses this cluster [default: the user]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The user it is to etcd [default: kube-apiserver-etcd-client, cilium or calico]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// How long the certificate is valid [default: `pki.leaf_validity` of the inventory]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub validity: Option<std::time::Duration>,
    /// The keys' prefix, where several Kubernetes share this cluster [default: /registry]
    #[arg(long, value_name = "PREFIX", value_parser = plain_path)]
    pub prefix: Option<String>,
    /// The Kubernetes cluster's name (Cluster API) [default: that of the inventory]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<crate::inventory::ClusterName>,
    /// The namespace of its objects (Cluster API) [default: default]
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<crate::inventory::ClusterName>,
}

/// `kube check`
#[derive(Debug, Args)]
pub struct KubeCheck {
    /// The Kubernetes release, like 1.36 [default: the newest that this program knows]
    #[arg(long, value_name = "RELEASE")]
    pub kubernetes: Option<crate::ops::doctor::kubernetes::Release>,
    /// The CA file of the API servers, to check their own files instead of a certificate created for this run
    #[arg(long, value_name = "FILE", requires_all = ["cert", "key"])]
    pub cacert: Option<PathBuf>,
    /// Their client certificate
    #[arg(long, value_name = "FILE", requires_all = ["cacert", "key"])]
    pub cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires_all = ["cacert", "cert"])]
    pub key: Option<PathBuf>,
}

/// The names of those who can be given files.
fn consumer() -> impl clap::builder::TypedValueParser<Value = Consumer> {
    let names = clap::builder::PossibleValuesParser::new(Consumer::ALL.map(Consumer::name));
    clap::builder::TypedValueParser::map(names, |typed| {
        let named = |consumer: &Consumer| consumer.name() == typed;
        Consumer::ALL.into_iter().find(named).unwrap_or(Consumer::Kubeadm)
    })
}

/// `monitoring`
#[derive(Debug, Args)]
#[command(
    after_help = "Changes no host. Run it again after the members change: Prometheus reloads the targets by itself.\n\nExample:\n  quorate monitoring --out /etc/prometheus/etcd"
)]
pub struct Monitoring {
    /// Write the files into this directory; several clusters may share it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `firewall`
#[derive(Debug, Args)]
#[command(
    after_help = "Changes no host: review the rules, then load them on every host. They restrict who reaches etcd's ports, and do not\nopen what another firewall closes. Without --clients the client port is not restricted.\n\nExamples:\n  quorate firewall --clients 10.0.1.0/24 >etcd.nft && nft -c -f etcd.nft\n  quorate firewall --clients 10.0.1.0/24 --metrics 10.0.9.5 --format ufw"
)]
pub struct Firewall {
    /// Who else may reach the client port: API servers, load balancers, Prometheus (addresses or networks)
    #[arg(long, value_name = "CIDR", num_args = 1..)]
    pub clients: Vec<Network>,
    /// From where else members reach each other: behind NAT, or where the inventory has names
    #[arg(long, value_name = "CIDR", num_args = 1..)]
    pub peers: Vec<Network>,
    /// Who else may reach the metrics port
    #[arg(long, value_name = "CIDR", num_args = 1..)]
    pub metrics: Vec<Network>,
    /// For which firewall
    #[arg(long, value_enum, default_value_t = FirewallFormat::Nftables)]
    pub format: FirewallFormat,
}

/// Firewalls that rules can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FirewallFormat {
    /// A table of its own, replaced in one step.
    Nftables,
    /// Commands.
    Firewalld,
    /// Commands.
    Ufw,
}

/// A path that means the same in every configuration file: absolute, and nothing that would have to be quoted.
pub(super) fn plain_path(text: &str) -> Result<String, String> {
    let path: crate::inventory::HostPath = text.parse().map_err(|e| format!("{e}"))?;
    match text.contains('#') {
        true => Err("`#` begins a comment there".to_owned()),
        false => Ok(path.to_string()),
    }
}

/// `env`
#[derive(Debug, Args)]
pub struct Env {
    /// The name it was issued under [default: the only one in the directory]
    pub name: Option<String>,
    /// The directory that `pki issue` wrote it to
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// `logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// The host
    pub node: NodeName,
    /// Keep printing new lines
    #[arg(short, long)]
    pub follow: bool,
    /// Number of lines
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    pub lines: u32,
}

/// `ssh`
#[derive(Debug, Args)]
pub struct Ssh {
    /// The host
    pub node: NodeName,
    /// Run this command instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `unlock`
#[derive(Debug, Args)]
pub struct Unlock {
    /// Take over the lock even if its holder is alive
    #[arg(long)]
    pub steal: bool,
}
