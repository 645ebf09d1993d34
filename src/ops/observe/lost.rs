//! Silence is a member's only as long as its host is there: where the host stopped answering while its member was asked, the way
//! to it was lost, and nothing is known of the member.

use std::sync::Arc;
use std::time::Duration;

use super::answers::Answered;
use super::as_fact;
use crate::etcd::EtcdError;
use crate::host::{HostError, HostFacts, ServiceFacts};
use crate::inventory::DesiredHost;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::host::{Duplex, Output, Running, Script, Stdin, Transport};
    use crate::ops::fleet::Connector;
    use crate::ops::samples::{desired, facts};

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
