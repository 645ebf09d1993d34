//! Puts releases, files and certificates in place: one exchange a host, whatever the change holds.

use std::sync::Arc;

use bytes::Bytes;

use super::RealWorld;
use crate::bundle::Bundle;
use crate::host::{Content, Generation, GenerationFile, Push, PushFile};
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::exec::StepError;
use crate::ops::plan::{HostChange, ReleaseChange, Step};
use crate::pki::{FileContent, host_files};
use crate::report::{Event, Reporter};

impl RealWorld {
    pub(super) async fn create_authority(&self) -> Result<String, StepError> {
        let recipients = self.vault.create(&self.desired().cluster).await?;
        Ok(format!("ca.crt and ca.key.age, which {recipients} can open"))
    }

    pub(super) async fn provision(
        &self,
        step: &Step,
        node: &NodeName,
        change: &HostChange,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let spec = self.spec(node)?;
        let push = self.push_of(spec, change).await?;
        let host = self.fleet.host(spec).await?;
        let progress = |done: u64, total: u64| {
            reporter.event(&Event::StepProgress {
                step: step.id.clone(),
                node: Some(node.clone()),
                unit: "bytes",
                done,
                total: Some(total),
            });
        };
        let report = host.push(&push, &progress).await?;
        Ok(format!("{} checked on the host", crate::ops::plan::count(report.files, "file")))
    }

    /// Everything the change needs, with certificates issued on the spot and binaries straight from the bundle.
    pub(super) async fn push_of(&self, spec: &DesiredHost, change: &HostChange) -> Result<Push, StepError> {
        let mut push = Push::for_member(spec);
        if let Some(release) = &change.release {
            push.release = Some(self.release(spec, release)?);
        }
        for file in &change.files {
            push.files.push(PushFile {
                path: file.path.clone(),
                mode: file.mode,
                owner: file.owner.clone(),
                sha256: file.sha256.clone(),
                content: Content::Plain(Bytes::from(file.text.clone())),
                keep_previous: true,
            });
        }
        if change.certificates {
            push.generation = Some(self.certificates(spec).await?);
        }
        push.marker = change.marker.as_ref().map(|m| m.to_text());
        push.enable = change.enable;
        Ok(push)
    }

    async fn certificates(&self, spec: &DesiredHost) -> Result<Generation, StepError> {
        let (trusted, server, peer) = self.vault.member_certificates(self.desired(), spec).await?;
        let files = host_files(&trusted, &server, &peer).into_iter().map(|file| GenerationFile {
            name: file.name.to_owned(),
            mode: file.mode,
            content: match &file.content {
                FileContent::Public(text) => Content::Plain(Bytes::from(text.clone())),
                FileContent::Secret(key) => Content::Secret(key.expose_pem().as_bytes().to_vec().into()),
            },
        });
        Ok(Generation { dir: spec.paths.pki.clone(), owner: spec.user.to_string(), files: files.collect() })
    }
}
