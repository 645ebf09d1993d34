//! From a snapshot that lies on the host to the member's data directory.

use super::data::Idle;
use super::verbs::{input, no_input};
use super::{Host, HostError, scripts};
use crate::inventory::{HostPath, MARKER, PeerUrl};

/// What a member's restored data is made from.
#[derive(Debug, Clone)]
pub struct Restore<'a> {
    /// The directory with `snapshot.db`, below the data.
    pub work: &'a HostPath,
    /// etcdutl, or the etcdctl of 3.4.
    pub tool: &'a HostPath,
    /// `initial-cluster` of the new cluster.
    pub initial_cluster: &'a str,
    /// Its token.
    pub token: &'a str,
    /// This member's peer URL.
    pub url: &'a PeerUrl,
    /// By how much revisions rise; older ones are marked as compacted then.
    pub bump: Option<u64>,
    /// Whether the snapshot ends with its checksum.
    pub checksum: bool,
    /// The text of quorate's marker.
    pub marker: &'a str,
}

impl Host {
    /// Turns the staged snapshot into the member's data, and marks it. Interrupted, it can be repeated once what is in
    /// the data directory was set aside.
    ///
    /// # Errors
    /// When the member runs, its old data is still there, the snapshot is missing, or the program refuses it.
    pub async fn restore_data(&self, restore: &Restore<'_>) -> Result<(), HostError> {
        let mut args = vec![self.paths.data.to_string(), self.wal_word(), MARKER.to_owned()];
        args.extend([
            restore.work.to_string(),
            restore.tool.to_string(),
            self.node.to_string(),
            restore.initial_cluster.to_owned(),
            restore.token.to_owned(),
            restore.url.to_string(),
        ]);
        if let Some(bump) = restore.bump {
            args.extend([
                "--bump-revision".to_owned(),
                bump.to_string(),
                "--mark-compacted".to_owned(),
            ]);
        }
        if !restore.checksum {
            args.push("--skip-hash-check".to_owned());
        }
        let operation = "restoring the snapshot";
        self.call_as_owner(
            operation,
            Idle::Required,
            scripts::RESTORE,
            &args,
            input(restore.marker),
        )
        .await
        .map(drop)
    }

    /// Removes what a restore worked with: its directory below the data, that of its tool, and then its note.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn forget_restore(&self, work: &HostPath, tool: &HostPath, note: &HostPath) -> Result<(), HostError> {
        self.remove_work(work).await?;
        let args = vec![tool.to_string(), note.to_string()];
        self.call("finishing the restore", scripts::FORGET, args, no_input())
            .await
            .map(drop)
    }

    /// Removes a note of root's.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove_note(&self, note: &HostPath) -> Result<(), HostError> {
        let args = vec![note.to_string()];
        self.call("removing the note", scripts::REMOVE_NOTE, args, no_input())
            .await
            .map(drop)
    }
}
