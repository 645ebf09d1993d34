//! When a new cluster may be made, and whose data lies on a host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::place::{called_as_before, in_its_place, in_the_way, mount_first, runs_as_before};
use super::{Blocked, Rule};
use crate::host::{DataState, HostFacts};
use crate::inventory::{ClusterId, ClusterName, Desired, DesiredHost, NodeName};
use crate::ops::last_resort::LastResort;
use crate::ops::model::{DIFFERENT_CLUSTERS, Fact, Observed, each_cluster, why_and_help};

/// What quorate leaves beside a member's data: whose it is, and whether the bootstrap was seen to succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The inventory's cluster.
    pub cluster: ClusterName,
    /// etcd's id of it.
    pub cluster_id: ClusterId,
    /// The member.
    pub member: NodeName,
    /// Set once the whole cluster was seen healthy; from then on missing data is lost data.
    pub complete: bool,
}

impl Marker {
    /// The text of the marker file.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a marker; `None` for text that is not one.
    pub fn parse(text: &str) -> Option<Marker> {
        serde_json::from_str(text).ok()
    }

    /// The marker on a host, when there is a readable one.
    pub fn on(facts: &HostFacts) -> Option<Marker> {
        facts.data.marker.as_deref().and_then(Marker::parse)
    }
}

/// Where a cluster without an answering member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// Nothing anywhere: bootstrap.
    Fresh,
    /// A bootstrap of exactly this cluster was begun and never seen to succeed: go on with it.
    HalfMade,
    /// Members with data exist and none runs well enough to answer: start them together.
    Stopped {
        /// The hosts that carry this cluster's data.
        with_data: Vec<NodeName>,
    },
}

/// Members that answer, each for a cluster of its own, are not "a cluster that does not answer": nothing is started or
/// made while they run.
///
/// # Errors
/// When the look found members of more than one cluster.
pub fn one_cluster(observed: &Observed) -> Result<(), Blocked> {
    match &observed.cluster {
        Fact::Unknown(why) if why.starts_with(DIFFERENT_CLUSTERS) => Err(two_clusters(why)),
        _ => Ok(()),
    }
}

/// The same for who is about to talk to the members that answer, whatever a quorum of them stands behind.
///
/// # Errors
/// When they are of more than one cluster.
pub fn one_cluster_answers(answers: &BTreeMap<ClusterId, Vec<NodeName>>) -> Result<(), Blocked> {
    match answers.len() {
        0 | 1 => Ok(()),
        _ => Err(two_clusters(&format!(
            "{DIFFERENT_CLUSTERS}: {}",
            each_cluster(answers)
        ))),
    }
}

fn two_clusters(why: &str) -> Blocked {
    Blocked::new(
        Rule::ForeignData,
        why,
        "stop the members that do not belong (`systemctl disable --now etcd` there): a host that was excluded from a restore or recovery and has come back has the old \
         data",
    )
    .or(LastResort::old_data_joins_afresh())
}

/// Is the cluster that answers this inventory's? Where the own members have no quorum, another cluster's member that runs
/// on one of the hosts may be the only one that answers, and its list says nothing about ours.
///
/// # Errors
/// The host that runs what answers, and whose it is.
pub fn answers_for_us(desired: &Desired, observed: &Observed) -> Result<(), Blocked> {
    let Fact::Known(membership) = &observed.cluster else {
        return Ok(());
    };
    for host in desired.hosts.values() {
        let answers = membership.of(host).is_some_and(|m| membership.takes_part(m.id));
        let Some(Fact::Known(facts)) = observed.hosts.get(&host.name).filter(|_| answers) else {
            continue;
        };
        let theirs = match Marker::on(facts) {
            Some(marker) => marker.cluster != desired.cluster,
            None => facts.service.running_version.is_none(),
        };
        if theirs {
            data_belongs(desired, host, facts)?;
        }
    }
    Ok(())
}

/// May a new cluster be made, or an unfinished one finished? Asked when no member answers.
///
/// Rule 5: *every* planned member must be known to have no data (or only that of this unfinished bootstrap).
///
/// # Errors
/// Every host that stands in the way.
pub fn may_bootstrap(desired: &Desired, observed: &Observed, expected: ClusterId) -> Result<Ground, Vec<Blocked>> {
    let mut blocked = Vec::new();
    let mut markers: BTreeMap<&NodeName, Option<Marker>> = BTreeMap::new();
    let mut with_data = Vec::new();
    for host in desired.hosts.values() {
        match observed.hosts.get(&host.name) {
            Some(Fact::Known(facts)) => {
                let marker = Marker::on(facts);
                if let Err(refusal) = data_belongs(desired, host, facts) {
                    blocked.push(refusal);
                }
                if facts.data.state == DataState::Bootstrapped {
                    with_data.push(host.name.clone());
                }
                markers.insert(&host.name, marker);
            }
            Some(Fact::Unknown(why)) => blocked.push(unreachable(host, why)),
            Some(Fact::Absent) | None => blocked.push(unreachable(host, "it was not inspected")),
        }
    }
    if !blocked.is_empty() {
        return Err(blocked);
    }
    let any_complete = markers.values().flatten().any(|m| m.complete);
    if with_data.is_empty() && !any_complete {
        return Ok(Ground::Fresh);
    }
    let unfinished = !any_complete
        && with_data.iter().all(|name| {
            markers
                .get(name)
                .is_some_and(|m| m.as_ref().is_some_and(|m| m.cluster_id == expected))
        });
    if unfinished {
        return Ok(Ground::HalfMade);
    }
    if with_data.is_empty() {
        return Err(vec![
            Blocked::new(
                Rule::DataGone,
                "this cluster was complete once, but no host has its data any more",
                "mount the disks and run `quorate up` again",
            )
            .or(LastResort::from_a_snapshot()),
        ]);
    }
    let carriers = desired
        .hosts
        .values()
        .filter_map(|host| Some((host, observed.hosts.get(&host.name)?.known()?)));
    same_cluster(carriers).map_err(|refusal| vec![refusal])?;
    Ok(Ground::Stopped { with_data })
}

/// Is the data on these hosts all of one cluster? That of one name and inventory may be of two: a host that was left out
/// of a restore or a recovery by name, and has come back, still has what the others set aside. Started together, the old
/// cluster would run beside the new one, as large as it is.
///
/// # Errors
/// Which host has the data of which cluster.
pub fn same_cluster<'a>(hosts: impl Iterator<Item = (&'a DesiredHost, &'a HostFacts)>) -> Result<(), Blocked> {
    let mut clusters: BTreeMap<ClusterId, Vec<&str>> = BTreeMap::new();
    for (host, facts) in hosts.filter(|(_, facts)| facts.data.state == DataState::Bootstrapped) {
        if let Some(marker) = Marker::on(facts) {
            clusters.entry(marker.cluster_id).or_default().push(host.name.as_str());
        }
    }
    if clusters.len() < 2 {
        return Ok(());
    }
    Err(Blocked::new(
        Rule::ForeignData,
        format!(
            "the data on the hosts is of different clusters: {}",
            each_cluster(&clusters)
        ),
        "a host that was excluded from a restore or recovery has the old data. `quorate up --limit NAME` starts only the hosts that belong to the new \
         cluster",
    )
    .or(LastResort::each_old_one_afresh()))
}

/// Does the data of a member that the cluster lists, and that does not take part, belong to that cluster? Started, it
/// would go on as another one by itself.
///
/// # Errors
/// When a restore or a recovery came between the two.
pub fn same_as_running(running: ClusterId, host: &DesiredHost, facts: &HostFacts) -> Result<(), Blocked> {
    let marker = Marker::on(facts).filter(|_| facts.data.state == DataState::Bootstrapped);
    let Some(other) = marker.map(|marker| marker.cluster_id).filter(|id| *id != running) else {
        return Ok(());
    };
    let path = &host.paths.data;
    Err(Blocked::new(
        Rule::ForeignData,
        format!("{path} contains data of the cluster {other}, but the running members belong to {running}"),
        format!(
            "one of the two was left behind by a restore or recovery. If that one is running, stop it (`systemctl disable \
             --now etcd` there) and start this one with `quorate up --limit {}`",
            host.name
        ),
    )
    .or(LastResort::or_this_one_afresh(&host.name))
    .on(&host.name))
}

/// What somebody else installed and runs under the unit's name: where its data are says nothing about this cluster.
fn no_strangers_etcd(host: &DesiredHost, facts: &HostFacts, marker: Option<&Marker>) -> Result<(), Blocked> {
    let service = &facts.service;
    let strangers = service.pid.is_some() && service.running_version.is_none() && marker.is_none();
    let Some(exe) = service.running_exe.as_ref().filter(|_| strangers) else {
        return Ok(());
    };
    let reason = format!("its unit {} runs {exe}, which quorate did not install", host.service);
    let hint = "if that etcd is not needed, stop and remove it; otherwise give this cluster another `service`, other ports and other \
                `paths`";
    Err(Blocked::new(Rule::ForeignData, reason, hint).on(&host.name))
}

/// Rule 7: is what lies in the data directory this cluster's own?
///
/// # Errors
/// Foreign data, an aborted start that nobody of ours began, data without a marker, or its own at another place or under
/// another name.
pub fn data_belongs(desired: &Desired, host: &DesiredHost, facts: &HostFacts) -> Result<(), Blocked> {
    let marker = Marker::on(facts);
    no_strangers_etcd(host, facts, marker.as_ref())?;
    runs_as_before(desired, host, facts)?;
    in_its_place(host, facts)?;
    if let Some(marker) = marker.as_ref().filter(|_| facts.data.state != DataState::Empty) {
        called_as_before(desired, host, marker)?;
    }
    let ours = marker.as_ref().is_some_and(|m| m.cluster == desired.cluster);
    let path = &host.paths.data;
    let hint = in_the_way(host, facts);
    match (facts.data.state, &marker) {
        (DataState::Empty, Some(m)) if m.cluster != desired.cluster => Err(Blocked::new(
            Rule::ForeignData,
            format!("{path} was prepared for the cluster {}", m.cluster),
            hint,
        )
        .on(&host.name)),
        (DataState::Empty, _) => Ok(()),
        (_, Some(m)) if !ours => Err(Blocked::new(
            Rule::ForeignData,
            format!("{path} belongs to the member {} of the cluster {}", m.member, m.cluster),
            hint,
        )
        .on(&host.name)),
        (DataState::Foreign, _) => Err(Blocked::new(
            Rule::ForeignData,
            format!("{path} contains files that do not belong to etcd"),
            hint,
        )
        .on(&host.name)),
        (DataState::Aborted, Some(m)) if m.complete => {
            let (hint, last) = mount_first(host, facts, "the log");
            let lost = format!("{path} has a database, but its write-ahead log is missing");
            Err(Blocked::new(Rule::DataGone, lost, hint).or(last).on(&host.name))
        }
        (_, Some(_)) => Ok(()),
        (DataState::Aborted, None) => Err(Blocked::new(
            Rule::ForeignData,
            format!("{path} has a database without a write-ahead log: an aborted first start, or a lost log"),
            hint,
        )
        .on(&host.name)),
        (DataState::Bootstrapped, None) => Err(Blocked::new(
            Rule::ForeignData,
            format!("{path} already contains an etcd member that quorate did not create"),
            hint,
        )
        .on(&host.name)),
    }
}

fn unreachable(host: &DesiredHost, why: &str) -> Blocked {
    let (why, help) = why_and_help(why);
    Blocked::new(Rule::Unreachable, why, help.unwrap_or("fix the connection")).on(&host.name)
}
