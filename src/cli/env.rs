//! `env`: what a shell needs for etcdctl, of a certificate that `pki issue` made.

use std::path::{Path, PathBuf};

use super::args::{Env, Global};
use super::error::{Exit, Failure};
use super::session::Session;
use crate::inventory::Desired;
use crate::pki::Certificate;
use crate::report::print::{data, say};

/// The files of one client.
struct Files {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

/// `env`.
///
/// # Errors
/// When the directory does not hold exactly one client's files, or those of NAME, or its certificate has expired.
pub fn env(global: &Global, args: &Env) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let files = find(&args.dir, args.name.as_deref())?;
    still_valid(&files.certificate)?;
    let lines = variables(session.desired(), &files);
    match session.json() {
        true => {
            let object: serde_json::Map<String, serde_json::Value> = lines
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            data(&serde_json::Value::Object(object).to_string());
        }
        false => lines
            .iter()
            .for_each(|(name, value)| say!("export {name}={}", quoted(value))),
    }
    Ok(Exit::Done)
}

/// Where clients reach the members, in the inventory's order.
pub(super) fn endpoints(desired: &Desired) -> String {
    let hosts = desired.order.iter().filter_map(|name| desired.hosts.get(name));
    hosts.map(|host| host.client_url()).collect::<Vec<_>>().join(",")
}

fn variables(desired: &Desired, files: &Files) -> [(&'static str, String); 4] {
    let path = |path: &Path| path.display().to_string();
    [
        ("ETCDCTL_ENDPOINTS", endpoints(desired)),
        ("ETCDCTL_CACERT", path(&files.ca)),
        ("ETCDCTL_CERT", path(&files.certificate)),
        ("ETCDCTL_KEY", path(&files.key)),
    ]
}

fn find(dir: &Path, name: Option<&str>) -> Result<Files, Failure> {
    let dir = dir.canonicalize().map_err(|e| {
        Failure::new(Exit::Usage, format!("cannot read {}: {e}", dir.display()))
            .hint("name the directory that `quorate pki issue NAME --out DIR` wrote to: `--dir DIR`")
    })?;
    let pairs = pairs(&dir)?;
    let missing = |message: String, who: &str| {
        Failure::new(Exit::Usage, message).hint(format!(
            "make one with `quorate pki issue {who} --out {}`, or name another directory with `--dir`",
            dir.display()
        ))
    };
    let name = match (name, pairs.as_slice()) {
        (Some(name), pairs) if pairs.iter().any(|pair| pair == name) => name.to_owned(),
        (Some(name), _) => {
            return Err(missing(
                format!("{} has no {name}.crt and {name}.key", dir.display()),
                name,
            ));
        }
        (None, [only]) => only.clone(),
        (None, []) => {
            return Err(missing(
                format!("{} has no certificate with its key", dir.display()),
                "NAME",
            ));
        }
        (None, several) => {
            return Err(Failure::new(
                Exit::Usage,
                format!("{} has several certificates: {}", dir.display(), several.join(", ")),
            )
            .hint(format!("name one: `quorate env {}`", several[0])));
        }
    };
    let ca = dir.join("ca.crt");
    if !ca.is_file() {
        return Err(missing(format!("{} has no ca.crt", dir.display()), &name));
    }
    Ok(Files {
        ca,
        certificate: dir.join(format!("{name}.crt")),
        key: dir.join(format!("{name}.key")),
    })
}

/// The names of which a directory has both a certificate and a key.
fn pairs(dir: &Path) -> Result<Vec<String>, Failure> {
    let listed =
        std::fs::read_dir(dir).map_err(|e| Failure::unexpected(&format!("cannot read {}", dir.display()), e))?;
    let mut names: Vec<String> = listed
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| Some(file.strip_suffix(".key")?.to_owned()))
        .filter(|name| dir.join(format!("{name}.crt")).is_file())
        .collect();
    names.sort();
    Ok(names)
}

fn still_valid(path: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::unexpected(&format!("cannot read {}", path.display()), e))?;
    let certificate = Certificate::from_pem(&text).map_err(|e| {
        Failure::new(Exit::Usage, format!("{}: {e}", path.display())).hint("issue it again with `quorate pki issue`")
    })?;
    let until = certificate.facts().not_after;
    match until < jiff::Timestamp::now() {
        false => Ok(()),
        true => Err(
            Failure::new(Exit::Usage, format!("{} expired at {until}", path.display()))
                .hint("issue another with `quorate pki issue`"),
        ),
    }
}

/// A word that a POSIX shell reads as it is.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.,_-[]".contains(c);
    match text.chars().all(plain) && !text.contains(['[', ']']) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        assert_eq!(
            quoted("https://10.0.0.1:2379,https://10.0.0.2:2379"),
            "https://10.0.0.1:2379,https://10.0.0.2:2379"
        );
        assert_eq!(quoted("https://[fd00::1]:2379"), "'https://[fd00::1]:2379'");
        assert_eq!(quoted("/home/o'brien/a b"), r"'/home/o'\''brien/a b'");
    }

    #[test]
    fn only_files_that_are_there_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let put = |file: &str| std::fs::write(dir.path().join(file), "").unwrap();
        let error = |name| find(dir.path(), name).map(drop).unwrap_err().message;
        assert!(error(None).contains("no certificate with its key"));
        ["app.crt", "app.key", "lonely.crt"].into_iter().for_each(put);
        assert!(error(None).contains("has no ca.crt"));
        put("ca.crt");
        assert!(find(dir.path(), None).unwrap().key.ends_with("app.key"));
        assert!(error(Some("lonely")).contains("has no lonely.crt and lonely.key"));
        ["web.crt", "web.key"].into_iter().for_each(put);
        assert!(error(None).contains("several certificates: app, web"));
        assert!(find(dir.path(), Some("web")).unwrap().certificate.ends_with("web.crt"));
    }
}
