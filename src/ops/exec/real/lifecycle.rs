//! Starting, restarting and retiring the member on a host.

use std::time::Duration;

use bytes::Bytes;

use super::RealWorld;
use super::provision::named;
use crate::host::{Content, Push, PushFile, ServiceState};
use crate::inventory::{HostPath, NodeName, PeerUrl, ServiceManager, Version};
use crate::ops::check::{Check, Look};
use crate::ops::exec::wait::{Patience, watch};
use crate::ops::exec::{StepError, World as _, fault};
use crate::ops::model::Fact;
use crate::ops::plan::{Action, HostChange, Step};
use crate::ops::rest::TurnNote;
use crate::render::SchedulePaths;
use crate::report::Reporter;

/// The unit's own limit before it kills etcd is 60 s.
const STOP_LIMIT: Duration = Duration::from_secs(75);

/// What a restart with a change began with.
#[derive(Default)]
struct Before {
    files: Vec<PushFile>,
    /// What was not there, where what runs was started by something else: its own files may be under other names, and a unit
    /// in /etc takes the place of a package's.
    absent: Vec<HostPath>,
    release: Option<Version>,
}

impl RealWorld {
    /// Hands leadership over, puts the change in place and restarts; takes the change back when the member does not
    /// come up with it.
    pub(super) async fn restart(
        &self,
        step: &Step,
        node: &NodeName,
        change: &HostChange,
        (url, turn): (&PeerUrl, Option<&TurnNote>),
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        self.hand_over(url).await?;
        let before = self.before(node, change).await;
        if !change.is_empty() {
            self.provision(step, node, change, reporter).await?;
        }
        if let Some(note) = turn {
            self.note_turn(step, node, note, reporter).await?;
        }
        fault::point(&format!("in-place:{}", step.id));
        let host = self.host(node).await?;
        host.restart().await?;
        // From now on it listens where its new configuration says.
        self.fleet.listens(self.spec(node)?, None).await;
        fault::point(&format!("restarted:{}", step.id));
        let up = watch(step, &step.ensures, Patience::of(step), self, reporter).await;
        match up {
            Ok(()) => Ok("healthy and caught up".into()),
            // Who trusts whom changes in an order that going back on one host would break: certificates stay.
            Err(error) if change.files.is_empty() && (change.certificates || change.trust.is_some()) => {
                Err(StepError {
                    message: format!(
                        "it keeps its new certificates and is not healthy; no other member was restarted after it: {}",
                        error.message
                    ),
                    ..error
                })
            }
            Err(error) if change.files.is_empty() => Err(error),
            Err(error) => Err(self.take_back(step, node, before, error, reporter).await),
        }
    }

    /// What the change replaces, as it is now.
    async fn before(&self, node: &NodeName, change: &HostChange) -> Before {
        let seen = self.seen.lock().await;
        let Some(Fact::Known(facts)) = seen.hosts.get(node) else {
            return Before::default();
        };
        let files = change.files.iter().filter_map(|file| {
            let old = facts.files.get(&file.path)?;
            Some(PushFile {
                path: file.path.clone(),
                mode: old.mode,
                owner: named(&old.owner),
                sha256: old.sha256.clone(),
                content: Content::Plain(Bytes::from(old.content.clone()?)),
                keep_previous: false,
            })
        });
        let theirs = facts.service.state == ServiceState::Running && facts.service.running_version.is_none();
        let new = change.files.iter().filter(|file| !facts.files.contains_key(&file.path));
        Before {
            files: files.collect(),
            absent: new.filter(|_| theirs).map(|file| file.path.clone()).collect(),
            release: facts.service.running_version,
        }
    }

    /// Puts the previous files (and with them the previous release) back and restarts, while etcd still allows it; the
    /// error says which of the two worlds the member is in.
    async fn take_back(
        &self,
        step: &Step,
        node: &NodeName,
        before: Before,
        error: StepError,
        reporter: &dyn Reporter,
    ) -> StepError {
        if before.files.is_empty() && before.absent.is_empty() {
            return error;
        }
        let outcome = match self.moved_on(before.release).await {
            Some(series) => format!(
                "it was left as it is: the cluster has moved to etcd {}.{}, which the previous release cannot join",
                series.0, series.1
            ),
            // On a way back the previous release is the later one: etcd from 3.6 on starts on storage of the minor before,
            // also while a downgrade is under way.
            None => match self.put_back(step, node, before, reporter).await {
                Ok(()) => "it is back on its previous configuration, and healthy".to_owned(),
                Err(failure) => format!("the previous files were restored, but it is still not healthy: {failure}"),
            },
        };
        StepError {
            // What holds now comes first; then why.
            message: format!("{outcome}; the new one failed: {}", error.message),
            ..error
        }
    }

    async fn put_back(
        &self,
        step: &Step,
        node: &NodeName,
        before: Before,
        reporter: &dyn Reporter,
    ) -> Result<(), StepError> {
        let spec = self.spec(node)?;
        let push = Push {
            files: before.files,
            absent: before.absent,
            daemon_reload: spec.service_manager == ServiceManager::Systemd,
            ..Push::default()
        };
        self.push(step, spec, &push, reporter).await?;
        self.host(node).await?.restart().await?;
        // With these files it may listen elsewhere again: a close look tells.
        self.look(&Look::closely_at(node)).await;
        let well: Vec<Check> = step
            .ensures
            .iter()
            .filter(|check| !matches!(check, Check::RunsCurrent { .. }))
            .cloned()
            .collect();
        watch(step, &well, Patience::PUT_BACK, self, reporter).await
    }

    /// The minor that the cluster as a whole has reached, when that is above the release a member came from: its binary
    /// would end with `invalid downgrade` (server/etcdserver/api/membership/downgrade.go).
    async fn moved_on(&self, came_from: Option<Version>) -> Option<(u32, u32)> {
        let came_from = came_from?;
        let tls = self.tls().await.ok()?;
        let cluster = self.fleet.cluster_version(&tls).await?;
        (cluster.series() > came_from.series()).then(|| cluster.series())
    }

    pub(super) async fn retire(&self, node: &NodeName) -> Result<String, StepError> {
        self.host(node).await?.disable_stop(STOP_LIMIT).await?;
        Ok("stopped and disabled".into())
    }

    pub(super) async fn set_aside(&self, node: &NodeName, action: &Action) -> Result<String, StepError> {
        let reason = match action {
            Action::ClearAborted => "aborted-start",
            Action::MakeRoom => "restore",
            _ => {
                self.no_more_backups(node).await?;
                "left-the-cluster"
            }
        };
        let place = self.host(node).await?.set_aside(reason).await?;
        Ok(match place {
            Some(place) => format!("moved to {place}"),
            None => "there was none".into(),
        })
    }

    /// A host that has left takes no backups any more, and keeps no credentials for them.
    async fn no_more_backups(&self, node: &NodeName) -> Result<(), StepError> {
        let spec = self.spec(node)?;
        if self.desired().backup.is_some() && spec.service_manager == ServiceManager::Systemd {
            let paths = SchedulePaths::of(spec);
            self.host(node).await?.disable_timer(&paths.unit, &paths.all()).await?;
        }
        Ok(())
    }

    pub(super) async fn wipe(&self, node: &NodeName) -> Result<String, StepError> {
        self.no_more_backups(node).await?;
        self.host(node).await?.wipe_contents().await?;
        Ok("deleted".into())
    }
}
