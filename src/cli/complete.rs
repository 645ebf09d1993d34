//! `completions`, and what its scripts ask: the names of hosts, backups and clients. Offline, and silent about whatever is
//! wrong: who presses Tab has not asked a question.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use jiff::Timestamp;

use super::args::Cli;
use super::error::Exit;
use crate::inventory::{self, Loaded, NodeName};
use crate::pki::PkiDir;
use crate::report::print::{say, say_all};

/// Bash: the names where there are any, else what was generated.
const BASH: &str = r#"
_quorate_names() {
    local IFS=$'\n'
    COMPREPLY=( $("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) )
    [ "${#COMPREPLY[@]}" -gt 0 ] || { unset IFS; _quorate "$@"; }
}
complete -F _quorate_names -o bashdefault -o default quorate
"#;

/// Zsh: what completes a value about which nothing is known. The functions around it have cut `words` down to the
/// subcommand, so the line itself is read.
const ZSH: &str = r#"
_quorate_names() {
    local -a typed names
    typed=("${(@Q)${(z)LBUFFER}}")
    [[ $LBUFFER == *[[:space:]] ]] && typed+=('')
    names=(${(f)"$("${typed[1]}" complete -- "${(@)typed[2,-1]}" 2>/dev/null)"})
    if (( $#names )); then compadd -a names; else _default; fi
}
"#;

/// Fish: the names where there are any, and no files then.
const FISH: &str = r#"
function __quorate_names
    set -l typed (commandline -opc)
    quorate complete -- $typed[2..-1] (commandline -ct) 2>/dev/null
end
complete -c quorate -n '__quorate_names | string length -q' -f -a '(__quorate_names)'
"#;
/// A value of an option about which nothing is known; files have `-F` behind that.
const FISH_VALUE: &str = " -r\n";
const FISH_NAMES: &str = " -r -f -a '(__quorate_names)'\n";

/// `completions`.
pub fn script(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "quorate", &mut script);
    let script = String::from_utf8_lossy(&script);
    let script = match shell {
        Shell::Bash => format!("{script}{BASH}"),
        // The first line says which command it is for, the last ones what runs when it is loaded.
        Shell::Zsh => match script.split_once('\n') {
            Some((first, rest)) => format!("{first}\n{ZSH}{}", rest.replace(":_default'", ":_quorate_names'")),
            None => script.into_owned(),
        },
        Shell::Fish => script.replace(FISH_VALUE, FISH_NAMES) + FISH,
        _ => script.into_owned(),
    };
    say_all!("{script}");
    Exit::Done
}

/// Prints the names that may stand where the cursor is, one a line.
pub fn complete(words: &[String]) -> Exit {
    for name in names(words).unwrap_or_default() {
        say!("{name}");
    }
    Exit::Done
}

/// What may stand at the last word; `None` where quorate knows no names for it.
fn names(words: &[String]) -> Option<BTreeSet<String>> {
    let (current, before) = words.split_last()?;
    let cursor = Cursor::after(before)?;
    if current.starts_with('-') {
        return None;
    }
    let kind = Kind::of(&cursor)?;
    let file = cursor
        .inventory
        .or_else(|| std::env::var_os("QUORATE_INVENTORY").map(PathBuf::from));
    let loaded = inventory::load(&file.unwrap_or_else(|| "inventory.yml".into())).ok()?;
    let mut names = kind.names(&loaded)?;
    names.retain(|name| name.starts_with(current.as_str()));
    Some(names)
}

/// Where in the command line the next word stands.
struct Cursor {
    /// The command, and what it is below.
    path: Vec<String>,
    /// The argument whose value it is.
    arg: Arg,
    /// The inventory that was named.
    inventory: Option<PathBuf>,
}

impl Cursor {
    fn after(words: &[String]) -> Option<Self> {
        let cli = Cli::command();
        let (mut at, mut path): (&Command, Vec<String>) = (&cli, Vec::new());
        let (mut positional, mut waits, mut inventory) = (0, None::<&Arg>, None);
        for word in words {
            if let Some(arg) = waits.take() {
                if arg.get_id() == "inventory" {
                    inventory = Some(PathBuf::from(word));
                }
            } else if word == "--" {
                // What follows is for another program.
                return None;
            } else if let Some((flag, value)) = flag(&cli, at, word) {
                match value {
                    Some(value) if flag.get_id() == "inventory" => inventory = Some(PathBuf::from(value)),
                    Some(_) => {}
                    None => waits = flag.get_action().takes_values().then_some(flag),
                }
            } else if word.starts_with('-') {
            } else if let Some(below) = at.find_subcommand(word) {
                (at, positional) = (below, 0);
                path.push(word.clone());
            } else {
                positional += 1;
            }
        }
        let arg = match waits {
            Some(arg) => arg,
            None => at.get_positionals().nth(positional)?,
        };
        Some(Self {
            path,
            arg: arg.clone(),
            inventory,
        })
    }
}

/// The flag that a word is, of this command or of all, and the value that it brings along.
fn flag<'a, 'w>(cli: &'a Command, at: &'a Command, word: &'w str) -> Option<(&'a Arg, Option<&'w str>)> {
    let all = || at.get_arguments().chain(cli.get_arguments());
    if let Some(long) = word.strip_prefix("--") {
        let (long, value) = match long.split_once('=') {
            Some((long, value)) => (long, Some(value)),
            None => (long, None),
        };
        return Some((all().find(|arg| arg.get_long() == Some(long))?, value));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let short = letters.next()?;
    let arg = all().find(|arg| arg.get_short() == Some(short))?;
    let rest = letters.as_str();
    Some((
        arg,
        (arg.get_action().takes_values() && !rest.is_empty()).then_some(rest),
    ))
}

/// Names that quorate knows.
enum Kind {
    Hosts,
    Backups,
    Clients,
}

impl Kind {
    fn of(cursor: &Cursor) -> Option<Self> {
        if cursor.arg.get_value_parser().type_id() == ValueParser::from(clap::value_parser!(NodeName)).type_id() {
            return Some(Kind::Hosts);
        }
        let path: Vec<&str> = cursor.path.iter().map(String::as_str).collect();
        match (path.as_slice(), cursor.arg.get_id().as_str()) {
            (["restore"] | ["plan", "restore"] | ["backup", "verify"], "file") => Some(Kind::Backups),
            (["env"] | ["pki", "revoke" | "issue" | "viewer"], "name") => Some(Kind::Clients),
            _ => None,
        }
    }

    fn names(&self, loaded: &Loaded) -> Option<BTreeSet<String>> {
        let desired = &loaded.desired;
        match self {
            Kind::Hosts => Some(desired.hosts.keys().map(ToString::to_string).collect()),
            Kind::Backups => {
                let dir = loaded.path.parent().unwrap_or(Path::new("")).join("backups");
                let files = std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
                let backups = files.filter(|path| path.extension().is_some_and(|end| end == "qbackup"));
                Some(backups.map(|path| path.display().to_string()).collect())
            }
            Kind::Clients => {
                let issued = PkiDir::at(&desired.pki.dir, &desired.cluster).issued().ok()?;
                Some(
                    issued
                        .current(Timestamp::now())
                        .into_keys()
                        .map(str::to_owned)
                        .collect(),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn names_are_offered_where_an_argument_takes_them() {
        let dir = tempfile::tempdir().unwrap();
        let inventory = dir.path().join("inventory.yml");
        let hosts = "  - {name: etcd-1, address: 10.0.0.1}\n  - {name: etcd-2, address: 10.0.0.2}\n  - {name: other, address: 10.0.0.3}\n";
        let text = format!("cluster: demo\netcd: {{version: \"3.6.16\"}}\nhosts:\n{hosts}");
        std::fs::write(&inventory, text).unwrap();
        std::fs::create_dir(dir.path().join("backups")).unwrap();
        let backup = dir.path().join("backups/demo-1.qbackup");
        std::fs::write(&backup, "").unwrap();
        std::fs::write(dir.path().join("backups/notes.txt"), "").unwrap();
        let ask = |line: &str| {
            let line = format!("-i {} {line}", inventory.display());
            names(&at(&line)).map(|names| names.into_iter().collect::<Vec<_>>().join(" "))
        };
        for line in [
            "logs et",
            "ssh et",
            "restart --limit et",
            "replace-node other et",
            "plan remove-node et",
            "recover --without other --from et",
            "-y status -o json --limit et",
        ] {
            assert_eq!(ask(line).as_deref(), Some("etcd-1 etcd-2"), "{line}");
        }
        assert_eq!(ask("logs ").as_deref(), Some("etcd-1 etcd-2 other"));
        assert_eq!(ask("restore ").as_deref(), Some(backup.to_str().unwrap()));
        assert_eq!(ask("backup verify ").as_deref(), Some(backup.to_str().unwrap()));
        for line in [
            "",
            "sta",
            "restart --l",
            "bundle show ",
            "ctl -- get ",
            "upgrade --to ",
            "logs etcd-1 ",
        ] {
            assert_eq!(ask(line), None, "{line}");
        }
        // Whatever is wrong is silent.
        assert_eq!(names(&at("-i /nowhere.yml logs ")), None);
        assert_eq!(names(&[]), None);
    }
}
