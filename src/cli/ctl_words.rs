//! What an etcdctl is told that runs on a host instead of here. Pure.
//!
//! Everyone on the host can read its command line, and what it calls a file is one of the host's.

use super::error::{Exit, Failure};

/// What goes there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The command line.
    pub args: Vec<String>,
    /// What it reads.
    pub input: Input,
}

/// Standard input of the etcdctl there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Nothing.
    None,
    /// What comes on ours.
    Ours,
    /// A value that was typed: on the command line everyone there could read it.
    Value(String),
}

/// Options of etcdctl 3.4 to 3.7 that take a value as a word of its own. All others of the commands that get this far have
/// none, or have it only joined by `=`.
const TAKE_A_VALUE: [&str; 24] = [
    "--cacert",
    "--cert",
    "--command-timeout",
    "--dial-timeout",
    "--discovery-srv",
    "-d",
    "--discovery-srv-name",
    "--endpoints",
    "--keepalive-time",
    "--keepalive-timeout",
    "--key",
    "--max-recv-bytes",
    "--max-request-bytes",
    "--password",
    "--user",
    "--write-out",
    "-w",
    "--lease",
    "--limit",
    "--rev",
    "--order",
    "--sort-by",
    "--ttl",
    "--new-user-password",
];

/// Files of this machine.
const FILES: [&str; 3] = ["--cacert", "--cert", "--key"];
/// Secrets.
const PASSWORDS: [&str; 3] = ["--user", "--password", "--new-user-password"];

/// What `typed` becomes on `host`.
///
/// # Errors
/// What would read or write files there instead of here, run commands there, or show a password to everyone there.
pub(super) fn there(typed: &[String], host: &str) -> Result<Words, Failure> {
    let line = Line::of(typed);
    let refused = |message: String, hint: &str| Err(Failure::new(Exit::Usage, message).hint(hint));
    if let Some(option) = FILES.iter().find(|option| line.options.contains(option)) {
        return refused(
            format!("etcdctl runs on {host}, where {option} would name a file of that host"),
            "omit it: certificates are quorate's part here",
        );
    }
    if let Some(option) = PASSWORDS.iter().find(|option| line.options.contains(option)) {
        return refused(
            format!("etcdctl runs on {host}, where everyone could read what {option} gives"),
            "omit it: quorate logs in as `root`; a new password is read from standard input with `--interactive=false`",
        );
    }
    match (line.word(0), line.word(1)) {
        ("snapshot", _) => refused(
            format!("etcdctl runs on {host}, where `snapshot` would read or write a file of that host"),
            "use `quorate backup create --out FILE --plain` for a snapshot here, `quorate backup verify FILE` to check one",
        ),
        ("make-mirror", _) => refused(
            format!("etcdctl runs on {host}, without the files and the network that `make-mirror` needs"),
            "run it on a Linux machine",
        ),
        ("lock", name) if !name.is_empty() && line.words.len() > 2 => refused(
            format!("etcdctl runs on {host}, where `lock` would run that command as root"),
            "run it on a Linux machine, or use `lock` without a command",
        ),
        ("watch", _) if line.ends || line.has(&["-i", "--interactive"]) => refused(
            format!("etcdctl runs on {host}, where `watch` would run commands as root"),
            "use `watch` without `-i` and without a command",
        ),
        ("user", "add") if line.word(2).contains(':') => refused(
            format!("etcdctl runs on {host}, where everyone could read that password"),
            "pass the name alone, `--interactive=false`, and the password on standard input",
        ),
        ("put", _) => Ok(line.put()),
        ("txn", _) | ("user", "add" | "passwd") => Ok(line.with(Input::Ours)),
        _ => Ok(line.with(Input::None)),
    }
}

/// A command line taken apart.
struct Line<'a> {
    typed: &'a [String],
    /// Names of options, without what was joined to them.
    options: Vec<&'a str>,
    /// Where the words are that are no options and no values of these.
    words: Vec<usize>,
    /// Whether there is a `--`.
    ends: bool,
}

impl<'a> Line<'a> {
    fn of(typed: &'a [String]) -> Self {
        let mut line = Line {
            typed,
            options: Vec::new(),
            words: Vec::new(),
            ends: false,
        };
        let mut at = 0;
        while let Some(word) = typed.get(at) {
            if line.ends || word == "-" || !word.starts_with('-') {
                line.words.push(at);
            } else if word == "--" {
                line.ends = true;
            } else {
                let (name, joined) = word
                    .split_once('=')
                    .map_or((word.as_str(), false), |(name, _)| (name, true));
                line.options.push(name);
                if !joined && TAKE_A_VALUE.contains(&name) {
                    at += 1;
                }
            }
            at += 1;
        }
        line
    }

    fn word(&self, number: usize) -> &'a str {
        self.words.get(number).map_or("", |at| &self.typed[*at])
    }

    fn has(&self, names: &[&str]) -> bool {
        self.options.iter().any(|option| names.contains(option))
    }

    fn with(&self, input: Input) -> Words {
        Words {
            args: self.typed.to_vec(),
            input,
        }
    }

    /// `put KEY VALUE` reads VALUE from standard input where it is missing; an empty one it would not take from there.
    fn put(&self) -> Words {
        match self.words[..] {
            [_, _, value] if !self.typed[value].is_empty() => {
                let mut args = self.typed.to_vec();
                let value = args.remove(value);
                Words {
                    args,
                    input: Input::Value(value),
                }
            }
            [_, _] if !self.has(&["--ignore-value"]) => self.with(Input::Ours),
            _ => self.with(Input::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<(String, Input), Failure> {
        let typed: Vec<String> = line.split(' ').map(str::to_owned).collect();
        there(&typed, "etcd-1").map(|words| (words.args.join(" "), words.input))
    }

    fn refused(line: &str) -> String {
        let failure = of(line).unwrap_err();
        assert!(failure.hint.is_some());
        failure.message
    }

    #[test]
    fn a_value_travels_where_nobody_else_on_the_host_can_read_it() {
        let value = || Input::Value("secret".to_owned());
        for (typed, args) in [
            ("put key secret", "put key"),
            ("put key secret --lease=5", "put key --lease=5"),
            ("put --lease 5 key secret -w json", "put --lease 5 key -w json"),
            ("-w json put key secret --prev-kv", "-w json put key --prev-kv"),
            ("put -- -key secret", "put -- -key"),
        ] {
            assert_eq!(of(typed).unwrap(), (args.to_owned(), value()), "{typed}");
        }
        assert_eq!(of("put key").unwrap().1, Input::Ours);
        assert_eq!(of("put key --ignore-value").unwrap().1, Input::None);
        assert_eq!(of("put key ").unwrap(), ("put key ".to_owned(), Input::None));
    }

    #[test]
    fn only_what_reads_is_fed() {
        for (typed, input) in [
            ("txn", Input::Ours),
            ("user passwd alice --interactive=false", Input::Ours),
            ("user list", Input::None),
            ("get secret snapshot", Input::None),
            ("watch --prefix /a", Input::None),
            ("lock name --ttl 5", Input::None),
        ] {
            assert_eq!(of(typed).unwrap(), (typed.to_owned(), input));
        }
    }

    #[test]
    fn files_commands_and_passwords_stay_here() {
        assert!(refused("snapshot save here.db").contains("a file of that host"));
        assert!(refused("--write-out json snapshot save here.db").contains("a file of that host"));
        assert!(refused("get key --cacert=ca.crt").contains("--cacert would name"));
        assert!(refused("get key --user alice:pw").contains("--user gives"));
        assert!(refused("user add alice:pw").contains("that password"));
        assert!(refused("lock name reboot").contains("as root"));
        assert!(refused("watch key -- reboot").contains("as root"));
        assert!(refused("watch -i").contains("as root"));
        assert!(refused("make-mirror 10.0.0.9:2379").contains("make-mirror"));
    }
}
