//! Newtypes for names and identifiers. A value of one of these is checked: it can be put into a file, a URL
//! or a command line without surprises.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text cannot be one of the names in this file. The message is a full sentence that names the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(pub String);

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

fn is_label(text: &str, longest: usize, extra: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    !text.is_empty()
        && text.len() <= longest
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || extra.contains(c))
}

text_newtype! {
    /// A cluster's name: `[a-z0-9]([a-z0-9-]*[a-z0-9])?`, at most 40 characters.
    ClusterName
}
impl FromStr for ClusterName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_label(text, 40, "") {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError(format!(
            "`{}` cannot name a cluster: use 1 to 40 of a-z, 0-9 and `-`, with a letter or digit at both ends",
            text.escape_debug()
        )))
    }
}

text_newtype! {
    /// A host's name; also the etcd member's name and a SAN of its certificates. A DNS name in lower case.
    NodeName
}
impl FromStr for NodeName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let labels_fit = text.split('.').all(|label| is_label(label, 63, ""));
        if labels_fit && text.len() <= 100 && text != "default" && text.parse::<IpAddr>().is_err() {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError(format!(
            "`{}` cannot name a host: use a DNS name in lower case (a-z, 0-9, `-`, `.`), at most 100 characters, \
             not `default` (etcd merges members of that name) and not an IP address",
            text.escape_debug()
        )))
    }
}

text_newtype! {
    /// The name of the service unit, without `.service`.
    ServiceName
}
impl FromStr for ServiceName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_label(text, 60, "_.") && !text.ends_with(".service") {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError(format!(
            "`{}` cannot name a unit: use 1 to 60 of a-z, 0-9, `-`, `_`, `.`, without `.service` at the end",
            text.escape_debug()
        )))
    }
}

text_newtype! {
    /// A Unix account's name.
    UserName
}
impl FromStr for UserName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next();
        let fits = first.is_some_and(|c| c.is_ascii_lowercase() || c == '_')
            && text.len() <= 31
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        if fits {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError(format!(
            "`{}` cannot name an account: use a-z, 0-9, `_`, `-`, at most 31 characters, first a letter or `_`",
            text.escape_debug()
        )))
    }
}

text_newtype! {
    /// An absolute path on a host, with no `.`/`..` parts, no control characters and no trailing slash.
    HostPath
}
impl FromStr for HostPath {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let parts_fit = text.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        // systemd reads `%` as a specifier and etcd splits lists at commas; both would change the path's meaning.
        let chars_fit = text
            .chars()
            .all(|c| c.is_ascii_graphic() && !"%,\"'\\`$:;*?".contains(c));
        if text.starts_with('/') && text.len() > 1 && text.len() <= 200 && parts_fit && chars_fit {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError(format!(
            "`{}` cannot be used as a path: give an absolute path without `.`, `..`, doubled or trailing `/`, \
             spaces, quotes or any of % , $ : ; * ? \\",
            text.escape_debug()
        )))
    }
}
impl HostPath {
    /// This path with one more part; `part` comes from the program or from a checked name.
    pub fn join(&self, part: &str) -> HostPath {
        HostPath(format!("{}/{part}", self.0))
    }

    /// This path with more at the end of its last part; `suffix` comes from the program.
    pub fn with_suffix(&self, suffix: &str) -> HostPath {
        HostPath(format!("{}{suffix}", self.0))
    }

    /// Another name in the same directory; `name` comes from the program or from a checked name.
    pub fn beside(&self, name: &str) -> HostPath {
        HostPath(format!("{}/{name}", self.parent().trim_end_matches('/')))
    }

    /// Where a push keeps the file that it replaces here.
    pub fn previous(&self) -> HostPath {
        let name = self.0.rsplit('/').next().unwrap_or_default();
        self.beside(&format!(".{name}.previous"))
    }

    /// Whether it is `outer` or below it.
    pub fn is_within(&self, outer: &HostPath) -> bool {
        self.0
            .strip_prefix(outer.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The name of the directory right below this one in which the file `path` is; `None` for a file elsewhere.
    pub fn first_below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let below = path.strip_prefix(self.as_str())?.strip_prefix('/')?;
        below.split_once('/').map(|(first, _)| first)
    }

    /// The directory that holds this path (`/` for a top-level path).
    pub fn parent(&self) -> &str {
        match self.0.rfind('/') {
            Some(0) | None => "/",
            Some(at) => &self.0[..at],
        }
    }
}

/// An etcd release, `3.6.16`. A leading `v` is accepted when reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// Always 3 for now.
    pub major: u32,
    /// The minor release, the unit of compatibility.
    pub minor: u32,
    /// The patch release.
    pub patch: u32,
}
impl Version {
    /// A version from its three numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// `3.6` of `3.6.16`.
    pub fn series(&self) -> (u32, u32) {
        (self.major, self.minor)
    }

    /// The same as text, the way etcd takes it.
    pub fn series_text(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.major, self.minor, self.patch))
    }
}
impl FromStr for Version {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = || {
            NameError(format!(
                "`{}` is not an etcd version: write it like 3.6.16",
                text.escape_debug()
            ))
        };
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut next = || {
            let part = parts
                .next()
                .filter(|p| !p.is_empty() && p.len() <= 6 && p.bytes().all(|b| b.is_ascii_digit()));
            part.and_then(|p| p.parse().ok()).ok_or_else(refuse)
        };
        let version = Version {
            major: next()?,
            minor: next()?,
            patch: next()?,
        };
        if parts.next().is_some() {
            Err(refuse())
        } else {
            Ok(version)
        }
    }
}
impl TryFrom<String> for Version {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}
impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

/// A processor architecture, by the name upstream etcd gives its releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Arch {
    Amd64,
    Arm64,
    Ppc64le,
    S390x,
}
impl Arch {
    /// That of the programs of a bundle that run on this machine; `None` where none do, as on a Mac.
    pub fn of_this_machine() -> Option<Arch> {
        match std::env::consts::OS {
            "linux" => Arch::from_uname(std::env::consts::ARCH),
            _ => None,
        }
    }

    /// From what `uname -m` prints.
    pub fn from_uname(machine: &str) -> Option<Arch> {
        match machine {
            "x86_64" | "amd64" => Some(Arch::Amd64),
            "aarch64" | "arm64" => Some(Arch::Arm64),
            "ppc64le" => Some(Arch::Ppc64le),
            "s390x" => Some(Arch::S390x),
            _ => None,
        }
    }
}
impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Arch::Amd64 => "amd64",
            Arch::Arm64 => "arm64",
            Arch::Ppc64le => "ppc64le",
            Arch::S390x => "s390x",
        })
    }
}

/// What peers and clients use to reach a host: an IP address or a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// IPv4 or IPv6.
    Ip(IpAddr),
    /// A DNS name, lower case.
    Dns(String),
}
impl Address {
    /// As it stands in a URL: IPv6 in brackets.
    pub fn in_url(&self) -> String {
        match self {
            Address::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            other => other.to_string(),
        }
    }

    /// True for 127.0.0.0/8, ::1 and `localhost`.
    pub fn is_loopback(&self) -> bool {
        match self {
            Address::Ip(ip) => ip.is_loopback(),
            Address::Dns(name) => name == "localhost",
        }
    }
}
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(ip) => f.pad(&ip.to_string()),
            Address::Dns(name) => f.pad(name),
        }
    }
}
impl FromStr for Address {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why: &str| Err(NameError(format!("`{}` is not an address: {why}", text.escape_debug())));
        if let Ok(ip) = text.parse::<IpAddr>() {
            if ip.is_unspecified() || ip.is_multicast() {
                return refuse("peers could not reach it; give the host's own IP address or DNS name");
            }
            return Ok(Address::Ip(ip));
        }
        let looks_numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if text.len() <= 253 && !looks_numeric && text.split('.').all(|label| is_label(label, 63, "_")) {
            return Ok(Address::Dns(text.to_owned()));
        }
        refuse("give an IPv4 or IPv6 address (without brackets or port) or a DNS name in lower case")
    }
}
impl TryFrom<String> for Address {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}
impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format!("{:x}", self.0))
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                u64::from_str_radix(text, 16)
                    .map(Self)
                    .map_err(|_| NameError(format!("`{}` is not an etcd id (hexadecimal)", text.escape_debug())))
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}
hex_id! {
    /// An etcd member's id, printed in hexadecimal as etcdctl does.
    MemberId
}
hex_id! {
    /// An etcd cluster's id, printed in hexadecimal as etcdctl does. It never changes while the cluster lives.
    ClusterId
}

/// The URL other members use to reach a member. Its exact text goes into member and cluster ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerUrl(pub String);
impl PeerUrl {
    /// `https://ADDRESS:PORT`.
    pub fn new(address: &Address, port: u16) -> Self {
        Self(format!("https://{}:{port}", address.in_url()))
    }
}
impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_a_shell_a_url_or_systemd_would_read_otherwise() {
        for bad in ["", "-a", "a-", "a b", "A", "a;b", "$(x)", "a\nb", &"a".repeat(41)] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad:?}");
        }
        for bad in ["default", "10.0.0.1", "a..b", ".a", "a_b", "e\u{301}"] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
        for bad in ["etc", "/", "/a/../b", "/a//b", "/a b", "/a%n", "/a,b", "/a/", "/a\n"] {
            assert!(bad.parse::<HostPath>().is_err(), "{bad:?}");
        }
        for bad in ["3.5", "3.5.x", "3.5.30.1", "3.5.-1", "", "latest", "3.5.+1"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
        for bad in ["0.0.0.0", "::", "10.0.0", "[::1]", "1.2.3.4:80", "a b", "224.0.0.1"] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_print_as_etcdctl_does() {
        assert_eq!(MemberId(0x8e9e05c52164694d).to_string(), "8e9e05c52164694d");
        assert_eq!("v3.5.30".parse::<Version>().unwrap(), Version::new(3, 5, 30));
        assert_eq!(
            PeerUrl::new(&"fd00::1".parse().unwrap(), 2380).0,
            "https://[fd00::1]:2380"
        );
    }
}
