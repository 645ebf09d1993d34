//! Just enough of ELF and of Go's memory layout to read strings out of a program without running it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::inventory::Arch;

/// Largest writable segment that is looked through, bytes. etcd's has 0.6 MB.
const LARGEST_DATA: u64 = 64 << 20;
/// Longest string that is read, bytes. Go's module list of etcd has about 6 kB.
const LONGEST_STRING: u64 = 256 * 1024;
/// Marks Go's build information (`debug/buildinfo` in Go's library).
const BUILD_INFO: &[u8] = b"\xff Go buildinf:";

/// An ELF program of one of etcd's architectures.
pub(super) struct Elf<'a> {
    file: &'a File,
    big_endian: bool,
    pub arch: Arch,
    segments: Vec<Segment>,
}

/// A part of the file that is loaded into memory (PT_LOAD).
struct Segment {
    offset: u64,
    address: u64,
    size: u64,
    writable: bool,
}

impl<'a> Elf<'a> {
    /// Reads the headers; the error is the rest of a sentence that begins with the program.
    pub(super) fn read(file: &'a File) -> Result<Elf<'a>, String> {
        let mut header = [0; 64];
        file.read_exact_at(&mut header, 0)
            .map_err(|_| "it is not an ELF program")?;
        if !header.starts_with(b"\x7fELF") {
            return Err("it is not an ELF program".into());
        }
        // e_ident: 2 = 64 bits; 1 = little, 2 = big endian
        let big_endian = header[5] == 2;
        let number = |at: usize, length: usize| number(&header[at..at + length], big_endian);
        let arch = match (header[4], big_endian, number(18, 2)) {
            (2, false, 62) => Arch::Amd64,
            (2, false, 183) => Arch::Arm64,
            (2, false, 21) => Arch::Ppc64le,
            (2, true, 22) => Arch::S390x,
            (_, _, machine) => {
                return Err(format!(
                    "it is built for an architecture that quorate does not support (ELF machine {machine})"
                ));
            }
        };
        let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
        let mut segments = Vec::new();
        for index in 0..count {
            let mut entry = [0; 56];
            let at = table.saturating_add(index * size);
            file.read_exact_at(&mut entry, at)
                .map_err(|_| "its ELF headers are broken")?;
            let number = |at: usize, length: usize| self::number(&entry[at..at + length], big_endian);
            const PT_LOAD: u64 = 1;
            const PF_W: u64 = 2;
            if number(0, 4) == PT_LOAD {
                segments.push(Segment {
                    offset: number(8, 8),
                    address: number(16, 8),
                    size: number(32, 8),
                    writable: number(4, 4) & PF_W != 0,
                });
            }
        }
        Ok(Elf {
            file,
            big_endian,
            arch,
            segments,
        })
    }

    /// What the file holds for `length` bytes at `address`; `None` where it holds nothing.
    fn memory(&self, address: u64, length: u64) -> Option<Vec<u8>> {
        let inside = |s: &&Segment| {
            let end = address.checked_add(length);
            address >= s.address && end.is_some_and(|end| end - s.address <= s.size)
        };
        let segment = self.segments.iter().find(inside)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        let at = segment.offset.checked_add(address - segment.address)?;
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    /// The variables of the program, as they are before it starts: its writable segments.
    fn variables(&self) -> Result<Vec<Vec<u8>>, String> {
        let read = |s: &Segment| -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; s.size as usize];
            self.file.read_exact_at(&mut bytes, s.offset)?;
            Ok(bytes)
        };
        let segments = self.segments.iter().filter(|s| s.writable);
        if segments.clone().any(|s| s.size > LARGEST_DATA) {
            return Err("its variables take more room than those of any etcd".into());
        }
        segments
            .map(|s| read(s).map_err(|_| "it is truncated".to_owned()))
            .collect()
    }

    fn word(&self, bytes: &[u8]) -> u64 {
        number(bytes, self.big_endian)
    }

    /// Follows a Go string header (address, length) of 16 bytes.
    fn string(&self, header: &[u8]) -> Option<Vec<u8>> {
        let (address, length) = (self.word(header.get(..8)?), self.word(header.get(8..16)?));
        self.memory(address, Some(length).filter(|l| (1..=LONGEST_STRING).contains(l))?)
    }

    /// Every string variable whose initial value has a length in `lengths` and satisfies `wanted`, in memory order.
    pub(super) fn string_variables(
        &self,
        lengths: std::ops::RangeInclusive<u64>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        for bytes in self.variables()? {
            // Go aligns variables that hold pointers to eight bytes.
            for at in (0..bytes.len().saturating_sub(15)).step_by(8) {
                let header = &bytes[at..at + 16];
                if !lengths.contains(&self.word(&header[8..])) {
                    continue;
                }
                let text = self.string(header).and_then(|text| String::from_utf8(text).ok());
                found.extend(text.filter(|text| wanted(text)));
            }
        }
        Ok(found)
    }

    /// What Go's linker wrote about the build.
    pub(super) fn build(&self) -> Result<Option<Build>, String> {
        for bytes in self.variables()? {
            let mut starts = (0..bytes.len()).step_by(8);
            let Some(start) = starts.find(|at| bytes[*at..].starts_with(BUILD_INFO)) else {
                continue;
            };
            let info = &bytes[start..];
            // Byte 15 is a set of flags; 2: two strings with their lengths follow (Go 1.18), else two pointers to them.
            let strings = if info.get(15).is_some_and(|flags| flags & 2 != 0) {
                inline_strings(info).map(|(version, modules)| (version.to_vec(), modules.to_vec()))
            } else {
                let pointed = |at: usize| {
                    let address = info.get(at..at + 8).map(|bytes| self.word(bytes))?;
                    self.string(&self.memory(address, 16)?)
                };
                pointed(24).map(|modules| (pointed(16).unwrap_or_default(), modules))
            };
            // The list stands between two marks of 16 bytes.
            return Ok(strings.and_then(|(version, modules)| {
                let list = modules.get(16..modules.len().checked_sub(16)?)?;
                Some(Build {
                    go: String::from_utf8_lossy(&version).into_owned(),
                    modules: String::from_utf8_lossy(list).into_owned(),
                })
            }));
        }
        Ok(None)
    }
}

/// What Go's linker wrote about the build of a program.
pub(super) struct Build {
    /// Go's version, as in `go1.24.5`.
    pub go: String,
    /// Lines of `path`, `mod`, `dep`, `=>` and `build`, with tabs between their fields.
    pub modules: String,
}

/// The Go version and the module list, each with its length before it.
fn inline_strings(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let (version, rest) = counted(info.get(32..)?)?;
    let (modules, _) = counted(rest)?;
    Some((version, modules))
}

/// Splits off a string that has its length before it, as a varint.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes.get(index + 1..)?.split_at_checked(length);
        }
    }
    None
}

fn number(bytes: &[u8], big_endian: bool) -> u64 {
    let push = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    if big_endian {
        bytes.iter().fold(0, push)
    } else {
        bytes.iter().rev().fold(0, push)
    }
}
