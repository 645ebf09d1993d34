//! `pki/allowed_signers`: whose signatures count, in the format of OpenSSH (ssh-keygen(1), "ALLOWED SIGNERS").
//!
//! ```text
//! alice@example.com namespaces="quorate-bundle",valid-before="20270101" ssh-ed25519 AAAA... comment
//! ```

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;

use super::signature::NAMESPACE;

/// The file, read.
#[derive(Debug, Clone, Default)]
pub struct AllowedSigners {
    entries: Vec<Entry>,
}

/// One line.
#[derive(Debug, Clone)]
struct Entry {
    principals: String,
    namespaces: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    /// The key signs certificates, and no bundles itself.
    authority: bool,
    key: PublicKey,
}

/// A line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// Why a key's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stranger {
    /// The key is not listed.
    Unknown,
    /// It is listed as a certificate authority only.
    Authority,
    /// It is listed for other namespaces.
    Namespace(String),
    /// It counts only from this moment on.
    NotYet(Timestamp),
    /// It counted until this moment.
    NoLonger(Timestamp),
    /// It is listed, for others than those that are asked for.
    Others(String),
}

impl AllowedSigners {
    /// Reads the file; one bad line spoils it, as nothing in it may be overlooked.
    ///
    /// # Errors
    /// Every line that cannot be understood.
    pub fn parse(text: &str) -> Result<Self, Vec<BadLine>> {
        let mut entries = Vec::new();
        let mut bad = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            match entry(trimmed) {
                Ok(entry) => entries.push(entry),
                Err(why) => bad.push(BadLine { line: index + 1, why }),
            }
        }
        match bad.is_empty() {
            true => Ok(Self { entries }),
            false => Err(bad),
        }
    }

    /// The principals of a key that may sign bundles now: of those `wanted`, or any when that is empty.
    ///
    /// # Errors
    /// Why it may not; of several reasons that of the last fitting line.
    pub fn who(&self, key: &KeyData, wanted: &[String], now: Timestamp) -> Result<String, Stranger> {
        let mut reason = Stranger::Unknown;
        for entry in self.entries.iter().filter(|entry| entry.key.key_data() == key) {
            match entry.admits(wanted, now) {
                Ok(who) => return Ok(who),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }
}

impl Entry {
    fn admits(&self, wanted: &[String], now: Timestamp) -> Result<String, Stranger> {
        if self.authority {
            return Err(Stranger::Authority);
        }
        if let Some(namespaces) = &self.namespaces
            && !listed(namespaces, NAMESPACE)
        {
            return Err(Stranger::Namespace(namespaces.clone()));
        }
        match (self.after, self.before) {
            (Some(after), _) if now < after => return Err(Stranger::NotYet(after)),
            (_, Some(before)) if now > before => return Err(Stranger::NoLonger(before)),
            _ => {}
        }
        if wanted.is_empty() {
            return Ok(self.principals.clone());
        }
        let fitting = wanted.iter().find(|name| listed(&self.principals, name));
        fitting
            .cloned()
            .ok_or_else(|| Stranger::Others(self.principals.clone()))
    }
}

fn entry(line: &str) -> Result<Entry, String> {
    let (principals, rest) = word(line)?;
    let mut entry = Entry {
        principals: principals.replace('"', ""),
        namespaces: None,
        after: None,
        before: None,
        authority: false,
        key: match PublicKey::from_openssh(rest) {
            Ok(key) => key,
            Err(_) => {
                let (_, key) = word(rest)?;
                PublicKey::from_openssh(key).map_err(|error| format!("there is no public key in it ({error})"))?
            }
        },
    };
    if PublicKey::from_openssh(rest).is_err() {
        for option in split(word(rest)?.0) {
            entry.take(option)?;
        }
    }
    Ok(entry)
}

impl Entry {
    fn take(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "cert-authority" => self.authority = true,
            "namespaces" => self.namespaces = Some(value.to_owned()),
            "valid-after" => self.after = Some(moment(value)?),
            "valid-before" => self.before = Some(moment(value)?),
            // What is not understood may be a limit.
            _ => return Err(format!("`{}` is no option of it", name.escape_debug())),
        }
        Ok(())
    }
}

/// The first word and the rest; blanks inside quotes belong to a word.
fn word(text: &str) -> Result<(&str, &str), String> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => return Ok((&text[..at], text[at..].trim_start())),
            _ => {}
        }
    }
    Err("it has a principal, perhaps options, and a public key".to_owned())
}

/// Options are parted by commas outside of quotes.
fn split(options: &str) -> Vec<&str> {
    let mut quoted = false;
    options
        .split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })
        .collect()
}

/// `YYYYMMDD[HHMM[SS]]`, in local time or, with a `Z` behind, in UTC.
fn moment(text: &str) -> Result<Timestamp, String> {
    let refuse = || {
        format!(
            "`{}` is not a moment like 20270131 or 202701312359Z",
            text.escape_debug()
        )
    };
    let (digits, zone) = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, TimeZone::UTC),
        None => (text, TimeZone::system()),
    };
    let form = match digits.len() {
        8 => "%Y%m%d%H%M%S",
        12 | 14 => "%Y%m%d%H%M%S",
        _ => return Err(refuse()),
    };
    let whole = format!("{digits:0<14}");
    let time = DateTime::strptime(form, &whole).map_err(|_| refuse())?;
    time.to_zoned(zone).map(|zoned| zoned.timestamp()).map_err(|_| refuse())
}

/// Whether a list of patterns (`*`, `?`, `!` before what it is not) has a name.
fn listed(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if fits(not.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= fits(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => fits(rest, name) || (!name.is_empty() && fits(pattern, &name[1..])),
        (Some((b'?', rest)), Some((_, name))) => fits(rest, name),
        (Some((c, rest)), Some((d, name))) if c == d => fits(rest, name),
        _ => false,
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stranger::Unknown => f.write_str("its key is not listed"),
            Stranger::Authority => {
                f.write_str("its key is listed as a certificate authority, which quorate does not follow")
            }
            Stranger::Namespace(names) => write!(
                f,
                "its key is listed for the namespaces `{}` only",
                names.escape_debug()
            ),
            Stranger::NotYet(at) => write!(f, "its key counts from {at} on"),
            Stranger::NoLonger(at) => write!(f, "its key counted until {at}"),
            Stranger::Others(who) => write!(f, "its key is listed for `{}`", who.escape_debug()),
        }
    }
}
