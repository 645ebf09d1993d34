//! The scripts that run on hosts. All are constants; `scripts/prelude.sh` is the head of every one.

macro_rules! script {
    ($name:ident: $($part:literal),+) => {
        pub(super) const $name: &str = concat!(include_str!("scripts/prelude.sh"), $(include_str!(concat!("scripts/", $part))),+);
    };
}

script!(OBSERVE: "service_facts.sh", "sockets.sh", "data_facts.sh", "observe.sh");
script!(SERVICE_STATUS: "service_facts.sh", "service_status.sh");
script!(MEMBER_STATUS: "service_facts.sh", "data_facts.sh", "member_status.sh");
script!(PUSH: "take.sh", "push.sh");
script!(SYSTEMD: "systemd.sh");
script!(PROCESS: "process.sh");
script!(SUPERVISE: "supervise.sh");
script!(JOURNAL: "journal.sh");
script!(DATA: "in_use.sh", "data.sh");
script!(RESTORE: "in_use.sh", "restore.sh");
script!(CLIENTS: "sockets.sh", "clients.sh");
script!(WAL: "wal.sh");
script!(REPLAY: "replay.sh");
script!(RESCUE: "in_use.sh", "rescue.sh");
script!(SHELF: "shelf.sh");
script!(TRIAL: "take.sh", "trial.sh");
script!(TIMER: "timer.sh");
script!(MARKER: "marker.sh");
script!(LOCK: "lock.sh");
script!(RUN_PROGRAM: "run_program.sh");
