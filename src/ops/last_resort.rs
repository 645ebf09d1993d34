//! Ways out that give up what a cluster has, in words: taking a member's place, going on from a minority, going back to a
//! backup. Right when it is lost; taken while it merely cannot be seen, they destroy a cluster that is well. So no other
//! file of `src/ops` and `src/cli` names these commands to an operator (`tests/last_resort.rs`), and only a
//! [`Sight`](super::sight::Sight) gives the words out.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

use std::fmt::Display;

use crate::ops::restore::RestoreNote;
use crate::report::DataLoss;

/// A way out that gives up what is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastResort {
    text: String,
    /// It takes the place of the hint instead of following it.
    instead: bool,
    /// What the hosts themselves say is enough for it: members need not answer.
    by_hosts: bool,
}

impl LastResort {
    fn then(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            instead: false,
            by_hosts: false,
        }
    }

    fn instead(text: impl Into<String>) -> Self {
        Self {
            instead: true,
            ..Self::then(text)
        }
    }

    /// A hint with this behind it.
    pub(super) fn after(&self, hint: &str) -> String {
        match self.instead {
            true => self.text.clone(),
            false => format!("{hint}{}", self.text),
        }
    }

    /// Whether it may be said with every host seen, whoever of the members answers.
    pub(super) fn is_told_by_hosts(&self) -> bool {
        self.by_hosts
    }

    /// A member that is down has another one take its place.
    pub fn replace_by_another(name: impl Display) -> Self {
        Self::then(format!(", or replace it (`quorate replace-node {name} NEW`)"))
    }

    /// One that lost its data.
    pub fn joins_afresh(name: impl Display) -> Self {
        Self::then(format!(
            "; or, if the data is really gone, `quorate replace-node {name} {name}` removes the old member and adds it again as a new member"
        ))
    }

    /// One whose write-ahead log is gone.
    pub fn lost_data(name: impl Display) -> Self {
        Self::then(format!(
            ": `quorate replace-node {name} {name}` adds it again as a new member"
        ))
    }

    /// One that has what another cluster, or an earlier membership, left on its host.
    pub fn moves_aside(name: impl Display, address: impl Display) -> Self {
        Self::then(format!(
            ". `quorate replace-node {name} {name} --address {address}` moves that aside and adds it again as a new member"
        ))
    }

    /// One whose host has another address for good.
    pub fn at_a_new_address(name: impl Display, address: impl Display) -> Self {
        Self::then(format!(
            ". If the address has changed for good, and the other members are a quorum: with the old address in the inventory run `quorate \
             remove-node {name}`, then `quorate replace-node {name} {name} --address {address}`, which moves its data aside and \
             adds it again as a new member"
        ))
    }

    /// A host that was left out of a restore and runs with the old data.
    pub fn old_data_joins_afresh() -> Self {
        Self::then(". Then `quorate replace-node NAME NAME` moves that aside and adds the host again as a new member")
    }

    /// The same, said beforehand.
    pub fn when_it_comes_back() -> Self {
        Self::then("; when it does, `quorate replace-node NAME NAME` adds it again as a new member")
    }

    /// Hosts with data of different clusters.
    pub fn each_old_one_afresh() -> Self {
        Self::then(
            "; then `quorate replace-node NAME NAME` moves the old data of each other host aside and adds it again as a new member",
        )
    }

    /// Which of two clusters goes on.
    pub fn or_this_one_afresh(name: impl Display) -> Self {
        Self::then(format!(
            "; if it is this one, `quorate replace-node {name} {name}` moves it aside and adds the host again as a new member"
        ))
    }

    /// A member with other data than the others.
    pub fn replace_the_odd_one(name: impl Display) -> Self {
        Self::then(format!(", then `quorate replace-node {name} {name}`"))
    }

    /// The same, where it is not known yet which.
    pub fn replace_whichever_is_odd() -> Self {
        Self::then(", and replace it (`quorate replace-node`)")
    }

    /// A member whose disk loses what is on it.
    pub fn onto_a_disk() -> Self {
        Self::then(", then `quorate replace-node`")
    }

    /// A single member that is gone, of a cluster that works.
    pub fn one_is_gone() -> Self {
        Self::then("; a member that is gone for good is replaced with `quorate replace-node`")
    }

    /// A majority is gone.
    pub fn majority_gone() -> Self {
        Self::then("; when a majority is gone for good, `quorate recover`")
    }

    /// The data of a majority is gone.
    pub fn data_of_a_majority_gone() -> Self {
        Self::then(
            "; when the data of a majority is gone for good, `quorate recover`, or from a backup `quorate restore FILE`",
        )
    }

    /// What is said with the plan of a start that may not come to anything.
    pub fn no_majority_any_more() -> Self {
        Self::then(": `quorate recover` rebuilds the cluster from what is left")
    }

    /// Nothing is left on the hosts.
    pub fn from_a_snapshot() -> Self {
        Self::then(", or create a new cluster from a snapshot: `quorate restore FILE`")
    }

    /// Nothing is left to recover from.
    pub fn back_to_a_backup() -> Self {
        Self::instead("go back to a backup: `quorate restore FILE`")
    }

    /// A survivor whose data cannot be read.
    pub fn or_back_to_a_backup() -> Self {
        Self::then(", or go back to a backup: `quorate restore FILE`")
    }

    /// etcd has no way back from an upgrade.
    pub fn before_the_upgrade() -> Self {
        Self::instead(
            "restore the snapshot that was taken before the upgrade: `quorate restore FILE` (newer writes are lost)",
        )
    }

    /// A restore that was begun: its note is on the hosts, and members that just start need not answer for it.
    pub fn finish(note: &RestoreNote) -> Self {
        let text = format!(
            "finish it: `quorate restore {}{} --accept-data-loss` (the same backup, under any name)",
            note.file,
            note.by_name.flags()
        );
        Self {
            by_hosts: true,
            ..Self::instead(text)
        }
    }

    /// What etcd's journal says about lost data.
    pub fn of(loss: DataLoss, name: impl Display) -> Self {
        let afresh = format!("`quorate replace-node {name} {name}`");
        Self::then(match loss {
            DataLoss::Gone => format!(": {afresh} removes the member and adds it again as a learner"),
            DataLoss::Differs => {
                format!("; while the other members have quorum, {afresh} repairs the member that differs")
            }
            DataLoss::Damaged => {
                format!("; while the other members have quorum, {afresh} repairs it; otherwise restore a snapshot")
            }
        })
    }
}
