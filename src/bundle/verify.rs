//! Unpacks programs and compares every byte with the manifest.

use std::io::{self, Read, Write};
use std::path::Path;

use super::atomic::write_atomically;
use super::digest::{CopyError, Hashing, copy};
use super::error::BundleError;
use super::layout::Place;
use super::manifest::{Program, ProgramFile};
use super::open::Bundle;
use super::packing::Packing;
use super::section::Section;
use crate::inventory::{Arch, Version};

/// What [`Bundle::verify`] read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyReport {
    /// Programs in the bundle, each counted once however it is packed.
    pub programs: usize,
    /// Bytes of the programs.
    pub unpacked: u64,
    /// Bytes of the bundle.
    pub packed: u64,
}

/// Why unpacking a program failed.
enum Fault {
    /// It is not what the manifest says.
    Content(String),
    /// The destination could not be written.
    Write(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Write(error)
    }
}

impl Bundle {
    /// Reads every byte of the bundle and compares it with the manifest, as packed and as unpacked.
    ///
    /// # Errors
    /// [`BundleError::Damaged`] with everything that was found.
    pub fn verify(&self) -> Result<VerifyReport, BundleError> {
        let mut problems = Vec::new();
        if let Some(trailer) = &self.inner.trailer {
            let mut payload = Hashing::new(self.whole());
            let read = copy(&mut payload, &mut io::sink());
            if read.is_err() || payload.finish().1 != trailer.sha256 {
                problems.push("the bundle inside is not the one that was embedded".to_owned());
            }
        }
        for (place, file) in self.entries() {
            match self.unpack(place, file, &mut io::sink()) {
                Ok(()) => {}
                Err(Fault::Content(problem)) => problems.push(problem),
                Err(Fault::Write(error)) => problems.push(error.to_string()),
            }
        }
        if !problems.is_empty() {
            let path = self.inner.path.clone();
            return Err(BundleError::Damaged { path, problems });
        }
        let files = self.inner.manifest.releases.iter().flat_map(|r| r.files.values());
        Ok(VerifyReport {
            programs: files.clone().count(),
            unpacked: files.map(|file| file.size).sum(),
            packed: self.inner.length,
        })
    }

    /// Reads one release as it may go over the wire and compares it with the manifest: quick enough to do before every
    /// push, so that a damaged bundle is found before a host is touched. What it unpacks to is checked on the host.
    ///
    /// # Errors
    /// The bundle lacks the release, or [`BundleError::Damaged`].
    pub fn check_packed(&self, version: Version, arch: Arch) -> Result<(), BundleError> {
        self.release(version, arch)?;
        let mut problems = Vec::new();
        for (place, file) in self.entries().filter(|(p, _)| (p.version, p.arch) == (version, arch)) {
            let mut packed = Hashing::new(self.section(place));
            let read = copy(&mut packed, &mut io::sink());
            if read.is_err() || packed.finish().1 != file.packed(place.packing).sha256 {
                problems.push(format!("{} is not packed as the manifest says", place.name()));
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        let path = self.inner.path.clone();
        Err(BundleError::Damaged { path, problems })
    }

    /// Writes a program to `dest`, executable (mode 0755). The file appears whole and verified, or not at all.
    ///
    /// # Errors
    /// The bundle lacks the program or is damaged, or `dest` cannot be written.
    pub fn extract(&self, version: Version, arch: Arch, program: Program, dest: &Path) -> Result<(), BundleError> {
        let file = self.file(version, arch, program)?;
        let place = self.inner.places.get(&(version, arch, program, Packing::Zstd));
        let place = place.ok_or(BundleError::NoSuchProgram { version, arch, program })?;
        write_atomically(dest, 0o755, |out| self.unpack(place, file, out)).map_err(|fault| match fault {
            Fault::Content(problem) => BundleError::Damaged {
                path: self.inner.path.clone(),
                problems: vec![problem],
            },
            Fault::Write(error) => BundleError::write(dest)(error),
        })
    }

    /// The bundle's own bytes.
    pub(super) fn whole(&self) -> Section {
        Section::new(self.inner.file.clone(), self.inner.start, self.inner.length)
    }

    fn entries(&self) -> impl Iterator<Item = (&Place, &ProgramFile)> {
        let files = self.inner.manifest.releases.iter().flat_map(|r| r.files.values());
        // Both follow the manifest's order: version, architecture, program, packing.
        let files = files.flat_map(|file| Packing::ALL.map(|_| file));
        self.inner.places.values().zip(files)
    }

    fn unpack(&self, place: &Place, file: &ProgramFile, out: &mut impl Write) -> Result<(), Fault> {
        let problem = |why: &str| Fault::Content(format!("{} {why}", place.name()));
        let mut packed = Hashing::new(self.section(place));
        let mut unpacked = Hashing::new(out);
        // One byte more than it should have is enough to see that it has too many.
        let decoder = place.packing.unpack(&mut packed).map_err(CopyError::Read);
        match decoder.and_then(|decoder| copy(&mut decoder.take(file.size + 1), &mut unpacked)) {
            Ok(_) => {}
            Err(CopyError::Read(error)) => return Err(problem(&format!("cannot be unpacked: {error}"))),
            Err(CopyError::Write(error)) => return Err(Fault::Write(error)),
        }
        let (_, sha256, size) = unpacked.finish();
        if (sha256, size) != (file.sha256, file.size) {
            return Err(problem("does not unpack to what the manifest says"));
        }
        let rest = copy(&mut packed, &mut io::sink());
        if rest.is_err() || packed.finish().1 != file.packed(place.packing).sha256 {
            return Err(problem("is not packed as the manifest says"));
        }
        let mut padding = Vec::new();
        let read = self.padding(place).read_to_end(&mut padding);
        if read.is_err() || padding.iter().any(|byte| *byte != 0) {
            return Err(problem("is followed by unexpected data"));
        }
        Ok(())
    }
}
