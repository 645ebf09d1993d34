//! Members that go: remove, replace, prune. First off the list (while quorum is proven), then stopped, then the data.

use std::collections::BTreeSet;

use super::beforehand::snapshot_first;
use super::bootstrap::known_hosts;
use super::waves::{Draft, Effect, on, step};
use super::{Action, Risk, Situation, Target, join, living};
use crate::etcd::Member;
use crate::host::{DataState, HostFacts, ServiceState};
use crate::inventory::leaf::nearest;
use crate::inventory::{DesiredHost, MemberId, NodeName, PeerUrl};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Membership, host_of, label};
use crate::ops::safety::bootstrap::Marker;
use crate::ops::safety::bootstrap::data_belongs;
use crate::ops::safety::leader::{Succession, before_a_removal};
use crate::ops::safety::membership::{may_add, may_finish, may_remove, may_remove_once};
use crate::ops::safety::quorum::Strength;
use crate::ops::safety::{Blocked, Rule};
use crate::ops::sight::cannot_tell;

/// Plans `remove-node`.
pub(super) fn remove(situation: Situation<'_>, node: &NodeName, wipe: bool) -> Result<Draft, Vec<Blocked>> {
    let membership = living(situation)?;
    if !situation.desired.hosts.contains_key(node) {
        return remove_outsider(situation, membership, node);
    }
    let host = known_name(situation, node)?;
    stays_in_sight(situation, membership, host).map_err(|refusal| vec![refusal])?;
    let mut draft = Draft::new(Some(Strength::of(membership)));
    if let Some(member) = membership.of(host) {
        may_remove(membership, member.id, situation.policy).map_err(|refusal| vec![refusal.on(node)])?;
        snapshot_first(situation, format!("before-remove-{node}"), None, &mut draft);
        take_off(situation, membership, member, &mut draft);
    }
    retire(situation, host, wipe, &mut draft).map_err(|refusal| vec![refusal])?;
    Ok(draft)
}

/// Plans `remove-node` for a member that the inventory does not list.
fn remove_outsider(situation: Situation<'_>, membership: &Membership, name: &NodeName) -> Result<Draft, Vec<Blocked>> {
    // One that has never started has an id only, and refusals call it by that.
    let outside = |m: &&Member| label(situation.desired, m) == name.as_str() && host_of(situation.desired, m).is_none();
    let Some(member) = membership.members.iter().find(outside) else {
        return known_name(situation, name).map(|_| Draft::new(None));
    };
    let mut draft = Draft::new(Some(Strength::of(membership)));
    strike_off(situation, membership, member, &BTreeSet::new(), &mut draft)
        .map_err(|refusal| vec![refusal.on(name)])?;
    Ok(draft)
}

/// Without a member in the inventory nobody could look after what is left of the cluster.
///
/// # Errors
/// When it is the last host there, or the last one whose member answers.
fn stays_in_sight(situation: Situation<'_>, membership: &Membership, host: &DesiredHost) -> Result<(), Blocked> {
    let in_sight = |m: &Member| {
        let other = host_of(situation.desired, m).is_some_and(|other| other.name != host.name);
        other && membership.takes_part(m.id)
    };
    let reason = if situation.desired.hosts.len() == 1 {
        "it is the only host in the inventory"
    } else if membership.of(host).is_some() && !membership.members.iter().any(in_sight) {
        "no other member that answers is in the inventory"
    } else {
        return Ok(());
    };
    let hint = "add the cluster's other members first, or add a new one (`quorate add-node`)";
    Err(Blocked::new(Rule::Inventory, reason, hint).on(&host.name))
}

/// Plans `replace-node`: the old one goes first (it is dead; adding first would need a quorum of a larger cluster).
pub(super) fn replace(situation: Situation<'_>, old: &NodeName, new: &NodeName) -> Result<Draft, Vec<Blocked>> {
    let membership = living(situation)?;
    let old_host = known_name(situation, old)?;
    let new_host = known_name(situation, new)?;
    let Some((_, facts)) = known_hosts(situation).find(|(h, _)| h.name == *new) else {
        return Err(super::converge::unreachable(situation, &|name| name == new));
    };
    let mut blocked = super::preflight::preflight(situation, new_host, facts);
    let mut draft = Draft::new(Some(Strength::of(membership)));
    // A run that was cut short has brought the newcomer this far already: then only the rest is left to do.
    let begun = membership
        .of(new_host)
        .is_some_and(|m| m.learner || !m.started() || !complete(facts));
    let leaving = membership.of(old_host).filter(|_| old != new || !begun);
    if let Some(member) = leaving {
        if membership.healthy(member.id) {
            blocked.push(
                Blocked::new(
                    Rule::NotSettled,
                    "it is healthy, and only members that are gone for good can be replaced",
                    match old == new {
                        true => format!(
                            "nothing has to be done about it; what else is wrong with {old}, `quorate status` shows"
                        ),
                        false => format!(
                            "to move a healthy member: `quorate add-node {new}`, then `quorate remove-node {old}`"
                        ),
                    },
                )
                .on(old),
            );
        }
        if !membership.heard_by(member.id).0.is_empty() {
            let so = "its peers receive from it, and only members that are gone can be replaced; use `quorate remove-node` for a running member";
            blocked.extend(cannot_tell(membership, std::iter::once(member), so));
        }
        if old != new && !begun && membership.of(new_host).is_some() {
            let hint =
                format!("name a host that is not a member yet; to only remove {old}: `quorate remove-node {old}`");
            blocked.push(Blocked::new(Rule::Inventory, "it is already a member of the cluster", hint).on(new));
        }
        if let Err(refusal) = may_remove(membership, member.id, situation.policy) {
            blocked.push(refusal.on(old));
        }
        snapshot_first(situation, format!("before-replace-{old}"), None, &mut draft);
        take_off(situation, membership, member, &mut draft);
    }
    let after = without(membership, leaving);
    blocked.extend(join::with_its_release(situation, &after, new_host).err());
    blocked.extend(match after.of(new_host) {
        Some(begun) => may_finish(&after, begun.id, &BTreeSet::new()).err(),
        None => may_add(&after).err(),
    });
    // Named as the newcomer, a host that was a member once gives up what it still has of that.
    let former = old != new && after.of(new_host).is_none() && facts.data.state == DataState::Bootstrapped;
    if former {
        blocked.extend(data_belongs(situation.desired, new_host, facts).err());
        blocked.extend(join::listed_elsewhere(&after, new_host).err());
    } else if old != new || begun {
        // What was brought there before stays there: it must be the newcomer's.
        blocked.extend(data_belongs(situation.desired, new_host, facts).err());
        blocked.extend(join::may_start(situation, &after, new_host, facts).err());
    }
    if !blocked.is_empty() {
        return Err(blocked);
    }
    if old != new || !begun {
        retire(situation, old_host, false, &mut draft).map_err(|refusal| vec![refusal])?;
    }
    if former {
        retire(situation, new_host, false, &mut draft).map_err(|refusal| vec![refusal])?;
    }
    let mut known: Vec<(String, PeerUrl)> = after
        .members
        .iter()
        .flat_map(|m| m.peer_urls.iter().map(|url| (label(situation.desired, m), url.clone())))
        .collect();
    if !known.iter().any(|(_, url)| *url == new_host.peer_url()) {
        known.push((new.to_string(), new_host.peer_url()));
    }
    let fresh = if begun { facts.clone() } else { blank(facts) };
    join::one(situation, &after, new_host, &fresh, &known, &mut draft).map_err(|refusal| vec![refusal])?;
    Ok(draft)
}

/// Members that the inventory does not list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strays {
    /// Those that are down, and learners: off the list first, because nobody is restarted or added beside them.
    Down,
    /// Those that are well: off the list last, because until then they carry their part.
    Well,
}

/// Takes strays off the list when asked to, and names them otherwise. Returns the members that are left. What comes first
/// has made the members in `cured` healthy by then.
///
/// # Errors
/// When one of them may not be removed.
pub(super) fn prune(
    situation: Situation<'_>,
    membership: &Membership,
    asked: bool,
    strays: Strays,
    cured: &BTreeSet<MemberId>,
    draft: &mut Draft,
) -> Result<Membership, Vec<Blocked>> {
    let mut left = membership.clone();
    let concerned = membership
        .members
        .iter()
        .filter(|m| host_of(situation.desired, m).is_none())
        .filter(|m| (membership.healthy(m.id) && !m.learner) == (strays == Strays::Well));
    for member in concerned {
        let name = label(situation.desired, member);
        if !asked {
            draft.notes.push(format!(
                "the member {name} ({}) is not in the inventory: add it, or remove it with `quorate up --prune`",
                member.id
            ));
            continue;
        }
        strike_off(situation, &left, member, cured, draft).map_err(|refusal| vec![refusal])?;
        left = without(&left, Some(member));
    }
    Ok(left)
}

/// Takes a member off the list whose host quorate does not know.
fn strike_off(
    situation: Situation<'_>,
    membership: &Membership,
    member: &Member,
    cured: &BTreeSet<MemberId>,
    draft: &mut Draft,
) -> Result<(), Blocked> {
    let name = label(situation.desired, member);
    may_remove_once(membership, member.id, situation.policy, cured)?;
    snapshot_first(situation, format!("before-remove-{name}"), None, draft);
    take_off(situation, membership, member, draft);
    draft.notes.push(format!(
        "{name} is not in the inventory, so its process and data are left as they are"
    ));
    Ok(())
}

/// Hands leadership over from a member to the voter that is furthest ahead.
pub(super) fn hand_over(situation: Situation<'_>, from: &Member, draft: &mut Draft) {
    let Some(url) = from.peer_urls.first() else { return };
    let step = step(Target::Cluster, Action::HandOver { url: url.clone() }, Risk::Reversible)
        .ensures(Check::NotLeader { url: url.clone() });
    let title = format!("transfer leadership from {}", label(situation.desired, from));
    draft.wave(title, Effect::None, vec![step]);
}

fn take_off(situation: Situation<'_>, membership: &Membership, member: &Member, draft: &mut Draft) {
    let name = label(situation.desired, member);
    match before_a_removal(membership, member.id) {
        Succession::NotNeeded => {}
        Succession::HandOver => hand_over(situation, member, draft),
        Succession::Election => draft.notes.push(format!(
            "{name} is the leader and does not answer, so it cannot transfer leadership: the others elect a leader once it \
             is removed, and accept no writes for a second or two until then"
        )),
    }
    let effect = if member.learner {
        Effect::None
    } else {
        Effect::Leaves {
            healthy: membership.healthy(member.id),
        }
    };
    let remove = step(
        Target::Cluster,
        Action::RemoveMember {
            id: member.id,
            name: name.clone(),
        },
        Risk::ReducesRedundancy,
    )
    .requires(Check::SafeToRemove {
        id: member.id,
        policy: situation.policy,
    })
    .ensures(Check::Unlisted { id: member.id });
    draft.wave(format!("remove {name} from the member list"), effect, vec![remove]);
}

/// Stops the host's etcd and moves its data aside (or deletes it), when the host can be reached. Nothing where that has
/// been done already.
///
/// # Errors
/// When what lies there is not this member's.
pub(super) fn retire(
    situation: Situation<'_>,
    host: &DesiredHost,
    wipe: bool,
    draft: &mut Draft,
) -> Result<(), Blocked> {
    let Some(membership) = situation.membership() else {
        return Err(Blocked::new(
            Rule::Unknown,
            "the cluster could not be read",
            "see `quorate status`",
        ));
    };
    join::listed_elsewhere(membership, host)?;
    let Some(Fact::Known(facts)) = situation.observed.hosts.get(&host.name) else {
        draft.notes.push(format!(
            "{} cannot be reached: its etcd refuses to run as a removed member, but its data stays in place",
            host.name
        ));
        return Ok(());
    };
    if join::is_on_its_way(facts) || facts.service.enabled {
        draft.wave(format!("stop {}", host.name), Effect::None, vec![join::stop(host)]);
    }
    if facts.data.state == DataState::Empty {
        return Ok(());
    }
    not_anothers(situation, host, facts)?;
    if !membership.by_quorum {
        return Err(Blocked::new(
            Rule::Unknown,
            "the member list is not confirmed by a quorum, so it cannot prove that the member has left",
            "wait until the cluster has a quorum again",
        ));
    }
    let (action, risk, title) = match wipe {
        true => (Action::Wipe, Risk::DestroysData, "delete its data"),
        false => (Action::SetAside, Risk::Reversible, "move its data aside"),
    };
    let data = on(&host.name, action, risk)
        .requires(Check::Stopped {
            node: host.name.clone(),
        })
        .requires(Check::SafeToWipe { url: host.peer_url() });
    draft.wave(title, Effect::None, vec![data]);
    Ok(())
}

/// Only this member's own data is touched: not what somebody else keeps there, whatever its host is called.
fn not_anothers(situation: Situation<'_>, host: &DesiredHost, facts: &HostFacts) -> Result<(), Blocked> {
    match data_belongs(situation.desired, host, facts) {
        Err(refusal) if refusal.rule == Rule::ForeignData => Err(refusal),
        // A member whose log is gone: what is left of it goes.
        _ => Ok(()),
    }
}

/// The same membership without one member.
fn without(membership: &Membership, gone: Option<&Member>) -> Membership {
    let mut after = membership.clone();
    if let Some(gone) = gone {
        after.members.retain(|m| m.id != gone.id);
        after.status.remove(&gone.id);
    }
    after
}

/// Whether quorate has seen this host's member as a finished one.
fn complete(facts: &crate::host::HostFacts) -> bool {
    Marker::on(facts).is_none_or(|marker| marker.complete)
}

/// The same host once its old data is out of the way.
pub(super) fn blank(facts: &HostFacts) -> HostFacts {
    let mut blank = facts.clone();
    blank.data.state = DataState::Empty;
    blank.data.marker = None;
    blank.service.state = ServiceState::Stopped;
    blank.service.pid = None;
    blank.service.enabled = false;
    blank
}

pub(super) fn known_name<'a>(situation: Situation<'a>, node: &NodeName) -> Result<&'a DesiredHost, Vec<Blocked>> {
    situation.desired.hosts.get(node).ok_or_else(|| {
        let known: Vec<&str> = situation.desired.order.iter().map(NodeName::as_str).collect();
        let meant = nearest(node.as_str(), known.iter().copied()).map(|near| format!("did you mean `{near}`? "));
        vec![Blocked::new(
            Rule::Inventory,
            format!("the inventory has no host `{node}`"),
            format!("{}its hosts are {}", meant.unwrap_or_default(), known.join(", ")),
        )]
    })
}
