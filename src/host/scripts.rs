//! The scripts that run on hosts. All are constants; `scripts/prelude.sh` is the head of every one. What is done in the
//! directories of a member's account is a script of its own, which another one runs as that account (`scripts/account.sh`).

macro_rules! script {
    ($name:ident: $($part:literal),+) => {
        pub(super) const $name: &str = concat!(include_str!("scripts/prelude.sh"), $(include_str!(concat!("scripts/", $part))),+);
    };
}

script!(OBSERVE: "account.sh", "service_facts.sh", "sockets.sh", "files.sh", "inside.sh", "observe.sh");
script!(SERVICE_STATUS: "account.sh", "service_facts.sh", "service_status.sh");
script!(MEMBER_STATUS: "account.sh", "service_facts.sh", "inside.sh", "member_status.sh");
script!(LOOK_INSIDE: "data_facts.sh", "files.sh", "look_inside.sh");
script!(PUSH: "take.sh", "account.sh", "push.sh");
script!(SYSTEMD: "systemd.sh");
script!(PROCESS: "process.sh");
script!(SUPERVISE: "supervise.sh");
script!(JOURNAL: "journal.sh");
script!(DATA: "in_use.sh", "account.sh", "data.sh");
script!(DATA_ENTRIES: "data_entries.sh");
script!(AS_OWNER: "in_use.sh", "account.sh", "as_owner.sh");
script!(RESTORE: "restore.sh");
script!(REMOVE: "remove.sh");
script!(FORGET: "forget.sh");
script!(REMOVE_NOTE: "remove_note.sh");
script!(CLIENTS: "sockets.sh", "clients.sh");
script!(PRESSURE: "pressure.sh");
script!(TRAFFIC: "traffic.sh");
script!(WAL: "wal.sh");
script!(REPLAY: "replay.sh");
script!(RESCUE: "rescue.sh");
script!(SHELF: "shelf.sh");
script!(TRIAL: "take.sh", "account.sh", "trial.sh");
script!(TIMER: "account.sh", "timer.sh");
script!(MARKER: "marker.sh");
script!(LOCK: "lock.sh");
script!(READ: "account.sh", "read.sh");
script!(RUN_PROGRAM: "run_program.sh");
