//! Commands that change no host: `init`, `check`, `render`, `schema`, `man`.

use std::path::Path;

use clap::CommandFactory;
use serde_json::json;

use super::args::{Check, Cli, Global, Init, Render};
use super::error::{Exit, Failure};
use super::session::Session;
use super::{draft, import, new_hosts, trial};
use crate::bundle::{Bundle, USUAL, advice, known_bad};
use crate::inventory::{self, Problem};
use crate::ops::plan::{count, initial_new};
use crate::render::render_host;
use crate::report::print::{data, say, say_all};

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

/// `check`: the inventory, the bundle, the rendered files and the CA, without touching a host.
///
/// # Errors
/// The first kind of problem that keeps `up` from working.
pub async fn check(global: &Global, args: &Check) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let desired = session.desired();
    let bundle = match args.ask_etcd {
        true => Some(session.bundle()?),
        false => session.bundle_if_any()?,
    };
    let report = bundle.as_ref().map(Bundle::verify).transpose()?;
    let version = desired.version;
    if let Some(bad) = known_bad(version) {
        return Err(Failure::new(
            Exit::Blocked,
            format!("etcd {version} must not be used: {}", bad.reason),
        )
        .hint(format!("use {} or later", bad.fixed_in)));
    }
    if let Some(bundle) = bundle.as_ref().filter(|b| !b.versions().contains_key(&version)) {
        let have: Vec<String> = bundle.versions().keys().map(ToString::to_string).collect();
        return Err(Failure::new(
            Exit::Bundle,
            format!("the bundle has no etcd {version}, it has {}", have.join(", ")),
        )
        .hint("create a bundle that has it with `quorate bundle create`, or change `etcd.version`"));
    }
    for host in desired.hosts.values() {
        render_host(desired, host, &initial_new(desired))
            .map_err(|e| Failure::new(Exit::Inventory, format!("{}: {e}", host.name)).hint(e.hint()))?;
    }
    session.recipients()?;
    let trial = match (args.ask_etcd, &bundle) {
        (true, Some(bundle)) => Some(etcd_starts(&session, bundle).await?),
        _ => None,
    };
    let hosts = match args.hosts {
        true => Some(new_hosts::will_do(&session, bundle.as_ref()).await?),
        false => None,
    };
    let ca = session.vault().dir().status()?;
    let ca_text = match ca.trusted.first() {
        None => "no CA yet: `quorate up` creates it".to_owned(),
        Some(cert) => format!(
            "CA valid for {} more days, its key sealed to {}",
            cert.days_left(jiff::Timestamp::now()),
            ca.recipients.join(", ")
        ),
    };
    if session.json() {
        let checked = json!({
            "event": "finished",
            "ok": true,
            "seconds": session.begun.elapsed().as_secs_f64(),
            "hosts": desired.hosts.len(),
            "etcd": version,
            "bundle_checked": report.is_some(),
            "hosts_checked": hosts.is_some(),
            "ca_days_left": ca.trusted.first().map(|cert| cert.days_left(jiff::Timestamp::now())),
            "trial": trial,
            "advice": advice(version).map(|advice| advice.to_string()),
        });
        data(&checked.to_string());
        return Ok(Exit::Done);
    }
    say!("inventory  {} hosts, etcd {version}", desired.hosts.len());
    match (&bundle, &report) {
        (Some(bundle), Some(report)) => say!(
            "bundle     {} of {} releases, every byte checked",
            count(report.programs, "program"),
            bundle.versions().len()
        ),
        _ => say!("bundle     NOT CHECKED: there is none here; `up` needs one that has etcd {version}"),
    }
    say!("files      rendered for every host");
    say!("pki        {ca_text}");
    if let Some(tried) = trial {
        say!("trial      {tried}");
    }
    if let Some(hosts) = hosts {
        say!("hosts      {hosts}");
    }
    if let Some(advice) = advice(version) {
        say!("note       {advice}");
    }
    Ok(Exit::Done)
}

/// Whether etcd starts with what the hosts would get; every option that keeps it from it, in its place.
async fn etcd_starts(session: &Session, bundle: &Bundle) -> Result<String, Failure> {
    let answers = trial::offline(session, bundle).await?;
    let sites = session.loaded.sites();
    let mut problems = Vec::new();
    for (trial, fault) in answers
        .trials
        .iter()
        .flat_map(|trial| trial.faults.iter().map(move |fault| (trial, fault)))
    {
        let mut at = fault.options.iter().filter_map(|option| sites.options.get(option));
        let first = at.next().copied().unwrap_or(sites.version);
        let mut problem = Problem::error(first, fault.says(trial.version), fault.help());
        for other in at {
            problem = problem.also(*other, "together with this", "this");
        }
        problems.push(problem);
    }
    if !problems.is_empty() {
        return Err(session.loaded.wrong(problems).into());
    }
    if let Some(why) = answers.untried.first() {
        return Err(
            Failure::new(Exit::Bundle, why).hint("`quorate plan` runs this trial on a host when this machine cannot")
        );
    }
    let hosts: usize = answers.trials.iter().map(|trial| trial.nodes.len()).sum();
    Ok(format!(
        "etcd {} starts with the configuration of {} ({})",
        session.desired().version,
        count(hosts, "host"),
        count(answers.trials.len(), "configuration")
    ))
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
