//! `up`: bring hosts, config, version, certificates and members in line with the inventory.

use std::collections::BTreeSet;

use super::beforehand::snapshot_first;
use super::bootstrap::{from_nothing, known_hosts};
use super::drift::{Drift, drift};
use super::leave::Strays;
use super::preflight::preflight;
use super::startable::{certificates_ended, ended, last_writer};
use super::waves::{Draft, Effect, on, step};
use super::{
    Action, HostChange, Risk, Situation, Target, authorize, downgrade, join, leave, moves, not_asked, rest, roll,
    way_up,
};
use crate::etcd::Member;
use crate::host::{DataState, HostFacts, ServiceState};
use crate::inventory::{DesiredHost, MemberId, NodeName};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Membership, host_of, label, why_and_help};
use crate::ops::safety::bootstrap::{Marker, data_belongs, same_as_running};
use crate::ops::safety::leader::named;
use crate::ops::safety::moves::{as_known, at_its_own_url};
use crate::ops::safety::place::{in_its_place, mount_first, runs_as_before};
use crate::ops::safety::quorum::Strength;
use crate::ops::safety::trust::rotation_under_way;
use crate::ops::safety::version::{could_be_better, may_change_version};
use crate::ops::safety::{Blocked, Rule};
use crate::render::{InitialCluster, InitialState, initial_of};

/// A host of the inventory that is a member, with all that is known of it.
pub(super) struct Peer<'a> {
    pub host: &'a DesiredHost,
    pub facts: &'a HostFacts,
    pub member: &'a Member,
    pub drift: Drift,
}

/// Plans `up`.
pub(super) fn converge(situation: Situation<'_>, prune: bool, limit: &[NodeName]) -> Result<Draft, Vec<Blocked>> {
    let membership = match &situation.observed.cluster {
        Fact::Known(membership) => membership,
        Fact::Unknown(unknown) => {
            // What the hosts themselves speak against, like somebody else's etcd, says more than that nobody could be asked.
            let draft = from_nothing(situation, limit)?;
            not_asked(situation, unknown).map_err(|refusal| vec![refusal])?;
            return Ok(draft);
        }
        Fact::Absent => return from_nothing(situation, limit),
    };
    if situation.supplies.next_ca.is_some() {
        return Err(vec![rotation_under_way()]);
    }
    let covered = |name: &NodeName| limit.is_empty() || limit.contains(name);
    let (known, _) = as_known(situation.desired, situation.observed, membership);
    let membership = &known;
    let peers = survey(situation, membership, &covered)?;
    downgrade::may_be_gone(situation, membership, &covered, &peers)?;
    leader_lets_in(situation, membership, &peers).map_err(|refusal| vec![refusal])?;

    let mut draft = Draft::new(Some(Strength::of(membership)));
    draft.notes.extend(kept_down(situation));
    moves::begin(situation, &peers, &mut draft);
    let looked_at = peers.iter().map(|p| (p.host, p.facts));
    draft.wave("remove outdated notes", Effect::None, rest::outlived(looked_at));
    downgrade::call_off(situation, membership, &mut draft);
    before_another_version(situation, membership, &covered, &mut draft);
    draft.wave(
        "install what needs no restart",
        Effect::None,
        quiet_changes(situation, &peers),
    );
    let stopped = stopped(situation, &peers);
    // One that something else started reads none of these files before its turn, nor does one that has others.
    let reads = |p: &Peer<'_>| p.facts.service.running_version.is_some() && has_its_keys_there(p);
    let touched = !stopped.is_empty() || peers.iter().any(|p| p.drift.now.touches_certificates() && reads(p));
    draft.wave("start stopped members", Effect::Recovers(stopped.len()), stopped);
    // Nobody can reach one that runs where its host is no longer, until its turn has come.
    let lost = |p: &Peer<'_>| runs(p.facts) && !membership.takes_part(p.member.id) && moves::is_due(situation, p);
    if touched && !peers.iter().any(lost) {
        draft.wave("verify", Effect::None, vec![look_again(situation, membership, &peers)]);
    }
    let started = members_where(&peers, |p| !runs(p.facts));
    let left = leave::prune(situation, membership, prune, Strays::Down, &started, &mut draft)?;
    downgrade::open_the_way(situation, membership, &mut draft);
    let well = members_where(&peers, |p| !runs(p.facts) || p.drift.now.certificates);
    way_up::write_first(situation, &left, &covered, &mut draft);
    way_up::open(situation, &left, &covered, &well, &mut draft)?;
    roll::changed(situation, &left, &peers, &mut draft)?;
    let left = moves::end(situation, &peers, &left, &mut draft);
    // Stopped members are started, and sick ones rolled, before anybody joins.
    let cured = members_where(&peers, comes_back);
    join::missing(situation, &left, &covered, &cured, &mut draft)?;
    leave::prune(
        situation,
        &left,
        prune,
        Strays::Well,
        &with_joined(situation, &left, &covered, cured),
        &mut draft,
    )?;
    if limit.is_empty() {
        authorize::users_and_roles(situation, membership, prune, &mut draft)?;
    }
    draft.wave(
        "mark the members as complete",
        Effect::None,
        complete(situation, membership, &peers),
    );
    Ok(draft)
}

pub(super) fn members_where(peers: &[Peer<'_>], which: impl Fn(&Peer<'_>) -> bool) -> BTreeSet<MemberId> {
    peers.iter().filter(|p| which(p)).map(|p| p.member.id).collect()
}

/// `cured`, and whoever was on the way in before: this run finishes that, where it covers the host.
fn with_joined(
    situation: Situation<'_>,
    membership: &Membership,
    covered: &dyn Fn(&NodeName) -> bool,
    cured: BTreeSet<MemberId>,
) -> BTreeSet<MemberId> {
    let begun = membership.members.iter().filter(|m| m.learner || !m.started());
    let ours = begun.filter(|m| host_of(situation.desired, m).is_some_and(|host| covered(&host.name)));
    ours.map(|m| m.id).chain(cured).collect()
}

/// Looks at every covered host that is a member, and refuses where rules say so.
fn survey<'a>(
    situation: Situation<'a>,
    membership: &'a Membership,
    covered: &dyn Fn(&NodeName) -> bool,
) -> Result<Vec<Peer<'a>>, Vec<Blocked>> {
    let mut blocked = unreachable(situation, covered);
    let mut peers = Vec::new();
    for (host, facts) in known_hosts(situation).filter(|(host, _)| covered(&host.name)) {
        let Some(member) = membership.of(host).filter(|m| m.started() && !m.learner) else {
            blocked.extend(data_belongs(situation.desired, host, facts).err());
            continue;
        };
        if rest::maintained(host, facts).is_some() {
            continue;
        }
        if let Err(refusal) = own_data(situation, host, facts, member) {
            blocked.push(refusal);
            continue;
        }
        blocked.extend(preflight(situation, host, facts));
        match drift(situation, host, facts, &initial_existing(membership, facts, host)) {
            Ok(drift) => peers.push(Peer {
                host,
                facts,
                member,
                drift,
            }),
            Err(refusal) => blocked.push(refusal),
        }
    }
    blocked.extend(version_steps(situation, membership));
    if blocked.is_empty() { Ok(peers) } else { Err(blocked) }
}

/// Members whose maintenance has not ended stay down, whatever else differs on their hosts.
fn kept_down(situation: Situation<'_>) -> Vec<String> {
    let kept = known_hosts(situation).filter_map(|(host, facts)| Some((host, rest::maintained(host, facts)?)));
    kept.map(|(host, note)| rest::left_alone(host, format!("maintenance ({})", note.told())))
        .collect()
}

/// Unreachable is never absent: what cannot be inspected cannot be brought in line.
pub(super) fn unreachable(situation: Situation<'_>, covered: &dyn Fn(&NodeName) -> bool) -> Vec<Blocked> {
    let unknown = situation
        .desired
        .hosts
        .keys()
        .filter(|name| covered(name))
        .filter_map(|name| match situation.observed.hosts.get(name) {
            Some(Fact::Known(_)) => None,
            Some(Fact::Unknown(why)) => Some((name, why.as_str())),
            Some(Fact::Absent) | None => Some((name, "it was not inspected")),
        });
    unknown
        .map(|(name, why)| {
            let (why, help) = why_and_help(why);
            Blocked::new(Rule::Unreachable, why, help.unwrap_or("fix the connection")).on(name)
        })
        .collect()
}

/// A bootstrap was cut off after a quorum had started: this one is on the list and has never run, so it has forgotten
/// nothing. Or it was only just started when its host was looked at, and has told its name since: the note, which is made
/// before the data and lies beside it, is still there.
fn first_start_is_due(situation: Situation<'_>, member: &Member, facts: &HostFacts) -> bool {
    let cluster_id = situation.membership().map(|m| m.cluster_id);
    let begun = Marker::on(facts).is_some_and(|m| !m.complete && Some(m.cluster_id) == cluster_id);
    begun && (!member.published() || facts.service.pid.is_some())
}

/// Rule 7: a started member has its own data.
///
/// # Errors
/// When it is gone, or another's, or another cluster's, lies there.
pub(super) fn own_data(
    situation: Situation<'_>,
    host: &DesiredHost,
    facts: &HostFacts,
    member: &Member,
) -> Result<(), Blocked> {
    if !lives_there(situation, facts, member) {
        data_belongs(situation.desired, host, facts)?;
    }
    runs_as_before(situation.desired, host, facts)?;
    in_its_place(host, facts)?;
    at_its_own_url(situation.desired, host, member, facts)?;
    if let Some(membership) = situation.membership().filter(|m| !m.takes_part(member.id)) {
        same_as_running(membership.cluster_id, host, facts)?;
    }
    match facts.data.state {
        DataState::Empty | DataState::Aborted if first_start_is_due(situation, member, facts) => Ok(()),
        DataState::Empty | DataState::Aborted => Err(data_gone(host, facts, member)),
        DataState::Bootstrapped | DataState::Foreign => Ok(()),
    }
}

/// A member that answers from its host, run by what quorate installed there, is who it says it is, also where the note
/// beside its data was lost: it is written again.
fn lives_there(situation: Situation<'_>, facts: &HostFacts, member: &Member) -> bool {
    let answers = situation.membership().is_some_and(|m| m.takes_part(member.id));
    let ours = facts.service.pid.is_some() && facts.service.running_version.is_some();
    answers && ours && Marker::on(facts).is_none() && facts.data.state == DataState::Bootstrapped
}

fn data_gone(host: &DesiredHost, facts: &HostFacts, member: &Member) -> Blocked {
    let (hint, last) = mount_first(host, facts, "the data");
    Blocked::new(
        Rule::DataGone,
        format!(
            "it is a member of the cluster ({}), but its data directory {} is empty: the disk was wiped or is not mounted",
            member.id, host.paths.data
        ),
        hint,
    )
    .or(last)
    .on(&host.name)
}

/// One minor at a time, above the floors, for every member that would move.
fn version_steps(situation: Situation<'_>, membership: &Membership) -> Vec<Blocked> {
    let wanted = situation.desired.version;
    let running: Vec<_> = membership.releases().collect();
    let unfinished = running.contains(&wanted);
    let mut refusals: Vec<Blocked> = running
        .iter()
        .filter_map(|version| Some((version, may_change_version(*version, wanted).err()?)))
        .map(|(version, refusal)| match unfinished && *version > wanted {
            true => Blocked {
                hint: format!("an upgrade did not finish: continue with `quorate upgrade --to {version}`"),
                last: None,
                ..refusal
            },
            false => refusal,
        })
        .collect();
    refusals.dedup();
    refusals
}

/// A snapshot before the first member, be it a learner, changes its release.
fn before_another_version(
    situation: Situation<'_>,
    membership: &Membership,
    covered: &dyn Fn(&NodeName) -> bool,
    draft: &mut Draft,
) {
    let wanted = situation.desired.version;
    let oldest = membership.releases().min();
    draft
        .notes
        .extend(oldest.and_then(|oldest| could_be_better(oldest, wanted)));
    let mut members = known_hosts(situation).filter(|(host, facts)| {
        let started = facts.data.state == DataState::Bootstrapped;
        covered(&host.name) && membership.of(host).is_some() && started && rest::maintained(host, facts).is_none()
    });
    // A member of which that is not known may well move, too.
    if members.any(|(host, facts)| last_writer(host, facts) != Some(wanted)) {
        let why = format!("members move to etcd {wanted}");
        snapshot_first(situation, format!("before-{wanted}"), Some(why), draft);
    }
}

/// What a started member's config says about its first start stays as it was; only without a readable one is it told
/// about the members of today.
pub(super) fn initial_existing(membership: &Membership, facts: &HostFacts, host: &DesiredHost) -> InitialCluster {
    let written = facts
        .files
        .get(&host.paths.config)
        .and_then(|f| f.content.as_deref())
        .and_then(initial_of);
    // (Of one that moves the own entry is the one that has to be right.)
    let own = |initial: &mut InitialCluster| {
        let mut entries = initial.members.iter_mut();
        let own = entries.find(|(name, _)| name == host.name.as_str())?;
        own.1 = host.peer_url();
        Some(())
    };
    written
        .and_then(|mut initial| own(&mut initial).map(|()| initial))
        .unwrap_or_else(|| {
            let mut members: Vec<_> = membership
                .members
                .iter()
                .filter(|m| !m.peer_urls.contains(&host.peer_url()))
                .flat_map(|m| m.peer_urls.iter().map(|url| (m.name.clone(), url.clone())))
                .collect();
            members.push((host.name.to_string(), host.peer_url()));
            InitialCluster {
                state: InitialState::Existing,
                members,
                token: membership.cluster_id.to_string(),
            }
        })
}

fn quiet_changes(situation: Situation<'_>, peers: &[Peer<'_>]) -> Vec<super::Step> {
    let mut steps = Vec::new();
    for peer in peers {
        let (mut change, mut why) = (peer.drift.now.clone(), peer.drift.certificates.clone());
        // Who moves has its certificates by then.
        if moves::is_due(situation, peer) && change.certificates {
            (change.certificates, change.also_named) = (false, Vec::new());
            why.clear();
        }
        if !change.is_empty() {
            steps.push(on(&peer.host.name, Action::Provision { change }, Risk::Reversible).because(why));
        }
    }
    steps
}

/// Whether the configuration that lies on the host names the certificates where the inventory has them: etcd reads them at
/// every handshake.
fn has_its_keys_there(peer: &Peer<'_>) -> bool {
    let config = peer.facts.files.get(&peer.host.paths.config);
    let config = config.and_then(|file| file.content.as_deref());
    let named = |config: &str| config.contains(peer.host.paths.pki.join("peer.crt").as_str());
    config.is_some_and(named)
}

/// Members that have data and do not run; whatever else differs there takes effect with the start.
fn stopped(situation: Situation<'_>, peers: &[Peer<'_>]) -> Vec<super::Step> {
    peers
        .iter()
        .filter(|p| !runs(p.facts))
        .map(|p| {
            let node = p.host.name.clone();
            let mut start = on(&node, start_or_change(p), Risk::Reversible)
                .ensures(Check::Started { node: node.clone() })
                .because([format!("it is {}", state(p.facts))]);
            start.requires.extend(way_up::needed_for(situation, p.host, p.facts));
            if matches!(start.action, Action::Restart { .. }) {
                // One that has come back by itself meanwhile is a voter again, and waits for its turn.
                start = start.requires(Check::Stopped { node: node.clone() });
            }
            if p.facts.data.state != DataState::Bootstrapped {
                let url = p.host.peer_url();
                start = start.requires(Check::NoData { node }).requires(Check::Listed { url });
            }
            start
        })
        .collect()
}

/// Whoever starts needs a connection to the leader.
///
/// # Errors
/// When a member is to be started and the leader, which this run does not cover, has certificates that have ended.
fn leader_lets_in(situation: Situation<'_>, membership: &Membership, peers: &[Peer<'_>]) -> Result<(), Blocked> {
    if peers.iter().all(|p| runs(p.facts)) {
        return Ok(());
    }
    let leader = named(membership).filter(|leader| peers.iter().all(|p| p.member.id != leader.id));
    let Some(host) = leader.and_then(|leader| host_of(situation.desired, leader)) else {
        return Ok(());
    };
    let facts = situation.observed.hosts.get(&host.name).and_then(Fact::known);
    let Some(end) = facts.and_then(|facts| ended(situation, host, facts)) else {
        return Ok(());
    };
    let refusal = certificates_ended(host, end);
    let reason = format!(
        "it leads, and {}: members that start now cannot connect to it",
        refusal.reason
    );
    Err(Blocked { reason, ..refusal })
}

fn start_or_change(peer: &Peer<'_>) -> Action {
    if peer.drift.at_restart.is_empty() {
        Action::Start
    } else {
        Action::Restart {
            change: peer.drift.at_restart.clone(),
            url: peer.host.peer_url(),
            turn: None,
        }
    }
}

/// Whether this run starts the member anew, or gives it certificates with which it can be talked to.
pub(super) fn comes_back(peer: &Peer<'_>) -> bool {
    !runs(peer.facts) || !peer.drift.restart.is_empty() || peer.drift.now.certificates
}

pub(super) fn runs(facts: &HostFacts) -> bool {
    matches!(facts.service.state, ServiceState::Running | ServiceState::Starting)
}

fn state(facts: &HostFacts) -> &'static str {
    match facts.service.state {
        ServiceState::Missing => "not installed as a unit",
        ServiceState::Stopped => "stopped",
        ServiceState::Failed => "failed",
        ServiceState::Starting | ServiceState::Running => "running",
    }
}

pub(super) fn look_again(situation: Situation<'_>, membership: &Membership, peers: &[Peer<'_>]) -> super::Step {
    let nodes = peers.iter().map(|p| p.host.name.clone()).collect();
    let everyone = peers.len() == membership.members.len() && situation.desired.hosts.len() == membership.members.len();
    let look = step(
        Target::Cluster,
        Action::LookAgain {
            nodes,
            cluster_id: Some(membership.cluster_id),
        },
        Risk::ReadOnly,
    );
    if everyone {
        look.ensures(Check::AllHealthy {
            cluster_id: Some(membership.cluster_id),
            members: membership.members.len(),
        })
    } else {
        // Those that were just started answer only after a moment.
        let voters = peers.iter().filter(|p| !p.member.learner);
        voters.fold(look, |look, p| {
            look.ensures(Check::HealthyVoter { url: p.host.peer_url() })
        })
    }
}

/// Members whose marker does not say yet that they belong to a complete cluster.
fn complete(situation: Situation<'_>, membership: &Membership, peers: &[Peer<'_>]) -> Vec<super::Step> {
    peers
        .iter()
        .filter(|p| host_of(situation.desired, p.member).is_some() && !label(situation.desired, p.member).is_empty())
        .filter_map(|p| {
            let wanted = Marker {
                cluster: situation.desired.cluster.clone(),
                cluster_id: membership.cluster_id,
                member: p.host.name.clone(),
                complete: true,
            };
            (Marker::on(p.facts).as_ref() != Some(&wanted)).then(|| {
                let change = HostChange {
                    marker: Some(wanted),
                    ..HostChange::default()
                };
                on(&p.host.name, Action::Provision { change }, Risk::Reversible)
            })
        })
        .collect()
}
