//! Looks at hosts and etcd, all at once, and changes nothing. A failure is a fact of its own and never an error.

mod answers;
mod auth;
mod board;
mod clients;
mod hear;
mod lost;
mod notes;
mod replays;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use self::answers::look_at_cluster;
use self::auth::look_at_auth;
pub use self::auth::{observe_logins, read_auth, try_logins};
pub use self::board::{Board, FRESH, Moment, Seen};
use self::clients::look_at_clients;
pub use self::clients::observe_clients;
pub use self::hear::{Heard, Question, conclude, hear};
pub use self::lost::{Missed, back_again};
pub use self::notes::{observe_answers, observe_notes};
use self::replays::look_at_replays;
pub use self::replays::observe_replays;
use self::streams::{heard_at, with_streams};
use crate::etcd::ClientTls;
use crate::host::{FactsQuery, HostError, HostFacts};
use crate::inventory::{DesiredHost, HostPath, NodeName, ServiceManager, Version};
use crate::ops::check::{Depth, Look};
use crate::ops::fleet::Fleet;
use crate::ops::listening::Listening;
use crate::ops::model::{Fact, Membership, Observed};
use crate::ops::plan::{managed_files, pki_manifest};
use crate::ops::rest::{RestNote, TurnNote};
use crate::ops::restore::RestoreNote;
use crate::render::{CRL, SchedulePaths};

/// A member that is well answers within milliseconds; one without a quorum never does.
const STATUS_LIMIT: Duration = Duration::from_secs(3);

/// A server that forbids a stream says so at once; one that tries and hears nothing has allowed it.
const STREAM_LIMIT: Duration = Duration::from_secs(2);

/// Everything: every host, and the cluster when there is a CA to talk to it with.
pub async fn observe(fleet: &Arc<Fleet>, tls: Option<&ClientTls>) -> Observed {
    observe_cluster(fleet, tls, observe_hosts(fleet).await).await
}

/// Every host.
pub async fn observe_hosts(fleet: &Arc<Fleet>) -> BTreeMap<NodeName, Fact<HostFacts>> {
    look_at_hosts(fleet, fleet.desired().hosts.values()).await
}

/// The cluster, as the members on `hosts` tell it when there is a CA to talk to them with.
pub async fn observe_cluster(
    fleet: &Arc<Fleet>,
    tls: Option<&ClientTls>,
    mut hosts: BTreeMap<NodeName, Fact<HostFacts>>,
) -> Observed {
    let running = |fact: &Fact<HostFacts>| fact.known().is_some_and(|facts| facts.service.pid.is_some());
    let cluster = look_at_cluster(fleet, tls, &mut hosts, running).await;
    with_peers_and_users(fleet, tls, hosts, cluster).await
}

/// What takes more than one answer each: the leader's word for those in the dark, and etcd's users.
async fn with_peers_and_users(
    fleet: &Arc<Fleet>,
    tls: Option<&ClientTls>,
    hosts: BTreeMap<NodeName, Fact<HostFacts>>,
    mut cluster: Fact<Membership>,
) -> Observed {
    if let (Fact::Known(membership), Some(tls)) = (&mut cluster, tls) {
        ask_peers(fleet, tls, membership).await;
    }
    let auth = look_at_auth(fleet, tls, &cluster).await;
    Observed {
        at: Timestamp::now(),
        hosts,
        cluster,
        auth,
        clients: BTreeMap::new(),
        replays: BTreeMap::new(),
    }
}

/// Looks again; what is not looked at stays as it was seen before.
pub async fn look_again(fleet: &Arc<Fleet>, tls: Option<&ClientTls>, before: &Observed, look: &Look) -> Observed {
    let at = |depth: Depth| {
        fleet
            .desired()
            .hosts
            .values()
            .filter(move |h| look.hosts.get(&h.name) == Some(&depth))
    };
    let mut in_part = Vec::new();
    for depth in [Depth::Service, Depth::Data] {
        in_part.extend(at(depth).map(|spec| (spec, depth)));
    }
    let (closely, members) = tokio::join!(
        look_at_hosts(fleet, at(Depth::Everything)),
        look_at_members(fleet, in_part, before),
    );
    let mut hosts = before.hosts.clone();
    hosts.extend(closely);
    hosts.extend(members);
    // What was seen before says nothing about who runs now: whoever could be reached is asked.
    let reachable = |fact: &Fact<HostFacts>| fact.known().is_some();
    let mut cluster = match look.cluster {
        true => look_at_cluster(fleet, tls, &mut hosts, reachable).await,
        false => before.cluster.clone(),
    };
    if let (true, Fact::Known(membership), Some(tls)) = (look.cluster, &mut cluster, tls) {
        ask_peers(fleet, tls, membership).await;
    }
    let cluster = match (cluster, tls) {
        (Fact::Known(membership), Some(tls)) if look.streams => Fact::Known(with_streams(fleet, tls, membership).await),
        (cluster, _) => cluster,
    };
    // Who was asked for before is looked for again.
    let mut clients = before.clients.clone();
    clients.extend(
        look_at_clients(
            fleet,
            at(Depth::Everything).filter(|h| before.clients.contains_key(&h.name)),
        )
        .await,
    );
    let mut replays = before.replays.clone();
    let read = fleet
        .desired()
        .hosts
        .values()
        .filter(|h| look.replays.contains(&h.name));
    replays.extend(look_at_replays(fleet, read).await);
    Observed {
        at: Timestamp::now(),
        hosts,
        cluster,
        auth: before.auth.clone(),
        clients,
        replays,
    }
}

/// What the service managers say now, and where it is asked for what the data directories hold, put into what was seen of
/// the hosts before.
async fn look_at_members(
    fleet: &Arc<Fleet>,
    specs: Vec<(&DesiredHost, Depth)>,
    before: &Observed,
) -> BTreeMap<NodeName, Fact<HostFacts>> {
    let looks = specs.into_iter().map(|(spec, depth)| async move {
        let member = fleet.ask(spec, |host| {
            Box::pin(async move {
                match depth {
                    Depth::Service => Ok((host.service().await?, None)),
                    _ => host.member().await.map(|(service, data)| (service, Some(data))),
                }
            })
        });
        let fact = match (member.await, before.hosts.get(&spec.name)) {
            (Ok((service, data)), Some(Fact::Known(facts))) => Fact::Known(HostFacts {
                service,
                data: data.unwrap_or_else(|| facts.data.clone()),
                ..facts.clone()
            }),
            (Ok(_), _) => as_fact(look_at_host(fleet, spec, None).await),
            (Err(error), _) => as_fact(Err(error)),
        };
        (spec.name.clone(), fact)
    });
    join_all(looks).await.into_iter().collect()
}

async fn look_at_hosts<'a>(
    fleet: &Arc<Fleet>,
    specs: impl Iterator<Item = &'a DesiredHost>,
) -> BTreeMap<NodeName, Fact<HostFacts>> {
    let looks = specs.map(|spec| async move { (spec.name.clone(), as_fact(look_at_host(fleet, spec, None).await)) });
    join_all(looks).await.into_iter().collect()
}

/// Everything about one host; `limit`: as for [`Fleet::ask_within`].
async fn look_at_host(fleet: &Arc<Fleet>, spec: &DesiredHost, limit: Option<Duration>) -> Result<HostFacts, HostError> {
    let query = &what_to_look_at(spec, fleet.desired().version);
    let facts = fleet.ask_within(spec, limit, |host| Box::pin(async move { host.facts(query).await }));
    let facts = facts.await?;
    fleet.listens(spec, Listening::of(spec, &facts)).await;
    if facts.service.pid.is_none() {
        could_be_talked_to(fleet, spec).await?;
    }
    Ok(facts)
}

/// Whether a member could be talked to where none runs yet: found out before anything is touched, and not when it has
/// been made and nobody can see it. That nothing answers there is what is expected.
async fn could_be_talked_to(fleet: &Arc<Fleet>, spec: &DesiredHost) -> Result<(), HostError> {
    let host = fleet.host(spec).await?;
    let address = spec.address.to_string();
    let opened = tokio::time::timeout(STREAM_LIMIT, host.transport().tunnel(&address, spec.client_port)).await;
    match opened {
        Ok(Err(error @ HostError::Script { .. })) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The files quorate manages on a host, the ports and disks the member needs, and the release it should run.
fn what_to_look_at(spec: &DesiredHost, version: Version) -> FactsQuery {
    let pki = |name: &str| spec.paths.pki.join(name);
    let mut contents = managed_files(spec);
    contents.push(spec.paths.config.previous());
    contents.extend([RestoreNote::path(spec), RestNote::path(spec), TurnNote::path(spec)]);
    contents.push(SchedulePaths::of(spec).report);
    contents.extend([pki("ca.crt"), pki("server.crt"), pki("peer.crt"), pki_manifest(spec)]);
    FactsQuery {
        contents,
        hashes: vec![
            pki("server.key"),
            pki("peer.key"),
            pki(CRL),
            SchedulePaths::of(spec).timer,
        ],
        ports: [
            Some(spec.client_port),
            Some(spec.peer_port),
            spec.metrics.map(|m| m.port),
        ]
        .into_iter()
        .flatten()
        .collect(),
        disks: written_to(spec),
        releases: [version].into(),
        roots: roots(spec),
        footing: footing(spec),
        account: (spec.service_manager == ServiceManager::Systemd).then(|| spec.user.clone()),
    }
}

/// What must be root's, so that etcd's account cannot put something else into it. Where members run as the operator there is
/// no such account.
fn roots(spec: &DesiredHost) -> Vec<HostPath> {
    if spec.service_manager != ServiceManager::Systemd {
        return Vec::new();
    }
    let paths = &spec.paths;
    let asides = std::iter::once(paths.data_aside()).chain(paths.wal_aside());
    [
        paths.pki.clone(),
        paths.pki.join("current"),
        SchedulePaths::of(spec).config,
    ]
    .into_iter()
    .chain(asides)
    .collect()
}

/// What the member's account reads and writes.
fn footing(spec: &DesiredHost) -> Vec<HostPath> {
    let paths = &spec.paths;
    let named = [&paths.data, &paths.bin, &paths.config, &paths.pki];
    named.into_iter().chain(&paths.wal).cloned().collect()
}

/// The directories and files below which something is put.
fn written_to(spec: &DesiredHost) -> Vec<HostPath> {
    let paths = &spec.paths;
    [&paths.data, &paths.bin, &paths.config, &paths.pki]
        .into_iter()
        .chain(&paths.wal)
        .cloned()
        .collect()
}

/// What a look at a host came to: of an error the text without the host's name in front, which stands beside it wherever
/// it is shown, and its help.
fn as_fact<T>(look: Result<T, HostError>) -> Fact<T> {
    let error = match look {
        Ok(seen) => return Fact::Known(seen),
        Err(error) => error,
    };
    Fact::unknown(&error.what(), error.hint())
}

/// Members whose host cannot be inspected: the leader tells whether they answer its heartbeats.
async fn ask_peers(fleet: &Arc<Fleet>, tls: &ClientTls, membership: &mut Membership) {
    let leader = membership.leader().filter(|id| membership.healthy(*id));
    let led_by = |spec: &&DesiredHost| membership.of(spec).map(|member| member.id) == leader;
    let Some(spec) = fleet.desired().hosts.values().find(led_by) else {
        return;
    };
    if let (Some(id), false) = (leader, membership.unseen.is_empty()) {
        let heard = heard_at(fleet, spec, tls).await;
        membership.peers.insert(id, heard);
    }
}
