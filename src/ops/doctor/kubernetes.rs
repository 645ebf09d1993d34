//! What a Kubernetes release asks of its etcd: every member is asked, since the list that API servers are given is static and
//! one that does not fit spoils it for all.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{Examined, Finding, Kind, members};
use crate::inventory::{AuthMode, DesiredHost, NodeName, Version};
use crate::ops::model::{Fact, why_and_help};
use crate::ops::safety::upkeep::{nearly_full, quota, quota_of};
use crate::ops::sight::MEND;
use crate::report::human_bytes;

/// A minor release of Kubernetes: 1.36.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32);

impl Release {
    /// The newest that [`floor`] knows.
    pub const NEWEST: Release = Release(37);
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl FromStr for Release {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<&str> = text.trim_start_matches('v').split('.').collect();
        match numbers.as_slice() {
            ["1", minor] | ["1", minor, _] => minor.parse().map(Release).ok(),
            _ => None,
        }
        .ok_or_else(|| {
            format!(
                "`{}` is not a Kubernetes release: write it like 1.36",
                text.escape_debug()
            )
        })
    }
}

/// The oldest etcd that kubeadm of this release takes (`MinExternalEtcdVersion`, cmd/kubeadm/app/constants/constants.go, read
/// in 1.32.10, 1.33.6, 1.34.3, 1.35.1, 1.36.3 and 1.37.0; earlier patch releases of 1.32 to 1.34 take 3.5.11, as 1.31 does).
fn floor(release: Release) -> Version {
    match release.0 {
        ..=31 => Version::new(3, 5, 11),
        _ => Version::new(3, 5, 24),
    }
}

/// Whether API servers may read from their watch caches: asked of every endpoint, and one that is older switches it off for all
/// (k8s.io/apiserver, pkg/storage/feature/feature_support_checker.go).
fn reads_from_cache(version: Version) -> bool {
    let since = match version.series() {
        (3, 4) => Version::new(3, 4, 31),
        _ => Version::new(3, 5, 13),
    };
    version >= since
}

/// The largest object that an API server writes: etcd's own default of `max-request-bytes`, 1.5 MiB.
const LARGEST_REQUEST: u64 = 1_572_864;

/// Above this, Kubernetes' documentation says, a cluster should get more than etcd's default.
const DEFAULT_QUOTA: u64 = 2 << 30;

/// The user that API servers are by the certificates of `quorate kube files`.
const USER: &str = "kube-apiserver-etcd-client";

/// What keeps API servers of `release` from using this cluster, or makes them slower. `answers`: how each member took a read
/// with the client's certificate; members are missing where it was not tried.
pub fn findings(
    examined: &Examined<'_>,
    release: Release,
    answers: &BTreeMap<NodeName, Result<(), String>>,
) -> Vec<Finding> {
    let mut findings = members::well(examined);
    for host in examined.hosts() {
        findings.extend(in_the_dark(examined, host));
        findings.extend(version(examined, host).into_iter().flat_map(|v| runs(host, v, release)));
        findings.extend(dialled(host));
        findings.extend(refused(host, answers));
        findings.extend(room(examined, host));
    }
    findings.extend(options(examined));
    findings.extend(authentication(examined));
    if release > Release::NEWEST {
        let says = format!(
            "Kubernetes {release} is newer than this quorate knows: checked as {}",
            Release::NEWEST
        );
        findings.push(Finding::advice(
            Kind::KubernetesTooNew,
            says,
            "check its release notes for the etcd it requires",
        ));
    }
    let sight = examined.sight();
    for finding in &mut findings {
        finding.help = sight.hint(&finding.help, finding.last.take().as_ref());
    }
    super::sorted(findings)
}

fn in_the_dark(examined: &Examined<'_>, host: &DesiredHost) -> Option<Finding> {
    match examined.seen.hosts.get(&host.name)? {
        Fact::Unknown(why) => {
            let (why, help) = why_and_help(why);
            Some(Finding::unknown(Kind::HostUnknown, why, help.unwrap_or(MEND)).on(&host.name))
        }
        Fact::Known(_) | Fact::Absent => None,
    }
}

fn version(examined: &Examined<'_>, host: &DesiredHost) -> Option<Version> {
    let membership = examined.membership()?;
    Some(membership.status_of(membership.of(host)?.id)?.version)
}

fn runs(host: &DesiredHost, version: Version, release: Release) -> Vec<Finding> {
    let mut findings = Vec::new();
    let floor = floor(release);
    if version < floor {
        let says = format!("it runs etcd {version}, and kubeadm {release} requires {floor} or later");
        let help = "upgrade it with `quorate upgrade`";
        findings.push(Finding::problem(Kind::KubernetesTooOld, says, help).on(&host.name));
    }
    if !reads_from_cache(version) {
        let says = format!(
            "with etcd {version} among their endpoints, API servers do not read from their caches (3.4.31, 3.5.13 or later required)"
        );
        let help = "upgrade it with `quorate upgrade`";
        findings.push(Finding::advice(Kind::NoReadsFromCache, says, help).on(&host.name));
    }
    if release.0 >= 37 && version.series() < (3, 7) {
        let says = format!(
            "etcd {version} cannot stream long lists, which API servers use from 1.37 on; they continue without"
        );
        findings.push(
            Finding::advice(
                Kind::NoStreamedLists,
                says,
                "etcd 3.7 can, and nothing fails until then",
            )
            .on(&host.name),
        );
    }
    findings
}

fn dialled(host: &DesiredHost) -> Option<Finding> {
    host.address.is_loopback().then(|| {
        let says = format!("its address is {}, which no other machine reaches", host.address);
        let help = "create the cluster on hosts with addresses that the API servers reach";
        Finding::problem(Kind::KubernetesLoopback, says, help).on(&host.name)
    })
}

fn refused(host: &DesiredHost, answers: &BTreeMap<NodeName, Result<(), String>>) -> Option<Finding> {
    let why = answers.get(&host.name)?.as_ref().err()?;
    let help = "create one with `quorate kube files`; `quorate pki show` shows those of an old CA";
    Some(
        Finding::problem(
            Kind::KubernetesCertificate,
            format!("the client certificate is rejected: {why}"),
            help,
        )
        .on(&host.name),
    )
}

fn room(examined: &Examined<'_>, host: &DesiredHost) -> Option<Finding> {
    let membership = examined.membership()?;
    let status = membership.status_of(membership.of(host)?.id)?;
    let quota = quota_of(status, quota(examined.desired))?;
    nearly_full(status, quota).then(|| {
        let says = format!(
            "its database uses {} of its quota of {}: at the quota every write fails",
            human_bytes(status.db_size),
            human_bytes(quota)
        );
        Finding::problem(
            Kind::NearlyFull,
            says,
            "run `quorate defrag`, or set a larger `quota-backend-bytes`",
        )
        .on(&host.name)
    })
}

fn options(examined: &Examined<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if quota(examined.desired) == Some(DEFAULT_QUOTA) {
        let says = format!(
            "the quota is {}, etcd's default, which large Kubernetes clusters fill",
            human_bytes(DEFAULT_QUOTA)
        );
        findings.push(Finding::advice(
            Kind::QuotaSmall,
            says,
            "set `quota-backend-bytes` in `etcd.config` (8 GiB at most)",
        ));
    }
    let largest = examined
        .desired
        .options
        .get("max-request-bytes")
        .and_then(serde_json::Value::as_u64);
    if let Some(largest) = largest.filter(|largest| *largest < LARGEST_REQUEST) {
        let says = format!(
            "`max-request-bytes` is {}, but Kubernetes objects can be up to {}",
            human_bytes(largest),
            human_bytes(LARGEST_REQUEST)
        );
        findings.push(Finding::problem(
            Kind::RequestsTooSmall,
            says,
            "remove it from `etcd.config`",
        ));
    }
    findings
}

/// Kubernetes' documentation does not support it, and an API server without the right user gets nowhere.
fn authentication(examined: &Examined<'_>) -> Option<Finding> {
    let auth = &examined.desired.auth;
    if auth.mode != AuthMode::On {
        return None;
    }
    Some(match auth.users.contains_key(USER) {
        true => Finding::advice(
            Kind::KubernetesAuthentication,
            format!(
                "etcd's authentication is on, which Kubernetes does not support: `{USER}` must own its prefix and `compact_rev_key`"
            ),
            "check its roles in the inventory, or set `etcd.auth: false`",
        ),
        false => Finding::problem(
            Kind::KubernetesAuthentication,
            format!("etcd's authentication is on, and API servers (`{USER}`) are not among its users"),
            "add it to `users` with a role that may read and write `/registry/` and `compact_rev_key`, or set `etcd.auth: false`",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_in_every_spelling() {
        for text in ["1.36", "v1.36", "1.36.3", "v1.36.0"] {
            assert_eq!(text.parse::<Release>().unwrap().to_string(), "1.36");
        }
        for text in ["36", "2.1", "1.x", "", "1.2.3.4", "1"] {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_release_has_its_floor() {
        let host = crate::inventory::samples::host("a", "10.0.0.1");
        let says = |version, release: u32| -> Vec<String> {
            runs(&host, version, Release(release))
                .into_iter()
                .map(|f| f.says)
                .collect()
        };
        assert!(says(Version::new(3, 5, 16), 31).is_empty());
        assert!(says(Version::new(3, 5, 16), 36)[0].contains("requires 3.5.24 or later"));
        assert_eq!(says(Version::new(3, 5, 12), 31).len(), 1, "no reads from the cache");
        assert_eq!(says(Version::new(3, 4, 23), 36).len(), 2);
        assert_eq!(says(Version::new(3, 4, 31), 31).len(), 1, "too old all the same");
        assert!(says(Version::new(3, 6, 16), 36).is_empty());
        assert_eq!(says(Version::new(3, 6, 16), 37).len(), 1);
        assert!(says(Version::new(3, 7, 3), 37).is_empty());
    }
}
