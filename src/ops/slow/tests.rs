//! What is named, and that nobody else is.

use std::collections::BTreeMap;

use super::*;
use crate::host::Connection;
use crate::ops::doctor::Severity;
use crate::ops::samples::{desired, name};

/// Three members that are well, under some load.
fn well() -> Figures {
    let measured = |p99_seconds| {
        Some(Measured {
            count: 400,
            p99_seconds,
            over: 0,
        })
    };
    let member = |n: usize| {
        let others = (1..=3).filter(|other| *other != n);
        let peer = PeerFigures {
            round_trip_seconds: Some(0.0004),
            sent_per_second: Some(20_000.0),
            segments: Some(1000),
            sent_again: Some(0),
            ..PeerFigures::default()
        };
        let own = MemberFigures {
            measured: true,
            leader: n == 1,
            wal_fsync: measured(0.003),
            backend_commit: measured(0.006),
            pressure: Shares {
                cpu: Some(0.02),
                io: Some(0.01),
                memory: Some(0.0),
            },
            host_pressure: Shares {
                cpu: Some(0.6),
                io: Some(0.5),
                memory: Some(0.0),
            },
            load: Some(0.5),
            processors: Some(2),
            stolen: Some(0.0),
            leader_changes: Some(0),
            proposals_pending: Some(0),
            sent_to_clients_per_second: Some(200_000.0),
            peers: others.map(|other| (name(other), peer.clone())).collect(),
            ..MemberFigures::default()
        };
        (name(n), own)
    };
    Figures {
        seconds: 30.0,
        members: (1..=3).map(member).collect(),
        requests_per_second: [("Put".to_owned(), 40.0), ("Range".to_owned(), 12.0)].into(),
        sent_to_clients_per_second: Some(600_000.0),
        clients: vec![client("10.0.0.9", 400_000.0), client("10.0.0.8", 100_000.0)],
        ..Figures::default()
    }
}

fn client(who: &str, sent_per_second: f64) -> ClientFigures {
    ClientFigures {
        who: who.to_owned(),
        members: vec![name(1)],
        connections: 1,
        sent_per_second,
        ..ClientFigures::default()
    }
}

fn of(figures: &mut Figures, n: usize) -> &mut MemberFigures {
    figures.members.get_mut(&name(n)).unwrap()
}

fn slow_pair(figures: &mut Figures, a: usize, b: usize, seconds: f64) {
    for (from, to) in [(a, b), (b, a)] {
        let peer = of(figures, from).peers.get_mut(&name(to)).unwrap();
        peer.round_trip_seconds = Some(seconds);
    }
}

fn culprits(figures: &Figures) -> Vec<String> {
    let all = findings(&desired(3), figures).into_iter();
    all.filter(|f| f.severity == Severity::Problem)
        .map(|f| f.says)
        .collect()
}

fn blame(change: impl FnOnce(&mut Figures)) -> Vec<String> {
    let mut figures = well();
    change(&mut figures);
    culprits(&figures)
}

fn slow(p99_seconds: f64, over: u64) -> Option<Measured> {
    Some(Measured {
        count: 40,
        p99_seconds,
        over,
    })
}

#[test]
fn a_cluster_that_is_well_has_no_culprit_however_busy_its_machines_are() {
    assert_eq!(findings(&desired(3), &well()), []);
}

#[test]
fn what_was_not_measured_accuses_nobody() {
    let mut figures = well();
    for own in figures.members.values_mut() {
        *own = MemberFigures {
            measured: true,
            peers: own
                .peers
                .keys()
                .map(|to| (to.clone(), PeerFigures::default()))
                .collect(),
            ..MemberFigures::default()
        };
    }
    figures.clients.clear();
    figures.sent_to_clients_per_second = None;
    assert_eq!(findings(&desired(3), &figures), []);
}

#[test]
fn the_disk_that_is_slower_than_the_others() {
    let named = blame(|f| {
        of(f, 2).wal_fsync = slow(0.250, 12);
        of(f, 2).pressure.io = Some(0.55);
    });
    assert_eq!(
        named,
        [
            "the disk of n2: WAL syncs take up to 250 ms (99 of 100, 40 measured), 3.0 ms on the others; they should take less than 10 ms; for 55% of \
          the time something waits for it"
        ]
    );
    let commits = blame(|f| of(f, 3).backend_commit = slow(0.300, 5));
    assert!(
        commits[0].starts_with("the disk of n3: commits of the database take up to 300 ms"),
        "{commits:?}"
    );
    assert_eq!(blame(|f| of(f, 2).wal_fsync = slow(0.250, 2)), [""; 0], "a hiccup");
    let both = blame(|f| {
        of(f, 1).wal_fsync = slow(0.020, 12);
        of(f, 2).wal_fsync = slow(0.250, 12);
    });
    assert!(
        both[0].contains("disk of n2") && both[1].contains("disk of n1"),
        "the worst first: {both:?}"
    );
}

#[test]
fn a_starved_member_is_not_said_to_have_a_slow_disk() {
    let starve = |f: &mut Figures| {
        of(f, 2).pressure.cpu = Some(0.9);
        of(f, 2).throttled = Some(0.8);
        of(f, 2).wal_fsync = slow(0.120, 20);
    };
    assert_eq!(
        blame(starve),
        [
            "n2 is short of processor time: etcd waits for a processor 90% of the time (PSI), load 0.5 on 2 processors; a limit of its unit (CPUQuota) stops \
          it for 80% of the time; its WAL syncs take up to 120 ms because of that"
        ]
    );
    let both = blame(|f| {
        starve(f);
        of(f, 2).pressure.io = Some(0.5);
    });
    assert_eq!(both.len(), 2, "unless it waits for the disk as well: {both:?}");
}

#[test]
fn waiting_a_little_for_a_processor_explains_syncs_that_are_a_little_too_long() {
    let busy = |f: &mut Figures, syncs: f64| {
        of(f, 2).pressure.cpu = Some(0.12);
        of(f, 2).wal_fsync = slow(syncs, 9);
    };
    let little = blame(|f| busy(f, 0.022));
    assert_eq!(
        little,
        [
            "n2 is short of processor time: etcd waits for a processor 12% of the time (PSI), load 0.5 on 2 processors; its WAL syncs take \
          up to 22 ms because of that"
        ]
    );
    let far_too_long = blame(|f| busy(f, 0.300));
    assert!(far_too_long[0].starts_with("the disk of n2: "), "{far_too_long:?}");
    let waits_for_the_disk = blame(|f| {
        busy(f, 0.022);
        of(f, 2).pressure.io = Some(0.15);
    });
    assert!(
        waits_for_the_disk[0].starts_with("the disk of n2: "),
        "{waits_for_the_disk:?}"
    );
}

#[test]
fn where_the_unit_is_not_counted_the_host_is() {
    let named = blame(|f| {
        of(f, 3).pressure = Shares::default();
        of(f, 3).host_pressure.cpu = Some(0.95);
    });
    assert!(
        named[0].starts_with("n3 is short of processor time: some process waits for a processor 95%"),
        "{named:?}"
    );
    let stolen = blame(|f| of(f, 3).stolen = Some(0.4));
    assert!(
        stolen[0].contains("the hypervisor gives 40% of its time to others"),
        "{stolen:?}"
    );
    let memory = blame(|f| of(f, 1).pressure.memory = Some(0.3));
    assert!(
        memory[0].starts_with("n1 is short of memory: etcd waits for it 30%"),
        "{memory:?}"
    );
}

#[test]
fn a_network_is_one_members_one_pairs_or_everybodys() {
    let one = blame(|f| {
        slow_pair(f, 1, 3, 0.180);
        slow_pair(f, 2, 3, 0.175);
    });
    assert_eq!(
        one,
        [
            "the network to n3: round trips of 180 ms from n1 and n2, 0.4 ms between the others; a heartbeat is sent every 100 ms"
        ]
    );
    let pair = blame(|f| slow_pair(f, 1, 2, 0.040));
    assert_eq!(
        pair,
        ["the network between n1 and n2: round trips of 40 ms, 0.4 ms between the others"]
    );
    let all = blame(|f| {
        slow_pair(f, 1, 2, 0.150);
        slow_pair(f, 1, 3, 0.150);
        slow_pair(f, 2, 3, 0.140);
    });
    assert_eq!(
        all,
        ["the network between all members: round trips of 150 ms; a heartbeat is sent every 100 ms"]
    );
    let one_end_was_busy = blame(|f| {
        of(f, 1).peers.get_mut(&name(2)).unwrap().round_trip_seconds = Some(0.150);
    });
    assert_eq!(one_end_was_busy, [""; 0], "a round trip is as long from the other end");
    let far_apart = blame(|f| {
        slow_pair(f, 1, 2, 0.060);
        slow_pair(f, 1, 3, 0.080);
        slow_pair(f, 2, 3, 0.070);
    });
    assert_eq!(far_apart, [""; 0], "three places, with time enough between heartbeats");
}

#[test]
fn a_heartbeat_interval_that_was_set_is_the_limit() {
    let mut figures = well();
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        slow_pair(&mut figures, a, b, 0.150);
    }
    let mut desired = desired(3);
    desired.options.insert("heartbeat-interval".into(), 300.into());
    assert_eq!(findings(&desired, &figures), []);
}

#[test]
fn segments_that_are_lost_belong_to_a_member() {
    let named = blame(|f| {
        for from in [1, 2] {
            of(f, from).peers.get_mut(&name(3)).unwrap().sent_again = Some(60);
        }
    });
    assert_eq!(
        named,
        ["the network to n3: 6% of the segments from n1 and n2 are lost and sent again"]
    );
}

#[test]
fn a_client_that_reads_everything() {
    let greedy = |f: &mut Figures| {
        f.sent_to_clients_per_second = Some(42e6);
        f.clients = vec![client("10.0.0.9", 30e6), client("10.0.0.8", 0.1e6)];
        f.requests_per_second.insert("Range".into(), 40.0);
    };
    let named = blame(greedy);
    assert_eq!(
        named,
        [
            "client 10.0.0.9 reads 39.9 MiB/s from n1, 100% of what clients are sent: members answer 40.0 reads a second with 1.0 MiB each"
        ]
    );
    let everything = blame(|f| {
        greedy(f);
        let group = Group {
            bytes: 1_000_000,
            ..Group::default()
        };
        f.keys = Some(Keys {
            groups: vec![group],
            ..Keys::default()
        });
    });
    assert!(
        everything[0].ends_with(", which is about all that is stored"),
        "{everything:?}"
    );
    let many = blame(|f| {
        f.sent_to_clients_per_second = Some(42e6);
        f.clients = (1..=10).map(|n| client(&format!("10.0.0.{n}"), 4e6)).collect();
    });
    assert_eq!(many, [""; 0], "no one of many");
}

#[test]
fn symptoms_are_told_and_name_no_culprit() {
    let mut figures = well();
    of(&mut figures, 1).heartbeats_late = Some(3);
    of(&mut figures, 2).leader_changes = Some(1);
    of(&mut figures, 3).peers.get_mut(&name(1)).unwrap().send_failures = 2;
    let told = findings(&desired(3), &figures);
    assert!(told.iter().all(|f| f.severity == Severity::Advice), "{told:?}");
    let says: Vec<&str> = told.iter().map(|f| f.says.as_str()).collect();
    assert_eq!(
        says,
        [
            "the leader changed once in the window",
            "sent 3 heartbeats late",
            "could not send 2 messages to n1"
        ]
    );
}

#[test]
fn a_member_that_is_down_is_a_problem_and_one_that_does_not_answer_is_unknown() {
    let of_first = |change: fn(&mut MemberFigures)| {
        let mut figures = well();
        of(&mut figures, 2).measured = false;
        change(of(&mut figures, 2));
        let told = findings(&desired(3), &figures);
        assert_eq!(told.len(), 1, "{told:?}");
        (told[0].severity, told[0].says.clone())
    };
    assert_eq!(
        of_first(|own| own.down = true),
        (Severity::Problem, "etcd does not run".into())
    );
    let silent = of_first(|own| own.why_not = Some("no answer within 10 s".into()));
    assert_eq!(
        silent,
        (
            Severity::Unknown,
            "its metrics could not be read: no answer within 10 s".into()
        )
    );
}

#[test]
fn a_host_in_the_dark_is_unknown_and_named() {
    let mut figures = well();
    figures.members.remove(&name(3));
    figures
        .unknown
        .insert(name(3), "n3: cannot connect\ncheck the address".into());
    let told = findings(&desired(3), &figures);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].severity, told[0].help.as_str()),
        (Severity::Unknown, "check the address")
    );
}

fn connection(here: &str, there: &str, process: Option<(&str, u32)>, sent: u64) -> Connection {
    Connection {
        here: here.parse().unwrap(),
        there: there.parse().unwrap(),
        process: process.map(|(name, pid)| (name.to_owned(), pid)),
        sent,
        received: 0,
        segments: sent / 1000,
        again: sent / 10_000,
    }
}

#[test]
fn clients_are_counted_from_the_first_look_on_and_we_are_none() {
    let (etcd, own) = (Some(("etcd", 7)), "10.0.0.1:2379");
    let local = |port: u16, name: &str, pid: u32, sent: u64| {
        let other = format!("10.0.0.1:{port}");
        [
            connection(own, &other, etcd, sent),
            connection(&other, own, Some((name, pid)), 5),
        ]
    };
    let look = |sent: u64| {
        let mut all = vec![connection(own, "10.0.0.9:4000", etcd, sent)];
        all.extend(local(5000, "sshd", 30, 77));
        all.extend(local(5001, "etcd", 7, 77));
        all.extend(local(5002, "kube-apiserver", 812, sent));
        all.push(connection("10.0.0.1:2380", "10.0.0.2:6000", etcd, sent));
        all
    };
    let mut seen = Sightings::default();
    seen.add(&look(1_000_000), 2379);
    let mut later = look(1_500_000);
    // Opened and closed between two looks but for this one.
    later.push(connection(own, "10.0.0.9:4001", etcd, 20_000));
    seen.add(&later, 2379);
    later = look(1_600_000);
    // The same program, started again.
    later.extend(local(5003, "kube-apiserver", 900, 40));
    seen.add(&later, 2379);
    let told: BTreeMap<&str, (u64, u64)> = seen
        .clients()
        .map(|(who, client)| (who.as_str(), (client.connections, client.sent)))
        .collect();
    assert_eq!(
        told,
        [("10.0.0.9", (2, 620_000)), ("kube-apiserver", (2, 600_040))].into()
    );
    assert_eq!(seen.towards("10.0.0.2"), (600, 60));
}
