//! Backups that the members take by themselves: timers on real hosts, one member a round, the next one when it is down.

use std::fs;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

use crate::harness::{Host, Lab, S3_PORT, current, plain_inventory, s3_that_only_adds, wait_until};
use crate::signatures::forged;

/// Three members; n4 keeps backups and is reached over SSH, as from any host of a company.
fn lab() -> (Lab, String) {
    let lab = Lab::start(4);
    lab.inventory(|hosts| plain_inventory(&current(), &hosts[..3]));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let keeper = &lab.host("n4").address;
    lab.knows(lab.host("n4"));
    let place = format!("ssh://root@{keeper}/srv/backups");
    // The hosts run the program, too: without its debugging symbols, which nobody needs there.
    let stripped = Command::new("strip")
        .args(["-o", "quorate-for-hosts", env!("CARGO_BIN_EXE_quorate")])
        .current_dir(lab.dir())
        .status();
    assert!(stripped.expect("strip").success());
    (lab, place)
}

fn scheduled(lab: &Lab, place: &str) -> Vec<Value> {
    let listed = lab
        .quorate(&["backup", "list", "--at", place, "--output", "json"])
        .ok()
        .json();
    let backups = listed["backups"].as_array().expect("a list").iter();
    let real = backups.filter(|backup| backup["counts"] == true);
    real.map(|backup| {
        assert_eq!(backup["signed_by"], backup["manifest"]["taken_from"], "{backup}");
        backup["manifest"].clone()
    })
    .collect()
}

fn findings(lab: &Lab) -> String {
    lab.quorate(&["status", "--output", "json"]).json()["backups"]["findings"].to_string()
}

/// Timers, units, credentials and programs of scheduled backups on a host.
fn left_of_it(host: &Host) -> String {
    let left = host.sh("systemctl list-timers --all --no-legend 'etcd-*'
         ls -d /etc/etcd/etcd-backup /etc/systemd/system/etcd-backup.* /opt/quorate/etcd/quorate-* 2>/dev/null || :");
    left.trim().to_owned()
}

#[test]
fn one_member_backs_up_each_round_and_the_next_one_when_it_is_down() {
    let (lab, place) = lab();
    let schedule = [
        "backup",
        "schedule",
        "--yes",
        "--patience",
        "4s",
        "--program",
        "quorate-for-hosts",
    ];
    lab.quorate(&schedule)
        .code(3)
        .says(&["does not schedule backups", "schedule: daily"]);
    // Every 20 s: nobody wants that but a test.
    let section = format!(
        "backup:\n  schedule: \"*:*:0/20\"\n  to: {place}\n  keep: {{last: 3}}\n  identity: home/.ssh/id_ed25519\nhosts:"
    );
    lab.edit("hosts:", &section);
    assert!(findings(&lab).contains("no scheduled backup has been taken yet"));

    lab.quorate(&schedule).ok().says(&[
        "the timer is enabled",
        "the first one was taken",
        "`keep` takes credentials on the hosts that can delete",
    ]);
    let first = scheduled(&lab, &place);
    let by = first[0]["taken_from"].as_str().expect("a name").to_owned();
    assert_ne!(by, lab.leader(), "a follower takes it");
    assert_eq!(findings(&lab), "[]");
    let told = lab.quorate(&["status"]).ok().stdout;
    assert!(told.contains("last scheduled backup: 20"), "{told}");
    let told = lab.quorate(&["doctor"]).ok().stdout;
    assert!(told.contains("last scheduled backup: 20"), "{told}");
    for host in &lab.hosts()[..3] {
        let kept = host.sh("stat -c '%a %U:%G %n' /etc/etcd/etcd-backup /etc/etcd/etcd-backup/*");
        assert!(kept.contains("640 root:etcd /etc/etcd/etcd-backup/identity"), "{kept}");
        assert!(kept.contains("750 root:etcd /etc/etcd/etcd-backup\n"), "{kept}");
        let known = host.sh("cat /etc/etcd/etcd-backup/known_hosts");
        assert!(
            known.lines().all(|line| line.starts_with(&lab.host("n4").address)),
            "{known}"
        );
    }

    // Sealed before it left the host, and it restores.
    lab.quorate(&["backup", "fetch", "--at", &place, "--out", "fetched.qbackup"])
        .ok();
    lab.quorate(&["backup", "verify", "fetched.qbackup"]).ok();

    // Put there by whoever may add files: it neither ends a round nor takes a real one's place.
    let forged = forged(&fs::read(lab.dir().join("fetched.qbackup")).expect("a backup"));
    let text = base64::engine::general_purpose::STANDARD.encode(forged);
    lab.host("n4").sh(&format!(
        "for n in 0 1 2; do printf %s '{text}' | base64 -d >/srv/backups/forged-$n.qbackup; done"
    ));

    wait_until("three more rounds", Duration::from_secs(120), || {
        let kept = scheduled(&lab, &place);
        kept.len() == 3 && !kept.contains(&first[0])
    });
    let rounds = scheduled(&lab, &place);
    assert!(
        rounds.iter().all(|backup| backup["taken_from"] == by.as_str()),
        "{rounds:?}"
    );
    let moments: Vec<jiff::Timestamp> = rounds
        .iter()
        .map(|b| b["taken_at"].as_str().unwrap().parse().unwrap())
        .collect();
    let apart = moments.windows(2).map(|pair| pair[0].duration_since(pair[1]));
    assert!(
        apart.into_iter().all(|time| time.as_secs() >= 15),
        "one a round: {moments:?}"
    );

    assert_eq!(
        lab.host("n4").sh("ls /srv/backups/forged-*").lines().count(),
        3,
        "nor is it deleted"
    );
    assert_eq!(findings(&lab), "[]");
    lab.host(&by).crash();
    wait_until("another member takes over", Duration::from_secs(120), || {
        scheduled(&lab, &place)
            .iter()
            .any(|backup| backup["taken_from"] != by.as_str())
    });
    lab.host(&by).boot();
    wait_until("it is back", Duration::from_secs(60), || {
        lab.quorate(&["status"]).status == Some(0)
    });

    lab.host("n4").sh("mv /srv/backups /srv/aside && touch /srv/backups");
    wait_until("the failure is told", Duration::from_secs(120), || {
        findings(&lab).contains("failed to take the last scheduled backup")
    });
    let told = lab.quorate(&["doctor"]).code(11).stdout;
    assert!(told.contains("failed to take the last scheduled backup"), "{told}");
    lab.host("n4").sh("rm /srv/backups && mv /srv/aside /srv/backups");
    wait_until("it is mended by itself", Duration::from_secs(120), || {
        findings(&lab) == "[]"
    });

    // What is looked for below is found while it is there.
    for host in &lab.hosts()[..3] {
        let there = left_of_it(host);
        for part in [
            "etcd-backup.timer",
            "/etc/etcd/etcd-backup",
            "etcd-backup.service",
            "/opt/quorate/etcd/quorate-etcd",
        ] {
            assert!(there.contains(part), "{part}: {there}");
        }
    }
    let leader = lab.leader();
    let leaves = lab.hosts()[..3]
        .iter()
        .find(|host| host.name != leader)
        .expect("a follower");
    lab.quorate(&["remove-node", &leaves.name, "--yes"]).ok();
    assert_eq!(left_of_it(leaves), "", "who leaves takes no credentials along");
    lab.quorate(&["backup", "schedule", "--remove", "--yes"]).ok();
    for host in &lab.hosts()[..3] {
        assert_eq!(left_of_it(host), "", "on {}", host.name);
    }
    assert!(!scheduled(&lab, &place).is_empty(), "backups are kept");
}

/// With authentication on etcd gives snapshots only to the role `root`, which the members get with the schedule. The hosts'
/// credentials are those of `docs/backups.md`: they add and read, and delete nothing.
#[test]
fn backups_go_to_s3_and_come_from_a_cluster_with_authentication_on() {
    let (lab, _) = lab();
    let (_s3, secret) = s3_that_only_adds(&lab);
    // As the hosts reach it: on the operator's side of the switch.
    let (network, _) = lab.host("n1").address.rsplit_once('.').expect("an address");
    let endpoint = format!("http://{network}.1:{S3_PORT}");
    lab.edit(
        "hosts:",
        &format!(
            "backup:\n  schedule: daily\n  to: s3://backups/etcd\n  s3_credentials: home/.aws/credentials\n  \
             s3_endpoint: {endpoint}\n  s3_region: us-east-1\nhosts:"
        ),
    );
    lab.edit("etcd:\n", "etcd:\n  auth: true\n");
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["backup", "schedule", "--yes", "--program", "quorate-for-hosts"])
        .ok()
        .says(&["the first one was taken"]);
    assert_eq!(findings(&lab), "[]");
    for host in &lab.hosts()[..3] {
        let kept = host.sh("stat -c '%a %U:%G %n' /etc/etcd/etcd-backup/s3-credentials");
        assert_eq!(kept.trim(), "640 root:etcd /etc/etcd/etcd-backup/s3-credentials");
        let unit = host.sh("cat /etc/systemd/system/etcd-backup.*; journalctl --no-pager -u etcd-backup");
        assert!(unit.contains(&endpoint) && !unit.contains(&secret), "{unit}");
    }

    let at_s3 = |arguments: &[&str]| {
        let change = |command: &mut Command| {
            command
                .env("AWS_ENDPOINT_URL", &endpoint)
                .env("AWS_REGION", "us-east-1");
        };
        lab.quorate_with(arguments, change, b"")
    };
    let listed = at_s3(&["backup", "list", "--at", "s3://backups/etcd", "--output", "json"])
        .ok()
        .json();
    assert_eq!(
        listed["backups"].as_array().map(Vec::len),
        Some(1),
        "one member took it: {listed}"
    );
    at_s3(&[
        "backup",
        "fetch",
        "--at",
        "s3://backups/etcd",
        "--out",
        "fetched.qbackup",
    ])
    .ok();
    lab.quorate(&["backup", "verify", "fetched.qbackup"]).ok();

    let place = "s3://backups/etcd";
    for reason in ["one", "two"] {
        at_s3(&["backup", "create", "--reason", reason, "--to", place]).ok();
    }
    let prune = ["backup", "prune", "--at", place, "--keep-last", "1", "--yes"];
    let refused = at_s3(&prune);
    assert_ne!(refused.status, Some(0), "{refused:?}");
    let listed = at_s3(&["backup", "list", "--at", place, "--output", "json"])
        .ok()
        .json();
    assert_eq!(
        listed["backups"].as_array().map(Vec::len),
        Some(3),
        "all are there: {listed}"
    );
}

/// As `docs/backups.md` has it: an account that needs no more than a shell, a directory that root empties, and no way to what
/// was kept before.
#[test]
fn over_ssh_the_hosts_add_to_a_directory_that_somebody_else_empties() {
    let lab = Lab::start(2);
    lab.inventory(|hosts| plain_inventory(&current(), &hosts[..1]));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let (member, keeper) = (lab.host("n1"), lab.host("n2"));
    lab.knows(keeper);
    let key = lab.home().join(".ssh/hosts");
    let made = lab
        .as_operator("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().expect("a path")])
        .status();
    assert!(made.expect("ssh-keygen").success());
    let public = fs::read_to_string(key.with_extension("pub")).expect("a key");
    let network = member.address.rsplit_once('.').expect("an address").0;
    keeper.sh(&format!(
        "useradd --create-home --shell /bin/sh keeper && install -d -o keeper /home/keeper/.ssh && \
         install -d -o keeper -m 0700 /srv/etcd-in && install -d -m 0755 /srv/etcd && \
         printf '%s\\n' 'restrict,from=\"{network}.0/24\" {}' >/home/keeper/.ssh/authorized_keys",
        public.trim()
    ));
    let stripped = Command::new("strip")
        .args(["-o", "quorate-for-hosts", env!("CARGO_BIN_EXE_quorate")])
        .current_dir(lab.dir())
        .status();
    assert!(stripped.expect("strip").success());
    lab.edit(
        "hosts:",
        &format!(
            "backup:\n  schedule: daily\n  to: ssh://keeper@{}/srv/etcd-in\n  identity: home/.ssh/hosts\nhosts:",
            keeper.address
        ),
    );
    lab.quorate(&["backup", "schedule", "--yes", "--program", "quorate-for-hosts"])
        .ok()
        .says(&["the first one was taken"]);
    // Somebody who has taken a member over wants to keep a way to what arrives, and a link for root to follow.
    keeper.sh(
        "runuser -u keeper -- sh -c 'ln /srv/etcd-in/*.qbackup /home/keeper/mine && ln -s /etc/shadow /srv/etcd-in/x.qbackup'",
    );
    // What root does there every few minutes, as the docs have it, without waiting two of them.
    let docs = include_str!("../../docs/backups.md");
    let recipe = docs
        .lines()
        .find(|line| line.starts_with("find /srv/etcd-in"))
        .expect("a recipe");
    keeper.sh(&recipe.replace("-mmin +2 ", ""));
    let kept = keeper.sh("cd /srv/etcd && sha256sum *.qbackup");
    assert_eq!(kept.lines().count(), 1, "{kept}");

    // Who has taken the member over has its credentials, and tries.
    let attack = |what: &str| {
        member.try_sh(&format!(
            "runuser -u etcd -- ssh -i /etc/etcd/etcd-backup/identity -o UserKnownHostsFile=/etc/etcd/etcd-backup/known_hosts \
             -o BatchMode=yes keeper@{} '{what}'",
            keeper.address
        ))
    };
    assert_eq!(
        attack("id -un").ok().stdout.trim(),
        "keeper",
        "the credentials are good for a login"
    );
    for what in [
        "rm -f /srv/etcd/*.qbackup",
        "for f in /srv/etcd/*; do echo forged >$f; done",
        "mv /srv/etcd /srv/gone",
        "ln -sf /etc/passwd /srv/etcd/a.qbackup",
    ] {
        attack(what);
    }
    keeper.sh("echo forged | runuser -u keeper -- tee /home/keeper/mine >/dev/null");
    assert_eq!(keeper.sh("cd /srv/etcd && sha256sum *.qbackup"), kept);
    let place = format!("ssh://root@{}/srv/etcd", keeper.address);
    assert_eq!(scheduled(&lab, &place).len(), 1, "the operator finds it there");
}

#[test]
fn what_cannot_be_scheduled_is_refused_before_anything_is_changed() {
    let (lab, place) = lab();
    let schedule = ["backup", "schedule", "--yes", "--program", "quorate-for-hosts"];
    let untouched = || {
        for host in &lab.hosts()[..3] {
            assert_eq!(
                host.sh("ls -d /etc/etcd/etcd-backup /opt/quorate/etcd/quorate-* 2>/dev/null || :"),
                ""
            );
        }
    };
    let section = |rest: &str| format!("backup:\n  schedule: daily\n{rest}hosts:");
    lab.edit("hosts:", &section(&format!("  to: {place}\n")));
    lab.quorate(&schedule)
        .code(3)
        .says(&["the hosts have no key for `ssh://`", "identity"]);
    lab.edit("  to:", "  identity: home/.ssh/id_ed25519\n  to:");
    fs::remove_file(lab.home().join(".ssh/known_hosts")).expect("known hosts");
    lab.quorate(&schedule).code(5).says(&["has no key for"]);
    lab.edit("schedule: daily", "schedule: every full moon");
    lab.knows(lab.host("n4"));
    lab.quorate(&schedule)
        .code(6)
        .says(&["does not understand OnCalendar=every full moon"]);
    untouched();

    // One that cannot be run there is told, and no timer is switched on.
    lab.edit("every full moon", "daily");
    let mut broken = fs::read(lab.dir().join("quorate-for-hosts")).expect("the program");
    // e_entry of the ELF header: it ends at once.
    broken[24..32].fill(0);
    fs::write(lab.dir().join("broken"), broken).expect("a file");
    let schedule = ["backup", "schedule", "--yes", "--program", "broken"];
    lab.quorate(&schedule)
        .code(6)
        .says(&["does not run on it", "make dist"]);
    lab.host("n1").sh("! systemctl is-enabled etcd-backup.timer");
}

#[test]
fn timers_of_members_that_are_down_on_purpose_wait_and_catch_up() {
    let (lab, place) = lab();
    let section = format!("backup:\n  schedule: daily\n  to: {place}\n  identity: home/.ssh/id_ed25519\nhosts:");
    lab.edit("hosts:", &section);
    let program = ["--patience", "3s", "--program", "quorate-for-hosts"];
    lab.quorate(&[&["backup", "schedule", "--yes"][..], &program].concat())
        .ok();
    assert_eq!(scheduled(&lab, &place).len(), 1);
    let rings = |name: &str| {
        lab.host(name)
            .sh("systemctl start etcd-backup.service && journalctl -u etcd-backup.service -n 20 -o cat --no-pager")
    };

    // One in maintenance: the others have the round, so nothing is missed.
    lab.quorate(&["maintain", "n3", "--stop", "--yes"]).ok();
    let told = rings("n3");
    assert!(told.contains("n3 is down on purpose: it takes no backup now"), "{told}");
    assert!(!findings(&lab).contains("failed"), "{}", findings(&lab));
    rings("n1");
    rings("n2");
    let one_down = scheduled(&lab, &place).len();
    assert!(one_down >= 2, "{one_down}");
    let back = lab.quorate(&["maintain", "n3", "--done", "--yes"]).ok();
    assert!(!back.stderr.contains("that was due meanwhile"), "{back}");

    // All of them: nobody fails, and the round is caught up on.
    lab.quorate(&["stop", "--accept-outage", "--yes"]).ok();
    for name in ["n1", "n2", "n3"] {
        // As long ago as a round of every day is; what is less than a minute old counts for this one.
        lab.host(name).sh("sed -i 's/\"last_success\":\"[^\"]*\"/\"last_success\":\"2026-01-01T00:00:00Z\"/' /var/lib/etcd-backup/last-run.json");
        rings(name);
    }
    assert!(!findings(&lab).contains("failed"), "{}", findings(&lab));
    assert_eq!(scheduled(&lab, &place).len(), one_down);
    lab.quorate(&["start", "--yes"])
        .ok()
        .says(&["the scheduled backup that was due meanwhile is taken now"]);
    wait_until("the backup is there", Duration::from_secs(60), || {
        scheduled(&lab, &place).len() > one_down
    });
}
