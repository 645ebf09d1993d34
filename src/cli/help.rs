//! `quorate --help`: the commands by topic; and below each command only those global flags that mean something to it.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory, Id};

use super::args::Cli;
use super::repeated::REPEATED;
use crate::report::{terminal_width, wrapped};

/// The commands by what an operator is about to do.
const TOPICS: [(&str, &[&str]); 7] = [
    (
        "Set up",
        &[
            "init", "adopt", "check", "config", "bundle", "trust", "render", "plan", "up",
        ],
    ),
    (
        "Look",
        &[
            "status",
            "members",
            "health",
            "doctor",
            "report",
            "check-hashes",
            "logs",
        ],
    ),
    (
        "Members",
        &[
            "restart",
            "ok-to-stop",
            "maintain",
            "stop",
            "start",
            "destroy",
            "add-node",
            "remove-node",
            "replace-node",
            "upgrade",
            "downgrade",
        ],
    ),
    (
        "Data",
        &["backup", "restore", "recover", "defrag", "compact", "alarm", "ctl"],
    ),
    ("Certificates", &["pki"]),
    ("Clients", &["env", "users", "kube", "lb", "monitoring", "firewall"]),
    ("This tool", &["ssh", "unlock", "completions", "man", "schema"]),
];

/// Commands that change a cluster by a plan, as they are typed.
const CHANGING: [&str; 21] = [
    "plan",
    "up",
    "restart",
    "maintain",
    "stop",
    "start",
    "destroy",
    "add-node",
    "remove-node",
    "replace-node",
    "upgrade",
    "downgrade",
    "restore",
    "recover",
    "defrag",
    "compact",
    "alarm disarm",
    "pki renew",
    "pki rotate-ca",
    "backup prune",
    "backup schedule",
];

/// Commands that reach no host.
const OFFLINE: [&str; 30] = [
    "init",
    "config",
    "render",
    "bundle create",
    "bundle sbom",
    "bundle show",
    "bundle verify",
    "bundle embed",
    "bundle sign",
    "backup list",
    "backup fetch",
    "backup prune",
    "pki issue",
    "pki viewer",
    "pki revoke",
    "pki csr",
    "pki import",
    "pki crl",
    "pki seal",
    "env",
    "kube files",
    "users password",
    "users files",
    "lb",
    "monitoring",
    "firewall",
    "completions",
    "complete",
    "man",
    "schema",
];

/// Commands about the whole cluster, which refuse `--limit`.
const WHOLE: [&str; 3] = ["stop", "start", "pki rotate-ca"];

/// Commands that can be run for every cluster of a fleet.
const OF_SEVERAL: [&str; 16] = [
    "check",
    "config",
    "status",
    "health",
    "doctor",
    "report",
    "plan",
    "plan restart",
    "plan upgrade",
    "plan renew",
    "up",
    "restart",
    "upgrade",
    "pki renew",
    "backup create",
    "backup list",
];

/// Those that change clusters: one goes first.
const IN_TURN: [&str; 5] = ["up", "restart", "upgrade", "pki renew", "backup create"];

/// What only a fleet heeds.
const OF_FLEETS: [&str; 3] = ["fleet", "skip", "canary"];

/// What only a plan heeds.
const OF_CHANGES: [&str; 5] = ["dry_run", "accept_outage", "accept_data_loss", "no_snapshot", "probe"];

/// What only a connection to hosts heeds.
const OF_HOSTS: [&str; 4] = ["limit", "parallel", "sudo_password_fd", "sudo_password_env"];

/// The command line with its help arranged.
pub fn command() -> Command {
    let command = Cli::command();
    let list = by_topic(&command, terminal_width().map_or(100, usize::from).min(100));
    let global: Vec<Arg> = command
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .cloned()
        .collect();
    let command = command.mut_subcommands(|below| {
        let path = below.get_name().to_owned();
        arranged(below, &path, &global)
    });
    let command = command.mut_args(|arg| match is_repeated(&arg) {
        true => arg.global(false),
        false => arg,
    });
    let template = format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{list}\n{{all-args}}{{after-help}}");
    command
        .override_usage("quorate [OPTIONS] <COMMAND>")
        .help_template(template)
        // They are listed already; hidden ones work all the same.
        .mut_subcommands(|below| below.hide(true))
}

/// Each topic with its commands and what they do.
fn by_topic(command: &Command, width: usize) -> String {
    let mut list = String::new();
    for (topic, names) in TOPICS {
        let _ = writeln!(list, "{topic}:");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            list += &wrapped(&format!("  {name:<13} {about}"), width, 16);
        }
        list.push('\n');
    }
    list.pop();
    list
}

/// Hides below each command the global flags that it does not heed: one that a command has already does not come from above.
fn arranged(command: Command, path: &str, global: &[Arg]) -> Command {
    let command = match (command.has_subcommands(), command.is_subcommand_required_set()) {
        (false, _) => command,
        // It means something by itself, too.
        (true, false) => hidden(command, path, global),
        (true, true) => {
            let repeated = global.iter().filter(|arg| is_repeated(arg));
            command.args(repeated.map(|arg| arg.clone().global(false)))
        }
    };
    if command.has_subcommands() {
        return command.mut_subcommands(|below| {
            let path = format!("{path} {}", below.get_name());
            arranged(below, &path, global)
        });
    }
    hidden(command, path, global)
}

fn hidden(command: Command, path: &str, global: &[Arg]) -> Command {
    let own: Vec<Id> = command.get_arguments().map(|arg| arg.get_id().clone()).collect();
    let unheeded = |arg: &Arg| {
        let id = arg.get_id().as_str();
        let changes = match path.strip_prefix("plan ") {
            // It is a dry run already.
            Some(_) => ["dry_run", "probe"].contains(&id),
            None => OF_CHANGES.contains(&id) && !CHANGING.contains(&path),
        };
        let hosts = OF_HOSTS.contains(&id) && OFFLINE.contains(&path);
        let whole = id == "limit"
            && WHOLE
                .iter()
                .any(|whole| path == *whole || path.strip_prefix("plan ") == Some(whole));
        let several = if id == "canary" { &IN_TURN[..] } else { &OF_SEVERAL };
        let fleets = OF_FLEETS.contains(&id) && !several.contains(&path);
        changes || hosts || whole || fleets
    };
    let below = global.iter().filter(|arg| !own.contains(arg.get_id()));
    command.args(below.filter_map(|arg| match (unheeded(arg), is_repeated(arg)) {
        (hide, true) => Some(arg.clone().global(false).hide(hide)),
        (true, false) => Some(arg.clone().hide(true)),
        (false, false) => None,
    }))
}

fn is_repeated(arg: &Arg) -> bool {
    REPEATED.contains(&arg.get_id().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_one_topic() {
        let command = Cli::command();
        let mut listed: Vec<&str> = TOPICS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let shown = command.get_subcommands().filter(|below| !below.is_hide_set());
        let mut known: Vec<&str> = shown.map(Command::get_name).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn what_is_said_of_commands_is_said_of_ones_that_exist() {
        let command = Cli::command();
        for path in CHANGING
            .iter()
            .chain(&OFFLINE)
            .chain(&WHOLE)
            .chain(&OF_SEVERAL)
            .chain(&IN_TURN)
        {
            let found = path.split(' ').try_fold(&command, |at, name| at.find_subcommand(name));
            assert!(found.is_some(), "{path}");
        }
        let args: Vec<&str> = command.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        assert!(
            OF_CHANGES
                .iter()
                .chain(&OF_HOSTS)
                .chain(&OF_FLEETS)
                .all(|id| args.contains(id)),
            "{args:?}"
        );
    }
}
