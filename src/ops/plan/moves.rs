//! Members that get another address or another port: what is done before their turn in the roll, and after it.
//!
//! At every moment the cluster has a URL for the member at which it listens: first the new URL is entered beside the old
//! one, then it is restarted, and only once it has proved itself the old one goes.

use std::collections::BTreeSet;

use super::converge::Peer;
use super::waves::{Draft, Effect, on, step};
use super::{Action, HostChange, Risk, Situation, Target};
use crate::host::HostFacts;
use crate::inventory::{Address, DesiredHost, MemberId, PeerUrl};
use crate::ops::check::Check;
use crate::ops::listening::place;
use crate::ops::model::Membership;
use crate::render::option_in;

/// Whether the cluster is yet to learn where the member is.
pub(super) fn is_due(situation: Situation<'_>, peer: &Peer<'_>) -> bool {
    situation.membership().is_some_and(|seen| seen.of(peer.host).is_none())
}

/// Certificates that name both addresses, then the new URLs, one member after the other.
pub(super) fn begin(situation: Situation<'_>, peers: &[Peer<'_>], draft: &mut Draft) {
    let due = || peers.iter().filter(|peer| is_due(situation, peer));
    let certificates = due().filter(|peer| peer.drift.now.certificates).map(|peer| {
        let change = HostChange {
            certificates: true,
            also_named: peer.drift.now.also_named.clone(),
            ..HostChange::default()
        };
        let names = peer.drift.certificates.clone();
        on(&peer.host.name, Action::Provision { change }, Risk::Reversible).because(names)
    });
    draft.wave(
        "certificates for the old and the new address, without a restart",
        Effect::None,
        certificates.collect(),
    );
    let ends: BTreeSet<String> = due()
        .flat_map(|peer| former_addresses(peer.host, peer.facts))
        .map(|a| a.to_string())
        .collect();
    if !ends.is_empty() {
        let ends: Vec<String> = ends.into_iter().collect();
        draft.notes.push(format!(
            "once the members have moved, their certificates no longer name {}: clients that go on using that need it in `sans`",
            ends.join(", ")
        ));
    }
    for peer in due() {
        let urls = match keeps_the_old(situation, peer) {
            true => peer.member.peer_urls.clone(),
            false => vec![peer.host.peer_url()],
        };
        let why = format!("the inventory has it at {}", peer.host.peer_url());
        let told = tell(peer, urls).because([why]);
        draft.wave(
            format!("tell the cluster where {} will be", peer.host.name),
            Effect::None,
            vec![told],
        );
    }
}

/// Where a member does not answer nobody is to look for it any more.
fn keeps_the_old(situation: Situation<'_>, peer: &Peer<'_>) -> bool {
    situation
        .membership()
        .is_some_and(|seen| seen.takes_part(peer.member.id))
}

/// URLs at which nobody listens any more go, once the member has proved itself at its own.
pub(super) fn end(situation: Situation<'_>, peers: &[Peer<'_>], left: &Membership, draft: &mut Draft) -> Membership {
    let mut settled = left.clone();
    for peer in peers.iter().filter(|peer| peer.member.peer_urls.len() > 1) {
        let url = peer.host.peer_url();
        if let Some(entry) = settled.members.iter_mut().find(|entry| entry.id == peer.member.id) {
            entry.peer_urls = vec![url.clone()];
        }
        if is_due(situation, peer) && !keeps_the_old(situation, peer) {
            continue;
        }
        let done = tell(peer, vec![url.clone()])
            .requires(Check::HealthyVoter { url: url.clone() })
            .requires(Check::Connected { url })
            .requires(Check::RunsCurrent {
                node: peer.host.name.clone(),
                version: None,
            })
            .because(["it has moved".to_owned()]);
        draft.wave(format!("forget where {} was", peer.host.name), Effect::None, vec![done]);
    }
    settled
}

fn tell(peer: &Peer<'_>, urls: Vec<PeerUrl>) -> super::Step {
    let id: MemberId = peer.member.id;
    step(
        Target::Cluster,
        Action::ChangeUrls {
            id,
            name: peer.host.name.to_string(),
            urls: urls.clone(),
        },
        Risk::Reversible,
    )
    .requires(Check::SafeToChangeUrls { id, urls: urls.clone() })
    .ensures(Check::HasUrls { id, urls })
}

/// The addresses at which a member is until it has moved: those of the configuration on its host, which others dial.
pub(super) fn former_addresses(host: &DesiredHost, facts: &HostFacts) -> Vec<Address> {
    let config = facts
        .files
        .get(&host.paths.config)
        .and_then(|file| file.content.as_deref());
    let mut former: Vec<Address> = Vec::new();
    for key in ["initial-advertise-peer-urls", "advertise-client-urls"] {
        let option = config.and_then(|config| option_in(config, key));
        let urls = option.as_ref().and_then(|option| option.as_str()).unwrap_or_default();
        let addresses = urls.split(',').filter_map(|url| Some(place(url.trim())?.0));
        for address in addresses.filter(|address| *address != host.address && !host.sans.contains(address)) {
            if !former.contains(&address) {
                former.push(address);
            }
        }
    }
    former
}
