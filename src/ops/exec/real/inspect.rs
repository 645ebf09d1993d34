//! Looking again, because `/health` alone proves neither TLS, nor identity, nor that members hear each other
//! (facts/etcd.md section 12, mistakes 1, 5, 9, 10 and the last line).

use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::RealWorld;
use crate::etcd::ClientTls;
use crate::inventory::{ClusterId, DesiredHost, NodeName};
use crate::ops::exec::StepError;
use crate::ops::exec::wait::{Patience, watch};
use crate::ops::inspect::{metrics, ports, without_stream};
use crate::ops::model::Membership;
use crate::ops::plan::{Step, count};
use crate::report::Reporter;

/// Peers connect to each other within a second or so after a start.
const PEERS_LIMIT: Duration = Duration::from_secs(20);

impl RealWorld {
    pub(super) async fn inspect(
        &self,
        step: &Step,
        nodes: &[NodeName],
        cluster_id: Option<ClusterId>,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        watch(step, &step.ensures, Patience::of(step), self, reporter).await?;
        let membership = self.membership().await?;
        if let Some(expected) = cluster_id.filter(|id| *id != membership.cluster_id) {
            return Err(StepError::new(format!(
                "the cluster has the id {} instead of {expected}",
                membership.cluster_id
            )));
        }
        let tls = self.tls().await?;
        let specs = nodes.iter().map(|n| self.spec(n)).collect::<Result<Vec<_>, _>>()?;
        let looks = specs.iter().map(|spec| self.inspect_member(spec, &membership, &tls));
        try_join_all(looks).await?;
        Ok(format!(
            "cluster {}: {} with TLS on both ports, strangers refused, all peers connected",
            membership.cluster_id,
            count(nodes.len(), "member")
        ))
    }

    async fn inspect_member(
        &self,
        spec: &DesiredHost,
        membership: &Membership,
        tls: &ClientTls,
    ) -> Result<(), StepError> {
        // The CA that signs now must do alone: what is shown has to hold when another one in ca.crt is dropped.
        let strict = ClientTls {
            ca_pem: self.vault.authority().await?.certificate().to_pem(),
            ..tls.clone()
        };
        let ports = ports(&self.fleet, spec, &strict);
        let streams = self.peers_connected(spec, membership, tls);
        tokio::try_join!(ports, streams)?;
        Ok(())
    }

    /// Waits until the member has a live stream to every other voter and learner.
    async fn peers_connected(
        &self,
        spec: &DesiredHost,
        membership: &Membership,
        tls: &ClientTls,
    ) -> Result<(), StepError> {
        let Some(own) = membership.of(spec) else { return Ok(()) };
        let begun = Instant::now();
        loop {
            let metrics = match metrics(&self.fleet, spec, tls).await {
                Ok(metrics) => metrics,
                // A host that is busy starting may miss one.
                Err(_) if begun.elapsed() < PEERS_LIMIT => {
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let cut = without_stream(membership, own.id, &metrics).find(|member| membership.healthy(member.id));
            let Some(cut) = cut else { return Ok(()) };
            if begun.elapsed() > PEERS_LIMIT {
                return Err(StepError::new(format!("{} has no live stream to {}, although both are healthy", spec.name, cut.name))
                    .hint("look for refused connections in both logs: a firewall on the peer port, or a peer certificate without the address that connections come from"));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}
