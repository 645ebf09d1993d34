//! Going back to a backup on real hosts: whole, resumable, and alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Host, Lab, Outcome, current, some_of, thorough};

/// What every restore works with on a host: its note, and what is staged for etcd's account.
const ALWAYS: [&str; 2] = ["/etc/etcd/*.restoring", "/var/lib/etcd/.quorate-work"];

/// The same where the backup is of another release: its program.
const AT_TIMES: &str = "/opt/quorate/etcd/.restore-*";

/// Those of them that lie on a host.
fn left_of_a_restore(host: &Host) -> BTreeSet<&'static str> {
    let there = |path: &&str| host.try_sh(&format!("ls -d {path}")).status == Some(0);
    ALWAYS.into_iter().chain([AT_TIMES]).filter(there).collect()
}

/// A lab with a healthy cluster, a backup of it, and a key that was written afterwards.
struct Scene {
    lab: Lab,
    backup: PathBuf,
}

impl Scene {
    fn new(hosts: usize, arguments: &[&str]) -> Self {
        let lab = Lab::cluster(hosts);
        let mut scene = Self {
            lab,
            backup: PathBuf::new(),
        };
        scene.put("kept", "then");
        let all = [&["--output", "json", "backup", "create"], arguments].concat();
        let told = scene.lab.quorate(&all).ok().events_of("backup").remove(0);
        scene.backup = scene.lab.dir().join(told["file"].as_str().expect("a path"));
        scene.go_on();
        scene
    }

    /// What is written after the backup, and is gone once that was restored.
    fn go_on(&self) {
        self.put("kept", "now");
        self.put("later", "now");
    }

    fn put(&self, key: &str, value: &str) {
        self.lab.quorate(&["ctl", "--", "put", key, value]).ok();
    }

    fn get(&self, key: &str) -> String {
        let got = self.lab.quorate(&["ctl", "--", "get", key, "--print-value-only"]);
        got.ok().stdout
    }

    fn revision(&self) -> i64 {
        let told = self.lab.quorate(&["ctl", "--", "get", "kept", "-w", "json"]).ok();
        told.json()["header"]["revision"].as_i64().expect("a revision")
    }

    fn restore(&self, arguments: &[&str]) -> Outcome {
        self.restore_that_dies("", arguments)
    }

    fn restore_that_dies(&self, point: &str, arguments: &[&str]) -> Outcome {
        let file = self.backup.to_str().expect("a path");
        let all = [&["restore", file, "--yes", "--accept-data-loss"], arguments].concat();
        self.lab
            .quorate_with(&all, |command| _ = command.env("QUORATE_FAULT", point), b"")
    }

    fn status(&self) -> Value {
        self.lab.status()
    }

    /// Everything that must be true after a restore, on as many members.
    #[track_caller]
    fn is_restored(&self, members: usize) {
        assert_eq!(
            (self.get("kept"), self.get("later")),
            ("then\n".to_owned(), String::new())
        );
        let status = self.status();
        assert_eq!(status["members"].as_array().expect("members").len(), members);
        assert_eq!(status["healthy"], true, "{status}");
        let enabled = self
            .lab
            .hosts()
            .iter()
            .filter(|host| host.try_sh("systemctl is-enabled --quiet etcd").status == Some(0));
        assert_eq!(enabled.count(), members);
        let hashes: Vec<_> = self.lab.hosts()[..members].iter().map(hash).collect();
        assert!(hashes.iter().all(|h| *h == hashes[0]), "{hashes:?}");
        for host in self.lab.hosts() {
            let left = left_of_a_restore(host);
            assert!(left.is_empty(), "{} still has {left:?}", host.name);
        }
        self.lab.quorate(&["up", "--yes"]).ok().says(&["nothing to do"]);
    }
}

/// Revision and hash of a member's own data, by etcd's own word.
fn hash(host: &Host) -> (i64, u64) {
    let told = host.etcdctl("endpoint hashkv -w json").ok().json();
    let answer = &told[0]["HashKV"];
    (
        answer["header"]["revision"].as_i64().expect("a revision"),
        answer["hash"].as_u64().expect("a hash"),
    )
}

/// Mistakes 18 and 19 of docs/etcd.md: every member from the same verified snapshot, a new token, etcd's own account,
/// raised revisions.
#[test]
fn a_restore_is_a_new_cluster_with_the_old_data_set_aside_and_raised_revisions() {
    let scene = Scene::new(3, &[]);
    let before = scene.status()["cluster_id"].clone();
    let file = scene.backup.to_str().expect("a path");
    scene.lab.stops_nothing(|lab| {
        lab.quorate(&["restore", file, "--yes"])
            .code(4)
            .says(&["--accept-data-loss", "everything written since is lost"])
    });
    assert_eq!(scene.get("later"), "now\n");

    scene
        .restore(&[])
        .ok()
        .says(&["stop every kube-apiserver", "start the API servers again"]);
    scene.is_restored(3);
    assert_ne!(scene.status()["cluster_id"], before);
    assert!(scene.revision() > 1_000_000_000);
    let old = scene.lab.quorate(&["ctl", "--", "get", "kept", "--rev", "2"]);
    assert!(old.stderr.contains("compacted"), "watchers must list anew\n{old}");
    for host in scene.lab.hosts() {
        host.sh("ls /var/lib/etcd.quorate-aside/*-restore/member/snap/db");
        assert_eq!(host.sh("stat -c %U:%a /var/lib/etcd/member").trim(), "etcd:700");
        let strangers = host.sh("find /var/lib/etcd/member ! -user etcd");
        assert_eq!(strangers, "", "etcd could not read these");
    }
    let saved = scene.lab.quorate(&["--output", "json", "backup", "list"]).ok().stdout;
    assert!(saved.contains("before-restore"), "what was there is kept: {saved}");
    assert!(saved.contains("after-restore"), "the new cluster has a backup: {saved}");
}

/// Mistake 19 of docs/etcd.md: who stays connected goes on with what it remembers, like an API server with its caches.
/// etcd's JSON gateway, which is connected to its own member, is no such client, and quorate itself is none.
#[test]
fn clients_that_stay_connected_are_named_host_by_host_before_anything_is_stopped() {
    let scene = Scene::new(3, &[]);
    scene
        .lab
        .edit("etcd:\n", "etcd:\n  config: {enable-grpc-gateway: true}\n");
    scene.lab.quorate(&["up", "--yes"]).ok();
    let member = scene.lab.host("n1");
    let url = format!("https://{}:2379", member.address);
    for host in ["n1", "n2"] {
        scene.lab.host(host).stays_connected_to(&url);
    }
    let file = scene.backup.to_str().expect("a path");
    let refused = scene.lab.stops_nothing(|lab| {
        lab.quorate(&["restore", file, "--yes", "--accept-data-loss"])
            .code(4)
            .says(&[
                "n1: clients are connected to its member",
                &format!("{} (1 connection)", scene.lab.host("n2").address),
                "on the host itself (1 connection)",
                "every kube-apiserver",
                "--accept-outage",
            ])
    });
    assert!(refused.stderr.contains("etcdctl (pid "), "{refused}");
    let others = ["n2: clients", "n3: clients", "sshd"];
    assert!(!others.iter().any(|other| refused.stderr.contains(other)), "{refused}");
    scene.lab.host("n2").sh("systemctl stop watcher");
    scene
        .restore(&["--accept-outage"])
        .ok()
        .says(&["start the API servers again"]);
    scene.is_restored(3);
    // Revisions were raised: the watcher is told that what it waits for is gone, and ends.
    scene.lab.host("n1").try_sh("systemctl stop watcher");
    scene.restore(&[]).ok();
    scene.is_restored(3);
}

#[test]
fn a_restore_killed_at_any_boundary_keeps_everybody_else_out_and_is_finished_by_the_same_command() {
    let scene = Scene::new(3, &[]);
    let mut noted = 0;
    // After each wave, and in the middle of those that bring, stop, move and restore. Those that stand for their kind: when
    // the hosts are marked, all members stopped, one's data moved aside, all started, and all but the marks done.
    let after = (1..13).map(|wave| format!("after:w{wave}"));
    let all = after.chain((2..7).map(|wave| format!("done:w{wave}.n2")));
    let stand_for_their_kind = ["after:w1", "after:w4", "done:w6.n2", "after:w8", "after:w11"];
    let points = some_of(all, |point| stand_for_their_kind.contains(&point.as_str()));
    let (met, closed) = if thorough() { (12, 9) } else { (4, 4) };
    let (mut deaths, mut seen) = (0, BTreeSet::new());
    for point in points {
        scene.go_on();
        let died = scene.restore_that_dies(&point, &["--no-snapshot"]);
        if died.status == Some(0) {
            // No such point in a plan that begins afresh.
            scene.is_restored(3);
            continue;
        }
        assert!(matches!(died.status, None | Some(134)), "{died}");
        deaths += 1;
        let others = [
            &["up", "--yes"][..],
            &["restart", "--yes"],
            &["remove-node", "n3", "--yes"],
        ];
        // `up` would be let in before the first note and after the last one is gone.
        let left: BTreeSet<_> = scene.lab.hosts().iter().flat_map(left_of_a_restore).collect();
        seen.extend(&left);
        if left.contains(ALWAYS[0]) {
            noted += 1;
            for command in others {
                scene
                    .lab
                    .quorate(command)
                    .code(4)
                    .says(&["has not finished", "quorate restore"]);
            }
        }
        if scene
            .restore(&["--no-snapshot"])
            .ok()
            .stderr
            .contains("continues the restore")
        {
            scene.is_restored(3);
        }
    }
    scene.is_restored(3);
    assert!(
        seen.is_superset(&BTreeSet::from(ALWAYS)),
        "what is looked for lies there on the way: {seen:?}"
    );
    println!("| restore | program killed at {deaths} boundaries, {noted} of them with the cluster closed to others |");
    assert!(
        deaths >= met && noted >= closed,
        "{deaths} deaths, {noted} under a note"
    );
}

#[test]
fn another_backup_cannot_take_over_a_restore_that_was_begun() {
    let scene = Scene::new(1, &[]);
    let other = scene.lab.dir().join("other.qbackup");
    scene.lab.quorate(&["backup", "create", "--out", "other.qbackup"]).ok();
    let died = scene.restore_that_dies("before:w4", &[]);
    assert!(matches!(died.status, None | Some(134)), "{died}");
    let file = other.to_str().expect("a path");
    scene
        .lab
        .quorate(&["restore", file, "--yes", "--accept-data-loss"])
        .code(4)
        .says(&["a restore of another backup"]);
    // Nothing else that touches the cluster, or reads its data, comes in between.
    for closed in [
        &["up", "--yes"][..],
        &["restart", "--yes", "--accept-outage"],
        &["replace-node", "n1", "n1", "--yes"],
        &["defrag", "--force", "--yes"],
        &["compact", "--yes"],
        &["alarm", "disarm", "--yes"],
        &["pki", "renew", "--yes"],
        &["pki", "rotate-ca", "--yes", "--accept-outage"],
        &["backup", "create"],
        &["backup", "schedule", "--remove", "--yes"],
        &["ok-to-stop", "n1"],
        &["ctl", "--", "get", "kept"],
        &["recover", "--yes", "--accept-data-loss"],
    ] {
        let refused = scene.lab.quorate(closed).code(4);
        assert!(
            ["has not finished", "finish it: `quorate restore"]
                .iter()
                .all(|text| refused.stderr.contains(text)),
            "{closed:?}\n{refused}"
        );
    }
    for looks in ["status", "doctor"] {
        let told = scene.lab.quorate(&[looks]).code(11);
        assert!(told.stdout.contains("has not finished"), "{looks}\n{told}");
    }
    scene.restore(&[]).ok();
    scene.is_restored(1);
}

/// Mistake 18 of docs/etcd.md: one member restored and another left with its old data.
#[test]
fn a_host_that_does_not_answer_stops_a_restore_before_anything_is_stopped_unless_it_is_left_out() {
    let scene = Scene::new(3, &[]);
    let pids = |names: &[&str]| names.iter().map(|n| scene.lab.host(n).pid()).collect::<Vec<_>>();
    // Left out although it runs: it would go on by itself.
    scene
        .restore(&["--without", "n3"])
        .code(4)
        .says(&["would keep running on the old data"]);
    let before = pids(&["n1", "n2"]);
    scene.lab.host("n3").crash();
    scene.restore(&[]).code(5).says(&["n3", "--without n3"]);
    assert_eq!(pids(&["n1", "n2"]), before, "nothing was stopped");
    scene.restore(&["--without", "n3"]).ok().says(&["n3 is excluded"]);
    assert_eq!(scene.get("kept"), "then\n");
    let status = scene.lab.quorate(&["--output", "json", "status"]).json();
    let healthy = status["members"]
        .as_array()
        .expect("members")
        .iter()
        .filter(|m| m["healthy"] == true);
    assert_eq!(healthy.count(), 2, "{status}");
}

#[test]
fn a_host_that_lost_power_in_the_middle_is_restored_when_it_is_back() {
    let scene = Scene::new(3, &[]);
    let died = scene.restore_that_dies("after:w6", &[]);
    assert!(matches!(died.status, None | Some(134)), "{died}");
    scene.lab.host("n2").crash();
    scene.restore(&[]).code(5).says(&["n2"]);
    scene.lab.host("n2").boot();
    assert!(
        !scene.lab.host("n2").active("etcd"),
        "it must not start by itself in the middle of a restore"
    );
    scene.restore(&[]).ok();
    scene.is_restored(3);
}

/// Mistake 17 of docs/etcd.md: a file from `member/snap/db`, of a stopped member, is what it is and said to be that.
#[test]
fn a_snapshot_of_etcdctl_and_a_bare_database_are_restored_too() {
    let mut scene = Scene::new(3, &[]);
    scene.put("kept", "then");
    scene.lab.quorate(&["ctl", "--", "del", "later"]).ok();
    scene.lab.host("n1").etcdctl("snapshot save /run/plain.db").ok();
    scene.backup = scene.lab.dir().join("plain.db");
    fs::write(&scene.backup, scene.lab.fetch("n1", "/run/plain.db")).expect("the snapshot");
    scene.go_on();
    scene
        .restore(&[])
        .code(4)
        .says(&["it is a plain snapshot of etcd", "--unsigned"]);
    scene.restore(&["--unsigned"]).ok();
    scene.is_restored(3);

    scene.lab.host("n1").sh("systemctl stop etcd");
    let bytes = scene.lab.fetch("n1", "/var/lib/etcd/member/snap/db");
    scene.lab.host("n1").sh("systemctl start etcd");
    scene.backup = scene.lab.dir().join("db");
    fs::write(&scene.backup, bytes).expect("a bare database");
    let raised = scene.revision();
    scene.go_on();
    scene
        .restore(&["--no-bump", "--bare", "--unsigned"])
        .ok()
        .says(&["no checksum"]);
    scene.is_restored(3);
    assert!(scene.revision() < raised + 10, "not raised again");
}

#[test]
fn a_backup_of_three_is_restored_onto_five_fresh_hosts_and_onto_one() {
    let scene = Scene::new(3, &[]);
    for hosts in [5, 1] {
        let other = Lab::start(hosts);
        other.plain_inventory(&current());
        fs::copy(&scene.backup, other.dir().join("moved.qbackup")).expect("a copy");
        let key = other.dir().join("key");
        fs::copy(scene.lab.home().join(".ssh/id_ed25519"), &key).expect("the other operator's key");
        let text = fs::read_to_string(other.dir().join("inventory.yml")).expect("the inventory");
        other.write(
            "inventory.yml",
            &format!("{text}ssh:\n  identity: [~/.ssh/id_ed25519, key]\n"),
        );
        let mut words = vec!["restore", "moved.qbackup", "--yes"];
        // The fresh hosts have a CA of their own, or none yet.
        other
            .refuses(&words, 4)
            .says(&["is not from a CA of this cluster", "--unsigned"]);
        words.push("--unsigned");
        if hosts == 1 {
            // Of another cluster: a file that was taken by mistake, or a copy that is meant to be one.
            let cluster = text
                .lines()
                .find_map(|line| line.strip_prefix("cluster: "))
                .expect("a name");
            other.edit(&format!("cluster: {cluster}\n"), "cluster: a-copy\n");
            let said = format!("it is a backup of the cluster {cluster}, not of a-copy");
            other.refuses(&words, 4).says(&[&said, "--from-another-cluster"]);
            words.push("--from-another-cluster");
        }
        other.quorate(&words).ok();
        let status = other.status();
        assert_eq!(status["members"].as_array().expect("members").len(), hosts);
        let kept = other.quorate(&["ctl", "--", "get", "kept", "--print-value-only"]).ok();
        assert_eq!(kept.stdout, "then\n");
        let hashes: Vec<_> = other.hosts().iter().map(hash).collect();
        assert!(hashes.iter().all(|h| *h == hashes[0]), "{hashes:?}");
        other.quorate(&["up", "--yes"]).ok().says(&["nothing to do"]);
    }
}

#[test]
fn three_members_go_on_as_one_when_the_inventory_says_so() {
    let scene = Scene::new(3, &[]);
    let text = crate::harness::plain_inventory(&current(), &scene.lab.hosts()[..1]);
    scene.lab.write("inventory.yml", &text);
    let before = scene.lab.pids();
    scene.restore(&[]).code(4).says(&[
        "n2, n3 run, are not in the inventory, and are a quorum without it",
        "systemctl disable --now etcd",
    ]);
    assert_eq!(scene.lab.pids(), before, "nothing was stopped");
    for host in ["n2", "n3"] {
        scene.lab.host(host).sh("systemctl disable --now etcd");
    }
    scene.restore(&[]).ok();
    assert_eq!(
        (scene.get("kept"), scene.get("later")),
        ("then\n".into(), String::new())
    );
    assert_eq!(scene.status()["members"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_host_without_room_is_refused_before_anything_is_stopped() {
    let scene = Scene::new(3, &[]);
    // As much as is free, less 100 MiB, on a data disk of its own.
    let host = scene.lab.host("n2");
    host.sh(
        "systemctl stop etcd; mv /var/lib/etcd /var/lib/etcd.small; mkdir /var/lib/etcd; \
         mount -t tmpfs -o size=300m,mode=700 tmpfs /var/lib/etcd; chown etcd: /var/lib/etcd; \
         cp -a /var/lib/etcd.small/. /var/lib/etcd/; systemctl start etcd; dd if=/dev/zero of=/var/lib/etcd/member/fill bs=1M count=40",
    );
    let before = scene.lab.pids();
    let refused = scene.restore(&[]).code(4).says(&["n2", "MiB free", "a restore needs"]);
    assert_eq!(scene.lab.pids(), before, "nothing was stopped\n{refused}");
}

/// A running etcd where none should be: on the data directory, past the unit.
#[test]
fn an_etcd_that_runs_past_its_unit_is_found_before_its_data_is_moved() {
    let scene = Scene::new(3, &[]);
    let host = scene.lab.host("n2");
    host.sh(
        "systemctl stop etcd; \
         systemd-run --quiet --unit stray --uid etcd $(ls -d /opt/quorate/etcd/*/etcd | tail -1) --config-file /etc/etcd/etcd-config.yml",
    );
    crate::harness::wait_until("the stray to run", std::time::Duration::from_secs(20), || {
        host.try_sh("pgrep -x etcd").status == Some(0)
    });
    let refused = scene.restore(&[]);
    refused.code(4).says(&["port 2379 is in use by etcd"]);
    assert_eq!(
        host.try_sh("ls -d /var/lib/etcd.quorate-aside").status,
        Some(2),
        "its data was not moved"
    );
    assert!(host.active("stray"));
    host.sh("systemctl stop stray");
    scene.restore(&[]).ok();
    scene.is_restored(3);
}
