//! Packing, checking, opening and embedding etcd releases.
//!
//! A *bundle* (`NAME.qbundle`) is a plain tar with nothing left to chance: sorted entries, no times, no owners, so that
//! the same releases give the same bytes. Its first entry is `manifest.json` ([`Manifest`]); then comes
//! `VERSION/ARCH/NAME.zst` and `NAME.gz` for every program. Programs are packed once, when the bundle is made; a push
//! sends those bytes as they are, and the host unpacks them with the better of the tools it has (decision 0004).
//!
//! | to | call |
//! |---|---|
//! | make one | [`create()`] |
//! | get the one to use | [`Bundle::find`], [`Bundle::open`], [`Bundle::embedded`] |
//! | push a program | [`Bundle::open_packed`], [`Bundle::open_program`] |
//! | run a program here | [`Bundle::extract`] |
//! | check every byte | [`Bundle::verify`] |
//! | list what is inside its programs | [`Bundle::sbom`] |
//! | check who made it | [`signature`], [`AllowedSigners`] |
//! | make one executable of program and bundle | [`embed()`] |
//! | take the program without its bundle | [`Alone::read`] |
//! | judge a release | [`known_bad()`], [`entry()`], [`advice()`] |

mod allowed_signers;
mod alone;
mod archive;
mod atomic;
mod budget;
mod create;
mod deb;
mod digest;
mod elf;
mod embed;
mod error;
mod find;
mod identify;
mod known_bad;
mod layout;
mod manifest;
mod open;
mod packing;
mod sbom;
mod section;
pub mod signature;
mod source;
mod verify;

#[cfg(test)]
mod tests;

pub use allowed_signers::{AllowedSigners, BadLine, Stranger};
pub use alone::Alone;
pub use archive::ArchiveError;
pub use create::{CreateOptions, Created, Progress, create};
pub use digest::Digest;
pub use embed::embed;
pub use error::BundleError;
pub use find::Found;
pub use known_bad::{Entry, KnownBad, USUAL, advice, before_the_next_minor, entry, gets_fixes, known_bad, upgrade};
pub use manifest::{Manifest, PackedFile, Program, ProgramFile, Release};
pub use open::Bundle;
pub use packing::Packing;
pub use verify::VerifyReport;

/// The sources of a bundle, for `crate::fuzz`: an archive, a Debian package, a program.
#[cfg(any(test, feature = "lab"))]
pub(crate) fn fuzz_sources(path: &std::path::Path) {
    let limits = || budget::Limits {
        entries: 64,
        ..budget::Limits::default()
    };
    let open = || std::fs::File::open(path);
    let mut sink = |_: Program, from: &mut dyn std::io::Read| -> Result<u64, digest::CopyError> {
        // A copy that fails is the archive's own business.
        Ok(std::io::copy(&mut std::io::Read::take(from, 1 << 20), &mut std::io::sink()).unwrap_or_default())
    };
    if let Ok(file) = open() {
        let budget = budget::Budget::new(limits());
        std::hint::black_box(archive::take_programs(file, &budget, archive::in_tarball, &mut sink).is_ok());
    }
    if let Ok(file) = open() {
        let budget = budget::Budget::new(limits());
        std::hint::black_box(deb::take_from_package(file, &budget, &mut sink).is_ok());
    }
    if let Ok(file) = open()
        && let Ok(elf) = elf::Elf::read(&file)
    {
        std::hint::black_box(elf.string_variables(1..=64, |_| true).is_ok());
    }
}

/// The manifest of a bundle, or why it is none, for `crate::cli::formats_tests`.
#[cfg(test)]
pub(crate) fn manifest_in(bytes: &[u8]) -> Result<Manifest, String> {
    Manifest::parse(bytes).map_err(|error| error.to_string())
}

/// The manifest of a bundle, for `crate::fuzz`.
#[cfg(any(test, feature = "lab"))]
pub(crate) fn fuzz_manifest(bytes: &[u8]) -> bool {
    Manifest::parse(bytes).is_ok()
}
