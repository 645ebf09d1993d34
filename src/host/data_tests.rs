use std::os::unix::fs::symlink;

use super::*;
use crate::host::observe::FactsQuery;
use crate::host::testbed::Testbed;
use crate::host::{DataState, HostError};

fn bootstrapped(bed: &Testbed) {
    bed.write(&bed.path("data/member/snap/db"), "db");
    bed.write(&bed.path("data/member/wal/0-0.wal"), "wal");
    bed.write(&bed.path("data").join(MARKER), "cluster: a");
}

fn refusal(error: &HostError, words: &str) {
    assert!(error.to_string().contains(words), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn old_data_goes_beside_and_stays_findable() {
    let mut bed = Testbed::new();
    bed.desired.paths.wal = Some(bed.path("wal"));
    bootstrapped(&bed);
    bed.write(&bed.path("wal/wal/1-1.wal"), "wal");
    let path = bed.host().set_aside("re store/../x").await.unwrap().unwrap();
    assert!(path.starts_with(bed.path("data.quorate-aside").as_str()), "{path}");
    assert!(path.ends_with("Z-re-store----x"), "{path}");
    assert_eq!(bed.names(&path.parse().unwrap()), [MARKER, "member"]);
    assert_eq!(
        (bed.names(&bed.path("data")), bed.names(&bed.path("wal"))),
        (vec![], vec![])
    );
    assert_eq!(bed.names(&bed.path("wal.quorate-aside")).len(), 1);
    let facts = bed.host().facts(&FactsQuery::default()).await.unwrap();
    assert_eq!((facts.data.state, facts.data.set_aside), (DataState::Empty, vec![path]));
}

#[tokio::test]
async fn behind_a_link_it_stays_on_its_file_system() {
    let bed = Testbed::new();
    bed.write(&bed.path("disk/member/snap/db"), "db");
    symlink(bed.path("disk").as_str(), bed.path("data").as_str()).unwrap();
    let path = bed.host().set_aside("restore").await.unwrap().unwrap();
    assert!(path.starts_with(bed.path("data/.quorate-aside").as_str()), "{path}");
    let facts = bed.host().facts(&FactsQuery::default()).await.unwrap();
    assert_eq!((facts.data.state, facts.data.set_aside), (DataState::Empty, vec![path]));
}

#[tokio::test]
async fn nothing_to_set_aside_is_fine() {
    assert_eq!(Testbed::new().host().set_aside("restore").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_installed_goes_with_its_earlier_versions_and_the_note_last() {
    let bed = Testbed::new();
    let pki = bed.desired.paths.pki.clone();
    let (config, note) = (bed.path("etc/etcd.yml"), bed.path("etc/etcd.yml.resting"));
    for path in [
        &config,
        &bed.path("etc/.etcd.yml.previous"),
        &note,
        &bed.path("etc/somebodys.conf"),
        &pki.join(".gen-00ff/server.key"),
        &pki.join("somebodys.pem"),
        &bed.path("data/member/snap/db"),
    ] {
        bed.write(path, "x");
    }
    symlink(".gen-00ff", pki.join("current").as_str()).unwrap();
    symlink("current/server.key", pki.join("server.key").as_str()).unwrap();
    let files = [pki.join("server.key"), pki.join("current"), config];
    // A host is left out: the note stays, and nobody takes this one for one that was never used.
    bed.host().withdraw("etcd-backup", &files, None).await.unwrap();
    assert_eq!(
        bed.names(&bed.path("etc")),
        ["etcd.yml.resting", "pki", "somebodys.conf"]
    );
    assert_eq!(bed.names(&pki), ["somebodys.pem"]);
    assert_eq!(bed.names(&bed.path("data")), ["member"], "data is not its business");
    for _ in 0..2 {
        bed.host().withdraw("etcd-backup", &files, Some(&note)).await.unwrap();
        assert_eq!(bed.names(&bed.path("etc")), ["pki", "somebodys.conf"]);
    }
}

#[tokio::test]
async fn wiping_takes_what_is_etcds_and_keeps_the_rest() {
    let bed = Testbed::new();
    bootstrapped(&bed);
    bed.write(&bed.path("data/lost+found/x"), "");
    bed.write(&bed.path("data/.quorate-aside/x/y"), "");
    bed.host().wipe_contents().await.unwrap();
    assert_eq!(bed.names(&bed.path("data")), [".quorate-aside", "lost+found"]);

    bootstrapped(&bed);
    bed.write(&bed.path("data/thesis.tex"), "");
    let error = bed.host().wipe_contents().await.unwrap_err();
    refusal(&error, "thesis.tex is not etcd's: nothing was deleted");
    assert_eq!(bed.read(&bed.path("data/member/snap/db")), "db");
}

#[tokio::test]
async fn data_in_use_is_never_touched() {
    let bed = Testbed::new();
    bootstrapped(&bed);
    // A process that the kernel calls `etcd`, started by nobody that quorate knows, with the database open.
    std::fs::copy("/bin/sleep", bed.path("etcd").as_str()).unwrap();
    let db = std::fs::File::open(bed.path("data/member/snap/db").as_str()).unwrap();
    let mut etcd = tokio::process::Command::new(bed.path("etcd").as_str());
    let mut etcd = etcd.arg("1000").stdin(db).kill_on_drop(true).spawn().unwrap();
    let pid = etcd.id().unwrap();
    // Forked, it has our name until it has become another program.
    while std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() != "etcd\n" {}

    refusal(&bed.host().set_aside("x").await.unwrap_err(), "has");
    refusal(
        &bed.host().wipe_contents().await.unwrap_err(),
        &format!("an etcd (process {pid}) has"),
    );
    assert_eq!(bed.read(&bed.path("data/member/snap/db")), "db");
    let others = bed
        .host()
        .facts(&FactsQuery::default())
        .await
        .unwrap()
        .system
        .other_etcd;
    assert!(
        others.iter().any(|line| line.starts_with(&format!("{pid} "))),
        "{others:?}"
    );

    etcd.kill().await.unwrap();
    bed.host().wipe_contents().await.unwrap();
    assert_eq!(bed.names(&bed.path("data")), [""; 0]);
}

#[tokio::test]
async fn a_marker_needs_a_directory() {
    let bed = Testbed::new();
    refusal(&bed.host().write_marker("x").await.unwrap_err(), "data is missing");
}
