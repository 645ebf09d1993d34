//! Texts name only what exists: every `quorate ...` in messages, comments, docs and examples is held against the command line.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};

use super::args::Cli;
use crate::inventory::tree::{Kind, Node};

/// Everything that a person reads: sources, with the texts in them, docs, templates and examples.
fn texts() -> Vec<PathBuf> {
    fn gather(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()) {
            match entry.is_dir() {
                true => gather(&entry, found),
                false => found.push(entry),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = ["README.md", "CHANGELOG.md"].map(|name| root.join(name)).to_vec();
    for room in ["src", "docs", "templates", "examples", "lab/bench", "tests"] {
        gather(&root.join(room), &mut found);
    }
    let read = ["rs", "md", "tera", "yml", "sh"];
    found.retain(|path| {
        path.extension()
            .is_some_and(|kind| read.iter().any(|read| kind == *read))
    });
    // Sentences that are made to be wrong.
    found.retain(|path| !path.ends_with("spoken_tests.rs"));
    found
}

/// The commands in a text: between backticks, and behind a prompt in what a terminal shows.
fn commands(text: &str) -> Vec<String> {
    // A sentence goes on in the next line of a comment, of a string and of a paragraph.
    let mut flowing = String::new();
    for line in text.lines() {
        let line = line.trim_start();
        let line = ["/// ", "//! ", "// "]
            .iter()
            .find_map(|mark| line.strip_prefix(mark))
            .unwrap_or(line);
        flowing.push_str(line.strip_suffix('\\').unwrap_or(line));
        flowing.push(if line.ends_with('\\') { ' ' } else { '\n' });
    }
    let spoken = flowing
        .split("`quorate ")
        .skip(1)
        .filter_map(|rest| rest.split_once('`'));
    let typed = text.lines().filter_map(|line| {
        let typed = line.trim_start().strip_prefix("$ ")?;
        typed.trim_start_matches("./").strip_prefix("quorate ")
    });
    // A test may look for the beginning of a command only, and its backtick has no partner.
    let spoken = spoken.filter(|(command, _)| command.len() < 200);
    let spoken = spoken.map(|(command, _)| command.replace('\n', " ").trim_start().to_owned());
    spoken.chain(typed.map(str::to_owned)).collect()
}

/// The commands in the scripts of a pipeline: every line that starts with `quorate`, wherever it is in the file.
fn piped(yaml: &str) -> Vec<String> {
    fn scalars(node: &Node, found: &mut Vec<String>) {
        match &node.kind {
            Kind::Map(entries) => entries.iter().for_each(|entry| scalars(&entry.value, found)),
            Kind::List(items) => items.iter().for_each(|item| scalars(item, found)),
            Kind::Scalar { text, .. } => found.push(text.clone()),
            Kind::Null => {}
        }
    }
    let mut texts = Vec::new();
    scalars(&Node::parse(yaml).expect("YAML"), &mut texts);
    let parts = texts.iter().flat_map(|text| text.split(['\n', ';']));
    let typed = parts.filter_map(|part| {
        let part = part.trim().trim_start_matches("do ").trim_start_matches("then ");
        part.strip_prefix("quorate ").map(str::to_owned)
    });
    typed.collect()
}

/// What a command names that does not exist.
fn unknown_in(command: &str) -> Option<String> {
    let cli = Cli::command();
    let mut at: &Command = &cli;
    let mut words = command
        .split_whitespace()
        .map(|word| word.trim_matches(['(', ')', ',', ';', '"', '\'']));
    let mut named = false;
    while let Some(word) = words.next() {
        // What follows is for etcdctl, for the shell, or a remark.
        if matches!(word, "--" | "|" | "#" | "&&" | ">" | "...") {
            break;
        }
        let is_placeholder =
            |word: &str| word.is_empty() || word.starts_with(|c: char| "{<[.@/".contains(c) || c.is_uppercase());
        if let Some(flag) = word.strip_prefix("--") {
            let (flag, value) = flag
                .split_once('=')
                .map_or((flag, None), |(flag, value)| (flag, Some(value)));
            let flag = flag.trim_end_matches(|c: char| !c.is_alphanumeric());
            let known = |command: &Command| {
                command
                    .get_arguments()
                    .find(|arg| arg.get_long() == Some(flag))
                    .cloned()
            };
            let Some(arg) = known(at).or_else(|| known(&cli)) else {
                let builtin = ["help", "version"].contains(&flag) || flag.starts_with('{');
                if builtin {
                    continue;
                }
                return Some(format!("--{flag}"));
            };
            if arg.get_action().takes_values() && value.is_none() {
                words.next();
            }
        } else if word.starts_with('-') {
            let takes = |c: char| {
                at.get_arguments()
                    .chain(cli.get_arguments())
                    .any(|arg| arg.get_short() == Some(c) && arg.get_action().takes_values())
            };
            if word.chars().nth(1).is_some_and(takes) {
                words.next();
            }
        } else if let Some(below) = at.find_subcommand(word) {
            (at, named) = (below, true);
        } else if at.has_subcommands() && !is_placeholder(word) {
            // `pki renew/rotate-ca` and `backup create / list` stand for several.
            let several: Vec<&str> = word.split('/').filter(|word| !word.is_empty()).collect();
            if !several.iter().all(|word| at.find_subcommand(word).is_some()) || several.is_empty() && !named {
                return Some(word.to_owned());
            }
        }
    }
    None
}

#[test]
fn every_command_that_a_text_names_exists() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for path in texts() {
        for command in commands(&fs::read_to_string(&path).unwrap()) {
            seen += 1;
            if let Some(unknown) = unknown_in(&command) {
                wrong.push(format!(
                    "{}: `quorate {command}`: there is no {unknown}",
                    path.display()
                ));
            }
        }
    }
    assert!(seen > 300, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// More than its names: each is one that the program takes.
#[test]
fn every_command_of_the_pipelines_is_taken() {
    let ci = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci");
    let mut seen = Vec::new();
    for path in fs::read_dir(ci).unwrap().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let typed = piped(&fs::read_to_string(&path).unwrap());
        assert!(!typed.is_empty(), "{name} runs nothing");
        for command in typed {
            let words = command.split_whitespace();
            let words = words.take_while(|word| !matches!(*word, ">" | ">>" | "|" | "||" | "&&"));
            let words: Vec<&str> = words.map(|word| word.trim_matches(['"', '\''])).collect();
            let taken = Cli::command().try_get_matches_from(std::iter::once("quorate").chain(words.iter().copied()));
            assert!(taken.is_ok(), "{name}: quorate {command}: {}", taken.unwrap_err());
            seen.push(format!("{name}: {}", words.join(" ")));
        }
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            "github-fleet.yml: --fleet clusters check",
            "github-fleet.yml: --fleet clusters plan --markdown",
            "github-fleet.yml: --fleet clusters plan --markdown --out fleet.plan",
            "github.yml: check",
            "github.yml: plan --markdown",
            "github.yml: plan --markdown --out etcd.plan.json",
            "gitlab-fleet.yml: --fleet clusters check",
            "gitlab-fleet.yml: --fleet clusters plan --markdown",
            "gitlab-fleet.yml: --fleet clusters plan --markdown --out fleet.plan",
            "gitlab.yml: check",
            "gitlab.yml: plan --markdown",
            "gitlab.yml: plan --markdown --out etcd.plan.json",
            "pre-commit.yml: -i $file check",
            // Its name.
            "pre-commit.yml: check",
        ]
    );
}

#[test]
fn what_does_not_exist_is_noticed() {
    for (command, unknown) in [
        ("upp", Some("upp")),
        ("pki renwe --yes", Some("renwe")),
        ("upgrade --too 3.6.16", Some("--too")),
        ("restart --plan x", Some("--plan")),
        ("upgrade --to 3.6.16", None),
        ("-i other.yml status --watch", None),
        ("ctl -- put --lease=1 a b", None),
    ] {
        assert_eq!(unknown_in(command).as_deref(), unknown, "{command}");
    }
    let text = "help: \"run `quorate pki\n    /// renew` or `quorate \\\n    up --prune`\"\n$ quorate status\n";
    assert_eq!(commands(text), ["pki renew", "up --prune", "status"]);
}

/// What docs, examples and help tell people to run: the release that `init` writes and that an error names, or at least one
/// that neither `check` nor `doctor` would warn of.
#[test]
fn the_releases_that_are_recommended_are_those_of_one_place() {
    use crate::bundle::{USUAL, advice, known_bad};
    use crate::inventory::Version;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // What etcd does in which release, what was measured and why are facts of their time. Tests take what they need.
    let of_their_time = ["docs/etcd.md", "docs/decisions", "CHANGELOG.md", "tests", "lab"];
    let shown = [
        "README.md",
        "docs",
        "examples",
        "templates",
        "src/cli/args.rs",
        "src/cli/backup_args.rs",
        "src/inventory/raw.rs",
    ];
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in texts() {
        let name = path.strip_prefix(root).unwrap();
        let among = |list: &[&str]| list.iter().any(|place| name.starts_with(place));
        if !among(&shown) || among(&of_their_time) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (mark, the_usual) in [
            ("version: ", true),
            ("etcd-v", true),
            ("else ", true),
            ("like ", true),
            ("--to ", false),
        ] {
            for rest in text.split(mark).skip(1) {
                let number = rest.trim_start_matches(['"', '\'', '\\', '`']);
                let end = number
                    .find(|c: char| !c.is_ascii_digit() && c != '.')
                    .unwrap_or(number.len());
                let Ok(version) = number[..end].trim_end_matches('.').parse::<Version>() else {
                    continue;
                };
                seen += 1;
                let fine = match the_usual {
                    true => version == USUAL,
                    false => known_bad(version).is_none() && advice(version).is_none(),
                };
                if !fine {
                    wrong.push(format!("{}: `{mark}{version}`", name.display()));
                }
            }
        }
    }
    assert!(seen > 20, "the test reads nothing: {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
