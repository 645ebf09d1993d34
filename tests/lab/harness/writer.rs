//! A client that writes all through a change and remembers what was acknowledged, and the judgement afterwards.

use std::time::Duration;

use serde_json::Value;

use super::host::Host;
use super::lab::Lab;
use super::wait::wait_until;

/// Where the acknowledged numbers are written down on the client's host.
const ACKED: &str = "/var/lib/acked";

/// Between two writes. Each is a process of etcdctl's; one after the other, they would take a third of this machine.
pub(super) const PAUSE: &str = "sleep 0.1";

/// etcdctl as the client's host has it, with every host of the lab as endpoint.
fn etcdctl(lab: &Lab) -> String {
    let endpoints: Vec<String> = lab
        .hosts()
        .iter()
        .map(|h| format!("https://{}:2379", h.address))
        .collect();
    format!(
        "set -a; . /etc/etcd/etcd-config.etcdctl.env; ETCDCTL_ENDPOINTS={}; set +a; \
         ctl() {{ $(ls -d /opt/quorate/etcd/*/etcdctl | head -1) --dial-timeout 1s --command-timeout 3s \"$@\"; }};",
        endpoints.join(",")
    )
}

/// Writes to the cluster from one of its hosts until it is judged.
#[derive(Debug)]
pub struct Writer<'a> {
    lab: &'a Lab,
    host: &'a Host,
}

impl<'a> Writer<'a> {
    /// Begins, on a host that stays alive and a member throughout.
    #[track_caller]
    pub fn start(lab: &'a Lab, host: &'a Host) -> Self {
        let script = format!(
            "{} rm -f {ACKED}; i=0; while :; do i=$((i+1)); ctl put acked/$i $i >/dev/null 2>&1 && echo $i >>{ACKED}; {PAUSE}; done",
            etcdctl(lab)
        );
        host.beside("writer", &script);
        let writer = Self { lab, host };
        wait_until("the first acknowledged write", Duration::from_secs(20), || {
            writer.acked() > 0
        });
        writer
    }

    /// Acknowledged writes so far.
    pub fn acked(&self) -> usize {
        self.host
            .try_sh(&format!("wc -l <{ACKED}"))
            .stdout
            .trim()
            .parse()
            .unwrap_or(0)
    }

    /// Stops writing, and holds the cluster to its word: it still takes writes, every acknowledged one is there, and
    /// all members have the same data.
    #[track_caller]
    pub fn judge(self) {
        let before = self.acked();
        wait_until("writes after the change", Duration::from_secs(30), || {
            self.acked() > before
        });
        self.host.sh("systemctl stop writer");
        // From the host's own member: one that has left answers nobody in time, and etcdctl may try it first. Reading all of
        // it is not a matter of the three seconds that one write may take.
        let stored = self.host.sh(&format!(
            "{} export ETCDCTL_ENDPOINTS=https://{}:2379; ctl --command-timeout 30s get acked/ --prefix --print-value-only",
            etcdctl(self.lab),
            self.host.address
        ));
        let stored: std::collections::BTreeSet<&str> = stored.lines().collect();
        let acked = self.host.sh(&format!("cat {ACKED}"));
        let lost: Vec<&str> = acked.lines().filter(|n| !stored.contains(n)).collect();
        assert!(
            lost.is_empty(),
            "{} of {} acknowledged writes are lost: {lost:?}",
            lost.len(),
            acked.lines().count()
        );
        same_data(self.lab, self.host);
    }
}

/// Every member, asked for its own hash of the same revision, answers the same.
#[track_caller]
fn same_data(lab: &Lab, host: &Host) {
    let members = lab.quorate(&["status", "--output", "json"]).ok().json();
    let endpoints: Vec<String> = members["members"]
        .as_array()
        .expect("members")
        .iter()
        .map(|m| format!("https://{}:2379", lab.host(m["name"].as_str().expect("a name")).address))
        .collect();
    let hashes = || {
        let asked = format!(
            "{} export ETCDCTL_ENDPOINTS={}; ctl endpoint hashkv -w json",
            etcdctl(lab),
            endpoints.join(",")
        );
        let answer: Value = serde_json::from_str(&host.sh(&asked)).expect("JSON");
        let hashes: Vec<(u64, u64)> = answer
            .as_array()
            .expect("a list")
            .iter()
            .map(|m| {
                let revision = m["HashKV"]["header"]["revision"].as_u64().expect("a revision");
                (revision, m["HashKV"]["hash"].as_u64().expect("a hash"))
            })
            .collect();
        hashes
    };
    // A follower may be a moment behind the leader.
    wait_until("the same hash everywhere", Duration::from_secs(15), || {
        let hashes = hashes();
        hashes.len() == endpoints.len() && hashes.iter().all(|h| *h == hashes[0])
    });
}
