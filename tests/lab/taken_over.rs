//! A member that is taken over stays one member: whoever runs as etcd's account exchanges what it can for links while
//! quorate works, and gets nothing that is not its own.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::harness::{Host, Lab, Outcome, current, plain_inventory, release, thorough};

/// What the one who took the member over does, as its account and with no capability, outside of the unit's sandbox even:
/// wherever its account may write (and in the places that quorate uses, should they be open to it) it puts a link to root's
/// files in the place of what is there or will be, takes it away again so that work can go on, and begins anew.
///
/// `quiet`: what a look at the host does not trip over, so that commands come to their steps. `loud`: all of it, but what etcd
/// itself lives on as long as it runs.
const TAKEN_OVER: &str = r#"
mode=$1 canary=/srv/canary round=0
trap_at() {
    kind=$(((round / 3 + ${#1}) % 4))
    if [ -e "$1" ] || [ -L "$1" ]; then mv -T "$1" "$1.was" 2>/dev/null || return 0; fi
    case $kind in
    0) ln -s "$canary" "$1" ;;
    1) ln -s "$canary/secret" "$1" ;;
    2) ln "$canary/open" "$1" || ln -s "$canary/open" "$1" ;;
    3) mkfifo "$1" ;;
    esac 2>/dev/null
}
release_at() {
    if [ -L "$1" ] || [ -p "$1" ] || [ "$1" -ef "$canary/open" ]; then rm -f "$1" 2>/dev/null; fi
    if [ -e "$1.was" ]; then mv -T "$1.was" "$1" 2>/dev/null || rm -rf "$1.was"; fi
}
each() {
    for dir in /var/lib/etcd /var/lib/etcd.quorate-aside /var/lib/etcd-wal /var/lib/etcd-wal.quorate-aside; do
        for name in .quorate-work .quorate-work/out .quorate-work/data .quorate-work/snapshot.db .quorate-work/marker \
            .quorate-aside .quorate-aside/restore .quorate-aside/restore/etcdutl .quorate-gauge ..quorate-cluster.quorate-new; do
            "$1" "$dir/$name"
        done
    done
    for path in /etc/etcd/pki/.ca.crt.*quorate-new /etc/etcd/etcd-backup /etc/etcd/etcd-backup/identity \
        /opt/quorate/etcd/*/etcdutl /opt/quorate/etcd/.restore-etcd/etcdutl /var/lib/etcd-backup/work \
        /var/lib/etcd.quorate-aside/* /var/lib/etcd-wal.quorate-aside/* /etc/etcd/etcd-config.yml.down \
        /etc/etcd/.etcd-config.yml.previous /run/quorate/* /opt/quorate/etcd/.*quorate-new; do
        "$1" "$path"
    done
    [ "$mode" = loud ] || return 0
    for name in ca.crt server.crt server.key current current/server.key current/MANIFEST; do "$1" "/etc/etcd/pki/$name"; done
    for path in /etc/etcd/pki /etc/etcd/etcd-config.yml /opt/quorate/etcd/*/etcd /var/lib/etcd /var/lib/etcd/.quorate-cluster \
        /run/quorate-etcd/started /var/lib/etcd-backup/last-run.json; do
        "$1" "$path"
    done
    if ! pgrep -x etcd >/dev/null; then
        for path in /var/lib/etcd/member /var/lib/etcd/member/snap/db; do "$1" "$path"; done
    fi
}
while :; do
    round=$((round + 1))
    each trap_at
    echo "$round" >/tmp/taken-over.rounds
    each release_at
    if [ "$mode" = quiet ]; then sleep 0.2; fi
done
"#;

/// Root's files that a link could lead to.
const CANARY: &str = "mkdir -m 0755 /srv/canary /srv/canary/member /srv/canary/snap /srv/canary/out && \
     echo secret >/srv/canary/secret && chmod 0600 /srv/canary/secret && echo open >/srv/canary/open && \
     echo db >/srv/canary/member/db && echo '#!/bin/sh' >/srv/canary/etcdutl && chmod 0755 /srv/canary/etcdutl && \
     ln -s /etc /srv/canary/etc";

/// All that is not the member's: kind, mode, owner, where links lead, and what is in it, which the time of the last change tells
/// that nobody can set; except where quorate and systemd are at work.
const ELSEWHERE: &str = r"
where='/srv /etc /opt /root /usr/local /var/lib /run'
busy='-path /var/lib/etcd -o -path /var/lib/etcd-wal -o -path /var/lib/etcd-backup -o -path /run/quorate-etcd -o -path /run/quorate
    -o -path /var/lib/systemd -o -path /etc/etcd -o -path /opt/quorate -o -path /etc/systemd/system
    -o -path /var/lib/etcd.quorate-aside -o -path /var/lib/etcd-wal.quorate-aside
    -o -path /run/systemd -o -path /run/log -o -path /run/user -o -path /run/udev -o -path /run/dbus -o -path /run/credentials
    -o -path /run/utmp -o -path /run/sshd.pid -o -path /run/motd.dynamic -o -path /run/lock -o -path /run/sudo -o -path /run/taken-over.sh'
set -f
find $where -xdev \( $busy \) -prune -o -printf '%p %y %m %U:%G %l\n' 2>/dev/null
find $where -xdev \( $busy -o -path /srv \) -prune -o -type f -printf '%p %s %i %C@\n' 2>/dev/null
find /srv /etc -xdev \( $busy \) -prune -o -type f -exec sha256sum {} + 2>/dev/null
";

/// What lies in directories of root's that quorate works in and belongs to somebody else, or can be written by others.
const NOT_ROOTS: &str = r"
find /etc/etcd /opt/quorate /etc/systemd/system /run/quorate -xdev ! -type l \( ! -user root -o -perm /022 \) -printf '%p %m %U:%G\n'
find /var/lib/etcd.quorate-aside /var/lib/etcd-wal.quorate-aside -maxdepth 0 ! -user root -printf '%p %m %U:%G\n' 2>/dev/null
true
";

struct Scene {
    lab: Lab,
    members: usize,
    before: Vec<BTreeSet<String>>,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::start(4);
        lab.inventory(|hosts| plain_inventory(&current(), &hosts[..3]));
        lab.quorate(&["trust", "--yes"]).ok();
        // Old data cannot be moved out of a mount point: there it is etcd's account that moves them.
        lab.host("n3")
            .sh("mkdir /var/lib/etcd && mount -t tmpfs -o mode=0755 tmpfs /var/lib/etcd");
        lab.quorate(&["up", "--yes"]).ok();
        Self::of(lab, 3)
    }

    /// A cluster of so many members on the first hosts.
    fn of(lab: Lab, members: usize) -> Self {
        for host in lab.hosts() {
            host.sh(CANARY);
        }
        let before = lab.hosts().iter().map(elsewhere).collect();
        Self { lab, members, before }
    }

    fn members(&self) -> impl Iterator<Item = &Host> {
        self.lab.hosts()[..self.members].iter()
    }

    /// The members are taken over.
    fn take_over(&self, mode: &str) {
        for host in self.members() {
            host.sh(&format!(
                "cat >/run/taken-over.sh <<'END'\n{TAKEN_OVER}\nEND\n\
                 systemd-run --quiet --unit taken-over -p User=etcd -p CapabilityBoundingSet= -p NoNewPrivileges=yes \
                 -p LimitCORE=0 sh /run/taken-over.sh {mode}"
            ));
        }
    }

    /// They are free again, and nothing of it stays in the way.
    fn free(&self) {
        for host in self.members() {
            let rounds = host.sh("systemctl stop taken-over; cat /tmp/taken-over.rounds");
            assert!(
                rounds.trim().parse::<u32>().expect("a number") > 1,
                "it did nothing: {rounds}"
            );
            host.sh(
                "for dir in /var/lib/etcd-wal /var/lib/etcd; do \
                     cd $dir || continue; rm -rf .quorate-work* .quorate-aside* .quorate-gauge* ..quorate-cluster* *.was; \
                 done; \
                 for path in .quorate-cluster member member/snap/db; do \
                     if [ -e $path.was ]; then rm -rf $path && mv -T $path.was $path; fi; \
                     if [ -L $path ] || [ -p $path ]; then rm -f $path; fi; \
                 done; \
                 for path in /run/quorate-etcd/started /var/lib/etcd-backup/last-run.json /var/lib/etcd-backup/work; do \
                     if [ -e $path.was ]; then rm -rf $path && mv -T $path.was $path; \
                     elif [ -L $path ] || [ -p $path ]; then rm -f $path; fi; \
                 done",
            );
        }
    }

    /// A command while the members are taken over. It may fail, or be refused; what it must not do is to change anything
    /// that is not theirs.
    #[track_caller]
    fn under_attack(&self, arguments: &[&str]) -> Outcome {
        let begun = Instant::now();
        let outcome = self.lab.quorate(arguments);
        println!(
            "{arguments:?}: {:?} after {:.1} s\n{}{}",
            outcome.status,
            begun.elapsed().as_secs_f64(),
            outcome.stdout,
            outcome.stderr
        );
        for (host, before) in self.lab.hosts().iter().zip(&self.before) {
            let after = elsewhere(host);
            let gone: Vec<_> = before.difference(&after).collect();
            let new: Vec<_> = after.difference(before).collect();
            assert!(
                gone.is_empty() && new.is_empty(),
                "{}: somebody else's files were changed\n- {gone:#?}\n+ {new:#?}\n{outcome}",
                host.name
            );
            let theirs = host.sh(NOT_ROOTS);
            assert_eq!(theirs, "", "{}: what should be root's is not\n{outcome}", host.name);
        }
        outcome
    }
}

fn elsewhere(host: &Host) -> BTreeSet<String> {
    let lines = host.sh(ELSEWHERE);
    // The directory that old data go to comes with the first of them.
    lines
        .lines()
        .filter(|line| !line.starts_with("/var/lib/etcd.quorate-aside "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_member_that_is_taken_over_gets_nothing_that_is_not_its_own() {
    let scene = Scene::new();
    let lab = &scene.lab;
    let backup = lab
        .quorate(&["--output", "json", "backup", "create"])
        .ok()
        .events_of("backup");
    let backup = backup[0]["file"].as_str().expect("a path").to_owned();
    let restore = ["restore", &backup, "--yes", "--accept-data-loss"];

    scene.take_over("quiet");
    let mut done = 0;
    let mut attack = |arguments: &[&str]| {
        let outcome = scene.under_attack(arguments);
        done += usize::from(outcome.status == Some(0));
    };
    lab.edit("version:", "config: {snapshot-count: 20000}\n  version:");
    attack(&["up", "--yes"]);
    attack(&["restart", "--yes"]);
    attack(&["pki", "renew", "--yes"]);
    attack(&["backup", "create"]);
    lab.edit(
        "hosts:",
        "backup:\n  schedule: daily\n  to: /var/lib/etcd-backup/kept\nhosts:",
    );
    attack(&["backup", "schedule", "--yes", "--patience", "1s"]);
    let address = lab.host("n3").address.clone();
    attack(&["remove-node", "n3", "--yes"]);
    attack(&["replace-node", "n3", "n3", "--address", &address, "--yes"]);
    if thorough() {
        let address = lab.host("n4").address.clone();
        attack(&["add-node", "n4", "--address", &address, "--yes"]);
        attack(&["remove-node", "n4", "--yes", "--wipe"]);
        attack(&["doctor"]);
    }
    attack(&restore);
    assert!(done >= 4, "nearly every command failed: not much was tried");
    scene.free();
    lab.quorate(&restore).ok();

    scene.take_over("loud");
    for arguments in [
        &["status"][..],
        &["up", "--yes"],
        &["restart", "--yes", "--limit", "n1"],
        &restore,
    ] {
        scene.under_attack(arguments);
    }
    scene.free();
    lab.quorate(&restore).ok();

    // Those that are left of a lost majority.
    for name in ["n1", "n2"] {
        lab.host(name)
            .sh("systemctl kill -s KILL etcd; systemctl disable --now etcd; rm -rf /var/lib/etcd/member /var/lib/etcd/.quorate-cluster");
    }
    scene.take_over("quiet");
    scene.under_attack(&["recover", "--yes", "--accept-data-loss"]);
    scene.free();
    lab.quorate(&["recover", "--yes", "--accept-data-loss"]);
    scene.under_attack(&["status"]);
}

/// Everything else that changes a cluster, on one host with the log in a directory of its own.
#[test]
fn it_gets_nothing_either_while_its_cluster_is_upgraded_rotated_stopped_and_kept() {
    let (old, new) = (release("3.5"), current());
    let lab = Lab::start(1);
    lab.inventory(|hosts| {
        let plain = plain_inventory(&old, hosts);
        plain.replace("hosts:", "  paths: {wal: /var/lib/etcd-wal}\nhosts:")
    });
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let scene = Scene::of(lab, 1);
    let backup = scene
        .lab
        .quorate(&["--output", "json", "backup", "create"])
        .ok()
        .events_of("backup");
    let backup = backup[0]["file"].as_str().expect("a path").to_owned();
    let restore = ["restore", &backup, "--yes", "--accept-data-loss", "--accept-outage"];
    scene.take_over("quiet");
    let mut failed = Vec::new();
    for arguments in [
        &["upgrade", "--to", &new, "--yes", "--accept-outage"][..],
        &["maintain", "n1", "--stop", "--yes", "--accept-outage"],
        &["maintain", "n1", "--done", "--yes"],
        &["stop", "--yes", "--accept-outage"],
        &["start", "--yes"],
        &["defrag", "--yes", "--accept-outage"],
        &["pki", "rotate-ca", "--yes", "--accept-outage"],
        &["ctl", "--", "put", "a", "b"],
        &["downgrade", "--to", &old, "--yes", "--accept-outage"],
        &restore,
    ] {
        if scene.under_attack(arguments).status != Some(0) {
            failed.push(arguments[0]);
        }
    }
    assert!(failed.len() <= 3, "not much was tried: {failed:?} failed");
    scene.free();
    scene.lab.quorate(&restore).ok();
}

/// Gives to etcd's account what earlier versions gave to it.
const EARLIER: &str = "
    find /etc/etcd/pki -type d -exec chmod 0755 {} + && find /etc/etcd/pki -type f -exec chmod 0644 {} + &&
    find /etc/etcd/pki -name '*.key' -type f -exec chmod 0600 {} + && chown -R -h etcd: /etc/etcd/pki &&
    install -d -m 0700 -o etcd -g etcd /etc/etcd/etcd-backup && echo key >/etc/etcd/etcd-backup/identity &&
    chmod 0600 /etc/etcd/etcd-backup/identity && chown etcd: /etc/etcd/etcd-backup/identity &&
    install -d -m 0700 -o etcd -g etcd /var/lib/etcd.quorate-aside /var/lib/etcd.quorate-aside/20250101T000000Z-restore";

const OWNERS: &str = "stat -L -c '%n %U:%G %a' /etc/etcd/pki /etc/etcd/pki/current /etc/etcd/pki/server.key /etc/etcd/pki/ca.crt \
    /etc/etcd/etcd-backup /etc/etcd/etcd-backup/identity /var/lib/etcd.quorate-aside";

#[test]
fn a_cluster_of_an_earlier_version_moves_without_a_restart() {
    let lab = Lab::cluster(1);
    let host = lab.host("n1");
    host.sh(EARLIER);
    let before = lab.pids();
    let certificate = host.sh("sha256sum /etc/etcd/pki/server.crt /etc/etcd/pki/server.key");

    // Nobody puts anything there before.
    lab.edit(
        "hosts:",
        "backup:\n  schedule: daily\n  to: /var/lib/etcd-backup/kept\nhosts:",
    );
    let there = || {
        host.sh("find /etc/etcd /etc/systemd/system /opt/quorate /var/lib/etcd-backup -printf '%p %C@\\n' 2>&1 | sort")
    };
    let untouched = there();
    lab.quorate(&["backup", "schedule", "--yes"]).code(4).says(&[
        "/etc/etcd/etcd-backup",
        "is not root's",
        "run `quorate up` first",
    ]);
    assert_eq!(there(), untouched);

    let plan = lab.quorate(&["plan"]).code(10).stdout;
    let owner = "make root the owner of /etc/etcd/pki, /etc/etcd/etcd-backup, /var/lib/etcd.quorate-aside";
    assert!(plan.contains(owner), "{plan}");
    lab.quorate(&["up", "--yes"]).ok();

    assert_eq!(
        host.sh(OWNERS),
        "/etc/etcd/pki root:etcd 750\n/etc/etcd/pki/current root:etcd 750\n/etc/etcd/pki/server.key root:etcd 640\n\
         /etc/etcd/pki/ca.crt root:etcd 640\n/etc/etcd/etcd-backup root:etcd 750\n\
         /etc/etcd/etcd-backup/identity root:etcd 640\n/var/lib/etcd.quorate-aside root:root 711\n"
    );
    assert_eq!(host.sh("cat /etc/etcd/etcd-backup/identity"), "key\n");
    assert_eq!(
        host.sh("sha256sum /etc/etcd/pki/server.crt /etc/etcd/pki/server.key"),
        certificate,
        "the same certificate and key"
    );
    assert_eq!(lab.restarted_since(&before), BTreeSet::new());
    lab.quorate(&["plan"]).ok();
    lab.quorate(&["restart", "--yes", "--accept-outage"]).ok();
    lab.assert_converged();
}

#[test]
fn data_below_a_directory_of_etcds_are_refused() {
    let lab = Lab::start(1);
    lab.inventory(|hosts| {
        let plain = plain_inventory(&current(), hosts);
        plain.replace("hosts:", "  paths: {data: /srv/store/etcd}\nhosts:")
    });
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let host = lab.host("n1");
    host.sh("chown etcd /srv/store");
    lab.edit("version:", "config: {snapshot-count: 20000}\n  version:");
    lab.stops_nothing(|lab| {
        lab.quorate(&["up", "--yes", "--accept-outage"]).code(4).says(&[
            "etcd can write to /srv/store and could replace /srv/store/etcd",
            "`chown root /srv/store; chmod go-w /srv/store`",
        ])
    });
    host.sh("chown root /srv/store; chmod go-w /srv/store");
    lab.quorate(&["up", "--yes", "--accept-outage"]).ok();

    // Exchanged already, for a link to what is root's: whom it belongs to now proves nothing.
    host.sh("systemctl stop etcd; chown etcd /srv/store; mv /srv/store/etcd /srv/store/aside");
    host.sh("install -d -m 700 /root/kept; touch /root/kept/file; ln -s /root/kept /srv/store/etcd");
    lab.quorate(&["up", "--yes", "--accept-outage"])
        .code(5)
        .says(&["/srv/store must be root's"]);
    assert_eq!(host.sh("ls -A /root/kept; stat -c %a /root/kept").trim(), "file\n700");

    // And where nothing is yet: before anything of etcd's is put there.
    let lab = Lab::start(1);
    lab.inventory(|hosts| {
        let plain = plain_inventory(&current(), hosts);
        plain.replace("hosts:", "  paths: {data: /srv/store/etcd}\nhosts:")
    });
    lab.quorate(&["trust", "--yes"]).ok();
    let host = lab.host("n1");
    host.sh("useradd --system --user-group etcd && install -d -o etcd /srv/store");
    lab.refuses(&["up", "--yes"], 4)
        .says(&["could replace /srv/store/etcd"]);
    assert_eq!(host.sh("ls -A /srv/store"), "");
}
