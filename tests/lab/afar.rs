//! An operator whose machine cannot run etcd's programs, like a Mac: hosts run them instead. Here, one with a bundle that has
//! programs for another processor only.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{Lab, current, releases, wait_until};

/// A bundle of the current release for arm64: the same programs, whose header says so. Nothing runs them here.
fn foreign_bundle(lab: &Lab) -> PathBuf {
    let (_, programs) = releases()
        .into_iter()
        .find(|(version, _)| *version == current())
        .unwrap();
    let dir = lab.dir().join("arm64");
    fs::create_dir_all(&dir).unwrap();
    for program in ["etcd", "etcdctl", "etcdutl"] {
        let mut bytes = fs::read(programs.join(program)).unwrap();
        // e_machine of an ELF header: EM_AARCH64.
        bytes[18..20].copy_from_slice(&183u16.to_le_bytes());
        fs::write(dir.join(program), bytes).unwrap();
    }
    lab.quorate(&["bundle", "create", "--out", "arm64.qbundle", "arm64"])
        .ok();
    lab.dir().join("arm64.qbundle")
}

/// Watches the command lines and environments of all processes of this machine, those of the hosts among them, until `work`
/// has been done so often that an etcdctl was seen; returns what held `secret`, but the operator's own command.
fn readable_by_anybody(secret: &str, mut work: impl FnMut()) -> Vec<String> {
    let (done, over) = (AtomicBool::new(false), &AtomicBool::new(false));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut held, mut seen) = (Vec::new(), false);
            while !over.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").unwrap().flatten() {
                    for what in ["cmdline", "environ"] {
                        let bytes = fs::read(process.path().join(what)).unwrap_or_default();
                        let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
                        seen |= text.contains("/etcdctl put watched");
                        if text.contains(secret) && !text.contains("--on n2") {
                            held.push(text);
                        }
                    }
                }
                done.store(seen, Ordering::Relaxed);
            }
            held
        });
        for _ in 0..50 {
            work();
            if done.load(Ordering::Relaxed) {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        let held = watcher.join().unwrap();
        assert!(done.load(Ordering::Relaxed), "no etcdctl was seen on a host");
        held
    })
}

fn nothing_is_left(lab: &Lab) {
    for host in lab.hosts() {
        let left =
            host.sh("ls -d /run/quorate-ctl.* /dev/shm/quorate-* /tmp/quorate-* /var/tmp/quorate-* 2>/dev/null || :");
        assert_eq!(left.trim(), "", "on {}", host.name);
    }
}

#[test]
fn etcdctl_runs_on_a_host_with_nothing_that_others_there_could_read() {
    let lab = Lab::cluster(3);
    let bundle = foreign_bundle(&lab);
    let bundle = bundle.to_str().unwrap();
    let get = |key: &str| {
        let args = ["--bundle", bundle, "ctl", "--", "get", key, "--print-value-only"];
        lab.quorate(&args)
            .ok()
            .says(&["runs on n1, because the bundle has no programs for this machine"])
            .stdout
    };

    // While it runs, its files are root's alone. Killed, the program takes all of that with it.
    let mut waits = lab.spawn(&["ctl", "--on", "n2", "--", "lock", "held"]);
    wait_until("etcdctl runs on n2", Duration::from_secs(20), || {
        lab.host("n2").sh("pgrep -x etcdctl || :").trim() != ""
    });
    let files = lab
        .host("n2")
        .sh("stat -c '%U %a' /run/quorate-ctl.* /run/quorate-ctl.*/client.key");
    assert_eq!(
        files.split_whitespace().collect::<Vec<_>>(),
        ["root", "700", "root", "600"]
    );
    waits.kill();
    wait_until("etcdctl on n2 ends", Duration::from_secs(20), || {
        lab.host("n2").sh("pgrep -x etcdctl || :").trim() == ""
    });
    waits.wait();

    // A value that was typed is in no command line there, although the rest is.
    let secret = "typed-and-secret";
    let held = readable_by_anybody(secret, || {
        lab.quorate(&["ctl", "--on", "n2", "--", "put", "watched", secret]).ok();
    });
    assert!(held.is_empty(), "{held:?}");
    assert_eq!(get("watched"), format!("{secret}\n"));

    // Standard input is read to its end, byte by byte; what etcdctl says of an error is shown, and is the exit code.
    let long = "x".repeat(300_000) + "\nend\n";
    lab.quorate_with(
        &["--bundle", bundle, "ctl", "--", "put", "long"],
        |_| {},
        long.as_bytes(),
    )
    .ok();
    assert_eq!(get("long"), format!("{long}\n"));
    lab.quorate(&["ctl", "--on", "n3", "--", "get"])
        .code(1)
        .says(&["get command needs one argument as key"]);
    lab.quorate(&["ctl", "--on", "n3", "--", "snapshot", "save", "here.db"])
        .code(2)
        .says(&["a file of that host", "quorate backup create --out FILE"]);
    lab.quorate(&["ctl", "--on", "n9", "--", "get", "k"]).code(2);

    nothing_is_left(&lab);
}

#[test]
fn a_backup_is_read_by_a_hosts_etcdutl_and_nothing_of_it_stays() {
    let lab = Lab::cluster(3);
    let bundle = foreign_bundle(&lab);
    let bundle = bundle.to_str().unwrap();
    for key in ["a", "b"] {
        lab.quorate(&["ctl", "--", "put", key, "before"]).ok();
    }
    lab.quorate(&["backup", "create", "--out", "good.qbackup"]).ok();
    let verify = |more: &[&str]| lab.quorate(&[&["--bundle", bundle, "backup", "verify"], more].concat());
    let found = verify(&["-o", "json", "good.qbackup"]).ok();
    let found = found.says(&["etcdutl", "because the bundle has no programs for this machine"]);
    let found = found.events_of("finished").remove(0);
    assert_eq!(
        (&found["ok"], &found["restored"]),
        (&true.into(), &false.into()),
        "{found}"
    );
    assert_eq!(found["hash_compared"], true, "{found}");
    // The leader has enough to do.
    assert_ne!(found["read_on"].as_str().unwrap(), lab.leader());
    nothing_is_left(&lab);

    // The same keys as a plain snapshot with a manifest that lies: another hash of all keys.
    lab.quorate(&["backup", "create", "--plain", "--out", "plain.db"]).ok();
    let path = lab.dir().join("plain.db.json");
    let told = fs::read_to_string(&path).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&told).unwrap();
    let hash = manifest["hash"]["hash"].as_u64().unwrap();
    manifest["hash"]["hash"] = (hash ^ 1).into();
    fs::write(&path, manifest.to_string()).unwrap();
    let lies = verify(&["--on", "n3", "--unsigned", "plain.db"]).code(11);
    assert!(
        lies.stdout.contains("does NOT match its manifest: its hash is"),
        "{lies}"
    );

    // What is damaged does not leave this machine.
    let mut bytes = fs::read(lab.dir().join("good.qbackup")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(lab.dir().join("damaged.qbackup"), bytes).unwrap();
    verify(&["damaged.qbackup"]).code(6);
    nothing_is_left(&lab);
}
