//! `backup run`: on a host, when its timer says so. There is no operator, no inventory and no CA key here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};

use super::backup_places::Reach;
use super::error::{Exit, Failure};
use crate::backup::place::backups;
use crate::backup::schedule::{Answered, End, Orders, REASON, Report, has_this_round, turns};
use crate::backup::{About, Manifest, ManifestMember, Seal, expired, file_name, take};
use crate::etcd::{ClientTls, Endpoint, EtcdClient, EtcdError, Member, TcpDial};
use crate::host::Secrets;
use crate::host::ssh::SshEnvironment;
use crate::inventory::Version;
use crate::pki::Recipient;
use crate::report::{chain, human_bytes};

/// A member that is well answers within milliseconds.
const STATUS_LIMIT: Duration = Duration::from_secs(5);

/// Between two looks at the places while another member has its turn.
const LOOK: Duration = Duration::from_secs(5);

/// Does what the orders say, and leaves a report.
///
/// # Errors
/// When there is no backup of this round from this host or another.
pub async fn run(orders: &Path) -> Result<Exit, Failure> {
    let orders = read(orders)?;
    let begun = Timestamp::now();
    let outcome = round(&orders, begun).await;
    let end = match &outcome {
        Ok(end) => end.clone(),
        Err(failure) => End::Failed {
            error: failure.message.clone(),
        },
    };
    report(&orders, begun, end)?;
    match outcome? {
        End::Taken { file, bytes } => println!("{file} holds {}", human_bytes(bytes)),
        End::Others => println!("another member took the backup"),
        End::Failed { error } => println!("{error}"),
    }
    Ok(Exit::Done)
}

/// Waits for its turn, takes the backup, puts it everywhere, deletes what is not to stay.
async fn round(orders: &Orders, begun: Timestamp) -> Result<End, Failure> {
    let work = Path::new(&orders.scratch);
    // What a run that was cut off has left.
    let _ = std::fs::remove_dir_all(work);
    std::fs::create_dir_all(work)
        .map_err(|error| Failure::new(Exit::StepFailed, format!("cannot make {}: {error}", work.display())))?;
    let tls = tls(orders)?;
    let cluster = Cluster::ask(orders, &tls).await?;
    let reach = reach(orders);
    let before_us = cluster.turn(orders)?;
    if before_us > 0 && others_did(orders, &reach, begun, before_us).await {
        return Ok(End::Others);
    }
    let (file, manifest) = snapshot(orders, &tls, &cluster).await?;
    let put = put(orders, &reach, &file).await;
    let _ = std::fs::remove_file(&file);
    put?;
    prune(orders, &reach).await?;
    Ok(End::Taken {
        file: name_of(&file),
        bytes: manifest.snapshot.size,
    })
}

fn read(path: &Path) -> Result<Orders, Failure> {
    let unusable = |why: String| {
        Failure::new(Exit::Usage, format!("{}: {why}", path.display()))
            .hint("`quorate backup schedule` on the operator's machine writes it anew")
    };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))
}

/// The member's own certificate, read anew each time: it may have been renewed.
fn tls(orders: &Orders) -> Result<ClientTls, Failure> {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::new(Exit::StepFailed, format!("cannot read {path}: {error}")))
    };
    Ok(ClientTls {
        ca_pem: read(&orders.ca)?,
        cert_pem: read(&orders.certificate)?,
        key_pem: SecretString::from(read(&orders.key)?),
    })
}

fn reach(orders: &Orders) -> Reach {
    let path = |text: &String| Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty());
    Reach {
        // Whatever home the account has: where an instance has no role, AWS_SHARED_CREDENTIALS_FILE names the keys.
        home: std::env::var_os("HOME").map(PathBuf::from),
        ssh: (
            Arc::new(SshEnvironment::new(&orders.scratch, None)),
            Arc::new(Secrets::new()),
        ),
        identity: path(&orders.identity).into_iter().collect(),
        known_hosts: path(&orders.known_hosts).unwrap_or_default(),
        use_config: false,
    }
}

/// The cluster as this member knows it.
struct Cluster {
    members: Vec<Member>,
    /// Voters that answered, by name.
    answered: BTreeMap<String, Answered>,
    version: Version,
}

impl Cluster {
    async fn ask(orders: &Orders, tls: &ClientTls) -> Result<Self, Failure> {
        let own = client(&orders.url, tls)?;
        let version = own.status(STATUS_LIMIT).await.map_err(silent)?.version;
        let members = own.members(true).await.map_err(silent)?.value;
        let voters = members.iter().filter(|member| !member.learner);
        let asked = join_all(voters.map(|member| voter(member, tls))).await;
        Ok(Self {
            answered: asked.into_iter().flatten().collect(),
            members,
            version,
        })
    }

    /// How many members have their turn before this one.
    fn turn(&self, orders: &Orders) -> Result<usize, Failure> {
        let turns = turns(&self.answered);
        turns
            .iter()
            .position(|name| *name == orders.node.as_str())
            .ok_or_else(|| {
                Failure::new(Exit::StepFailed, format!("{} is no voter that answers", orders.node))
                    .hint("look at `quorate status`")
            })
    }
}

async fn voter(member: &Member, tls: &ClientTls) -> Option<(String, Answered)> {
    let client = client(member.client_urls.first()?, tls).ok()?;
    let status = client.status(STATUS_LIMIT).await.ok()?;
    let answered = Answered {
        leads: status.leader == member.id,
    };
    status.errors.is_empty().then(|| (member.name.clone(), answered))
}

fn client(url: &str, tls: &ClientTls) -> Result<EtcdClient, Failure> {
    let endpoint = Endpoint::of_url(url)
        .ok_or_else(|| Failure::new(Exit::StepFailed, format!("`{url}` is no client URL of etcd")))?;
    let dial = TcpDial::new(endpoint.host.clone(), endpoint.port);
    EtcdClient::connect(Arc::new(dial), endpoint, tls).map_err(silent)
}

fn silent(error: EtcdError) -> Failure {
    Failure::new(Exit::StepFailed, chain(&error)).hint("look at `quorate status` and `quorate logs`")
}

/// Whether a backup of this round is in every place before the patience with those before us ends.
async fn others_did(orders: &Orders, reach: &Reach, begun: Timestamp, before_us: usize) -> bool {
    let patience = Duration::from_secs(orders.patience).saturating_mul(u32::try_from(before_us).unwrap_or(u32::MAX));
    let until = Instant::now() + patience;
    loop {
        if everywhere(orders, reach, begun).await {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        sleep(left.min(LOOK)).await;
    }
}

async fn everywhere(orders: &Orders, reach: &Reach, begun: Timestamp) -> bool {
    for address in &orders.to {
        // A place that cannot be looked at may lack it.
        let Ok(place) = reach.open(address).await else {
            return false;
        };
        match backups(place.as_ref(), &orders.cluster).await {
            Ok(kept) if has_this_round(&kept, begun) => {}
            _ => return false,
        }
    }
    true
}

async fn snapshot(orders: &Orders, tls: &ClientTls, cluster: &Cluster) -> Result<(PathBuf, Manifest), Failure> {
    let recipients = Recipient::parse_all(&orders.recipients, Path::new("/")).map_err(|errors| {
        let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Exit::StepFailed, why.join("; "))
    })?;
    let seal = Seal::To(recipients);
    let members = cluster.members.iter().map(|member| ManifestMember {
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
    });
    let about = About {
        cluster: orders.cluster.clone(),
        reason: REASON.to_owned(),
        taken_at: Timestamp::now(),
        taken_from: orders.node.to_string(),
        etcd_version: cluster.version,
        members: members.collect(),
        inventory_sha256: orders.inventory_sha256.clone(),
    };
    let name = file_name(&about.cluster, about.taken_at, REASON, &seal);
    let path = Path::new(&orders.scratch).join(name);
    let client = client(&orders.url, tls)?;
    let manifest = take(&client, about, seal, &path, &|_, _| {}).await?;
    Ok((path, manifest))
}

/// Into every place; one that fails does not keep the others from getting theirs.
async fn put(orders: &Orders, reach: &Reach, file: &Path) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for address in &orders.to {
        let outcome = match reach.open(address).await {
            Ok(place) => place.put(file, &name_of(file), &|_, _| {}).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        failures.extend(outcome.err().map(|failure| format!("{address}: {}", failure.message)));
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Exit::StepFailed, failures.join("; "))),
    }
}

/// Deletes scheduled backups that no rule keeps; never others.
async fn prune(orders: &Orders, reach: &Reach) -> Result<(), Failure> {
    let Some(keep) = &orders.keep else { return Ok(()) };
    for address in &orders.to {
        let place = reach.open(address).await?;
        let mut kept = backups(place.as_ref(), &orders.cluster).await?;
        kept.retain(|kept| kept.manifest.reason == REASON);
        let taken: Vec<_> = kept.iter().map(|kept| kept.manifest.taken_at).collect();
        for index in expired(&taken, keep) {
            place.delete(&kept[index].file.name).await?;
        }
    }
    Ok(())
}

fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Written in one step beside the last one, whose success is kept in mind.
fn report(orders: &Orders, begun: Timestamp, end: End) -> Result<(), Failure> {
    let path = Path::new(&orders.report);
    let last = std::fs::read_to_string(path).ok();
    let last = last.and_then(|text| serde_json::from_str::<Report>(&text).ok());
    let ended = Timestamp::now();
    let last_success = match end {
        End::Taken { .. } | End::Others => Some(ended),
        End::Failed { .. } => last.and_then(|report| report.last_success),
    };
    let report = Report {
        begun,
        ended,
        end,
        last_success,
    };
    let part = path.with_extension("part");
    let text = serde_json::to_string(&report).unwrap_or_default();
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, path))
        .map_err(|error| Failure::new(Exit::StepFailed, format!("cannot write {}: {error}", path.display())))
}
