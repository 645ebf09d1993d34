//! Notes on hosts: that a member is down on purpose, that it had its turn, that a restore is under way.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::RealWorld;
use crate::host::{Content, Directory, Push, PushFile};
use crate::inventory::{HostPath, NodeName, PeerUrl};
use crate::ops::exec::{StepError, fault};
use crate::ops::plan::Step;
use crate::ops::rest::{RestNote, TurnNote};
use crate::render::SchedulePaths;
use crate::report::Reporter;

impl RealWorld {
    /// Hands leadership over, notes why the member is down, and stops it so that no boot starts it.
    pub(super) async fn rest(
        &self,
        step: &Step,
        node: &NodeName,
        note: &RestNote,
        url: Option<&PeerUrl>,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        if let Some(url) = url {
            self.hand_over(url).await?;
        }
        let path = RestNote::path(self.spec(node)?);
        self.write_note(step, node, path, note.to_text(), reporter).await?;
        fault::point(&format!("noted:{}", step.id));
        self.retire(node).await?;
        Ok("stopped; it does not start at boot".into())
    }

    pub(super) async fn end_rest(&self, node: &NodeName, note: &HostPath) -> Result<String, StepError> {
        self.host(node).await?.remove_note(note).await?;
        Ok("removed".into())
    }

    /// Removes what is installed for a member that is stopped for good.
    pub(super) async fn withdraw(
        &self,
        node: &NodeName,
        files: &[HostPath],
        note: Option<&HostPath>,
    ) -> Result<String, StepError> {
        let spec = self.spec(node)?;
        let timer = SchedulePaths::of(spec).unit;
        self.host(node).await?.withdraw(&timer, files, note).await?;
        Ok(match note {
            Some(_) => "removed".into(),
            None => "removed; the note that it is down on purpose stays".into(),
        })
    }

    /// Notes that a member is about to have its turn.
    pub(super) async fn note_turn(
        &self,
        step: &Step,
        node: &NodeName,
        note: &TurnNote,
        reporter: &dyn Reporter,
    ) -> Result<(), StepError> {
        let path = TurnNote::path(self.spec(node)?);
        self.write_note(step, node, path, note.to_text(), reporter).await
    }

    /// Writes a note of root's that everybody may read.
    pub(super) async fn write_note(
        &self,
        step: &Step,
        node: &NodeName,
        path: HostPath,
        text: String,
        reporter: &dyn Reporter,
    ) -> Result<(), StepError> {
        let directory = path.parent().parse().map_err(|e| StepError::new(format!("{e}")))?;
        let push = Push {
            directories: vec![Directory {
                path: directory,
                mode: 0o755,
                owner: None,
            }],
            files: vec![PushFile {
                path,
                mode: 0o644,
                owner: None,
                sha256: hex::encode(Sha256::digest(&text)),
                content: Content::Plain(Bytes::from(text)),
                keep_previous: false,
            }],
            ..Push::default()
        };
        self.push(step, self.spec(node)?, &push, reporter).await?;
        Ok(())
    }
}
