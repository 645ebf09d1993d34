//! Every command on hosts of every kind that people run etcd on (`lab/kinds`).

use crate::harness::{Host, Lab, current, plain_inventory, release, some_of};

/// debian12 is what everything else runs on.
const KINDS: [&str; 7] = [
    "debian11", "debian13", "sid", "uutils", "busybox", "readonly", "hardened",
];

/// The commands of a cluster's life, each with what it says when it has done its work. One of its hosts leaves and comes back.
fn life(comes_back: &Host) -> Vec<(String, &'static str)> {
    let Host { name, address, .. } = comes_back;
    let upgrade = format!("upgrade --to {} --yes", release("3.7"));
    let gone = format!("remove-node {name} --yes");
    let back = format!("add-node {name} --address {address} --yes");
    [
        ("check", "pki"),
        ("plan", "start n1 first"),
        ("up --yes", "is up and matches the inventory"),
        ("up --yes", "nothing to do"),
        ("status", "healthy"),
        (upgrade.as_str(), "ok:"),
        ("restart --yes", "members restarted"),
        ("doctor", "no problems"),
        ("pki renew --yes", "every certificate was replaced"),
        (gone.as_str(), "has left"),
        (back.as_str(), "is a voting member"),
        ("stop --yes --accept-outage", "is stopped"),
        ("start --yes", "is running again"),
        ("backup create --out kept", "contains everything up to"),
        ("restore kept --yes --accept-data-loss", "was restored"),
        ("plan", "nothing to do"),
    ]
    .into_iter()
    .map(|(line, said)| (line.to_owned(), said))
    .collect()
}

/// The hosts run quorate itself for them: a static one, which every kind runs and `make soak` names. (What is built for tests
/// needs the C library of the machine that built it.)
fn scheduled_backups(lab: &Lab, kinds: &[&str]) {
    let Some(program) = std::env::var_os("QUORATE_STATIC") else {
        println!("backup schedule: not taken on every kind without a static program (QUORATE_STATIC)");
        return;
    };
    let text = std::fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    lab.write(
        "inventory.yml",
        &format!("{text}backup: {{schedule: daily, to: /srv/backups}}\n"),
    );
    let program = program.to_str().expect("a path");
    let scheduled = lab.quorate(&["backup", "schedule", "--yes", "--program", program, "--output", "json"]);
    let last = scheduled.ok().stdout.lines().last().unwrap_or_default().to_owned();
    assert!(last.contains(r#""event":"finished""#), "the last event: {last}");
    println!("backup schedule holds on {}", kinds.join(", "));
    lab.quorate(&["backup", "schedule", "--remove", "--yes"]).ok();
}

#[test]
fn the_whole_life_of_a_cluster_on_hosts_of_every_kind() {
    // uutils is a sid, and Debian 13 lies between those that are left.
    let kinds = some_of(KINDS, |kind| !["debian13", "sid"].contains(kind));
    let lab = Lab::of_kinds(&kinds);
    lab.inventory(|hosts| format!("{}ssh: {{user: ops}}\n", plain_inventory(&current(), hosts)));
    lab.quorate(&["trust", "--yes"]).ok();
    for (line, said) in life(&lab.hosts()[kinds.len() - 1]) {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = lab.quorate(&words);
        // A plan that would change something says so with its exit code.
        let outcome = if said.starts_with("start") {
            outcome.code(10)
        } else {
            outcome.ok()
        };
        let all = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(all.contains(said), "{line} does not say {said:?}:\n{all}");
        println!("{line:40} holds on {}", kinds.join(", "));
    }

    scheduled_backups(&lab, &kinds);

    // sudo with a password: sudo-rs, and one that takes a terminal of its own.
    lab.edit("user: ops", "user: opspw");
    let plan = lab.quorate_with(
        &["plan", "--sudo-password-env", "SUDO_PW"],
        |command| _ = command.env("SUDO_PW", "lab-password"),
        b"",
    );
    plan.ok();
}

#[test]
fn a_sudo_that_allows_other_programs_says_which_rule_is_needed() {
    // sudo and sudo-rs, without a password and with one.
    let lab = Lab::of_kinds(&["debian12", "uutils"]);
    for host in lab.hosts() {
        host.sh(
            "printf 'ops ALL=(root) NOPASSWD: /usr/bin/systemctl\\n' >/etc/sudoers.d/ops
             printf 'opspw ALL=(root) /usr/bin/systemctl\\n' >/etc/sudoers.d/opspw",
        );
    }
    for user in ["ops", "opspw"] {
        lab.inventory(|hosts| format!("{}ssh: {{user: {user}}}\n", plain_inventory(&current(), hosts)));
        lab.quorate(&["trust", "--yes"]).ok();
        let plan = || {
            lab.quorate_with(
                &["plan", "--sudo-password-env", "SUDO_PW"],
                |command| _ = command.env("SUDO_PW", "lab-password"),
                b"",
            )
        };
        let rule = format!("{user} ALL=(root) NOPASSWD: /bin/sh, /usr/bin/sh");
        let refused = plan().code(5);
        let said = format!("{}{}", refused.stdout, refused.stderr);
        for words in ["n1", "n2", "sudo refuses", &rule] {
            assert!(said.contains(words), "{words} is not in {said}");
        }
        // Word by word.
        for host in lab.hosts() {
            host.sh(&format!(
                "echo '{rule}' >>/etc/sudoers.d/quorate && chmod 440 /etc/sudoers.d/quorate"
            ));
        }
        plan().code(10);
    }
}

#[test]
fn programs_that_may_not_run_are_refused_in_the_plan_and_old_links_are_shown() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    let host = lab.host("n1");
    host.sh("mkdir -p /opt/quorate && mount -t tmpfs -o noexec tmpfs /opt/quorate");
    for command in [&["plan"][..], &["up", "--yes"], &["check", "--hosts"]] {
        lab.refuses(command, 4).says(&[
            "n1",
            "no program may run from /opt/quorate",
            "/opt/quorate is mounted noexec",
            "remount,exec",
        ]);
    }
    assert_eq!(host.sh("ls -A /opt/quorate").trim(), "", "nothing was touched");
    host.sh("mount -o remount,exec /opt/quorate");
    lab.quorate(&["check", "--hosts"]).ok();
    lab.quorate(&["up", "--yes"]).ok();

    // The data of a member that is there were moved to a larger disk.
    host.sh(
        "systemctl stop etcd && mv /var/lib/etcd /srv/etcd && ln -s /srv/etcd /var/lib/etcd && systemctl start etcd",
    );
    let plan = lab.quorate(&["plan"]).ok();
    let said = format!("{}{}", plan.stdout, plan.stderr);
    assert!(said.contains("/var/lib/etcd is a symbolic link to /srv/etcd"), "{said}");
}

#[test]
fn a_release_that_needs_a_newer_c_library_is_refused_before_anything_is_touched() {
    let lab = Lab::of_kinds(&["debian11"]);
    // Debian's own package, made on a newer Debian; the operator's machine could run it.
    lab.plain_inventory(&release("3.5"));
    for command in [&["plan"][..], &["up", "--yes"], &["check", "--hosts"]] {
        lab.refuses(command, 4)
            .says(&["n1", "needs glibc 2.34 (`GLIBC_2.34`), and it has glibc 2.31", "static"]);
    }
    lab.edit(&release("3.5"), &current());
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.status()["healthy"], true);

    // quorate itself, as it was built for the tests, on a host that takes its own backups.
    lab.edit("cluster:", "backup: {schedule: daily, to: /srv/backups}\ncluster:");
    lab.quorate(&["backup", "schedule", "--yes"]).code(4).says(&[
        "n1",
        "this quorate needs glibc",
        "it has glibc 2.31",
        "--program",
    ]);
    lab.host("n1").assert_has_no_schedule();
}
