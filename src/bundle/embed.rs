//! One executable of program and bundle: the program, padding to a page, the bundle, and a trailer that says where.
//!
//! `strip` and `objcopy` cut off whatever follows an ELF program, without a word. So the program holds a [`Mark`] which
//! embedding sets: a program that is marked and has no trailer has lost its bundle, and can say so.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::atomic::write_atomically;
use super::digest::{CopyError, Digest, Hashing, copy};
use super::error::BundleError;
use super::open::Bundle;
use super::section::Section;

/// The bundle begins on a page, so that it can be mapped.
pub(super) const PAGE: u64 = 4096;
/// The last eight bytes of an executable that carries a bundle.
const MAGIC: &[u8; 8] = b"QBUNDLE1";
/// Bytes of the trailer: offset, length (both little endian), SHA-256 of the bundle, magic.
const TRAILER: usize = 8 + 8 + 32 + 8;

/// Stands once in every quorate executable. Its alignment is what makes it quick to find.
#[repr(align(64))]
struct Mark([u8; 64]);

/// Last byte of the mark: `0` as built, `1` once a bundle was embedded.
const CARRIES: u8 = b'1';

#[used]
static MARK: Mark = Mark(*b"quorate: whether this executable was made with a bundle inside:0");

/// The mark of the running executable. `black_box` keeps the compiler from using what it knows of the constant: the
/// file may have been changed since, and a copy of the text in the code would be found as a second mark.
pub(super) fn own_mark() -> [u8; 64] {
    black_box(&MARK).0
}

/// Where the bundle is in an executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    pub offset: u64,
    pub length: u64,
    pub sha256: Digest,
}

impl Trailer {
    fn to_bytes(self) -> [u8; TRAILER] {
        let mut bytes = [0; TRAILER];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..48].copy_from_slice(self.sha256.as_bytes());
        bytes[48..].copy_from_slice(MAGIC);
        bytes
    }

    /// Reads the trailer at the end of a file of `length` bytes; `None` where there is none that fits.
    pub(super) fn read(file: &File, length: u64) -> io::Result<Option<Trailer>> {
        let Some(at) = length.checked_sub(TRAILER as u64) else {
            return Ok(None);
        };
        let mut bytes = [0; TRAILER];
        file.read_exact_at(&mut bytes, at)?;
        let (mut offset, mut size, mut sha256) = ([0; 8], [0; 8], [0; 32]);
        offset.copy_from_slice(&bytes[..8]);
        size.copy_from_slice(&bytes[8..16]);
        sha256.copy_from_slice(&bytes[16..48]);
        let trailer = Trailer {
            offset: u64::from_le_bytes(offset),
            length: u64::from_le_bytes(size),
            sha256: Digest::from_bytes(sha256),
        };
        let fits = trailer.offset.checked_add(trailer.length) == Some(at);
        Ok(Some(trailer).filter(|_| bytes[48..] == *MAGIC && fits))
    }
}

/// What an executable carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carried {
    Bundle(Trailer),
    Nothing,
    /// It was made with a bundle inside, which is gone.
    CutOff,
}

/// Looks at the end of any executable, and for its mark where no bundle is there.
pub(super) fn carried(file: &File) -> io::Result<Carried> {
    let length = file.metadata()?.len();
    Ok(match Trailer::read(file, length)? {
        Some(trailer) => Carried::Bundle(trailer),
        None if marks(file, length)?.iter().any(|mark| mark.carries) => Carried::CutOff,
        None => Carried::Nothing,
    })
}

/// The same for the running executable, whose mark need not be searched for.
pub(super) fn carried_by_ourselves(file: &File) -> io::Result<Carried> {
    let length = file.metadata()?.len();
    Ok(match Trailer::read(file, length)? {
        Some(trailer) => Carried::Bundle(trailer),
        None if own_mark()[63] == CARRIES => Carried::CutOff,
        None => Carried::Nothing,
    })
}

pub(super) struct FoundMark {
    /// Where its last byte is in the file.
    pub state: u64,
    carries: bool,
}

/// The marks in the first `length` bytes of an executable.
pub(super) fn marks(file: &File, length: u64) -> io::Result<Vec<FoundMark>> {
    let own = own_mark();
    let mut found = Vec::new();
    let mut chunk = vec![0; 256 * 1024];
    let mut at = 0;
    while at < length {
        let size = (length - at).min(chunk.len() as u64) as usize;
        file.read_exact_at(&mut chunk[..size], at)?;
        // A segment's place in the file and in memory agree up to whole pages: aligned there, aligned here.
        for (index, candidate) in chunk[..size].chunks_exact(own.len()).enumerate() {
            if candidate[..63] == own[..63] {
                found.push(FoundMark {
                    state: at + (index * own.len()) as u64 + 63,
                    carries: candidate[63] == CARRIES,
                });
            }
        }
        at += size as u64;
    }
    Ok(found)
}

/// Makes the executable `into` (mode 0755) of the quorate executable `program` and the bundle `bundle`. A bundle that
/// `program` carries already is replaced. Returns the new executable's bundle.
///
/// # Errors
/// `program` is not a quorate executable, the bundle is damaged, or `into` cannot be written.
pub fn embed(program: &Path, bundle: &Path, into: &Path) -> Result<Bundle, BundleError> {
    let bundle = Bundle::open(bundle)?;
    bundle.verify()?;

    let not_quorate = || BundleError::NotQuorate {
        path: program.to_owned(),
    };
    let file = File::open(program).map_err(BundleError::read(program))?;
    let length = file.metadata().map_err(BundleError::read(program))?.len();
    let earlier = Trailer::read(&file, length).map_err(BundleError::read(program))?;
    let end = earlier.map_or(length, |trailer| trailer.offset);
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 0).map_err(|_| not_quorate())?;
    let marks = marks(&file, end).map_err(BundleError::read(program))?;
    let ([mark], b"\x7fELF") = (marks.as_slice(), &magic) else {
        return Err(not_quorate());
    };

    let file = Arc::new(file);
    let part = |from, to| Section::new(Arc::clone(&file), from, to - from);
    let outcome = write_atomically(into, 0o755, |out| -> Result<(), CopyError> {
        copy(&mut part(0, mark.state), out)?;
        out.write_all(&[CARRIES])?;
        copy(&mut part(mark.state + 1, end), out)?;
        let offset = end.next_multiple_of(PAGE);
        copy(&mut io::repeat(0).take(offset - end), out)?;
        let mut payload = Hashing::new(bundle.whole());
        copy(&mut payload, out)?;
        let (_, sha256, length) = payload.finish();
        let trailer = Trailer { offset, length, sha256 };
        Ok(out.write_all(&trailer.to_bytes())?)
    });
    outcome.map_err(|error| match error {
        CopyError::Read(error) => BundleError::read(program)(error),
        CopyError::Write(error) => BundleError::write(into)(error),
    })?;
    Bundle::open(into)
}
