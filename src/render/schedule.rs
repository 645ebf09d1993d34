//! The unit and the timer with which members take backups by themselves.

use std::sync::LazyLock;

use serde::Serialize;

use super::unit::any_below;
use super::{RenderError, RenderedFile, templates};
use crate::inventory::{BackupPlace, BackupPolicy, Desired, DesiredHost, HostPath};

/// Where systemd makes a unit's `StateDirectory=`.
static STATES: LazyLock<HostPath> = LazyLock::new(|| "/var/lib".parse().expect("a constant that is a valid path"));

/// Where things of the scheduled backups are on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulePaths {
    /// `etcd-backup`, the name of the unit and the timer.
    pub unit: String,
    /// The unit file.
    pub service: HostPath,
    /// The timer's file.
    pub timer: HostPath,
    /// The directory of what the run reads, for the member's account alone.
    pub config: HostPath,
    /// What to do, as JSON.
    pub orders: HostPath,
    /// `s3_credentials` of the inventory.
    pub s3_credentials: HostPath,
    /// `identity` of the inventory.
    pub identity: HostPath,
    /// The keys of the hosts that `ssh://` names.
    pub known_hosts: HostPath,
    /// The directory of quorate itself: below that of the releases, one for each service.
    pub programs: HostPath,
    /// The directory that a run works in.
    pub state: HostPath,
    /// How the last run ended, as JSON.
    pub report: HostPath,
}

impl SchedulePaths {
    /// Those of a host. Its service is named `SERVICE-backup`, and so are the directories.
    pub fn of(host: &DesiredHost) -> Self {
        let unit = format!("{}-backup", host.service);
        let config = host.paths.config.beside(&unit);
        let units = super::unit_path(&host.service);
        let state = STATES.join(&unit);
        Self {
            service: units.beside(&format!("{unit}.service")),
            timer: units.beside(&format!("{unit}.timer")),
            orders: config.join("orders.json"),
            s3_credentials: config.join("s3-credentials"),
            identity: config.join("identity"),
            known_hosts: config.join("known_hosts"),
            programs: host.paths.bin.join(&format!("quorate-{}", host.service)),
            report: state.join("last-run.json"),
            config,
            state,
            unit,
        }
    }
}

impl SchedulePaths {
    /// All that goes when the host takes no backups by itself any more.
    pub fn all(&self) -> [&HostPath; 5] {
        [&self.service, &self.timer, &self.config, &self.report, &self.programs]
    }
}

/// What the templates read. Every value is a checked name, path or word.
#[derive(Serialize)]
struct View<'a> {
    cluster: &'a str,
    name: &'a str,
    user: &'a str,
    program: &'a str,
    orders: &'a str,
    restoring: String,
    state: &'a str,
    schedule: &'a str,
    environment: Vec<String>,
    writable: String,
    protect_home: &'static str,
}

/// Unit and timer; `program` is quorate itself on the host.
///
/// # Errors
/// [`RenderError::Template`], a mistake in the program.
pub fn render_schedule(
    desired: &Desired,
    host: &DesiredHost,
    policy: &BackupPolicy,
    program: &HostPath,
) -> Result<Vec<RenderedFile>, RenderError> {
    let paths = SchedulePaths::of(host);
    let directories: Vec<String> = policy
        .to
        .iter()
        .filter_map(|place| match place {
            BackupPlace::Directory(path) => Some(path.display().to_string()),
            BackupPlace::S3 { .. } | BackupPlace::Ssh(_) => None,
        })
        .collect();
    let home = any_below(directories.iter().map(String::as_str), &["/home", "/root", "/run/user"]);
    let view = View {
        cluster: desired.cluster.as_str(),
        name: host.name.as_str(),
        user: host.user.as_str(),
        program: program.as_str(),
        orders: paths.orders.as_str(),
        restoring: host.paths.restore_note().to_string(),
        state: &paths.unit,
        schedule: &policy.schedule,
        environment: environment(policy, &paths),
        writable: directories.join(" "),
        protect_home: if home { "no" } else { "yes" },
    };
    Ok(vec![
        RenderedFile::new(paths.service, host, templates::render(templates::BACKUP, &view)?),
        RenderedFile::new(paths.timer, host, templates::render(templates::BACKUP_TIMER, &view)?),
    ])
}

/// Where S3 is and where its credentials lie; never the credentials.
fn environment(policy: &BackupPolicy, paths: &SchedulePaths) -> Vec<String> {
    let file = policy.s3_credentials.as_ref().map(|_| paths.s3_credentials.to_string());
    [
        ("AWS_SHARED_CREDENTIALS_FILE", file.as_ref()),
        ("AWS_ENDPOINT_URL", policy.s3_endpoint.as_ref()),
        ("AWS_REGION", policy.s3_region.as_ref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(format!("{name}={}", value?)))
    .collect()
}
