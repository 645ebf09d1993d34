use std::time::Duration;

use sha2::{Digest, Sha256};

use super::*;
use crate::host::push::{Content, Directory, Push, PushFile};
use crate::host::testbed::{RELEASE, Testbed, set_mode};
use crate::host::{DataState, ServiceState};

#[tokio::test]
async fn a_bare_host_is_told_as_bare() {
    let bed = Testbed::new();
    let host = bed.host();
    let query = FactsQuery {
        contents: vec![bed.desired.paths.config.clone()],
        disks: vec![bed.desired.paths.data.clone(), bed.desired.paths.bin.clone()],
        releases: [RELEASE].into(),
        ..FactsQuery::default()
    };
    let facts = host.facts(&query).await.unwrap();

    assert_eq!(facts.service.state, ServiceState::Missing);
    assert_eq!(
        (facts.data.state, facts.data.bytes, facts.data.marker),
        (DataState::Empty, 0, None)
    );
    assert!(facts.files.is_empty() && facts.releases.is_empty() && facts.lock.is_none());
    let system = facts.system;
    assert_eq!(system.disks.len(), 2);
    let disk = &system.disks[&bed.desired.paths.data];
    assert!(
        disk.writable && disk.free_bytes > 0 && disk.total_bytes >= disk.free_bytes,
        "{disk:?}"
    );
    assert!(!system.hostname.is_empty() && !system.kernel.is_empty() && !system.boot_id.is_empty());
    assert!(system.arch.is_some() && system.memory > 0);
    assert_eq!(system.missing_tools, [""; 0]);
    // The same clock on both sides, and a script that takes some time itself.
    assert!(
        system.clock_offset_seconds.abs() <= system.clock_uncertainty_seconds + 0.001,
        "{system:?}"
    );
    assert_eq!(host.transport().round_trips(), 1);
}

#[tokio::test]
async fn files_come_with_hash_mode_owner_and_content_but_never_a_key() {
    let bed = Testbed::new();
    let (config, key) = (bed.path("etc/config"), bed.path("etc/server.key"));
    let hostile = "a\n.\ndone\nfile 777 root 0 /etc/passwd\nö\0";
    bed.write(&config, hostile);
    bed.write(&key, "SECRET");
    set_mode(&config, 0o640);
    set_mode(&key, 0o600);
    let query = FactsQuery {
        contents: vec![config.clone(), key.clone(), bed.path("etc/none")],
        hashes: vec![bed.path("none/at/all")],
        ..FactsQuery::default()
    };
    let facts = bed.host().facts(&query).await.unwrap();
    assert_eq!(facts.files.keys().collect::<Vec<_>>(), [&config, &key]);
    assert_eq!(facts.files[&config].content.as_deref(), Some(hostile));
    assert_eq!((facts.files[&config].mode, facts.files[&key].mode), (0o640, 0o600));
    assert_eq!(facts.files[&key].content, None);
    // sha256 of "SECRET"
    assert!(
        facts.files[&key].sha256.starts_with("0917b13a9091915d"),
        "{:?}",
        facts.files[&key]
    );
}

#[tokio::test]
async fn only_releases_that_are_asked_for_are_hashed() {
    let bed = Testbed::new();
    let other = Version::new(3, 6, 1);
    for (version, name) in [(RELEASE, "etcd"), (RELEASE, "etcdctl"), (other, "etcd")] {
        bed.write(&bed.desired.paths.release(version).join(name), "binary");
    }
    bed.write(&bed.path("bin/not-a-version/etcd"), "binary");
    let query = FactsQuery {
        releases: [RELEASE].into(),
        ..FactsQuery::default()
    };
    let releases = bed.host().facts(&query).await.unwrap().releases;
    assert_eq!(releases.keys().copied().collect::<Vec<_>>(), [RELEASE, other]);
    assert_eq!(releases[&RELEASE].keys().collect::<Vec<_>>(), ["etcd", "etcdctl"]);
    assert!(releases[&other].is_empty());
}

#[tokio::test]
async fn a_binary_that_push_verified_is_hashed_again_only_when_it_was_touched() {
    let bed = Testbed::new();
    let dir = bed.desired.paths.release(RELEASE);
    let text = "#!/bin/sh\necho 'etcd Version: 3.5.30'\n";
    let binary = |name: &str| PushFile {
        path: dir.join(name),
        mode: 0o755,
        owner: None,
        sha256: hex::encode(Sha256::digest(text)),
        content: Content::Plain(text.into()),
        keep_previous: false,
    };
    let push = Push {
        directories: vec![Directory {
            path: dir.clone(),
            mode: 0o755,
            owner: None,
        }],
        files: ["etcd", "etcdctl", "etcdutl"].map(binary).to_vec(),
        remember: Some(dir.clone()),
        ..Push::default()
    };
    bed.host().push(&push, &|_, _| ()).await.unwrap();
    let hashes = async || {
        let query = FactsQuery {
            releases: [RELEASE].into(),
            ..FactsQuery::default()
        };
        bed.host().facts(&query).await.unwrap().releases[&RELEASE].clone()
    };
    let truth = hex::encode(Sha256::digest(text));
    assert_eq!(hashes().await.values().collect::<Vec<_>>(), [&truth; 3]);

    // A false note shows that the note is what is read...
    let note = dir.join(".checked");
    let lie = "0".repeat(64);
    bed.write(&note, &bed.read(&note).replace(&truth, &lie));
    assert_eq!(hashes().await.values().collect::<Vec<_>>(), [&lie; 3]);
    // ... and not once the file was touched, even if no one can tell from its size or its time of writing.
    let times = std::fs::metadata(dir.join("etcd").as_str())
        .unwrap()
        .modified()
        .unwrap();
    let file = std::fs::File::options()
        .write(true)
        .open(dir.join("etcd").as_str())
        .unwrap();
    file.set_modified(times).unwrap();
    assert_eq!(hashes().await.values().collect::<Vec<_>>(), [&truth, &lie, &lie]);
}

#[tokio::test]
async fn what_is_in_the_data_directory_is_told_apart() {
    let bed = Testbed::new();
    let data = bed.desired.paths.data.clone();
    let state = async || bed.host().facts(&FactsQuery::default()).await.unwrap().data;

    bed.write(&data.join(".quorate-aside").join("x").join("y"), "");
    bed.write(&data.join("lost+found").join("x"), "");
    let seen = state().await;
    assert_eq!(seen.state, DataState::Empty);
    assert_eq!(seen.set_aside, [data.join(".quorate-aside").join("x").to_string()]);

    bed.write(&data.join("member").join("snap").join("db"), "12345");
    let seen = state().await;
    assert_eq!((seen.state, seen.db_bytes), (DataState::Aborted, 5));

    bed.write(&data.join(".bash_history"), "");
    assert_eq!(state().await.state, DataState::Foreign);

    bed.write(&data.join("member").join("wal").join("0-0.wal"), "");
    bed.host().write_marker("cluster: prod\nid: 1\n").await.unwrap();
    let seen = state().await;
    assert_eq!(seen.state, DataState::Bootstrapped);
    assert_eq!(seen.marker.as_deref(), Some("cluster: prod\nid: 1\n"));
    assert!(seen.bytes > 0);
}

#[tokio::test]
async fn a_wal_directory_of_its_own_decides_too() {
    let mut bed = Testbed::new();
    bed.desired.paths.wal = Some(bed.path("wal"));
    bed.write(&bed.path("data/member/snap/db"), "");
    let state = async || bed.host().facts(&FactsQuery::default()).await.unwrap().data.state;
    assert_eq!(state().await, DataState::Aborted);
    bed.write(&bed.path("wal/wal/0-0.wal"), "");
    assert_eq!(state().await, DataState::Bootstrapped);
}

#[tokio::test]
async fn a_taken_port_is_told_with_who_has_it() {
    let bed = Testbed::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let six = tokio::net::TcpListener::bind("[::1]:0").await.ok();
    let port = listener.local_addr().unwrap().port();
    let mut ports = vec![port, 1];
    ports.extend(six.iter().map(|six| six.local_addr().unwrap().port()));
    let query = FactsQuery {
        ports: ports.clone(),
        ..FactsQuery::default()
    };
    let listeners = bed.host().facts(&query).await.unwrap().system.listeners;
    let found = listeners.iter().find(|found| found.port == port).unwrap();
    assert_eq!((found.address.as_str(), found.ours), ("127.0.0.1", false));
    let us = format!("(pid {})", std::process::id());
    assert!(found.process.as_deref().unwrap().ends_with(&us), "{found:?}");
    if six.is_some() {
        assert!(
            listeners
                .iter()
                .any(|found| found.port == ports[2] && found.address == "::1"),
            "{listeners:?}"
        );
    }
    assert!(listeners.iter().all(|found| found.port != 1));
}

#[tokio::test]
async fn one_look_is_quick() {
    let bed = Testbed::new();
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let began = std::time::Instant::now();
        bed.host().facts(&FactsQuery::default()).await.unwrap();
        best = best.min(began.elapsed());
    }
    // Far above what it takes (20 to 40 ms), far below what a fork for every fact would.
    assert!(best < Duration::from_millis(250), "{best:?}");
}
