//! How programs are packed, in a bundle and on the wire.

use std::io::{self, Read, Write};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

use super::digest::{CopyError, copy};

/// Level 6: level 9 saves one percent on etcd and takes twice the time.
const GZIP_LEVEL: u32 = 6;
/// Level 9: level 12 saves one percent on etcd and takes twice the time, level 19 a tenth and 25 times as long.
const ZSTD_LEVEL: i32 = 9;
/// Largest window that is unpacked, as a power of two (128 MiB): what `zstd -d` takes unasked.
const ZSTD_WINDOW: u32 = 27;

/// A way to pack a program. A bundle has every program in each: hosts differ in what they can unpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Packing {
    /// Unpacked five times as fast as gzip, and a tenth smaller.
    Zstd,
    /// For hosts that have nothing better.
    Gzip,
}

impl Packing {
    /// All of them, in the order in which they lie in a bundle.
    pub(super) const ALL: [Packing; 2] = [Packing::Zstd, Packing::Gzip];

    pub(super) fn extension(self) -> &'static str {
        match self {
            Packing::Zstd => "zst",
            Packing::Gzip => "gz",
        }
    }

    /// Packs all of `from`; the same bytes give the same bytes.
    pub(super) fn pack<W: Write>(self, from: &mut impl Read, to: W) -> Result<W, CopyError> {
        match self {
            Packing::Zstd => {
                let mut zstd = zstd::stream::write::Encoder::new(to, ZSTD_LEVEL)?;
                copy(from, &mut zstd)?;
                Ok(zstd.finish()?)
            }
            Packing::Gzip => {
                // No name and no time in the header.
                let mut gzip = GzBuilder::new().write(to, Compression::new(GZIP_LEVEL));
                copy(from, &mut gzip)?;
                Ok(gzip.finish()?)
            }
        }
    }

    /// What was packed. Whoever reads it decides how much is enough: a few bytes may hold gigabytes.
    pub(super) fn unpack<'a>(self, from: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Packing::Zstd => {
                let mut zstd = zstd::stream::read::Decoder::new(from)?;
                zstd.window_log_max(ZSTD_WINDOW)?;
                Box::new(zstd)
            }
            Packing::Gzip => Box::new(GzDecoder::new(from)),
        })
    }
}
