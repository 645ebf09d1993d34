//! Who keeps a member running: only a systemd unit can be taken the place of.

use super::Hurdle;
use crate::host::running::{Running, RunningEtcd};
use crate::inventory::NodeName;

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
            "add members on other hosts to the cluster, or run it as a unit first",
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
    if unit("ExecStartPre").contains("rm ") {
        hurdles.push(Hurdle::on(
            name,
            "its unit deletes files before each start (`ExecStartPre=`)",
            "remove that line now: a restart could delete the data",
        ));
    }
    hurdles
}
