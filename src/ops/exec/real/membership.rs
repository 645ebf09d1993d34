//! Changes to the member list, always asked of the leader.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RealWorld;
use crate::etcd::{EtcdClient, EtcdError, Member};
use crate::inventory::{DesiredHost, MemberId, PeerUrl};
use crate::ops::exec::StepError;
use crate::ops::model::{Membership, label};
use crate::ops::safety::Rule;
use crate::ops::safety::leader::heir;
use crate::ops::safety::moves::may_change_urls;

/// An election, or a request that was lost in one, has passed within this time; so has etcd's own rule that every member
/// must have been connected for 5 s before one is added.
pub(super) const SETTLE_LIMIT: Duration = Duration::from_secs(30);

pub(super) const POLL: Duration = Duration::from_millis(200);

impl RealWorld {
    pub(super) async fn add_learner(&self, url: &PeerUrl) -> Result<String, StepError> {
        let settling = Settling::begin();
        loop {
            match self.add_once(url).await {
                Ok(saw) => return Ok(saw),
                Err(hitch) => settling.pause(hitch).await?,
            }
        }
    }

    async fn add_once(&self, url: &PeerUrl) -> Result<String, Hitch> {
        let membership = self.membership().await?;
        if membership.at(url).is_some() {
            return Ok("on the member list".into());
        }
        let leader = self.leader(&membership).await?;
        match leader.member_add(std::slice::from_ref(url), true).await {
            Ok(added) => Ok(format!("member {}", added.value.id)),
            // Also while not every member has been connected for 5 s (`HealthInterval`, server.go).
            Err(error @ EtcdError::Refused { .. }) => Err(Hitch::Passing(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Done already is done: the answer to the request may have been lost.
    pub(super) async fn change_urls(&self, id: MemberId, urls: &[PeerUrl]) -> Result<String, StepError> {
        let settling = Settling::begin();
        loop {
            match self.change_once(id, urls).await {
                Ok(()) => return Ok("on the member list".into()),
                Err(hitch) => settling.pause(hitch).await?,
            }
        }
    }

    async fn change_once(&self, id: MemberId, urls: &[PeerUrl]) -> Result<(), Hitch> {
        let membership = self.membership().await?;
        // The list may have changed since the check: a learner would be promoted by that.
        may_change_urls(&membership, id, urls).map_err(|refusal| match refusal.rule {
            // Somebody is just elected.
            Rule::QuorumLost => Hitch::Passing(StepError::new(refusal.to_string())),
            _ => Hitch::Final(StepError::new(refusal.to_string())),
        })?;
        let has = |urls: &[PeerUrl]| urls.iter().cloned().collect::<BTreeSet<_>>();
        let member = membership.members.iter().find(|member| member.id == id);
        if member.is_some_and(|member| has(&member.peer_urls) == has(urls)) {
            return Ok(());
        }
        match self.somebody(&membership).await?.member_update(id, urls).await {
            Ok(_) => Ok(()),
            Err(error @ EtcdError::Refused { .. }) => Err(Hitch::Passing(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// A voter that takes part, also where none of them is at the inventory's URLs yet: a host has the member of its own
    /// name, which says so itself before it is asked for anything.
    async fn somebody(&self, membership: &Membership) -> Result<EtcdClient, StepError> {
        if let Ok(client) = self.leader(membership).await {
            return Ok(client);
        }
        let leader = membership.leader();
        let mut voters: Vec<&Member> = membership.voters().filter(|m| membership.takes_part(m.id)).collect();
        voters.sort_by_key(|member| Some(member.id) != leader);
        for member in voters {
            let mut hosts = self.desired().hosts.values();
            let at_home = |host: &&DesiredHost| membership.of(host).is_some_and(|there| there.id == member.id);
            let Some(spec) = hosts.find(|host| host.name.as_str() == member.name || at_home(host)) else {
                continue;
            };
            let client = self.client(spec).await?;
            let header = client.status(SETTLE_LIMIT).await.map(|status| status.header);
            if header.is_ok_and(|says| (says.cluster_id, says.member_id) == (membership.cluster_id, member.id)) {
                return Ok(client);
            }
        }
        Err(StepError::new("no healthy member is a host of the inventory"))
    }

    pub(super) async fn remove_member(&self, id: MemberId) -> Result<String, StepError> {
        let settling = Settling::begin();
        loop {
            match self.remove_once(id).await {
                Ok(saw) => return Ok(saw),
                Err(hitch) => settling.pause(hitch).await?,
            }
        }
    }

    async fn remove_once(&self, id: MemberId) -> Result<String, Hitch> {
        let mut membership = self.membership().await?;
        let Some(member) = membership.members.iter().find(|m| m.id == id) else {
            return Ok("no longer on the member list".into());
        };
        // It may have been elected since the plan was made. One that cannot be asked is voted out as it is.
        let leads = membership.leader() == Some(id) && membership.healthy(id);
        if let Some(url) = member.peer_urls.first().filter(|_| leads) {
            self.hand_over(url).await?;
            membership = self.membership().await?;
        }
        match self.leader(&membership).await?.member_remove(id).await {
            Ok(_) | Err(EtcdError::NoSuchMember(_)) => Ok("no longer on the member list".into()),
            // As for an addition: a member has been back for less than 5 s.
            Err(error @ EtcdError::Refused { .. }) => Err(Hitch::Passing(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands leadership to the healthy voter that is furthest ahead, when this member leads.
    pub(super) async fn hand_over(&self, url: &PeerUrl) -> Result<String, StepError> {
        let Ok(membership) = self.membership().await else {
            // Without a quorum there is no leader.
            return Ok("there is no leader".into());
        };
        let Some(from) = membership.at(url).filter(|m| membership.leader() == Some(m.id)) else {
            return Ok("it is not the leader".into());
        };
        let Some(heir) = heir(&membership, from.id) else {
            return Ok("there is no member to transfer leadership to".into());
        };
        self.member(&membership, from).await?.move_leader(heir).await?;
        let name = membership
            .members
            .iter()
            .find(|m| m.id == heir)
            .map_or(heir.to_string(), |m| label(self.desired(), m));
        Ok(format!("{name} is the leader now"))
    }
}

/// What stood in the way of a change of the member list.
pub(super) enum Hitch {
    /// Looking again and asking again may help; the list tells whether the last request was done after all.
    Passing(StepError),
    /// It will not.
    Final(StepError),
}

impl From<EtcdError> for Hitch {
    fn from(error: EtcdError) -> Self {
        match error {
            EtcdError::NotLeader
            | EtcdError::Unavailable { .. }
            | EtcdError::Silent { .. }
            | EtcdError::Unreachable { .. } => Hitch::Passing(error.into()),
            _ => Hitch::Final(error.into()),
        }
    }
}

/// From looking at the cluster: no quorum or no leader at this moment.
impl From<StepError> for Hitch {
    fn from(error: StepError) -> Self {
        Hitch::Passing(error)
    }
}

/// The time that a change of the member list may take to go through.
struct Settling(Instant);

impl Settling {
    fn begin() -> Self {
        Self(Instant::now())
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The hitch itself, when it is final or the time is up.
    async fn pause(&self, hitch: Hitch) -> Result<(), StepError> {
        match hitch {
            Hitch::Passing(_) if self.0.elapsed() < SETTLE_LIMIT => {
                sleep(POLL).await;
                Ok(())
            }
            Hitch::Passing(error) | Hitch::Final(error) => Err(error),
        }
    }
}
