//! Builds the list of waves and keeps count of the fault tolerance while it does.

use super::{Action, Step, Target, Tolerance, Wave};
use crate::inventory::NodeName;
use crate::ops::check::Check;
use crate::ops::plan::Risk;
use crate::ops::safety::quorum::{Strength, quorum};

/// A plan in the making.
pub(super) struct Draft {
    pub waves: Vec<Wave>,
    pub notes: Vec<String>,
    /// The voters as they will be after the waves so far.
    strength: Option<Strength>,
}

/// What a wave does to the number of healthy voters.
#[derive(Clone, Copy)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// One healthy voter is down meanwhile.
    OneDown,
    /// These many healthy voters stop and stay down.
    Rests(usize),
    /// These many voters come back.
    Recovers(usize),
    /// A learner becomes a voter.
    Joins,
    /// A voter leaves; it was healthy or not.
    Leaves { healthy: bool },
    /// A cluster of this many voters comes to life.
    Born(usize),
}

impl Draft {
    pub fn new(strength: Option<Strength>) -> Self {
        Self {
            waves: Vec::new(),
            notes: Vec::new(),
            strength,
        }
    }

    /// Adds a wave, unless it has no steps.
    pub fn wave(&mut self, title: impl Into<String>, effect: Effect, steps: Vec<Step>) {
        if steps.is_empty() {
            return;
        }
        let tolerance = self.account(effect);
        self.waves.push(Wave {
            title: title.into(),
            steps,
            tolerance,
        });
    }

    /// Gives every step its id: `w2.etcd-1`, `w3.cluster`.
    pub fn number(&mut self) {
        for (index, wave) in self.waves.iter_mut().enumerate() {
            for step in &mut wave.steps {
                let place = match &step.target {
                    Target::Node(name) => name.as_str(),
                    Target::Cluster => "cluster",
                    Target::Operator => "operator",
                };
                step.id = format!("w{}.{place}", index + 1);
            }
        }
    }

    fn account(&mut self, effect: Effect) -> Option<Tolerance> {
        if let Effect::Born(voters) = effect {
            let after = Strength {
                voters,
                healthy: voters,
            };
            self.strength = Some(after);
            return Some(Tolerance {
                voters,
                before: 0,
                during: 0,
                after: after.can_lose(),
            });
        }
        let before = self.strength?;
        let after = match effect {
            Effect::None | Effect::OneDown | Effect::Born(_) => before,
            Effect::Rests(n) => Strength {
                healthy: before.healthy.saturating_sub(n),
                ..before
            },
            Effect::Recovers(n) => Strength {
                healthy: (before.healthy + n).min(before.voters),
                ..before
            },
            Effect::Joins => Strength {
                voters: before.voters + 1,
                healthy: before.healthy + 1,
            },
            Effect::Leaves { healthy } => Strength {
                voters: before.voters.saturating_sub(1),
                healthy: before.healthy.saturating_sub(usize::from(healthy)),
            },
        };
        let during = match effect {
            Effect::OneDown => before.healthy as i64 - 1 - quorum(before.voters) as i64,
            Effect::Rests(_) => after.healthy as i64 - quorum(before.voters) as i64,
            _ => before.can_lose().min(after.can_lose()) as i64,
        };
        self.strength = Some(after);
        Some(Tolerance {
            voters: after.voters,
            before: before.can_lose(),
            during: during.max(-1),
            after: after.can_lose(),
        })
    }
}

/// A step without its id, which the draft gives it.
pub(super) fn step(target: Target, action: Action, risk: Risk) -> Step {
    Step {
        id: String::new(),
        target,
        action,
        requires: Vec::new(),
        ensures: Vec::new(),
        risk,
        why: Vec::new(),
    }
}

/// A step on a host.
pub(super) fn on(node: &NodeName, action: Action, risk: Risk) -> Step {
    step(Target::Node(node.clone()), action, risk)
}

impl Step {
    pub(super) fn requires(mut self, check: Check) -> Self {
        self.requires.push(check);
        self
    }

    pub(super) fn ensures(mut self, check: Check) -> Self {
        self.ensures.push(check);
        self
    }

    pub(super) fn because(mut self, why: impl IntoIterator<Item = String>) -> Self {
        self.why.extend(why);
        self
    }
}
