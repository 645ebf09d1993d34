//! The member's process: started, stopped and looked at through systemd or through quorate's own supervising loop.

use std::time::Duration;

use super::trouble::not_understood;
use super::verbs::{input, no_input};
use super::{DataFacts, Host, HostError, Output, Running, ServiceFacts, facts_parser, scripts, service_parser};
use crate::inventory::{DesiredHost, HostPath, MARKER, Paths, ServiceManager, Version};

/// How long `restart` waits for the old process to go; the unit's TimeoutStopSec is 60 s.
const RESTART_LIMIT: Duration = Duration::from_secs(75);

/// The file that tells quorate's own loop what to run: its counterpart of the unit file, pushed and compared like one.
pub fn launch_path(paths: &Paths) -> HostPath {
    paths.run.join("launch")
}

/// The content of [`launch_path`]: the executable of `version` with the host's configuration.
pub fn launch_text(host: &DesiredHost, version: Version) -> String {
    let paths = &host.paths;
    format!(
        "exe {}\nconfig {}\nhashed {}\n",
        paths.release(version).join("etcd"),
        paths.config,
        paths.pki.join("ca.crt"),
    )
}

/// The release below `bin` that such a content runs.
pub fn launched(launch: &str, bin: &HostPath) -> Option<Version> {
    let exe = launch.lines().find_map(|line| line.strip_prefix("exe "))?;
    bin.first_below(exe)?.parse().ok()
}

impl Host {
    /// Starts the member and does not wait until it is ready: etcd is only when a quorum is. A member that runs is left
    /// alone.
    ///
    /// # Errors
    /// When the service manager refuses.
    pub async fn start(&self) -> Result<(), HostError> {
        self.control("starting etcd", "start", RESTART_LIMIT).await.map(drop)
    }

    /// Restarts the member (or starts it) and comes back when the old process is gone. The new one may not be ready yet:
    /// under systemd it is given three seconds.
    ///
    /// # Errors
    /// When the service manager refuses or the old process does not go.
    pub async fn restart(&self) -> Result<(), HostError> {
        self.control("restarting etcd", "restart", RESTART_LIMIT)
            .await
            .map(drop)
    }

    /// Stops the member and proves that its process is gone.
    ///
    /// # Errors
    /// When it still is there after `limit`.
    pub async fn stop(&self, limit: Duration) -> Result<(), HostError> {
        self.control("stopping etcd", "stop", limit).await.map(drop)
    }

    /// Stops the member, proves it, and keeps it from starting at boot.
    ///
    /// # Errors
    /// As [`Host::stop`].
    pub async fn disable_stop(&self, limit: Duration) -> Result<(), HostError> {
        self.control("disabling etcd", "disable", limit).await.map(drop)
    }

    async fn control(&self, operation: &str, verb: &str, limit: Duration) -> Result<Output, HostError> {
        let seconds = limit.as_secs().max(1).to_string();
        let verb = verb.to_owned();
        // Twice: a process that does not go in time is killed, and waited for again.
        let within = limit * 2 + Duration::from_secs(60);
        match self.manager {
            ServiceManager::Systemd => {
                let args = vec![verb, self.unit(), seconds];
                let script = scripts::SYSTEMD.within(within);
                self.call(operation, script, args, no_input()).await
            }
            ServiceManager::Process => {
                let args = vec![verb, self.paths.run.to_string(), seconds];
                let script = scripts::PROCESS.within(within);
                self.call(operation, script, args, input(scripts::SUPERVISE.text)).await
            }
        }
    }

    /// What is known of the member's process, alone.
    ///
    /// # Errors
    /// When the host cannot be reached or the service manager does not answer.
    pub async fn service(&self) -> Result<ServiceFacts, HostError> {
        let operation = "inspecting the service";
        let paths = &self.paths;
        let args = vec![
            self.manager_word(),
            self.unit(),
            paths.run.to_string(),
            paths.bin.to_string(),
        ];
        let output = self.call(operation, scripts::SERVICE_STATUS, args, no_input()).await?;
        service_parser::service_facts(&String::from_utf8_lossy(&output.stdout), &paths.bin)
            .map_err(|why| not_understood(&self.node, operation, why))
    }

    /// [`Host::service`], and what the data directory holds.
    ///
    /// # Errors
    /// When the host cannot be reached, or when something is there but cannot be read.
    pub async fn member(&self) -> Result<(ServiceFacts, DataFacts), HostError> {
        let operation = "inspecting the member";
        let paths = &self.paths;
        let args = vec![
            self.manager_word(),
            self.unit(),
            paths.run.to_string(),
            paths.bin.to_string(),
            paths.data.to_string(),
            self.wal_word(),
            MARKER.to_owned(),
            paths.config.to_string(),
            scripts::LOOK_INSIDE.text.to_owned(),
        ];
        let output = self.call(operation, scripts::MEMBER_STATUS, args, no_input()).await?;
        facts_parser::member_facts(&String::from_utf8_lossy(&output.stdout), &paths.bin)
            .map_err(|why| not_understood(&self.node, operation, why))
    }

    /// The last `lines` lines that the member (and systemd about it) wrote since it was last started.
    ///
    /// # Errors
    /// When the host cannot be reached or its journal cannot be read.
    pub async fn journal(&self, lines: u32) -> Result<Vec<String>, HostError> {
        let args = self.journal_args(lines, "0");
        let output = self
            .call("reading the journal", scripts::JOURNAL, args, no_input())
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// The last `lines` lines and every later one as it comes, until the result is dropped.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn follow_journal(&self, lines: u32) -> Result<Running, HostError> {
        let script = scripts::FOLLOW.with(self.journal_args(lines, "1"));
        self.transport.spawn(&script).await
    }

    fn journal_args(&self, lines: u32, follow: &str) -> Vec<String> {
        let run = self.paths.run.to_string();
        vec![
            self.manager_word(),
            self.unit(),
            run,
            lines.to_string(),
            follow.to_owned(),
        ]
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
