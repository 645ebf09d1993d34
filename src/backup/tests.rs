//! Backups written, damaged in every way, and read again.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::manifest::FORMAT;
use super::write::BackupWriter;
use super::{BackupError, Kind, Manifest, ManifestMember, Seal, SnapshotDigest, Source, Unlocked};
use crate::inventory::{ClusterId, PeerUrl, Version};
use crate::pki::Recipient;

/// A place with an operator's key and a file to be.
struct Bench {
    dir: tempfile::TempDir,
    key: PathBuf,
    recipients: Vec<Recipient>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate();
        let key = dir.path().join("key.txt");
        fs::write(&key, identity.to_string().expose_secret()).unwrap();
        let recipients = Recipient::parse_all(&[identity.to_public().to_string()], dir.path()).unwrap();
        Self { dir, key, recipients }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn sealed(&self, snapshot: &[u8]) -> PathBuf {
        let path = self.path("prod-a-1.qbackup");
        self.write(&path, Seal::To(self.recipients.clone()), snapshot)
            .await
            .unwrap();
        path
    }

    async fn write(&self, path: &Path, seal: Seal, snapshot: &[u8]) -> Result<Manifest, BackupError> {
        let writer = BackupWriter::begin(path, seal, None);
        for chunk in snapshot.chunks(32 * 1024) {
            writer.chunk(Bytes::copy_from_slice(chunk)).await;
        }
        let manifest = Manifest {
            snapshot: SnapshotDigest {
                sha256: hex::encode(Sha256::digest(snapshot)),
                size: snapshot.len() as u64,
            },
            ..manifest()
        };
        writer.finish(&manifest).await?;
        Ok(manifest)
    }

    fn unlock(&self, path: &Path) -> Result<Unlocked, BackupError> {
        Source::open(path)?.unlock(std::slice::from_ref(&self.key), &mut |_| None)
    }

    /// What a restore does first: open, unlock, read to the end.
    fn read(&self, path: &Path) -> Result<SnapshotDigest, BackupError> {
        self.unlock(path)?.digest()
    }

    fn with_bytes(&self, bytes: &[u8]) -> PathBuf {
        let path = self.path("changed");
        fs::write(&path, bytes).unwrap();
        path
    }
}

pub(super) fn manifest() -> Manifest {
    Manifest {
        quorate_backup: FORMAT,
        cluster: "prod-a".parse().unwrap(),
        cluster_id: ClusterId(0xabc),
        reason: "test".to_owned(),
        taken_at: "2026-11-21T11:37:00Z".parse().unwrap(),
        taken_from: "etcd-2".to_owned(),
        etcd_version: Version::new(3, 5, 30),
        members: vec![ManifestMember {
            name: "etcd-1".to_owned(),
            peer_urls: vec![PeerUrl("https://10.0.0.11:2380".to_owned())],
        }],
        revision: 7,
        keys: 3,
        hash: None,
        inventory_sha256: "00".repeat(32),
        snapshot: SnapshotDigest::default(),
        sealed_to: vec!["somebody".to_owned()],
        created_by: "test".to_owned(),
    }
}

/// A file that begins as a bbolt database of `pages` pages of 4 KiB does, last written to by transaction 9.
fn database(pages: u64) -> Vec<u8> {
    with_metas(pages, [(3, 8), (5, 9)])
}

/// The same with these root pages and transactions in its two meta pages.
fn with_metas(pages: u64, metas: [(u64, u64); 2]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..pages * 4096).map(|n| (n % 253) as u8).collect();
    for (page, (root, transaction)) in metas.into_iter().enumerate() {
        let meta = &mut bytes[page * 4096 + 16..page * 4096 + 80];
        meta.fill(0);
        meta[0..4].copy_from_slice(&0xED0C_DAEDu32.to_le_bytes());
        meta[4..8].copy_from_slice(&2u32.to_le_bytes());
        meta[8..12].copy_from_slice(&4096u32.to_le_bytes());
        meta[16..24].copy_from_slice(&root.to_le_bytes());
        meta[40..48].copy_from_slice(&pages.to_le_bytes());
        meta[48..56].copy_from_slice(&transaction.to_le_bytes());
        let sum = meta[..56].iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        meta[56..64].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// As etcd sends it: the database and its checksum.
pub(super) fn snapshot(pages: u64) -> Vec<u8> {
    let mut bytes = with_metas(pages, [(5, 9), (5, 8)]);
    let sum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

#[tokio::test]
async fn each_recipient_opens_a_backup_with_its_own_key_alone() {
    let bench = Bench::new();
    let mut recipients = bench.recipients.clone();
    let mut keys = vec![bench.key.clone()];
    for n in 1..4 {
        let identity = age::x25519::Identity::generate();
        let key = bench.path(&format!("key-{n}.txt"));
        fs::write(&key, identity.to_string().expose_secret()).unwrap();
        recipients.extend(Recipient::parse_all(&[identity.to_public().to_string()], bench.dir.path()).unwrap());
        keys.push(key);
    }
    let path = bench.path("for-all.qbackup");
    let written = bench.write(&path, Seal::To(recipients), b"a snapshot").await.unwrap();
    for key in keys {
        let source = Source::open(&path).unwrap();
        let read = source
            .unlock(std::slice::from_ref(&key), &mut |_| None)
            .unwrap()
            .digest();
        assert_eq!(read.unwrap().sha256, written.snapshot.sha256, "{}", key.display());
    }
}

#[tokio::test]
async fn what_was_sealed_comes_out_again_as_often_as_asked() {
    let bench = Bench::new();
    let plain = snapshot(40);
    let path = bench.sealed(&plain).await;
    let opened = bench.unlock(&path).unwrap();
    let told = opened.source().manifest().unwrap();
    assert_eq!(told.snapshot.sha256, hex::encode(Sha256::digest(&plain)));
    assert_eq!(opened.source().kind(), &Kind::Sealed);
    for _ in 0..2 {
        let mut out = Vec::new();
        opened.reader().unwrap().read_to_end(&mut out).unwrap();
        assert!(out == plain);
    }
    assert_eq!(opened.digest().unwrap(), told.snapshot);
}

#[tokio::test]
async fn a_sealed_file_shows_its_first_line_and_nothing_of_the_snapshot() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let plain = snapshot(4);
    let path = bench.sealed(&plain).await;
    let file = fs::read(&path).unwrap();
    let line = file.split(|byte| *byte == b'\n').next().unwrap();
    let read: Manifest = serde_json::from_slice(line).unwrap();
    assert_eq!(
        Manifest {
            snapshot: SnapshotDigest::default(),
            ..read
        },
        manifest()
    );
    assert!(!file.windows(64).any(|window| window == &plain[9000..9064]));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_backup_that_was_given_up_or_has_no_recipient_leaves_nothing_behind() {
    let bench = Bench::new();
    let writer = BackupWriter::begin(&bench.path("a.qbackup"), Seal::To(bench.recipients.clone()), None);
    writer.chunk(Bytes::from_static(b"half")).await;
    writer.give_up().await;
    let error = bench
        .write(&bench.path("b.qbackup"), Seal::To(Vec::new()), b"x")
        .await
        .unwrap_err();
    assert!(matches!(error, BackupError::NoRecipient), "{error}");
    let left: Vec<_> = fs::read_dir(bench.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["key.txt"]);
}

#[tokio::test]
async fn a_backup_is_never_overwritten() {
    let bench = Bench::new();
    let path = bench.sealed(&snapshot(4)).await;
    let error = bench.write(&path, Seal::Plain, &snapshot(5)).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    assert!(bench.read(&path).is_ok());
}

#[tokio::test]
async fn a_sealed_file_that_was_cut_off_anywhere_is_refused() {
    let bench = Bench::new();
    let whole = fs::read(bench.sealed(&snapshot(40)).await).unwrap();
    for length in (100..whole.len()).step_by(4099).chain([whole.len() - 1]) {
        let error = bench.read(&bench.with_bytes(&whole[..length])).unwrap_err();
        assert!(matches!(error, BackupError::Truncated { .. }), "{length}: {error}");
    }
    let longer = [&whole[..], b"x"].concat();
    let error = bench.read(&bench.with_bytes(&longer)).unwrap_err();
    assert!(error.to_string().contains("1 bytes follow its end"), "{error}");
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_found() {
    let bench = Bench::new();
    let whole = fs::read(bench.sealed(&snapshot(40)).await).unwrap();
    for at in (0..whole.len()).step_by(1511) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        assert!(bench.read(&bench.with_bytes(&flipped)).is_err(), "byte {at}");
    }
}

#[tokio::test]
async fn a_manifest_that_was_changed_in_front_is_not_believed() {
    let bench = Bench::new();
    let mut file = fs::read(bench.sealed(&snapshot(4)).await).unwrap();
    let at = file.windows(6).position(|window| window == b"prod-a").unwrap();
    file[at..at + 6].copy_from_slice(b"prod-b");
    let path = bench.with_bytes(&file);
    assert_eq!(
        Source::open(&path).unwrap().manifest().unwrap().cluster.as_str(),
        "prod-b"
    );
    let error = bench.read(&path).unwrap_err();
    assert!(error.to_string().contains("not the one that was sealed in"), "{error}");
}

#[tokio::test]
async fn a_backup_sealed_to_others_says_to_whom() {
    let bench = Bench::new();
    let path = bench.sealed(&snapshot(4)).await;
    let stranger = Bench::new();
    let error = stranger.read(&path).unwrap_err();
    assert!(matches!(error, BackupError::NotYours { .. }), "{error}");
    assert!(error.hint().contains("somebody"));
}

#[tokio::test]
async fn a_backup_of_a_later_format_is_refused_as_that() {
    let bench = Bench::new();
    let mut file = fs::read(bench.sealed(&snapshot(4)).await).unwrap();
    file[18] = b'9';
    let error = bench.read(&bench.with_bytes(&file)).unwrap_err();
    assert!(matches!(error, BackupError::TooNew { format: 9, .. }), "{error}");
}

#[tokio::test]
async fn a_plain_backup_is_an_etcd_snapshot_with_its_manifest_beside_it() {
    let bench = Bench::new();
    let path = bench.path("plain.db");
    let plain = snapshot(6);
    bench.write(&path, Seal::Plain, &plain).await.unwrap();
    assert!(fs::read(&path).unwrap() == plain);
    let source = Source::open(&path).unwrap();
    assert_eq!(
        source.kind(),
        &Kind::Snapshot {
            size: plain.len() as u64
        }
    );
    assert_eq!(source.manifest().unwrap().revision, 7);
    assert_eq!(bench.read(&path).unwrap().size, plain.len() as u64);

    // Another snapshot under the same name is whole by itself, but not what the manifest describes.
    fs::write(&path, snapshot(7)).unwrap();
    let error = bench.read(&path).unwrap_err();
    assert!(error.to_string().contains("does not match its manifest"), "{error}");
}

#[test]
fn a_plain_snapshot_is_held_against_its_own_checksum() {
    let bench = Bench::new();
    let mut plain = snapshot(6);
    assert!(bench.read(&bench.with_bytes(&plain)).is_ok());
    plain[20_000] ^= 1;
    let error = bench.read(&bench.with_bytes(&plain)).unwrap_err();
    assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    for length in [
        1,
        4096,
        8192,
        20_000,
        plain.len() - 33,
        plain.len() - 32,
        plain.len() - 1,
    ] {
        assert!(bench.read(&bench.with_bytes(&plain[..length])).is_err(), "{length}");
    }
}

#[test]
fn a_bare_database_is_taken_as_one_unless_its_end_is_missing() {
    let bench = Bench::new();
    let bare = database(6);
    let path = bench.with_bytes(&bare);
    assert_eq!(Source::open(&path).unwrap().kind(), &Kind::Bare { size: 6 * 4096 });
    assert_eq!(bench.read(&path).unwrap().sha256, hex::encode(Sha256::digest(&bare)));
    let error = bench.read(&bench.with_bytes(&bare[..5 * 4096])).unwrap_err();
    assert!(matches!(error, BackupError::Truncated { .. }), "{error}");
}

#[test]
fn a_snapshot_without_its_checksum_is_no_bare_database_unless_it_is_called_one() {
    let bench = Bench::new();
    let plain = snapshot(6);
    let path = bench.with_bytes(&plain[..plain.len() - 32]);
    let error = bench.read(&path).unwrap_err();
    assert!(matches!(error, BackupError::NoChecksum { .. }), "{error}");
    assert!(error.hint().contains("--bare"));
    let called = Source::open_bare(&path).unwrap();
    assert_eq!(called.kind(), &Kind::Bare { size: 6 * 4096 });
    // A member's own file is as a snapshot in its metas where its last write was empty, but longer than its pages.
    let mut own = plain[..plain.len() - 32].to_vec();
    own.resize(plain.len() - 32 + 8192, 0);
    assert_eq!(
        Source::open(&bench.with_bytes(&own)).unwrap().kind(),
        &Kind::Bare { size: 8 * 4096 }
    );
}

#[test]
fn anything_else_is_not_a_backup() {
    let bench = Bench::new();
    for foreign in [
        &b""[..],
        b"hello",
        &[0; 100_000],
        b"PK\x03\x04............................",
    ] {
        let error = bench.read(&bench.with_bytes(foreign)).unwrap_err();
        assert!(matches!(error, BackupError::NotABackup { .. }), "{error}");
    }
    assert!(matches!(
        Source::open(bench.dir.path()),
        Err(BackupError::NotABackup {
            what: "a directory",
            ..
        })
    ));
    assert!(matches!(
        Source::open(&bench.path("none")),
        Err(BackupError::Read { .. })
    ));
}

#[test]
fn a_second_backup_of_the_same_second_has_a_name_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, at) = ("prod-a".parse().unwrap(), "2026-11-21T11:37:00Z".parse().unwrap());
    let mut names = Vec::new();
    for _ in 0..3 {
        let file = super::new_file(dir.path(), &cluster, at, "before-remove-n3", &Seal::Plain);
        fs::write(&file, "").unwrap();
        names.push(file.file_name().unwrap().to_string_lossy().into_owned());
    }
    let expected = ["", "-2", "-3"].map(|again| format!("prod-a-20261121T113700Z-before-remove-n3{again}.db"));
    assert_eq!(names, expected);
}
