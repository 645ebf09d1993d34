//! The cluster's CA for the length of one run: opened at most once, and never left on a disk in the clear.

mod viewing;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use age::secrecy::SecretString;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

pub use self::viewing::Viewer;
use crate::backup::{BackupError, Source, Trust, Unlocked};
use crate::etcd::ClientTls;
use crate::inventory::{ClusterName, Desired, DesiredHost, PkiPolicy};
use crate::ops::exec::StepError;
use crate::ops::model::NextCa;
use crate::ops::plan::AuthorityTurn;
use crate::pki::{
    Authority, CaStatus, Certificate, Expectations, Imported, Issued, IssuedRecord, LeafSpec, PkiDir, Recipient,
    SecretPem, Signer, StoreError, bundle_pem, operator_spec, peer_spec, server_spec, signer_spec,
};

/// Asks for the passphrase of a key file; `None` when nobody can answer.
pub type AskPassphrase = Arc<dyn Fn(&Path) -> Option<SecretString> + Send + Sync>;

/// The operator's key files, looked for when the first of them is needed.
#[derive(Clone)]
pub struct KeyFiles(Arc<LazyLock<Vec<PathBuf>, LookFor>>);

type LookFor = Box<dyn FnOnce() -> Vec<PathBuf> + Send>;

impl KeyFiles {
    /// Those that `look_for` finds; it may ask OpenSSH, and is asked once.
    pub fn later(look_for: impl FnOnce() -> Vec<PathBuf> + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(look_for))))
    }
}

impl Deref for KeyFiles {
    type Target = [PathBuf];

    fn deref(&self) -> &[PathBuf] {
        &self.0
    }
}

/// The operator's way to the CA.
pub struct Vault {
    dir: PkiDir,
    policy: PkiPolicy,
    /// Paths in `recipients` are relative to the inventory.
    base: PathBuf,
    identities: KeyFiles,
    ask: AskPassphrase,
    /// Opened at most once, and again when another CA signs.
    authority: Mutex<Option<Arc<Authority>>>,
    operator: Mutex<Option<(ClientTls, Timestamp)>>,
    /// What there is to look with for whoever cannot open it.
    viewer: Mutex<Option<Viewer>>,
}

impl Vault {
    /// A vault that has not been opened. `identities` are the key files that may open it.
    pub fn new(desired: &Desired, base: &Path, identities: KeyFiles, ask: AskPassphrase) -> Arc<Self> {
        Arc::new(Self {
            dir: PkiDir::at(&desired.pki.dir, &desired.cluster),
            policy: desired.pki.clone(),
            base: base.to_owned(),
            identities,
            ask,
            authority: Mutex::default(),
            operator: Mutex::default(),
            viewer: Mutex::default(),
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

    /// Whether nothing can be issued until the next CA signs: the cluster was taken over without the CA's key.
    pub fn is_keyless(&self) -> bool {
        self.dir.is_keyless()
    }

    /// The change of the CA that is under way, if one is.
    ///
    /// # Errors
    /// When a file of it cannot be read.
    pub fn next_ca(&self) -> Result<Option<NextCa>, StoreError> {
        let rotation = self.dir.rotation()?;
        let taken_over = self.dir.taken_over()?;
        Ok(rotation.map(|rotation| NextCa {
            issued_elsewhere: taken_over.as_ref() == Some(&rotation.old),
            stage: rotation.stage,
            new: rotation.new.facts().sha256.clone(),
            old: rotation.old.facts().sha256.clone(),
        }))
    }

    /// The certificate that each client uses now, as far as it was issued here.
    ///
    /// # Errors
    /// When `issued.yml` cannot be read.
    pub fn clients(&self) -> Result<Vec<IssuedRecord>, StoreError> {
        let issued = self.dir.issued()?;
        Ok(issued.current(Timestamp::now()).into_values().cloned().collect())
    }

    /// SHA-256 (hex) of the revocation list that members are given; `None` while it has to be made.
    ///
    /// # Errors
    /// When it or `issued.yml` cannot be read.
    pub fn crl_digest(&self) -> Result<Option<String>, StoreError> {
        let der = self.dir.current_crl()?;
        Ok(der.map(|der| hex::encode(Sha256::digest(der))))
    }

    /// The revocation list that members are given, DER; made when it has to be.
    ///
    /// # Errors
    /// As [`Vault::authority`]; also when it cannot be written.
    pub async fn crl(&self) -> Result<Vec<u8>, StoreError> {
        let authority = self.authority().await?;
        self.dir.crl(&authority, Timestamp::now())
    }

    /// Makes the CA and seals its key; says who can open it.
    ///
    /// # Errors
    /// When nobody could open it, or a file cannot be written.
    pub async fn create(&self, cluster: &ClusterName) -> Result<String, StepError> {
        let status = self.dir.status()?;
        if !status.is_empty() {
            self.authority().await?;
            return Ok(format!("{} (already existed)", cluster));
        }
        let recipients = self.recipients()?;
        let made = self.dir.create(
            &self.policy,
            &recipients,
            &self.identities,
            &mut |path| (self.ask)(path),
            Timestamp::now(),
        )?;
        *self.authority.lock().await = Some(Arc::new(made));
        Ok(recipients.iter().map(Recipient::label).collect::<Vec<_>>().join(", "))
    }

    /// Who the CA key is to be sealed to: the inventory's list and the file beside the CA, or, with neither, the owner of
    /// the SSH identities.
    ///
    /// # Errors
    /// Every entry that cannot be used.
    pub fn recipients(&self) -> Result<Vec<Recipient>, StepError> {
        let mut listed = self.policy.recipients.clone();
        let more = self.dir.recipients_path();
        listed.extend(more.exists().then(|| more.display().to_string()));
        let parsed = match listed.is_empty() {
            true => Recipient::of_identities(&self.identities),
            false => Recipient::parse_all(&listed, &self.base),
        };
        parsed.map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            if !listed.is_empty() {
                return StepError::new(lines.join("; ")).hint("correct `pki.recipients` in the inventory");
            }
            let why = match lines.is_empty() {
                true => "you have no key to seal the CA key to".to_owned(),
                false => format!("none of your keys can open what is sealed to it: {}", lines.join("; ")),
            };
            StepError::new(why).hint(
                "create a key for this alone, with a passphrase: `mkdir -p ~/.config/quorate && ssh-keygen -t ed25519 -f \
                 ~/.config/quorate/identity`; logins go on with the agent or the security token, which can only sign",
            )
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
        let mut slot = self.authority.lock().await;
        if let Some(authority) = slot.as_ref() {
            return Ok(authority.clone());
        }
        let (dir, identities, ask) = (self.dir.clone(), self.identities.clone(), self.ask.clone());
        let opening =
            tokio::task::spawn_blocking(move || dir.unlock(&identities, &mut |path| ask(path), Timestamp::now()));
        let authority = match opening.await {
            Ok(authority) => Arc::new(authority?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        *slot = Some(authority.clone());
        Ok(authority)
    }

    /// The CA that what members show has to come from: the one that signs, or signed before its key was gone.
    ///
    /// # Errors
    /// As [`Vault::authority`].
    pub async fn signing_ca(&self) -> Result<Certificate, StoreError> {
        if !self.is_keyless() {
            return Ok(self.authority().await?.certificate().clone());
        }
        let first = self.dir.trusted()?.into_iter().next();
        first.ok_or_else(|| StoreError::Missing {
            dir: self.dir.path().to_owned(),
        })
    }

    /// The operator's identity towards etcd: common name `root`, so that it goes on working when etcd's own
    /// authentication is switched on; valid for this run only, in memory only.
    ///
    /// # Errors
    /// As [`Vault::authority`].
    pub async fn operator(&self) -> Result<ClientTls, StoreError> {
        let mut slot = self.operator.lock().await;
        if let Some((identity, until)) = slot.as_ref()
            && Timestamp::now() < *until
        {
            return Ok(identity.clone());
        }
        let (cert_pem, key, until) = match self.is_keyless() {
            true => {
                let (borrowed, until) = self.borrowed().await?;
                (borrowed.cert_pem, borrowed.key, until)
            }
            false => {
                let authority = self.authority().await?;
                let spec = operator_spec(self.policy.key_type);
                let issued = authority
                    .issue(&spec, Timestamp::now())
                    .map_err(|e| self.dir.cannot_use(e))?;
                // Whoever watches for days gets another in time.
                (issued.cert_pem, issued.key, Timestamp::now() + spec.validity / 2)
            }
        };
        let identity = ClientTls {
            ca_pem: bundle_pem(&self.dir.trusted()?),
            cert_pem,
            key_pem: key.expose_pem().to_owned().into(),
        };
        *slot = Some((identity.clone(), until));
        Ok(identity)
    }

    /// What members are asked with where the CA's key is not here, and until when.
    async fn borrowed(&self) -> Result<(crate::pki::Viewer, Timestamp), StoreError> {
        let (dir, identities, ask) = (self.dir.clone(), self.identities.clone(), self.ask.clone());
        let opening =
            tokio::task::spawn_blocking(move || dir.borrowed(&identities, &mut |path| ask(path), Timestamp::now()));
        match opening.await {
            Ok(opened) => opened,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// What the operator signs one backup with, made now and in memory only; `None` where there is nothing to make it with.
    ///
    /// # Errors
    /// As [`Vault::authority`].
    pub async fn signer(&self) -> Result<Option<Signer>, StepError> {
        if self.is_keyless() {
            return Ok(None);
        }
        let authority = self.authority().await?;
        let issued = authority.issue(&signer_spec(self.policy.key_type), Timestamp::now())?;
        let signer = Signer::new(&issued.cert_pem, &issued.key);
        signer
            .map(Some)
            .map_err(|error| StepError::new(crate::report::chain(&error)))
    }

    /// Who may have signed this cluster's backups: members and operators of the CA, and of those before it. No key is
    /// needed. Where there is no CA, nobody.
    ///
    /// # Errors
    /// When a file of the CA cannot be read.
    pub fn trust(&self) -> Result<Trust, StoreError> {
        let trusted = match self.dir.status()?.trusted.is_empty() {
            true => Vec::new(),
            false => self.dir.trusted()?,
        };
        Ok(Trust::new(trusted, self.dir.retired()?))
    }

    /// A certificate for a client, remembered in `issued.yml` before it is handed out under `name`; with what the client
    /// should trust.
    ///
    /// # Errors
    /// As [`Vault::authority`]; also when `issued.yml` cannot be read or written.
    pub async fn issue_client(&self, name: &str, spec: &LeafSpec) -> Result<(Vec<Certificate>, Issued), StoreError> {
        let authority = self.authority().await?;
        let now = Timestamp::now();
        let issued = authority.issue(spec, now).map_err(|e| self.dir.cannot_use(e))?;
        let mut list = self.dir.issued()?;
        list.records
            .push(IssuedRecord::of(name, &issued.facts, authority.certificate().facts()));
        self.dir.write_issued(&list, now)?;
        Ok((self.dir.trusted()?, self.shown(issued, &authority)?))
    }

    /// The passwords of these users of etcd, as far as they are sealed.
    ///
    /// # Errors
    /// When one of them cannot be opened, or is not what it should be.
    pub async fn passwords(&self, users: &BTreeSet<String>) -> Result<BTreeMap<String, SecretString>, StoreError> {
        let (dir, identities, ask) = (self.dir.clone(), self.identities.clone(), self.ask.clone());
        let users = users.clone();
        let opening = tokio::task::spawn_blocking(move || {
            let opened = users.into_iter().map(|user| {
                let password = dir.password(&user, &identities, &mut |path| ask(path))?;
                Ok(password.map(|password| (user, password)))
            });
            opened.filter_map(Result::transpose).collect()
        });
        match opening.await {
            Ok(opened) => opened,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Seals the password of a user to the recipients of the CA key, and reads it again: its file.
    ///
    /// # Errors
    /// When there is no recipient, the file cannot be written, or none of the operator's keys opens it afterwards.
    pub async fn seal_password(&self, user: &str, password: &SecretString) -> Result<PathBuf, StepError> {
        let path = self.dir.write_password(user, password, &self.recipients()?)?;
        match self.passwords(&BTreeSet::from([user.to_owned()])).await?.is_empty() {
            false => Ok(path),
            true => Err(StepError::new(format!("{} is gone again", path.display()))),
        }
    }

    /// A viewer's certificate and key, sealed to `recipients`: its file, and the end of its validity.
    ///
    /// # Errors
    /// As [`Vault::issue_client`]; also when there is no recipient, or the file cannot be written.
    pub async fn issue_viewer(
        &self,
        name: &str,
        spec: &LeafSpec,
        recipients: &[Recipient],
    ) -> Result<(PathBuf, Timestamp), StoreError> {
        let (_, issued) = self.issue_client(name, spec).await?;
        let path = self.dir.write_viewer(name, &issued, recipients)?;
        Ok((path, issued.facts.not_after))
    }

    /// A certificate as it is shown: with those between its CA and a company's root, where there are any.
    fn shown(&self, issued: Issued, authority: &Authority) -> Result<Issued, StoreError> {
        let chain = self.dir.shown_with(authority.certificate())?;
        Ok(Issued {
            cert_pem: issued.cert_pem + &bundle_pem(&chain),
            ..issued
        })
    }

    /// A request for an intermediate CA, PEM; the one that waits already, if one does.
    ///
    /// # Errors
    /// When nobody could open its key, or a file cannot be written.
    pub fn request(&self) -> Result<String, StepError> {
        let recipients = self.recipients()?;
        let ask = &mut |path: &Path| (self.ask)(path);
        let (dir, now) = (&self.dir, Timestamp::now());
        Ok(dir.request(&self.policy, &recipients, &self.identities, ask, now)?)
    }

    /// Takes what a company's CA made of the request; its key is sealed to `recipients`.
    ///
    /// # Errors
    /// Every problem with it; nothing is changed then.
    pub fn import(&self, desired: &Desired, answer: &str, recipients: &[Recipient]) -> Result<Imported, StoreError> {
        let specs = |host| [server_spec(desired, host), peer_spec(desired, host)];
        let leaves: Vec<LeafSpec> = desired.hosts.values().flat_map(specs).collect();
        let expected = Expectations {
            now: Timestamp::now(),
            leaf_validity: self.policy.leaf_validity,
            leaves: &leaves,
        };
        let ask = &mut |path: &Path| (self.ask)(path);
        self.dir.import(answer, &expected, recipients, &self.identities, ask)
    }

    /// Takes in a CA that something else made: its certificate, PEM, and its key, which is sealed to the operators at once.
    ///
    /// # Errors
    /// When there is a CA already, the pair does not fit, nobody could open the key, or a file cannot be written.
    pub async fn take_in(&self, certificate: &str, key: SecretPem) -> Result<(), StepError> {
        let recipients = self.recipients()?;
        let (dir, identities, ask) = (self.dir.clone(), self.identities.clone(), self.ask.clone());
        let certificate = certificate.to_owned();
        let taking = tokio::task::spawn_blocking(move || {
            let ask = &mut |path: &Path| ask(path);
            dir.take_in(&certificate, key, &recipients, &identities, ask, Timestamp::now())
        });
        match taking.await {
            Ok(taken) => Ok(taken.map(drop)?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Takes in a CA that something else made without its key: members are asked with a client's certificate of it and its
    /// key, which are sealed to the operators at once.
    ///
    /// # Errors
    /// When nobody could open them, or a file cannot be written.
    pub async fn borrow(&self, ca: &Certificate, cert_pem: String, key: SecretPem) -> Result<(), StepError> {
        let recipients = self.recipients()?;
        let (dir, identities, ask) = (self.dir.clone(), self.identities.clone(), self.ask.clone());
        let ca = ca.clone();
        let borrowing = tokio::task::spawn_blocking(move || {
            dir.borrow(&ca, &cert_pem, &key, &recipients, &identities, &mut |path| ask(path))
        });
        match borrowing.await {
            Ok(borrowed) => Ok(borrowed?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Seals the CA key and the passwords to exactly `recipients`; a key that was brought along in the clear is sealed and removed.
    ///
    /// # Errors
    /// When none of the operator's keys opens it, or a file cannot be written.
    pub async fn seal(&self, recipients: Vec<Recipient>) -> Result<(), StoreError> {
        let (dir, identities, ask) = (self.dir.clone(), self.identities.clone(), self.ask.clone());
        let sealing = tokio::task::spawn_blocking(move || {
            let ask = &mut |path: &Path| ask(path);
            match dir.status()? {
                CaStatus {
                    plain_key: true,
                    sealed: false,
                    ..
                } => dir
                    .seal_plain_key(&recipients, &identities, ask, Timestamp::now())
                    .map(drop),
                _ => dir.reseal(&recipients, &identities, ask),
            }?;
            dir.reseal_passwords(&recipients, &identities, ask)
        });
        match sealing.await {
            Ok(sealed) => sealed,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// One turn of a change of the CA; says what it did. What was opened and issued before is forgotten.
    ///
    /// # Errors
    /// When the turn is not due or a file cannot be written.
    pub async fn turn(&self, turn: AuthorityTurn) -> Result<String, StepError> {
        let did = match turn {
            AuthorityTurn::Prepare => {
                let recipients = self.recipients()?;
                let ask = &mut |path: &Path| (self.ask)(path);
                let (dir, now) = (&self.dir, Timestamp::now());
                let next = dir.prepare_next(&self.policy, &recipients, &self.identities, ask, now)?;
                format!("the new CA is valid until {}", next.facts().not_after)
            }
            AuthorityTurn::Switch => {
                self.dir.switch_to_next()?;
                "certificates are issued by the new CA".into()
            }
            AuthorityTurn::Retire => {
                self.dir.retire_previous(Some(Timestamp::now()))?;
                "the old CA is removed from ca.crt; it still vouches for backups of its time".into()
            }
            AuthorityTurn::Disown => {
                self.dir.retire_previous(None)?;
                "the old CA is removed from ca.crt; backups that it vouched for count as unsigned".into()
            }
        };
        *self.authority.lock().await = None;
        *self.operator.lock().await = None;
        *self.viewer.lock().await = None;
        Ok(did)
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
        let (server, peer) = (self.shown(server, &authority)?, self.shown(peer, &authority)?);
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
