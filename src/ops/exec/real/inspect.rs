//! Looking again, because `/health` alone proves neither TLS, nor identity, nor that members hear each other
//! (facts/etcd.md section 12, mistakes 1, 5, 9, 10 and the last line).

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::RealWorld;
use crate::etcd::{ClientTls, port_security};
use crate::inventory::{ClusterId, DesiredHost, HostPath, MemberId, NodeName};
use crate::ops::exec::StepError;
use crate::ops::exec::wait::{Patience, watch};
use crate::ops::fleet::endpoint;
use crate::ops::model::Membership;
use crate::ops::plan::{Step, count};
use crate::report::Reporter;

/// Peers connect to each other within a second or so after a start.
const PEERS_LIMIT: Duration = Duration::from_secs(20);
const METRICS_LIMIT: Duration = Duration::from_secs(5);

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
        let client = self.inspect_port(spec, spec.client_port, "server.crt", &strict);
        let peer = self.inspect_port(spec, spec.peer_port, "peer.crt", &strict);
        let streams = self.peers_connected(spec, membership, tls);
        tokio::try_join!(client, peer, streams)?;
        Ok(())
    }

    /// One port: TLS, no entry without a certificate, and the certificate that lies on the disk.
    async fn inspect_port(&self, spec: &DesiredHost, port: u16, file: &str, tls: &ClientTls) -> Result<(), StepError> {
        let at = format!("{} port {port}", spec.name);
        let dial = self.fleet.dial(spec, port);
        let security = port_security(dial.as_ref(), &endpoint(spec, port), tls).await?;
        if !security.speaks_tls {
            return Err(StepError::new(format!("{at} answers in plain HTTP, to anybody"))
                .hint("stop it and look at its config: TLS settings at the wrong place are silently ignored by etcd"));
        }
        if !security.refuses_without_certificate {
            return Err(StepError::new(format!("{at} lets in clients without a certificate"))
                .hint("stop it and look at its config: `client-cert-auth` and `trusted-ca-file` must be in both security sections"));
        }
        if let Some(why) = security.untrusted {
            return Err(
                StepError::new(format!("{at} shows a certificate that does not prove who it is: {why}"))
                    .hint("`quorate up` issues a new one"),
            );
        }
        let on_disk = self.certificate_on_disk(spec, file).await?;
        match security.presented.first() {
            Some(shown) if *shown == on_disk => Ok(()),
            _ => Err(StepError::new(format!(
                "{at} shows another certificate than {}",
                spec.paths.pki.join(file)
            ))
            .hint(format!(
                "`quorate restart --limit {}` makes it read the file again",
                spec.name
            ))),
        }
    }

    async fn certificate_on_disk(&self, spec: &DesiredHost, file: &str) -> Result<Vec<u8>, StepError> {
        let path = spec.paths.pki.join(file);
        let text = self.read_small(spec, &path).await?;
        let certificate = crate::pki::Certificate::from_pem(&String::from_utf8_lossy(&text))
            .map_err(|error| StepError::new(format!("{}: {path}: {error}", spec.name)))?;
        Ok(certificate.der().to_vec())
    }

    async fn read_small(&self, spec: &DesiredHost, path: &HostPath) -> Result<Vec<u8>, StepError> {
        let mut text = Vec::new();
        self.host(&spec.name).await?.receive_file(path, &mut text).await?;
        Ok(text)
    }

    /// Waits until the member has a live stream to every other voter and learner.
    async fn peers_connected(
        &self,
        spec: &DesiredHost,
        membership: &Membership,
        tls: &ClientTls,
    ) -> Result<(), StepError> {
        let Some(own) = membership.of(spec) else { return Ok(()) };
        let others: Vec<MemberId> = membership
            .members
            .iter()
            .filter(|m| m.id != own.id && membership.healthy(m.id))
            .map(|m| m.id)
            .collect();
        let http = self.fleet.http(spec, spec.client_port, tls)?;
        let begun = Instant::now();
        loop {
            let streams: BTreeMap<MemberId, u64> = http.metrics(METRICS_LIMIT).await?.active_peers;
            let cut = others.iter().find(|id| streams.get(id).copied().unwrap_or(0) == 0);
            let Some(cut) = cut else { return Ok(()) };
            if begun.elapsed() > PEERS_LIMIT {
                let to = membership
                    .members
                    .iter()
                    .find(|m| m.id == *cut)
                    .map_or(cut.to_string(), |m| m.name.clone());
                return Err(StepError::new(format!("{} has no live stream to {to}, although both are healthy", spec.name))
                    .hint("look for refused connections in both logs: a firewall on the peer port, or a peer certificate without the address that connections come from"));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}
