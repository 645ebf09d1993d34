//! Starting, restarting and retiring the member on a host.

use std::time::Duration;

use bytes::Bytes;

use super::RealWorld;
use crate::host::{Content, Push, PushFile};
use crate::inventory::{NodeName, PeerUrl, ServiceManager};
use crate::ops::exec::StepError;
use crate::ops::exec::wait::{Patience, watch};
use crate::ops::model::Fact;
use crate::ops::plan::{Action, HostChange, Step};
use crate::report::Reporter;

/// The unit's own limit before it kills etcd is 60 s.
const STOP_LIMIT: Duration = Duration::from_secs(75);

impl RealWorld {
    pub(super) async fn start(&self, node: &NodeName) -> Result<String, StepError> {
        self.host(node).await?.start().await?;
        Ok("asked to start".into())
    }

    /// Hands leadership over, puts the change in place and restarts; takes the change back when the member does not
    /// come up with it.
    pub(super) async fn restart(
        &self,
        step: &Step,
        node: &NodeName,
        change: &HostChange,
        url: &PeerUrl,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        self.hand_over(url).await?;
        let before = self.files_before(node, change).await;
        if !change.is_empty() {
            self.provision(step, node, change, reporter).await?;
        }
        let host = self.host(node).await?;
        host.restart().await?;
        let up = watch(step, &step.ensures, Patience::of(step), self, reporter).await;
        match up {
            Ok(()) => Ok("healthy and caught up".into()),
            Err(error) if change.files.is_empty() => Err(error),
            Err(error) => Err(self.take_back(step, node, before, error, reporter).await),
        }
    }

    /// The files that the change replaces, as they are now.
    async fn files_before(&self, node: &NodeName, change: &HostChange) -> Vec<PushFile> {
        let seen = self.seen.lock().await;
        let Some(Fact::Known(facts)) = seen.hosts.get(node) else {
            return Vec::new();
        };
        let before = change.files.iter().filter_map(|file| {
            let old = facts.files.get(&file.path)?;
            Some(PushFile {
                path: file.path.clone(),
                mode: old.mode,
                owner: old.owner.parse().ok(),
                sha256: old.sha256.clone(),
                content: Content::Plain(Bytes::from(old.content.clone()?)),
                keep_previous: false,
            })
        });
        before.collect()
    }

    /// Puts the previous files back and restarts with them; the error says which of the two worlds the member is in.
    async fn take_back(
        &self,
        step: &Step,
        node: &NodeName,
        before: Vec<PushFile>,
        error: StepError,
        reporter: &dyn Reporter,
    ) -> StepError {
        if before.is_empty() {
            return error;
        }
        let back = async {
            let spec = self.spec(node)?;
            let push = Push {
                files: before,
                daemon_reload: spec.service_manager == ServiceManager::Systemd,
                ..Push::default()
            };
            self.push(step, spec, &push, reporter).await?;
            Ok::<(), StepError>(self.host(node).await?.restart().await?)
        };
        let outcome = match back.await {
            Ok(()) => "the previous files were put back and etcd was restarted with them".to_owned(),
            Err(failure) => format!("putting the previous files back failed as well: {failure}"),
        };
        StepError {
            message: format!("{}; {outcome}", error.message),
            ..error
        }
    }

    pub(super) async fn retire(&self, node: &NodeName) -> Result<String, StepError> {
        self.host(node).await?.disable_stop(STOP_LIMIT).await?;
        Ok("stopped, and it stays so after a reboot".into())
    }

    pub(super) async fn set_aside(&self, node: &NodeName, action: &Action) -> Result<String, StepError> {
        let reason = match action {
            Action::ClearAborted => "aborted-start",
            Action::MakeRoom => "restore",
            _ => "left-the-cluster",
        };
        let place = self.host(node).await?.set_aside(reason).await?;
        Ok(match place {
            Some(place) => format!("moved to {place}"),
            None => "there was none".into(),
        })
    }

    pub(super) async fn wipe(&self, node: &NodeName) -> Result<String, StepError> {
        self.host(node).await?.wipe_contents().await?;
        Ok("deleted".into())
    }
}
