//! The systemd unit.

use std::sync::LazyLock;

use serde::Serialize;

use super::{RenderError, templates};
use crate::inventory::{Desired, DesiredHost, HostPath, ServiceName, Version};

/// What the template reads. Every value is a checked name or path: no blank, quote, `$` or `%` can be in it.
#[derive(Serialize)]
struct View<'a> {
    cluster: &'a str,
    version: String,
    name: &'a str,
    user: &'a str,
    release: String,
    config: &'a str,
    pki: &'a str,
    run: &'a str,
    runtime_directory: &'a str,
    unit: String,
    log: String,
    marker: String,
    writable: String,
    protect_home: &'static str,
    private_tmp: &'static str,
}

static UNITS: LazyLock<HostPath> =
    LazyLock::new(|| "/etc/systemd/system".parse().expect("a constant that is a valid path"));

/// Where the unit file of `service` lives.
pub fn unit_path(service: &ServiceName) -> HostPath {
    UNITS.join(&format!("{service}.service"))
}

/// The release that a unit starts from below `bin`; `None` for a unit of somebody else.
pub fn release_of(unit: &str, bin: &HostPath) -> Option<Version> {
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart="))?;
    bin.first_below(start)?.parse().ok()
}

/// The whole unit file.
///
/// `RUN/started` is written by the unit itself, as etcd's account and inside its sandbox, just before etcd starts: in
/// `sha256sum`'s format, the hashes of configuration, CA file and unit. (etcd reads the first two at its start only, so
/// this tells what a process really runs with, whatever is on disk by now.)
pub(super) fn text(desired: &Desired, host: &DesiredHost) -> Result<String, RenderError> {
    let paths = &host.paths;
    let runtime_directory = paths
        .run
        .as_str()
        .strip_prefix("/run/")
        .ok_or_else(|| RenderError::RunDirectory {
            node: host.name.clone(),
            run: paths.run.clone(),
        })?;
    let release = paths.release(desired.version);
    let writable: Vec<&HostPath> = std::iter::once(&paths.data).chain(&paths.wal).collect();
    let used = || {
        let others = writable.iter().copied();
        [&release, &paths.config, &paths.pki]
            .into_iter()
            .chain(others)
            .map(HostPath::as_str)
    };
    let view = View {
        cluster: desired.cluster.as_str(),
        version: desired.version.to_string(),
        name: host.name.as_str(),
        user: host.user.as_str(),
        release: release.to_string(),
        config: paths.config.as_str(),
        pki: paths.pki.as_str(),
        run: paths.run.as_str(),
        runtime_directory,
        unit: unit_path(&host.service).to_string(),
        log: paths.wal_files().to_string(),
        marker: paths.marker().to_string(),
        writable: writable.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(" "),
        // Both hide whole trees, also from the member: not where it lives there itself.
        protect_home: if any_below(used(), &["/home", "/root", "/run/user"]) {
            "read-only"
        } else {
            "yes"
        },
        private_tmp: if any_below(used(), &["/tmp", "/var/tmp"]) {
            "no"
        } else {
            "yes"
        },
    };
    templates::render(templates::UNIT, &view)
}

/// Whether one of the paths is below one of the trees.
pub(super) fn any_below<'a>(mut paths: impl Iterator<Item = &'a str>, trees: &[&str]) -> bool {
    let below = |path: &str, tree: &str| path.strip_prefix(tree).is_some_and(|rest| rest.starts_with('/'));
    paths.any(|path| trees.iter().any(|tree| below(path, tree)))
}
