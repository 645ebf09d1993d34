//! A backup before something risky: from the healthiest follower into `backups/` beside the inventory.

use std::path::PathBuf;

use jiff::Timestamp;

use super::RealWorld;
use crate::backup::{About, BackupError, Manifest, ManifestMember, Seal, new_file, take};
use crate::etcd::Member;
use crate::inventory::Desired;
use crate::ops::exec::StepError;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Membership, host_of, label};
use crate::ops::plan::{Step, digest};
use crate::report::{Event, Reporter, human_bytes};

/// A follower that is further behind than this (in raft entries) is a worse source than the leader.
const FRESH: u64 = 500;

/// A backup that was taken.
pub struct Taken {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl RealWorld {
    pub(super) async fn snapshot(
        &self,
        step: &Step,
        reason: &str,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let seal = Seal::To(self.vault.recipients()?);
        let progress = |done, total| {
            reporter.event(&Event::StepProgress {
                step: step.id.clone(),
                node: None,
                unit: "bytes",
                done,
                total,
            });
        };
        let taken = self.take_backup(reason, None, seal, &progress).await?;
        Ok(format!(
            "{}: {} at revision {}, checksum verified",
            taken.path.display(),
            human_bytes(taken.manifest.snapshot.size),
            taken.manifest.revision
        ))
    }

    /// Takes a backup into `to`, or into a file named after cluster, time and reason in `backups/` beside the
    /// inventory. `progress` is told bytes so far and in all.
    ///
    /// # Errors
    /// When no member is healthy, or as [`take`].
    pub async fn take_backup(
        &self,
        reason: &str,
        to: Option<PathBuf>,
        seal: Seal,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> Result<Taken, StepError> {
        let membership = match self.membership().await {
            Ok(membership) => membership,
            Err(error) => {
                let hint = "a snapshot needs a quorum: `quorate up` starts members that are down";
                return Err(error.hint(self.sight().await.hint(hint, Some(&LastResort::majority_gone()))));
            }
        };
        let source = healthiest(self.desired(), &membership).ok_or_else(|| {
            StepError::new("no healthy member of the inventory is available for a snapshot")
                .hint("see `quorate status`; a snapshot needs a quorum")
        })?;
        let spec =
            host_of(self.desired(), source).ok_or_else(|| StepError::new("the member has left the inventory"))?;
        let client = self.client(spec).await?;
        let signer = self.vault.signer().await?;
        let about = self.about(&membership, source, reason);
        let backups = self.vault.base().join("backups");
        let path = to.unwrap_or_else(|| new_file(&backups, &about.cluster, about.taken_at, reason, &seal));
        let manifest = take(&client, about, seal, signer, &path, progress).await?;
        Ok(Taken { path, manifest })
    }

    fn about(&self, membership: &Membership, source: &Member, reason: &str) -> About {
        let desired = self.desired();
        let members = membership.members.iter().map(|m| ManifestMember {
            name: label(desired, m),
            peer_urls: m.peer_urls.clone(),
        });
        About {
            cluster: desired.cluster.clone(),
            reason: reason.to_owned(),
            taken_at: Timestamp::now(),
            taken_from: label(desired, source),
            etcd_version: membership.status_of(source.id).map_or(desired.version, |s| s.version),
            members: members.collect(),
            inventory_sha256: digest(desired),
        }
    }
}

/// The member to take a snapshot from: a healthy voter on a host of the inventory, up to date, rather a follower than
/// the leader, and of those the one that is furthest ahead.
fn healthiest<'a>(desired: &Desired, membership: &'a Membership) -> Option<&'a Member> {
    let candidates = membership
        .voters()
        .filter(|m| membership.healthy(m.id) && host_of(desired, m).is_some());
    candidates.min_by_key(|m| {
        let lag = membership.lag(m.id).unwrap_or(u64::MAX);
        (lag > FRESH, membership.leader() == Some(m.id), lag, m.id)
    })
}

impl From<BackupError> for StepError {
    fn from(error: BackupError) -> Self {
        let hint = error.hint();
        StepError::new(crate::report::chain(&error)).hint(hint)
    }
}
