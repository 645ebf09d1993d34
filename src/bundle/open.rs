//! An open bundle.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::digest::Digest;
use super::embed::{Carried, Trailer, carried, carried_by_ourselves};
use super::error::BundleError;
use super::layout::{self, BLOCK, END, Place};
use super::manifest::{Manifest, Program, ProgramFile, Release};
use super::packing::Packing;
use super::section::Section;
use crate::inventory::{Arch, Version};

/// Largest `manifest.json` that is read, bytes; one release takes 0.8 kB.
const LARGEST_MANIFEST: u64 = 1 << 20;
/// The running executable, also when it was renamed or deleted since it started.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// A bundle, its manifest read and its layout checked. Cheap to clone; all clones share one open file.
#[derive(Clone)]
pub struct Bundle {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub path: PathBuf,
    pub file: Arc<File>,
    /// Where the bundle begins in the file, and how long it is.
    pub start: u64,
    pub length: u64,
    /// What an executable that carries the bundle says of it.
    pub trailer: Option<Trailer>,
    pub manifest: Manifest,
    pub digest: Digest,
    pub places: BTreeMap<(Version, Arch, Program, Packing), Place>,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { path, digest, .. } = &*self.inner;
        f.debug_struct("Bundle")
            .field("path", path)
            .field("digest", digest)
            .finish()
    }
}

impl Bundle {
    /// Opens a `.qbundle`, or an executable that carries one. Reads only the manifest and the entries' headers;
    /// [`Bundle::verify`] reads the rest.
    ///
    /// # Errors
    /// The file cannot be read, is something else, is truncated, or its manifest and its layout do not agree.
    pub fn open(path: &Path) -> Result<Bundle, BundleError> {
        let not_a_bundle = |what| BundleError::NotABundle {
            path: path.to_owned(),
            what,
        };
        let file = File::open(path).map_err(BundleError::read(path))?;
        let metadata = file.metadata().map_err(BundleError::read(path))?;
        if metadata.is_dir() {
            return Err(not_a_bundle("a directory"));
        }
        let mut head = Vec::new();
        Read::take(&file, 512)
            .read_to_end(&mut head)
            .map_err(BundleError::read(path))?;
        match head.as_slice() {
            [] => Err(not_a_bundle("empty")),
            [0x1f, 0x8b, ..] => Err(not_a_bundle("a compressed archive")),
            head if head.starts_with(b"!<arch>\n") => Err(not_a_bundle("a Debian package")),
            head if head.starts_with(b"\x7fELF") => {
                let carried = carried(&file).map_err(BundleError::read(path))?;
                Self::open_executable(path, file, carried)?.ok_or_else(|| not_a_bundle("a program without one"))
            }
            _ => Self::open_part(path, file, 0, metadata.len(), None),
        }
    }

    /// The bundle inside the running executable, if it carries one.
    ///
    /// # Errors
    /// The executable cannot be read (mode 0111), or once carried a bundle that has been cut off or damaged.
    pub fn embedded() -> Result<Option<Bundle>, BundleError> {
        let own = Path::new(OWN_EXECUTABLE);
        let own = if own.exists() {
            own.to_owned()
        } else {
            std::env::current_exe().map_err(BundleError::read(own))?
        };
        let file = File::open(&own).map_err(BundleError::read(&own))?;
        // Only for messages: the file that is read stays the one that runs.
        let shown = std::env::current_exe().unwrap_or(own);
        let carried = carried_by_ourselves(&file).map_err(BundleError::read(&shown))?;
        Self::open_executable(&shown, file, carried)
    }

    fn open_executable(path: &Path, file: File, carried: Carried) -> Result<Option<Bundle>, BundleError> {
        match carried {
            Carried::Nothing => Ok(None),
            Carried::CutOff => Err(BundleError::PayloadCutOff { path: path.to_owned() }),
            Carried::Bundle(trailer) => {
                let (start, length) = (trailer.offset, trailer.length);
                Self::open_part(path, file, start, length, Some(trailer)).map(Some)
            }
        }
    }

    fn open_part(
        path: &Path,
        file: File,
        start: u64,
        length: u64,
        trailer: Option<Trailer>,
    ) -> Result<Bundle, BundleError> {
        let json = read_manifest(path, &file, start, length)?;
        let manifest = Manifest::parse(&json).map_err(|why| BundleError::Manifest {
            path: path.to_owned(),
            why,
        })?;
        let (places, expected) = layout::places(&manifest, json.len() as u64);
        if length < expected {
            return Err(BundleError::Truncated {
                path: path.to_owned(),
                expected,
                found: length,
            });
        }
        let problems = compare_with_layout(&file, start, &places, expected)
            .map_err(BundleError::read(path))?
            .into_iter()
            .chain((length > expected).then(|| format!("{} bytes follow its end", length - expected)))
            .collect::<Vec<_>>();
        if !problems.is_empty() {
            let path = path.to_owned();
            return Err(BundleError::Damaged { path, problems });
        }
        let key = |place: Place| ((place.version, place.arch, place.program, place.packing), place);
        Ok(Bundle {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                file: Arc::new(file),
                start,
                length,
                trailer,
                digest: Digest::of(&json),
                manifest,
                places: places.into_iter().map(key).collect(),
            }),
        })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// True when it was found inside an executable.
    pub fn is_carried(&self) -> bool {
        self.inner.trailer.is_some()
    }

    /// Bytes of the bundle.
    pub fn size(&self) -> u64 {
        self.inner.length
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// `manifest.json`, byte for byte: what is signed.
    pub fn manifest_json(&self) -> Vec<u8> {
        // A manifest has one spelling, which was compared when it was read.
        self.inner.manifest.to_json().unwrap_or_default()
    }

    /// Identifies the content: the SHA-256 of `manifest.json`, which holds the SHA-256 of everything else.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// The versions in it, each with the architectures it is there for.
    pub fn versions(&self) -> BTreeMap<Version, Vec<Arch>> {
        let mut versions: BTreeMap<Version, Vec<Arch>> = BTreeMap::new();
        for release in &self.inner.manifest.releases {
            versions.entry(release.version).or_default().push(release.arch);
        }
        versions
    }

    /// One release.
    ///
    /// # Errors
    /// [`BundleError::NoSuchRelease`], naming what is there.
    pub fn release(&self, version: Version, arch: Arch) -> Result<&Release, BundleError> {
        let releases = &self.inner.manifest.releases;
        let found = releases.iter().find(|r| (r.version, r.arch) == (version, arch));
        found.ok_or_else(|| BundleError::NoSuchRelease {
            path: self.inner.path.clone(),
            version,
            arch,
            has: releases
                .iter()
                .map(|r| format!("{} for {}", r.version, r.arch))
                .collect(),
        })
    }

    /// One program's sizes and digests.
    ///
    /// # Errors
    /// The bundle lacks the release, or the release has no such program.
    pub fn file(&self, version: Version, arch: Arch, program: Program) -> Result<&ProgramFile, BundleError> {
        let found = self.release(version, arch)?.files.get(&program);
        found.ok_or(BundleError::NoSuchProgram { version, arch, program })
    }

    /// The packed bytes of a program, as they go over the wire. Each reader is independent of all others.
    ///
    /// # Errors
    /// `NotFound` when the bundle lacks the program.
    pub fn open_packed(
        &self,
        version: Version,
        arch: Arch,
        program: Program,
        packing: Packing,
    ) -> io::Result<impl Read + Send + use<>> {
        let place = self.inner.places.get(&(version, arch, program, packing));
        place.map(|place| self.section(place)).ok_or_else(|| {
            let what = format!("the bundle has no {program} of {version} for {arch}");
            io::Error::new(io::ErrorKind::NotFound, what)
        })
    }

    /// The program itself, for a host that can unpack nothing. Whoever gets it checks it.
    ///
    /// # Errors
    /// As [`Bundle::open_packed`]; reading fails where the bundle is damaged.
    pub fn open_program(&self, version: Version, arch: Arch, program: Program) -> io::Result<Box<dyn Read + Send>> {
        let packing = Packing::Zstd;
        packing.unpack(self.open_packed(version, arch, program, packing)?)
    }

    pub(super) fn section(&self, place: &Place) -> Section {
        let at = self.inner.start + place.content();
        Section::new(Arc::clone(&self.inner.file), at, place.size)
    }

    /// What stands between a program's last byte and the next header.
    pub(super) fn padding(&self, place: &Place) -> Section {
        let at = self.inner.start + place.content() + place.size;
        let length = layout::padding(place.size).len() as u64;
        Section::new(Arc::clone(&self.inner.file), at, length)
    }
}

/// Reads `manifest.json` at the head of the part of `file` that begins at `start`.
fn read_manifest(path: &Path, file: &File, start: u64, length: u64) -> Result<Vec<u8>, BundleError> {
    let not_a_bundle = || BundleError::NotABundle {
        path: path.to_owned(),
        what: "something else",
    };
    let truncated = |expected| BundleError::Truncated {
        path: path.to_owned(),
        expected,
        found: length,
    };
    let mut block = [0; BLOCK as usize];
    let present = length.min(BLOCK) as usize;
    file.read_exact_at(&mut block[..present], start)
        .map_err(BundleError::read(path))?;
    if !block.starts_with(b"manifest.json\0") {
        return Err(not_a_bundle());
    }
    if length < BLOCK + END {
        return Err(truncated(BLOCK + END));
    }
    let size = tar::Header::from_byte_slice(&block)
        .size()
        .map_err(|_| not_a_bundle())?;
    if size > LARGEST_MANIFEST || block != layout::header(layout::MANIFEST, size) {
        let problems = vec!["the header of manifest.json is not what quorate writes".to_owned()];
        let path = path.to_owned();
        return Err(BundleError::Damaged { path, problems });
    }
    let shortest = BLOCK + size.next_multiple_of(BLOCK) + END;
    if length < shortest {
        return Err(truncated(shortest));
    }
    let mut json = vec![0; size.next_multiple_of(BLOCK) as usize];
    file.read_exact_at(&mut json, start + BLOCK)
        .map_err(BundleError::read(path))?;
    if json.split_off(size as usize) != layout::padding(size) {
        let problems = vec!["manifest.json is followed by unexpected data".to_owned()];
        let path = path.to_owned();
        return Err(BundleError::Damaged { path, problems });
    }
    Ok(json)
}

/// Holds every header against the only one that can be there, and the end against two empty blocks.
fn compare_with_layout(file: &File, start: u64, places: &[Place], length: u64) -> io::Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut block = [0; BLOCK as usize];
    for place in places {
        file.read_exact_at(&mut block, start + place.header)?;
        if block != layout::header(&place.name(), place.size) {
            problems.push(format!("there is other data where {} should begin", place.name()));
        }
    }
    let mut end = [1; END as usize];
    file.read_exact_at(&mut end, start + length - END)?;
    if end != [0; END as usize] {
        problems.push("its end is overwritten".to_owned());
    }
    Ok(problems)
}
