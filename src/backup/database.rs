//! What a bbolt database says of itself in its first pages: enough to tell one from anything else, and a whole one from
//! one that was cut off.
//!
//! Layout (bbolt `page.go`, `db.go`): two meta pages at 0 and at the page size, each a page header of 16 bytes and then
//! magic, version, page size, flags (4 bytes each), root bucket (16), freelist, high-water mark, transaction (8 each)
//! and FNV-1a over all of that, in the byte order of the machine: little-endian on all but s390x.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const PAGE_HEADER: usize = 16;
/// Bytes of the meta before its checksum.
const SUMMED: usize = 56;
const META: usize = PAGE_HEADER + SUMMED + 8;
/// Page sizes that Go uses on the machines etcd runs on.
const PAGE_SIZES: [u64; 3] = [4096, 16 * 1024, 64 * 1024];

/// The length in bytes that a database must have at least, by the newest meta page that is intact; `None` when the file
/// is no bbolt database.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn needed_length(file: &File, length: u64) -> io::Result<Option<u64>> {
    let mut newest: Option<(u64, u64)> = None;
    for at in [0].into_iter().chain(PAGE_SIZES) {
        if at + META as u64 > length {
            continue;
        }
        let mut page = [0; META];
        file.read_exact_at(&mut page, at)?;
        if let Some((transaction, needed)) = meta(&page)
            && newest.is_none_or(|(seen, _)| transaction > seen)
        {
            newest = Some((transaction, needed));
        }
    }
    Ok(newest.map(|(_, needed)| needed))
}

/// Transaction and needed length of an intact meta page.
fn meta(page: &[u8; META]) -> Option<(u64, u64)> {
    let meta = &page[PAGE_HEADER..];
    let u32_at = |at: usize| Some(u32::from_le_bytes(meta.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(meta.get(at..at + 8)?.try_into().ok()?));
    if u32_at(0)? != MAGIC || u32_at(4)? != VERSION || u64_at(SUMMED)? != fnv1a(&meta[..SUMMED]) {
        return None;
    }
    let page_size = u64::from(u32_at(8)?);
    Some((u64_at(48)?, u64_at(40)?.checked_mul(page_size)?))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
