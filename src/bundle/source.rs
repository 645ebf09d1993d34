//! What `bundle create` takes: upstream tarballs, directories and Debian packages, unpacked into a work directory.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::archive::{ArchiveError, Sink, Stopped, in_tarball, take_programs};
use super::atomic::directory_of;
use super::budget::{Budget, Limits};
use super::deb;
use super::digest::{CopyError, Digest, Hashing, copy};
use super::error::BundleError;
use super::manifest::Program;

/// A program as it came out of a source.
#[derive(Debug, Clone)]
pub(super) struct Unpacked {
    pub program: Program,
    /// Where it lies in the work directory.
    pub path: PathBuf,
    pub size: u64,
    pub sha256: Digest,
}

/// One source, read.
#[derive(Debug)]
pub(super) struct Source {
    /// Its file name, for people.
    pub name: String,
    pub path: PathBuf,
    pub programs: Vec<Unpacked>,
    /// What the operator should know about it.
    pub note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tarball,
    Directory,
    Package,
}

/// Unpacks `path` into `work`, a directory that nothing else uses.
pub(super) fn read(path: &Path, work: &Path) -> Result<Source, BundleError> {
    let kind = kind_of(path)?;
    let mut programs = Vec::new();
    let mut sink = |program: Program, from: &mut dyn Read| -> Result<u64, CopyError> {
        let to = work.join(program.as_str());
        let mut file = Hashing::new(create_program(&to).map_err(CopyError::Write)?);
        copy(from, &mut file)?;
        let (_, sha256, size) = file.finish();
        programs.push(Unpacked {
            program,
            path: to,
            size,
            sha256,
        });
        Ok(size)
    };
    let note = match kind {
        Kind::Directory => read_directory(path, work, &mut sink).map(|()| None)?,
        Kind::Tarball | Kind::Package => {
            let found = read_archive(path, kind, work, &mut sink)?;
            compare_with_sums(path, kind, found)?
        }
    };
    if programs.is_empty() {
        return Err(BundleError::NoPrograms { path: path.to_owned() });
    }
    programs.sort_by_key(|unpacked| unpacked.program);
    let name = path.canonicalize().map_err(BundleError::read(path))?;
    let name = name.file_name().unwrap_or(name.as_os_str()).to_string_lossy();
    Ok(Source {
        // Part of the manifest, which takes no control characters.
        name: name.chars().filter(|c| !c.is_control()).collect(),
        path: path.to_owned(),
        programs,
        note,
    })
}

fn create_program(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Judges by the first bytes, not by the name.
fn kind_of(path: &Path) -> Result<Kind, BundleError> {
    let unknown = |what| BundleError::UnknownSource {
        path: path.to_owned(),
        what,
    };
    let file = File::open(path).map_err(BundleError::read(path))?;
    if file.metadata().map_err(BundleError::read(path))?.is_dir() {
        return Ok(Kind::Directory);
    }
    let mut head = Vec::new();
    file.take(512).read_to_end(&mut head).map_err(BundleError::read(path))?;
    match head.as_slice() {
        [] => Err(unknown("empty")),
        [0x1f, 0x8b, ..] => Ok(Kind::Tarball),
        head if head.starts_with(deb::MAGIC) => Ok(Kind::Package),
        head if head.starts_with(b"PK\x03\x04") => Err(unknown("a zip file; etcd for Linux comes as .tar.gz")),
        head if head.starts_with(b"\x7fELF") => Err(unknown("a program; name the directory that holds it")),
        head if head.starts_with(b"manifest.json\0") => Err(unknown("a bundle already")),
        _ => Err(unknown("neither a .tar.gz, nor a .deb, nor a directory")),
    }
}

fn read_directory(path: &Path, work: &Path, sink: &mut Sink<'_>) -> Result<(), BundleError> {
    for program in Program::ALL {
        let from = path.join(program.as_str());
        let mut file = match File::open(&from) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(BundleError::read(&from)(error)),
        };
        let metadata = file.metadata().map_err(BundleError::read(&from))?;
        if !metadata.is_file() {
            let what = "not a regular file";
            return Err(BundleError::UnknownSource { path: from, what });
        }
        let limit = Limits::default().program;
        if metadata.len() > limit {
            let size = metadata.len();
            let source = ArchiveError::TooLarge { program, size, limit };
            return Err(BundleError::Archive { path: from, source });
        }
        sink(program, &mut file).map_err(|error| match error {
            CopyError::Read(error) => BundleError::read(&from)(error),
            CopyError::Write(error) => BundleError::write(work)(error),
        })?;
    }
    Ok(())
}

/// Reads an archive in one pass and returns the digest of the archive itself.
fn read_archive(path: &Path, kind: Kind, work: &Path, sink: &mut Sink<'_>) -> Result<Digest, BundleError> {
    let mut file = Hashing::new(File::open(path).map_err(BundleError::read(path))?);
    let budget = Budget::new(Limits::default());
    let outcome = match kind {
        Kind::Package => deb::take_from_package(&mut file, &budget, sink),
        _ => {
            let unpacked = budget.unpacked(MultiGzDecoder::new(io::BufReader::new(budget.packed(&mut file))));
            take_programs(unpacked, &budget, in_tarball, sink)
        }
    };
    match outcome {
        Ok(_) => {}
        Err(Stopped::Sink(error)) => return Err(BundleError::write(work)(error)),
        Err(Stopped::Refused(source)) => {
            let path = path.to_owned();
            return Err(BundleError::Archive { path, source });
        }
    }
    io::copy(&mut file, &mut io::sink()).map_err(BundleError::read(path))?;
    Ok(file.finish().1)
}

/// Compares with `SHA256SUMS` beside the file, as upstream publishes it. Returns a note when there is nothing to
/// compare with.
fn compare_with_sums(path: &Path, kind: Kind, found: Digest) -> Result<Option<String>, BundleError> {
    let sums = directory_of(path).join("SHA256SUMS");
    let text = match fs::read_to_string(&sums) {
        Ok(text) => text,
        // apt has compared a package with the archive's signed list already.
        Err(error) if error.kind() == io::ErrorKind::NotFound && kind == Kind::Package => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = path.display();
            return Ok(Some(format!(
                "{path}: no SHA256SUMS beside it, so its origin was not checked"
            )));
        }
        Err(error) => return Err(BundleError::read(&sums)(error)),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let broken = || BundleError::Sums {
            path: sums.clone(),
            line: number + 1,
        };
        // `HASH  NAME`, or `HASH *NAME` for a file read in binary mode (sha256sum(1)).
        let (sum, listed) = line.split_once(' ').ok_or_else(broken)?;
        let expected: Digest = sum.parse().map_err(|_| broken())?;
        if listed.trim_start_matches([' ', '*']) != name {
            continue;
        }
        if expected != found {
            return Err(BundleError::SumMismatch {
                path: path.to_owned(),
                expected,
                found,
            });
        }
        return Ok(None);
    }
    Ok(Some(format!(
        "{}: SHA256SUMS beside it does not list it, so its origin was not checked",
        path.display()
    )))
}
