//! Every rule about quorum and data, and nothing else. A rule is a pure function that answers "why is it unsafe?"
//! with a typed, counted reason and a hint; planner, executor and tests ask the same functions.
//!
//! The rules, in the order of `docs/safety.md`:
//! 1. [`quorum::may_stop`]: at most one voter down because of us, and a quorum of the rest healthy; and in touch with each
//!    other ([`streams::others_connected`], [`streams::connected`]).
//! 2. one or two voters: stopping or removing one is an outage and takes `--accept-outage` (same functions).
//! 3. [`membership::may_add`], [`membership::may_promote`]: one change at a time, learners first.
//! 4. [`membership::may_remove`], [`membership::may_wipe`], and who leads meanwhile ([`leader`]).
//! 5. [`bootstrap::may_bootstrap`]: a new cluster only where everything is known to be empty.
//! 6. [`version::may_change_version`]: one minor at a time, above the published floors; back only the way that etcd itself
//!    opens ([`downgrade::may_begin`], [`downgrade::may_go_back`]); onto 3.7 only with a raft log that it can read
//!    ([`way_up::may_enter`], [`way_up::may_open`]).
//! 7. [`bootstrap::data_belongs`]: lost or foreign data blocks, it is never healed silently. [`place::in_its_place`]: what is
//!    not where the inventory says today is not lost.
//!    [`marks::are_known`]: what a newer quorate left on a host is not misread.
//!    [`adopt::may_note`]: data that something else made is taken over once, and never another inventory's.
//! 8. [`trust::may_sign_with`], [`trust::leaves_from`]: trust both CAs, reissue, drop the old one, never two at once.
//!    [`leaves::may_come_back`]: nobody is stopped whom the others would not let back in.
//!    [`clients::may_require_users`]: authentication is switched on only when every known client is a user.
//! 9. [`restore::may_restore`], [`restore::no_restore_under_way`]: older data only on demand, on all hosts or none, and
//!    nothing else until it is finished. [`restore::nobody_connected`]: not under the eyes of clients.
//! 10. [`recover::may_recover`]: a minority goes on alone only when no majority could, and from the newest of it.
//! 11. [`upkeep::may_defragment`], [`upkeep::has_room`], [`upkeep::may_disarm`]: one member at a time, and an alarm is taken
//!     back only when its cause is gone.
//!     [`rest::not_stopped`], [`rest::may_stop_all`]: what is down on purpose stays down until it is started on purpose.
//!     [`destroy::may_destroy`]: the end of a cluster, with a last backup and without clients.
//! 12. [`trial::may_be_given`]: no member is stopped for a configuration or a release that etcd does not start with.

#![deny(clippy::disallowed_methods, clippy::disallowed_macros)]

pub mod adopt;
pub mod bootstrap;
pub mod clients;
pub mod destroy;
pub mod downgrade;
pub mod leader;
pub mod leaves;
pub mod marks;
pub mod membership;
pub mod moves;
pub mod place;
pub mod quorum;
pub mod recover;
pub mod rest;
pub mod restore;
pub mod streams;
pub mod trial;
pub mod trust;
pub mod upkeep;
pub mod version;
pub mod way_up;
pub mod whose;

use serde::{Deserialize, Serialize};

use crate::etcd::Member;
use crate::inventory::{MemberId, NodeName};
use crate::ops::last_resort::LastResort;

/// Which rule said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Rule {
    /// Something that must be known is not.
    Unknown,
    /// A host cannot be inspected.
    Unreachable,
    /// The bundle lacks what the host needs.
    Bundle,
    /// Quorum is lost already.
    QuorumLost,
    /// The step would lose quorum, or stop clients.
    WouldLoseQuorum,
    /// Another member is unhealthy, or another change is unfinished.
    NotSettled,
    /// A member's data is gone.
    DataGone,
    /// There is data of another cluster.
    ForeignData,
    /// Versions etcd does not allow to follow each other.
    Version,
    /// The host cannot run the member.
    Host,
    /// The inventory and the cluster contradict each other.
    Inventory,
    /// etcd was asked, and does not start with what a member would be given.
    WouldNotStart,
    /// Certificates.
    Certificates,
    /// Clients would be locked out.
    LocksOut,
    /// Clients are connected to members that would all stop.
    ClientsConnected,
    /// A restore is under way.
    RestoreUnderWay,
    /// Members are down on purpose.
    DownOnPurpose,
    /// Upkeep at the wrong moment, or for nothing.
    Upkeep,
    /// Older data would take the place of what is there, or none.
    OlderData,
    /// No last backup can be taken.
    LastBackup,
    /// A newer version of quorate has left something on a host that this one cannot read.
    NewerMark,
}

/// A refusal: what is unsafe, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[error("{}{reason}", node.as_ref().map(|n| format!("{n}: ")).unwrap_or_default())]
pub struct Blocked {
    /// Which rule.
    pub rule: Rule,
    /// The host it is about.
    pub node: Option<NodeName>,
    /// A full sentence with the counts.
    pub reason: String,
    /// What to do: a command wherever there is one.
    pub hint: String,
    /// What else could be done, where no host was left in the dark ([`crate::ops::sight::Sight::complete`]).
    #[serde(skip)]
    pub(crate) last: Option<LastResort>,
    /// Members that are in the way: what is to be done about one depends on whether the inventory lists it ([`whose`]).
    #[serde(skip)]
    pub(crate) waits_for: Vec<MemberId>,
}

impl Blocked {
    pub(crate) fn new(rule: Rule, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            rule,
            node: None,
            reason: reason.into(),
            hint: hint.into(),
            last: None,
            waits_for: Vec::new(),
        }
    }

    /// Said because of these members.
    pub(crate) fn because_of<'a>(mut self, members: impl IntoIterator<Item = &'a Member>) -> Self {
        self.waits_for = members.into_iter().map(|member| member.id).collect();
        self
    }

    /// With a way out that gives up what is there.
    pub(crate) fn or(mut self, last: impl Into<Option<LastResort>>) -> Self {
        self.last = last.into();
        self
    }

    pub(crate) fn on(mut self, node: &NodeName) -> Self {
        self.node = Some(node.clone());
        self
    }
}

/// A member's name for people, where no inventory is at hand.
fn name(member: &Member) -> String {
    match member.started() {
        true => member.name.clone(),
        false => member.id.to_string(),
    }
}
