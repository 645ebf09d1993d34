//! What is typed of fleets and reports.

use std::path::PathBuf;

use clap::Args;

use crate::cli::error::{Exit, Failure};
use crate::inventory::ClusterName;

/// Which clusters a command is for, where it is for several.
#[derive(Debug, Clone, Default, Args)]
pub struct FleetArgs {
    /// Work on every cluster whose inventory is below this directory
    #[arg(id = "fleet", long = "fleet", global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// With --fleet: leave out this cluster (may be repeated)
    #[arg(long, global = true, value_name = "CLUSTER")]
    pub skip: Vec<ClusterName>,
    /// With --fleet: change this cluster first, alone (may be repeated) [default: the first one by path]
    #[arg(long, global = true, value_name = "CLUSTER")]
    pub canary: Vec<ClusterName>,
}

impl FleetArgs {
    /// Refuses what chooses among clusters where there is one.
    ///
    /// # Errors
    /// When such a flag was passed.
    pub fn only_with_a_fleet(&self) -> Result<(), Failure> {
        let flag = match (self.skip.is_empty(), self.canary.is_empty()) {
            (false, _) => "--skip",
            (_, false) => "--canary",
            _ => return Ok(()),
        };
        let message = format!("`{flag}` chooses among the clusters of a fleet");
        Err(Failure::new(Exit::Usage, message).hint(format!("pass --fleet DIR, or omit {flag}")))
    }
}

/// `report`
#[derive(Debug, Args)]
#[command(
    after_help = "Changes nothing. The exit code is that of `doctor`: 11 where there is a problem; the files are written all the same.\nhistory.json keeps some figures of past reports: give each directory to one inventory or fleet.\n\nExamples:\n  quorate report --out report\n  quorate --fleet clusters report --out /var/www/etcd\n  quorate restart --yes --probe --output json > restart.jsonl; quorate report --out report --events restart.jsonl"
)]
pub struct Report {
    /// Write index.html, report.md and history.json into this directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Also draw the timeline of a change: what it printed with --output json (may be repeated)
    #[arg(long, value_name = "FILE")]
    pub events: Vec<PathBuf>,
}
