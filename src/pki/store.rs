//! The CA on the operator's machine: the directory `pki/` beside the inventory.
//!
//! | file | what | mode |
//! |---|---|---|
//! | `ca.crt` | every trusted CA certificate, PEM, the one that signs first | 0644 |
//! | `ca.key.age` | the signing CA's key, sealed | 0644: who may read it gains nothing, and git keeps no other mode |
//! | `ca.key` | a key brought along in the clear, until it is sealed | the operator's |
//! | `ca-next.crt`, `ca-next.key.age` | only during a CA rotation, see [`super::rotation`] | 0644 |
//! | `ca-previous.crt` | CAs of before, for signatures of backups, see [`super::retired`] | 0644 |
//! | `issued.yml` | what was issued to clients, see [`super::issued`] | 0644 |
//! | `crl.der` | what of it was revoked, see [`super::crl`] | 0644 |
//! | `passwords/USER.age` | the password of one of etcd's users, sealed, see [`super::passwords`] | 0644 |
//! | `taken-over.crt`, `borrowed.age` | a CA that something else made, see [`super::taken_over`] | 0644 |
//! | `viewers/NAME.age` | a certificate and its key to look with, see [`super::viewers`] | 0644 |
//! | `ca-request.csr`, `ca-request.key.age` | a request that waits for a company's CA, see [`super::external`] | 0644 |
//! | `ca-chain.crt` | the certificates above an intermediate CA, see [`super::external`] | 0644 |

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::authority::{Authority, AuthorityError};
use super::certificate::{CertError, Certificate, bundle_pem};
use super::facts::CertFacts;
use super::identity::{AskPassphrase, OpenError, Tried};
use super::recipient::Recipient;
use super::sealed::{self, CaSecret, SealError, UnsealError};
use super::secret::SecretPem;
use crate::inventory::{ClusterName, PkiPolicy};

/// The certificates of one cluster on the operator's machine.
#[derive(Debug, Clone)]
pub struct PkiDir {
    pub(super) dir: PathBuf,
    pub(super) cluster: ClusterName,
}

/// What is there, told without opening anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaStatus {
    /// The certificates of `ca.crt`, in order; empty when there is none.
    pub trusted: Vec<CertFacts>,
    /// Whether `ca.key.age` exists.
    pub sealed: bool,
    /// Who can open `ca.key.age`, as its comment lines say.
    pub recipients: Vec<String>,
    /// Whether a `ca.key` lies there in the clear.
    pub plain_key: bool,
}

impl CaStatus {
    /// Nothing is there yet: [`PkiDir::create`] may make a CA.
    pub fn is_empty(&self) -> bool {
        self.trusted.is_empty() && !self.sealed && !self.plain_key
    }
}

/// What went wrong with the CA on the operator's machine. One variant per operation or state.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A new CA was asked for where something is already.
    #[error("{} already exists", path.display())]
    Exists { path: PathBuf },
    /// There is no CA at all.
    #[error("there is no CA in {}", dir.display())]
    Missing { dir: PathBuf },
    /// `ca.crt` is there, its key is not.
    #[error("this needs the CA key, and there is no ca.key.age beside {}", path.display())]
    NoKey { path: PathBuf },
    /// The CA was taken over without its key.
    #[error("this needs the key of the CA in {}, and the cluster was taken over without it", path.display())]
    Keyless { path: PathBuf },
    /// What members are asked with instead of that key has expired.
    #[error("the client certificate in {}, which this cluster was taken over with, expired at {at}", path.display())]
    BorrowedEnded { path: PathBuf, at: Timestamp },
    /// The key lies there in the clear.
    #[error("{} is not sealed", path.display())]
    PlainKey { path: PathBuf },
    /// `ca.crt` cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Certificates { path: PathBuf, source: CertError },
    /// The CA cannot be used.
    #[error("cannot use the CA in {}", path.display())]
    Authority { path: PathBuf, source: AuthorityError },
    /// `ca.key.age` cannot be made.
    #[error("cannot create {}", path.display())]
    Seal { path: PathBuf, source: SealError },
    /// `ca.key.age` belongs to another cluster, or is damaged.
    #[error("cannot open {}", path.display())]
    Unseal { path: PathBuf, source: UnsealError },
    /// `ca.key.age` is for others.
    #[error("this needs the CA key, and {} cannot be opened with your keys{}", path.display(), listed(tried))]
    NotYours {
        path: PathBuf,
        /// Who can open it.
        sealed_to: Vec<String>,
        /// The key files that were tried.
        tried: Vec<Tried>,
    },
    /// The sealed CA is none of those in `ca.crt`.
    #[error("{} contains the key of a CA (`{sealed}`) that is not in ca.crt", path.display())]
    OtherCa { path: PathBuf, sealed: String },
    /// A turn of a rotation was asked for that is not due.
    #[error("no CA rotation is in progress in {}", dir.display())]
    NotRotating { dir: PathBuf },
    /// A request for an intermediate CA was not made, or was answered already.
    #[error("no request for an intermediate CA waits for an answer in {}", dir.display())]
    NoRequest { dir: PathBuf },
    /// What a company's CA returned cannot be the cluster's CA.
    #[error("this cannot be the cluster's CA: {}", problems.join("; "))]
    Answer { problems: Vec<String> },
    /// A rotation is under way, and something else would begin one.
    #[error("the change to the CA `{new}` has not finished yet")]
    Rotating { new: String },
    /// A file of `viewers/` opens and does not hold what it should.
    #[error("cannot use {}: {why}", path.display())]
    Viewer { path: PathBuf, why: String },
    /// A file of `passwords/` stays closed, or does not hold what it should.
    #[error("cannot use {}: {why}", path.display())]
    Password { path: PathBuf, why: String },
    /// `issued.yml` cannot be understood.
    #[error("{} is not a list of issued certificates: {why}", path.display())]
    IssuedList { path: PathBuf, why: String },
}

impl StoreError {
    /// Whether there is a CA and only others can open its key.
    pub fn is_for_others(&self) -> bool {
        matches!(self, StoreError::NotYours { .. } | StoreError::NoKey { .. })
    }

    /// Whether it is nothing but a CA that has expired.
    pub fn is_expired(&self) -> bool {
        let StoreError::Authority { source, .. } = self else {
            return false;
        };
        matches!(source, AuthorityError::Expired { .. })
    }

    /// Who can open the CA key, for a sentence.
    pub fn who_can(&self) -> String {
        match self {
            StoreError::NotYours { sealed_to, .. } if !sealed_to.is_empty() => {
                format!("someone who can open the CA key ({})", sealed_to.join("; "))
            }
            _ => "someone who can open the CA key".to_owned(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        let text = match self {
            StoreError::Read { .. } | StoreError::Write { .. } => {
                "check the owner and permissions of this path, and the free space"
            }
            StoreError::Exists { .. } => {
                "a CA is never overwritten; to change it, run `quorate pki rotate-ca`; to start over, move the file away"
            }
            StoreError::Missing { .. } => {
                "`quorate up` creates one for a new cluster; otherwise restore it from version control"
            }
            StoreError::NoKey { .. } => {
                "restore ca.key.age from version control, or put the CA's key there as ca.key and run `quorate pki seal`"
            }
            StoreError::Keyless { .. } => {
                "replace that CA first: `quorate up`, then `quorate pki rotate-ca`; the new CA's key is yours"
            }
            StoreError::BorrowedEnded { .. } => {
                "move the inventory and the pki directory away, and run `quorate adopt` again with a client certificate that is valid"
            }
            StoreError::PlainKey { .. } => "run `quorate pki seal`: it seals the key to the operators and removes it",
            StoreError::Certificates { source, .. } => return source.hint(),
            StoreError::Authority { source, .. } => return source.hint(),
            StoreError::Seal { .. } => "add at least one age or SSH public key to `pki.recipients`",
            StoreError::Unseal { source, .. } => match source {
                UnsealError::OtherCluster { .. } => "point `pki.dir` of this inventory to its own directory",
                _ => "restore ca.key.age from version control",
            },
            StoreError::NotYours { sealed_to, .. } => {
                let who = match sealed_to.is_empty() {
                    true => "its recipients".to_owned(),
                    false => sealed_to.join("; "),
                };
                return format!(
                    "it is sealed to: {who}. If one of these keys is yours, set it as `ssh.identity`, or copy its file to \
                     ~/.config/quorate/identity (an agent or a security token cannot open it); otherwise ask its owner \
                     to run `quorate pki seal --recipient KEY` with your public key, and to commit the pki directory"
                );
            }
            StoreError::OtherCa { .. } => "ca.crt and ca.key.age must come from the same CA: take both from one commit",
            StoreError::NotRotating { .. } => "start one with `quorate pki rotate-ca`",
            StoreError::NoRequest { .. } => "create one with `quorate pki csr --out FILE`",
            StoreError::Answer { .. } => {
                "have the request signed again as what it asks for: CA:TRUE, path length 0, keyCertSign and cRLSign, no \
                 extended key usages (or both serverAuth and clientAuth), no name constraints that exclude hosts; and put every certificate up to the root into the \
                 file"
            }
            StoreError::Rotating { .. } => "finish it with `quorate pki rotate-ca`, then import the answer again",
            StoreError::Viewer { .. } => {
                "restore it from version control, or have it issued again with `quorate pki viewer NAME --recipient KEY`"
            }
            StoreError::Password { .. } => {
                "restore it from version control, or seal a new one with `quorate users password USER`"
            }
            StoreError::IssuedList { .. } => "restore issued.yml from version control",
        };
        text.to_owned()
    }
}

/// `: FILE (why), FILE (why)`.
fn listed(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return ": no key file was given".to_owned();
    }
    let each: Vec<_> = tried
        .iter()
        .map(|key| format!("{} ({})", key.path.display(), key.why))
        .collect();
    format!(": tried {}", each.join(", "))
}

impl PkiDir {
    /// The directory `dir` (`pki.dir` of the inventory) of `cluster`. Nothing is read yet.
    pub fn at(dir: impl Into<PathBuf>, cluster: &ClusterName) -> PkiDir {
        PkiDir {
            dir: dir.into(),
            cluster: cluster.clone(),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// What is there.
    ///
    /// # Errors
    /// When a file cannot be read, or `ca.crt` is damaged.
    pub fn status(&self) -> Result<CaStatus, StoreError> {
        let trusted = self.read_trusted()?.unwrap_or_default();
        let sealed = self.read(&self.sealed_path())?;
        Ok(CaStatus {
            trusted: trusted.iter().map(|cert| cert.facts().clone()).collect(),
            recipients: sealed
                .as_deref()
                .map(|text| sealed::label(text).recipients)
                .unwrap_or_default(),
            sealed: sealed.is_some(),
            plain_key: self.plain_path().exists(),
        })
    }

    /// The CA certificates that hosts and clients trust: all of `ca.crt`. No key is needed.
    ///
    /// # Errors
    /// When there is none or it is damaged.
    pub fn trusted(&self) -> Result<Vec<Certificate>, StoreError> {
        self.read_trusted()?
            .ok_or_else(|| StoreError::Missing { dir: self.dir.clone() })
    }

    /// Makes a CA, proves that `identities` open its sealed key, and writes both files. Cut off between them, it leaves
    /// only `ca.key.age`, from which [`PkiDir::unlock`] completes the other.
    ///
    /// # Errors
    /// When any of the files exists, there is no recipient, none of `identities` is among them, or a file cannot be
    /// written.
    pub fn create(
        &self,
        policy: &PkiPolicy,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
        now: Timestamp,
    ) -> Result<Authority, StoreError> {
        self.nothing_yet()?;
        let authority = Authority::create(&self.cluster, policy, now).map_err(|source| StoreError::Authority {
            path: self.cert_path(),
            source,
        })?;
        self.keep(authority, recipients, identities, ask)
    }

    /// Opens the CA with the first of `identities` that fits.
    ///
    /// # Errors
    /// When there is no CA, none of the keys opens it, or it does not hold together; each with its own variant.
    pub fn unlock(
        &self,
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
        now: Timestamp,
    ) -> Result<Authority, StoreError> {
        let path = self.sealed_path();
        let trusted = self.read_trusted()?;
        let Some(text) = self.read(&path)? else {
            return Err(self.without_sealed_key(trusted.is_some()));
        };
        let secret = self.unseal(&path, &text, identities, ask)?;
        match trusted {
            Some(trusted) if !trusted.contains(&secret.certificate) => {
                let sealed = secret.certificate.facts().subject.clone();
                return Err(StoreError::OtherCa { path, sealed });
            }
            Some(_) => {}
            None => self.write_trusted(std::slice::from_ref(&secret.certificate))?,
        }
        Authority::load(&secret.certificate.to_pem(), secret.key, now)
            .map_err(|source| StoreError::Authority { path, source })
    }

    /// Takes over a CA that was brought along as `ca.crt` and `ca.key`: checks the pair, seals the key, proves that
    /// `identities` open it, and only then removes `ca.key`.
    ///
    /// # Errors
    /// When a file is missing, the pair does not fit, or the result cannot be opened; `ca.key` stays then.
    pub fn seal_plain_key(
        &self,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
        now: Timestamp,
    ) -> Result<Authority, StoreError> {
        let (plain, path) = (self.plain_path(), self.sealed_path());
        let trusted = self.trusted()?;
        let key = self
            .read(&plain)?
            .ok_or_else(|| StoreError::NoKey { path: self.cert_path() })?;
        if path.exists() {
            return Err(StoreError::Exists { path });
        }
        let key = SecretPem::new(Zeroizing::new(key));
        let authority = Authority::load(&bundle_pem(&trusted), key, now).map_err(|source| StoreError::Authority {
            path: plain.clone(),
            source,
        })?;
        let text = self.sealed_text(&authority, recipients)?;
        self.unseal(&path, &text, identities, ask)?;
        self.write(&path, &text)?;
        fs::remove_file(&plain).map_err(|source| StoreError::Write { path: plain, source })?;
        Ok(authority)
    }

    /// Takes in a CA that something else made: its certificate, PEM, and its key. Cut off between the two files, it leaves
    /// what [`PkiDir::create`] does.
    ///
    /// # Errors
    /// As [`PkiDir::create`]; also when the pair does not fit.
    pub fn take_in(
        &self,
        certificate: &str,
        key: SecretPem,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
        now: Timestamp,
    ) -> Result<Authority, StoreError> {
        self.nothing_yet()?;
        let authority = Authority::load(certificate, key, now).map_err(|source| StoreError::Authority {
            path: self.cert_path(),
            source,
        })?;
        self.keep(authority, recipients, identities, ask)
    }

    /// No CA is replaced by a new one.
    fn nothing_yet(&self) -> Result<(), StoreError> {
        let paths = [self.cert_path(), self.sealed_path(), self.plain_path()];
        match paths.into_iter().find(|path| path.exists()) {
            Some(path) => Err(StoreError::Exists { path }),
            None => Ok(()),
        }
    }

    /// Writes the first CA of this directory, once it is proved that `identities` open its sealed key.
    fn keep(
        &self,
        authority: Authority,
        recipients: &[Recipient],
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
    ) -> Result<Authority, StoreError> {
        let text = self.sealed_text(&authority, recipients)?;
        self.unseal(&self.sealed_path(), &text, identities, ask)?;
        self.write(&self.sealed_path(), &text)?;
        self.write_trusted(&[authority.certificate().clone()])?;
        Ok(authority)
    }

    pub(super) fn cert_path(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    pub(super) fn sealed_path(&self) -> PathBuf {
        self.dir.join("ca.key.age")
    }

    fn plain_path(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// What keeps the opened CA from being used, with the file it is in.
    pub fn cannot_use(&self, source: AuthorityError) -> StoreError {
        StoreError::Authority {
            path: self.sealed_path(),
            source,
        }
    }

    pub(super) fn without_sealed_key(&self, has_certificate: bool) -> StoreError {
        match (self.plain_path().exists(), has_certificate) {
            (false, true) if self.is_keyless() => StoreError::Keyless { path: self.cert_path() },
            (true, _) => StoreError::PlainKey {
                path: self.plain_path(),
            },
            (false, true) => StoreError::NoKey { path: self.cert_path() },
            (false, false) => StoreError::Missing { dir: self.dir.clone() },
        }
    }

    /// Opens `text`, which lies at `path`.
    pub(super) fn unseal(
        &self,
        path: &Path,
        text: &str,
        identities: &[PathBuf],
        ask: &mut AskPassphrase<'_>,
    ) -> Result<CaSecret, StoreError> {
        let path = path.to_owned();
        sealed::unseal(text, &self.cluster, identities, ask).map_err(|source| match source {
            UnsealError::Open(OpenError::NoKey { tried }) => StoreError::NotYours {
                path,
                sealed_to: sealed::label(text).recipients,
                tried,
            },
            source => StoreError::Unseal { path, source },
        })
    }

    pub(super) fn sealed_text(&self, authority: &Authority, recipients: &[Recipient]) -> Result<String, StoreError> {
        let secret = CaSecret {
            cluster: self.cluster.clone(),
            certificate: authority.certificate().clone(),
            key: authority.key().clone(),
        };
        sealed::seal(&secret, recipients).map_err(|source| StoreError::Seal {
            path: self.sealed_path(),
            source,
        })
    }

    pub(super) fn write_trusted(&self, certificates: &[Certificate]) -> Result<(), StoreError> {
        self.write(&self.cert_path(), bundle_pem(certificates))
    }

    fn read_trusted(&self) -> Result<Option<Vec<Certificate>>, StoreError> {
        let path = self.cert_path();
        let Some(text) = self.read(&path)? else {
            return Ok(None);
        };
        let bundle = Certificate::bundle_from_pem(&text);
        bundle
            .map(Some)
            .map_err(|source| StoreError::Certificates { path, source })
    }

    /// Writes `plain` sealed to `recipients`, below comment lines that say what it is and who can open it.
    pub(super) fn write_sealed(
        &self,
        path: PathBuf,
        what: &str,
        plain: &[u8],
        recipients: &[Recipient],
    ) -> Result<PathBuf, StoreError> {
        let comments = format!("{what}{}", sealed::recipient_lines(recipients));
        let text = sealed::encrypted(comments, plain, recipients).map_err(|source| StoreError::Seal {
            path: path.clone(),
            source,
        })?;
        self.write(&path, text)?;
        Ok(path)
    }

    /// The sealed files of a directory in this one, in order of their names.
    pub(super) fn sealed_in(&self, room: &str) -> Result<Vec<PathBuf>, StoreError> {
        let dir = self.dir.join(room);
        let unreadable = |source| StoreError::Read {
            path: dir.clone(),
            source,
        };
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut files: Vec<PathBuf> = paths.collect::<io::Result<_>>().map_err(unreadable)?;
        files.retain(|path| path.extension().is_some_and(|end| end == "age"));
        files.sort();
        Ok(files)
    }

    /// The text of a file, `None` when it does not exist.
    pub(super) fn read(&self, path: &Path) -> Result<Option<String>, StoreError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Replaces a file in one step: a crash leaves the old one or the new one, whole.
    pub(super) fn write(&self, path: &Path, content: impl AsRef<[u8]>) -> Result<(), StoreError> {
        let replace = || -> io::Result<()> {
            let dir = path.parent().unwrap_or(&self.dir);
            fs::create_dir_all(dir)?;
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            file.write_all(content.as_ref())?;
            file.as_file().set_permissions(Permissions::from_mode(0o644))?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            fs::File::open(dir)?.sync_all()
        };
        replace().map_err(|source| StoreError::Write {
            path: path.to_owned(),
            source,
        })
    }
}
