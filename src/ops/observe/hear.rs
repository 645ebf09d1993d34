//! What one host tells when it is asked by itself: for whoever shows each host as soon as it answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answers::{Answered, agreed, ask_thoroughly, no_certificate};
use super::lost::{look_behind, seen_behind};
use super::{as_fact, look_at_host, with_peers_and_users};
use crate::etcd::{ClientTls, Metrics};
use crate::host::{HostError, HostFacts};
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::fleet::Fleet;
use crate::ops::inspect;
use crate::ops::model::{Fact, Observed};

/// A look at the service alone is answered within milliseconds; after this the connection is given up, and the next look
/// opens a new one.
const SERVICE_WITHIN: Duration = Duration::from_secs(4);

/// The same of a look at everything, which reads files and may check sums.
const EVERYTHING_WITHIN: Duration = Duration::from_secs(10);

/// A member that is well answers within milliseconds. One that hangs, or has no quorum, takes all of this in each round, and
/// two rounds have to fit into the time that an answer counts for.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What one host told.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The host itself.
    pub facts: Fact<HostFacts>,
    /// Its member, where one runs and there was a certificate to ask it with.
    pub(super) answered: Option<Answered>,
    /// What it measured, where that was asked for and it leads.
    pub(super) metrics: Option<Metrics>,
    /// All of this was still so at that time after the look was begun: behind a silent member its host was looked at again.
    pub(super) later: Duration,
}

impl Heard {
    /// A host of which only so much was seen.
    #[cfg(test)]
    pub fn of(facts: Fact<HostFacts>) -> Self {
        Self {
            facts,
            answered: None,
            metrics: None,
            later: Duration::ZERO,
        }
    }

    /// What the host of a member that is well tells.
    #[cfg(test)]
    pub fn well(desired: &crate::inventory::Desired, n: usize) -> Self {
        use crate::ops::samples::{facts, membership};
        let membership = membership(desired);
        let status = membership.status_of(crate::inventory::MemberId(n as u64)).cloned();
        Self {
            answered: status.map(|status| Answered::well(status, membership.members)),
            ..Self::of(Fact::Known(facts(desired, n)))
        }
    }
}

/// How thoroughly a host is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// What was seen of it a moment ago, where that is enough but for its service; `None`: look at everything.
    pub before: Option<&'a HostFacts>,
    /// Give up a connection that stays silent, to be sooner on a new one. Else it is waited for as long as SSH does.
    pub impatient: bool,
    /// Also what it measured, where it leads: members in the dark are known by that.
    pub listen: bool,
}

/// Asks one host, and its member.
pub async fn hear(fleet: &Arc<Fleet>, spec: &DesiredHost, tls: Option<&ClientTls>, question: Question<'_>) -> Heard {
    let begun = Instant::now();
    let limit = |limit: Duration| question.impatient.then_some(limit);
    let facts = match question.before {
        None => look_at_host(fleet, spec, limit(EVERYTHING_WITHIN)).await,
        Some(before) => service(fleet, spec, before, limit(SERVICE_WITHIN)).await,
    };
    let runs = facts.as_ref().is_ok_and(|facts| facts.service.pid.is_some());
    let mut heard = Heard {
        facts: as_fact(facts),
        answered: None,
        metrics: None,
        later: Duration::ZERO,
    };
    let Some(tls) = tls.filter(|_| runs) else {
        return heard;
    };
    let answer = ask_thoroughly(fleet, spec, tls, limit(ANSWER_WITHIN)).await;
    let later = begun.elapsed();
    if let Some(behind) = look_behind(fleet, spec, &answer, SERVICE_WITHIN).await {
        heard.facts = seen_behind(&heard.facts, behind);
        heard.later = later;
    }
    if question.listen && answer.status.as_ref().is_ok_and(|s| s.leader == s.header.member_id) {
        heard.metrics = inspect::metrics(fleet, spec, tls).await.ok();
    }
    heard.answered = Some(answer);
    heard
}

/// What everybody told, once all were asked.
pub async fn conclude(fleet: &Arc<Fleet>, tls: Option<&ClientTls>, heard: BTreeMap<NodeName, Heard>) -> Observed {
    let (mut hosts, mut answers) = (BTreeMap::new(), Vec::new());
    for (name, heard) in heard {
        if let (Some(spec), Some(answer)) = (fleet.desired().hosts.get(&name), heard.answered) {
            answers.push((spec, answer));
        }
        hosts.insert(name, heard.facts);
    }
    let cluster = match tls {
        Some(_) => agreed(fleet.desired(), &hosts, &answers),
        None => no_certificate(&hosts),
    };
    with_peers_and_users(fleet, tls, hosts, cluster).await
}

async fn service(
    fleet: &Arc<Fleet>,
    spec: &DesiredHost,
    before: &HostFacts,
    limit: Option<Duration>,
) -> Result<HostFacts, HostError> {
    let service = fleet.ask_within(spec, limit, |host| Box::pin(async move { host.service().await }));
    Ok(HostFacts {
        service: service.await?,
        ..before.clone()
    })
}
