//! `backup run`: on a host, when its timer says so. There is no operator, no inventory and no CA key here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::backup_places::{Reach, name_of};
use super::error::{Exit, Failure};
use crate::backup::place::{Kept, Place, PlaceError, backups};
use crate::backup::schedule::{Answered, End, Orders, REASON, Report, has_this_round, turns};
use crate::backup::{About, Manifest, ManifestMember, Seal, Source, Standing, Trust, expired, new_file, take};
use crate::etcd::{ClientTls, Endpoint, EtcdClient, EtcdError, Member, TcpDial};
use crate::host::Secrets;
use crate::host::ssh::SshEnvironment;
use crate::inventory::{BackupPlace, Version};
use crate::pki::{CertError, Certificate, Recipient, Retired, SecretPem, Signer};
use crate::report::print::say;
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
    match round(&orders, begun).await {
        Ok(end) => {
            let saw = match &end {
                End::Taken { file, bytes } => format!("{file} contains {}", human_bytes(*bytes)),
                End::AtRest => format!("{} is down on purpose: it takes no backup now", orders.node),
                _ => "another member took the backup".to_owned(),
            };
            report(&orders, begun, end)?;
            say!("{saw}");
            Ok(Exit::Done)
        }
        Err(failure) => {
            let error = failure.message.clone();
            report(&orders, begun, End::Failed { error })?;
            Err(failure)
        }
    }
}

/// Waits for its turn, takes the backup, puts it everywhere, deletes what is not to stay.
async fn round(orders: &Orders, begun: Timestamp) -> Result<End, Failure> {
    let work = Path::new(&orders.scratch);
    // What a run that was cut off has left.
    let _ = std::fs::remove_dir_all(work);
    std::fs::create_dir_all(work)
        .map_err(|error| Failure::new(Exit::StepFailed, format!("cannot create {}: {error}", work.display())))?;
    let tls = tls(orders)?;
    let trust = trust(orders, &tls)?;
    let cluster = match Cluster::ask(orders, &tls).await {
        // `start` catches up on it, where no other member takes it meanwhile.
        Err(_) if is_at_rest(orders) => return Ok(End::AtRest),
        asked => asked?,
    };
    let before_us = cluster.turn(orders)?;
    let mut places = Places::of(orders);
    if before_us > 0 && others_did(orders, &mut places, &trust, (begun, before_us)).await {
        return Ok(End::Others);
    }
    let (file, manifest) = snapshot(orders, &tls, &trust, &cluster).await?;
    let put = put(&mut places, &file).await;
    let _ = std::fs::remove_file(&file);
    put?;
    prune(orders, &mut places, &trust).await?;
    Ok(End::Taken {
        file: name_of(&file),
        bytes: manifest.snapshot.size,
    })
}

/// Whether a member that does not answer was stopped by `maintain` or `stop`.
fn is_at_rest(orders: &Orders) -> bool {
    !orders.rest_note.is_empty() && Path::new(&orders.rest_note).exists()
}

fn read(path: &Path) -> Result<Orders, Failure> {
    let unusable = |why: String| {
        Failure::new(Exit::Usage, format!("{}: {why}", path.display()))
            .hint("`quorate backup schedule` on the operator's machine writes it again")
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

/// Whose backups count: the CAs that members trust now, and those of before that the orders name.
fn trust(orders: &Orders, tls: &ClientTls) -> Result<Trust, Failure> {
    let unusable = |error: CertError| Failure::new(Exit::StepFailed, chain(&error)).hint(error.hint());
    let current = Certificate::bundle_from_pem(&tls.ca_pem).map_err(unusable)?;
    let retired = orders.retired.iter().map(|(pem, until)| {
        Ok(Retired {
            certificate: Certificate::from_pem(pem)?,
            until: *until,
        })
    });
    let retired = retired.collect::<Result<_, CertError>>().map_err(unusable)?;
    Ok(Trust::new(current, retired))
}

/// What signs the backup: the member's own certificate.
fn signer(tls: &ClientTls) -> Result<Signer, Failure> {
    let key = SecretPem::new(Zeroizing::new(tls.key_pem.expose_secret().to_owned()));
    Signer::new(&tls.cert_pem, &key).map_err(|error| {
        Failure::new(Exit::StepFailed, chain(&error)).hint("`quorate pki renew` makes new certificates")
    })
}

/// Where the backup goes. Each place is opened when it is first needed, and again only after it has failed.
struct Places<'a> {
    reach: Reach,
    each: Vec<(&'a BackupPlace, Option<Box<dyn Place>>)>,
}

impl<'a> Places<'a> {
    fn of(orders: &'a Orders) -> Self {
        let ssh = orders.ssh.clone();
        let reach = Reach {
            // Whatever home the account has: where an instance has no role, AWS_SHARED_CREDENTIALS_FILE names the keys.
            home: std::env::var_os("HOME").map(PathBuf::from),
            ssh: (
                Arc::new(SshEnvironment::new(&orders.scratch, None)),
                Arc::new(Secrets::new()),
            ),
            identity: ssh.iter().map(|keys| keys.identity.clone()).collect(),
            known_hosts: ssh.map(|keys| keys.known_hosts).unwrap_or_default(),
            use_config: false,
        };
        Self {
            reach,
            each: orders.to.iter().map(|address| (address, None)).collect(),
        }
    }

    /// Does the same in every place; what came of it, by address.
    async fn in_each<T>(
        &mut self,
        work: impl AsyncFn(&dyn Place) -> Result<T, PlaceError>,
    ) -> Vec<(&'a BackupPlace, Result<T, Failure>)> {
        let mut outcomes = Vec::new();
        for (address, slot) in &mut self.each {
            let outcome = match slot.take() {
                Some(place) => Ok(place),
                None => self.reach.open(address).await,
            };
            let outcome = match outcome {
                Ok(place) => match work(place.as_ref()).await {
                    Ok(done) => {
                        *slot = Some(place);
                        Ok(done)
                    }
                    Err(error) => Err(error.into()),
                },
                Err(failure) => Err(failure),
            };
            outcomes.push((*address, outcome));
        }
        outcomes
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
                Failure::new(Exit::StepFailed, format!("{} is not a voter that answers", orders.node))
                    .hint("see `quorate status`")
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
        .ok_or_else(|| Failure::new(Exit::StepFailed, format!("`{url}` is not a client URL of etcd")))?;
    let dial = TcpDial::new(endpoint.host.clone(), endpoint.port);
    EtcdClient::connect(Arc::new(dial), endpoint, tls).map_err(silent)
}

fn silent(error: EtcdError) -> Failure {
    Failure::new(Exit::StepFailed, chain(&error)).hint("see `quorate status` and `quorate logs`")
}

/// Whether a backup of this round is in every place before the patience with those before us ends.
async fn others_did(
    orders: &Orders,
    places: &mut Places<'_>,
    trust: &Trust,
    (begun, before_us): (Timestamp, usize),
) -> bool {
    let patience = Duration::from_secs(orders.patience).saturating_mul(u32::try_from(before_us).unwrap_or(u32::MAX));
    let until = Instant::now() + patience;
    loop {
        let kept = places
            .in_each(async |place| Ok(backups(place, &orders.cluster, trust, Timestamp::now()).await?.kept))
            .await;
        // A place that cannot be inspected may lack it.
        let is_there =
            |outcome: &Result<Vec<Kept>, Failure>| outcome.as_ref().is_ok_and(|kept| has_this_round(kept, begun));
        if kept.iter().all(|(_, outcome)| is_there(outcome)) {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        sleep(left.min(LOOK)).await;
    }
}

async fn snapshot(
    orders: &Orders,
    tls: &ClientTls,
    trust: &Trust,
    cluster: &Cluster,
) -> Result<(PathBuf, Manifest), Failure> {
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
    let scratch = Path::new(&orders.scratch);
    let path = new_file(scratch, &about.cluster, about.taken_at, REASON, &seal);
    let client = client(&orders.url, tls)?;
    let manifest = take(&client, about, seal, Some(signer(tls)?), &path, &|_, _| {}).await?;
    // A backup that nobody would count is found now, and not when it is needed.
    match Source::open(&path)?.standing(trust, Timestamp::now()) {
        Standing::Unsigned(doubt) => Err(Failure::new(
            Exit::StepFailed,
            format!("the backup would count as unsigned: {doubt}"),
        )
        .hint("look at the clock of this host, and at `quorate pki show`")),
        _ => Ok((path, manifest)),
    }
}

/// Into every place; one that fails does not keep the others from getting theirs.
async fn put(places: &mut Places<'_>, file: &Path) -> Result<(), Failure> {
    let name = name_of(file);
    let outcomes = places
        .in_each(async |place| place.put(file, &name, &|_, _| {}).await)
        .await;
    let failures: Vec<String> = outcomes
        .into_iter()
        .filter_map(|(address, outcome)| Some(format!("{address}: {}", outcome.err()?.message)))
        .collect();
    match failures.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Exit::StepFailed, failures.join("; "))),
    }
}

/// Deletes scheduled backups that no rule keeps; never others.
async fn prune(orders: &Orders, places: &mut Places<'_>, trust: &Trust) -> Result<(), Failure> {
    let Some(keep) = &orders.keep else { return Ok(()) };
    let pruned = places.in_each(async |place| {
        let now = Timestamp::now();
        // What cannot be read now is neither counted nor deleted.
        let mut kept = backups(place, &orders.cluster, trust, now).await?.kept;
        kept.retain(|kept| kept.manifest.reason == REASON);
        let candidates: Vec<_> = kept.iter().map(Kept::candidate).collect();
        for index in expired(&candidates, keep, false, now) {
            place.delete(&kept[index].file.name).await?;
        }
        Ok(())
    });
    pruned.await.into_iter().try_for_each(|(_, outcome)| outcome)
}

/// Written in one step beside the last one, whose success is kept in mind.
fn report(orders: &Orders, begun: Timestamp, end: End) -> Result<(), Failure> {
    let path = Path::new(&orders.report);
    let last = std::fs::read_to_string(path).ok();
    let last = last.and_then(|text| serde_json::from_str::<Report>(&text).ok());
    let ended = Timestamp::now();
    let last_success = match end {
        End::Taken { .. } | End::Others => Some(ended),
        End::AtRest | End::Failed { .. } => last.and_then(|report| report.last_success),
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
