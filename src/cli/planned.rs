//! `plan COMMAND`: the commands whose plan can be shown by name, each with the arguments that it takes itself.

use clap::Subcommand;

use super::args::{
    AddNode, AlarmCommand, Command, Destroy, Downgrade, Maintain, PkiCommand, Recover, RemoveNode, ReplaceNode,
    Restore, Stop, Upgrade,
};

/// Commands other than `up` whose plan `plan` shows: each with its own arguments.
#[derive(Debug, Clone, Subcommand)]
pub enum Planned {
    /// Restart the members one by one
    Restart {
        /// Also members that had their turn in an interrupted restart
        #[arg(long)]
        all: bool,
    },
    /// Stop one member for maintenance of its host
    Maintain(Maintain),
    /// Stop every member on purpose
    Stop(Stop),
    /// Start the members that are down
    Start,
    /// Destroy the cluster
    Destroy(Destroy),
    /// Add a member
    AddNode(AddNode),
    /// Remove a member
    RemoveNode(RemoveNode),
    /// Replace a member that is gone for good
    ReplaceNode(ReplaceNode),
    /// Upgrade the members to a newer etcd release
    Upgrade(Upgrade),
    /// Downgrade the members to an older etcd release
    Downgrade(Downgrade),
    /// Restore a backup
    Restore(Restore),
    /// Rebuild the cluster from a surviving minority
    Recover(Recover),
    /// Return free space in the members' databases to the disk
    Defrag {
        /// Also members that would gain little
        #[arg(long)]
        force: bool,
    },
    /// Compact old revisions
    Compact {
        /// How many of the newest revisions to keep
        #[arg(long, value_name = "N", default_value_t = 1000)]
        keep: u64,
    },
    /// Fix the cause of alarms and disarm them
    Disarm,
    /// Install new certificates on every host
    Renew,
    /// Rotate the CA
    RotateCa {
        /// The CA key has leaked: do not wait until clients have new certificates
        #[arg(long)]
        compromised: bool,
        /// After `adopt`: every client trusts both CAs and has a certificate of the new one
        #[arg(long)]
        clients_ready: bool,
    },
}

impl From<Planned> for Command {
    fn from(planned: Planned) -> Self {
        match planned {
            Planned::Restart { all } => Command::Restart { all },
            Planned::Maintain(args) => Command::Maintain(args),
            Planned::Stop(args) => Command::Stop(args),
            Planned::Start => Command::Start,
            Planned::Destroy(args) => Command::Destroy(args),
            Planned::AddNode(args) => Command::AddNode(args),
            Planned::RemoveNode(args) => Command::RemoveNode(args),
            Planned::ReplaceNode(args) => Command::ReplaceNode(args),
            Planned::Upgrade(args) => Command::Upgrade(args),
            Planned::Downgrade(args) => Command::Downgrade(args),
            Planned::Restore(args) => Command::Restore(args),
            Planned::Recover(args) => Command::Recover(args),
            Planned::Defrag { force } => Command::Defrag { force },
            Planned::Compact { keep } => Command::Compact { keep },
            Planned::Disarm => Command::Alarm(AlarmCommand::Disarm),
            Planned::Renew => Command::Pki(PkiCommand::Renew),
            Planned::RotateCa {
                compromised,
                clients_ready,
            } => Command::Pki(PkiCommand::RotateCa {
                compromised,
                clients_ready,
            }),
        }
    }
}
