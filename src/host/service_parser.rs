//! What the service manager and /proc tell of the member's process, read from the answer of a script. Pure.

use super::facts_parser::{Answer, is_sha256};
use super::{ServiceFacts, ServiceState};
use crate::inventory::HostPath;

/// The facts in the answer of `service_status.sh`.
///
/// # Errors
/// When the answer was cut off.
pub(super) fn service_facts(text: &str, bin: &HostPath) -> Result<ServiceFacts, String> {
    Ok(service(&Answer::read(text)?, bin))
}

/// The facts about the process in either script's answer.
pub(super) fn service(answer: &Answer<'_>, bin: &HostPath) -> ServiceFacts {
    let exe = answer.text("exe");
    let running_exe = Some(exe.trim_end_matches(" (deleted)").to_owned()).filter(|exe| !exe.is_empty());
    let running_version = running_exe
        .as_deref()
        .and_then(|exe| bin.first_below(exe)?.parse().ok());
    let started_with = answer.all("started").filter_map(|line| {
        let (hash, path) = line.split_once(' ')?;
        let path = path.trim_start().parse().ok()?;
        is_sha256(hash).then(|| (path, hash.to_owned()))
    });
    let manager = match answer.all("process").next() {
        Some(line) => supervised(answer, line),
        None => unit(answer),
    };
    ServiceFacts {
        state: manager.state,
        enabled: manager.enabled,
        needs_reload: manager.needs_reload,
        pid: answer.all("pid").next().and_then(|pid| pid.trim().parse().ok()),
        running_version,
        running_exe,
        exe_replaced: exe.ends_with(" (deleted)"),
        started_with: started_with.collect(),
        last_exit: manager.last_exit,
        active_seconds: manager.active_since.map(|since| {
            // Both count from boot.
            let seconds = answer.number::<f64>("uptime") - since;
            seconds.max(0.0) as u64
        }),
        restarts: manager.restarts,
        drop_ins: manager.drop_ins,
        ignored_environment: answer.all("ignored").map(str::to_owned).collect(),
    }
}

/// What only the service manager knows.
struct Manager {
    state: ServiceState,
    enabled: bool,
    needs_reload: bool,
    last_exit: Option<String>,
    active_since: Option<f64>,
    restarts: u32,
    drop_ins: Vec<String>,
}

fn unit(answer: &Answer<'_>) -> Manager {
    let units = answer.units();
    let get = |key: &str| units.first().and_then(|unit| unit.get(key)).copied().unwrap_or("");
    let micros = |key: &str| get(key).parse::<f64>().ok().filter(|micros| *micros > 0.0);
    let state = match (get("LoadState"), get("ActiveState"), get("SubState")) {
        ("" | "not-found", "" | "inactive", _) => ServiceState::Missing,
        (_, "active" | "reloading", _) => ServiceState::Running,
        (_, "failed", _) | (_, "activating", "auto-restart" | "auto-restart-queued") => ServiceState::Failed,
        (_, "activating", _) => ServiceState::Starting,
        // On its way down: it still is there.
        (_, "deactivating", _) => ServiceState::Running,
        _ => ServiceState::Stopped,
    };
    // CLD_EXITED, CLD_KILLED and CLD_DUMPED of wait(2).
    let last_exit = match (micros("ExecMainExitTimestampMonotonic"), get("ExecMainCode")) {
        (None, _) => None,
        (Some(_), "1") => Some(format!("exit code {}", get("ExecMainStatus"))),
        (Some(_), "2" | "3") => Some(format!("signal {}", get("ExecMainStatus"))),
        (Some(_), _) => Some(get("Result").to_owned()),
    };
    Manager {
        state,
        enabled: matches!(get("UnitFileState"), "enabled" | "enabled-runtime"),
        needs_reload: get("NeedDaemonReload") == "yes",
        last_exit,
        active_since: micros("ActiveEnterTimestampMonotonic")
            .filter(|_| state == ServiceState::Running)
            .map(|micros| micros / 1e6),
        restarts: get("NRestarts").parse().unwrap_or(0),
        drop_ins: get("DropInPaths").split_whitespace().map(str::to_owned).collect(),
    }
}

/// `SUPERVISED START_TICKS RESTARTS` of quorate's own loop. A process that was never told to start is stopped.
fn supervised(answer: &Answer<'_>, line: &str) -> Manager {
    // Linux counts a process's start in ticks of 1/100 s, whatever the kernel's own clock does (USER_HZ).
    const TICKS_PER_SECOND: f64 = 100.0;
    let mut words = line.split(' ');
    let loop_runs = words.next() == Some("1");
    let since = words
        .next()
        .and_then(|ticks| ticks.parse::<f64>().ok())
        .filter(|ticks| *ticks > 0.0);
    let restarts = words.next().and_then(|count| count.parse().ok()).unwrap_or(0);
    let last_exit = Some(answer.text("exit")).filter(|text| !text.is_empty());
    let failed = last_exit.as_deref().is_some_and(|exit| exit != "exit code 0");
    let state = match (since, loop_runs) {
        (Some(_), _) => ServiceState::Running,
        (None, true) if failed => ServiceState::Failed,
        (None, true) => ServiceState::Starting,
        (None, false) => ServiceState::Stopped,
    };
    Manager {
        state,
        enabled: false,
        needs_reload: false,
        last_exit,
        active_since: since.map(|ticks| ticks / TICKS_PER_SECOND),
        restarts,
        drop_ins: Vec::new(),
    }
}
