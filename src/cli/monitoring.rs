//! `monitoring`: files for Prometheus and Grafana below one directory. Touches no host.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::args::{Global, Monitoring};
use super::error::{Exit, Failure};
use super::files;
use super::session::Session;
use crate::clients::monitoring::{RULES, SCRAPE_HEADER, Scraped, asks_for_tls, dashboard, scrape, scraped, targets};
use crate::inventory::Desired;

const SCRAPE: &str = "prometheus.yml";

/// `monitoring --out DIR`.
///
/// # Errors
/// When there is a `prometheus.yml` of somebody else, or a file cannot be written.
pub fn monitoring(global: &Global, args: &Monitoring) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let (desired, out) = (session.desired(), &args.out);
    not_somebody_elses(&out.join(SCRAPE))?;
    files::write(
        out,
        &format!("targets/{}.json", desired.cluster),
        0o644,
        &targets(desired),
    )?;
    let clusters = clusters(out, desired)?;
    let configuration = scrape(&clusters).map_err(|e| Failure::new(Exit::Unexpected, &e).hint(e.hint()))?;
    files::write(out, SCRAPE, 0o644, &configuration)?;
    files::write(out, "etcd.rules.yml", 0o644, RULES)?;
    files::write(out, "etcd-dashboard.json", 0o644, &dashboard())?;
    session.finish(true, 4, summary(out, desired));
    Ok(Exit::Done)
}

fn summary(out: &Path, desired: &Desired) -> String {
    let (cluster, out) = (&desired.cluster, out.display());
    let tls = match scraped(desired).tls {
        true => {
            format!("; create its client certificate with `quorate pki issue prometheus --out {out}/tls/{cluster}`")
        }
        false => String::new(),
    };
    format!(
        "{out}: {SCRAPE}, targets/{cluster}.json, etcd.rules.yml, etcd-dashboard.json{tls}; run this again after the members change"
    )
}

/// A configuration that quorate did not write is not replaced.
fn not_somebody_elses(path: &Path) -> Result<(), Failure> {
    let cannot = |e: io::Error| Failure::new(Exit::Unexpected, format!("cannot read {}: {e}", path.display()));
    match fs::read_to_string(path) {
        Ok(text) if text.starts_with(SCRAPE_HEADER) => Ok(()),
        Ok(_) => Err(Failure::new(
            Exit::Usage,
            format!("{} was not written by quorate, and is not replaced", path.display()),
        )
        .hint("pass another directory with `--out`, and copy `rule_files` and `scrape_configs` from there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot(error)),
    }
}

/// This cluster and the others that share the directory.
fn clusters(out: &Path, desired: &Desired) -> Result<BTreeSet<Scraped>, Failure> {
    let dir = out.join("targets");
    let cannot = |e: io::Error| Failure::new(Exit::Unexpected, format!("cannot read {}: {e}", dir.display()));
    let mut clusters = BTreeSet::from([scraped(desired)]);
    for entry in fs::read_dir(&dir).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        if name == desired.cluster.as_str() || name.parse::<crate::inventory::ClusterName>().is_err() {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(cannot)?;
        clusters.extend(asks_for_tls(&text).map(|tls| Scraped {
            name: name.to_owned(),
            tls,
        }));
    }
    Ok(clusters)
}
