//! What a failed script says, turned into a cause and a hint.

use super::{HostError, Output};
use crate::bounds::Exceeded;
use crate::inventory::NodeName;

/// What `fail` of the scripts puts before its own words.
const OWN: &str = "quorate: ";

/// The error for a script that did not end with status 0.
pub(super) fn script_failed(node: &NodeName, operation: &str, output: &Output) -> HostError {
    if let Some(exceeded) = output.over {
        return passed(node, operation, exceeded);
    }
    if output.status.is_none() {
        return HostError::Lost {
            node: node.clone(),
            operation: operation.to_owned(),
            why: "the connection or the script on the host was cut off halfway".to_owned(),
        };
    }
    let why = cause(output);
    HostError::Script {
        node: node.clone(),
        operation: operation.to_owned(),
        hint: hint(&why),
        why,
    }
}

/// The error for an answer that is longer, or takes longer, than it may.
pub(super) fn passed(node: &NodeName, operation: &str, exceeded: Exceeded) -> HostError {
    HostError::Script {
        node: node.clone(),
        operation: operation.to_owned(),
        why: exceeded.to_string(),
        hint: "inspect the host by hand (`quorate ssh`): load, disks that hang, programs that do not end, files that are too \
               large"
            .to_owned(),
    }
}

/// The error for a script whose answer makes no sense.
pub(super) fn not_understood(node: &NodeName, operation: &str, why: impl Into<String>) -> HostError {
    HostError::Script {
        node: node.clone(),
        operation: operation.to_owned(),
        why: why.into(),
        hint: "inspect the host by hand (`quorate ssh`); if it looks healthy, please report this as a bug".to_owned(),
    }
}

/// The script's own words, and the message of the tool that failed just before them.
fn cause(output: &Output) -> String {
    let lines: Vec<&str> = output.stderr.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let own = lines.iter().rposition(|line| line.starts_with(OWN));
    let tool = match own {
        Some(at) => lines[..at].last(),
        None => lines.last(),
    };
    match (own.map(|at| &lines[at][OWN.len()..]), tool) {
        (Some(own), Some(tool)) => format!("{own} ({tool})"),
        (Some(own), None) => own.to_owned(),
        (None, Some(tool)) => (*tool).to_owned(),
        (None, None) => format!(
            "it ended with status {} and printed nothing",
            output.status.unwrap_or(-1)
        ),
    }
}

fn hint(why: &str) -> String {
    // Whatever the tool beneath said.
    const KNOWN: &[(&str, &str)] = &[
        (
            "cannot run here",
            "use a bundle with a release for this host's architecture, and a directory that is not mounted `noexec`",
        ),
        (
            "is not root's",
            "`quorate up` takes over what an earlier version left to etcd's account; another directory is yours to give to \
             root: `chown root DIRECTORY`",
        ),
        (
            "No space left on device",
            "free space on that file system (old releases, data moved aside, logs), then run the command again",
        ),
        (
            "Disk quota exceeded",
            "raise the quota or free space, then run the command again",
        ),
        (
            "Read-only file system",
            "mount it read-write (the kernel remounts read-only after a disk error: see `dmesg`), or choose other paths",
        ),
        (
            "Permission denied",
            "the login lacks permission: use root or `sudo`, or paths that it may write to",
        ),
        (
            "Operation not permitted",
            "the login lacks permission: use root or `sudo`; an immutable flag (`lsattr`) also causes this",
        ),
        (
            "differs)",
            "the data was corrupted in transit or by the disk: run the command again, and check the bundle (`quorate bundle verify`)",
        ),
        (
            "is not etcd's",
            "check what it is and move it away by hand, or set `paths.data` to a directory that only etcd uses",
        ),
        ("not stopped", "stop it first, then run the command again"),
        (
            "an etcd (process ",
            "an etcd that quorate did not start uses this directory: stop it first, then run the command again",
        ),
    ];
    let known = KNOWN.iter().find(|(text, _)| why.contains(text));
    known
        .map_or(
            "inspect the host (`quorate ssh`), then run the command again",
            |(_, hint)| hint,
        )
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(stderr: &str) -> HostError {
        let output = Output {
            status: Some(70),
            stdout: Vec::new(),
            stderr: stderr.to_owned(),
            over: None,
        };
        script_failed(&"a".parse().unwrap(), "push", &output)
    }

    #[test]
    fn the_cause_is_the_scripts_sentence_with_the_tools_message() {
        let error = failed(
            "sudo: unable to resolve host x\ndd: error writing 'standard output': No space left on device\n\
             quorate: cannot write /opt/x\n",
        );
        assert_eq!(
            error.to_string(),
            "a: push failed: cannot write /opt/x (dd: error writing 'standard output': No space left on device)"
        );
        assert!(error.hint().unwrap().contains("free space"));
    }

    #[test]
    fn a_script_that_says_nothing_still_gives_a_sentence() {
        assert_eq!(
            failed("\n").to_string(),
            "a: push failed: it ended with status 70 and printed nothing"
        );
    }
}
