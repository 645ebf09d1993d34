//! The data directory: moved aside, wiped, marked. Refused by the host's script while an etcd uses it.

use jiff::Timestamp;

use super::trouble::not_understood;
use super::verbs::{input, no_input};
use super::{Host, HostError, Output, scripts};
use crate::inventory::MARKER;

impl Host {
    /// Moves what is in the data directory (and the WAL directory) to `DATA.quorate-aside/STAMP-REASON` beside it, or
    /// to `DATA/.quorate-aside/STAMP-REASON` where DATA is a mount point or a link, so that nothing is ever copied.
    /// Returns that path. `reason` is one word such as `restore`; other characters than letters and digits become `-`.
    ///
    /// # Errors
    /// When the member is not stopped, any etcd has the directory open, or something cannot be moved. Interrupted, it
    /// can be repeated: the rest goes to a second place.
    pub async fn set_aside(&self, reason: &str) -> Result<Option<String>, HostError> {
        let operation = "moving old data aside";
        let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let word: String = reason
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let output = self
            .change_data(operation, "set-aside", &format!("{stamp}-{word}"))
            .await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said.lines().last() != Some("done") {
            return Err(not_understood(
                &self.node,
                operation,
                "the host did not confirm that it is done",
            ));
        }
        Ok(said
            .lines()
            .find_map(|line| line.strip_prefix("aside ").map(str::to_owned)))
    }

    /// Deletes the member's data: `member`, quorate's marker and the WAL files. The directories stay, and so does what
    /// was set aside.
    ///
    /// # Errors
    /// As [`Host::set_aside`]; also, before anything is deleted, when there is something that is not etcd's.
    pub async fn wipe_contents(&self) -> Result<(), HostError> {
        self.change_data("wiping the data", "wipe", "-").await.map(drop)
    }

    /// The arguments that every script which touches a member's data begins with.
    pub(super) fn about_data(&self, verb: &str) -> Vec<String> {
        vec![
            verb.to_owned(),
            self.manager_word(),
            self.unit(),
            self.paths.run.to_string(),
            self.paths.data.to_string(),
            self.wal_word(),
            MARKER.to_owned(),
        ]
    }

    async fn change_data(&self, operation: &str, verb: &str, name: &str) -> Result<Output, HostError> {
        let mut args = self.about_data(verb);
        args.push(name.to_owned());
        self.call(operation, scripts::DATA, args, no_input()).await
    }

    /// Writes quorate's marker into the data directory: whose data this is, for [`super::DataFacts::marker`].
    ///
    /// # Errors
    /// When the directory is missing or cannot be written.
    pub async fn write_marker(&self, text: &str) -> Result<(), HostError> {
        let args = vec![self.paths.data.to_string(), MARKER.to_owned()];
        self.call("marking the data", scripts::MARKER, args, input(text))
            .await
            .map(drop)
    }
}

#[cfg(test)]
#[path = "data_tests.rs"]
mod tests;
