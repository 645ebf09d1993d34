//! A well cluster has no findings; each thing that goes wrong has its own, with what to do.

use std::collections::BTreeMap;

use super::*;
use crate::etcd::{Alarm, AlarmKind, Latency};
use crate::host::{HostFacts, ServiceState};
use crate::inventory::{Desired, MemberId, ServiceManager, Version};
use crate::ops::samples::{self, name};
use crate::report::likely_cause;

/// Three hosts on which nothing is to be found, to be changed.
struct Ward {
    desired: Desired,
    seen: Observed,
    metrics: BTreeMap<NodeName, Fact<Metrics>>,
    causes: BTreeMap<NodeName, Cause>,
    hashes: Fact<Vec<MemberHash>>,
    backups: Option<Outlook>,
}

impl Ward {
    fn well() -> Self {
        let desired = samples::desired(3);
        let mut seen = samples::observed(&desired);
        let mut membership = samples::membership(&desired);
        for status in membership.status.values_mut() {
            if let Fact::Known(status) = status {
                status.version = Version::new(3, 5, 33);
            }
        }
        seen.cluster = Fact::Known(membership);
        for facts in seen.hosts.values_mut() {
            if let Fact::Known(facts) = facts {
                facts.system.time_service = Some("chrony".into());
                facts.service.started_with =
                    BTreeMap::from([("/etc/etcd/etcd-config.yml".parse().unwrap(), "aa".into())]);
            }
        }
        let hash = |n: usize| MemberHash {
            name: name(n).to_string(),
            revision: 5000,
            hash: 0xabcd,
            compact_revision: 4000,
            agrees: true,
        };
        Self {
            desired,
            seen,
            metrics: (1..=3).map(|n| (name(n), Fact::Known(metrics(n)))).collect(),
            causes: BTreeMap::new(),
            hashes: Fact::Known((1..=3).map(hash).collect()),
            backups: Some(Outlook {
                last_success: None,
                findings: Vec::new(),
                unknown: None,
            }),
        }
    }

    fn host(&mut self, n: usize) -> &mut HostFacts {
        match self.seen.hosts.get_mut(&name(n)) {
            Some(Fact::Known(facts)) => facts,
            _ => panic!("n{n} is not known"),
        }
    }

    fn cluster(&mut self) -> &mut Membership {
        match &mut self.seen.cluster {
            Fact::Known(membership) => membership,
            _ => panic!("there is no cluster"),
        }
    }

    fn status(&mut self, n: u64) -> &mut crate::etcd::MemberStatus {
        match self.cluster().status.get_mut(&MemberId(n)) {
            Some(Fact::Known(status)) => status,
            _ => panic!("member {n} does not answer"),
        }
    }

    fn measured(&mut self, n: usize) -> &mut Metrics {
        match self.metrics.get_mut(&name(n)) {
            Some(Fact::Known(metrics)) => metrics,
            _ => panic!("n{n} was not measured"),
        }
    }

    fn compared(&mut self) -> &mut Vec<MemberHash> {
        match &mut self.hashes {
            Fact::Known(hashes) => hashes,
            _ => panic!("nothing was compared"),
        }
    }

    /// Nobody has a stream to this member.
    fn unheard(&mut self, n: usize) {
        for other in (1..=3).filter(|other| *other != n) {
            self.measured(other).active_peers.insert(MemberId(n as u64), 0);
        }
    }

    fn findings(&self) -> Vec<Finding> {
        examine(&Examined {
            desired: &self.desired,
            seen: &self.seen,
            metrics: self.metrics.clone(),
            causes: self.causes.clone(),
            hashes: self.hashes.clone(),
            backups: self.backups.clone(),
        })
    }

    /// The one finding there is, as `severity node: text`.
    #[track_caller]
    fn only(&self) -> String {
        let findings = self.findings();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(!findings[0].help.is_empty());
        told(&findings[0])
    }

    #[track_caller]
    fn all(&self) -> Vec<String> {
        self.findings().iter().map(told).collect()
    }
}

fn told(finding: &Finding) -> String {
    let node = finding
        .node
        .as_ref()
        .map(|node| format!("{node}: "))
        .unwrap_or_default();
    format!("{:?} {node}{}", finding.severity, finding.says)
}

fn metrics(n: usize) -> Metrics {
    let others = (1..=3).filter(|other| *other != n).map(|other| MemberId(other as u64));
    let fast = Latency {
        count: 1000,
        p99_seconds: 0.002,
    };
    Metrics {
        leader_changes: Some(1),
        active_peers: others.clone().map(|id| (id, 1)).collect(),
        round_trips: others.map(|id| (id, fast)).collect(),
        wal_fsync: Some(fast),
        backend_commit: Some(fast),
        ..Metrics::default()
    }
}

#[test]
fn a_well_cluster_has_no_findings() {
    assert_eq!(Ward::well().findings(), []);
}

#[test]
fn what_cannot_be_looked_at_is_a_finding() {
    let mut ward = Ward::well();
    ward.seen
        .hosts
        .insert(name(2), Fact::Unknown("connection refused\nstart sshd".into()));
    assert_eq!(ward.only(), "Unknown n2: it cannot be inspected: connection refused");
    assert_eq!(ward.findings()[0].help, "start sshd");

    let mut ward = Ward::well();
    ward.metrics.insert(name(3), Fact::Unknown("timed out".into()));
    assert_eq!(ward.only(), "Problem n3: its metrics could not be read: timed out");

    let mut ward = Ward::well();
    ward.hashes = Fact::Unknown("n2 does not answer\nstart n2".into());
    assert_eq!(
        ward.only(),
        "Advice the members' data was not compared: n2 does not answer"
    );
    assert_eq!(ward.findings()[0].help, "start n2");
}

#[test]
fn no_cluster_is_one_problem_whatever_the_reason() {
    for (cluster, says) in [
        (Fact::Absent, "Problem there is no cluster yet"),
        (Fact::Unknown("no member answers".into()), "Problem no member answers"),
    ] {
        let mut ward = Ward::well();
        ward.seen.cluster = cluster;
        ward.hashes = Fact::Absent;
        assert_eq!(ward.only(), says);
    }
}

#[test]
fn the_machine() {
    let mut ward = Ward::well();
    ward.host(1).system.clock_offset_seconds = -3.0;
    ward.host(1).system.clock_uncertainty_seconds = 0.2;
    ward.host(2).system.time_service = None;
    ward.host(3).system.swap = 1 << 30;
    assert_eq!(
        ward.all(),
        [
            "Problem n1: its clock differs from this machine's by -3.0 s",
            "Advice n2: no time service is active, so its clock will drift",
            "Advice n3: swap is on (1.0 GiB): a member that is swapped out misses heartbeats",
        ]
    );

    let mut ward = Ward::well();
    ward.host(1).system.clock_offset_seconds = 3.0;
    ward.host(1).system.clock_uncertainty_seconds = 2.5;
    assert_eq!(ward.all(), [""; 0], "no more than can be measured over a slow line");

    ward.host(2).system.memory = 1 << 30;
    ward.host(2).data.db_bytes = 2 << 30;
    assert_eq!(
        ward.only(),
        "Problem n2: its memory (1.0 GiB) is smaller than the database (2.0 GiB)"
    );
}

#[test]
fn disks() {
    let data = |ward: &mut Ward, change: fn(&mut crate::host::DiskFacts)| {
        let path = ward.desired.hosts[&name(1)].paths.data.clone();
        change(ward.host(1).system.disks.get_mut(&path).unwrap());
        ward.only()
    };
    let told = data(&mut Ward::well(), |disk| disk.free_bytes = 100 << 20);
    assert!(told.starts_with("Problem n1: only 100.0 MiB are free"), "{told}");
    let told = data(&mut Ward::well(), |disk| disk.free_bytes = 1 << 30);
    assert_eq!(
        told,
        "Advice n1: the disk will be full before the quota (2.0 GiB) stops writes: 1.0 GiB are free"
    );
    let told = data(&mut Ward::well(), |disk| disk.filesystem = "tmpfs".into());
    assert_eq!(
        told,
        "Problem n1: /var/lib/etcd is in memory (tmpfs): a reboot loses this member's data"
    );
    let told = data(&mut Ward::well(), |disk| disk.filesystem = "nfs4".into());
    assert_eq!(
        told,
        "Advice n1: /var/lib/etcd is on a network file system (nfs4): every write waits for it"
    );
    let told = data(&mut Ward::well(), |disk| disk.writable = false);
    assert_eq!(told, "Problem n1: /var/lib/etcd is not writable (ext4)");

    let mut ward = Ward::well();
    ward.host(1).data.set_aside = vec!["/var/lib/etcd.quorate-aside/1".into()];
    assert!(
        ward.findings()[0]
            .help
            .ends_with("`rm -r /var/lib/etcd.quorate-aside/1`")
    );
    ward.host(1)
        .data
        .set_aside
        .push("/var/lib/etcd/.quorate-aside/2".into());
    assert!(
        ward.findings()[0].help.ends_with(
            "`rm -r /var/lib/etcd.quorate-aside/1`, `runuser -u etcd -- rm -r /var/lib/etcd/.quorate-aside/2`"
        )
    );
}

#[test]
fn the_unit() {
    let mut ward = Ward::well();
    ward.host(1).service.enabled = false;
    ward.host(2).service.exe_replaced = true;
    ward.host(3).service.restarts = 4;
    ward.host(3).service.drop_ins = vec!["/etc/systemd/system/etcd.service.d/x.conf".into()];
    assert_eq!(
        ward.all(),
        [
            "Problem n1: etcd does not start at boot",
            "Advice n2: its executable was replaced since it started",
            "Advice n3: etcd exited and was restarted 4 times",
            "Advice n3: the unit etcd is modified by /etc/systemd/system/etcd.service.d/x.conf, which quorate did not write and does not \
             change",
        ]
    );
    let mut ward = Ward::well();
    ward.host(1).service.state = ServiceState::Failed;
    ward.host(1).service.last_exit = Some("exit code 1".into());
    assert_eq!(
        ward.only(),
        "Problem n1: etcd does not run: failed (last end: exit code 1)"
    );

    // What its journal says goes before "start it", and is said once.
    let journal = ["found data inconsistency with peers".to_owned()];
    ward.causes.insert(name(1), likely_cause(&journal).unwrap());
    ward.cluster().status.insert(MemberId(1), Fact::Absent);
    let differs = ward.findings().remove(0);
    assert!(
        differs
            .says
            .ends_with("this member's data differs from that of the others"),
        "{differs:?}"
    );
    assert!(differs.help.contains("`quorate replace-node n1 n1`"), "{differs:?}");
    assert!(
        !ward
            .findings()
            .iter()
            .any(|f| f.help.contains("`quorate up` starts it"))
    );
}

/// Supervised by quorate: nothing starts at boot by itself, and the clock is not its business.
#[test]
fn members_on_this_machine_are_not_judged_by_systemd() {
    let mut ward = Ward::well();
    for n in 1..=3 {
        ward.desired.hosts.get_mut(&name(n)).unwrap().service_manager = ServiceManager::Process;
        ward.host(n).service.enabled = false;
        ward.host(n).system.time_service = None;
    }
    assert_eq!(ward.all(), [""; 0]);
}

#[test]
fn members_that_are_down_behind_or_cut_off() {
    let mut ward = Ward::well();
    ward.cluster()
        .status
        .insert(MemberId(3), Fact::Unknown("timed out".into()));
    ward.metrics.remove(&name(3));
    ward.unheard(3);
    assert!(ward.only().starts_with("Problem n3: "), "{}", ward.only());

    let mut ward = Ward::well();
    ward.status(2).raft_applied = 500;
    assert_eq!(
        ward.only(),
        "Problem n2: it has 5500 entries left to apply: from 5000 on it rejects writes"
    );

    let mut ward = Ward::well();
    ward.measured(2).active_peers.insert(MemberId(3), 0);
    assert_eq!(ward.only(), "Problem n2: it has no active stream to n3");
    ward.measured(2).active_peers.insert(MemberId(1), 0);
    assert_eq!(ward.all().len(), 2, "each is named");

    let mut ward = Ward::well();
    ward.cluster().alarms.push(Alarm {
        member: MemberId(2),
        kind: AlarmKind::Nospace,
    });
    assert_eq!(ward.only(), "Problem the alarm NOSPACE of n2 is active");
    assert!(ward.findings()[0].help.contains("alarm disarm"));
    ward.cluster().alarms[0].kind = AlarmKind::Corrupt;
    assert!(ward.findings()[0].help.contains("check-hashes"));
}

#[test]
fn who_is_a_member_and_who_should_be() {
    let mut ward = Ward::well();
    ward.desired.hosts.remove(&name(3));
    ward.desired.order.pop();
    assert_eq!(ward.only(), "Problem n3: it is a member, but not in the inventory");

    let mut ward = Ward::well();
    ward.cluster().members.pop();
    ward.metrics.remove(&name(3));
    for n in 1..=2 {
        ward.measured(n).active_peers.remove(&MemberId(3));
    }
    assert_eq!(
        ward.all(),
        [
            "Problem n3: it is in the inventory, but not a member",
            "Advice it has 2 voters, which survive no more failures than 1 do",
        ]
    );
}

#[test]
fn releases() {
    let mut ward = Ward::well();
    ward.status(1).version = Version::new(3, 5, 2);
    assert_eq!(
        ward.all(),
        [
            "Problem etcd 3.5.2 loses or diverges data when a member is killed under load (etcd#13766)",
            "Advice its members run different releases: 3.5.2, 3.5.33",
        ]
    );
    for n in 1..=3 {
        ward.status(n).version = Version::new(3, 4, 23);
    }
    assert!(
        ward.only()
            .starts_with("Advice etcd 3.4.23 belongs to a series that no longer gets fixes")
    );
}

#[test]
fn a_downgrade_under_way() {
    let mut ward = Ward::well();
    let etcd = |minor, patch| Version::new(3, minor, patch);
    ward.status(1).version = etcd(5, 33);
    for n in 2..=3 {
        ward.status(n).version = etcd(6, 14);
        ward.status(n).downgrade = Some(etcd(5, 0));
    }
    assert_eq!(
        ward.all(),
        ["Advice etcd is being downgraded to 3.5: 1 of 3 members run it"]
    );
}

#[test]
fn slow_disks_and_networks() {
    let slow = |count, p99_seconds| Some(Latency { count, p99_seconds });
    let mut ward = Ward::well();
    ward.measured(1).wal_fsync = slow(1000, 0.040);
    ward.measured(2).backend_commit = slow(1000, 0.3);
    ward.measured(3).wal_fsync = slow(20, 0.9);
    assert_eq!(
        ward.all(),
        [
            "Problem n2: a commit of the database takes up to 300 ms (99 of 100), and should take less than 25 ms",
            "Advice n1: writing to the WAL takes up to 40 ms (99 of 100), and should take less than 10 ms",
        ],
        "twenty measurements of n3 say nothing"
    );

    let mut ward = Ward::well();
    ward.measured(1)
        .round_trips
        .extend(slow(20, 0.15).map(|latency| (MemberId(2), latency)));
    assert_eq!(
        ward.only(),
        "Advice n1: a round trip to n2 takes up to 150 ms (99 of 100), too long for an election timeout of 1000 ms"
    );
    let help = &ward.findings()[0].help;
    assert!(
        help.contains("`election-timeout: 1500`") && help.contains("`heartbeat-interval: 150`"),
        "{help}"
    );
    ward.desired.options.insert("election-timeout".into(), 1500.into());
    assert_eq!(ward.all(), [""; 0]);
}

#[test]
fn a_restless_leadership() {
    let mut ward = Ward::well();
    ward.measured(1).leader_changes = Some(9);
    assert_eq!(ward.only(), "Advice n1: it has seen 9 leader changes in 1 h");
    ward.host(1).service.active_seconds = Some(48 * 3600);
    assert_eq!(ward.all(), [""; 0], "nine in two days are few");
}

#[test]
fn databases() {
    let mut ward = Ward::well();
    ward.status(2).db_size = 1900 << 20;
    ward.status(2).db_in_use = 200 << 20;
    let told = ward.only();
    assert!(
        told.starts_with("Problem n2: its file is at 92 % of the quota"),
        "{told}"
    );
    assert_eq!(ward.findings()[0].help, "run `quorate defrag`");
    ward.status(2).db_in_use = 1890 << 20;
    assert!(ward.only().contains("almost no free space in it"), "{}", ward.only());
    ward.status(2).db_size = 500 << 20;
    ward.status(2).db_in_use = 100 << 20;
    assert_eq!(ward.only(), "Advice n2: its file has 500 MiB, 400 MiB of it free");

    let mut ward = Ward::well();
    ward.desired.options.insert("quota-backend-bytes".into(), (-1).into());
    assert!(ward.only().starts_with("Advice the quota is disabled"));

    let mut ward = Ward::well();
    for hash in ward.compared() {
        (hash.revision, hash.compact_revision) = (60_000, -1);
    }
    assert_eq!(
        ward.only(),
        "Advice its 60000 revisions were never compacted, so the database keeps growing"
    );
    ward.desired
        .options
        .insert("auto-compaction-retention".into(), "8h".into());
    assert_eq!(ward.all(), [""; 0], "its time will come");

    ward.compared()[1].agrees = false;
    assert_eq!(
        ward.only(),
        "Problem n2: its data differs from the others' at revision 60000 (0000abcd)"
    );
    ward.compared()[2].agrees = false;
    assert_eq!(
        ward.only(),
        "Problem the members' data differs, and no majority agrees: n1 0000abcd, n2 0000abcd, n3 0000abcd"
    );
}

#[test]
fn backups_that_are_old_or_not_wanted() {
    let mut ward = Ward::well();
    ward.backups = None;
    assert_eq!(ward.only(), "Advice the inventory schedules no backups");
    ward.backups = Some(Outlook {
        last_success: None,
        findings: vec!["n1 failed to take the last scheduled backup: disk full".into()],
        unknown: None,
    });
    assert_eq!(
        ward.only(),
        "Problem n1 failed to take the last scheduled backup: disk full"
    );
}

#[test]
fn a_restore_that_was_cut_off_is_a_problem_even_where_the_members_are_well() {
    let mut ward = Ward::well();
    let note = crate::host::FileFacts {
        sha256: String::new(),
        mode: 0o644,
        owner: "root".into(),
        content: Some("a note of another release".into()),
    };
    let at = ward.desired.hosts[&name(2)].paths.restore_note();
    ward.host(2).files.insert(at, note);
    let found = ward.findings();
    let [finding] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        (finding.severity, finding.node.as_deref()),
        (Severity::Problem, Some("n2"))
    );
    assert!(finding.help.contains("finish it"), "{finding:?}");
}
