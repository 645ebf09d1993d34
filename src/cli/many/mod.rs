//! Commands for several clusters, `--fleet DIR` or several inventories (`-i`): each cluster runs through the same function as alone, and what it would print
//! comes together here.
//!
//! | file | what |
//! |---|---|
//! | `args` | what is typed |
//! | `find` | the inventories below a directory, and those that cannot both be meant |
//! | `named` | the inventories that `-i` names |
//! | `part` | what one cluster has of the fleet, and where its answer goes |
//! | `screen` | one standard error for all |
//! | `run` | the command for one cluster, and for all that are only looked at |
//! | `rows` | a row a cluster, worst first; the order of exit codes |
//! | `show` | the answers on standard output |
//! | `waves` | whose turn it is |
//! | `change` | all plans shown, agreed to once, and done |
//! | `saved` | plans of a fleet in a file |
//! | `watch` | all of them on the whole screen, again and again |
//! | `report` | the report, as HTML and Markdown |

pub mod args;
mod change;
mod find;
mod named;
pub mod part;
pub mod report;
mod rows;
mod run;
#[cfg(test)]
mod samples;
pub mod saved;
mod screen;
mod show;
mod watch;
mod waves;

use std::path::{Path, PathBuf};

use super::args::{BackupCommand, Command, Global, PkiCommand, Planned};
use super::error::{Exit, Failure};
use super::open_files;
use part::Shared;

/// What a fleet can be asked.
enum Kind<'a> {
    Look,
    Watch,
    Report(&'a args::Report),
    Change,
}

/// Which clusters are meant, where they are several.
#[derive(Debug, PartialEq, Eq)]
pub enum Meant {
    /// Those whose inventories are below a directory.
    Below(PathBuf),
    /// These, as they were named: files and patterns.
    These(Vec<PathBuf>),
}

/// What was typed: a directory, several inventories or a pattern; `None` for one cluster. `named` says that `-i` was typed.
///
/// # Errors
/// When both were.
pub fn meant(global: &Global, named: bool) -> Result<Option<Meant>, Failure> {
    match &global.fleet.dir {
        Some(_) if named => Err(Failure::new(Exit::Usage, "--fleet and --inventory exclude each other")
            .hint("pass --fleet DIR for all clusters below it, or -i FILE for one")),
        Some(dir) => Ok(Some(Meant::Below(dir.clone()))),
        None if named::are_several(&global.inventories) => Ok(Some(Meant::These(global.inventories.clone()))),
        None => Ok(None),
    }
}

/// Runs a command for every cluster that is meant.
///
/// # Errors
/// When the command is not one for several, or the fleet is not one to be changed. What happens to single clusters is told with
/// them, and is part of the exit code.
pub async fn many(global: &Global, meant: &Meant, command: &Command) -> Result<Exit, Failure> {
    let kind = kind(command)?;
    only_for_one(global)?;
    let (found, dir) = match meant {
        Meant::Below(dir) => (find::find(dir)?, dir.as_path()),
        Meant::These(named) => (named::find(named)?, Path::new("")),
    };
    let clusters = found.without(&global.fleet.skip)?;
    if let (Kind::Look | Kind::Watch | Kind::Report(_), Some(_)) = (&kind, global.fleet.canary.first()) {
        return Err(Failure::new(
            Exit::Usage,
            "`--canary` is changed first, and this command changes nothing",
        )
        .hint("omit --canary"));
    }
    for canary in &global.fleet.canary {
        clusters.known(canary.as_str(), "--canary")?;
    }
    let at_once = usize::from(global.parallel.unwrap_or(run::LOOKS));
    let fewer = (at_once > 1).then_some("work on one cluster at a time: `--parallel 1`");
    open_files::room_for(clusters.most_hosts(at_once), fewer)?;
    let shared = Shared::new(global);
    match kind {
        Kind::Watch => watch::watch(global, clusters).await,
        Kind::Report(args) => report::of_fleet(global, &shared, clusters, args).await,
        Kind::Look => show::look(global, &shared, clusters, command, dir).await,
        Kind::Change if global.dry_run => show::look(global, &shared, clusters, command, dir).await,
        Kind::Change => change::change(global, &shared, clusters, command).await,
    }
}

/// What a command is to a fleet.
fn kind(command: &Command) -> Result<Kind<'_>, Failure> {
    let refused = |what: &str, instead: &str| {
        Err(Failure::new(Exit::Usage, format!("{what} is for one cluster")).hint(instead.to_owned()))
    };
    match command {
        Command::Status(args) if args.watch => Ok(Kind::Watch),
        Command::Doctor(args) if args.window.is_some() => refused("`doctor --for`", "pass -i FILE instead of --fleet"),
        Command::Backup(BackupCommand::Create(args)) if args.out.is_some() => refused(
            "`--out`",
            "omit it: each backup goes to backups/ beside its inventory; `--to` copies all to one place",
        ),
        Command::Check(args) if args.ask_etcd => refused("`check --try`", "pass one -i FILE"),
        Command::Check(_) | Command::Config(_) => Ok(Kind::Look),
        Command::Status(_) | Command::Health | Command::Doctor(_) => Ok(Kind::Look),
        Command::Plan(args) => match &args.of {
            None | Some(Planned::Restart { .. } | Planned::Upgrade(_) | Planned::Renew) => Ok(Kind::Look),
            Some(_) => not_for_several(),
        },
        Command::Backup(BackupCommand::List { .. }) => Ok(Kind::Look),
        Command::Report(args) => Ok(Kind::Report(args)),
        Command::Up(_) | Command::Restart { .. } | Command::Upgrade(_) => Ok(Kind::Change),
        Command::Pki(PkiCommand::Renew) | Command::Backup(BackupCommand::Create(_)) => Ok(Kind::Change),
        _ => not_for_several(),
    }
}

fn not_for_several<T>() -> Result<T, Failure> {
    Err(
        Failure::new(Exit::Usage, "this command is for one cluster: it takes neither --fleet nor several inventories").hint(
            "pass one -i FILE; commands for several are check, config, status, health, doctor, plan, backup list, report, up, \
             restart, upgrade, pki renew and backup create",
        ),
    )
}

/// Refuses flags that name something of one cluster.
fn only_for_one(global: &Global) -> Result<(), Failure> {
    if !global.limit.is_empty() {
        return Err(
            Failure::new(Exit::Usage, "`--limit` names hosts of one cluster").hint("pass -i FILE instead of --fleet")
        );
    }
    Ok(())
}
