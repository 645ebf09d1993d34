//! What every host gets that backs up by itself: quorate, orders, units, and what lets it into the places.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::args::ScheduleArgs;
use super::backup_places::Reach;
use super::backup_program::Programs;
use super::error::{Exit, Failure};
use super::session::Session;
use crate::backup::schedule::{Orders, SshKeys};
use crate::host::ssh::pinned;
use crate::host::{Content, Directory, Host, HostError, HostFacts, Owner, Push, PushFile, SystemFacts};
use crate::inventory::{BackupPlace, BackupPolicy, DesiredHost, HostPath};
use crate::ops::plan::digest;
use crate::ops::safety::Blocked;
use crate::ops::safety::trial::{program_finds_its_library, program_is_for_the_machine};
use crate::pki::Recipient;
use crate::render::{RenderedFile, SchedulePaths, render_schedule};
use crate::report::human_bytes;

/// What every host gets.
pub(super) struct Package {
    programs: Programs,
    recipients: Vec<String>,
    credentials: Vec<Credential>,
    inventory_sha256: String,
    retired: Vec<(String, Timestamp)>,
    patience: u64,
}

/// One file for the account that takes backups alone.
struct Credential {
    path: fn(&SchedulePaths) -> &HostPath,
    sha256: String,
    content: Arc<Zeroizing<Vec<u8>>>,
}

impl Package {
    /// Reads all that lies here.
    ///
    /// # Errors
    /// When a file of the inventory cannot be read, or a place has no pinned key.
    pub(super) fn gather(session: &Session, policy: &BackupPolicy, args: &ScheduleArgs) -> Result<Self, Failure> {
        let recipients = session.vault().recipients()?;
        let mut credentials = Vec::new();
        if let Some(file) = &policy.s3_credentials {
            credentials.push(Credential::read(file, |paths| &paths.s3_credentials)?);
        }
        if let Some(file) = &policy.identity {
            credentials.push(Credential::read(file, |paths| &paths.identity)?);
            let known = Reach::of(session).known_hosts;
            let lines = known_hosts(policy, &known)?;
            credentials.push(Credential::new(lines.into_bytes(), |paths| &paths.known_hosts));
        }
        Ok(Self {
            programs: Programs::read(&args.program)?,
            recipients: recipients.iter().map(Recipient::public_line).collect(),
            credentials,
            inventory_sha256: digest(session.desired()),
            retired: retired(session)?,
            patience: args.patience.as_secs(),
        })
    }

    /// The hosts that are of another architecture or too old for the programs, before one is sent to any.
    pub(super) fn misfits(&self, hosts: &[&DesiredHost], facts: &[&HostFacts]) -> Vec<Blocked> {
        let built_for = self.programs.built_for();
        let of_host = |(spec, facts): (&&DesiredHost, &&HostFacts)| {
            let SystemFacts { arch, libc, .. } = &facts.system;
            program_is_for_the_machine(&spec.name, &built_for, *arch)
                .and_then(|()| program_finds_its_library(&spec.name, self.programs.of(*arch).libc, *libc))
                .err()
        };
        hosts.iter().zip(facts).filter_map(of_host).collect()
    }

    /// Brings it to a host and switches the timer on; what is there already is not sent again.
    ///
    /// # Errors
    /// When quorate itself does not run there, or the host refuses.
    pub(super) async fn set_up(
        &self,
        session: &Session,
        policy: &BackupPolicy,
        host: &Host,
        spec: &DesiredHost,
        facts: &HostFacts,
    ) -> Result<String, HostError> {
        let directories: Vec<&str> = policy
            .to
            .iter()
            .filter_map(|place| match place {
                BackupPlace::Directory(path) => path.to_str(),
                BackupPlace::S3 { .. } | BackupPlace::Ssh(_) => None,
            })
            .collect();
        host.prepare_places(&spec.user, &directories).await?;
        let ours = self.programs.of(facts.system.arch);
        let program = ours.path(spec);
        let mut sent = 0;
        if !runs(host, &program).await? {
            sent += host.push(&ours.push(spec, &program, facts), &|_, _| {}).await?.bytes;
            if !runs(host, &program).await? {
                return Err(HostError::Script {
                    node: spec.name.clone(),
                    operation: "testing quorate there".to_owned(),
                    why: "this quorate executable does not run on it".to_owned(),
                    hint: "use the static one that `make dist` builds, or pass one for that machine with --program"
                        .to_owned(),
                });
            }
        }
        sent += host
            .push(&self.files(session, policy, spec, &program)?, &|_, _| {})
            .await?
            .bytes;
        host.enable_timer(&SchedulePaths::of(spec).unit).await?;
        Ok(format!("{} sent, the timer is enabled", human_bytes(sent)))
    }

    fn files(
        &self,
        session: &Session,
        policy: &BackupPolicy,
        spec: &DesiredHost,
        program: &HostPath,
    ) -> Result<Push, HostError> {
        let paths = SchedulePaths::of(spec);
        let broken = |why: String| HostError::Script {
            node: spec.name.clone(),
            operation: "writing the units".to_owned(),
            why,
            hint: "this is a bug in quorate: please report it with the inventory".to_owned(),
        };
        let units = render_schedule(session.desired(), spec, policy, program).map_err(|e| broken(e.to_string()))?;
        let orders =
            serde_json::to_string_pretty(&self.orders(session, policy, spec)).map_err(|e| broken(e.to_string()))?;
        let mut files: Vec<PushFile> = units.into_iter().map(public).collect();
        files.push(public(RenderedFile::new(paths.orders.clone(), spec, orders)));
        files.extend(self.credentials.iter().map(|credential| PushFile {
            path: (credential.path)(&paths).clone(),
            mode: 0o640,
            owner: Some(Owner::Readers(spec.user.clone())),
            sha256: credential.sha256.clone(),
            content: Content::Secret(credential.content.clone()),
            keep_previous: false,
        }));
        Ok(Push {
            directories: vec![Directory {
                path: paths.config,
                mode: 0o750,
                owner: Some(Owner::Readers(spec.user.clone())),
            }],
            files,
            ..Push::default()
        })
    }

    fn orders(&self, session: &Session, policy: &BackupPolicy, spec: &DesiredHost) -> Orders {
        let paths = SchedulePaths::of(spec);
        let pki = |name: &str| spec.paths.pki.join(name).to_string();
        let ssh = policy.identity.as_ref().map(|_| SshKeys {
            identity: paths.identity.as_str().into(),
            known_hosts: paths.known_hosts.as_str().into(),
        });
        Orders {
            cluster: session.desired().cluster.clone(),
            node: spec.name.clone(),
            url: spec.client_url(),
            ca: pki("ca.crt"),
            certificate: pki("peer.crt"),
            key: pki("peer.key"),
            recipients: self.recipients.clone(),
            to: policy.to.clone(),
            keep: policy.keep,
            inventory_sha256: self.inventory_sha256.clone(),
            scratch: paths.state.join("work").to_string(),
            report: paths.report.to_string(),
            rest_note: spec.paths.rest_note().to_string(),
            ssh,
            patience: self.patience,
            retired: self.retired.clone(),
        }
    }
}

/// CAs of before, as the hosts are told of them.
fn retired(session: &Session) -> Result<Vec<(String, Timestamp)>, Failure> {
    let trust = session.vault().trust()?;
    let each = trust.retired().iter();
    Ok(each.map(|ca| (ca.certificate.to_pem(), ca.until)).collect())
}

fn public(file: RenderedFile) -> PushFile {
    PushFile {
        path: file.path,
        mode: file.mode,
        owner: None,
        sha256: file.sha256,
        content: Content::Plain(Bytes::from(file.text)),
        keep_previous: false,
    }
}

impl Credential {
    fn read(file: &Path, path: fn(&SchedulePaths) -> &HostPath) -> Result<Self, Failure> {
        let bytes = std::fs::read(file).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot read {}: {error}", file.display()))
                .hint("correct it in `backup` of the inventory")
        })?;
        Ok(Self::new(bytes, path))
    }

    fn new(bytes: Vec<u8>, path: fn(&SchedulePaths) -> &HostPath) -> Self {
        Self {
            path,
            sha256: hex::encode(Sha256::digest(&bytes)),
            content: Arc::new(Zeroizing::new(bytes)),
        }
    }
}

/// The pinned keys of the hosts that `ssh://` names, and of no others.
fn known_hosts(policy: &BackupPolicy, file: &Path) -> Result<String, Failure> {
    let mut lines = String::new();
    for place in &policy.to {
        let BackupPlace::Ssh(remote) = place else { continue };
        let keys =
            pinned(file, &remote.host, remote.port.unwrap_or(22)).map_err(|why| Failure::new(Exit::Usage, why))?;
        if keys.is_empty() {
            return Err(Failure::new(
                Exit::Unreachable,
                format!("{} has no key for {}", file.display(), remote.host),
            )
            .hint(format!(
                "connect once with `ssh {}`, and accept its key if it is the right one",
                remote.host
            )));
        }
        for key in keys {
            lines += &key.line();
            lines.push('\n');
        }
    }
    Ok(lines)
}

async fn runs(host: &Host, program: &HostPath) -> Result<bool, HostError> {
    let words = ["sh", "-c", "[ -x \"$1\" ] && \"$1\" --version", "sh", program.as_str()];
    let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Ok(host.run_program(&argv, Box::pin(tokio::io::empty())).await?.ok())
}
