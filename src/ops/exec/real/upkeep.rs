//! Compacting, defragmenting, and taking alarms back.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RealWorld;
use crate::etcd::{AlarmKind, EtcdClient, EtcdError, MemberStatus};
use crate::inventory::{NodeName, PeerUrl};
use crate::ops::exec::StepError;
use crate::report::human_bytes;

const STATUS_LIMIT: Duration = Duration::from_secs(5);
/// The least that a defragmentation is waited for; a large one gets a second for every 20 MB.
const DEFRAGMENT_FLOOR: Duration = Duration::from_secs(60);
const BYTES_PER_SECOND: u64 = 20 << 20;
/// After a client gave up waiting the server goes on by itself.
const GOES_ON: Duration = Duration::from_secs(540);
const LEASE: Duration = Duration::from_secs(5);

impl RealWorld {
    pub(super) async fn compact(&self, revision: i64) -> Result<String, StepError> {
        let membership = self.membership().await?;
        let client = self.leader(&membership).await?;
        match client.compact(revision, true).await {
            Ok(_) => Ok(format!("everything before revision {revision} is compacted")),
            Err(EtcdError::Compacted { .. }) => Ok("already done".to_owned()),
            Err(error) => Err(error.into()),
        }
    }

    /// Leadership may have come to it since the plan was made; then it hands over.
    pub(super) async fn defragment(&self, node: &NodeName, url: &PeerUrl) -> Result<String, StepError> {
        self.hand_over(url).await?;
        let client = self.client(self.spec(node)?).await?;
        let before = client.status(STATUS_LIMIT).await?;
        let limit = DEFRAGMENT_FLOOR.max(Duration::from_secs(before.db_in_use / BYTES_PER_SECOND));
        match client.defragment(limit).await {
            Ok(()) | Err(EtcdError::Silent { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let after = answers_again(&client).await?;
        Ok(format!(
            "{} -> {}",
            human_bytes(before.db_size),
            human_bytes(after.db_size)
        ))
    }

    /// Takes every alarm of a kind back, as etcd lists them, and sees that a write is taken: a lease, which needs no key.
    pub(super) async fn disarm(&self, kind: AlarmKind) -> Result<String, StepError> {
        let membership = self.membership().await?;
        let client = self.leader(&membership).await?;
        for alarm in client.alarms().await?.into_iter().filter(|alarm| alarm.kind == kind) {
            client.disarm(alarm).await?;
        }
        let lease = client.lease_grant(LEASE).await.map_err(|error| {
            StepError::new(format!("the alarm was disarmed, but writes are still refused: {error}"))
        })?;
        client.lease_revoke(lease.value).await?;
        Ok("writes are accepted again".to_owned())
    }
}

/// The member's status, once it has time for it.
async fn answers_again(client: &EtcdClient) -> Result<MemberStatus, StepError> {
    let began = Instant::now();
    loop {
        match client.status(STATUS_LIMIT).await {
            Ok(status) => return Ok(status),
            Err(error) if began.elapsed() > GOES_ON => return Err(error.into()),
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
    }
}
