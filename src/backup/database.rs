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

/// What the meta pages of a database tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// The length in bytes that it must have at least, by the newest meta page that is intact.
    pub needed: u64,
    /// It was written in one go, as a snapshot is (bbolt `Tx.WriteTo`): the second meta page repeats the first with the
    /// transaction before it. A database that is written to has the state before its last write there.
    pub copied: bool,
}

struct Meta {
    transaction: u64,
    needed: u64,
    /// Everything but the transaction and the checksum.
    rest: Vec<u8>,
}

/// What a file tells of itself; `None` when it is no bbolt database.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn shape(file: &File, length: u64) -> io::Result<Option<Shape>> {
    let mut found: Vec<(u64, Meta)> = Vec::new();
    for at in [0].into_iter().chain(PAGE_SIZES) {
        if at + META as u64 > length {
            continue;
        }
        let mut page = [0; META];
        file.read_exact_at(&mut page, at)?;
        found.extend(meta(&page).map(|meta| (at, meta)));
    }
    let newest = found.iter().map(|(_, meta)| meta).max_by_key(|meta| meta.transaction);
    let copied = match found.as_slice() {
        [(0, first), (_, second)] => first.transaction == second.transaction + 1 && first.rest == second.rest,
        _ => false,
    };
    Ok(newest.map(|meta| Shape {
        needed: meta.needed,
        copied,
    }))
}

/// An intact meta page.
fn meta(page: &[u8; META]) -> Option<Meta> {
    let meta = &page[PAGE_HEADER..];
    let u32_at = |at: usize| Some(u32::from_le_bytes(meta.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(meta.get(at..at + 8)?.try_into().ok()?));
    if u32_at(0)? != MAGIC || u32_at(4)? != VERSION || u64_at(SUMMED)? != fnv1a(&meta[..SUMMED]) {
        return None;
    }
    let page_size = u64::from(u32_at(8)?);
    Some(Meta {
        transaction: u64_at(48)?,
        needed: u64_at(40)?.checked_mul(page_size)?,
        rest: meta.get(..48)?.to_vec(),
    })
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
