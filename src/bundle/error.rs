//! What can go wrong with a bundle, each with what to do about it.

use std::io;
use std::path::PathBuf;

use super::archive::ArchiveError;
use super::digest::Digest;
use super::known_bad::{KnownBad, USUAL, recommended};
use super::manifest::{ManifestError, Program};
use crate::inventory::{Arch, Version};

/// Why a bundle could not be made, opened or used. [`BundleError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BundleError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },

    /// `create` was given nothing to pack.
    #[error("there is nothing to pack")]
    NoSources,
    /// A source is neither a tarball, a directory nor a Debian package.
    #[error("{} cannot be packed: it is {what}", path.display())]
    UnknownSource { path: PathBuf, what: &'static str },
    /// An archive was refused.
    #[error("{} was refused", path.display())]
    Archive { path: PathBuf, source: ArchiveError },
    /// `SHA256SUMS` beside a source cannot be used.
    #[error("{} is not a list of SHA-256 sums: line {line}", path.display())]
    Sums { path: PathBuf, line: usize },
    /// A source is not what `SHA256SUMS` beside it says.
    #[error("{} has SHA-256 {found}, but SHA256SUMS beside it says {expected}", path.display())]
    SumMismatch {
        path: PathBuf,
        expected: Digest,
        found: Digest,
    },
    /// A source holds none of etcd's programs.
    #[error("{} contains none of etcd, etcdctl and etcdutl", path.display())]
    NoPrograms { path: PathBuf },
    /// A program is not what it is called, or its version cannot be told.
    #[error("{program} from {origin} cannot be used: {why}")]
    NotEtcd {
        program: Program,
        origin: String,
        why: String,
    },
    /// The programs of one source are of different releases.
    #[error("{} mixes releases: {listing}", path.display())]
    Mixed { path: PathBuf, listing: String },
    /// Two sources hold different builds of one program.
    #[error("{program} {version} for {arch} is in {first} and, with different content, in {second}")]
    Conflict {
        program: Program,
        version: Version,
        arch: Arch,
        first: String,
        second: String,
    },
    /// A program of a release is in none of the sources.
    #[error("{version} for {arch} (from {origin}) lacks {missing}")]
    Incomplete {
        version: Version,
        arch: Arch,
        origin: String,
        missing: Program,
    },
    /// The release loses data.
    #[error("etcd {version} {} ({})", bad.reason, bad.source)]
    KnownBad { version: Version, bad: KnownBad },
    /// quorate does not know this series.
    #[error("etcd {version} is not supported: quorate manages etcd 3.4 and later")]
    Unsupported { version: Version },

    /// No bundle was named, carried or found.
    #[error("there is no bundle: none was given, this executable has none embedded, and there is no *.qbundle in {}", directory.display())]
    NotFound { directory: PathBuf },
    /// Several bundles lie beside the inventory.
    #[error("there are several bundles: {}", listing.join(", "))]
    Ambiguous { listing: Vec<String> },
    /// The file is something else.
    #[error("{} is not a bundle: it is {what}", path.display())]
    NotABundle { path: PathBuf, what: &'static str },
    /// The file ends early.
    #[error("{} is truncated: it should have {expected} bytes and has {found}", path.display())]
    Truncated { path: PathBuf, expected: u64, found: u64 },
    /// The manifest is not what this program reads.
    #[error("{}: manifest.json cannot be used: {why}", path.display())]
    Manifest { path: PathBuf, why: ManifestError },
    /// The content is not what the manifest says.
    #[error("{} is damaged: {}", path.display(), problems.join("; "))]
    Damaged { path: PathBuf, problems: Vec<String> },
    /// An executable that carried a bundle no longer does.
    #[error("{} was built with an embedded bundle, but the bundle was cut off, probably by strip or by an incomplete copy", path.display())]
    PayloadCutOff { path: PathBuf },
    /// The bundle lacks the release that was asked for.
    #[error("{} has no etcd {version} for {arch}; it has {}", path.display(), has.join(", "))]
    NoSuchRelease {
        path: PathBuf,
        version: Version,
        arch: Arch,
        has: Vec<String>,
    },
    /// The release has no such program (etcdutl before 3.5).
    #[error("etcd {version} for {arch} has no {program}")]
    NoSuchProgram {
        version: Version,
        arch: Arch,
        program: Program,
    },
    /// `embed` was given something that cannot carry a bundle.
    #[error("{} cannot embed a bundle: it is not a quorate executable", path.display())]
    NotQuorate { path: PathBuf },
    /// Hosts were to get something that is not quorate for Linux.
    #[error("{} is nothing that hosts could run: {why}", path.display())]
    NotForHosts { path: PathBuf, why: String },
}

impl BundleError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoSources => {
                "pass an upstream release (etcd-v3.6.16-linux-amd64.tar.gz), a directory that holds etcd, etcdctl and \
                 etcdutl, or Debian's etcd-server and etcd-client packages"
                    .into()
            }
            Self::UnknownSource { .. } | Self::NoPrograms { .. } => {
                "a source is an upstream release tarball (.tar.gz), a directory that holds etcd, etcdctl and etcdutl, \
                 or a .deb"
                    .into()
            }
            Self::Archive { .. } => "download it again from where the release is published".into(),
            Self::SumMismatch { .. } => {
                "download the file and SHA256SUMS again, both of the same release; do not use this copy".into()
            }
            Self::Sums { path, .. } => format!("download {} again, or remove it", path.display()),
            Self::Mixed { .. } => "keep each release in its own directory and pass both".into(),
            Self::Conflict { .. } => "pass one source for each release and architecture".into(),
            Self::Incomplete { missing, .. } => match missing {
                Program::Etcd => "also pass the source that contains it (Debian: etcd-server)".into(),
                _ => "also pass the source that contains it (Debian: etcd-client)".into(),
            },
            Self::KnownBad { bad, .. } => match recommended(bad.fixed_in) {
                Some(best) => format!("use {} or later, preferably {best}", bad.fixed_in),
                None => format!("use {} or later", bad.fixed_in),
            },
            Self::NotFound { .. } => {
                format!("create one: quorate bundle create --out etcd.qbundle etcd-v{USUAL}-linux-amd64.tar.gz")
            }
            Self::Ambiguous { .. } => "choose one with --bundle FILE".into(),
            Self::NotABundle { path, what } => match *what {
                "a directory" | "a compressed archive" | "a Debian package" => format!(
                    "create a bundle from it: quorate bundle create --out etcd.qbundle {}",
                    path.display()
                ),
                _ => "copy the bundle again, or create one: quorate bundle create --out etcd.qbundle \
                      etcd-v3.6.16-linux-amd64.tar.gz"
                    .into(),
            },
            Self::Manifest { why, .. } => why.hint(),
            Self::Truncated { .. } | Self::Damaged { .. } => {
                "copy or create the bundle again; `quorate bundle verify` checks every byte".into()
            }
            Self::PayloadCutOff { .. } => {
                "embed it again and do not strip the result: quorate bundle embed --into FILE, or pass a bundle with --bundle \
                 FILE"
                    .into()
            }
            Self::NoSuchRelease { version, arch, .. } => format!(
                "create a bundle that has it: quorate bundle create --out etcd.qbundle \
                 etcd-v{version}-linux-{arch}.tar.gz ..."
            ),
            Self::NotQuorate { .. } => "use an unmodified quorate executable".into(),
            Self::NotForHosts { .. } => "pass the static quorate for the hosts' architecture with `--program FILE`".into(),
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "make it readable for the account that runs quorate (an executable must be able to read itself)".into()
            }
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "check the path; a bundle is set with --bundle FILE or QUORATE_BUNDLE".into()
            }
            Self::Read { .. }
            | Self::Write { .. }
            | Self::NotEtcd { .. }
            | Self::Unsupported { .. }
            | Self::NoSuchProgram { .. } => return None,
        };
        Some(text)
    }

    /// For `map_err`: reading `path` failed.
    pub(super) fn read(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    /// For `map_err`: writing `path` failed.
    pub(super) fn write(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}
