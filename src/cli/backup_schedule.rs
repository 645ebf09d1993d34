//! `backup schedule`: the hosts take backups by themselves, as the inventory says.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::join_all;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::args::ScheduleArgs;
use super::backup_places::Reach;
use super::confirm;
use super::error::{Detail, Exit, Failure};
use super::lock;
use super::session::Session;
use crate::backup::schedule::{Answered, End, Orders, Report, outlook, turns};
use crate::host::ssh::pinned;
use crate::host::{Content, Directory, FactsQuery, Host, HostError, HostFacts, Push, PushFile};
use crate::inventory::{BackupPlace, BackupPolicy, DesiredHost, HostPath, NodeName, ServiceManager};
use crate::ops::model::{Fact, Membership, Observed};
use crate::ops::plan::digest;
use crate::pki::Recipient;
use crate::render::{RenderedFile, SchedulePaths, render_schedule};
use crate::report::{Event, human_bytes};

/// Brings the hosts in line with `backup` in the inventory, or takes it all away.
///
/// # Errors
/// See the exit codes.
pub(super) async fn schedule(session: &Session, args: &ScheduleArgs) -> Result<Exit, Failure> {
    match (args.remove, &session.desired().backup) {
        (true, _) => remove(session).await,
        (false, Some(policy)) => install(session, policy, args).await,
        (false, None) => Err(Failure::new(
            Exit::Inventory,
            "the inventory does not say when backups are to be taken",
        )
        .hint("add to it:\n  backup:\n    schedule: daily\n    to: s3://BUCKET/PREFIX")),
    }
}

async fn install(session: &Session, policy: &BackupPolicy, args: &ScheduleArgs) -> Result<Exit, Failure> {
    let hosts = hosts(session)?;
    let package = Package::gather(session, policy, args)?;
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = session.phase("look", session.look(&fleet, &vault)).await?;
    let membership = well(&seen)?;
    let facts = reachable(&hosts, &seen)?;
    fleet
        .host(hosts[0])
        .await?
        .understands_calendar(&policy.schedule)
        .await?;

    announce(session, policy, &hosts);
    if !session.global.yes {
        confirm::ask("Do this?")?;
    }
    let _held = session
        .phase("lock", lock::take(session, &fleet, &[], session.stop()))
        .await?;
    let setting_up = hosts.iter().zip(facts).map(|(spec, facts)| {
        let package = &package;
        step(session, spec, "set up the timer", async move {
            let host = session.fleet().host(spec).await?;
            package.set_up(session, policy, &host, spec, facts).await
        })
    });
    all(session.phase("set up", join_all(setting_up)).await)?;
    session
        .phase("first backup", prove(session, policy, &hosts, membership))
        .await?;
    let findings = look_again(session, policy, &hosts).await?;
    if let Some(finding) = findings.first() {
        return Err(Failure::new(Exit::StepFailed, finding.clone()).hint("mend that, and run this again"));
    }
    session.finish(
        true,
        hosts.len(),
        format!("backups are taken {}, and the first one is there", policy.schedule),
    );
    Ok(Exit::Done)
}

async fn remove(session: &Session) -> Result<Exit, Failure> {
    let hosts = hosts(session)?;
    if !session.global.yes {
        confirm::ask("Take timers, keys and programs of scheduled backups away from all hosts?")?;
    }
    let fleet = session.fleet();
    let _held = session
        .phase("lock", lock::take(session, &fleet, &[], session.stop()))
        .await?;
    let removing = hosts.iter().map(|spec| {
        step(session, spec, "take the timer away", async move {
            let host = session.fleet().host(spec).await?;
            let paths = SchedulePaths::of(spec);
            let programs = programs(spec);
            let files = [&paths.service, &paths.timer, &paths.config, &paths.report, &programs];
            host.disable_timer(&paths.unit, &files).await?;
            Ok("it is gone; backups stay".to_owned())
        })
    });
    all(session.phase("remove", join_all(removing)).await)?;
    session.finish(true, hosts.len(), "no host takes backups by itself any more");
    Ok(Exit::Done)
}

/// Every host of the inventory; timers take systemd.
fn hosts(session: &Session) -> Result<Vec<&DesiredHost>, Failure> {
    let hosts: Vec<&DesiredHost> = session
        .desired()
        .order
        .iter()
        .filter_map(|n| session.desired().hosts.get(n))
        .collect();
    match hosts
        .iter()
        .find(|host| host.service_manager != ServiceManager::Systemd)
    {
        None => Ok(hosts),
        Some(host) => Err(Failure::new(
            Exit::Usage,
            format!("{} has no systemd, and timers are systemd's", host.name),
        )
        .hint("run `quorate backup create` from cron instead")),
    }
}

fn well(seen: &Observed) -> Result<&Membership, Failure> {
    match &seen.cluster {
        Fact::Known(membership) => Ok(membership),
        Fact::Absent => Err(Failure::new(Exit::Blocked, "there is no cluster yet").hint("make it with `quorate up`")),
        Fact::Unknown(why) => Err(Failure::new(Exit::Blocked, why).hint("mend it with `quorate up`")),
    }
}

fn reachable<'a>(hosts: &[&DesiredHost], seen: &'a Observed) -> Result<Vec<&'a HostFacts>, Failure> {
    let mut details = Vec::new();
    let mut facts = Vec::new();
    for spec in hosts {
        match seen.hosts.get(&spec.name) {
            Some(Fact::Known(known)) => facts.push(known),
            Some(Fact::Unknown(why)) => details.push(Detail {
                node: Some(spec.name.to_string()),
                message: why.clone(),
                hint: String::new(),
            }),
            Some(Fact::Absent) | None => {}
        }
    }
    match details.is_empty() {
        true => Ok(facts),
        false => Err(Failure {
            details,
            ..Failure::new(Exit::Unreachable, "not every host can be reached; nothing was changed")
        }),
    }
}

fn announce(session: &Session, policy: &BackupPolicy, hosts: &[&DesiredHost]) {
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    let places: Vec<String> = policy.to.iter().map(ToString::to_string).collect();
    session.note(&format!(
        "{}: a timer ({}) and quorate itself; one of them backs up to {}",
        names.join(", "),
        policy.schedule,
        places.join(", ")
    ));
    if policy.s3_credentials.is_some() || policy.identity.is_some() {
        session.note("each host gets the credentials for that, readable for etcd's account alone");
    }
    if unshared(policy) {
        session.note("a directory that the hosts do not share holds only what its own host took");
    }
}

/// Others cannot see there what one has taken.
fn unshared(policy: &BackupPolicy) -> bool {
    policy.to.iter().any(|place| matches!(place, BackupPlace::Directory(_)))
}

/// What every host gets.
struct Package {
    program: Program,
    recipients: Vec<String>,
    credentials: Vec<Credential>,
    inventory_sha256: String,
    patience: u64,
}

/// One file for the account that takes backups alone.
struct Credential {
    path: fn(&SchedulePaths) -> &HostPath,
    sha256: String,
    content: Arc<Zeroizing<Vec<u8>>>,
}

impl Package {
    fn gather(session: &Session, policy: &BackupPolicy, args: &ScheduleArgs) -> Result<Self, Failure> {
        let recipients = session.vault().recipients()?;
        let mut credentials = Vec::new();
        if let Some(file) = &policy.s3_credentials {
            credentials.push(Credential::read(file, |paths| &paths.s3_credentials)?);
        }
        if let Some(file) = &policy.identity {
            credentials.push(Credential::read(file, |paths| &paths.identity)?);
            let known = Reach::of(session).known_hosts;
            let lines = known_hosts(policy, &known)?;
            credentials.push(Credential::new(lines.into_bytes(), |paths| &paths.known_hosts));
        }
        Ok(Self {
            program: Program::read(args.program.as_deref())?,
            recipients: recipients.iter().map(Recipient::public_line).collect(),
            credentials,
            inventory_sha256: digest(session.desired()),
            patience: args.patience.as_secs(),
        })
    }

    async fn set_up(
        &self,
        session: &Session,
        policy: &BackupPolicy,
        host: &Host,
        spec: &DesiredHost,
        facts: &HostFacts,
    ) -> Result<String, HostError> {
        let gzip = !facts.system.missing_tools.iter().any(|tool| tool == "gzip");
        let directories: Vec<&str> = policy
            .to
            .iter()
            .filter_map(|place| match place {
                BackupPlace::Directory(path) => path.to_str(),
                BackupPlace::S3 { .. } | BackupPlace::Ssh(_) => None,
            })
            .collect();
        host.prepare_places(&spec.user, &directories).await?;
        let program = self.program.path(spec);
        let mut sent = 0;
        if !runs(host, &program).await? {
            sent += host
                .push(&self.program.push(spec, &program, gzip), &|_, _| {})
                .await?
                .bytes;
            if !runs(host, &program).await? {
                return Err(HostError::Script {
                    node: spec.name.clone(),
                    operation: "trying quorate there".to_owned(),
                    why: "this executable of quorate does not run on it".to_owned(),
                    hint: "use the static one that `make dist` makes, or name one for that machine with --program"
                        .to_owned(),
                });
            }
        }
        sent += host
            .push(&self.files(session, policy, spec, &program, gzip)?, &|_, _| {})
            .await?
            .bytes;
        host.enable_timer(&SchedulePaths::of(spec).unit).await?;
        Ok(format!("{} sent, the timer is on", human_bytes(sent)))
    }

    fn files(
        &self,
        session: &Session,
        policy: &BackupPolicy,
        spec: &DesiredHost,
        program: &HostPath,
        gzip: bool,
    ) -> Result<Push, HostError> {
        let paths = SchedulePaths::of(spec);
        let broken = |why: String| HostError::Script {
            node: spec.name.clone(),
            operation: "writing the units".to_owned(),
            why,
            hint: "this is a mistake in quorate itself: please report it with the inventory".to_owned(),
        };
        let units = render_schedule(session.desired(), spec, policy, program).map_err(|e| broken(e.to_string()))?;
        let orders =
            serde_json::to_string_pretty(&self.orders(session, policy, spec)).map_err(|e| broken(e.to_string()))?;
        let mut files: Vec<PushFile> = units.into_iter().map(public).collect();
        files.push(public(RenderedFile::new(paths.orders.clone(), spec, orders)));
        files.extend(self.credentials.iter().map(|credential| PushFile {
            path: (credential.path)(&paths).clone(),
            mode: 0o600,
            owner: Some(spec.user.clone()),
            sha256: credential.sha256.clone(),
            content: Content::Secret(credential.content.clone()),
            keep_previous: false,
        }));
        Ok(Push {
            directories: vec![Directory {
                path: paths.config,
                mode: 0o700,
                owner: Some(spec.user.clone()),
            }],
            files,
            gzip,
            ..Push::default()
        })
    }

    fn orders(&self, session: &Session, policy: &BackupPolicy, spec: &DesiredHost) -> Orders {
        let paths = SchedulePaths::of(spec);
        let pki = |name: &str| spec.paths.pki.join(name).to_string();
        let with_key = policy.identity.is_some();
        let unless_empty = |path: &HostPath| if with_key { path.to_string() } else { String::new() };
        Orders {
            cluster: session.desired().cluster.clone(),
            node: spec.name.clone(),
            url: spec.client_url(),
            ca: pki("ca.crt"),
            certificate: pki("peer.crt"),
            key: pki("peer.key"),
            recipients: self.recipients.clone(),
            to: policy.to.clone(),
            keep: policy.keep,
            inventory_sha256: self.inventory_sha256.clone(),
            scratch: paths.state.join("work").to_string(),
            report: paths.report.to_string(),
            identity: unless_empty(&paths.identity),
            known_hosts: unless_empty(&paths.known_hosts),
            patience: self.patience,
        }
    }
}

fn public(file: RenderedFile) -> PushFile {
    PushFile {
        path: file.path,
        mode: file.mode,
        owner: None,
        sha256: file.sha256,
        content: Content::Plain(Bytes::from(file.text)),
        keep_previous: false,
    }
}

impl Credential {
    fn read(file: &Path, path: fn(&SchedulePaths) -> &HostPath) -> Result<Self, Failure> {
        let bytes = std::fs::read(file).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot read {}: {error}", file.display()))
                .hint("correct it in `backup` of the inventory")
        })?;
        Ok(Self::new(bytes, path))
    }

    fn new(bytes: Vec<u8>, path: fn(&SchedulePaths) -> &HostPath) -> Self {
        Self {
            path,
            sha256: hex::encode(Sha256::digest(&bytes)),
            content: Arc::new(Zeroizing::new(bytes)),
        }
    }
}

/// The pinned keys of the hosts that `ssh://` names, and of no others.
fn known_hosts(policy: &BackupPolicy, file: &Path) -> Result<String, Failure> {
    let mut lines = String::new();
    for place in &policy.to {
        let BackupPlace::Ssh(remote) = place else { continue };
        let keys =
            pinned(file, &remote.host, remote.port.unwrap_or(22)).map_err(|why| Failure::new(Exit::Usage, why))?;
        if keys.is_empty() {
            return Err(Failure::new(
                Exit::Unreachable,
                format!("{} has no key for {}", file.display(), remote.host),
            )
            .hint(format!(
                "look at it once with `ssh {}`, and accept its key if it is the right one",
                remote.host
            )));
        }
        for key in keys {
            lines += &key.line();
            lines.push('\n');
        }
    }
    Ok(lines)
}

/// quorate itself, for the hosts.
struct Program {
    sha256: String,
    length: u64,
    packed: Bytes,
}

impl Program {
    fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let file = match file {
            Some(file) => file.to_owned(),
            None => std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe")),
        };
        let unreadable = |error| {
            Failure::new(Exit::Usage, format!("cannot read {}: {error}", file.display())).hint("name it with --program")
        };
        let bytes = std::fs::read(&file).map_err(unreadable)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bytes).map_err(unreadable)?;
        Ok(Self {
            sha256: hex::encode(Sha256::digest(&bytes)),
            length: bytes.len() as u64,
            packed: encoder.finish().map_err(unreadable)?.into(),
        })
    }

    /// Named by its content: a newer one comes beside the one that may be running.
    fn path(&self, spec: &DesiredHost) -> HostPath {
        programs(spec).join(&self.sha256[..16]).join("quorate")
    }

    fn push(&self, spec: &DesiredHost, path: &HostPath, gzip: bool) -> Push {
        let packed = self.packed.clone();
        let open = move || Ok(Box::new(Cursor::new(packed.clone())) as Box<dyn Read + Send>);
        let directory = |path: HostPath| Directory {
            path,
            mode: 0o755,
            owner: None,
        };
        Push {
            directories: vec![
                directory(programs(spec)),
                directory(programs(spec).join(&self.sha256[..16])),
            ],
            files: vec![PushFile {
                path: path.clone(),
                mode: 0o755,
                owner: None,
                sha256: self.sha256.clone(),
                content: Content::Gzip {
                    open: Arc::new(open),
                    gz_len: self.packed.len() as u64,
                    len: self.length,
                },
                keep_previous: false,
            }],
            gzip,
            ..Push::default()
        }
    }
}

/// Where quorate itself is on a host: below the directory of releases, one for each service.
fn programs(spec: &DesiredHost) -> HostPath {
    spec.paths.bin.join(&format!("quorate-{}", spec.service))
}

async fn runs(host: &Host, program: &HostPath) -> Result<bool, HostError> {
    let words = ["sh", "-c", "[ -x \"$1\" ] && \"$1\" --version", "sh", program.as_str()];
    let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Ok(host.run_program(&argv, Box::pin(tokio::io::empty())).await?.ok())
}

/// The first backup, taken as the timer will take it: by the member whose turn it is, while the others look whether it
/// has come to every place.
async fn prove(
    session: &Session,
    policy: &BackupPolicy,
    hosts: &[&DesiredHost],
    membership: &Membership,
) -> Result<(), Failure> {
    let answered: BTreeMap<String, Answered> = membership
        .voters()
        .filter(|member| membership.healthy(member.id))
        .map(|member| {
            let leads = membership.leader() == Some(member.id);
            (member.name.clone(), Answered { leads })
        })
        .collect();
    let order = turns(&answered);
    let is_first = |spec: &DesiredHost| order.first() == Some(&spec.name.as_str());
    let (first, others): (Vec<&DesiredHost>, Vec<&DesiredHost>) = hosts.iter().partition(|spec| is_first(spec));
    let try_it = |spec: &'_ DesiredHost| {
        let (name, unit) = (spec.clone(), SchedulePaths::of(spec).unit);
        async move {
            let what = "take a backup as the timer will";
            step(session, &name, what, async {
                session.fleet().host(&name).await?.run_timer_now(&unit).await?;
                Ok("done".to_owned())
            })
            .await
        }
    };
    all(join_all(first.into_iter().map(try_it)).await)?;
    if !unshared(policy) {
        all(join_all(others.into_iter().map(try_it)).await)?;
    }
    Ok(())
}

/// What the hosts report now.
async fn look_again(session: &Session, policy: &BackupPolicy, hosts: &[&DesiredHost]) -> Result<Vec<String>, Failure> {
    let fleet = session.fleet();
    let mut reports = BTreeMap::new();
    for spec in hosts {
        let path = SchedulePaths::of(spec).report;
        let query = FactsQuery {
            contents: vec![path.clone()],
            ..FactsQuery::default()
        };
        let facts = fleet.host(spec).await?.facts(&query).await?;
        reports.insert(spec.name.clone(), report_of(spec, &facts));
    }
    let now = jiff::Timestamp::now();
    let mut findings = outlook(&reports, policy.max_age, now).findings;
    if unshared(policy) {
        findings.retain(|finding| !finding.contains("takes no scheduled backups yet"));
    }
    for (node, report) in &reports {
        if let Some(Report {
            end: End::Taken { file, bytes },
            ..
        }) = report
        {
            session.note(&format!("{node}: {file}, {}", human_bytes(*bytes)));
        }
    }
    Ok(findings)
}

/// How the last run on a host ended, from what was looked at there.
pub(super) fn report_of(spec: &DesiredHost, facts: &HostFacts) -> Option<Report> {
    let file = facts.files.get(&SchedulePaths::of(spec).report)?;
    serde_json::from_str(file.content.as_deref()?).ok()
}

/// One step on one host, told as it goes.
async fn step(
    session: &Session,
    spec: &DesiredHost,
    what: &str,
    work: impl Future<Output = Result<String, HostError>>,
) -> Result<(), (NodeName, HostError)> {
    let name = format!("{what} {}", spec.name);
    session.reporter.event(&Event::StepStarted {
        step: name.clone(),
        node: Some(spec.name.clone()),
        what: what.to_owned(),
    });
    let begun = Instant::now();
    match work.await {
        Ok(saw) => {
            session.reporter.event(&Event::StepFinished {
                step: name,
                node: Some(spec.name.clone()),
                seconds: Duration::as_secs_f64(&begun.elapsed()),
                saw,
            });
            Ok(())
        }
        Err(error) => {
            session.reporter.event(&Event::StepFailed {
                step: name,
                node: Some(spec.name.clone()),
                error: error.to_string(),
                hint: error.hint().map(str::to_owned),
                journal: Vec::new(),
            });
            Err((spec.name.clone(), error))
        }
    }
}

fn all(outcomes: Vec<Result<(), (NodeName, HostError)>>) -> Result<(), Failure> {
    let mut failed = outcomes.into_iter().filter_map(Result::err);
    match failed.next() {
        None => Ok(()),
        Some((_, error)) => Err(error.into()),
    }
}
