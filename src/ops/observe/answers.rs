//! What members answer when they are asked, and the cluster that their answers agree on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::STATUS_LIMIT;
use super::lost::{look_behind, seen_behind};
use crate::etcd::{Alarm, Answer, ClientTls, EtcdError, Member, MemberStatus};
use crate::host::ssh::FORWARDING_FORBIDDEN;
use crate::host::{DataState, HostFacts, ServiceState};
use crate::inventory::{ClusterId, Desired, DesiredHost, MemberId, NodeName, Version};
use crate::ops::fleet::Fleet;
use crate::ops::model::{DIFFERENT_CLUSTERS, Fact, Membership, NO_QUORUM, NO_WAY_TO_ASK, each_cluster, host_of};
use crate::ops::sight::nobody_runs;

/// What one member answered.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) status: Result<MemberStatus, EtcdError>,
    pub(super) quorum_list: Result<Answer<Vec<Member>>, EtcdError>,
    pub(super) alarms: Vec<Alarm>,
    /// Asked only between two minor releases.
    pub(super) works_at: Option<Version>,
    /// What members said through this one's host that are no hosts of the inventory.
    strangers: BTreeMap<MemberId, Fact<MemberStatus>>,
    /// Its own copy of the list, from the port that answers without a quorum. Asked only where no quorum stands behind one.
    local: Option<(ClusterId, Vec<Member>)>,
}

impl Answered {
    /// One that answered everything.
    #[cfg(test)]
    pub(super) fn well(status: MemberStatus, members: Vec<Member>) -> Self {
        let quorum_list = Ok(Answer {
            header: status.header,
            value: members,
        });
        Self {
            status: Ok(status),
            quorum_list,
            alarms: Vec::new(),
            works_at: None,
            strangers: BTreeMap::new(),
            local: None,
        }
    }

    /// One that could not be asked.
    pub(super) fn not_asked(error: EtcdError) -> Self {
        Self {
            status: Err(error.clone()),
            quorum_list: Err(error),
            alarms: Vec::new(),
            works_at: None,
            strangers: BTreeMap::new(),
            local: None,
        }
    }
}

/// Asks the members on those hosts that are to be `asked`. Behind a
/// silent one its host is looked at again.
pub(super) async fn look_at_cluster(
    fleet: &Arc<Fleet>,
    tls: Option<&ClientTls>,
    hosts: &mut BTreeMap<NodeName, Fact<HostFacts>>,
    asked: fn(&Fact<HostFacts>) -> bool,
) -> Fact<Membership> {
    let Some(tls) = tls else {
        return no_certificate(hosts);
    };
    let specs = fleet.desired().hosts.values();
    let asks = specs
        .filter(|spec| hosts.get(&spec.name).is_some_and(asked))
        .map(|spec| async move {
            let answer = ask(fleet, spec, tls, STATUS_LIMIT).await;
            let behind = look_behind(fleet, spec, &answer, STATUS_LIMIT).await;
            (spec, answer, behind)
        });
    let mut answers = Vec::new();
    for (spec, answer, behind) in join_all(asks).await {
        answers.push((spec, answer));
        if let (Some(behind), Some(fact)) = (behind, hosts.get_mut(&spec.name)) {
            *fact = seen_behind(fact, behind);
        }
    }
    match from_answers(&answers) {
        Some(Fact::Known(membership)) => {
            let via = answers.iter_mut().find(|(_, answer)| answer.status.is_ok());
            if let Some((spec, answer)) = via {
                answer.strangers = ask_strangers(fleet, tls, spec, &membership.members).await;
            }
        }
        Some(_) => {}
        None if no_way_in(&answers).count() == answers.len() => {}
        None => {
            let local = join_all(answers.iter().map(|(spec, _)| local_list(fleet, spec, tls))).await;
            for ((_, answer), list) in answers.iter_mut().zip(local) {
                answer.local = list;
            }
        }
    }
    agreed(fleet.desired(), hosts, &answers)
}

/// Asks one member everything, by itself: also those that only it may know of, or its own copy of the list. `limit`: for each
/// answer; one that gives none is then not asked for its list either.
pub(super) async fn ask_thoroughly(
    fleet: &Arc<Fleet>,
    spec: &DesiredHost,
    tls: &ClientTls,
    limit: Option<Duration>,
) -> Answered {
    let mut answer = ask(fleet, spec, tls, limit.unwrap_or(STATUS_LIMIT)).await;
    match &answer.quorum_list {
        Ok(list) if answer.status.is_ok() => answer.strangers = ask_strangers(fleet, tls, spec, &list.value).await,
        Err(_) if answer.status.is_ok() || limit.is_none() => answer.local = local_list(fleet, spec, tls).await,
        _ => {}
    }
    answer
}

/// Nobody can be asked without a certificate.
pub(super) fn no_certificate(hosts: &BTreeMap<NodeName, Fact<HostFacts>>) -> Fact<Membership> {
    let why = "there is no valid CA to connect to etcd with";
    nothing_answers(hosts, format!("{NO_WAY_TO_ASK}: {why}"))
}

/// The cluster that the answers agree on, and what is known where they do not.
pub(super) fn agreed(
    desired: &Desired,
    hosts: &BTreeMap<NodeName, Fact<HostFacts>>,
    answers: &[(&DesiredHost, Answered)],
) -> Fact<Membership> {
    if answers.is_empty() {
        return nothing_answers(hosts, nobody_runs(hosts));
    }
    match from_answers(answers) {
        Some(Fact::Known(mut membership)) => {
            add_strangers(desired, answers, &mut membership);
            let mut membership = membership.seen_from(desired, hosts);
            for (spec, why, help) in no_way_in(answers) {
                if let Some(id) = membership.of(spec).map(|member| member.id) {
                    membership.status.remove(&id);
                    membership.unseen.insert(id, format!("{why}\n{help}"));
                }
            }
            return Fact::Known(membership);
        }
        Some(other) => return other,
        None => {}
    }
    if let Some((_, _, help)) = no_way_in(answers).next()
        && no_way_in(answers).count() == answers.len()
    {
        return Fact::Unknown(format!("{NO_WAY_TO_ASK}: {}\n{help}", silence(answers)));
    }
    // Nobody stands behind a list: a member's own copy.
    let ready = |name| {
        hosts
            .get(name)
            .and_then(Fact::known)
            .is_some_and(|f| f.service.state == ServiceState::Running)
    };
    let unasked = answers.iter().any(|(spec, a)| a.status.is_err() && ready(&spec.name));
    let found = answers.iter().find_map(|(_, answer)| answer.local.as_ref());
    let dark: Vec<&str> = hosts
        .iter()
        .filter(|(_, fact)| fact.known().is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    Fact::Unknown(without_a_list(
        found.map(|(id, members)| (*id, members.len())),
        unasked,
        &dark,
        &silence(answers),
    ))
}

/// What helps where the SSH server opens no way to the member.
const ALLOW_FORWARDING: &str =
    "allow this login to forward to the host's own ports (`AllowTcpForwarding local` in sshd_config)";

/// What helps where etcd's users keep the answer from a viewer: 3.5.28 to 3.5.31 and 3.6.9 to 3.6.11 tell their status to
/// `root` alone (docs/etcd.md, "Authentication").
const ASK_AS_ROOT: &str =
    "this release shows its members' state to `root` alone: ask an operator who can open the CA key, or upgrade etcd";

/// Members that nobody could ask, because the SSH server of their host forbids it, or that do not answer us because of who
/// we are: why, and what to do about it. They have not been silent.
fn no_way_in<'a>(
    answers: &'a [(&'a DesiredHost, Answered)],
) -> impl Iterator<Item = (&'a DesiredHost, String, &'static str)> {
    answers.iter().filter_map(|(spec, answer)| match &answer.status {
        Err(EtcdError::Unreachable { why, .. }) if why.contains(FORWARDING_FORBIDDEN) => {
            Some((*spec, why.clone(), ALLOW_FORWARDING))
        }
        Err(error @ EtcdError::Denied { .. }) => Some((*spec, error.to_string(), ASK_AS_ROOT)),
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

/// Members that are no hosts of the inventory count and may lead like any other: they are asked through a host whose own
/// member answered.
async fn ask_strangers(
    fleet: &Arc<Fleet>,
    tls: &ClientTls,
    via: &DesiredHost,
    members: &[Member],
) -> BTreeMap<MemberId, Fact<MemberStatus>> {
    let strangers = members
        .iter()
        .filter(|member| member.published() && host_of(fleet.desired(), member).is_none());
    let asks = strangers.map(|member| async move {
        let asked = async { fleet.stranger(member, via, tls).await?.status(STATUS_LIMIT).await };
        let fact = asked
            .await
            .map_or_else(|error| Fact::Unknown(error.to_string()), Fact::Known);
        (member.id, fact)
    });
    join_all(asks).await.into_iter().collect()
}

/// One that answered through any host has answered.
fn add_strangers(desired: &Desired, answers: &[(&DesiredHost, Answered)], membership: &mut Membership) {
    let listed = |id: MemberId| {
        let member = membership.members.iter().find(|member| member.id == id);
        member.is_some_and(|member| host_of(desired, member).is_none())
    };
    let told = answers.iter().flat_map(|(_, answer)| &answer.strangers);
    let told: Vec<_> = told.filter(|(id, _)| listed(**id)).collect();
    for (id, fact) in told {
        let known = membership.status.get(id).is_some_and(|fact| fact.known().is_some());
        if !known {
            membership.status.insert(*id, fact.clone());
        }
    }
}

async fn ask(fleet: &Arc<Fleet>, spec: &DesiredHost, tls: &ClientTls, limit: Duration) -> Answered {
    let client = match fleet.client(spec, tls).await {
        Ok(client) => client,
        Err(error) => return Answered::not_asked(error),
    };
    // 3.4 answers a member list from local memory whatever is asked; after a linearizable read on the same member that
    // list is as new as one from a quorum.
    let list = async {
        client.linearizable_ping().await?;
        client.members(true).await
    };
    let limited = async {
        tokio::time::timeout(limit, list).await.unwrap_or_else(|_| {
            Err(EtcdError::Silent {
                endpoint: client.endpoint().to_string(),
                operation: "member list",
                seconds: limit.as_secs(),
            })
        })
    };
    let alarms = async { tokio::time::timeout(limit, client.alarms()).await };
    let (status, quorum_list, alarms) = tokio::join!(client.status(limit), limited, alarms);
    let works_at = match status.as_ref().is_ok_and(MemberStatus::between_minors) {
        true => fleet.works_at(spec, tls).await,
        false => None,
    };
    Answered {
        status,
        quorum_list,
        alarms: alarms.ok().and_then(Result::ok).unwrap_or_default(),
        works_at,
        strangers: BTreeMap::new(),
        local: None,
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
        // Where the list has none at the inventory's URL, a member is who it says it is.
        let says = answer.status.as_ref().ok().map(|status| status.header);
        let says = says.filter(|says| says.cluster_id == newest.header.cluster_id);
        let is = |m: &&Member| says.is_some_and(|says| says.member_id == m.id);
        let mut all = newest.value.iter();
        let listed = all.clone().find(|m| m.peer_urls.contains(&spec.peer_url()));
        if let Some(member) = listed.or_else(|| all.find(is)) {
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
