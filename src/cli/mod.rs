//! What was typed, and what it leads to: one file a command, each reads as a table of contents.

mod adopt;
mod afar;
mod args;
mod backup;
mod backup_args;
mod backup_package;
mod backup_places;
mod backup_program;
mod backup_run;
mod backup_schedule;
mod backup_trust;
mod backup_verify;
mod bundle;
mod bundle_sign;
mod bundle_trust;
mod check;
mod closed;
mod complete;
mod config;
mod confirm;
mod converge;
mod ctl;
mod ctl_afar;
mod ctl_words;
mod destroy;
mod doctor;
mod draft;
mod dry_run;
mod env;
mod error;
mod files;
mod firewall;
#[cfg(test)]
mod formats_tests;
mod gate;
mod help;
mod hosts;
mod import;
mod interrupt;
mod key_files;
mod kube;
mod lb;
mod lock;
mod many;
mod members;
mod monitoring;
mod new_hosts;
mod offline;
mod open_files;
mod pki;
mod plan_json;
mod planned;
mod probe;
mod recover;
#[cfg(test)]
mod reference_tests;
mod repeated;
mod rest;
mod restore;
mod scratch;
mod session;
mod settle;
mod show;
mod show_markdown;
mod sight;
mod slow;
#[cfg(test)]
mod spoken_tests;
mod status;
#[cfg(test)]
mod texts_tests;
mod trial;
mod trust;
mod up;
mod upgrade;
mod upkeep;
mod users;
mod users_args;
mod vitals;
mod watch;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, FromArgMatches};

use args::{BundleCommand, Cli, Command, Global, OutputFormat, PlanArgs};
use error::{Exit, Failure};

use crate::report::print::tell;

/// Parses the command line, does what it asks, prints what went wrong once, and gives the exit code.
pub async fn main() -> ExitCode {
    let matches = help::command()
        .try_get_matches()
        .unwrap_or_else(|error| refused(&error));
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    repeated::gather(&mut cli.global, &matches);
    let json = cli.global.output == OutputFormat::Json;
    let begun = std::time::Instant::now();
    let exit = match begin(&cli, &matches).await {
        Ok(exit) => exit,
        Err(failure) => {
            let exit = failure.exit;
            failure.print(json, begun.elapsed().as_secs_f64());
            exit
        }
    };
    ExitCode::from(exit as u8)
}

/// Ends with what clap says. Where a shell has made files of a pattern, the second one stands where a command should.
fn refused(error: &clap::Error) -> ! {
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) if word.ends_with(".yml") || word.ends_with(".yaml") => word,
        _ => error.exit(),
    };
    // There is nobody to tell where that cannot be written.
    let _ = error.print();
    tell!("help: `{word}` is an inventory: put a pattern in quotes, `-i 'clusters/*/inventory.yml'`, or repeat -i");
    std::process::exit(Exit::Usage as i32)
}

/// For one cluster, or for those of a fleet.
async fn begin(cli: &Cli, typed: &ArgMatches) -> Result<Exit, Failure> {
    let named: Vec<std::path::PathBuf> = repeated::all(typed, "inventory");
    match many::meant(&cli.global, !named.is_empty())? {
        Some(clusters) => many::many(&cli.global, &clusters, &cli.command).await,
        None => {
            cli.global.fleet.only_with_a_fleet()?;
            dispatch(&cli.global, &cli.command).await
        }
    }
}

/// Runs a command for one cluster.
async fn dispatch(global: &Global, command: &Command) -> Result<Exit, Failure> {
    if let Command::Plan(PlanArgs { of: Some(planned), .. }) = command {
        let Cli { global, command } = dry_run::of(global, planned);
        return Box::pin(dispatch(&global, &command)).await;
    }
    if global.dry_run {
        dry_run::only_with_a_plan(command)?;
    }
    match command {
        Command::Init(args) => offline::init(global, args),
        Command::Adopt(args) => adopt::adopt(global, args).await,
        Command::Check(args) => check::check(global, args).await,
        Command::Config(args) => config::config(global, args),
        Command::Render(args) => offline::render(global, args),
        Command::Plan(args) => up::plan(global, args).await,
        Command::Up(args) => up::up(global, args).await,
        Command::Restart { all } => members::restart(global, *all).await,
        Command::Maintain(args) => rest::maintain(global, args).await,
        Command::Stop(args) => rest::stop(global, args).await,
        Command::Start => rest::start(global).await,
        Command::Destroy(args) => destroy::destroy(global, args).await,
        Command::AddNode(args) => members::add(global, args).await,
        Command::RemoveNode(args) => members::remove(global, args).await,
        Command::ReplaceNode(args) => members::replace(global, args).await,
        Command::OkToStop(args) => members::ok_to_stop(global, args).await,
        Command::Upgrade(args) => upgrade::upgrade(global, args.to).await,
        Command::Downgrade(args) => upgrade::downgrade(global, args.to).await,
        Command::Trust => trust::trust(global).await,
        Command::Status(args) => status::status(global, args).await,
        Command::Members => status::members(global).await,
        Command::Health => status::health(global).await,
        Command::Doctor(args) => match (args.explain, args.window) {
            (Some(kind), _) => doctor::explain(global, kind),
            (None, Some(window)) => slow::slow(global, window).await,
            (None, None) => doctor::doctor(global).await,
        },
        Command::Bundle(BundleCommand::Create { out, sources }) => bundle::create(global, out, sources),
        Command::Bundle(BundleCommand::Show { file, manifest }) => bundle::show(global, file.as_deref(), *manifest),
        Command::Bundle(BundleCommand::Sbom { file }) => bundle::sbom(global, file.as_deref()),
        Command::Bundle(BundleCommand::Sign { file, key }) => {
            bundle_sign::sign(global, file.as_deref(), key.as_deref()).await
        }
        Command::Bundle(BundleCommand::Verify { file, allowed_signers }) => {
            bundle::verify(global, file.as_deref(), allowed_signers.as_deref())
        }
        Command::Bundle(BundleCommand::Embed { into }) => bundle::embed(global, into),
        Command::Backup(command) => backup::backup(global, command).await,
        Command::Restore(args) => restore::restore(global, args).await,
        Command::Recover(args) => recover::recover(global, args).await,
        Command::Defrag { force } => upkeep::defragment(global, *force).await,
        Command::Compact { keep } => upkeep::compact(global, *keep).await,
        Command::Alarm(command) => upkeep::alarm(global, command).await,
        Command::CheckHashes => upkeep::check_hashes(global).await,
        Command::Ctl(args) => ctl::ctl(global, args).await,
        Command::Pki(command) => pki::pki(global, command).await,
        Command::Kube(command) => kube::kube(global, command).await,
        Command::Users(command) => users::users(global, command).await,
        Command::Firewall(args) => firewall::firewall(global, args),
        Command::Lb(args) => lb::lb(global, args),
        Command::Monitoring(args) => monitoring::monitoring(global, args),
        Command::Report(args) => many::report::report(global, args).await,
        Command::Env(args) => env::env(global, args),
        Command::Logs(args) => hosts::logs(global, args).await,
        Command::Ssh(args) => hosts::ssh(global, args).await,
        Command::Unlock(args) => lock::unlock(global, args).await,
        Command::Completions { shell } => Ok(complete::script(*shell)),
        Command::Man { out } => offline::man(out.as_deref()),
        Command::Schema => offline::schema(),
        Command::Complete { words } => Ok(complete::complete(words)),
    }
}
