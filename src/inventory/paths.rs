//! Where a member's files are, by how it is supervised.

use std::path::Path;

use super::desired::{Paths, ServiceManager};
use super::names::{HostPath, NodeName, ServiceName};
use super::problem::{Place, Problem};
use super::raw::{Field, RawPaths};

/// What the default paths depend on.
pub struct Site<'a> {
    /// How the member is supervised.
    pub manager: ServiceManager,
    /// Whether the member runs on this machine.
    pub is_local: bool,
    /// The cluster's name.
    pub cluster: &'a str,
    /// The host's name.
    pub name: &'a NodeName,
    /// The unit's name.
    pub service: &'a ServiceName,
    /// Where this operator's programs keep state.
    pub state_dir: &'a Path,
}

/// The paths typed for the host, else those typed for all, else the defaults.
pub fn resolve(
    site: &Site<'_>,
    host_at: Place,
    host: Option<&RawPaths>,
    all: Option<&RawPaths>,
    problems: &mut Vec<Problem>,
) -> Paths {
    let defaults = match site.manager {
        ServiceManager::Systemd => systemd(site.service),
        ServiceManager::Process => process(site, host_at, problems),
    };
    let pick = |key: fn(&RawPaths) -> &Option<Field<HostPath>>| {
        let typed = host
            .and_then(|p| key(p).as_ref())
            .or_else(|| all.and_then(|p| key(p).as_ref()));
        typed.map(|f| f.value.clone())
    };
    Paths {
        config: pick(|p| &p.config).unwrap_or(defaults.config),
        pki: pick(|p| &p.pki).unwrap_or(defaults.pki),
        data: pick(|p| &p.data).unwrap_or(defaults.data),
        wal: pick(|p| &p.wal),
        bin: pick(|p| &p.bin).unwrap_or(defaults.bin),
        run: defaults.run,
        lock: defaults.lock,
    }
}

fn systemd(service: &ServiceName) -> Paths {
    let etc = fixed("/etc").join(service.as_str());
    Paths {
        config: etc.join("etcd-config.yml"),
        pki: etc.join("pki"),
        data: fixed("/var/lib").join(service.as_str()),
        wal: None,
        bin: fixed("/opt/quorate/etcd"),
        run: fixed("/run").join(&format!("quorate-{service}")),
        lock: fixed("/run/quorate").join(&format!("{service}.lock")),
    }
}

/// Everything in one directory that needs no root. Over SSH the operator's own state directory means nothing.
fn process(site: &Site<'_>, host_at: Place, problems: &mut Vec<Problem>) -> Paths {
    let remote = fixed("/var/lib");
    let state = if site.is_local {
        let text = site.state_dir.to_string_lossy();
        text.parse::<HostPath>().unwrap_or_else(|error| {
            let message = format!("your state directory cannot hold a member: {error}");
            let help = "set XDG_STATE_HOME to a plain absolute path";
            problems.push(Problem::error(host_at, message, help));
            remote
        })
    } else {
        remote
    };
    let quorate = state.join("quorate");
    let base = quorate.join(site.cluster).join(site.name.as_str());
    let run = base.join("run");
    Paths {
        config: base.join("etcd-config.yml"),
        pki: base.join("pki"),
        data: base.join("data"),
        wal: None,
        bin: quorate.join("bin"),
        lock: run.join("lock"),
        run,
    }
}

fn fixed(path: &'static str) -> HostPath {
    path.parse().expect("a literal path of this file")
}
