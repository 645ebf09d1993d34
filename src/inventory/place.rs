//! A place for backups as it is typed: `/mnt/usb`, `s3://bucket/prefix`, `ssh://user@host/dir`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where backups are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum BackupPlace {
    /// A directory of this machine.
    Directory(PathBuf),
    /// S3-compatible storage.
    S3 {
        /// The bucket.
        bucket: String,
        /// What names begin with there, without slashes at its ends; empty for none.
        prefix: String,
    },
    /// A directory of another host.
    Ssh(RemoteDirectory),
}

/// A directory of another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteDirectory {
    /// The login; `None` for the inventory's.
    pub user: Option<String>,
    /// The host.
    pub host: String,
    /// Its SSH port; `None` for the usual one.
    pub port: Option<u16>,
    /// The directory, absolute.
    pub path: String,
}

impl FromStr for BackupPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err("name a bucket: s3://BUCKET or s3://BUCKET/PREFIX".to_owned());
            }
            return Ok(BackupPlace::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.trim_matches('/').to_owned(),
            });
        }
        if let Some(rest) = text.strip_prefix("ssh://") {
            return remote(rest).map(BackupPlace::Ssh);
        }
        match text.split_once("://") {
            Some(("file", path)) => Ok(BackupPlace::Directory(path.into())),
            Some((scheme, _)) => Err(format!(
                "`{scheme}` is not known: write a directory, s3://BUCKET/PREFIX or ssh://USER@HOST/DIR"
            )),
            None if text.is_empty() => Err("name a directory, s3://BUCKET/PREFIX or ssh://USER@HOST/DIR".to_owned()),
            None => Ok(BackupPlace::Directory(text.into())),
        }
    }
}

fn remote(rest: &str) -> Result<RemoteDirectory, String> {
    let usage = || "write it as ssh://USER@HOST:PORT/DIR; user and port may be left out".to_owned();
    let (login, path) = rest.split_once('/').ok_or_else(usage)?;
    let (user, place) = match login.rsplit_once('@') {
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, login),
    };
    // An IPv6 address stands in brackets.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().map_err(|_| usage())?)),
        _ => (place, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+,=@".contains(c);
    if host.is_empty() || user.as_deref() == Some("") || path.is_empty() || !path.chars().all(plain) {
        return Err(usage());
    }
    Ok(RemoteDirectory {
        user,
        host,
        port,
        path: format!("/{}", path.trim_end_matches('/')),
    })
}

impl fmt::Display for BackupPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupPlace::Directory(path) => write!(f, "{}", path.display()),
            BackupPlace::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            BackupPlace::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            BackupPlace::Ssh(remote) => {
                f.write_str("ssh://")?;
                if let Some(user) = &remote.user {
                    write!(f, "{user}@")?;
                }
                match remote.host.contains(':') {
                    true => write!(f, "[{}]", remote.host)?,
                    false => f.write_str(&remote.host)?,
                }
                if let Some(port) = remote.port {
                    write!(f, ":{port}")?;
                }
                f.write_str(&remote.path)
            }
        }
    }
}

impl From<BackupPlace> for String {
    fn from(place: BackupPlace) -> String {
        place.to_string()
    }
}

impl TryFrom<String> for BackupPlace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
