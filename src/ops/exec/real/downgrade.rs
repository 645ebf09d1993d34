//! Telling etcd to go back a minor release, and that it shall not after all.

use super::RealWorld;
use crate::etcd::{DowngradeStep, EtcdError, Member};
use crate::inventory::Version;
use crate::ops::exec::StepError;
use crate::ops::safety::downgrade::under_way;

impl RealWorld {
    /// Asks etcd whether it would, and tells it; what it is on its way to already, it is not told again.
    pub(super) async fn begin_downgrade(&self, to: Version) -> Result<String, StepError> {
        let membership = self.membership().await?;
        if under_way(&membership).is_some_and(|target| target.series() == to.series()) {
            return Ok("already in progress".to_owned());
        }
        let client = self.leader(&membership).await?;
        let minor = to.series_text();
        let would = client.downgrade(DowngradeStep::Validate, &minor).await;
        would.map_err(|error| {
            StepError::new(error.to_string()).hint(
                "nothing was changed; see `quorate status` and the leader's log (`quorate logs NAME`), then run the same command \
                 again",
            )
        })?;
        match client.downgrade(DowngradeStep::Enable, &minor).await {
            Ok(_) => Ok(format!("downgrade enabled; storage is migrating to {minor}")),
            // Somebody was faster; what is waited for next tells whether that was for the same minor.
            Err(EtcdError::Refused { .. }) => Ok("already in progress".to_owned()),
            Err(error) => Err(StepError::new(error.to_string())
                .hint("run the same command again: it finds out whether the downgrade is enabled")),
        }
    }

    /// Calls it off, at a member that knows of it: an earlier release may not. What is waited for next is that no member
    /// tells of one.
    pub(super) async fn call_off_downgrade(&self) -> Result<String, StepError> {
        let membership = self.membership().await?;
        let knows = |member: &&Member| {
            let status = membership.status_of(member.id);
            membership.healthy(member.id) && status.is_some_and(|status| status.downgrade.is_some())
        };
        let Some(member) = membership.members.iter().find(knows) else {
            return Ok("already finished".to_owned());
        };
        let client = self.member(&membership, member).await?;
        match client.downgrade(DowngradeStep::Cancel, "").await {
            Ok(_) => Ok("the cluster version rises again with its members".to_owned()),
            Err(EtcdError::Refused { .. }) => Ok("already finished".to_owned()),
            Err(error) => Err(error.into()),
        }
    }
}
