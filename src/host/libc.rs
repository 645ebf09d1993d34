//! Programs that are not static, as Debian's packages of etcd are, need a C library that is new enough.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of glibc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Libc {
    major: u32,
    minor: u32,
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Libc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| {
            part.parse::<u32>()
                .map_err(|_| format!("`{text}` is not a version of glibc"))
        };
        let mut parts = text.split('.');
        Ok(Self {
            major: number(parts.next().unwrap_or_default())?,
            minor: number(parts.next().unwrap_or_default())?,
        })
    }
}

/// What stands in front of the version in the names of glibc's symbol versions.
const MARK: &[u8] = b"GLIBC_";

impl Libc {
    /// The newest that a program asks for, from the names of its symbol versions; `None` for a static one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn needed_by(mut program: impl Read) -> io::Result<Option<Self>> {
        let mut newest = None;
        let mut window = Vec::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            let read = program.read(&mut piece)?;
            if read == 0 {
                return Ok(newest);
            }
            window.extend_from_slice(&piece[..read]);
            for at in memchr::memmem::find_iter(&window, MARK) {
                let rest = window.get(at + MARK.len()..).unwrap_or_default();
                let end = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.'));
                let version = end.and_then(|end| std::str::from_utf8(rest.get(..end)?).ok());
                newest = newest.max(version.and_then(|text| text.parse().ok()));
            }
            // A name may be cut by the end of the piece.
            window.drain(..window.len().saturating_sub(MARK.len() + 16));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_symbol_version_counts_also_across_pieces() {
        let needed = |text: &[u8]| Libc::needed_by(text).unwrap().map(|libc| libc.to_string());
        assert_eq!(
            needed(b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0"),
            Some("2.34".to_owned())
        );
        assert_eq!(needed(b"\0static\0GLIBC_PRIVATE\0"), None);
        for shift in 0..24 {
            let mut text = vec![0; (1 << 16) - shift];
            text.extend_from_slice(b"GLIBC_2.36\0");
            assert_eq!(needed(&text), Some("2.36".to_owned()), "{shift}");
        }
    }
}
