//! quorate itself, as the hosts get it that take their own backups: one executable for each architecture.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::error::{Detail, Exit, Failure};
use crate::bundle::Alone;
use crate::host::{Content, Directory, HostFacts, Libc, Push, PushFile, Unpacker};
use crate::inventory::{Arch, DesiredHost, HostPath};
use crate::render::SchedulePaths;

/// The executables that are there, one at least.
pub(super) struct Programs {
    first: Program,
    others: BTreeMap<Arch, Program>,
}

/// An executable for one architecture.
pub(super) struct Program {
    arch: Arch,
    sha256: String,
    bytes: Bytes,
    gzip: Bytes,
    /// The C library that it needs; `None` when it is static.
    pub libc: Option<Libc>,
}

impl Programs {
    /// Reads `files`, or the running executable where there are none.
    ///
    /// # Errors
    /// Everything that is wrong with them: one cannot be read, is no quorate for Linux, or two are for the same architecture.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, Failure> {
        let ourselves = [std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))];
        let files = if files.is_empty() { &ourselves } else { files };
        let (read, wrong): (Vec<_>, Vec<_>) = files.iter().map(|file| Program::read(file)).partition(Result::is_ok);
        refuse(wrong.into_iter().filter_map(Result::err).collect())?;
        let mut read = read.into_iter().flatten();
        let Some(first) = read.next() else {
            return Err(Failure::new(
                Exit::Usage,
                "there is no quorate executable for the hosts",
            ));
        };
        let mut others = BTreeMap::new();
        for program in read {
            let arch = program.arch;
            if arch == first.arch || others.insert(arch, program).is_some() {
                return Err(Failure::new(Exit::Usage, format!("two executables are for {arch}"))
                    .hint("pass one `--program FILE` for each architecture"));
            }
        }
        Ok(Self { first, others })
    }

    /// The architectures that there is one for.
    pub(super) fn built_for(&self) -> Vec<Arch> {
        let others = self.others.keys().copied();
        [self.first.arch].into_iter().chain(others).collect()
    }

    /// The one for a host of this architecture; any where that is not known, or where `misfits` has refused it.
    pub(super) fn of(&self, arch: Option<Arch>) -> &Program {
        arch.and_then(|arch| self.others.get(&arch)).unwrap_or(&self.first)
    }
}

/// All of them at once.
fn refuse(mut wrong: Vec<Failure>) -> Result<(), Failure> {
    if wrong.len() < 2 {
        return wrong.pop().map_or(Ok(()), Err);
    }
    let detail = |failure: Failure| Detail {
        node: None,
        message: failure.message,
        hint: failure.hint.unwrap_or_default(),
    };
    Err(Failure {
        details: wrong.into_iter().map(detail).collect(),
        ..Failure::new(Exit::Usage, "the executables for the hosts cannot be used")
    })
}

impl Program {
    fn read(file: &Path) -> Result<Self, Failure> {
        let Alone { arch, bytes } = Alone::read(file).map_err(|error| Failure {
            exit: Exit::Usage,
            ..error.into()
        })?;
        let unreadable = |error| {
            Failure::new(Exit::Usage, format!("cannot read {}: {error}", file.display())).hint("pass it with --program")
        };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bytes).map_err(unreadable)?;
        Ok(Self {
            arch,
            sha256: hex::encode(Sha256::digest(&bytes)),
            libc: Libc::needed_by(&bytes[..]).map_err(unreadable)?,
            bytes: bytes.into(),
            gzip: encoder.finish().map_err(unreadable)?.into(),
        })
    }

    /// Named by its content: a newer one comes beside the one that may be running.
    pub(super) fn path(&self, spec: &DesiredHost) -> HostPath {
        SchedulePaths::of(spec)
            .programs
            .join(&self.sha256[..16])
            .join("quorate")
    }

    pub(super) fn push(&self, spec: &DesiredHost, path: &HostPath, facts: &HostFacts) -> Push {
        let packed = self.gzip.clone();
        let open = move || Ok(Box::new(Cursor::new(packed.clone())) as Box<dyn Read + Send>);
        let content = if facts.system.has(Unpacker::Gzip) {
            Content::Stream {
                open: Arc::new(open),
                len: self.gzip.len() as u64,
                unpacker: Some(Unpacker::Gzip),
            }
        } else {
            Content::Plain(self.bytes.clone())
        };
        let directory = |path: HostPath| Directory {
            path,
            mode: 0o755,
            owner: None,
        };
        Push {
            directories: vec![
                directory(SchedulePaths::of(spec).programs),
                directory(SchedulePaths::of(spec).programs.join(&self.sha256[..16])),
            ],
            files: vec![PushFile {
                path: path.clone(),
                mode: 0o755,
                owner: None,
                sha256: self.sha256.clone(),
                content,
                keep_previous: false,
            }],
            ..Push::default()
        }
    }
}
