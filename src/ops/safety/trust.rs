//! Which CA members trust, and whose certificates they show: the rules of a CA rotation.
//!
//! etcd reads `ca.crt` once, when it starts, and its certificates at every handshake (docs/etcd.md, "Certificates and
//! streams"). So a new CA may sign only once every *running* member trusts it, and the old one may be dropped only once
//! no certificate anywhere is from it. In between everybody can talk to everybody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::host::HostFacts;
use crate::inventory::{HostPath, NodeName};
use crate::ops::check::Verdict;
use crate::ops::safety::{Blocked, Rule};
use crate::pki::{Certificate, IssuedRecord};

/// What one host trusts and shows, read off its files. CAs go by the SHA-256 of their certificate: the old and the new
/// one have the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTrust {
    /// The CAs of its `ca.crt`; empty when there is none that can be read.
    pub trusted: BTreeSet<String>,
    /// Whether the running process was started with this `ca.crt`; also true while none runs, for the next will be.
    pub loaded: bool,
    /// For `server` and `peer`: which CA of its `ca.crt` signed the certificate. `None` when none of them did, or there
    /// is no certificate.
    pub signed_by: BTreeMap<&'static str, Option<String>>,
}

impl HostTrust {
    /// Reads the files below `pki`, the host's `paths.pki`.
    pub fn of(pki: &HostPath, facts: &HostFacts) -> HostTrust {
        let text = |name: &str| {
            facts
                .files
                .get(&pki.join(name))
                .and_then(|file| file.content.as_deref())
        };
        let cas = text("ca.crt")
            .and_then(|pem| Certificate::bundle_from_pem(pem).ok())
            .unwrap_or_default();
        let signer = |name: &str| {
            let leaf = Certificate::from_pem(text(name)?).ok()?;
            let ca = cas.iter().find(|ca| leaf.is_issued_by(ca))?;
            Some(ca.facts().sha256.clone())
        };
        let ca_path = pki.join("ca.crt");
        let on_disk = facts.files.get(&ca_path).map(|file| &file.sha256);
        HostTrust {
            loaded: facts.service.pid.is_none() || facts.service.started_with.get(&ca_path) == on_disk,
            signed_by: [("server", signer("server.crt")), ("peer", signer("peer.crt"))].into(),
            trusted: cas.iter().map(|ca| ca.facts().sha256.clone()).collect(),
        }
    }

    /// Whether the member accepts certificates of this CA now.
    pub fn accepts(&self, ca: &str) -> bool {
        self.loaded && self.trusted.contains(ca)
    }

    /// Whether both certificates are from this CA.
    pub fn shows(&self, ca: &str) -> bool {
        self.signed_by.values().all(|signer| signer.as_deref() == Some(ca))
    }
}

/// Whether a member trusts exactly `cas`, and knows it.
pub fn trusts(host: &HostTrust, cas: &BTreeSet<String>) -> Verdict {
    if host.trusted != *cas {
        return Verdict::Fails("its ca.crt contains other CAs".into());
    }
    if !host.loaded {
        return Verdict::Fails("it was started before its ca.crt changed".into());
    }
    Verdict::Holds
}

/// Whether a member accepts certificates of `ca` now.
pub fn accepts(host: &HostTrust, ca: &str) -> Verdict {
    match host.accepts(ca) {
        true => Verdict::Holds,
        false => Verdict::Fails("it does not trust the new CA yet".into()),
    }
}

/// Whether both certificates of a member were signed by `ca`. While one of them was not, the CA before it is not dropped: the step
/// that drops it requires this of every member, and is looked at right before it.
pub fn leaves_from(host: &HostTrust, ca: &str) -> Verdict {
    let other = host.signed_by.iter().find(|(_, signer)| signer.as_deref() != Some(ca));
    match other {
        None => Verdict::Holds,
        Some((name, _)) => Verdict::Fails(format!("its {name} certificate is not from the new CA")),
    }
}

/// What to do about a host whose ca.crt lacks the CA of the inventory. `others` have it: then that host is the one that is
/// wrong, and else the inventory.
pub fn not_ours(others: bool) -> &'static str {
    match others {
        true => "other members trust it: put the inventory's ca.crt in the place of the host's, then `quorate up`",
        false => {
            "put ca.crt and ca.key.age of the members' CA back into the inventory's pki directory, from version control; if the host's is the \
             wrong one, put the inventory's ca.crt in the place of the host's, then `quorate pki renew`. To change a CA, use `quorate pki rotate-ca`"
        }
    }
}

/// May members get certificates that this CA signed? Only when every one of them accepts it already.
///
/// # Errors
/// Every member that does not.
pub fn may_sign_with(ca: &str, members: &BTreeMap<NodeName, HostTrust>) -> Result<(), Vec<Blocked>> {
    let in_sight = || members.values().any(|trust| trust.trusted.contains(ca));
    let refusal = |(node, trust): (&NodeName, &HostTrust)| {
        let (why, way) = match trust.trusted.contains(ca) {
            true => (
                "it was started before its ca.crt had the CA that signs now",
                format!(
                    "continue the change of the CA if one is in progress (`quorate pki rotate-ca`); otherwise `quorate restart --limit {node}`"
                ),
            ),
            false => (
                "it does not trust the CA that signs now",
                not_ours(in_sight()).to_owned(),
            ),
        };
        Blocked::new(Rule::Certificates, why, way).on(node)
    };
    let strangers = members.iter().filter(|(_, trust)| !trust.accepts(ca));
    let refused: Vec<_> = strangers.map(refusal).collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(refused),
    }
}

/// May members show certificates of the CA `new`? Clients cannot be inspected: each that is known must have been
/// given one of `new` first, which comes with a `ca.crt` that trusts both. Those that something else issued certificates to
/// (`strangers`) are not known at all: only the operator can say that they are ready.
///
/// # Errors
/// One refusal that names them.
pub fn clients_are_ready(new: &str, clients: &[IssuedRecord], strangers: bool) -> Result<(), Blocked> {
    let waiting = waiting(new, clients);
    if waiting.is_empty() && strangers {
        return Err(Blocked::new(
            Rule::Certificates,
            "clients from before `quorate adopt` trust the old CA alone, and quorate does not know them",
            "every member trusts both CAs now: give each client ca.crt from the pki directory and a certificate of the new CA \
             (`quorate pki issue NAME --out DIR`), restart it where it reads them only once, then run \
             `quorate pki rotate-ca --clients-ready`",
        ));
    }
    if waiting.is_empty() {
        return Ok(());
    }
    Err(Blocked::new(
        Rule::Certificates,
        format!(
            "these clients have certificates from the old CA and do not trust the new one: {}",
            waiting.join(", ")
        ),
        "give each a new one with `quorate pki issue NAME --out DIR` (its ca.crt trusts both CAs), or with `quorate pki viewer \
         NAME --recipient KEY` to an operator who only looks, and run this again; to lock out the rest, pass --accept-outage",
    ))
}

/// The names of the clients whose certificate is not from `new`.
pub fn waiting(new: &str, clients: &[IssuedRecord]) -> Vec<String> {
    let old = clients.iter().filter(|client| client.issuer != new);
    old.map(|client| client.name.clone()).collect()
}

/// May a member keep the certificates that it has? Asked where none can be issued, because the CA's key is not here: both must
/// be there with their keys, from that CA, and valid.
///
/// # Errors
/// What is wrong with the first of them.
pub fn keeps_its_certificates(
    pki: &HostPath,
    facts: &HostFacts,
    ca: &Certificate,
    now: Timestamp,
) -> Result<(), Blocked> {
    let one = |name: &str| -> Result<(), String> {
        let (path, key) = (pki.join(&format!("{name}.crt")), pki.join(&format!("{name}.key")));
        if !facts.files.contains_key(&key) {
            return Err(format!("{key} is missing"));
        }
        let text = facts.files.get(&path).and_then(|file| file.content.as_deref());
        let leaf = Certificate::from_pem(text.ok_or(format!("{path} is missing"))?);
        let leaf = leaf.map_err(|error| format!("{path}: {error}"))?;
        if !leaf.is_issued_by(ca) {
            return Err(format!("{path} is not from the CA in ca.crt"));
        }
        match now < leaf.facts().not_after {
            true => Ok(()),
            false => Err(format!("{path} expired at {}", leaf.facts().not_after)),
        }
    };
    ["server", "peer"].into_iter().try_for_each(one).map_err(cannot_issue)
}

/// The refusal of what needs a certificate that nobody here can issue.
pub fn cannot_issue(why: String) -> Blocked {
    Blocked::new(
        Rule::Certificates,
        format!("{why}, and no certificate can be issued: the cluster was taken over without the key of its CA"),
        "replace that CA first: `quorate up` with the hosts that it has, then `quorate pki rotate-ca`",
    )
}

/// Does a member run with the files that quorate installs? What something else started knows nothing of quorate's `ca.crt`.
///
/// # Errors
/// When it has not had its turn since the cluster was taken over.
pub fn runs_with_our_files(facts: &HostFacts) -> Result<(), Blocked> {
    match facts.service.pid.is_some() && facts.service.running_version.is_none() {
        false => Ok(()),
        true => Err(Blocked::new(
            Rule::Certificates,
            "it still runs as before `quorate adopt`, with the CA file of then",
            "`quorate up` first: it restarts every member with its new files",
        )),
    }
}

/// The refusal of everything that would meddle with a rotation that is under way.
pub fn rotation_under_way() -> Blocked {
    Blocked::new(
        Rule::Certificates,
        "a CA rotation is in progress",
        "continue with `quorate pki rotate-ca`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(trusted: &[&str], loaded: bool, server: &str, peer: &str) -> HostTrust {
        HostTrust {
            trusted: trusted.iter().map(ToString::to_string).collect(),
            loaded,
            signed_by: [("server", Some(server.to_owned())), ("peer", Some(peer.to_owned()))].into(),
        }
    }

    fn members(all: &[HostTrust]) -> BTreeMap<NodeName, HostTrust> {
        let name = |n: usize| format!("etcd-{n}").parse().unwrap();
        all.iter()
            .enumerate()
            .map(|(n, trust)| (name(n + 1), trust.clone()))
            .collect()
    }

    #[test]
    fn a_new_ca_signs_only_when_every_running_member_was_started_with_it() {
        let both = member(&["old", "new"], true, "old", "old");
        assert_eq!(may_sign_with("new", &members(&[both.clone(), both.clone()])), Ok(()));
        let on_disk_only = member(&["old", "new"], false, "old", "old");
        let never_heard_of_it = member(&["old"], true, "old", "old");
        let refused = may_sign_with("new", &members(&[both, on_disk_only, never_heard_of_it])).unwrap_err();
        let who: Vec<_> = refused.iter().map(|b| b.node.as_ref().unwrap().as_str()).collect();
        assert_eq!(who, ["etcd-2", "etcd-3"]);
        assert!(refused[0].hint.contains("rotate-ca"));
    }

    #[test]
    fn the_old_ca_goes_only_when_every_certificate_everywhere_is_new() {
        let new = member(&["old", "new"], true, "new", "new");
        assert_eq!(leaves_from(&new, "new"), Verdict::Holds);
        let half = member(&["old", "new"], true, "new", "old");
        assert_eq!(
            leaves_from(&half, "new"),
            Verdict::Fails("its peer certificate is not from the new CA".into())
        );
        let none = HostTrust {
            signed_by: [("server", None), ("peer", None)].into(),
            ..new
        };
        assert!(matches!(leaves_from(&none, "new"), Verdict::Fails(_)));
    }

    #[test]
    fn exactly_what_is_wanted_is_trusted_and_known_to_the_process() {
        let cas: BTreeSet<String> = ["new".to_owned()].into();
        assert!(trusts(&member(&["new"], true, "new", "new"), &cas).holds());
        assert!(!trusts(&member(&["new", "old"], true, "new", "new"), &cas).holds());
        assert!(!trusts(&member(&["new"], false, "new", "new"), &cas).holds());
    }

    #[test]
    fn clients_with_old_certificates_are_named() {
        let client = |name: &str, issuer: &str| IssuedRecord {
            name: name.into(),
            user: name.into(),
            serial: "01".into(),
            sha256: "00".into(),
            issuer: issuer.into(),
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
            revoked: None,
        };
        assert_eq!(clients_are_ready("new", &[client("prometheus", "new")], false), Ok(()));
        let strangers = clients_are_ready("new", &[client("prometheus", "new")], true).unwrap_err();
        assert!(strangers.hint.contains("--clients-ready"), "{}", strangers.hint);
        let both = [client("prometheus", "new"), client("apiserver", "old")];
        let refused = clients_are_ready("new", &both, true).unwrap_err();
        assert!(refused.reason.ends_with(": apiserver"), "{}", refused.reason);
        assert!(refused.hint.contains("pki issue"));
    }
}
