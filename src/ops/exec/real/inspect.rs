//! Looking again, because `/health` alone proves neither TLS, nor identity, nor that members hear each other
//! (docs/etcd.md, "Health" and "Common mistakes" 1, 5, 9 and 10).

use futures::future::try_join_all;

use super::RealWorld;
use crate::etcd::ClientTls;
use crate::inventory::{ClusterId, NodeName};
use crate::ops::check::Check;
use crate::ops::exec::StepError;
use crate::ops::exec::wait::{Patience, watch};
use crate::ops::inspect::ports;
use crate::ops::plan::{Step, count};
use crate::report::Reporter;

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
        let specs = nodes.iter().map(|n| self.spec(n)).collect::<Result<Vec<_>, _>>()?;
        // The CA that signs now must do alone: what is shown has to hold when another one in ca.crt is dropped.
        let strict = ClientTls {
            ca_pem: self.vault.signing_ca().await?.to_pem(),
            ..self.tls().await?
        };
        try_join_all(specs.iter().map(|spec| ports(&self.fleet, spec, &strict))).await?;
        let members = specs.iter().filter(|spec| membership.of(spec).is_some());
        let connected: Vec<Check> = members.map(|spec| Check::Connected { url: spec.peer_url() }).collect();
        watch(step, &connected, Patience::of(step), self, reporter).await?;
        Ok(format!(
            "cluster {}: {}, TLS on both ports, clients without a certificate refused, all peers connected",
            membership.cluster_id,
            count(nodes.len(), "member")
        ))
    }
}
