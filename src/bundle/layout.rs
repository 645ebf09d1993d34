//! Where everything stands in a bundle. The layout follows from the manifest alone, so a reader can hold a file against
//! it header by header, and nothing can hide between the entries.

use tar::{EntryType, Header};

use super::manifest::{Manifest, PackedFile, Program, ProgramFile};
use super::packing::Packing;
use crate::inventory::{Arch, Version};

/// Name of the first entry.
pub(super) const MANIFEST: &str = "manifest.json";
/// The unit of tar.
pub(super) const BLOCK: u64 = 512;
/// Two empty blocks end a tar.
pub(super) const END: u64 = 2 * BLOCK;

/// The place of one program in one packing.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub version: Version,
    pub arch: Arch,
    pub program: Program,
    pub packing: Packing,
    /// Where its header begins, bytes from the start of the bundle.
    pub header: u64,
    /// Bytes of its content.
    pub size: u64,
}

impl Place {
    /// `3.5.30/amd64/etcd.gz`.
    pub(super) fn name(&self) -> String {
        let extension = self.packing.extension();
        format!("{}/{}/{}.{extension}", self.version, self.arch, self.program)
    }

    /// Where its content begins.
    pub(super) fn content(&self) -> u64 {
        self.header + BLOCK
    }
}

/// The places of all programs, in order, and the length of the whole bundle.
pub(super) fn places(manifest: &Manifest, manifest_size: u64) -> (Vec<Place>, u64) {
    let mut at = BLOCK + manifest_size.next_multiple_of(BLOCK);
    let mut places = Vec::new();
    for release in &manifest.releases {
        let packed =
            |(program, file)| Packing::ALL.map(|packing| (program, packing, ProgramFile::packed(file, packing)));
        for (program, packing, PackedFile { size, .. }) in release.files.iter().flat_map(packed) {
            places.push(Place {
                version: release.version,
                arch: release.arch,
                program: *program,
                packing,
                header: at,
                size,
            });
            at += BLOCK + size.next_multiple_of(BLOCK);
        }
    }
    (places, at + END)
}

/// The one header that an entry of this name and size can have.
pub(super) fn header(name: &str, size: u64) -> [u8; BLOCK as usize] {
    let mut header = Header::new_ustar();
    let ustar = header.as_mut_bytes();
    ustar[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    *header.as_bytes()
}

/// Zeros from the end of `size` bytes of content to the next block.
pub(super) fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
    let missing = size.next_multiple_of(BLOCK) - size;
    &ZEROS[..missing as usize]
}
