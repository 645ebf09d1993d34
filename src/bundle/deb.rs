//! Debian packages: an `ar` archive with a `data.tar` in it. Source: deb(5).

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::archive::{ArchiveError, Sink, Stopped, in_package, take_programs};
use super::budget::Budget;
use super::manifest::Program;

/// First bytes of every `ar` archive.
pub(super) const MAGIC: &[u8] = b"!<arch>\n";
/// Memory a decoder may take for its window; dpkg's strongest level needs 64 MiB, its default 8.
const LARGEST_WINDOW: u32 = 65 << 20;

/// Reads the package and hands its programs to `sink`.
pub(super) fn take_from_package(
    mut package: impl Read,
    budget: &Rc<Budget>,
    sink: &mut Sink<'_>,
) -> Result<BTreeSet<Program>, Stopped> {
    let explain = |error: io::Error| budget.explain(&error);
    let mut magic = [0; MAGIC.len()];
    package.read_exact(&mut magic).map_err(explain)?;
    if magic != *MAGIC {
        let expected = "a Debian package";
        return Err(ArchiveError::NotAnArchive { expected }.into());
    }
    while let Some(member) = next_member(&mut package).map_err(explain)? {
        if member.name.starts_with("data.tar") {
            let data = budget.packed((&mut package).take(member.size));
            return unpack(data, &member.name, budget, sink);
        }
        let padded = member.size.next_multiple_of(2);
        let skipped = io::copy(&mut (&mut package).take(padded), &mut io::sink()).map_err(explain)?;
        if skipped < member.size {
            return Err(ArchiveError::Truncated.into());
        }
    }
    Err(ArchiveError::NoMember { member: "data.tar" }.into())
}

fn unpack(data: impl Read, name: &str, budget: &Rc<Budget>, sink: &mut Sink<'_>) -> Result<BTreeSet<Program>, Stopped> {
    match name {
        "data.tar" => take_programs(budget.unpacked(data), budget, in_package, sink),
        "data.tar.gz" => take_programs(budget.unpacked(MultiGzDecoder::new(data)), budget, in_package, sink),
        "data.tar.xz" => {
            let xz = lzma_rust2::XzReader::new_mem_limit(io::BufReader::new(data), true, LARGEST_WINDOW / 1024);
            take_programs(budget.unpacked(xz), budget, in_package, sink)
        }
        "data.tar.zst" => {
            let corrupt = |error: io::Error| ArchiveError::Corrupt { why: error.to_string() };
            let mut zstd = zstd::stream::read::Decoder::new(data).map_err(corrupt)?;
            zstd.window_log_max(LARGEST_WINDOW.ilog2()).map_err(corrupt)?;
            take_programs(budget.unpacked(zstd), budget, in_package, sink)
        }
        other => Err(ArchiveError::UnknownPacking {
            member: other.to_owned(),
        }
        .into()),
    }
}

struct Member {
    name: String,
    size: u64,
}

/// The next member's header, or `None` at the end of the archive.
fn next_member(package: &mut impl Read) -> io::Result<Option<Member>> {
    let mut header = Vec::with_capacity(60);
    package.take(60).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(None);
    }
    if header.len() < 60 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // name[16] mtime[12] uid[6] gid[6] mode[8] size[10] end[2], all text padded with spaces
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let name = text(&header[..16]);
    let size = text(&header[48..58]).parse().ok();
    match size.filter(|_| &header[58..] == b"`\n") {
        Some(size) => Ok(Some(Member {
            name: name.trim_end_matches('/').to_owned(),
            size,
        })),
        None => Err(io::Error::other("the header of an ar member is broken")),
    }
}
