//! Backups in other places: put there, listed, fetched and pruned.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::backup_trust::vouch;
use super::error::{Exit, Failure};
use super::session::{Session, home};
use crate::backup::Source;
use crate::backup::place::{Address, Kept, Limits, Listing, Place, PlaceError, RemoteDirectory, StorePlace, backups};
use crate::host::ssh::{SshEnvironment, connect};
use crate::host::{SecretSource, Shelf, Transport};
use crate::inventory::{Connection, NodeName, SshTarget, Sudo};
use crate::ops::place::RemotePlace;
use crate::report::{Event, chain, human_bytes};

/// With what places are reached.
pub(super) struct Reach {
    /// Where `~/.aws/credentials` may be.
    pub home: Option<PathBuf>,
    /// The side of SSH connections that is here.
    pub ssh: (Arc<SshEnvironment>, Arc<dyn SecretSource>),
    /// Key files; empty: the usual ones.
    pub identity: Vec<PathBuf>,
    /// The keys of other hosts.
    pub known_hosts: PathBuf,
    /// Whether `~/.ssh/config` counts.
    pub use_config: bool,
}

impl Reach {
    /// The operator's own keys; a host's key is the one in `~/.ssh/known_hosts`, as for any host that is not the
    /// cluster's.
    pub(super) fn of(session: &Session) -> Self {
        let mut hosts = session.desired().hosts.values();
        let identity = hosts.find_map(|host| match &host.connection {
            Connection::Ssh(target) => Some(target.identity.clone()),
            Connection::Local => None,
        });
        Self {
            home: home(),
            ssh: session.ssh(),
            identity: identity.unwrap_or_default(),
            known_hosts: home().unwrap_or_default().join(".ssh/known_hosts"),
            use_config: true,
        }
    }

    /// Opens a place.
    ///
    /// # Errors
    /// When there are no credentials for it, or it cannot be reached.
    pub(super) async fn open(&self, address: &Address) -> Result<Box<dyn Place>, Failure> {
        Ok(match address {
            Address::Directory(path) => Box::new(StorePlace::directory(path)?),
            Address::S3 { bucket, prefix } => {
                Box::new(StorePlace::s3(bucket, prefix, self.home.as_deref(), Limits::default())?)
            }
            Address::Ssh(remote) => Box::new(RemotePlace::new(self.connect(remote).await?, address.to_string())),
        })
    }

    async fn connect(&self, remote: &RemoteDirectory) -> Result<Shelf, Failure> {
        let name: NodeName = "backups"
            .parse()
            .map_err(|error| Failure::new(Exit::Unexpected, format!("{error}")))?;
        let target = SshTarget {
            host: remote.host.clone(),
            port: remote.port,
            user: remote.user.clone(),
            identity: self.identity.clone(),
            known_hosts: self.known_hosts.clone(),
            jump: Vec::new(),
            sudo: Sudo::Never,
            use_config: self.use_config,
        };
        let (environment, secrets) = &self.ssh;
        let transport: Arc<dyn Transport> = Arc::new(connect(&name, &target, environment, secrets.clone()).await?);
        Ok(Shelf::new(name, transport, remote.path.clone()))
    }
}

/// Puts a sealed backup into every place; one that fails does not keep the others from getting theirs.
///
/// # Errors
/// The places that did not take it. The file here stays in any case.
pub(super) async fn put(session: &Session, file: &Path, to: &[Address]) -> Result<(), Failure> {
    let name = name_of(file);
    let mut details = Vec::new();
    for address in to {
        let step = format!("put {address}");
        let progress = |done, total| {
            session.reporter.event(&Event::StepProgress {
                step: step.clone(),
                node: None,
                unit: "bytes",
                done,
                total,
            });
        };
        let put = async {
            let place = Reach::of(session).open(address).await?;
            place.put(file, &name, &progress).await?;
            Ok("transfer verified".to_owned())
        };
        let put = session.step(&step, None, &format!("copy it to {address}"), put).await;
        details.extend(put.err().map(|_| address.to_string()));
    }
    if details.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::StepFailed,
        format!(
            "the backup was not copied to {}; it is kept here: {}",
            details.join(", "),
            file.display()
        ),
    )
    .hint("fix that and copy the file there, or take another backup"))
}

/// The last part of a file's path, under which it is put into a place.
pub(super) fn name_of(file: &Path) -> String {
    file.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The cluster's backups in a place, newest first.
///
/// # Errors
/// When it cannot be inspected.
pub(super) async fn list(session: &Session, address: &Address) -> Result<Vec<Kept>, Failure> {
    let place = Reach::of(session).open(address).await?;
    in_place(session, place.as_ref()).await
}

async fn in_place(session: &Session, place: &dyn Place) -> Result<Vec<Kept>, Failure> {
    let trust = session.vault().trust()?;
    let Listing { kept, unreadable } = backups(place, &session.desired().cluster, &trust, Timestamp::now()).await?;
    for (file, error) in &unreadable {
        session.reporter.event(&Event::Warning {
            node: None,
            text: format!("{} cannot be read, and may be a backup: {}", file.name, chain(error)),
            hint: Some(
                "what is not read is neither counted nor deleted; look at its permissions, or its storage class"
                    .to_owned(),
            ),
        });
    }
    Ok(kept)
}

/// `backup fetch`: a backup from a place into a file here.
///
/// # Errors
/// When it is not there, or the file here exists.
pub(super) async fn fetch(
    session: &Session,
    name: Option<&str>,
    at: &Address,
    out: Option<&Path>,
) -> Result<Exit, Failure> {
    let place = Reach::of(session).open(at).await?;
    let newest = name.is_none();
    let name = match name {
        Some(name) => name.to_owned(),
        None => {
            let kept = in_place(session, place.as_ref()).await?;
            let newest = kept.into_iter().find(|kept| kept.standing.counts());
            let newest = newest.map(|kept| kept.file.name);
            newest.ok_or_else(|| {
                Failure::new(
                    Exit::Usage,
                    format!("{at} contains no signed backup of {}", session.desired().cluster),
                )
                .hint(format!("see `quorate backup list --at {at}` and pass one"))
            })?
        }
    };
    let to = out.map_or_else(|| session.base().join("backups").join(&name), Path::to_owned);
    receive(session, place.as_ref(), (&name, newest), &to).await?;
    session.finish(
        true,
        1,
        format!(
            "{} was copied here, and all of it is as its manifest says",
            to.display()
        ),
    );
    Ok(Exit::Done)
}

/// Copies under another name first, and checks all of it there: a half of a backup is none.
async fn receive(session: &Session, place: &dyn Place, (name, newest): (&str, bool), to: &Path) -> Result<(), Failure> {
    let local = |path: &Path, source| {
        Failure::from(PlaceError::Local {
            path: path.to_owned(),
            source,
        })
    };
    if to.exists() {
        let taken = Failure::new(Exit::Usage, format!("{} exists already", to.display()));
        return Err(taken.hint("name another file with --out"));
    }
    let directory = to
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(|error| local(directory, error))?;
    let part: PathBuf = directory.join(format!(".{name}.{}.part", std::process::id()));
    let step = "fetch".to_owned();
    let progress = |done, total| {
        session.reporter.event(&Event::StepProgress {
            step: step.clone(),
            node: None,
            unit: "bytes",
            done,
            total,
        });
    };
    let got = async {
        place.get(name, &part, &progress).await?;
        whole(session, &part, newest).await?;
        std::fs::rename(&part, to).map_err(|error| local(to, error))
    };
    let kept = got.await.map_err(|mut failure| {
        // It goes: what is said is of the file there.
        failure.message = failure.message.replace(&part.display().to_string(), name);
        failure
    });
    if kept.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    kept
}

/// Reads all of what arrived: until then only its first line has been looked at, and that is signed whatever follows it.
async fn whole(session: &Session, part: &Path, newest: bool) -> Result<(), Failure> {
    let source = Source::open(part)?;
    // The name was given for one that is not signed; the newest is one that is.
    vouch(session, &source, !newest)?;
    let backup = session.vault().unlock(source).await?;
    let read = tokio::task::spawn_blocking(move || backup.digest());
    read.await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    Ok(())
}

/// Deletes backups in a place; says which.
///
/// # Errors
/// The first that cannot be deleted.
pub(super) async fn delete(session: &Session, address: &Address, gone: &[&Kept]) -> Result<(), Failure> {
    let place = Reach::of(session).open(address).await?;
    for kept in gone {
        place.delete(&kept.file.name).await?;
        let text = format!(
            "{address}: deleted {} ({})",
            kept.file.name,
            human_bytes(kept.file.bytes)
        );
        session.note(&text);
    }
    Ok(())
}

impl From<PlaceError> for Failure {
    fn from(error: PlaceError) -> Self {
        let hint = error.hint();
        let exit = match error {
            PlaceError::Credentials { .. } | PlaceError::Missing { .. } | PlaceError::Exists { .. } => Exit::Usage,
            _ => Exit::StepFailed,
        };
        Failure::new(exit, chain(&error)).hint(hint)
    }
}
