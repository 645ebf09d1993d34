//! Which host keys are trusted: a strict reading of OpenSSH's `known_hosts` format (sshd(8)).
//!
//! Plain, hashed and wildcard names, negation, `[host]:port`, `@revoked` and `@cert-authority` are understood. Only key
//! data is compared; comments are not. A line that cannot be read trusts nobody.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{KeyInit as _, Mac as _};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};

use super::glob;

/// A host as it is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostId {
    /// Every name it is known by; one match is enough.
    pub(super) names: Vec<String>,
    /// TCP port; anything but 22 is part of the entry.
    pub(super) port: u16,
}

impl HostId {
    /// The host at the usual port.
    fn without_port(&self) -> Self {
        Self {
            port: 22,
            ..self.clone()
        }
    }

    /// The texts that entries are compared with.
    fn spelled(&self) -> Vec<String> {
        self.names.iter().map(|name| spelled(name, self.port)).collect()
    }
}

/// `host`, or `[host]:port` for a port other than 22, in lower case: how an entry names a host.
pub(super) fn spelled(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    match port {
        22 => host,
        _ => format!("[{host}]:{port}"),
    }
}

/// What the files say of a key that a host has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Pinned, or certified by an authority for this host.
    Trusted,
    /// Nothing is known of the host.
    Unknown,
    /// Another key is pinned, in this line.
    Changed(Place),
    /// The key or its authority was revoked, in this line.
    Revoked(Place),
    /// The host showed a certificate of a known authority that is not good for this host.
    BadCertificate(String),
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file.
    pub(super) file: PathBuf,
    /// The line, from 1.
    pub(super) line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} of {}", self.line, self.file.display())
    }
}

/// What a key revocation list of `ssh-keygen -k` begins with.
const KRL: &[u8] = b"SSHKRL\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    Pinned,
    Authority,
    Revoked,
}

#[derive(Debug, Clone)]
enum Hosts {
    Patterns(Vec<String>),
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

#[derive(Debug, Clone)]
struct Entry {
    place: Place,
    marker: Marker,
    hosts: Hosts,
    key: PublicKey,
}

/// Every usable line of some `known_hosts` files.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownHosts {
    entries: Vec<Entry>,
}

impl KnownHosts {
    /// Reads `files`; one that does not exist is empty.
    ///
    /// # Errors
    /// A file that exists but cannot be read: what it would have revoked or changed is not known then.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, String> {
        let mut known = Self::default();
        for file in files {
            match std::fs::read(file) {
                Ok(bytes) => known.add(file, &String::from_utf8_lossy(&bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
            }
        }
        Ok(known)
    }

    /// Adds `RevokedHostKeys`: public keys, one a line, that no host may show.
    ///
    /// # Errors
    /// When it cannot be read, which is to say that any key might be revoked.
    pub(super) fn revoke(&mut self, file: &Path) -> Result<(), String> {
        let bytes = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        if bytes.starts_with(KRL) {
            return Err(format!(
                "{} (RevokedHostKeys) is a binary list, and quorate reads public keys, one a line",
                file.display()
            ));
        }
        let revoked: String = String::from_utf8_lossy(&bytes)
            .lines()
            .map(
                |line| match line.trim().is_empty() || line.trim_start().starts_with('#') {
                    true => "\n".to_owned(),
                    false => format!("@revoked * {line}\n"),
                },
            )
            .collect();
        self.add(file, &revoked);
        Ok(())
    }

    /// Adds the lines of one file.
    pub(super) fn add(&mut self, file: &Path, text: &str) {
        let numbered = text.lines().enumerate();
        self.entries.extend(numbered.filter_map(|(index, line)| {
            let place = Place {
                file: file.to_owned(),
                line: index + 1,
            };
            parse_line(place, line)
        }));
    }

    fn matching<'a>(&'a self, marker: Marker, host: &HostId) -> impl Iterator<Item = &'a Entry> {
        let mut spelled = host.spelled();
        if marker != Marker::Pinned {
            // As OpenSSH does: an authority for (or a revocation on) `*.example.com` holds for every port.
            spelled.extend(host.names.iter().map(|name| name.to_ascii_lowercase()));
        }
        let mine = move |entry: &&Entry| entry.marker == marker && entry.hosts.include(&spelled);
        self.entries.iter().filter(mine)
    }

    /// The keys that are pinned for a host.
    pub(super) fn pinned<'a>(&'a self, host: &HostId) -> impl Iterator<Item = &'a PublicKey> {
        self.matching(Marker::Pinned, host).map(|entry| &entry.key)
    }

    /// Judges a bare host key. As with OpenSSH, a key that is pinned for the host without a port is good for every port
    /// of which nothing is known.
    pub(super) fn judge(&self, host: &HostId, key: &PublicKey) -> Verdict {
        match (self.judge_at(host, key), self.judge_at(&host.without_port(), key)) {
            (Verdict::Unknown, Verdict::Trusted) => Verdict::Trusted,
            (verdict, _) => verdict,
        }
    }

    fn judge_at(&self, host: &HostId, key: &PublicKey) -> Verdict {
        let shown = |entry: &&Entry| entry.key.key_data() == key.key_data();
        if let Some(entry) = self.matching(Marker::Revoked, host).find(shown) {
            return Verdict::Revoked(entry.place.clone());
        }
        if self.matching(Marker::Pinned, host).any(|entry| shown(&entry)) {
            return Verdict::Trusted;
        }
        // The same type first: that is the line to look at.
        let same_type = |entry: &&Entry| entry.key.algorithm() == key.algorithm();
        let other = self.matching(Marker::Pinned, host).find(same_type);
        match other.or_else(|| self.matching(Marker::Pinned, host).next()) {
            Some(entry) => Verdict::Changed(entry.place.clone()),
            None => Verdict::Unknown,
        }
    }

    /// Judges a host certificate at `now` (Unix seconds).
    pub(super) fn judge_certificate(&self, host: &HostId, certificate: &Certificate, now: u64) -> Verdict {
        let mut revoked = self.matching(Marker::Revoked, host);
        let hit = revoked.find(|entry| {
            let data = entry.key.key_data();
            data == certificate.public_key() || data == certificate.signature_key()
        });
        if let Some(entry) = hit {
            return Verdict::Revoked(entry.place.clone());
        }
        let mut authorities = self.matching(Marker::Authority, host);
        let Some(authority) = authorities.find(|entry| entry.key.key_data() == certificate.signature_key()) else {
            // Not one of our authorities: the key inside may still be pinned by itself.
            return self.judge(host, &PublicKey::from(certificate.public_key().clone()));
        };
        let fingerprint = authority.key.fingerprint(HashAlg::Sha256);
        let principals = certificate.valid_principals();
        let named = |name: &String| principals.iter().any(|pattern| glob::matches(pattern, name));
        let bad = |why: &str| Verdict::BadCertificate(why.to_owned());
        if certificate.cert_type() != CertType::Host {
            bad("it is a user certificate")
        } else if certificate.validate_at(now, [&fingerprint]).is_err() {
            bad(
                "its signature is wrong, or it is not valid now (expired, not yet valid, or this machine's clock is off)",
            )
        } else if principals.is_empty() {
            bad("it names no host (issue it with `ssh-keygen -h -n NAME`)")
        } else if !host.names.iter().any(named) {
            let shown = principals.join(", ");
            Verdict::BadCertificate(format!("it is for `{shown}`, not for `{}`", host.names.join("`, `")))
        } else if certificate.critical_options().iter().next().is_some() {
            bad("it has critical options that quorate does not support")
        } else {
            Verdict::Trusted
        }
    }

    /// The key types that are pinned for `host`, in the order of the files.
    pub(super) fn types(&self, host: &HostId) -> Vec<Algorithm> {
        let types = |host: &HostId| -> Vec<Algorithm> {
            let pinned = self.matching(Marker::Pinned, host);
            pinned.map(|entry| entry.key.algorithm()).collect()
        };
        match types(host) {
            none if none.is_empty() => types(&host.without_port()),
            types => types,
        }
    }

    /// Whether a certificate could be judged.
    pub(super) fn has_authority(&self, host: &HostId) -> bool {
        self.matching(Marker::Authority, host).next().is_some()
    }
}

impl Hosts {
    /// Whether the entry is for a host that is spelled like one of `names`, and excludes none of them.
    fn include(&self, names: &[String]) -> bool {
        match self {
            Hosts::Patterns(patterns) => {
                let matches = |pattern: &str| names.iter().any(|name| glob::matches(pattern, name));
                let mut excluded = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!'));
                !excluded.any(matches) && patterns.iter().any(|pattern| matches(pattern))
            }
            Hosts::Hashed { salt, hash } => names.iter().any(|name| {
                let Ok(mut mac) = hmac::Hmac::<sha1::Sha1>::new_from_slice(salt) else {
                    return false;
                };
                mac.update(name.as_bytes());
                mac.verify_slice(hash).is_ok()
            }),
        }
    }
}

fn parse_line(place: Place, line: &str) -> Option<Entry> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let mut fields = line.split_ascii_whitespace().peekable();
    let marker = match *fields.peek()? {
        "@cert-authority" => Marker::Authority,
        "@revoked" => Marker::Revoked,
        other if other.starts_with('@') => return None,
        _ => Marker::Pinned,
    };
    if marker != Marker::Pinned {
        fields.next();
    }
    let names = fields.next()?;
    let hosts = match names.strip_prefix("|1|") {
        Some(hashed) => {
            let (salt, hash) = hashed.split_once('|')?;
            Hosts::Hashed {
                salt: BASE64.decode(salt).ok()?,
                hash: BASE64.decode(hash).ok()?,
            }
        }
        None => Hosts::Patterns(names.split(',').map(str::to_owned).collect()),
    };
    let (kind, data) = (fields.next()?, fields.next()?);
    let key = PublicKey::from_openssh(&format!("{kind} {data}")).ok()?;
    Some(Entry {
        place,
        marker,
        hosts,
        key,
    })
}

#[cfg(test)]
#[path = "known_hosts_tests.rs"]
mod tests;
