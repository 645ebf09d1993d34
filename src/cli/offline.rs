//! Commands that change no host: `init`, `render`, `schema`, `man`.

use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, Global, Init, Render};
use super::error::{Exit, Failure};
use super::session::Session;
use super::{draft, import};
use crate::bundle::{Bundle, USUAL, known_bad};
use crate::inventory;
use crate::ops::plan::initial_new;
use crate::render::render_host;
use crate::report::print::{say, say_all};

/// `init`: a commented inventory, never over an existing one.
///
/// # Errors
/// When what the hosts come from cannot be used, or the file exists or cannot be written.
pub fn init(global: &Global, args: &Init) -> Result<Exit, Failure> {
    let hosts = match &args.from {
        Some(file) => import::hosts(file, args.format, args.group.as_deref())?,
        None => args.hosts.iter().cloned().map(Into::into).collect(),
    };
    let path = &global.inventory;
    let base = directory(path);
    let newest = Bundle::find(global.bundle.as_deref(), base)
        .ok()
        .and_then(|(b, _)| b.versions().into_keys().rfind(|version| known_bad(*version).is_none()));
    let version = args.version.or(newest).unwrap_or(USUAL);
    let text = inventory::init::starter(&hosts, version, &args.cluster);
    // Whatever it was made from: nothing is written that `check` would refuse.
    draft::read(path, &text)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|e| {
            Failure::new(Exit::Usage, format!("cannot create {}: {e}", path.display()))
                .hint("name another file with --inventory")
        })?;
    std::io::Write::write_all(&mut file, text.as_bytes())
        .map_err(|e| Failure::unexpected(&format!("cannot write {}", path.display()), e))?;
    say!("wrote {}: review it, then run `quorate check`", path.display());
    companions(path)?;
    Ok(Exit::Done)
}

/// What belongs beside a new inventory; files that are there stay as they are.
///
/// # Errors
/// When one cannot be written.
pub(super) fn companions(path: &Path) -> Result<(), Failure> {
    let base = directory(path);
    for (name, text, what) in [
        (
            ".gitignore",
            inventory::init::GITIGNORE.to_owned(),
            "what must not be committed",
        ),
        (
            inventory::init::SCHEMA,
            schema_text()?,
            "editors complete and check the inventory with it",
        ),
    ] {
        if beside(base, name, &text)? {
            say!("wrote {}: {what}", path.with_file_name(name).display());
        }
    }
    Ok(())
}

fn directory(path: &Path) -> &Path {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Writes a file beside a new inventory; one that is there stays as it is.
fn beside(base: &Path, name: &str, text: &str) -> Result<bool, Failure> {
    let path = base.join(name);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let written = match file {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
        Err(e) => Err(e),
        Ok(mut file) => std::io::Write::write_all(&mut file, text.as_bytes()),
    };
    written.map_err(|e| Failure::unexpected(&format!("cannot write {}", path.display()), e))?;
    Ok(true)
}

/// `render`: the files as they would land, printed or written below a directory.
///
/// # Errors
/// When the desired state cannot be rendered or a file cannot be written.
pub fn render(global: &Global, args: &Render) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let desired = session.desired();
    for host in desired.hosts.values() {
        let files = render_host(desired, host, &initial_new(desired))
            .map_err(|e| Failure::new(Exit::Inventory, format!("{}: {e}", host.name)).hint(e.hint()))?;
        for file in files {
            match &args.out {
                None => say_all!(
                    "# {}:{} (mode {:o}, owner {})\n{}\n",
                    host.name,
                    file.path,
                    file.mode,
                    file.owner,
                    file.text
                ),
                Some(out) => write_below(&out.join(host.name.as_str()), file.path.as_str(), &file.text)?,
            }
        }
    }
    Ok(Exit::Done)
}

fn write_below(dir: &Path, path: &str, text: &str) -> Result<(), Failure> {
    let target = dir.join(path.trim_start_matches('/'));
    let parent = target.parent().unwrap_or(dir);
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(&target, text))
        .map_err(|e| Failure::unexpected(&format!("cannot write {}", target.display()), e))
}

/// `schema`: for editors and other programs.
///
/// # Errors
/// Never, as far as is known.
pub fn schema() -> Result<Exit, Failure> {
    say_all!("{}", schema_text()?);
    Ok(Exit::Done)
}

fn schema_text() -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(&inventory::schema())
        .map_err(|e| Failure::unexpected("cannot write the schema", e))?;
    Ok(text + "\n")
}

/// `man`: one page on standard output, or one a command below a directory.
///
/// # Errors
/// When a page cannot be written.
pub fn man(out: Option<&Path>) -> Result<Exit, Failure> {
    let written = match out {
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
            say_all!("{}", String::from_utf8_lossy(&page));
            rendered
        }
        Some(out) => std::fs::create_dir_all(out).and_then(|()| clap_mangen::generate_to(Cli::command(), out)),
    };
    written.map_err(|e| Failure::unexpected("cannot write the manual", e))?;
    Ok(Exit::Done)
}
