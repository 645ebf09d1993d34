//! What lies below a host's `paths.pki`, as one generation: certificates and keys, what is trusted, what is revoked.
//! Whatever a change does not touch is copied from what is there, keys among it, which never leave the host.

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::RealWorld;
use crate::host::{Content, Generation, GenerationFile, HostFacts};
use crate::inventory::{Address, DesiredHost, HostPath, ServiceManager, UserName};
use crate::ops::exec::StepError;
use crate::ops::model::Fact;
use crate::ops::plan::HostChange;
use crate::pki::{FileContent, HOST_FILES, host_files};
use crate::render::CRL;

impl RealWorld {
    /// The generation that a change asks for; `None` when it asks for nothing of the kind.
    pub(super) async fn generation(
        &self,
        spec: &DesiredHost,
        change: &HostChange,
        readers: Option<UserName>,
    ) -> Result<Option<Generation>, StepError> {
        let mut files = match (&change.trust, change) {
            (_, HostChange { certificates: true, .. }) => self.new_certificates(spec, &change.also_named).await?,
            (Some(ca), _) => {
                let mut files = vec![GenerationFile {
                    name: "ca.crt".into(),
                    mode: ca.mode,
                    sha256: ca.sha256.clone(),
                    content: Content::Plain(Bytes::from(ca.text.clone())),
                }];
                files.extend(self.existing(spec, &HOST_FILES[1..]).await?);
                files
            }
            (None, change) if change.crl || touches(&change.ownership, &spec.paths.pki) => {
                self.existing(spec, &HOST_FILES).await?
            }
            _ => return Ok(None),
        };
        files.extend(self.revocation_list(spec, change).await?);
        Ok(Some(Generation {
            dir: spec.paths.pki.clone(),
            readers,
            // What is current now may be etcd's, and stays in use until the new one is complete.
            salt: match touches(&change.ownership, &spec.paths.pki) {
                true => Timestamp::now().to_string(),
                false => String::new(),
            },
            files: files.into_iter().map(|file| as_kept(spec, file)).collect(),
        }))
    }

    async fn new_certificates(
        &self,
        spec: &DesiredHost,
        also_named: &[Address],
    ) -> Result<Vec<GenerationFile>, StepError> {
        let mut named = spec.clone();
        named.sans.extend_from_slice(also_named);
        let (trusted, server, peer) = self.vault.member_certificates(self.desired(), &named).await?;
        let files = host_files(&trusted, &server, &peer)
            .into_iter()
            .map(|file| GenerationFile {
                name: file.name.to_owned(),
                mode: file.mode,
                sha256: hex::encode(Sha256::digest(file.content.expose_bytes())),
                content: match &file.content {
                    FileContent::Public(text) => Content::Plain(Bytes::from(text.clone())),
                    FileContent::Secret(key) => Content::secret(key.expose_pem().as_bytes().to_vec()),
                },
            });
        Ok(files.collect())
    }

    /// The newest list where the change brings one. Else the one that is there stays, also where it is wanted no longer:
    /// until its next restart etcd reads it at every handshake, and without it would refuse all of them.
    async fn revocation_list(
        &self,
        spec: &DesiredHost,
        change: &HostChange,
    ) -> Result<Option<GenerationFile>, StepError> {
        if change.crl {
            let der = self.vault.crl().await?;
            return Ok(Some(GenerationFile {
                name: CRL.into(),
                mode: 0o644,
                sha256: hex::encode(Sha256::digest(&der)),
                content: Content::Plain(Bytes::from(der)),
            }));
        }
        let there = self.seen_at(spec).await?.files.contains_key(&spec.paths.pki.join(CRL));
        match there {
            true => Ok(self.existing(spec, &[CRL]).await?.into_iter().next()),
            false => Ok(None),
        }
    }

    async fn existing(&self, spec: &DesiredHost, names: &[&str]) -> Result<Vec<GenerationFile>, StepError> {
        let facts = self.seen_at(spec).await?;
        let one = |name: &&str| {
            let path = spec.paths.pki.join(name);
            let file = facts
                .files
                .get(&path)
                .ok_or_else(|| StepError::new(format!("{path} is missing")))?;
            Ok(GenerationFile {
                name: (*name).to_owned(),
                mode: file.mode,
                sha256: file.sha256.clone(),
                content: Content::Existing(path),
            })
        };
        names.iter().map(one).collect()
    }

    async fn seen_at(&self, spec: &DesiredHost) -> Result<HostFacts, StepError> {
        match self.seen.lock().await.hosts.get(&spec.name) {
            Some(Fact::Known(facts)) => Ok(facts.clone()),
            _ => Err(StepError::new("the host was not inspected")),
        }
    }
}

fn touches(ownership: &[HostPath], pki: &HostPath) -> bool {
    ownership.iter().any(|path| path.is_within(pki))
}

/// Root's, for etcd's group to read; where members run as the operator, keys are for that account alone.
fn as_kept(spec: &DesiredHost, file: GenerationFile) -> GenerationFile {
    let mode = match spec.service_manager {
        ServiceManager::Systemd => 0o640,
        ServiceManager::Process if file.name.ends_with(".key") => 0o600,
        ServiceManager::Process => 0o644,
    };
    GenerationFile { mode, ..file }
}
