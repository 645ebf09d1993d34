//! Leases: keys that vanish by themselves when nobody looks after them.

use std::time::Duration;

use tonic::transport::Channel;

use super::{EtcdClient, LARGEST_MESSAGE, RAFT_LIMIT};
use crate::etcd::pb::lease_client::LeaseClient;
use crate::etcd::{Answer, EtcdError, Header, LeaseId, pb};

impl EtcdClient {
    fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_MESSAGE)
    }

    /// A new lease that lasts `ttl` (whole seconds) beyond the last sign of life.
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn lease_grant(&self, ttl: Duration) -> Result<Answer<LeaseId>, EtcdError> {
        let asked = self.asked("lease grant", RAFT_LIMIT);
        let request = pb::LeaseGrantRequest {
            ttl: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
            id: 0,
        };
        let mut lease = self.lease();
        let answer = asked.answer(lease.lease_grant(request)).await?;
        asked.with(answer.header, LeaseId(answer.id))
    }

    /// One sign of life. Returns what is left of the lease; zero when it is gone.
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn lease_keep_alive(&self, id: LeaseId) -> Result<Answer<Duration>, EtcdError> {
        let asked = self.asked("lease keep-alive", RAFT_LIMIT);
        let request = futures::stream::iter([pb::LeaseKeepAliveRequest { id: id.0 }]);
        let mut lease = self.lease();
        let mut answers = asked.answer(lease.lease_keep_alive(request)).await?;
        let answer = tokio::time::timeout(RAFT_LIMIT, answers.message())
            .await
            .map_err(|_| asked.silent())?
            .map_err(|status| asked.status(&status))?
            .ok_or_else(|| asked.malformed("the stream ended"))?;
        let left = Duration::from_secs(u64::try_from(answer.ttl).unwrap_or(0));
        asked.with(answer.header, left)
    }

    /// Ends a lease and deletes its keys.
    ///
    /// # Errors
    /// `Other` with code `NotFound` when it is gone already.
    pub async fn lease_revoke(&self, id: LeaseId) -> Result<Header, EtcdError> {
        let asked = self.asked("lease revoke", RAFT_LIMIT);
        let mut lease = self.lease();
        let answer = asked
            .answer(lease.lease_revoke(pb::LeaseRevokeRequest { id: id.0 }))
            .await?;
        asked.header(answer.header)
    }
}
