//! Clients on real clusters: revoked ones, and those that etcd's own authentication tells apart.

use std::fs;
use std::process::Output;

use crate::harness::{Lab, release, releases};

/// A cluster on a release of this minor, with `more` at the end of its inventory.
fn cluster(n: usize, minor: &str, more: &str) -> Lab {
    let lab = Lab::start(n);
    lab.plain_inventory(&release(minor));
    append(&lab, more);
    lab.quorate(&["up", "--yes"]).ok();
    lab
}

fn append(lab: &Lab, more: &str) {
    let text = fs::read_to_string(lab.dir().join("inventory.yml")).unwrap();
    lab.write("inventory.yml", &format!("{text}{more}"));
}

/// etcdctl with the certificate that `pki issue NAME --out out` wrote; each host is asked alone, every one must agree.
#[track_caller]
fn may(lab: &Lab, name: &str, minor: &str, arguments: &str) -> bool {
    let answers: Vec<Output> = lab
        .hosts()
        .iter()
        .map(|host| {
            let (_, dir) = releases()
                .into_iter()
                .find(|(version, _)| *version == release(minor))
                .expect("a release");
            let command = format!(
                "exec {}/etcdctl --command-timeout=5s --dial-timeout=3s --endpoints=https://{}:2379 \
                 --cacert out/ca.crt --cert out/{name}.crt --key out/{name}.key {arguments}",
                dir.display(),
                host.address
            );
            lab.as_operator("sh").args(["-c", &command]).output().unwrap()
        })
        .collect();
    let fine = answers.iter().filter(|answer| answer.status.success()).count();
    assert!(
        fine == 0 || fine == answers.len(),
        "{name} {arguments}: {fine} of {} members said yes: {answers:?}",
        answers.len()
    );
    fine > 0
}

fn issue(lab: &Lab, name: &str, user: &str) {
    lab.quorate(&["pki", "issue", name, "--user", user, "--out", "out"])
        .ok();
}

#[test]
fn a_revoked_client_is_refused_without_a_restart_and_the_others_are_not() {
    let lab = cluster(3, "3.5", "");
    issue(&lab, "app", "app");
    issue(&lab, "other", "other");
    // Switched on in a cluster that runs: the list first, then one restart each.
    append(&lab, "pki:\n  crl: true\n");
    let plan = lab.quorate(&["plan", "-v"]).code(10);
    assert!(
        plan.stdout.contains("revocation list") && plan.stdout.contains("CRLFile"),
        "{plan}"
    );
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    assert!(may(&lab, "app", "3.5", "put /x 1") && may(&lab, "other", "3.5", "get /x"));

    let pids = lab.pids();
    let revoked = lab.quorate(&["pki", "revoke", "app"]).ok();
    assert!(revoked.stderr.contains("quorate up"), "{revoked}");
    assert!(
        may(&lab, "app", "3.5", "get /x"),
        "the members have not heard of it yet"
    );
    lab.quorate(&["up", "--yes"]).ok();
    assert!(!may(&lab, "app", "3.5", "get /x"), "app is revoked");
    assert!(may(&lab, "other", "3.5", "get /x"));
    assert_eq!(lab.pids(), pids, "etcd reads the list at every handshake");
    lab.assert_converged();

    // It survives what replaces certificates, and the CA.
    lab.quorate(&["pki", "renew", "--yes"]).ok();
    assert!(!may(&lab, "app", "3.5", "get /x") && may(&lab, "other", "3.5", "get /x"));
    let handed_out = lab.quorate(&["pki", "crl", "--out", "list.der"]).ok();
    let there = lab.host("n2").sh("sha256sum </etc/etcd/pki/crl.der");
    let ours = lab
        .as_operator("sh")
        .args(["-c", "sha256sum <list.der"])
        .output()
        .unwrap();
    assert_eq!(
        there.trim(),
        String::from_utf8_lossy(&ours.stdout).trim(),
        "{handed_out}"
    );
    // A host that lost it gets it back.
    lab.host("n2").sh("rm /etc/etcd/pki/current/crl.der");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    lab.quorate(&["pki", "rotate-ca", "--compromised", "--yes"]).ok();
    lab.assert_converged();

    // And off again: nothing refers to the list any more.
    lab.edit("crl: true", "crl: false");
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    assert_eq!(
        lab.host("n1")
            .sh("grep -c CRLFile /etc/etcd/etcd-config.yml || :")
            .trim(),
        "0"
    );
}

#[test]
fn etcd_3_4_reads_the_list_too() {
    let lab = cluster(1, "3.4", "pki:\n  crl: true\n");
    issue(&lab, "app", "app");
    issue(&lab, "other", "other");
    assert!(may(&lab, "app", "3.4", "get /x"));
    lab.quorate(&["pki", "revoke", "app"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    assert!(!may(&lab, "app", "3.4", "get /x"));
    assert!(may(&lab, "other", "3.4", "get /x"));
    lab.quorate(&["pki", "revoke", "app"])
        .code(2)
        .says(&["no certificate of `app` is in use", "other"]);
}

const USERS: &str = "\
users:
  - name: app
    roles: [writer]
  - {name: reader, roles: reader}
roles:
  - name: writer
    permissions:
      - {access: readwrite, prefix: /app/}
  - name: reader
    permissions:
      - {access: read, prefix: /app/}
      - {access: read, key: /config}
";

#[test]
fn users_and_roles_are_what_the_inventory_says_and_everything_else_goes_on_working() {
    let lab = cluster(3, "3.5", "");
    for (name, user) in [("app", "app"), ("reader", "reader"), ("stranger", "nobody")] {
        issue(&lab, name, user);
    }
    lab.quorate(&["ctl", "--", "put", "/config", "1"]).ok();
    lab.edit("etcd:\n", "etcd:\n  auth: true\n");
    append(&lab, USERS);

    let plan = lab.quorate(&["plan", "--output", "json"]).code(4);
    assert!(plan.stdout.contains("stranger (user nobody)"), "{plan}");
    lab.quorate(&["up", "--yes"]).code(4).says(&[
        "would lock out these clients, which have certificates: stranger (user nobody)",
        "users",
        "--accept-outage",
    ]);
    assert!(may(&lab, "stranger", "3.5", "get /config"), "nothing was changed");
    lab.quorate(&["pki", "revoke", "stranger"]).ok();

    let plan = lab.quorate(&["plan"]).code(10);
    for line in [
        "+ role writer: readwrite /app/*",
        "+ role reader: read /config",
        "+ user app: role writer",
        "+ user root: role root",
        "turn etcd's authentication ON",
    ] {
        assert!(plan.stdout.contains(line), "{line}\n{plan}");
    }
    let pids = lab.pids();
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.pids(), pids, "nothing was restarted");
    assert!(lab.quorate(&["up"]).ok().stderr.contains("nothing to do"));
    lab.assert_converged();

    // Each may do what its roles allow, and no more.
    assert!(may(&lab, "app", "3.5", "put /app/x 1") && may(&lab, "app", "3.5", "get /app/x"));
    assert!(!may(&lab, "app", "3.5", "get /config") && !may(&lab, "app", "3.5", "put /appendix 1"));
    assert!(may(&lab, "reader", "3.5", "get /app/x") && may(&lab, "reader", "3.5", "get /config"));
    assert!(!may(&lab, "reader", "3.5", "put /app/x 2") && !may(&lab, "reader", "3.5", "user list"));
    assert!(!may(&lab, "stranger", "3.5", "get /app/x"), "nobody is no user");

    // quorate is `root`.
    for arguments in [
        &["status"][..],
        &["health"],
        &["members"],
        &["doctor"],
        &["ctl", "--", "put", "/anything", "1"],
        &["backup", "create"],
        &["pki", "renew", "--yes"],
        &["restart", "--yes"],
    ] {
        let ended = lab.quorate(arguments);
        // Not every release of quorate has every command.
        assert!(
            ended.status == Some(0) || ended.stderr.contains("unrecognized subcommand"),
            "{ended}"
        );
    }
    lab.assert_converged();

    // What changes is shown and done; who is not listed is named, and goes only when asked.
    lab.edit("      - {access: read, key: /config}\n", "");
    lab.edit("  - {name: reader, roles: reader}\n", "");
    lab.quorate(&["ctl", "--", "user", "add", "mallory", "--no-password"])
        .ok();
    let plan = lab.quorate(&["plan"]).code(10);
    assert!(plan.stdout.contains("- role reader: read /config"), "{plan}");
    assert!(plan.stdout.contains("would delete: mallory, reader"), "{plan}");
    lab.quorate(&["up", "--yes"]).ok();
    assert!(!may(&lab, "reader", "3.5", "get /config") && may(&lab, "reader", "3.5", "get /app/x"));
    lab.assert_converged();
    lab.quorate(&["up", "--prune", "--yes"]).ok();
    assert!(!may(&lab, "reader", "3.5", "get /app/x"), "reader is gone");
    let users = lab.quorate(&["ctl", "--", "user", "list"]).ok();
    assert_eq!(users.stdout.split_whitespace().collect::<Vec<_>>(), ["app", "root"]);

    // Somebody changes it by hand: seen and put right.
    lab.quorate(&[
        "ctl",
        "--",
        "role",
        "grant-permission",
        "--prefix=true",
        "writer",
        "readwrite",
        "",
    ])
    .ok();
    assert!(may(&lab, "app", "3.5", "get /config"));
    lab.quorate(&["up", "--yes"]).ok();
    assert!(!may(&lab, "app", "3.5", "get /config") && may(&lab, "app", "3.5", "get /app/x"));

    lab.edit("auth: true", "auth: false");
    lab.quorate(&["up", "--yes"]).ok();
    assert!(may(&lab, "app", "3.5", "get /config"), "off: a certificate is enough");
    lab.assert_converged();
}

/// 3.4 has no call that tells whether authentication is on.
#[test]
fn authentication_on_etcd_3_4_from_the_first_up() {
    let lab = Lab::start(1);
    lab.plain_inventory(&release("3.4"));
    lab.edit("etcd:\n", "etcd:\n  auth: true\n");
    append(&lab, USERS);
    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    issue(&lab, "app", "app");
    assert!(may(&lab, "app", "3.4", "put /app/x 1") && !may(&lab, "app", "3.4", "get /config"));
    lab.quorate(&["restart", "--yes", "--accept-outage"]).ok();
    lab.assert_converged();
    lab.edit("auth: true", "auth: false");
    lab.quorate(&["up", "--yes"]).ok();
    assert!(may(&lab, "app", "3.4", "get /config"));
    lab.assert_converged();
}
