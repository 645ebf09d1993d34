//! `pki rotate-ca`: from one CA to the next without a moment in which two members cannot talk.
//!
//! How far it has come is read off the operator's `pki` directory and the hosts, never remembered: each call plans what
//! comes next, and the command calls until nothing does.
//!
//! 1. *Prepare*: the new CA is made; nobody knows it yet.
//! 2. *Trust both*: each member in turn is restarted with a `ca.crt` that holds both. Then the new CA signs.
//! 3. *Reissue and drop*: once clients have new certificates, members get theirs, without a restart. When no certificate
//!    anywhere is from the old CA, each member in turn is restarted without it.

use std::collections::BTreeMap;

use super::bootstrap::known_hosts;
use super::converge::{own_data, runs, unreachable};
use super::moves::former_addresses;
use super::renew::{members, reissue};
use super::roll::{Turn, effect, stays_down, turn};
use super::waves::{Draft, Effect, on, step};
use super::{Action, AuthorityTurn, FileChange, HostChange, Risk, Situation, Step, Target, living};
use crate::etcd::Member;
use crate::host::HostFacts;
use crate::inventory::{DesiredHost, NodeName};
use crate::ops::check::Check;
use crate::ops::model::{Membership, host_of, label};
use crate::ops::safety::bootstrap::data_belongs;
use crate::ops::safety::quorum::{Strength, may_stop};
use crate::ops::safety::rest::nobody_rests;
use crate::ops::safety::trust::{HostTrust, clients_are_ready, may_sign_with, runs_with_our_files, trusts, waiting};
use crate::ops::safety::{Blocked, Rule};
use crate::pki::{Certificate, Stage, host_bundle};
use crate::render::{RenderedFile, unified_diff};

/// Plans the next part of `pki rotate-ca`; empty when nothing is left to do.
pub(super) fn rotate_ca(situation: Situation<'_>, compromised: bool, begin: bool) -> Result<Draft, Vec<Blocked>> {
    let scene = Scene::of(situation, compromised)?;
    let stage = situation.supplies.next_ca.as_ref().map(|next| next.stage);
    match (scene.membership, stage) {
        (None, Some(stage)) => Ok(scene.swap_at_once(stage)),
        (Some(membership), Some(Stage::TrustBoth)) => Ok(scene.trust_both(membership)),
        (Some(membership), Some(Stage::Reissue)) => scene.reissue_and_drop(membership, true),
        (Some(membership), None) if scene.somebody_trusts_others() => scene.reissue_and_drop(membership, false),
        (membership, None) if begin => scene.prepare(membership),
        (_, None) => Ok(scene.draft()),
    }
}

/// Everything the stages look at.
struct Scene<'a> {
    situation: Situation<'a>,
    compromised: bool,
    /// `None` only when the CA has expired: nobody can talk to anybody.
    membership: Option<&'a Membership>,
    /// The operator's `ca.crt`.
    cas: Vec<Certificate>,
    hosts: Vec<Place<'a>>,
}

/// A host with a member's data.
struct Place<'a> {
    host: &'a DesiredHost,
    facts: &'a HostFacts,
    trust: HostTrust,
}

impl<'a> Scene<'a> {
    fn of(situation: Situation<'a>, compromised: bool) -> Result<Self, Vec<Blocked>> {
        let cas = trusted(situation)?;
        let mut blocked = unreachable(situation, &|_| true);
        let membership = match living(situation) {
            Ok(membership) => Some(membership),
            Err(_) if old_has_expired(situation, &cas) => None,
            Err(refusals) => {
                blocked.extend(refusals);
                None
            }
        };
        blocked.extend(
            membership
                .into_iter()
                .flat_map(|membership| strays(situation, membership)),
        );
        // Where nobody can be talked to, all are started anyway.
        blocked.extend(membership.and_then(|_| nobody_rests(situation.desired, &situation.observed.hosts).err()));
        let foreign = members(situation).filter_map(|(host, facts)| data_belongs(situation.desired, host, facts).err());
        blocked.extend(foreign);
        blocked.extend(
            members(situation).filter_map(|(host, facts)| Some(runs_with_our_files(facts).err()?.on(&host.name))),
        );
        if !blocked.is_empty() {
            return Err(blocked);
        }
        let hosts = members(situation).map(|(host, facts)| Place {
            trust: HostTrust::of(&host.paths.pki, facts),
            host,
            facts,
        });
        Ok(Scene {
            situation,
            compromised,
            membership,
            cas,
            hosts: hosts.collect(),
        })
    }

    fn draft(&self) -> Draft {
        Draft::new(self.membership.map(Strength::of))
    }

    /// The CA that signs now.
    fn signer(&self) -> &Certificate {
        &self.cas[0]
    }

    fn trust_by_node(&self) -> BTreeMap<NodeName, HostTrust> {
        self.hosts
            .iter()
            .map(|p| (p.host.name.clone(), p.trust.clone()))
            .collect()
    }

    fn somebody_trusts_others(&self) -> bool {
        let ours = self.cas.iter().map(|ca| ca.facts().sha256.clone()).collect();
        self.hosts.iter().any(|place| !trusts(&place.trust, &ours).holds())
    }

    /// Whether something else issued certificates of the CA that goes.
    fn strangers(&self) -> bool {
        let next = self.situation.supplies.next_ca.as_ref();
        next.is_some_and(|next| next.issued_elsewhere)
    }

    fn waiting_clients(&self, new: &str) -> Vec<String> {
        waiting(new, &self.situation.supplies.clients)
    }

    /// Nothing but the new CA; asks for what the whole rotation costs.
    fn prepare(&self, membership: Option<&Membership>) -> Result<Draft, Vec<Blocked>> {
        let mut risk = Risk::Outage;
        let mut why = vec!["the CA has expired: all members get new certificates and restart together".to_owned()];
        if let Some(membership) = membership {
            self.may_begin(membership)?;
            for member in membership.voters() {
                may_stop(membership, member.id, self.situation.policy).map_err(|refusal| vec![refusal])?;
            }
            if membership.voters().count() > 2 {
                risk = Risk::ReducesRedundancy;
            }
            why = vec![
                "then each member restarts with both CAs, all get new certificates without a restart, and each restarts without the old CA: one at a time, the leader \
                 last"
                    .to_owned(),
            ];
        }
        let mut draft = self.draft();
        draft.wave(
            "create the new CA",
            Effect::None,
            vec![turn_authority(AuthorityTurn::Prepare, risk).because(why)],
        );
        if self.signer().facts().issuer != self.signer().facts().subject {
            draft.notes.push(
                "the new CA will be quorate's own, not an intermediate of your company's: for that, run `quorate pki csr` and `quorate pki import` \
                 first"
                    .into(),
            );
        }
        let clients: Vec<&str> = self
            .situation
            .supplies
            .clients
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        if !clients.is_empty() {
            draft.notes.push(format!(
                "clients that will need new certificates: {}",
                clients.join(", ")
            ));
        }
        if self.compromised {
            draft.notes.push(
                "anyone with the old CA's key can access etcd until this is done; clients are not waited for".into(),
            );
        }
        Ok(draft)
    }

    /// A rotation that has begun keeps `up` away: what that would have to mend is mended first.
    ///
    /// # Errors
    /// Who would not come up again or has lost its data, and whose joining is unfinished.
    fn may_begin(&self, membership: &Membership) -> Result<(), Vec<Blocked>> {
        let unfinished = membership
            .members
            .iter()
            .filter(|m| m.learner || !m.started())
            .map(|m| {
                let reason = format!(
                    "{} has been added but is not a voter yet",
                    label(self.situation.desired, m)
                );
                Blocked::new(Rule::NotSettled, reason, "finish that change first: `quorate up`").because_of([m])
            });
        let mut blocked: Vec<Blocked> = unfinished.collect();
        blocked.extend(known_hosts(self.situation).filter_map(|(host, facts)| {
            let member = membership.of(host).filter(|m| m.started() && !m.learner)?;
            own_data(self.situation, host, facts, member).err()
        }));
        blocked.extend(self.hosts.iter().filter_map(|place| {
            let member = membership.of(place.host)?;
            stays_down(self.situation, membership, place.host, member)
        }));
        if blocked.is_empty() { Ok(()) } else { Err(blocked) }
    }

    /// Members learn to trust both, one at a time; then the new CA signs.
    fn trust_both(&self, membership: &Membership) -> Draft {
        let mut draft = self.draft();
        self.teach(membership, &self.cas, "trust both CAs", &mut draft, |turn| turn);
        let switch = self.hosts.iter().fold(
            turn_authority(AuthorityTurn::Switch, Risk::Reversible),
            |step, place| step.requires(self.trusts(place, &self.cas)),
        );
        draft.wave("switch to the new CA", Effect::None, vec![switch]);
        draft
    }

    /// New certificates for all members, and then no trace of the old CA. `retire`: it is still in our own `ca.crt`.
    fn reissue_and_drop(&self, membership: &Membership, retire: bool) -> Result<Draft, Vec<Blocked>> {
        let new = &self.signer().facts().sha256;
        let mut draft = self.draft();
        let accepted = may_sign_with(new, &self.trust_by_node());
        let somebody_is_down = self.hosts.iter().any(|place| !runs(place.facts));
        if retire && (accepted.is_err() || somebody_is_down) {
            // A member that came back from a backup of its disk, say, or one that was cut off in its restart.
            self.teach(membership, &self.cas, "trust both CAs", &mut draft, |turn| turn);
            return Ok(draft);
        }
        let due: Vec<&Place<'_>> = self.hosts.iter().filter(|place| !place.trust.shows(new)).collect();
        // With every certificate new already nothing is signed: a member whose restart without the old CA was cut off
        // has another file than its process, which is all that can be told, and only has to be restarted.
        if !due.is_empty() {
            accepted?;
        }
        if !self.compromised && !self.situation.policy.accept_outage {
            let strangers = self.strangers() && !self.situation.policy.clients_ready;
            clients_are_ready(new, &self.situation.supplies.clients, strangers).map_err(|refusal| vec![refusal])?;
        }
        let steps = due.iter().map(|place| {
            self.hosts
                .iter()
                .fold(reissue(place.host, place.facts, self.signer()), |step, other| {
                    step.requires(Check::Accepts {
                        node: other.host.name.clone(),
                        pki: other.host.paths.pki.clone(),
                        ca: new.clone(),
                    })
                })
        });
        draft.wave(
            "certificates of the new CA, without a restart",
            Effect::None,
            steps.collect(),
        );
        if !due.is_empty() {
            draft.wave("verify", Effect::None, vec![self.look_again(membership)]);
        }
        if retire {
            let turn = match self.compromised {
                true => AuthorityTurn::Disown,
                false => AuthorityTurn::Retire,
            };
            let step = self.all_new(turn_authority(turn, Risk::Reversible));
            draft.wave("remove the old CA from ca.crt", Effect::None, vec![step]);
        }
        let old = self.situation.supplies.next_ca.as_ref().map(|next| &next.old);
        let kept: Vec<Certificate> = self
            .cas
            .iter()
            .filter(|ca| Some(&ca.facts().sha256) != old)
            .cloned()
            .collect();
        self.teach(membership, &kept, "stop trusting the old CA", &mut draft, |step| {
            self.all_new(step)
        });
        let locked_out = self.waiting_clients(new);
        if !locked_out.is_empty() {
            draft.notes.push(format!(
                "locked out until they get new certificates: {}",
                locked_out.join(", ")
            ));
        }
        Ok(draft)
    }

    /// The CA has expired, so no handshake succeeds anywhere: everything is swapped in one go.
    fn swap_at_once(&self, stage: Stage) -> Draft {
        let mut draft = self.draft();
        if stage == Stage::TrustBoth {
            let switch = turn_authority(AuthorityTurn::Switch, Risk::Reversible);
            draft.wave("switch to the new CA", Effect::None, vec![switch]);
        }
        let restarts = self.hosts.iter().map(|place| {
            let change = HostChange {
                certificates: true,
                also_named: former_addresses(place.host, place.facts),
                ..HostChange::default()
            };
            let url = place.host.peer_url();
            let restart = Action::Restart {
                change,
                url,
                turn: None,
            };
            on(&place.host.name, restart, Risk::Outage)
                .ensures(Check::Started {
                    node: place.host.name.clone(),
                })
                .because(["its CA has expired".into()])
        });
        draft.wave(
            "to install the new CA and its certificates on all members at once",
            Effect::None,
            restarts.collect(),
        );
        let look = self.look(None).ensures(Check::AllHealthy {
            cluster_id: None,
            members: self.hosts.len(),
        });
        draft.wave("verify", Effect::None, vec![look]);
        draft
    }

    /// Restarts, one at a time, every member that does not trust exactly `cas`, or is down.
    fn teach(
        &self,
        membership: &'a Membership,
        cas: &[Certificate],
        what: &str,
        draft: &mut Draft,
        condition: impl Fn(Step) -> Step,
    ) {
        let wanted = cas.iter().map(|ca| ca.facts().sha256.clone()).collect();
        let mut due: Vec<(&Place<'_>, &Member)> = self
            .hosts
            .iter()
            .filter(|place| !trusts(&place.trust, &wanted).holds() || !runs(place.facts))
            .filter_map(|place| Some((place, membership.of(place.host)?)))
            .collect();
        due.sort_by_key(|(_, member)| turn(membership, member.id));
        for (place, member) in &due {
            let seen = membership.status_of(member.id).map(|status| status.version);
            let one = Turn {
                host: place.host,
                member,
                change: place.trust_change(cas),
                // One that is down comes back with whichever release its unit names.
                version: seen.or(place.facts.service.running_version),
                why: vec![format!("to {what}")],
            };
            let step = one.step(self.situation, membership).ensures(self.trusts(place, cas));
            draft.wave(
                format!("{}: {what}", place.host.name),
                effect(membership, member),
                vec![condition(step)],
            );
        }
        if !due.is_empty() {
            draft.wave("verify", Effect::None, vec![self.look_again(membership)]);
        }
    }

    fn trusts(&self, place: &Place<'_>, cas: &[Certificate]) -> Check {
        Check::Trusts {
            node: place.host.name.clone(),
            pki: place.host.paths.pki.clone(),
            cas: cas.iter().map(|ca| ca.facts().sha256.clone()).collect(),
        }
    }

    /// Nothing from the old CA anywhere: right before the step, not only now.
    fn all_new(&self, step: Step) -> Step {
        self.hosts.iter().fold(step, |step, place| {
            step.requires(Check::LeavesFrom {
                node: place.host.name.clone(),
                pki: place.host.paths.pki.clone(),
                ca: self.signer().facts().sha256.clone(),
            })
        })
    }

    fn look_again(&self, membership: &Membership) -> Step {
        let cluster_id = Some(membership.cluster_id);
        self.look(cluster_id).ensures(Check::AllHealthy {
            cluster_id,
            members: membership.members.len(),
        })
    }

    fn look(&self, cluster_id: Option<crate::inventory::ClusterId>) -> Step {
        let nodes = self.hosts.iter().map(|place| place.host.name.clone()).collect();
        step(Target::Cluster, Action::LookAgain { nodes, cluster_id }, Risk::ReadOnly)
    }
}

impl Place<'_> {
    /// `ca.crt` with these CAs, unless it is there already and only the process does not know it.
    fn trust_change(&self, cas: &[Certificate]) -> HostChange {
        let path = self.host.paths.pki.join("ca.crt");
        let file = RenderedFile::new(path, self.host, host_bundle(cas));
        let seen = self.facts.files.get(&file.path);
        if seen.is_some_and(|seen| seen.sha256 == file.sha256) {
            return HostChange::default();
        }
        let change = FileChange {
            diff: unified_diff(seen.and_then(|seen| seen.content.as_deref()), &file),
            path: file.path,
            mode: file.mode,
            owner: file.owner,
            sha256: file.sha256,
            text: file.text,
        };
        HostChange {
            trust: Some(change),
            ..HostChange::default()
        }
    }
}

fn turn_authority(turn: AuthorityTurn, risk: Risk) -> Step {
    step(Target::Operator, Action::RotateAuthority { turn }, risk)
}

/// The operator's `ca.crt`; never empty.
fn trusted(situation: Situation<'_>) -> Result<Vec<Certificate>, Vec<Blocked>> {
    let refuse = |reason: String, hint: &str| vec![Blocked::new(Rule::Certificates, reason, hint)];
    let Some(pem) = &situation.supplies.ca_pem else {
        return Err(refuse(
            "there is no CA yet".into(),
            "`quorate up` creates one with the cluster",
        ));
    };
    Certificate::bundle_from_pem(pem).map_err(|error| refuse(format!("ca.crt: {error}"), &error.hint()))
}

/// Whether the CA that the members know has ended.
fn old_has_expired(situation: Situation<'_>, cas: &[Certificate]) -> bool {
    let next = situation.supplies.next_ca.as_ref();
    let old = match next {
        Some(next) => cas.iter().find(|ca| ca.facts().sha256 == next.old),
        None => cas.first(),
    };
    old.is_some_and(|ca| situation.observed.at >= ca.facts().not_after)
}

/// Members that could not be given the new CA.
fn strays(situation: Situation<'_>, membership: &Membership) -> Vec<Blocked> {
    let strays = membership
        .members
        .iter()
        .filter(|m| host_of(situation.desired, m).is_none());
    strays
        .map(|member| {
            Blocked::new(
                Rule::Inventory,
                format!(
                    "the member {} is not in the inventory: it would be disconnected",
                    label(situation.desired, member)
                ),
                "add it to the inventory, or remove it with `quorate up --prune`",
            )
        })
        .collect()
}
