//! The scripts that run on hosts, and what each of them may say and take. All are constants; `scripts/prelude.sh` is the head
//! of every one. What is done in the directories of a member's account is a script of its own, which another one runs as that
//! account (`scripts/account.sh`).

use std::time::Duration;

use super::Script;
use crate::bounds::Limits;

/// A script of quorate's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostScript {
    pub(super) text: &'static str,
    pub(super) limits: Limits,
}

impl HostScript {
    /// The script with its arguments.
    pub(super) fn with(self, args: Vec<String>) -> Script {
        Script {
            text: self.text,
            args,
            limits: self.limits,
        }
    }

    /// The same with more time, where how much is known.
    pub(super) fn within(self, time: Duration) -> Self {
        let limits = Limits::answer(self.limits.bytes, time.as_secs());
        Self { limits, ..self }
    }
}

macro_rules! script {
    ($name:ident, $limits:expr, $($part:literal),+) => {
        pub(super) const $name: HostScript = HostScript {
            text: concat!(include_str!("scripts/prelude.sh"), $(include_str!(concat!("scripts/", $part))),+),
            limits: $limits,
        };
    };
}

const MIB: u64 = 1 << 20;
const HOUR: u64 = 3600;

/// A look: facts, and files of 1 MiB each at most. What is inside etcd's directories may take 45 s of it.
const LOOK: Limits = Limits::answer(32 * MIB, 60);
/// A word or two.
const WORDS: Limits = Limits::answer(MIB, 120);
/// Work on data of any size: they are moved, deleted, or restored.
const DATA_WORK: Limits = Limits::answer(MIB, 6 * HOUR);
/// Data are sent, then verified and put in place.
const DELIVERY: Limits = Limits::delivery(MIB, 1800);
/// Segments of the log, 64 MB each, packed.
const LOG: Limits = Limits::answer(640 * MIB, 900);

script!(
    OBSERVE,
    LOOK,
    "account.sh",
    "service_facts.sh",
    "files.sh",
    "inside.sh",
    "observe.sh"
);
script!(
    SERVICE_STATUS,
    LOOK,
    "account.sh",
    "service_facts.sh",
    "service_status.sh"
);
script!(
    MEMBER_STATUS,
    LOOK,
    "account.sh",
    "service_facts.sh",
    "inside.sh",
    "member_status.sh"
);
script!(LOOK_INSIDE, LOOK, "data_facts.sh", "files.sh", "look_inside.sh");
script!(PUSH, DELIVERY, "take.sh", "account.sh", "push.sh");
script!(SYSTEMD, WORDS, "systemd.sh");
script!(PROCESS, WORDS, "process.sh");
script!(SUPERVISE, WORDS, "supervise.sh");
script!(JOURNAL, Limits::answer(64 * MIB, 120), "journal.sh");
script!(FOLLOW, Limits::ATTENDED, "journal.sh");
script!(DATA, DATA_WORK, "idle.sh", "in_use.sh", "account.sh", "data.sh");
script!(DATA_ENTRIES, DATA_WORK, "data_entries.sh");
script!(AS_OWNER, WORDS, "idle.sh", "in_use.sh", "account.sh", "as_owner.sh");
script!(RESTORE, DATA_WORK, "restore.sh");
script!(REMOVE, DATA_WORK, "remove.sh");
script!(FORGET, DATA_WORK, "forget.sh");
script!(REMOVE_NOTE, WORDS, "remove_note.sh");
script!(RUNNING, Limits::answer(16 * MIB, 60), "running.sh");
script!(CLIENTS, Limits::answer(16 * MIB, 60), "clients.sh");
script!(PRESSURE, Limits::answer(16 * MIB, 120), "pressure.sh");
script!(TRAFFIC, Limits::answer(16 * MIB, 120), "traffic.sh");
script!(WAL, LOG, "wal.sh");
script!(REPLAY, LOG, "replay.sh");
script!(RESCUE, Limits::ATTENDED, "rescue.sh");
script!(SHELF, DELIVERY, "shelf.sh");
script!(SHELF_LOOK, Limits::answer(16 * MIB, 120), "shelf.sh");
script!(SHELF_GET, Limits::STREAM, "shelf.sh");
script!(TRIAL, Limits::ATTENDED, "take.sh", "account.sh", "roomy.sh", "trial.sh");
script!(ETCDCTL, Limits::ATTENDED, "take.sh", "etcdctl.sh");
// A snapshot is sent first, of whatever size; then all of it is read twice.
script!(
    EXAMINE,
    Limits::delivery(MIB, HOUR),
    "take.sh",
    "account.sh",
    "roomy.sh",
    "examine.sh"
);
script!(TIMER, WORDS, "account.sh", "gone.sh", "timer.sh");
script!(
    BACKUP_NOW,
    Limits::answer(MIB, 6 * HOUR),
    "account.sh",
    "gone.sh",
    "timer.sh"
);
script!(WITHDRAW, WORDS, "account.sh", "idle.sh", "gone.sh", "withdraw.sh");
script!(MARKER, WORDS, "marker.sh");
script!(LOCK, Limits::ATTENDED, "lock.sh");
script!(READ, Limits::STREAM, "account.sh", "read.sh");
script!(RUN_PROGRAM, Limits::answer(MIB, 600), "run_program.sh");
