//! Asking OpenSSH itself what its configuration says of a host (`ssh -G`).

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;

use super::settings::{Settings, Subject};

/// Stands for "no `User` anywhere": `ssh -G` would name the operator's own account then. No account can be called so.
const NO_USER: &str = "no:user";

/// OpenSSH's answer; `None` when this machine has no `ssh`. Blocks for as long as `ssh` takes.
///
/// # Errors
/// What `ssh` wrote when it could not read its configuration.
pub(super) fn ask(
    subject: Subject<'_>,
    system: &Path,
    user: Option<&str>,
    port: Option<u16>,
) -> Result<Option<Settings>, String> {
    // A file and not a pipe: for `Match final` and host names that are made canonical, `ssh` reads it a second time.
    let file = wrapper(subject, system).map_err(|error| format!("cannot write a file for `ssh -G`: {error}"))?;
    let mut command = Command::new("ssh");
    command.arg("-G").arg("-F").arg(file.path());
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", subject.host]).stdin(Stdio::null());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot start ssh: {error}")),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.trim().lines().next().unwrap_or("`ssh -G` failed").to_owned());
    }
    let mut settings = Settings::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((keyword, rest)) = line.split_once(' ') else {
            continue;
        };
        let values = match keyword {
            "userknownhostsfile" | "globalknownhostsfile" => paths(rest),
            _ => vec![rest.to_owned()],
        };
        if (keyword, rest) != ("user", NO_USER) {
            settings.take(keyword, &values, subject)?;
        }
    }
    Ok(Some(settings))
}

/// The operator's configuration, then the machine's, then what tells "not mentioned" from a default.
fn wrapper(subject: Subject<'_>, system: &Path) -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    let ssh = subject.home.join(".ssh");
    writeln!(
        file,
        "Include \"{}\"\nInclude \"{}\"\nHost *\n  User {NO_USER}\n  IdentityFile none",
        ssh.join("config").display(),
        system.join("ssh_config").display()
    )?;
    for (keyword, place, name) in [
        ("UserKnownHostsFile", ssh.as_path(), "known_hosts"),
        ("GlobalKnownHostsFile", system, "ssh_known_hosts"),
    ] {
        let place = place.join(name);
        writeln!(file, "  {keyword} \"{0}\" \"{0}2\"", place.display())?;
    }
    file.flush()?;
    Ok(file)
}

/// Several paths of one line. Nothing marks where one ends, but each begins at a root, a home or a token.
fn paths(line: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match paths.last_mut() {
            Some(path) if !(word.starts_with(['/', '~', '%', '$']) || word == "none") => {
                path.push(' ');
                path.push_str(word);
            }
            _ => paths.push(word.to_owned()),
        }
    }
    paths
}
