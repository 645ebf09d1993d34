//! docs/reference, written from the program, so that it cannot fall behind: commands, exit codes, events, findings.
//! `QUORATE_WRITE_DOCS=1 cargo test --lib reference` writes it.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command};
use serde_json::Value;

use super::error::Exit;
use super::help;
use super::repeated::REPEATED;
use crate::ops::doctor::Kind;
use crate::report::Event;

#[test]
fn the_committed_reference_is_what_the_program_has() {
    for (name, text) in [
        ("commands.md", commands()),
        ("exit-codes.md", exit_codes()),
        ("events.md", events()),
        ("findings.md", findings()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(name);
        if std::env::var_os("QUORATE_WRITE_DOCS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == text,
            "docs/reference/{name} is not up to date: run `QUORATE_WRITE_DOCS=1 cargo test --lib reference`"
        );
    }
}

/// `--help` of the program lists them, too.
#[test]
fn the_help_names_every_exit_code() {
    let help = help::command().get_after_help().expect("examples").to_string();
    for exit in Exit::ALL {
        let code = exit as u8;
        let numbers = help.split_whitespace().any(|word| word == code.to_string());
        assert!(numbers, "{code} is missing:\n{help}");
    }
}

const GENERATED: &str = "This page is generated from the program.";

fn findings() -> String {
    let mut text = format!(
        "# Findings\n\n{GENERATED} `quorate doctor`, `doctor --for` and `kube check` put the id of each finding behind it, and \
         `id` in JSON; `quorate doctor --explain ID` prints what is below. Each finding says itself what to do. Ids do not \
         change. What is a problem and what is advice: [doctor](../commands.md#doctor).\n"
    );
    let mut topic = None;
    for kind in Kind::ALL {
        if topic != Some(kind.topic()) {
            topic = Some(kind.topic());
            write!(text, "\n## {:?}\n", kind.topic()).unwrap();
        }
        write!(text, "\n### {kind}\n\n{}\n", kind.means()).unwrap();
    }
    text
}

#[test]
fn every_finding_has_an_id_of_its_own_in_the_order_of_topics() {
    let mut ids: Vec<&str> = Kind::ALL.iter().map(|kind| kind.id()).collect();
    assert!(Kind::ALL.is_sorted_by_key(|kind| kind.topic()), "one heading a topic");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.id());
        assert!(kind.means().ends_with('.') && !kind.means().contains("  "), "{kind}");
    }
}

/// A new one does not compile without its row here.
fn means(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done; for `plan` and `--dry-run`: nothing to change",
        Exit::Unexpected => "unexpected",
        Exit::Usage => "usage",
        Exit::Inventory => "the inventory is invalid; `check --try`: etcd does not start with it",
        Exit::Blocked => "blocked by a [safety rule](../safety.md); nothing was changed",
        Exit::Unreachable => {
            "a host cannot be reached, or refuses the login; `status`, `health`, `doctor`, `pki show`, `ok-to-stop`: the state \
             is unknown because of that, and nothing is known to be wrong"
        }
        Exit::StepFailed => "a step failed; safe to run again",
        Exit::Stale => "the plan is stale; nothing was changed",
        Exit::Locked => {
            "another operator holds the lock, and nothing was changed; or the lock was lost during the run, and no further step \
             was started"
        }
        Exit::Bundle => "the bundle is missing or invalid",
        Exit::Changes => "`plan`, `--dry-run`: there are changes",
        Exit::Unhealthy => {
            "`status`, `health`: unhealthy; `doctor`: a problem, `doctor --for`: something is slow; `alarm list`: one is on; \
             `check-hashes`, `backup verify`: it differs"
        }
        Exit::Interrupted => "interrupted",
    }
}

fn exit_codes() -> String {
    let mut text = format!(
        "# Exit codes\n\n{GENERATED} The codes are an interface: [stability](../stability.md).\n\n\
         With `--fleet` it is [the worst of all clusters](../fleet.md#looking).\n\n| code | meaning |\n|---|---|\n"
    );
    for exit in Exit::ALL {
        writeln!(text, "| {} | {} |", exit as u8, means(exit)).unwrap();
    }
    text
}

fn is_global(arg: &Arg) -> bool {
    arg.is_global_set() || REPEATED.contains(&arg.get_id().as_str())
}

fn events() -> String {
    let mut text = format!(
        "# Events\n\n{GENERATED} With `--output json`, a command that changes something prints them as they happen, one object \
         a line, told apart by `event`. Each has the time (`at`, RFC 3339 in UTC) and, where one is known, the `cluster`. Events \
         and fields may be added; none is removed or changes its meaning within a major version.\n"
    );
    let schema = schemars::schema_for!(Event).to_value();
    for event in schema["oneOf"].as_array().expect("a choice of events") {
        let name = event["properties"]["event"]["const"].as_str().expect("a tag");
        write!(text, "\n## {name}\n\n{}\n", one_line(&event["description"])).unwrap();
        text.push_str("\n| field | |\n|---|---|\n");
        let fields = event["properties"].as_object().expect("fields");
        for (field, about) in fields.iter().filter(|(field, _)| *field != "event") {
            writeln!(text, "| `{field}` | {} |", one_line(&about["description"])).unwrap();
        }
    }
    text.push_str("\n## What the probe measured\n\nThe field `probe` of `finished`.\n\n| field | |\n|---|---|\n");
    let probe = &schema["$defs"]["ProbeReport"]["properties"];
    for (field, about) in probe.as_object().expect("fields") {
        writeln!(text, "| `{field}` | {} |", one_line(&about["description"])).unwrap();
    }
    text
}

fn one_line(description: &Value) -> String {
    let words = description.as_str().expect("a description").split_whitespace();
    // Names of Rust in square brackets are no links here.
    words.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn commands() -> String {
    let command = help::command();
    let mut text = format!(
        "# Commands and options\n\n{GENERATED} [Commands](../commands.md) says what they do, in which situation. \
         `quorate COMMAND --help` has the same offline, `quorate man --out DIR` writes manual pages.\n"
    );
    for below in command.get_subcommands() {
        described(&mut text, below, "quorate");
    }
    text.push_str("\n## Global options\n\nBefore or after the command, wherever they mean something to it.\n");
    let global = command.get_arguments().filter(|arg| is_global(arg));
    options(&mut text, global);
    text
}

/// One command, and those below it.
fn described(text: &mut String, command: &Command, above: &str) {
    let typed = format!("{above} {}", command.get_name());
    // For the shell's completions.
    if typed == "quorate complete" {
        return;
    }
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    write!(text, "\n## {typed}\n\n{about}.\n").unwrap();
    let places: Vec<String> = command.get_positionals().map(|arg| arg.to_string()).collect();
    let own = |arg: &&Arg| !arg.is_hide_set() && arg.get_id() != "help" && !is_global(arg);
    if !command.is_subcommand_required_set() {
        let places = match places.is_empty() {
            true => String::new(),
            false => format!(" {}", places.join(" ")),
        };
        write!(text, "\n```\n{typed} [OPTIONS]{places}\n```\n").unwrap();
    }
    options(text, command.get_arguments().filter(own));
    if let Some(examples) = command.get_after_help() {
        let lines = examples.to_string();
        let lines = lines.trim_start_matches("Examples:\n").trim_end();
        write!(text, "\n```\n{}\n```\n", unindented(lines)).unwrap();
    }
    for below in command.get_subcommands() {
        described(text, below, &typed);
    }
}

fn options<'a>(text: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let mut rows = String::new();
    for arg in args {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<String> = match arg.is_hide_possible_values_set() {
            true => Vec::new(),
            false => arg
                .get_possible_values()
                .iter()
                .map(|v| format!("`{}`", v.get_name()))
                .collect(),
        };
        let values = match values.is_empty() || !arg.get_action().takes_values() {
            true => String::new(),
            false => format!(": {}", values.join(", ")),
        };
        let default: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|v| v.to_string_lossy().into_owned())
            .collect();
        let default = match default.is_empty() || !arg.get_action().takes_values() {
            true => String::new(),
            false => format!(" (default: `{}`)", default.join(" ")),
        };
        let variable = arg
            .get_env()
            .map(|name| format!(" (`{}`)", name.to_string_lossy()))
            .unwrap_or_default();
        let short = arg
            .get_short()
            .filter(|_| arg.get_long().is_some())
            .map(|short| format!("`-{short}`, "))
            .unwrap_or_default();
        let row = format!("| {short}`{}` | {help}{values}{default}{variable} |", name(arg));
        writeln!(rows, "{}", row.replace('<', "&lt;").replace("\n", " ")).unwrap();
    }
    if !rows.is_empty() {
        write!(text, "\n| | |\n|---|---|\n{rows}").unwrap();
    }
}

/// `--out DIR`, `NAME`, `-f`.
fn name(arg: &Arg) -> String {
    let values: Vec<String> = arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let values = match arg.get_action().takes_values() {
        true => values.join(" "),
        false => String::new(),
    };
    let flag = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => String::new(),
    };
    format!("{flag} {values}").trim().to_owned()
}

/// Without what all lines are indented by.
fn unindented(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let indent = lines()
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or_default();
    let cut: Vec<&str> = text
        .lines()
        .map(|line| line.get(indent..).unwrap_or_default())
        .collect();
    cut.join("\n")
}
