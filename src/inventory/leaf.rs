//! Single values of the inventory: how each is read from its text, and what the schema says about it.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::authorization::Access;
use super::desired::{Jump, KeyType, ServiceManager, Sudo};
use super::names::{Address, ClusterName, HostPath, NodeName, ServiceName, UserName, Version};
use super::place::BackupPlace;
use super::quantity;

/// Why a text is not the value that is wanted here: what is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Refusal {
    fn new(text: &str, wrong: &str, help: impl Into<String>) -> Self {
        Self {
            message: format!("`{}` {wrong}", text.escape_debug()),
            help: help.into(),
        }
    }

    /// Splits the sentence of a name's own error, "`x` cannot name a host: use ...", at its colon.
    fn from_sentence(text: &str, sentence: &str) -> Self {
        let shown = text.escape_debug().to_string();
        let after = sentence.find(&shown).map_or(0, |at| at + shown.len());
        match sentence[after..].find(": ") {
            Some(colon) => Self {
                message: sentence[..after + colon].to_owned(),
                help: sentence[after + colon + 2..].to_owned(),
            },
            None => Self {
                message: sentence.to_owned(),
                help: "see docs/inventory.md".to_owned(),
            },
        }
    }
}

/// A value that stands in the inventory as one scalar.
pub trait Leaf: Sized {
    /// Reads the text as typed, without quotes.
    fn read(text: &str) -> Result<Self, Refusal>;
    /// Its JSON schema.
    fn schema() -> Value;
}

macro_rules! name_leaf {
    ($($name:ty => $schema:expr;)*) => {$(
        impl Leaf for $name {
            fn read(text: &str) -> Result<Self, Refusal> {
                text.parse().map_err(|error: super::names::NameError| Refusal::from_sentence(text, &error.0))
            }
            fn schema() -> Value {
                $schema
            }
        }
    )*};
}
name_leaf! {
    ClusterName => json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": 40});
    NodeName => json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "maxLength": 100});
    ServiceName => json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$", "maxLength": 60});
    UserName => json!({"type": "string", "pattern": "^[a-z_][a-z0-9_-]*$", "maxLength": 31});
    HostPath => json!({"type": "string", "pattern": "^/", "maxLength": 200});
    Version => json!({"type": "string", "pattern": "^v?[0-9]+\\.[0-9]+\\.[0-9]+$"});
    Address => json!({"type": "string", "maxLength": 253});
}

/// A TCP port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port(pub u16);
impl Leaf for Port {
    fn read(text: &str) -> Result<Self, Refusal> {
        match text.parse() {
            Ok(port) if port > 0 => Ok(Port(port)),
            _ => Err(Refusal::new(text, "is not a port", "give a number from 1 to 65535")),
        }
    }
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1, "maximum": 65535})
    }
}

/// A length of time that people plan by, at least a second. A bare number is seconds, but not a small one: whoever
/// writes `30` means days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);
impl Leaf for Period {
    fn read(text: &str) -> Result<Self, Refusal> {
        let help = "write a number with a unit: `8h`, `30d`, `1y`, `1h30m`";
        if let Ok(seconds) = text.parse::<u64>() {
            return match seconds {
                0..3600 => Err(Refusal::new(text, "has no unit", help)),
                _ => Ok(Period(Duration::from_secs(seconds))),
            };
        }
        match quantity::duration(text) {
            Some(duration) if duration >= Duration::from_secs(1) => Ok(Period(duration)),
            Some(_) => Err(Refusal::new(text, "is too short", "give at least `1s`")),
            None => Err(Refusal::new(text, "is not a duration", help)),
        }
    }
    fn schema() -> Value {
        json!({"anyOf": [
            {"type": "string", "pattern": "^([0-9]+(y|w|d|h|m|s|ms|us|ns) *)+$"},
            {"type": "integer", "minimum": 3600},
        ]})
    }
}

/// When, as systemd's `OnCalendar=` has it. systemd on the host has the last word about what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar(pub String);
impl Leaf for Calendar {
    fn read(text: &str) -> Result<Self, Refusal> {
        let fits = |c: char| c.is_ascii_alphanumeric() || " *-:,./~".contains(c);
        match !text.trim().is_empty() && text.len() <= 100 && text.chars().all(fits) {
            true => Ok(Calendar(text.trim().to_owned())),
            false => Err(Refusal::new(
                text,
                "is not a time for `OnCalendar=`",
                "write it as systemd has it (man systemd.time): `hourly`, `daily`, `*-*-* 03:00:00`",
            )),
        }
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[A-Za-z0-9 *:,./~-]+$"})
    }
}

/// A word without blanks, quotes or anything that systemd would expand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain(pub String);
impl Leaf for Plain {
    fn read(text: &str) -> Result<Self, Refusal> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_./:[]".contains(c);
        match !text.is_empty() && text.chars().all(fits) {
            true => Ok(Plain(text.to_owned())),
            false => Err(Refusal::new(
                text,
                "has characters that do not belong here",
                "use letters, digits and `-_./:`",
            )),
        }
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[A-Za-z0-9_./:\\[\\]-]+$"})
    }
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub usize);
impl Leaf for Count {
    fn read(text: &str) -> Result<Self, Refusal> {
        match text.parse::<u16>() {
            Ok(number) => Ok(Count(usize::from(number))),
            Err(_) => Err(Refusal::new(
                text,
                "is not a number from 0 to 65535",
                "write how many to keep: `7`",
            )),
        }
    }
    fn schema() -> Value {
        json!({"type": "integer", "minimum": 0, "maximum": 65535})
    }
}

impl Leaf for BackupPlace {
    fn read(text: &str) -> Result<Self, Refusal> {
        let help = "write s3://BUCKET/PREFIX, ssh://USER@HOST/DIR, or the absolute path of a directory of the hosts";
        match text.parse::<BackupPlace>() {
            Ok(BackupPlace::Directory(path)) if path.to_str().is_none_or(|path| path.parse::<HostPath>().is_err()) => {
                Err(Refusal::new(text, "is not an absolute path of a directory", help))
            }
            Ok(place) => Ok(place),
            Err(why) => Err(Refusal::new(text, "is not a place for backups", why)),
        }
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(s3://.+|ssh://.+|(file://)?/.+)$"})
    }
}

impl Leaf for bool {
    fn read(text: &str) -> Result<Self, Refusal> {
        match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(Refusal::new(
                text,
                "is neither true nor false",
                "write `true` or `false`",
            )),
        }
    }
    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}

impl Leaf for IpAddr {
    fn read(text: &str) -> Result<Self, Refusal> {
        match text.parse::<IpAddr>() {
            Ok(ip) if !ip.is_multicast() => Ok(ip),
            _ => Err(Refusal::new(
                text,
                "is not an IP address to listen on",
                "give an IPv4 or IPv6 address of the host; 0.0.0.0 or :: for all of them",
            )),
        }
    }
    fn schema() -> Value {
        json!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})
    }
}

/// The choice that is nearest to what was typed, when one is near enough to be meant.
pub fn nearest<'a>(typed: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, choice) = choices
        .into_iter()
        .map(|choice| (strsim::damerau_levenshtein(typed, choice), choice))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= typed.len().max(choice.len()) / 3).then_some(choice)
}

/// `a`, `b` or `c`.
pub fn one_of(choices: &[&str]) -> String {
    listed(choices, "or")
}

/// `a`, `b` and `c`.
pub fn all_of(choices: &[&str]) -> String {
    listed(choices, "and")
}

fn listed(words: &[&str], joint: &str) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [rest @ .., last] => format!("`{}` {joint} `{last}`", rest.join("`, `")),
    }
}

macro_rules! choice_leaf {
    ($name:ty, $what:literal, $($text:literal => $value:expr),+ $(,)?) => {
        impl Leaf for $name {
            fn read(text: &str) -> Result<Self, Refusal> {
                match text {
                    $($text => Ok($value),)+
                    _ => Err(Refusal::new(text, concat!("is not ", $what), format!("use {}", one_of(&[$($text),+])))),
                }
            }
            fn schema() -> Value {
                json!({"type": "string", "enum": [$($text),+]})
            }
        }
    };
}

/// `connection` as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConnectionKind {
    Ssh,
    Local,
}
choice_leaf! { ConnectionKind, "a way to reach a host", "ssh" => ConnectionKind::Ssh, "local" => ConnectionKind::Local }
choice_leaf! {
    ServiceManager, "a service manager",
    "systemd" => ServiceManager::Systemd, "process" => ServiceManager::Process
}
choice_leaf! { Sudo, "a sudo mode", "auto" => Sudo::Auto, "always" => Sudo::Always, "never" => Sudo::Never }
choice_leaf! {
    KeyType, "a key type",
    "ecdsa-p256" => KeyType::EcdsaP256, "ed25519" => KeyType::Ed25519, "rsa-3072" => KeyType::Rsa3072
}

choice_leaf! {
    Access, "an access to keys",
    "read" => Access::Read, "write" => Access::Write, "readwrite" => Access::ReadWrite
}

/// A SHA-256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sha256Text(pub String);
impl Leaf for Sha256Text {
    fn read(text: &str) -> Result<Self, Refusal> {
        match text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => Ok(Sha256Text(text.to_ascii_lowercase())),
            false => Err(Refusal::new(
                text,
                "is not a SHA-256",
                "write its 64 hexadecimal digits, as `quorate bundle show` prints them",
            )),
        }
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"})
    }
}

/// The name of one of etcd's users or roles. A user's is the common name of its certificate, and that has its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalName(pub String);
impl Leaf for PrincipalName {
    fn read(text: &str) -> Result<Self, Refusal> {
        if !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(PrincipalName(text.to_owned()));
        }
        Err(Refusal::new(
            text,
            "cannot name a user or a role",
            "use 1 to 64 printable ASCII characters without spaces",
        ))
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[!-~]+$", "maxLength": 64})
    }
}

/// A key of etcd's, or the beginning of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyText(pub String);
impl Leaf for KeyText {
    fn read(text: &str) -> Result<Self, Refusal> {
        match text.contains('\0') {
            false => Ok(KeyText(text.to_owned())),
            true => Err(Refusal::new(
                text,
                "is not a key that can be written here",
                "leave the zero byte out; for all keys there is `prefix: \"\"`",
            )),
        }
    }
    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// A name that SSH resolves: a DNS name, an address, or an alias of `~/.ssh/config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshName(pub String);
impl Leaf for SshName {
    fn read(text: &str) -> Result<Self, Refusal> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
        if !text.is_empty() && text.len() <= 253 && !text.starts_with('-') && text.chars().all(fits) {
            return Ok(SshName(text.to_owned()));
        }
        Err(Refusal::new(
            text,
            "is not a host for SSH",
            "give a DNS name, an IP address without brackets, or a `Host` of ~/.ssh/config; the port goes into `port`",
        ))
    }
    fn schema() -> Value {
        json!({"type": "string", "maxLength": 253})
    }
}

/// A login name. Directory services allow more than Unix does (`CORP\me`, `me@corp`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login(pub String);
impl Leaf for Login {
    fn read(text: &str) -> Result<Self, Refusal> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-@\\+".contains(c);
        if !text.is_empty() && text.len() <= 100 && !text.starts_with('-') && text.chars().all(fits) {
            return Ok(Login(text.to_owned()));
        }
        Err(Refusal::new(
            text,
            "is not a login name",
            "use letters, digits and . _ - @ \\ +",
        ))
    }
    fn schema() -> Value {
        json!({"type": "string", "maxLength": 100})
    }
}

impl Leaf for Jump {
    fn read(text: &str) -> Result<Self, Refusal> {
        let refuse = || {
            Refusal::new(
                text,
                "is not a jump host",
                "write `[user@]host[:port]`, an IPv6 address in brackets: `ops@bastion.example.com:2222`",
            )
        };
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(Login::read(user).map_err(|_| refuse())?.0), rest),
            None => (None, text),
        };
        let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, tail)) => (host, Some(tail.strip_prefix(':').ok_or_else(refuse)?)),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        Ok(Jump {
            host: SshName::read(host).map_err(|_| refuse())?.0,
            port: port.map(Port::read).transpose().map_err(|_| refuse())?.map(|p| p.0),
            user,
        })
    }
    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// A path on the operator's machine, absolute, relative to the inventory, or below `~`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPath(pub String);
impl Leaf for LocalPath {
    fn read(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Refusal::new(
                text,
                "is not a path",
                "give the path of a file or directory on this machine",
            ));
        }
        if text.starts_with('~') && text != "~" && !text.starts_with("~/") {
            return Err(Refusal::new(
                text,
                "cannot be expanded",
                "only `~/` is: write the full path",
            ));
        }
        Ok(LocalPath(text.to_owned()))
    }
    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

/// Who can open the CA key: an age or SSH public key, or the path of a file of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// The key itself.
    Key(String),
    /// A file of keys.
    File(LocalPath),
}
impl Leaf for Recipient {
    fn read(text: &str) -> Result<Self, Refusal> {
        if text.contains("AGE-SECRET-KEY-") || text.contains("PRIVATE KEY") {
            // Never repeat it: this message goes to screens and logs.
            return Err(Refusal {
                message: "the inventory contains a private key".to_owned(),
                help: "treat it as compromised: create a new one, and put only its public half here (`age1...`, `ssh-ed25519 ...`)"
                    .to_owned(),
            });
        }
        if text.starts_with("age1") || text.starts_with("ssh-ed25519 ") || text.starts_with("ssh-rsa ") {
            return Ok(Recipient::Key(text.to_owned()));
        }
        if text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-") {
            return Err(Refusal::new(
                text,
                "cannot open an age file",
                "age takes `age1...`, `ssh-ed25519 ...` and `ssh-rsa ...`",
            ));
        }
        LocalPath::read(text).map(Recipient::File)
    }
    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_hosts_are_read_in_every_form_ssh_users_write() {
        let jump = |text: &str| Jump::read(text).unwrap();
        assert_eq!(
            jump("b"),
            Jump {
                host: "b".into(),
                port: None,
                user: None
            }
        );
        let full = Jump {
            host: "b.example.com".into(),
            port: Some(2222),
            user: Some("ops".into()),
        };
        assert_eq!(jump("ops@b.example.com:2222"), full);
        assert_eq!(
            jump("[fd00::1]:22"),
            Jump {
                host: "fd00::1".into(),
                port: Some(22),
                user: None
            }
        );
        assert_eq!(jump("me@corp@b").user.as_deref(), Some("me@corp"));
        for bad in [
            "",
            "@b",
            "b:",
            "b:0",
            "b:x",
            "-oProxyCommand=x",
            "[::1",
            "[::1]22",
            "a b",
            "u@",
            "b;ls",
        ] {
            assert!(Jump::read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_has_a_message_and_a_help() {
        let refusal = NodeName::read("a: b").unwrap_err();
        assert_eq!(refusal.message, "`a: b` cannot name a host");
        assert!(refusal.help.starts_with("use a DNS name"));
        assert_eq!(Port::read("99999").unwrap_err().message, "`99999` is not a port");
        assert_eq!(Sudo::read("maybe").unwrap_err().help, "use `auto`, `always` or `never`");
    }

    #[test]
    fn a_private_key_is_never_repeated() {
        let refusal = Recipient::read("AGE-SECRET-KEY-1QQQQ").unwrap_err();
        assert!(!format!("{refusal:?}").contains("QQQQ"));
    }

    #[test]
    fn the_nearest_choice_is_near() {
        assert_eq!(
            nearest("clinet_port", ["peer_port", "client_port"]),
            Some("client_port")
        );
        assert_eq!(nearest("colour", ["peer_port", "client_port"]), None);
    }
}
