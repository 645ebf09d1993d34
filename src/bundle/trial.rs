//! Runs a program once to hear its version: a second opinion, where this machine can run it.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::manifest::Program;
use crate::inventory::{Arch, Version};

/// How long a program may take to print its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trial {
    /// It named this version.
    Said(Version),
    /// It cannot run here, or said nothing that could be understood; why.
    Mute(String),
}

/// True when programs for `arch` are made for this machine.
pub(super) fn is_native(arch: Arch) -> bool {
    Arch::from_uname(std::env::consts::ARCH) == Some(arch)
}

/// Asks `path` for its version, in an empty environment and with nothing to read.
pub(super) fn ask(path: &Path, program: Program) -> Trial {
    let argument = match program {
        Program::Etcd => "--version",
        Program::Etcdctl | Program::Etcdutl => "version",
    };
    let mut command = Command::new(path);
    command.arg(argument).env_clear();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Trial::Mute(error.to_string()),
    };
    let (send, receive) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut text = Vec::new();
            let read = stdout.take(64 * 1024).read_to_end(&mut text);
            // The receiver is gone only after its patience ran out.
            let _ = send.send(read.map(|_| text));
        });
    }
    let heard = receive.recv_timeout(PATIENCE);
    // Whatever it does after its last word is not waited for; both fail only for a process that is gone already.
    let _ = child.kill();
    let _ = child.wait();
    match heard {
        Ok(Ok(text)) => match version_in(&String::from_utf8_lossy(&text)) {
            Some(version) => Trial::Said(version),
            None => Trial::Mute("it reported no version".to_owned()),
        },
        Ok(Err(error)) => Trial::Mute(error.to_string()),
        Err(_) => Trial::Mute(format!("it printed nothing for {} s", PATIENCE.as_secs())),
    }
}

/// The version in `etcd Version: 3.5.30` (etcd), `etcdctl version: 3.5.30`, `etcdutl version: 3.5.30`.
fn version_in(text: &str) -> Option<Version> {
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.to_ascii_lowercase().ends_with(" version") && name.starts_with("etcd"))
        .and_then(|(_, version)| version.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_names_its_version_in_its_own_way() {
        let server = "etcd Version: 3.5.30\nGit SHA: Not provided\nGo Version: go1.26.4\n";
        assert_eq!(version_in(server), Some(Version::new(3, 5, 30)));
        assert_eq!(
            version_in("etcdctl version: 3.4.23\nAPI version: 3.4\n"),
            Some(Version::new(3, 4, 23))
        );
        assert_eq!(version_in("API version: 3.4.1\n"), None);
    }

    #[test]
    fn a_program_that_cannot_run_or_says_nothing_is_mute() {
        assert_eq!(
            ask(Path::new("/bin/true"), Program::Etcdctl),
            Trial::Mute("it reported no version".to_owned())
        );
        assert!(matches!(ask(Path::new("/nonexistent"), Program::Etcd), Trial::Mute(_)));
    }
}
