//! The cluster's CA for the length of one run: opened at most once, and never left on a disk in the clear.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use age::secrecy::SecretString;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::backup::{BackupError, Source, Unlocked};
use crate::etcd::ClientTls;
use crate::inventory::{ClusterName, Desired, DesiredHost, PkiPolicy};
use crate::ops::exec::StepError;
use crate::pki::{
    Authority, Certificate, Issued, PkiDir, Recipient, StoreError, bundle_pem, operator_spec, peer_spec, server_spec,
};

/// Asks for the passphrase of a key file; `None` when nobody can answer.
pub type AskPassphrase = Arc<dyn Fn(&Path) -> Option<SecretString> + Send + Sync>;

/// The operator's way to the CA.
pub struct Vault {
    dir: PkiDir,
    policy: PkiPolicy,
    /// Paths in `recipients` are relative to the inventory.
    base: PathBuf,
    identities: Vec<PathBuf>,
    ask: AskPassphrase,
    authority: OnceCell<Arc<Authority>>,
    operator: OnceCell<ClientTls>,
}

impl Vault {
    /// A vault that has not been opened. `identities` are the key files that may open it.
    pub fn new(desired: &Desired, base: &Path, identities: Vec<PathBuf>, ask: AskPassphrase) -> Arc<Self> {
        Arc::new(Self {
            dir: PkiDir::at(&desired.pki.dir, &desired.cluster),
            policy: desired.pki.clone(),
            base: base.to_owned(),
            identities,
            ask,
            authority: OnceCell::new(),
            operator: OnceCell::new(),
        })
    }

    /// The store behind it.
    pub fn dir(&self) -> &PkiDir {
        &self.dir
    }

    /// The directory of the inventory: what its relative paths start from, and where `backups/` lies.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The CA certificates that members trust, PEM; `None` while there is no CA.
    ///
    /// # Errors
    /// When `ca.crt` cannot be read.
    pub fn trusted_pem(&self) -> Result<Option<String>, StoreError> {
        let status = self.dir.status()?;
        if status.is_empty() {
            return Ok(None);
        }
        if status.trusted.is_empty() {
            // A bootstrap that was cut off between the two files: opening the sealed one completes it.
            return Ok(None);
        }
        Ok(Some(bundle_pem(&self.dir.trusted()?)))
    }

    /// Makes the CA and seals its key; says who can open it.
    ///
    /// # Errors
    /// When nobody could open it, or a file cannot be written.
    pub async fn create(&self, cluster: &ClusterName) -> Result<String, StepError> {
        let status = self.dir.status()?;
        if !status.is_empty() {
            self.authority().await?;
            return Ok(format!("{} (it was there already)", cluster));
        }
        let recipients = self.recipients()?;
        let made = self.dir.create(
            &self.policy,
            &recipients,
            &self.identities,
            &mut |path| (self.ask)(path),
            Timestamp::now(),
        )?;
        let _ = self.authority.set(Arc::new(made));
        Ok(recipients.iter().map(Recipient::label).collect::<Vec<_>>().join(", "))
    }

    /// Who the CA key is to be sealed to: the inventory's list, or the owner of the SSH identities.
    ///
    /// # Errors
    /// Every entry that cannot be used.
    pub fn recipients(&self) -> Result<Vec<Recipient>, StepError> {
        let parsed = if self.policy.recipients.is_empty() {
            Recipient::of_identities(&self.identities)
        } else {
            Recipient::parse_all(&self.policy.recipients, &self.base)
        };
        parsed.map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            StepError::new(lines.join("; ")).hint("correct `pki.recipients` in the inventory")
        })
    }

    /// A backup with the operator's key that opens it.
    ///
    /// # Errors
    /// When none of them does, or the file is cut off.
    pub async fn unlock(&self, backup: Source) -> Result<Unlocked, BackupError> {
        let (identities, ask) = (self.identities.clone(), self.ask.clone());
        let unlocking = tokio::task::spawn_blocking(move || backup.unlock(&identities, &mut |path| ask(path)));
        match unlocking.await {
            Ok(unlocked) => unlocked,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// The opened CA.
    ///
    /// # Errors
    /// When none of the operator's keys opens it, it has expired, or it does not hold together.
    pub async fn authority(&self) -> Result<Arc<Authority>, StoreError> {
        self.authority
            .get_or_try_init(|| async {
                let (dir, identities, ask) = (self.dir.clone(), self.identities.clone(), self.ask.clone());
                let opening = tokio::task::spawn_blocking(move || {
                    dir.unlock(&identities, &mut |path| ask(path), Timestamp::now())
                });
                match opening.await {
                    Ok(authority) => authority.map(Arc::new),
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                }
            })
            .await
            .cloned()
    }

    /// The operator's identity towards etcd: common name `root`, so that it goes on working when etcd's own
    /// authentication is switched on; valid for this run only, in memory only.
    ///
    /// # Errors
    /// As [`Vault::authority`].
    pub async fn operator(&self) -> Result<ClientTls, StepError> {
        self.operator
            .get_or_try_init(|| async {
                let authority = self.authority().await?;
                let issued = authority.issue(&operator_spec(self.policy.key_type), Timestamp::now())?;
                Ok(ClientTls {
                    ca_pem: bundle_pem(&self.dir.trusted()?),
                    cert_pem: issued.cert_pem.clone(),
                    key_pem: issued.key.expose_pem().to_owned().into(),
                })
            })
            .await
            .cloned()
    }

    /// New certificates for a host: what it should trust, its server pair, its peer pair.
    ///
    /// # Errors
    /// As [`Vault::authority`].
    pub async fn member_certificates(
        &self,
        desired: &Desired,
        host: &DesiredHost,
    ) -> Result<(Vec<Certificate>, Issued, Issued), StepError> {
        let authority = self.authority().await?;
        let now = Timestamp::now();
        let server = authority.issue(&server_spec(desired, host), now)?;
        let peer = authority.issue(&peer_spec(desired, host), now)?;
        Ok((self.dir.trusted()?, server, peer))
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        let hint = error.hint();
        StepError::new(crate::report::chain(&error)).hint(hint)
    }
}

impl From<crate::pki::AuthorityError> for StepError {
    fn from(error: crate::pki::AuthorityError) -> Self {
        let hint = error.hint();
        StepError::new(crate::report::chain(&error)).hint(hint)
    }
}
