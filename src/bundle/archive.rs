//! Takes etcd's programs out of a tar stream that nobody vouches for.

use std::collections::BTreeSet;
use std::io::{self, Read};

use tar::EntryType;

use super::budget::Budget;
use super::digest::CopyError;
use super::manifest::Program;

/// Longest extension record (a long name, pax headers) that is read, bytes.
const LONGEST_EXTENSION: u64 = 64 * 1024;

/// Why an archive was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ArchiveError {
    /// Its first bytes are not those of the kind of archive it should be.
    #[error("it is not {expected}")]
    NotAnArchive { expected: &'static str },
    /// It ends early.
    #[error("it is truncated")]
    Truncated,
    /// Its compression or its headers are broken.
    #[error("it is corrupt: {why}")]
    Corrupt { why: String },
    /// An entry names an absolute path.
    #[error("it contains an absolute path: `{}`", entry.escape_debug())]
    AbsolutePath { entry: String },
    /// An entry climbs out of the archive.
    #[error("it contains a path with `..`: `{}`", entry.escape_debug())]
    ParentPath { entry: String },
    /// A program's name belongs to a link, a device or the like.
    #[error("`{}` in it is {kind}, not a file", entry.escape_debug())]
    NotAFile { entry: String, kind: &'static str },
    /// A program is in it more than once.
    #[error("it contains {program} more than once")]
    Duplicate { program: Program },
    /// It has more entries than any release.
    #[error("it has more than {limit} entries")]
    TooManyEntries { limit: u64 },
    /// A program is larger than any release's.
    #[error("{program} in it has {size} bytes; the limit is {limit}")]
    TooLarge { program: Program, size: u64, limit: u64 },
    /// It unpacks to far more than any release does.
    #[error("it is a decompression bomb: {packed} bytes became {unpacked} and there was more")]
    Bomb { packed: u64, unpacked: u64 },
    /// A Debian package without what dpkg puts in each.
    #[error("it has no {member}")]
    NoMember { member: &'static str },
    /// A Debian package packed in a way that is not known.
    #[error("its {member} is compressed in a way that quorate cannot read")]
    UnknownPacking { member: String },
}

/// What stopped the reading of an archive: the archive, or the place the programs were to go.
#[derive(Debug)]
pub(super) enum Stopped {
    Refused(ArchiveError),
    Sink(io::Error),
}

impl From<ArchiveError> for Stopped {
    fn from(error: ArchiveError) -> Self {
        Self::Refused(error)
    }
}

/// Receives each program that is found and says how many bytes it took.
pub(super) type Sink<'a> = dyn FnMut(Program, &mut dyn Read) -> Result<u64, CopyError> + 'a;

/// Reads the tar stream `tar` (already unpacked and counted by `budget`) to its end and hands the programs to `sink`.
///
/// `place` decides which entries are programs, from the parts of their path. Every path in the archive is checked,
/// also of entries that nobody wants: an archive that holds one hostile path is not etcd's.
pub(super) fn take_programs(
    tar: impl Read,
    budget: &Budget,
    place: fn(&[&str]) -> Option<Program>,
    sink: &mut Sink<'_>,
) -> Result<BTreeSet<Program>, Stopped> {
    let explain = |error: io::Error| budget.explain(&error);
    let mut archive = tar::Archive::new(tar);
    let mut found = BTreeSet::new();
    let mut long_name: Option<Vec<u8>> = None;
    let mut count = 0;
    // Raw: the crate would otherwise read long-name records of any size into memory.
    for entry in archive.entries().map_err(explain)?.raw(true) {
        let mut entry = entry.map_err(explain)?;
        count += 1;
        if count > budget.limits().entries {
            let limit = budget.limits().entries;
            return Err(ArchiveError::TooManyEntries { limit }.into());
        }
        let kind = entry.header().entry_type();
        if let EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader = kind {
            long_name = read_extension(&mut entry, kind).map_err(explain)?.or(long_name);
            continue;
        }
        let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let name = String::from_utf8_lossy(&name).into_owned();
        let Some(program) = place(&checked_parts(&name)?).filter(|_| !kind.is_dir()) else {
            continue;
        };
        if let Some(kind) = not_a_file(kind) {
            return Err(ArchiveError::NotAFile { entry: name, kind }.into());
        }
        if !found.insert(program) {
            return Err(ArchiveError::Duplicate { program }.into());
        }
        let (size, limit) = (entry.size(), budget.limits().program);
        if size > limit {
            return Err(ArchiveError::TooLarge { program, size, limit }.into());
        }
        let taken = sink(program, &mut entry).map_err(|error| match error {
            CopyError::Read(error) => Stopped::Refused(explain(error)),
            CopyError::Write(error) => Stopped::Sink(error),
        })?;
        if taken < size {
            return Err(ArchiveError::Truncated.into());
        }
    }
    // The checksum of the compression stands at the very end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(explain)?;
    Ok(found)
}

/// The name that a GNU long-name record or a pax header gives to the entry that follows it.
fn read_extension(entry: &mut impl Read, kind: EntryType) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    entry.take(LONGEST_EXTENSION + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST_EXTENSION {
        return Err(io::Error::other("a header record is too long"));
    }
    match kind {
        EntryType::GNULongName => {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            bytes.truncate(end);
            Ok(Some(bytes))
        }
        EntryType::XHeader => {
            for record in tar::PaxExtensions::new(&bytes) {
                let record = record?;
                if record.key_bytes() == b"path" {
                    return Ok(Some(record.value_bytes().to_vec()));
                }
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// The parts of an entry's path, without `.`; refuses paths that lead out of the archive.
fn checked_parts(name: &str) -> Result<Vec<&str>, ArchiveError> {
    if name.starts_with('/') {
        return Err(ArchiveError::AbsolutePath { entry: name.into() });
    }
    if name.split('/').any(|part| part == "..") {
        return Err(ArchiveError::ParentPath { entry: name.into() });
    }
    Ok(name.split('/').filter(|part| !matches!(*part, "" | ".")).collect())
}

fn not_a_file(kind: EntryType) -> Option<&'static str> {
    match kind {
        EntryType::Regular | EntryType::Continuous => None,
        EntryType::Symlink => Some("a symbolic link"),
        EntryType::Link => Some("a hard link"),
        EntryType::Char | EntryType::Block => Some("a device"),
        EntryType::Fifo => Some("a pipe"),
        _ => Some("a special entry"),
    }
}

/// Where upstream's tarballs have the programs: `etcd-vX.Y.Z-linux-ARCH/NAME`, or `NAME` in one packed by hand.
pub(super) fn in_tarball(parts: &[&str]) -> Option<Program> {
    match parts {
        [name] | [_, name] => Program::from_name(name),
        _ => None,
    }
}

/// Where Debian's packages have them.
pub(super) fn in_package(parts: &[&str]) -> Option<Program> {
    match parts {
        ["usr", "bin", name] | ["bin", name] => Program::from_name(name),
        _ => None,
    }
}
