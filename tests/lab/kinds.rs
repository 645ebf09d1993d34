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
fn a_release_that_needs_a_newer_c_library_is_refused_before_anything_is_touched() {
    let lab = Lab::of_kinds(&["debian11"]);
    // Debian's own package, made on a newer Debian; the operator's machine could run it.
    lab.plain_inventory(&release("3.5"));
    for command in [&["plan"][..], &["up", "--yes"]] {
        lab.refuses(command, 4)
            .says(&["n1", "needs glibc 2.34 (`GLIBC_2.34`), and it has glibc 2.31", "static"]);
    }
    lab.edit(&release("3.5"), &current());
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.status()["healthy"], true);
}
