//! What the two ports of a member show to whoever connects: only the port itself tells whether etcd took its TLS
//! settings (docs/etcd.md, "Configuration file" and "Certificates and streams"). And what it measured, which no API
//! call tells.

use std::sync::Arc;
use std::time::Duration;

use crate::etcd::{ClientTls, EtcdClient, EtcdError, Member, Metrics, port_security};
use crate::inventory::{DesiredHost, HostPath, MemberId};
use crate::ops::exec::StepError;
use crate::ops::fleet::Fleet;
use crate::ops::model::Membership;

/// `/metrics` is answered from memory.
const METRICS_WITHIN: Duration = Duration::from_secs(5);

/// Both ports: TLS, no entry without a certificate, and the certificate that lies on the disk. `tls.ca_pem` is what
/// the certificates have to hold against.
///
/// # Errors
/// The first thing that is not so, with the host and the port; or the port cannot be inspected.
pub async fn ports(fleet: &Arc<Fleet>, spec: &DesiredHost, tls: &ClientTls) -> Result<(), StepError> {
    let client = port(fleet, spec, spec.client_port, "server.crt", tls);
    let peer = port(fleet, spec, spec.peer_port, "peer.crt", tls);
    tokio::try_join!(client, peer)?;
    Ok(())
}

async fn port(fleet: &Arc<Fleet>, spec: &DesiredHost, port: u16, file: &str, tls: &ClientTls) -> Result<(), StepError> {
    let at = format!("{} port {port}", spec.name);
    let dial = fleet.dial(spec, port);
    let security = port_security(dial.as_ref(), &fleet.endpoint(spec, port), tls)
        .await
        .map_err(|error| StepError::new(format!("{at}: {error}")))?;
    if !security.speaks_tls {
        return Err(StepError::new(format!("{at} answers plain HTTP, to anyone"))
            .hint("stop it and check its configuration: etcd silently ignores TLS settings in the wrong place"));
    }
    if !security.refuses_without_certificate {
        return Err(StepError::new(format!("{at} accepts clients without a certificate")).hint(
            "stop it and check its configuration: `client-cert-auth` and `trusted-ca-file` must be in both security sections",
        ));
    }
    if let Some(why) = security.untrusted {
        return Err(StepError::new(format!(
            "{at} presents a certificate that does not prove its identity: {why}"
        ))
        .hint("`quorate up` issues a new one"));
    }
    let path = spec.paths.pki.join(file);
    let on_disk = certificate(fleet, spec, &path).await?;
    match security.presented.first() {
        Some(shown) if *shown == on_disk => Ok(()),
        _ => Err(
            StepError::new(format!("{at} presents a different certificate than {path}")).hint(format!(
                "`quorate restart --limit {}` makes it read the file again",
                spec.name
            )),
        ),
    }
}

/// A certificate, with those above it.
const LARGEST_CERTIFICATE: u64 = 1 << 20;

/// The certificate in a file of the host, DER.
async fn certificate(fleet: &Arc<Fleet>, spec: &DesiredHost, path: &HostPath) -> Result<Vec<u8>, StepError> {
    let mut text = Vec::new();
    fleet
        .host(spec)
        .await?
        .receive_file(path, LARGEST_CERTIFICATE, &mut text)
        .await?;
    let certificate = crate::pki::Certificate::from_pem(&String::from_utf8_lossy(&text))
        .map_err(|error| StepError::new(format!("{}: {path}: {error}", spec.name)))?;
    Ok(certificate.der().to_vec())
}

/// What a member measured since it was started.
///
/// # Errors
/// When it cannot be asked.
pub async fn metrics(fleet: &Arc<Fleet>, spec: &DesiredHost, tls: &ClientTls) -> Result<Metrics, EtcdError> {
    fleet.http(spec, spec.client_port, tls)?.metrics(METRICS_WITHIN).await
}

/// Whether a member takes a read through a quorum from this very client, over a connection of its own.
///
/// # Errors
/// When it does not, or the identity cannot be used.
pub async fn reads(fleet: &Arc<Fleet>, spec: &DesiredHost, tls: &ClientTls) -> Result<(), EtcdError> {
    let dial = fleet.dial(spec, spec.client_port);
    let client = EtcdClient::connect(dial, fleet.endpoint(spec, spec.client_port), tls)?;
    client.linearizable_ping().await.map(drop)
}

/// The other members that this one has no active stream to: one-way TLS or network trouble, which no health endpoint
/// tells (docs/etcd.md, "Certificates and streams").
pub fn without_stream<'a>(
    membership: &'a Membership,
    own: MemberId,
    metrics: &'a Metrics,
) -> impl Iterator<Item = &'a Member> {
    let others = membership.members.iter().filter(move |member| member.id != own);
    others.filter(|member| metrics.active_peers.get(&member.id).is_none_or(|streams| *streams == 0))
}
