//! The hosts that a `~/.ssh/config` names, for `init --from`: every `Host` without a wildcard, with what holds for it.
//!
//! Other than for a login nothing else is asked: `Include` and `Match` are noted, and not followed.

use std::path::Path;

use super::config_file::split;
use super::glob;
use super::settings::{Settings, Subject};
use super::tokens::Tokens;
use crate::inventory::Jump;
use crate::inventory::import::{Candidate, Gathered, Login, Typed};

/// A line's number and its words.
type Line = (usize, Vec<String>);

/// The hosts of a text; those whose names match `pattern`, when there is one.
pub fn listed(text: &str, pattern: Option<&str>) -> Gathered {
    let mut gathered = Gathered::default();
    let lines = lines(text, &mut gathered);
    for name in names(&lines, pattern, &mut gathered) {
        if let Some(candidate) = candidate(&name, &lines, &mut gathered) {
            gathered.candidates.push(candidate);
        }
    }
    if let (Some(pattern), true) = (pattern, gathered.candidates.is_empty() && gathered.problems.is_empty()) {
        gathered.problem(
            Typed::new("", 1, 1).at,
            format!("no `Host` matches `{}`", pattern.escape_debug()),
            "pass a name or a pattern like `--group 'etcd-*'`",
        );
    }
    gathered
}

fn lines(text: &str, gathered: &mut Gathered) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        match split(line) {
            Ok(words) if words.is_empty() => {}
            Ok(words) => lines.push((index + 1, words)),
            Err(why) => gathered.problem(Typed::new("", index + 1, 1).at, why, "correct this line"),
        }
    }
    lines
}

/// Every name once; patterns are no hosts.
fn names(lines: &[Line], wanted: Option<&str>, gathered: &mut Gathered) -> Vec<Typed> {
    let mut names: Vec<Typed> = Vec::new();
    let (mut patterns, mut unread) = (Vec::new(), Vec::new());
    for (number, words) in lines {
        match words[0].to_ascii_lowercase().as_str() {
            "host" => {
                for name in &words[1..] {
                    if name.contains(['*', '?', '!']) {
                        patterns.push(format!("`{}`", name.escape_debug()));
                    } else if wanted.is_none_or(|wanted| glob::matches(wanted, name))
                        && !names.iter().any(|known| known.text == *name)
                    {
                        names.push(Typed::new(name, *number, 1));
                    }
                }
            }
            "match" | "include" => unread.push(format!("`{}` on line {number}", words[0].escape_debug())),
            _ => {}
        }
    }
    if !patterns.is_empty() {
        patterns.dedup();
        gathered.note(format!(
            "patterns are no hosts: {}; what they set was taken over for the hosts that match",
            patterns.join(", ")
        ));
    }
    if !unread.is_empty() {
        gathered.note(format!(
            "not read: {}; check the logins of the hosts",
            unread.join(", ")
        ));
    }
    names
}

/// What holds for one host: the first value wins, as in ssh_config(5).
fn candidate(name: &Typed, lines: &[Line], gathered: &mut Gathered) -> Option<Candidate> {
    let subject = Subject {
        host: &name.text,
        // As typed: another operator's home is another directory.
        home: Path::new("~"),
    };
    let (mut settings, mut holds, mut wrong) = (Settings::default(), true, false);
    for (number, words) in lines {
        let (keyword, values) = (words[0].to_ascii_lowercase(), &words[1..]);
        match keyword.as_str() {
            "host" => holds = glob::list_matches(values.iter().map(String::as_str), &name.text),
            "match" => holds = false,
            _ if holds => {
                if let Err(why) = settings.take(&keyword, values, subject) {
                    gathered.problem(Typed::new("", *number, 1).at, why, "correct this line");
                    wrong = true;
                }
            }
            _ => {}
        }
    }
    if settings.proxy().is_some() {
        gathered.note(format!(
            "`ProxyCommand` of `{}` was not taken over: quorate uses `ProxyJump`",
            name.text.escape_debug()
        ));
    }
    let typed = |text: String| Typed { text, at: name.at };
    let tokens = Tokens {
        home: subject.home,
        typed: &name.text,
        host: settings.hostname.as_deref().unwrap_or(&name.text),
        port: settings.port.unwrap_or(22),
        user: settings.user.as_deref().unwrap_or("root"),
        alias: settings.host_key_alias.as_deref(),
    };
    // What cannot be filled in here may mean something where the inventory is read.
    let identity = settings.identity.first().map(|file| match tokens.path(file) {
        Ok(path) => path.display().to_string(),
        Err(_) => file.clone(),
    });
    (!wrong).then(|| Candidate {
        name: Some(name.clone()),
        address: typed(settings.hostname.clone().unwrap_or_else(|| name.text.clone())),
        login: Login {
            user: settings.user.clone().map(typed),
            port: settings.port.map(|port| typed(port.to_string())),
            identity: identity.map(typed),
            jump: settings
                .jump
                .iter()
                .flatten()
                .map(|jump| typed(written(jump)))
                .collect(),
            ..Login::default()
        },
    })
}

/// As it stands in an inventory.
fn written(jump: &Jump) -> String {
    let user = jump.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = jump.port.map(|port| format!(":{port}")).unwrap_or_default();
    match jump.host.contains(':') {
        true => format!("{user}[{}]{port}", jump.host),
        false => format!("{user}{}{port}", jump.host),
    }
}
