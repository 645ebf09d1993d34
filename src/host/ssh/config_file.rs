//! A small reader of `~/.ssh/config`, for machines without an OpenSSH client.
//!
//! It knows `Host` with patterns and negation, `Include`, and the keywords of [`Settings`]. `Match` is refused: half an
//! answer would send the operator to the wrong place.

use std::path::{Path, PathBuf};

use super::glob;
use super::settings::{Settings, Subject};

/// OpenSSH's own limit for nested `Include`.
const DEEPEST: usize = 16;

/// What the files say of the subject, the first of them before the others; an absent one says nothing.
///
/// # Errors
/// A sentence with file and line.
pub(super) fn read(paths: &[PathBuf], subject: Subject<'_>) -> Result<Settings, String> {
    let mut settings = Settings::default();
    let mut reader = Reader {
        subject,
        settings: &mut settings,
    };
    for path in paths {
        reader.file(path, true, 0)?;
    }
    Ok(settings)
}

struct Reader<'a> {
    subject: Subject<'a>,
    settings: &'a mut Settings,
}

impl Reader<'_> {
    /// Reads one file; `active` says whether the block that includes it holds for the host.
    fn file(&mut self, path: &Path, active: bool, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("{}: `Include` is nested too deeply", path.display()));
        }
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let mut here = active;
        for (index, line) in text.lines().enumerate() {
            let at = |why: String| format!("line {} of {}: {why}", index + 1, path.display());
            let words = split(line).map_err(at)?;
            let Some((keyword, values)) = words.split_first() else {
                continue;
            };
            match keyword.to_ascii_lowercase().as_str() {
                "host" => here = active && glob::list_matches(values.iter().map(String::as_str), self.subject.host),
                "match" => {
                    return Err(at(
                        "`Match` needs OpenSSH's own `ssh` program to be understood".to_owned()
                    ));
                }
                "include" if here => {
                    for pattern in values {
                        for file in included(pattern, self.subject.home).map_err(at)? {
                            self.file(&file, here, depth + 1)?;
                        }
                    }
                }
                _ if here => self.settings.take(keyword, values, self.subject).map_err(at)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The files an `Include` means, in order. Relative paths start in `~/.ssh`; wildcards may stand in the last part.
fn included(pattern: &str, home: &Path) -> Result<Vec<PathBuf>, String> {
    // Joining an absolute path replaces what it is joined to.
    let path = match pattern.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => home.join(".ssh").join(pattern),
    };
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    if directory.to_string_lossy().contains(['*', '?']) {
        return Err(format!(
            "`Include {pattern}`: wildcards are understood in the file's name only"
        ));
    }
    let name = name.to_string_lossy();
    if !name.contains(['*', '?']) {
        return Ok(vec![path.clone()]);
    }
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Ok(Vec::new());
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| {
            let file = entry.file_name();
            let file = file.to_string_lossy();
            !file.starts_with('.') && glob::matches(&name, &file)
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    Ok(files)
}

/// A line as words: `keyword value...` or `keyword=value`, with double quotes, and `#` starting a comment.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words: Vec<String> = Vec::new();
    let mut chars = line.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '#' => break,
            ' ' | '\t' => {}
            '=' if words.len() == 1 => {}
            '"' => {
                let mut word = String::new();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some(c) => word.push(c),
                        None => return Err("unclosed double quote".to_owned()),
                    }
                }
                words.push(word);
            }
            first => {
                let mut word = String::from(first);
                let keyword = words.is_empty();
                while let Some(c) = chars.next_if(|c| !(" \t\"".contains(*c) || keyword && *c == '=')) {
                    word.push(c);
                }
                words.push(word);
            }
        }
    }
    Ok(words)
}

/// Keywords about what quorate never does: distributions set some of them for everybody. Prefixes.
const OTHER_MATTERS: [&str; 6] = [
    "sendenv",
    "setenv",
    "hashknownhosts",
    "gssapi",
    "visualhostkey",
    "loglevel",
];

/// Whether the file says anything that matters here; asking OpenSSH about nothing costs a process for each host. What cannot be
/// read here is left to OpenSSH.
pub(super) fn says_something(path: &Path) -> bool {
    says(path, 0)
}

fn says(path: &Path, depth: usize) -> bool {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return error.kind() != std::io::ErrorKind::NotFound,
    };
    text.lines().any(|line| {
        let Ok(words) = split(line) else { return true };
        let Some((keyword, values)) = words.split_first() else {
            return false;
        };
        let keyword = keyword.to_ascii_lowercase();
        match keyword.as_str() {
            // By itself it only says whom the rest is about.
            "host" => false,
            "include" => values.iter().any(|pattern| included_says(pattern, depth + 1)),
            _ => !OTHER_MATTERS.iter().any(|other| keyword.starts_with(other)),
        }
    })
}

/// A relative pattern means another place in each of the files.
fn included_says(pattern: &str, depth: usize) -> bool {
    if !pattern.starts_with('/') || depth > DEEPEST {
        return true;
    }
    included(pattern, Path::new("/")).map_or(true, |files| files.iter().any(|file| says(file, depth)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Jump;

    fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = home.path().join(".ssh").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        home
    }

    fn ask(home: &tempfile::TempDir, host: &str) -> Result<Settings, String> {
        read(
            &[home.path().join(".ssh/config")],
            Subject {
                host,
                home: home.path(),
            },
        )
    }

    #[test]
    fn the_first_value_wins_and_identity_files_add_up() {
        let home = home(&[(
            "config",
            "# mine\nHost *.lab !bad.lab\n  HostName %h.example\n\tUser = alice\n  IdentityFile ~/.ssh/lab\n\
             Host a.lab\n  User bob\n  Port=2200\n  IdentityFile \"/keys/with space\"\n  ProxyJump me@bast:2201\n\
             Host *\n  HostKeyAlias alias # not a value\n  UserKnownHostsFile ~/.ssh/kh /etc/kh\n",
        )]);
        let settings = ask(&home, "a.lab").unwrap();
        assert_eq!(settings.hostname.as_deref(), Some("a.lab.example"));
        assert_eq!(settings.user.as_deref(), Some("alice"));
        assert_eq!(settings.port, Some(2200));
        assert_eq!(settings.identity, ["~/.ssh/lab", "/keys/with space"]);
        let jump = Jump {
            host: "bast".into(),
            port: Some(2201),
            user: Some("me".into()),
        };
        assert_eq!(settings.jump, Some(vec![jump]));
        assert_eq!(settings.host_key_alias.as_deref(), Some("alias"));
        assert_eq!(
            settings.known_hosts,
            Some(vec!["~/.ssh/kh".to_owned(), "/etc/kh".to_owned()])
        );

        let excluded = ask(&home, "bad.lab").unwrap();
        assert_eq!((excluded.user, excluded.hostname), (None, None));
    }

    #[test]
    fn includes_are_read_where_they_stand_and_leak_nothing() {
        let home = home(&[
            ("config", "Include conf.d/*.conf\nHost b\n  Include only-b\nPort 24\n"),
            ("conf.d/1.conf", "Host a\n  User one\n"),
            ("conf.d/2.conf", "Host a\n  User two\nHost c\n  User see\n"),
            ("conf.d/.hidden.conf", "Host *\n  User nobody\n"),
            ("only-b", "Host *\n  User bee\n"),
        ]);
        assert_eq!(ask(&home, "a").unwrap().user.as_deref(), Some("one"));
        assert_eq!(ask(&home, "b").unwrap().user.as_deref(), Some("bee"));
        assert_eq!(ask(&home, "b").unwrap().port, Some(24));
        let c = ask(&home, "c").unwrap();
        assert_eq!((c.user.as_deref(), c.port), (Some("see"), None));
    }

    #[test]
    fn what_it_cannot_read_is_refused_with_its_line() {
        for (text, why) in [
            ("Host a\nMatch user x\n", "line 2"),
            ("Port many\n", "not a port"),
            ("IdentityFile \"x\n", "quote"),
            ("Include config\n", "nested"),
        ] {
            let error = ask(&home(&[("config", text)]), "a").unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn no_file_or_one_of_comments_says_nothing() {
        let empty = home(&[]);
        assert_eq!(ask(&empty, "a").unwrap(), Settings::default());
        assert!(!says_something(&empty.path().join(".ssh/config")));
        let comments = home(&[("config", "# a\n\n  # b\n")]);
        assert!(!says_something(&comments.path().join(".ssh/config")));
        for (says, text) in [
            (false, "\n Host a\n"),
            (true, "\n Host a\n Port 2022\n"),
            (true, "Match final all\n"),
            (true, "Include more\n"),
            (true, "Port \"22\n"),
        ] {
            let real = home(&[("config", text)]);
            assert_eq!(says_something(&real.path().join(".ssh/config")), says, "{text}");
        }
    }

    /// As Debian and its descendants ship it: every operator has that one.
    #[test]
    fn what_a_distribution_says_to_everybody_is_not_worth_a_process() {
        let rest = "Host *\n    SendEnv LANG LC_*\n    HashKnownHosts yes\n    GSSAPIAuthentication yes\n";
        let stock = |include: &Path| format!("# stock\nInclude {}/*.conf\n{rest}", include.display());
        let more = tempfile::tempdir().unwrap();
        let system = home(&[("config", &stock(more.path()))]);
        let config = system.path().join(".ssh/config");
        assert!(!says_something(&config));
        std::fs::write(more.path().join("site.conf"), "Host *\n  ProxyJump bastion\n").unwrap();
        assert!(says_something(&config));
    }

    /// The same file, asked of OpenSSH and of this reader, gives the same settings.
    #[test]
    fn openssh_reads_the_same_file_in_the_same_way() {
        let home = home(&[
            (
                "config",
                "Include MORE\nHost web*,x !web9\n  HostName %h.lan\n  Port 2022\nHost web? \"app\"\n  User deploy\n  \
                 IdentitiesOnly yes\n  IdentityFile ~/.ssh/%h\n  CertificateFile ~/.ssh/c-cert.pub\n  ProxyJump j1,u@j2:23\n\
                 Host *\n  UserKnownHostsFile /kh/a /kh/b\n  IdentityAgent none\n",
            ),
            ("more", "Host app\n  HostKeyAlias alias\n  ProxyCommand nc %h %p\n"),
        ]);
        // OpenSSH looks for relative files in the account's real home.
        let (config, more) = (home.path().join(".ssh/config"), home.path().join(".ssh/more"));
        let text = std::fs::read_to_string(&config)
            .unwrap()
            .replace("MORE", &more.to_string_lossy());
        std::fs::write(&config, text).unwrap();
        for host in ["web1", "web9", "app", "other"] {
            let subject = Subject {
                host,
                home: home.path(),
            };
            let ours = ask(&home, host).unwrap();
            let theirs = super::super::ssh_g::ask(subject, Path::new("/nonexistent"), None, None)
                .unwrap()
                .expect("ssh is installed");
            assert_eq!(ours.user, theirs.user, "{host}");
            assert_eq!(
                ours.hostname.as_deref().unwrap_or(host),
                theirs.hostname.as_deref().unwrap(),
                "{host}"
            );
            assert_eq!(ours.port.unwrap_or(22), theirs.port.unwrap(), "{host}");
            assert_eq!(ours.jump, theirs.jump, "{host}");
            assert_eq!(ours.identity, theirs.identity, "{host}");
            assert_eq!(ours.certificates, theirs.certificates, "{host}");
            assert_eq!(
                ours.identities_only.unwrap_or_default(),
                theirs.identities_only.unwrap_or_default(),
                "{host}"
            );
            assert_eq!(ours.known_hosts, theirs.known_hosts, "{host}");
            assert_eq!(
                ours.batch.unwrap_or_default(),
                theirs.batch.unwrap_or_default(),
                "{host}"
            );
            assert_eq!(ours.host_key_alias, theirs.host_key_alias, "{host}");
            assert_eq!(ours.agent, theirs.agent, "{host}");
            assert_eq!(ours.proxy_command.is_some(), theirs.proxy_command.is_some(), "{host}");
        }
    }
}
