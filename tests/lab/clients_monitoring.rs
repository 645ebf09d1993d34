//! `monitoring`: a real Prometheus scrapes real members, and alerts fire by the real fault and are silent on a good day.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Lab, Server, current, plain_inventory, release, thorough, wait_until};

const PORT: u16 = 9090;
const LIMIT: Duration = Duration::from_secs(60);

/// What Prometheus answers to an expression: a line a series.
fn ask(lab: &Lab, expression: &str) -> Vec<String> {
    // In brackets, since `-` at its beginning would be a flag.
    let expression = format!("({expression})");
    let server = format!("http://127.0.0.1:{PORT}");
    let answer = lab.run_client("promtool", &["query", "instant", &server, &expression]);
    answer.ok().stdout.lines().map(str::to_owned).collect()
}

/// The alerts that fire now.
fn firing(lab: &Lab) -> BTreeSet<String> {
    let answer = ask(lab, "count by (alertname) (ALERTS{alertstate=\"firing\"})");
    let name = |line: &String| line.split('"').nth(1).map(str::to_owned);
    answer.iter().filter_map(name).collect()
}

#[track_caller]
fn wait_for(lab: &Lab, alerts: &[&str]) {
    let wanted: BTreeSet<String> = alerts.iter().map(|alert| (*alert).to_owned()).collect();
    let mut last = BTreeSet::new();
    let start = std::time::Instant::now();
    while start.elapsed() < LIMIT {
        last = firing(lab);
        if last == wanted {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{alerts:?} were to fire, and {last:?} do");
}

/// The files, with times that a test can wait for: what fires after minutes fires after seconds.
fn in_seconds(lab: &Lab) {
    let change = |name: &str, from: &dyn Fn(&str) -> bool, to: &str| {
        let path = lab.dir().join("mon").join(name);
        let text = fs::read_to_string(&path).expect("a file");
        let lines: Vec<String> = text
            .lines()
            .map(|line| match from(line.trim()) {
                true => line[..line.len() - line.trim_start().len()].to_owned() + to,
                false => line.to_owned(),
            })
            .collect();
        assert_ne!(lines.join("\n"), text.trim_end(), "{name}");
        fs::write(path, lines.join("\n") + "\n").expect("a file");
    };
    change("etcd.rules.yml", &|line| line.starts_with("for: "), "for: 3s");
    change(
        "prometheus.yml",
        &|line| line.starts_with("scrape_interval"),
        "scrape_interval: 1s",
    );
    change(
        "prometheus.yml",
        &|line| line.starts_with("evaluation_interval"),
        "evaluation_interval: 1s",
    );
}

fn monitored(version: &str) -> Lab {
    let lab = Lab::start(3);
    lab.inventory(|hosts| {
        plain_inventory(version, hosts).replace("etcd:\n", "etcd:\n  config: {quota-backend-bytes: 20000000}\n")
    });
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["monitoring", "--out", "mon"])
        .ok()
        .says(&["pki issue prometheus"]);
    lab.quorate(&["pki", "issue", "prometheus", "--out", "mon/tls/lab"])
        .ok();
    lab
}

#[test]
fn alerts_fire_by_the_real_fault_and_are_silent_on_a_good_day() {
    for version in match thorough() {
        true => vec![release("3.4"), release("3.5"), current()],
        false => vec![current()],
    } {
        let lab = monitored(&version);
        lab.run_client("promtool", &["check", "config", "mon/prometheus.yml"])
            .ok();
        in_seconds(&lab);
        let mut prometheus = lab.client("prometheus");
        prometheus.args([
            "--config.file=mon/prometheus.yml",
            "--storage.tsdb.path=tsdb",
            "--log.level=error",
            &format!("--web.listen-address=127.0.0.1:{PORT}"),
        ]);
        let _prometheus = Server::start(&lab, &mut prometheus, PORT);
        wait_until("all members to be scraped", LIMIT, || {
            ask(&lab, "sum(up) == 3").len() == 1
        });
        wait_for(&lab, &[]);

        lab.host("n3").sh("systemctl stop etcd");
        wait_for(&lab, &["EtcdMemberDown", "EtcdOneFailureFromOutage"]);
        lab.host("n2").sh("systemctl stop etcd");
        wait_until("the quorum to be missed", LIMIT, || {
            let firing = firing(&lab);
            ["EtcdMemberDown", "EtcdQuorumLost", "EtcdNoLeader"]
                .iter()
                .all(|alert| firing.contains(*alert))
        });
        lab.quorate(&["up", "--yes"]).ok();
        wait_until("availability to be back", LIMIT, || {
            let gone = [
                "EtcdMemberDown",
                "EtcdQuorumLost",
                "EtcdNoLeader",
                "EtcdOneFailureFromOutage",
            ];
            gone.iter().all(|alert| !firing(&lab).contains(*alert))
        });

        lab.fill_database();
        let full: &[&str] = match release("3.6") == version {
            true => &["EtcdAlarm", "EtcdDatabaseFull"],
            false => &["EtcdDatabaseFull"],
        };
        wait_until("a full database to be missed", LIMIT, || {
            let firing = firing(&lab);
            full.iter().all(|alert| firing.contains(*alert))
        });
        lab.host("n1").etcdctl("del --prefix big/").ok();
        lab.quorate(&["alarm", "disarm", "--yes"]).ok();
        wait_until("the alarm to be gone", LIMIT, || {
            full.iter().all(|alert| !firing(&lab).contains(*alert))
        });

        every_panel_shows_something(&lab);
    }
}

/// Each expression of the dashboard, as it stands in the file, has an answer.
#[track_caller]
fn every_panel_shows_something(lab: &Lab) {
    let text = fs::read_to_string(lab.dir().join("mon/etcd-dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"]
                .as_str()
                .expect("an expression")
                .replace("$cluster", "lab");
            wait_until(&format!("an answer to {expression}"), LIMIT, || {
                !ask(lab, &expression).is_empty()
            });
            asked += 1;
        }
    }
    assert!(asked > 15);
}

#[test]
fn the_arithmetic_of_the_alerts() {
    let lab = Lab::start(1);
    let repository = env!("CARGO_MANIFEST_DIR");
    let rules = format!("{repository}/templates/monitoring/etcd.rules.yml");
    lab.run_client("promtool", &["check", "rules", &rules]).ok();
    let tests = format!("{repository}/tests/monitoring/etcd.rules.test.yml");
    lab.run_client("promtool", &["test", "rules", &tests]).ok();
}

#[test]
fn two_clusters_share_a_directory_and_nobody_elses_configuration_is_replaced() {
    let lab = Lab::start(1);
    lab.inventory(|hosts| plain_inventory(&current(), hosts));
    let text = fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    let events = text.replace("cluster: lab", "cluster: events").replace(
        "etcd:\n",
        "etcd:\n  metrics_port: 2381\n  metrics_address: 0.0.0.0\n  client_port: 2479\n  peer_port: 2480\n",
    );
    lab.write("events.yml", &events);
    for inventory in ["inventory.yml", "events.yml", "inventory.yml"] {
        lab.quorate(&["monitoring", "-i", inventory, "--out", "mon"]).ok();
    }
    let config = fs::read_to_string(lab.dir().join("mon/prometheus.yml")).expect("the configuration");
    assert!(
        config.contains("job_name: etcd-lab") && config.contains("job_name: etcd-events"),
        "{config}"
    );
    // A certificate is asked for where one is needed, and its absence is told.
    lab.run_client("promtool", &["check", "config", "mon/prometheus.yml"])
        .code(1)
        .says(&["mon/tls/lab"]);
    lab.quorate(&["pki", "issue", "prometheus", "--out", "mon/tls/lab"])
        .code(4);
    lab.run_client("promtool", &["check", "config", "--syntax-only", "mon/prometheus.yml"])
        .ok();

    fs::create_dir(lab.dir().join("theirs")).expect("a directory");
    lab.write("theirs/prometheus.yml", "global: {}\n");
    lab.quorate(&["monitoring", "--out", "theirs"])
        .code(2)
        .says(&["was not written by quorate"]);
    assert_eq!(
        fs::read_dir(lab.dir().join("theirs")).expect("a directory").count(),
        1,
        "nothing was written"
    );
}
