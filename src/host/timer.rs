//! The timer with which a host takes backups by itself.

use super::verbs::no_input;
use super::{Host, HostError, scripts};
use crate::inventory::{HostPath, UserName};

impl Host {
    /// Asks systemd whether it understands a time.
    ///
    /// # Errors
    /// When it does not.
    pub async fn understands_calendar(&self, schedule: &str) -> Result<(), HostError> {
        self.timer("checking `backup.schedule`", &["calendar", "-", schedule])
            .await
    }

    /// Makes directories that are missing, for `user` alone.
    ///
    /// # Errors
    /// When one cannot be made.
    pub async fn prepare_places(&self, user: &UserName, directories: &[&str]) -> Result<(), HostError> {
        let words = [&["prepare", "-", user.as_str()], directories].concat();
        self.timer("creating the directory for backups", &words).await
    }

    /// Switches `UNIT.timer` on, or lets it read its file again.
    ///
    /// # Errors
    /// When it is not active afterwards.
    pub async fn enable_timer(&self, unit: &str) -> Result<(), HostError> {
        self.timer("enabling the timer", &["enable", unit]).await
    }

    /// Switches `UNIT.timer` off and removes `files`, which may be directories.
    ///
    /// # Errors
    /// When something of it is still there.
    pub async fn disable_timer(&self, unit: &str, files: &[&HostPath]) -> Result<(), HostError> {
        let files: Vec<&str> = files.iter().map(|path| path.as_str()).collect();
        let words = [&["disable", unit], files.as_slice()].concat();
        self.timer("disabling the timer", &words).await
    }

    /// Runs `UNIT.service` once and waits for its end.
    ///
    /// # Errors
    /// When it fails, with the last lines of its journal.
    pub async fn run_timer_now(&self, unit: &str) -> Result<(), HostError> {
        let words = ["run", unit].map(str::to_owned).to_vec();
        let done = self.call("taking a backup", scripts::BACKUP_NOW, words, no_input());
        done.await.map(drop)
    }

    async fn timer(&self, operation: &str, words: &[&str]) -> Result<(), HostError> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let done = self.call(operation, scripts::TIMER, words, no_input()).await;
        done.map(drop)
    }
}
