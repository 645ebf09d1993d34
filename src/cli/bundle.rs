//! `bundle create`, `show`, `sbom`, `verify`, `embed`; `sign` is in `bundle_sign.rs`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::args::{Global, OutputFormat};
use super::bundle_trust::ALLOWED_SIGNERS;
use super::error::{Exit, Failure};
use super::session::reporter_for;
use super::{bundle_sign, bundle_trust};
use crate::bundle::{self, Bundle, CreateOptions, Manifest, Progress};
use crate::report::print::{data, say, say_all, tell};
use crate::report::{Cell, Event, Table, human_bytes, terminal_width};

/// `bundle create`.
///
/// # Errors
/// A source that cannot be used; nothing is written then.
pub fn create(global: &Global, out: &Path, sources: &[PathBuf]) -> Result<Exit, Failure> {
    let reporter = reporter_for(global, None);
    let progress = |progress: Progress<'_>| {
        let text = match progress {
            Progress::Reading { source } => format!("reading {}", source.display()),
            Progress::Compressing {
                version,
                arch,
                program,
                size,
            } => {
                format!(
                    "compressing {} {version} {arch} ({})",
                    program.as_str(),
                    human_bytes(size)
                )
            }
            Progress::Writing { out, size } => format!("writing {} ({})", out.display(), human_bytes(size)),
        };
        reporter.event(&Event::Note { text });
    };
    let created = bundle::create(
        out,
        sources,
        CreateOptions {
            progress: &progress,
            ..CreateOptions::default()
        },
    )?;
    for note in created.notes {
        reporter.event(&Event::Warning {
            node: None,
            text: note,
            hint: None,
        });
    }
    print(global, &created.manifest, out, created.size)?;
    Ok(Exit::Done)
}

/// `bundle show`.
///
/// # Errors
/// When there is no readable bundle.
pub fn show(global: &Global, file: Option<&Path>, manifest: bool) -> Result<Exit, Failure> {
    let bundle = find(global, file)?;
    if manifest {
        let written = std::io::stdout().write_all(&bundle.manifest_json());
        return match written {
            Ok(()) => Ok(Exit::Done),
            // A reader that has gone away: as if SIGPIPE had ended this.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(141),
            Err(error) => Err(Failure::unexpected("cannot print the manifest", error)),
        };
    }
    if global.output == OutputFormat::Human {
        say!("SHA-256 {}", bundle.digest());
    }
    print(global, bundle.manifest(), bundle.path(), bundle.size())?;
    Ok(Exit::Done)
}

/// `bundle sbom`.
///
/// # Errors
/// When there is no readable bundle, or a program in it has no list.
pub fn sbom(global: &Global, file: Option<&Path>) -> Result<Exit, Failure> {
    let list = find(global, file)?.sbom()?;
    let text = serde_json::to_string_pretty(&list).map_err(|e| Failure::unexpected("cannot write JSON", e))?;
    data(&text);
    Ok(Exit::Done)
}

/// `bundle verify`.
///
/// # Errors
/// Everything that is damaged.
pub fn verify(global: &Global, file: Option<&Path>, allowed: Option<&Path>) -> Result<Exit, Failure> {
    let bundle = find(global, file)?;
    let report = bundle.verify()?;
    let signer = bundle_trust::signer(&bundle, allowed, &base(global).join("pki").join(ALLOWED_SIGNERS))?;
    if global.output == OutputFormat::Json {
        data(
            &serde_json::json!({
                "ok": true, "programs": report.programs, "bytes": report.unpacked,
                "sha256": bundle.digest(), "signed_by": signer,
            })
            .to_string(),
        );
    } else {
        say!(
            "{}: {} programs, {} unpacked, every byte is what the manifest says",
            bundle.path().display(),
            report.programs,
            human_bytes(report.unpacked)
        );
        match signer {
            Some(signer) => say!("SHA-256 {}, signed by {signer}", bundle.digest()),
            None => say!("SHA-256 {}; no signature was checked", bundle.digest()),
        }
    }
    Ok(Exit::Done)
}

/// `bundle embed`.
///
/// # Errors
/// When there is no bundle, or the executable cannot be written.
pub fn embed(global: &Global, into: &Path) -> Result<Exit, Failure> {
    let bundle = find(global, None)?;
    tell!("embedding {}: SHA-256 {}", bundle.path().display(), bundle.digest());
    let program = std::env::current_exe().map_err(|e| Failure::unexpected("cannot find this program's own file", e))?;
    let carried = bundle::embed(&program, bundle.path(), into)?;
    bundle_sign::carry(bundle.path(), into)?;
    say!(
        "wrote {}: this program with {}",
        into.display(),
        releases(carried.manifest())
    );
    Ok(Exit::Done)
}

pub(super) fn find(global: &Global, file: Option<&Path>) -> Result<Bundle, Failure> {
    Ok(Bundle::find(file.or(global.bundle.as_deref()), base(global))?.0)
}

/// The directory of the inventory, whether there is one or not.
fn base(global: &Global) -> &Path {
    let parent = global.inventory.parent();
    parent.filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn releases(manifest: &Manifest) -> String {
    let names: Vec<String> = manifest
        .releases
        .iter()
        .map(|r| format!("etcd {} {}", r.version, r.arch))
        .collect();
    names.join(", ")
}

fn print(global: &Global, manifest: &Manifest, path: &Path, size: u64) -> Result<(), Failure> {
    if global.output == OutputFormat::Json {
        let text = serde_json::to_string(manifest).map_err(|e| Failure::unexpected("cannot write JSON", e))?;
        data(&text);
        return Ok(());
    }
    say!("{}  {}", path.display(), human_bytes(size));
    let mut table = Table::new(["RELEASE", "ARCH", "PROGRAM", "SIZE", "ZSTD", "GZIP", "SHA-256"])
        .right(["SIZE", "ZSTD", "GZIP"])
        .spare(["GZIP", "ZSTD"]);
    for release in &manifest.releases {
        for (program, file) in &release.files {
            table.row([
                Cell::new(release.version.to_string()),
                Cell::new(release.arch.to_string()),
                Cell::new(program.as_str()),
                Cell::new(human_bytes(file.size)),
                Cell::new(human_bytes(file.zstd.size)),
                Cell::new(human_bytes(file.gzip.size)),
                Cell::new(&file.sha256.to_string()[..16]),
            ]);
        }
    }
    say_all!("{}\n", table.render(terminal_width(), true));
    Ok(())
}
