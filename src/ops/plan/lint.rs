//! A second opinion on a plan: reads it as data against what was observed, and shares no code with the planner or the
//! safety rules. A fatal finding means that the planner is wrong.

use std::collections::BTreeSet;
use std::fmt;

use super::{Action, HostChange, Plan, Risk, Step, Target, Wave};
use crate::etcd::Member;
use crate::host::{DataState, HostFacts};
use crate::inventory::{MemberId, NodeName, PeerUrl, Version};
use crate::ops::check::Check;
use crate::ops::model::{Fact, Intent, Membership, Observed};
use crate::render::{InitialState, initial_of};

/// Something about a plan that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintFinding {
    /// The step it is about, by id; empty for the plan as a whole.
    pub step: String,
    /// What is wrong.
    pub what: String,
    /// Whether the plan must not be run.
    pub fatal: bool,
}

impl fmt::Display for LintFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step.as_str() {
            "" => f.write_str(&self.what),
            step => write!(f, "{step}: {}", self.what),
        }
    }
}

/// Everything that should not be in `plan`, made for what was `seen`.
pub fn lint(plan: &Plan, seen: &Observed) -> Vec<LintFinding> {
    let mut lint = Lint {
        plan,
        seen,
        findings: Vec::new(),
    };
    lint.shape();
    lint.order();
    for wave in &plan.waves {
        for step in &wave.steps {
            lint.step(step);
        }
    }
    lint.findings
}

/// Whether a step only brings programs that no member runs.
fn brings_tools(step: &Step) -> bool {
    let Action::Provision { change } = &step.action else {
        return false;
    };
    let mut rest = change.clone();
    rest.split_tools();
    rest.is_empty()
}

struct Lint<'a> {
    plan: &'a Plan,
    seen: &'a Observed,
    findings: Vec<LintFinding>,
}

impl<'a> Lint<'a> {
    fn fatal(&mut self, step: &str, what: impl Into<String>) {
        self.findings.push(LintFinding {
            step: step.to_owned(),
            what: what.into(),
            fatal: true,
        });
    }

    fn membership(&self) -> Option<&'a Membership> {
        self.seen.cluster.known()
    }

    fn facts(&self, node: &NodeName) -> Option<&'a HostFacts> {
        self.seen.hosts.get(node).and_then(Fact::known)
    }

    /// Waves have steps, ids are unique, hosts are used once a wave, steps on the cluster are alone or beside tools.
    fn shape(&mut self) {
        let mut ids = BTreeSet::new();
        for wave in &self.plan.waves {
            if wave.steps.is_empty() {
                self.fatal("", format!("the wave `{}` has no steps", wave.title));
            }
            let mut targets = BTreeSet::new();
            for step in &wave.steps {
                if !ids.insert(&step.id) {
                    self.fatal(&step.id, "another step has this id");
                }
                if !targets.insert(&step.target) {
                    self.fatal(&step.id, "two steps of one wave work in the same place");
                }
                let others = || wave.steps.iter().filter(|other| other.id != step.id);
                if !matches!(step.target, Target::Node(_)) && !others().all(brings_tools) {
                    self.fatal(&step.id, "a step that is not on a host has to be alone in its wave");
                }
            }
            if wave.steps.iter().filter(|s| self.takes_a_voter(s)).count() > 1 {
                self.fatal("", format!("the wave `{}` takes more than one voter down", wave.title));
            }
        }
    }

    /// What must come before or after what.
    fn order(&mut self) {
        let steps: Vec<&Step> = self.plan.steps().collect();
        for (at, step) in steps.iter().enumerate() {
            match &step.action {
                Action::AddLearner { url } => {
                    let promoted = |s: &&Step| matches!(&s.action, Action::Promote { url: u } if u == url);
                    if !steps[at..].iter().any(promoted) {
                        self.fatal(&step.id, "the learner it adds is never promoted");
                    }
                    let another =
                        |s: &&Step| matches!(&s.action, Action::AddLearner { .. } | Action::RemoveMember { .. });
                    let next = steps[at + 1..].iter().find(|s| promoted(s) || another(s));
                    if next.is_some_and(another) {
                        self.fatal(&step.id, "another member changes before the learner is promoted");
                    }
                }
                Action::RemoveMember { id, .. } => {
                    // One that does not answer cannot be told to.
                    let leads = self.membership().is_some_and(|m| {
                        m.leader() == Some(*id) && m.members.iter().any(|x| x.id == *id && answers(m, x))
                    });
                    let handed_over = steps[..at].iter().any(|s| matches!(s.action, Action::HandOver { .. }));
                    if leads && !handed_over {
                        self.fatal(&step.id, "removes the leader without a hand-over");
                    }
                }
                Action::Retire if self.retires_a_voter(step, &steps[..at]) => {
                    self.fatal(&step.id, "stops a voter for good that is still on the list");
                }
                _ => {}
            }
        }
        self.leader_last(&steps);
        self.sick_first(&steps);
        self.together();
    }

    /// Whether it stops for good whose vote counts, and none of the steps before takes that member off the list. A
    /// restore stops everybody.
    fn retires_a_voter(&self, step: &Step, before: &[&Step]) -> bool {
        let (Target::Node(node), Some(membership)) = (&step.target, self.membership()) else {
            return false;
        };
        let Some(member) = self.listed(node).filter(|m| !m.learner && answers(membership, m)) else {
            return false;
        };
        let removes = |s: &&Step| matches!(&s.action, Action::RemoveMember { id, .. } if *id == member.id);
        !self.restores() && !self.rescues(membership) && !before.iter().any(removes)
    }

    fn restores(&self) -> bool {
        matches!(self.plan.header.intent, Intent::Restore(_))
    }

    /// A recovery stops what is left of a cluster without a majority.
    fn rescues(&self, membership: &Membership) -> bool {
        let answering = membership.voters().filter(|m| answers(membership, m)).count();
        matches!(self.plan.header.intent, Intent::Recover(_)) && answering <= membership.voters().count() / 2
    }

    /// Of those that are members already: whoever has just come in has its turn at the very end.
    fn leader_last(&mut self, steps: &[&Step]) {
        let joins = |s: &Step| self.restarted(s).is_some_and(|(_, member)| !member.started());
        let busy = |s: &&&Step| self.takes_a_voter(s) || matches!(s.action, Action::Defragment { .. });
        let turns: Vec<&&Step> = steps.iter().filter(busy).filter(|s| !joins(s)).collect();
        let leads = |s: &Step| match &s.action {
            Action::Restart { url, .. } | Action::Defragment { url } => self
                .membership()
                .is_some_and(|m| self.at(m, url).map(|x| x.id) == m.leader()),
            _ => false,
        };
        if let Some(position) = turns.iter().position(|s| leads(s))
            && position + 1 < turns.len()
        {
            let id = turns[position].id.clone();
            let what = match turns[position].action {
                Action::Defragment { .. } => "the leader is not the last to be defragmented",
                _ => "the leader is not the last to be restarted",
            };
            self.fatal(&id, what);
        }
    }

    /// A voter that works is not taken down while another one waits for the restart that may bring it back.
    fn sick_first(&mut self, steps: &[&Step]) {
        let restarts: Vec<&&Step> = steps
            .iter()
            .filter(|s| matches!(s.action, Action::Restart { .. }))
            .collect();
        let down = |s: &Step| self.restarted(s).is_some_and(|(m, x)| !x.learner && !answers(m, x));
        let well = restarts.iter().position(|s| self.takes_a_voter(s));
        let sick = restarts.iter().rposition(|s| down(s));
        if let (Some(well), Some(sick)) = (well, sick)
            && well < sick
        {
            let id = restarts[sick].id.clone();
            self.fatal(&id, "a voter that works is restarted before one that does not");
        }
    }

    /// Without a living cluster one member alone never becomes ready: all start in one wave.
    fn together(&mut self) {
        let starts = |w: &&Wave| w.steps.iter().any(|s| matches!(s.action, Action::Start));
        let leads = |w: &Wave| matches!(w.steps.as_slice(), [s] if s.ensures.iter().any(|c| matches!(c, Check::HasData { .. })));
        let starting: Vec<&Wave> = self.plan.waves.iter().filter(starts).collect();
        // The first member of a new cluster goes ahead alone, when all others follow at once.
        let at_once = match starting.as_slice() {
            [] | [_] => true,
            [first, _] => leads(first),
            _ => false,
        };
        if self.membership().is_none() && !at_once {
            self.fatal(
                "",
                "members of a cluster that does not run are started one after the other",
            );
        }
    }

    fn step(&mut self, step: &Step) {
        if let Target::Node(node) = &step.target
            && self.facts(node).is_none()
        {
            self.fatal(&step.id, "works on a host that could not be inspected");
        }
        match (&step.action, &step.target) {
            (Action::Provision { change }, Target::Node(node)) => self.provision(step, node, change),
            (Action::Restart { change, url, .. }, Target::Node(node)) => {
                self.provision(step, node, change);
                self.restart(step, url);
            }
            (Action::Start, Target::Node(node)) => self.start(step, node),
            (Action::Rest { .. }, Target::Node(node)) => self.rest(step, node),
            (Action::ClearAborted, Target::Node(node))
                if self.facts(node).is_some_and(|f| f.data.state != DataState::Aborted) =>
            {
                self.fatal(&step.id, "there is no aborted start to clear away");
            }
            (Action::SetAside | Action::Wipe, Target::Node(node)) => self.take_data(step, node),
            (Action::Withdraw { .. }, _) => {
                if !matches!(self.plan.header.intent, Intent::Destroy(_)) {
                    self.fatal(&step.id, "removes what a member is made of, and nobody asked for that");
                }
                self.after_all(step);
            }
            (Action::MakeRoom | Action::RestoreData(_), _) if !self.restores() => {
                self.fatal(&step.id, "exchanges data, and no restore was asked for");
            }
            (Action::ChangeUrls { id, urls, .. }, _) => self.change_urls(step, *id, urls),
            (Action::AddLearner { .. }, _) => self.needs(step, "SafeToAdd", |c| matches!(c, Check::SafeToAdd)),
            (Action::Promote { url }, _) => {
                let voter = |c: &Check| matches!(c, Check::HealthyVoter { url: u } if u == url);
                if !step.ensures.iter().any(voter) {
                    self.fatal(&step.id, "does not wait until the new voter is healthy");
                }
            }
            (Action::RemoveMember { id, .. }, _) => {
                self.needs(
                    step,
                    "SafeToRemove",
                    |c| matches!(c, Check::SafeToRemove { id: x, .. } if x == id),
                );
                if !self.membership().is_some_and(|m| m.by_quorum) {
                    self.fatal(&step.id, "removes a member by a list that no quorum stands behind");
                }
            }
            _ => {}
        }
    }

    /// Nobody loses the URL at which the others reach it, unless it has another one by then.
    fn change_urls(&mut self, step: &Step, id: MemberId, urls: &[PeerUrl]) {
        self.needs(
            step,
            "SafeToChangeUrls",
            |c| matches!(c, Check::SafeToChangeUrls { id: x, .. } if *x == id),
        );
        let Some(membership) = self.membership() else { return };
        let member = membership.members.iter().find(|member| member.id == id);
        let loses = member.is_some_and(|m| answers(membership, m) && !m.peer_urls.iter().all(|url| urls.contains(url)));
        let proved = |c: &Check| matches!(c, Check::Connected { url } if urls.contains(url));
        if loses && !step.requires.iter().any(proved) {
            self.fatal(&step.id, "takes the URL from a member at which the others reach it");
        }
    }

    fn needs(&mut self, step: &Step, name: &str, check: impl Fn(&Check) -> bool) {
        if !step.requires.iter().any(check) {
            self.fatal(&step.id, format!("does not require {name}"));
        }
    }

    /// A config that says `new` never lands on an empty host beside a living cluster.
    fn provision(&mut self, step: &Step, node: &NodeName, change: &HostChange) {
        let empty = self.facts(node).is_some_and(|f| f.data.state == DataState::Empty);
        let mut initial = change.files.iter().filter_map(|f| initial_of(&f.text));
        if self.membership().is_some() && !self.restores() && empty && initial.any(|i| i.state == InitialState::New) {
            self.fatal(
                &step.id,
                "tells a host without data to found a cluster beside a living one",
            );
        }
    }

    fn restart(&mut self, step: &Step, url: &PeerUrl) {
        if !self.takes_a_voter(step) {
            return;
        }
        self.needs(
            step,
            "SafeToStop",
            |c| matches!(c, Check::SafeToStop { url: u, .. } if u == url),
        );
        if step.risk < Risk::ReducesRedundancy {
            self.fatal(&step.id, "takes a voter down and calls that no risk");
        }
        if !step
            .ensures
            .iter()
            .any(|c| matches!(c, Check::HealthyVoter { url: u } if u == url))
        {
            self.fatal(&step.id, "does not wait until the voter is healthy again");
        }
        if self.leaves_v2_behind(step, url) && !step.requires.iter().any(|c| matches!(c, Check::SafeToEnter { .. })) {
            self.fatal(
                &step.id,
                "takes a member onto 3.7, and nothing makes sure that it can read its raft log",
            );
        }
        if self.goes_back(step, url) && !step.requires.iter().any(|c| matches!(c, Check::SafeToGoBack { .. })) {
            self.fatal(
                &step.id,
                "takes a member back over a minor release, and nothing makes sure that it is ready",
            );
        }
    }

    /// A member goes down alone and only when the others carry on; all together only where just that was asked for.
    fn rest(&mut self, step: &Step, node: &NodeName) {
        match &self.plan.header.intent {
            Intent::Stop { .. } | Intent::Destroy(_) => {}
            Intent::Maintain { node: asked, .. } if asked == node => {
                self.needs(step, "SafeToStop", |c| matches!(c, Check::SafeToStop { .. }));
                self.needs(step, "OthersConnected", |c| matches!(c, Check::OthersConnected { .. }));
            }
            _ => self.fatal(&step.id, "stops a member for long, and nobody asked for that"),
        }
        if !step.ensures.iter().any(|c| matches!(c, Check::RestNoted { .. })) {
            self.fatal(&step.id, "leaves a member down without a note that says why");
        }
    }

    /// Whether it exchanges a member's release for one of an earlier minor than that says it runs.
    fn goes_back(&self, step: &Step, url: &PeerUrl) -> bool {
        self.exchanged(step, url)
            .is_some_and(|(comes, runs)| comes.series() < runs.series())
    }

    /// Whether it takes a member over the border behind which the raft log of earlier releases cannot be read.
    fn leaves_v2_behind(&self, step: &Step, url: &PeerUrl) -> bool {
        self.exchanged(step, url)
            .is_some_and(|(comes, runs)| comes.series() >= (3, 7) && runs.series() < (3, 7))
    }

    /// The release that a step brings to a member, and the one that it says it runs.
    fn exchanged(&self, step: &Step, url: &PeerUrl) -> Option<(Version, Version)> {
        let comes = step.ensures.iter().find_map(|check| match check {
            Check::RunsCurrent { version, .. } => *version,
            _ => None,
        });
        let membership = self.membership()?;
        Some((comes?, membership.status_of(self.at(membership, url)?.id)?.version))
    }

    /// A host without data starts only where that was made sure of: nothing there at a bootstrap, or on the list, or
    /// restored by then.
    fn start(&mut self, step: &Step, node: &NodeName) {
        let bootstrapped = self
            .facts(node)
            .is_some_and(|f| f.data.state == DataState::Bootstrapped);
        let sure = |c: &Check| matches!(c, Check::NoData { .. } | Check::Listed { .. } | Check::Restored { .. });
        if !bootstrapped && !step.requires.iter().any(sure) {
            self.fatal(
                &step.id,
                "starts a host without data, and nothing makes sure that it may",
            );
        }
    }

    fn take_data(&mut self, step: &Step, node: &NodeName) {
        self.needs(step, "Stopped", |c| matches!(c, Check::Stopped { .. }));
        let end = match &self.plan.header.intent {
            Intent::Destroy(order) => Some(order),
            _ => None,
        };
        if end.is_some() {
            self.after_all(step);
        } else if self.listed(node).is_some() {
            self.needs(step, "SafeToWipe", |c| matches!(c, Check::SafeToWipe { .. }));
        }
        if step.action != Action::Wipe {
            return;
        }
        if step.risk != Risk::DestroysData {
            self.fatal(&step.id, "deletes data and calls that no risk");
        }
        let removed = matches!(&self.plan.header.intent, Intent::Remove { node: n, wipe: true } if n == node);
        let consent = removed || end.is_some_and(|order| order.wipe);
        if !consent {
            self.fatal(&step.id, "deletes data that nobody asked to delete");
        }
    }

    /// At the end of a cluster everybody that runs has stopped before the first data and files go.
    fn after_all(&mut self, step: &Step) {
        let runs = |fact: &Fact<HostFacts>| fact.known().is_some_and(|facts| facts.service.pid.is_some());
        let running = self.seen.hosts.iter().filter(|(_, fact)| runs(fact));
        let waits = |node: &NodeName| {
            let stopped = |c: &Check| matches!(c, Check::Stopped { node: n } if n == node);
            step.requires.iter().any(stopped)
        };
        if let Some((node, _)) = running.into_iter().find(|(node, _)| !waits(node)) {
            self.fatal(&step.id, format!("takes what a member has while {node} may run"));
        }
    }

    /// The member at a URL, also at one that the plan itself gives it.
    fn at(&self, membership: &'a Membership, url: &PeerUrl) -> Option<&'a Member> {
        let given = self.plan.steps().find_map(|step| match &step.action {
            Action::ChangeUrls { id, urls, .. } if urls.contains(url) => Some(*id),
            _ => None,
        });
        let mut all = membership.members.iter();
        let listed = all.clone().find(|m| m.peer_urls.contains(url));
        listed.or_else(|| all.find(|m| Some(m.id) == given))
    }

    /// The member of this name.
    fn listed(&self, node: &NodeName) -> Option<&'a Member> {
        self.membership()?.members.iter().find(|m| m.name == node.as_str())
    }

    /// Whether the step stops a member whose vote counts now. One that must be down when its turn comes is started only.
    fn takes_a_voter(&self, step: &Step) -> bool {
        let must_be_down = step.requires.iter().any(|c| matches!(c, Check::Stopped { .. }));
        let votes = |(m, x): (&Membership, &Member)| !x.learner && answers(m, x);
        !must_be_down && self.restarted(step).is_some_and(votes)
    }

    /// The member that the step restarts, and the list it is on.
    fn restarted(&self, step: &Step) -> Option<(&'a Membership, &'a Member)> {
        let Action::Restart { url, .. } = &step.action else {
            return None;
        };
        let membership = self.membership()?;
        Some((membership, self.at(membership, url)?))
    }
}

/// It answers as itself for this cluster, and follows somebody: raft counts on its vote, whatever alarms it reports.
fn answers(membership: &Membership, member: &Member) -> bool {
    let status = membership.status.get(&member.id).and_then(Fact::known);
    status.is_some_and(|says| {
        let itself = (says.header.cluster_id, says.header.member_id) == (membership.cluster_id, member.id);
        itself && says.leader.0 != 0
    })
}
