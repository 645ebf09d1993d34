//! Puts releases, files and certificates in place: one exchange a host, whatever the change holds.

use std::time::Duration;

use bytes::Bytes;

use super::RealWorld;
use crate::bundle::Program;
use crate::host::{Account, Content, Directory, Note, Owner, Push, PushFile};
use crate::inventory::{DesiredHost, HostPath, MARKER, NodeName, ServiceManager, UserName};
use crate::ops::exec::StepError;
use crate::ops::plan::{AuthorityTurn, HostChange, ReleaseChange, Step};
use crate::render::SchedulePaths;
use crate::report::{Event, Reporter, human_bytes};

/// etcd's own guidance for the 99th percentile of what a write-ahead log's sync may take (docs/etcd.md, "Disks and
/// units"). This compares an average, so a disk that is warned about is clearly too slow.
const SLOW_WRITE: Duration = Duration::from_millis(10);

impl RealWorld {
    pub(super) async fn create_authority(&self) -> Result<String, StepError> {
        let recipients = self.vault.create(&self.desired().cluster).await?;
        Ok(format!("ca.crt, and ca.key.age for {recipients}"))
    }

    /// One turn of a change of the CA. Whoever talks to etcd after it does so with a new identity.
    pub(super) async fn rotate_authority(&self, turn: AuthorityTurn) -> Result<String, StepError> {
        let did = self.vault.turn(turn).await?;
        self.fleet.forget_clients().await;
        Ok(did)
    }

    pub(super) async fn provision(
        &self,
        step: &Step,
        node: &NodeName,
        change: &HostChange,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let spec = self.spec(node)?;
        let push = self.push_of(spec, change).await?;
        self.push(step, spec, &push, reporter).await
    }

    pub(super) async fn push(
        &self,
        step: &Step,
        spec: &DesiredHost,
        push: &Push,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        let host = self.fleet.host(spec).await?;
        let progress = progress(step, spec, reporter);
        let report = host.push(push, &progress).await?;
        let proved = report
            .proved
            .map(|version| format!(", {version} runs here"))
            .unwrap_or_default();
        let disk = report.synced_write.map(|took| {
            if took > SLOW_WRITE {
                reporter.event(&slow_disk(spec, took));
            }
            format!(
                ", a synced write takes {:.1} ms on its disk",
                took.as_secs_f64() * 1000.0
            )
        });
        Ok(format!(
            "{} sent and verified on the host{proved}{}",
            human_bytes(report.bytes),
            disk.unwrap_or_default()
        ))
    }

    /// Everything the change needs, with certificates issued on the spot and binaries straight from the bundle.
    async fn push_of(&self, spec: &DesiredHost, change: &HostChange) -> Result<Push, StepError> {
        let mut push = Push::default();
        if change.breaks_ground() {
            push.account = (spec.service_manager == ServiceManager::Systemd).then(|| Account {
                name: spec.user.clone(),
                home: spec.paths.data.clone(),
            });
            push.directories = directories(spec);
            take_over(spec, &change.ownership, &mut push);
        }
        if change.marker.as_ref().is_some_and(|marker| !marker.complete) {
            push.gauge = Some(spec.paths.wal.clone().unwrap_or_else(|| spec.paths.data.clone()));
        }
        if let Some(release) = &change.release {
            self.add_release(spec, release, &mut push).await?;
        }
        for file in &change.files {
            push.files.push(PushFile {
                path: file.path.clone(),
                mode: file.mode,
                owner: named(&file.owner),
                sha256: file.sha256.clone(),
                content: Content::Plain(Bytes::from(file.text.clone())),
                keep_previous: true,
            });
        }
        if let Some(marker) = &change.marker {
            push.note = Some(Note {
                dir: spec.paths.data.clone(),
                name: MARKER.to_owned(),
                text: marker.to_text(),
            });
        }
        push.generations
            .extend(self.generation(spec, change, account(spec)).await?);
        if spec.service_manager == ServiceManager::Systemd {
            push.daemon_reload = change
                .files
                .iter()
                .any(|f| f.path == crate::render::unit_path(&spec.service));
            push.enable = change.enable.then_some(true);
        }
        Ok(push)
    }

    async fn add_release(&self, spec: &DesiredHost, release: &ReleaseChange, push: &mut Push) -> Result<(), StepError> {
        let place = spec.paths.release(release.version);
        push.directories.push(Directory {
            path: place.clone(),
            mode: 0o755,
            owner: None,
        });
        for (name, sha256) in &release.sha256 {
            let program =
                Program::from_name(name).ok_or_else(|| StepError::new(format!("the bundle has no program {name}")))?;
            let of = (release.version, release.arch);
            push.files.push(PushFile {
                // What the plan said, whatever the bundle may say by now.
                sha256: sha256.clone(),
                ..self.program_file(&spec.name, &place, of, program).await?
            });
        }
        let etcd = Program::Etcd.as_str();
        push.prove = release.sha256.contains_key(etcd).then(|| place.join(etcd));
        push.remember = Some(place);
        Ok(())
    }
}

/// Tells how far a transfer is.
pub(super) fn progress<'a>(
    step: &'a Step,
    spec: &'a DesiredHost,
    reporter: &'a dyn Reporter,
) -> impl Fn(u64, u64) + Send + Sync + 'a {
    move |done, total| {
        reporter.event(&Event::StepProgress {
            step: step.id.clone(),
            node: Some(spec.name.clone()),
            unit: "bytes",
            done,
            total: Some(total),
        });
    }
}

/// The owner of a file by name; root is who scripts run as where there is another.
pub(super) fn named(owner: &str) -> Option<Owner> {
    let other = Some(owner).filter(|owner| *owner != "root")?;
    other.parse().ok().map(Owner::Account)
}

/// etcd's account; `None` where members run as the operator.
fn account(spec: &DesiredHost) -> Option<UserName> {
    (spec.service_manager == ServiceManager::Systemd).then(|| spec.user.clone())
}

/// Who owns the data; the operator's own account where members run as it.
pub(super) fn owner(spec: &DesiredHost) -> Option<Owner> {
    account(spec).map(Owner::Account)
}

fn directories(spec: &DesiredHost) -> Vec<Directory> {
    let paths = &spec.paths;
    let config_dir = paths.config.parent().parse::<HostPath>().ok();
    let mut dirs: Vec<Directory> = config_dir
        .into_iter()
        .chain([paths.bin.clone()])
        .map(|path| Directory {
            path,
            mode: 0o755,
            owner: None,
        })
        .collect();
    let readers = account(spec).map(Owner::Readers);
    dirs.push(Directory {
        path: paths.pki.clone(),
        mode: if readers.is_some() { 0o750 } else { 0o755 },
        owner: readers,
    });
    dirs.push(Directory {
        path: paths.data.clone(),
        mode: 0o700,
        owner: owner(spec),
    });
    dirs.extend(paths.wal.iter().map(|wal| Directory {
        path: wal.clone(),
        mode: 0o700,
        owner: owner(spec),
    }));
    if spec.service_manager == ServiceManager::Process {
        dirs.push(Directory {
            path: paths.run.clone(),
            mode: 0o755,
            owner: None,
        });
    }
    dirs
}

fn slow_disk(spec: &DesiredHost, took: Duration) -> Event {
    Event::Warning {
        node: Some(spec.name.clone()),
        text: format!(
            "a synced write takes {} ms on its disk: etcd needs 10 ms or less; above that, leaders change under load",
            took.as_millis()
        ),
        hint: Some("put `paths.data` (or `paths.wal`) on its own SSD, not shared with other writers".into()),
    }
}

/// What earlier versions left to etcd's account becomes root's. `breaks_ground` brings the directory of the
/// certificates.
fn take_over(spec: &DesiredHost, ownership: &[HostPath], push: &mut Push) {
    let backups = SchedulePaths::of(spec).config;
    for path in ownership.iter().filter(|path| !path.is_within(&spec.paths.pki)) {
        let (mode, owner) = match *path == backups {
            true => (0o750, Owner::Readers(spec.user.clone())),
            false => (0o711, Owner::Root),
        };
        push.directories.push(Directory {
            path: path.clone(),
            mode,
            owner: Some(owner),
        });
    }
    push.adopt = ownership.contains(&backups).then(|| (backups, spec.user.clone()));
}
