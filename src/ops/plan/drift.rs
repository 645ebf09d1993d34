//! How one host differs from what the inventory wants of it.

use crate::host::service::{launch_path, launch_text};
use crate::host::{HostFacts, ServiceState};
use crate::inventory::{DesiredHost, HostPath, ServiceManager};
use crate::ops::check::{Verdict, runs_current};
use crate::ops::plan::moves::former_addresses;
use crate::ops::plan::{FileChange, HostChange, ReleaseChange, Situation};
use crate::ops::safety::place::account_of;
use crate::ops::safety::trust::{HostTrust, cannot_issue, keeps_its_certificates, not_ours, rotation_under_way};
use crate::ops::safety::{Blocked, Rule};
use crate::pki::{AuditContext, Certificate, LeafSpec, audit, peer_spec, server_spec};
use crate::render::{
    CRL, InitialCluster, RenderedFile, etcdctl_path, render_host, same_but_initial, unified_diff, unit_path,
};

/// How a host differs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drift {
    /// What has to be installed and takes effect at once, or is not looked at before the next start.
    pub now: HostChange,
    /// What has to be installed together with a restart.
    pub at_restart: HostChange,
    /// Why the running process does not match what should run; empty when it does.
    pub restart: Vec<String>,
    /// Why certificates are due, in sentences.
    pub certificates: Vec<String>,
}

impl Drift {
    /// Everything at once, for a member that does not run.
    pub fn whole(&self) -> HostChange {
        let mut all = self.now.clone();
        all.files.extend(self.at_restart.files.iter().cloned());
        all
    }
}

/// Compares a host with the inventory. `initial` is what the config would say to a member's first start.
///
/// # Errors
/// When the desired state cannot be rendered, or the host trusts another CA than the operator has.
pub fn drift(
    situation: Situation<'_>,
    host: &DesiredHost,
    facts: &HostFacts,
    initial: &InitialCluster,
) -> Result<Drift, Blocked> {
    let mut drift = Drift {
        now: HostChange {
            release: release(situation, facts),
            ..HostChange::default()
        },
        ..Drift::default()
    };
    let running = matches!(facts.service.state, ServiceState::Running | ServiceState::Starting);
    drift.now.enable = host.service_manager == ServiceManager::Systemd && !facts.service.enabled;
    for file in files(situation, host, facts, initial)? {
        drift.restart.push(format!(
            "{} {}",
            file.path,
            if facts.files.contains_key(&file.path) {
                "changes"
            } else {
                "is missing"
            }
        ));
        drift.at_restart.files.push(file);
    }
    // The environment for etcdctl is read by people only.
    let (quiet, loud): (Vec<_>, Vec<_>) = drift
        .at_restart
        .files
        .drain(..)
        .partition(|f| !read_by_etcd(host, &f.path));
    drift
        .restart
        .retain(|why| !quiet.iter().any(|f| why.starts_with(&format!("{} ", f.path))));
    drift.now.files = quiet;
    drift.at_restart.files = loud;

    drift.certificates = certificates(situation, host, facts)?;
    drift.now.certificates = !drift.certificates.is_empty();
    if drift.now.certificates {
        drift.now.also_named = former_addresses(host, facts);
    }
    drift.now.crl = crl_is_due(situation, host, facts);
    // A directory brings those below it.
    let below = |path: &HostPath| facts.loose.iter().any(|outer| outer != path && path.is_within(outer));
    drift.now.ownership = facts.loose.iter().filter(|path| !below(path)).cloned().collect();
    if running && drift.restart.is_empty() {
        if let Verdict::Fails(why) = runs_current(facts, Some(situation.desired.version)) {
            drift.restart.push(why);
        }
    } else if running
        && facts
            .service
            .running_version
            .is_some_and(|v| v != situation.desired.version)
    {
        drift.restart.insert(
            0,
            format!(
                "etcd {} to {}",
                facts.service.running_version.map_or(String::new(), |v| v.to_string()),
                situation.desired.version
            ),
        );
    }
    Ok(drift)
}

/// What etcd or its manager reads at a start.
fn read_by_etcd(host: &DesiredHost, path: &HostPath) -> bool {
    *path == host.paths.config || *path == manager_file(host)
}

/// The unit file; for quorate's own supervising loop the file that tells it what to run.
pub(super) fn manager_file(host: &DesiredHost) -> HostPath {
    match host.service_manager {
        ServiceManager::Systemd => unit_path(&host.service),
        ServiceManager::Process => launch_path(&host.paths),
    }
}

/// Every file without secrets that quorate keeps on a host.
pub fn managed_files(host: &DesiredHost) -> Vec<HostPath> {
    [
        Some(host.paths.config.clone()),
        etcdctl_path(host).ok(),
        Some(manager_file(host)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What should be in them.
fn wanted(
    situation: Situation<'_>,
    host: &DesiredHost,
    initial: &InitialCluster,
) -> Result<Vec<RenderedFile>, Blocked> {
    let mut files = render_host(situation.desired, host, initial)
        .map_err(|error| Blocked::new(Rule::Inventory, error.to_string(), error.hint()).on(&host.name))?;
    if host.service_manager == ServiceManager::Process {
        let text = launch_text(host, situation.desired.version);
        files.push(RenderedFile::new(manager_file(host), host, text));
    }
    Ok(files)
}

fn release(situation: Situation<'_>, facts: &HostFacts) -> Option<ReleaseChange> {
    let version = situation.desired.version;
    let arch = facts.system.arch?;
    let wanted = situation.supplies.releases.get(&version)?.get(&arch)?;
    let have = facts.releases.get(&version);
    let sha256 = wanted
        .iter()
        .filter(|(name, sha)| have.and_then(|h| h.get(*name)) != Some(*sha))
        .map(|(name, sha)| (name.clone(), sha.clone()))
        .collect::<std::collections::BTreeMap<_, _>>();
    (!sha256.is_empty()).then_some(ReleaseChange { version, arch, sha256 })
}

fn files(
    situation: Situation<'_>,
    host: &DesiredHost,
    facts: &HostFacts,
    initial: &InitialCluster,
) -> Result<Vec<FileChange>, Blocked> {
    let rendered = wanted(situation, host, initial)?;
    let started = facts.data.state == crate::host::DataState::Bootstrapped;
    let mut changes = Vec::new();
    for file in rendered {
        let seen = facts.files.get(&file.path);
        let content = seen.and_then(|f| f.content.as_deref());
        // etcd reads initial-* only before its first start: for a member with data a difference there is none.
        let same_text = match content {
            Some(text) if started && file.path == host.paths.config => same_but_initial(text, &file.text),
            Some(text) => text == file.text,
            None => false,
        };
        if same_text && seen.is_some_and(|f| f.mode == file.mode && f.owner == file.owner) {
            continue;
        }
        changes.push(FileChange {
            diff: unified_diff(content, &file),
            path: file.path,
            mode: file.mode,
            owner: file.owner,
            sha256: file.sha256,
            text: file.text,
        });
    }
    Ok(changes)
}

/// Whether the member of another host has all of these CAs in its ca.crt.
fn another_trusts(situation: Situation<'_>, host: &DesiredHost, cas: &[Certificate]) -> bool {
    let mut others = super::bootstrap::known_hosts(situation)
        .filter(|(other, facts)| other.name != host.name && facts.data.state == crate::host::DataState::Bootstrapped);
    others.any(|(other, facts)| {
        let trusted = HostTrust::of(&other.paths.pki, facts).trusted;
        cas.iter().all(|ca| trusted.contains(&ca.facts().sha256))
    })
}

/// Why the host needs new certificates, in sentences; empty when it does not.
pub(super) fn certificates(
    situation: Situation<'_>,
    host: &DesiredHost,
    facts: &HostFacts,
) -> Result<Vec<String>, Blocked> {
    let Some(ca_pem) = &situation.supplies.ca_pem else {
        return Ok(vec!["there is no CA yet".into()]);
    };
    let trusted = Certificate::bundle_from_pem(ca_pem)
        .map_err(|error| Blocked::new(Rule::Certificates, format!("ca.crt: {error}"), error.hint()))?;
    let mut due = Vec::new();
    let ca_path = host.paths.pki.join("ca.crt");
    match facts.files.get(&ca_path).and_then(|f| f.content.as_deref()) {
        None => due.push(format!("{ca_path} is missing")),
        Some(text) => {
            let there = Certificate::bundle_from_pem(text).unwrap_or_default();
            let knows_ours = trusted.iter().all(|ca| there.iter().any(|c| c.der() == ca.der()));
            let knows_more = there.iter().any(|ca| trusted.iter().all(|c| c.der() != ca.der()));
            if knows_ours && knows_more && facts.data.state == crate::host::DataState::Bootstrapped {
                return Err(rotation_under_way().on(&host.name));
            }
            if !knows_ours && facts.data.state == crate::host::DataState::Bootstrapped {
                return Err(Blocked::new(
                    Rule::Certificates,
                    format!("{ca_path} does not trust the CA in the inventory's pki directory"),
                    not_ours(another_trusts(situation, host, &trusted)),
                )
                .on(&host.name));
            }
            if !knows_ours {
                due.push(format!("{ca_path} contains a different CA"));
            }
        }
    }
    if situation.supplies.keyless && facts.data.state == crate::host::DataState::Bootstrapped {
        let ca = trusted.first().filter(|_| due.is_empty());
        let kept = ca.map(|ca| keeps_its_certificates(&host.paths.pki, facts, ca, situation.observed.at));
        return match kept.unwrap_or_else(|| Err(cannot_issue(due.join("; ")))) {
            Ok(()) => Ok(due),
            Err(refusal) => Err(refusal.on(&host.name)),
        };
    }
    if situation.supplies.keyless {
        return Err(cannot_issue("it needs certificates".into()).on(&host.name));
    }
    if let Some(account) = account_of(host, facts).filter(|account| *account != host.user.as_str()) {
        due.push(format!(
            "the keys can be read by the account {account}, not by {}",
            host.user
        ));
    }
    due.extend(
        tampered(host, facts)
            .iter()
            .map(|path| format!("{path} differs from what quorate installed")),
    );
    // Until a member has moved its certificates name where it is as well.
    let mut named = host.clone();
    named.sans.extend(former_addresses(host, facts));
    for (name, spec) in [
        ("server", server_spec(situation.desired, &named)),
        ("peer", peer_spec(situation.desired, &named)),
    ] {
        due.extend(leaf(situation, host, facts, name, &spec, &trusted));
    }
    Ok(due)
}

/// Whether the host lacks the newest revocation list, where it is to have one.
fn crl_is_due(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> bool {
    let there = facts.files.get(&host.paths.pki.join(CRL)).map(|file| &file.sha256);
    situation.desired.pki.crl && (there.is_none() || there != situation.supplies.crl.as_ref())
}

/// quorate's own list of what it put into the directory: `SHA256  NAME` lines.
pub fn pki_manifest(host: &DesiredHost) -> HostPath {
    host.paths.pki.join("current").join("MANIFEST")
}

/// Files that are no longer what was put there; a key that does not fit its certificate shows only here.
pub(super) fn tampered(host: &DesiredHost, facts: &HostFacts) -> Vec<HostPath> {
    let listed = facts
        .files
        .get(&pki_manifest(host))
        .and_then(|f| f.content.as_deref())
        .unwrap_or_default();
    let lines = listed.lines().filter_map(|line| line.split_once("  "));
    lines
        .map(|(sha, name)| (sha, host.paths.pki.join(name)))
        .filter(|(sha, path)| facts.files.get(path).is_some_and(|f| f.sha256 != *sha))
        .map(|(_, path)| path)
        .collect()
}

fn leaf(
    situation: Situation<'_>,
    host: &DesiredHost,
    facts: &HostFacts,
    name: &str,
    spec: &LeafSpec,
    trusted: &[Certificate],
) -> Vec<String> {
    let path = host.paths.pki.join(&format!("{name}.crt"));
    let key = host.paths.pki.join(&format!("{name}.key"));
    let Some(key_facts) = facts.files.get(&key) else {
        return vec![format!("{key} is missing")];
    };
    let Some(text) = facts.files.get(&path).and_then(|f| f.content.as_deref()) else {
        return vec![format!("{path} is missing")];
    };
    let Ok(cert) = Certificate::from_pem(text) else {
        return vec![format!("{path} is not a certificate")];
    };
    let Some(current) = trusted.first() else {
        return vec!["there is no CA".into()];
    };
    let context = AuditContext {
        current_ca: current.facts(),
        signed_by_current_ca: cert.is_issued_by(current),
        now: situation.observed.at,
        renew_before: situation.desired.pki.renew_before,
    };
    let mut due: Vec<String> = audit(spec, cert.facts(), &context)
        .iter()
        .filter(|f| f.is_due())
        .map(|f| format!("{name} certificate: {f}"))
        .collect();
    // Root's may be read by the group of etcd's account.
    let others = if key_facts.owner == "root" { 0o037 } else { 0o077 };
    if key_facts.mode & others != 0 {
        due.push(format!("{key} can be read by others (mode {:o})", key_facts.mode));
    }
    due
}
