//! Makes a bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;

use super::atomic::{directory_of, write_atomically};
use super::digest::{CopyError, Hashing, copy};
use super::error::BundleError;
use super::identify::{Identity, identify};
use super::known_bad::{advice, known_bad};
use super::layout;
use super::manifest::{FORMAT, Manifest, PackedFile, Program, ProgramFile, Release};
use super::packing::Packing;
use super::source::{self, Source, Unpacked};
use crate::inventory::{Arch, Version};

/// How a bundle is made.
#[derive(Clone, Copy)]
pub struct CreateOptions<'a> {
    /// Take releases that are known to lose data.
    pub allow_known_bad: bool,
    /// Told what is being done; called from several threads.
    pub progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

impl Default for CreateOptions<'_> {
    fn default() -> Self {
        Self {
            allow_known_bad: false,
            progress: &|_| {},
        }
    }
}

/// What [`create()`] is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Progress<'a> {
    /// A source is being unpacked and identified.
    Reading { source: &'a Path },
    /// A program is being packed; sizes in bytes.
    Compressing {
        version: Version,
        arch: Arch,
        program: Program,
        size: u64,
    },
    /// The bundle is being written; size in bytes.
    Writing { out: &'a Path, size: u64 },
}

/// A finished bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// What is in it.
    pub manifest: Manifest,
    /// Bytes of the file.
    pub size: u64,
    /// What the operator should know: sources whose origin was not checked, releases that are old.
    pub notes: Vec<String>,
}

/// Packs `sources` into the bundle `out`: upstream tarballs (compared with `SHA256SUMS` beside them), directories that
/// hold the programs, Debian packages. Several releases and architectures fit into one bundle. The same sources give
/// the same bytes, in whatever order they are named.
///
/// # Errors
/// A source that is hostile, broken, incomplete, or of a release that is known to lose data. `out` is untouched then.
pub fn create(out: &Path, sources: &[PathBuf], options: CreateOptions<'_>) -> Result<Created, BundleError> {
    if sources.is_empty() {
        return Err(BundleError::NoSources);
    }
    let directory = directory_of(out);
    let work = tempfile::Builder::new()
        .prefix(".quorate-bundle-")
        .tempdir_in(directory);
    let work = work.map_err(BundleError::write(directory))?;

    let mut notes = Vec::new();
    let mut drafts = BTreeMap::new();
    for (index, path) in sources.iter().enumerate() {
        (options.progress)(Progress::Reading { source: path });
        let place = work.path().join(index.to_string());
        fs::create_dir(&place).map_err(BundleError::write(&place))?;
        let source = source::read(path, &place)?;
        let identity = identify_all(&source)?;
        notes.extend(source.note.clone());
        add(&mut drafts, identity, source)?;
    }
    for (identity, draft) in &drafts {
        for note in judge(*identity, draft, options)? {
            // Said once, however many architectures a version is there for.
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }

    let mut contents = Vec::new();
    let mut releases = Vec::new();
    for (identity, draft) in drafts {
        let (release, paths) = compress_release(identity, draft, options)?;
        releases.push(release);
        contents.extend(paths);
    }
    let manifest = Manifest {
        format: FORMAT,
        created_by: concat!("quorate ", env!("CARGO_PKG_VERSION")).to_owned(),
        releases,
    };
    let size = write(out, &manifest, &contents, options)?;
    Ok(Created { manifest, size, notes })
}

/// A release that is being put together.
#[derive(Default)]
struct Draft {
    origins: BTreeSet<String>,
    /// Each with the name of the source it came from.
    programs: BTreeMap<Program, (Unpacked, String)>,
}

/// Identifies every program of a source; they must agree. None of them is run: where they come from is not known yet.
fn identify_all(source: &Source) -> Result<Identity, BundleError> {
    let mut identities = Vec::new();
    for unpacked in &source.programs {
        let program = unpacked.program;
        let refuse = |why| BundleError::NotEtcd {
            program,
            origin: source.path.display().to_string(),
            why,
        };
        let file = File::open(&unpacked.path).map_err(BundleError::read(&unpacked.path))?;
        let identity = identify(&file, program).map_err(refuse)?;
        identities.push((program, identity));
    }
    let mut distinct = identities.iter().map(|(_, identity)| *identity);
    match distinct.next() {
        None => Err(BundleError::NoPrograms {
            path: source.path.clone(),
        }),
        Some(first) if distinct.all(|other| other == first) => Ok(first),
        Some(_) => {
            let name = |(program, identity): &(Program, Identity)| {
                format!("{program} is {} for {}", identity.version, identity.arch)
            };
            Err(BundleError::Mixed {
                path: source.path.clone(),
                listing: identities.iter().map(name).collect::<Vec<_>>().join(", "),
            })
        }
    }
}

/// Adds a source's programs to the release they belong to.
fn add(drafts: &mut BTreeMap<Identity, Draft>, identity: Identity, source: Source) -> Result<(), BundleError> {
    let draft = drafts.entry(identity).or_default();
    draft.origins.insert(source.name.clone());
    for unpacked in source.programs {
        let program = unpacked.program;
        match draft.programs.get(&program) {
            // Debian has etcdutl in two packages.
            Some((known, _)) if known.sha256 == unpacked.sha256 => {}
            Some((_, first)) => {
                return Err(BundleError::Conflict {
                    program,
                    version: identity.version,
                    arch: identity.arch,
                    first: first.clone(),
                    second: source.name,
                });
            }
            None => {
                draft.programs.insert(program, (unpacked, source.name.clone()));
            }
        }
    }
    Ok(())
}

/// Refuses a release that is incomplete or known to lose data. Returns what should be known of it otherwise.
fn judge(
    Identity { version, arch }: Identity,
    draft: &Draft,
    options: CreateOptions<'_>,
) -> Result<Vec<String>, BundleError> {
    if version < Version::new(3, 4, 0) {
        return Err(BundleError::Unsupported { version });
    }
    let bad = known_bad(version);
    if let Some(bad) = bad.filter(|_| !options.allow_known_bad) {
        return Err(BundleError::KnownBad { version, bad });
    }
    if let Some(missing) = Program::required(version)
        .iter()
        .find(|program| !draft.programs.contains_key(program))
    {
        return Err(BundleError::Incomplete {
            version,
            arch,
            origin: origin(draft),
            missing: *missing,
        });
    }
    let warning = bad.map(|bad| format!("etcd {version} {} ({})", bad.reason, bad.source));
    Ok(warning.into_iter().chain(advice(version)).collect())
}

fn origin(draft: &Draft) -> String {
    draft.origins.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Packs a release's programs at the same time, each beside itself; returns where the results are, in order.
fn compress_release(
    Identity { version, arch }: Identity,
    draft: Draft,
    options: CreateOptions<'_>,
) -> Result<(Release, Vec<PathBuf>), BundleError> {
    let one = |program: Program, unpacked: &Unpacked| {
        (options.progress)(Progress::Compressing {
            version,
            arch,
            program,
            size: unpacked.size,
        });
        let pack = |packing: Packing| {
            let packed = unpacked.path.with_extension(packing.extension());
            Ok((compress(&unpacked.path, &packed, packing)?, packed))
        };
        let (zstd, zstd_path) = pack(Packing::Zstd)?;
        let (gzip, gzip_path) = pack(Packing::Gzip)?;
        let file = ProgramFile {
            sha256: unpacked.sha256,
            size: unpacked.size,
            zstd,
            gzip,
        };
        // In the order of the layout: that of `Packing::ALL`.
        Ok((program, file, [zstd_path, gzip_path]))
    };
    let origin = origin(&draft);
    let results: Vec<Result<_, BundleError>> = thread::scope(|scope| {
        let start = |(program, (unpacked, _)): (&Program, &(Unpacked, String))| {
            let (program, one) = (*program, &one);
            let unpacked = unpacked.clone();
            scope.spawn(move || one(program, &unpacked))
        };
        let running: Vec<_> = draft.programs.iter().map(start).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        running.into_iter().map(join).collect()
    });
    let mut files = BTreeMap::new();
    let mut paths = Vec::new();
    for result in results {
        let (program, file, packed) = result?;
        files.insert(program, file);
        paths.extend(packed);
    }
    let release = Release {
        version,
        arch,
        origin,
        files,
    };
    Ok((release, paths))
}

fn compress(from: &Path, to: &Path, packing: Packing) -> Result<PackedFile, BundleError> {
    let mut input = BufReader::new(File::open(from).map_err(BundleError::read(from))?);
    let output = File::create_new(to).map_err(BundleError::write(to))?;
    let output = BufWriter::with_capacity(128 * 1024, output);
    let packed = packing
        .pack(&mut input, Hashing::new(output))
        .map_err(|error| match error {
            CopyError::Read(error) => BundleError::read(from)(error),
            CopyError::Write(error) => BundleError::write(to)(error),
        })?;
    let (mut output, sha256, size) = packed.finish();
    output.flush().map_err(BundleError::write(to))?;
    Ok(PackedFile { size, sha256 })
}

/// Writes the bundle; `contents` are the compressed programs in the order of the manifest. Returns its size in bytes.
fn write(
    out: &Path,
    manifest: &Manifest,
    contents: &[PathBuf],
    options: CreateOptions<'_>,
) -> Result<u64, BundleError> {
    let json = manifest.to_json().map_err(|error| BundleError::Manifest {
        path: out.to_owned(),
        why: error.to_string().into(),
    })?;
    let (places, size) = layout::places(manifest, json.len() as u64);
    (options.progress)(Progress::Writing { out, size });
    let outcome = write_atomically(out, 0o644, |file| -> Result<(), CopyError> {
        file.write_all(&layout::header(layout::MANIFEST, json.len() as u64))?;
        file.write_all(&json)?;
        file.write_all(layout::padding(json.len() as u64))?;
        for (place, content) in places.iter().zip(contents) {
            file.write_all(&layout::header(&place.name(), place.size))?;
            copy(&mut File::open(content).map_err(CopyError::Read)?, file)?;
            file.write_all(layout::padding(place.size))?;
        }
        Ok(file.write_all(&[0; layout::END as usize])?)
    });
    outcome.map_err(|error| match error {
        CopyError::Read(error) => BundleError::read(directory_of(out))(error),
        CopyError::Write(error) => BundleError::write(out)(error),
    })?;
    Ok(size)
}
