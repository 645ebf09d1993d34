//! Looks at hosts and etcd, all at once, and changes nothing. A failure is a fact of its own and never an error.

mod auth;
mod clients;
mod notes;
mod replays;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

pub use self::auth::read_auth;
use self::clients::look_at_clients;
pub use self::clients::observe_clients;
pub use self::notes::{observe_answers, observe_notes};
use self::replays::look_at_replays;
pub use self::replays::observe_replays;
use self::streams::{heard_at, with_streams};
use crate::etcd::{Alarm, Answer, ClientTls, EtcdError, Member, MemberStatus};
use crate::host::ssh::FORWARDING_FORBIDDEN;
use crate::host::{DataState, FactsQuery, HostError, HostFacts, ServiceState};
use crate::inventory::{AuthMode, ClusterId, DesiredHost, HostPath, MemberId, NodeName, ServiceManager, Version};
use crate::ops::authorization::AuthState;
use crate::ops::check::{Depth, Look};
use crate::ops::fleet::Fleet;
use crate::ops::model::{
    DIFFERENT_CLUSTERS, Fact, Membership, NO_QUORUM, NO_WAY_TO_ASK, Observed, each_cluster, host_of,
};
use crate::ops::plan::{managed_files, pki_manifest};
use crate::ops::restore::RestoreNote;
use crate::ops::sight::nobody_runs;
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
    hosts: BTreeMap<NodeName, Fact<HostFacts>>,
) -> Observed {
    let running = |name: &NodeName| {
        hosts
            .get(name)
            .and_then(Fact::known)
            .is_some_and(|facts| facts.service.pid.is_some())
    };
    let mut cluster = look_at_cluster(fleet, tls, &hosts, &running).await;
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
    let reachable = |name: &NodeName| matches!(hosts.get(name), Some(Fact::Known(_)));
    let mut cluster = match look.cluster {
        true => look_at_cluster(fleet, tls, &hosts, &reachable).await,
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
            (Ok(_), _) => as_fact(look_at_host(fleet, spec).await),
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
    let looks = specs.map(|spec| async move { (spec.name.clone(), as_fact(look_at_host(fleet, spec).await)) });
    join_all(looks).await.into_iter().collect()
}

async fn look_at_host(fleet: &Arc<Fleet>, spec: &DesiredHost) -> Result<HostFacts, HostError> {
    let query = &what_to_look_at(spec, fleet.desired().version);
    let facts = fleet.ask(spec, |host| Box::pin(async move { host.facts(query).await }));
    let facts = facts.await?;
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
    contents.push(RestoreNote::path(spec));
    contents.push(SchedulePaths::of(spec).report);
    contents.extend([pki("ca.crt"), pki("server.crt"), pki("peer.crt"), pki_manifest(spec)]);
    FactsQuery {
        contents,
        hashes: vec![pki("server.key"), pki("peer.key"), pki(CRL)],
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
    let text = error.to_string();
    let why = text.strip_prefix(&format!("{}: ", error.node())).unwrap_or(&text);
    Fact::unknown(why, error.hint())
}

/// What one member answered.
struct Answered {
    status: Result<MemberStatus, EtcdError>,
    quorum_list: Result<Answer<Vec<Member>>, EtcdError>,
    alarms: Vec<Alarm>,
    /// Asked only between two minor releases.
    works_at: Option<Version>,
}

async fn look_at_cluster(
    fleet: &Arc<Fleet>,
    tls: Option<&ClientTls>,
    hosts: &BTreeMap<NodeName, Fact<HostFacts>>,
    asked: &(dyn Fn(&NodeName) -> bool + Sync),
) -> Fact<Membership> {
    let Some(tls) = tls else {
        let why = "there is no valid CA to connect to etcd with";
        return nothing_answers(hosts, format!("{NO_WAY_TO_ASK}: {why}"));
    };
    let asks = fleet
        .desired()
        .hosts
        .values()
        .filter(|spec| asked(&spec.name))
        .map(|spec| async move { (spec, ask(fleet, spec, tls).await) });
    let answers: Vec<(&DesiredHost, Answered)> = join_all(asks).await;
    if answers.is_empty() {
        return nothing_answers(hosts, nobody_runs(hosts));
    }
    match from_answers(&answers) {
        Some(Fact::Known(mut membership)) => {
            ask_strangers(fleet, tls, &answers, &mut membership).await;
            let mut membership = membership.seen_from(fleet.desired(), hosts);
            for (spec, why) in no_way_in(&answers) {
                if let Some(id) = membership.of(spec).map(|member| member.id) {
                    membership.status.remove(&id);
                    membership.unseen.insert(id, format!("{why}\n{ALLOW_FORWARDING}"));
                }
            }
            return Fact::Known(membership);
        }
        Some(other) => return other,
        None => {}
    }
    if no_way_in(&answers).count() == answers.len() {
        return Fact::Unknown(format!("{NO_WAY_TO_ASK}: {}\n{ALLOW_FORWARDING}", silence(&answers)));
    }
    // Nobody stands behind a list: a member's own copy, from the port that answers without a quorum.
    let local = join_all(answers.iter().map(|(spec, _)| local_list(fleet, spec, tls))).await;
    let ready = |name| {
        hosts
            .get(name)
            .and_then(Fact::known)
            .is_some_and(|f| f.service.state == ServiceState::Running)
    };
    let unasked = answers.iter().any(|(spec, a)| a.status.is_err() && ready(&spec.name));
    let found = local.into_iter().flatten().next();
    let dark: Vec<&str> = hosts
        .iter()
        .filter(|(_, fact)| fact.known().is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    Fact::Unknown(without_a_list(
        found.map(|(id, members)| (id, members.len())),
        unasked,
        &dark,
        &silence(&answers),
    ))
}

/// What helps where the SSH server opens no way to the member.
const ALLOW_FORWARDING: &str =
    "allow this login to forward to the host's own ports (`AllowTcpForwarding local` in sshd_config)";

/// Members that nobody could ask, because the SSH server of their host forbids it: why. They have not been silent.
fn no_way_in<'a>(answers: &'a [(&'a DesiredHost, Answered)]) -> impl Iterator<Item = (&'a DesiredHost, &'a str)> {
    answers.iter().filter_map(|(spec, answer)| match &answer.status {
        Err(EtcdError::Unreachable { why, .. }) if why.contains(FORWARDING_FORBIDDEN) => Some((*spec, why.as_str())),
        _ => None,
    })
}

/// What is known where nobody stands behind a list. That a cluster has no quorum can be said only where every member that
/// is ready was asked: whoever does not answer us, because its certificate has ended, may well answer the others.
///
/// Where hosts are in the dark it is said of what can be seen alone.
fn without_a_list(local: Option<(ClusterId, usize)>, unasked: bool, dark: &[&str], silence: &str) -> String {
    match local {
        Some((id, members)) if !unasked && !dark.is_empty() => format!(
            "the visible part of cluster {id} with {members} members {NO_QUORUM} on its own, and {} could not be inspected: \
             {silence}",
            dark.join(", ")
        ),
        Some((id, members)) if !unasked => format!("cluster {id} with {members} members {NO_QUORUM}: {silence}"),
        Some((id, members)) => {
            format!("not every member of cluster {id} with {members} members could be queried: {silence}")
        }
        None => format!("no member that could be queried answers: {silence}"),
    }
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

/// etcd's users and roles, from a healthy member; only where the inventory has a say in them.
async fn look_at_auth(fleet: &Arc<Fleet>, tls: Option<&ClientTls>, cluster: &Fact<Membership>) -> Fact<AuthState> {
    let (Fact::Known(membership), Some(tls)) = (cluster, tls) else {
        return Fact::Absent;
    };
    if fleet.desired().auth.mode == AuthMode::LeftAlone {
        return Fact::Absent;
    }
    let healthy = fleet.desired().hosts.values().find(|spec| {
        let member = membership.of(spec);
        member.is_some_and(|m| !m.learner && membership.healthy(m.id))
    });
    let Some(spec) = healthy else {
        return Fact::Unknown("no member is healthy".into());
    };
    let read = async { read_auth(&fleet.client(spec, tls).await?).await };
    match read.await {
        Ok(state) => Fact::Known(state),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

/// Members that are no hosts of the inventory count and may lead like any other: they are asked through a host whose own
/// member answered.
async fn ask_strangers(
    fleet: &Arc<Fleet>,
    tls: &ClientTls,
    answers: &[(&DesiredHost, Answered)],
    membership: &mut Membership,
) {
    let Some((via, _)) = answers.iter().find(|(_, answer)| answer.status.is_ok()) else {
        return;
    };
    let strangers = membership
        .members
        .iter()
        .filter(|member| member.published() && host_of(fleet.desired(), member).is_none());
    let asks = strangers.map(|member| async move {
        let asked = async { fleet.stranger(member, via, tls).await?.status(STATUS_LIMIT).await };
        let fact = asked
            .await
            .map_or_else(|error| Fact::Unknown(error.to_string()), Fact::Known);
        (member.id, fact)
    });
    let told = join_all(asks).await;
    membership.status.extend(told);
}

async fn ask(fleet: &Arc<Fleet>, spec: &DesiredHost, tls: &ClientTls) -> Answered {
    let client = match fleet.client(spec, tls).await {
        Ok(client) => client,
        Err(error) => {
            return Answered {
                status: Err(error.clone()),
                quorum_list: Err(error),
                alarms: Vec::new(),
                works_at: None,
            };
        }
    };
    // 3.4 answers a member list from local memory whatever is asked; after a linearizable read on the same member that
    // list is as new as one from a quorum.
    let list = async {
        client.linearizable_ping().await?;
        client.members(true).await
    };
    let limited = async {
        tokio::time::timeout(STATUS_LIMIT, list).await.unwrap_or_else(|_| {
            Err(EtcdError::Silent {
                endpoint: client.endpoint().to_string(),
                operation: "member list",
                seconds: STATUS_LIMIT.as_secs(),
            })
        })
    };
    let alarms = async { tokio::time::timeout(STATUS_LIMIT, client.alarms()).await };
    let (status, quorum_list, alarms) = tokio::join!(client.status(STATUS_LIMIT), limited, alarms);
    let works_at = match status.as_ref().is_ok_and(MemberStatus::between_minors) {
        true => fleet.works_at(spec, tls).await,
        false => None,
    };
    Answered {
        status,
        quorum_list,
        alarms: alarms.ok().and_then(Result::ok).unwrap_or_default(),
        works_at,
    }
}

/// The membership that the answers agree on; `None` when nobody could read a list from a quorum.
fn from_answers(answers: &[(&DesiredHost, Answered)]) -> Option<Fact<Membership>> {
    let lists: Vec<&Answer<Vec<Member>>> = answers
        .iter()
        .filter_map(|(_, a)| a.quorum_list.as_ref().ok())
        .collect();
    let mut clusters: BTreeMap<ClusterId, Vec<&str>> = BTreeMap::new();
    for (spec, answer) in answers {
        if let Ok(list) = &answer.quorum_list {
            clusters
                .entry(list.header.cluster_id)
                .or_default()
                .push(spec.name.as_str());
        }
    }
    if clusters.len() > 1 {
        return Some(Fact::Unknown(format!(
            "{DIFFERENT_CLUSTERS}: {}",
            each_cluster(&clusters)
        )));
    }
    // Members that lag behind may still show an older list: the one of the highest term and revision is the newest.
    let newest = lists
        .into_iter()
        .max_by_key(|l| (l.header.raft_term, l.header.revision, l.value.len()))?;
    let mut status: BTreeMap<MemberId, Fact<MemberStatus>> = BTreeMap::new();
    let mut works_at = BTreeMap::new();
    let mut alarms = BTreeSet::new();
    for (spec, answer) in answers {
        alarms.extend(answer.alarms.iter().copied());
        let listed = newest.value.iter().find(|m| m.peer_urls.contains(&spec.peer_url()));
        if let Some(member) = listed {
            let fact = match &answer.status {
                Ok(status) => Fact::Known(status.clone()),
                Err(error) => Fact::Unknown(error.to_string()),
            };
            status.insert(member.id, fact);
            works_at.extend(answer.works_at.map(|version| (member.id, version)));
        }
    }
    Some(Fact::Known(Membership {
        cluster_id: newest.header.cluster_id,
        by_quorum: true,
        members: newest.value.clone(),
        status,
        alarms: alarms.into_iter().collect(),
        peers: BTreeMap::new(),
        unseen: BTreeMap::new(),
        works_at,
    }))
}

async fn local_list(fleet: &Arc<Fleet>, spec: &DesiredHost, tls: &ClientTls) -> Option<(ClusterId, Vec<Member>)> {
    let http = fleet.http(spec, spec.peer_port, tls).ok()?;
    let answer = http.peer_members(STATUS_LIMIT).await.ok()?;
    Some((answer.cluster_id, answer.members))
}

fn silence(answers: &[(&DesiredHost, Answered)]) -> String {
    let why: Vec<String> = answers
        .iter()
        .filter_map(|(spec, a)| {
            a.status
                .as_ref()
                .err()
                .or(a.quorum_list.as_ref().err())
                .map(|e| format!("{}: {e}", spec.name))
        })
        .collect();
    why.join("; ")
}

/// `Absent` only when every host was looked at and none carries data.
fn nothing_answers(hosts: &BTreeMap<NodeName, Fact<HostFacts>>, why: String) -> Fact<Membership> {
    let all_empty = hosts
        .values()
        .all(|fact| fact.known().is_some_and(|f| f.data.state == DataState::Empty));
    if all_empty { Fact::Absent } else { Fact::Unknown(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else `recover` would go on from a learner while the only voter works, which cannot be asked for its certificate.
    #[test]
    fn a_quorum_is_gone_only_where_everybody_who_is_ready_was_asked() {
        let local = Some((ClusterId(7), 2));
        assert!(without_a_list(local, false, &[], "etcd-2: no leader").contains(NO_QUORUM));
        let in_part = without_a_list(local, false, &["etcd-3"], "etcd-2: no leader");
        assert!(
            in_part.contains("the visible part") && in_part.contains("etcd-3 could not be inspected"),
            "{in_part}"
        );
        let unasked = without_a_list(local, true, &[], "etcd-1: certificate has expired");
        assert!(
            !unasked.contains(NO_QUORUM) && unasked.contains("certificate has expired"),
            "{unasked}"
        );
        assert!(!without_a_list(None, false, &[], "etcd-1: connection refused").contains(NO_QUORUM));
    }
}
