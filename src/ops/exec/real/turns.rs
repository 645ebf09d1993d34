//! Members of a cluster that does not run are started one a moment after the other.
//!
//! Before it serves anybody, a member that has data compares them with those of every peer (the initial corruption check,
//! server/etcdserver/corrupt.go), one after the other. A peer that is down refuses at once. One that was started in the same
//! moment has its port open and does not serve, because it is waiting, too: each waits for the others for 7 s, and in the
//! end nobody has been compared. In turn each finds those before it serving and those after it down: every two members are
//! compared, and nobody waits.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RealWorld;
use crate::etcd::ClientTls;
use crate::host::DataState;
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::exec::StepError;
use crate::ops::model::Fact;

/// How long the next one waits at most: a member with little data serves its peers within a second. One that takes longer,
/// because it reads much or cannot reach a host, is not waited for, and costs what it would have cost anyway.
const TURN: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(40);
const ANSWER: Duration = Duration::from_millis(400);

impl RealWorld {
    pub(super) async fn start(&self, node: &NodeName) -> Result<String, StepError> {
        let (host, spec) = (self.host(node).await?, self.spec(node)?);
        if !self.compares_at_its_start(node).await {
            host.start().await?;
            return Ok("start requested".into());
        }
        let _turn = self.turns.lock().await;
        host.start().await?;
        // Without a certificate to ask with (they may all have expired) nobody is waited for.
        Ok(match self.tls().await {
            Ok(tls) => self.until_it_serves_peers(spec, &tls).await,
            Err(_) => "start requested".into(),
        })
    }

    /// A first start has nothing to compare, and all of those begin together.
    async fn compares_at_its_start(&self, node: &NodeName) -> bool {
        match self.seen.lock().await.hosts.get(node) {
            Some(Fact::Known(facts)) => facts.data.state == DataState::Bootstrapped,
            _ => false,
        }
    }

    async fn until_it_serves_peers(&self, spec: &DesiredHost, tls: &ClientTls) -> String {
        let began = Instant::now();
        while began.elapsed() < TURN {
            if let Ok(http) = self.fleet.http(spec, spec.peer_port, tls)
                && http.peer_members(ANSWER).await.is_ok()
            {
                return "its peer port is open".into();
            }
            sleep(POLL).await;
        }
        "start requested".into()
    }
}
