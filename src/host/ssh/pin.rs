//! Pinning host keys: what `quorate trust` writes.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::known_hosts::{HostId, KnownHosts, spelled};

/// A `known_hosts` file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot pin host keys in {}", path.display())]
pub struct PinError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// A host key worth pinning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostKey {
    /// The name it was reached by.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `TYPE BASE64`, as OpenSSH writes public keys, without a comment.
    pub key: String,
}

impl HostKey {
    /// The line of a `known_hosts` file.
    pub fn line(&self) -> String {
        format!("{} {}", spelled(&self.host, self.port), self.key)
    }
}

/// What a `known_hosts` file has pinned for a host.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn pinned(file: &Path, host: &str, port: u16) -> Result<Vec<HostKey>, String> {
    let id = HostId {
        names: vec![host.to_owned()],
        port,
    };
    let known = KnownHosts::read(&[file.to_owned()])?;
    let keys = known.pinned(&id).filter_map(|key| {
        Some(HostKey {
            host: host.to_owned(),
            port,
            key: format!(
                "{} {}",
                key.algorithm().as_str(),
                key.to_openssh().ok()?.split(' ').nth(1)?
            ),
        })
    });
    Ok(keys.collect())
}

/// Adds `keys` to the `known_hosts` file at `path`, which need not exist, and tells how many were new.
///
/// What the file holds stays as it is, comments too. The new content appears in one step, and a key that stands there
/// already is not added again.
///
/// # Errors
/// The file or its directory cannot be read or written.
pub fn pin(path: &Path, keys: &[HostKey]) -> Result<usize, PinError> {
    pin_in_one_step(path, keys).map_err(|source| PinError {
        path: path.to_owned(),
        source,
    })
}

fn pin_in_one_step(path: &Path, keys: &[HostKey]) -> io::Result<usize> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    // A comment may follow the key; it does not make the line another one.
    let words = |line: &str| line.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let present: BTreeSet<String> = old.lines().map(words).collect();
    let wanted: BTreeSet<String> = keys.iter().map(HostKey::line).collect();
    let new: Vec<&String> = wanted.difference(&present).collect();
    if new.is_empty() {
        return Ok(0);
    }
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut next = tempfile::NamedTempFile::new_in(directory)?;
    next.write_all(old.as_bytes())?;
    if !old.is_empty() && !old.ends_with('\n') {
        next.write_all(b"\n")?;
    }
    for line in &new {
        writeln!(next, "{line}")?;
    }
    if let Ok(metadata) = std::fs::metadata(path) {
        next.as_file().set_permissions(metadata.permissions())?;
    } else {
        use std::os::unix::fs::PermissionsExt as _;
        // Meant to be committed and read by colleagues.
        next.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    next.as_file().sync_all()?;
    next.persist(path).map_err(|error| error.error)?;
    Ok(new.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: &str, port: u16, data: &str) -> HostKey {
        HostKey {
            host: host.into(),
            port,
            key: format!("ssh-ed25519 {data}"),
        }
    }

    #[test]
    fn pinning_keeps_what_is_there_and_adds_nothing_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pki/known_hosts");
        assert_eq!(pin(&path, &[key("A", 22, "AAAA"), key("b", 2222, "BBBB")]).unwrap(), 2);
        std::fs::write(
            &path,
            format!("# ours\n{}", std::fs::read_to_string(&path).unwrap().trim_end()),
        )
        .unwrap();
        assert_eq!(
            pin(
                &path,
                &[key("a", 22, "AAAA"), key("c", 22, "CCCC"), key("c", 22, "CCCC")]
            )
            .unwrap(),
            1
        );
        assert_eq!(pin(&path, &[key("c", 22, "CCCC")]).unwrap(), 0);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "# ours\n[b]:2222 ssh-ed25519 BBBB\na ssh-ed25519 AAAA\nc ssh-ed25519 CCCC\n"
        );
    }

    #[test]
    fn a_comment_behind_a_key_does_not_make_it_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_hosts");
        std::fs::write(&path, "a ssh-ed25519\tAAAA  root@a\n").unwrap();
        assert_eq!(pin(&path, &[key("a", 22, "AAAA")]).unwrap(), 0);
    }

    #[test]
    fn an_unwritable_place_is_named() {
        let error = pin(Path::new("/proc/quorate/known_hosts"), &[key("a", 22, "AAAA")]).unwrap_err();
        assert!(error.to_string().contains("/proc/quorate/known_hosts"), "{error}");
    }
}
