//! etcd is asked before its members get what it does not start with: nothing on a host changes for that, whatever the
//! release, and no rung of a ladder is climbed towards one that would die.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Host, Lab, Outcome, plain_inventory, release, wait_until};

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

/// Runs quorate with a temporary directory of its own, which must be empty again afterwards.
#[track_caller]
fn leaving_nothing(lab: &Lab, arguments: &[&str]) -> Outcome {
    let scratch = lab.dir().join("scratch");
    fs::create_dir_all(&scratch).expect("a temporary directory");
    let outcome = lab.quorate_with(arguments, |command| _ = command.env("TMPDIR", &scratch), b"");
    is_empty(&scratch);
    outcome
}

/// The script that removes it outlives the program by a moment.
#[track_caller]
fn is_empty(scratch: &Path) {
    wait_until("the scratch directory to be gone", Duration::from_secs(20), || {
        fs::read_dir(scratch).expect("the temporary directory").next().is_none()
    });
}

/// What trials leave on hosts: nothing.
#[track_caller]
fn nothing_is_left(lab: &Lab) {
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
    let refused = leaving_nothing(&lab, &["check", "--try"]).code(3);
    refused.says(&["does not start with `cors`", "http://a.example"]);
    let refused = lab.refuses(&["up", "--yes"], 4);
    refused.says(&["does not start with `cors`", "http://a.example", "quorate check --try"]);
    lab.refuses(&["plan"], 4);

    // A duration without a mode: 3.5 would die of it as it stands, and starts with what quorate makes of it.
    write(&lab, &old, "    auto-compaction-retention: 8h\n");
    leaving_nothing(&lab, &["check", "--try"]).ok();
    leaving_nothing(&lab, &["up", "--yes"]).ok();
    let before = lab.pids();

    // Members that run are not stopped for it, be it a configuration or a release.
    write(&lab, &old, &format!("    auto-compaction-retention: 8h\n{PORTLESS}"));
    let refused = lab.stops_nothing(|lab| lab.quorate(&["up", "--yes"]).code(4));
    refused.says(&[&format!("etcd {old} does not start with `cors`")]);
    let refused = lab.stops_nothing(|lab| lab.quorate(&["upgrade", "--to", &newest, "--yes"]).code(4));
    let rungs = [&new, &newest].map(|rung| format!("etcd {rung} does not start with `cors`"));
    refused.says(&[&rungs[0], &rungs[1]]);
    assert!(lab.restarted_since(&before).is_empty());
    assert!(!lab.has_backup(&format!("before-{new}")), "told before the first rung");

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
        .says(&["`auth-token` refers to files on the hosts"]);
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

/// With such a timeout a single member elects itself after most of a minute: time enough to change one's mind.
#[test]
fn an_interrupted_trial_leaves_nothing_behind() {
    let new = release("3.6");
    let lab = Lab::start(1);
    lab.plain_inventory(&new);
    write(&lab, &new, "    election-timeout: 50s\n    heartbeat-interval: 5s\n");
    let scratch = lab.dir().join("scratch");
    fs::create_dir_all(&scratch).expect("a temporary directory");
    for kill in [false, true] {
        let mut running = lab.spawn_with(&["up", "--yes"], |command| _ = command.env("TMPDIR", &scratch));
        wait_until("etcd to be on trial", Duration::from_secs(60), || {
            let all = fs::read_dir(&scratch).expect("the temporary directory").flatten();
            all.into_iter()
                .any(|place| place.path().join("run/data/member").exists())
        });
        if kill {
            running.kill();
        } else {
            running.interrupt();
            running.wait().code(130).says(&["nothing was changed"]);
        }
        is_empty(&scratch);
    }
    lab.host("n1").sh("! test -e /etc/etcd");
}
