//! Silence is a member's only as long as its host is there: where the host stopped answering while its member was asked, the way
//! to it was lost, and nothing is known of the member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::answers::Answered;
use super::{as_fact, look_at_host};
use crate::etcd::EtcdError;
use crate::host::{HostError, HostFacts, ServiceFacts};
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::fleet::{Fleet, no_answer};
use crate::ops::model::Fact;

/// The member's service once more, where the member gave no answer: whether its host is still there, within `limit`, and what
/// became of the process meanwhile. `None` where the member spoke.
pub(super) async fn look_behind(
    fleet: &Arc<Fleet>,
    spec: &DesiredHost,
    answer: &Answered,
    limit: Duration,
) -> Option<Result<ServiceFacts, HostError>> {
    let silent = matches!(
        answer.status,
        Err(EtcdError::Silent { .. } | EtcdError::Unreachable { .. } | EtcdError::Unavailable { .. })
    );
    if !silent {
        return None;
    }
    let asked = fleet.ask(spec, |host| Box::pin(async move { host.service().await }));
    let answered = tokio::time::timeout(limit, asked).await;
    Some(answered.unwrap_or_else(|_| Err(no_answer(spec, limit))))
}

/// What was known of the host before, after that look.
pub(super) fn seen_behind(before: &Fact<HostFacts>, behind: Result<ServiceFacts, HostError>) -> Fact<HostFacts> {
    match (behind, before) {
        (Ok(service), Fact::Known(facts)) => Fact::Known(HostFacts {
            service,
            ..facts.clone()
        }),
        (Ok(_), before) => before.clone(),
        (Err(error), _) => as_fact(Err(error)),
    }
}

/// How long a host that was lost may take to answer when it is looked for again, its login included.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Hosts that answered once in a run and were lost later. Whether their members are asked at all follows from the last look at the
/// host, so without looking for them a machine that only rebooted would be in the dark for the rest of the run.
#[derive(Debug)]
pub struct Missed {
    /// Those that answered.
    answered: Vec<NodeName>,
    /// When they were looked for last.
    tried: Option<Instant>,
}

impl Missed {
    /// Nobody yet, of those that answered in the first look.
    pub fn of(hosts: &BTreeMap<NodeName, Fact<HostFacts>>) -> Self {
        let answered = hosts.iter().filter(|(_, fact)| fact.known().is_some());
        Self {
            answered: answered.map(|(node, _)| node.clone()).collect(),
            tried: None,
        }
    }

    /// Whom to look for now, as `hosts` are in the last look. Not in every one: who waits for a member looks ten times a second,
    /// and a machine without power takes [`BACK_WITHIN`] each time.
    pub fn due(&mut self, hosts: &BTreeMap<NodeName, Fact<HostFacts>>, now: Instant) -> Vec<NodeName> {
        let lost = |node: &&NodeName| matches!(hosts.get(*node), Some(Fact::Unknown(_)));
        let lost: Vec<NodeName> = self.answered.iter().filter(lost).cloned().collect();
        let waits = self.tried.is_some_and(|tried| now < tried + BACK_WITHIN * 2);
        if lost.is_empty() || waits {
            return Vec::new();
        }
        self.tried = Some(now);
        lost
    }
}

/// Those of `nodes` that answer again, looked at anew.
pub async fn back_again(fleet: &Arc<Fleet>, nodes: &[NodeName]) -> BTreeMap<NodeName, Fact<HostFacts>> {
    let specs = nodes.iter().filter_map(|node| fleet.desired().hosts.get(node));
    let looks = specs.map(|spec| async move {
        let look = tokio::time::timeout(BACK_WITHIN, look_at_host(fleet, spec, None)).await;
        Some((spec.name.clone(), Fact::Known(look.ok()?.ok()?)))
    });
    join_all(looks).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::host::{Duplex, Output, Running, Script, Stdin, Transport};
    use crate::ops::fleet::Connector;
    use crate::ops::samples::{desired, facts, name};

    /// A host whose member says nothing; its own answers stop when the cable is pulled.
    #[derive(Clone, Default)]
    struct Cable {
        pulled: Arc<AtomicBool>,
    }

    #[async_trait]
    impl Transport for Cable {
        async fn run(&self, _: &Script, _: Stdin) -> Result<Output, HostError> {
            if self.pulled.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(Output {
                over: None,
                status: Some(0),
                stdout: b"pid 4711\ndone\n".to_vec(),
                stderr: String::new(),
            })
        }

        async fn spawn(&self, _: &Script) -> Result<Running, HostError> {
            unreachable!("nothing is left running here")
        }

        async fn tunnel(&self, _: &str, _: u16) -> Result<Box<dyn Duplex>, HostError> {
            Ok(Box::new(tokio::io::duplex(1).0))
        }

        fn round_trips(&self) -> u64 {
            0
        }
    }

    #[async_trait]
    impl Connector for Cable {
        async fn connect(&self, _: &DesiredHost) -> Result<Arc<dyn Transport>, HostError> {
            Ok(Arc::new(self.clone()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_answered_once_is_looked_for_again_and_now_and_then() {
        let desired = desired(3);
        let [one, two, three] = [1, 2, 3].map(name);
        let unknown = || Fact::unknown("no answer within 3 s", None);
        let mut hosts: BTreeMap<_, _> = [(one.clone(), 1), (two.clone(), 2)]
            .map(|(node, n)| (node, Fact::Known(facts(&desired, n))))
            .into();
        hosts.insert(three, unknown());
        let mut missed = Missed::of(&hosts);
        let due = |missed: &mut Missed, hosts: &_| missed.due(hosts, Instant::now());
        assert!(due(&mut missed, &hosts).is_empty(), "the third one never answered");
        hosts.insert(two.clone(), unknown());
        assert_eq!(due(&mut missed, &hosts), std::slice::from_ref(&two));
        assert!(due(&mut missed, &hosts).is_empty(), "a moment ago");
        tokio::time::advance(BACK_WITHIN * 2).await;
        assert_eq!(due(&mut missed, &hosts), [two.clone()].as_slice());
        tokio::time::advance(BACK_WITHIN * 2).await;
        hosts.insert(two, Fact::Known(facts(&desired, 2)));
        assert!(due(&mut missed, &hosts).is_empty(), "it is back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_member_is_known_to_be_silent_only_while_its_host_answers() {
        let cable = Cable::default();
        let fleet = Fleet::new(Arc::new(desired(1)), Box::new(cable.clone()));
        let spec = fleet.desired().hosts.values().next().unwrap();
        let silent = Answered::not_asked(EtcdError::Silent {
            endpoint: "10.0.0.1:2379".to_owned(),
            operation: "status",
            seconds: 3,
        });
        let limit = Duration::from_secs(3);
        let service = look_behind(&fleet, spec, &silent, limit).await.unwrap().unwrap();
        assert_eq!(service.pid, Some(4711));
        cable.pulled.store(true, Ordering::Relaxed);
        let lost = look_behind(&fleet, spec, &silent, limit).await.unwrap();
        let Fact::Unknown(why) = seen_behind(&Fact::Known(facts(fleet.desired(), 1)), lost) else {
            panic!("the host says nothing any more");
        };
        assert!(why.contains("no answer within 3 s"), "{why}");
    }
}
