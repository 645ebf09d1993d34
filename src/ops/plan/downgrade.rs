//! Back over a minor release: etcd is told first and makes every member ready; then comes the ordinary roll. What the
//! members tell of it decides what is left to do.

use super::converge::{Peer, runs};
use super::waves::{Draft, Effect, step};
use super::{Action, Risk, Situation, Target};
use crate::etcd::Member;
use crate::inventory::NodeName;
use crate::ops::check::Check;
use crate::ops::model::{Membership, host_of};
use crate::ops::safety::Blocked;
use crate::ops::safety::downgrade::{WayBack, goes_on, may_begin, may_go_back, takes_everybody, under_way, way_back};

/// Refuses a way back that cannot be gone, before anything is touched.
///
/// # Errors
/// Who keeps the cluster from it.
pub(super) fn may_be_gone(
    situation: Situation<'_>,
    membership: &Membership,
    covered: &dyn Fn(&NodeName) -> bool,
    peers: &[Peer<'_>],
) -> Result<(), Vec<Blocked>> {
    let wanted = situation.desired.version;
    if !situation.policy.way_chosen {
        goes_on(membership, wanted).map_err(|refusal| vec![refusal])?;
    }
    let goes = |member: &Member| host_of(situation.desired, member).is_some_and(|host| covered(&host.name));
    let blocked: Vec<Blocked> = match way_back(membership, wanted) {
        WayBack::NotNeeded => Vec::new(),
        WayBack::Closed | WayBack::Opening => [takes_everybody(membership, goes), may_begin(membership, wanted)]
            .into_iter()
            .filter_map(Result::err)
            .collect(),
        WayBack::Open => peers
            .iter()
            .filter(|peer| changes(peer))
            .filter_map(|peer| {
                Some(
                    may_go_back(membership, peer.member.id, wanted)
                        .err()?
                        .on(&peer.host.name),
                )
            })
            .collect(),
    };
    if blocked.is_empty() { Ok(()) } else { Err(blocked) }
}

/// Whether its next start is with something else than it has now.
fn changes(peer: &Peer<'_>) -> bool {
    !peer.drift.at_restart.files.is_empty() || (runs(peer.facts) && !peer.drift.restart.is_empty())
}

/// The wave that ends a downgrade which the inventory does not want, before anybody goes up again.
pub(super) fn call_off(situation: Situation<'_>, membership: &Membership, draft: &mut Draft) {
    let wanted = situation.desired.version;
    let Some(target) = under_way(membership).filter(|target| target.series() < wanted.series()) else {
        return;
    };
    let call_off = step(
        Target::Cluster,
        Action::CallOffDowngrade { to: target },
        Risk::Reversible,
    )
    .ensures(Check::NoDowngrade)
    .because([format!("the inventory has etcd {wanted}")]);
    let title = format!("cancel the downgrade to {}", target.series_text());
    draft.wave(title, Effect::None, vec![call_off]);
}

/// The wave that tells etcd to go back, and waits until every member is ready for it.
pub(super) fn open_the_way(situation: Situation<'_>, membership: &Membership, draft: &mut Draft) {
    let to = situation.desired.version;
    let why = match way_back(membership, to) {
        WayBack::NotNeeded | WayBack::Open => return,
        WayBack::Closed => format!("etcd {} starts only on storage in its own format", to.series_text()),
        WayBack::Opening => "the downgrade is enabled, but not every member's storage is ready".to_owned(),
    };
    let open = step(Target::Cluster, Action::BeginDowngrade { to }, Risk::Reversible)
        .requires(Check::SafeToBeginDowngrade { to })
        .ensures(Check::ReadyToGoBack { to })
        .because([why]);
    draft.wave(
        format!("enable the downgrade to {}", to.series_text()),
        Effect::None,
        vec![open],
    );
}

/// What a member's turn needs beforehand, when that takes it back over a minor.
pub(super) fn needed_for(situation: Situation<'_>, membership: &Membership, peer: &Peer<'_>) -> Option<Check> {
    let to = situation.desired.version;
    let runs = membership.status_of(peer.member.id)?.version;
    (runs.series() > to.series()).then(|| Check::SafeToGoBack {
        url: peer.host.peer_url(),
        to,
    })
}

/// What is looked at once everybody has had a turn.
pub(super) fn seen_at_the_end(situation: Situation<'_>, membership: &Membership, peers: &[Peer<'_>]) -> Option<Check> {
    let to = situation.desired.version;
    let everybody = peers.len() == membership.members.len();
    (everybody && way_back(membership, to) != WayBack::NotNeeded).then_some(Check::WentBack { to })
}
