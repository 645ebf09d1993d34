//! The data directory: moved aside, wiped, marked. Refused by the host's script while an etcd uses it.

use jiff::Timestamp;

use super::scripts::HostScript;
use super::trouble::not_understood;
use super::verbs::{input, no_input};
use super::{Host, HostError, Output, Script, Stdin, scripts};
use crate::inventory::{HostPath, MARKER};

/// Whether anything may have the data open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// Refused while something has.
    Required,
    /// It does not matter.
    NotNeeded,
}

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
        let mut args = self.about_data();
        args.extend([format!("{stamp}-{word}"), scripts::DATA_ENTRIES.text.to_owned()]);
        let output = self.call(operation, scripts::DATA, args, no_input()).await?;
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
        let args = [
            "wipe".to_owned(),
            self.paths.data.to_string(),
            self.wal_word(),
            MARKER.to_owned(),
        ];
        self.call_as_owner(
            "wiping the data",
            Idle::Required,
            scripts::DATA_ENTRIES,
            &args,
            no_input(),
        )
        .await
        .map(drop)
    }

    /// Removes what was installed for a member that is stopped for good: its timer (`TIMER.timer`), `files`, older versions
    /// of them, and last the `note` that says why it is down. Releases and data stay.
    ///
    /// # Errors
    /// When the member is not stopped, or something is still there. It can be repeated.
    pub async fn withdraw(&self, timer: &str, files: &[HostPath], note: Option<&HostPath>) -> Result<(), HostError> {
        let note = note.map_or("-".to_owned(), ToString::to_string);
        let mut args = vec![
            self.manager_word(),
            self.unit(),
            timer.to_owned(),
            self.paths.run.to_string(),
            self.paths.pki.to_string(),
            note,
        ];
        args.extend(files.iter().map(ToString::to_string));
        self.call("removing the member", scripts::WITHDRAW, args, no_input())
            .await
            .map(drop)
    }

    /// Removes a directory that a command worked with below the data.
    ///
    /// # Errors
    /// When it is still there.
    pub async fn remove_work(&self, work: &HostPath) -> Result<(), HostError> {
        let args = [work.to_string()];
        self.call_as_owner("tidying up", Idle::NotNeeded, scripts::REMOVE, &args, no_input())
            .await
            .map(drop)
    }

    fn about_data(&self) -> Vec<String> {
        vec![
            self.manager_word(),
            self.unit(),
            self.paths.run.to_string(),
            self.paths.data.to_string(),
            self.wal_word(),
        ]
    }

    /// A script that works below the data, as the account that they belong to: root never does, because that account could
    /// exchange what is there for a link to anywhere else. Refused where it could exchange the directory itself.
    pub(super) fn as_owner(&self, idle: Idle, script: HostScript, args: &[String]) -> Script {
        let idle = match idle {
            Idle::Required => "1",
            Idle::NotNeeded => "0",
        };
        let mut all = vec![idle.to_owned()];
        all.extend(self.about_data());
        all.push(script.text.to_owned());
        all.extend_from_slice(args);
        Script {
            limits: script.limits,
            ..scripts::AS_OWNER.with(all)
        }
    }

    /// Runs such a script; anything but exit status 0 is an error.
    pub(super) async fn call_as_owner(
        &self,
        operation: &str,
        idle: Idle,
        script: HostScript,
        args: &[String],
        stdin: Stdin,
    ) -> Result<Output, HostError> {
        let Script { args, limits, .. } = self.as_owner(idle, script, args);
        let script = HostScript {
            limits,
            ..scripts::AS_OWNER
        };
        self.call(operation, script, args, stdin).await
    }

    /// Writes quorate's marker into the data directory: whose data this is, for [`super::DataFacts::marker`].
    ///
    /// # Errors
    /// When the directory is missing or cannot be written.
    pub async fn write_marker(&self, text: &str) -> Result<(), HostError> {
        let args = [self.paths.data.to_string(), MARKER.to_owned()];
        let operation = "marking the data";
        self.call_as_owner(operation, Idle::NotNeeded, scripts::MARKER, &args, input(text))
            .await
            .map(drop)
    }
}

#[cfg(test)]
#[path = "data_tests.rs"]
mod tests;
