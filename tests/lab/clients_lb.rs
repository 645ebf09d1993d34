//! `lb`: a real HAProxy in front of real members.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::Duration;

use crate::harness::{Lab, Server, current, plain_inventory, releases, wait_until};

const PORT: u16 = 12379;
const LIMIT: Duration = Duration::from_secs(30);

/// What HAProxy says of one server: its name, whether it is up, how many sessions it has.
fn pool(lab: &Lab) -> Vec<(String, bool, u64)> {
    let Ok(mut socket) = UnixStream::connect(lab.dir().join("haproxy.sock")) else {
        return Vec::new();
    };
    socket.write_all(b"show stat\n").expect("a question");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let mut servers = Vec::new();
    for line in answer.lines().filter(|line| line.starts_with("etcd-lab,n")) {
        // pxname,svname,qcur,qmax,scur,...: status is the 18th.
        let fields: Vec<&str> = line.split(',').collect();
        let checked = fields[17] == "UP";
        servers.push((fields[1].to_owned(), checked, fields[4].parse().unwrap_or(0)));
    }
    servers
}

fn up(lab: &Lab) -> Vec<String> {
    pool(lab)
        .into_iter()
        .filter(|server| server.1)
        .map(|server| server.0)
        .collect()
}

/// etcdctl of the operator, through the load balancer.
fn etcdctl(lab: &Lab) -> Command {
    let version = current();
    let (_, dir) = releases().into_iter().find(|(v, _)| *v == version).expect("a release");
    let mut command = lab.as_operator(dir.join("etcdctl").to_str().expect("a path"));
    command.args([
        &format!("--endpoints=https://{}:{PORT}", lab.operator_address()),
        "--command-timeout=5s",
        "--cacert=app/ca.crt",
        "--cert=app/app.crt",
        "--key=app/app.key",
    ]);
    command
}

fn put(lab: &Lab, key: &str) -> bool {
    let mut command = etcdctl(lab);
    command
        .args(["put", key, "1"])
        .output()
        .expect("etcdctl")
        .status
        .success()
}

/// A watch through the load balancer, its events in a file.
struct Watch(Child);

impl Watch {
    fn start(lab: &Lab) -> Self {
        let out = fs::File::create(lab.dir().join("watched")).expect("a file");
        let child = etcdctl(lab)
            .args(["watch", "--prefix", "w/"])
            .stdout(out)
            .stderr(fs::File::create(lab.dir().join("watch-errors")).expect("a file"))
            .spawn();
        Self(child.expect("etcdctl"))
    }

    /// It connects again when gRPC thinks fit: after several attempts that failed, in up to two minutes.
    fn sees(&mut self, lab: &Lab, key: &str) {
        wait_until(&format!("the watch to see {key}"), Duration::from_secs(150), || {
            if let Some(ended) = self.0.try_wait().expect("a child") {
                let errors = fs::read_to_string(lab.dir().join("watch-errors"));
                panic!("the watch ended: {ended}: {errors:?}");
            }
            put(lab, key) && fs::read_to_string(lab.dir().join("watched")).is_ok_and(|seen| seen.contains(key))
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_pool_follows_the_members_and_a_watch_goes_on() {
    let lab = Lab::start(3);
    let balancer = lab.operator_address();
    lab.inventory(|hosts| {
        let text = plain_inventory(&current(), hosts);
        text.replace("  - name:", &format!("  - sans: [{balancer}]\n    name:"))
            .replace("etcd:\n", "etcd:\n  config: {quota-backend-bytes: 20000000}\n")
    });
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();

    // An address that no certificate has is refused, with every member that lacks it and what to do.
    lab.quorate(&["lb", "--address", "10.99.0.1", "--address", &balancer])
        .code(3)
        .says(&[
            "n1: its certificate does not name 10.99.0.1",
            "n3: its",
            "`sans`",
            "quorate up",
        ]);

    for name in ["haproxy", "app"] {
        lab.quorate(&["pki", "issue", name, "--out", name]).ok();
    }
    let read = |name: &str| fs::read_to_string(lab.dir().join(name)).expect("a file");
    lab.write(
        "haproxy.pem",
        &(read("haproxy/haproxy.crt") + &read("haproxy/haproxy.key")),
    );
    let path = |name: &str| lab.dir().join(name).to_str().expect("a path").to_owned();
    let (ca, pair) = (path("haproxy/ca.crt"), path("haproxy.pem"));
    let port = PORT.to_string();
    let written = lab
        .quorate(&[
            "lb",
            "--address",
            &balancer,
            "--port",
            &port,
            "--cacert",
            &ca,
            "--cert",
            &pair,
        ])
        .ok()
        .says(&[
            "take a list of endpoints",
            &format!("https://{}:2379", lab.host("n1").address),
        ]);
    lab.write("etcd.cfg", &written.stdout);
    lab.run_client("haproxy", &["-c", "-f", "etcd.cfg"]).ok();

    lab.write(
        "global.cfg",
        &format!("global\n    stats socket {} level admin\n", path("haproxy.sock")),
    );
    let _haproxy = Server::start(
        &lab,
        lab.client("haproxy")
            .args(["-db", "-f", "global.cfg", "-f", "etcd.cfg"]),
        PORT,
    );
    wait_until("all members to be in the pool", LIMIT, || {
        up(&lab) == ["n1", "n2", "n3"]
    });
    let mut watch = Watch::start(&lab);
    watch.sees(&lab, "w/1");

    // The very member that the watch goes through.
    let busy = || {
        pool(&lab)
            .into_iter()
            .find(|server| server.2 > 0)
            .map(|server| server.0)
    };
    let mut through = None;
    wait_until("the watch to be seen", LIMIT, || {
        through = busy();
        through.is_some()
    });
    let through = through.expect("a member");
    lab.host(&through).sh("systemctl stop etcd");
    wait_until("the pool to go on without it", LIMIT, || {
        up(&lab).len() == 2 && !up(&lab).contains(&through)
    });
    watch.sees(&lab, "w/2");
    lab.host(&through).sh("systemctl start etcd");
    wait_until("it to come back", LIMIT, || up(&lab).len() == 3);

    // A member that is stopped in its tracks keeps its connections: they are ended for it.
    let through = busy().expect("a member with the watch");
    lab.host(&through).freeze();
    wait_until("the pool to go on without it", LIMIT, || {
        up(&lab).len() == 2 && !up(&lab).contains(&through)
    });
    watch.sees(&lab, "w/3");
    lab.host(&through).thaw();
    wait_until("it to come back", LIMIT, || up(&lab).len() == 3);

    // Full: /health is 503 everywhere, and who can make room is still let through.
    lab.fill_database();
    for host in lab.hosts() {
        let url = format!("https://{}:2379", host.address);
        let ask = |path: &str| {
            let tls = "--cacert /etc/etcd/pki/ca.crt --cert /etc/etcd/pki/server.crt --key /etc/etcd/pki/server.key";
            host.sh(&format!("curl -s -o /dev/null -w '%{{http_code}}' {tls} {url}{path}"))
        };
        assert_eq!((ask("/health").as_str(), ask("/readyz").as_str()), ("503", "200"));
    }
    assert!(!put(&lab, "w/4"));
    let deleted = etcdctl(&lab)
        .args(["del", "--prefix", "big/"])
        .output()
        .expect("etcdctl");
    assert!(deleted.status.success(), "{deleted:?}");
    assert_eq!(up(&lab).len(), 3);
}

/// A release without /readyz, a metrics port, names and IPv6: what the others of the kind are given is valid, too.
#[test]
fn haproxy_takes_every_kind_of_member() {
    let lab = Lab::start(1);
    let host = &lab.hosts()[0];
    lab.quorate(&["trust", "--yes"]).code(3);
    lab.inventory(|_| {
        format!(
            "cluster: lab\netcd: {{version: 3.4.23, metrics_port: 2381, metrics_address: 0.0.0.0}}\nhosts:\n\
             - {{name: n1, address: {}}}\n- {{name: n2, address: etcd.example.com}}\n- {{name: n3, address: '{}'}}\n",
            host.address,
            host.address_v6()
        )
    });
    let written = lab.quorate(&["lb"]).ok().says(&["--address"]);
    lab.write("etcd.cfg", &written.stdout);
    lab.run_client("haproxy", &["-c", "-f", "etcd.cfg"]).ok();
    assert!(
        written.stdout.contains("exclude=NOSPACE") && written.stdout.contains("check port 2381"),
        "{written}"
    );
}
