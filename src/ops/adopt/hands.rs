//! Who keeps a member running: only a systemd unit can be taken the place of; and what its next start would be.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Hurdle;
use super::options::{boolean, config_file};
use crate::host::running::{Running, RunningEtcd};
use crate::inventory::NodeName;

/// What begins a cluster of one.
const FORCED: &str = "force-new-cluster";

/// The one etcd of a host.
///
/// # Errors
/// When there is none, or several.
pub(super) fn only_one<'a>(name: &NodeName, running: &'a Running) -> Result<&'a RunningEtcd, Hurdle> {
    match running.etcd.as_slice() {
        [one] => Ok(one),
        [] => Err(match running.others.first() {
            Some(other) => Hurdle::on(
                name,
                format!("its etcd is part of {other}, and cannot be taken out of it"),
                "move the data instead: create a cluster with `quorate up`, and let its clients write there",
            ),
            None => Hurdle::on(name, "no etcd runs here", "start it, or leave the host out"),
        }),
        several => Err(Hurdle::on(
            name,
            format!(
                "{} processes of etcd run here, and one can be taken over",
                several.len()
            ),
            "stop those that do not belong to the cluster, or take this host's member out of it first",
        )),
    }
}

/// What keeps the member running must be a unit that quorate can take the place of.
pub(super) fn in_other_hands(name: &NodeName, process: &RunningEtcd) -> Vec<Hurdle> {
    let container = ["kubepods", "docker", "libpod", "cri-containerd", "crio-"];
    if let Some(kind) = container.iter().find(|kind| process.groups.contains(*kind)) {
        let pod = "kubelet would start it again: this version takes over members that are systemd units";
        let why = match *kind {
            "kubepods" => pod,
            _ => "this version takes over members that are systemd units",
        };
        return vec![Hurdle::on(
            name,
            format!("its etcd runs in a container ({kind}): {why}"),
            "start it as a unit with the same flags first, one member at a time (docs/operate.md, \"Out of a container\")",
        )];
    }
    let unit = |key: &str| process.unit.get(key).map(String::as_str).unwrap_or_default();
    if unit("LoadState") != "loaded" {
        return vec![Hurdle::on(
            name,
            "its etcd is not a systemd unit",
            "start it as a unit first, one member at a time",
        )];
    }
    let mut hurdles = Vec::new();
    if !unit("DropInPaths").is_empty() {
        hurdles.push(Hurdle::on(
            name,
            format!(
                "drop-ins change its unit, and would change quorate's: {}",
                unit("DropInPaths")
            ),
            "move what they say into the unit itself, remove them, and run `systemctl daemon-reload`",
        ));
    }
    hurdles
}

/// What its next start would be, by what the unit says now: a host may reboot before the member's turn comes.
pub(super) fn next_start(name: &NodeName, process: &RunningEtcd, texts: &BTreeMap<String, String>) -> Vec<Hurdle> {
    let unit = |key: &str| process.unit.get(key).map(String::as_str).unwrap_or_default();
    let mut hurdles = Vec::new();
    for key in ["ExecStartPre", "ExecStart"] {
        if deletes(unit(key)) {
            hurdles.push(Hurdle::on(
                name,
                format!("its unit deletes files before each start (`{key}=`)"),
                "remove that now: a restart could delete the data",
            ));
        }
    }
    if unit("NeedDaemonReload") == "yes" {
        hurdles.push(Hurdle::on(
            name,
            "its unit was changed since systemd read it, so its next start would not be what runs",
            "run `systemctl daemon-reload` there, and see that the unit still says what runs",
        ));
    }
    hurdles.extend(forced(process, texts).map(|path| {
        Hurdle::on(
            name,
            format!("{path} has `{FORCED}` for its next start, which would throw every other member out"),
            "remove it there now, and run `systemctl daemon-reload`; the member need not be restarted for that",
        )
    }));
    hurdles
}

/// The file with which the next start, unlike the one that runs, would begin a cluster of one.
fn forced(process: &RunningEtcd, texts: &BTreeMap<String, String>) -> Option<String> {
    if process.arguments.iter().any(|word| word.contains(FORCED)) {
        return None;
    }
    let unit = |key: &str| process.unit.get(key).map(String::as_str).unwrap_or_default();
    let by_variable = files_read(process).into_iter().find(|path| {
        let text = texts.get(path).map(String::as_str).unwrap_or_default();
        let value = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("ETCD_FORCE_NEW_CLUSTER="));
        value.is_some_and(|value| boolean(value.trim_matches(['"', '\''])) == Value::Bool(true))
    });
    by_variable.or_else(|| {
        unit("ExecStart")
            .contains(FORCED)
            .then(|| unit("FragmentPath").to_owned())
    })
}

/// Whether a command of a unit deletes files: one of its words is a program that does nothing else.
fn deletes(command: &str) -> bool {
    let mut words = command.split(|c: char| c.is_whitespace() || "/;&|'\"`(){}".contains(c));
    words.any(|word| ["rm", "-delete", "shred", "unlink", "wipefs"].contains(&word) || word.starts_with("mkfs"))
}

/// The files that its options come from: the configuration that it was started with, and those that its unit has variables
/// from, which systemd shows as `/etc/etcd.env (ignore_errors=no)`.
pub fn files_read(process: &RunningEtcd) -> Vec<String> {
    let files = process
        .unit
        .get("EnvironmentFiles")
        .map(String::as_str)
        .unwrap_or_default();
    let variables = files
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(str::to_owned);
    config_file(process).into_iter().chain(variables).collect()
}
