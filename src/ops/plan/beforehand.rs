//! The snapshot before something that cannot be taken back.

use super::waves::{Draft, Effect, step};
use super::{Action, Risk, Situation, Target};

/// Adds a verified snapshot as the next wave, unless the operator said `--no-snapshot`. `reason` becomes part of its
/// file's name.
pub(super) fn snapshot_first(situation: Situation<'_>, reason: String, why: Option<String>, draft: &mut Draft) {
    if situation.policy.no_snapshot {
        return;
    }
    let snapshot = step(Target::Cluster, Action::Snapshot { reason }, Risk::ReadOnly).because(why);
    draft.wave("take a snapshot", Effect::None, vec![snapshot]);
}
