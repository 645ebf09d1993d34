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

    /// Begins to run `UNIT.service` once.
    ///
    /// # Errors
    /// When systemd does not start it.
    pub async fn begin_timer_run(&self, unit: &str) -> Result<(), HostError> {
        self.timer("starting a backup", &["begin", unit]).await
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

#[cfg(test)]
mod tests {
    use super::super::testbed::{Testbed, set_mode};

    #[tokio::test]
    async fn a_directory_below_one_of_the_accounts_is_made_by_that_account() {
        // Without root there is one account only.
        if !rustix::process::getuid().is_root() {
            return;
        }
        let bed = Testbed::new();
        let nobody = "nobody".parse().unwrap();
        set_mode(&bed.root(), 0o755);
        let theirs = bed.path("theirs");
        std::fs::create_dir(theirs.as_str()).unwrap();
        std::os::unix::fs::chown(theirs.as_str(), Some(65534), Some(65534)).unwrap();
        let below = theirs.join("a/b");
        bed.host().prepare_places(&nobody, &[below.as_str()]).await.unwrap();
        // What the account may not do, nobody does for it: root would follow whatever it has put there meanwhile.
        set_mode(&theirs, 0o555);
        let refused = theirs.join("c");
        let error = bed.host().prepare_places(&nobody, &[refused.as_str()]).await;
        assert!(error.unwrap_err().to_string().contains("cannot make"));
        let ours = bed.path("ours");
        bed.host().prepare_places(&nobody, &[ours.as_str()]).await.unwrap();
        for made in [below, ours] {
            let told = std::fs::metadata(made.as_str()).unwrap();
            use std::os::unix::fs::MetadataExt as _;
            assert_eq!((told.uid(), told.mode() & 0o777), (65534, 0o700), "{made}");
        }
    }
}
