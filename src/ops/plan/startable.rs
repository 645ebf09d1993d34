//! Whether a member that is stopped now would come up again with what its host has.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Situation;
use super::drift::tampered;
use crate::host::service::{launch_path, launched};
use crate::host::{DataState, HostFacts};
use crate::inventory::{DesiredHost, HostPath, ServiceManager, Version};
use crate::ops::safety::leaves::{HostLeaves, may_come_back};
use crate::ops::safety::{Blocked, Rule};
use crate::pki::{Certificate, HOST_FILES};
use crate::render::{release_of, unit_path, written_for};

/// What is missing on the host without which etcd does not start; `None` when nothing is.
pub(super) fn lacks(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Option<String> {
    let pki = HOST_FILES.iter().map(|file| host.paths.pki.join(file));
    let certificate = pki.into_iter().find(|path| !facts.files.contains_key(path));
    // A key that does not fit its certificate shows only as a file that is not the one that was put there.
    certificate
        .or_else(|| launcher_gone(host, facts))
        .map(|path| path.to_string())
        .or_else(|| tampered(host, facts).into_iter().next().map(|path| path.to_string()))
        .or_else(|| release(situation, host, facts))
}

/// What a start begins with, whatever the certificates: the config and the unit; the first of them that is missing.
pub(super) fn launcher_gone(host: &DesiredHost, facts: &HostFacts) -> Option<HostPath> {
    let unit = (host.service_manager == ServiceManager::Systemd).then(|| unit_path(&host.service));
    let needed = [Some(host.paths.config.clone()), unit];
    needed
        .into_iter()
        .flatten()
        .find(|path| !facts.files.contains_key(path))
}

/// The refusal to stop a running member whose peers would not let it back in: streams that are open live on with a
/// certificate that has expired or does not fit, the next handshake fails (docs/etcd.md, "Certificates and streams").
pub(super) fn shut_out(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Option<Blocked> {
    let leaves = HostLeaves::of(situation.desired, host, facts, situation.observed.at);
    let refusal = may_come_back(&leaves, &host.address.to_string()).err()?;
    Some(refusal.on(&host.name))
}

/// The release that the unit on a host starts.
pub(super) fn unit_release(host: &DesiredHost, facts: &HostFacts) -> Option<Version> {
    let unit = facts.files.get(&unit_path(&host.service))?.content.as_deref()?;
    release_of(unit, &host.paths.bin)
}

/// The release that last worked on the data of a host, as far as that is known: the one that runs; of a member that is
/// down the one that its unit starts; where that is gone, too, the one that its configuration was written for. A
/// release that is merely installed there says nothing: it may be left from another time, or belong to another cluster.
///
/// Unit and configuration are exchanged just before a start, so they are never older than the data, and where a start
/// was cut short a release newer at most. `None` where there is no data, and where nothing tells.
pub(super) fn last_writer(host: &DesiredHost, facts: &HostFacts) -> Option<Version> {
    if matches!(facts.data.state, DataState::Empty | DataState::Aborted) {
        return None;
    }
    let text = |path: &HostPath| facts.files.get(path)?.content.as_deref();
    let runs = facts.service.running_version;
    runs.or_else(|| launched_release(host, facts))
        .or_else(|| written_for(text(&host.paths.config)?))
}

/// The release that the service manager starts on a host, whichever that is.
fn launched_release(host: &DesiredHost, facts: &HostFacts) -> Option<Version> {
    match host.service_manager {
        ServiceManager::Systemd => unit_release(host, facts),
        ServiceManager::Process => {
            let launch = facts.files.get(&launch_path(&host.paths))?.content.as_deref()?;
            launched(launch, &host.paths.bin)
        }
    }
}

/// The release that a start would run, when that is not there as it should be.
fn release(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Option<String> {
    let named = unit_release(host, facts).or(facts.service.running_version);
    let version = named.unwrap_or(situation.desired.version);
    let there = facts.releases.get(&version);
    let known = facts
        .system
        .arch
        .and_then(|arch| situation.supplies.releases.get(&version)?.get(&arch));
    let nothing = BTreeMap::new();
    let differs = known
        .unwrap_or(&nothing)
        .iter()
        .any(|(name, sha)| there.and_then(|t| t.get(name)) != Some(sha));
    (there.is_none() || differs).then(|| format!("etcd {version}"))
}

/// When the certificates of a host have ended, if they have. What is connected stays connected; a member that starts
/// with them can talk to nobody.
pub(super) fn ended(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Option<Timestamp> {
    let end = |name: &str| {
        let file = facts.files.get(&host.paths.pki.join(name))?;
        let leaf = Certificate::from_pem(file.content.as_deref()?).ok()?;
        let end = leaf.facts().not_after;
        (situation.observed.at >= end).then_some(end)
    };
    end("server.crt").or_else(|| end("peer.crt"))
}

/// The refusal to start a member with certificates that have ended.
pub(super) fn certificates_ended(host: &DesiredHost, end: Timestamp) -> Blocked {
    let hint = "renew them with `quorate pki renew`: it works over SSH alone";
    Blocked::new(Rule::Certificates, format!("its certificates expired at {end}"), hint).on(&host.name)
}

/// The refusal to stop a member that would not come up again.
pub(super) fn would_stay_down(host: &DesiredHost, what: &str) -> Blocked {
    Blocked::new(
        Rule::Host,
        format!("{what} is missing or damaged there: once stopped, it would not start again"),
        "`quorate up` restores it",
    )
    .on(&host.name)
}
