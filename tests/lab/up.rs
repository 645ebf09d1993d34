//! `up`: from bare hosts to a healthy cluster, and what stands before it: `plan`, `--dry-run`, saved plans.

use serde_json::{Value, json};

use crate::harness::{Host, Lab, current};

#[test]
fn bare_hosts_become_a_healthy_cluster_and_a_second_up_does_nothing() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    let bare: Vec<String> = lab.hosts().iter().map(Host::fingerprint).collect();

    let plan = lab.quorate(&["plan", "--output", "json"]).code(10).json();
    for step in plan["waves"].as_array().expect("waves").iter().flat_map(steps_of) {
        for key in ["id", "target", "action", "risk", "why"] {
            assert!(!step[key].is_null(), "a step without {key}: {step}");
        }
        assert!(step["target"].is_string() && step["action"].is_string(), "{step}");
    }
    let shown = lab.quorate(&["up", "--dry-run"]).code(10).stdout;
    for said in ["n1", "n2", "n3", "start the others together"] {
        assert!(shown.contains(said), "{shown}");
    }
    let untouched: Vec<String> = lab.hosts().iter().map(Host::fingerprint).collect();
    assert_eq!(untouched, bare, "looking changes nothing");
    assert!(!lab.dir().join("pki/ca.crt").exists(), "looking makes no CA");

    let up = lab.quorate(&["up", "--yes", "--output", "json"]).ok();
    let last = up.events().pop().expect("events");
    assert_eq!(
        (&last["event"], &last["ok"]),
        (&json!("finished"), &json!(true)),
        "{last}"
    );
    assert!(last["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{last}");
    healthy_with_members(&lab.status(), &["n1", "n2", "n3"]);
    lab.quorate(&["health"]).ok();
    let put = lab.host("n1").etcdctl("put hello world").ok();
    assert_eq!(put.stdout.trim(), "OK");
    assert_eq!(
        lab.quorate(&["ctl", "--", "get", "hello", "--print-value-only"])
            .ok()
            .stdout
            .trim(),
        "world"
    );

    let pids = lab.pids();
    let converged: Vec<String> = lab.hosts().iter().map(Host::fingerprint).collect();
    let plan = lab.quorate(&["plan", "--output", "json"]).ok().json();
    assert_eq!(plan["waves"], json!([]));
    let again = lab.quorate(&["up", "--yes", "--output", "json"]).ok();
    assert_eq!(again.events_of("finished")[0]["changed"], json!(0));
    assert!(again.events_of("step_started").is_empty(), "{again}");
    assert_eq!(lab.pids(), pids);
    let still: Vec<String> = lab.hosts().iter().map(Host::fingerprint).collect();
    assert_eq!(still, converged, "a second `up` touches nothing");
}

/// Nothing but a shell, coreutils and systemd is needed; what can unpack saves the wire.
#[test]
fn every_host_gets_its_programs_as_it_can_unpack_them() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    lab.host("n2").sh("rm /usr/bin/zstd");
    lab.host("n3").sh("rm /usr/bin/zstd /usr/bin/gzip");

    let up = lab.quorate(&["up", "--yes", "--output", "json"]).ok();
    let pushes = up.events_of("step_progress");
    let sent = |node: &str| {
        let totals = pushes.iter().filter(|push| push["node"] == json!(node));
        totals.filter_map(|push| push["total"].as_u64()).max().expect("a push")
    };
    let [zstd, gzip, plain] = ["n1", "n2", "n3"].map(sent);
    assert!(zstd < gzip && gzip < plain / 2, "{zstd}, {gzip}, {plain} bytes");
    healthy_with_members(&lab.status(), &["n1", "n2", "n3"]);
}

#[test]
fn a_saved_plan_is_done_only_while_it_is_still_what_is_needed() {
    let lab = Lab::start(3);
    lab.plain_inventory(&current());
    // Made in one checkout of the inventory, by CI; carried out in another, by a person.
    for file in ["inventory.yml", "pki/known_hosts"] {
        let text = std::fs::read_to_string(lab.dir().join(file)).expect(file);
        lab.write(&format!("ci/{file}"), &text);
    }
    lab.quorate(&["--inventory", "ci/inventory.yml", "plan", "--out", "plan.json"])
        .code(10);
    let bare: Vec<String> = lab.hosts().iter().map(Host::fingerprint).collect();

    lab.edit("hosts:", "  config:\n    snapshot-count: 5000\nhosts:");
    let stale = lab.quorate(&["up", "--plan", "plan.json", "--yes"]).code(7);
    assert!(stale.stderr.contains("the inventory has changed"), "{stale}");
    lab.edit("  config:\n    snapshot-count: 5000\n", "");
    lab.host("n2")
        .sh("mkdir -p /etc/etcd && echo name: old >/etc/etcd/etcd-config.yml");
    let stale = lab.quorate(&["up", "--plan", "plan.json", "--yes"]).code(7);
    assert!(stale.stderr.contains("the hosts have changed"), "{stale}");
    lab.host("n2").sh("rm -r /etc/etcd");
    let untouched: Vec<String> = lab.hosts().iter().map(Host::fingerprint).collect();
    assert_eq!(untouched, bare, "a stale plan touches nothing");

    lab.quorate(&["up", "--plan", "plan.json", "--yes"]).ok();
    lab.assert_converged();
    let stale = lab.quorate(&["up", "--plan", "plan.json", "--yes"]).code(7);
    assert!(stale.stderr.contains("members have changed"), "{stale}");
}

#[test]
fn nobody_to_ask_means_no() {
    let lab = Lab::start(1);
    lab.plain_inventory(&current());
    let bare = lab.host("n1").fingerprint();
    let unasked = lab.quorate(&["up"]);
    assert_ne!(unasked.status, Some(0), "{unasked}");
    assert!(unasked.stderr.contains("--yes"), "{unasked}");
    assert_eq!(lab.host("n1").fingerprint(), bare);
}

fn steps_of(wave: &Value) -> impl Iterator<Item = &Value> {
    wave.as_array().expect("a wave is a list of steps").iter()
}

fn healthy_with_members(status: &Value, names: &[&str]) {
    assert_eq!(status["healthy"], json!(true), "{status}");
    assert_eq!(status["cluster"], json!("lab"));
    assert!(status["cluster_id"].is_string(), "{status}");
    let members = status["members"].as_array().expect("members");
    let seen: Vec<&str> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    assert_eq!(seen, names);
    for member in members {
        for key in [
            "id",
            "address",
            "healthy",
            "leader",
            "learner",
            "version",
            "db_size",
            "raft_index",
        ] {
            assert!(!member[key].is_null(), "a member without {key}: {member}");
        }
    }
    assert_eq!(
        members.iter().filter(|member| member["leader"] == json!(true)).count(),
        1
    );
}
