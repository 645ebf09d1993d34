//! A backup of what one survivor still has: a private etcd on a copy of its data, asked for a snapshot.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::RealWorld;
use crate::backup::{About, ManifestMember, Seal, new_file, take};
use crate::etcd::EtcdClient;
use crate::host::rescue::PrivateMember;
use crate::host::{Output, Running};
use crate::inventory::{DesiredHost, NodeName, Version};
use crate::ops::exec::{StepError, fault};
use crate::ops::last_resort::LastResort;
use crate::ops::plan::{Step, digest};
use crate::ops::recover::{REASON, Rescue};
use crate::report::{Event, Reporter, human_bytes};

/// A large database takes minutes to be copied and read.
const START_LIMIT: Duration = Duration::from_secs(900);
const STATUS_LIMIT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(200);
/// The private ports are this much above the member's own, so that no client finds it.
const APART: u16 = 10_000;

impl RealWorld {
    pub(super) async fn rescue(
        &self,
        step: &Step,
        node: &NodeName,
        rescue: &Rescue,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let spec = self.spec(node)?;
        let apart = |port: u16| port.checked_add(APART).unwrap_or_else(|| port - APART);
        let private = PrivateMember {
            work: &rescue.at,
            etcd: &rescue.etcd,
            pki: &spec.paths.pki,
            ports: (apart(spec.client_port), apart(spec.peer_port)),
        };
        let mut running = self.host(node).await?.start_private(&private).await?;
        let client = self.fleet.private_client(spec, private.ports.0, &self.tls().await?)?;
        let taken = match answers(&client, &mut running).await {
            Ok(version) => {
                fault::point(&format!("private:{}", step.id));
                self.take_from(step, spec, version, &client, reporter).await
            }
            Err(error) => Err(self.or_a_backup(error).await),
        };
        // With its input the private etcd ends, and the copy goes.
        // Where it ended by itself, its end has been taken note of.
        if !running.done.is_finished() {
            let _ = running.end().await;
        }
        taken
    }

    /// With the way out that is left where the survivors' data cannot be used.
    async fn or_a_backup(&self, error: StepError) -> StepError {
        let hint = error
            .hint
            .clone()
            .unwrap_or_else(|| "choose another survivor with --from NAME".to_owned());
        error.hint(self.sight().await.hint(&hint, Some(&LastResort::or_back_to_a_backup())))
    }

    async fn take_from(
        &self,
        step: &Step,
        spec: &DesiredHost,
        version: Version,
        client: &EtcdClient,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let seal = Seal::To(self.vault.recipients()?);
        let signer = self.vault.signer().await?;
        let about = About {
            cluster: self.desired().cluster.clone(),
            reason: REASON.to_owned(),
            taken_at: Timestamp::now(),
            taken_from: spec.name.to_string(),
            etcd_version: version,
            members: vec![ManifestMember {
                name: spec.name.to_string(),
                peer_urls: vec![spec.peer_url()],
            }],
            inventory_sha256: digest(self.desired()),
        };
        let backups = self.vault.base().join("backups");
        let path = new_file(&backups, &about.cluster, about.taken_at, REASON, &seal);
        let progress = |done, total| {
            reporter.event(&Event::StepProgress {
                step: step.id.clone(),
                node: Some(spec.name.clone()),
                unit: "bytes",
                done,
                total,
            });
        };
        let manifest = take(client, about, seal, signer, &path, &progress).await?;
        Ok(format!(
            "{}: {} at revision {}, {} keys",
            path.display(),
            human_bytes(manifest.snapshot.size),
            manifest.revision,
            manifest.keys
        ))
    }
}

/// Waits until the private etcd has applied its log and answers reads; returns its release.
async fn answers(client: &EtcdClient, running: &mut Running) -> Result<Version, StepError> {
    let begun = Instant::now();
    loop {
        if running.done.is_finished() {
            return Err(ended((&mut running.done).await.ok().and_then(Result::ok)));
        }
        if let Ok(status) = client.status(STATUS_LIMIT).await
            && client.linearizable_ping().await.is_ok()
        {
            return Ok(status.version);
        }
        if begun.elapsed() > START_LIMIT {
            return Err(StepError::new(format!(
                "the private etcd did not answer within {} s",
                START_LIMIT.as_secs()
            )));
        }
        sleep(POLL).await;
    }
}

fn ended(output: Option<Output>) -> StepError {
    let said = output.map(|output| output.stderr).unwrap_or_default();
    StepError {
        journal: said.lines().map(str::to_owned).collect(),
        ..StepError::new("a private etcd does not start on a copy of the data")
            .hint("choose another survivor with --from NAME")
    }
}
