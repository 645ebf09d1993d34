//! Backups that count, and every way in which one may only look like it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::retention::expired;
use super::schedule::REASON;
use super::tests::{manifest, snapshot};
use super::write::BackupWriter;
use super::{Doubt, Entry, Keep, Manifest, Seal, SignedBy, SnapshotDigest, Source, Standing, Trust, list};
use crate::inventory::KeyType;
use crate::inventory::samples::{cluster_of, host, pki_policy};
use crate::pki::{
    Authority, Issued, LeafSpec, Recipient, Retired, Signer, client_spec, operator_spec, peer_spec, server_spec,
    signer_spec,
};

const HOUR: Duration = Duration::from_secs(3600);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-21T12:00:00Z")
}

fn authority() -> Authority {
    Authority::create(&"prod-a".parse().unwrap(), &pki_policy(), now() - 100 * HOUR).unwrap()
}

fn issue(authority: &Authority, spec: &LeafSpec, at: Timestamp) -> Signer {
    let Issued { cert_pem, key, .. } = authority.issue(spec, at).unwrap();
    Signer::new(&cert_pem, &key).unwrap()
}

fn operator(authority: &Authority, at: Timestamp) -> Signer {
    issue(authority, &signer_spec(KeyType::EcdsaP256), at)
}

fn member(authority: &Authority, name: &str) -> Signer {
    let desired = cluster_of(crate::inventory::Version::new(3, 6, 16), Vec::new());
    issue(
        authority,
        &peer_spec(&desired, &host(name, "10.0.0.1")),
        now() - 50 * HOUR,
    )
}

/// A manifest of then, taken from this member.
fn taken(when: Timestamp, from: &str, reason: &str) -> Manifest {
    Manifest {
        taken_at: when,
        taken_from: from.to_owned(),
        reason: reason.to_owned(),
        ..manifest()
    }
}

/// A directory of backups that an operator can open.
struct Shelf {
    dir: tempfile::TempDir,
    recipients: Vec<Recipient>,
}

impl Shelf {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = age::x25519::Identity::generate().to_public().to_string();
        let recipients = Recipient::parse_all(&[key], dir.path()).unwrap();
        Self { dir, recipients }
    }

    async fn put(&self, name: &str, signer: Option<Signer>, manifest: Manifest) -> PathBuf {
        let path = self.dir.path().join(name);
        let seal = match name.ends_with(".db") {
            true => Seal::Plain,
            false => Seal::To(self.recipients.clone()),
        };
        let bytes = snapshot(2);
        let writer = BackupWriter::begin(&path, seal, signer);
        let manifest = Manifest {
            snapshot: SnapshotDigest {
                sha256: hex::encode(Sha256::digest(&bytes)),
                size: bytes.len() as u64,
            },
            ..manifest
        };
        writer.chunk(Bytes::from(bytes)).await;
        writer.finish(&manifest).await.unwrap();
        path
    }

    fn entries(&self, trust: &Trust) -> Vec<Entry> {
        let listing = list(self.dir.path(), &"prod-a".parse().unwrap(), trust, now()).unwrap();
        assert!(listing.unusable.is_empty(), "{:?}", listing.unusable);
        listing.entries
    }
}

fn standing(path: &Path, trust: &Trust) -> Standing {
    Source::open(path).unwrap().standing(trust, now())
}

fn doubt(standing: Standing) -> Doubt {
    match standing {
        Standing::Unsigned(doubt) => doubt,
        counts => panic!("{counts:?}"),
    }
}

#[tokio::test]
async fn operators_sign_any_backup_and_members_the_scheduled_ones_of_themselves() {
    let (shelf, ca) = (Shelf::new(), authority());
    let trust = Trust::new(vec![ca.certificate().clone()], Vec::new());
    let when = now() - HOUR;
    for name in ["a.qbackup", "a.db"] {
        let path = shelf
            .put(name, Some(operator(&ca, when)), taken(when, "etcd-1", "manual"))
            .await;
        assert_eq!(standing(&path, &trust), Standing::Signed(SignedBy::Operator), "{name}");
    }
    let own = shelf
        .put("b.qbackup", Some(member(&ca, "etcd-1")), taken(when, "etcd-1", REASON))
        .await;
    let by = SignedBy::Member("etcd-1".to_owned());
    assert_eq!(standing(&own, &trust), Standing::Signed(by));
    for (name, from, reason) in [("c.qbackup", "etcd-2", REASON), ("d.qbackup", "etcd-1", "manual")] {
        let path = shelf
            .put(name, Some(member(&ca, "etcd-1")), taken(when, from, reason))
            .await;
        assert!(
            matches!(doubt(standing(&path, &trust)), Doubt::NotASigner { .. }),
            "{name}"
        );
    }
}

#[tokio::test]
async fn no_other_certificate_of_the_ca_signs_a_backup() {
    let (shelf, ca) = (Shelf::new(), authority());
    let trust = Trust::new(vec![ca.certificate().clone()], Vec::new());
    let when = now() - HOUR;
    let key = KeyType::EcdsaP256;
    let desired = cluster_of(crate::inventory::Version::new(3, 6, 16), Vec::new());
    let named = |name: &str| client_spec(name, HOUR, key).unwrap();
    let others = [
        operator_spec(key),
        named("quorate:operator"),
        named("etcd-peer:etcd-1"),
        server_spec(&desired, &host("etcd-1", "10.0.0.1")),
    ];
    for (n, spec) in others.iter().enumerate() {
        let signer = issue(&ca, spec, when);
        let path = shelf
            .put(&format!("{n}.qbackup"), Some(signer), taken(when, "etcd-1", REASON))
            .await;
        assert!(
            matches!(doubt(standing(&path, &trust)), Doubt::NotASigner { .. }),
            "{spec:?}"
        );
    }
}

#[tokio::test]
async fn what_was_changed_after_it_was_signed_counts_for_nothing() {
    let (shelf, ca, other) = (Shelf::new(), authority(), authority());
    let trust = Trust::new(vec![ca.certificate().clone()], Vec::new());
    let when = now() - HOUR;
    let path = shelf
        .put("a.qbackup", Some(operator(&ca, when)), taken(when, "etcd-1", "manual"))
        .await;
    let good = fs::read(&path).unwrap();
    let changed = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = good
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        fs::write(&path, bytes).unwrap();
        doubt(standing(&path, &trust))
    };
    assert_eq!(changed("T11:00:00Z", "T11:59:00Z"), Doubt::Altered);
    assert_eq!(changed("\"revision\":7", "\"revision\":9"), Doubt::Altered);
    assert_eq!(
        changed("\"certificate\":\"MII", "\"certificate\":\"AII"),
        Doubt::Unreadable
    );
    assert_eq!(changed("\"signature\":", "\"signaturf\":"), Doubt::Missing);
    // The head of a real one, with something else behind it.
    fs::write(&path, &good[..16 * 1024]).unwrap();
    assert!(matches!(doubt(standing(&path, &trust)), Doubt::Length { .. }));
    // Another cluster's CA, which has the same name.
    let foreign = Trust::new(vec![other.certificate().clone()], Vec::new());
    fs::write(&path, &good).unwrap();
    assert!(matches!(doubt(standing(&path, &foreign)), Doubt::OtherCa { .. }));
    assert!(matches!(
        doubt(standing(&path, &Trust::default())),
        Doubt::OtherCa { .. }
    ));
    assert_eq!(standing(&path, &trust), Standing::Signed(SignedBy::Operator));
}

#[tokio::test]
async fn a_signature_is_judged_as_of_the_backups_date() {
    let (shelf, ca) = (Shelf::new(), authority());
    let old = ca.certificate().clone();
    let trust = Trust::new(vec![old.clone()], Vec::new());
    let when = now() - 20 * HOUR;
    let path = shelf
        .put("a.qbackup", Some(operator(&ca, when)), taken(when, "etcd-1", "manual"))
        .await;
    // The signer's certificate has ended since.
    assert!(standing(&path, &trust).counts());
    // Its CA gave way to another.
    let retired = |until| {
        Trust::new(
            vec![authority().certificate().clone()],
            vec![Retired {
                certificate: old.clone(),
                until,
            }],
        )
    };
    assert!(standing(&path, &retired(now() - 10 * HOUR)).counts());
    assert!(matches!(
        doubt(standing(&path, &retired(now() - 30 * HOUR))),
        Doubt::OtherCa { .. }
    ));
    // Dated before and after the life of the certificate; a date in the future is no way around that.
    let ahead = now() + 24 * HOUR;
    for (name, when) in [
        ("b.qbackup", when - HOUR),
        ("c.qbackup", when + HOUR),
        ("d.qbackup", ahead),
    ] {
        let signer = operator(&ca, now() - 20 * HOUR);
        let path = shelf.put(name, Some(signer), taken(when, "etcd-1", "manual")).await;
        assert_eq!(doubt(standing(&path, &trust)), Doubt::Invalid { at: when });
    }
}

#[tokio::test]
async fn forged_backups_of_the_year_2099_take_nothing_with_them() {
    let (shelf, ca) = (Shelf::new(), authority());
    let trust = Trust::new(vec![ca.certificate().clone()], Vec::new());
    for hours in 1..=4 {
        let when = now() - hours * HOUR;
        let name = format!("real-{hours}.qbackup");
        shelf
            .put(&name, Some(operator(&ca, when)), taken(when, "etcd-1", "manual"))
            .await;
    }
    let late = at("2099-01-01T00:00:00Z");
    for n in 0..3 {
        let name = format!("forged-{n}.qbackup");
        shelf.put(&name, None, taken(late, "etcd-1", "manual")).await;
    }
    // Signed with a wrong clock.
    let ahead = now() + 30 * 24 * HOUR;
    let by_etcd_1 = Some(member(&ca, "etcd-1"));
    shelf
        .put("ahead.qbackup", by_etcd_1, taken(ahead, "etcd-1", REASON))
        .await;
    // Copies of the newest: they count once.
    for n in 0..3 {
        let copy = shelf.dir.path().join(format!("copy-{n}.qbackup"));
        fs::copy(shelf.dir.path().join("real-1.qbackup"), copy).unwrap();
    }

    let gone = |unsigned| {
        let entries = shelf.entries(&trust);
        let candidates: Vec<_> = entries.iter().map(Entry::candidate).collect();
        let keep = Keep {
            last: 3,
            ..Keep::default()
        };
        let name = |index: usize| entries[index].path.file_name().unwrap().to_string_lossy().into_owned();
        expired(&candidates, &keep, unsigned, now())
            .into_iter()
            .map(name)
            .collect::<Vec<_>>()
    };
    assert_eq!(gone(false), ["real-4.qbackup"]);
    assert_eq!(
        gone(true),
        ["real-4.qbackup"],
        "what is dated in the future stays for somebody to look at"
    );
    let listing = list(shelf.dir.path(), &"prod-a".parse().unwrap(), &trust, now()).unwrap();
    let found = listing
        .entries
        .iter()
        .find(|entry| entry.path.ends_with("ahead.qbackup"))
        .unwrap();
    let finding = found.standing.finding(&found.manifest, now()).unwrap();
    assert!(finding.contains("in the future"), "{finding}");
    let newest = listing.newest().unwrap();
    assert!(newest.path.to_string_lossy().contains("real-1") || newest.path.to_string_lossy().contains("copy-"));
}

#[tokio::test]
async fn a_member_displaces_no_backup_but_its_own() {
    let (shelf, ca) = (Shelf::new(), authority());
    let trust = Trust::new(vec![ca.certificate().clone()], Vec::new());
    for (n, from) in ["etcd-1", "etcd-1", "etcd-1", "etcd-2"].into_iter().enumerate() {
        let when = now() - (n as u32 + 1) * HOUR;
        let signer = Some(member(&ca, from));
        shelf
            .put(&format!("{n}.qbackup"), signer, taken(when, from, REASON))
            .await;
    }
    let entries = shelf.entries(&trust);
    let candidates: Vec<_> = entries.iter().map(Entry::candidate).collect();
    let keep = Keep {
        last: 2,
        ..Keep::default()
    };
    assert_eq!(expired(&candidates, &keep, false, now()), [2]);
}

#[test]
fn a_backup_of_before_there_were_signatures_is_read_and_called_unsigned() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backup/testdata");
    let (file, key) = (data.join("unsigned-1.qbackup"), data.join("unsigned-1.key"));
    let trust = Trust::new(vec![authority().certificate().clone()], Vec::new());
    let source = Source::open(&file).unwrap();
    assert_eq!(source.manifest().unwrap().quorate_backup, 1);
    assert_eq!(doubt(source.standing(&trust, now())), Doubt::Missing);
    let digest = source.unlock(&[key], &mut |_| None).unwrap().digest().unwrap();
    assert_eq!(digest.size, snapshot(2).len() as u64);
}
