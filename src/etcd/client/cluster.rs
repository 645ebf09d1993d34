//! Membership.

use tonic::transport::Channel;

use super::{EtcdClient, LARGEST_MESSAGE, RAFT_LIMIT};
use crate::etcd::error::Asked;
use crate::etcd::model::MOST_MEMBERS;
use crate::etcd::pb::cluster_client::ClusterClient;
use crate::etcd::{Answer, EtcdError, Member, pb};
use crate::inventory::{MemberId, PeerUrl};

impl EtcdClient {
    fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_MESSAGE)
    }

    /// The member list. With `linearizable` a quorum vouches for it (3.5 and later); without, and always on 3.4, it
    /// comes from this member's memory: it may be stale, and it is there without quorum too.
    ///
    /// # Errors
    /// Any [`EtcdError`]; `Unavailable` after 7 s when `linearizable` is asked for without quorum.
    pub async fn members(&self, linearizable: bool) -> Result<Answer<Vec<Member>>, EtcdError> {
        let asked = self.asked("member list", RAFT_LIMIT);
        let mut cluster = self.cluster();
        let answer = asked
            .answer(cluster.member_list(pb::MemberListRequest { linearizable }))
            .await?;
        asked.with(answer.header, members(&asked, answer.members)?)
    }

    /// Enters a member, as a learner or as a voter, and returns its entry.
    ///
    /// # Errors
    /// `Refused` when etcd's strict-reconfig-check objects (among others until all members have been connected for 5 s).
    pub async fn member_add(&self, peer_urls: &[PeerUrl], learner: bool) -> Result<Answer<Member>, EtcdError> {
        let asked = self.asked("member add", RAFT_LIMIT);
        let request = pb::MemberAddRequest {
            peer_urls: texts(peer_urls),
            is_learner: learner,
        };
        let mut cluster = self.cluster();
        let answer = asked.answer(cluster.member_add(request)).await?;
        let added = answer.member.ok_or_else(|| asked.malformed("it names no member"))?;
        asked.with(answer.header, member(added))
    }

    /// Removes a member and returns the remaining ones.
    ///
    /// # Errors
    /// `NoSuchMember`; `Refused` when quorum would be lost.
    pub async fn member_remove(&self, id: MemberId) -> Result<Answer<Vec<Member>>, EtcdError> {
        let asked = self.asked("member remove", RAFT_LIMIT).about(id);
        let mut cluster = self.cluster();
        let answer = asked
            .answer(cluster.member_remove(pb::MemberRemoveRequest { id: id.0 }))
            .await?;
        asked.with(answer.header, members(&asked, answer.members)?)
    }

    /// Gives a learner its vote and returns all members. Ask the leader: with authentication on, older followers
    /// cannot pass this on.
    ///
    /// # Errors
    /// `LearnerNotReady` until it has caught up; `NoSuchMember`; `Refused` when it is a voter already.
    pub async fn member_promote(&self, id: MemberId) -> Result<Answer<Vec<Member>>, EtcdError> {
        let asked = self.asked("member promote", RAFT_LIMIT).about(id);
        let mut cluster = self.cluster();
        let answer = asked
            .answer(cluster.member_promote(pb::MemberPromoteRequest { id: id.0 }))
            .await?;
        asked.with(answer.header, members(&asked, answer.members)?)
    }

    /// Changes a member's peer URLs and returns all members. Never for a learner: before 3.5.31 and 3.6.12 that
    /// promotes it.
    ///
    /// # Errors
    /// `NoSuchMember`; `Refused` when another member has one of the URLs.
    pub async fn member_update(&self, id: MemberId, peer_urls: &[PeerUrl]) -> Result<Answer<Vec<Member>>, EtcdError> {
        let asked = self.asked("member update", RAFT_LIMIT).about(id);
        let request = pb::MemberUpdateRequest {
            id: id.0,
            peer_urls: texts(peer_urls),
        };
        let mut cluster = self.cluster();
        let answer = asked.answer(cluster.member_update(request)).await?;
        asked.with(answer.header, members(&asked, answer.members)?)
    }
}

fn texts(urls: &[PeerUrl]) -> Vec<String> {
    urls.iter().map(|url| url.0.clone()).collect()
}

fn members(asked: &Asked<'_>, list: Vec<pb::Member>) -> Result<Vec<Member>, EtcdError> {
    asked.no_more_than(MOST_MEMBERS, list.len())?;
    Ok(list.into_iter().map(member).collect())
}

fn member(member: pb::Member) -> Member {
    Member {
        id: MemberId(member.id),
        name: member.name,
        peer_urls: member.peer_urls.into_iter().map(PeerUrl).collect(),
        client_urls: member.client_urls,
        learner: member.is_learner,
    }
}
