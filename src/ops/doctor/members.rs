//! Who is well, who hears whom, and what runs.

use std::collections::BTreeSet;

use super::{Examined, Finding, Kind};
use crate::bundle::{self, known_bad};
use crate::etcd::Metrics;
use crate::inventory::{DesiredHost, Version};
use crate::ops::check::why_unhealthy;
use crate::ops::inspect::without_stream;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, Membership, host_of, label, why_and_help};
use crate::ops::safety::bootstrap::one_cluster;
use crate::ops::safety::downgrade::told;
use crate::ops::safety::leader::none_is_agreed_on;
use crate::ops::safety::moves::as_known;
use crate::ops::safety::quorum::Strength;
use crate::ops::safety::rest::not_stopped;
use crate::ops::safety::upkeep::way_out;
use crate::ops::sight::Health;

/// etcd turns writes away (`too many requests`) when a member has this many entries left to apply
/// (`maxGapBetweenApplyAndCommitIndex`, server/etcdserver/v3_server.go).
const TOO_FAR_BEHIND: u64 = 5000;

/// etcd's own alert warns of four changes in 15 minutes (contrib/mixin, etcdHighNumberOfLeaderChanges). Counted here since
/// the member was started, and so milder: more than these, and more than one an hour.
const FEW_ELECTIONS: u64 = 3;

pub(super) fn findings(examined: &Examined<'_>) -> Vec<Finding> {
    let mut findings = well(examined);
    if let Fact::Known(membership) = &examined.seen.cluster {
        findings.extend(releases(membership));
        findings.extend(streams(examined, membership));
        findings.extend(elections(examined));
    }
    findings
}

/// Whether there is a cluster, and whether it and each of its members is well.
pub(super) fn well(examined: &Examined<'_>) -> Vec<Finding> {
    let membership = match &examined.seen.cluster {
        Fact::Known(membership) => membership,
        Fact::Absent => {
            let says = "there is no cluster yet";
            return vec![Finding::problem(Kind::NoCluster, says, "create it with `quorate up`")];
        }
        Fact::Unknown(why) => return vec![out_of_sight(examined, why)],
    };
    let mut findings = as_a_whole(membership);
    findings.extend(listed(examined, membership));
    findings.extend(health(examined, membership));
    findings
}

/// Nobody stands behind a member list. That the cluster is down is said only where every host was looked at.
fn out_of_sight(examined: &Examined<'_>, why: &str) -> Finding {
    let to_blame = examined.sight().is_to_blame(why);
    let (why, help) = why_and_help(why);
    if to_blame {
        let says = format!("the state of the cluster is unknown: {why}");
        let help = help.unwrap_or("fix the connections and run this again: etcd may be healthy");
        return Finding::unknown(Kind::ClusterUnknown, says, help);
    }
    if let Err(refusal) = not_stopped(examined.desired, &examined.seen.hosts) {
        return Finding::problem(Kind::ClusterStopped, refusal.reason, refusal.hint);
    }
    match one_cluster(examined.seen) {
        Err(refusal) => Finding::problem(Kind::SeveralClusters, why, refusal.hint).or(refusal.last),
        Ok(()) => Finding::problem(Kind::ClusterDown, why, "`quorate up` starts the stopped members")
            .or(LastResort::majority_gone()),
    }
}

fn as_a_whole(membership: &Membership) -> Vec<Finding> {
    let mut findings = Vec::new();
    if none_is_agreed_on(membership) {
        let help = "wait a few seconds for an election; if there is still no leader, see `quorate health`";
        let says = "the members do not agree on a leader";
        findings.push(Finding::problem(Kind::NoLeader, says, help));
    }
    let strength = Strength::of(membership);
    match strength.voters {
        1 => findings.push(Finding::advice(
            Kind::OneVoter,
            "it has one voter: if that one fails, so does the cluster",
            "add two hosts to the inventory and run `quorate up`",
        )),
        even if even % 2 == 0 => findings.push(Finding::advice(
            Kind::EvenVoters,
            format!(
                "it has {even} voters, which survive no more failures than {} do",
                even - 1
            ),
            "add one (`quorate add-node`) or remove one (`quorate remove-node`)",
        )),
        _ => {}
    }
    findings.extend(membership.alarms.iter().map(|alarm| {
        let member = membership.members.iter().find(|m| m.id == alarm.member);
        let of = member.map_or(String::new(), |m| format!(" of {}", m.name));
        let says = format!("the alarm {}{of} is active", alarm.kind.word());
        let (help, last) = way_out(alarm.kind);
        Finding::problem(Kind::Alarm, says, help).or(last)
    }));
    findings
}

/// The member list against the inventory.
fn listed(examined: &Examined<'_>, membership: &Membership) -> Vec<Finding> {
    let (known, moving) = as_known(examined.desired, examined.seen, membership);
    let membership = &known;
    let moving = membership
        .members
        .iter()
        .filter(|member| moving.contains(&member.id))
        .map(|member| {
            let says = format!(
                "the cluster has it at {}, and the inventory elsewhere",
                member.peer_urls[0]
            );
            let help = "`quorate up` moves it, with its data";
            Finding::problem(Kind::MemberElsewhere, says, help).on(label(examined.desired, member))
        });
    let missing = examined
        .hosts()
        .filter(|host| membership.of(host).is_none())
        .map(|host| {
            let help = "`quorate up` adds it as a learner and promotes it";
            Finding::problem(Kind::MemberMissing, "it is in the inventory, but not a member", help).on(&host.name)
        });
    let strays = membership.members.iter().filter_map(|member| {
        let says = "it is a member, but not in the inventory";
        let help = "add it to the inventory, or remove it from the cluster with `quorate up --prune`";
        let stray = host_of(examined.desired, member).is_none();
        stray.then(|| Finding::problem(Kind::MemberNotListed, says, help).on(label(examined.desired, member)))
    });
    missing.chain(strays).chain(moving).collect()
}

fn health(examined: &Examined<'_>, membership: &Membership) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &membership.members {
        let name = label(examined.desired, member);
        if membership.health(member.id) == Health::Unknown {
            // A host in the dark has a finding of its own.
            let host = host_of(examined.desired, member);
            let unasked = host.filter(|host| examined.seen.hosts.get(&host.name).and_then(Fact::known).is_some());
            findings.extend(unasked.and_then(|_| {
                let help = why_and_help(membership.unseen.get(&member.id)?).1;
                let help = help.unwrap_or("find out why it cannot be queried");
                Some(Finding::unknown(Kind::MemberUnknown, membership.in_the_dark(member.id)?, help).on(name))
            }));
            continue;
        }
        if let Some(says) = membership.in_the_dark(member.id) {
            let help = "make sure that the machine is up, and that its peers and SSH can reach it";
            findings.push(Finding::problem(Kind::MemberUnreachable, says, help).on(name));
            continue;
        }
        if !membership.healthy(member.id) {
            // Why it does not run is told of its unit.
            let host = host_of(examined.desired, member);
            if host.is_some_and(|host| examined.rests(host)) {
                continue;
            }
            if host.is_some_and(|host| examined.causes.contains_key(&host.name)) {
                continue;
            }
            let help = format!("`quorate logs {name}` shows more; `quorate up` starts it again");
            findings.push(Finding::problem(Kind::MemberUnhealthy, why_unhealthy(membership, member.id), help).on(name));
            continue;
        }
        if member.learner {
            let says = "it is a learner that was never promoted";
            findings.push(Finding::advice(Kind::Learner, says, "`quorate up` finishes that").on(&name));
        }
        let left = membership
            .status_of(member.id)
            .map(|s| s.raft_index.saturating_sub(s.raft_applied));
        if let Some(left) = left.filter(|left| *left > TOO_FAR_BEHIND) {
            let says = format!("it has {left} entries left to apply: from {TOO_FAR_BEHIND} on it rejects writes");
            let help = "find out what slows it down: its disk (below), its CPUs, or the network";
            findings.push(Finding::problem(Kind::ApplyBacklog, says, help).on(&name));
        }
    }
    findings
}

fn releases(membership: &Membership) -> Vec<Finding> {
    let running: BTreeSet<Version> = membership.releases().collect();
    let mut findings = Vec::new();
    if let Some((says, help)) = told(membership) {
        findings.push(Finding::advice(Kind::BetweenReleases, says, help));
    } else if running.len() > 1 {
        let releases: Vec<String> = running.iter().map(ToString::to_string).collect();
        let says = format!("its members run different releases: {}", releases.join(", "));
        let help = "an upgrade did not finish: `quorate up` continues it";
        findings.push(Finding::advice(Kind::MixedReleases, says, help));
    }
    for version in running {
        if let Some(bad) = known_bad(version) {
            let says = format!("etcd {version} {} ({})", bad.reason, bad.source);
            let help = format!("`quorate upgrade --to {}` or later", bad.fixed_in);
            findings.push(Finding::problem(Kind::BadRelease, says, help));
        } else if let Some(says) = bundle::advice(version) {
            let help = "add a newer release to the bundle, then run `quorate upgrade --to` with it";
            findings.push(Finding::advice(Kind::OldRelease, says, help));
        }
    }
    findings
}

/// Between members that are well. Nobody has a stream to one that is down, which is told elsewhere.
fn streams(examined: &Examined<'_>, membership: &Membership) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, metrics) in examined.measured() {
        let Some(own) = membership.of(host).filter(|own| membership.healthy(own.id)) else {
            continue;
        };
        let cut = without_stream(membership, own.id, metrics).filter(|member| membership.healthy(member.id));
        findings.extend(cut.map(|member| {
            let says = format!("it has no active stream to {}", label(examined.desired, member));
            let help = "check the peer certificates (`quorate pki show`) and any firewall between the two";
            Finding::problem(Kind::NoStream, says, help).on(&host.name)
        }));
    }
    findings
}

fn elections(examined: &Examined<'_>) -> Vec<Finding> {
    let restless = |(host, metrics): (&DesiredHost, &Metrics)| {
        let facts = examined.seen.hosts.get(&host.name)?.known()?;
        let hours = facts.service.active_seconds? / 3600 + 1;
        let elections = metrics.leader_changes?;
        let says = format!("it has seen {elections} leader changes in {hours} h");
        let help = "leader changes come from stalls of disks or the network: check its disk and round trips, and `quorate logs`";
        (elections > FEW_ELECTIONS && elections > hours)
            .then(|| Finding::advice(Kind::LeaderChanges, says, help).on(&host.name))
    };
    examined.measured().filter_map(restless).collect()
}
