//! Small stand-ins for what operators have: programs, tarballs, packages, executables.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::bundle::embed::own_mark;
use crate::bundle::{Bundle, BundleError, CreateOptions, Created, Program, create};
use crate::inventory::{Arch, Version};

pub(super) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A program with the ELF headers, build information and string variables of an etcd that Go built.
pub(super) fn program(program: Program, version: &str, arch: Arch) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let (machine, big_endian) = match arch {
        Arch::Amd64 => (62_u16, false),
        Arch::Arm64 => (183, false),
        Arch::Ppc64le => (21, false),
        Arch::S390x => (22, true),
    };
    let word = |n: u64| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let half = |n: u32| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let short = |n: u16| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };

    let mut elf = b"\x7fELF\x02".to_vec();
    elf.extend([if big_endian { 2 } else { 1 }, 1]);
    elf.resize(16, 0);
    elf.extend(short(2)); // an executable
    elf.extend(short(machine));
    elf.extend(half(1));
    elf.extend([word(0), word(64), word(0)].concat()); // entry, program headers, section headers
    elf.extend(half(0));
    elf.extend([64, 56, 1, 0, 0, 0].map(short).concat());
    // One segment, readable and writable, of the whole file; its size is known at the end.
    elf.extend([half(1), half(6)].concat());
    elf.extend([word(0), word(BASE), word(BASE)].concat());
    let sizes = elf.len();
    elf.extend([word(0), word(0), word(4096)].concat());

    // Two string variables: MinClusterVersion and Version.
    let texts = elf.len() as u64 + 32;
    elf.extend(
        [
            word(BASE + texts),
            word(5),
            word(BASE + texts + 5),
            word(version.len() as u64),
        ]
        .concat(),
    );
    elf.extend(b"3.0.0");
    elf.extend(version.as_bytes());
    elf.resize(elf.len().next_multiple_of(16), 0);

    let path = match program {
        Program::Etcd => "server".to_owned(),
        other => other.to_string(),
    };
    let modules = format!("0123456789abcdefpath\tgo.etcd.io/etcd/{path}/v3\nfedcba9876543210");
    elf.extend(b"\xff Go buildinf:\x08\x02");
    elf.resize(elf.len() + 16, 0);
    elf.extend(b"\x08go1.24.0");
    elf.extend([modules.len() as u8]);
    elf.extend(modules.as_bytes());
    // Something for the compression to do, different for each program.
    let line = format!("{program} {version} {arch}\n");
    elf.extend(line.repeat(200).as_bytes());

    let size = word(elf.len() as u64);
    elf[sizes..sizes + 8].copy_from_slice(&size);
    elf[sizes + 8..sizes + 16].copy_from_slice(&size);
    elf
}

/// A directory that holds a whole release.
pub(super) fn release_directory(place: &Path, text: &str, arch: Arch) -> PathBuf {
    let directory = place.join(format!("release-{text}-{arch}"));
    fs::create_dir(&directory).unwrap();
    for name in Program::required(version(text)) {
        fs::write(directory.join(name.as_str()), program(*name, text, arch)).unwrap();
    }
    directory
}

/// An upstream tarball of a whole release.
pub(super) fn release_tarball(place: &Path, text: &str, arch: Arch) -> PathBuf {
    let top = format!("etcd-v{text}-linux-{arch}");
    let mut tar = Tar::default();
    tar.add(b'5', &format!("{top}/"), b"");
    tar.add(b'0', &format!("{top}/README.md"), b"read me");
    tar.add(b'5', &format!("{top}/Documentation/etcd/"), b"");
    for name in Program::required(version(text)) {
        tar.add(b'0', &format!("{top}/{name}"), &program(*name, text, arch));
    }
    let path = place.join(format!("{top}.tar.gz"));
    fs::write(&path, gzip(&tar.finish())).unwrap();
    path
}

/// A tar that is put together byte by byte, so that it can hold what honest tools refuse to write.
#[derive(Default)]
pub(super) struct Tar(Vec<u8>);

impl Tar {
    pub(super) fn add(&mut self, kind: u8, name: &str, content: &[u8]) {
        self.add_header(kind, name, content.len() as u64);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    pub(super) fn add_header(&mut self, kind: u8, name: &str, size: u64) {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[156] = kind;
        header.set_mode(0o755);
        header.set_size(size);
        header.set_cksum();
        self.0.extend(header.as_bytes());
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    /// Without the two blocks that end a tar.
    pub(super) fn unfinished(self) -> Vec<u8> {
        self.0
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An `ar` archive of these members.
pub(super) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        archive.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "100644").as_bytes());
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    archive
}

/// A Debian package that holds these programs.
pub(super) fn package(programs: &[Program], version: &str, arch: Arch) -> Vec<u8> {
    let data = gzip(&package_data(programs, version, arch));
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", b"odd"),
        ("data.tar.gz", &data),
    ])
}

/// Its `data.tar`.
pub(super) fn package_data(programs: &[Program], version: &str, arch: Arch) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.add(b'5', "./usr/bin/", b"");
    tar.add(b'0', "./usr/share/bash-completion/completions/etcdctl", b"# completion");
    tar.add(b'2', "./usr/share/man/man1/etcd.1.gz", b"");
    for name in programs {
        tar.add(b'0', &format!("./usr/bin/{name}"), &program(*name, version, arch));
    }
    tar.finish()
}

/// A Zstandard frame of one uncompressed block (RFC 8878): enough to see that the decoder is wired up.
pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128 << 10, "larger than one block can be");
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((bytes.len() as u32).to_le_bytes());
    frame.extend(&(((bytes.len() as u32) << 3) | 1).to_le_bytes()[..3]);
    frame.extend(bytes);
    frame
}

/// A place for files, and what becomes of a source that lies in it.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(super) fn out(&self) -> PathBuf {
        self.path().join("etcd.qbundle")
    }

    /// `create` from these.
    pub(super) fn create(&self, sources: &[PathBuf]) -> Result<Created, BundleError> {
        create(&self.out(), sources, CreateOptions::default())
    }

    /// What is left in the place, by name.
    pub(super) fn listing(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A bundle of 3.4.23 for amd64 and 3.5.30 for amd64 and arm64.
    pub(super) fn bundle(&self) -> Bundle {
        let sources = [
            release_directory(self.path(), "3.5.30", Arch::Arm64),
            release_directory(self.path(), "3.5.30", Arch::Amd64),
            release_directory(self.path(), "3.4.23", Arch::Amd64),
        ];
        self.create(&sources).unwrap();
        Bundle::open(&self.out()).unwrap()
    }

    /// A stand-in for a quorate executable.
    pub(super) fn quorate(&self, name: &str) -> PathBuf {
        let mut elf = program(Program::Etcd, "3.5.30", Arch::Amd64);
        elf.resize(elf.len().next_multiple_of(64), 0);
        elf.extend(own_mark());
        elf.extend(b"the rest of the program");
        self.file(name, &elf)
    }
}
