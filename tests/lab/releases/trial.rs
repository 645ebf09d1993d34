//! etcd is asked before its members get what it does not start with: nothing on a host changes for that, whatever the
//! release, and no rung of a ladder is climbed towards one that would die.

use std::process::Command;

use crate::harness::{Host, Lab, plain_inventory, release};

const PORTLESS: &str = "    cors: \"http://a.example\"\n";
const JWT: &str =
    "    auth-token: \"jwt,pub-key=/etc/etcd-jwt/public.pem,priv-key=/etc/etcd-jwt/private.pem,sign-method=RS256\"\n";

/// A plain inventory with options of etcd.
fn with(version: &str, hosts: &[Host], options: &str) -> String {
    plain_inventory(version, hosts).replacen("hosts:", &format!("  config:\n{options}hosts:"), 1)
}

fn write(lab: &Lab, version: &str, options: &str) {
    lab.inventory(|hosts| with(version, hosts, options));
}

/// What trials leave on the operator's machine or a host: nothing.
#[track_caller]
fn nothing_is_left(lab: &Lab) {
    let here = Command::new("sh")
        .args(["-c", "ls -d /tmp/quorate-trial.* 2>/dev/null; true"])
        .output()
        .expect("ls");
    assert_eq!(String::from_utf8_lossy(&here.stdout), "", "left on this machine");
    for host in lab.hosts() {
        let there = host.sh("ls -d /tmp/quorate-trial.* /var/tmp/quorate-trial.* 2>/dev/null; true");
        assert_eq!(there, "", "left on {}", host.name);
    }
}

#[test]
fn what_etcd_dies_of_never_reaches_a_host() {
    let (old, new, newest) = (release("3.5"), release("3.6"), release("3.7"));
    let lab = Lab::start(3);
    lab.plain_inventory(&new);
    // Before there is a cluster.
    write(&lab, &new, PORTLESS);
    lab.quorate(&["check"]).ok();
    let refused = lab.quorate(&["check", "--try"]).code(3);
    refused.says(&["does not start with `cors`", "http://a.example"]);
    let refused = lab.refuses(&["up", "--yes"], 4);
    refused.says(&["does not start with `cors`", "http://a.example", "quorate check --try"]);
    lab.refuses(&["plan"], 4);

    // A duration without a mode: 3.5 would die of it as it stands, and starts with what quorate makes of it.
    write(&lab, &old, "    auto-compaction-retention: 8h\n");
    lab.quorate(&["check", "--try"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    let before = lab.pids();

    // Members that run are not stopped for it, be it a configuration or a release.
    write(&lab, &old, &format!("    auto-compaction-retention: 8h\n{PORTLESS}"));
    lab.refuses(&["up", "--yes"], 4)
        .says(&[&format!("etcd {old} does not start with `cors`")]);
    let refused = lab.refuses(&["upgrade", "--to", &newest, "--yes"], 4);
    refused.says(&[
        &format!("etcd {new} does not start with `cors`"),
        &format!("etcd {newest} does not start with `cors`"),
    ]);
    assert!(lab.restarted_since(&before).is_empty());

    write(
        &lab,
        &old,
        "    auto-compaction-retention: 8h\n    cors: \"http://a.example:80\"\n",
    );
    lab.quorate(&["up", "--yes"]).ok();
    // With nothing to do nobody is asked.
    let idle = lab.quorate(&["up", "--yes", "--output", "json"]).ok();
    assert!(!idle.stdout.contains("\"trial\""), "{idle}");
    nothing_is_left(&lab);
}

/// Only a host can tell whether its files are there, and etcd's account may read them.
#[test]
fn what_is_about_the_hosts_is_asked_on_the_hosts() {
    let new = release("3.6");
    let lab = Lab::start(3);
    lab.plain_inventory(&new);
    write(&lab, &new, JWT);
    lab.quorate(&["check", "--try"])
        .code(9)
        .says(&["`auth-token` names files of the hosts"]);
    lab.refuses(&["up", "--yes"], 4)
        .says(&["n1: etcd", "does not start with `auth-token`"]);
    nothing_is_left(&lab);

    let keys = tempfile::tempdir().expect("a directory");
    let made = Command::new("sh")
        .args([
            "-c",
            "openssl genrsa -out private.pem 2048 && openssl rsa -in private.pem -pubout -out public.pem",
        ])
        .current_dir(keys.path())
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for host in lab.hosts() {
        host.sh("mkdir -p /etc/etcd-jwt");
        for name in ["private.pem", "public.pem"] {
            host.carry(&keys.path().join(name), &format!("/etc/etcd-jwt/{name}"));
        }
        host.sh("chmod 755 /etc/etcd-jwt; chmod 644 /etc/etcd-jwt/*");
    }
    // One of them where etcd's account cannot get at it: it is named, the others are well.
    lab.host("n2").sh("chmod 600 /etc/etcd-jwt/private.pem");
    let refused = lab.refuses(&["up", "--yes"], 4);
    refused.says(&["n2: etcd", "does not start with `auth-token`"]);
    lab.host("n2").sh("chmod 644 /etc/etcd-jwt/private.pem");
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["health"]).ok();
    nothing_is_left(&lab);
}
