use std::io::Write;
use std::sync::Mutex;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use std::os::unix::fs::MetadataExt as _;

use crate::host::testbed::{Testbed, mode_of, set_mode};

fn sha(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn file(path: HostPath, mode: u32, bytes: &[u8]) -> PushFile {
    PushFile {
        path,
        mode,
        owner: None,
        sha256: sha(bytes),
        content: Content::Plain(Bytes::copy_from_slice(bytes)),
        keep_previous: false,
    }
}

fn directory(path: HostPath) -> Directory {
    Directory {
        path,
        mode: 0o750,
        owner: None,
    }
}

fn packed(unpacker: Unpacker, bytes: &[u8]) -> Content {
    let packed = match unpacker {
        Unpacker::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        Unpacker::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    };
    Content::Stream {
        len: packed.len() as u64,
        open: Arc::new(move || Ok(Box::new(std::io::Cursor::new(packed.clone())))),
        unpacker: Some(unpacker),
    }
}

/// What says that it has `len` bytes, packed, and has these.
fn broken(unpacker: Unpacker, len: u64, bytes: &'static [u8]) -> Content {
    Content::Stream {
        len,
        open: Arc::new(move || Ok(Box::new(bytes))),
        unpacker: Some(unpacker),
    }
}

fn quiet(_: u64, _: u64) {}

#[tokio::test]
async fn files_arrive_with_their_mode_whatever_is_in_them() {
    let bed = Testbed::new();
    let etc = bed.path("a/b/etc");
    let hostile = b"\0\x01\n.\nend\nfile /etc/passwd\n$(reboot) `reboot` '\"\\ \xff\xfe".as_slice();
    let large: Vec<u8> = (0..300_001u32).map(|n| (n * 7 % 256) as u8).collect();
    let mut secret = file(etc.join("server.key"), 0o600, b"key");
    secret.content = Content::secret(b"key".to_vec());
    let push = Push {
        directories: vec![directory(etc.clone())],
        files: vec![
            file(etc.join("hostile"), 0o644, hostile),
            file(etc.join("empty"), 0o640, b""),
            file(etc.join("large"), 0o755, &large),
            secret,
        ],
        ..Push::default()
    };
    let seen = Mutex::new(Vec::new());
    let progress = |done, total| seen.lock().unwrap().push((done, total));
    let host = bed.host();
    let report = host.push(&push, &progress).await.unwrap();

    assert_eq!(std::fs::read(etc.join("hostile").as_str()).unwrap(), hostile);
    assert_eq!(std::fs::read(etc.join("large").as_str()).unwrap(), large);
    assert_eq!(bed.read(&etc.join("empty")), "");
    let modes = ["hostile", "empty", "large", "server.key"].map(|name| mode_of(&etc.join(name)));
    assert_eq!(modes, [0o644, 0o640, 0o755, 0o600]);
    assert_eq!((mode_of(&etc), mode_of(&bed.path("a/b"))), (0o750, 0o755));
    assert_eq!(bed.names(&etc), ["empty", "hostile", "large", "server.key"]);
    assert_eq!(host.transport().round_trips(), 1);
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.last(), Some(&(report.bytes, report.bytes)));
    assert!(seen.is_sorted(), "{seen:?}");
    let shown = format!("{:?}", push.files);
    assert!(
        shown.contains("Secret(..)") && !shown.contains(&format!("{:?}", b"key")),
        "{shown}"
    );
}

#[tokio::test]
async fn what_is_packed_is_unpacked_there() {
    let programs = ["etcd", "etcdctl", "etcdutl"].map(|name| (name, format!("{name} ").repeat(200_000).into_bytes()));
    for unpacker in Unpacker::ALL {
        let bed = Testbed::new();
        let binary = |(name, bytes): &(&str, Vec<u8>)| PushFile {
            content: packed(unpacker, bytes),
            ..file(bed.path("bin").join(name), 0o755, bytes)
        };
        let push = Push {
            directories: vec![directory(bed.path("bin"))],
            files: programs.iter().map(binary).collect(),
            ..Push::default()
        };
        let sent = bed.host().push(&push, &quiet).await.unwrap().bytes;
        assert!(sent < 60_000, "{unpacker:?}: {sent}");
        for (name, bytes) in &programs {
            assert!(
                std::fs::read(bed.path("bin").join(name).as_str()).unwrap() == *bytes,
                "{name}"
            );
        }
        assert_eq!(bed.names(&bed.path("bin")), ["etcd", "etcdctl", "etcdutl"]);
    }
}

#[tokio::test]
async fn what_was_not_there_before_goes_again() {
    let bed = Testbed::new();
    let etc = bed.path("etc");
    for name in ["unit", "other"] {
        bed.write(&etc.join(name), "new");
    }
    let push = Push {
        files: vec![file(etc.join("config"), 0o644, b"old")],
        absent: vec![etc.join("unit"), etc.join("never")],
        ..Push::default()
    };
    bed.host().push(&push, &quiet).await.unwrap();
    assert_eq!(bed.names(&etc), ["config", "other"]);
}

#[tokio::test]
async fn one_tampered_file_and_nothing_is_replaced() {
    let bed = Testbed::new();
    let etc = bed.path("etc");
    bed.write(&etc.join("good"), "old");
    bed.write(&etc.join("bad"), "old");
    let mut bad = file(etc.join("bad"), 0o644, b"new");
    bad.sha256 = sha(b"something else");
    let push = Push {
        files: vec![file(etc.join("good"), 0o644, b"new"), bad],
        ..Push::default()
    };
    let error = bed.host().push(&push, &quiet).await.unwrap_err();
    assert!(error.to_string().contains("/etc/bad is not what was sent"), "{error}");
    assert!(error.hint().unwrap().contains("bundle verify"), "{error:?}");
    assert_eq!(
        (bed.read(&etc.join("good")), bed.read(&etc.join("bad"))),
        ("old".into(), "old".into())
    );
    assert_eq!(bed.names(&etc), ["bad", "good"]);
}

#[tokio::test]
async fn what_cannot_be_unpacked_and_sources_that_fail_name_the_cause() {
    let bed = Testbed::new();
    let fail_with = |content: Content| {
        let mut wanted = file(bed.path("x"), 0o644, b"whatever");
        wanted.content = content;
        let push = Push {
            files: vec![wanted],
            ..Push::default()
        };
        let host = bed.host();
        async move { host.push(&push, &quiet).await.unwrap_err().to_string() }
    };
    for unpacker in Unpacker::ALL {
        let said = fail_with(broken(unpacker, 10, b"not packed")).await;
        assert!(
            said.contains("cannot write") && said.contains(unpacker.tool()),
            "{said}"
        );
    }

    // The same while the next file arrives.
    let mut damaged = file(bed.path("y"), 0o644, b"whatever");
    damaged.content = broken(Unpacker::Gzip, 10, b"not packed");
    let mut whole = file(bed.path("z"), 0o644, b"whatever");
    whole.content = packed(Unpacker::Gzip, b"whatever");
    let push = Push {
        files: vec![damaged, whole],
        ..Push::default()
    };
    let said = bed.host().push(&push, &quiet).await.unwrap_err().to_string();
    assert!(
        said.contains("cannot write") && said.contains("/y") && said.contains("gzip"),
        "{said}"
    );

    let said = fail_with(broken(Unpacker::Zstd, 1_000_000, b"short")).await;
    assert!(said.contains("it does not have the announced 1000000 bytes"), "{said}");

    let gone = Content::Stream {
        len: 5,
        open: Arc::new(|| Err(std::io::Error::other("the bundle is gone"))),
        unpacker: Some(Unpacker::Zstd),
    };
    let said = fail_with(gone).await;
    assert!(
        said.contains("cannot read the data to send: the bundle is gone"),
        "{said}"
    );
    assert_eq!(bed.names(&bed.root()), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_written_leaves_the_old_files() {
    let bed = Testbed::new();
    let etc = bed.path("etc");
    bed.write(&etc.join("config"), "old");
    bed.write(&bed.path("plain-file"), "");
    let push = Push {
        files: vec![
            file(etc.join("config"), 0o644, b"new"),
            // Its directory is a file.
            file(bed.path("plain-file/x"), 0o644, b"new"),
        ],
        ..Push::default()
    };
    let error = bed.host().push(&push, &quiet).await.unwrap_err();
    assert!(error.to_string().contains("plain-file"), "{error}");
    assert_eq!(
        (bed.read(&etc.join("config")), bed.names(&etc)),
        ("old".into(), vec!["config".into()])
    );
}

/// A small file system, gone again with this value.
struct SmallDisk(HostPath);

impl SmallDisk {
    /// `None` where this account may not mount.
    fn mount(at: HostPath) -> Option<Self> {
        std::fs::create_dir(at.as_str()).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"];
        let mounted = std::process::Command::new("mount")
            .args(options)
            .arg(at.as_str())
            .output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at))
    }

    fn make_read_only(&self) {
        let mut mount = std::process::Command::new("mount");
        assert!(
            mount
                .args(["-o", "remount,ro", self.0.as_str()])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.as_str()).status();
    }
}

#[tokio::test]
async fn a_full_or_read_only_disk_is_named_and_leaves_the_old_files() {
    let bed = Testbed::new();
    let Some(disk) = SmallDisk::mount(bed.path("disk")) else {
        return; // Needs root; `what_cannot_be_written_leaves_the_old_files` goes the same way out.
    };
    let dir = disk.0.clone();
    bed.write(&dir.join("config"), "old");
    let large: Vec<u8> = (0..1_000_000u32).map(|n| (n * 7 % 253) as u8).collect();
    for (unpacker, binaries) in [
        (None, 1),
        (Some(Unpacker::Zstd), 1),
        (Some(Unpacker::Gzip), 1),
        (Some(Unpacker::Gzip), 2),
    ] {
        let binary = |n: usize| {
            let mut binary = file(dir.join(&format!("etcd{n}")), 0o755, &large);
            if let Some(unpacker) = unpacker {
                binary.content = packed(unpacker, &large);
            }
            binary
        };
        let config = file(dir.join("config"), 0o644, b"new");
        let push = Push {
            files: std::iter::once(config).chain((0..binaries).map(binary)).collect(),
            ..Push::default()
        };
        let error = bed.host().push(&push, &quiet).await.unwrap_err();
        assert!(error.to_string().contains("No space left on device"), "{error}");
        assert!(error.hint().unwrap().contains("free space"), "{error:?}");
        assert_eq!(
            (bed.read(&dir.join("config")), bed.names(&dir)),
            ("old".into(), vec!["config".into()])
        );
    }

    disk.make_read_only();
    let push = Push {
        files: vec![file(dir.join("config"), 0o644, b"new")],
        ..Push::default()
    };
    let error = bed.host().push(&push, &quiet).await.unwrap_err();
    assert!(error.to_string().contains("Read-only file system"), "{error}");
    assert_eq!(bed.read(&dir.join("config")), "old");
}

#[tokio::test]
async fn the_previous_version_is_kept_when_asked_for() {
    let bed = Testbed::new();
    let path = bed.path("config");
    for text in ["one", "two"] {
        let mut wanted = file(path.clone(), 0o644, text.as_bytes());
        wanted.keep_previous = true;
        let push = Push {
            files: vec![wanted],
            ..Push::default()
        };
        bed.host().push(&push, &quiet).await.unwrap();
    }
    assert_eq!(
        (bed.read(&path), bed.read(&bed.path(".config.previous"))),
        ("two".into(), "one".into())
    );
}

#[tokio::test]
async fn a_planted_link_in_the_way_is_not_written_through() {
    let bed = Testbed::new();
    bed.write(&bed.path("shadow"), "root");
    let staged = format!(".config{}", bed.host().staging_suffix());
    std::os::unix::fs::symlink(bed.path("shadow").as_str(), bed.path(&staged).as_str()).unwrap();
    let push = Push {
        files: vec![file(bed.path("config"), 0o644, b"new")],
        ..Push::default()
    };
    bed.host().push(&push, &quiet).await.unwrap();
    assert_eq!(
        (bed.read(&bed.path("shadow")), bed.read(&bed.path("config"))),
        ("root".into(), "new".into())
    );
}

#[tokio::test]
async fn a_binary_that_cannot_run_never_gets_its_name() {
    let bed = Testbed::new();
    let target = bed.path("bin/3.5.30/etcd");
    let push = |script: &[u8]| Push {
        directories: vec![directory(bed.path("bin/3.5.30"))],
        files: vec![file(target.clone(), 0o755, script)],
        prove: Some(target.clone()),
        ..Push::default()
    };
    let error = bed
        .host()
        .push(&push(b"\x7fELF of another machine"), &quiet)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot run here"), "{error}");
    assert!(error.hint().unwrap().contains("architecture"), "{error:?}");
    assert_eq!(bed.names(&bed.path("bin/3.5.30")), [""; 0]);

    let fake = b"#!/bin/sh\necho 'etcd Version: 3.5.30'\necho Git SHA: x\n";
    let report = bed.host().push(&push(fake), &quiet).await.unwrap();
    assert_eq!(report.proved.as_deref(), Some("etcd Version: 3.5.30"));

    // Whoever packed the bundle gets nothing from root: it runs as nobody, whose way to it may be closed.
    let left = bed.path("left-behind");
    let curious = format!("#!/bin/sh\necho \"etcd Version: $(id -u) $(touch {left} 2>&1)\"\n");
    let report = bed.host().push(&push(curious.as_bytes()), &quiet).await.unwrap();
    let told = report.proved.unwrap();
    if rustix::process::getuid().is_root() {
        assert!(
            told.starts_with("etcd Version: 65534 ") && told.contains("denied"),
            "{told}"
        );
        assert!(!std::fs::exists(left.as_str()).unwrap());
    }
}

fn generation(bed: &Testbed, serial: u32, key: Content) -> (Generation, Push) {
    let cert = format!("certificate {serial}");
    let named = |name: &str, mode, bytes: &[u8], content| GenerationFile {
        name: name.to_owned(),
        mode,
        sha256: sha(bytes),
        content,
    };
    let set = Generation {
        dir: bed.path("pki"),
        readers: None,
        salt: String::new(),
        files: vec![
            named(
                "server.crt",
                0o644,
                cert.as_bytes(),
                Content::Plain(Bytes::from(cert.clone())),
            ),
            named("server.key", 0o600, b"key", key),
        ],
    };
    let push = Push {
        directories: vec![directory(bed.path("pki"))],
        generations: vec![set.clone()],
        ..Push::default()
    };
    (set, push)
}

#[tokio::test]
async fn a_generation_becomes_current_in_one_step_and_old_ones_go() {
    let bed = Testbed::new();
    let pki = bed.path("pki");
    bed.write(&pki.join("server.crt"), "somebody's own");
    let (_, push) = generation(&bed, 0, Content::secret(b"key".to_vec()));
    bed.host().push(&push, &quiet).await.unwrap();
    assert_eq!(bed.read(&pki.join(".server.crt.previous")), "somebody's own");

    let mut last = String::new();
    for serial in 1..=5 {
        // The key stays on the host and is carried over from there.
        let (set, push) = generation(&bed, serial, Content::Existing(pki.join("server.key")));
        bed.host().push(&push, &quiet).await.unwrap();
        last = set.name();
    }
    let current = std::fs::read_link(pki.join("current").as_str()).unwrap();
    assert_eq!(current.to_str(), Some(last.as_str()));
    assert_eq!(bed.read(&pki.join("server.crt")), "certificate 5");
    assert_eq!(bed.read(&pki.join("server.key")), "key");
    assert_eq!(mode_of(&pki.join("server.key")), 0o600);
    let names = bed.names(&pki);
    assert_eq!(
        names.iter().filter(|name| name.starts_with(".gen-")).count(),
        3,
        "{names:?}"
    );
    let manifest = bed.read(&pki.join(&last).join("MANIFEST"));
    assert!(
        manifest.contains(&format!("{}  server.key\n", sha(b"key"))),
        "{manifest}"
    );

    // The same once more changes nothing.
    let (_, push) = generation(&bed, 5, Content::Existing(pki.join("server.key")));
    bed.host().push(&push, &quiet).await.unwrap();
    assert_eq!(bed.names(&pki), names);
}

#[tokio::test]
async fn a_generation_whose_key_is_not_the_expected_one_never_becomes_current() {
    let bed = Testbed::new();
    let pki = bed.path("pki");
    let (first, push) = generation(&bed, 1, Content::secret(b"key".to_vec()));
    bed.host().push(&push, &quiet).await.unwrap();
    bed.write(&bed.path("other.key"), "another key");
    let (_, push) = generation(&bed, 2, Content::Existing(bed.path("other.key")));
    let error = bed.host().push(&push, &quiet).await.unwrap_err();
    assert!(error.to_string().contains("is not what was sent"), "{error}");
    let current = std::fs::read_link(pki.join("current").as_str()).unwrap();
    assert_eq!(current.to_str(), Some(first.name().as_str()));
    assert_eq!(bed.read(&pki.join("server.crt")), "certificate 1");
}

/// Members of one machine share the directory of releases: all of them put the same one there when a cluster begins.
#[tokio::test]
async fn members_of_one_machine_push_the_same_file_at_once() {
    let mut bed = Testbed::new();
    let contents = "etcd".repeat(100_000);
    let hosts = ["a", "b", "c"].map(|member| {
        bed.desired.paths.lock = bed.path(member);
        bed.host()
    });
    let push = Push {
        files: vec![file(bed.path("shared"), 0o755, contents.as_bytes())],
        ..Push::default()
    };
    for pushed in futures::future::join_all(hosts.iter().map(|host| host.push(&push, &quiet))).await {
        pushed.unwrap();
    }
    assert_eq!(bed.read(&bed.path("shared")), contents);
    assert_eq!(bed.names(&bed.root()), ["shared"]);
}

#[tokio::test]
async fn root_puts_nothing_into_a_directory_of_somebody_elses() {
    // Without root there is one account only.
    if !rustix::process::getuid().is_root() {
        return;
    }
    let bed = Testbed::new();
    let theirs = bed.path("theirs");
    let inside = theirs.join("inside");
    std::fs::create_dir_all(inside.as_str()).unwrap();
    let give = |path: &HostPath| std::os::unix::fs::chown(path.as_str(), Some(65534), Some(65534)).unwrap();
    give(&theirs);
    for path in [theirs.join("file"), inside.join("file")] {
        let push = Push {
            files: vec![file(path, 0o644, b"new")],
            ..Push::default()
        };
        let error = bed.host().push(&push, &quiet).await.unwrap_err();
        assert!(error.to_string().contains("theirs is not root's"), "{error}");
        assert!(error.hint().unwrap().contains("quorate up"), "{error:?}");
    }
    let (_, mut push) = generation(&bed, 0, Content::secret(b"key".to_vec()));
    push.directories.clear();
    push.generations[0].dir = theirs.clone();
    assert!(bed.host().push(&push, &quiet).await.is_err());
    assert_eq!(bed.names(&theirs), ["inside"]);

    // One that is to be root's becomes that first, and then holds what was put there; what they left in the way is taken
    // away as whom it belongs to.
    let staged = theirs.join(&format!(".file{}", bed.host().staging_suffix()));
    std::fs::create_dir_all(staged.join("full").as_str()).unwrap();
    give(&staged);
    give(&staged.join("full"));
    set_mode(&bed.root(), 0o755);
    let push = Push {
        directories: vec![Directory {
            mode: 0o755,
            owner: Some(Owner::Root),
            ..directory(theirs.clone())
        }],
        files: vec![file(theirs.join("file"), 0o644, b"new")],
        ..Push::default()
    };
    bed.host().push(&push, &quiet).await.unwrap();
    assert_eq!(bed.names(&theirs), ["file", "inside"]);
    assert_eq!(std::fs::metadata(theirs.as_str()).unwrap().uid(), 0);
}
