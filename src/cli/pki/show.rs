//! `pki show`: every certificate on every host and on this machine, each against what it should be. Opens no key.

use jiff::Timestamp;
use serde::Serialize;

use super::super::error::{Exit, Failure};
use super::super::session::Session;
use super::super::status::json;
use crate::host::{DataState, HostFacts};
use crate::inventory::{Desired, DesiredHost};
use crate::ops::model::{Fact, Observed, why_and_help};
use crate::ops::observe::observe;
use crate::ops::safety::trust::HostTrust;
use crate::pki::{
    AuditContext, CaStatus, CertFacts, Certificate, IssuedRecord, LeafSpec, Stage, audit, must_reissue, peer_spec,
    server_spec,
};
use crate::report::print::{say, say_all};
use crate::report::{Cell, Paint, Table, Tone, one_line, printable, terminal_width};

/// As much as the clocks may differ, see `preflight`.
const CLOCK_LIMIT_SECONDS: f64 = 60.0;

/// Everything about a cluster's certificates, as `--output json` prints it.
#[derive(Debug, Serialize)]
struct Overview {
    cluster: String,
    /// Nothing expires soon, nothing differs; `None` where that cannot be told.
    healthy: Option<bool>,
    /// What members and clients trust, the CA that signs first.
    ca: Vec<Ca>,
    /// Who can open the CA key.
    recipients: Vec<String>,
    /// How far a change of the CA has come.
    rotation: Option<Stage>,
    /// A request for an intermediate CA waits for `pki import`.
    request_waits: bool,
    certificates: Vec<Leaf>,
    clients: Vec<Client>,
    /// What is wrong, in sentences.
    problems: Vec<String>,
    /// What could not be inspected, in sentences.
    unknown: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Ca {
    signs: bool,
    days_left: i64,
    #[serde(flatten)]
    facts: CertFacts,
}

#[derive(Debug, Serialize)]
struct Leaf {
    node: String,
    /// `server` or `peer`.
    role: &'static str,
    days_left: i64,
    /// What is not as the inventory wants it.
    findings: Vec<String>,
    #[serde(flatten)]
    facts: CertFacts,
}

#[derive(Debug, Serialize)]
struct Client {
    days_left: i64,
    /// Its certificate is from a CA that goes.
    must_be_reissued: bool,
    #[serde(flatten)]
    record: IssuedRecord,
}

/// What is wrong with certificates, in sentences, on the hosts that could be looked at: for `doctor`, which has done that.
pub(in crate::cli) fn problems(session: &Session, seen: &Observed) -> Result<Vec<String>, Failure> {
    Ok(overview(session, seen)?.problems)
}

/// Shows it; exit code 11 when something is wrong or expires soon.
pub(super) async fn show(session: &Session) -> Result<Exit, Failure> {
    let seen = observe(&session.fleet(), None).await;
    let mut overview = overview(session, &seen)?;
    overview.unknown.extend(out_of_sight(session.desired(), &seen));
    overview.healthy = match (overview.problems.is_empty(), overview.unknown.is_empty()) {
        (false, _) => Some(false),
        (true, false) => None,
        (true, true) => Some(true),
    };
    if session.json() {
        json(&overview)?;
    } else {
        print(&overview);
    }
    Ok(Exit::of_health(overview.healthy))
}

fn overview(session: &Session, seen: &Observed) -> Result<Overview, Failure> {
    let (desired, vault) = (session.desired(), session.vault());
    let now = Timestamp::now();
    let status = vault.dir().status()?;
    let rotation = vault.dir().rotation()?;
    let trusted = match status.trusted.is_empty() {
        true => Vec::new(),
        false => vault.dir().trusted()?,
    };
    let mut overview = Overview {
        cluster: desired.cluster.to_string(),
        healthy: Some(true),
        ca: authorities(&status, now),
        recipients: status.recipients.clone(),
        rotation: rotation.map(|rotation| rotation.stage),
        request_waits: vault.dir().request_waits(),
        certificates: Vec::new(),
        clients: clients(&vault.clients()?, &trusted, now),
        problems: ca_problems(desired, &status, now),
        unknown: Vec::new(),
    };
    let judge = Judge {
        desired,
        trusted: &trusted,
        now,
    };
    for host in desired.order.iter().filter_map(|name| desired.hosts.get(name)) {
        if let Some(Fact::Known(facts)) = seen.hosts.get(&host.name) {
            judge.host(host, facts, &mut overview);
        }
    }
    if let Some(stage) = overview.rotation {
        let next = match stage {
            Stage::TrustBoth => "members are being configured to trust both CAs",
            Stage::Reissue => "certificates are being reissued by the new CA",
        };
        let text = format!("a CA rotation is in progress ({next}): continue with `quorate pki rotate-ca`");
        overview.problems.push(text);
    }
    let renew_before = desired.pki.renew_before;
    let ends_soon = |c: &&Client| c.record.not_after.duration_since(now).unsigned_abs() < renew_before;
    overview
        .problems
        .extend(overview.clients.iter().filter(ends_soon).map(|c| {
            format!(
                "the certificate of the client {} expires in {} days",
                c.record.name, c.days_left
            )
        }));
    Ok(overview)
}

/// Hosts whose certificates nobody has seen.
fn out_of_sight(desired: &Desired, seen: &Observed) -> Vec<String> {
    let hosts = desired.order.iter().filter_map(|name| match seen.hosts.get(name) {
        Some(Fact::Known(_)) => None,
        Some(Fact::Unknown(why)) => Some(format!("{name}: it cannot be inspected: {}", why_and_help(why).0)),
        Some(Fact::Absent) | None => Some(format!("{name}: it was not inspected")),
    });
    hosts.collect()
}

fn authorities(status: &CaStatus, now: Timestamp) -> Vec<Ca> {
    let each = status.trusted.iter().enumerate().map(|(place, facts)| Ca {
        signs: place == 0,
        days_left: facts.days_left(now),
        facts: facts.clone(),
    });
    each.collect()
}

fn clients(records: &[IssuedRecord], trusted: &[Certificate], now: Timestamp) -> Vec<Client> {
    let signer = trusted.first().map(|ca| ca.facts().sha256.as_str());
    let each = records.iter().map(|record| Client {
        days_left: (record.not_after.as_second() - now.as_second()).div_euclid(24 * 60 * 60),
        must_be_reissued: Some(record.issuer.as_str()) != signer,
        record: record.clone(),
    });
    each.collect()
}

fn ca_problems(desired: &Desired, status: &CaStatus, now: Timestamp) -> Vec<String> {
    let Some(signer) = status.trusted.first() else {
        return vec![
            "there is no CA here: `quorate up` creates one for a new cluster; for one that exists, restore the pki directory from \
             version control"
                .into(),
        ];
    };
    let mut problems = Vec::new();
    if now >= signer.not_after {
        problems.push(format!(
            "the CA expired at {}: run `quorate pki rotate-ca`",
            signer.not_after
        ));
    } else if signer.not_after.duration_since(now).unsigned_abs() < desired.pki.renew_before {
        problems.push(format!(
            "the CA expires in {} days: run `quorate pki rotate-ca`",
            signer.days_left(now)
        ));
    }
    if status.plain_key {
        problems.push("the CA key is stored unencrypted: run `quorate pki seal`".into());
    } else if !status.sealed {
        problems.push("the CA's key is missing: restore ca.key.age from version control".into());
    }
    problems
}

/// What each certificate is judged by.
struct Judge<'a> {
    desired: &'a Desired,
    /// The operator's `ca.crt`.
    trusted: &'a [Certificate],
    now: Timestamp,
}

impl Judge<'_> {
    /// The two certificates of a host, and whether it trusts what it should.
    fn host(&self, host: &DesiredHost, facts: &HostFacts, overview: &mut Overview) {
        let member = facts.data.state == DataState::Bootstrapped;
        let mut say = Vec::new();
        for (role, spec) in [
            ("server", server_spec(self.desired, host)),
            ("peer", peer_spec(self.desired, host)),
        ] {
            let path = host.paths.pki.join(&format!("{role}.crt"));
            let text = facts.files.get(&path).and_then(|file| file.content.as_deref());
            match text.map(Certificate::from_pem) {
                None if member => say.push(format!("{path} is missing")),
                None => {}
                Some(Err(error)) => say.push(format!("{path}: {error}")),
                Some(Ok(certificate)) => {
                    let (leaf, due) = self.leaf(host, role, &spec, &certificate);
                    say.extend(due.then(|| format!("{role} certificate: {}", leaf.findings.join("; "))));
                    overview.certificates.push(leaf);
                }
            }
        }
        let trust = HostTrust::of(&host.paths.pki, facts);
        let ours = self.trusted.iter().map(|ca| ca.facts().sha256.clone()).collect();
        if member && overview.rotation.is_none() && trust.trusted != ours {
            say.push("its ca.crt contains other CAs than the pki directory".into());
        }
        if !trust.loaded {
            say.push("it was started before its ca.crt changed".into());
        }
        let offset = facts.system.clock_offset_seconds;
        if offset.abs() > CLOCK_LIMIT_SECONDS {
            say.push(format!(
                "its clock is {offset:.0} s off: certificates may not be valid there"
            ));
            say.extend(outside(host, facts, self.now));
        }
        overview
            .problems
            .extend(say.into_iter().map(|text| format!("{}: {text}", host.name)));
    }

    /// One certificate, and whether something about it must be done.
    fn leaf(&self, host: &DesiredHost, role: &'static str, spec: &LeafSpec, leaf: &Certificate) -> (Leaf, bool) {
        let findings = self.trusted.first().map(|signer| {
            let context = AuditContext {
                current_ca: signer.facts(),
                signed_by_current_ca: leaf.is_issued_by(signer),
                now: self.now,
                renew_before: self.desired.pki.renew_before,
            };
            audit(spec, leaf.facts(), &context)
        });
        let findings = findings.unwrap_or_default();
        let shown = Leaf {
            node: host.name.to_string(),
            role,
            days_left: leaf.facts().days_left(self.now),
            findings: findings.iter().map(ToString::to_string).collect(),
            facts: leaf.facts().clone(),
        };
        (shown, must_reissue(&findings))
    }
}

/// Certificates that are good here and outside their validity by the host's own clock: etcd there would call them bad.
fn outside(host: &DesiredHost, facts: &HostFacts, now: Timestamp) -> Vec<String> {
    let offset = jiff::SignedDuration::try_from_secs_f64(facts.system.clock_offset_seconds).unwrap_or_default();
    let there = now.checked_add(offset).unwrap_or(now);
    let judge = |name: &str| {
        let text = facts.files.get(&host.paths.pki.join(name))?.content.as_deref()?;
        let leaf = Certificate::from_pem(text).ok()?;
        let (from, to) = (leaf.facts().not_before, leaf.facts().not_after);
        let good = |at: Timestamp| from <= at && at < to;
        let why = match there < from {
            true => format!("{name} is not valid before {from}"),
            false => format!("{name} expired at {to}"),
        };
        (good(now) && !good(there))
            .then(|| format!("by its clock ({there:.0}) {why}: set the clock, the certificate is good"))
    };
    ["server.crt", "peer.crt"].into_iter().filter_map(judge).collect()
}

fn print(overview: &Overview) {
    let paint = Paint::from_env(true);
    for ca in &overview.ca {
        let role = if ca.signs { "signs" } else { "trusted" };
        say!(
            "{} {role}  {}  {}d left",
            paint.strong(&one_line(&ca.facts.subject)),
            ca.facts.key_type,
            ca.days_left
        );
    }
    if overview.request_waits {
        say!("  a request for an intermediate CA waits for `quorate pki import`");
    }
    for recipient in &overview.recipients {
        say!("  its key can be opened by {}", printable(recipient));
    }
    let mut table = Table::new(["WHERE", "WHAT", "SUBJECT", "NAMES", "USAGES", "KEY", "DAYS", "STATE"])
        .right(["DAYS"])
        .prose(["NAMES", "STATE"])
        .spare(["KEY", "USAGES", "NAMES", "SUBJECT"]);
    for leaf in &overview.certificates {
        let ips = leaf.facts.ip_addresses.iter().map(ToString::to_string);
        let names: Vec<String> = ips.chain(leaf.facts.dns_names.iter().cloned()).collect();
        let state = match leaf.findings.is_empty() {
            true => Cell::new("ok").tone(Tone::Good),
            false => Cell::new(leaf.findings.join("; ")).tone(Tone::Warn),
        };
        table.row([
            Cell::new(leaf.node.clone()),
            Cell::new(leaf.role),
            Cell::new(leaf.facts.common_name.clone()),
            Cell::new(names.join(" ")),
            Cell::new(usages(&leaf.facts)),
            Cell::new(leaf.facts.key_type.clone()),
            Cell::new(leaf.days_left.to_string()),
            state,
        ]);
    }
    for client in &overview.clients {
        let state = match client.must_be_reissued {
            true => Cell::new("from a CA that is being retired: issue it again").tone(Tone::Warn),
            false => Cell::new("ok").tone(Tone::Good),
        };
        table.row([
            Cell::new(client.record.name.clone()),
            Cell::new("client"),
            Cell::new(client.record.user.clone()),
            Cell::new(""),
            Cell::new("client"),
            Cell::new(""),
            Cell::new(client.days_left.to_string()),
            state,
        ]);
    }
    say_all!("{}\n", table.render(terminal_width(), true));
    for problem in &overview.problems {
        say!("{} {}", paint.bad("!"), printable(problem));
    }
    for unknown in &overview.unknown {
        say!("{} {}", paint.warn("?"), printable(unknown));
    }
}

fn usages(facts: &CertFacts) -> &'static str {
    match (facts.server_auth, facts.client_auth) {
        (true, true) => "server client",
        (true, false) => "server",
        (false, true) => "client",
        (false, false) => "-",
    }
}
