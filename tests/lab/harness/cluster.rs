//! The cluster on the hosts of a lab, seen past quorate: systemd's word, etcd's own etcdctl, the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::etcd::current;
use super::host::Host;
use super::lab::Lab;
use super::outcome::Outcome;
use super::wait::wait_until;
use super::writer::PAUSE;

const ETCDCTL: &str = "set -a; . /etc/etcd/etcd-config.etcdctl.env; set +a; \
                       etcdctl() { $(ls -d /opt/quorate/etcd/*/etcdctl | tail -n 1) \"$@\"; };";

impl Lab {
    /// A healthy cluster on `n` hosts with the [`current`] release, made from the plain inventory by `up`.
    #[track_caller]
    pub fn cluster(n: usize) -> Self {
        let lab = Self::start(n);
        lab.plain_inventory(&current());
        lab.quorate(&["up", "--yes"]).ok();
        lab
    }

    /// Changes `inventory.yml`: `from`, which must be in it, becomes `to`.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        let path = self.dir().join("inventory.yml");
        let text = std::fs::read_to_string(&path).expect("the inventory");
        assert!(text.contains(from), "the inventory has no {from:?}:\n{text}");
        self.write("inventory.yml", &text.replacen(from, to, 1));
    }

    /// The process id of etcd on every host, 0 where it does not run. Who keeps theirs was not restarted.
    #[track_caller]
    pub fn pids(&self) -> BTreeMap<String, u32> {
        self.hosts()
            .iter()
            .map(|host| (host.name.clone(), host.pid()))
            .collect()
    }

    /// The hosts whose etcd is another process than in `before`.
    #[track_caller]
    pub fn restarted_since(&self, before: &BTreeMap<String, u32>) -> BTreeSet<String> {
        let now = self.pids();
        before
            .iter()
            .filter(|(name, pid)| now[*name] != **pid)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// `status --output json`.
    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        self.quorate(&["status", "--output", "json"]).ok().json()
    }

    /// The same of a cluster that need not be healthy.
    #[track_caller]
    pub fn glance(&self) -> serde_json::Value {
        self.quorate(&["status", "--output", "json"]).json()
    }

    /// The name of the member that leads.
    #[track_caller]
    pub fn leader(&self) -> String {
        let status = self.glance();
        let members = status["members"].as_array().expect("members");
        let leader = members.iter().find(|member| member["leader"] == true);
        leader.expect("a leader")["name"].as_str().expect("a name").to_owned()
    }

    /// Makes this member lead.
    #[track_caller]
    pub fn lead(&self, name: &str) {
        let status = self.glance();
        let members = status["members"].as_array().expect("members");
        let text = |member: &Value, key: &str| member[key].as_str().expect("a text").to_owned();
        let leader = members.iter().find(|m| m["leader"] == true).expect("a leader");
        let wanted = members.iter().find(|m| m["name"] == name).expect("a member");
        if leader != wanted {
            let host = self.host(&text(leader, "name"));
            host.etcdctl(&format!("move-leader {}", text(wanted, "id"))).ok();
        }
        assert_eq!(self.leader(), name);
    }

    /// Fails unless the cluster is healthy with all its members, and quorate finds nothing to do.
    #[track_caller]
    pub fn assert_converged(&self) {
        let plan = self.quorate(&["plan", "--output", "json"]).ok().json();
        assert_eq!(plan["waves"], serde_json::json!([]));
        let status = self.status();
        assert_eq!(status["healthy"], true, "{status}");
        assert_eq!(
            status["members"].as_array().map(Vec::len),
            Some(self.hosts().len()),
            "{status}"
        );
    }

    /// A file of a host, byte for byte.
    #[track_caller]
    pub fn fetch(&self, host: &str, path: &str) -> Vec<u8> {
        let fetched = self
            .as_operator("ssh")
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-i",
            ])
            .arg(self.home().join(".ssh/id_ed25519"))
            .args([&format!("root@{}", self.host(host).address), "cat", path])
            .output()
            .expect("ssh");
        assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
        fetched.stdout
    }

    /// Every time an etcd was down, as `(host, from, to)` in seconds, by the journals; the one that runs now is up.
    #[track_caller]
    pub fn outages(&self) -> Vec<(String, f64, f64)> {
        let mut outages: Vec<_> = self.hosts().iter().flat_map(Host::outages).collect();
        outages.sort_by(|a, b| a.1.total_cmp(&b.1));
        outages
    }

    /// Fails if two members were ever down at the same time after `since`; returns who was down, in order.
    #[track_caller]
    pub fn one_down_at_a_time(&self, since: f64) -> Vec<String> {
        let outages: Vec<_> = self
            .outages()
            .into_iter()
            .filter(|(_, from, _)| *from > since)
            .collect();
        for pair in outages.windows(2) {
            assert!(pair[0].2 <= pair[1].1, "two members were down at once: {outages:?}");
        }
        outages.into_iter().map(|(host, ..)| host).collect()
    }

    /// Begins to write, key after key, through whichever member answers, on the host `n1`.
    #[track_caller]
    pub fn begin_writing(&self) -> Writes<'_> {
        let endpoints = self.hosts().iter().map(|h| format!("https://{}:2379", h.address));
        self.begin_writing_to(&endpoints.collect::<Vec<_>>())
    }

    /// The same through these endpoints, of which some may not answer yet, or no longer.
    #[track_caller]
    pub fn begin_writing_to(&self, endpoints: &[String]) -> Writes<'_> {
        let script = format!(
            "{ETCDCTL}\nexport ETCDCTL_ENDPOINTS={}\ni=0\nwhile :; do i=$((i+1)); \
             etcdctl --command-timeout=3s put write/$i $i >/dev/null 2>&1 && echo $i >>/run/acked\n{PAUSE}; done",
            endpoints.join(",")
        );
        let writes = Writes { host: &self.hosts()[0] };
        writes.host.sh(": >/run/acked");
        writes.host.beside("writes", &script);
        writes.goes_on();
        writes
    }
}

impl Host {
    /// etcd's process id; 0 when it does not run.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        let pid = self.sh("systemctl show --property MainPID --value etcd");
        pid.trim().parse().expect("a process id")
    }

    /// Runs etcdctl on the host, against its own member.
    #[track_caller]
    pub fn etcdctl(&self, arguments: &str) -> Outcome {
        self.try_sh(&format!("{ETCDCTL} etcdctl {arguments}"))
    }

    /// A client on this host that stays connected to one member: it watches a key until `systemctl stop watcher`.
    #[track_caller]
    pub fn stays_connected_to(&self, url: &str) {
        let script = format!("{ETCDCTL}\nexport ETCDCTL_ENDPOINTS={url}\netcdctl watch watched >/run/watched");
        self.beside("watcher", &script);
        wait_until("the watcher to hear of a write", Duration::from_secs(20), || {
            self.etcdctl("put watched yes").ok();
            self.try_sh("test -s /run/watched").status == Some(0)
        });
    }

    /// Begins to write 150 keys a second for a minute, as one client: etcdctl's own load.
    #[track_caller]
    pub fn loads(&self) {
        self.beside("load", &format!("{ETCDCTL}\netcdctl check perf --load s"));
    }

    /// Now, on the clock of the journals.
    #[track_caller]
    pub fn now(&self) -> f64 {
        self.sh("date +%s.%N").trim().parse().expect("seconds")
    }

    /// Every byte that a cluster leaves on a host, as a digest: equal means untouched.
    #[track_caller]
    pub fn fingerprint(&self) -> String {
        self.sh(
            "find /etc/etcd* /etc/systemd/system/etcd* /opt/quorate /var/lib/etcd -not -path '*/member/*' \
             -printf '%p %m %u %s %T@ %l\\n' 2>/dev/null | sort | sha256sum; id etcd 2>/dev/null || :",
        )
    }

    fn outages(&self) -> Vec<(String, f64, f64)> {
        // systemd's own words about the unit; ready is said by etcd itself, once it is part of a quorum.
        let journal = self.sh(
            "journalctl --output short-unix --no-pager _PID=1 UNIT=etcd.service | \
             sed -n 's/^\\([0-9.]*\\) .*: \\(Stopping\\|Started\\|Starting\\|etcd.service: Main process exited\\).*/\\1 \\2/p'",
        );
        let mut outages = Vec::new();
        let mut down: Option<f64> = None;
        for line in journal.lines() {
            let (at, word) = line.split_once(' ').expect("a time and a word");
            let at: f64 = at.parse().expect("seconds");
            match (word, down) {
                ("Started", Some(from)) => {
                    outages.push((self.name.clone(), from, at));
                    down = None;
                }
                ("Started", None) | (_, Some(_)) => {}
                (_, None) => down = Some(at),
            }
        }
        outages.extend(down.map(|from| (self.name.clone(), from, f64::INFINITY)));
        outages
    }
}

/// A loop of writes on a host.
#[derive(Debug)]
pub struct Writes<'a> {
    host: &'a Host,
}

impl Writes<'_> {
    /// How many were acknowledged so far.
    #[track_caller]
    pub fn acknowledged(&self) -> u64 {
        self.host.sh("wc -l </run/acked").trim().parse().expect("a number")
    }

    /// Waits until more are acknowledged than now.
    #[track_caller]
    pub fn goes_on(&self) {
        let before = self.acknowledged();
        wait_until("writes to be acknowledged", Duration::from_secs(30), || {
            self.acknowledged() > before + 2
        });
    }

    /// Ends the loop; fails if an acknowledged write cannot be read back.
    #[track_caller]
    pub fn end_with_nothing_lost(self) -> u64 {
        self.host.sh("systemctl stop writes");
        let lost = self.host.sh(&format!(
            "{ETCDCTL} etcdctl get --prefix write/ --print-value-only | sed '/^$/d' | sort >/run/stored; \
             sort /run/acked | comm -23 - /run/stored"
        ));
        assert_eq!(lost.trim(), "", "acknowledged writes are gone");
        self.acknowledged()
    }
}
