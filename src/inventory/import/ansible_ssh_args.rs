//! The arguments for ssh in `ansible_ssh_common_args`: jump hosts, where they are plain.

use super::Typed;
use super::words::words;

/// What was understood.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SshArgs {
    /// Bastions, outermost first.
    pub(super) jump: Vec<Typed>,
    /// `-l`, `User`.
    pub(super) user: Option<Typed>,
    /// `-p`, `Port`.
    pub(super) port: Option<Typed>,
    /// Names of what was not.
    pub(super) left_out: Vec<String>,
}

/// Reads them; what is not understood is named, without its value.
pub(super) fn read(args: &Typed) -> SshArgs {
    let mut told = SshArgs::default();
    let Ok(split) = words(&args.text, args.at.line) else {
        told.left_out.push("a quote that is not closed".to_owned());
        return told;
    };
    let mut rest = split.iter().map(|word| word.text.as_str());
    while let Some(word) = rest.next() {
        let at = |text: &str| Typed {
            text: text.to_owned(),
            at: args.at,
        };
        let (flag, joined) = match word.get(..2) {
            Some(flag @ ("-o" | "-J" | "-l" | "-p" | "-i" | "-F")) => (flag, &word[2..]),
            _ => (word, ""),
        };
        let mut value = || {
            Some(joined)
                .filter(|joined| !joined.is_empty())
                .or_else(|| rest.next())
                .unwrap_or_default()
        };
        match flag {
            "-J" => told.jump.extend(value().split(',').map(at)),
            "-l" => told.user = Some(at(value())),
            "-p" => told.port = Some(at(value())),
            "-o" => {
                let option = value();
                let (name, value) = option.split_once(['=', ' ']).unwrap_or((option, ""));
                match (name.to_ascii_lowercase().as_str(), value.trim()) {
                    ("proxyjump", hosts) => told.jump.extend(hosts.split(',').map(at)),
                    ("user", user) => told.user = Some(at(user)),
                    ("port", port) => told.port = Some(at(port)),
                    ("proxycommand", command) => match bastion(command) {
                        Some(jump) => told.jump.push(at(&jump)),
                        None => told.left_out.push(name.to_owned()),
                    },
                    _ => told.left_out.push(name.escape_debug().to_string()),
                }
            }
            "-i" | "-F" => {
                value();
                told.left_out.push(flag.to_owned());
            }
            _ => told
                .left_out
                .push(word.get(..2).unwrap_or(word).escape_debug().to_string()),
        }
    }
    told.left_out.sort();
    told.left_out.dedup();
    told
}

/// The bastion of `ssh -W %h:%p [-q] [-p PORT] [USER@]HOST`, as it was written before there was `ProxyJump`.
fn bastion(command: &str) -> Option<String> {
    let words = words(command, 1).ok()?;
    let mut rest = words.iter().map(|word| word.text.as_str());
    if rest.next() != Some("ssh") {
        return None;
    }
    let (mut host, mut port, mut forwards) = (None, None, false);
    while let Some(word) = rest.next() {
        match word {
            "-W" => forwards = rest.next() == Some("%h:%p"),
            "-p" => port = Some(rest.next()?),
            "-q" | "-A" => {}
            word if word.starts_with('-') || host.is_some() => return None,
            word => host = Some(word),
        }
    }
    let host = host.filter(|_| forwards)?;
    Some(match port {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> (Vec<String>, Vec<String>) {
        let args = read(&Typed::new(text, 1, 1));
        (args.jump.into_iter().map(|jump| jump.text).collect(), args.left_out)
    }

    #[test]
    fn jump_hosts_are_read_in_every_common_form() {
        for text in [
            "-J ops@bastion:2222",
            "-Jops@bastion:2222",
            "-o ProxyJump=ops@bastion:2222",
            "-oProxyJump=ops@bastion:2222",
            "-o 'ProxyJump ops@bastion:2222'",
            "-o ProxyCommand=\"ssh -W %h:%p -q -p 2222 ops@bastion\"",
        ] {
            assert_eq!(told(text), (vec!["ops@bastion:2222".to_owned()], vec![]), "{text}");
        }
        assert_eq!(told("-J a,b").0, ["a", "b"]);
    }

    #[test]
    fn what_is_not_understood_is_named_without_its_value() {
        for (text, left_out) in [
            ("-o StrictHostKeyChecking=no -C", vec!["-C", "StrictHostKeyChecking"]),
            ("-o ProxyCommand='nc --secret x %h %p'", vec!["ProxyCommand"]),
            ("-o ProxyCommand='ssh -i key -W %h:%p b'", vec!["ProxyCommand"]),
            ("-i /key -F x", vec!["-F", "-i"]),
            ("-o 'open", vec!["a quote that is not closed"]),
        ] {
            let (jump, not) = told(text);
            assert_eq!(
                (jump.len(), not),
                (0, left_out.iter().map(|s| (*s).to_owned()).collect()),
                "{text}"
            );
        }
    }
}
