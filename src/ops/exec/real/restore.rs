//! Restoring a snapshot on a host, and comparing the members afterwards.

use std::sync::Arc;

use super::RealWorld;
use super::provision::{owner, progress};
use crate::backup::{RestoreTool, SnapshotDigest};
use crate::host::restore::Restore;
use crate::host::{Content, Directory, Push, PushFile};
use crate::inventory::{DesiredHost, HostPath, NodeName};
use crate::ops::exec::StepError;
use crate::ops::model::Fact;
use crate::ops::plan::Step;
use crate::ops::restore::{RestoreData, RestoreNote};
use crate::report::{Reporter, human_bytes};

impl RealWorld {
    pub(super) async fn note_restore(
        &self,
        step: &Step,
        node: &NodeName,
        note: &RestoreNote,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let path = RestoreNote::path(self.spec(node)?);
        self.write_note(step, node, path, note.to_text(), reporter).await?;
        Ok("locked for this restore".into())
    }

    /// Brings the plain snapshot to a host: opened here, checked here and, by its SHA-256, there. It is written as the account
    /// of the data, below them; the program that reads it lies in a directory of root's.
    pub(super) async fn stage_snapshot(
        &self,
        step: &Step,
        node: &NodeName,
        snapshot: &SnapshotDigest,
        at: &HostPath,
        tool: Option<RestoreTool>,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let spec = self.spec(node)?;
        let backup = self
            .backup
            .clone()
            .ok_or_else(|| StepError::new("there is no backup to restore"))?;
        let mut ground = Push {
            directories: vec![Directory {
                path: spec.paths.data.clone(),
                mode: 0o700,
                owner: owner(spec),
            }],
            ..Push::default()
        };
        if let Some(tool) = tool {
            let place = spec.paths.restore_tool(&spec.service);
            ground.files.push(self.tool_file(spec, &place, tool).await?);
            ground.directories.push(Directory {
                path: place,
                mode: 0o755,
                owner: None,
            });
        }
        let host = self.fleet.host(spec).await?;
        host.push(&ground, &|_, _| {}).await?;
        let push = Push {
            directories: vec![Directory {
                path: at.clone(),
                mode: 0o700,
                owner: None,
            }],
            files: vec![PushFile {
                path: at.join("snapshot.db"),
                mode: 0o600,
                owner: None,
                sha256: snapshot.sha256.clone(),
                content: Content::Stream {
                    open: Arc::new(move || backup.reader()),
                    len: snapshot.size,
                    unpacker: None,
                },
                keep_previous: false,
            }],
            ..Push::default()
        };
        let progress = progress(step, spec, reporter);
        let sent = host.push_inside(&push, &progress).await?.bytes;
        Ok(format!("{} sent and checked on the host", human_bytes(sent)))
    }

    async fn tool_file(&self, spec: &DesiredHost, at: &HostPath, tool: RestoreTool) -> Result<PushFile, StepError> {
        let arch = match self.seen.lock().await.hosts.get(&spec.name) {
            Some(Fact::Known(facts)) => facts.system.arch,
            _ => None,
        };
        let arch = arch.ok_or_else(|| StepError::new("the host's processor is not known"))?;
        let RestoreTool { version, program } = tool;
        self.program_file(&spec.name, at, (version, arch), program).await
    }

    pub(super) async fn restore_data(&self, node: &NodeName, data: &RestoreData) -> Result<String, StepError> {
        let restore = Restore {
            work: &data.at,
            tool: &data.tool,
            initial_cluster: &data.initial_cluster,
            token: &data.token,
            url: &data.url,
            bump: data.bump,
            checksum: data.checksum,
            marker: &data.marker.to_text(),
        };
        self.host(node).await?.restore_data(&restore).await?;
        Ok(format!("data of the cluster {}", data.marker.cluster_id))
    }

    pub(super) async fn forget_restore(
        &self,
        node: &NodeName,
        at: &HostPath,
        note: &HostPath,
    ) -> Result<String, StepError> {
        let spec = self.spec(node)?;
        let tool = spec.paths.restore_tool(&spec.service);
        self.host(node).await?.forget_restore(at, &tool, note).await?;
        Ok("finished".into())
    }
}
