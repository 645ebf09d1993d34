//! A real Patroni: PostgreSQL on two hosts, which elects its primary through three members.

use std::fs;
use std::time::Duration;

use crate::harness::{Host, Lab, plain_inventory, release};

/// The hosts of PostgreSQL behind those of etcd (`lab/kinds/patroni.sh`).
const KINDS: [&str; 5] = ["debian12", "debian12", "debian12", "patroni", "patroni"];

/// Patroni's lease is half a minute; the rest is for a machine that does other things as well.
const LIMIT: Duration = Duration::from_secs(240);

const USERS: &str = "users:\n  - {name: patroni, roles: patroni, password: true}\nroles:\n  - name: \
                     patroni\n    permissions:\n      - {access: readwrite, prefix: /service/demo/}\n";

/// What Patroni says of its PostgreSQL.
#[derive(Debug, PartialEq, Eq)]
struct State {
    role: String,
    running: bool,
    /// One more after every promotion: whoever lost its lease in between has another.
    timeline: u64,
}

fn state(host: &Host) -> Option<State> {
    let said = host.try_sh("curl -s -m 5 http://127.0.0.1:8008/patroni");
    let said: serde_json::Value = serde_json::from_str(&said.stdout).ok()?;
    Some(State {
        role: said["role"].as_str()?.to_owned(),
        running: said["state"] == "running",
        timeline: said["timeline"]
            .as_u64()
            .or(said["xlog"]["received_location"].as_u64().map(|_| 0))?,
    })
}

fn is_primary(host: &Host) -> Option<u64> {
    let state = state(host).filter(|state| state.running && state.role == "master")?;
    Some(state.timeline)
}

/// Waits; where that is in vain, what Patroni says is part of the output.
#[track_caller]
fn wait_for(host: &Host, what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LIMIT;
    while std::time::Instant::now() < end {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!(
        "waited in vain for {what}:\n{}",
        host.try_sh("journalctl -u patroni -n 40 --no-pager")
    );
}

/// Follows, and has everything.
fn is_replica(host: &Host) -> bool {
    host.try_sh("curl -s -m 5 -o /dev/null -w '%{http_code}' http://127.0.0.1:8008/replica")
        .stdout
        .trim()
        == "200"
}

#[track_caller]
fn psql(host: &Host, statement: &str) -> String {
    let command = format!("runuser -u postgres -- psql -h /var/run/postgresql -XtAc \"{statement}\"");
    host.sh(&command).trim().to_owned()
}

#[track_caller]
fn patronictl(host: &Host, words: &str) {
    host.sh(&format!(
        "runuser -u postgres -- patronictl -c /etc/patroni/config.yml {words}"
    ));
}

/// The files that `users files` wrote, and around them the least that Patroni wants.
#[track_caller]
fn configure(lab: &Lab, host: &Host, files: &str) {
    let Host { name, address, .. } = host;
    let section = fs::read_to_string(lab.dir().join(files).join("patroni-etcd3.yml")).expect("a file");
    let text = format!(
        "scope: demo\nname: {name}\nrestapi: {{listen: '0.0.0.0:8008', connect_address: '{address}:8008'}}\n\
         bootstrap:\n  dcs: {{ttl: 30, loop_wait: 3, retry_timeout: 10}}\n  initdb: [{{encoding: UTF8}}]\n  \
         pg_hba: [local all all peer, host all all 0.0.0.0/0 md5, host replication all 0.0.0.0/0 md5]\n\
         postgresql:\n  listen: '0.0.0.0:5432'\n  connect_address: '{address}:5432'\n  \
         data_dir: /var/lib/postgresql/demo\n  bin_dir: /usr/lib/postgresql/15/bin\n  pgpass: /var/lib/postgresql/pgpass\n  \
         authentication:\n    superuser: {{username: postgres, password: lab}}\n    \
         replication: {{username: replicator, password: lab}}\n  \
         parameters: {{unix_socket_directories: /var/run/postgresql}}\n{section}"
    );
    let whole = lab.write(&format!("{files}/{name}.yml"), &text);
    host.sh("mkdir -p /etc/patroni/etcd");
    for file in ["ca.crt", "patroni.crt", "patroni.key"] {
        host.carry(&lab.dir().join(files).join(file), &format!("/etc/patroni/etcd/{file}"));
    }
    host.carry(&whole, "/etc/patroni/config.yml");
    host.sh("chown -R postgres: /etc/patroni && chmod -R go= /etc/patroni && chmod 600 /etc/patroni/config.yml /etc/patroni/etcd/*");
}

#[test]
#[ignore = "installs PostgreSQL: make soak"]
fn patroni_keeps_its_primary_through_a_clusters_life_and_fails_over_when_it_dies() {
    let lab = Lab::of_kinds(&KINDS);
    let [old, new] = [release("3.5"), release("3.6")];
    lab.inventory(|hosts| format!("clients: [patroni]\n{}", plain_inventory(&old, &hosts[..3])));
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    lab.quorate(&["users", "files", "patroni", "--for", "patroni", "--out", "pg"])
        .ok();

    let both @ [first, second] = ["n4", "n5"].map(|name| lab.host(name));
    configure(&lab, first, "pg");
    first.sh("systemctl start patroni");
    wait_for(first, "the first PostgreSQL to lead", || is_primary(first).is_some());
    configure(&lab, second, "pg");
    second.sh("systemctl start patroni");
    wait_for(second, "the second PostgreSQL to follow", || is_replica(second));
    let timeline = is_primary(first).expect("a primary");
    psql(first, "CREATE TABLE written (what text)");

    // Whoever had lost its lease would have another timeline afterwards.
    let mut written = 0;
    let mut still_leads = |after: &str| {
        wait_for(second, &format!("Patroni to be well after {after}"), || {
            is_replica(second)
        });
        assert_eq!(is_primary(first), Some(timeline), "after {after}");
        psql(first, &format!("INSERT INTO written VALUES ('{after}')"));
        written += 1;
        println!("the primary has kept its lease: {after}");
    };
    lab.quorate(&["restart", "--yes"]).ok();
    still_leads("a rolling restart");
    lab.quorate(&["upgrade", "--to", &new, "--yes"]).ok();
    still_leads("an upgrade");
    lab.host("n3").sh("systemctl stop etcd; rm -rf /var/lib/etcd/*");
    lab.quorate(&["replace-node", "n3", "n3", "--yes"]).ok();
    still_leads("a member replaced");

    // etcd's own users, and then a new password: refused before Patroni would lose its login, and done while it is paused.
    lab.edit("etcd:\n", "etcd:\n  auth: true\n");
    let inventory = fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory");
    lab.write("inventory.yml", &format!("{inventory}{USERS}"));
    for (what, way) in [
        ("users", "turning on authentication"),
        ("a new password", "ends every login of `patroni`"),
    ] {
        lab.quorate(&["users", "password", "patroni"]).ok();
        lab.quorate(&["up", "--yes"])
            .code(4)
            .says(&[way, "patronictl pause", "--accept-outage"]);
        patronictl(first, "pause --wait");
        lab.quorate(&["up", "--yes", "--accept-outage"]).ok();
        // Not before: this Patroni does not start with a user while etcd does not ask for one.
        lab.quorate(&[
            "users",
            "files",
            "patroni",
            "--for",
            "patroni",
            "--out",
            "pg",
            "--replace",
        ])
        .ok();
        for host in both {
            configure(&lab, host, "pg");
            host.sh("systemctl restart patroni");
        }
        for host in both {
            wait_for(host, "Patroni to be back", || state(host).is_some());
        }
        patronictl(first, "resume --wait");
        still_leads(what);
    }
    lab.quorate(&["plan"]).ok();

    first.crash();
    wait_for(second, "the other one to take over", || is_primary(second).is_some());
    assert_eq!(is_primary(second), Some(timeline + 1));
    assert_eq!(
        psql(second, "SELECT count(*) FROM written"),
        written.to_string(),
        "nothing is lost"
    );
    first.boot();
    first.sh("systemctl start patroni");
    wait_for(first, "the first to follow", || is_replica(first));
}
